"""A log whose end was lost: the server reads only, says how to go on, and goes on under a new origin; devices with it.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import unittest

import harness

AGENT = os.path.join(harness.BIN, "tidemark-agent")


def tidemark(*arguments):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK_")}
    return subprocess.run([harness.TIDEMARK, *arguments], capture_output=True, text=True, check=False, env=clean)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class ResumeCase(unittest.TestCase):
    settings = {}

    def setUp(self):
        self.server = harness.Server(settings=self.settings)
        self.addCleanup(self.server.close)
        self.server.start()
        self.old_key = self.server.read("keys/log.vkey").strip()

    def sealed(self):
        harness.wait_for("a checkpoint of all", lambda: "tidemark_audit_records_unsigned 0\n" in
                         self.server.call("GET", "/metrics").bytes.decode())
        return self.server.call("GET", "/api/v1/audit/checkpoint", as_="ben").bytes.decode()

    def backup(self):
        done = tidemark("backup", "--to", os.path.join(self.server.folder, "backups"), "--workspace", self.server.workspace, "--json")
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)

    def restore(self, backup, memory=True, start=True):
        """The lost server's folder goes aside, the backup takes its place."""
        aside = os.path.join(self.server.folder, "lost")
        os.rename(self.server.workspace, aside)
        more = ["--signer-state", os.path.join(aside, "keys/log.state")] if memory else []
        done = tidemark("restore", backup["path"], "--workspace", self.server.workspace, "--reason", "the disk died", *more)
        self.assertEqual(done.returncode, 0, done)
        if start:
            self.server.start()
        return aside

    def resume(self, *more, expect=0):
        done = tidemark("log", "resume", "--workspace", self.server.workspace, "--reason", "no newer copy", "--json", *more)
        self.assertEqual(done.returncode, expect, done)
        return json.loads(done.stdout) if expect == 0 else done.stderr

    def lose(self, memory=True, start=True):
        """A backup, then records that are signed, then only the backup is left. The checkpoints before and after."""
        self.assertEqual(self.server.register("pump", harness.onnx_model(salt="kept")).status, 201)
        before = self.sealed()
        backup = self.backup()
        self.assertEqual(self.server.register("pump", harness.onnx_model(salt="lost")).status, 201)
        after = self.sealed()
        self.server.stop()
        self.restore(backup, memory, start)
        return before, after

    def write(self, name, text):
        path = os.path.join(self.server.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class ReadOnly(ResumeCase):
    def test_it_reads_and_refuses_and_says_how_to_go_on(self):
        self.lose()
        status = self.server.call("GET", "/api/v1/status").json
        for text in (status["read_only"], status["log"]["trouble"], self.server.log_text()):
            self.assertRegex(text, r"the log holds \d+ records, but \d+ were signed")
            self.assertIn("tidemark log resume --accept-truncation --reason", text)
        self.assertFalse(status["broker"]["connected"])
        self.assertEqual(self.server.call("GET", "/api/v1/models/pump/versions/1").status, 200)
        self.assertEqual(self.server.call("GET", "/healthz").status, 200)
        before = self.records()
        model = harness.onnx_model()
        for method, path, body, as_ in (("POST", "/api/v1/models", {"name": "fan"}, "ana"),
                                        ("POST", "/api/v1/uploads", model, "ana"),
                                        ("POST", "/api/v1/models/pump/versions/1/submit", {}, "ana"),
                                        ("PUT", "/api/v1/models/pump/aliases/best", {"version": 1}, "ana"),
                                        ("POST", "/api/v1/enrolment-codes", {}, "ana"),
                                        ("POST", "/api/v1/backups", {"name": "x", "digest": "sha256:" + "0" * 64, "keys": False,
                                                                     "records": 0, "objects": 0, "bytes": 0}, "ana")):
            answer = self.server.call(method, path, body, as_)
            self.assertEqual((answer.status, answer.problem[0]), (409, "read_only"), (path, answer))
            self.assertIn("tidemark log resume", answer.problem[1])
        answer = self.server.call("POST", "/api/2.0/mlflow/registered-models/create", {"name": "fan"})
        self.assertEqual(answer.status, 409, answer)
        self.assertIn("tidemark log resume", answer.json["message"])
        self.assertEqual(self.server.call("GET", "/api/v1/models", as_=None).status, 401)
        self.assertEqual(self.records(), before)
        self.server.stop()
        self.assertEqual(self.records(), before, "not even that it stopped")

    def records(self):
        db = sqlite3.connect(self.server.path("tidemark.db"))
        found = db.execute("SELECT count(*) FROM audit_record").fetchone()[0], db.execute("SELECT count(*) FROM log_checkpoint").fetchone()[0]
        db.close()
        return found

    def test_auditors_and_backups_still_get_what_there_is(self):
        self.lose()
        answer = self.server.call("GET", "/api/v1/audit/export", as_="ben")
        self.assertEqual(answer.status, 200, answer)
        path = os.path.join(self.server.folder, "export.tar")
        with open(path, "wb") as file:
            file.write(answer.bytes)
        self.assertEqual(tidemark("audit", "verify", path, "--key", self.old_key).returncode, 0)
        done = tidemark("backup", "--to", os.path.join(self.server.folder, "more"), "--workspace", self.server.workspace)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("not in the log", done.stderr)

    def test_a_memory_that_is_lost_or_damaged(self):
        self.lose(memory=False)
        self.assertIn("the memory of the log's signer is lost", self.server.call("GET", "/api/v1/status").json["read_only"])
        self.server.stop()
        with open(self.server.path("keys/log.state"), "w", encoding="utf-8") as file:
            file.write("{")
        self.server.start()
        self.assertIn("damaged", self.server.call("GET", "/api/v1/status").json["read_only"])

    def test_a_restored_copy_that_went_on_by_itself(self):
        """As many records as were signed, and more: but not those."""
        backup = self.backup()
        self.server.register("pump")
        self.sealed()
        self.server.stop()
        self.restore(backup, start=False)
        memory = self.server.read("keys/log.state")
        os.remove(self.server.path("keys/log.state"))
        self.resume("--accept-truncation")
        shutil.copy(glob.glob(self.server.path("keys/retired/*.pem"))[0], self.server.path("keys/log.pem"))
        shutil.copy(glob.glob(self.server.path("keys/log-*.vkey"))[0], self.server.path("keys/log.vkey"))
        with open(self.server.path("keys/log.state"), "w", encoding="utf-8") as file:
            file.write(memory)
        for _ in range(3):
            tidemark("backup", "--to", os.path.join(self.server.folder, "more"), "--workspace", self.server.workspace)
        self.server.start()
        self.assertIn("are not those that were signed", self.server.call("GET", "/api/v1/status").json["read_only"])

    def test_what_was_signed_and_not_yet_sequenced_is_no_loss(self):
        """A kill between the commit and the tree: the records are all there."""
        self.server.register("pump")
        self.sealed()
        self.server.stop()
        db = sqlite3.connect(self.server.path("tidemark.db"))
        for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        size = db.execute("SELECT count(*) FROM log_leaf").fetchone()[0]
        db.execute("DELETE FROM log_leaf WHERE seq >= ?", (size - size % 16,))
        db.commit()
        db.close()
        self.server.start()
        self.assertNotIn("read_only", self.server.call("GET", "/api/v1/status").json)
        self.assertEqual(self.server.register("fan").status, 201)


class Resuming(ResumeCase):
    def test_the_whole_way(self):
        before, after = self.lose()
        text = self.resume("--accept-truncation", expect=7)
        self.assertIn("in use by another server", text)
        self.server.stop()
        text = self.resume(expect=5)
        self.assertRegex(text, r"records are kept, \d+ that were signed are lost.*--accept-truncation")
        answer = self.resume("--accept-truncation")
        self.assertGreater(answer["lost"], 0)
        self.assertEqual(answer["kept"], int(before.splitlines()[1]))
        self.assertGreaterEqual(answer["kept"] + answer["lost"], int(after.splitlines()[1]))
        self.assertNotEqual(answer["vkey"], self.old_key)
        self.assertEqual(self.server.read(answer["old_vkey_file"]).strip(), self.old_key)
        self.assertEqual(self.server.read("keys/log.vkey").strip(), answer["vkey"])
        self.server.start()
        self.assertNotIn("read_only", self.server.call("GET", "/api/v1/status").json)
        self.assertEqual(self.server.register("pump", harness.onnx_model(salt="new")).status, 201)
        note = self.sealed()
        self.assertEqual(note.splitlines()[0], answer["origin"])
        self.check_record(answer)
        self.check_proofs(answer, before, after)
        made = self.backup()
        self.assertEqual(tidemark("backup", "verify", made["path"], "--key", answer["vkey"]).returncode, 0)
        self.server.stop()
        self.server.start()
        self.assertNotIn("read_only", self.server.call("GET", "/api/v1/status").json)

    def check_record(self, answer):
        record = [one for one in self.server.call("GET", "/api/v1/audit?limit=1000", as_="ben").json["records"]
                  if one["action"] == "resume.log"][-1]
        old, new = record["before"]["facts"], record["after"]["facts"]
        self.assertEqual((record["reason"], record["object"]["id"]), ("no newer copy", answer["origin"]))
        self.assertEqual((old["origin"], old["vkey"], old["known_by"]), (answer["old_origin"], self.old_key, "signer"))
        self.assertEqual((new["vkey"], new["kept"], new["lost"]), (answer["vkey"], answer["kept"], answer["lost"]))
        self.assertEqual(old["size"], answer["kept"] + answer["lost"])
        self.assertRegex(old["root"], "^[0-9a-f]{64}$")
        self.assertIn("uid", new["by"])

    def check_proofs(self, answer, before, after):
        """Whoever kept a checkpoint from before the backup finds it in the new log; one from after it, that the log owns up."""
        path = os.path.join(self.server.folder, "export.tar")
        with open(path, "wb") as file:
            file.write(self.server.call("GET", "/api/v1/audit/export", as_="ben").bytes)
        database = ["--workspace", self.server.workspace]
        for target in ([path], database):
            self.assertEqual(tidemark("audit", "verify", *target, "--key", answer["vkey"]).returncode, 0)
            done = tidemark("audit", "verify", *target, "--key", answer["vkey"], "--older", self.write("before", before))
            self.assertEqual(done.returncode, 0, done)
            done = tidemark("audit", "verify", *target, "--key", answer["vkey"], "--older", self.write("after", after))
            self.assertEqual(done.returncode, 8, done)
            self.assertRegex(done.stderr, r"resume.log.*are lost, and the log says so")
            forged = before.replace(before.splitlines()[2], after.splitlines()[2])
            done = tidemark("audit", "verify", *target, "--key", answer["vkey"], "--older", self.write("forged", forged))
            self.assertEqual(done.returncode, 8, done)
            other = before.replace("tree/", "tree/00")
            done = tidemark("audit", "verify", *target, "--key", answer["vkey"], "--older", self.write("other", other))
            self.assertEqual(done.returncode, 8, done)
        self.assertEqual(tidemark("audit", "verify", path, "--key", self.old_key).returncode, 8)

    def test_a_change_before_the_resumption_is_still_found(self):
        before, _ = self.lose(start=False)
        answer = self.resume("--accept-truncation")
        self.server.start()
        self.sealed()
        self.server.stop()
        db = sqlite3.connect(self.server.path("tidemark.db"))
        for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE audit_record SET body = replace(body, 'ana', 'eve') WHERE action = 'register.version'")
        db.commit()
        db.close()
        done = tidemark("audit", "verify", "--workspace", self.server.workspace, "--key", answer["vkey"], "--older", self.write("before", before))
        self.assertEqual(done.returncode, 8)
        self.assertIn("register.version", done.stderr)

    def test_nothing_is_missing(self):
        self.server.stop()
        self.assertIn("nothing is known to be missing", self.resume("--accept-truncation", expect=5))
        self.assertEqual(self.server.read("keys/log.vkey").strip(), self.old_key)
        self.server.start()
        self.assertNotIn("read_only", self.server.call("GET", "/api/v1/status").json)

    def test_a_machine_that_was_set_back_with_its_signer(self):
        """Memory and database are of one age: only a checkpoint from elsewhere, or a person, knows better."""
        self.server.register("pump")
        self.sealed()
        self.server.stop()
        snapshot = os.path.join(self.server.folder, "snapshot")
        shutil.copytree(self.server.workspace, snapshot)
        self.server.start()
        self.server.register("pump", harness.onnx_model(salt="later"))
        later = self.sealed()
        self.server.kill()
        shutil.rmtree(self.server.workspace)
        os.rename(snapshot, self.server.workspace)
        self.assertIn("nothing is known to be missing", self.resume("--accept-truncation", expect=5))
        answer = self.resume("--accept-truncation", "--last", self.write("later", later))
        self.assertGreater(answer["lost"], 0)
        self.server.start()
        record = [one for one in self.server.call("GET", "/api/v1/audit?limit=1000", as_="ben").json["records"]
                  if one["action"] == "resume.log"][-1]
        self.assertEqual((record["before"]["facts"]["known_by"], record["before"]["facts"]["checkpoint"]), ("checkpoint", later))
        self.server.stop()
        self.assertIn("lost", self.resume("--although-whole", "--accept-truncation"))

    def test_a_machine_that_was_set_back_without_its_signers_memory(self):
        """The memory lies on another disk: the server notices, and the way on is the same."""
        self.server.stop()
        memory = os.path.join(self.server.folder, "elsewhere.state")
        shutil.move(self.server.path("keys/log.state"), memory)
        with open(self.server.path("tidemark.yaml"), "a", encoding="utf-8") as file:
            file.write(f"audit:\n  signer_state: {memory}\n")
        snapshot = os.path.join(self.server.folder, "snapshot")
        shutil.copytree(self.server.workspace, snapshot)
        self.server.start()
        self.server.register("pump")
        backup = self.backup()
        self.sealed()
        self.server.kill()
        self.assertFalse(os.path.exists(self.server.path("keys/log.state")))
        shutil.rmtree(self.server.workspace)
        os.rename(snapshot, self.server.workspace)
        self.server.start()
        self.assertIn("were signed", self.server.call("GET", "/api/v1/status").json["read_only"])
        self.server.stop()
        answer = self.resume("--accept-truncation")
        with open(memory, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["origin"], answer["origin"])
        self.server.start()
        self.assertEqual(self.server.register("pump").status, 201)
        self.assertEqual(self.sealed().splitlines()[0], answer["origin"])
        target = os.path.join(self.server.folder, "restored")
        done = tidemark("restore", backup["path"], "--workspace", target, "--reason", "x", "--signer-state", memory)
        self.assertEqual(done.returncode, 5, done)
        self.assertIn("put it there yourself", done.stderr)

    def test_a_checkpoint_of_another_log(self):
        _, after = self.lose(start=False)
        self.assertIn("--last", self.resume("--accept-truncation", "--last", self.write("x", after.replace("tree/", "tree/0")), expect=2))
        self.assertIn("--last", self.resume("--accept-truncation", "--last", self.write("x", "nothing"), expect=2))
        self.assertEqual(self.server.read("keys/log.vkey").strip(), self.old_key)

    def test_nobody_knows_how_much(self):
        self.lose(memory=False, start=False)
        self.assertIn("--accept-truncation", self.resume(expect=5))
        answer = self.resume("--accept-truncation")
        self.server.start()
        self.assertEqual(self.server.register("fan").status, 201)
        self.assertEqual(self.sealed().splitlines()[0], answer["origin"])

    def test_a_reason(self):
        self.server.stop()
        done = tidemark("log", "resume", "--accept-truncation", "--workspace", self.server.workspace)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--reason", done.stderr)

    def test_twice(self):
        self.lose(start=False)
        first = self.resume("--accept-truncation")
        self.server.start()
        self.server.register("fan")
        before = self.sealed()
        backup = self.backup()
        self.server.register("fan", harness.onnx_model(salt="2"))
        self.sealed()
        self.server.stop()
        shutil.rmtree(os.path.join(self.server.folder, "lost"))
        self.restore(backup, start=False)
        second = self.resume("--accept-truncation")
        self.assertEqual(second["old_origin"], first["origin"])
        self.server.start()
        self.sealed()
        done = tidemark("audit", "verify", "--workspace", self.server.workspace, "--key", second["vkey"], "--older", self.write("b", before))
        self.assertEqual(done.returncode, 0, done)

    def test_whenever_it_is_killed(self):
        """The server stays read-only until the same command has come to its end."""
        self.lose(start=False)
        kept = os.path.join(self.server.folder, "kept")
        shutil.copytree(self.server.workspace, kept)
        calls = 0
        for step in range(1, 400):
            shutil.rmtree(self.server.workspace)
            shutil.copytree(kept, self.server.workspace)
            if not self.killed_at(step):
                calls = step
                break
            if step % 5 == 0 and self.pending():
                self.server.start()
                self.assertIn("read_only", self.server.call("GET", "/api/v1/status").json)
                self.server.stop()
            answer = self.resume("--accept-truncation", expect=0) if self.pending() else None
            if answer:
                self.assertEqual(self.server.read("keys/log.vkey").strip(), answer["vkey"])
            self.assertFalse(os.path.exists(self.server.path("keys/log.next.pem")))
            db = sqlite3.connect(self.server.path("tidemark.db"))
            self.assertEqual(db.execute("SELECT count(*) FROM audit_record WHERE action = 'resume.log'").fetchone(), (1,), step)
            db.close()
        self.assertGreater(calls, 10, "it was killed at each change of a file")

    def pending(self):
        return os.path.exists(self.server.path("keys/log.next.pem")) or self.server.read("keys/log.vkey").strip() == self.old_key

    def killed_at(self, step):
        """Killed at its n-th fsync, rename or unlink; false: it came to its end before."""
        done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,rename,unlink", "-e",
                               f"inject=fsync,fdatasync,rename,unlink:signal=KILL:when={step}", harness.TIDEMARK, "log", "resume",
                               "--workspace", self.server.workspace, "--reason", "x", "--accept-truncation"],
                              capture_output=True, text=True, check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        return done.returncode != 0


class Devices(ResumeCase):
    settings = {"MQTT_PORT": str(free_port())}

    def release(self, salt):
        number = self.server.register("pump", harness.onnx_model(salt=salt)).json["version"]
        self.assertEqual(self.server.submit(f"pump/{number}").status, 200)
        self.assertEqual(self.server.approve(f"pump/{number}").status, 201)
        return f"pump/{number}"

    def roll_out(self, version):
        answer = self.server.call("POST", "/api/v1/rollouts", {"model_version": version, "to": "all", "soak": "0s"})
        self.assertEqual(answer.status, 201, answer)
        rollout = answer.json["id"]
        harness.wait_for(f"{version} to be rolled out", lambda: self.server.call("GET", f"/api/v1/rollouts/{rollout}").json["state"] == "finished", 60)
        self.assertEqual(self.device()["running"], version)

    def device(self):
        return self.server.call("GET", "/api/v1/devices/pump-01").json

    def test_they_go_on(self):
        """The device has accepted directives that the restored server never heard of: its next one must be believed."""
        code = self.server.call("POST", "/api/v1/enrolment-codes", {}).json["codes"][0]
        state = os.path.join(self.server.folder, "device")
        os.makedirs(state)
        subprocess.run([AGENT, "enrol", "--server", f"https://127.0.0.1:{self.server.device_port}", "--code", code, "--id", "pump-01",
                        "--state", state], check=True, capture_output=True)
        log = open(os.path.join(self.server.folder, "agent.log"), "wb")
        agent = subprocess.Popen([AGENT, "run", "--state", state, "--hardware", "pump-gateway", "--runtime", "onnx"], stdout=log, stderr=log)
        self.addCleanup(log.close)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        harness.wait_for("the device", lambda: self.server.call("GET", "/api/v1/devices").json["devices"][0]["presence"] == "online")
        self.roll_out(self.release("one"))
        backup = self.backup()
        for salt in ("two", "three"):
            self.roll_out(self.release(salt))
        self.sealed()
        self.server.stop()
        self.restore(backup)
        self.assertEqual(self.device()["running"], "pump/1", "as far as it knows")
        self.server.stop()
        self.resume("--accept-truncation")
        self.server.start()
        harness.wait_for("the device to come back", lambda: self.device()["presence"] == "online", 60)
        self.assertIsNone(agent.poll())
        self.roll_out(self.release("four"))
        harness.wait_for("its acknowledgement", lambda: self.device()["directive_accepted"] >= 4)


if __name__ == "__main__":
    harness.main()
