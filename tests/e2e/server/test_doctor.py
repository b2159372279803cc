"""tidemark doctor: each thing is broken in turn, and the examination must name it and say what to do; and it may not touch anything.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
import unittest

import harness

CHECKS = ["workspace", "configuration", "database", "server", "broker", "clock", "certificates", "disk", "signer", "store", "backup"]


def tidemark(server, *arguments, environment=None):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK_")}
    return subprocess.run([harness.TIDEMARK, *arguments, "--workspace", server.workspace], capture_output=True, text=True,
                          check=False, env={**clean, **(environment or {})})


def fingerprint(folder):
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if not name.endswith(("-shm", "-wal")):
                with open(path, "rb") as file:
                    found[path] = (hashlib.sha256(file.read()).hexdigest(), os.stat(path).st_mode)
    return found


class DoctorCase(unittest.TestCase):
    def setUp(self):
        self.server = harness.Server()
        self.addCleanup(self.server.close)

    def examine(self, *arguments, **more):
        done = tidemark(self.server, "doctor", "--json", *arguments, **more)
        answer = json.loads(done.stdout)
        bad = [one for one in answer["findings"] if one["state"] == "bad"]
        self.assertEqual(done.returncode, 5 if bad else 0, done)
        self.assertEqual(answer["well"], not bad)
        for one in answer["findings"]:
            self.assertEqual(bool(one["advice"]), one["state"] != "well", one)
        return answer["findings"]

    def bad(self, check, found, advice, *arguments, **more):
        """Exactly this check is bad, and says so."""
        bad = [one for one in self.examine(*arguments, **more) if one["state"] == "bad"]
        self.assertEqual({one["check"] for one in bad}, {check}, bad)
        self.assertIn(found, bad[0]["found"])
        self.assertIn(advice, bad[0]["advice"])


class AtRest(DoctorCase):
    def test_a_new_workspace_is_well(self):
        before = fingerprint(self.server.workspace)
        findings = self.examine()
        self.assertEqual([one["check"] for one in findings], CHECKS)
        self.assertEqual({one["check"] for one in findings if one["state"] == "warning"} - {"clock"}, {"server"})
        self.assertEqual(fingerprint(self.server.workspace), before, "it looks, it does not touch")

    def test_people_read_it(self):
        done = tidemark(self.server, "doctor")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("systemctl start tidemark", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^well +disk +")
        os.chmod(self.server.path("keys/log.pem"), 0o644)
        done = tidemark(self.server, "doctor")
        self.assertEqual(done.returncode, 5, done)
        self.assertIn("say what to do" if "say what" in done.stderr else "says what to do", done.stderr)

    def test_no_workspace(self):
        os.rename(self.server.path("tidemark.db"), self.server.path("elsewhere"))
        self.bad("workspace", "is no workspace", "tidemark init")

    def test_keys_that_others_can_read(self):
        os.chmod(self.server.path("keys/director.pem"), 0o640)
        self.bad("workspace", "director.pem", "chmod 600")

    def test_a_folder_that_others_can_enter(self):
        os.chmod(self.server.workspace, 0o755)
        self.bad("workspace", "mode 755", "chmod 700")

    def test_a_mistake_in_the_configuration(self):
        with open(self.server.path("tidemark.yaml"), "a", encoding="utf-8") as file:
            file.write("htpt:\n  port: 7070\n")
        self.bad("configuration", "htpt", "dump-config")

    def test_a_file_that_is_no_database(self):
        with open(self.server.path("tidemark.db"), "r+b") as file:
            file.write(b"x" * 4096)
        for name in glob.glob(self.server.path("tidemark.db-*")):
            os.remove(name)
        self.bad("database", "", "backup")

    def test_a_database_of_a_newer_program(self):
        with sqlite3.connect(self.server.path("tidemark.db")) as db:
            db.execute("INSERT INTO schema_migration VALUES ('registry', 900, 'x', 1)")
        db.close()
        self.bad("database", "newer Tidemark", "install the version")

    def test_no_broker_to_start(self):
        self.bad("broker", "/none/mosquitto", "apt-get install mosquitto", environment={"TIDEMARK_MQTT_MOSQUITTO": "/none/mosquitto"})

    def test_a_clock_that_went_back(self):
        with sqlite3.connect(self.server.path("tidemark.db")) as db:
            for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit_record'").fetchall():
                db.execute(f"DROP TRIGGER {name}")
            db.execute("UPDATE audit_record SET at_ms = at_ms + 86400000 * 400 WHERE seq = (SELECT max(seq) FROM audit_record)")
        db.close()
        self.bad("clock", "the newest record is of", "set-ntp")

    def test_a_backup_that_is_old(self):
        def newest():
            return [one for one in self.examine() if one["check"] == "backup"][0]
        self.assertEqual((newest()["state"], newest()["found"]), ("well", "none was made yet"))
        db = sqlite3.connect(self.server.path("tidemark.db"))
        for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit_record'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE audit_record SET at_ms = at_ms - 86400000 * 8")
        db.commit()
        db.close()
        self.assertEqual((newest()["state"], newest()["found"]), ("warning", "none was made yet"))
        db = sqlite3.connect(self.server.path("tidemark.db"))
        db.execute("UPDATE audit_record SET action = 'create.backup' WHERE seq = 1")
        db.commit()
        db.close()
        self.assertEqual(newest()["state"], "warning")
        self.assertIn("tidemark backup --to", newest()["advice"])

    def certificate(self, begin, end):
        """A self-signed one over the CA's own key; `openssl ca` alone takes any dates."""
        def place(name):
            return os.path.join(self.server.folder, name)
        for name, text in (("index", ""), ("serial", "01\n"), ("ca.cnf", f"""[ca]
default_ca = it
[it]
database = {place("index")}
serial = {place("serial")}
new_certs_dir = {self.server.folder}
default_md = sha256
policy = names
[names]
commonName = supplied
"""), ("csr", "")):
            with open(place(name), "w", encoding="utf-8") as file:
                file.write(text)
        key = self.server.path("keys/ca.key.pem")
        harness.openssl("req", "-new", "-key", key, "-subj", "/CN=x", "-out", place("csr"))
        harness.openssl("ca", "-config", place("ca.cnf"), "-selfsign", "-keyfile", key, "-in", place("csr"), "-startdate", begin,
                        "-enddate", end, "-batch", "-notext", "-out", self.server.path("keys/ca.crt.pem"))

    def test_a_certificate_that_ended(self):
        self.certificate("20200101000000Z", "20210101000000Z")
        self.bad("certificates", "ended on 2021-01-01", "issue another one")

    def test_a_certificate_that_is_not_valid_yet(self):
        self.certificate("21200101000000Z", "21210101000000Z")
        self.bad("certificates", "is valid from 2120-01-01", "timedatectl")

    def test_a_certificate_that_ends_soon(self):
        soon = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 10 * 86400))
        self.certificate("20200101000000Z", soon)
        warned = [one for one in self.examine() if one["check"] == "certificates"]
        self.assertEqual([(one["state"], "ends on" in one["found"]) for one in warned], [("warning", True)])

    def test_a_key_that_is_not_the_certificates(self):
        shutil.copy(self.server.path("keys/ca.key.pem"), self.server.path("keys/server.key.pem"))
        self.bad("certificates", "is not the key of the certificate", "back together")

    def test_a_certificate_that_is_gone(self):
        os.remove(self.server.path("keys/mqtt.crt.pem"))
        self.bad("certificates", "mqtt.crt.pem", "backup")

    def test_a_disk_without_room(self):
        self.bad("disk", "left", "make room", "--free", "900000000")

    def test_a_signer_without_its_memory(self):
        os.remove(self.server.path("keys/log.state"))
        self.bad("signer", "", "docs/audit.md")

    def test_a_verifier_key_of_another_log(self):
        with open(self.server.path("keys/log.vkey"), "w", encoding="utf-8") as file:
            file.write("sigsum.org/v1/tree/00+00000000+AAAA\n")
        self.bad("signer", "log.vkey", "docs/audit.md")

    def test_a_database_that_is_older_than_what_was_signed(self):
        shutil.copy(self.server.path("tidemark.db"), self.server.path("old"))
        self.server.start()
        self.assertEqual(self.server.register("pump").status, 201)
        harness.wait_for("everything to be signed", lambda: " signed" in str(self.examine()) and
                         self.server.call("GET", "/metrics").bytes.decode().count("tidemark_audit_records_unsigned 0\n"))
        self.server.stop()
        for name in glob.glob(self.server.path("tidemark.db-*")):
            os.remove(name)
        shutil.move(self.server.path("old"), self.server.path("tidemark.db"))
        self.bad("signer", "were signed", "Restoring")


class Running(DoctorCase):
    def setUp(self):
        super().setUp()
        self.server.start()

    def content(self, data):
        digest = hashlib.sha256(data).hexdigest()
        return self.server.path(f"content/{digest[:2]}/{digest}")

    def test_a_server_that_is_well(self):
        harness.wait_for("the broker", lambda: all(one["state"] != "bad" for one in self.examine()))
        states = {one["check"]: one["state"] for one in self.examine()}
        self.assertEqual({check for check, state in states.items() if state == "warning"} - {"clock"}, set())

    def test_a_file_that_is_gone_and_one_that_was_cut(self):
        model = harness.onnx_model(salt="doctor")
        self.server.register("pump", model)
        harness.wait_for("the broker", lambda: all(one["state"] != "bad" for one in self.examine()))
        os.chmod(self.content(model), 0o600)
        with open(self.content(model), "r+b") as file:
            file.truncate(10)
        self.bad("store", "sha256:" + hashlib.sha256(model).hexdigest(), "store verify")
        os.remove(self.content(model))
        self.bad("store", "1 file(s)", "store verify")

    def test_a_process_that_does_not_answer(self):
        os.rename(self.server.path("run/admin.sock"), self.server.path("run/elsewhere"))
        os.remove(self.server.path("run/http.url"))
        self.bad("server", "does not answer", "journalctl")

    def test_damage_is_found_moved_aside_and_healed(self):
        good, other = os.urandom(50000), os.urandom(50000)
        for data in (good, other):
            self.server.upload(data)
        done = tidemark(self.server, "store", "verify", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["damaged"]), (0, 0), done)
        path = self.content(good)
        os.chmod(path, 0o600)
        with open(path, "r+b") as file:
            file.seek(49999)
            byte = file.read(1)
            file.seek(49999)
            file.write(bytes([byte[0] ^ 1]))
        done = tidemark(self.server, "store", "verify", "--json")
        self.assertEqual(done.returncode, 8, done)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["damaged"], 1)
        self.assertIn(hashlib.sha256(good).hexdigest(), answer["problems"][0]["path"])
        digest = "sha256:" + hashlib.sha256(good).hexdigest()
        self.assertNotEqual(self.server.call("GET", "/api/v1/content/" + digest).status, 200)
        self.assertIn("tidemark_content_damaged 1\n", self.server.call("GET", "/metrics").bytes.decode())
        self.assertEqual(self.server.upload(good), digest)
        self.assertEqual(self.server.call("GET", "/api/v1/content/" + digest).bytes, good)
        self.assertEqual(tidemark(self.server, "store", "verify").returncode, 0)

    def test_it_goes_on_where_it_was_interrupted(self):
        for _ in range(40):
            self.server.upload(os.urandom(64))
        later = len(glob.glob(self.server.path("content/[89a-f]?/*")))
        self.assertGreater(later, 5)
        done = tidemark(self.server, "store", "verify", "--from", "80", "--json")
        self.assertEqual(json.loads(done.stdout)["objects"], later)
        done = tidemark(self.server, "store", "verify", "--from", "8")
        self.assertEqual(done.returncode, 2, done)

    def test_an_upload_under_way_is_left_alone(self):
        """The server sweeps its temporary files when it opens the store; whoever verifies must not."""
        temporary = self.server.path("content/tmp/somebodys-upload")
        with open(temporary, "wb") as file:
            file.write(b"half")
        self.assertEqual(tidemark(self.server, "store", "verify").returncode, 0)
        self.examine()
        self.assertTrue(os.path.exists(temporary))


class WithoutItsBroker(DoctorCase):
    def test_it_says_why(self):
        self.server.settings["MQTT_MOSQUITTO"] = "/none/mosquitto"
        self.server.start()
        self.bad("broker", "the server is not connected", "apt-get install mosquitto")


if __name__ == "__main__":
    harness.main()
