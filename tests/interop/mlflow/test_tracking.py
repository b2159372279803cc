"""Experiments, runs, metrics, parameters, datasets and searches, as a training script types them.

SPDX-License-Identifier: Apache-2.0
"""
import json
import math
import unittest

import case
import mlflow
from mlflow.entities import Metric, Param, RunTag, ViewType


class Tracking(case.MlflowTest):
    def experiment(self):
        return mlflow.set_experiment(self.id()).experiment_id

    def test_a_training_script(self):
        experiment_id = self.experiment()
        with mlflow.start_run(run_name="first", tags={"plant": "oslo"}, description="a try") as run:
            mlflow.log_param("depth", 3)
            mlflow.log_params({"lr": 0.01, "kind": "tree"})
            for step in range(5):
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
            mlflow.log_metrics({"auc": 0.9, "odd": math.nan, "top": math.inf})
            mlflow.set_tag("note", "täg")
            mlflow.delete_tag("plant")
        seen = mlflow.get_run(run.info.run_id)
        self.assertEqual(seen.info.status, "FINISHED")
        self.assertEqual(seen.info.experiment_id, experiment_id)
        self.assertGreaterEqual(seen.info.end_time, seen.info.start_time)
        self.assertEqual(seen.data.params, {"depth": "3", "lr": "0.01", "kind": "tree"})
        self.assertEqual(seen.data.metrics["loss"], 0.2)
        self.assertTrue(math.isnan(seen.data.metrics["odd"]))
        self.assertEqual(seen.data.metrics["top"], math.inf)
        self.assertEqual(seen.data.tags["note"], "täg")
        self.assertEqual(seen.data.tags["mlflow.runName"], "first")
        self.assertNotIn("plant", seen.data.tags)
        history = self.client.get_metric_history(run.info.run_id, "loss")
        self.assertEqual([point.step for point in sorted(history, key=lambda one: one.step)], [0, 1, 2, 3, 4])
        self.assertEqual(self.client.get_metric_history(run.info.run_id, "none"), [])

    def test_a_parameter_never_changes(self):
        self.experiment()
        with mlflow.start_run() as run:
            mlflow.log_param("lr", 1)
            mlflow.log_param("lr", 1)
            with self.assertRaises(mlflow.exceptions.MlflowException) as caught:
                mlflow.log_param("lr", 2)
            self.assertIn("Changing param values is not allowed", str(caught.exception))
        self.assertEqual(self.client.get_run(run.info.run_id).data.params, {"lr": "1"})

    def test_a_batch(self):
        run = self.client.create_run(self.experiment(), tags={"a": "b"})
        self.client.log_batch(run.info.run_id, [Metric("m", float(i), 1000 + i, i) for i in range(900)],
                              [Param("p", "1")], [RunTag("t", "2")])
        self.assertEqual(len(self.client.get_metric_history(run.info.run_id, "m")), 900)
        self.client.set_terminated(run.info.run_id, "FAILED")
        seen = self.client.get_run(run.info.run_id)
        self.assertEqual((seen.info.status, seen.data.params, seen.data.tags["t"]), ("FAILED", {"p": "1"}, "2"))

    def test_life_of_an_experiment(self):
        name = self.id()
        experiment_id = self.client.create_experiment(name, tags={"team": "pumps"})
        self.refused("RESOURCE_ALREADY_EXISTS", self.client.create_experiment, name)
        self.assertEqual(self.client.get_experiment_by_name(name).tags, {"team": "pumps"})
        self.assertIsNone(self.client.get_experiment_by_name("nobody's"))
        self.client.set_experiment_tag(experiment_id, "team", "fans")
        self.client.rename_experiment(experiment_id, name + " 2")
        run = self.client.create_run(experiment_id)
        self.client.delete_experiment(experiment_id)
        self.assertEqual(self.client.get_experiment(experiment_id).lifecycle_stage, "deleted")
        self.assertEqual(self.client.get_run(run.info.run_id).info.lifecycle_stage, "deleted")
        self.refused("INVALID_PARAMETER_VALUE", self.client.log_metric, run.info.run_id, "m", 1.0)
        self.client.restore_experiment(experiment_id)
        seen = self.client.get_experiment(experiment_id)
        self.assertEqual((seen.name, seen.tags, seen.lifecycle_stage), (name + " 2", {"team": "fans"}, "active"))
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.get_experiment, "99999")
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.get_run, "0" * 32)

    def test_finding_experiments(self):
        for i in range(5):
            self.client.create_experiment(f"{self.id()} {i}", tags={"i": str(i)})
        found = self.client.search_experiments(filter_string=f"name LIKE '{self.id()} %' AND tags.i != '3'",
                                               order_by=["name DESC"])
        self.assertEqual([one.tags["i"] for one in found], ["4", "2", "1", "0"])
        first = self.client.search_experiments(max_results=2, filter_string=f"name LIKE '{self.id()} %'")
        rest = self.client.search_experiments(max_results=9, filter_string=f"name LIKE '{self.id()} %'",
                                              page_token=first.token)
        self.assertEqual(len({one.experiment_id for one in first} | {one.experiment_id for one in rest}), 5)
        self.client.delete_experiment(found[0].experiment_id)
        gone = self.client.search_experiments(view_type=ViewType.DELETED_ONLY, filter_string=f"name = '{found[0].name}'")
        self.assertEqual(len(gone), 1)

    def test_finding_runs(self):
        experiment_id = self.experiment()
        for i in range(6):
            with mlflow.start_run(run_name=f"run {i}"):
                mlflow.log_metric("auc", 0.5 + i / 10)
                mlflow.log_param("kind", "tree" if i % 2 else "net")
                mlflow.set_tag("plant", "oslo" if i < 4 else "bergen")
        search = self.client.search_runs

        def names(filter_string="", **named):
            return [run.info.run_name for run in search([experiment_id], filter_string, **named)]
        self.assertEqual(names("metrics.auc >= 0.7 AND params.kind = 'tree'", order_by=["metrics.auc DESC"]),
                         ["run 5", "run 3"])
        self.assertEqual(names("tags.plant = 'bergen' AND attributes.status = 'FINISHED'", order_by=["start_time ASC"]),
                         ["run 4", "run 5"])
        self.assertEqual(names("run_name LIKE '%3'"), ["run 3"])
        self.assertEqual(names("tags.`mlflow.runName` = 'run 2'"), ["run 2"])
        self.assertEqual(names("params.kind ILIKE 'TR%'", order_by=["params.kind", "attributes.start_time DESC"])[0], "run 5")
        page = search([experiment_id], max_results=4, order_by=["metrics.auc"])
        rest = search([experiment_id], max_results=4, order_by=["metrics.auc"], page_token=page.token)
        self.assertEqual([run.info.run_name for run in list(page) + list(rest)], [f"run {i}" for i in range(6)])
        self.client.delete_run(page[0].info.run_id)
        self.assertEqual(len(names()), 5)
        self.assertEqual(names(run_view_type=ViewType.DELETED_ONLY), ["run 0"])
        self.client.restore_run(page[0].info.run_id)
        self.assertEqual(len(names(run_view_type=ViewType.ALL)), 6)
        one = page[0].info.run_id
        self.assertEqual(names(f"attributes.run_id IN ('{one}', '{'0' * 32}')"), ["run 0"])
        self.refused("INVALID_PARAMETER_VALUE", search, [experiment_id], "metrics.auc >> 1")

    def test_all_runs_as_a_table(self):
        experiment_id = self.experiment()
        for i in range(3):
            with mlflow.start_run():
                mlflow.log_metric("m", i)
        table = mlflow.search_runs([experiment_id], order_by=["metrics.m DESC"])
        self.assertEqual(list(table["metrics.m"]), [2.0, 1.0, 0.0])

    def test_nested_runs(self):
        experiment_id = self.experiment()
        with mlflow.start_run() as parent:
            with mlflow.start_run(nested=True) as child:
                pass
        found = self.client.search_runs([experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
        self.assertEqual([run.info.run_id for run in found], [child.info.run_id])
        self.assertEqual(self.client.get_parent_run(child.info.run_id).info.run_id, parent.info.run_id)

    def test_datasets_become_lineage(self):
        import pandas

        self.experiment()
        data = mlflow.data.from_pandas(pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), name="vibration", targets="b")
        with mlflow.start_run() as run:
            mlflow.log_input(data, context="training")
        (seen,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
        self.assertEqual((seen.dataset.name, seen.dataset.digest), ("vibration", data.digest))
        self.assertEqual([(tag.key, tag.value) for tag in seen.tags], [("mlflow.data.context", "training")])
        self.assertIn("mlflow_colspec", json.loads(seen.dataset.schema))
        found = self.client.search_runs([run.info.experiment_id], "dataset.name = 'vibration' AND datasets.context = 'training'")
        self.assertEqual([one.info.run_id for one in found], [run.info.run_id])
        graph = self.server.call("GET", f"/api/v1/lineage?node=run:{run.info.run_id}&direction=up").json
        self.assertIn(f"dataset:vibration@{data.digest}", [node["node"] for node in graph["nodes"]])

    @unittest.skipIf(case.VERSION < (3, 0), "logged models came with MLflow 3")
    def test_logged_models(self):
        experiment_id = self.experiment()
        with mlflow.start_run() as run:
            model = mlflow.initialize_logged_model(name="net", params={"depth": "3"}, tags={"a": "b"}, source_run_id=run.info.run_id)
            mlflow.log_metric("auc", 0.75, step=2, model_id=model.model_id)
            mlflow.log_outputs([mlflow.entities.LoggedModelOutput(model.model_id, 2)])
            mlflow.finalize_logged_model(model.model_id, "READY")
        seen = mlflow.get_logged_model(model.model_id)
        self.assertEqual((seen.name, seen.params, seen.source_run_id), ("net", {"depth": "3"}, run.info.run_id))
        self.assertEqual(str(seen.status), "READY")
        self.assertEqual([(one.key, one.value) for one in seen.metrics], [("auc", 0.75)])
        mlflow.set_logged_model_tags(model.model_id, {"c": "d e"})
        mlflow.delete_logged_model_tag(model.model_id, "a")
        self.assertEqual(mlflow.get_logged_model(model.model_id).tags["c"], "d e")
        self.assertNotIn("a", mlflow.get_logged_model(model.model_id).tags)
        found = mlflow.search_logged_models([experiment_id], "params.depth = '3' AND metrics.auc > 0.5",
                                            order_by=[{"field_name": "metrics.auc", "ascending": False}], output_format="list")
        self.assertEqual([one.model_id for one in found], [model.model_id])
        self.assertEqual([one.model_id for one in mlflow.get_run(run.info.run_id).outputs.model_outputs], [model.model_id])
        self.client.delete_logged_model(model.model_id)
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.get_logged_model, model.model_id)

    def test_who_may_not_write(self):
        experiment_id = self.experiment()
        self.log_in("ben")
        client = mlflow.MlflowClient()
        self.assertEqual(len(client.search_runs([experiment_id])), 0)
        self.refused("PERMISSION_DENIED", client.create_run, experiment_id)


if __name__ == "__main__":
    case.main()
