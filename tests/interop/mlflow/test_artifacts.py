"""Artifacts up and down, with directories, names that people use, empty and large files.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os
import tempfile

import case
import mlflow


def write(folder, name, data):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


class Artifacts(case.MlflowTest):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        mlflow.set_experiment(self.id())

    def names(self, run_id, path=None):
        return [(one.path, one.is_dir, one.file_size) for one in self.client.list_artifacts(run_id, path)]

    def test_directories_up_and_down(self):
        files = {"a.txt": b"one", "model/MLmodel": b"flavors: {}", "model/data/weights (1).bin": os.urandom(100000),
                 "model/data/größe.txt": b"x", "empty": b""}
        for name, data in files.items():
            write(self.folder.name, name, data)
        with mlflow.start_run() as run:
            mlflow.log_artifacts(self.folder.name)
        run_id = run.info.run_id
        self.assertEqual(self.names(run_id), [("a.txt", False, 3), ("empty", False, 0), ("model", True, None)])
        self.assertEqual(self.names(run_id, "model"), [("model/MLmodel", False, 11), ("model/data", True, None)])
        self.assertEqual(self.names(run_id, "a.txt"), [])
        with tempfile.TemporaryDirectory() as target:
            self.client.download_artifacts(run_id, "", target)
            for name, data in files.items():
                with open(os.path.join(target, name), "rb") as file:
                    self.assertEqual(file.read(), data, name)
        with tempfile.TemporaryDirectory() as target:
            local = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/model/data", dst_path=target)
            self.assertEqual(sorted(os.listdir(local)), ["größe.txt", "weights (1).bin"])

    def test_one_file_text_and_dict(self):
        path = write(self.folder.name, "x.csv", b"a,b\n1,2\n")
        with mlflow.start_run() as run:
            mlflow.log_artifact(path, "data/raw")
            mlflow.log_text("hello", "notes/readme.md")
            mlflow.log_dict({"k": [1, 2]}, "config.json")
        uri = run.info.artifact_uri
        self.assertEqual(mlflow.artifacts.load_text(uri + "/notes/readme.md"), "hello")
        self.assertEqual(mlflow.artifacts.load_dict(uri + "/config.json"), {"k": [1, 2]})
        self.assertEqual(self.names(run.info.run_id, "data/raw"), [("data/raw/x.csv", False, 8)])

    def test_writing_again_and_deleting(self):
        with mlflow.start_run() as run:
            mlflow.log_text("one", "a/b.txt")
            mlflow.log_text("two", "a/b.txt")
        self.assertEqual(mlflow.artifacts.load_text(run.info.artifact_uri + "/a/b.txt"), "two")
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        get_artifact_repository(run.info.artifact_uri).delete_artifacts("a")
        self.assertEqual(self.names(run.info.run_id), [])

    def test_a_large_file_is_the_same_on_the_way_back(self):
        block = os.urandom(1 << 20)
        path = write(self.folder.name, "large.bin", block * 48)
        with mlflow.start_run() as run:
            mlflow.log_artifact(path)
        with tempfile.TemporaryDirectory() as target:
            local = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/large.bin", dst_path=target)
            with open(local, "rb") as file:
                self.assertEqual(hashlib.sha256(file.read()).digest(), hashlib.sha256(block * 48).digest())

    def test_parts_are_declined_and_the_client_sends_the_file_whole(self):
        os.environ.update({"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true", "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "6291456",
                           "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": "5242880"})
        try:
            path = write(self.folder.name, "parts.bin", b"x" * (6 << 20))
            with mlflow.start_run() as run:
                mlflow.log_artifact(path)
            self.assertEqual(self.names(run.info.run_id), [("parts.bin", False, 6 << 20)])
        finally:
            for name in ("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE",
                         "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"):
                os.environ.pop(name)

    def test_nothing_of_another_project(self):
        with mlflow.start_run() as run:
            mlflow.log_text("secret", "a.txt")
        answer = self.server.admin("POST", "/api/v1/projects", {"name": "plant-b", "description": ""})
        self.assertIn(answer.status, (200, 201), answer)
        path = f"/api/2.0/mlflow-artifacts/artifacts/{run.info.artifact_uri.split(':/')[1]}/a.txt"
        self.assertEqual(self.server.call("GET", path).bytes, b"secret")
        self.assertEqual(self.server.call("GET", path, headers={"X-MLFLOW-WORKSPACE": "plant-b"}).status, 404)


if __name__ == "__main__":
    case.main()
