"""Models logged by their flavours and loaded back, without registering them.

SPDX-License-Identifier: Apache-2.0
"""
import unittest

import case
import mlflow


def fitted():
    from sklearn.linear_model import LogisticRegression
    return LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


class LogModel(case.MlflowTest):
    def setUp(self):
        super().setUp()
        mlflow.set_experiment(self.id())

    def test_sklearn(self):
        import pandas
        from mlflow.models import infer_signature

        model = fitted()
        example = pandas.DataFrame({"x": [0.5]})
        with mlflow.start_run() as run:
            name = {"name": "net"} if case.VERSION >= (3, 0) else {"artifact_path": "net"}
            info = mlflow.sklearn.log_model(model, signature=infer_signature(example, [0]), **name)
        loaded = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/net")
        self.assertEqual(list(loaded.predict([[0.0], [3.0]])), [0, 1])
        self.assertEqual(list(mlflow.pyfunc.load_model(info.model_uri).predict(example)), [0])
        if case.VERSION < (3, 0):
            self.assertIn("net", mlflow.get_run(run.info.run_id).data.tags["mlflow.log-model.history"])

    @unittest.skipIf(case.VERSION < (3, 0), "logged models came with MLflow 3")
    def test_a_logged_model_by_its_id(self):
        with mlflow.start_run():
            info = mlflow.sklearn.log_model(fitted(), name="net", params={"C": 1.0})
        seen = mlflow.get_logged_model(info.model_id)
        self.assertEqual((str(seen.status), seen.params), ("READY", {"C": "1.0"}))
        loaded = mlflow.sklearn.load_model(f"models:/{info.model_id}")
        self.assertEqual(list(loaded.predict([[3.0]])), [1])

    @unittest.skipIf(case.VERSION < (3, 0), "onnx stands in the newer environment only")
    def test_onnx(self):
        import onnx
        from onnx import TensorProto, helper

        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        with mlflow.start_run():
            info = mlflow.onnx.log_model(model, name="relu")
        self.assertEqual(mlflow.onnx.load_model(info.model_uri), model)
        onnx.checker.check_model(mlflow.onnx.load_model(info.model_uri))


if __name__ == "__main__":
    case.main()
