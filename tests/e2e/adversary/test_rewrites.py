"""What an auditor finds who holds the log's public key and one older checkpoint, after somebody with everything on the
server's machine rewrote its history (adversary.py): every rewrite, and which record or object it is about.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "server"))
import harness  # noqa: E402
from test_enrol import secret_of  # noqa: E402
import adversary  # noqa: E402

REWRITES_AT_LEAST = 20
FILES_SET_BACK = ("tidemark.db", "keys/log.state")


def tidemark(*arguments):
    return subprocess.run([harness.TIDEMARK, *arguments], capture_output=True, text=True, check=False)


class Story:
    """A workspace with a history. People's keys and root's are not in it at the end."""

    def __init__(self, server):
        self.server = server
        server.start()
        self.register("pump/1", datasets=[{"name": "vibration", "uri": "s3://plant/vibration", "digest": "sha256:" + "ab" * 32}])
        self.well(server.submit("pump/1"), 200)
        early = self.sealed()
        self.well(server.approve("pump/1"), 201, 200)
        self.well(server.call("PUT", "/api/v1/models/pump/aliases/production", {"version": 1, "reason": "it is good"}), 200, 201)
        self.enrol("pump-01")
        self.well(server.admin("POST", "/api/v1/users/ana/tokens", {"label": "more"}), 201)
        self.rollout = self.well(server.call("POST", "/api/v1/rollouts", {"model_version": "pump/1", "to": "all"}), 201).json["id"]
        harness.wait_for("an order to the device", lambda: self.seq("issue.directive") is not None)
        self.enrol("pump-02")
        self.well(server.call("POST", "/api/v1/devices/pump-02/revoke", {"reason": "lost"}), 200)
        self.register("pump/2")
        self.well(server.submit("pump/2"), 200)
        self.well(server.approve("pump/2", key=harness.make_key(os.path.join(server.folder, "unknown.pem"))), 403)
        self.older = self.sealed()
        self.register("pump/3", parent="pump/1")
        self.newest = self.sealed()
        self.early = early
        self.vkey = server.read("keys/log.vkey").strip()

    @staticmethod
    def well(answer, *statuses):
        assert answer.status in statuses, answer
        return answer

    def register(self, version, **more):
        self.well(self.server.register("pump", harness.onnx_model(salt=version), **more), 201)

    def enrol(self, name):
        code = self.well(self.server.call("POST", "/api/v1/enrolment-codes", {"count": 1}), 201).json["codes"][0]
        request = harness.make_request(self.server.folder, name)
        self.well(self.server.device("POST", "/enrol/v1/device", {"code_secret": secret_of(code)[0].hex(), "device": name, "csr_pem": request,
                                                                 "hardware": "board", "runtimes": ["onnx"]}), 200, 201)

    def records(self):
        return self.server.admin("GET", "/api/v1/audit?limit=1000").json["records"]

    def seq(self, action, outcome="done", object_=None):
        found = [record["seq"] for record in self.records() if (record["action"], record["outcome"]) == (action, outcome) and
                 object_ in (None, record["object"]["id"])]
        return found[0] if found else None

    def sealed(self):
        harness.wait_for("a checkpoint of all", lambda: "tidemark_audit_records_unsigned 0\n" in
                         self.server.admin("GET", "/metrics").bytes.decode())
        return self.server.admin("GET", "/api/v1/audit/checkpoint").bytes.decode()

    def facts(self):
        """What the adversary knows, and what the expected findings are put together from."""
        older, keyset = int(self.older.split("\n")[1]), self.server.admin("GET", "/api/v1/keyset").json["version"]
        return {"older": older, "older_last": older - 1, "cut": older - 3, "early": int(self.early.split("\n")[1]),
                "next": int(self.newest.split("\n")[1]) + 1,  # behind the record that the server stopped
                "approval": self.seq("approve.version"),
                "denial": self.seq("approve.version", "denied"), "registration": self.seq("register.version", object_="pump/1"),
                "submission": self.seq("submit.version", object_="pump/1"), "token": self.seq("create.token"), "alias": self.seq("set.alias"),
                "directive": self.seq("issue.directive"), "revocation": self.seq("revoke.device"), "rollout": self.seq("create.rollout"),
                "erased": self.seq("set.alias"), "keyset": keyset, "next_keyset": keyset + 1,
                "keyset_record": max(record["seq"] for record in self.records() if record["action"] == "publish.keyset")}


class Rewrites(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server()
        cls.addClassCleanup(cls.server.close)
        cls.tell()
        folder = cls.server.folder
        cls.audit = {name: os.path.join(folder, name) for name in ("log.vkey", "older")}
        for name, text in (("log.vkey", cls.story.vkey), ("older", cls.story.older)):
            with open(cls.audit[name], "w", encoding="utf-8") as file:
                file.write(text)

    @classmethod
    def tell(cls):
        """The history; half-way the machine's files are put aside, as in an old backup."""
        cls.story = Story(cls.server)
        cls.facts = cls.story.facts()
        cls.facts["strange"] = cls.strange()
        cls.server.stop()
        os.rename(cls.server.path("users"), os.path.join(cls.server.folder, "people"))
        os.rename(cls.server.path("keys/root.pem"), os.path.join(cls.server.folder, "root.pem"))
        cls.facts["early_files"] = cls.early_files()

    @classmethod
    def strange(cls):
        path = os.path.join(cls.server.folder, "strange.pem")
        harness.openssl("genpkey", "-algorithm", "ed25519", "-out", path)
        with open(path, encoding="utf-8") as file:
            return adversary.forge.Key(file.read())

    @classmethod
    def early_files(cls):
        """Database and signer's memory as they were at the early checkpoint: cut and sealed with the real keys."""
        copy = cls.copy("early")
        hand = adversary.Hand(copy, cls.facts)
        hand.sql("DELETE FROM audit_record WHERE seq >= ?", cls.facts["early"])
        hand.seal()
        hand.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        hand.close()
        files = {}
        for name in FILES_SET_BACK:
            with open(os.path.join(copy, name), "rb") as file:
                files[name] = file.read()
        shutil.rmtree(copy)
        return files

    @classmethod
    def copy(cls, name):
        target = os.path.join(cls.server.folder, name)
        shutil.copytree(cls.server.workspace, target)
        return target

    def verify(self, what, *more):
        return tidemark("audit", "verify", *what, "--key", self.audit["log.vkey"], "--older", self.audit["older"], *more)

    def try_one(self, name):
        """(what found it, workspace's finding, export's finding) of a rewrite; "" where nothing was found."""
        function = adversary.REWRITES[name][0]
        copy = self.copy("copy")
        export = os.path.join(self.server.folder, "copy.tar")
        hand = adversary.Hand(copy, self.facts)
        function(hand)
        hand.export(export)
        hand.close()
        found, checks = [], []
        for what in (("--workspace", copy), (export,)):
            done = self.verify(what, "--json")
            self.assertIn(done.returncode, (0, 8), (name, done.stderr))
            answer = json.loads(done.stdout)
            self.assertEqual(answer["verified"], done.returncode == 0)
            failure = answer.get("failure", {"check": "", "detail": ""})
            found.append(failure["detail"])
            checks.append(failure["check"])
            self.assertEqual([row["check"] for row in answer["checks"] if row["state"] == "failed"], [check for check in checks[-1:] if check])
            number = re.match(r"record (\d+)", failure["detail"])
            if number:
                self.assertEqual((failure["record"], failure["index"]), (int(number[1]), int(number[1])), failure)
        shutil.rmtree(copy)
        return [checks[0], *found]

    def test_the_untouched_workspace_is_in_order(self):
        done = self.verify(("--workspace", self.server.workspace), "--json")
        self.assertEqual(done.returncode, 0, done)
        rows = json.loads(done.stdout)["rows"]
        self.assertEqual(rows["undecided"], 0)
        self.assertEqual(rows["approvals"], 1)
        self.assertGreater(rows["compared"], 30)
        self.assertGreater(rows["files"], 6)

    def test_an_auditor_finds_every_rewrite(self):
        self.assertGreaterEqual(len(adversary.REWRITES), REWRITES_AT_LEAST)
        wrong, table = [], []
        for name, (_, found_by, names) in adversary.REWRITES.items():
            check, workspace, export = self.try_one(name)
            pattern = re.sub(r"\{(\w+)\}", lambda match: str(self.facts[match[1]]) if match[1] in self.facts else match[0], names)
            good = re.search(pattern, workspace) and (bool(export) == (found_by == "log"))
            if not good:
                wrong.append(f"{name}: expected {pattern}\n    workspace: {workspace or '-'}\n    export: {export or '-'}")
            table.append(f"| {name} | {'export and workspace' if export else 'workspace'} | {check} | {workspace} |")
        print("\n| rewrite | found in | by | what the auditor reads |\n|---|---|---|---|\n" + "\n".join(table))
        self.assertFalse(wrong, "\n" + "\n".join(wrong))


if __name__ == "__main__":
    harness.main()
