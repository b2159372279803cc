"""The fleet of the demo: agents and applications as real processes on this machine.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal

PLANTS = ("oslo", "bergen")


class Fleet:
    """N devices; each has its own identity, key, agent and application."""

    def __init__(self, stage, count):
        self.stage = stage
        self.names = [f"pump-{number:02d}" for number in range(1, count + 1)]
        self.applications = []

    def state(self, name):
        return self.stage.path("devices", name)

    def plant(self, name):
        return PLANTS[self.names.index(name) % len(PLANTS)]

    def enrol(self):
        stage = self.stage
        codes = {plant: stage.tidemark("device", "enrol-code", "--count",
                                       str(sum(self.plant(n) == plant for n in self.names)), "--tag", f"site={plant}",
                                       "--tag", "fleet=demo", as_="ana")["codes"] for plant in PLANTS}
        with open(os.path.join(stage.workspace, "run/device.port"), encoding="ascii") as file:
            server = f"https://127.0.0.1:{int(file.read())}"
        first = None
        for number, name in enumerate(self.names, 1):
            code = codes[self.plant(name)].pop()
            first = first or code
            os.makedirs(self.state(name), exist_ok=True)
            stage.program("tidemark-agent", "enrol", "--server", server, "--code", code, "--id", name, "--state", self.state(name))
            stage.start(name, [os.path.join(stage.binaries, "tidemark-agent"), "run", "--state", self.state(name), "--hardware",
                               "pump-gateway", "--runtime", "onnx"], f"{name}.log")
            self.start_application(name, number)
            stage.progress(f"{number} of {len(self.names)} devices enrolled")
        stage.wait("all devices to report", self.online, 30)
        stage.say("enrol", f"{len(self.names)} agents run, each with a key made on the device and a code that works once")
        self.check_spent(server, first)

    def check_spent(self, server, code):
        stage = self.stage
        import subprocess  # one call that must fail
        done = subprocess.run([os.path.join(stage.binaries, "tidemark-agent"), "enrol", "--server", server, "--code", code, "--id",
                               "thief", "--state", stage.path("thief")], capture_output=True, text=True, check=False)
        stage.expect(done.returncode != 0, "a spent code is refused", {"stdout": done.stdout})
        stage.say("enrol", f"the first code again: “{stage.sentence(done.stderr)}”")

    def start_application(self, name, number):
        stage = self.stage
        self.applications.append(stage.start(
            f"{name}'s application",
            [os.path.join(stage.binaries, "pump-device"), "--state", self.state(name), "--slot", "pump", "--plant", self.plant(name),
             "--seed", str(1000 + number), "--rate", "40", "--label-delay", "1s", "--json"], f"{name}-application.log"))

    def online(self):
        devices = self.stage.tidemark("device", "list", as_="ana")["devices"]
        return len([d for d in devices if d["presence"] == "online"]) == len(self.names) or None

    def refit(self):
        """New bearings and faster drives, in every plant at once."""
        for process in self.applications:
            process.send_signal(signal.SIGUSR1)

    def check_running(self, stage, reference):
        devices = stage.tidemark("device", "list", as_="ana")["devices"]
        others = [d["device"] for d in devices if d.get("running") != reference]
        stage.expect(not others, f"every device says that it runs {reference}", {"others": others, "sample": devices[:1]})
