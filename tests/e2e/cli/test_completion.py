"""What a shell offers at <TAB>: the script of `tidemark completion` in the shells themselves.

SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import subprocess
import sys
import unittest

import case  # noqa: F401  (finds the harness)
import harness

PATH = os.path.dirname(harness.TIDEMARK) + ":" + os.environ["PATH"]
BASH = 'source <(tidemark completion bash); COMP_WORDS=({words} ""); COMP_CWORD={count}; _tidemark; printf "%s\\n" "${{COMPREPLY[@]}}"'
# A real line editor on a pseudo-terminal: the keys are typed, and the program called afterwards is the witness.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; {before} source <(tidemark completion zsh); tidemark() {{ print -r \"saw:\$*:\" }}; print RE''ADY"
while zpty -r shell line; do [[ $line == *READY* ]] && break; done
zpty -w -n shell $'{keys}\n'
while zpty -r shell line; do print -r -- "$line"; [[ $line == *saw:* ]] && break; done
zpty -d shell
"""


def run(shell, script):
    return subprocess.run([shell, *(["-f"] if shell == "zsh" else ["--norc"]), "-c", script], capture_output=True, text=True,
                          check=False, timeout=60, env={"PATH": PATH, "HOME": "/nonexistent", "TERM": "dumb", "LC_ALL": "C.UTF-8"})


class Bash(unittest.TestCase):
    def offered(self, words):
        done = run("bash", BASH.format(words=words, count=len(words.split())))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_nouns_and_verbs(self):
        self.assertIn("rollout", self.offered("tidemark"))
        self.assertIn("doctor", self.offered("tidemark"))
        self.assertIn("register", self.offered("tidemark model"))
        self.assertEqual(self.offered("tidemark store"), ["verify"])

    def test_the_options_of_this_command(self):
        done = run("bash", 'source <(tidemark completion bash); COMP_WORDS=(tidemark store verify --f); COMP_CWORD=3; _tidemark; '
                           'echo "${COMPREPLY[@]}"')
        self.assertEqual(done.stdout, "--from\n")


@unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
class Zsh(unittest.TestCase):
    def typed(self, keys, before=""):
        done = run("zsh", ZSH.format(keys=keys, before=before))
        self.assertIn("saw:", done.stdout, done)
        return done.stdout.split("saw:")[1].split(":")[0].rstrip()

    def test_it_parses(self):
        script = subprocess.run([harness.TIDEMARK, "completion", "zsh"], capture_output=True, text=True, check=True).stdout
        done = subprocess.run(["zsh", "-fn", "/dev/stdin"], input=script, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_keys_become_words(self):
        for before in ("", "autoload -Uz compinit && compinit -u -D;"):
            self.assertEqual(self.typed(r"tidemark roll\t cr\t", before), "rollout create")
        self.assertEqual(self.typed(r"tidemark store ver\t --fr\t"), "store verify --from")

    def test_files_where_no_verb_can_be(self):
        self.assertEqual(self.typed(r"tidemark audit verify /etc/hostn\t"), "audit verify /etc/hostname")


if __name__ == "__main__":
    if not shutil.which("zsh"):
        print("zsh is missing: apt-get install zsh", file=sys.stderr)
        if os.environ.get("CI") == "true":
            sys.exit(1)
    harness.main()
