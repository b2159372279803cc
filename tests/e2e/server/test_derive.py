"""A version that holds a pickle goes no further; what is derived from it does, with everything that was known kept.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pickle
import subprocess

import harness

CSV = "speed,load,prediction\n" + "".join(f"{1000 + i % 37},{(i * 7) % 11}.5,{'fault' if i % 4 == 0 else 'ok'}\n" for i in range(300))


class Attack:
    def __reduce__(self):
        return (os.system, ("true",))


class Derive(harness.ServerTest):
    def pickled(self, model, with_onnx=False, **more):
        upload = self.server.upload
        files = [{"name": "model.pkl", "digest": upload(pickle.dumps(Attack())), "role": "model"},
                 {"name": "notes.txt", "digest": upload(b"hello " + model.encode()), "role": "model"}]
        if with_onnx:
            files.append({"name": "model.onnx", "digest": upload(harness.onnx_model(model)), "role": "model"})
        answer = self.server.call("POST", f"/api/v1/models/{model}/versions", {"files": files, **more})
        self.assertEqual(answer.status, 201, answer)

    def derive(self, version, as_="ana", **body):
        model, number = version.split("/")
        return self.server.call("POST", f"/api/v1/models/{model}/versions/{number}/derive", {"by": "skl2onnx", **body}, as_)

    def onnx(self, name="model.onnx", salt="new"):
        return {"name": name, "digest": self.server.upload(harness.onnx_model(salt)), "role": "model"}

    def version(self, label):
        model, number = label.split("/")
        return self.server.call("GET", f"/api/v1/models/{model}/versions/{number}").json

    def test_the_way_on(self):
        csv = self.server.upload(CSV.encode())
        self.pickled("way", baseline_csv={"digest": csv, "name": "ref.csv", "columns": {"prediction": "prediction"}},
                     metrics={"auc": 0.94}, params={"seed": "1"}, tags={"plant": "oslo"}, description="the first",
                     datasets=[{"name": "vibration", "uri": "s3://plant/vibration", "digest": csv}],
                     target={"runtimes": ["sklearn"], "ram_bytes": 1000})
        refusal = self.check(self.server.submit("way/1"), 409, "conflict", "model/model.pkl holds a pickle (dangerous)")
        self.assertIn("tidemark version derive way/1 --file FILE --by TOOL", refusal.json["detail"])

        answer = self.derive("way/1", files=[self.onnx()], target={"runtimes": ["onnx"]}, reason="for devices")
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.json["left_out"], ["model/model.pkl"])
        self.assertEqual((answer.json["version"], answer.json["parent"]), (2, "way/1"))
        self.assertEqual(answer.headers["Location"], "/api/v1/models/way/versions/2")
        old, new = self.version("way/1"), self.version("way/2")
        for key in ("metrics", "params", "tags", "description", "sources"):
            self.assertEqual(new[key], old[key], key)
        self.assertEqual((new["parent"], new["derived_by"], new["quarantined"], new["format"]), ("way/1", "skl2onnx", False, "onnx"))
        files = {version["label"]: {file["name"]: file["digest"] for file in version["files"]} for version in (old, new)}
        self.assertEqual(sorted(files["way/2"]), ["baseline.pb", "model/model.onnx", "model/notes.txt"])
        self.assertEqual(files["way/2"]["baseline.pb"], files["way/1"]["baseline.pb"])
        self.assertEqual(new["requirement"]["runtimes"], ["onnx"])
        self.assertEqual(new["requirement"]["ram_bytes"], 1000)

        edges = self.server.call("GET", "/api/v1/lineage?node=version:way/2&direction=up").json["edges"]
        self.assertIn(("version:way/1", "version:way/2", "derived"), [(e["from"], e["to"], e["kind"]) for e in edges])
        self.assertIn("dataset", [edge["from"].split(":")[0] for edge in edges])
        impact = self.server.call("GET", "/api/v1/lineage/impact?node=dataset:s3%3A%2F%2Fplant%2Fvibration").json
        self.assertIn(("way/2", True), [(v["name"], v["direct"]) for v in impact["versions"]])

        self.assertEqual(self.server.submit("way/2").status, 200)
        self.assertEqual(self.server.approve("way/2").json["state"], "approved")
        records = self.server.call("GET", "/api/v1/audit?filter=action%3D'register.version'", as_="ben").json["records"]
        made = [record for record in records if record["object"]["id"] == "way/2"][0]
        self.assertEqual(made["reason"], "for devices")

    def test_without_a_file_the_rest_goes_on(self):
        self.pickled("rest", with_onnx=True)
        answer = self.derive("rest/1", without=["notes.txt"])
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.json["left_out"], ["model/model.pkl", "model/notes.txt"])
        self.assertEqual([file["name"] for file in self.version("rest/2")["files"]], ["model/model.onnx"])
        self.assertEqual(self.server.submit("rest/2").status, 200)

    def test_a_given_file_takes_the_place_of_its_namesake(self):
        self.pickled("same", with_onnx=True)
        fresh = self.onnx(salt="fresh")
        self.assertEqual(self.derive("same/1", files=[fresh]).json["left_out"], ["model/model.onnx", "model/model.pkl"])
        files = {file["name"]: file["digest"] for file in self.version("same/2")["files"]}
        self.assertEqual(files["model/model.onnx"], fresh["digest"])

    def test_wrong_turns_change_nothing(self):
        self.pickled("bad")
        self.server.register("good")
        again = {"name": "again.pkl", "digest": self.server.upload(pickle.dumps({"a": 1})), "role": "model"}
        self.check(self.derive("bad/1", files=[self.onnx(), again]), 400, "invalid", "again.pkl can hold a pickle too")
        self.check(self.derive("bad/1", without=["notes.txt"]), 400, "invalid", "nothing of bad/1 would be left")
        self.check(self.derive("bad/1", files=[self.onnx()], without=["nothing.txt"]), 400, "invalid", "nothing.txt")
        self.check(self.derive("good/1"), 400, "invalid", "the same as good/1")
        self.check(self.derive("bad/9"), 404, "not_found", "the newest is bad/1")
        self.check(self.derive("bad/1", files=[{"name": "x.onnx", "digest": "sha256:" + "1" * 64}]), 404, "not_found", "not uploaded")
        self.check(self.derive("bad/1", by=""), 400, "invalid", "by")
        self.check(self.derive("bad/1", files=[self.onnx()], as_=None), 401)
        for model in ("bad", "good"):
            self.assertEqual(len(self.server.call("GET", f"/api/v1/models/{model}/versions").json["versions"]), 1)

    def test_who_made_the_source_does_not_approve_what_came_of_it(self):
        """A person who may do both: he registers, a colleague converts, and he still is not the second pair of eyes."""
        both = {"roles": ["approver", "data-scientist"], "reason": "test"}
        self.assertEqual(self.server.admin("PUT", "/api/v1/users/ben/roles", both).status, 200)
        digest = self.server.upload(pickle.dumps(Attack()), as_="ben")
        made = self.server.call("POST", "/api/v1/models/eyes/versions", {"files": [{"name": "m.pkl", "digest": digest}]}, as_="ben")
        self.assertEqual(made.status, 201, made)
        self.assertEqual(self.derive("eyes/1", files=[self.onnx()]).status, 201)
        self.assertEqual(self.server.submit("eyes/2").status, 200)
        self.check(self.server.approve("eyes/2"), 403, "denied", "eyes/1, which eyes/2 was derived from")

    def test_at_the_command_line(self):
        self.pickled("cli")
        path = os.path.join(self.server.folder, "cli.onnx")
        with open(path, "wb") as file:
            file.write(harness.onnx_model("cli"))
        run = [harness.TIDEMARK, "version", "derive", "cli/1", "--file", path, "--as", "ana"]
        environment = {**os.environ, "TIDEMARK_WORKSPACE": self.server.path(".")}
        done = subprocess.run(run, capture_output=True, text=True, env=environment, check=False)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("--by is needed", done.stderr)
        done = subprocess.run(run + ["--by", "skl2onnx", "--runtime", "onnx", "--json"], capture_output=True, text=True, env=environment,
                              check=False)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(json.loads(done.stdout)["left_out"], ["model/model.pkl"])


if __name__ == "__main__":
    harness.main()
