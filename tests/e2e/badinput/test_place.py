"""The place is not as it must be: a workspace in use, a database from the future, no broker, no room.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile

from command import BUSY, CONFLICT, INVALID, LIMIT, NOT_FOUND, CommandTest, files_of, harness, records_of, run


class Workspaces(CommandTest):
    def serve(self, workspace):
        environment = dict(self.server.environment())
        return run(harness.TIDEMARK, "serve", "--workspace", workspace, cwd=self.folder, environment=environment)

    def test_in_use_by_another_server(self):
        before = records_of(self.server.workspace)
        self.said(self.serve(self.server.workspace), BUSY, "already in use by another server", self.server.workspace)
        self.assertEqual(records_of(self.server.workspace), before)
        self.assertEqual(self.server.call("GET", "/healthz").status, 200)
        self.assertEqual(int(self.server.read("run/http.port")), self.server.port)

    def test_a_database_newer_than_the_program(self):
        other = harness.Server()
        self.addCleanup(other.close)
        with sqlite3.connect(other.path("tidemark.db")) as db:
            db.execute("INSERT INTO schema_migration (module, number, name, applied_ms) VALUES ('registry', 99, '099_future', 0)")
        db.close()
        before = files_of(other.workspace)
        self.said(self.serve(other.workspace), CONFLICT, "tidemark.db", "newer")
        after = files_of(other.workspace)
        self.assertEqual({path: digest for path, digest in after.items() if before.get(path) != digest}, {})

    def test_no_workspace_at_all(self):
        self.said(self.serve(self.folder), NOT_FOUND, self.folder, "tidemark init")
        self.assertEqual(files_of(self.folder), {})

    def test_a_key_that_nobody_knows_in_the_configuration(self):
        other = harness.Server()
        self.addCleanup(other.close)
        with open(other.path("tidemark.yaml"), "a", encoding="utf-8") as file:
            file.write("mqtt:\n  prot: 1883\n")
        self.said(self.serve(other.workspace), INVALID, "tidemark.yaml:", 'unknown key "mqtt.prot"', 'did you mean "mqtt.port"?')


class Brokers(CommandTest):
    settings = {"MQTT_MOSQUITTO": "/nonexistent/mosquitto"}

    def test_down_at_the_start(self):
        told = harness.wait_for("the reason", lambda: [line for line in self.done("status").splitlines() if "not found" in line])
        self.assertIn('"/nonexistent/mosquitto" was not found; install mosquitto or set mqtt.mosquitto', told[0])
        self.file("model.onnx", harness.onnx_model())
        self.done("model", "register", "pump", "model.onnx")


class BrokersThatEnd(CommandTest):
    def state(self):
        return self.server.call("GET", "/api/v1/status").json["broker"]

    def test_down_in_the_middle(self):
        harness.wait_for("the connection", lambda: self.state()["connected"])
        done = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(self.server.process.pid)], capture_output=True, text=True,
                              check=True)
        child, = [int(line.split()[0]) for line in done.stdout.splitlines() if "mosquitto" in line]
        os.kill(child, signal.SIGKILL)
        self.file("model.onnx", harness.onnx_model())
        self.done("model", "register", "pump", "model.onnx")
        harness.wait_for("the broker to be back", lambda: self.state()["starts"] >= 2 and self.state()["connected"])


class FullDisk(CommandTest):
    """Who downloads onto a full disk gets the reason and no half file. (The server's own disk: tests/fault/server/test_disk.py)"""

    def setUp(self):
        super().setUp()
        self.mount = tempfile.mkdtemp(prefix="tdm-full-")
        self.addCleanup(os.rmdir, self.mount)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.mount], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            if os.environ.get("CI") == "true" and os.geteuid() == 0:
                self.fail(f"mounting a tmpfs failed: {done.stderr}")
            print("SKIPPED: a full disk is not tried, for mounting a tmpfs is not allowed here", file=sys.stderr)
            self.skipTest("mounting a tmpfs is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.mount], check=False)

    def test_downloads(self):
        self.file("large.bin", os.urandom(1 << 20))
        self.done("model", "register", "large", "large.bin")
        self.done("version", "submit", "large/1")
        self.done("version", "approve", "large/1", "--reason", "good", "--yes", as_="ben")
        self.refused(LIMIT, ["large.bin", "No space left"], "model", "download", "large/1", self.mount)
        self.assertEqual(files_of(self.mount), {})
        target = os.path.join(self.mount, "large.tar")
        self.refused(LIMIT, ["large.tar", "No space left"], "bundle", "export", "large/1", "--out", target)
        self.assertEqual(files_of(self.mount), {})


if __name__ == "__main__":
    harness.main()
