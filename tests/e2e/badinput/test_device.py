"""A device that is let in by a wrong code, and one that is shut out while it is connected: the real agent at a real server.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import os
import signal
import subprocess
import threading

from command import AGENT, CONFLICT, DENIED, INVALID, NOT_FOUND, CommandTest, harness, records_of, run


class Agent:
    """tidemark-agent with its log."""

    def __init__(self, state):
        self.lines = []
        self.process = subprocess.Popen([AGENT, "run", "--state", state, "--log", "info"], stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip())

    def says(self, *parts):
        return any(all(part in line for part in parts) for line in list(self.lines))

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(harness.PATIENCE_S)
        self.reader.join(harness.PATIENCE_S)
        self.process.stderr.close()
        return code


class Devices(CommandTest):
    def code(self):
        return json.loads(self.done("device", "enrol-code", "--json"))["codes"][0]

    def enrol(self, code, name):
        return run(AGENT, "enrol", "--server", f"https://127.0.0.1:{self.server.device_port}", "--code", code, "--id", name,
                   "--state", os.path.join(self.folder, name), cwd=self.folder)

    def refuse(self, exit_code, parts, code, name):
        before = records_of(self.server.workspace)
        self.said(self.enrol(code, name), exit_code, *parts)
        self.assertEqual(records_of(self.server.workspace), before)
        self.assertFalse(os.path.exists(os.path.join(self.folder, name, "device.crt")))

    def test_spent_foreign_and_garbled_codes(self):
        code = self.code()
        self.assertEqual(self.enrol(code, "pump-01").returncode, 0)
        self.refuse(DENIED, ["this enrolment code is spent", "tidemark device enrol-code"], code, "pump-02")
        raw = base64.b32decode(code.replace("-", "") + "======")
        unknown = base64.b32encode(bytes(10) + raw[10:]).decode().rstrip("=")
        self.refuse(DENIED, ["code"], unknown, "pump-03")
        self.refuse(INVALID, ["expected 42", "copy it whole"], "ABCD-EFGH", "pump-04")
        self.refuse(INVALID, ["--id Pump!: expected 1 to 64 of a-z, 0-9 and '-'"], self.code(), "Pump!")

    def test_the_code_of_another_server(self):
        other = harness.Server()
        self.addCleanup(other.close)
        other.start()
        code = other.call("POST", "/api/v1/enrolment-codes", {"count": 1}).json["codes"][0]
        self.refuse(DENIED, ["not of this server", "--server"], code, "pump-05")

    def test_an_identifier_that_is_taken(self):
        self.assertEqual(self.enrol(self.code(), "pump-06").returncode, 0)
        os.rename(os.path.join(self.folder, "pump-06"), os.path.join(self.folder, "first"))
        self.refuse(CONFLICT, ['the identifier "pump-06" is taken', "--id"], self.code(), "pump-06")

    def births(self):
        return self.server.call("GET", "/api/v1/status").json["broker"]["received"]["birth"]

    def test_a_revoked_device_is_cut_off_while_connected(self):
        self.assertEqual(self.enrol(self.code(), "pump-07").returncode, 0)
        self.refused(INVALID, "--reason", "device", "revoke", "pump-07")
        self.refused(NOT_FOUND, 'no device "pump-70"', "device", "revoke", "pump-70", "--reason", "stolen")
        agent = Agent(os.path.join(self.folder, "pump-07"))
        self.addCleanup(agent.stop)
        harness.wait_for("the device to be online",
                         lambda: self.server.call("GET", "/api/v1/devices/pump-07").json["presence"] == "online")
        heard = self.births()
        agent.process.send_signal(signal.SIGHUP)
        harness.wait_for("its next birth", lambda: self.births() > heard)
        self.assertIn("shut out", self.done("device", "revoke", "pump-07", "--reason", "stolen"))

        def refused_by_the_broker():
            agent.process.send_signal(signal.SIGHUP)  # says its birth again
            return agent.says("pump-07", "not authorised", "revoked")
        harness.wait_for("the agent to be told", refused_by_the_broker)
        heard = self.births()
        shown = self.server.call("GET", "/api/v1/devices/pump-07").json
        self.assertEqual((shown["state"], shown["presence"]), ("revoked", "revoked"))
        self.refused(CONFLICT, "pump-07 is revoked already", "device", "revoke", "pump-07", "--reason", "again")
        self.assertEqual(agent.stop(), 0)
        again = Agent(os.path.join(self.folder, "pump-07"))
        self.addCleanup(again.stop)
        harness.wait_for("a new session to be refused as well", lambda: again.says("not authorised"))
        self.assertEqual(self.births(), heard, "the server heard a revoked device")


if __name__ == "__main__":
    harness.main()
