"""What the tests of the command line share: a server in profile demo, pump data, and typing.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "server"))
from harness import BIN, Server, wait_for  # noqa: E402,F401

ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))


class Done:
    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\nout: {self.out[-800:]}\nerr: {self.err[-800:]}"


class Case(unittest.TestCase):
    """One server a class; `pump/1` is registered where a class asks for it."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.server.start()
        cls.addClassCleanup(cls.server.close)
        cls.data()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.server.folder, *names)

    @classmethod
    def program(cls, name, *arguments):
        done = subprocess.run([os.path.join(BIN, name), *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{name}: {done.stderr}")

    @classmethod
    def data(cls):
        cls.program("pump-data", "--rows", "1500", "--seed", "3", "--out", cls.path("train.csv"))
        cls.program("pump-train", "--data", cls.path("train.csv"), "--epochs", "8", "--out", cls.path("v1"))

    @classmethod
    def type(cls, *arguments, as_=None, **extra):
        """What a person types."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK_")}
        environment.update(extra.pop("environment", {}))
        command = [os.path.join(BIN, "tidemark"), *arguments, "--workspace", cls.server.workspace]
        if as_:
            command += ["--as", as_]
        return Done(subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cls.server.folder,
                                   stdin=subprocess.DEVNULL, check=False))

    def well(self, *arguments, as_=None, **extra):
        done = self.type(*arguments, as_=as_, **extra)
        self.assertEqual(done.code, 0, done)
        return done

    def refused(self, code, sentence, *arguments, as_=None, **extra):
        done = self.type(*arguments, as_=as_, **extra)
        self.assertEqual(done.code, code, done)
        self.assertIn(sentence, done.err)
        self.assertEqual(done.err.count("\n"), 1, "one line says it")
        return done

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def register(self, model="pump", *more):
        return self.well("model", "register", model, self.path("v1/model.onnx"), "--baseline", self.path("v1/reference.csv"),
                         "--dataset", f"vibration={'historian://x'}@{self.path('train.csv')}", "--metrics",
                         self.path("v1/metrics.json"), "--json", *more, as_="ana").json

    def approved(self, model="pump"):
        version = f"{model}/{self.register(model)['version']}"
        self.well("version", "submit", version, as_="ana")
        self.well("version", "approve", version, "--reason", "fine", as_="ben")
        return version
