"""Every command of docs/coming-from.md, in its order, in one workspace with the files that it names.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import shlex
import shutil
import unittest

from case import ROOT, Case
import harness
from test_enrol import secret_of

PAGE = os.path.join(ROOT, "docs", "coming-from.md")
# Whose work it is, by the first words that fit; None: the admin socket.
WHO = (("version approve", "ben"), ("version reject", "ben"), ("alias set pump@champion", "ben"), ("audit", "ben"), ("user", None), ("role", None),
       ("project", None), ("pipeline set", None), ("gate", None), ("", "ana"))


def commands():
    with open(PAGE, encoding="utf-8") as file:
        found = re.findall(r"`(tidemark [^`]+)`", file.read())
    return [command.replace("\\|", "|") for command in found]


class ComingFrom(Case):
    @classmethod
    def data(cls):
        super().data()
        place = cls.server.folder
        os.makedirs(cls.path("mlflow-model"))
        shutil.copy(cls.path("v1/model.onnx"), cls.path("mlflow-model/model.onnx"))
        shutil.copy(cls.path("v1/model.onnx"), place)
        shutil.copy(cls.path("v1/reference.csv"), place)
        shutil.copy(cls.server.path("keys/keyset.bin"), place)
        for name in ("monitor.yaml", "gate.yaml"):
            shutil.copy(os.path.join(ROOT, "examples/pump", name), place)
        files = {"mlflow-model/MLmodel": "flavors:\n  onnx: {data: model.onnx}\n",
                 "model.yml": "$schema: https://azuremlschemas.azureedge.net/latest/model.schema.json\nname: gear\npath: ./mlflow-model\n"
                              "type: mlflow_model\ndescription: Wear of gears\n",
                 "pipeline.yaml": "steps:\n  - {name: train, command: [/bin/true], outputs: [{name: model, path: m.onnx, role: model}]}\n"}
        for name, text in files.items():
            with open(cls.path(name), "w", encoding="utf-8") as file:
                file.write(text)
        cls.enrol("pump-01")

    @classmethod
    def enrol(cls, name):
        server = cls.server
        code, = server.call("POST", "/api/v1/enrolment-codes", {"tags": {"site": "oslo"}}).json["codes"]
        answer = server.device("POST", "/enrol/v1/device", {"code_secret": secret_of(code)[0].hex(), "device": name,
                                                            "csr_pem": harness.make_request(server.folder, name), "hardware": "test",
                                                            "runtimes": ["onnx"]})
        assert answer.status == 201, answer

    def rollout(self):
        """The newest: a rollout's name cannot be known beforehand."""
        rollouts = self.server.call("GET", "/api/v1/rollouts").json["rollouts"]
        return rollouts[0]["id"] if rollouts else "none"

    def test_every_command(self):
        tried = commands()
        self.assertGreater(len(tried), 60)
        for command in tried:
            if command == "tidemark serve":
                continue  # it runs already
            words = shlex.split(command.replace("r-0123456789abcdef", self.rollout()))[1:]
            text = command.split(" ", 1)[1]
            as_ = next(who for start, who in WHO if text.startswith(start))
            with self.subTest(command):
                done = self.type(*words, as_=as_)
                self.assertEqual(done.code, 0, f"{command}: {done}")
                self.assertNotIn("warning", done.err)


if __name__ == "__main__":
    unittest.main(verbosity=1)
