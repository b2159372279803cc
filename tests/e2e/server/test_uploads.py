"""Resumable uploads: connections that break, servers that are killed, lies about size and digest.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os
import socket
import subprocess

import harness

SESSIONS = "/api/v1/upload-sessions"


class UploadTest(harness.ServerTest):
    def announce(self, data, as_="ana", server=None, size=None):
        body = {"size": len(data) if size is None else size, "digest": "sha256:" + hashlib.sha256(data).hexdigest()}
        return (server or self.server).call("POST", SESSIONS, body, as_)

    def begin(self, data, server=None):
        answer = self.announce(data, server=server)
        self.assertEqual((answer.status, answer.json["offset"], answer.json["complete"]), (201, 0, False), answer)
        return answer.headers["Location"]

    def send(self, path, data, offset, as_="ana", server=None):
        return (server or self.server).call("PATCH", path, data, as_, headers={"Upload-Offset": str(offset)})

    def offset(self, path, server=None):
        answer = (server or self.server).call("HEAD", path)
        self.assertEqual(answer.status, 200, answer)
        return int(answer.headers["Upload-Offset"])

    def break_off(self, path, announced, sent, offset, server=None):
        """Sends a beginning of a piece, sees to it that the server has it, and cuts the connection."""
        server = server or self.server
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall((f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token('ana')}\r\n"
                          f"Upload-Offset: {offset}\r\nContent-Length: {announced}\r\n\r\n").encode() + sent)
            name = server.path("content/partial/" + path.rsplit("/", 1)[1])
            harness.wait_for("the bytes", lambda: os.path.getsize(name) == offset + len(sent))

    def left_of(self, path):
        return [name for name in os.listdir(self.server.path("content/partial")) if name.startswith(path.rsplit("/", 1)[1])]

    def stored(self, data, server=None):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        return (server or self.server).call("GET", "/api/v1/content/" + digest)


class Uploads(UploadTest):
    settings = {"HTTP_UPLOAD_BYTES_MAX": "30000000", "HTTP_UPLOADS_UNFINISHED_BYTES_MAX": "60000000"}

    def test_in_pieces(self):
        data = os.urandom(1_000_000)
        path = self.begin(data)
        for at in range(0, len(data), 300_000):
            answer = self.check(self.send(path, data[at:at + 300_000], at), 200)
            self.assertEqual(int(answer.headers["Upload-Offset"]), min(at + 300_000, len(data)))
        self.assertTrue(answer.json["complete"])
        self.assertEqual(self.stored(data).bytes, data)
        self.check(self.server.call("GET", path), 404, "not_found")
        self.assertEqual(self.left_of(path), [])

    def test_a_connection_cut_in_the_middle(self):
        data = os.urandom(500_000)
        path = self.begin(data)
        self.break_off(path, len(data), data[:200_000], 0)
        harness.wait_for("the server to notice", lambda: self.server.call("HEAD", path).status == 200)
        self.assertEqual(self.offset(path), 200_000)
        self.check(self.send(path, data[200_000:], 200_000), 200)
        self.assertEqual(self.stored(data).bytes, data)

    def test_only_from_where_it_stands(self):
        data = os.urandom(1000)
        path = self.begin(data)
        self.check(self.send(path, data[:400], 0), 200)
        for offset in (0, 399, 401, 1000):
            answer = self.check(self.send(path, data[400:500], offset), 409, "conflict", "stands at 400")
            self.assertEqual(answer.headers["Upload-Offset"], "400")
        self.check(self.server.call("PATCH", path, data[400:]), 400, "invalid", "Upload-Offset is missing")
        self.check(self.send(path, data[400:], -1), 400, "invalid")
        self.assertEqual(self.offset(path), 400)
        self.check(self.send(path, data[400:], 400), 200)

    def test_other_bytes_than_announced(self):
        data = os.urandom(1000)
        path = self.begin(data)
        self.check(self.send(path, bytes(1000), 0), 422, "corrupt", "as announced")
        self.check(self.server.call("GET", path), 404)
        self.check(self.stored(bytes(1000)), 404)
        self.assertEqual(self.left_of(path), [])

    def test_more_bytes_than_announced(self):
        data = os.urandom(1000)
        path = self.begin(data)
        self.check(self.send(path, data + b"x", 0), 413, "limit", "than the 1000 that were announced")
        self.check(self.server.call("DELETE", path), 200)

    def test_announced_again_it_is_the_same_one(self):
        data = os.urandom(1000)
        path = self.begin(data)
        self.check(self.send(path, data[:10], 0), 200)
        again = self.check(self.announce(data), 200)
        self.assertEqual((again.headers["Location"], again.json["offset"]), (path, 10))
        self.check(self.server.call("DELETE", path), 200)
        self.assertNotEqual(self.begin(data), path)

    def test_it_belongs_to_its_user(self):
        data = os.urandom(1000)
        path = self.begin(data)
        for method in ("GET", "DELETE"):
            self.check(self.server.call(method, path, None, "worker"), 404, "not_found")
        self.check(self.send(path, data, 0, "worker"), 404, "not_found")
        self.check(self.send(path, data, 0, "ben"), 403, "denied")
        self.check(self.send(path, data, 0, None), 401, "unauthenticated")
        self.assertNotEqual(self.announce(data, "worker").headers["Location"], path)

    def test_limits(self):
        self.check(self.announce(b"a", size=30_000_001), 413, "limit", "http.upload_bytes_max")
        for size in (0, -1, "x", 2 ** 60):
            self.check(self.announce(b"a", size=size), 400, "invalid")
        paths = [self.announce(b"big%d" % index, size=20_000_000).headers["Location"] for index in range(2)]
        self.check(self.announce(b"big", size=20_000_000), 413, "limit", "http.uploads_unfinished_bytes_max")
        paths += [self.announce(b"%d" % index, size=5).headers["Location"] for index in range(40)][:30]
        self.check(self.announce(b"more", size=5), 413, "limit", "unfinished uploads of ana")
        for name in os.listdir(self.server.path("content/partial")):
            if not name.endswith(".json"):
                self.server.call("DELETE", SESSIONS + "/" + name)

    def test_names_that_are_none(self):
        for name in ("x", "0" * 31, "0" * 32, "Z" * 32, "%2e%2e"):
            self.assertIn(self.server.call("GET", SESSIONS + "/" + name).status, (400, 404), name)


class Kills(UploadTest):
    def test_a_killed_server_goes_on_from_what_is_on_disk(self):
        data = os.urandom(700_000)
        path = self.begin(data)
        self.check(self.send(path, data[:250_000], 0), 200)
        self.break_off_and_kill(path, data)
        self.assertEqual(self.offset(path), 250_000)
        self.check(self.send(path, data[250_000:], 250_000), 200)
        self.assertEqual(self.stored(data).bytes, data)

    def break_off_and_kill(self, path, data):
        server = self.server
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall((f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token('ana')}\r\n"
                          f"Upload-Offset: 250000\r\nContent-Length: 450000\r\n\r\n").encode() + data[250_000:400_000])
            name = server.path("content/partial/" + path.rsplit("/", 1)[1])
            harness.wait_for("the bytes", lambda: os.path.getsize(name) == 400_000)
            server.kill()
        server.start()

    def test_what_expired_is_gone(self):
        server = harness.Server(settings={"HTTP_UPLOAD_KEEP": "1s"})
        self.addCleanup(server.close)
        server.start()
        path = self.begin(os.urandom(100), server)
        harness.wait_for("its end", lambda: server.call("GET", path).status == 404)
        server.stop()
        server.start()
        self.assertEqual(os.listdir(server.path("content/partial")), [])


class Client(UploadTest):
    """The command line over a line that breaks."""

    def run_cli(self, *arguments, url=None):
        return subprocess.Popen([harness.TIDEMARK, *arguments, "--server", url or f"http://127.0.0.1:{self.server.port}", "--token-file",
                                 self.server.path("users/ana/token")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**self.server.environment(), "TIDEMARK_TRANSFER_PIECE": "1000000"})

    def finish(self, process):
        out, err = process.communicate(timeout=harness.PATIENCE_S)
        self.assertEqual(process.returncode, 0, err)
        return out + err

    def file(self, name, data):
        path = os.path.join(self.server.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_upload_and_download_over_a_line_that_breaks(self):
        data = os.urandom(8_000_000)
        proxy = harness.BreakingProxy(self.server.port, [2_500_000, 900_000, 400_000])
        self.addCleanup(proxy.close)
        url = f"http://127.0.0.1:{proxy.port}"
        self.finish(self.run_cli("model", "register", "lossy", self.file("weights.bin", data), url=url))
        self.assertEqual(proxy.breaks, 3)
        self.assertEqual(self.stored(data).bytes, data)
        proxy.breaks_at[:] = [3_000_000, 1_000_000]
        target = os.path.join(self.server.folder, "out")
        os.mkdir(target)
        self.finish(self.run_cli("model", "download", "lossy/1", target, url=url))
        with open(os.path.join(target, "model/weights.bin"), "rb") as file:
            self.assertEqual(file.read(), data)
        self.assertEqual(proxy.breaks, 5)
        self.assertLess(proxy.down_bytes, 1.5 * len(data))

    def test_upload_over_a_server_that_is_killed(self):
        data = os.urandom(6_000_000)
        self.server.settings["HTTP_PORT"] = str(self.server.port)
        proxy = harness.BreakingProxy(self.server.port, [3_000_000], at_break=self.server.kill)
        self.addCleanup(proxy.close)
        process = self.run_cli("model", "register", "killed", self.file("w.bin", data), url=f"http://127.0.0.1:{proxy.port}")
        harness.wait_for("the break", lambda: proxy.breaks == 1 and self.server.process is None)
        self.server.start()
        self.finish(process)
        self.assertEqual(self.stored(data).bytes, data)


if __name__ == "__main__":
    harness.main()
