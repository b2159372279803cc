"""Each alert of docs/prometheus/rules.yml has its runbook, no runbook is left over, and the commands that they give exist.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import shlex
import subprocess
import unittest

from case import ROOT
import harness

FOLDER = os.path.join(ROOT, "docs", "runbooks")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def commands(text):
    """The words of each `tidemark NOUN …` in code of the page."""
    for code in re.findall(r"```\n(.*?)```", text, re.S) + re.findall(r"`(tidemark [^`]+)`", text):
        for found in re.findall(r"(?:^|\|\| |\$\()\s*tidemark ([^\n|#)]+)", code, re.M):
            yield shlex.split(found.replace("…", "X"))


class Runbooks(unittest.TestCase):
    def test_one_for_each_alert(self):
        rules = read("docs/prometheus/rules.yml")
        alerts = re.findall(r"- alert: (\w+)", rules)
        self.assertEqual(re.findall(r"runbook_url: docs/runbooks/(\w+)\.md", rules), alerts)
        self.assertEqual(sorted(os.listdir(FOLDER)), sorted(name + ".md" for name in alerts))

    def test_each_says_what_it_means_where_to_look_and_how_to_mend(self):
        for name in os.listdir(FOLDER):
            text = read("docs/runbooks/" + name)
            self.assertRegex(text, rf"^# {name[:-3]}\n\n\*\*.*\*\*\n\n.*\n\n?(.|\n)*\n## Look\n(.|\n)*\n## Mend\n", name)
            for other in re.findall(r"Tidemark[A-Z]\w+", text):
                self.assertIn(other + ".md", os.listdir(FOLDER), name)

    def test_their_commands_exist(self):
        count = 0
        for name in sorted(os.listdir(FOLDER)):
            for words in commands(read("docs/runbooks/" + name)):
                verbs = [word for word in words if re.fullmatch("[a-z-]+", word) and not word.startswith("-")][:2]
                for these in (verbs, verbs[:1]):
                    done = subprocess.run([harness.TIDEMARK, *these, "--help"], capture_output=True, text=True, check=False)
                    if done.returncode == 0 and "Usage: tidemark " + " ".join(these) in done.stdout:
                        break
                self.assertEqual(done.returncode, 0, (name, words, done.stderr))
                self.assertIn("Usage: tidemark " + " ".join(these), done.stdout, (name, words))
                for option in (word.split("=")[0] for word in words if re.match("--?[a-z]", word)):
                    self.assertRegex(done.stdout, rf"(^|\s){option}\b", (name, words))
                count += 1
        self.assertGreater(count, 40)


if __name__ == "__main__":
    harness.main()
