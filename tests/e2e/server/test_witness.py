"""Witnesses: a checkpoint is published when the quorum has cosigned it, and only then; liars and contradictions are told.

SPDX-License-Identifier: Apache-2.0
"""
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import unittest
import urllib.parse

import harness
import witness


class WitnessTest(unittest.TestCase):
    quorum = "group Q 2 one two three\nquorum Q\n"

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tdm-witness-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.witnesses = {name: witness.Witness(self.folder, f"{name}.example/w") for name in ("one", "two", "three")}
        for one in self.witnesses.values():
            self.addCleanup(one.close)
        self.policy = os.path.join(self.folder, "policy")
        self.server = harness.Server(settings={"AUDIT_POLICY_FILE": self.policy, "AUDIT_WITNESS_INTERVAL": "50ms",
                                               "AUDIT_WITNESS_TIMEOUT": "1s"})
        self.addCleanup(self.server.close)
        self.vkey = self.server.read("keys/log.vkey").strip()
        for one in self.witnesses.values():
            one.log_vkey = self.vkey
        self.write_policy(self.quorum)

    def write_policy(self, rest, log=None):
        with open(self.policy, "w", encoding="utf-8") as file:
            file.write(f"# the test's\nlog {log or self.vkey}\n")
            for name, one in self.witnesses.items():
                file.write(f"witness {name} {one.key.vkey()} {one.url}\n")
            file.write(rest)

    def state(self):
        return self.server.call("GET", "/api/v1/audit/witnesses", as_="ben").json

    def one(self, name):
        return {each["name"]: each for each in self.state()["witnesses"]}[name]

    def checkpoint(self, state="published"):
        answer = self.server.call("GET", f"/api/v1/audit/checkpoint?state={state}", as_="ben")
        return answer.bytes.decode() if answer.status == 200 else None

    def size(self, state="published"):
        note = self.checkpoint(state)
        return int(note.split("\n")[1]) if note else 0

    def grow(self):
        """One more record; the size of the tree that holds it once it is signed."""
        before = self.size("signed")
        self.assertEqual(self.server.call("POST", "/api/v1/models", {"name": f"m{before}"}).status, 201)
        return harness.wait_for("a signed checkpoint", lambda: self.size("signed") > before and self.size("signed"))

    def published(self, size):
        harness.wait_for(f"a published checkpoint of {size}", lambda: self.size() >= size)
        return self.checkpoint()

    def cosigners(self, note):
        return {line.split(" ")[1] for line in note.splitlines() if line.startswith(witness.DASH)} - {self.vkey.split("+")[0]}


class Cosigning(WitnessTest):
    def test_each_checkpoint_is_cosigned_and_then_published(self):
        self.server.start()
        for _ in range(3):
            note = self.published(self.grow())
            self.assertGreaterEqual(len(self.cosigners(note)), 2)
        harness.wait_for("all three", lambda: all(each["state"] == "ok" for each in self.state()["witnesses"]))
        for one in self.witnesses.values():
            self.assertEqual({status for _, _, status in one.requests}, {200})

    def test_two_of_three_are_enough_and_one_is_not(self):
        self.witnesses["three"].mode = "gone"
        self.server.start()
        note = self.published(self.grow())
        self.assertEqual(self.cosigners(note), {"one.example/w", "two.example/w"})
        self.witnesses["two"].mode = "gone"
        size = self.grow()
        harness.wait_for("one's cosignature", lambda: self.one("one")["size"] >= size)
        self.assertLess(self.size(), size)
        self.assertEqual(self.one("two")["state"], "failing")
        self.assertIn("503", self.one("two")["error"])
        proof = self.server.call("GET", f"/api/v1/audit/records/{size - 1}/proof", as_="ben")
        self.assertEqual(proof.status, 503, proof)  # not under a published checkpoint yet
        self.witnesses["two"].mode = "good"
        self.published(size)

    def test_a_slow_one_delays_no_other(self):
        self.witnesses["three"].mode = "stuck"
        self.server.start()
        self.published(self.grow())
        harness.wait_for("the end of its time", lambda: self.one("three")["state"] == "failing")
        self.assertEqual(self.one("one")["state"], "ok")
        self.published(self.grow())

    def test_a_restart_goes_on_where_it_was(self):
        self.server.start()
        size = self.grow()
        self.published(size)
        harness.wait_for("all three", lambda: all(each["size"] >= size for each in self.state()["witnesses"]))
        self.server.stop()
        before = len(self.witnesses["one"].requests)
        self.server.start()
        self.assertGreaterEqual(self.size(), size)  # what was published stays so
        self.published(self.grow())
        olds = [old for old, _, _ in self.witnesses["one"].requests[before:]]
        self.assertNotIn(0, olds)

    def test_a_witness_that_knows_more_or_less_is_asked_from_there(self):
        self.server.start()
        self.published(self.grow())
        one = self.witnesses["one"]
        one.size, one.root = 0, b""  # it lost its memory
        size = self.grow()
        harness.wait_for("its cosignature", lambda: self.one("one")["size"] >= size)
        statuses = [status for _, _, status in one.requests]
        self.assertIn(409, statuses)
        self.assertEqual(statuses[-1], 200)

    def test_the_command_line_shows_them(self):
        self.server.start()
        self.published(self.grow())
        done = subprocess.run([harness.TIDEMARK, "audit", "witnesses", "--workspace", self.server.workspace, "--as", "ben"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"one +ok +\d+")
        status = subprocess.run([harness.TIDEMARK, "status", "--workspace", self.server.workspace, "--as", "ana"],
                                capture_output=True, text=True, check=False)
        self.assertRegex(status.stdout, r"witnesses +[23] of 3 ok \(quorum Q\)")


class Misbehaving(WitnessTest):
    def unworthy(self, mode, state, words):
        self.witnesses["three"].mode = mode
        self.server.start()
        note = self.published(self.grow())
        self.assertNotIn("three.example/w", self.cosigners(note))
        harness.wait_for(f"{state}: {words}", lambda: self.one("three")["state"] == state and words in self.one("three")["error"])

    def test_a_cosignature_of_another_text_counts_nothing(self):
        self.unworthy("lying", "failing", "does not verify")

    def test_an_answer_without_a_cosignature_counts_nothing(self):
        self.unworthy("silent", "failing", "no cosignature")

    def test_an_answer_without_end_is_cut_off(self):
        self.unworthy("flood", "failing", "larger than 16384 bytes")

    def test_a_stranger_must_be_told_of_the_log(self):
        self.unworthy("stranger", "refusing", "does not know this log")

    def test_a_false_key_must_be_mended(self):
        other = witness.Key(self.folder, "other")
        name = self.vkey.split("+")[0]
        self.witnesses["three"].log_vkey = f"{name}+{self.vkey.split('+')[1]}+{witness.base64.b64encode(bytes([1]) + other.public).decode()}"
        self.unworthy("good", "refusing", "does not trust")


class Contradiction(WitnessTest):
    quorum = "group Q any one two three\nquorum Q\n"

    def records(self):
        answer = self.server.call("GET", "/api/v1/audit?filter=" + urllib.parse.quote("action = 'contradict.log'"), as_="ben")
        return answer.json["records"]

    def contradicts(self, words):
        harness.wait_for("the contradiction", lambda: self.one("one")["state"] == "contradicts")
        self.assertIn(words, self.one("one")["error"])
        record = harness.wait_for("its record", self.records)[0]
        self.assertEqual(record["object"]["type"], "witness")
        self.assertEqual(record["object"]["id"], "one")
        self.assertIn(words, record["decision"])
        self.published(self.grow())  # by the others: it is their quorum
        self.assertEqual(len(self.records()), 1)
        status = self.server.call("GET", "/api/v1/status").json
        self.assertIn("one CONTRADICTS THE LOG", status["log"]["witnesses"])

    def test_one_that_saw_a_larger_tree(self):
        self.server.start()
        self.published(self.grow())
        self.witnesses["one"].size = 1000000
        self.grow()
        self.contradicts("1000000 records")

    def test_one_that_saw_another_tree(self):
        self.server.start()
        size = self.grow()
        harness.wait_for("its cosignature", lambda: self.one("one")["size"] >= size)
        self.witnesses["one"].root = bytes(32)
        self.grow()
        self.contradicts("does not lead to this log's")


class Policies(WitnessTest):
    def test_without_one_a_checkpoint_is_published_as_signed(self):
        del self.server.settings["AUDIT_POLICY_FILE"]
        self.server.start()
        self.published(self.grow())
        self.assertEqual(self.state()["quorum"], "none")
        self.assertEqual(self.state()["witnesses"], [])

    def test_a_new_one_takes_nothing_back(self):
        del self.server.settings["AUDIT_POLICY_FILE"]
        self.server.start()
        size = self.grow()
        self.published(size)
        self.server.stop()
        for one in self.witnesses.values():
            one.mode = "gone"
        self.server.settings["AUDIT_POLICY_FILE"] = self.policy
        self.server.start()
        self.assertGreaterEqual(self.size(), size)
        self.grow()
        self.assertIn("change.witness_policy", {record["action"] for record in self.server.call("GET", "/api/v1/audit?limit=1000", as_="ben").json["records"]})
        for one in self.witnesses.values():
            one.mode = "good"
        self.published(self.size("signed"))

    def test_one_that_is_wrong_stops_the_start(self):
        for rest, log, words in (("quorum four\n", None, b'no witness or group'), ("quorum one\n", "11" * 32, b"lists other logs")):
            self.write_policy(rest, log)
            process = self.server.spawn()
            self.assertNotEqual(process.wait(harness.PATIENCE_S), 0)
            process.stdout.close()
            self.server.log.close()
            self.server.process = None
            self.assertIn(words.decode(), self.server.log_text())


class OfflineVerification(WitnessTest):
    """`audit verify --policy`: an auditor holds an export, or a workspace, against his own policy."""
    quorum = "group Q 2 one two three\nquorum Q\n"

    def setUp(self):
        super().setUp()
        self.witnesses["three"].mode = "gone"
        self.server.start()
        self.published(self.grow())
        self.export = os.path.join(self.folder, "audit.tar")
        with open(self.export, "wb") as file:
            file.write(self.server.call("GET", "/api/v1/audit/export", as_="ben").bytes)

    def verify(self, *arguments, policy=None):
        done = subprocess.run([harness.TIDEMARK, "audit", "verify", *arguments, "--policy", policy or self.policy, "--json"],
                              capture_output=True, text=True, check=False)
        return done, json.loads(done.stdout) if done.stdout else {}

    def states(self, answer):
        return {each["name"]: each["state"] for each in answer["policy"]["witnesses"]}

    def edit_checkpoint(self, change):
        out = os.path.join(self.folder, "edited.tar")
        with tarfile.open(self.export) as old, tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as new:
            for entry in old:
                data = old.extractfile(entry).read()
                data = change(data.decode()).encode() if entry.name == "checkpoint" else data
                entry.size = len(data)
                new.addfile(entry, io.BytesIO(data))
        return out

    def test_export_and_workspace_satisfy_it(self):
        for where in ([self.export], ["--workspace", self.server.workspace]):
            done, answer = self.verify(*where)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(answer["trusted"])
            self.assertTrue(answer["policy"]["reached"])
            self.assertEqual(self.states(answer), {"one": "good", "two": "good", "three": "missing"})
            self.assertEqual({each["check"]: each["state"] for each in answer["checks"]}["quorum"], "passed")

    def test_a_quorum_that_is_not_met_names_who_is_missing(self):
        self.write_policy("group Q all one two three\nquorum Q\n")
        for where in ([self.export], ["--workspace", self.server.workspace]):
            done, answer = self.verify(*where)
            self.assertEqual(done.returncode, 8, done.stderr)
            self.assertIn("three: has not cosigned it", done.stderr)
            self.assertEqual(answer["failure"]["check"], "quorum")
            self.assertEqual(self.states(answer)["three"], "missing")
        done, _ = self.verify(self.export, "--cosigned-after", "2126-01-01T00:00:00Z")
        self.assertIn("one: cosigned it before the time", done.stderr)

    def test_forged_and_foreign_cosignatures(self):
        def forge(note):
            lines = note.splitlines()
            at = next(i for i, line in enumerate(lines) if line.split(" ")[1:2] == ["one.example/w"])
            blob = bytearray(witness.base64.b64decode(lines[at].split(" ")[2]))
            blob[-1] ^= 1
            lines[at] = lines[at].rsplit(" ", 1)[0] + " " + witness.base64.b64encode(blob).decode()
            return "\n".join(lines) + "\n"
        done, answer = self.verify(self.edit_checkpoint(forge))
        self.assertEqual((done.returncode, self.states(answer)["one"]), (8, "forged"), done.stderr)
        self.witnesses["one"].key = witness.Key(self.folder, "one.example/w")  # the policy's file now names another key
        self.write_policy(self.quorum)
        done, answer = self.verify(self.export)
        self.assertEqual((done.returncode, self.states(answer)["one"]), (8, "wrong_key"), done.stderr)

    def test_a_cosignature_of_an_older_checkpoint(self):
        kept = os.path.join(self.folder, "kept")
        with open(kept, "w", encoding="utf-8") as file:
            file.write(self.checkpoint())
        line = next(line for line in self.checkpoint().splitlines() if " one.example/w " in line)
        self.published(self.grow())
        with open(self.export, "wb") as file:
            file.write(self.server.call("GET", "/api/v1/audit/export", as_="ben").bytes)
        edited = self.edit_checkpoint(lambda note: "\n".join(
            line if " one.example/w " in each else each for each in note.splitlines()) + "\n")
        done, answer = self.verify(edited, "--older", kept)
        self.assertEqual((done.returncode, self.states(answer)["one"]), (8, "other_checkpoint"), done.stderr)

    def test_a_policy_for_another_log(self):
        self.write_policy(self.quorum, "11" * 32)
        for where in ([self.export], ["--workspace", self.server.workspace]):
            done, _ = self.verify(*where)
            self.assertEqual(done.returncode, 8)
            self.assertIn("the policy is for another log", done.stderr)


if __name__ == "__main__":
    harness.main()
