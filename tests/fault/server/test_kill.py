"""kill -9 at random moments of registrations, submissions and approvals; whatever was acknowledged must be there afterwards.

The ledger is this process's memory: a request is entered when its answer has been read in full. After each kill the server
starts again in the same workspace, and every entry is looked up: state, files byte for byte, the audit log record by record.
Between the rounds what is new is looked up, and everything every WHOLE-th time and at the end.
Rounds are bounded by TD_ROUNDS (10); the seed is printed and can be given again as TD_SEED.
SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import sqlite3
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e", "server"))
import harness  # noqa: E402 (its folder comes first)

ROUNDS = int(os.environ.get("TD_ROUNDS", "10"))
SEED = int(os.environ.get("TD_SEED", str(random.randrange(10**9))))
CLIENTS = 4
WHOLE = 25
ORDER = ["draft", "pending", "approved"]


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.state = {}    # "m-1-7/1" -> last acknowledged state
        self.content = {}  # digest -> bytes
        self.fresh = set()  # versions that were not looked up since
        self.next = 0

    def number(self):
        with self.lock:
            self.next += 1
            return self.next

    def note(self, version, state):
        with self.lock:
            self.state[version] = state
            self.fresh.add(version)


class Kills(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED}: TD_SEED={SEED} TD_ROUNDS={ROUNDS} python3 {os.path.relpath(__file__)}", flush=True)
        self.random = random.Random(SEED)
        self.server = harness.Server()
        self.addCleanup(self.server.close)
        self.ledger = Ledger()

    def client(self, ending):
        """Registers, submits and approves until the server is gone."""
        server, ledger = self.server, self.ledger
        try:
            while not ending.is_set():
                number = ledger.number()
                model = harness.onnx_model(str(number))
                digest = server.upload(model)
                ledger.content[digest] = model
                name = f"m-{number}"
                answer = server.register(name, model)
                self.assertEqual(answer.status, 201, answer)
                ledger.note(f"{name}/1", "draft")
                answer = server.submit(f"{name}/1")
                self.assertEqual(answer.status, 200, answer)
                ledger.note(f"{name}/1", "pending")
                answer = server.approve(f"{name}/1")
                self.assertEqual(answer.status, 201, answer)
                ledger.note(f"{name}/1", "approved")
        except (OSError, harness.http.client.HTTPException, ValueError):
            if not ending.is_set():
                raise

    def one_round(self):
        ending = threading.Event()
        problems = []

        def run():
            try:
                self.client(ending)
            except BaseException as problem:  # noqa: B902 (handed to the main thread)
                problems.append(problem)
        clients = [threading.Thread(target=run) for _ in range(CLIENTS)]
        before = len(self.ledger.state)
        for client in clients:
            client.start()
        goal = before + self.random.randrange(1, 12)
        harness.wait_for("work to be acknowledged", lambda: problems or len(self.ledger.state) >= goal)
        self.server.call("GET", "/healthz")
        ending.set()
        self.server.kill()
        for client in clients:
            client.join(harness.PATIENCE_S)
            self.assertFalse(client.is_alive())
        self.assertEqual(problems, [])

    def check(self):
        for version in self.ledger.fresh:
            acknowledged = self.ledger.state[version]
            model, number = version.split("/")
            answer = self.server.call("GET", f"/api/v1/models/{model}/versions/{number}")
            self.assertEqual(answer.status, 200, (version, answer))
            self.assertGreaterEqual(ORDER.index(answer.json["state"]), ORDER.index(acknowledged), version)
        self.ledger.fresh.clear()

    def check_all(self):
        self.ledger.fresh.update(self.ledger.state)
        self.check()
        for digest, data in self.ledger.content.items():
            self.assertEqual(self.server.call("GET", "/api/v1/content/" + digest).bytes, data)
        self.check_log()

    def check_log(self):
        """Numbers without a gap, and one record for each move that was acknowledged."""
        cursor, records = "", []
        while cursor is not None:
            answer = self.server.call("GET", "/api/v1/audit?limit=1000" + (f"&cursor={cursor}" if cursor else ""), None, "ben").json
            records += answer["records"]
            cursor = answer.get("next_cursor")
        self.assertEqual([record["seq"] for record in records], list(range(len(records))))
        done = {(record["action"], record["object"]["id"]) for record in records if record["outcome"] == "done"}
        for version, state in self.ledger.state.items():
            for action in ("register.version", "submit.version", "approve.version")[:ORDER.index(state) + 1]:
                self.assertIn((action, version), done)

    def check_database(self):
        with sqlite3.connect(f"file:{self.server.path('tidemark.db')}?mode=ro", uri=True) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            self.assertEqual(db.execute("PRAGMA foreign_key_check").fetchall(), [])
        db.close()

    def test_nothing_acknowledged_is_lost(self):
        self.server.start()
        for number in range(1, ROUNDS + 1):
            self.one_round()
            self.check_database()
            self.server.start()
            if number % WHOLE == 0 or number == ROUNDS:
                self.check_all()
            else:
                self.check()
        size = self.server.call("GET", "/api/v1/status").json["log"]["records"]
        harness.wait_for("a checkpoint after all of it", lambda: self.server.call(
            "GET", "/api/v1/status").json["log"]["tree_size"] >= size)
        self.assertEqual(self.server.call("GET", "/api/v1/status").json["log"].get("trouble"), None)
        self.server.stop()
        print(f"{ROUNDS} kills, {len(self.ledger.state)} versions acknowledged, none lost", flush=True)


if __name__ == "__main__":
    harness.main()
