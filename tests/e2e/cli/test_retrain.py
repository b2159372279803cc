"""The worker by the command line: a pipeline from its start to a version, and steps that go wrong.

SPDX-License-Identifier: Apache-2.0
"""
import os
import unittest

from case import BIN, ROOT, Case, wait_for


class Retrain(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls("runTest")
        case.approved("pump")
        cls.program("pump-data", "--regime", "1", "--rows", "1500", "--seed", "5", "--out", cls.path("2026-02.csv"))
        cls.program("pump-data", "--regime", "1", "--rows", "1000", "--seed", "6", "--out", cls.path("2026-02-holdout.csv"))
        case.well("gate", "set", "pump-gate", "-f", os.path.join(ROOT, "examples/pump/gate.yaml"), as_="ana")

    def runTest(self):
        """unittest wants a method to make a case outside of a test."""

    def run_pipeline(self, name, text):
        self.well("pipeline", "set", name, "-f", self.write(name + ".yaml", text), as_="ana")
        run = self.well("pipeline", "run", name, "--parent", "pump/1", "--reason", "a test", "--json", as_="ana").json["run"]
        self.caged = "no Landlock" not in self.well("worker", "--once", "--jobs", self.path("jobs"), as_="worker").err

        def ended():
            shown = self.well("run", "show", run, "--json", as_="ana").json
            return shown if shown["state"] in ("registered", "failed", "rejected") else None

        return wait_for(f"{run} to end", ended)

    def test_from_start_to_version(self):
        with open(os.path.join(ROOT, "examples/pump/pipeline.yaml"), encoding="utf-8") as file:
            text = file.read().replace("@BIN@", BIN).replace("@DATA@", self.server.folder)
        run = self.run_pipeline("retrain", text)
        self.assertEqual(run["state"], "registered", run)
        version = self.well("version", "show", f"pump/{run['version']}", "--json", as_="ana").json
        self.assertEqual((version["parent"], version["cause"]), ("pump/1", run["run"]))
        tree = self.well("lineage", "show", f"pump/{run['version']}", "--up", as_="ana").out
        for piece in ("version pump/1", run["run"], "historian://plants/2026-02@", "historian://x", "gate pump-gate"):
            self.assertIn(piece, tree)
        self.assertEqual(os.listdir(self.path("jobs")), [])

    def test_a_step_reaches_nothing_else(self):
        secret = self.server.path("users/ben/key.pem")
        run = self.run_pipeline("nosy", "steps:\n  - name: look\n"
                                        f"    command: [/bin/sh, -c, 'cat {secret}; ls {self.server.workspace}; env']\n")
        if not self.caged:
            self.skipTest("this kernel has no Landlock")
        log = run["steps"][0]["log"]
        self.assertNotIn("PRIVATE KEY", log)
        self.assertNotIn("tidemark.db", log)
        self.assertNotIn("tmk_", log)
        self.assertIn("denied", log.lower())

    def test_a_step_that_fails_tells_why(self):
        run = self.run_pipeline("broken", "steps:\n  - {name: boom, command: [/bin/sh, -c, 'echo the valve is stuck; exit 3']}\n")
        self.assertEqual(run["state"], "failed")
        self.assertEqual(run["steps"][0]["exit_code"], 3)
        shown = self.well("run", "show", run["run"], as_="ana").out
        self.assertIn("the valve is stuck", shown)

    def test_an_output_cannot_lead_elsewhere(self):
        secret = self.server.path("users/ben/key.pem")
        run = self.run_pipeline("linked", "steps:\n  - name: link\n"
                                          f"    command: [/bin/ln, -s, '{secret}', out.bin]\n"
                                          "    outputs: [{name: out, path: out.bin, role: model}]\n")
        self.assertEqual(run["state"], "failed", run)

    def test_a_mistake_in_a_pipeline_names_its_line(self):
        path = self.write("typo.yaml", "steps:\n  - name: a\n    comand: [x]\n")
        self.refused(2, "typo.yaml:3", "pipeline", "set", "typo", "-f", path, as_="ana")

    def test_only_admins_define_commands(self):
        path = self.write("p.yaml", "steps:\n  - {name: a, command: [/bin/true]}\n")
        self.refused(3, "ben may not", "pipeline", "set", "p", "-f", path, as_="ben")


if __name__ == "__main__":
    unittest.main()
