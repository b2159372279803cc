"""The log's signer as a child of the server: it dies, hangs, loses its memory, meets another history; the log goes on or stops rightly.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import socket
import sqlite3
import subprocess
import unittest

import harness
from test_tiles import Mirror, leaf_hash, root_of


def children(server, word="signer"):
    pids = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=False).stdout.split()
    found = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read().split(b"\0")[1:3] == [b"signer", b"run"]:
                    found.append(int(pid))
        except OSError:
            pass
    return found


class Case(unittest.TestCase):
    settings = {}

    def setUp(self):
        self.server = harness.Server("demo", self.settings)
        self.addCleanup(self.server.close)
        self.server.start()
        self.made = 0

    def change(self):
        self.made += 1
        answer = self.server.call("POST", "/api/v1/models", {"name": f"model-{self.made}"})
        self.assertEqual(answer.status, 201, answer)

    def log(self):
        return self.server.call("GET", "/api/v1/status").json["log"]

    def fetch(self, path):
        answer = self.server.call("GET", path)
        self.assertEqual(answer.status, 200, answer)
        return answer

    def signer(self):
        return harness.wait_for("the signer", lambda: children(self.server))[0]

    def wait_signed(self):
        def signed():
            log = self.log()
            return log["unsigned_ms"] == 0 and "trouble" not in log and Mirror(self.fetch).size == log["records"]
        harness.wait_for("a checkpoint of everything", signed)
        return Mirror(self.fetch)


class Child(Case):
    def test_it_is_killed_again_and_again(self):
        kept = [self.wait_signed()]
        for _ in range(12):
            os.kill(self.signer(), signal.SIGKILL)
            self.change()
            kept.append(self.wait_signed())
        hashes = [leaf_hash(leaf) for leaf in kept[-1].leaves()]
        for one in kept:  # each published tree is the beginning of the last
            self.assertEqual(root_of(hashes[:one.size]), one.root)
        self.assertIn("tidemark_audit_signer_up 1", self.server.call("GET", "/metrics").bytes.decode())

    def test_a_checkpoint_comes_within_a_second_of_the_commit(self):
        """By the server's own stamps of the records and of the first checkpoint over each: the test itself only waits for events."""
        first = self.wait_signed().size
        for _ in range(20):
            self.change()
            self.wait_signed()
        with sqlite3.connect(self.server.path("tidemark.db")) as db:
            late = [row[0] for row in db.execute("""SELECT (SELECT at_ms FROM log_checkpoint WHERE size > seq ORDER BY size LIMIT 1) - at_ms
                                                    FROM audit_record WHERE seq >= ? AND action = 'create.model'""", (first,))]
        db.close()
        self.assertEqual(len(late), 20)
        self.assertLessEqual(sorted(late)[len(late) // 2], 1000, late)

    def test_while_it_hangs_the_log_goes_on(self):
        self.wait_signed()
        before = Mirror(self.fetch).size
        stopped = self.signer()
        os.kill(stopped, signal.SIGSTOP)
        self.change()
        harness.wait_for("the signer to be missed", lambda: self.log()["unsigned_ms"] > 0)
        self.assertIn("signer is away", self.log()["trouble"])
        self.assertIn("tidemark_audit_signer_up 0", self.server.call("GET", "/metrics").bytes.decode())
        self.change()  # records are written all the same
        self.assertGreater(self.wait_signed().size, before)  # another one was started
        self.assertNotEqual(self.signer(), stopped)

    def test_it_ends_with_the_server(self):
        pid = self.signer()
        self.server.kill()
        harness.wait_for("the signer's end", lambda: not os.path.exists(f"/proc/{pid}"))
        self.server.start()
        self.change()
        self.wait_signed()

    def test_the_server_does_not_hold_the_key(self):
        self.wait_signed()
        os.rename(self.server.path("keys/log.pem"), self.server.path("keys/log.away"))
        self.change()
        self.wait_signed()  # the signer has it open since its start
        os.kill(self.signer(), signal.SIGKILL)
        self.change()
        harness.wait_for("no signature without the key", lambda: "the log's key" in self.log().get("trouble", ""))
        os.rename(self.server.path("keys/log.away"), self.server.path("keys/log.pem"))
        self.wait_signed()

    def test_an_edited_database_gets_no_signature(self):
        self.change()
        size = self.wait_signed().size
        self.server.stop()
        with sqlite3.connect(self.server.path("tidemark.db")) as db:
            db.execute("DROP TRIGGER log_node_fixed")
            self.assertEqual(db.execute("UPDATE log_node SET hash = zeroblob(32) WHERE level = 4 AND position = 0").rowcount, 1)
        db.close()
        self.server.start()
        status = self.server.call("GET", "/api/v1/status").json
        self.assertIn("read-only", status["read_only"])
        self.assertLessEqual(Mirror(self.fetch).size, size + 1)
        self.assertIn("tidemark_audit_signer_stopped 1", self.server.call("GET", "/metrics").bytes.decode())

    def test_a_damaged_memory_stops_with_the_way_on(self):
        for text in (b"", b"{", b'{"v":1,"origin":"x","size":1,"root":"00"}\n'):
            self.wait_signed()
            self.server.stop()
            path = self.server.path("keys/log.state")
            with open(path, "rb") as file:
                good = file.read()
            with open(path, "wb") as file:
                file.write(text)
            self.server.start()
            self.assertIn("tidemark log resume", self.server.call("GET", "/api/v1/status").json["read_only"])
            self.server.stop()
            with open(path, "wb") as file:
                file.write(good)
            self.server.start()
            self.change()


class Patience(Case):
    settings = {"AUDIT_SIGNER_PATIENCE": "1s"}

    def test_without_signatures_nothing_new_is_rolled_out(self):
        self.wait_signed()
        os.rename(self.server.path("keys/log.pem"), self.server.path("keys/log.away"))
        os.kill(self.signer(), signal.SIGKILL)
        self.change()
        body = {"version": "pump/1", "to": "site='oslo'"}
        problem = harness.wait_for("a refusal", lambda: [answer for answer in [self.server.call("POST", "/api/v1/rollouts", body)]
                                                         if answer.status == 503])[0]
        self.assertIn("audit.signer_patience", problem.json["detail"])
        os.rename(self.server.path("keys/log.away"), self.server.path("keys/log.pem"))
        self.wait_signed()
        self.assertNotEqual(self.server.call("POST", "/api/v1/rollouts", body).status, 503)


class Twice(Case):
    def test_two_servers_on_one_log_are_noticed(self):
        self.wait_signed()
        done = subprocess.run([harness.TIDEMARK, "doctor", "--workspace", self.server.workspace], capture_output=True, text=True, check=False)
        self.assertNotIn("another signer", done.stdout)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            second = subprocess.Popen([harness.TIDEMARK, "signer", "run", "--key", self.server.path("keys/log.pem"), "--state",
                                       self.server.path("keys/log.state"), "--fd", str(theirs.fileno())], pass_fds=[theirs.fileno()])
            origin = self.server.read("keys/log.vkey").split("+")[0].encode()
            frame = b"TDS1\x01" + bytes([len(origin)]) + origin
            ours.sendall(len(frame).to_bytes(4, "big") + frame)
            ours.settimeout(harness.PATIENCE_S)
            reply = ours.recv(4096)
            self.assertIn(b"another signer of this log is running", reply)
            theirs.close()
            ours.shutdown(socket.SHUT_RDWR)
            self.assertEqual(second.wait(harness.PATIENCE_S), 0)
        self.change()
        self.wait_signed()


if __name__ == "__main__":
    harness.main()
