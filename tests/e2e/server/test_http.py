"""The HTTP side under bad input: every mistake gets its own clear answer and changes nothing.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import http.client
import json
import socket
import time

import harness


class Targets(harness.ServerTest):
    def request(self, target, headers=""):
        return self.server.raw(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n".encode("latin-1"))

    def test_traversal_never_reaches_a_file(self):
        for target in ("/../etc/passwd", "/api/v1/content/..%2f..%2ftidemark.db", "/api/v1/content/%2e%2e/%2e%2e/etc/passwd",
                       "/api/v1/content/%252e%252e%252ftidemark.db", "/api/v1/models/a;b", "/api/v1/models/a%00b",
                       "/api/v1/models/..%5c..%5ckeys", "/api/v1/models/%c0%ae%c0%ae", "/api/v1//models", "/api/v1/models/"):
            answer = self.request(target)
            self.assertIn(answer.split(b" ")[1], (b"400", b"404"), (target, answer))
            self.assertIn(b'"code":"', answer, target)

    def test_target_that_is_too_long(self):
        self.assertEqual(self.request("/" + "a" * 5000).split(b" ")[1], b"414")

    def test_names_and_addresses_of_others(self):
        raw = self.server.raw
        self.assertIn(b" 421 ", raw(b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 421 ", raw(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1.evil.example:80\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 200 ", raw(b"GET /healthz HTTP/1.1\r\nHost: LOCALHOST:1234\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 400 ", raw(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"))
        self.assertIn(b" 403 ", self.request("/healthz", "Origin: http://evil.example\r\n"))
        self.assertIn(b" 200 ", self.request("/healthz", "Origin: http://localhost\r\n"))

    def test_length_and_coding_together(self):
        answer = self.server.raw(b"POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
                                 b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        self.assertIn(b" 400 ", answer)

    def test_length_or_host_twice(self):
        answer = self.server.raw(b"POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
                                 b"Content-Length: 7\r\nConnection: close\r\n\r\n{}")
        self.assertIn(b" 400 ", answer)
        self.assertIn(b" 400 ", self.request("/healthz", "Host: localhost\r\n"))

    def test_headers_that_are_too_large(self):
        answer = self.request("/healthz", "X-Long: " + "a" * 100000 + "\r\n")
        self.assertTrue(answer == b"" or b" 431 " in answer or b" 413 " in answer, answer[:200])

    def test_unknown_route_and_wrong_method(self):
        self.check(self.server.call("GET", "/api/v1/nothing"), 404, "not_found")
        answer = self.check(self.server.call("PUT", "/api/v1/models", {}), 405, "method_not_allowed", "GET, POST")
        self.assertEqual(answer.headers["Allow"], "GET, POST")


class Bodies(harness.ServerTest):
    settings = {"HTTP_BODY_BYTES_MAX": "20000", "HTTP_UPLOAD_BYTES_MAX": "300000"}

    def post(self, body, headers=None):
        return self.server.call("POST", "/api/v1/models", body, headers=headers)

    def test_what_is_not_json(self):
        for body in (b"{", b"[1]", b"nonsense", b'{"name": "a"} x', b'{"name": "\xff"}', b'{"a": 1, "a": 2}', b'{"name": NaN}'):
            self.check(self.post(body, {"Content-Type": "application/json"}), 400, "invalid")
        deep = b'{"tags": ' + b"[" * 100 + b"]" * 100 + b"}"
        self.check(self.post(deep), 400, "invalid")
        self.check(self.post(b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}), 415, "unsupported_media_type")

    def test_unknown_missing_and_wrong_fields_are_named(self):
        self.check(self.post({"nmae": "pump"}), 400, "invalid", 'did you mean "name"?', "nmae")
        self.check(self.post({"name": 5}), 400, "invalid", "name")
        self.check(self.post({}), 400, "invalid", "name")

    def test_too_large(self):
        self.check(self.post(b" " * 20001), 413, "limit", "http.body_bytes_max")
        self.check(self.server.call("POST", "/api/v1/uploads", b"x" * 300001), 413, "limit", "http.upload_bytes_max")

    def test_too_large_without_a_length(self):
        def pieces(count):
            for _ in range(count):
                yield b"x" * 10000
        self.check(self.post(pieces(3)), 413, "limit")
        self.check(self.server.call("POST", "/api/v1/uploads", pieces(40)), 413, "limit")

    def test_uploads_are_hashed_checked_and_come_back(self):
        data = bytes(range(256)) * 1000
        digest = self.server.upload(data)
        self.assertEqual(self.server.call("GET", "/api/v1/content/" + digest).bytes, data)
        wrong = "sha256:" + "0" * 64
        self.check(self.server.call("POST", "/api/v1/uploads?digest=" + wrong, data[:-1]), 422, "corrupt")
        self.check(self.server.call("GET", "/api/v1/content/sha256:" + hashlib.sha256(data[:-1]).hexdigest()), 404, "not_found")
        self.check(self.server.call("GET", "/api/v1/content/sha256:zz"), 400, "invalid")

    def test_ranges(self):
        data = bytes(range(256)) * 10
        digest = self.server.upload(data)

        def part(header):
            return self.server.call("GET", "/api/v1/content/" + digest, headers={"Range": header})
        for header, expected, told in (("bytes=0-9", data[:10], "bytes 0-9/2560"), ("bytes=2550-", data[2550:], "bytes 2550-2559/2560"),
                                       ("bytes=-5", data[-5:], "bytes 2555-2559/2560"), ("bytes=2559-9999", data[2559:], "bytes 2559-2559/2560")):
            answer = part(header)
            self.assertEqual((answer.status, answer.bytes, answer.headers["Content-Range"]), (206, expected, told))
        self.assertEqual(part("bytes=2560-").status, 416)
        for header in ("bytes=5-1", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b"):
            answer = part(header)
            self.assertEqual((answer.status, answer.bytes), (200, data))

    def test_empty_upload(self):
        self.assertEqual(self.server.call("POST", "/api/v1/uploads", b"").json["size"], 0)

    def test_upload_without_login_is_refused_before_the_bytes(self):
        self.check(self.server.call("POST", "/api/v1/uploads", b"x" * 1000, None), 401, "unauthenticated")
        self.check(self.server.call("POST", "/api/v1/uploads", b"x" * 1000, "ben"), 403, "denied", "ben may not register")


class Slow(harness.ServerTest):
    settings = {"HTTP_TIMEOUT": "1s"}

    def closed_after(self, first, drip):
        """Sends a little now and then; returns how long the server bore it."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=0.2) as sock:
            began = time.monotonic()
            sock.sendall(first)
            while time.monotonic() - began < harness.PATIENCE_S:
                try:
                    sock.sendall(drip)
                    if sock.recv(4096) == b"":
                        break
                except socket.timeout:
                    continue
                except OSError:
                    break
            return time.monotonic() - began

    def test_headers_byte_by_byte(self):
        self.assertLess(self.closed_after(b"GET /healthz HTTP/1.1\r\nX: ", b"a"), harness.PATIENCE_S / 2)

    def test_body_byte_by_byte(self):
        head = (f"POST /api/v1/uploads HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.server.token('ana')}\r\n"
                "Content-Length: 100000\r\n\r\n").encode()
        self.assertLess(self.closed_after(head, b"a"), harness.PATIENCE_S / 2)

    def test_others_are_served_meanwhile(self):
        idle = [socket.create_connection(("127.0.0.1", self.server.port)) for _ in range(100)]
        try:
            self.assertEqual(self.server.call("GET", "/healthz").bytes, b"ok\n")
        finally:
            for sock in idle:
                sock.close()


class KeepAlive(harness.ServerTest):
    def test_many_requests_on_one_connection(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=harness.PATIENCE_S)
        headers = {"Authorization": "Bearer " + self.server.token("ana"), "Content-Type": "application/json"}
        for index in range(50):
            connection.request("POST", "/api/v1/models", json.dumps({"name": f"m{index}"}).encode(), headers)
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(answer.status, 201)
            connection.request("POST", "/api/v1/models", json.dumps({"name": f"m{index}"}).encode(), headers)
            answer = connection.getresponse()
            self.assertEqual((answer.status, json.loads(answer.read())["code"]), (409, "conflict"))
        connection.close()


class Full(harness.ServerTest):
    """More connections than a listener admits wait until others have ended."""
    settings = {"HTTP_CONNECTIONS_MAX": "8"}
    ASKED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def ask(self, sock):
        sock.sendall(self.ASKED)
        return sock

    def test_they_wait_and_are_served(self):
        opened = [socket.create_connection(("127.0.0.1", self.server.port), timeout=harness.PATIENCE_S) for _ in range(8)]
        try:
            for sock in opened:
                self.assertIn(b"200 OK", self.ask(sock).recv(4096))
            waiting = [self.ask(socket.create_connection(("127.0.0.1", self.server.port), timeout=0.3)) for _ in range(2)]
            for sock in waiting:
                with self.assertRaises(socket.timeout):
                    sock.recv(4096)
                sock.settimeout(harness.PATIENCE_S)
            for sock in waiting:
                opened.pop(0).close()
                self.assertIn(b"200 OK", sock.recv(4096))
                opened.append(sock)
        finally:
            for sock in opened:
                sock.close()


if __name__ == "__main__":
    harness.main()
