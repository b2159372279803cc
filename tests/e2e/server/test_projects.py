"""Two projects with the same names of everything: whoever has roles in one finds no trace of the other, by any route.

Everything that belongs to `south` carries a marker (or is one: digests, a device's name, its people). Nina of `north` walks every
route of the server's own table with every identifier of `south`; Sasha of `south` walks it too and must find markers, or the test
would prove nothing.
SPDX-License-Identifier: Apache-2.0
"""
import base64
import hashlib
import json
import re
import sqlite3
import unittest.mock

import harness

MARK = "zq7marker"
ROLES = ["data-scientist", "operator", "auditor", "admin", "trainer"]
NONE = "zz-none"
# Routes whose answers are about the workspace or the caller: nothing of a project is in them.
COMMON = {"/healthz", "/api/v1/routes", "/api/v1/roles", "/api/v1/audit/checkpoint", "/api/v1/keyset", "/api/v1/audit/records/{seq}/proof",
          "/api/v1/users/{user}/keys", "/api/v1/audit/export", "/api/v1/audit/witnesses", "/log/checkpoint", "/log/tile/{tile...}",
          "/api/v1/users/{user}/tokens", "/health", "/version",
          "/api/v1/models/{model}/versions/{version}/diff",  # test_diff.py
          "/api/v1/models/{model}/versions/{version}/monitor", "/api/v1/models/{model}/monitor", "/api/v1/models/{model}/aliases",
          "/api/v1/models/{model}/versions/{version}/files/{name...}", "/api/v1/models/{model}/versions/{version}/bundle",
          "/metrics", "/api/v1/status", "/api/v1/gates/{gate}", "/api/v1/pipelines", "/api/v1/devices/{device}/runs",
          "/api/v1/events/stream",  # test_stream.py reads it
          "/api/v1/upload-sessions/{upload}"}  # below, by its own number


def csv():
    rows = "".join(f"{i % 17}.5,{i % 13}\n" for i in range(400))
    return ("speed,prediction\n" + rows).encode()


class Project:
    """One project with one of everything, its people, and what must not be seen elsewhere."""

    def __init__(self, server, name, mark, user):
        self.server, self.name, self.mark, self.user = server, name, mark, user
        self.device = f"{name}-{mark}-01"
        self.must(server.admin("POST", "/api/v1/projects", {"name": name, "description": mark}), 201)
        self.must(server.admin("POST", "/api/v1/users", {"name": user, "description": mark, "reason": "test"}), 201)
        self.must(self.admin("PUT", f"/api/v1/users/{user}/roles", {"roles": ROLES, "reason": "test"}), 200)
        self.must(self.admin("PUT", "/api/v1/users/ben/roles", {"roles": ["approver"], "reason": "test"}), 200)
        made = self.must(server.admin("POST", f"/api/v1/users/{user}/tokens", {"label": mark}), 201).json
        self.token, self.token_id = made["token"], made["id"]
        self.fill()

    def must(self, answer, status):
        assert answer.status == status, (self.name, answer)
        return answer

    def admin(self, method, path, body=None):
        return self.server.admin(method, path + ("&" if "?" in path else "?") + "project=" + self.name, body)

    def call(self, method, path, body=None, project=None, token=None):
        path += ("&" if "?" in path else "?") + "project=" + (project or self.name) if project != "" else ""
        return self.server.call(method, path, body, None, {"Authorization": "Bearer " + (token or self.token)})

    def upload(self, data):
        return self.must(self.call("POST", "/api/v1/uploads", data), 201).json["digest"]

    def version(self):
        model = harness.onnx_model(salt=self.mark)
        digest, reference = self.upload(model), self.upload(csv())
        self.must(self.call("POST", "/api/v1/models/pump/versions", {
            "files": [{"name": "model.onnx", "digest": digest, "role": "model"}], "description": self.mark,
            "baseline_csv": {"digest": reference, "name": "reference.csv"}, "tags": {"mark": self.mark}, "metrics": {"auc": 0.9},
            "datasets": [{"name": "set-" + self.mark, "uri": "s3://" + self.mark, "digest": "sha256:" + "ab" * 32}],
            "code": {"repository": "https://" + self.mark, "commit": "1f0e"}}), 201)
        self.must(self.call("PUT", "/api/v1/models/pump/aliases/beta", {"version": 1, "reason": self.mark}), 200)
        self.must(self.call("POST", "/api/v1/models/pump/versions/1/submit", {}), 200)
        self.digest = digest

    def approve(self):
        ben = self.server.token("ben")
        manifest = self.call("GET", "/api/v1/models/pump/versions/1/manifest", token=ben).bytes
        key_id, signature = harness.sign_manifest(self.server.path("users/ben/key.pem"), manifest)
        self.must(self.call("POST", "/api/v1/models/pump/versions/1/approvals",
                            {"key_id": key_id, "signature": signature, "reason": self.mark}, token=ben), 201)
        self.manifest = hashlib.sha256(manifest).hexdigest()

    def claim(self):
        key = harness.make_key(self.server.path(f"{self.mark}.pem"))
        public = harness.openssl("pkey", "-in", key, "-pubout").decode()
        self.must(self.call("POST", "/api/v1/claim-keys", {"name": self.mark, "public_key": public, "reason": self.mark}), 201)
        statement = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": self.manifest}}],
                                "predicateType": "https://example.com/mark", "predicate": {"mark": self.mark}}).encode()
        kind = b"application/vnd.in-toto+json"
        signature = harness.openssl("dgst", "-sha256", "-sign", key, data=b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(statement), statement))
        envelope = {"payload": base64.b64encode(statement).decode(), "payloadType": kind.decode(),
                    "signatures": [{"sig": base64.b64encode(signature).decode()}]}
        self.claimed = self.must(self.call("POST", "/api/v1/models/pump/versions/1/claims", {"envelope": envelope}), 201).json["digest"]

    def enrol(self):
        text = self.must(self.call("POST", "/api/v1/enrolment-codes", {"tags": {"mark": self.mark}}), 201).json["codes"][0]
        text = text.replace("-", "")
        secret = base64.b32decode(text + "=" * (-len(text) % 8))[:10].hex()
        csr = harness.make_request(self.server.folder, self.device)
        self.must(self.server.device("POST", "/enrol/v1/device", {"code_secret": secret, "device": self.device, "csr_pem": csr}), 201)

    def pipeline(self):
        self.must(self.call("PUT", "/api/v1/gates/gate", {"rules": [{"metric": "accuracy", "at_least": 0.5}]}), 200)
        self.must(self.call("PUT", f"/api/v1/gates/{self.mark}", {"rules": [{"metric": "accuracy", "at_least": 0.6}]}), 200)
        step = {"name": "train", "command": ["/bin/echo", self.mark], "outputs": [{"name": "model", "path": "m", "role": "model"}]}
        self.must(self.call("PUT", "/api/v1/pipelines/again", {"gate": "gate", "steps": [step]}), 200)
        self.run = self.must(self.call("POST", "/api/v1/pipelines/again/runs",
                                       {"model": "pump", "parent_version": 1, "reason": self.mark}), 201).json["run"]

    def alert(self):
        """Written past the server: thousands of windows would say no more about who may see it."""
        with sqlite3.connect(self.server.path("tidemark.db"), timeout=20) as db:
            key, = db.execute("SELECT version_key FROM monitor_version WHERE project = ?", (self.name,)).fetchone()
            row = db.execute("INSERT INTO alert (project, model, version, version_key, signal, feature, severity, state, metric, value,"
                             " threshold, fired_ms, first_window, last_window, evidence) VALUES (?, 'pump', 1, ?, 'data_drift', ?,"
                             " 'alert', 'firing', 'psi', 1, 0.2, 1, 1, 1, ?)",
                             (self.name, key, self.mark, '{"mark":"%s"}' % self.mark))
            self.alert_id = f"al-{row.lastrowid}"
        db.close()

    def fill(self):
        self.version()
        self.approve()
        self.claim()
        self.enrol()
        self.pipeline()
        self.alert()
        self.rollout = self.must(self.call("POST", "/api/v1/rollouts", {"model_version": "pump/1", "slot": "main",
                                                                        "to": f"mark={self.mark}"}), 201).json["id"]
        records = self.call("GET", "/api/v1/audit?limit=1000").json["records"]
        self.seqs = [record["seq"] for record in records if record["project"] == self.name]
        self.node = f"dataset:set-{self.mark}"

    def values(self):
        """What {…} in a route's path stands for."""
        return {"digest": self.digest, "model": "pump", "version": "1", "alias": "beta", "name...": "model/model.onnx", "key": "mark",
                "device": self.device, "id": self.rollout, "pipeline": "again", "run": self.run, "gate": "gate", "step": "train",
                "seq": str(self.seqs[-1]), "user": self.user, "token": str(self.token_id), "project": self.name}


def fill_in(route, values):
    """The route's path with values; {id} of alerts and of rollouts are different things."""
    def value(match):
        name = match.group(1)
        if name == "id" and "/alerts/" in route["path"]:
            return values["alert"]
        if name == "digest" and "/claims/" in route["path"]:
            return values["claim"]
        return values.get(name, NONE)
    path = re.sub(r"\{([a-z_.]+)\}", value, route["path"])
    if route["path"].startswith("/api/v1/lineage"):
        path += "?node=" + values["node"]
    return path


class Isolation(harness.ServerTest):
    tampers = True  # an alert that no window caused
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The walk asks for anything with anything, and some rows are written straight into the database: what is looked for
        # are traces of the other project, not the document's shapes.
        patch = unittest.mock.patch.object(harness.Server, "hold", staticmethod(lambda *_: None))
        patch.start()
        cls.addClassCleanup(patch.stop)
        server = cls.server
        cls.north = Project(server, "north", "zq1other", "nina")
        cls.south = Project(server, "south", MARK, "sasha")
        # What is public knows no project.
        cls.routes = [route for route in server.call("GET", "/api/v1/routes").json["routes"] if "api" in route["listener"].split()
                      and route["permission"] != "public"]
        cls.marks = [MARK, cls.south.digest[7:], cls.south.manifest, cls.south.device, "sasha"]

    def values_of(self, project):
        return dict(project.values(), alert=project.alert_id, node=project.node, claim=project.claimed)

    def marks_in(self, answer, asked=""):
        """Markers of south in the answer that were not in the question."""
        text = answer.bytes.decode("latin-1") + str(answer.headers)
        return [mark for mark in self.marks if mark in text and mark not in asked]

    def test_south_sees_itself(self):
        """The walk below would find something if there were something to find."""
        found = {route["path"] for route in self.routes if route["method"] == "GET" and route["path"] not in COMMON
                 and not self.marks_in(self.south.call("GET", fill_in(route, self.values_of(self.south))))}
        blind = {path for path in found if path.startswith("/api/v1/")}
        self.assertEqual(blind, set(), "routes that show nothing of their own project: list them in COMMON, or fix the walk")

    def test_nobody_else_sees_south(self):
        values = self.values_of(self.south)
        own = self.values_of(self.north)
        for route in self.routes:
            if route["method"] != "GET":
                continue
            for asked in (fill_in(route, values), fill_in(route, own)):
                for project in ("north", "south", "default", NONE, ""):
                    answer = self.north.call("GET", asked, project=project)
                    self.assertEqual(self.marks_in(answer, asked), [], (asked, project, answer))
                    if project not in ("north", "") and route["permission"] not in ("public", "login"):
                        self.assertEqual(answer.status, 404, (asked, project, answer))

    def test_a_foreign_thing_answers_as_one_that_does_not_exist(self):
        values = self.values_of(self.south)
        nothing = dict(values, digest="sha256:" + "00" * 32, claim="sha256:" + "00" * 32, device=NONE, id="ro-99999", alert="al-99999", run="run-99999", seq="99999",
                       user=NONE, token="99999", project=NONE, node="dataset:" + NONE)
        differing = ("digest", "claim", "device", "id", "alert", "run", "seq", "user", "token", "project", "node")

        def told(answer, given):
            text = answer.json["detail"]
            for name in differing:
                short = given[name][7:23] if name in ("digest", "claim") else given[name].split(":")[-1]
                text = re.sub(rf"\b{re.escape(short)}\b", "<it>", text)
            return answer.status, text
        for route in self.routes:
            asked, unknown = fill_in(route, values), fill_in(route, nothing)
            if route["method"] == "GET" and asked != unknown:
                foreign, missing = self.north.call("GET", asked), self.north.call("GET", unknown)
                if route["path"] == "/api/v1/audit/export":
                    continue
                self.assertIn(foreign.status, (403, 404), (asked, foreign))
                self.assertEqual(told(foreign, values), told(missing, nothing), (asked, foreign, missing))

    def test_nobody_else_changes_south(self):
        values = self.values_of(self.south)
        body = {"reason": "mine", "worker": "w", "attempt": 1, "exit_code": 0, "tags": {"a": "b"}, "version": 1, "value": "v"}
        for route in self.routes:
            if route["method"] == "GET" or route["permission"] == "public":
                continue
            needs = {"PATCH /api/v1/projects/{project}": {"description": "mine"}, "POST /api/v1/users/{user}/tokens": {}}
            for key in (None, "reason", "tags", "version", "value", "worker"):
                sent = needs.get(f"{route['method']} {route['path']}") or ({} if key is None else {k: body[k] for k in (
                    ("worker", "attempt") if key == "worker" else ("reason", "version") if key == "version" else (key,))})
                for project in ("north", "south"):
                    asked = fill_in(route, values)
                    answer = self.north.call(route["method"], asked, b"x" if route["body"] == "stream" else sent, project=project)
                    self.assertEqual(self.marks_in(answer, asked), [], (route, answer))
                    self.assertLess(answer.status, 500, (route, answer))
                    if project == "south" and route["permission"] != "login":
                        self.assertEqual(answer.status, 404, (route, answer))
        records = self.south.call("GET", "/api/v1/audit?limit=1000").json["records"]
        self.assertEqual([record for record in records if record["actor"]["id"] == "nina"], [])

    def test_a_digest_gives_no_right_to_the_bytes(self):
        north, south = self.north, self.south
        body = {"files": [{"name": "model.onnx", "digest": south.digest, "role": "model"}]}
        self.check(north.call("POST", "/api/v1/models/thief/versions", body), 404, "not_found", "was not uploaded")
        reference = south.upload(b"speed,prediction\n1,2\n" + MARK.encode())
        own = north.upload(harness.onnx_model(salt="mine"))
        body = {"files": [{"name": "model.onnx", "digest": own, "role": "model"}], "baseline_csv": {"digest": reference}}
        self.check(north.call("POST", "/api/v1/models/thief/versions", body), 404, "not_found", "was not uploaded")
        half = hashlib.sha256(MARK.encode()).hexdigest()
        session = south.call("POST", "/api/v1/upload-sessions", {"digest": "sha256:" + half, "size": len(MARK)})
        self.assertEqual(session.status, 201, session)
        self.check(north.call("GET", session.headers["Location"]), 404, "not_found")
        secret = south.upload(b"bytes of south")
        self.check(north.call("GET", "/api/v1/content/" + secret), 404, "not_found")
        self.assertEqual(north.upload(b"bytes of south"), secret)  # who has the bytes may have them
        self.assertEqual(north.call("GET", "/api/v1/content/" + secret).bytes, b"bytes of south")

    def test_work_goes_to_its_own_project(self):
        claim = self.north.call("POST", "/api/v1/worker/claim", {"worker": "w"}).json
        self.assertEqual((claim["run"], claim["project"]), (self.north.run, "north"))
        self.assertIsNone(self.north.call("POST", "/api/v1/worker/claim", {"worker": "w"}).json["step"])
        lease = {"worker": "w", "attempt": 1}
        self.check(self.north.call("POST", f"/api/v1/runs/{self.south.run}/steps/train/renew", lease), 404, "not_found")
        self.check(self.north.call("POST", "/api/v1/pipelines/again/runs", {"model": "pump", "alert": self.south.alert_id}), 404,
                   "not_found")

    def test_the_whole_log_is_for_auditors_of_the_workspace(self):
        self.check(self.north.call("GET", "/api/v1/audit/export"), 403, "denied", "project default")
        export = self.server.call("GET", "/api/v1/audit/export", None, "ben")
        self.assertEqual(export.status, 200)
        self.assertIn(MARK.encode(), export.bytes)

    def test_a_token_for_one_project_opens_no_other(self):
        server = self.server
        server.admin("PUT", "/api/v1/users/both/roles?project=north", {"roles": ["viewer"], "reason": "test"})
        server.admin("POST", "/api/v1/users", {"name": "both", "reason": "test"})
        for project in ("north", "south"):
            answer = server.admin("PUT", f"/api/v1/users/both/roles?project={project}", {"roles": ["viewer"], "reason": "test"})
            self.assertEqual(answer.status, 200, answer)
        made = server.admin("POST", "/api/v1/users/both/tokens", {"project": "north"})
        headers = {"Authorization": "Bearer " + made.json["token"]}
        self.assertEqual(server.call("GET", "/api/v1/models?project=north", None, None, headers).status, 200)
        self.check(server.call("GET", "/api/v1/models?project=south", None, None, headers), 404, "not_found")
        wider = server.call("POST", "/api/v1/users/both/tokens", {"project": "south"}, None, headers)
        self.check(wider, 403, "denied")
        child = server.call("POST", "/api/v1/users/both/tokens", {}, None, headers).json["token"]
        headers = {"Authorization": "Bearer " + child}
        self.check(server.call("GET", "/api/v1/models?project=south", None, None, headers), 404, "not_found")


class Life(harness.ServerTest):
    def names(self, query="", as_="ana"):
        return [project["name"] for project in self.server.call("GET", "/api/v1/projects" + query, None, as_).json["projects"]]

    def test_from_making_to_archive_and_back(self):
        server = self.server
        self.check(server.call("POST", "/api/v1/projects", {"name": "No!"}), 400, "invalid")
        self.check(server.call("POST", "/api/v1/projects", {"name": "mill"}, "ben"), 403, "denied")
        made = server.call("POST", "/api/v1/projects", {"name": "mill", "description": "The mill"})
        self.assertEqual(made.status, 201, made)
        self.assertEqual(server.call("GET", "/api/v1/projects/mill").json["roles"], ["admin"])  # who makes it can let others in
        self.check(server.call("POST", "/api/v1/projects", {"name": "mill"}), 409, "conflict")
        self.check(server.call("GET", "/api/v1/projects/mill", None, "ben"), 404, "not_found")
        self.assertEqual(self.names(as_="ben"), ["default"])
        answer = server.call("PUT", "/api/v1/users/ana/roles?project=mill", {"roles": ["admin", "data-scientist"], "reason": "work"})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(server.call("POST", "/api/v1/models?project=mill", {"name": "saw"}).status, 201)
        changed = server.call("PATCH", "/api/v1/projects/mill", {"description": "The old mill"})
        self.assertEqual(changed.json["description"], "The old mill")
        self.check(server.call("POST", "/api/v1/projects/mill/archive", {}), 400, "invalid", field="reason")
        self.assertEqual(server.call("POST", "/api/v1/projects/mill/archive", {"reason": "closed"}).status, 200)
        self.assertEqual(("mill" in self.names(), "mill" in self.names("?archived=yes")), (False, True))
        self.assertEqual(server.call("GET", "/api/v1/models/saw?project=mill").status, 200)
        for method, path, body in (("POST", "/api/v1/models", {"name": "axe"}), ("POST", "/api/v1/uploads", b"x"),
                                   ("PUT", "/api/v1/models/saw/monitor", {}), ("PATCH", "/api/v1/models/saw", {"description": "x"})):
            self.check(server.call(method, path + "?project=mill", body), 409, "conflict", "archived")
        self.assertEqual(server.call("POST", "/api/v1/projects/mill/restore", {"reason": "open again"}).status, 200)
        self.assertEqual(server.call("POST", "/api/v1/models?project=mill", {"name": "axe"}).status, 201)
        self.check(server.call("POST", "/api/v1/projects/default/archive", {"reason": "x"}), 409, "conflict")

    def test_an_admin_of_a_project_manages_its_people_alone(self):
        server = self.server
        server.admin("POST", "/api/v1/projects", {"name": "dock"})
        for name in ("dora", "dirk"):
            server.admin("POST", "/api/v1/users", {"name": name, "reason": "test"})
        server.admin("PUT", "/api/v1/users/dora/roles?project=dock", {"roles": ["admin"], "reason": "test"})
        token = server.admin("POST", "/api/v1/users/dora/tokens", {}).json["token"]
        headers = {"Authorization": "Bearer " + token}

        def dora(method, path, body=None):
            return server.call(method, path, body, None, headers)
        self.assertEqual([user["name"] for user in dora("GET", "/api/v1/users?project=dock").json["users"]], ["dora"])
        self.assertNotIn("tokens", dora("GET", "/api/v1/users?project=dock").json["users"][0])
        self.assertEqual(dora("PUT", "/api/v1/users/dirk/roles?project=dock", {"roles": ["viewer"], "reason": "helps"}).status, 200)
        self.assertEqual(dora("GET", "/api/v1/users/dirk?project=dock").json["roles"], {"dock": ["viewer"]})
        self.check(dora("GET", "/api/v1/users/ana?project=dock"), 404, "not_found")
        self.check(dora("PUT", "/api/v1/users/dirk/roles", {"roles": ["viewer"], "reason": "x"}), 404, "not_found")
        for method, path, body in (("POST", "/api/v1/users", {"name": "mallory"}), ("POST", "/api/v1/users/ben/disable", {"reason": "x"}),
                                   ("POST", "/api/v1/projects", {"name": "more"}), ("POST", "/api/v1/users/ben/tokens", {}),
                                   ("POST", "/api/v1/users/ben/keys", {"public_key": "x"})):
            self.assertIn(dora(method, path + "?project=dock", body).status, (403, 404), (method, path))


if __name__ == "__main__":
    harness.main()
