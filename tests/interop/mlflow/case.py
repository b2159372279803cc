"""A real server, and the real client of MLflow pointed at it. Run by the Python of a virtual environment that has it.

SPDX-License-Identifier: Apache-2.0
"""
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e", "server"))

os.environ.update({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true",
                   "GIT_PYTHON_REFRESH": "quiet", "MLFLOW_ENABLE_ASYNC_LOGGING": "false"})

import harness  # noqa: E402
import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

VERSION = tuple(int(part) for part in mlflow.__version__.split(".")[:2])


class MlflowTest(harness.ServerTest):
    """One server for all tests of a class; each test is user ana, by bearer token."""

    def setUp(self):
        self.log_in("ana")
        self.client = MlflowClient()

    def log_in(self, user, basic=False):
        """What a user sets before he begins."""
        token = self.server.token(user)
        for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            os.environ.pop(name, None)
        if basic:
            os.environ.update({"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": token})
        else:
            os.environ["MLFLOW_TRACKING_TOKEN"] = token
        mlflow.set_tracking_uri(f"http://127.0.0.1:{self.server.port}")
        mlflow.set_registry_uri(f"http://127.0.0.1:{self.server.port}")

    def refused(self, code, call, *arguments, **named):
        with self.assertRaises(MlflowException) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.error_code, code, caught.exception)
        return str(caught.exception)


main = harness.main
