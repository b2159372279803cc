"""`tidemark import mlflow` from a real MLflow server on SQLite: everything comes over, twice is as once, killed is begun again.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import os
import subprocess
import sys
import unittest

import case
import harness
import mlflow
from gateway import Gateway
from mlflow import MlflowClient
from theirs import Theirs


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
        cls.theirs = Theirs(sys.executable, "--workers", "1")
        cls.addClassCleanup(cls.theirs.close)
        harness.wait_for("the MLflow server", cls.theirs.is_up, 120)
        cls.gateway = Gateway(cls.theirs.port)
        cls.addClassCleanup(cls.gateway.close)
        for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            os.environ.pop(name, None)
        mlflow.set_tracking_uri(cls.theirs.uri)
        mlflow.set_registry_uri(cls.theirs.uri)
        cls.their_client = MlflowClient()
        cls.runs, cls.open_run = fill(cls.their_client)

    def setUp(self):
        super().setUp()
        self.gateway.reset()
        mlflow.set_tracking_uri(self.theirs.uri)  # what a test adds, it adds there
        mlflow.set_registry_uri(self.theirs.uri)

    def secret(self, text):
        path = os.path.join(self.theirs.folder, "secret")
        with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
        return path

    def command(self, *more):
        return [harness.TIDEMARK, "import", "mlflow", "--from", self.gateway.uri, "--workspace", self.server.workspace, "--as", "ana",
                "--json", *more]

    def run_import(self, *more):
        done = subprocess.run(self.command(*more), capture_output=True, text=True, timeout=200, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused_import(self, *more):
        done = subprocess.run(self.command(*more), capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def kill_at(self, requests):
        """An import that is killed when theirs gets that many-th request. False: it was over before."""
        begun = len(self.gateway.paths)
        importing = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.gateway.after = lambda count: importing.kill() if count == begun + requests else None
        ended = importing.wait(100)
        self.gateway.after = lambda count: None
        return ended == -9

    def records(self):
        return self.server.call("GET", "/api/v1/events?order=newest&limit=1").json["records"][0]["seq"]

    def test_all_of_it(self):
        kills = 0
        while self.kill_at(5 + 2 * kills):  # each begins where the one before broke off, and comes further
            kills += 1
        self.assertGreater(kills, 5)
        first = self.run_import()
        self.compare_with_ours()
        self.compare_models(first)
        before = self.records()
        again = self.run_import()
        self.assertEqual((again["runs"]["unchanged"], again["versions"]["unchanged"]), (3, 3), again)
        self.assertEqual((again["versions"]["registered"], again["files"], again["aliases"], again["models"]), (0, 0, 0, 0), again)
        news = self.server.call("GET", f"/api/v1/events?order=newest&limit={max(1, self.records() - before)}").json["records"]
        self.assertEqual(self.records(), before, f"the second one put something on record: {news}")
        self.watch_for_news()

    def compare_with_ours(self):
        mlflow.set_tracking_uri(f"http://127.0.0.1:{self.server.port}")
        mlflow.set_registry_uri(f"http://127.0.0.1:{self.server.port}")
        self.compare_runs()

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
        watching = subprocess.Popen(self.command("--watch", "--every", "1s"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            watching.stdout.readline()
            self.quiet_passes_ask_for_lists(watching)
            late = self.their_client.create_run(self.their_client.get_experiment_by_name("pumps").experiment_id)
            self.their_client.log_metric(late.info.run_id, "m", 7)
            self.their_client.set_terminated(late.info.run_id)
            self.gateway.fail = lambda path: 503  # and theirs is away for a pass
            passed = json.loads(watching.stdout.readline())
            while not any("503" in note for note in passed["notes"]):
                passed = json.loads(watching.stdout.readline())
            self.gateway.reset()
            self.their_client.create_model_version("pump", f"runs:/{self.runs[0]}/notes", self.runs[0])
            self.their_client.set_registered_model_alias("pump", "challenger", "4")
            while json.loads(watching.stdout.readline())["aliases"] == 0:
                pass
            self.assertEqual(self.server.call("GET", "/api/v1/models/pump/aliases/challenger").json["version"], 4)
            self.assertEqual(self.client.get_run(late.info.run_id).info.status, "FINISHED")
            self.assertEqual(self.client.get_run(late.info.run_id).data.metrics, {"m": 7.0})
        finally:
            watching.kill()
            watching.stdout.close()
            watching.wait()

    def quiet_passes_ask_for_lists(self, watching):
        """Where nothing is new: experiments, their runs and logged models, registered models; nothing one by one."""
        watching.stdout.readline()
        begun, files = len(self.gateway.paths), self.records()
        for _ in range(3):
            watching.stdout.readline()
        lists = {path.split("?")[0].rsplit("/mlflow/")[1] for path in self.gateway.paths[begun:]}
        self.assertEqual(lists, {"experiments/search", "runs/search", "logged-models/search", "registered-models/search"})
        self.assertLessEqual(len(self.gateway.paths) - begun, 4 * 6)
        self.assertEqual(self.records(), files)

    def test_who_asks(self):
        self.gateway.authorization = "Bearer right"
        self.assertIn("wants to know who asks: give --from-token-file FILE", self.refused_import())
        told = self.refused_import("--from-token-file", self.secret("wrong"))
        self.assertIn(f"{self.gateway.uri} does not take the token or password that it was shown", told)
        self.assertNotIn("wrong", told)
        self.gateway.authorization = "Basic " + base64.b64encode(b"ana:pa:ss").decode()
        self.assertIn("does not take", self.refused_import("--from-user", "ana", "--from-password-file", self.secret("pass")))
        self.run_import("--from-user", "ana", "--from-password-file", self.secret("pa:ss"))
        self.gateway.authorization = "Bearer right"
        self.run_import("--from-token-file", self.secret("right\n"))
        os.chmod(self.secret("right"), 0o644)
        self.assertIn("can be read by others", self.refused_import("--from-token-file", os.path.join(self.theirs.folder, "secret")))

    def test_errors_of_theirs_are_named(self):
        for path in ("experiments/search", "runs/search", "artifacts/list", "registered-models/search"):
            with self.subTest(path):
                self.gateway.fail = lambda asked, path=path: 500 if path in asked else None
                told = self.refused_import()
                self.assertIn(f"{self.gateway.uri}: the server answered 500 to ", told)
                self.assertIn(path, told)
        self.gateway.reset()
        self.gateway.lie = lambda path, data: data[:-1] if "registered-models/search" in path else data
        self.assertIn(self.gateway.uri, self.refused_import())

    def test_files_that_they_lost(self):
        """The others come over; the run is no version before it is whole."""
        mlflow.set_experiment("broken")
        with mlflow.start_run() as run:
            mlflow.log_text("hello", "deep/er/note.txt")
            mlflow.log_text("here", "deep/here.txt")
        self.their_client.create_registered_model("lost")
        self.their_client.create_model_version("lost", f"runs:/{run.info.run_id}/deep", run.info.run_id)
        self.gateway.fail = lambda path: 500 if "get-artifact" in path and "note.txt" in path else None
        notes = "\n".join(self.run_import()["notes"])
        self.assertIn("artifacts/deep/er/note.txt: " + self.gateway.uri, notes)
        self.assertIn(f"lost/1: it waits for files of runs:/{run.info.run_id}/deep", notes)
        self.assertEqual(self.server.call("GET", "/api/v1/models/lost/versions").json["versions"], [])
        self.gateway.reset()
        self.assertEqual(self.run_import()["versions"]["registered"], 1)
        mlflow.set_tracking_uri(f"http://127.0.0.1:{self.server.port}")
        self.assertEqual(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/deep/er/note.txt"), "hello")
        self.assertEqual(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/deep/here.txt"), "here")

    def test_paths_that_lead_elsewhere_are_left_out(self):
        mlflow.set_experiment("hostile")
        with mlflow.start_run() as run:
            mlflow.log_text("fine", "notes/fine.txt")
        hostile = ["../../up", "/etc/passwd", "notes/../../up", "..", ".", "", "a\\b", "notes/deeper/skipped", "notes/../notes/fine.txt",
                   "notes/fine.txt/", "notes%2Ffine", "notes/\u0007bell", "n" * 2000]

        def lie(path, data):
            if "artifacts/list" not in path or run.info.run_id not in path:
                return data
            answer = json.loads(data)
            folder = "notes/" if "path=notes" in path else ""
            for name in hostile + [folder + name for name in hostile]:
                answer["files"].append({"path": name, "is_dir": False, "file_size": 4})
                answer["files"].append({"path": name, "is_dir": True})
            return json.dumps(answer).encode()
        self.gateway.lie = lie
        begun = len(self.gateway.paths)
        result = self.run_import()
        notes = "\n".join(result["notes"])
        for name in ("../../up", "/etc/passwd", "notes/deeper/skipped"):
            self.assertIn(f'"{name}" is listed in folder', notes)
        self.assertLess(len(self.gateway.paths) - begun, 100, "walked in circles")
        mlflow.set_tracking_uri(f"http://127.0.0.1:{self.server.port}")
        kept = [file.path for file in self.client.list_artifacts(run.info.run_id)]
        kept += [file.path for file in self.client.list_artifacts(run.info.run_id, "notes")]
        self.assertIn("notes/fine.txt", kept)
        self.assertLessEqual(set(kept), {"notes", "notes/fine.txt", "notes%2Ffine"}, kept)
        self.assertEqual(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/fine.txt"), "fine")

    def test_a_server_that_is_not_there(self):
        done = subprocess.run([harness.TIDEMARK, "import", "mlflow", "--from", "http://127.0.0.1:1", "--workspace",
                               self.server.workspace, "--as", "ana"], capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no server answers at http://127.0.0.1:1", done.stderr)


if __name__ == "__main__":
    case.main()
