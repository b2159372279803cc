"""The programs of sigsum-go, as Debian 13 has them, and its witness.

They need nothing but libc 2.34, so they are unpacked into a folder of their own; nothing of the system is changed.
SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os
import socket
import subprocess
import sys

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "sigsum-go"
NAMES = ("sigsum-key", "sigsum-verify", "sigsum-witness")


def not_run(why):
    print(f"not run: {why}")
    sys.exit(77)


def fetch(folder):
    """The folder of the programs."""
    programs = os.path.join(folder, "root", "usr", "bin")
    if not all(os.path.exists(os.path.join(programs, name)) for name in NAMES):
        fetcher = os.path.join(HERE, "..", "..", "debian.sh")
        done = subprocess.run(["bash", fetcher, folder, "", "trixie", PACKAGE], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            not_run(f"{PACKAGE} of Debian 13 cannot be had: {(done.stderr or done.stdout).strip()[-300:]}")
    done = subprocess.run([os.path.join(programs, "sigsum-verify"), "--version"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        not_run(f"sigsum-verify does not run here: {done.stderr.strip()[-300:]}")
    print("sigsum-go is", (done.stdout or done.stderr).strip())
    return programs


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Witness:
    """sigsum-witness, with a key by sigsum-key, for one log."""

    def __init__(self, programs, folder, log_hex):
        self.programs, self.folder = programs, os.path.join(folder, "witness")
        os.mkdir(self.folder)
        self.run("sigsum-key", "generate", "-o", self.path("key"))
        self.hex = self.run("sigsum-key", "to-hex", "-k", self.path("key.pub"))
        self.cosigner = "sigsum.org/v1/witness/" + hashlib.sha256(bytes.fromhex(self.hex)).hexdigest()
        self.run("sigsum-key", "from-hex", "-o", self.path("log.pub"), input=log_hex)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, program, *arguments, **more):
        done = subprocess.run([os.path.join(self.programs, program), *arguments], capture_output=True, text=True, check=False, **more)
        assert done.returncode == 0, (program, arguments, done.stderr)
        return done.stdout.strip()

    def start(self):
        command = [os.path.join(self.programs, "sigsum-witness"), "-k", self.path("key"), "--log-key", self.path("log.pub"),
                   "--state-file", self.path("state"), f"127.0.0.1:{self.port}"]
        # Its routes are written in the patterns of Go 1.22, which the way that Debian builds it does not turn on.
        environment = dict(os.environ, GODEBUG="httpmuxgo121=0")
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        harness.wait_for("sigsum-witness", lambda: listens(self.port))

    def close(self):
        self.process.kill()
        self.process.wait()
