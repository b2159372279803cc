"""Claims about a version, as people type them: signed here or elsewhere, listed, taken away, verified with no server.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import hashlib
import json
import subprocess

from case import Case, wait_for

PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
STATEMENT = "application/vnd.in-toto+json"


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


class Claims(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls("runTest")
        cls.version = f"pump/{case.register('pump')['version']}"
        case.well("version", "submit", cls.version, as_="ana")
        cls.ben = cls.server.path("users/ben/key.pem")

    def runTest(self):
        """unittest wants a method to make a case outside of a test."""

    def new_key(self, name, algorithm=("EC", "ec_paramgen_curve:P-256")):
        """A key that Tidemark never saw, made by openssl."""
        private, public = self.path(f"{name}.pem"), self.path(f"{name}.pub.pem")
        options = ["-pkeyopt", algorithm[1]] if algorithm[1] else []
        openssl("genpkey", "-algorithm", algorithm[0], *options, "-out", private)
        openssl("pkey", "-in", private, "-pubout", "-out", public)
        return private, public

    def envelope(self, digest, private, result="PASSED", raw=False):
        """An envelope as a stranger's program makes it, by openssl alone."""
        statement = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "x", "digest": {"sha256": digest}}],
                                "predicateType": PREDICATE, "predicate": {"result": result, "configuration": []}}).encode()
        pae = b"DSSEv1 %d %s %d %s" % (len(STATEMENT), STATEMENT.encode(), len(statement), statement)
        body = self.path("pae.bin")
        with open(body, "wb") as file:
            file.write(pae)
        signature = openssl("pkeyutl", "-sign", "-rawin", "-in", body, "-inkey", private) if raw else \
            openssl("dgst", "-sha256", "-sign", private, body)
        return {"payload": base64.b64encode(statement).decode(), "payloadType": STATEMENT,
                "signatures": [{"sig": base64.b64encode(signature).decode()}]}

    def subjects(self):
        return self.server.call("GET", f"/api/v1/models/{self.version.replace('/', '/versions/')}/claims").json["subjects"]

    def test_signed_here_with_ones_own_key(self):
        predicate = self.write("bench.json", json.dumps({"result": "PASSED", "configuration": [], "passedTests": ["recall"]}))
        said = self.well("claims", "add", self.version, "--type", "test-result", "--predicate", predicate, as_="ben").out
        self.assertIn("test-result, signed by ben", said)
        listed = self.well("claims", "list", self.version, "--json", as_="ana").json
        claim = [one for one in listed["claims"] if one["kind"] == "test-result" and one["signed_by"]["name"] == "ben"][0]
        self.assertEqual((claim["covers"], claim["signed_by"]["source"], claim["summary"]), ("version", "person", {"result": "PASSED"}))
        shown = self.well("claims", "show", self.version, claim["digest"][7:19], "--json", as_="ana").json
        subjects = {one["name"]: "sha256:" + one["digest"]["sha256"] for one in shown["statement"]["subject"]}
        self.assertEqual(subjects, {self.version: listed["subjects"]["content_id"], f"{self.version}/model": listed["subjects"]["model_root"]})
        self.assertIn("recall", self.well("claims", "show", self.version, claim["digest"], as_="ana").out)
        records = self.well("audit", "list", "--action", "add.claim", "--json", as_="ben").json["records"]
        self.assertIn(claim["digest"], [one["after"]["facts"]["claim"] for one in records])

    def test_a_strangers_key_counts_once_it_is_listed(self):
        private, public = self.new_key("lab", ("ED25519", None))
        digest = self.subjects()["content_id"][7:]
        file = self.write("lab.json", json.dumps(self.envelope(digest, private, raw=True), indent=1))
        self.refused(8, "signed by none of the", "claims", "add", self.version, file, as_="ana")
        self.refused(3, "", "claims", "trust", "lab", "--key", public, "--reason", "x", as_="ben")
        self.well("claims", "trust", "lab", "--key", public, "--reason", "accredited", as_="ana")
        self.assertIn("signed by lab", self.well("claims", "add", self.version, file, as_="ana").out)
        self.refused(5, "this very claim already", "claims", "add", self.version, file, as_="ana")
        self.assertIn("lab", self.well("claims", "keys", as_="ana").out)
        self.well("claims", "distrust", "lab", "--reason", "contract ended", as_="ana")
        later = self.write("later.json", json.dumps(self.envelope(digest, private, "FAILED", raw=True)))
        self.refused(8, "signed by none of the", "claims", "add", self.version, later, as_="ana")

    def test_a_file_of_the_model_is_enough_and_another_is_not(self):
        private, public = self.new_key("ci")
        self.well("claims", "trust", "ci", "--key", public, "--reason", "our build system", as_="ana")
        with open(self.path("v1/model.onnx"), "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        bundle = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": self.envelope(digest, private)}
        self.well("claims", "add", self.version, self.write("ci.json", json.dumps(bundle)), as_="ana")
        listed = self.well("claims", "list", self.version, "--json", as_="ana").json["claims"]
        self.assertIn("model/model.onnx", [one["covers"] for one in listed])
        wrong = self.write("wrong.json", json.dumps(self.envelope("00" * 32, private)))
        self.refused(8, "about something else", "claims", "add", self.version, wrong, as_="ana")

    def test_verified_with_no_server(self):
        private, public = self.new_key("ci2")
        self.well("claims", "trust", "ci2", "--key", public, "--reason", "our build system", as_="ana")
        both = self.path("two.jsonl")
        subjects = self.subjects()
        digests = (subjects["content_id"][7:], subjects["model_root"][7:])
        with open(both, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(self.envelope(digest, private)) + "\n" for digest in digests)
        self.well("claims", "add", self.version, both, as_="ana")
        lines, keys, manifest = self.path("claims.jsonl"), self.path("keys.pem"), self.path("manifest.pb")
        self.well("claims", "export", self.version, "--out", lines, as_="ana")
        self.well("claims", "keys", "--out", keys, as_="ana")
        with open(manifest, "wb") as file:
            file.write(self.server.call("GET", f"/api/v1/models/{self.version.replace('/', '/versions/')}/manifest").bytes)
        report = self.well("claims", "verify", both, "--key", public, "--manifest", manifest, "--json").json
        self.assertEqual([one["covers"] for one in report["lines"]], ["version", "model"])
        self.well("claims", "verify", both, "--key", public)
        self.refused(8, f"{both}:1: the claim is signed by none of the 1 trusted keys", "claims", "verify", both, "--key",
                     self.new_key("other")[1])
        self.refused(8, "two.jsonl:2: the claim is about something else", "claims", "verify", both, "--key", public, "--content-id",
                     subjects["content_id"])
        self.refused(2, "--key FILE", "claims", "verify", both)
        self.refused(2, "holds no public key", "claims", "verify", both, "--key", both)
        with open(both, encoding="utf-8") as file:
            text = file.read()
        payload = json.loads(text.split("\n")[1])["payload"]
        changed = text.replace(payload, payload[:40] + ("A" if payload[40] != "A" else "B") + payload[41:])
        bad = self.write("bad.jsonl", changed)
        self.refused(8, "bad.jsonl:2: the claim is signed by none", "claims", "verify", bad, "--key", public)
        self.well("claims", "verify", self.write("empty.jsonl", ""), "--key", public)

    def test_they_travel_with_the_export(self):
        version = f"exported/{self.register('exported')['version']}"
        self.well("version", "submit", version, as_="ana")
        predicate = self.write("t.json", json.dumps({"result": "WARNED", "configuration": []}))
        export, keys = self.path("exported.tar"), self.path("all.pem")
        self.well("claims", "add", version, "--type", "test-result", "--predicate", predicate, as_="ben")
        self.well("version", "approve", version, "--reason", "fine", "--meaning", "approval", as_="ben")
        self.well("bundle", "export", version, "--out", export, as_="ana")
        self.well("claims", "keys", "--out", keys, as_="ana")
        report = self.well("claims", "verify", export, "--key", keys, "--json").json
        self.assertEqual([(one["kind"], one["covers"]) for one in report["lines"]], [("bom", "version"), ("test-result", "version"), ("approval", "version")])
        self.assertIn("attest/", self.well("bundle", "inspect", export).out)
        keyset = self.server.path("keys/keyset.bin")
        self.assertEqual(self.well("bundle", "verify", export, "--keyset", keyset, "--json").json["claims_unchecked"], 3)
        self.refused(8, "exported.tar:1: the claim is signed by none", "claims", "verify", export, "--key", self.new_key("nobody")[1])

    def test_the_log_knows_which_are_missing(self):
        version = f"whole/{self.register('whole')['version']}"
        self.well("version", "submit", version, as_="ana")
        for result in ("PASSED", "FAILED"):
            predicate = self.write("t.json", json.dumps({"result": result, "configuration": []}))
            self.well("claims", "add", version, "--type", "test-result", "--predicate", predicate, as_="ben")
        lines, keys, audit = self.path("whole.jsonl"), self.path("whole.pem"), self.path("audit.tar")
        self.well("claims", "export", version, "--out", lines, as_="ana")
        self.well("claims", "keys", "--out", keys, as_="ana")
        content_id = self.well("version", "show", version, "--json", as_="ana").json["content_id"]
        about = ("--key", keys, "--content-id", content_id, "--audit", audit, "--log-key", self.server.path("keys/log.vkey"))
        seq = self.well("claims", "list", version, "--json", as_="ana").json["claims"][-1]["audit_seq"]
        wait_for("a checkpoint that covers it", lambda: self.type("audit", "proof", str(seq), as_="ben").code == 0)
        self.well("audit", "export", "--out", audit, as_="ben")
        self.assertIn("these 3 and no others", self.well("claims", "verify", lines, *about).out)
        with open(lines, encoding="utf-8") as file:
            all_of_them = file.readlines()
        fewer = self.write("fewer.jsonl", "".join(all_of_them[:2]))
        self.refused(8, f"fewer.jsonl: a claim is missing: record {seq} of the log", "claims", "verify", fewer, *about)
        made = self.write("made.json", json.dumps(self.envelope(content_id[7:], self.ben)))
        with open(made, encoding="utf-8") as file:
            more = self.write("more.jsonl", "".join(all_of_them) + file.read() + "\n")
        self.refused(8, "line 4 is a claim that the log has no record of", "claims", "verify", more, *about)
        self.refused(2, "--content-id DIGEST", "claims", "verify", lines, "--key", keys, "--audit", audit)

    def test_what_was_typed_wrong(self):
        draft = f"fan/{self.register('fan')['version']}"
        predicate = self.write("p.json", "{}")
        self.refused(2, "--predicate FILE with --type", "claims", "add", self.version, as_="ben")
        self.refused(2, "--type provenance", "claims", "add", self.version, "--predicate", predicate, as_="ben")
        self.refused(2, "did you mean provenance?", "claims", "add", self.version, "--predicate", predicate, "--type", "provenence", as_="ben")
        self.refused(8, "needs buildDefinition/buildType", "claims", "add", self.version, "--predicate", predicate, "--type", "provenance",
                     as_="ben")
        self.refused(5, "is a draft", "claims", "add", draft, "--predicate", predicate, "--type", "https://example.com/x", as_="ben")
        self.refused(8, "no envelope as JSON", "claims", "add", self.version, self.write("n.txt", "nonsense"), as_="ana")
        self.refused(4, "has no claim", "claims", "show", self.version, "0123abcd", as_="ana")
        self.assertIn("No claims", self.well("claims", "list", draft, as_="ana").out)


if __name__ == "__main__":
    import unittest
    unittest.main()
