"""The log at /log/…: mirrored with plain HTTP, its root computed by this file's own arithmetic, its paths attacked.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import hashlib

import harness

RECORDS = 300  # more than one full tile
LEAF = 128


def leaf_hash(leaf):
    return hashlib.sha256(b"\x00" + leaf).digest()


def root_of(hashes):
    """RFC 6962, 2.1: split at the largest power of two below the number of leaves."""
    if len(hashes) == 0:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return hashlib.sha256(b"\x01" + root_of(hashes[:half]) + root_of(hashes[half:])).digest()


def path_of(number):
    text = "%03d" % (number % 1000)
    while number >= 1000:
        number //= 1000
        text = "x%03d/%s" % (number % 1000, text)
    return text


def read_checkpoint(note):
    text, _, signatures = note.partition("\n\n")
    origin, size, root = text.split("\n")
    assert signatures.startswith("— " + origin + " ") and signatures.endswith("\n"), note
    return origin, int(size), base64.b64decode(root, validate=True)


class Mirror:
    """Fetches the log as a stranger would: the checkpoint, then the files that its size says are there."""

    def __init__(self, fetch):
        self.fetch = fetch
        self.origin, self.size, self.root = read_checkpoint(fetch("/log/checkpoint").bytes.decode())

    def files(self, kind, count):
        full, rest = divmod(count, 256)
        data = b"".join(self.fetch(f"/log/tile/{kind}/{path_of(number)}").bytes for number in range(full))
        return data + (self.fetch(f"/log/tile/{kind}/{path_of(full)}.p/{rest}").bytes if rest else b"")

    def leaves(self):
        data = self.files("entries", self.size)
        step = 2 + LEAF
        assert len(data) == step * self.size, (len(data), self.size)
        assert all(data[at:at + 2] == LEAF.to_bytes(2, "big") for at in range(0, len(data), step))
        return [data[at + 2:at + step] for at in range(0, len(data), step)]

    def hashes(self, level):
        data = self.files(level, self.size >> 8 * level)
        return [data[at:at + 32] for at in range(0, len(data), 32)]


class Tiles(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for number in range(RECORDS):
            answer = cls.server.call("POST", "/api/v1/models", {"name": f"model-{number}"})
            assert answer.status == 201, answer
        harness.wait_for("a checkpoint of them all", lambda: Mirror(cls.fetch).size > RECORDS)

    @classmethod
    def fetch(cls, path, as_="ana", headers=None):
        answer = cls.server.call("GET", path, as_=as_, headers=headers)
        assert answer.status in (200, 304), (path, answer)
        return answer

    def test_a_mirror_computes_the_signed_root(self):
        mirror = Mirror(self.fetch)
        leaves = mirror.leaves()
        hashes = [leaf_hash(leaf) for leaf in leaves]
        self.assertEqual(root_of(hashes), mirror.root)
        self.assertEqual(hashes, mirror.hashes(0))
        self.assertEqual([root_of(hashes[at:at + 256]) for at in range(0, len(hashes) // 256 * 256, 256)], mirror.hashes(1))
        key = self.server.read("keys/log.vkey").strip()
        self.assertEqual(key.split("+")[0], mirror.origin)

    def test_a_leaf_commits_to_the_body_that_the_auditor_reads(self):
        leaves = Mirror(self.fetch).leaves()
        for number in (0, 1, 255, 256, len(leaves) - 1):
            body = self.server.call("GET", f"/api/v1/audit/records/{number}", as_="ben")
            self.assertEqual(leaves[number][:32], hashlib.sha256(hashlib.sha256(body.bytes).digest()).digest())

    def test_an_older_checkpoint_still_finds_its_files(self):
        older = Mirror(self.fetch)
        for number in range(5):
            self.server.call("POST", "/api/v1/models", {"name": f"later-{number}"})
        harness.wait_for("a larger tree", lambda: Mirror(self.fetch).size > older.size)
        self.assertEqual(root_of([leaf_hash(leaf) for leaf in older.leaves()]), older.root)

    def test_what_caches_are_told(self):
        for path, seconds in (("/log/tile/0/000", 31536000), ("/log/tile/entries/000", 31536000), ("/log/tile/1/000.p/1", 3600)):
            first = self.fetch(path)
            self.assertEqual(first.headers["Cache-Control"], f"private, max-age={seconds}, immutable")
            self.assertEqual(first.headers["Content-Type"], "application/octet-stream")
            again = self.fetch(path, headers={"If-None-Match": first.headers["ETag"]})
            self.assertEqual((again.status, again.bytes, again.headers["Cache-Control"]), (304, b"", first.headers["Cache-Control"]))
        note = self.fetch("/log/checkpoint")
        self.assertEqual(note.headers["Cache-Control"], "private, max-age=1")
        self.assertEqual(note.headers["Content-Type"], "text/plain; charset=utf-8")
        self.assertRegex(note.headers["ETag"], '^"[0-9a-f]{32}"$')
        head = self.server.call("HEAD", "/log/tile/0/000")
        self.assertEqual((head.status, head.headers["Content-Length"], head.bytes), (200, "8192", b""))

    def test_paths_that_name_nothing(self):
        for path in ("0/999", "0/000.p/256", "0/000.p/0", "0/000.p/01", "0/0", "0/x000/000", "0/001", "8/000", "-1/000", "0/x001",
                     "0/x001/x152/x921/x504/x606/x846/976", "0/x999/x999/x999/x999/x999/x999/999", "entries", "entries/x000/001", "1/000",
                     "0/" + "x001/" * 30 + "000", "0/000.p/1/2", "0/000.p", "0/%30%30%30.p/999", "entries/000.p/257", "0/00%2500"):
            answer = self.server.call("GET", "/log/tile/" + path)
            self.assertIn(answer.status, (400, 404), (path, answer))
        for path in ("/log/tile/../checkpoint", "/log/tile/0/..%2f..%2fkeys/log.pem", "/log/tile//000", "/log/tile/", "/log/", "/log/tile",
                     "/log/tile/0/000%00", "/log/tile/0/000;x", "/log/tile/0\\000", "/log/../api/v1/status", "/log/record/0", "/log/keys"):
            answer = self.server.call("GET", path)
            self.assertIn(answer.status, (400, 404), (path, answer))
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            self.check(self.server.call(method, "/log/tile/0/000", {}), 405, "method_not_allowed")

    def test_without_a_token_nothing(self):
        for path in ("/log/checkpoint", "/log/tile/0/000", "/log/tile/entries/000"):
            self.check(self.server.call("GET", path, as_=None), 401, "unauthenticated")


class Public(harness.ServerTest):
    settings = {"AUDIT_PUBLIC": "true"}

    def test_anybody_mirrors_it_and_reads_nothing_else(self):
        def fetch(path):
            return self.check(self.server.call("GET", path, as_=None), 200)
        harness.wait_for("a checkpoint", lambda: self.server.call("GET", "/log/checkpoint", as_=None).status == 200)
        mirror = Mirror(fetch)
        self.assertEqual(root_of([leaf_hash(leaf) for leaf in mirror.leaves()]), mirror.root)
        self.assertEqual(fetch("/log/checkpoint").headers["Cache-Control"], "public, max-age=1")
        self.assertEqual(fetch("/log/tile/0/000.p/1").headers["Cache-Control"], "public, max-age=3600, immutable")
        for path in ("/api/v1/audit/checkpoint", "/api/v1/audit/records/0", "/api/v1/audit", "/api/v1/status", "/metrics"):
            self.check(self.server.call("GET", path, as_=None), 401, "unauthenticated")
        self.check(self.server.call("GET", "/log/tile/0/999", as_=None), 404, "not_found")


if __name__ == "__main__":
    harness.main()
