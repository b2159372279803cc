"""What is checked with no server: bundles and the log, whole and tampered with.

SPDX-License-Identifier: Apache-2.0
"""
import os
import tarfile
import unittest

from case import Case


class Offline(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls("runTest")
        cls.version = case.approved("pump")
        cls.export = cls.path("pump.tar")
        cls.audit = cls.path("audit.tar")
        case.well("bundle", "export", cls.version, "--out", cls.export, as_="ana")
        case.well("audit", "export", "--out", cls.audit, as_="ben")
        cls.keyset = cls.server.path("keys/keyset.bin")
        cls.key = cls.server.path("keys/log.vkey")
        cls.server.stop()

    def runTest(self):
        """unittest wants a method to make a case outside of a test."""

    def tampered(self, source, name, change):
        """A copy of a tar with one entry changed."""
        target = self.path(f"tampered-{os.path.basename(source)}")
        with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as new:
            for entry in old:
                data = bytearray(old.extractfile(entry).read())
                if entry.name.endswith(name):
                    data = change(data)
                    entry.size = len(data)
                import io
                new.addfile(entry, io.BytesIO(bytes(data)))
        return target

    @staticmethod
    def flip(data):
        data[len(data) // 2] ^= 1
        return data

    def test_a_whole_bundle(self):
        report = self.well("bundle", "verify", self.export, "--keyset", self.keyset, "--json").json
        self.assertEqual((report["model"], report["version"]), ("pump", 1))
        shown = self.well("bundle", "inspect", self.export).out
        self.assertIn("model/model.onnx", shown)
        self.assertIn("historian://x", shown)

    def test_tampered_bundles(self):
        for name in ("approvals.pb", "bundle.tar.zst"):
            with self.subTest(name):
                path = self.tampered(self.export, name, self.flip)
                self.refused(8, "", "bundle", "verify", path, "--keyset", self.keyset)

    def test_the_approval_is_in_the_log(self):
        verify = ("bundle", "verify", self.export, "--keyset", self.keyset)
        self.assertEqual(self.well(*verify, "--json").json["log_proof"], "unchecked")
        self.assertEqual(self.well(*verify, "--log-key", self.key, "--json").json["log_proof"], "verified")
        from harness import Server
        other = Server()
        self.addCleanup(other.close)
        self.refused(8, "attest/approval.proof", *verify, "--log-key", other.path("keys/log.vkey"))
        path = self.tampered(self.export, "approval.record.json", lambda data: data.replace(b"approve.version", b"reject.versions"))
        self.refused(8, "not the record of an approval", "bundle", "verify", path, "--keyset", self.keyset)
        path = self.tampered(self.export, "approval.record.json", lambda data: data.replace(b'"ben"', b'"bob"'))
        self.refused(8, "attest/approval.proof", "bundle", "verify", path, "--keyset", self.keyset, "--log-key", self.key)

    def test_trust_must_be_brought(self):
        self.refused(2, "--root", "bundle", "verify", self.export)

    def test_another_workspaces_keyset(self):
        from harness import Server
        other = Server()
        self.addCleanup(other.close)
        self.refused(8, "", "bundle", "verify", self.export, "--keyset", other.path("keys/keyset.bin"))

    def test_the_whole_log(self):
        verdict = self.well("audit", "verify", self.audit, "--key", self.key, "--json").json
        self.assertTrue(verdict["trusted"])
        self.assertGreater(verdict["records"], 15)
        self.assertFalse(self.well("audit", "verify", self.audit, "--json").json["trusted"])
        self.well("audit", "verify")  # the database itself

    def test_a_tampered_log(self):
        with tarfile.open(self.audit) as log:
            names = [entry.name for entry in log]
        record = next(name for name in names if "records" in name)

        def forge(data):
            self.assertIn(b"approve.version", data)
            return bytearray(bytes(data).replace(b'"id":"ben"', b'"id":"bob"', 1))

        self.refused(8, "record", "audit", "verify", self.tampered(self.audit, record, forge), "--key", self.key)

    def test_a_file_that_is_not_there(self):
        self.refused(4, "none.tar", "bundle", "inspect", self.path("none.tar"))
        self.refused(4, "none.tar", "audit", "verify", self.path("none.tar"))


if __name__ == "__main__":
    unittest.main()
