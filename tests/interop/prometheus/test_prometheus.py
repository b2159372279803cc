"""promtool reads our /metrics, checks our rules and our scrape configuration, and sees each alert fire on what it is for.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e", "server"))
import harness  # noqa: E402

RULES = os.path.join(TOP, "docs", "prometheus", "rules.yml")


def promtool(*arguments, data=None, cwd=None):
    return subprocess.run(["promtool", *arguments], input=data, capture_output=True, text=True, check=False, cwd=cwd)


def alerts():
    with open(RULES, encoding="utf-8") as file:
        return re.findall(r"^ +- alert: (\w+)$", file.read(), re.M)


class Rules(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tdm-prometheus-")
        self.addCleanup(shutil.rmtree, self.folder)
        for name in (RULES, os.path.join(TOP, "docs/prometheus/scrape.yml"), os.path.join(HERE, "rules_test.yml")):
            shutil.copy(name, self.folder)
        with open(os.path.join(self.folder, "tidemark.token"), "w", encoding="utf-8") as file:
            file.write("x\n")

    def test_they_are_well_formed(self):
        done = promtool("check", "rules", RULES)
        self.assertEqual(done.returncode, 0, done)
        done = promtool("check", "config", "scrape.yml", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done)

    def test_each_fires_on_what_it_is_for_and_none_on_a_server_that_is_well(self):
        done = promtool("test", "rules", "rules_test.yml", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(os.path.join(HERE, "rules_test.yml"), encoding="utf-8") as file:
            tested = set(re.findall(r"^  - name: (Tidemark\w+)$", file.read(), re.M))
        self.assertEqual(tested, set(alerts()))

    def test_each_speaks_of_metrics_that_there_are(self):
        with open(RULES, encoding="utf-8") as file:
            named = set(re.findall(r"\b(?:tidemark|process)_[a-z_]+\b", file.read()))
        with open(os.path.join(TOP, "docs/operations.md"), encoding="utf-8") as file:
            told = set(re.findall(r"^\| `(\w+)", file.read(), re.M))
        self.assertEqual({re.sub(r"_(bucket|sum|count)$", "", name) for name in named} - told, set())


class Exposition(harness.ServerTest):
    def test_promtool_finds_nothing_to_say(self):
        self.server.register("pump")
        answer = self.server.call("GET", "/metrics")
        done = promtool("check", "metrics", data=answer.bytes.decode())
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


if __name__ == "__main__":
    if not shutil.which("promtool"):
        print("promtool is missing: apt-get install prometheus")
        sys.exit(77)
    harness.main()
