"""Server-sent events: what happens arrives, in order, once, also over a reconnect; limits and ends.

SPDX-License-Identifier: Apache-2.0
"""
import json
import socket

import harness

PATH = "/api/v1/events/stream"


class Stream:
    """A client of text/event-stream on a raw socket."""

    def __init__(self, server, path=PATH, headers="", as_="ana", buffer=None):
        self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(harness.PATIENCE_S)
        self.sock.connect(("127.0.0.1", server.port))
        self.sock.sendall((f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token(as_)}\r\n{headers}"
                           "\r\n").encode())
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        for line in iter(lambda: self.file.readline().strip(), b""):
            name, value = line.split(b":", 1)
            self.headers[name.decode().lower()] = value.strip().decode()
        self.text = b""

    def close(self):
        self.file.close()
        self.sock.close()

    def block(self):
        """The next block up to an empty line; None at the end of the stream."""
        while b"\n\n" not in self.text:
            size = self.file.readline().strip()
            if not size or int(size, 16) == 0:
                return None
            self.text += self.file.read(int(size, 16))
            self.file.readline()
        block, self.text = self.text.split(b"\n\n", 1)
        return block.decode()

    def event(self, kind="model"):
        """The next event of an object of that kind as (id, record); comments and the rest are passed over."""
        while True:
            block = self.block()
            if block is None:
                return None
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "data" in fields and json.loads(fields["data"])["object"]["type"] == kind:
                return int(fields["id"]), json.loads(fields["data"])


class Streams(harness.ServerTest):
    settings = {"HTTP_STREAMS_MAX": "4", "HTTP_STREAM_HEARTBEAT": "100ms"}

    def open(self, *arguments, **more):
        """Waits for a place: the server sees at the next heartbeat that an earlier one is gone."""
        def once():
            stream = Stream(self.server, *arguments, **more)
            if stream.status == 503:
                stream.close()
                return None
            return stream
        stream = harness.wait_for("a place", once)
        self.addCleanup(stream.close)
        return stream

    def make(self, name):
        self.check(self.server.call("POST", "/api/v1/models", {"name": name}), 201)

    def test_what_happens_arrives_in_order(self):
        stream = self.open()
        self.assertEqual((stream.status, stream.headers["content-type"]), (200, "text/event-stream"))
        for index in range(20):
            self.make(f"in-order-{index}")
        seen = [stream.event() for _ in range(20)]
        self.assertEqual([record["object"]["id"] for _, record in seen], [f"in-order-{index}" for index in range(20)])
        ids = [number for number, _ in seen]
        self.assertEqual(ids, sorted(set(ids)))

    def test_a_reconnect_misses_nothing(self):
        stream = self.open()
        self.make("before")
        last, _ = stream.event()
        stream.close()
        self.make("meanwhile")
        again = self.open(headers=f"Last-Event-ID: {last}\r\n")
        self.assertEqual(again.event()[1]["object"]["id"], "meanwhile")
        self.assertEqual(self.open(PATH + "?after=-1").event("server")[1]["action"], "start.server")

    def test_silence_is_broken_by_comments(self):
        stream = self.open()
        self.assertEqual(stream.block(), "retry: 2000")
        comments = 0
        while comments < 3:
            block = stream.block()  # other tests' refusals are told as well
            self.assertTrue(block == ":" or block.startswith("id: "), block)
            comments += block == ":"

    def test_only_so_many(self):
        streams = [self.open() for _ in range(4)]
        self.assertEqual({stream.status for stream in streams}, {200})
        answer = self.check(self.server.call("GET", PATH), 503, "busy", "http.streams_max")
        self.assertEqual(answer.headers["Retry-After"], "1")
        for stream in streams:
            stream.close()
        self.assertEqual(self.open().status, 200)
        self.assertEqual(self.server.call("GET", "/healthz").status, 200)

    def test_bad_places_and_nobody(self):
        self.check(self.server.call("GET", PATH, headers={"Last-Event-ID": "x"}), 400, "invalid", "Last-Event-ID")
        self.check(self.server.call("GET", PATH + "?after=x"), 400, "invalid", field="after")
        self.check(self.server.call("GET", PATH, None, None), 401, "unauthenticated")
        self.check(self.server.call("GET", PATH + "?project=elsewhere"), 404, "not_found")

    def test_it_ends_with_its_token(self):
        made = self.server.call("POST", "/api/v1/users/ana/tokens", {"label": "stream"}).json
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=harness.PATIENCE_S) as sock:
            sock.sendall((f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {made['token']}\r\n\r\n").encode())
            self.assertIn(b" 200 ", sock.recv(65536))
            self.check(self.server.call("POST", f"/api/v1/tokens/{made['id']}/revoke", {"reason": "lost"}), 200)
            text = b""
            while not text.endswith(b"0\r\n\r\n"):
                piece = sock.recv(65536)
                self.assertTrue(piece or text.endswith(b"0\r\n\r\n"), text[-200:])
                text += piece

    def test_a_reader_that_stops_holds_little_and_loses_nothing(self):
        stream = self.open(buffer=4096)
        for index in range(300):
            self.make(f"slow-{index}")
        seen = [stream.event()[1]["object"]["id"] for _ in range(300)]
        self.assertEqual(seen, [f"slow-{index}" for index in range(300)])


class Ends(harness.ServerTest):
    def test_a_server_that_stops_ends_its_streams(self):
        server = harness.Server()
        self.addCleanup(server.close)
        server.start()
        streams = [Stream(server) for _ in range(3)]
        for stream in streams:
            self.assertEqual(stream.block(), "retry: 2000")
        server.stop()
        for stream in streams:
            self.assertIsNone(stream.event())
            stream.close()

    def test_a_reader_that_never_reads_is_cut_off(self):
        server = harness.Server(settings={"HTTP_TIMEOUT": "1s", "HTTP_STREAMS_MAX": "1", "HTTP_STREAM_HEARTBEAT": "50ms"})
        self.addCleanup(server.close)
        server.start()
        for index in range(400):
            server.call("POST", "/api/v1/models", {"name": f"m{index}"})
        stream = Stream(server, PATH + "?after=-1", buffer=2048)
        self.addCleanup(stream.close)
        self.assertFalse(self.free(server))
        harness.wait_for("the stream's place to be free", lambda: self.free(server))

    @staticmethod
    def free(server):
        stream = Stream(server)
        stream.close()
        return stream.status == 200


if __name__ == "__main__":
    harness.main()
