"""tidemark login, logout, whoami, key enrol-me: one's own machine, with no workspace at hand.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pty
import select
import stat
import subprocess
import tempfile
import unittest

from case import BIN, Case, Done, Server


class Login(Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = folder.name
        self.url = f"http://127.0.0.1:{self.server.port}"

    def file(self, *names):
        return os.path.join(self.home, ".config", "tidemark", *names)

    def at_home(self, *arguments, text="", environment=None):
        """Typed on a machine that has nothing but a home folder."""
        own = {"PATH": os.environ["PATH"], "HOME": self.home, **(environment or {})}
        done = subprocess.run([os.path.join(BIN, "tidemark"), *arguments], input=text, capture_output=True, text=True,
                              env=own, cwd=self.home, check=False)
        return Done(done)

    def fine(self, *arguments, **more):
        done = self.at_home(*arguments, **more)
        self.assertEqual(done.code, 0, done)
        return done

    def not_fine(self, code, sentence, *arguments, **more):
        done = self.at_home(*arguments, **more)
        self.assertEqual(done.code, code, done)
        self.assertIn(sentence, done.err)
        return done

    def login(self, user="ana"):
        return self.fine("login", self.url + "/", text=self.server.token(user) + "\n")

    def typed(self, lines, *arguments):
        """Typed at a terminal: (exit code, all that it showed)."""
        leader, follower = pty.openpty()
        process = subprocess.Popen([os.path.join(BIN, "tidemark"), *arguments], stdin=follower, stdout=follower,
                                   stderr=follower, cwd=self.home, start_new_session=True,
                                   env={"PATH": os.environ["PATH"], "HOME": self.home, "TERM": "dumb"})
        os.close(follower)
        shown = b""
        for prompt, line in lines:
            while not shown.rstrip().endswith(prompt.encode()):
                self.assertTrue(select.select([leader], [], [], 30)[0], f"no {prompt} in {shown}")
                shown += os.read(leader, 1024)
            os.write(leader, line)
        try:
            while piece := os.read(leader, 1024):
                shown += piece
        except OSError:  # the other side is closed
            pass
        os.close(leader)
        return process.wait(30), shown.decode()

    def test_what_login_remembers_is_enough(self):
        self.not_fine(4, "no server is named", "model", "list")
        self.assertIn("You are ana at " + self.url, self.login().out)
        self.assertEqual(stat.S_IMODE(os.stat(self.file("login.json")).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.file()).st_mode), 0o700)
        self.fine("model", "list")
        self.assertEqual(json.loads(self.fine("whoami", "--json").out)["user"], "ana")
        self.fine("logout")
        self.assertEqual(os.listdir(self.file()), [])
        self.not_fine(4, "no server is named", "model", "list")
        self.assertIn("Nobody", self.fine("logout").out)

    def test_a_wrong_token_is_not_remembered_nor_shown(self):
        wrong = "tmk_" + 64 * "0"
        done = self.not_fine(3, "", "login", self.url, text=wrong)
        self.assertNotIn(wrong, done.out + done.err)
        done = self.not_fine(2, "that is no token", "login", self.url, text="hunter2\n")
        self.assertNotIn("hunter2", done.out + done.err)
        self.not_fine(2, "that is no token", "login", self.url, text="")
        self.not_fine(6, "longer", "login", self.url, text="tmk_" + 5000 * "1")
        self.assertFalse(os.path.exists(self.file("login.json")))

    def test_the_token_goes_to_no_other_server(self):
        self.login()
        with Listener() as other:
            done = self.at_home("model", "list", "--server", other.url)
            self.assertNotEqual(done.code, 0)
            self.assertNotIn(b"tmk_", other.heard())
        self.not_fine(2, "https://", "login", "http://registry.example:7070", text=self.server.token("ana"))

    def test_what_is_said_outright_is_stronger(self):
        self.login("ana")
        self.assertEqual(self.who("--workspace", self.server.workspace, "--as", "ben"), "ben")
        token = self.write_token("ben")
        self.assertEqual(self.who("--token-file", token), "ben")
        self.assertEqual(self.who("--server", self.url), "ana", "the login's own server named again")

    def who(self, *options):
        return json.loads(self.fine("whoami", "--json", *options).out)["user"]

    def write_token(self, user):
        path = os.path.join(self.home, user + ".token")
        with open(path, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(self.server.token(user))
        return path

    def test_a_login_that_others_can_read_is_refused(self):
        self.login()
        os.chmod(self.file("login.json"), 0o644)
        self.not_fine(3, "chmod 600", "model", "list")

    def test_a_damaged_login_is_named(self):
        self.login()
        with open(self.file("login.json"), "w", encoding="ascii") as file:
            file.write("{}")
        self.not_fine(8, "log in again", "model", "list")
        self.login()
        self.fine("model", "list")

    def test_a_terminal_does_not_show_the_token(self):
        token = self.server.token("ana")
        code, shown = self.typed([("Token:", b"x\x7f" + token.encode() + b"\n")], "login", self.url)
        self.assertEqual(code, 0, shown)
        self.assertIn("You are ana", shown)
        self.assertNotIn(token[4:20], shown)
        code, shown = self.typed([("Token:", b"tmk_\x03")], "login", self.url)
        self.assertEqual(code, 3, shown)
        self.assertIn("stopped", shown)

    def test_an_approver_makes_his_own_key(self):
        self.well("user", "add", "ida", "--role", "approver")
        self.well("token", "create", "ida", "--out", self.path("ida.token"))
        with open(self.path("ida.token"), encoding="ascii") as file:
            self.fine("login", self.url, text=file.read())
        code, shown = self.typed([("none):", b"rosebud\n"), ("again:", b"rosebad\n")], "keys", "enrol-me")
        self.assertEqual(code, 2, shown)
        self.assertFalse(os.path.exists(self.file("key.pem")))
        code, shown = self.typed([("none):", b"rosebud\n"), ("again:", b"rosebud\n")], "keys", "enrol-me")
        self.assertEqual(code, 0, shown)
        self.assertNotIn("rosebud", shown)
        with open(self.file("key.pem"), encoding="ascii") as file:
            self.assertIn("ENCRYPTED PRIVATE KEY", file.read())
        version = f"pump/{self.register()['version']}"
        self.well("version", "submit", version, as_="ana")
        approve = ("version", "approve", version, "--reason", "looked", "--yes")
        self.not_fine(2, "--passphrase-file", *approve)
        code, shown = self.typed([("key.pem:", b"wrong\n")], *approve)
        self.assertEqual(code, 2, shown)
        code, shown = self.typed([("key.pem:", b"rosebud\n")], *approve)
        self.assertEqual(code, 0, shown)
        self.assertEqual(self.well("version", "show", version, "--json", as_="ana").json["approvals"][0]["user"], "ida")

    def test_who_may_not_approve_enrols_no_key(self):
        self.well("user", "add", "vic", "--role", "viewer")
        self.well("token", "create", "vic", "--out", self.path("vic.token"))
        with open(self.path("vic.token"), encoding="ascii") as file:
            self.fine("login", self.url, text=file.read())
        self.not_fine(3, "vic may not", "key", "enrol-me")
        self.fine("login", self.url, text=self.server.token("worker"))
        self.not_fine(3, "only people approve", "key", "enrol-me")


class Listener:
    """Takes one connection and hears what is sent, then closes."""

    def __enter__(self):
        import socket
        import threading
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.data = b""

        def listen():
            try:
                client, _ = self.socket.accept()
                self.data = client.recv(65536)
                client.close()
            except OSError:
                pass
        self.thread = threading.Thread(target=listen)
        self.thread.start()
        return self

    def heard(self):
        self.thread.join(30)
        return self.data

    def __exit__(self, *error):
        self.socket.close()


class LoginTls(Case):
    def test_an_authority_of_ones_own_is_remembered(self):
        server = Server(settings={"HTTP_TLS": "workspace"})
        self.addCleanup(server.close)
        server.start()
        url = f"https://127.0.0.1:{server.port}"
        with tempfile.TemporaryDirectory() as home:
            def type_(*arguments, text=""):
                return Done(subprocess.run([os.path.join(BIN, "tidemark"), *arguments], input=text, capture_output=True,
                                           text=True, env={"PATH": os.environ["PATH"], "HOME": home}, cwd=home, check=False))
            done = type_("login", url, text=server.token("ana"))
            self.assertEqual(done.code, 3, done)
            self.assertIn("--ca FILE", done.err)
            done = type_("login", url, "--ca", server.path("keys/ca.crt.pem"), text=server.token("ana"))
            self.assertEqual(done.code, 0, done)
            self.assertEqual(type_("model", "list").code, 0)


if __name__ == "__main__":
    unittest.main()
