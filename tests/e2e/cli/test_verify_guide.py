"""docs/verify-a-log.md as a stranger follows it: what stands behind each prompt is typed, in order, on a server's machine and
on an auditor's; what comes out must be what the page shows, but for digests, times and numbers. TD_UPDATE=1 writes it anew.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import shutil
import subprocess
import unittest

from case import BIN, ROOT, Server, wait_for
import harness

PAGE = os.path.join(ROOT, "docs", "verify-a-log.md")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.S | re.M)
COMMANDS_AT_LEAST = 25


def steps(block):
    """[(machine, command as it stands, command as it is typed, output)] of a block."""
    found = []
    for line in block.splitlines():
        prompt = re.match(r"(server|auditor)\$ (.*)", line)
        if prompt:
            found.append([prompt[1], [line], [prompt[2]], []])
        elif line.startswith("> ") or line == ">":
            found[-1][1].append(line)
            found[-1][2].append(line[2:])
        else:
            found[-1][3].append(line)
    return [(machine, shown, "\n".join(typed), output) for machine, shown, typed, output in found]


def plain(lines):
    """What must not differ from run to run."""
    text = re.sub(r"[A-Za-z0-9+/]{20,}=*|[0-9a-f]{8,}", "X", "\n".join(lines))
    return re.sub(r"[ ]+", " ", re.sub(r"\d+", "N", text))


class Guide(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.server.start()
        self.folders = {name: os.path.join(self.server.folder, name) for name in ("server", "auditor")}
        for folder in self.folders.values():
            os.mkdir(folder)
            shutil.copy(self.server.path("keys/log.vkey"), folder)
        shutil.copy(os.path.join(ROOT, "tests/interop/audit/verify_log.py"), self.folders["auditor"])
        self.work("pump/1")

    def work(self, version):
        """Something to keep a record of."""
        server = self.server
        self.assertEqual(server.register("pump", harness.onnx_model(salt=version)).status, 201)
        self.assertEqual(server.submit(version).status, 200)
        self.assertEqual(server.approve(version, reason="it is good").status, 201)
        wait_for("a checkpoint of all", lambda: "tidemark_audit_records_unsigned 0\n" in server.call("GET", "/metrics").bytes.decode())

    def type(self, machine, command):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK_")}
        environment.update({"PATH": BIN + os.pathsep + environment["PATH"], "LC_ALL": "C.UTF-8"})
        if machine == "server":
            environment["TIDEMARK_WORKSPACE"] = self.server.workspace
        else:
            environment.update({"SERVER": f"http://127.0.0.1:{self.server.port}", "TOKEN": self.server.token("ben")})
        # One shell a machine: variables stay.
        state = os.path.join(self.folders[machine], ".state")
        script = f'[ -f .state ] && . ./.state; {command}\ndeclare -p size > {state} 2>/dev/null || true'
        done = subprocess.run(["bash", "-c", script], cwd=self.folders[machine], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL, check=False, timeout=harness.PATIENCE_S)
        self.carry(machine)
        return done.stdout.splitlines()

    def carry(self, machine):
        """What the page says is carried over."""
        if machine == "server":
            for name in ("kept.txt", "audit.tar", "record", "proof"):
                path = os.path.join(self.folders["server"], name)
                if os.path.exists(path):
                    shutil.copy(path, self.folders["auditor"])

    def test_the_page(self):
        with open(PAGE, encoding="utf-8") as file:
            page = file.read()
        typed, wrong, blocks = 0, [], 0

        def run(match):
            nonlocal typed, blocks
            blocks += 1
            out = []
            for machine, shown, command, expected in steps(match[1]):
                got = [line.rstrip() for line in self.type(machine, command)]
                typed += 1
                out += shown + got
                if plain(got) != plain(expected):
                    wrong.append(f"{command}\nexpected:\n" + "\n".join(expected) + "\ngot:\n" + "\n".join(got))
            if blocks == 1:
                self.work("pump/2")
            return "```console\n" + "\n".join(out) + "\n```"

        fresh = BLOCK.sub(run, page)
        self.assertGreaterEqual(typed, COMMANDS_AT_LEAST)
        if os.environ.get("TD_UPDATE"):
            with open(PAGE, "w", encoding="utf-8") as file:
                file.write(fresh)
            return
        self.assertFalse(wrong, "TD_UPDATE=1 writes the page anew\n" + "\n\n".join(wrong))


if __name__ == "__main__":
    harness.main()
