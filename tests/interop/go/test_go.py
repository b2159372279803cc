#!/usr/bin/env python3
"""golang.org/x/mod's sumdb/note and sumdb/tlog, with which Go's checksum database is read, must accept our checkpoints, tiles and
proofs, and refuse each that was changed on the way (readlog.go).

Builds readlog into the folder given. Where there is no Go, or its modules cannot be had, it says so and is skipped (exit 77).
SPDX-License-Identifier: Apache-2.0
"""
import base64
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.abspath(sys.argv.pop(1))
READLOG = os.path.join(FOLDER, "readlog")
sys.path.insert(0, os.path.join(HERE, "..", "..", "e2e", "server"))
import harness  # noqa: E402

RECORDS = 600  # two full tiles and a partial one


def not_run(why):
    print(f"not run: {why}")
    sys.exit(77)


def build():
    if not shutil.which("go"):
        not_run("there is no Go here (1.25 or later)")
    environment = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly -buildvcs=false")
    got = subprocess.run(["go", "mod", "download"], cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    if got.returncode != 0:
        not_run(f"Go is too old, or golang.org/x/mod cannot be had: {got.stderr.strip()[-300:]}")
    os.makedirs(FOLDER, exist_ok=True)
    subprocess.run(["go", "build", "-o", READLOG, "."], cwd=HERE, env=environment, check=True)


class Between(http.server.ThreadingHTTPServer):
    """A mirror that hands on what the server says; `change(path, data)` may make it lie."""

    def __init__(self, target, token):
        between = self
        self.change = lambda path, data: data

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                request = urllib.request.Request(target + self.path, headers={"Authorization": "Bearer " + token})
                with urllib.request.urlopen(request) as answer:
                    data = between.change(self.path, answer.read())
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads = True
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


class Go(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="tdm-go-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.key = cls.server.path("keys/log.vkey")
        cls.older = []
        for end in (2, 255, RECORDS):
            cls.grow(end)
            cls.older.append(cls.keep(f"kept-{end}", cls.checkpoint()))
        cls.between = Between(f"http://127.0.0.1:{cls.server.port}", cls.server.token("ana"))
        cls.addClassCleanup(cls.between.server_close)
        cls.addClassCleanup(cls.between.shutdown)

    def setUp(self):
        self.between.change = lambda path, data: data

    @classmethod
    def checkpoint(cls):
        answer = cls.server.call("GET", "/log/checkpoint")
        return answer.bytes if answer.status == 200 else None

    @classmethod
    def size(cls):
        note = cls.checkpoint()
        return int(note.split(b"\n")[1]) if note else 0

    @classmethod
    def grow(cls, records):
        number = cls.size()
        while number < records:
            answer = cls.server.call("POST", "/api/v1/models", {"name": f"model-{number}"})
            assert answer.status in (201, 409), answer
            number += 1
        harness.wait_for(f"a checkpoint of {records}", lambda: cls.size() >= records)

    @classmethod
    def keep(cls, name, data):
        path = os.path.join(cls.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def readlog(self, *arguments, token=None):
        environment = dict(os.environ, **({"TD_TOKEN": token} if token else {}))
        return subprocess.run([READLOG, *arguments], capture_output=True, text=True, env=environment, check=False)

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def refused(self, done, words):
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(words, done.stderr)

    def lies(self, path, change, words, *older):
        """The mirror changes one file; readlog must say what is wrong."""
        seen = []

        def lie(asked, data):
            if asked.startswith(path):
                seen.append(asked)
                return change(data)
            return data
        self.between.change = lie
        self.refused(self.readlog("tree", self.between.url + "/log", self.key, *older), words)
        self.assertTrue(seen, path)

    # ---- the tree ----

    def test_the_log_as_it_is_served(self):
        said = self.good(self.readlog("tree", f"http://127.0.0.1:{self.server.port}/log", self.key, *self.older,
                                      token=self.server.token("ana")))
        self.assertIn(f"{self.size()} of {self.size()} records: hash and CheckRecord", said)
        self.assertEqual(said.count("CheckTree"), len(self.older))
        print(f"go sumdb tlog, records proven: {self.size()} of {self.size()}")

    def test_without_a_token_it_gets_nothing(self):
        self.refused(self.readlog("tree", f"http://127.0.0.1:{self.server.port}/log", self.key), "401")

    def test_a_changed_checkpoint(self):
        size = b"\n%d\n" % self.size()
        self.lies("/log/checkpoint", lambda data: data.replace(size, b"\n%d\n" % (self.size() - 1)), "invalid signature")
        self.lies("/log/checkpoint", lambda data: flip(data, data.index(b"\n\n") - 10), "invalid signature")
        self.lies("/log/checkpoint", lambda data: data.replace(b"\n\n", b"\n"), "malformed note")
        self.lies("/log/checkpoint", lambda data: data[:data.index(b"\n\n") + 2], "malformed note")

    def test_another_logs_key(self):
        name, _, key = self.server.read("keys/log.vkey").strip().split("+", 2)
        raw = flip(base64.b64decode(key), 5)
        stranger = harness.hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex()
        path = self.keep("stranger.vkey", f"{name}+{stranger}+{base64.b64encode(raw).decode()}\n".encode())
        self.refused(self.readlog("tree", self.between.url + "/log", path), "no verifiable signatures")

    def test_changed_tiles(self):
        for path in ("/log/tile/0/000", "/log/tile/0/001", "/log/tile/0/002.p/", "/log/tile/1/000.p/"):
            for at in (0, 33):
                with self.subTest(path=path, at=at):
                    self.lies(path, lambda data, at=at: flip(data, at), "tile")
        self.lies("/log/tile/0/000", lambda data: data[:-32], "tile")

    def test_changed_leaves(self):
        self.lies("/log/tile/entries/000", lambda data: flip(data, 2 + 5), "leaf 0 has another hash")
        self.lies("/log/tile/entries/001", lambda data: flip(data, len(data) - 1), "leaf 511 has another hash")
        self.lies("/log/tile/entries/000", lambda data: data[130:260] + data[:130] + data[260:], "leaf 0 has another hash")
        self.lies("/log/tile/entries/000", lambda data: data[:-130], "does not hold 256 leaves")

    def test_two_copies_of_one_workspace(self):
        first, second = harness.Server(), harness.Server()
        for one in (first, second):
            self.addCleanup(one.close)
        first.start()
        harness.wait_for("a checkpoint", lambda: first.call("GET", "/log/checkpoint").status == 200)
        first.stop()
        shutil.rmtree(second.workspace)
        shutil.copytree(first.workspace, second.workspace)
        notes = []
        for one in (first, second):
            one.start()
            for number in range(9):
                self.assertEqual(one.call("POST", "/api/v1/models", {"name": f"m{number}"}).status, 201)
            size = one.call("GET", "/api/v1/audit?limit=1&order_by=seq+DESC", as_="ben").json["records"][0]["seq"] + 1
            notes.append(harness.wait_for("its checkpoint", lambda: self.whole(one, size)))
        url, key, token = f"http://127.0.0.1:{first.port}/log", first.path("keys/log.vkey"), first.token("ana")
        self.good(self.readlog("tree", url, key, self.keep("own", notes[0]), token=token))
        self.refused(self.readlog("tree", url, key, self.keep("fork", notes[1]), token=token), "does not extend the older checkpoint")

    @staticmethod
    def whole(server, size):
        note = server.call("GET", "/log/checkpoint").bytes
        return note if int(note.split(b"\n")[1]) >= size else None

    # ---- single records ----

    def record(self, number):
        return (self.server.call("GET", f"/api/v1/audit/records/{number}", as_="ben").bytes,
                self.server.call("GET", f"/api/v1/audit/records/{number}/proof", as_="ben").bytes)

    def proof(self, record, proof):
        return self.readlog("proof", self.key, self.keep("record", record), self.keep("proof", proof))

    def test_proofs_of_records(self):
        for number in (0, 1, 255, 256, self.size() - 1):
            record, proof = self.record(number)
            self.assertIn(f"record {number} of ", self.good(self.proof(record, proof)))

    def test_what_no_proof_shows(self):
        record, proof = self.record(17)
        _, other = self.record(18)
        for changed_record, changed_proof, words in (
                (record.replace(b"model-", b"modem-"), proof, "invalid transparency proof"),
                (record + b"\n", proof, "invalid transparency proof"),
                (record, other, "invalid transparency proof"),
                (record, proof.replace(b"index 17", b"index 16"), "invalid transparency proof"),
                (record, flip(proof, proof.index(b"extra ") + 10), "invalid transparency proof"),
                (record, flip(proof, proof.index(b"index 17\n") + 12), "invalid transparency proof"),
                (record, flip(proof, proof.rindex(b"\n\n") - 10), "invalid signature")):
            self.assertNotEqual((changed_record, changed_proof), (record, proof))
            self.refused(self.proof(changed_record, changed_proof), words)


if __name__ == "__main__":
    build()
    harness.main()
