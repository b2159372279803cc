"""Register, submit, approve, alias, bundle: the way of a version, and every wrong turn on it.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import io
import json
import os
import tarfile

import harness

CSV = "speed,load,prediction,score,label,plant\n" + "".join(
    f"{1000 + i % 37},{(i * 7) % 11}.5,{'fault' if i % 4 == 0 else 'ok'},{(i % 100) / 100},{'fault' if i % 5 == 0 else 'ok'},"
    f"{'oslo' if i % 2 else 'bergen'}\n" for i in range(600))
COLUMNS = {"prediction": "prediction", "score": "score", "label": "label", "group": "plant", "positive_class": "fault"}


class Flow(harness.ServerTest):
    def test_the_whole_way(self):
        server = self.server
        csv = server.upload(CSV.encode())
        answer = server.register("way", baseline_csv={"digest": csv, "name": "reference.csv", "columns": COLUMNS},
                                 datasets=[{"name": "vibration", "uri": "s3://plant/vibration", "digest": csv}],
                                 code={"repository": "git://example/pump", "commit": "abc123"}, metrics={"auc": 0.94},
                                 params={"seed": "1"}, tags={"plant": "all"}, description="the first")
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual((answer.json["model"], answer.json["version"]), ("way", 1))
        version = server.call("GET", "/api/v1/models/way/versions/1").json
        self.assertEqual(version["state"], "draft")
        self.assertEqual(version["format"], "onnx")
        self.assertEqual([port["name"] for port in version["facts"]["inputs"]], ["x"])
        self.assertEqual(sorted(file["name"] for file in version["files"]), ["baseline.pb", "model/model.onnx"])
        self.check(server.call("GET", "/api/v1/models/way/versions/1/manifest"), 409, "conflict", "submit it first")

        answer = server.submit("way/1")
        self.assertEqual((answer.status, answer.json["state"]), (200, "pending"), answer)
        answer = server.approve("way/1")
        self.assertEqual((answer.status, answer.json["state"]), (201, "approved"), answer)
        champion = "/api/v1/models/way/aliases/champion"
        self.check(server.call("PUT", champion, {"version": 1, "reason": "mine"}), 403, "denied", "approve")
        answer = server.call("PUT", champion, {"version": 1, "reason": "the first"}, as_="ben")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(server.call("GET", "/api/v1/models/way/versions/@champion").json["version"], 1)
        self.check_lineage()
        self.check_bundle()
        self.check_feed()

    def check_lineage(self):
        graph = self.server.call("GET", "/api/v1/lineage?node=version:way/1&direction=both").json
        kinds = {node["kind"] for node in graph["nodes"]}
        self.assertLessEqual({"dataset", "code", "version", "bundle", "approval"}, kinds)
        impact = self.server.call("GET", "/api/v1/lineage/impact?node=dataset:s3%3A%2F%2Fplant%2Fvibration").json
        self.assertIn("way/1", json.dumps(impact["versions"]))

    def check_bundle(self):
        answer = self.server.call("GET", "/api/v1/models/way/versions/1/bundle")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["X-Content-Digest"], "sha256:" + hashlib.sha256(answer.bytes).hexdigest())
        with tarfile.open(fileobj=io.BytesIO(answer.bytes)) as tar:
            names = set(tar.getnames())
        self.assertLessEqual({"attest/approvals.pb", "attest/keyset.pb", "attest/model.sig", "attest/approval.proof",
                              "bundle.tar.zst"}, names)
        again = self.server.call("GET", "/api/v1/models/way/versions/1/files/model.onnx")
        self.assertEqual(again.bytes, harness.onnx_model())

    def check_feed(self):
        records = self.server.call("GET", "/api/v1/events?limit=1000").json["records"]
        actions = [record["action"] for record in records]
        for action in ("register.version", "submit.version", "approve.version", "set.alias"):
            self.assertIn(action, actions)

    def test_four_eyes(self):
        server = self.server
        server.register("eyes")
        server.submit("eyes/1")
        self.check(server.approve("eyes/1", as_="ana"), 403, "denied")
        key = harness.make_key(os.path.join(server.folder, "stranger.pem"))
        self.assertIn(server.approve("eyes/1", key=key).status, (403, 404, 422))
        self.check(server.approve("eyes/1", tamper=True), 422, "corrupt")
        self.check(server.approve("eyes/1", as_="worker"), 403, "denied")
        self.assertEqual(server.call("GET", "/api/v1/models/eyes/versions/1").json["state"], "pending")
        self.check(server.call("POST", "/api/v1/models/eyes/versions/1/reject", {}, "ben"), 400, "invalid", field="reason")
        answer = server.call("POST", "/api/v1/models/eyes/versions/1/reject", {"reason": "not good"}, "ben")
        self.assertEqual(answer.json["state"], "rejected")
        self.check(server.approve("eyes/1"), 409, "conflict")

    def test_a_submitted_version_is_frozen(self):
        server = self.server
        server.register("ice")
        self.assertEqual(server.call("PUT", "/api/v1/models/ice/versions/1/tags/a", {"value": "b"}).status, 200)
        server.submit("ice/1")
        self.check(server.call("PUT", "/api/v1/models/ice/versions/1/tags/a", {"value": "c"}), 409, "conflict")
        self.check(server.call("PATCH", "/api/v1/models/ice/versions/1", {"description": "new"}), 409, "conflict")
        self.check(server.submit("ice/1"), 409, "conflict")
        self.assertEqual(server.call("GET", "/api/v1/models/ice/versions/1").json["tags"], {"a": "b"})

    def test_names_outside_the_grammar(self):
        for name in ("-a", ".a", "a" * 129, "@a"):
            self.check(self.server.register(name), 400, "invalid")
        self.check(self.server.call("POST", "/api/v1/models", {"name": "a b"}), 400, "invalid", "a b")
        self.server.register("named")
        self.check(self.server.call("PUT", "/api/v1/models/named/aliases/77", {"version": 1}), 400, "invalid")

    def test_the_same_alias_twice(self):
        self.server.register("twice")
        self.assertEqual(self.server.call("PUT", "/api/v1/models/twice/aliases/a", {"version": 1}).status, 200)
        self.check(self.server.call("PUT", "/api/v1/models/twice/aliases/a", {"version": 1}), 409, "conflict")
        self.check(self.server.call("PUT", "/api/v1/models/twice/aliases/a", {"version": 9}), 404, "not_found")

    def test_what_is_not_there_is_named_with_its_neighbour(self):
        self.server.register("bearing")
        self.check(self.server.call("GET", "/api/v1/models/bearin"), 404, "not_found", "bearing")
        self.check(self.server.call("GET", "/api/v1/models/bearing/versions/9"), 404, "not_found", "bearing")
        self.check(self.server.call("GET", "/api/v1/models/bearing/versions/x"), 400, "invalid")
        self.check(self.server.call("GET", "/api/v1/models?project=nowhere"), 404, "not_found")

    def test_unapproved_versions_do_not_roll_out(self):
        self.server.register("early")
        answer = self.server.call("POST", "/api/v1/rollouts", {"model_version": "early/1", "to": "all"})
        self.check(answer, 409, "conflict", "early/1")


    def test_which_devices_can_take_it(self):
        self.server.register("fit", target={"runtimes": ["onnx"], "ram_bytes": 1000})
        path = "/api/v1/models/fit/versions/1/compatibility"
        answer = self.server.call("GET", path).json
        self.assertEqual((answer["version"], answer["counts"]), ("fit/1", {"yes": 0, "unsure": 0, "no": 0}))
        self.assertEqual((answer["needs"]["opset"], answer["needs"]["runtimes"], answer["needs"]["ram_bytes"]), (17, ["onnx"], 1000))
        self.check(self.server.call("GET", path + "?device=nobody"), 404, "not_found", "nobody")
        self.check(self.server.call("GET", path + "?device=a&to=all"), 400, "invalid", "not both")
        self.check(self.server.call("GET", path + "?to=site%3D"), 400, "invalid")
        self.check(self.server.call("GET", path.replace("1/comp", "9/comp")), 404, "not_found")


class ModelFiles(harness.ServerTest):
    def count(self, model):
        answer = self.server.call("GET", f"/api/v1/models/{model}/versions")
        return len(answer.json["versions"]) if answer.status == 200 else 0

    def test_a_file_is_looked_into_before_it_is_registered(self):
        digest = self.server.upload(harness.onnx_model("looked"))
        for place in (digest, digest[7:]):
            answer = self.check(self.server.call("GET", f"/api/v1/content/{place}/inspection?name=model.onnx"), 200)
            self.assertEqual((answer.json["file"], answer.json["format"], answer.json["quarantined"], answer.json["promised"]),
                             ("model.onnx", "onnx", False, None))
            self.assertEqual([port["name"] for port in answer.json["facts"]["inputs"]], ["x"])
        diary = self.server.upload(b"a diary, and no model at all")
        answer = self.check(self.server.call("GET", f"/api/v1/content/{diary}/inspection?name=m.onnx"), 200)
        self.assertEqual((answer.json["format"], answer.json["promised"], answer.json["facts"]), ("opaque", "onnx", None))
        pickled = self.server.upload(b"\x80\x04cos\nsystem\n\x8c\x02id\x85R.")
        answer = self.check(self.server.call("GET", f"/api/v1/content/{pickled}/inspection?name=m.pkl"), 200)
        self.assertEqual((answer.json["verdict"], answer.json["quarantined"]), ("dangerous", True))
        cut = self.server.upload(harness.onnx_model("looked")[:-7])
        self.check(self.server.call("GET", f"/api/v1/content/{cut}/inspection?name=m.onnx"), 422, "corrupt", "m.onnx: byte ")
        self.check(self.server.call("GET", f"/api/v1/content/{digest}/inspection?name=../m"), 400, "invalid", None, "name")
        self.check(self.server.call("GET", f"/api/v1/content/{'0' * 64}/inspection"), 404, "not_found")

    def test_nothing_is_removed_from_what_is_made(self):
        model = {"name": "nulls", "tags": {"a": None}}
        self.check(self.server.call("POST", "/api/v1/models", model), 400, "invalid", 'tag "a" is null')
        for name, text in (("tags", 'tag "a" is null'), ("metrics", 'metric "a" is null'), ("params", 'parameter "a" is null')):
            self.check(self.server.register("nulls", **{name: {"a": None}}), 400, "invalid", text)
        self.check(self.server.call("GET", "/api/v1/models/nulls"), 404, "not_found")

    def test_only_named_onnx(self):
        answer = self.server.register("fake", b"this is no model at all, whatever its name says")
        self.assertEqual(answer.status, 201, answer)
        self.assertIn("opaque", answer.json["warnings"][0])
        self.check(self.server.register("fake", b"this is no model at all, whatever its name says", strict=True), 400, "invalid")
        self.assertEqual(self.count("fake"), 1)

    def test_truncated_onnx_changes_nothing(self):
        model = harness.onnx_model()
        self.check(self.server.register("cut", model[:-7]), 422, "corrupt")
        self.assertEqual(self.count("cut"), 0)

    def test_content_that_was_not_uploaded(self):
        body = {"files": [{"name": "a.onnx", "digest": "sha256:" + "1" * 64}]}
        self.check(self.server.call("POST", "/api/v1/models/none/versions", body), 404, "not_found", "was not uploaded", "files")

    def test_names_of_files(self):
        digest = self.server.upload(b"x")
        for name in ("../a", "/a", "a//b", "a b", "", "a/../b", "a" * 201):
            answer = self.server.call("POST", "/api/v1/models/files/versions", {"files": [{"name": name, "digest": digest}]})
            self.check(answer, 400, "invalid")
        twice = {"files": [{"name": "a", "digest": digest}, {"name": "a", "digest": digest}]}
        self.assertIn(self.server.call("POST", "/api/v1/models/files/versions", twice).status, (400, 409))
        self.assertEqual(self.count("files"), 0)

    def test_bad_baselines_name_place_and_way_on(self):
        def register(text, **columns):
            digest = self.server.upload(text.encode())
            return self.server.register("base", baseline_csv={"digest": digest, "name": "ref.csv", "columns": columns or
                                                              {"prediction": "p"}})
        self.check(register("a,p\n1,0\n", prediction="q"), 400, "invalid", "q")
        self.check(register("a,p\n" + "1,0\n" * 40 + "fast,0\n", features=["a"], prediction="p"), 400, "invalid", "ref.csv:42")
        self.check(register("a,p\n1,0\n2\n"), 400, "invalid", "ref.csv:3")
        self.check(register("a,p\n"), 400, "invalid", "no rows")
        self.check(register("a,p\n1,0\n", prediction="p", unknown="x"), 400, "invalid", "unknown")
        self.assertEqual(self.count("base"), 0)
        answer = register("a,b,p\n" + "".join(f"5,{i},{i % 2}\n" for i in range(100)))
        self.assertEqual(answer.status, 201, answer)
        self.assertIn("a", " ".join(answer.json["warnings"]))


if __name__ == "__main__":
    harness.main()
