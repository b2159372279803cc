"""Who may do what: every method on every route as nobody, with an expired token, and as each role.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import re

import harness

# The permission table once more, from the design.
MAY = {
    "viewer": {"read"},
    "data-scientist": {"read", "register", "manage_alias", "set_monitor", "handle_alert", "start_run"},
    "trainer": {"read", "register", "work"},
    "approver": {"read", "approve", "define_gate", "read_audit"},
    "operator": {"read", "roll_out", "manage_device", "manage_alias", "handle_alert"},
    "auditor": {"read", "read_audit", "export_audit"},
    "admin": {"read", "manage_user", "define_pipeline", "define_gate", "read_audit"},
}
# What each route demands, kept here a second time: whoever changes a permission decides it twice.
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
        GET /api/v1/status
        GET /api/v1/content/{digest}
        GET /api/v1/models
        GET /api/v1/models/{model}
        GET /api/v1/models/{model}/versions
        GET /api/v1/models/{model}/aliases
        GET /api/v1/models/{model}/aliases/{alias}
        GET /api/v1/models/{model}/versions/{version}
        GET /api/v1/models/{model}/versions/{version}/manifest
        GET /api/v1/models/{model}/versions/{version}/files/{name...}
        GET /api/v1/models/{model}/versions/{version}/bundle
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
        GET /api/v1/gates/{gate}
        GET /api/v1/lineage
        GET /api/v1/lineage/impact
        GET /api/v1/events
        GET /api/v1/events/stream
        GET /api/v1/users/{user}/keys
        GET /api/v1/keyset
    """,
    "login": """
        PUT /api/v1/models/{model}/aliases/{alias}
        DELETE /api/v1/models/{model}/aliases/{alias}
        GET /api/v1/routes
        POST /api/v1/users/{user}/tokens
        POST /api/v1/tokens/{token}/revoke
    """,
    "register": """
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
        POST /api/v1/models/{model}/versions/{version}/submit
    """,
    "manage_alias": """
        POST /api/v1/models/{model}/versions/{version}/move
    """,
    "approve": """
        POST /api/v1/models/{model}/versions/{version}/approvals
        POST /api/v1/models/{model}/versions/{version}/reject
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
    "read_audit": """
        GET /api/v1/audit
        GET /api/v1/audit/checkpoint
        GET /api/v1/audit/records/{seq}
        GET /api/v1/audit/records/{seq}/proof
    """,
    "export_audit": """
        GET /api/v1/audit/export
    """,
    "manage_user": """
        GET /api/v1/users
        POST /api/v1/users
        GET /api/v1/users/{user}
        POST /api/v1/users/{user}/disable
        PUT /api/v1/users/{user}/roles
        POST /api/v1/users/{user}/keys
        POST /api/v1/keysets
    """,
}
PUBLIC = {tuple(line.split()) for line in DEMANDS["public"].strip().splitlines()}
PERMISSION = {tuple(line.split()): permission for permission, lines in DEMANDS.items() for line in lines.strip().splitlines()}


class Matrix(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.routes = [route for route in cls.server.call("GET", "/api/v1/routes").json["routes"] if "api" in route["listener"]
                      or route["listener"] == "all"]
        cls.tokens = {}
        for role in MAY:
            name = "only-" + role
            answer = cls.server.admin("POST", "/api/v1/users", {"name": name, "roles": [role], "reason": "test"})
            assert answer.status == 201, answer
            cls.tokens[role] = cls.server.admin("POST", f"/api/v1/users/{name}/tokens", {"label": "test"}).json["token"]

    def walk(self, token):
        """(route, answer) of every route, with values that name nothing."""
        for route in self.routes:
            path = re.sub(r"\{[a-z.]+\}", "1", route["path"])
            headers = {"Authorization": "Bearer " + token} if token else {}
            body = None if route["method"] == "GET" else b"" if route["body"] == "stream" else {}
            yield route, self.server.call(route["method"], path, body, None, headers)

    def test_every_route_demands_what_the_design_says(self):
        self.assertEqual({(route["method"], route["path"]): route["permission"] for route in self.routes}, PERMISSION)

    def test_nobody_and_bad_tokens(self):
        for token in (None, "tmk_" + "0" * 64, "tmk_", "", "x" * 10000, self.tokens["admin"][:-1]):
            for route, answer in self.walk(token):
                if (route["method"], route["path"]) in PUBLIC:
                    continue
                self.assertIn(answer.status, (401, 431), (route, answer))
                if answer.status == 401:
                    self.assertEqual(answer.json["code"], "unauthenticated")
                    self.assertIn("Bearer", answer.headers["WWW-Authenticate"])

    def test_other_ways_to_log_in_do_not_exist(self):
        import base64
        token = self.tokens["admin"]
        basic = base64.b64encode(f"admin:{token}".encode()).decode()
        for headers in ({"Authorization": token}, {"Authorization": "Basic " + basic}, {"Cookie": "token=" + token}):
            self.check(self.server.call("GET", "/api/v1/models", None, None, headers), 401, "unauthenticated")
        self.check(self.server.call("GET", "/api/v1/models?token=" + token, None, None), 401, "unauthenticated")

    def test_basic_takes_the_token_as_password(self):
        token = self.tokens["viewer"]
        for name, password, status in (("only-viewer", token, 200), ("ana", token, 401), ("only-viewer", "", 401),
                                       ("", token, 401), ("only-viewer", token[:-1], 401), ("admin", "password1234", 401)):
            pair = base64.b64encode(f"{name}:{password}".encode()).decode()
            answer = self.server.call("GET", "/api/v1/models", None, None, {"Authorization": "Basic " + pair})
            self.assertEqual(answer.status, status, (name, answer))
            if status == 401:
                self.check(answer, 401, "unauthenticated", "unknown, expired or revoked")
                self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Bearer "))  # no browser shall ask and remember

    def test_expired_and_revoked_tokens(self):
        short = self.server.admin("POST", "/api/v1/users/only-viewer/tokens", {"lifetime": "1s"}).json["token"]
        headers = {"Authorization": "Bearer " + short}
        harness.wait_for("the token to expire", lambda: self.server.call("GET", "/api/v1/models", None, None, headers).status == 401)
        for route, answer in self.walk(short):
            if (route["method"], route["path"]) not in PUBLIC:
                self.assertEqual(answer.status, 401, (route, answer))
        made = self.server.admin("POST", "/api/v1/users/only-viewer/tokens", {}).json
        headers = {"Authorization": "Bearer " + made["token"]}
        self.assertEqual(self.server.call("GET", "/api/v1/models", None, None, headers).status, 200)
        answer = self.server.admin("POST", f"/api/v1/tokens/{made['id']}/revoke", {"reason": "test"})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.server.call("GET", "/api/v1/models", None, None, headers).status, 401)

    def test_each_role_may_what_the_design_says_and_no_more(self):
        for role, allowed in MAY.items():
            for route, answer in self.walk(self.tokens[role]):
                permission = PERMISSION[route["method"], route["path"]]
                if permission in ("public", "login"):
                    continue
                if permission in allowed:
                    self.assertNotIn(answer.status, (401, 403, 405, 500), (role, route, answer))
                else:
                    self.assertEqual(answer.status, 403, (role, route, answer))
                    self.assertIn(permission, answer.json["detail"])

    def test_aliases_are_moved_by_those_who_may(self):
        for role, allowed in MAY.items():
            headers = {"Authorization": "Bearer " + self.tokens[role]}
            for alias, permission in (("beta", "manage_alias"), ("champion", "approve")):
                for method in ("PUT", "DELETE"):
                    answer = self.server.call(method, f"/api/v1/models/none/aliases/{alias}", {"reason": "test", "version": 1}
                                              if method == "PUT" else {"reason": "test"}, None, headers)
                    self.assertEqual(answer.status, 404 if permission in allowed else 403, (role, alias, method, answer))

    def test_another_project_is_closed(self):
        for role in MAY:
            answer = self.server.call("GET", "/api/v1/models?project=other", None, None,
                                      {"Authorization": "Bearer " + self.tokens[role]})
            self.assertEqual(answer.status, 403, (role, answer))

    def test_a_restricted_token_cannot_widen_itself(self):
        server = self.server
        server.admin("POST", "/api/v1/users", {"name": "wide", "roles": ["viewer", "admin"], "reason": "test"})
        narrow = server.admin("POST", "/api/v1/users/wide/tokens", {"roles": ["viewer"]}).json["token"]
        headers = {"Authorization": "Bearer " + narrow}
        self.assertEqual(server.call("GET", "/api/v1/users", None, None, headers).status, 403)
        self.assertEqual(server.call("POST", "/api/v1/users/wide/tokens", {"roles": ["admin"]}, None, headers).status, 403)
        wider = server.call("POST", "/api/v1/users/wide/tokens", {}, None, headers).json["token"]
        self.assertEqual(server.call("GET", "/api/v1/users", None, None, {"Authorization": "Bearer " + wider}).status, 403)

    def test_a_token_does_not_outlive_the_one_that_made_it(self):
        parent = self.server.admin("POST", "/api/v1/users/only-viewer/tokens", {"lifetime": "1h"}).json
        headers = {"Authorization": "Bearer " + parent["token"]}
        child = self.server.call("POST", "/api/v1/users/only-viewer/tokens", {"lifetime": "30d"}, None, headers).json
        self.assertEqual(child["expires_at"], parent["expires_at"])
        short = self.server.call("POST", "/api/v1/users/only-viewer/tokens", {"lifetime": "10m"}, None, headers).json
        self.assertLess(short["expires_at"], parent["expires_at"])

    def test_a_restricted_token_of_an_admin_leaves_others_tokens_alone(self):
        server = self.server
        server.admin("POST", "/api/v1/users", {"name": "chief", "roles": ["viewer", "admin"], "reason": "test"})
        narrow = server.admin("POST", "/api/v1/users/chief/tokens", {"roles": ["viewer"]}).json["token"]
        full = server.admin("POST", "/api/v1/users/chief/tokens", {}).json["token"]
        made = server.admin("POST", "/api/v1/users/ben/tokens", {}).json
        for token, expected in ((narrow, 403), (full, 201)):
            answer = server.call("POST", "/api/v1/users/ben/tokens", {}, None, {"Authorization": "Bearer " + token})
            self.assertEqual(answer.status, expected, answer)
        for token, expected in ((narrow, 403), (full, 200)):
            answer = server.call("POST", f"/api/v1/tokens/{made['id']}/revoke", {"reason": "x"}, None, {"Authorization": "Bearer " + token})
            self.assertEqual(answer.status, expected, answer)

    def test_somebody_elses_token_is_not_made(self):
        headers = {"Authorization": "Bearer " + self.tokens["viewer"]}
        self.check(self.server.call("POST", "/api/v1/users/ben/tokens", {}, None, headers), 403, "denied")

    def test_refusals_are_recorded(self):
        self.server.call("GET", "/api/v1/users", None, None, {"Authorization": "Bearer " + self.tokens["viewer"]})

        def recorded():
            records = self.server.call("GET", "/api/v1/audit?action=deny.access&limit=1000", None, "ben").json["records"]
            return [record for record in records if record["actor"]["id"] == "only-viewer"]
        harness.wait_for("a record of the refusal", recorded)


class Refusals(harness.ServerTest):
    def test_refusals_by_a_handler_are_recorded(self):
        server = self.server
        secret = {"code_secret": "00" * 10, "device": "stranger", "csr_pem": "x"}
        self.assertEqual(server.device("POST", "/enrol/v1/device", secret).status, 403)
        server.admin("POST", "/api/v1/users", {"name": "only-viewer", "roles": ["viewer"], "reason": "test"})
        token = server.admin("POST", "/api/v1/users/only-viewer/tokens", {}).json["token"]
        headers = {"Authorization": "Bearer " + token}
        self.assertEqual(server.call("POST", "/api/v1/users/ben/tokens", {}, None, headers).status, 403)

        def recorded():
            records = server.call("GET", "/api/v1/audit?action=deny.access&limit=1000", None, "ben").json["records"]
            found = {(record["actor"]["id"], record["object"]["id"]) for record in records}
            return {("nobody", "POST /enrol/v1/device"), ("only-viewer", "POST /api/v1/users/{user}/tokens")} <= found
        harness.wait_for("a record of each refusal", recorded)


class Users(harness.ServerTest):
    profile = "team"

    def test_the_first_user_comes_by_the_admin_socket(self):
        server = self.server
        self.assertNotIn("eva", [user["name"] for user in server.admin("GET", "/api/v1/users").json["users"]])
        answer = server.admin("POST", "/api/v1/users", {"name": "eva", "roles": ["approver"], "reason": "first"})
        self.assertEqual(answer.status, 201, answer)
        token = server.admin("POST", "/api/v1/users/eva/tokens", {}).json["token"]
        headers = {"Authorization": "Bearer " + token}
        self.assertEqual(server.call("GET", "/api/v1/models", None, None, headers).status, 200)
        self.check(server.admin("POST", "/api/v1/users", {"name": "eva"}), 409, "conflict")
        self.check(server.admin("POST", "/api/v1/users", {"name": "Eva!"}), 400, "invalid")
        self.check(server.admin("POST", "/api/v1/users", {"name": "x", "roles": ["aprover"]}), 400, "invalid", 'mean "approver"')

    def test_an_approvers_key_waits_for_root_outside_demo(self):
        server = self.server
        server.admin("POST", "/api/v1/users", {"name": "kim", "roles": ["approver"], "reason": "test"})
        key = harness.make_key(server.folder + "/kim.pem")
        answer = server.admin("POST", "/api/v1/users/kim/keys", {"public_key": harness.public_pem(key)})
        self.assertEqual(answer.status, 202, answer)
        self.assertTrue(answer.json["draft"])
        self.assertEqual(server.admin("GET", "/api/v1/keyset").json["version"], 1)
        self.check(server.admin("POST", "/api/v1/keysets", {"keyset": answer.json["draft"], "user": "kim", "reason": "x"}), 422,
                   "corrupt")


if __name__ == "__main__":
    harness.main()
