"""MLflow's REST API as bytes: every refusal has its shape, and nothing that lasts is told as something to try again.

SPDX-License-Identifier: Apache-2.0
"""
import harness

NAMES = {400: "INVALID_PARAMETER_VALUE", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST",
         405: "ENDPOINT_NOT_FOUND", 409: "RESOURCE_CONFLICT", 413: "INVALID_PARAMETER_VALUE"}


class WireTest(harness.ServerTest):
    def refused(self, answer, status, name=None, text=None):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(set(answer.json), {"error_code", "message"})
        self.assertEqual(answer.json["error_code"], name or NAMES[status])
        if text:
            self.assertIn(text, answer.json["message"])
        return answer


class Shape(WireTest):
    settings = {"HTTP_BODY_BYTES_MAX": "20000"}

    def test_pages_that_a_client_reads_before_it_logs_in(self):
        call = self.server.call
        self.assertEqual(call("GET", "/health", as_=None).bytes, b"OK")
        self.assertRegex(call("GET", "/version", as_=None).bytes.decode(), r"^\d+\.\d+\.\d+$")
        for path in ("/api/3.0/mlflow/server-info", "/api/2.0/mlflow/server-features"):
            answer = call("GET", path, as_=None)
            self.assertEqual(answer.status, 200)
            self.assertIs(answer.json["workspaces_enabled"], True)

    def test_unknown_routes(self):
        for path in ("/api/2.0/mlflow/traces", "/api/3.0/mlflow/scorers/list", "/api/2.0/nothing/at/all", "/api/2.0/"):
            answer = self.server.call("GET", path)
            self.assertIn(answer.status, (404, 400), path)
            if answer.status == 404:
                self.refused(answer, 404, "ENDPOINT_NOT_FOUND")

    def test_wrong_method(self):
        answer = self.refused(self.server.call("PUT", "/api/3.0/mlflow/server-info", {}), 405)
        self.assertEqual(answer.headers["Allow"], "GET")

    def test_bad_targets_and_hosts(self):
        for target in ("/api/2.0/mlflow/%2e%2e/x", "/api/2.0/mlflow//x", "/api/2.0/mlflow/a%00b", "/api/2.0/mlflow/x?a=%zz"):
            raw = self.server.raw(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            self.assertTrue(raw.startswith(b"HTTP/1.1 400 "), raw)
            self.assertIn(b'"error_code":"INVALID_PARAMETER_VALUE"', raw)
        raw = self.server.raw(b"GET /api/2.0/mlflow/" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertIn(b" 414 ", raw)
        self.assertIn(b'"error_code":"BAD_REQUEST"', raw)
        raw = self.server.raw(b"GET /api/2.0/mlflow/x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        self.assertIn(b" 421 ", raw)
        self.assertIn(b'"error_code":', raw)

    def test_a_workspace_that_cannot_be(self):
        answer = self.server.call("GET", "/api/3.0/mlflow/server-info", headers={"X-MLFLOW-WORKSPACE": "../etc"})
        self.refused(answer, 400, text="X-MLFLOW-WORKSPACE")

    def test_elsewhere_a_query_names_a_thing_once(self):
        self.check(self.server.call("GET", "/api/v1/models?limit=1&limit=2"), 400, "invalid", "limit")


if __name__ == "__main__":
    harness.main()
