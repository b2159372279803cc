"""What each role may and what each route demands: kept here a second time, so that whoever changes either decides it twice.

A new route needs a line here, or test_access.py fails. A route that demands `login` alone is narrowed by its handler; the word after it
says what the handler asks of somebody who names things of others:
  anybody      nothing: the answer is about the caller, or is no secret
  manage_user  that permission
  alias        approve for `champion`, manage_alias for others
  hidden       nobody learns that such a thing exists (404) but who manages it
SPDX-License-Identifier: Apache-2.0
"""

MAY = {
    "viewer": {"read"},
    "data-scientist": {"claim", "handle_alert", "manage_alias", "read", "register", "set_monitor", "start_run"},
    "trainer": {"claim", "read", "register", "work"},
    "approver": {"approve", "claim", "define_gate", "read", "read_audit"},
    "operator": {"handle_alert", "manage_alias", "manage_device", "read", "roll_out"},
    "auditor": {"export_audit", "read", "read_audit", "read_metrics"},
    "admin": {"define_gate", "define_pipeline", "manage_user", "read", "read_audit", "read_metrics"},
    "metrics": {"read_metrics"},
}
DEMANDS = {
    "public": """
        GET /healthz
        GET /health
        GET /version
        GET /api/3.0/mlflow/server-info
        GET /api/3.0/mlflow/server-features
        GET /api/2.0/mlflow/server-features
    """,
    "read": """
        GET /api/2.0/mlflow/registered-models/get
        GET /api/2.0/mlflow/registered-models/search
        GET /api/2.0/mlflow/registered-models/get-latest-versions
        POST /api/2.0/mlflow/registered-models/get-latest-versions
        GET /api/2.0/mlflow/registered-models/alias
        GET /api/2.0/mlflow/model-versions/get
        GET /api/2.0/mlflow/model-versions/search
        GET /api/2.0/mlflow/model-versions/get-download-uri
        GET /api/v1/status
        GET /api/v1/content/{digest}
        GET /api/v1/models
        GET /api/v1/models/{model}
        GET /api/v1/models/{model}/versions
        GET /api/v1/versions
        GET /api/v1/models/{model}/aliases
        GET /api/v1/models/{model}/aliases/{alias}
        GET /api/v1/models/{model}/versions/{version}
        GET /api/v1/models/{model}/versions/{version}/diff
        GET /api/v1/models/{model}/versions/{version}/manifest
        GET /api/v1/models/{model}/versions/{version}/files/{name...}
        GET /api/v1/models/{model}/versions/{version}/bundle
        GET /api/v1/models/{model}/versions/{version}/compatibility
        GET /api/v1/models/{model}/versions/{version}/claims
        GET /api/v1/models/{model}/versions/{version}/claims/{digest}
        GET /api/v1/claim-keys
        GET /api/v1/devices
        GET /api/v1/devices/{device}
        GET /api/v1/devices/{device}/runs
        GET /api/v1/rollouts
        GET /api/v1/rollouts/{id}
        GET /api/v1/models/{model}/monitor
        GET /api/v1/models/{model}/versions/{version}/monitor
        GET /api/v1/alerts
        GET /api/v1/alerts/{id}
        GET /api/v1/pipelines
        GET /api/v1/pipelines/{pipeline}
        GET /api/v1/pipelines/{pipeline}/runs
        GET /api/v1/runs/{run}
        GET /api/v1/gates
        GET /api/v1/gates/{gate}
        GET /api/v1/content/{digest}/inspection
        GET /api/v1/lineage
        GET /api/v1/lineage/impact
        GET /api/v1/events
        GET /api/v1/events/stream
        GET /api/v1/users/{user}/keys
        GET /api/v1/keyset
        GET /api/2.0/mlflow/experiments/get
        GET /api/2.0/mlflow/experiments/get-by-name
        GET /api/2.0/mlflow/experiments/search
        GET /api/2.0/mlflow/experiments/list
        POST /api/2.0/mlflow/experiments/search
        GET /api/2.0/mlflow/runs/get
        GET /api/2.0/mlflow/metrics/get-history
        GET /api/2.0/mlflow/metrics/get-history-bulk-interval
        GET /api/2.0/mlflow/artifacts/list
        POST /api/2.0/mlflow/runs/search
        GET /api/2.0/mlflow/logged-models/{model_id}
        GET /api/2.0/mlflow/logged-models/{model_id}/artifacts/directories
        POST /api/2.0/mlflow/logged-models/search
        GET /api/2.0/mlflow-artifacts/artifacts
        GET /api/2.0/mlflow-artifacts/artifacts/{path...}
        GET /get-artifact
    """,
    "login": """
        POST /api/2.0/mlflow/registered-models/alias alias
        DELETE /api/2.0/mlflow/registered-models/alias alias
        PUT /api/v1/models/{model}/aliases/{alias} alias
        DELETE /api/v1/models/{model}/aliases/{alias} alias
        GET /api/v1/routes anybody
        GET /api/v1/me anybody
        GET /api/v1/roles anybody
        GET /log/checkpoint anybody
        GET /log/tile/{tile...} anybody
        GET /api/v1/users/{user} manage_user
        GET /api/v1/users/{user}/tokens manage_user
        POST /api/v1/users/{user}/tokens manage_user
        POST /api/v1/users/{user}/keys manage_user
        POST /api/v1/tokens/{token}/rotate hidden
        POST /api/v1/tokens/{token}/revoke hidden
        GET /api/v1/projects anybody
        GET /api/v1/projects/{project} hidden
        PATCH /api/v1/projects/{project} hidden
        POST /api/v1/projects/{project}/archive hidden
        POST /api/v1/projects/{project}/restore hidden
    """,
    "register": """
        POST /api/2.0/mlflow/registered-models/create
        POST /api/2.0/mlflow/registered-models/rename
        PATCH /api/2.0/mlflow/registered-models/update
        POST /api/2.0/mlflow/registered-models/set-tag
        DELETE /api/2.0/mlflow/registered-models/delete-tag
        POST /api/2.0/mlflow/model-versions/create
        PATCH /api/2.0/mlflow/model-versions/update
        POST /api/2.0/mlflow/model-versions/set-tag
        DELETE /api/2.0/mlflow/model-versions/delete-tag
        POST /api/v1/uploads
        POST /api/v1/upload-sessions
        GET /api/v1/upload-sessions/{upload}
        PATCH /api/v1/upload-sessions/{upload}
        DELETE /api/v1/upload-sessions/{upload}
        POST /api/v1/models
        PATCH /api/v1/models/{model}
        PUT /api/v1/models/{model}/versions/{version}/tags/{key}
        DELETE /api/v1/models/{model}/versions/{version}/tags/{key}
        POST /api/v1/models/{model}/versions
        PATCH /api/v1/models/{model}/versions/{version}
        POST /api/v1/models/{model}/versions/{version}/derive
        POST /api/v1/models/{model}/versions/{version}/submit
        POST /api/2.0/mlflow/experiments/create
        POST /api/2.0/mlflow/experiments/update
        POST /api/2.0/mlflow/experiments/delete
        POST /api/2.0/mlflow/experiments/restore
        POST /api/2.0/mlflow/experiments/set-experiment-tag
        POST /api/2.0/mlflow/experiments/delete-experiment-tag
        POST /api/2.0/mlflow/runs/create
        POST /api/2.0/mlflow/runs/update
        POST /api/2.0/mlflow/runs/delete
        POST /api/2.0/mlflow/runs/restore
        POST /api/2.0/mlflow/runs/log-metric
        POST /api/2.0/mlflow/runs/log-parameter
        POST /api/2.0/mlflow/runs/set-tag
        POST /api/2.0/mlflow/runs/delete-tag
        POST /api/2.0/mlflow/runs/log-batch
        POST /api/2.0/mlflow/runs/log-inputs
        POST /api/2.0/mlflow/runs/outputs
        POST /api/2.0/mlflow/runs/log-model
        POST /api/2.0/mlflow/logged-models
        PATCH /api/2.0/mlflow/logged-models/{model_id}
        PATCH /api/2.0/mlflow/logged-models/{model_id}/tags
        POST /api/2.0/mlflow/logged-models/{model_id}/params
        DELETE /api/2.0/mlflow/logged-models/{model_id}/tags/{tag_key}
        DELETE /api/2.0/mlflow/logged-models/{model_id}
        POST /api/2.0/mlflow-artifacts/mpu/create/{path...}
        POST /api/2.0/mlflow-artifacts/mpu/complete/{path...}
        POST /api/2.0/mlflow-artifacts/mpu/abort/{path...}
        PUT /api/2.0/mlflow-artifacts/artifacts/{path...}
        DELETE /api/2.0/mlflow-artifacts/artifacts/{path...}
        PUT /api/v1/mirror/runs/{run}
        PUT /api/v1/mirror/logged-models/{logged_model}
        POST /api/v1/mirror/artifacts
    """,
    "manage_alias": """
        DELETE /api/2.0/mlflow/registered-models/delete
        DELETE /api/2.0/mlflow/model-versions/delete
        POST /api/2.0/mlflow/model-versions/transition-stage
        POST /api/v1/models/{model}/versions/{version}/move
    """,
    "approve": """
        POST /api/v1/models/{model}/versions/{version}/approvals
        POST /api/v1/models/{model}/versions/{version}/reject
    """,
    "claim": """
        POST /api/v1/models/{model}/versions/{version}/claims
    """,
    "manage_device": """
        POST /api/v1/enrolment-codes
        GET /api/v1/enrolment-codes
        PATCH /api/v1/devices/{device}
        POST /api/v1/devices/{device}/revoke
    """,
    "roll_out": """
        POST /api/v1/rollouts
        POST /api/v1/rollouts/{id}/pause
        POST /api/v1/rollouts/{id}/resume
        POST /api/v1/rollouts/{id}/abort
        POST /api/v1/rollouts/{id}/revert
    """,
    "set_monitor": """
        PUT /api/v1/models/{model}/monitor
    """,
    "handle_alert": """
        POST /api/v1/alerts/{id}/ack
    """,
    "define_pipeline": """
        PUT /api/v1/pipelines/{pipeline}
    """,
    "start_run": """
        POST /api/v1/pipelines/{pipeline}/runs
    """,
    "define_gate": """
        PUT /api/v1/gates/{gate}
    """,
    "work": """
        POST /api/v1/worker/claim
        POST /api/v1/runs/{run}/steps/{step}/renew
        POST /api/v1/runs/{run}/steps/{step}/result
    """,
    "read_metrics": """
        GET /metrics
    """,
    "read_audit": """
        GET /api/v1/audit
        GET /api/v1/audit/checkpoint
        GET /api/v1/audit/witnesses
        GET /api/v1/audit/records/{seq}
        GET /api/v1/audit/records/{seq}/proof
    """,
    "export_audit": """
        GET /api/v1/audit/export
    """,
    "manage_user": """
        POST /api/v1/claim-keys
        POST /api/v1/claim-keys/{name}/distrust
        GET /api/2.0/mlflow/webhooks
        POST /api/2.0/mlflow/webhooks
        GET /api/2.0/mlflow/webhooks/{webhook_id}
        PATCH /api/2.0/mlflow/webhooks/{webhook_id}
        DELETE /api/2.0/mlflow/webhooks/{webhook_id}
        POST /api/2.0/mlflow/webhooks/{webhook_id}/test
        GET /api/v1/users
        POST /api/v1/users
        POST /api/v1/projects
        POST /api/v1/users/{user}/disable
        POST /api/v1/users/{user}/enable
        PUT /api/v1/users/{user}/roles
        POST /api/v1/keysets
        POST /api/v1/backups
    """,
}
# (method, path) -> permission; (method, path) -> word, for those that demand login
PERMISSION, NARROWED = {}, {}
for _permission, _lines in DEMANDS.items():
    for _line in _lines.strip().splitlines():
        _method, _path, *_word = _line.split()
        PERMISSION[_method, _path] = _permission
        if _word:
            NARROWED[_method, _path] = _word[0]
PUBLIC = {route for route, permission in PERMISSION.items() if permission == "public"}
