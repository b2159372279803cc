"""A real server in a workspace of its own, and what a client needs to talk to it. Standard library and the openssl program.

TD_BIN names the folder of the programs that were built. Nothing here sleeps for a fixed time: it waits for events.
SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import contract

BIN = os.path.abspath(os.environ.get("TD_BIN", "build/dev/bin"))
TIDEMARK = os.path.join(BIN, "tidemark")
PATIENCE_S = float(os.environ.get("TD_PATIENCE", "30"))


def wait_for(what, condition, patience_s=PATIENCE_S):
    """Polls until condition() is true and returns it; fails with `what` otherwise."""
    end = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience_s} s in vain for {what}")
        time.sleep(0.01)  # poll-interval


def unix_socket(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE_S)
    sock.connect(path)
    return sock


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the admin socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE_S)
        self.path = path

    def connect(self):
        self.sock = unix_socket(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        stream = response.headers.get_content_type() == "text/event-stream"
        self.bytes = b"" if stream else response.read()  # a stream does not end (test_stream.py reads it)

    @property
    def json(self):
        return json.loads(self.bytes)

    @property
    def problem(self):
        """(code, detail) of an error, ours or in MLflow's shape."""
        error = self.json
        return (error["error_code"].lower(), error["message"]) if "error_code" in error else (error["code"], error["detail"])

    def __repr__(self):
        return f"{self.status} {self.bytes[:400]!r}"


class Server:
    def __init__(self, profile="demo", settings=None):
        self.folder = tempfile.mkdtemp(prefix="tdm-")
        self.workspace = os.path.join(self.folder, "ws")
        self.settings = {"HTTP_PORT": "0", "LOG_LEVEL": "warn"}
        self.settings.update(settings or {})
        self.process = None
        done = subprocess.run([TIDEMARK, "init", self.workspace, "--profile", profile], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f"tidemark init: {done.stderr}")

    # ---- life ----

    def environment(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK_")}
        environment.update({"TIDEMARK_" + key: value for key, value in self.settings.items()})
        return environment

    def spawn(self):
        self.log = open(os.path.join(self.folder, "server.log"), "ab")
        self.process = subprocess.Popen([TIDEMARK, "serve", "--workspace", self.workspace], stdout=subprocess.PIPE,
                                        stderr=self.log, env=self.environment())
        return self.process

    def start(self):
        """Returns the seconds from exec to "ready"."""
        began = time.monotonic()
        self.spawn()
        line = self.process.stdout.readline().decode()
        if not line.startswith("ready "):
            self.process.wait()
            raise AssertionError(f"the server did not become ready: {line!r}\n{self.log_text()}")
        took = time.monotonic() - began
        self.port = int(line.rsplit(":", 1)[1])
        self.device_port = int(self.read("run/device.port"))
        return took

    def stop(self, expect=0):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self.log.close()
        self.process = None
        if code != expect:
            raise AssertionError(f"the server ended with {code}: {self.log_text()}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.process = None

    def close(self):
        if self.process:
            self.kill()
        self.keep()
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self):
        """TD_KEEP names a folder for a copy of each server's database: tests/golden/audit/collect.py reads them."""
        folder = os.environ.get("TD_KEEP")
        if folder and os.path.exists(self.path("tidemark.db")):
            for more in ("", "-wal"):
                if os.path.exists(self.path("tidemark.db" + more)):
                    shutil.copy(self.path("tidemark.db" + more), os.path.join(folder, os.path.basename(self.folder) + ".db" + more))

    def log_text(self):
        with open(os.path.join(self.folder, "server.log"), encoding="utf-8", errors="replace") as log:
            return log.read()

    # ---- files ----

    def path(self, name):
        return os.path.join(self.workspace, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def token(self, user):
        return self.read(f"users/{user}/token").strip()

    # ---- requests ----

    def call(self, method, path, body=None, as_="ana", headers=None, timeout=PATIENCE_S):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        return self._send(connection, method, path, body, self.token(as_) if as_ else None, headers)

    def admin(self, method, path, body=None):
        return self._send(UnixConnection(self.path("run/admin.sock")), method, path, body, None, None)

    def device(self, method, path, body=None, verify=True):
        context = ssl.create_default_context(cafile=self.path("keys/ca.crt.pem")) if verify else ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.device_port, timeout=PATIENCE_S, context=context)
        return self._send(connection, method, path, body, None, None)

    @staticmethod
    def _send(connection, method, path, body, token, headers):
        sent = dict(headers or {})
        if token:
            sent.setdefault("Authorization", "Bearer " + token)
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, sent)
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        Server.hold(method, path, body, answer)
        return answer

    @staticmethod
    def hold(method, path, body, answer):
        """The answer must be one that docs/openapi.yaml describes (contract.py)."""
        document = contract.contract()
        if document:
            try:
                sent = json.loads(body) if isinstance(body, bytes) and body else None
            except ValueError:
                sent = None
            document.answer(method, path, answer.status, answer.headers.items(), answer.bytes, sent)

    def raw(self, data, timeout=PATIENCE_S):
        """Bytes in, bytes out until the server closes or a whole answer without keep-alive is there."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as sock:
            sock.sendall(data)
            answer = b""
            while True:
                try:
                    piece = sock.recv(65536)
                except (ConnectionResetError, socket.timeout):
                    break
                if not piece:
                    break
                answer += piece
            return answer

    # ---- the registry ----

    def upload(self, data, as_="ana"):
        answer = self.call("POST", "/api/v1/uploads", data, as_)
        assert answer.status == 201, answer
        assert answer.json["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
        return answer.json["digest"]

    def register(self, model="pump", data=None, as_="ana", **more):
        body = {"files": [{"name": "model.onnx", "digest": self.upload(onnx_model() if data is None else data, as_),
                           "role": "model"}]}
        body.update(more)
        return self.call("POST", f"/api/v1/models/{model}/versions", body, as_)

    def submit(self, version, as_="ana"):
        model, number = version.split("/")
        return self.call("POST", f"/api/v1/models/{model}/versions/{number}/submit", {}, as_)

    def approve(self, version, as_="ben", key=None, reason="it is good", tamper=False):
        model, number = version.split("/")
        manifest = self.call("GET", f"/api/v1/models/{model}/versions/{number}/manifest", None, as_).bytes
        key_id, signature = sign_manifest(key or self.path("users/ben/key.pem"), manifest + (b"!" if tamper else b""))
        return self.call("POST", f"/api/v1/models/{model}/versions/{number}/approvals",
                         {"key_id": key_id, "signature": signature, "reason": reason}, as_)


# ---- bytes that a client makes ----

def _varint(value):
    out = b""
    while True:
        value, low = value >> 7, value & 0x7F
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _port(name, size):
    shape = _field(1, _field(1, 1)) + _field(1, _field(1, size))
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))


def onnx_model(salt="", operator="Identity", size=8, more=()):
    """A tiny valid ONNX file: y = Identity(x); `more` are further inputs that nothing uses."""
    node = _field(1, "x") + _field(2, "y") + _field(4, operator)
    graph = _field(1, node) + _field(2, "g" + salt) + b"".join(_field(11, _port(name, size)) for name in ("x", *more))
    graph += _field(12, _port("y", size))
    return _field(1, 8) + _field(2, "test") + _field(7, graph) + _field(8, _field(1, "") + _field(2, 17))


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def make_key(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    os.chmod(path, 0o600)
    return path


def public_pem(key):
    return openssl("pkey", "-in", key, "-pubout").decode()


def sign_manifest(key, manifest):
    """(key id, raw r‖s) in hexadecimal, over DSSE's pre-authentication encoding."""
    kind = b"application/vnd.tidemark.manifest.v1"
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(manifest), manifest)
    der = openssl("dgst", "-sha256", "-sign", key, data=pae)
    public = openssl("pkey", "-in", key, "-pubout", "-outform", "DER")[-65:]
    return hashlib.sha256(public).hexdigest()[:32], _raw_signature(der).hex()


def _raw_signature(der):
    at, numbers = 2, []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2:at + 2 + length], "big").to_bytes(32, "big"))
        at += 2 + length
    return b"".join(numbers)


def make_request(folder, name):
    """A device's key and certificate request."""
    key = make_key(os.path.join(folder, name + ".key"))
    return openssl("req", "-new", "-key", key, "-subj", "/CN=" + name).decode()


class ServerTest(unittest.TestCase):
    """One server for all tests of a class."""
    profile = "demo"
    settings = {}
    tampers = False  # it writes into the database behind the server's back

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.profile, cls.settings)
        try:
            cls.server.start()
        except BaseException:
            cls.server.close()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            if cls.server.process:
                cls.server.stop()
            if not cls.tampers:
                cls.verify()
        finally:
            cls.server.close()

    @classmethod
    def verify(cls):
        """Whatever the tests did: the rows of the database say what the records of the log say."""
        done = subprocess.run([TIDEMARK, "audit", "verify", "--workspace", cls.server.workspace], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"audit verify after the tests: {done.stderr}")

    def check(self, answer, status, code=None, text=None, field=None):
        self.assertEqual(answer.status, status, answer)
        if code:
            problem = answer.json
            self.assertEqual(problem["code"], code, answer)
            self.assertEqual(problem["status"], status)
            self.assertTrue(problem["request_id"])
            self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
            if text:
                self.assertIn(text, problem["detail"])
            if field:
                self.assertEqual(problem.get("field"), field)
        return answer


class BreakingProxy:
    """TCP in between; each connection is cut (with a reset) after the next number of bytes of breaks_at, both ways counted."""

    def __init__(self, port, breaks_at, at_break=None):
        self.target, self.breaks_at, self.at_break = port, list(breaks_at), at_break
        self.breaks = self.down_bytes = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    @staticmethod
    def _reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def _serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            self._reset(client)
            return
        moved = 0
        while True:
            for source in select.select([client, server], [], [])[0]:
                try:
                    data = source.recv(65536)
                    (server if source is client else client).sendall(data)
                except OSError:
                    data = b""
                moved += len(data)
                self.down_bytes += len(data) if source is server else 0
                cut = bool(self.breaks_at) and moved >= self.breaks_at[0]
                if cut:
                    self.breaks_at.pop(0)
                    if self.at_break:
                        self.at_break()
                    self.breaks += 1
                if cut or not data:
                    self._reset(client)
                    self._reset(server)
                    return


def main():
    if not os.path.exists(TIDEMARK):
        sys.exit(f"{TIDEMARK} is missing: build it first (TD_BIN names the folder)")
    unittest.main(verbosity=2)
