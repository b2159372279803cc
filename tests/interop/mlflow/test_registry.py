"""The registry chapters of MLflow's documentation, as its user types them.

SPDX-License-Identifier: Apache-2.0
"""
import os
import tempfile
import warnings

import case
import mlflow
from mlflow.entities.model_registry import ModelVersion

warnings.filterwarnings("ignore", category=FutureWarning)

S3 = "s3://plant/models/pump"  # words: nobody fetches it


class Registry(case.MlflowTest):
    def model(self, name, versions=0, **more):
        self.client.create_registered_model(name, **more)
        for _ in range(versions):
            self.client.create_model_version(name, S3)
        return name

    def names(self, filter_string=None, **more):
        return [m.name for m in self.client.search_registered_models(filter_string=filter_string, **more)]

    # ---- models ----

    def test_a_model_from_its_making_to_its_end(self):
        made = self.client.create_registered_model("forest", tags={"team": "pumps"}, description="first words")
        self.assertEqual((made.name, made.tags, made.description), ("forest", {"team": "pumps"}, "first words"))
        self.assertIn("forest", self.refused("RESOURCE_ALREADY_EXISTS", self.client.create_registered_model, "forest"))
        self.client.update_registered_model("forest", "second words")
        self.client.set_registered_model_tag("forest", "task", "classification")
        self.client.delete_registered_model_tag("forest", "team")
        got = self.client.get_registered_model("forest")
        self.assertEqual((got.description, got.tags), ("second words", {"task": "classification"}))
        self.assertGreaterEqual(got.last_updated_timestamp, got.creation_timestamp)
        self.client.create_model_version("forest", S3)
        self.client.rename_registered_model("forest", "forest-100")
        self.assertEqual(self.client.get_registered_model("forest-100").latest_versions[0].version, "1")
        self.assertEqual(self.client.get_model_version("forest-100", "1").name, "forest-100")
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.get_registered_model, "forest")
        self.client.delete_registered_model("forest-100")
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.get_registered_model, "forest-100")
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.delete_registered_model, "forest-100")
        self.model("forest-100")
        self.assertEqual(self.client.create_model_version("forest-100", S3).version, "2", "numbers are never used again")

    def test_names_that_are_none(self):
        for name in ("", "a/b", "..", "a b", "x" * 200, "a\nb"):
            with self.subTest(name):
                self.refused("INVALID_PARAMETER_VALUE", self.client.create_registered_model, name)

    # ---- versions ----

    def test_a_version_from_its_making_to_its_end(self):
        self.model("kiln")
        made = self.client.create_model_version("kiln", S3, tags={"k": "v"}, description="words", run_link="http://ci/7")
        self.assertEqual((made.version, made.status, made.current_stage, made.source, made.tags, made.description, made.run_link),
                         ("1", "READY", "None", S3, {"k": "v"}, "words", "http://ci/7"))
        self.client.update_model_version("kiln", "1", "other words")
        self.client.set_model_version_tag("kiln", "1", "validated", "yes")
        self.client.delete_model_version_tag("kiln", "1", "k")
        self.client.delete_model_version_tag("kiln", "1", "never-there")
        got = self.client.get_model_version("kiln", "1")
        self.assertEqual((got.description, got.tags), ("other words", {"validated": "yes"}))
        self.client.delete_model_version("kiln", "1")
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.get_model_version, "kiln", "1")
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.get_model_version, "kiln", "9")
        self.assertEqual(self.client.search_model_versions("name='kiln'"), [])
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.create_model_version, "nobody", S3)

    def test_hostile_sources(self):
        self.model("gate")
        for source in ("/etc/passwd", "file:///etc/passwd", "file:/etc", "./x", "../../etc", "mlruns/0/m", "C:\\x", "\\\\host\\x",
                       "s3://b/../../x", "s3://b/%2e%2e/x", "s3://b/x#y", "s3://b/x?y=z", "S3:x", "s3:///../etc", "ftp://x/y",
                       "gopher://x", "http://169.254.169.254/latest", "https://evil.example/x", "http://127.0.0.1:22/x",
                       "mlflow-artifacts:/../../etc", "mlflow-artifacts:/%2e%2e/x", "mlflow-artifacts://evil.example/x",
                       "runs:/../x", "runs:/" + 32 * "a" + "/../../x", "models:/gate/../1", "models:/m-..", "models://evil/x/1",
                       "dbfs:/x", "javascript:alert(1)", "a" * 5000, "s3://x y", "s3://x\ty", "jar:file:/x!/y", "//evil/x"):
            with self.subTest(source):
                code = case.MlflowException
                with self.assertRaises(code) as caught:
                    self.client._get_registry_client().store.create_model_version("gate", source)
                self.assertIn(caught.exception.error_code, ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"), caught.exception)
        self.assertEqual(self.client.search_model_versions("name='gate'"), [])

    # ---- aliases ----

    def test_aliases(self):
        self.model("pump", 3)
        self.client.set_registered_model_alias("pump", "Champ-1", "2")
        self.client.set_registered_model_alias("pump", "Champ-1", "2")
        self.assertEqual(self.client.get_model_version_by_alias("pump", "Champ-1").version, "2")
        self.assertEqual(self.client.get_model_version("pump", "2").aliases, ["Champ-1"])
        self.assertEqual(self.client.get_registered_model("pump").aliases, {"Champ-1": "2"})
        self.client.set_registered_model_alias("pump", "Champ-1", "3")
        self.assertEqual(self.client.get_registered_model("pump").aliases, {"Champ-1": "3"})
        self.client.delete_registered_model_alias("pump", "Champ-1")
        self.client.delete_registered_model_alias("pump", "Champ-1")
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.get_model_version_by_alias, "pump", "Champ-1")
        self.refused("RESOURCE_DOES_NOT_EXIST", self.client.set_registered_model_alias, "pump", "x", "77")
        self.refused("PERMISSION_DENIED", self.client.set_registered_model_alias, "pump", "champion", "1")

    # ---- stages ----

    def test_stages(self):
        self.model("fan", 3)
        self.client.transition_model_version_stage("fan", "1", "Production")
        self.client.transition_model_version_stage("fan", "2", "production", archive_existing_versions=True)
        stages = {v.version: v.current_stage for v in self.client.search_model_versions("name='fan'")}
        self.assertEqual(stages, {"1": "Archived", "2": "Production", "3": "None"})
        latest = {v.current_stage: v.version for v in self.client.get_latest_versions("fan")}
        self.assertEqual(latest, {"Archived": "1", "Production": "2", "None": "3"})
        self.assertEqual([v.version for v in self.client.get_latest_versions("fan", ["Production"])], ["2"])
        self.refused("INVALID_PARAMETER_VALUE", self.client.transition_model_version_stage, "fan", "1", "Shipped")

    # ---- search ----

    def test_searching_models(self):
        for name, tags in (("s-alpha", {"team": "a"}), ("s-beta", {"team": "b"}), ("s-gamma", {})):
            self.model(name, tags=tags)
        self.assertEqual(self.names("name LIKE 's-%'"), ["s-alpha", "s-beta", "s-gamma"])
        self.assertEqual(self.names("name ILIKE 'S-%' AND tags.team = 'a'"), ["s-alpha"])
        self.assertEqual(self.names("name LIKE 's-%' AND tag.`team` != 'a'"), ["s-beta"])
        self.assertEqual(self.names("name LIKE 's-%'", order_by=["name DESC"]), ["s-gamma", "s-beta", "s-alpha"])
        page = self.client.search_registered_models("name LIKE 's-%'", max_results=2)
        rest = self.client.search_registered_models("name LIKE 's-%'", max_results=2, page_token=page.token)
        self.assertEqual([m.name for m in page] + [m.name for m in rest], ["s-alpha", "s-beta", "s-gamma"])
        self.assertFalse(rest.token)
        for bad in ("name ~ 'x'", "name = 'x' OR name = 'y'", "nothing = 'x'", "name = x", "name = 'x"):
            with self.subTest(bad):
                self.refused("INVALID_PARAMETER_VALUE", self.names, bad)
        self.refused("INVALID_PARAMETER_VALUE", self.client.search_registered_models, "name='x'", page_token="forged")

    def test_searching_versions(self):
        self.model("v-one", 2)
        self.model("v-two", 1)
        self.client.set_model_version_tag("v-one", "2", "ok", "yes")
        found = self.client.search_model_versions("name LIKE 'v-%' AND tags.ok = 'yes'")
        self.assertEqual([(v.name, v.version) for v in found], [("v-one", "2")])
        self.assertIsInstance(found[0], ModelVersion)
        found = self.client.search_model_versions("name = 'v-one' AND version_number >= 2")
        self.assertEqual([v.version for v in found], ["2"])
        found = self.client.search_model_versions("name LIKE 'v-%'", order_by=["version_number DESC", "name"])
        self.assertEqual([(v.name, v.version) for v in found], [("v-one", "2"), ("v-one", "1"), ("v-two", "1")])

    # ---- files ----

    def registered_here(self, name):
        """A version that came through this server's own API."""
        return self.server.register(name)

    def test_downloading_what_was_registered_here(self):
        self.registered_here("boiler")
        with tempfile.TemporaryDirectory() as folder:
            path = mlflow.artifacts.download_artifacts("models:/boiler/1", dst_path=folder)
            self.assertEqual(os.listdir(path), ["model.onnx"])
            with open(os.path.join(path, "model.onnx"), "rb") as file:
                self.assertEqual(file.read(), case.harness.onnx_model())
        uri = self.client.get_model_version_download_uri("boiler", "1")
        self.assertTrue(uri.startswith(f"http://127.0.0.1:{self.server.port}/"), uri)

    def test_copying_a_version(self):
        self.registered_here("src")
        copy = self.client.copy_model_version("models:/src/1", "dst")
        self.assertEqual((copy.name, copy.version, copy.source), ("dst", "1", "models:/src/1"))
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(os.listdir(mlflow.artifacts.download_artifacts("models:/dst/1", dst_path=folder)), ["model.onnx"])
        shown = self.server.call("GET", "/api/v1/models/dst/versions/1").json
        self.assertEqual((shown["parent"], shown["format"]), ("src/1", "onnx"))

    # ---- who ----

    def test_who_may_not(self):
        self.log_in("ben", basic=True)
        self.assertIsInstance(self.names(), list)
        self.refused("PERMISSION_DENIED", self.client.create_registered_model, "mine")
        os.environ["MLFLOW_TRACKING_PASSWORD"] = ""
        self.refused("UNAUTHENTICATED", self.client.get_registered_model, "pump")

    def test_a_version_with_words_alone_is_never_packed(self):
        self.model("words", 1)
        answer = self.server.call("POST", "/api/v1/models/words/versions/1/submit", {})
        self.assertEqual((answer.status, answer.json["code"]), (409, "conflict"), answer)

    def test_what_is_pending_is_frozen(self):
        self.registered_here("frozen")
        self.server.submit("frozen/1")
        self.refused("RESOURCE_CONFLICT", self.client.set_model_version_tag, "frozen", "1", "a", "b")
        self.server.approve("frozen/1")
        self.client.set_model_version_tag("frozen", "1", "a", "b")


if __name__ == "__main__":
    case.main()
