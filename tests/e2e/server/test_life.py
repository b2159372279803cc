"""Starting, stopping, and everything that must stop a start; and the broker that comes and goes.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import unittest
import unittest.mock

import harness


def start_fails(server, *parts):
    process = server.spawn()
    try:
        out, _ = process.communicate(timeout=harness.PATIENCE_S)
    except subprocess.TimeoutExpired as late:
        server.kill()
        raise AssertionError("the server started although it must not") from late
    code = process.returncode
    server.log.close()
    server.process = None
    text = server.log_text()
    for part in parts:
        assert part in text, (part, text)
    assert out == b"", out
    return code


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return ") Z " not in file.read()
    except FileNotFoundError:
        return False


class Starts(unittest.TestCase):
    def setUp(self):
        self.server = harness.Server()
        self.addCleanup(self.server.close)

    def test_comes_goes_and_comes_again(self):
        server = self.server
        server.start()
        server.register("pump")
        self.assertEqual(server.read("run/http.port").strip(), str(server.port))
        self.assertEqual(stat.S_IMODE(os.stat(server.path("run/admin.sock")).st_mode), 0o600)
        server.stop()
        self.assertEqual(os.listdir(server.path("run")), [])
        server.start()
        self.assertEqual(server.call("GET", "/api/v1/models/pump/versions/1").status, 200)
        server.stop()

    def test_nobody_else_may_look_into_the_workspace(self):
        for folder, _, files in os.walk(self.server.workspace):
            self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode) & 0o077, 0, folder)
            for name in files:
                if name.endswith((".pem", "token")) and not name.endswith((".pub.pem", ".crt.pem")):
                    self.assertEqual(stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode), 0o600, name)

    def test_two_servers_in_one_workspace(self):
        self.server.start()
        done = subprocess.run([harness.TIDEMARK, "serve", "--workspace", self.server.workspace], capture_output=True, text=True,
                              env=self.server.environment(), check=False)
        self.assertEqual(done.returncode, 7, done)
        self.assertIn("already in use by another server", done.stderr)
        self.assertEqual(self.server.call("GET", "/healthz").status, 200)

    def test_a_folder_that_is_no_workspace(self):
        done = subprocess.run([harness.TIDEMARK, "serve", "--workspace", self.server.folder], capture_output=True, text=True,
                              env=self.server.environment(), check=False)
        self.assertEqual(done.returncode, 4, done)
        self.assertIn("tidemark init", done.stderr)

    def test_init_in_a_folder_with_something_in_it(self):
        done = subprocess.run([harness.TIDEMARK, "init", self.server.workspace], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 5, done)
        self.assertIn("not empty", done.stderr)

    def test_a_database_from_a_newer_program(self):
        with sqlite3.connect(self.server.path("tidemark.db")) as db:
            db.execute("INSERT INTO schema_migration (module, number, name, applied_ms) VALUES ('registry', 99, '099_future', 0)")
        db.close()
        self.assertEqual(start_fails(self.server, "newer"), 5)

    def test_a_mistake_in_the_configuration(self):
        with open(self.server.path("tidemark.yaml"), "a", encoding="utf-8") as file:
            file.write("mqtt:\n  prot: 1883\n")
        self.assertEqual(start_fails(self.server, 'unknown key "mqtt.prot"', 'did you mean "mqtt.port"?', "tidemark.yaml:"), 2)

    def test_a_port_that_is_taken(self):
        other = harness.Server()
        self.addCleanup(other.close)
        other.start()
        self.server.settings["HTTP_PORT"] = str(other.port)
        self.assertEqual(start_fails(self.server, f"port {other.port}", "taken"), 5)

    def test_a_key_that_others_may_read(self):
        os.chmod(self.server.path("keys/director.pem"), 0o644)
        self.assertNotEqual(start_fails(self.server, "director.pem"), 0)

    def test_the_log_behind_its_signer(self):
        """A database restored from before what was signed."""
        server = self.server
        server.start()
        server.stop()
        with open(server.path("tidemark.db"), "rb") as file:
            old = file.read()
        server.start()
        for index in range(5):
            server.register(f"m{index}")
        size = server.call("GET", "/api/v1/status").json["log"]["records"]
        harness.wait_for("a checkpoint of all records", lambda: f"\n{size}\n" in
                         server.call("GET", "/api/v1/status").json["log"].get("checkpoint", ""))
        server.stop()
        for name in ("tidemark.db-wal", "tidemark.db-shm"):
            if os.path.exists(server.path(name)):
                os.remove(server.path(name))
        with open(server.path("tidemark.db"), "wb") as file:
            file.write(old)
        server.start()
        self.assertIn("were signed (an old backup", server.call("GET", "/api/v1/status").json["read_only"])
        self.assertEqual(server.call("POST", "/api/v1/models", {"name": "m9"}).problem[0], "read_only")

    def test_the_service_manager_hears_of_us(self):
        server = self.server
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(os.path.join(server.folder, "notify"))
            sock.settimeout(harness.PATIENCE_S)
            with unittest.mock.patch.dict(os.environ, NOTIFY_SOCKET=sock.getsockname(), WATCHDOG_USEC="2000000"):
                server.start()
            self.assertTrue(sock.recv(200).startswith(b"READY=1"))
            self.assertEqual([sock.recv(200) for _ in range(2)], [b"WATCHDOG=1"] * 2)
            server.stop()
            messages = [sock.recv(200)]
            while messages[-1] == b"WATCHDOG=1":
                messages.append(sock.recv(200))
            self.assertEqual(messages[-1], b"STOPPING=1")

    def test_reload_takes_a_new_level_and_names_what_waits(self):
        server = self.server
        server.settings.pop("LOG_LEVEL")
        server.start()
        with open(server.path("tidemark.yaml"), "a", encoding="utf-8") as file:
            file.write("log.level: debug\nhttp.workers: 2\n")
        server.process.send_signal(signal.SIGHUP)
        harness.wait_for("the reload", lambda: "these need a restart: http.workers" in server.log_text())
        server.stop()


class Brokers(unittest.TestCase):
    def setUp(self):
        self.server = harness.Server()
        self.addCleanup(self.server.close)

    def broker(self):
        return self.server.call("GET", "/api/v1/status").json["broker"]

    def children(self):
        done = subprocess.run(["pgrep", "-x", "mosquitto", "-P", str(self.server.process.pid)], capture_output=True, text=True,
                              check=False)
        return [int(pid) for pid in done.stdout.split()]

    def test_it_comes_back_and_dies_with_us(self):
        self.server.start()
        harness.wait_for("the connection", lambda: self.broker()["connected"])
        child, = self.children()
        os.kill(child, signal.SIGKILL)
        harness.wait_for("a second broker", lambda: self.broker()["starts"] >= 2 and self.broker()["connected"])
        self.assertEqual(self.server.call("GET", "/api/v1/models").status, 200)
        child, = self.children()
        self.server.kill()
        harness.wait_for("the broker to end", lambda: not is_running(child))

    def test_without_mosquitto_the_rest_works(self):
        self.server.settings["MQTT_MOSQUITTO"] = "/nonexistent/mosquitto"
        self.server.start()
        self.assertEqual(self.server.register("pump").status, 201)
        told = harness.wait_for("the reason", lambda: self.broker().get("child_why"))
        self.assertIn("install mosquitto", told)
        self.server.stop()

    def test_an_own_broker_that_is_down(self):
        self.server.settings["MQTT_URL"] = "mqtt://127.0.0.1:1"
        self.server.start()
        told = harness.wait_for("the reason", lambda: self.broker().get("why"))
        self.assertTrue(told)
        self.assertEqual(self.broker()["kind"], "external")
        self.assertEqual(self.server.register("pump").status, 201)
        self.server.stop()

    def test_a_broker_url_that_is_none(self):
        self.server.settings["MQTT_URL"] = "http://127.0.0.1:1"
        process = self.server.spawn()
        self.assertEqual(process.wait(harness.PATIENCE_S), 2)
        self.assertIn("mqtts://host:port", self.server.log_text())


class Events(harness.ServerTest):
    def test_a_long_poll_ends_with_the_next_record(self):
        import threading
        last = self.server.call("GET", "/api/v1/events?limit=1000").json["next_after"]
        found = []
        poll = threading.Thread(target=lambda: found.append(
            self.server.call("GET", f"/api/v1/events?after={last}&wait_ms=20000").json))
        poll.start()
        self.server.register("polled")
        poll.join(harness.PATIENCE_S)
        self.assertFalse(poll.is_alive())
        actions = {record["action"] for record in found[0]["records"]}
        self.assertTrue(actions & {"create.model", "register.version"}, found)

    def test_a_long_poll_ends_by_its_time(self):
        last = self.server.call("GET", "/api/v1/events?limit=1000").json["next_after"]
        answer = self.server.call("GET", f"/api/v1/events?after={last}&wait_ms=50")
        self.assertEqual((answer.status, answer.json["records"]), (200, []))

    def test_many_polls_hold_no_worker(self):
        import threading
        last = self.server.call("GET", "/api/v1/events?limit=1000").json["next_after"]
        polls = [threading.Thread(target=self.server.call, args=("GET", f"/api/v1/events?after={last + 1000000}&wait_ms=2000"))
                 for _ in range(30)]
        for poll in polls:
            poll.start()
        self.assertEqual(self.server.call("GET", "/api/v1/models").status, 200)
        for poll in polls:
            poll.join(harness.PATIENCE_S)

    def test_a_stop_does_not_wait_for_polls(self):
        import threading
        server = harness.Server()
        self.addCleanup(server.close)
        server.start()
        last = server.call("GET", "/api/v1/events?limit=1000").json["next_after"]
        answers = []
        poll = threading.Thread(target=lambda: answers.append(
            server.call("GET", f"/api/v1/events?after={last + 1000000}&wait_ms=60000")))
        poll.start()
        harness.wait_for("the poll to be there", lambda: server.call("GET", "/api/v1/status").json["polls"] == 1)
        server.stop()
        poll.join(harness.PATIENCE_S)
        self.assertEqual([answer.status for answer in answers], [200])


if __name__ == "__main__":
    harness.main()
