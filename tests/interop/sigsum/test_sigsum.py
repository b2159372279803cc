#!/usr/bin/env python3
"""Programs that others wrote take our log for a Sigsum log: sigsum-verify accepts `audit proof --sigsum` and refuses what was
changed; sigsum-witness cosigns our growth and refuses a fork and an older copy.

Takes the programs from Debian 13's packages. Where they cannot be had it says so and is skipped (exit 77).
SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.abspath(sys.argv.pop(1))
sys.path.insert(0, os.path.join(HERE, "..", "..", "e2e", "server"))
import harness  # noqa: E402
import programs  # noqa: E402

PROGRAMS = None
NOBODY = "11" * 32  # a witness that nobody runs
DASH = "\u2014 "


class Watched(unittest.TestCase):
    """A server that publishes what sigsum-witness has cosigned. The policy is in Sigsum's form, as sigsum-verify reads it too."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tdm-sig-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.policy = os.path.join(self.folder, "policy")
        self.server = self.make_server()
        vkey = self.server.read("keys/log.vkey").strip()
        self.origin, self.log_hex = vkey.split("+")[0], base64.b64decode(vkey.split("+", 2)[2])[1:].hex()
        self.witness = programs.Witness(PROGRAMS, self.folder, self.log_hex)
        self.addCleanup(self.witness.close)
        self.write("policy", f"log {self.log_hex}\nwitness outside {self.witness.hex} {self.witness.url}\nquorum outside\n")
        self.server.start()

    def make_server(self):
        server = harness.Server(settings={"AUDIT_POLICY_FILE": self.policy, "AUDIT_WITNESS_INTERVAL": "50ms"})
        self.addCleanup(server.close)
        return server

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        return path

    def checkpoint(self, server, state="published"):
        answer = server.call("GET", f"/api/v1/audit/checkpoint?state={state}", as_="ben")
        return answer.bytes.decode() if answer.status == 200 else "\n0\n"

    def size(self, server, state="published"):
        return int(self.checkpoint(server, state).split("\n")[1])

    def grow(self, server, records=1):
        """The size of the signed tree that holds them."""
        for _ in range(records):
            before = self.size(server, "signed")
            self.assertEqual(server.call("POST", "/api/v1/models", {"name": f"m{before}"}).status, 201)
            harness.wait_for("a signed checkpoint", lambda: self.size(server, "signed") > before)
        return self.size(server, "signed")

    def published(self, server, size):
        harness.wait_for(f"a published checkpoint of {size}: {self.state(server)}", lambda: self.size(server) >= size)
        return self.checkpoint(server)

    def state(self, server):
        return server.call("GET", "/api/v1/audit/witnesses", as_="ben").json["witnesses"][0]

    def cosigners(self, note):
        return {line.split(" ")[1] for line in note.splitlines() if line.startswith(DASH)} - {self.origin}

    def tidemark(self, *arguments, server=None):
        done = subprocess.run([harness.TIDEMARK, *arguments, "--workspace", (server or self.server).workspace, "--as", "ben"],
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class Verifying(Watched):
    def setUp(self):
        super().setUp()
        self.published(self.server, self.grow(self.server, 3))
        export = os.path.join(self.folder, "audit.tar")
        self.tidemark("audit", "export", "--out", export)
        with tarfile.open(export) as tar:
            submitter = json.load(tar.extractfile("format.json"))["submitter"]
        self.submitter = self.public_key("submitter.pub", submitter)

    def public_key(self, name, hex_key):
        path = os.path.join(self.folder, name)
        subprocess.run([os.path.join(PROGRAMS, "sigsum-key"), "from-hex", "-o", path], input=hex_key, text=True, check=True)
        return path

    def stricter(self, rest):
        return self.write("stricter", f"log {self.log_hex}\nwitness outside {self.witness.hex}\nwitness nobody {NOBODY}\n{rest}")

    def verify(self, record, proof, policy=None, submitter=None):
        return subprocess.run([os.path.join(PROGRAMS, "sigsum-verify"), "-k", submitter or self.submitter, "-p", policy or self.policy,
                               self.write("proof", proof)], input=record, capture_output=True, check=False)

    def proven(self, number):
        return self.tidemark("audit", "show", str(number)), self.tidemark("audit", "proof", str(number), "--sigsum")

    def refused(self, done, words):
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(words, done.stderr.decode())

    def test_proofs_of_all_records(self):
        size = self.size(self.server)
        good = 0
        for number in range(size):
            record, proof = self.proven(number)
            done = self.verify(record, proof)
            self.assertEqual(done.returncode, 0, (number, done.stderr, proof))
            good += 1
        print(f"sigsum-verify, records proven: {good} of {size}")

    def test_what_was_changed_is_refused(self):
        record, proof = self.proven(1)
        self.assertEqual(self.verify(record, proof).returncode, 0)
        self.refused(self.verify(record.replace(b'"', b"'", 1), proof), "leaf signature not valid")
        self.refused(self.verify(self.proven(2)[0], proof), "leaf signature not valid")
        for key, words in ((b"leaf=", "unknown leaf key hash"), (b"root_hash=", "signature"), (b"signature=", "signature"),
                           (b"cosignature=", "cosignatures"), (b"node_hash=", "root mismatch")):
            at = proof.index(b"\n" + key) + 1 + len(key)
            digit = b"0" if proof[at:at + 1] != b"0" else b"1"
            self.refused(self.verify(record, proof[:at] + digit + proof[at + 1:]), words)
        self.refused(self.verify(record, proof.replace(b"leaf_index=1\n", b"leaf_index=0\n")), "root mismatch")
        self.refused(self.verify(record, b"".join(line for line in proof.splitlines(True) if not line.startswith(b"cosignature="))),
                     "not enough cosignatures")

    def test_whose_word_counts(self):
        record, proof = self.proven(1)
        self.refused(self.verify(record, proof, self.stricter("quorum nobody\n")), "not enough cosignatures")
        self.refused(self.verify(record, proof, self.stricter("group both all outside nobody\nquorum both\n")), "not enough cosignatures")
        self.assertEqual(self.verify(record, proof, self.stricter("group one any outside nobody\nquorum one\n")).returncode, 0)
        self.refused(self.verify(record, proof, submitter=self.public_key("other.pub", self.witness.hex)), "unknown leaf key hash")


class Witnessing(Watched):
    def test_growth_is_cosigned(self):
        for records in (1, 1, 5, 12):
            note = self.published(self.server, self.grow(self.server, records))
            self.assertEqual(self.cosigners(note), {self.witness.cosigner})
        self.assertEqual(self.state(self.server)["state"], "ok")

    def test_its_memory_outlives_it(self):
        self.published(self.server, self.grow(self.server, 2))
        self.witness.close()
        size = self.grow(self.server, 2)
        harness.wait_for("the failure", lambda: self.state(self.server)["state"] == "failing")
        self.assertLess(self.size(self.server), size)
        self.witness.start()
        self.published(self.server, size)

    def copy(self):
        """Another server in a copy of the workspace, as it is now."""
        self.server.stop()
        other = self.make_server()
        shutil.rmtree(other.workspace)
        shutil.copytree(self.server.workspace, other.workspace)
        return other

    def test_a_fork_is_refused(self):
        self.published(self.server, self.grow(self.server, 2))
        fork = self.copy()
        self.server.start()
        seen = self.grow(self.server, 2)
        self.published(self.server, seen)
        self.server.stop()
        fork.start()
        size = self.grow(fork, 6)
        self.assertGreater(size, seen)
        self.refuses(fork)
        self.assertEqual(self.cosigners(self.checkpoint(fork, "signed")), set())
        fork.stop()
        self.server.start()  # the true log goes on
        self.published(self.server, self.grow(self.server, 1))

    def test_an_older_copy_is_refused(self):
        self.published(self.server, self.grow(self.server, 2))
        older = self.copy()
        self.server.start()
        self.published(self.server, self.grow(self.server, 12))
        self.server.stop()
        older.start()
        self.grow(older, 1)
        self.refuses(older)

    def refuses(self, server):
        """It has seen another log: that is on record, and nothing more is published."""
        published = self.size(server)
        harness.wait_for("the refusal", lambda: self.state(server)["state"] == "contradicts")
        self.grow(server, 1)
        self.assertEqual(self.size(server), published)
        records = json.loads(self.tidemark("audit", "list", "--action", "contradict.log", "--json", server=server))["records"]
        self.assertEqual({record["object"]["id"] for record in records}, {"outside"})


if __name__ == "__main__":
    PROGRAMS = programs.fetch(FOLDER)
    harness.main()
