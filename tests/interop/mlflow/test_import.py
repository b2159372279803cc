"""`tidemark import mlflow` from a real MLflow server on SQLite: everything comes over, twice is as once, killed is begun again.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import sys
import unittest

import case
import harness
import mlflow
import theirs
from mlflow import MlflowClient


def fill(client):
    """What a team has after a while. Returns the ids of runs."""
    from sklearn.linear_model import LogisticRegression
    import pandas

    mlflow.set_experiment("pumps")
    runs = []
    for i in range(3):
        data = mlflow.data.from_pandas(pandas.DataFrame({"a": [i, 2], "b": [0, 1]}), name="vibration", targets="b")
        with mlflow.start_run(run_name=f"try {i}", tags={"plant": "oslo"}) as run:
            mlflow.log_params({"C": i, "kind": "logistic"})
            for step in range(30):
                mlflow.log_metric("loss", 1 / (step + 1 + i), step=step)
            mlflow.log_input(data, context="training")
            mlflow.log_dict({"i": i}, "notes/config.json")
            mlflow.sklearn.log_model(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), name="net", params={"C": i},
                                     registered_model_name="pump")
        runs.append(run.info.run_id)
    client.set_registered_model_alias("pump", "challenger", "2")
    client.set_registered_model_alias("pump", "champion", "1")
    client.update_registered_model("pump", "finds bad bearings")
    client.set_model_version_tag("pump", "3", "note", "newest")
    client.create_registered_model("empty one")
    with mlflow.start_run(run_name="goes on") as run:
        mlflow.log_metric("m", 1)
    client.update_run(run.info.run_id, status="RUNNING")
    return runs, run.info.run_id


@unittest.skipIf(case.VERSION < (3, 0), "the server stands in the newer environment only")
class Import(case.MlflowTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.theirs = theirs.Theirs(sys.executable, "--workers", "1")
        cls.addClassCleanup(cls.theirs.close)
        harness.wait_for("the MLflow server", cls.theirs.is_up, 120)
        for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            os.environ.pop(name, None)
        mlflow.set_tracking_uri(cls.theirs.uri)
        mlflow.set_registry_uri(cls.theirs.uri)
        cls.their_client = MlflowClient()
        cls.runs, cls.open_run = fill(cls.their_client)

    def command(self, *more):
        return [harness.TIDEMARK, "import", "mlflow", "--from", self.theirs.uri, "--workspace", self.server.workspace, "--as", "ana",
                "--json", *more]

    def run_import(self, *more):
        done = subprocess.run(self.command(*more), capture_output=True, text=True, timeout=200, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_all_of_it(self):
        killed = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for("a first run to come over", lambda: self.client.search_runs([]) is not None and self.has_begun())
        killed.kill()
        killed.wait()
        first = self.run_import()
        self.compare_runs()
        self.compare_models(first)
        again = self.run_import()
        self.assertEqual((again["runs"]["unchanged"], again["versions"]["unchanged"]), (3, 3), again)
        self.assertEqual((again["versions"]["registered"], again["files"], again["aliases"], again["models"]), (0, 0, 0, 0), again)
        self.watch_for_news()

    def has_begun(self):
        try:
            return self.client.get_run(self.runs[0])
        except mlflow.exceptions.MlflowException:
            return None

    def compare_runs(self):
        for run_id in self.runs:
            theirs, ours = self.their_client.get_run(run_id), self.client.get_run(run_id)
            self.assertEqual(ours.data.params, theirs.data.params)
            self.assertEqual(ours.data.metrics, theirs.data.metrics)
            self.assertEqual({key: value for key, value in ours.data.tags.items() if key != "tidemark.mirror"}, theirs.data.tags)
            for name in ("status", "start_time", "end_time", "run_name", "user_id"):
                self.assertEqual(getattr(ours.info, name), getattr(theirs.info, name), name)
            points = [[(one.step, one.value, one.timestamp) for one in client.get_metric_history(run_id, "loss")]
                      for client in (self.their_client, self.client)]
            self.assertEqual(sorted(points[0]), sorted(points[1]))
            self.assertEqual([one.dataset.digest for one in ours.inputs.dataset_inputs],
                             [one.dataset.digest for one in theirs.inputs.dataset_inputs])
            self.assertEqual([one.model_id for one in ours.outputs.model_outputs], [one.model_id for one in theirs.outputs.model_outputs])
            self.assertEqual(mlflow.artifacts.load_dict(f"runs:/{run_id}/notes/config.json"), {"i": self.runs.index(run_id)})
            (model,) = theirs.outputs.model_outputs
            loaded = mlflow.sklearn.load_model(f"models:/{model.model_id}")
            self.assertEqual(list(loaded.predict([[0.0], [5.0]])), [0, 1])
        self.assertEqual(self.client.get_run(self.open_run).info.status, "RUNNING")

    def compare_models(self, result):
        call = self.server.call
        self.assertEqual(call("GET", "/api/v1/models/pump").json["description"], "finds bad bearings")
        versions = call("GET", "/api/v1/models/pump/versions").json["versions"]
        self.assertEqual(sorted(one["version"] for one in versions), [1, 2, 3])
        self.assertEqual(call("GET", "/api/v1/models/pump/versions/3").json["tags"]["note"], "newest")
        self.assertEqual(call("GET", "/api/v1/models/pump/aliases/challenger").json["version"], 2)
        notes = "\n".join(result["notes"])
        self.assertIn("pump@champion", notes)  # an approver moves that one
        self.assertIn("empty one", notes)      # no name that a model can have here
        graph = call("GET", "/api/v1/lineage?node=pump/1&direction=up").json
        kinds = {node["kind"] for node in graph["nodes"]}
        self.assertLessEqual({"version", "run", "dataset"}, kinds)

    def watch_for_news(self):
        watching = subprocess.Popen(self.command("--watch", "--every", "1s"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            watching.stdout.readline()
            late = self.their_client.create_run(self.their_client.get_experiment_by_name("pumps").experiment_id)
            self.their_client.log_metric(late.info.run_id, "m", 7)
            self.their_client.set_terminated(late.info.run_id)

            def came():
                try:
                    return self.client.get_run(late.info.run_id).info.status == "FINISHED"
                except mlflow.exceptions.MlflowException:
                    return False
            harness.wait_for("a run that was made meanwhile", came, 60)
            self.assertEqual(self.client.get_run(late.info.run_id).data.metrics, {"m": 7.0})
        finally:
            watching.kill()
            watching.stdout.close()
            watching.wait()

    def test_a_server_that_is_not_there(self):
        done = subprocess.run([harness.TIDEMARK, "import", "mlflow", "--from", "http://127.0.0.1:1", "--workspace",
                               self.server.workspace, "--as", "ana"], capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no server answers at http://127.0.0.1:1", done.stderr)


if __name__ == "__main__":
    case.main()
