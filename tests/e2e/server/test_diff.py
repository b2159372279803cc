"""What differs between two versions: by the API, and as a person sees it.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
from urllib.parse import quote

import harness

PARTS = ("files", "facts", "inputs", "outputs", "operators", "metrics", "params", "tags", "lineage")


def csv(step, more=""):
    return ("speed,prediction" + more + "\n" + "".join(f"{i * step % 97}.5,{i % 3}{',1' if more else ''}\n" for i in range(600))).encode()


class DiffTest(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        reference = {"digest": cls.server.upload(csv(1)), "name": "reference.csv"}
        other = {"digest": cls.server.upload(csv(3, ",load")), "name": "reference.csv"}
        dataset = {"name": "vibration", "uri": "s3://plant/vibration", "digest": "sha256:" + "ab" * 32}
        first = {"baseline_csv": reference, "datasets": [dataset], "metrics": {"auc": 0.9, "loss": 0.1}, "params": {"depth": "3"},
                 "tags": {"site": "oslo"}}
        second = {"baseline_csv": other, "datasets": [{**dataset, "digest": "sha256:" + "cd" * 32}], "metrics": {"auc": 0.95, "f1": 0.8},
                  "params": {"depth": "3"}, "tags": {"site": "rome"}, "parent": "pump/1"}
        for number, (data, more) in enumerate(((harness.onnx_model(), first), (harness.onnx_model(operator="Relu", size=9, more=["z"]), second),
                                               (harness.onnx_model(), first)), 1):
            answer = cls.server.register("pump", data=data, **more)
            assert (answer.status, answer.json["version"]) == (201, number), answer
        assert cls.server.register("fan", data=b"no model at all").status == 201

    def diff(self, to, query=""):
        answer = self.server.call("GET", f"/api/v1/models/{to.replace('/', '/versions/')}/diff{query}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def names(self, part):
        return ([one["name"] for one in part["removed"]], [one["name"] for one in part["changed"]], [one["name"] for one in part["added"]])

    def test_every_part_is_compared(self):
        diff = self.diff("pump/2", "?from=" + quote("models:/pump/1", safe=""))
        self.assertEqual((diff["from"]["label"], diff["to"]["label"]), ("pump/1", "pump/2"))
        self.assertEqual(self.names(diff["inputs"]), ([], ["x"], ["z"]))
        self.assertEqual(diff["inputs"]["changed"][0]["to"]["shape"], [1, 9])
        self.assertEqual(self.names(diff["outputs"]), ([], ["y"], []))
        self.assertEqual(self.names(diff["operators"]), (["Identity"], [], ["Relu"]))
        self.assertEqual(self.names(diff["metrics"]), (["loss"], ["auc"], ["f1"]))
        self.assertEqual(diff["metrics"]["changed"][0], {"name": "auc", "from": {"name": "auc", "value": 0.9}, "to": {"name": "auc", "value": 0.95}})
        self.assertEqual((self.names(diff["params"]), diff["params"]["same"]), (([], [], []), 1))
        self.assertEqual(self.names(diff["tags"]), ([], ["site"], []))
        self.assertEqual(self.names(diff["files"]), ([], ["baseline.pb", "model/model.onnx"], []))
        self.assertFalse(diff["baseline"]["same_edges"])
        self.assertEqual(self.names(diff["baseline"]["features"])[2], ["load"])
        removed, _, added = self.names(diff["lineage"])
        self.assertEqual((len(removed), len(added)), (2, 3))  # other digests of dataset and reference, and the parent
        self.assertIn("version:pump/1", added)
        self.assertFalse(diff["compatible"])
        self.assertIn("input z is new: applications must feed it", diff["warnings"])

    def test_without_from_it_is_the_parent_or_the_one_before(self):
        self.assertEqual(self.diff("pump/2")["from"]["label"], "pump/1")
        self.assertEqual(self.diff("pump/3")["from"]["label"], "pump/2")
        self.check(self.server.call("GET", "/api/v1/models/pump/versions/1/diff"), 404, "not_found", "say which")

    def test_the_same_is_no_difference(self):
        diff = self.diff("pump/3", "?from=pump/1")
        for part in PARTS:
            self.assertEqual(self.names(diff[part]), ([], [], []), part)
        self.assertTrue(diff["compatible"] and diff["baseline"]["same_edges"])
        self.assertEqual(diff["warnings"], [])

    def test_what_cannot_be_read_is_not_called_compatible(self):
        diff = self.diff("fan/1", "?from=pump/1")
        self.assertFalse(diff["compatible"])
        self.assertIn("inputs and outputs are not known of both", diff["warnings"])
        self.assertEqual((diff["baseline"]["from"], diff["baseline"]["to"]), (True, False))

    def test_versions_of_another_project_are_not_there(self):
        self.assertEqual(self.server.admin("POST", "/api/v1/projects", {"name": "south"}).status, 201)
        south = self.server.admin("PUT", "/api/v1/users/ana/roles?project=south", {"roles": ["data-scientist"], "reason": "test"})
        self.assertEqual(south.status, 200, south)
        data = self.server.call("POST", "/api/v1/uploads?project=south", harness.onnx_model(salt="south")).json["digest"]
        made = self.server.call("POST", "/api/v1/models/secret/versions?project=south",
                                {"files": [{"name": "model.onnx", "digest": data, "role": "model"}]})
        self.assertEqual(made.status, 201, made)
        self.check(self.server.call("GET", "/api/v1/models/pump/versions/1/diff?from=secret/1"), 404, "not_found", "project default")
        self.check(self.server.call("GET", "/api/v1/models/secret/versions/1/diff?from=pump/1&project=south"), 404, "not_found", "project south")

    def test_wrong_references(self):
        for query, status, text in (("?from=pump", 400, "pump/3"), ("?from=pump/9", 404, "newest is pump/3"), ("?from=pmp/1", 404, "did you mean")):
            self.check(self.server.call("GET", "/api/v1/models/pump/versions/1/diff" + query), status, None, text)

    def type(self, *arguments):
        environment = {**os.environ, "TIDEMARK_WORKSPACE": self.server.path(".")}
        return subprocess.run([os.path.join(harness.BIN, "tidemark"), "model", "diff", *arguments, "--as", "ana"], capture_output=True,
                              text=True, env=environment, check=False)

    def test_typed(self):
        done = self.type("pump/1", "models:/pump/2")
        self.assertEqual(done.returncode, 0, done)
        for line in ("pump/1 (draft) → pump/2 (draft)", "  ~ x  float32[1, 8] → float32[1, 9]", "  + z  float32[1, 9]", "  - Identity  ×1",
                     "  ~ auc  0.9 → 0.95 (+0.05)", "  ~ site  oslo → rome", "  + version:pump/1", "  input x has another type or shape"):
            self.assertIn(line + "\n", done.stdout.replace("  \n", "\n"))
        self.assertEqual(self.type("pump/1", "pump/3").stdout.splitlines()[1:], ["No difference."])
        self.assertEqual(json.loads(self.type("pump/2", "--json").stdout)["from"]["label"], "pump/1")
        self.assertEqual(self.type("pump/1", "pump").returncode, 2)


if __name__ == "__main__":
    harness.main()
