"""A broker, a server that can misbehave, an agent and an application, each a real process of its own, in one folder.

Waits for events (lines of JSON on a pipe, output of the agent), never for time; every wait has a limit and says what came instead.
SPDX-License-Identifier: Apache-2.0
"""

import atexit
import collections
import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.path.abspath(sys.argv[1])
BIN, TESTS = os.path.join(BUILD, "bin"), os.path.join(BUILD, "tests")
LIMIT_S = 60
DEVICE = "pump-07"

STATES = ("idle offered rejected deferred fetching paused verifying staged wait_window wait_approval activating probation "
          "committed rolling_back rolled_back cancelled superseded").split()
REASONS = ("none no_space signature hash counter hardware operator_missing golden_mismatch latency crash_loop lease_lost budget "
           "deadline operator expired replayed wrong_device revoked malformed io errors unproven keyset").split()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def eventually(question, what, limit=LIMIT_S):
    """Asks again until the answer is true. For facts in files, which send no event."""
    end = time.monotonic() + limit
    pause = threading.Event()
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        pause.wait(0.02)
    raise AssertionError(f"it never happened: {what}")


class Process:
    """A child whose lines of output are collected; it dies with the test."""

    def __init__(self, name, command, stdin=None):
        self.name = name
        self.lines = collections.deque(maxlen=400)
        self.queue = queue.Queue()
        self.child = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.append(line.rstrip())
            self.queue.put(line.rstrip())
        self.queue.put(None)

    def wait_line(self, matches, what, limit=LIMIT_S):
        end = time.monotonic() + limit
        while True:
            try:
                line = self.queue.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"{self.name} never said {what}; its last lines:\n" + "\n".join(list(self.lines)[-30:]))
            if matches(line):
                return line

    def say(self, text):
        self.child.stdin.write(text + "\n")
        self.child.stdin.flush()

    def stop(self, how=signal.SIGTERM, limit=20):
        if self.child.poll() is None:
            self.child.send_signal(how)
        code = self.child.wait(limit)
        check(how == signal.SIGKILL or "Sanitizer" not in "\n".join(self.lines), f"{self.name}:\n" + "\n".join(self.lines))
        return code


class Stage:
    """One folder with everything in it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tidemark-agent-")
        self.state = self.path("device")
        self.processes = []
        self.broker_port = free_port()
        os.makedirs(self.state)
        atexit.register(self.close)
        self.peer_run("init", self.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def close(self):
        for process in reversed(self.processes):
            if process.child.poll() is None:
                process.child.kill()
                process.child.wait()
        if os.environ.get("TD_KEEP") is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, command, stdin=None):
        process = Process(name, command, stdin)
        self.processes.append(process)
        return process

    def peer_run(self, *arguments):
        return subprocess.run([os.path.join(TESTS, "agent-peer"), *arguments], check=True, capture_output=True, text=True).stdout

    # ---- broker and server

    def start_broker(self):
        config = self.path("mosquitto.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"listener {self.broker_port} 127.0.0.1\ncafile {self.path('ca.pem')}\ncertfile {self.path('broker.crt')}\n"
                       f"keyfile {self.path('broker.key')}\nrequire_certificate true\nuse_identity_as_username true\n"
                       f"persistence false\nacl_file {self.path('acl')}\n"
                       + (f"user {__import__('pwd').getpwuid(os.getuid()).pw_name}\n" if os.getuid() == 0 else ""))
        with open(self.path("acl"), "w", encoding="ascii") as file:
            file.write("user _server\ntopic readwrite tm/v1/#\n\npattern write tm/v1/%u/up/#\npattern read tm/v1/%u/down/#\n"
                       "pattern read tm/v1/_/server\n")
        broker = self.start("mosquitto", [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", config])
        broker.wait_line(lambda line: "running" in line, "that it runs")
        return broker

    def start_peer(self):
        peer = self.start("peer", [os.path.join(TESTS, "agent-peer"), "serve", self.folder, str(self.broker_port), DEVICE],
                          stdin=subprocess.PIPE)
        peer.wait_line(lambda line: '"ready"' in line, "ready")
        return peer

    @staticmethod
    def event(peer, limit=LIMIT_S, **facts):
        """The next event of the peer that has these facts."""
        found = {}

        def matches(line):
            with contextlib.suppress(ValueError):
                found.clear()
                found.update(json.loads(line))
                check(found.get("event") not in ("error", "forged"), line)
                return all(found.get(key) == value for key, value in facts.items())
            return False
        peer.wait_line(matches, f"{facts}", limit)
        return dict(found)

    def report(self, peer, state, reason=None, limit=LIMIT_S):
        facts = {"event": "report", "state": STATES.index(state)}
        if reason is not None:
            facts["reason"] = REASONS.index(reason)
        return self.event(peer, limit, **facts)

    # ---- the device

    def enrol_by_hand(self, days=3650):
        """The files that enrolment leaves, made without the enrolment server."""
        key = os.urandom(32)
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.state + "/device.key"],
                       check=True, capture_output=True)
        os.chmod(self.state + "/device.key", 0o600)
        subprocess.run(["openssl", "req", "-new", "-key", self.state + "/device.key", "-subj", f"/CN={DEVICE}", "-out",
                        self.path("device.csr")], check=True, capture_output=True)
        self.peer_run("issue", self.folder, self.path("device.csr"), self.state + "/device.crt", str(days))
        for name in (self.path("uplink.key"), self.state + "/uplink.key"):
            with open(name, "wb") as file:
                file.write(key)
        shutil.copy(self.path("ca.pem"), self.state)
        shutil.copy(self.path("keyset.bin"), self.state)
        with open(self.state + "/device.json", "w", encoding="ascii") as file:
            json.dump({"device": DEVICE, "server": "https://127.0.0.1:1", "hardware": "gateway", "runtimes": ["onnx"],
                       "mqtt": {"host": "127.0.0.1", "port": self.broker_port, "prefix": "tm/v1"}}, file)

    def start_agent(self, *arguments):
        return self.start("agent", [os.path.join(BIN, "tidemark-agent"), "run", "--state", self.state, "--log", "debug",
                                    *arguments])

    def status(self):
        done = subprocess.run([os.path.join(BIN, "tidemark-agent"), "status", "--state", self.state, "--json"],
                              capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def slot(self):
        status = self.status()
        return status["slots"][0] if status and status["slots"] else None

    def current(self):
        with contextlib.suppress(OSError):
            return os.readlink(self.state + "/slots/pump/current")
        return None

    def start_application(self, *arguments):
        return self.start("application", [os.path.join(BIN, "pump-device"), "--state", self.state, "--rate", "100",
                                          "--label-delay", "100ms", "--report", "1s", "--json", *arguments])

    # ---- models

    def make_models(self, count=2):
        """Trains real models on real (made-up) vibration."""
        models = []
        data = self.path("data.csv")
        subprocess.run([os.path.join(BIN, "pump-data"), "--regime", "0", "--seed", "11", "--rows", "3000", "--out", data],
                       check=True, capture_output=True)
        for number in range(1, count + 1):
            out = self.path(f"v{number}")
            subprocess.run([os.path.join(BIN, "pump-train"), "--data", data, "--seed", str(number), "--out", out], check=True,
                           capture_output=True)
            models.append((out + "/model.onnx", out + "/reference.csv"))
        return models


def run(*tests):
    """Runs each test on a stage of its own."""
    for test in tests:
        stage = Stage()
        began = time.monotonic()
        try:
            test(stage)
        except BaseException:
            print(f"FAILED {test.__name__}")
            for process in stage.processes:
                print(f"--- {process.name} (exit {process.child.poll()})")
                print("\n".join(list(process.lines)[-40:]))
            raise
        finally:
            stage.close()
        print(f"ok {test.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
