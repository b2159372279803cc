"""A run, its gate, and `retraining.auto_approve_by_gate`: what it signs, what it does not, where it is refused.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import unittest

import harness

METRICS = '{"metrics": {"accuracy": %s}, "champion": {"accuracy": 0.9}}'


class Retraining(harness.ServerTest):
    settings = {"RETRAINING_AUTO_APPROVE_BY_GATE": "ben"}

    def prepare(self, model, accuracy):
        """A first version, and a pipeline whose one step copies files that are there already."""
        server = self.server
        self.assertEqual(server.register(model, metrics={"accuracy": 0.9}).status, 201)
        made = os.path.join(server.folder, model)
        os.makedirs(made)
        with open(os.path.join(made, "model.onnx"), "wb") as file:
            file.write(harness.onnx_model(salt=model))
        with open(os.path.join(made, "metrics.json"), "w", encoding="utf-8") as file:
            file.write(METRICS % accuracy)
        step = {"name": "train", "command": ["/bin/cp", "${inputs.model}", "${inputs.metrics}", "${job}/out/"],
                "inputs": [{"name": "model", "path": made + "/model.onnx"}, {"name": "metrics", "path": made + "/metrics.json"}],
                "outputs": [{"name": "model", "path": "out/model", "role": "model", "file": "model.onnx"},
                            {"name": "metrics", "path": "out/metrics", "role": "metrics"}]}
        gate = {"rules": [{"metric": "accuracy", "compare": "champion", "no_worse_by": 0.0}]}
        self.assertEqual(server.call("PUT", f"/api/v1/gates/{model}-gate", gate).status, 200)
        answer = server.call("PUT", f"/api/v1/pipelines/{model}-again", {"gate": f"{model}-gate", "registrar": "ana", "submit": True,
                                                                        "steps": [step]})
        self.assertEqual(answer.status, 200, answer)

    def run_once(self, model):
        server = self.server
        answer = server.call("POST", f"/api/v1/pipelines/{model}-again/runs", {"model": model, "parent_version": 1, "reason": "try"})
        self.assertEqual(answer.status, 201, answer)
        done = subprocess.run([harness.TIDEMARK, "worker", "--workspace", server.workspace, "--as", "worker", "--once", "--jobs",
                               os.path.join(server.folder, "jobs")], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        path = f"/api/v1/runs/{answer.json['run']}"
        return harness.wait_for("the run to end", lambda: next(
            (r for r in [server.call("GET", path).json] if r["state"] in ("registered", "rejected", "failed")), None))

    def test_passed_gate_signs_with_the_named_key(self):
        self.prepare("good", 0.93)
        run = self.run_once("good")
        self.assertEqual(run["state"], "registered", run)
        version = harness.wait_for("approval", lambda: next(
            (v for v in [self.server.call("GET", "/api/v1/models/good/versions/2").json] if v["state"] == "approved"), None))
        self.assertEqual(version["created_by"] if "created_by" in version else version["registered_by"], "ana")
        self.assertEqual(version["parent"], "good/1")
        records = self.server.call("GET", "/api/v1/audit?filter=action%3D'approve.version'&limit=100", as_="ben").json["records"]
        mine = [r for r in records if r["object"]["id"] == "good/2"]
        self.assertEqual(len(mine), 1, records)
        self.assertIn(run["run"], json.dumps(mine[0]))
        self.assertIn("by the gate of", mine[0]["reason"])
        self.said_of("good/2", run)

    def said_of(self, version, run):
        """What the server claims of what its own pipeline made, signed by its publisher."""
        path = f"/api/v1/models/{version.replace('/', '/versions/')}/claims"
        claims = self.server.call("GET", path).json["claims"]
        self.assertEqual([(one["kind"], one["signed_by"]["source"], one["covers"], one["added_by"]) for one in claims],
                         [(kind, "publisher", "version", "system") for kind in ("provenance", "test-result", "bom")])
        provenance, tested, bom = (self.server.call("GET", f"{path}/{one['digest'][7:]}").json["statement"]["predicate"] for one in claims)
        definition, details = provenance["buildDefinition"], provenance["runDetails"]
        self.assertEqual(definition["externalParameters"]["pipeline"], run["pipeline"])
        self.assertEqual(details["metadata"]["invocationId"], run["run"])
        needs = {one["name"]: one.get("digest") for one in definition["resolvedDependencies"]}
        pipeline = self.server.call("GET", f"/api/v1/pipelines/{run['pipeline']}").json
        self.assertEqual("sha256:" + needs[f"{run['pipeline']} revision 1"]["sha256"], pipeline["digest"])
        self.assertIn("good/1", needs)
        self.assertIn("train/model", [one["name"] for one in details["byproducts"]])
        self.assertEqual((tested["result"], len(tested["passedTests"]), tested["failedTests"]), ("PASSED", 1, []))
        self.assertEqual("sha256:" + tested["configuration"][0]["digest"]["sha256"], run["verdict"]["digest"])
        self.assertEqual((bom["specVersion"], bom["metadata"]["component"]["bom-ref"]), ("1.6", version))

    def test_failed_gate_registers_nothing(self):
        self.prepare("bad", 0.5)
        run = self.run_once("bad")
        self.assertEqual(run["state"], "rejected", run)
        self.assertEqual(self.server.call("GET", "/api/v1/models/bad/versions/2").status, 404)

    def test_a_claim_takes_no_key_and_leaves_the_step(self):
        self.prepare("keyed", 0.95)
        self.server.call("POST", "/api/v1/pipelines/keyed-again/runs", {"model": "keyed", "parent_version": 1, "reason": "try"})
        refused = self.server.call("POST", "/api/v1/worker/claim", {"worker": "w"}, "worker", {"Idempotency-Key": "k-1"})
        self.check(refused, 400, "invalid", "takes none")
        claim = self.server.call("POST", "/api/v1/worker/claim", {"worker": "w"}, "worker").json
        self.assertEqual((claim["step"], claim["attempt"]), ("train", 1))


class Refused(unittest.TestCase):
    def start_fails(self, profile, name):
        server = harness.Server(profile, {"RETRAINING_AUTO_APPROVE_BY_GATE": name})
        try:
            process = server.spawn()
            self.assertEqual(process.stdout.readline(), b"")
            self.assertNotEqual(process.wait(harness.PATIENCE_S), 0)
            return server.log_text()
        finally:
            server.close()

    def test_outside_profile_demo(self):
        self.assertIn("profile demo only", self.start_fails("team", "ben"))

    def test_without_a_key(self):
        self.assertIn("key.pem", self.start_fails("demo", "ana"))


if __name__ == "__main__":
    harness.main()
