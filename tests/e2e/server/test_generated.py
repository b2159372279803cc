"""Requests generated from the API document, most with one thing wrong, as every role and nobody, against the sanitizer build.

No answer may be a 5xx (but 503), or one that the document does not describe, or tell a path, a token, SQL or where in the
program it came from; the server answers each, neither grows nor keeps descriptors, leaks nothing at its end, and its log stays
free of internal errors. Four clients on keep-alive connections; client n of round r has the seed that is printed, so that what
it sends can be sent again (but for which of the four is served first, and the names of what was made meanwhile).

./run check sends 20,000; `./run requests` 100,000 (TD_REQUESTS, TD_SEED).
SPDX-License-Identifier: Apache-2.0
"""
import base64
import http.client
import json
import os
import random
import re
import socket
import sqlite3
import ssl
import threading
import time
import traceback

import contract
import generate
import harness
from permissions import MAY
from test_enrol import secret_of

REQUESTS = int(os.environ.get("TD_REQUESTS", "20000"))
SEED = int(os.environ.get("TD_SEED", "1"))
CLIENTS = 4
FAILURES_MAX = 5
GROWTH_BYTES_MAX = 40 * 2 ** 20  # resident, between a fifth of the run and its end; the sanitizer's own books included
# What costs the server much is sent less often.
RARE = {"exportAudit": 0.002, "streamEvents": 0, "listAudit": 0.1, "listEvents": 0.1, "submitVersion": 0.3, "createUser": 0.3, "createToken": 0.2,
        "listUsers": 0.1, "foreign": 0.1, "revokeDevice": 0.01, "abortRollout": 0.05, "revertRollout": 0.05, "deleteUploadSession": 0.3, "addKey": 0.2,
        "enrolDevice": 0.5, "getTrust": 0.5}
# What was made can be named afterwards: operation -> pool and key of the answer.
MADE = {"createRollout": ("rollouts/id", "id"), "createUploadSession": ("upload", "id")}
MADE_MAX = 20
# Generated requests may shut out these, not those who send them.
VICTIMS = ["kim", "lee", "max"]
TELLS = re.compile(rb"/tmp/tdm-|SQLITE_|sqlite3|INSERT INTO|UPDATE [a-z_]+ SET|SELECT [a-z_.*]+ FROM|_store\.c|\.c:[0-9]+|AddressSanitizer|Traceback")
AGAIN = f"again: TD_SEED={SEED} TD_REQUESTS={REQUESTS} python3 tests/e2e/server/test_generated.py"


class Line:
    """Keep-alive, raw: what goes out is exactly the bytes that were made."""

    def __init__(self, connect):
        self.connect, self.sock = connect, None

    def close(self):
        if self.sock:
            self.sock.close()
            self.sock = None

    def send(self, data, method):
        """(status, headers, body), or None when a fresh connection got no answer."""
        for _ in range(2):
            fresh = self.sock is None
            if fresh:
                self.sock = self.connect()
            try:
                self.sock.sendall(data)
            except OSError:
                pass  # refused before it was read whole: the answer is there
            answer = http.client.HTTPResponse(self.sock, method=method)
            try:
                answer.begin()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                answer.close()
                self.close()
                if fresh:
                    return None
                continue
            if answer.will_close:
                self.close()
            return answer.status, answer.headers.items(), body
        return None


class Client(threading.Thread):
    def __init__(self, test, seed, count):
        super().__init__()
        self.test, self.seed, self.count, self.done = test, seed, count, 0
        self.random = random.Random(seed)
        server = test.server
        context = ssl.create_default_context(cafile=server.path("keys/ca.crt.pem"))
        self.lines = {
            "api": Line(lambda: socket.create_connection(("127.0.0.1", server.port), timeout=60)),
            "admin": Line(lambda: harness.unix_socket(server.path("run/admin.sock"))),
            "device": Line(lambda: context.wrap_socket(socket.create_connection(("127.0.0.1", server.device_port), timeout=60),
                                                       server_hostname="127.0.0.1")),
        }
        self.failures, self.statuses = [], {}

    def run(self):
        makers = generate.Generator(self.test.document, self.test.pools, self.random)
        weights = [RARE.get(one.id, 1) for one in self.test.operations]
        for self.done in range(self.count):
            operation = self.random.choices(self.test.operations, weights)[0]
            listener, role, token = self.sender(operation)
            data = b""
            try:
                made = makers.next(operation)
                data = made.bytes("127.0.0.1:%d" % self.test.server.port, token)
                self.judge(operation, made, self.lines[listener].send(data, made.method), data)
            except Exception as error:  # a mistake of the test's own counts as well
                said = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
                self.failures.append(f"seed {self.seed}, request {self.done}, {listener} as {role}: {said}\n  sent: {data[:1500]!r}")
                if len(self.failures) >= FAILURES_MAX:
                    break
        for line in self.lines.values():
            line.close()

    def sender(self, operation):
        """(listener, role, token): mostly somebody who may."""
        if operation.own["x-listener"] == "device":
            return "device", "nobody", None
        if self.random.random() < 0.1:
            return "admin", "admin socket", None
        permission = operation.own["x-permission"]
        may = [one for one in self.test.tokens if permission in MAY.get(one[0], ())]
        role, token = self.random.choice(may if may and self.random.random() < 0.7 else self.test.tokens)
        return "api", role, token

    def remember(self, operation, body):
        pool, key = MADE[operation.id]
        known = self.test.pools[pool]
        if len(known) < MADE_MAX:
            known.append(json.loads(body)[key])
        else:
            known[self.random.randrange(MADE_MAX)] = json.loads(body)[key]

    def judge(self, operation, made, answer, data):
        assert answer, "no answer" if self.test.server.process.poll() is None else "the server is gone: " + self.test.server.log_text()[-3000:]
        status, headers, body = answer
        self.statuses[status] = self.statuses.get(status, 0) + 1
        own = any(name == "X-Request-Id" for name, _ in headers)  # else it is the HTTP library that refuses
        assert status < 500 or status == 503 or not own and status in (501, 505), f"{status} {body[:400]!r}"
        if own:
            self.test.document.answer(made.method, made.target().replace(";", "%3B"), status, headers, body,
                                      made.sent if status < 300 else None, loose=True)
        if not made.target().startswith("/api/v1/status"):  # which names the workspace
            found = TELLS.search(body)
            assert not found or found[0] in data, f"{status} tells {found[0]!r}: {body[:400]!r}"
        if status == 201 and operation.id in MADE:
            self.remember(operation, body)
        for _, token in self.test.tokens:
            assert not token or token.encode() not in body, f"{status} tells a token"


# Operations that a valid request seldom or never reaches: what they need is made by nobody here (a signature, a lease), or RARE.
FAR = {"exportAudit", "streamEvents", "revokeDevice", "publishKeyset", "approveVersion", "moveVersion", "postResult", "renewStep", "rotateToken",
       "rejectVersion", "addKey", "enrolDevice", "deleteUploadSession", "abortRollout", "revertRollout", "revokeToken", "getUploadSession"}


EVIDENCE = {"metric": "psi", "value": 1, "warning": 0.1, "alert": 0.2, "severity": "alert", "n": 400, "from_at": None, "to_at": None, "statistics": {},
            "interval": {"value": 1, "low": 0.5, "high": 1.5}, "reference_rows": 400, "manifest_digest": "sha256:" + "a" * 64,
            "edges_digest": "sha256:" + "b" * 64, "windows": 1, "first_window": 1, "last_window": 1, "devices": {"reporting": 1, "judged": 1, "affected": 1, "share": 1, "worst": []}}


class World:
    """What valid requests can name: a version in each state, a device, a pipeline with a run, a project, people."""

    def __init__(self, server):
        self.server = server
        self.digest = server.upload(harness.onnx_model())
        self.versions()
        self.device()
        self.people()
        for method, path, body in (("PUT", "gates/good", {"rules": [{"metric": "accuracy", "at_least": 0.9}]}),
                                   ("PUT", "pipelines/train", {"gate": "good", "steps": [{"name": "train", "command": ["/bin/true"]}]}),
                                   ("POST", "projects", {"name": "mill"})):
            self.need(server.admin(method, "/api/v1/" + path, body))
        self.need(server.call("POST", "/api/v1/pipelines/train/runs", {"model": "pump", "parent_version": 3, "reason": "try"}))
        self.rollout = self.need(server.call("POST", "/api/v1/rollouts", {"model_version": "pump/3", "to": "all"}))["id"]
        body = {"experiment_id": "0", "run_name": "trial"}
        self.run = self.need(server.call("POST", "/api/2.0/mlflow/runs/create", body))["run"]["info"]["run_id"]
        self.alert()
        self.fresh_keys = [harness.public_pem(harness.make_key(os.path.join(server.folder, f"fresh-{index}.pem"))) for index in range(3)]
        self.keyset = base64.b64encode(server.admin("GET", "/api/v1/keyset?form=bytes").bytes).decode()
        self.session = self.need(server.call("POST", "/api/v1/upload-sessions", {"digest": "a" * 64, "size": 4000}))["id"]

    @staticmethod
    def need(answer):
        assert answer.status in (200, 201), answer
        return answer.json

    def versions(self):
        server = self.server
        for verbs in ((), ("submit",), ("submit", "approve")):
            label = f"pump/{self.need(server.register(baseline_csv={'digest': self.reference(), 'name': 'reference.csv'}))['version']}"
            for verb in verbs:
                self.need(getattr(server, verb)(label))
        self.need(server.call("PUT", "/api/v1/models/pump/aliases/champion", {"version": 3, "reason": "the first"}, "ben"))
        self.need(server.call("PUT", "/api/v1/models/pump/aliases/b", {"version": 1}))

    def reference(self):
        return self.server.upload(("speed,prediction\n" + "".join(f"{i % 17}.5,{i % 13}\n" for i in range(400))).encode())

    def alert(self):
        """Written past the server: thousands of windows would say no more about the routes."""
        with sqlite3.connect(self.server.path("tidemark.db"), timeout=20) as db:
            key, = db.execute("SELECT version_key FROM monitor_version").fetchone()
            row = db.execute("INSERT INTO alert (project, model, version, version_key, signal, feature, severity, state, metric, value,"
                             " threshold, fired_ms, first_window, last_window, evidence) VALUES ('default', 'pump', 3, ?, 'data_drift',"
                             " 'speed', 'alert', 'firing', 'psi', 1, 0.2, 1, 1, 1, ?)", (key, json.dumps(EVIDENCE)))
            self.alert_id = f"al-{row.lastrowid}"
        db.close()

    def device(self):
        server = self.server
        code, = self.need(server.call("POST", "/api/v1/enrolment-codes", {"count": 1}))["codes"]
        self.request = harness.make_request(server.folder, "pump-01")
        self.need(server.device("POST", "/enrol/v1/device", {"code_secret": secret_of(code)[0].hex(), "device": "pump-01", "csr_pem": self.request,
                                                             "hardware": "test-board", "runtimes": ["onnx"], "tags": {"site": "oslo"}}))

    def people(self):
        server = self.server
        self.tokens = [("nobody", None)]
        for role in MAY:
            name = "only-" + role
            self.need(server.admin("POST", "/api/v1/users", {"name": name, "roles": [role], "reason": "test"}))
            self.tokens.append((role, self.need(server.admin("POST", f"/api/v1/users/{name}/tokens", {}))["token"]))
        for name in VICTIMS:
            self.need(server.admin("POST", "/api/v1/users", {"name": name, "reason": "test"}))
        self.spare = [str(self.need(server.admin("POST", f"/api/v1/users/{VICTIMS[0]}/tokens", {}))["id"]) for _ in range(5)]

    def pools(self):
        return {"model": ["pump", "pump", "fan"], "version": ["1", "2", "3", "@champion", "@b", "9"], "alias": ["b", "c", "champion"], "key": ["site", "a"],
                "files/name": ["model.onnx"], "user": VICTIMS, "token": self.spare + ["999999"], "gate": ["good", "new"], "pipeline": ["train", "new"],
                "run": ["run-1", "run-9"], "run_id": [self.run], "?run_id": [self.run], "experiment_id": ["0", "1"],
                "?experiment_id": ["0"], "experiment_ids": [["0"]], "?name": ["pump", "m.onnx"], "?path": ["a.txt", "b"], "step": ["train", "x"], "seq": ["0", "1", "5", "99999999"], "digest": [self.digest, self.digest[7:]],
                "name": ["pump", "fan", "m1", "m2"], "device": ["pump-01", "pump-02"], "rollouts/id": [self.rollout, "r-1"], "alerts/id": [self.alert_id, "al-99"],
                "upload": [self.session], "model_version": ["pump/3", "pump@champion"], "to": ["all", "site=oslo"], "parent": ["pump/1"],
                "?node": ["pump/3", "version:pump/3", "dataset:x"], "?digest": [self.digest], "roles": [["viewer"], []], "project": ["mill", "none"],
                "csr_pem": [self.request], "keyset": [self.keyset], "mirrorRun/run": ["ab" * 16, "cd" * 16],
                "logged_model": ["m-" + "ab" * 16, "m-" + "cd" * 16], "path": ["a.txt", f"0/{self.run}/artifacts/a.txt"],
                "public_key": self.fresh_keys + [harness.public_pem(self.server.path("users/ben/key.pem"))]}


class Generated(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        # Freed memory is kept back for a while only, or growth could not be told from it.
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4:malloc_context_size=4"
        super().setUpClass()
        cls.addClassCleanup(cls.server.close)  # also when World fails
        cls.document = contract.contract()
        world = World(cls.server)
        cls.tokens, cls.pools = world.tokens, world.pools()
        routes = cls.server.admin("GET", "/api/v1/routes").json["routes"]
        cls.operations = cls.document.operations + [generate.Foreign(one, always) for one in routes
                                                    if cls.document.is_foreign(one["path"]) for always in generate.Foreign.SETS]

    def resident(self):
        with open(f"/proc/{self.server.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))

    def round(self, first_seed, count):
        clients = [Client(self, first_seed + index, count // CLIENTS) for index in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        failures = [text for client in clients for text in client.failures]
        if failures:
            self.fail(AGAIN + "\n" + "\n".join(failures))
        return clients

    def test_every_parameter_of_the_query_is_checked(self):
        makers = generate.Generator(self.document, self.pools, random.Random(SEED))
        checked = 0
        for operation in self.document.operations:
            for (place, name), one in operation.parameters.items():
                schema = self.document.schemas.resolve(one["schema"])
                narrow = schema.keys() & {"enum", "pattern"} or schema.get("type") == "integer"
                if place != "query" or not narrow or operation.method != "GET" and name != "project" or operation.own["x-body"] == "stream":
                    continue
                for _ in range(5):
                    made = makers.valid(operation)
                    made.query = [(name, "~")] + [("node", "pump/3")] * (name != "node" and "node" in operation.query)
                    answer = self.server.admin(operation.method, made.target(), made.body)
                    if answer.status == 403:  # the admin socket is no operator
                        answer = self.server.call(operation.method, made.target(), made.body)
                    if answer.status != 404:
                        break
                self.assertEqual((answer.status, answer.json.get("field")), (400, name), (operation.id, answer))
                checked += 1
        self.assertGreater(checked, 80)

    def test_requests(self):
        began = time.monotonic()
        self.assertIsNotNone(self.document, "docs/openapi.yaml was not built (target openapi_json)")
        descriptors = self.descriptors()
        self.round(SEED * 1000, REQUESTS // 5)
        warm = self.resident()
        clients = self.round(SEED * 1000 + CLIENTS, REQUESTS - REQUESTS // 5)
        growth = self.resident() - warm
        statuses = {}
        for client in clients:
            for status, count in client.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
        print(f"seed {SEED}, {REQUESTS} requests in {time.monotonic() - began:.0f} s: {dict(sorted(statuses.items()))}, "
              f"resident {warm / 2 ** 20:.1f} MiB {growth / 2 ** 20:+.1f}", flush=True)
        self.assertLess(growth, GROWTH_BYTES_MAX)
        harness.wait_for("the server to close its connections", lambda: self.descriptors() <= descriptors + 2)
        self.assertGreater(statuses.get(200, 0) + statuses.get(201, 0), sum(statuses.values()) // 10, "hardly anything was valid")
        self.assertNotRegex(self.server.log_text(), r"(?i)\binternal\b|sanitizer|runtime error")
        if REQUESTS >= 50000:
            self.every_operation_was_reached()

    def every_operation_was_reached(self):
        missed = {one.id for one in self.document.operations
                  if not any(status.startswith("2") for status in self.document.seen.get(one.id, ()))}
        self.assertEqual(missed - FAR, set(), "no valid request was ever made for these: give World and its pools what they need")


if __name__ == "__main__":
    harness.main()
