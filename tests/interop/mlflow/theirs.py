"""`mlflow server` on SQLite in a folder of its own, run by a Python that has it.

SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.request


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


class Theirs:
    def __init__(self, python, *options):
        self.folder = tempfile.mkdtemp(prefix="tdm-mlflow-")
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--backend-store-uri",
             f"sqlite:///{self.folder}/mlflow.db", "--artifacts-destination", f"{self.folder}/artifacts", *options],
            stdout=self.log, stderr=self.log, start_new_session=True)

    def is_up(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
                raise AssertionError(file.read()[-2000:])
        try:
            with urllib.request.urlopen(self.uri + "/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def processes(self):
        """The server and its workers: whoever is in its process group."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    if int(file.read().rsplit(")", 1)[1].split()[2]) == self.process.pid:
                        found.append(int(name))
            except OSError:
                pass  # it has ended meanwhile
        return found

    def close(self):
        os.killpg(self.process.pid, 15)
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.folder)
