"""Profile regulated: an approval says what the signature means, signed by the approver on his own machine.

Two approvers, keys of their own, root offline, as people would set it up. SPDX-License-Identifier: Apache-2.0
"""
import base64
import datetime
import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "server"))
import harness  # noqa: E402
from case import Case, Server  # noqa: E402

KIND = b"application/vnd.in-toto+json"


class Regulated(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(profile="regulated")
        cls.server.start()
        cls.addClassCleanup(cls.server.close)
        case = cls("runTest")
        for name, role in (("ana", "data-scientist"), ("ben", "approver"), ("cleo", "approver")):
            case.well("user", "add", name, "--role", role)
            case.well("token", "create", name, "--out", cls.path(f"{name}.token"))
        for name in ("ben", "cleo"):
            case.enrol(name)
        with open(cls.path("model.onnx"), "wb") as file:
            file.write(harness.onnx_model())

    def runTest(self):
        """unittest wants a method to make a case outside of a test."""

    def enrol(self, name):
        """The draft goes to the machine that holds root and comes back signed."""
        key = self.path(f"{name}.pem")
        self.well("key", "enrol", name, "--key", key, "--reason", "approver")
        self.well("key", "sign-keyset", key + ".keyset-draft", "--key", self.server.path("offline/root.pem"), "--out", key + ".signed")
        self.well("key", "publish", key + ".signed", "--user", name, "--reason", "approver")

    def said(self, name, *arguments):
        return (*arguments, "--token-file", self.path(f"{name}.token"))

    def submitted(self):
        made = self.well(*self.said("ana", "model", "register", "pump", self.path("model.onnx"), "--json")).json
        version = f"pump/{made['version']}"
        self.well(*self.said("ana", "version", "submit", version))
        return version

    def approve(self, name, version, *more):
        return self.said(name, "version", "approve", version, "--reason", "passed the bench", "--key", self.path(f"{name}.pem"), *more)

    def post(self, label, name, said=None, signer=None, **changed):
        """The approval as another client sends it: what it says of itself may be anything."""
        headers = {"Authorization": "Bearer " + self.server.read(f"../{name}.token").strip()}
        path = f"/api/v1/models/{label.replace('/', '/versions/')}"
        manifest = self.server.call("GET", path + "/manifest", None, None, headers).bytes
        subjects = self.server.call("GET", path + "/claims", None, None, headers).json["subjects"]
        key_id, signature = harness.sign_manifest(self.path(f"{name}.pem"), manifest)
        body = {"key_id": key_id, "signature": signature, "reason": "passed the bench"}
        predicate = {"approver": {"name": name}, "meaning": "approved", "reason": "passed the bench", "version": label,
                     "project": "default", "time": datetime.datetime.now(datetime.timezone.utc).isoformat()}
        predicate.update(changed)
        statement = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "urn:tidemark:approval:v1", "predicate": predicate,
                     "subject": [{"name": label, "digest": {"sha256": subjects["content_id"][7:]}}]}
        statement.update(said or {})
        payload = json.dumps(statement).encode()
        der = harness.openssl("dgst", "-sha256", "-sign", self.path(f"{signer or name}.pem"),
                              data=b"DSSEv1 %d %s %d %s" % (len(KIND), KIND, len(payload), payload))
        body["statement"] = {"payload": base64.b64encode(payload).decode(), "payloadType": KIND.decode(),
                             "signatures": [{"sig": base64.b64encode(der).decode()}]}
        return self.server.call("POST", path + "/approvals", body, None, headers)

    def test_two_people_say_what_they_mean(self):
        version = self.submitted()
        self.refused(2, "--meaning approval, review, responsibility", *self.approve("ben", version))
        out = self.well(*self.approve("ben", version, "--meaning", "review")).out
        self.assertIn("Your signature means: reviewed the evidence and approved for release to devices", out)
        self.assertIn("pending", out)
        self.assertIn("approved", self.well(*self.approve("cleo", version, "--meaning", "I answer for this release")).out)
        shown = self.well(*self.said("ana", "version", "show", version, "--json")).json
        meanings = {one["user"]: one["meaning"] for one in shown["approvals"]}
        self.assertEqual(meanings, {"ben": "reviewed the evidence and approved for release to devices", "cleo": "I answer for this release"})
        self.assertEqual(shown["claim_count"], 3)  # and the bill of materials
        claims = self.well(*self.said("ana", "claims", "list", version, "--json")).json["claims"][1:]
        self.assertEqual([(one["kind"], one["covers"], one["signed_by"]["source"]) for one in claims], [("approval", "version", "person")] * 2)
        self.assertEqual({one["statement"] for one in shown["approvals"]}, {one["digest"] for one in claims})
        record = self.well(*self.said("ben", "audit", "list", "--action", "approve.version", "--json")).json["records"][-1]
        self.assertIn(record["after"]["facts"]["statement"], {one["digest"] for one in claims})
        self.assertIn("I answer for this release", self.well(*self.said("ana", "version", "show", version)).out)
        lines, keys = self.path("approvals.jsonl"), self.path("keys.pem")
        self.well(*self.said("ana", "claims", "export", version, "--out", lines))
        self.well(*self.said("ana", "claims", "keys", "--out", keys))
        self.well("claims", "verify", lines, "--key", keys, "--content-id", shown["content_id"])

    def test_without_a_statement_it_is_refused_by_the_server_too(self):
        version = self.submitted()
        headers = {"Authorization": "Bearer " + self.server.read("../ben.token").strip()}
        path = f"/api/v1/models/{version.replace('/', '/versions/')}"
        manifest = self.server.call("GET", path + "/manifest", None, None, headers).bytes
        key_id, signature = harness.sign_manifest(self.path("ben.pem"), manifest)
        answer = self.server.call("POST", path + "/approvals", {"key_id": key_id, "signature": signature, "reason": "fine"}, None, headers)
        self.assertEqual((answer.status, answer.problem[0]), (400, "statement_required"), answer)
        self.assertIn(f"tidemark version approve {version} --reason TEXT --meaning approval", answer.problem[1])

    def test_a_statement_that_is_not_right_approves_nothing(self):
        version, other = self.submitted(), self.submitted()
        late = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=6)).isoformat()
        early = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=6)).isoformat()
        number = other.split("/")[1]
        headers = {"Authorization": "Bearer " + self.server.read("../ben.token").strip()}
        elsewhere = self.server.call("GET", f"/api/v1/models/pump/versions/{number}/claims", None, None, headers).json["subjects"]["content_id"]
        for sentence, answer in (
                ("signed by cleo's key, not ben's", self.post(version, "ben", signer="cleo")),
                ("approver \"cleo\", not \"ben\"", self.post(version, "ben", approver={"name": "cleo"})),
                ("reason", self.post(version, "ben", reason="another")),
                ("version", self.post(version, "ben", version=other)),
                ("project", self.post(version, "ben", project="mill")),
                ("5 minutes", self.post(version, "ben", time=late)),
                ("5 minutes", self.post(version, "ben", time=early)),
                ("needs meaning", self.post(version, "ben", meaning="")),
                ("about something else", self.post(version, "ben", {"subject": [{"digest": {"sha256": elsewhere[7:]}}]})),
                ("predicateType", self.post(version, "ben", {"predicateType": "https://example.com/x"}))):
            with self.subTest(sentence):
                self.assertEqual(answer.status, 422, answer)
                self.assertIn(sentence, answer.problem[1])
        shown = self.well(*self.said("ana", "version", "show", version, "--json")).json
        self.assertEqual((shown["approvals"], shown["claim_count"]), ([], 1))
        self.assertEqual(self.post(version, "ben").status, 201)
        self.assertEqual(self.post(version, "ben").status, 409)  # once a person, and one statement


class Optional(Case):
    """In the other profiles one may say it, and need not."""

    @classmethod
    def data(cls):
        with open(cls.path("model.onnx"), "wb") as file:
            file.write(harness.onnx_model())

    def test_with_and_without(self):
        for more, meaning in (((), None), (("--meaning", "approval"), "approved for release to devices")):
            made = self.well("model", "register", "pump", self.path("model.onnx"), "--json", as_="ana").json
            version = f"pump/{made['version']}"
            self.well("version", "submit", version, as_="ana")
            self.well("version", "approve", version, "--reason", "fine", *more, as_="ben")
            shown = self.well("version", "show", version, "--json", as_="ana").json
            self.assertEqual(shown["approvals"][0]["meaning"], meaning)


if __name__ == "__main__":
    unittest.main()
