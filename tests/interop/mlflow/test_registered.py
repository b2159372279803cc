"""Models logged and registered in one go, loaded by name; prompts: what MLflow's quickstarts do.

SPDX-License-Identifier: Apache-2.0
"""
import os
import tempfile
import unittest

import case
import mlflow

try:
    import onnx
    from onnx import TensorProto, helper
except ImportError:  # stands in the newer environment only
    onnx = None


def fitted():
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


def relu():
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


class Registered(case.MlflowTest):
    def setUp(self):
        super().setUp()
        mlflow.set_experiment(self.id())

    def name(self):
        return {"name": "net"} if case.VERSION >= (3, 0) else {"artifact_path": "net"}

    def shown(self, version):
        return self.server.call("GET", f"/api/v1/models/{version.replace('/', '/versions/')}").json

    def test_sklearn_is_logged_registered_and_loaded_by_name(self):
        with mlflow.start_run() as run:
            mlflow.log_metric("accuracy", 0.9)
            mlflow.sklearn.log_model(fitted(), registered_model_name="iris", serialization_format="cloudpickle", **self.name())
        version = self.client.get_model_version("iris", "1")
        self.assertEqual((version.status, version.run_id), ("READY", run.info.run_id))
        self.client.set_registered_model_alias("iris", "ready", "1")
        for uri in ("models:/iris/1", "models:/iris@ready", "models:/iris/latest"):
            with self.subTest(uri):
                self.assertEqual(list(mlflow.sklearn.load_model(uri).predict([[0.0], [3.0]])), [0, 1])
        shown = self.shown("iris/1")
        self.assertTrue(any(scan["verdict"] != "none" for scan in shown["scans"]), shown)
        answer = self.server.call("POST", "/api/v1/models/iris/versions/1/submit", {})
        self.assertEqual(answer.status, 409, "and never packed")

    @unittest.skipUnless(onnx, "needs onnx")
    def test_onnx_becomes_a_signed_version(self):
        with mlflow.start_run() as run:
            mlflow.onnx.log_model(relu(), registered_model_name="relu", **self.name())
        shown = self.shown("relu/1")
        self.assertEqual((shown["format"], shown["state"]), ("onnx", "draft"))
        self.assertIn("model/MLmodel", [file["name"] for file in shown["files"]])
        self.server.submit("relu/1")
        self.server.approve("relu/1")
        self.assertEqual(self.shown("relu/1")["state"], "approved")
        self.assertEqual(mlflow.onnx.load_model("models:/relu/1"), relu())
        graph = self.server.call("GET", "/api/v1/lineage?node=version:relu/1&direction=up").json
        self.assertTrue(any(run.info.run_id in node["name"] for node in graph["nodes"]), graph)

    def test_a_run_is_registered_afterwards(self):
        with mlflow.start_run() as run:
            mlflow.sklearn.log_model(fitted(), **self.name())
        source = f"runs:/{run.info.run_id}/net"
        made = mlflow.register_model(source, "later", tags={"by": "hand"})
        self.assertEqual((made.name, str(made.version)), ("later", "1"))
        again = mlflow.register_model(source, "later")
        self.assertEqual(str(again.version), "2")
        self.assertEqual(self.client.get_model_version("later", "1").tags, {"by": "hand"})

    def test_a_logged_version_is_loaded_by_alias_by_stage_and_as_a_copy(self):
        with mlflow.start_run():
            mlflow.sklearn.log_model(fitted(), registered_model_name="net", **self.name())
        self.client.set_registered_model_alias("net", "challenger", "1")
        self.client.transition_model_version_stage("net", "1", "staging")
        copy = self.client.copy_model_version("models:/net/1", "net-copy")
        self.assertEqual((copy.name, copy.version), ("net-copy", "1"))
        for uri in ("models:/net@challenger", "models:/net/Staging", "models:/net-copy/1"):
            with self.subTest(uri):
                self.assertEqual(list(mlflow.pyfunc.load_model(uri).predict([[0.0], [3.0]])), [0, 1])

    @unittest.skipUnless(onnx, "needs onnx")
    def test_what_was_registered_stays_when_the_run_is_overwritten(self):
        with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
            path = os.path.join(folder, "model.onnx")
            onnx.save(relu(), path)
            mlflow.log_artifact(path, "net")
            self.client.create_registered_model("still")
            self.client.create_model_version("still", f"runs:/{run.info.run_id}/net", run.info.run_id)
            with open(path, "wb") as file:
                file.write(b"other bytes")
            mlflow.log_artifact(path, "net")
            got = mlflow.artifacts.download_artifacts("models:/still/1", dst_path=os.path.join(folder, "got"))
            self.assertEqual(onnx.load(os.path.join(got, "model.onnx")), relu())


@unittest.skipIf(case.VERSION < (3, 0), "the prompt registry came with MLflow 3")
class Prompts(case.MlflowTest):
    def test_a_prompt_from_its_making_to_its_end(self):
        made = mlflow.genai.register_prompt("summary", "Summarise {{ text }} in {{ n }} words.", commit_message="first",
                                            tags={"task": "summary"})
        self.assertEqual((made.name, made.version), ("summary", 1))
        second = mlflow.genai.register_prompt("summary", "Say {{ text }} shorter. " + "x" * 50000)
        self.assertEqual(second.version, 2)
        self.client.set_prompt_alias("summary", "production", 1)
        loaded = mlflow.genai.load_prompt("prompts:/summary@production")
        self.assertEqual(loaded.format(text="it", n="5"), "Summarise it in 5 words.")
        self.assertEqual(mlflow.genai.load_prompt("prompts:/summary/2").template[:3], "Say")
        self.assertIn("summary", [p.name for p in mlflow.genai.search_prompts()])
        self.assertNotIn("summary", [m.name for m in self.client.search_registered_models()], "a prompt is no model")
        self.client.delete_prompt_alias("summary", "production")
        self.assertIsNone(mlflow.genai.load_prompt("prompts:/summary@production", allow_missing=True))
        self.client.delete_prompt_version("summary", "1")
        self.client.delete_prompt_version("summary", "2")
        self.client.delete_prompt("summary")
        self.assertNotIn("summary", [p.name for p in mlflow.genai.search_prompts()])


if __name__ == "__main__":
    case.main()
