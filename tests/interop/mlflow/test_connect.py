"""The client finds the server, and its mistakes come back as MLflow's own errors.

SPDX-License-Identifier: Apache-2.0
"""
import case
import requests


class Connect(case.MlflowTest):
    def test_health_and_version(self):
        base = f"http://127.0.0.1:{self.server.port}"
        self.assertEqual(requests.get(base + "/health", timeout=10).text, "OK")
        self.assertRegex(requests.get(base + "/version", timeout=10).text, r"^3\.")

    def test_what_is_not_served_says_so(self):
        from mlflow.utils.rest_utils import http_request, verify_rest_response

        creds = self.client._tracking_client.store.get_host_creds()
        answer = http_request(creds, "/api/2.0/mlflow/gateway-proxy", "GET")
        self.refused("ENDPOINT_NOT_FOUND", verify_rest_response, answer, "/api/2.0/mlflow/gateway-proxy")


if __name__ == "__main__":
    case.main()
