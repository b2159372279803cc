"""Users, tokens and keys by the command line; what happens as lines; where the server is.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import stat
import unittest

from case import Case


class People(Case):
    def test_the_first_user_needs_no_token(self):
        self.well("user", "add", "zoe", "--role", "viewer")
        token = self.path("zoe.token")
        self.well("token", "create", "zoe", "--out", token, "--lifetime", "1h")
        self.assertEqual(stat.S_IMODE(os.stat(token).st_mode), 0o600)
        self.well("model", "list", "--token-file", token)
        self.well("model", "list", environment={"TIDEMARK_TOKEN_FILE": token})
        self.refused(3, "zoe may not", "alias", "set", "pump@x", "1", "--token-file", token)
        os.chmod(token, 0o644)
        self.refused(3, "chmod 600", "model", "list", "--token-file", token)

    def test_keys_stay_while_a_server_runs(self):
        self.refused(7, "", "profile", "raise", "team", "--keys-to", self.path("usb"), "--reason", "x")
        self.assertFalse(os.path.exists(self.path("usb")))
        self.assertTrue(os.path.exists(self.server.path("users/ana/token")))

    def test_what_is_misspelt(self):
        self.refused(2, 'did you mean "approver"', "role", "grant", "ana", "aprover", "--reason", "x")
        self.refused(2, "did you mean", "modle", "list")
        self.refused(4, '"nobody"', "role", "grant", "nobody", "viewer", "--reason", "x")

    def test_nobody(self):
        self.refused(3, "--token-file", "model", "list")
        self.refused(4, "users/eve/token", "model", "list", as_="eve")

    def test_tokens_do_not_leave_in_the_clear(self):
        self.refused(2, "https://", "model", "list", "--server", "http://registry.example:7070", as_="ana")

    def test_no_server(self):
        done = self.type("model", "list", "--server", "http://127.0.0.1:1", as_="ana")
        self.assertEqual(done.code, 9, done)
        self.assertIn("tidemark serve", done.err)

    def test_a_key_of_ones_own(self):
        self.well("user", "add", "kim", "--role", "approver")
        self.well("token", "create", "kim", "--out", self.path("kim.token"))
        key = self.path("kim.pem")
        self.well("key", "enrol", "kim", "--key", key)
        version = f"pump/{self.register()['version']}"
        self.well("version", "submit", version, as_="ana")
        self.well("version", "approve", version, "--key", key, "--token-file", self.path("kim.token"), "--reason", "looked")
        shown = self.well("version", "show", version, "--json", as_="ana").json
        self.assertEqual(shown["state"], "approved")
        self.assertEqual(shown["approvals"][0]["user"], "kim")
        with open(key, encoding="ascii") as file:
            self.assertIn("PRIVATE KEY", file.read())

    def test_events_tell_it_in_order(self):
        self.register("told")
        lines = self.well("events", as_="ana").out.splitlines()
        self.assertTrue(any("ana registered told/1" in line for line in lines), lines)
        records = [json.loads(line) for line in self.well("events", "--json", as_="ana").out.splitlines()]
        numbers = [record["seq"] for record in records]
        self.assertEqual(numbers, sorted(numbers))
        last = self.well("events", "--after", str(numbers[-1]), as_="ana").out
        self.assertEqual(last, "")

    def test_problems_as_json(self):
        done = self.type("model", "show", "nothing", "--json", as_="ana")
        self.assertEqual(done.code, 4)
        self.assertEqual(json.loads(done.err)["code"], "not_found")


if __name__ == "__main__":
    unittest.main()
