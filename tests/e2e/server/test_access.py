"""Who may do what: every method on every route as nobody, as each role, from another project, with every kind of bad token.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import re

import harness
from permissions import MAY, NARROWED, PERMISSION, PUBLIC

class Matrix(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.routes = [route for route in cls.server.call("GET", "/api/v1/routes").json["routes"] if "api" in route["listener"]
                      or route["listener"] == "all"]
        cls.tokens = {}
        for role in MAY:
            name = "only-" + role
            answer = cls.server.admin("POST", "/api/v1/users", {"name": name, "roles": [role], "reason": "test"})
            assert answer.status == 201, answer
            cls.tokens[role] = cls.server.admin("POST", f"/api/v1/users/{name}/tokens", {"label": "test"}).json["token"]

    def walk(self, token):
        """(route, answer) of every route, with values that name nothing."""
        for route in self.routes:
            values = {"{user}": "ana", "{token}": "999999", "{project}": "none", "{tile...}": "0/000.p/1"}
            path = re.sub(r"\{[a-z_.]+\}", lambda match: values.get(match.group(), "1"), route["path"])
            headers = {"Authorization": "Bearer " + token} if token else {}
            if route["path"].endswith("/stream"):
                headers["Last-Event-ID"] = "none"  # a stream that may begin would not end
            body = None if route["method"] == "GET" else b"" if route["body"] == "stream" else {}
            yield route, self.server.call(route["method"], path, body, None, headers)

    def test_every_route_demands_what_the_table_says(self):
        found = {(route["method"], route["path"]): route["permission"] for route in self.routes}
        self.assertEqual(set(found) - set(PERMISSION), set(), "new routes: give them a line in permissions.py")
        self.assertEqual(set(PERMISSION) - set(found), set(), "routes that are gone")
        self.assertEqual({route: (found[route], PERMISSION[route]) for route in found if found[route] != PERMISSION[route]}, {})
        login = {route for route, permission in PERMISSION.items() if permission == "login"}
        self.assertEqual(login, set(NARROWED), "routes that demand login alone say what their handler asks")

    def test_nobody_and_bad_tokens(self):
        for token in (None, "tmk_" + "0" * 64, "tmk_", "", "x" * 10000, self.tokens["admin"][:-1]):
            for route, answer in self.walk(token):
                if (route["method"], route["path"]) in PUBLIC:
                    continue
                self.assertIn(answer.status, (401, 431), (route, answer))
                if answer.status == 401:
                    self.assertEqual(answer.problem[0], "unauthenticated")
                    self.assertIn("Bearer", answer.headers["WWW-Authenticate"])

    def test_other_ways_to_log_in_do_not_exist(self):
        import base64
        token = self.tokens["admin"]
        basic = base64.b64encode(f"admin:{token}".encode()).decode()
        for headers in ({"Authorization": token}, {"Authorization": "Basic " + basic}, {"Cookie": "token=" + token}):
            self.check(self.server.call("GET", "/api/v1/models", None, None, headers), 401, "unauthenticated")
        self.check(self.server.call("GET", "/api/v1/models?token=" + token, None, None), 401, "unauthenticated")

    def test_basic_takes_the_token_as_password(self):
        token = self.tokens["viewer"]
        for name, password, status in (("only-viewer", token, 200), ("ana", token, 401), ("only-viewer", "", 401),
                                       ("", token, 401), ("only-viewer", token[:-1], 401), ("admin", "password1234", 401)):
            pair = base64.b64encode(f"{name}:{password}".encode()).decode()
            answer = self.server.call("GET", "/api/v1/models", None, None, {"Authorization": "Basic " + pair})
            self.assertEqual(answer.status, status, (name, answer))
            if status == 401:
                self.check(answer, 401, "unauthenticated", "unknown, expired or revoked")
                self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Bearer "))  # no browser shall ask and remember

    def judge(self, who, token, allowed, service=False):
        """Every route as somebody with these permissions in project default; values of the paths name nothing or others."""
        for route, answer in self.walk(token):
            key = route["method"], route["path"]
            permission, word = PERMISSION[key], NARROWED.get(key)
            demanded = "manage_alias" if word == "alias" else "manage_user" if word in ("manage_user", "hidden") else permission
            said = (who, key, answer)
            self.assertLess(answer.status, 500, said)
            if permission == "public" or word == "anybody":
                self.assertEqual(answer.status, 200, said)
            elif not allowed:
                self.assertEqual(answer.status, 404, said)
            elif word == "hidden" and demanded not in allowed:
                self.assertEqual(answer.status, 404, said)
            elif demanded not in allowed:
                self.assertEqual(answer.status, 403, said)
                self.assertIn("not a person" if service and demanded == "approve" else demanded, answer.problem[1], said)
            else:
                self.assertNotIn(answer.status, (401, 403, 405), said)

    def shut_out(self, who, token):
        for route, answer in self.walk(token):
            if (route["method"], route["path"]) in PUBLIC:
                self.assertEqual(answer.status, 200, (who, route, answer))
            else:
                self.assertEqual((answer.status, answer.problem[0]), (401, "unauthenticated"), (who, route, answer))
                self.assertIn("unknown, expired or revoked", answer.problem[1])

    def user(self, name, roles, service=False, token=None):
        server = self.server
        answer = server.admin("POST", "/api/v1/users", {"name": name, "roles": roles, "service": service, "reason": "test"})
        self.assertEqual(answer.status, 201, answer)
        return server.admin("POST", f"/api/v1/users/{name}/tokens", token or {}).json

    def test_each_role_may_what_the_table_says_and_no_more(self):
        for role, allowed in MAY.items():
            self.judge(role, self.tokens[role], allowed)

    def test_roles_add_up(self):
        roles = ["data-scientist", "operator"]
        self.judge("two roles", self.user("m-two", roles)["token"], MAY[roles[0]] | MAY[roles[1]])

    def test_a_service_account_never_approves(self):
        roles = [role for role in MAY if role != "approver"]
        made = self.user("m-service", roles, service=True)
        self.judge("service account", made["token"], set().union(*(MAY[role] for role in roles)) - {"approve"}, service=True)
        self.check(self.server.admin("PUT", "/api/v1/users/m-service/roles", {"roles": ["approver"], "reason": "x"}), 400, "invalid",
                   "only people")

    def test_a_restricted_token_opens_its_roles_alone(self):
        self.judge("restricted", self.user("m-narrow", list(MAY), token={"roles": ["viewer"]})["token"], MAY["viewer"])

    def test_roles_in_another_project_do_not_count(self):
        server = self.server
        self.assertEqual(server.admin("POST", "/api/v1/projects", {"name": "elsewhere"}).status, 201)
        token = self.user("m-foreign", [])["token"]
        self.judge("no roles", token, set())
        answer = server.admin("PUT", "/api/v1/users/m-foreign/roles?project=elsewhere", {"roles": list(MAY), "reason": "test"})
        self.assertEqual(answer.status, 200, answer)
        self.judge("wrong project", token, set())
        narrow = self.user("m-bound", list(MAY), token={"project": "elsewhere"})["token"]
        self.judge("token of another project", narrow, set())

    def test_expired_revoked_and_disabled(self):
        server = self.server
        short = server.admin("POST", "/api/v1/users/only-viewer/tokens", {"lifetime": "1s"}).json["token"]
        headers = {"Authorization": "Bearer " + short}
        harness.wait_for("the token to expire", lambda: server.call("GET", "/api/v1/models", None, None, headers).status == 401)
        self.shut_out("expired", short)
        made = self.user("m-revoked", list(MAY))
        headers = {"Authorization": "Bearer " + made["token"]}
        self.assertEqual(server.call("GET", "/api/v1/models", None, None, headers).status, 200)
        answer = server.admin("POST", f"/api/v1/tokens/{made['id']}/revoke", {"reason": "test"})
        self.assertEqual(answer.status, 200, answer)
        self.shut_out("revoked", made["token"])
        made = self.user("m-disabled", list(MAY))
        self.assertEqual(server.admin("POST", "/api/v1/users/m-disabled/disable", {"reason": "left"}).status, 200)
        self.shut_out("disabled", made["token"])
        self.assertEqual(server.admin("POST", "/api/v1/users/m-disabled/enable", {"reason": "came back"}).status, 200)
        headers = {"Authorization": "Bearer " + made["token"]}
        self.assertEqual(server.call("GET", "/api/v1/models", None, None, headers).status, 200)

    def test_aliases_are_moved_by_those_who_may(self):
        for role, allowed in MAY.items():
            headers = {"Authorization": "Bearer " + self.tokens[role]}
            for alias, permission in (("beta", "manage_alias"), ("champion", "approve")):
                for method in ("PUT", "DELETE"):
                    answer = self.server.call(method, f"/api/v1/models/none/aliases/{alias}", {"reason": "test", "version": 1}
                                              if method == "PUT" else {"reason": "test"}, None, headers)
                    self.assertEqual(answer.status, 404 if permission in allowed else 403, (role, alias, method, answer))

    def test_a_restricted_token_cannot_widen_itself(self):
        server = self.server
        server.admin("POST", "/api/v1/users", {"name": "wide", "roles": ["viewer", "admin"], "reason": "test"})
        narrow = server.admin("POST", "/api/v1/users/wide/tokens", {"roles": ["viewer"]}).json["token"]
        headers = {"Authorization": "Bearer " + narrow}
        self.assertEqual(server.call("GET", "/api/v1/users", None, None, headers).status, 403)
        self.assertEqual(server.call("POST", "/api/v1/users/wide/tokens", {"roles": ["admin"]}, None, headers).status, 403)
        wider = server.call("POST", "/api/v1/users/wide/tokens", {}, None, headers).json["token"]
        self.assertEqual(server.call("GET", "/api/v1/users", None, None, {"Authorization": "Bearer " + wider}).status, 403)

    def test_a_token_does_not_outlive_the_one_that_made_it(self):
        parent = self.server.admin("POST", "/api/v1/users/only-viewer/tokens", {"lifetime": "1h"}).json
        headers = {"Authorization": "Bearer " + parent["token"]}
        child = self.server.call("POST", "/api/v1/users/only-viewer/tokens", {"lifetime": "30d"}, None, headers).json
        self.assertEqual(child["expires_at"], parent["expires_at"])
        short = self.server.call("POST", "/api/v1/users/only-viewer/tokens", {"lifetime": "10m"}, None, headers).json
        self.assertLess(short["expires_at"], parent["expires_at"])

    def test_a_restricted_token_of_an_admin_leaves_others_tokens_alone(self):
        server = self.server
        server.admin("POST", "/api/v1/users", {"name": "chief", "roles": ["viewer", "admin"], "reason": "test"})
        narrow = server.admin("POST", "/api/v1/users/chief/tokens", {"roles": ["viewer"]}).json["token"]
        full = server.admin("POST", "/api/v1/users/chief/tokens", {}).json["token"]
        made = server.admin("POST", "/api/v1/users/ben/tokens", {}).json
        for token, expected in ((narrow, 403), (full, 201)):
            answer = server.call("POST", "/api/v1/users/ben/tokens", {}, None, {"Authorization": "Bearer " + token})
            self.assertEqual(answer.status, expected, answer)
        for token, expected in ((narrow, 404), (full, 200)):
            answer = server.call("POST", f"/api/v1/tokens/{made['id']}/revoke", {"reason": "x"}, None, {"Authorization": "Bearer " + token})
            self.assertEqual(answer.status, expected, answer)

    def test_somebody_elses_token_is_not_made(self):
        headers = {"Authorization": "Bearer " + self.tokens["viewer"]}
        self.check(self.server.call("POST", "/api/v1/users/ben/tokens", {}, None, headers), 403, "denied")


class Refusals(harness.ServerTest):
    def test_refusals_are_recorded(self):
        server = self.server
        server.admin("POST", "/api/v1/users", {"name": "looker", "roles": ["viewer"], "reason": "test"})
        token = server.admin("POST", "/api/v1/users/looker/tokens", {}).json["token"]
        self.check(server.call("GET", "/api/v1/users", None, None, {"Authorization": "Bearer " + token}), 403, "denied")

        def recorded():
            records = server.call("GET", "/api/v1/audit?filter=action%3D'deny.access'&limit=1000", None, "ben").json["records"]
            return [record for record in records if record["actor"]["id"] == "looker"]
        harness.wait_for("a record of the refusal", recorded)

    def test_refusals_by_a_handler_are_recorded(self):
        server = self.server
        secret = {"code_secret": "00" * 10, "device": "stranger", "csr_pem": "x"}
        self.assertEqual(server.device("POST", "/enrol/v1/device", secret).status, 403)
        server.admin("POST", "/api/v1/users", {"name": "only-viewer", "roles": ["viewer"], "reason": "test"})
        token = server.admin("POST", "/api/v1/users/only-viewer/tokens", {}).json["token"]
        headers = {"Authorization": "Bearer " + token}
        self.assertEqual(server.call("POST", "/api/v1/users/ben/tokens", {}, None, headers).status, 403)

        def recorded():
            records = server.call("GET", "/api/v1/audit?filter=action%3D'deny.access'&limit=1000", None, "ben").json["records"]
            found = {(record["actor"]["id"], record["object"]["id"]) for record in records}
            return {("nobody", "POST /enrol/v1/device"), ("only-viewer", "POST /api/v1/users/{user}/tokens")} <= found
        harness.wait_for("a record of each refusal", recorded)


class Users(harness.ServerTest):
    profile = "team"

    def test_the_first_user_comes_by_the_admin_socket(self):
        server = self.server
        self.assertNotIn("eva", [user["name"] for user in server.admin("GET", "/api/v1/users").json["users"]])
        answer = server.admin("POST", "/api/v1/users", {"name": "eva", "roles": ["approver"], "reason": "first"})
        self.assertEqual(answer.status, 201, answer)
        token = server.admin("POST", "/api/v1/users/eva/tokens", {}).json["token"]
        headers = {"Authorization": "Bearer " + token}
        self.assertEqual(server.call("GET", "/api/v1/models", None, None, headers).status, 200)
        self.check(server.admin("POST", "/api/v1/users", {"name": "eva"}), 409, "conflict")
        self.check(server.admin("POST", "/api/v1/users", {"name": "Eva!"}), 400, "invalid")
        self.check(server.admin("POST", "/api/v1/users", {"name": "x", "roles": ["aprover"]}), 400, "invalid", 'mean "approver"')

    def test_an_approvers_key_waits_for_root_outside_demo(self):
        server = self.server
        server.admin("POST", "/api/v1/users", {"name": "kim", "roles": ["approver"], "reason": "test"})
        key = harness.make_key(server.folder + "/kim.pem")
        answer = server.admin("POST", "/api/v1/users/kim/keys", {"public_key": harness.public_pem(key)})
        self.assertEqual(answer.status, 202, answer)
        self.assertTrue(answer.json["draft"])
        self.assertEqual(server.admin("GET", "/api/v1/keyset").json["version"], 1)
        self.check(server.admin("POST", "/api/v1/keysets", {"keyset": answer.json["draft"], "user": "kim", "reason": "x"}), 422,
                   "corrupt")


if __name__ == "__main__":
    harness.main()
