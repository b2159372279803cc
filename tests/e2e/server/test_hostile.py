"""The list of holes that other registries had: one named test each. docs/security.md names the test that holds each item.

SPDX-License-Identifier: Apache-2.0
"""
import http.client
import os
import re
import socket

import harness
from permissions import MAY

# Spellings of ways out of a path, each put where a route takes a name. None may be taken for a name, wherever it stands.
WAYS_OUT = (
    "..", ".", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2e", "..%2f..%2f..%2fcanary", "%2e%2e%2f%2e%2e%2fcanary", "..%5ccanary",
    "%2e%2e%5c%2e%2e%5ccanary", "..\\canary", "\\canary", "%5c%5chost%5cshare", "%2fetc%2fpasswd", "%2f%2fetc%2fpasswd",
    "file:%2f%2f%2fetc%2fpasswd", "file:%2fetc%2fpasswd", "C:%5ccanary", "a%2f..%2f..%2fcanary", "a%5c..%5c..%5ccanary",
    "..%00", "canary%00.onnx", "%00", "a%00", "..;", "..;%2fcanary", "a;b", "a;jsessionid=1", "%3b", "a%3b..%3b", ";",
    "%252e%252e", "%252e%252e%252fcanary", "%25252e%25252e", "%252f", "%255c", "%2500", "a%252f..%252fcanary", "%253b",
    "%c0%ae%c0%ae", "%c0%af", "%e0%80%ae", "%f0%80%80%ae", "%c1%9c", "%ed%a0%80", "%fe", "%ff", "%80", "%c3", "%f4%90%80%80",
    "%", "%2", "%zz", "%u002e%u002e", "..%u2216canary", "%0a", "%0d%0aX-Injected:%201", "a%09b", "%7f", "%20", "a%20b", "%20..",
    "..%20", "~%2f..%2fcanary", "$HOME", "${HOME}", "`id`", "*", "a%2a", "a|b", "%7ccat", "a%22b", "a'b", "%3cscript%3e", "a%3fb", "a%23b",
    "%ef%bc%8e%ef%bc%8e", "%e2%80%a4%e2%80%a4", "%ef%bc%8f", "%e2%88%95", "%e2%80%ae", "",
)


class Canary(harness.ServerTest):
    """Somebody with every role, so that no refusal comes from the lack of one; files that must never be read or made."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        answer = cls.server.admin("POST", "/api/v1/users", {"name": "all", "roles": list(MAY), "reason": "test"})
        assert answer.status == 201, answer
        cls.secret = cls.server.admin("POST", "/api/v1/users/all/tokens", {}).json["token"]
        for folder in (cls.server.folder, cls.server.workspace):
            with open(os.path.join(folder, "canary"), "w", encoding="ascii") as file:
                file.write("sings-in-the-mine")
        cls.server.register("pump")
        cls.socket = None

    @classmethod
    def tearDownClass(cls):
        if cls.socket:
            cls.socket.close()
        super().tearDownClass()

    def files(self):
        """Every name in and beside the workspace but what a request may well make: content by digest, the database's own files."""
        found = {os.path.relpath(os.path.join(top, name), self.server.folder) for top, folders, names in os.walk(self.server.folder)
                 for name in folders + names}
        return {name for name in found if not re.match(r"ws/(content|uploads|partials|tmp)/|ws/[^/]*\.db", name)}

    def send(self, method, target, body=b"", headers=""):
        """(status, everything that came back) of one request on a connection that stays open as long as the server lets it."""
        request = (f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.secret}\r\n{headers}"
                   f"Content-Length: {len(body)}\r\n\r\n").encode("latin-1") + body
        for _ in range(2):
            if not self.socket:
                type(self).socket = socket.create_connection(("127.0.0.1", self.server.port), timeout=harness.PATIENCE_S)
            try:
                self.socket.sendall(request)
                answer = http.client.HTTPResponse(self.socket, method=method)
                answer.begin()
                text = str(answer.headers).encode("latin-1") + answer.read()
                if answer.will_close:
                    self.drop()
                return answer.status, text
            except (http.client.HTTPException, OSError):
                self.drop()
        raise AssertionError(f"no answer to {request!r}")

    def drop(self):
        self.socket.close()
        type(self).socket = None


class Traversal(Canary):
    def places(self):
        """(method, body, path before, path after) of every place of every route where a name stands."""
        for route in self.server.call("GET", "/api/v1/routes").json["routes"]:
            if "api" not in route["listener"] and route["listener"] != "all":
                continue
            parts = re.split(r"\{[a-z_.]+\}", route["path"])
            for index in range(1, len(parts)):
                yield route["method"], b"" if route["body"] == "stream" else b"{}", "1".join(parts[:index]), "1".join(parts[index:])

    def test_in_every_position_and_encoding(self):
        self.assertGreaterEqual(len(WAYS_OUT), 80)
        before, wrong, sent = self.files(), [], 0
        for method, body, head, tail in self.places():
            for way in WAYS_OUT:
                status, text = self.send(method, head + way + tail, b"" if method == "GET" else body)
                sent += 1
                refused = (400, 404) if way else (400, 404, 405)  # without the name it is another path
                if status not in refused or re.search(rb"sings-in|root:.*:0:0|PRIVATE KEY|SQLite format", text):
                    wrong.append((method, head + way + tail, status, text[-300:]))
        self.assertEqual(wrong[:10], [], f"{len(wrong)} of {sent}")
        self.assertGreater(sent, 5000)
        self.assertEqual(self.files(), before)

    def test_a_path_is_decoded_once(self):
        """What is left of a twice encoded dot is a name with a '%' in it, which nothing is called, and no dot."""
        for target in ("/api/v1/models/%70ump", "/api/v1/models/pump"):
            self.assertEqual(self.send("GET", target)[0], 200)
        for target in ("/api/v1/models/%2570ump", "/api/v1/models/%252570ump", "/api/v1/%256dodels", "/%2561pi/v1/models"):
            self.assertIn(self.send("GET", target)[0], (400, 404), target)
        status, text = self.send("GET", "/api/v1/models?filter=name%20%3D%20'%2570ump'")
        self.assertEqual((status, b'"pump"' in text), (200, False), text)

    def test_semicolons_and_nul_are_no_part_of_a_path(self):
        for target in ("/api/v1/models;x=1", "/api/v1;/models", "/api/v1/models/pump;v=1", "/api/v1/models%00", "/api/v1/models/pump%00x",
                       "/api/v1/models/pump%3bx", "/;/api/v1/models", "/api/v1/models/..;/users"):
            self.assertEqual(self.send("GET", target)[0], 400, target)
        answer = self.server.raw(b"GET /api/v1/models/pump\x00x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertTrue(answer == b"" or answer.split(b" ")[1] in (b"400", b"401", b"404"), answer)
        self.assertNotIn(b"200", answer[:20])

    def test_names_in_bodies_lead_nowhere(self):
        """No route takes a path or address of a file: content comes by its digest alone."""
        before = self.files()
        digest = self.server.upload(harness.onnx_model())
        for name in ("../canary", "/etc/passwd", "a/../../canary", "..\\canary", "a\\b", "C:\\x", "a\0b", "a//b", "./a", "a/./b", "..", "",
                     "file:///etc/passwd", "a\nb", "a\u202eb", "x" * 5000):
            answer = self.server.call("POST", "/api/v1/models/pump/versions",
                                      {"files": [{"name": name, "digest": digest, "role": "model"}]})
            self.assertEqual(answer.status, 400, (name, answer))
        for source in ("/etc/passwd", "file:///etc/passwd", "../canary", "s3://bucket/x", "http://127.0.0.1/x", "sha256:../../canary",
                       "sha256:" + "0" * 63 + "/", digest.upper()):
            answer = self.server.call("POST", "/api/v1/models/pump/versions",
                                      {"files": [{"name": "model.onnx", "digest": source, "role": "model"}]})
            self.assertEqual(answer.status, 400, (source, answer))
        for field in ("source", "uri", "path", "url", "location"):
            for where in ({field: "file:///etc/passwd"}, {"files": [{"name": "m.onnx", "digest": digest, field: "/etc/passwd"}]}):
                answer = self.server.call("POST", "/api/v1/models/pump/versions", where)
                self.assertEqual(answer.status, 400, (where, answer))
                self.assertIn(field, answer.json["detail"])
        self.assertEqual(self.files(), before)


class Reflection(Canary):
    MARK = "<script>alert(1)</script>"

    def test_no_header_of_a_request_comes_back(self):
        for name in ("Content-Type", "Accept", "User-Agent", "Referer", "X-Request-Id", "If-None-Match", "Last-Event-ID", "X-Forwarded-Host",
                     "Cookie", "Range", "Accept-Language", "X-Forwarded-For", "X-HTTP-Method-Override"):
            for method, target in (("GET", "/api/v1/models/pump"), ("GET", "/api/v1/nothing"), ("POST", "/api/v1/models"), ("PUT", "/healthz")):
                status, text = self.send(method, target, b"{}" if method == "POST" else b"", f"{name}: text/html;{self.MARK}\r\n")
                self.assertNotIn(b"<script>", text, (name, method, target, status))
                self.assertNotIn(b"text/html", text, (name, method, target, status))

    def test_what_is_told_of_a_request_is_never_a_page(self):
        """Details quote names; so every answer says what it is, and that it is nothing else."""
        for target in ("/api/v1/models/%3Cscript%3E", "/api/v1/models?filter=%3Cscript%3Ealert(1)%3C/script%3E", "/api/v1/models?limit=%3Cb%3E",
                       "/api/2.0/mlflow/%3Cscript%3E", "/api/v1/models?%3Cb%3E=1&%3Cb%3E=2", "/api/v1/content/%3Cscript%3E"):
            status, text = self.send("GET", target)
            self.assertIn(status, (400, 404), target)
            self.assertRegex(text, rb"Content-Type: application/(problem\+)?json", target)
            self.assertIn(b"X-Content-Type-Options: nosniff", text)
            self.assertIn(b"Content-Security-Policy: default-src 'none'", text)

    def test_an_uploaded_page_comes_back_as_bytes(self):
        page = b"<html><script>alert(1)</script></html>"
        answer = self.server.call("POST", "/api/v1/uploads", page, headers={"Content-Type": "text/html"})
        self.assertEqual(answer.status, 201)
        answer = self.server.call("GET", "/api/v1/content/" + answer.json["digest"])
        self.assertEqual((answer.bytes, answer.headers["Content-Type"]), (page, "application/octet-stream"))
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")

    def test_line_ends_make_no_headers(self):
        for target in ("/api/v1/models/a%0d%0aX-Injected:%201", "/api/v1/models?cursor=%0d%0aX-Injected:%201", "/%0d%0aX-Injected:1"):
            status, text = self.send("GET", target)
            self.assertEqual(status, 400)
            self.assertNotIn(b"\nX-Injected", text)


class Framing(Canary):
    """Two parsers that see two different requests in the same bytes are how requests are smuggled: what is not plain is refused."""

    def answers(self, data):
        return re.findall(rb"HTTP/1\.1 (\d{3})", self.server.raw(data))

    def test_no_second_request_hides_in_a_body(self):
        hidden = f"GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.secret}\r\n\r\n".encode()
        size = str(len(hidden) + 5).encode()
        for headers in (b"Content-Length: " + size + b"\r\nTransfer-Encoding: chunked\r\n",
                        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
                        b"Content-Length: 0\r\nContent-Length: " + size + b"\r\n",
                        b"Content-Length: +0\r\n", b"Content-Length: -1\r\n", b"Content-Length: 0x10\r\n", b"Content-Length: 0, 5\r\n",
                        b"Content-Length: 99999999999999999999\r\n", b"Content-Length: \r\n",
                        b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding: xchunked\r\n",
                        b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                        b"Content-Length: " + size + b"\r\nTransfer-Encoding:\r\n chunked\r\n"):
            for between in (b"0\r\n\r\n", b""):
                answer = self.server.raw(b"POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n" + between + hidden)
                self.assertNotIn(b" 200 ", answer, headers)
                self.assertLessEqual(answer.count(b"X-Request-Id"), 1, (headers, answer))

    def test_lines_that_are_not_plain(self):
        for head in (b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: local\x00host\r\n", b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n",
                     b"GET  /healthz  HTTP/1.1\r\nHost: localhost\r\n", b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n",
                     b"GET healthz HTTP/1.1\r\nHost: localhost\r\n", b"GET * HTTP/1.1\r\nHost: localhost\r\n",
                     b"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\n", b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            found = self.answers(head + b"Connection: close\r\n\r\n")
            self.assertNotIn(b"200", found, head)
            self.assertFalse([status for status in found if status >= b"500" and status != b"505"], (head, found))


class Oversized(Canary):
    def test_every_part_of_a_request_has_a_limit(self):
        head = f"Host: localhost\r\nAuthorization: Bearer {self.secret}\r\nConnection: close\r\n"
        for what, request, expected in (
                ("target", "GET /api/v1/models/" + "a" * 5000 + " HTTP/1.1\r\n" + head, ("414",)),
                ("target of a megabyte", "GET /" + "a" * 1000000 + " HTTP/1.1\r\n" + head, ("414", "431", "")),
                ("query", "GET /api/v1/models?filter=" + "a" * 5000 + " HTTP/1.1\r\n" + head, ("414",)),
                ("pairs of a query", "GET /api/v1/models?" + "&".join(f"p{n}=1" for n in range(300)) + " HTTP/1.1\r\n" + head, ("413",)),
                ("parts of a path", "GET /" + "a/" * 1000 + "a HTTP/1.1\r\n" + head, ("413",)),
                ("header", "GET /api/v1/models HTTP/1.1\r\n" + head + "X: " + "a" * 100000 + "\r\n", ("431", "413", "")),
                ("headers", "GET /api/v1/models HTTP/1.1\r\n" + head + "".join(f"X{n}: {n}\r\n" for n in range(10000)), ("431", "413", "")),
                ("token", "GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer " + "a" * 20000 + "\r\n",
                 ("401", "431", "")),
                ("method", "A" * 30000 + " /api/v1/models HTTP/1.1\r\n" + head, ("405", "400", "414", "431", "501", "")),
                ("length that is announced", "POST /api/v1/models HTTP/1.1\r\n" + head + "Content-Length: 900000000000\r\n", ("413",)),
                ("upload that is announced", "POST /api/v1/uploads HTTP/1.1\r\n" + head + "Content-Length: 900000000000\r\n", ("413",)),
                ("chunk that is announced", "POST /api/v1/models HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff",
                 ("400", "413", ""))):
            answer = self.server.raw((request + "\r\n").encode("latin-1"))
            self.assertIn(answer[9:12].decode(), expected, what)
        self.assertEqual(self.send("GET", "/api/v1/models/pump")[0], 200)

    def test_every_value_of_a_body_has_a_limit(self):
        for field, value in (("name", "a" * 10000), ("description", "d" * 65537), ("tags", {f"t{n}": "x" for n in range(1500)}),
                             ("tags", {"k" * 5000: "v"}), ("tags", {"k": "v" * 100001})):
            answer = self.server.call("POST", "/api/v1/models", {"name": "big", field: value})
            self.assertIn(answer.status, (400, 413), (field, answer))
        deep = b'{"name": "deep", "tags": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}"
        self.assertEqual(self.server.call("POST", "/api/v1/models", deep).status, 400)
        number = b'{"name": "n", "x": ' + b"9" * 15000 + b"}"
        self.assertEqual(self.server.call("POST", "/api/v1/models", number).status, 400)
        self.assertEqual(self.server.call("GET", "/api/v1/models/big").status, 404)

    def test_connections_of_one_address_are_counted(self):
        held = []
        try:
            for _ in range(300):
                held.append(socket.create_connection(("127.0.0.1", self.server.port), timeout=harness.PATIENCE_S))
            held[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(self.closed(held[-1]), b"")
        finally:
            for sock in held:
                sock.close()
        # Each polling thread counts for itself, and they take turns.
        harness.wait_for("a free connection", lambda: all(self.alive() for _ in range(4)))

    @staticmethod
    def closed(sock):
        try:
            return sock.recv(1000)
        except ConnectionError:
            return b""

    def alive(self):
        try:
            return self.server.call("GET", "/healthz").status == 200
        except (OSError, http.client.HTTPException):
            return False


class Browsers(Canary):
    """A page of somebody else's, open on the same machine."""

    def post(self, headers, body=b'{"name": "foreign"}'):
        request = f"POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        return self.server.raw(request.encode("latin-1") + body)[9:12].decode()

    def test_a_form_of_another_origin_changes_nothing(self):
        login = f"Authorization: Bearer {self.secret}\r\n"
        for origin in ("http://evil.example", "null", "http://localhost.evil.example", "http://localhost:1", "file://", "", "http://"):
            for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/json"):
                self.assertEqual(self.post(login + f"Origin: {origin}\r\nContent-Type: {kind}\r\n"), "403", (origin, kind))
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):  # a browser sends no others unasked
            self.assertEqual(self.post(login + f"Content-Type: {kind}\r\n"), "415", kind)
        self.assertEqual(self.post("Cookie: token=" + self.secret + "\r\nContent-Type: application/json\r\n"), "401")
        self.assertEqual(self.server.call("GET", "/api/v1/models/foreign").status, 404)
        answer = self.server.raw(b"OPTIONS /api/v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n"
                                 b"Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n")
        self.assertNotIn(b"access-control-allow", answer.lower())
        self.assertEqual(self.post(login + "Origin: http://localhost\r\nContent-Type: application/json\r\n"), "201")

    def test_another_name_for_this_machine(self):
        """DNS rebinding: the page's own name points here."""
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:8080", "0.0.0.0", "[::]", "2130706433",
                     "127.1", "localhost@evil.example", "localhost,evil.example", "localhost evil.example", "", ".", "localhost."):
            answer = self.server.raw(f"GET /api/v1/models HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {self.secret}\r\n"
                                     "Connection: close\r\n\r\n".encode("latin-1"))
            self.assertIn(answer[9:12], (b"400", b"421"), host)


if __name__ == "__main__":
    harness.main()
