"""The record of each action as a real server writes it, held against tests/golden/audit/records.jsonl; TD_UPDATE=1 writes
those anew that are made here. What stays different from run to run is put to fixed values first (collect.py).

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import sqlite3
import subprocess
import sys

import harness
from test_enrol import secret_of

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "golden", "audit")
sys.path.insert(0, GOLDEN)
import collect  # noqa: E402

FILE = os.path.join(GOLDEN, "records.jsonl")
MADE_AT_LEAST = 60
REASON = {"reason": "it is a test"}


class Life:
    """One of everything that a person or a program can have done over HTTP."""

    def __init__(self, server):
        self.server = server
        self.access()
        self.models()
        self.fleet()
        self.watch()
        self.mlflow()
        self.refused()

    def do(self, method, path, body=None, as_=None):
        path = path if path.startswith("/api/") else "/api/v1/" + path
        answer = self.server.call(method, path, body, as_) if as_ else self.server.admin(method, path, body)
        assert answer.status in (200, 201, 202, 204), (method, path, answer)
        return answer.json if answer.bytes else None

    def access(self):
        self.do("POST", "projects", {"name": "mill"})
        self.do("PATCH", "projects/mill", {"description": "the other hall", **REASON})
        self.do("POST", "projects/mill/archive", REASON)
        self.do("POST", "projects/mill/restore", REASON)
        self.do("POST", "users", {"name": "eva", "roles": ["viewer"], **REASON})
        self.do("PUT", "users/eva/roles", {"roles": ["operator"], **REASON})
        token = self.do("POST", "users/eva/tokens", {"label": "laptop"})["id"]
        token = self.do("POST", f"tokens/{token}/rotate", REASON)["id"]
        self.do("POST", f"tokens/{token}/revoke", REASON)
        self.do("POST", "users/eva/disable", REASON)
        self.do("POST", "users/eva/enable", REASON)

    def models(self):
        server = self.server
        datasets = [{"name": "vibration", "uri": "s3://plant/vibration", "digest": "sha256:" + "ab" * 32}]
        assert server.register("pump", datasets=datasets, code={"repository": "https://example.com/pump", "commit": "1f0e"},
                               metrics={"auc": 0.9}).status == 201
        self.do("PATCH", "models/pump/versions/1", {"description": "the first"}, "ana")
        self.do("PUT", "models/pump/versions/1/tags/site", {"value": "oslo"}, "ana")
        assert server.submit("pump/1").status == 200
        assert server.approve("pump/1", key=harness.make_key(os.path.join(server.folder, "no.pem"))).status == 403
        assert server.approve("pump/1").status == 201
        self.do("PUT", "models/pump/aliases/champion", {"version": 1, **REASON}, "ben")
        self.do("PUT", "models/pump/aliases/beta", {"version": 1, **REASON}, "ana")
        self.do("DELETE", "models/pump/aliases/beta", None, "ana")
        for _ in range(3):
            assert server.register("pump", harness.onnx_model(salt="more"), parent="pump/1").status == 201
        assert server.submit("pump/2").status == 200
        self.do("POST", "models/pump/versions/2/reject", REASON, "ben")
        self.do("PATCH", "models/pump", {"description": "all pumps"}, "ana")
        key = harness.make_key(os.path.join(server.folder, "laboratory.pem"))
        self.do("POST", "claim-keys", {"name": "laboratory", "public_key": harness.public_pem(key), **REASON})
        self.do("POST", "claim-keys/laboratory/distrust", REASON)

    def fleet(self):
        server = self.server
        for name in ("pump-01", "pump-02"):
            code = self.do("POST", "enrolment-codes", {"count": 1, "tags": {"site": "oslo"}}, "ana")["codes"][0]
            body = {"code_secret": secret_of(code)[0].hex(), "device": name, "csr_pem": harness.make_request(server.folder, name),
                    "hardware": "board", "runtimes": ["onnx"]}
            assert server.device("POST", "/enrol/v1/device", body).status in (200, 201)
        self.do("PATCH", "devices/pump-02", {"tags": {"line": "b"}}, "ana")
        self.do("POST", "devices/pump-02/revoke", REASON, "ana")
        rollout = self.do("POST", "rollouts", {"model_version": "pump/1", "to": "all"}, "ana")["id"]
        harness.wait_for("an order", lambda: "issue.directive" in self.actions())
        for verb in ("pause", "resume", "abort"):
            self.do("POST", f"rollouts/{rollout}/{verb}", REASON, "ana")
        self.do("POST", "models/pump/versions/1/move", {"to": "deprecated", **REASON}, "ana")
        self.do("POST", "models/pump/versions/1/move", {"to": "retired", **REASON}, "ana")

    def watch(self):
        self.do("PUT", "gates/good", {"rules": [{"metric": "accuracy", "at_least": 0.9}]}, "ana")
        self.do("PUT", "pipelines/train", {"gate": "good", "steps": [{"name": "train", "command": ["/bin/true"]}]}, "ana")
        self.do("PUT", "models/pump/monitor", {}, "ana")
        self.do("POST", "pipelines/train/runs", {"model": "pump", "parent_version": 3, **REASON}, "ana")
        assert self.server.call("GET", "/api/v1/audit/export", as_="ben").status == 200

    def mlflow(self):
        def call(method, path, body=None):
            return self.do(method, "/api/2.0/mlflow/" + path, body, "ana")
        call("POST", "registered-models/create", {"name": "fan"})
        call("POST", "registered-models/rename", {"name": "fan", "new_name": "fans"})
        self.do("POST", "models/fans/versions", {"files": [{"name": "model.onnx", "digest": self.server.upload(harness.onnx_model()),
                                                            "role": "model"}]}, "ana")
        call("POST", "registered-models/rename", {"name": "fans", "new_name": "ventilators"})
        call("POST", "model-versions/transition-stage", {"name": "ventilators", "version": "1", "stage": "Staging",
                                                         "archive_existing_versions": False})
        call("DELETE", "model-versions/delete", {"name": "ventilators", "version": "1"})
        call("DELETE", "registered-models/delete", {"name": "ventilators"})
        experiment = call("POST", "experiments/create", {"name": "bearings"})["experiment_id"]
        call("POST", "experiments/update", {"experiment_id": experiment, "new_name": "all bearings"})
        run = call("POST", "runs/create", {"experiment_id": experiment, "run_name": "trial", "start_time": 1})["run"]["info"]["run_id"]
        call("POST", "runs/log-metric", {"run_id": run, "key": "loss", "value": 0.5, "timestamp": 1, "step": 0})
        call("POST", "runs/update", {"run_id": run, "status": "FINISHED", "end_time": 2})
        call("POST", "runs/set-tag", {"run_id": run, "key": "note", "value": "late"})
        call("POST", "runs/delete", {"run_id": run})
        call("POST", "runs/restore", {"run_id": run})
        model = call("POST", "logged-models", {"experiment_id": experiment, "name": "net"})["model"]["info"]["model_id"]
        call("PATCH", f"logged-models/{model}", {"model_id": model, "status": "LOGGED_MODEL_READY"})
        call("PATCH", f"logged-models/{model}/tags", {"tags": [{"key": "a", "value": "b"}]})
        call("DELETE", f"logged-models/{model}")
        call("POST", "experiments/delete", {"experiment_id": experiment})
        call("POST", "experiments/restore", {"experiment_id": experiment})

    def refused(self):
        """Refusals are counted by source and minute; their records come at the end of the minute or of the server."""
        self.server.call("POST", "/api/v1/users", {"name": "x"}, "ana")
        self.server.call("GET", "/api/v1/models", None, None, {"Authorization": "Bearer tmk_" + "00" * 32})

    def actions(self):
        return {record["action"] for record in self.do("GET", "audit?limit=1000")["records"]}


class Records(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(cls.server.close)
        Life(cls.server)
        cls.server.stop()
        cls.server.settings["LOG_ACCESS"] = "all"
        cls.server.start()
        cls.server.stop()
        done = subprocess.run([harness.TIDEMARK, "backup", "--to", os.path.join(cls.server.folder, "backups"), "--workspace",
                               cls.server.workspace], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        with sqlite3.connect(cls.server.path("tidemark.db")) as db:
            cls.bodies = [body for body, in db.execute("SELECT body FROM audit_record ORDER BY seq")]

    def test_every_record_is_canonical(self):
        for body in self.bodies:
            self.assertEqual(collect.canonical(json.loads(body)), body)

    def test_the_first_of_each_action_is_the_golden_one(self):
        made = {}
        for body in self.bodies:
            record = json.loads(body)
            if record["outcome"] == "done" or collect.always_denied(record["action"]):
                made.setdefault(record["action"], collect.canonical(collect.normal(record)))
        self.assertGreaterEqual(len(made), MADE_AT_LEAST, sorted(made))
        kept = collect.read(FILE)
        if os.environ.get("TD_UPDATE"):
            collect.write(FILE, {**kept, **made})
            return
        for action, body in made.items():
            self.assertEqual(json.loads(body), json.loads(kept.get(action, "{}")), f"{action}: TD_UPDATE=1 takes the new one")
            self.assertEqual(body, kept[action])


if __name__ == "__main__":
    harness.main()
