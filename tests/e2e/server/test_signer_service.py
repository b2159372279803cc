"""The log's signer as a service of another user: whom it hears, what it refuses, and a server that has to do without it for a while.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import unittest

import harness
from test_signer import Case
from test_tiles import Mirror

NOBODY = 65534
ROOT = os.geteuid() == 0


def clean():
    return {key: value for key, value in os.environ.items() if not key.startswith(("TIDEMARK_", "LISTEN_", "NOTIFY_"))}


class Signer:
    """A home of its own, and the process; as another user where the test is root."""

    def __init__(self, server, user=NOBODY if ROOT else os.geteuid(), extra=()):
        self.user, self.extra = user, extra
        self.home = os.path.join(server.folder, "signer-home")
        self.socket = os.path.join(server.folder, "signer.sock")
        self.url = "unix:" + self.socket
        self.log_path = os.path.join(server.folder, "signer.log")
        self.process = None
        os.chmod(server.folder, 0o777 if ROOT else 0o700)  # it binds its socket there

    def move_in(self, server):
        done = self.adopt(server)
        assert done.returncode == 0, done

    def adopt(self, server, before=()):
        return subprocess.run([*before, harness.TIDEMARK, "signer", "adopt", "--workspace", server.workspace, "--state", self.home,
                               "--owner", str(self.user), "--url", self.url, "--json"],
                              capture_output=True, text=True, check=False, env={**clean(), "ASAN_OPTIONS": "detect_leaks=0"})

    def command(self):
        return [harness.TIDEMARK, "signer", "serve", "--state", self.home, "--socket", self.socket, "--server-user", str(os.geteuid()),
                *self.extra]

    def run(self, **more):
        as_user = {"user": self.user, "group": self.user, "extra_groups": []} if ROOT else {}
        with open(self.log_path, "ab") as log:
            return subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=log, text=True, env=clean(), **as_user, **more)

    def start(self):
        self.process = self.run()
        while (line := self.process.stdout.readline()) != "ready\n":
            assert line, self.log()

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def connect(self):
        return harness.unix_socket(self.socket)


class Line:
    """The wire, from docs/audit.md's other side: bytes, not the program's own code."""

    def __init__(self, sock, origin):
        self.sock, self.origin = sock, origin.encode()

    def ask(self, op, rest=b""):
        frame = b"TDS1" + bytes([op, len(self.origin)]) + self.origin + rest
        self.sock.sendall(len(frame).to_bytes(4, "big") + frame)
        return self.reply()

    def take(self, size):
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                return None
            data += piece
        return data

    def reply(self):
        """(code, size, root, text), or None when it closed."""
        head = self.take(4)
        body = head and self.take(int.from_bytes(head, "big"))
        if not body:
            return None
        code, size, root, length = struct.unpack(">4xBQ32sH", body[:47])
        return code, size, root, body[47:47 + length].decode()

    def look(self):
        return self.ask(1)

    def sign(self, last, following, proof=()):
        return self.ask(2, struct.pack(">Q32sQ32sB", *last, *following, len(proof)) + b"".join(proof))


OK, CONFLICT, BUSY = 0, 4, 6


class Service(Case):
    """The server has been started once with its own child; then key and memory move out."""

    def setUp(self):
        super().setUp()
        self.wait_signed()
        self.server.stop()
        self.service = Signer(self.server)
        self.addCleanup(self.service.kill)
        self.service.move_in(self.server)
        self.origin = self.server.read("keys/log.vkey").split("+")[0]

    def both(self):
        self.service.start()
        self.server.start()
        return self.wait_signed()

    def line(self):
        sock = self.service.connect()
        self.addCleanup(sock.close)
        return Line(sock, self.origin)


class Works(Service):
    def test_it_signs_and_the_status_says_what_that_is_worth(self):
        before = self.both().size
        self.change()
        self.assertGreater(self.wait_signed().size, before)
        log = self.log()
        self.assertEqual(log["signer_apart"], "another_user" if ROOT else "same_user")
        self.assertIn("another user" if ROOT else "same user", log["signer"])
        self.assertIn("tidemark_audit_signer_starts_total 0", self.server.call("GET", "/metrics").bytes.decode())
        self.assertFalse(os.path.exists(self.server.path("keys/log.state")), "the server makes no memory of its own")

    def test_it_is_killed_again_and_again(self):
        size = self.both().size
        for _ in range(12):
            self.service.process.send_signal(signal.SIGKILL)
            self.change()
            self.service.kill()
            self.service.start()
            mirror = self.wait_signed()
            self.assertGreater(mirror.size, size)
            size = mirror.size

    def test_the_server_is_killed_and_comes_back_to_it(self):
        size = self.both().size
        for _ in range(4):
            self.server.kill()
            self.server.start()
            self.change()
            self.assertGreater(self.wait_signed().size, size)

    def test_while_it_hangs_the_log_goes_on(self):
        self.both()
        self.service.process.send_signal(signal.SIGSTOP)
        self.change()
        harness.wait_for("the signer to be missed", lambda: self.log()["unsigned_ms"] > 0)
        self.assertIn("signer is away", self.log()["trouble"])
        self.service.process.send_signal(signal.SIGCONT)
        self.wait_signed()

    def test_sockets_that_systemd_hands_over(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.service.socket)
            os.chmod(self.service.socket, 0o666)
            listener.listen()
            fd = os.dup2(listener.fileno(), 3, inheritable=True) if listener.fileno() != 3 else 3
            os.set_inheritable(fd, True)
            command = self.service.command()
            at = command.index("--socket")
            del command[at:at + 2]
            self.service.command = lambda: ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *command]
            self.service.process = self.service.run(close_fds=False)
            self.assertTrue(self.service.process.stdout.readline().startswith("ready"), self.service.log())
        self.server.start()
        self.wait_signed()

    def test_half_written_memories_go(self):
        left = os.path.join(self.service.home, "log.state.tmp-Ab3xyZ")
        kept = os.path.join(self.service.home, "log.state.backup")
        for path in (left, kept):
            with open(path, "wb") as file:
                file.write(b"{")
            if ROOT:
                os.chown(path, self.service.user, self.service.user)
        self.both()
        self.assertFalse(os.path.exists(left))
        self.assertTrue(os.path.exists(kept))


class Away(Service):
    def test_a_server_that_starts_without_it(self):
        self.server.start()
        self.change()  # the log goes on
        log = self.log()
        self.assertEqual((log["signer_apart"], "signer is away" in log["trouble"]), ("unknown", True))
        body = {"version": "pump/1", "to": "site='oslo'"}
        refused = self.server.call("POST", "/api/v1/rollouts", body)
        self.assertEqual(refused.status, 503, refused)
        self.assertIn("has not been reached", refused.json["detail"])
        self.service.start()
        self.wait_signed()
        self.assertNotEqual(self.server.call("POST", "/api/v1/rollouts", body).status, 503)

    def test_a_log_that_is_behind_it_is_not_written_for_long(self):
        with open(self.server.path("tidemark.db"), "rb") as file:
            old = file.read()
        self.both()
        self.change()
        self.wait_signed()
        self.server.stop()
        self.service.kill()
        with open(self.server.path("tidemark.db"), "wb") as file:
            file.write(old)
        self.server.start()
        self.service.start()
        self.assertEqual(self.server.process.wait(harness.PATIENCE_S), 8, self.server.log_text())
        self.assertIn("were signed (an old backup", self.server.log_text())
        self.server.process.stdout.close()
        self.server.log.close()
        self.server.start()
        self.assertIn("tidemark log resume", self.server.call("GET", "/api/v1/status").json["read_only"])

    def test_its_memory_is_lost(self):
        state = os.path.join(self.service.home, "log.state")
        os.rename(state, state + ".aside")
        self.service.start()
        self.server.start()
        self.assertIn("memory of the log's signer is lost", self.server.call("GET", "/api/v1/status").json["read_only"])
        self.server.stop()
        os.rename(state + ".aside", state)  # the running signer finds it
        self.server.start()
        self.change()
        self.wait_signed()

    def test_an_edited_database_gets_no_signature(self):
        self.both()
        self.change()
        size = self.wait_signed().size
        self.server.stop()
        with sqlite3.connect(self.server.path("tidemark.db")) as db:
            db.execute("DROP TRIGGER log_node_fixed")
            self.assertEqual(db.execute("UPDATE log_node SET hash = zeroblob(32) WHERE level = 4 AND position = 0").rowcount, 1)
        db.close()
        self.server.start()
        self.assertIn("read-only", self.server.call("GET", "/api/v1/status").json["read_only"])
        self.assertLessEqual(Mirror(self.fetch).size, size + 1)


class Refuses(Service):
    def test_smaller_and_different_trees(self):
        self.both()
        line = self.line()
        code, size, root, _ = line.look()
        self.assertEqual(code, OK)
        smaller = line.sign((size, root), (size - 1, b"\1" * 32))
        self.assertEqual((smaller[0], smaller[1]), (CONFLICT, size))
        self.assertIn("records are missing", smaller[3])
        for following in ((size, b"\1" * 32), (size + 1, b"\1" * 32), (size + 1000, b"\2" * 32)):
            other = line.sign((size, root), following)
            self.assertEqual(other[0], CONFLICT, other)
            self.assertIn("history was changed", other[3])
        self.assertEqual(line.sign((size, b"\3" * 32), (size + 1, b"\1" * 32))[0], BUSY)  # one who does not know what was signed
        self.assertEqual(line.look()[1:3], (size, root))
        self.change()
        self.wait_signed()

    def test_strangers(self):
        if not ROOT:
            self.skipTest("needs root: another user must knock")
        self.both()
        for user in (NOBODY, 12345):  # its own user is a stranger, too
            child = os.fork()
            if child == 0:
                heard = 99
                try:
                    os.setresuid(user, user, user)
                    with self.service.connect() as sock:
                        sock.sendall(b"\0\0\0\x05TDS1\1")
                        heard = len(sock.recv(99))
                except (ConnectionResetError, BrokenPipeError):
                    heard = 0
                finally:
                    os._exit(heard)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertIn("was turned away: only user 0 is served", self.service.log())
        self.change()
        self.wait_signed()

    def test_broken_and_too_many_lines(self):
        self.both()
        for data in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\5hello", b"\0\0\x10\1", b"GET / HTTP/1.1\r\n\r\n"):
            sock = self.service.connect()
            sock.sendall(data)
            try:
                self.assertEqual(sock.recv(99), b"", data)
            except ConnectionResetError:
                pass
            sock.close()
        socks = [self.service.connect() for _ in range(40)]
        for sock in socks:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the oldest have made room
                sock.sendall(b"\0\0\1")  # and no more
        self.change()
        self.wait_signed()
        for sock in socks:
            sock.close()

    def test_a_second_signer_on_one_home(self):
        self.both()
        second = Signer(self.server)
        second.socket += "2"
        second.start()
        self.addCleanup(second.kill)
        with second.connect() as sock:
            code, _, _, text = Line(sock, self.origin).look()
        self.assertEqual(code, BUSY)
        self.assertIn("another signer of this log is running", text)
        self.change()
        self.wait_signed()

    def test_a_home_that_others_can_enter(self):
        os.chmod(self.service.home, 0o755)
        process = self.service.run()
        self.assertEqual(process.wait(harness.PATIENCE_S), 3)
        process.stdout.close()
        self.assertIn("closed to others", self.service.log())

    def test_settings_that_contradict_each_other(self):
        for settings, word in (({"AUDIT_SIGNER_URL": "http://x"}, "must be unix:/PATH or tls://"), ({"AUDIT_SIGNER_STATE": "/tmp/x"}, "remove one of the two")):
            done = subprocess.run([harness.TIDEMARK, "serve", "--workspace", self.server.workspace], capture_output=True, text=True, check=False,
                                  env={**self.server.environment(), **{"TIDEMARK_" + key: value for key, value in settings.items()}})
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(word, done.stderr)


class Adopts(Case):
    def setUp(self):
        super().setUp()
        self.wait_signed()
        self.service = Signer(self.server)
        self.addCleanup(self.service.kill)

    def test_not_while_a_server_runs(self):
        done = self.service.adopt(self.server)
        self.assertEqual(done.returncode, 7, done)
        self.assertTrue(os.path.exists(self.server.path("keys/log.state")))

    def test_nobody_else_can_read_what_it_moved(self):
        self.server.stop()
        self.service.move_in(self.server)
        for name in ("", "log.pem", "log.state"):
            facts = os.stat(os.path.join(self.service.home, name))
            self.assertEqual((facts.st_uid, facts.st_mode & 0o77), (self.service.user, 0), name)
        left = [name for name in os.listdir(self.server.path("keys")) if name.startswith("log")]
        self.assertEqual(left, ["log.vkey"])
        self.assertIn(f"audit.signer_url: unix:{self.service.socket}", self.server.read("tidemark.yaml"))

    def test_not_beside_another_log_nor_a_second_memory(self):
        self.server.stop()
        kept = self.server.read("keys/log.state"), self.server.read("keys/log.pem")
        self.service.move_in(self.server)
        other = harness.Server("demo")
        self.addCleanup(other.close)
        done = self.service.adopt(other)
        self.assertEqual(done.returncode, 5, done)
        self.assertIn("another log", done.stderr)
        for name, text in zip(("log.state", "log.pem"), kept):
            with open(os.open(self.server.path("keys/" + name), os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        done = self.service.adopt(self.server)
        self.assertEqual(done.returncode, 5, done)
        self.assertIn("two memories", done.stderr)

    def test_not_while_the_signer_runs(self):
        self.server.stop()
        self.service.move_in(self.server)
        self.service.start()
        done = self.service.adopt(self.server)
        self.assertEqual(done.returncode, 7, done)
        self.assertIn("another signer of this log is running", done.stderr)

    def interrupted(self, where):
        here, there = (os.path.exists(path) for path in (self.server.path("keys/log.state"), os.path.join(self.service.home, "log.state")))
        self.assertFalse(here and there, where)
        if os.path.exists(self.server.path("keys/log.state.moving")) and self.read_only < 3:
            self.read_only += 1
            self.server.start()
            self.assertIn("adopt", self.server.call("GET", "/api/v1/status").json["read_only"])
            self.server.stop()
        done = self.service.adopt(self.server)
        self.assertEqual(done.returncode, 0, (where, done))
        self.assertEqual(sorted(os.listdir(self.service.home)), ["log.pem", "log.state", "log.state.lock"], where)
        self.assertEqual([name for name in os.listdir(self.server.path("keys")) if name.startswith("log")], ["log.vkey"], where)

    def test_whenever_it_is_killed(self):
        """Never two that can sign, never none for good; until it has ended a server is read-only."""
        if not shutil.which("strace"):
            self.skipTest("strace is missing")
        self.server.stop()
        kept = os.path.join(self.server.folder, "kept")
        shutil.copytree(self.server.workspace, kept)
        killed, self.read_only = 0, 0
        for call in ("fsync", "rename", "unlink", "link", "chown"):  # strace counts each by itself
            for step in range(1, 100):
                shutil.rmtree(self.server.workspace)
                shutil.rmtree(self.service.home, ignore_errors=True)
                shutil.copytree(kept, self.server.workspace)
                done = self.service.adopt(self.server, ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                                                        f"inject={call}:signal=KILL:when={step}"])
                if done.returncode == 0:
                    break
                killed += 1
                self.interrupted((call, step))
        self.assertGreater(killed, 20)
        self.assertGreater(self.read_only, 0)
        self.service.start()
        self.server.start()
        self.change()
        self.wait_signed()


if __name__ == "__main__":
    harness.main()
