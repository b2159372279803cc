"""Artifacts of MLflow's clients as bytes on the wire: no spelling of a path leaves its root, and nothing is served but bytes.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os
import urllib.parse

import harness
from test_mlflow_wire import WireTest

BASE = "/api/2.0/mlflow-artifacts/artifacts"


class Paths(WireTest):
    settings = {"HTTP_UPLOAD_BYTES_MAX": "1000000"}

    def setUp(self):
        run = self.server.call("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0"}, "ana").json["run"]
        self.run = run["info"]["run_id"]
        self.root = f"{BASE}/0/{self.run}/artifacts"

    def put(self, path, data, as_="ana"):
        return self.server.call("PUT", path, data, as_)

    def raw(self, method, path, body=b""):
        head = (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.server.token('ana')}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode("latin-1")
        return self.server.raw(head + body)

    def test_traversal_in_every_position_and_encoding(self):
        bad = ("..", "../x", "%2e%2e/x", "%2E%2e/x", "%252e%252e/x", "..%2fx", "..%5cx", "..\\x", ".%2e/x", "a/../x", "a/%2e%2e/x",
               "a/..", "a/.", "./a", "//etc/passwd", "a//b", "%2fetc%2fpasswd", "a%00b", "a%0d%0ab", "a%0ab", "a;b", "a%3bb", "a%23b",
               "a%3fb", "%c0%ae%c0%ae/x", "%e0%80%ae/x", "%ff", "a%", "a%zz", "C:%5cx", "a%3ab", "a%2a", "a%22b", "a%7cb", "a%3cb")
        for method in ("GET", "PUT", "DELETE"):
            for path in bad:
                for root in (self.root, BASE):
                    raw = self.raw(method, f"{root}/{path}", b"x" if method == "PUT" else b"")
                    status = int(raw.split(b" ", 2)[1])
                    self.assertIn(status, (400, 404), (method, path, raw))
                    self.assertIn(b'"error_code"', raw)
        for path in ("..", "../..", "/etc", "0/..", f"0/{self.run}/artifacts/../..", "a\\b", "a%2e", "a\x00b", "file:///etc"):
            answer = self.server.call("GET", BASE + "?path=" + urllib.parse.quote(path), as_="ana")
            self.assertIn(answer.status, (400, 404), (path, answer))
        listed = self.server.call("GET", f"{BASE}?path=0/{self.run}/artifacts", as_="ana")
        self.assertEqual(listed.json, {"files": []})

    def test_bytes_in_and_out(self):
        data = os.urandom(50000)
        self.assertEqual(self.put(self.root + "/a%20b/%C3%B6.bin", data).json, {})
        answer = self.server.call("GET", self.root + "/a%20b/%C3%B6.bin", as_="ana")
        self.assertEqual(answer.bytes, data)
        digest = hashlib.sha256(data).hexdigest()
        self.assertEqual(answer.headers["ETag"], f'"{digest}"')
        self.assertEqual(answer.headers["Content-Type"], "application/octet-stream")
        self.assertIn("attachment", answer.headers["Content-Disposition"])
        part = self.server.call("GET", self.root + "/a%20b/%C3%B6.bin", as_="ana", headers={"Range": "bytes=100-199"})
        self.assertEqual((part.status, part.bytes), (206, data[100:200]))
        again = self.server.call("GET", f"/get-artifact?run_id={self.run}&path=a%20b/%C3%B6.bin", as_="ana")
        self.assertEqual(again.bytes, data)

    def test_a_page_that_somebody_logged_is_not_shown_as_one(self):
        self.put(self.root + "/x.html", b"<script>alert(1)</script>")
        for path in (self.root + "/x.html", f"/get-artifact?run_id={self.run}&path=x.html"):
            answer = self.server.call("GET", path, as_="ana")
            self.assertEqual(answer.headers["Content-Type"], "application/octet-stream")
            self.assertIn("attachment", answer.headers["Content-Disposition"])
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")

    def test_who_may(self):
        self.assertEqual(self.put(self.root + "/x", b"1").status, 200)
        self.refused(self.server.call("GET", self.root + "/x", as_=None), 401)
        self.refused(self.put(self.root + "/x", b"2", "ben"), 403)
        self.assertEqual(self.server.call("GET", self.root + "/x", as_="ben").bytes, b"1")

    def test_a_digest_that_does_not_hold_keeps_nothing(self):
        answer = self.put(f"{self.root}/x?digest={'0' * 64}", b"1")
        self.assertGreaterEqual(answer.status, 400)
        self.refused(self.server.call("GET", self.root + "/x", as_="ana"), 404)
        self.assertEqual(self.put(f"{self.root}/x?digest={hashlib.sha256(b'1').hexdigest()}", b"1").status, 200)

    def test_too_large(self):
        raw = self.raw("PUT", self.root + "/x", b"x" * 10).split(b" ", 2)[1]
        self.assertEqual(raw, b"200")
        head = (f"PUT {self.root}/y HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.server.token('ana')}\r\n"
                f"Content-Length: 100000000000\r\nConnection: close\r\n\r\n").encode()
        self.assertIn(b" 413 ", self.server.raw(head))

    def test_an_upload_that_breaks_off_leaves_no_path(self):
        head = (f"PUT {self.root}/torn HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.server.token('ana')}\r\n"
                f"Content-Length: 1000\r\n\r\n").encode()
        with harness.socket.create_connection(("127.0.0.1", self.server.port)) as sock:
            sock.sendall(head + b"x" * 500)
        self.refused(self.server.call("GET", self.root + "/torn", as_="ana"), 404)

    def test_parts_are_declined_in_the_words_that_clients_know(self):
        answer = self.server.call("POST", "/api/2.0/mlflow-artifacts/mpu/create/0/x", {}, "ana")
        self.refused(answer, 400, text="Multipart upload is not supported")
        self.assertTrue(answer.json["message"].startswith("Multipart upload is not supported for the current artifact repository"))

    def test_sources_of_other_machines_are_no_location(self):
        for location in ("file:///etc", "s3://bucket", "/etc", "http://169.254.169.254/", "mlflow-artifacts:/../x"):
            answer = self.server.call("POST", "/api/2.0/mlflow/experiments/create", {"name": location, "artifact_location": location},
                                      "ana")
            self.refused(answer, 400, text="artifact_location")


class Registered(harness.ServerTest):
    def test_files_of_a_version(self):
        self.server.register("pump")
        files = self.server.call("GET", BASE + "?path=models/pump/1", as_="ana").json["files"]
        self.assertIn({"path": "model", "is_dir": True}, files)
        (one, *_) = self.server.call("GET", BASE + "?path=models/pump/1/model", as_="ana").json["files"]
        answer = self.server.call("GET", f"{BASE}/models/pump/1/model/{one['path']}", as_="ana")
        self.assertEqual((answer.status, len(answer.bytes)), (200, one["file_size"]))
        for method in ("PUT", "DELETE"):
            answer = self.server.call(method, f"{BASE}/models/pump/1/model/{one['path']}", b"x" if method == "PUT" else None, "ana")
            self.assertEqual((answer.status, answer.json["error_code"]), (400, "INVALID_PARAMETER_VALUE"))
        for path in ("models", "models/pump", "models/pump/9", "models/none/1", "models/pump/1/../1", "models/pump/x", "models/pump/1/model/no"):
            self.assertIn(self.server.call("GET", BASE + "?path=" + path, as_="ana").status, (400, 404, 200), path)
        self.assertEqual(self.server.call("GET", f"{BASE}/models/pump/1/model/no", as_="ana").status, 404)

    def test_what_a_run_logged_is_registered_by_its_source(self):
        call = self.server.call
        run = call("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0"}).json["run"]["info"]["run_id"]
        data = harness.onnx_model()
        call("PUT", f"{BASE}/0/{run}/artifacts/net/model.onnx", data)
        call("PUT", f"{BASE}/0/{run}/artifacts/net/MLmodel", b"flavors: {}")
        settled = "/api/v1/audit?filter=action%3D'settle.artifacts'"
        before = len(call("GET", settled, None, "ben").json["records"])
        answer = call("POST", "/api/v1/models/net/versions", {"source": f"runs:/{run}/net", "tags": {"a": "b"}})
        self.check(answer, 201)
        version = call("GET", "/api/v1/models/net/versions/1").json
        self.assertEqual(sorted(file["name"] for file in version["files"]), ["model/MLmodel", "model/model.onnx"])
        self.assertEqual(version["format"], "onnx")
        graph = call("GET", "/api/v1/lineage?node=net/1&direction=up").json
        self.assertIn(f"run:{run}", [node["node"] for node in graph["nodes"]])
        self.assertEqual(len(call("GET", settled, None, "ben").json["records"]), before + 1)
        for source in ("file:///etc/passwd", "/etc", "s3://b/x", f"runs:/{run}/../x", "http://127.0.0.1:1/x", "models:/net/1"):
            self.check(call("POST", "/api/v1/models/net/versions", {"source": source}), 400, "invalid", field="source")
        self.check(call("POST", "/api/v1/models/net/versions", {"source": f"runs:/{run}/none"}), 404, "not_found", field="source")
        self.check(call("POST", "/api/v1/models/net/versions", {"source": f"runs:/{run}/net", "files": []}), 400, "invalid")

    def test_things_keep_the_ids_that_they_had_elsewhere(self):
        call = self.server.call
        run, model = "0123456789abcdef" * 2, "m-" + "fedcba9876543210" * 2
        self.check(call("PUT", f"/api/v1/mirror/runs/{run}", {"experiment_id": "0", "name": "old", "start_time": 5}), 201)
        again = self.check(call("PUT", f"/api/v1/mirror/runs/{run}", {"experiment_id": "0", "name": "other"}), 200).json["run"]
        self.assertEqual((again["info"]["run_name"], again["info"]["start_time"]), ("old", 5))
        self.check(call("PUT", "/api/v1/mirror/runs/xyz", {"experiment_id": "0"}), 400, "invalid")
        body = {"experiment_id": "0", "name": "net", "source_run_id": run, "params": [{"key": "a", "value": "1"}]}
        self.check(call("PUT", f"/api/v1/mirror/logged-models/{model}", body), 201)
        self.check(call("PUT", f"/api/v1/mirror/logged-models/{model}", body), 200)
        self.check(call("PUT", f"/api/v1/mirror/logged-models/{model}x", body), 400, "invalid")
        digest = self.server.upload(b"weights")
        self.check(call("POST", "/api/v1/mirror/artifacts", {"path": f"0/models/{model}/artifacts/w", "digest": digest}), 200)
        self.assertEqual(call("GET", f"{BASE}/0/models/{model}/artifacts/w").bytes, b"weights")
        self.check(call("POST", "/api/v1/mirror/artifacts", {"path": f"0/{run}/artifacts/../x", "digest": digest}), 400, "invalid")
        self.check(call("POST", "/api/v1/mirror/artifacts", {"path": f"0/{run}/artifacts/x", "digest": "0" * 64}), 404, "not_found")
        self.check(call("POST", "/api/v1/models/kept/versions", {"source": f"models:/{model}"}), 201)


if __name__ == "__main__":
    harness.main()
