"""Lists: every one of them takes filter, order_by, limit and cursor, pages give what one page gives, and bad ones are told apart.

That no list shows anything of another project is test_projects.py's matter. SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
from urllib.parse import quote

import contract
import harness

FOUR = {"filter", "order_by", "limit", "cursor"}


def is_list(operation, schemas):
    answer = operation.responses.get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return "next_cursor" in schemas.resolve(answer).get("properties", {})


class SearchTest(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for i in range(5):
            answer = cls.server.register("pump" if i < 3 else f"valve{i}", data=harness.onnx_model(salt=str(i)),
                                         tags={"site": "oslo" if i % 2 else "rome", "line": "it's"}, metrics={"auc": i / 10},
                                         params={"depth": str(i)})
            assert answer.status == 201, answer

        cls.fill()

    @classmethod
    def fill(cls):
        """Two of everything that is quickly made."""
        admin = cls.server.admin
        for made in (admin("POST", "/api/v1/users", {"name": "kim", "roles": ["viewer"], "reason": "test"}),
                     admin("POST", "/api/v1/users/kim/tokens", {"label": "one"}), admin("POST", "/api/v1/users/kim/tokens", {"label": "two"}),
                     admin("POST", "/api/v1/projects", {"name": "south"}),
                     cls.server.call("POST", "/api/v1/enrolment-codes", {"count": 2, "tags": {"site": "oslo"}})):
            assert made.status == 201, made
        step = {"name": "train", "command": ["/bin/true"], "outputs": [{"name": "model", "path": "m", "role": "model"}]}
        gate = {"rules": [{"metric": "auc", "at_least": 0.9}]}
        for name in ("again", "anew"):
            for made in (admin("PUT", f"/api/v1/pipelines/{name}", {"steps": [step]}), admin("PUT", f"/api/v1/gates/{name}", gate)):
                assert made.status == 200, made
        for _ in range(3):
            made = cls.server.call("POST", "/api/v1/pipelines/again/runs", {"model": "pump", "parent_version": 1, "reason": "test"})
            assert made.status == 201, made

    def get(self, path, **query):
        text = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in query.items())
        return self.server.call("GET", path + ("?" + text if text else ""))

    def labels(self, **query):
        answer = self.get("/api/v1/versions", **query)
        self.assertEqual(answer.status, 200, answer)
        return [one["label"] for one in answer.json["versions"]]

    def test_versions_of_all_models_are_found(self):
        self.assertEqual(sorted(self.labels()), ["pump/1", "pump/2", "pump/3", "valve3/1", "valve4/1"])
        self.assertEqual(self.labels(filter="tags.site = 'oslo' AND tags.line = 'it''s'", order_by="metrics.auc DESC"),
                         ["valve3/1", "pump/2"])
        self.assertEqual(self.labels(filter="metrics.auc > 0.15 AND params.depth IN ('2', '4')", order_by="model"), ["pump/3", "valve4/1"])
        self.assertEqual(self.labels(filter="created_at > '2099-01-01'"), [])
        models = self.get("/api/v1/models", filter="name LIKE 'valve%'", order_by="name DESC").json["models"]
        self.assertEqual([one["name"] for one in models], ["valve4", "valve3"])

    def names(self, path, key, name, **query):
        answer = self.server.call("GET", path + "?" + "&".join(f"{key}={quote(value)}" for key, value in query.items()))
        self.assertEqual(answer.status, 200, answer)
        return [one[name] for one in answer.json[key]]

    def test_other_lists_are_asked_the_same_way(self):
        users = ("/api/v1/users", "users", "name")
        self.assertEqual(self.names(*users, filter="kind = 'service'"), ["worker"])
        self.assertEqual(self.names(*users, filter="role = 'approver'"), ["ben"])
        self.assertEqual(self.names("/api/v1/users/kim/tokens", "tokens", "label", order_by="label DESC"), ["two", "one"])
        self.assertEqual(self.names("/api/v1/projects", "projects", "name", filter="name != 'default'"), ["south"])
        self.assertEqual(self.names("/api/v1/pipelines/again/runs", "runs", "run", order_by="id", filter="state = 'pending'"),
                         ["run-1", "run-2", "run-3"])
        self.assertEqual(self.names("/api/v1/enrolment-codes", "codes", "used", filter="tags.site = 'oslo' AND spent = false"), [0, 0])
        self.assertEqual(self.names("/api/v1/audit", "records", "action", filter="object = 'pump/2' AND object_type = 'version'"),
                         ["register.version"])
        newest = self.names("/api/v1/audit", "records", "seq", order_by="seq DESC", filter="project = 'default'")
        self.assertEqual(newest, sorted(newest, reverse=True))

    def test_what_is_wrong_is_named(self):
        for query, field, text in (({"filter": "nam = 'x'"}, "filter", "did you mean name?"),
                                   ({"filter": "state = 'aproved'"}, "filter", "column 9"),
                                   ({"filter": "x' OR 1=1 --"}, "filter", "column 1"),
                                   ({"order_by": "metrics"}, "order_by", "a key"),
                                   ({"cursor": "AAAA"}, "cursor", "leave it out"),
                                   ({"limit": 501}, "limit", "1 … 500"), ({"limit": 0}, "limit", "1 … 500")):
            with self.subTest(query=query):
                self.check(self.get("/api/v1/versions", **query), 400, "invalid", text, field=field)
        many = " AND ".join(["version = 1"] * 33)
        self.check(self.get("/api/v1/versions", filter=many), 413, "limit", "32", field="filter")

    def test_every_list_takes_the_same_four(self):
        document = contract.contract()
        lists = [one for one in document.operations if one.method == "GET" and is_list(one, document.schemas)]
        self.assertGreaterEqual(len(lists), LISTS)
        for operation in lists:
            with self.subTest(operation=operation.id):
                self.assertLessEqual(FOUR, set(operation.query))
                path = operation.path.replace("{model}", "pump").replace("{pipeline}", "again").replace("{user}", "ana")
                self.refuses(path.replace("{device}", "none"))

    def refuses(self, path):
        for name, value in (("filter", "nonsense = 'x'"), ("order_by", "nonsense"), ("cursor", "AAAA"), ("limit", "0")):
            answer = self.server.call("GET", f"{path}?{name}={quote(value)}")
            if answer.status != 404:  # the thing whose list it is
                self.check(answer, 400, "invalid", None, field=name)

    def test_pages_give_what_one_page_gives(self):
        for path, key in PAGED.items():
            with self.subTest(path=path):
                whole = self.server.call("GET", path + "?limit=500").json[key]
                self.assertGreater(len(whole), 1)
                found, cursor = [], ""
                while cursor is not None:
                    answer = self.server.call("GET", f"{path}?limit=1" + (f"&cursor={cursor}" if cursor else ""))
                    self.assertEqual(answer.status, 200, answer)
                    self.assertLessEqual(len(answer.json[key]), 1)
                    found += answer.json[key]
                    cursor = answer.json.get("next_cursor")
                self.assertEqual(found, whole)

    def type(self, *arguments):
        environment = {**os.environ, "TIDEMARK_WORKSPACE": self.server.path(".")}
        return subprocess.run([os.path.join(harness.BIN, "tidemark"), *arguments, "--as", "ana"], capture_output=True, text=True,
                              env=environment, check=False)

    def test_typed(self):
        done = self.type("version", "search", "tags.site = 'oslo'", "--order-by", "metrics.auc")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ["VERSION", "pump/2", "valve3/1"])
        done = self.type("version", "list", "pump", "--limit", "1")
        self.assertIn("There are more: --cursor ", done.stderr)
        self.assertIn("3", done.stdout)
        done = self.type("version", "list", "pump", "--limit", "5", "--cursor", done.stderr.split("--cursor ")[1].strip())
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ["VERSION", "2", "1"])
        done = self.type("audit", "list", "--object", "version:pump/2", "--filter", "actor = 'ana'", "--newest", "--json")
        self.assertEqual([one["action"] for one in json.loads(done.stdout)["records"]], ["register.version"], done)
        done = self.type("model", "list", "--filter", "nam = 'x'")
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("did you mean name?", done.stderr)


LISTS = 15
PAGED = {"/api/v1/models": "models", "/api/v1/versions": "versions", "/api/v1/models/pump/versions": "versions",
         "/api/v1/enrolment-codes": "codes", "/api/v1/pipelines": "pipelines", "/api/v1/gates": "gates", "/api/v1/pipelines/again/runs": "runs",
         "/api/v1/users": "users", "/api/v1/users/kim/tokens": "tokens", "/api/v1/projects": "projects"}

if __name__ == "__main__":
    harness.main()
