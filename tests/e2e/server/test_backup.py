"""tidemark backup and restore: under load, through kill -9, against tampering; what is in one and what is not.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
import unittest

import harness


def tidemark(*arguments):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK_")}
    return subprocess.run([harness.TIDEMARK, *arguments], capture_output=True, text=True, check=False, env=clean)


class BackupCase(unittest.TestCase):
    def setUp(self):
        self.server = harness.Server()
        self.addCleanup(self.server.close)
        self.place = os.path.join(self.server.folder, "backups")

    def backup(self, *more):
        done = tidemark("backup", "--to", self.place, "--workspace", self.server.workspace, "--json", *more)
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)

    def refuse(self, code, text, *arguments):
        done = tidemark(*arguments)
        self.assertEqual(done.returncode, code, done)
        self.assertIn(text, done.stderr)

    def names(self):
        return sorted(name for name in os.listdir(self.place) if name not in ("content", ".lock"))

    def restore(self, backup, *more, folder="restored"):
        target = os.path.join(self.server.folder, folder)
        done = tidemark("restore", backup["path"], "--workspace", target, "--reason", "the disk died", "--json", *more)
        self.assertEqual(done.returncode, 0, done)
        return target, json.loads(done.stdout)

    def audit(self):
        return self.server.call("GET", "/api/v1/audit?limit=1000", as_="ben").json["records"]


class Making(BackupCase):
    def setUp(self):
        super().setUp()
        self.server.start()

    def test_it_is_what_was_there(self):
        self.assertEqual(self.server.register("pump", harness.onnx_model(salt="a")).status, 201)
        made = self.backup()
        self.assertEqual(self.names(), [made["name"]])
        done = tidemark("backup", "verify", made["path"], "--digest", made["digest"], "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["trusted"]), (0, True), done)
        done = tidemark("backup", "verify", made["path"], "--key", self.server.path("keys/log.vkey"), "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["trusted"]), (0, True), done)
        with open(os.path.join(made["path"], "checkpoint"), encoding="utf-8") as file:
            self.assertIn("sigsum.org/v1/tree/", file.read())
        with sqlite3.connect(os.path.join(made["path"], "tidemark.db")) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM version").fetchone(), (1,))
        db.close()

    def test_it_is_a_record_before_it_has_its_name(self):
        made = self.backup()
        record = [one for one in self.audit() if one["action"] == "create.backup"][-1]
        self.assertEqual(record["object"]["id"], made["name"])
        self.assertEqual(record["object"]["digest"], made["digest"])
        self.assertIn('"keys":true', json.dumps(record["after"], separators=(",", ":")))

    def test_under_load(self):
        """Nobody waits for it, and what was acknowledged before it began is in it."""
        stop, made, failed = threading.Event(), [], []

        def work(number):
            while not stop.is_set():
                answer = self.server.call("POST", "/api/v1/models", {"name": f"m{number}-{len(made)}-{os.urandom(4).hex()}"})
                (made if answer.status == 201 else failed).append(answer.json.get("name"))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        backups = []
        for _ in range(3):
            harness.wait_for("some load", lambda: len(made) > 50 * (len(backups) + 1))
            before = list(made)
            backups.append((self.backup(), before))
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        for backup, before in backups:
            db = sqlite3.connect(os.path.join(backup["path"], "tidemark.db"))
            kept = {name for name, in db.execute("SELECT name FROM model")}
            db.close()
            self.assertEqual(set(before) - kept, set())
            self.assertEqual(tidemark("backup", "verify", backup["path"]).returncode, 0)

    def test_content_is_copied_once(self):
        data = [os.urandom(100000) for _ in range(4)]
        for one in data[:3]:
            self.server.upload(one)
        first = self.backup()
        self.assertGreaterEqual(first["copied"]["bytes"], 300000)
        self.server.upload(data[3])
        second = self.backup("--trust-older")
        self.assertEqual(second["copied"], {"objects": 1, "bytes": 100000})
        self.assertEqual(second["content"]["objects"], first["content"]["objects"] + 1)

    def test_a_copy_that_rotted_is_made_anew(self):
        digest = self.server.upload(os.urandom(5000)).split(":")[1]
        first = self.backup()
        path = os.path.join(self.place, "content", digest[:2], digest)
        os.chmod(path, 0o600)
        with open(path, "r+b") as file:
            file.write(b"rot")
        self.refuse(8, digest[:12], "backup", "verify", first["path"])
        second = self.backup()
        self.assertEqual(second["copied"]["objects"], 1)
        self.assertEqual(tidemark("backup", "verify", first["path"]).returncode, 0)

    def test_keys_and_modes(self):
        made = self.backup()
        names = {file["name"] for file in made["files"]}
        self.assertLessEqual({"keys/log.pem", "keys/ca.key.pem", "users/ana/token", "keys/log.vkey"}, names)
        self.assertFalse([name for name in names if name.endswith(".state")], "the signer's memory is in no backup")
        for folder, _, files in os.walk(made["path"]):
            self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700)
            for name in files:
                public = name.endswith((".crt.pem", ".pub.pem", ".vkey")) or name in ("keyset.bin", "checkpoint")
                self.assertEqual(stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode), 0o644 if public else 0o600, name)

    def test_without_keys(self):
        made = self.backup("--without-keys")
        self.assertIs(made["keys"], False)
        held = b""
        for path in glob.glob(made["path"] + "/**", recursive=True):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    held += file.read()
        for secret in ("keys/log.pem", "keys/ca.key.pem", "keys/director.pem", "users/ben/key.pem", "users/ana/token"):
            self.assertNotIn(self.server.read(secret).splitlines()[-2 if secret.endswith("pem") else 0].encode(), held, secret)
        self.assertIn({"name": "keys/log.vkey"}, [{"name": file["name"]} for file in made["files"]])

    def test_places_that_will_not_do(self):
        for place in (self.server.workspace, self.server.path("backups")):
            self.refuse(5, "lies in the workspace", "backup", "--to", place, "--workspace", self.server.workspace)
        self.refuse(2, "--to", "backup", "--workspace", self.server.workspace)
        self.refuse(4, "no workspace", "backup", "--to", self.place, "--workspace", self.place)

    def test_damage_in_the_workspace_is_no_backup(self):
        self.backup()
        before = self.names()
        digest = self.server.upload(os.urandom(5000)).split(":")[1]
        path = self.server.path(f"content/{digest[:2]}/{digest}")
        os.chmod(path, 0o600)
        with open(path, "r+b") as file:
            file.write(b"rot")
        self.refuse(8, digest[:12], "backup", "--to", self.place, "--workspace", self.server.workspace)
        os.remove(path)
        self.refuse(8, "which is not there", "backup", "--to", self.place, "--workspace", self.server.workspace)
        self.assertEqual([name for name in self.names() if not name.endswith(".unfinished")], before)

    def test_one_at_a_time(self):
        import fcntl
        self.backup()
        with open(os.path.join(self.place, ".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refuse(7, "another backup", "backup", "--to", self.place, "--workspace", self.server.workspace)
        self.backup()


class References(unittest.TestCase):
    def test_no_column_is_forgotten(self):
        """The schemas say of a column when it names content; the check of a backup must follow each."""
        top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
        with open(os.path.join(top, "server/backup_store.c"), encoding="utf-8") as file:
            query = file.read()
        found = 0
        for path in glob.glob(os.path.join(top, "*/schema/*.sql")):
            table = ""
            with open(path, encoding="utf-8") as file:
                for line in file:
                    begins = re.match(r"CREATE TABLE (\w+)", line)
                    table = begins.group(1) if begins else table
                    column = re.match(r"\s+(\w+)\s+BLOB.*-- .*(in content|its content|of the content)\b", line)
                    if column:
                        found += 1
                        self.assertIn(f"SELECT {column.group(1)} FROM {table}", query, path)
        self.assertGreaterEqual(found, 8)


class Pruning(BackupCase):
    def prune(self, keep):
        done = tidemark("backup", "prune", "--to", self.place, "--keep", str(keep), "--json")
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)

    def listed(self):
        return json.loads(tidemark("backup", "list", "--to", self.place, "--json").stdout)["backups"]

    def test_the_oldest_go_and_what_only_they_needed(self):
        made = [self.backup() for _ in range(3)]
        orphan = os.urandom(3000)
        digest = hashlib.sha256(orphan).hexdigest()
        store = os.path.join(self.place, "content", digest[:2])
        os.makedirs(store, mode=0o700, exist_ok=True)
        with open(os.path.join(store, digest), "wb") as file:
            file.write(orphan)
        self.assertEqual([one["name"] for one in self.listed()], [one["name"] for one in made])
        self.assertEqual([one["digest"] for one in self.listed()], [one["digest"] for one in made])
        answer = self.prune(2)
        self.assertEqual([one["name"] for one in answer["removed"]], [made[0]["name"]])
        self.assertEqual(answer["content"], {"objects": 1, "bytes": 3000})
        self.assertEqual(self.names(), [one["name"] for one in made[1:]])
        for one in made[1:]:
            self.assertEqual(tidemark("backup", "verify", one["path"], "--digest", one["digest"]).returncode, 0)
        self.assertEqual(self.prune(2)["removed"], [])

    def test_one_that_cannot_be_read_stops_it(self):
        made = [self.backup() for _ in range(3)]
        with open(os.path.join(made[1]["path"], "backup.json"), "w", encoding="utf-8") as file:
            file.write("{")
        self.refuse(8, "nothing was removed", "backup", "prune", "--to", self.place, "--keep", "1")
        self.assertEqual(self.names(), [one["name"] for one in made])
        self.assertIn("trouble", self.listed()[1])
        self.refuse(2, "--keep", "backup", "prune", "--to", self.place)
        self.refuse(2, "keep", "backup", "prune", "--to", self.place, "--keep", "0")


class AtRest(BackupCase):
    def test_without_a_server(self):
        """The record is then written by the command itself."""
        made = self.backup()
        self.server.start()
        record = [one for one in self.audit() if one["action"] == "create.backup"][-1]
        self.assertEqual(record["object"]["digest"], made["digest"])

    def test_a_changed_log_is_no_backup(self):
        self.server.start()
        self.server.register("pump")
        harness.wait_for("a checkpoint of all", lambda: "tidemark_audit_records_unsigned 0\n" in
                         self.server.call("GET", "/metrics").bytes.decode())
        self.server.stop()
        db = sqlite3.connect(self.server.path("tidemark.db"))
        for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit_record'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE audit_record SET body = replace(body, 'ana', 'eve') WHERE action = 'register.version'")
        db.commit()
        db.close()
        self.refuse(8, "record ", "backup", "--to", self.place, "--workspace", self.server.workspace)
        self.assertEqual([name for name in self.names() if not name.endswith(".unfinished")], [])


class Killed(BackupCase):
    def test_whenever_it_is_killed(self):
        """What is there afterwards is whole or has the name of an unfinished one; the next run goes on and clears up."""
        self.server.start()
        for _ in range(60):
            self.server.upload(os.urandom(20000))
        rounds = 25
        for number in range(rounds):
            process = subprocess.Popen([harness.TIDEMARK, "backup", "--to", self.place, "--workspace", self.server.workspace],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wanted = number * 66 // rounds  # files of content that it may copy before the kill

            def far_enough():
                return process.poll() is not None or len(glob.glob(self.place + "/content/??/*")) >= wanted and os.path.exists(self.place)
            harness.wait_for("the backup to come so far", far_enough)
            process.send_signal(signal.SIGKILL)
            process.wait()
            for name in self.names():
                if not name.endswith(".unfinished"):
                    done = tidemark("backup", "verify", os.path.join(self.place, name))
                    self.assertEqual(done.returncode, 0, done)
        made = self.backup("--trust-older")
        self.assertLess(made["copied"]["objects"], made["content"]["objects"])
        self.assertEqual([name for name in self.names() if name.endswith(".unfinished")], [])
        self.assertEqual(tidemark("backup", "verify", made["path"], "--digest", made["digest"]).returncode, 0)
        self.assertEqual(self.server.call("GET", "/api/v1/status").status, 200)

    def test_a_restore_that_was_killed_is_no_workspace(self):
        self.server.start()
        for _ in range(40):
            self.server.upload(os.urandom(50000))
        made = self.backup()
        target = os.path.join(self.server.folder, "restored")
        for wanted in (0, 5, 15, 30):
            process = subprocess.Popen([harness.TIDEMARK, "restore", made["path"], "--workspace", target, "--reason", "x"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            harness.wait_for("the restore to come so far", lambda: process.poll() is not None or os.path.exists(target + ".restoring") and
                             len(glob.glob(target + ".restoring/content/??/*")) >= wanted)
            process.send_signal(signal.SIGKILL)
            if process.wait() == 0:
                break
            self.assertFalse(os.path.exists(target))
        if not os.path.exists(target):
            self.restore(made)
        self.assertFalse(os.path.exists(target + ".restoring"))
        done = tidemark("store", "verify", "--workspace", target, "--json")
        self.assertEqual(json.loads(done.stdout)["objects"], made["content"]["objects"])


class Tampered(BackupCase):
    @classmethod
    def setUpClass(cls):
        cls.first = harness.Server()
        cls.addClassCleanup(cls.first.close)
        cls.first.start()
        cls.first.register("pump", harness.onnx_model(salt="t"))
        cls.content = cls.first.upload(b"some content").split(":")[1]
        harness.wait_for("a checkpoint", lambda: "tidemark_audit_records_unsigned 0\n" in
                         cls.first.call("GET", "/metrics").bytes.decode())
        cls.kept = os.path.join(cls.first.folder, "kept")
        done = tidemark("backup", "--to", cls.kept, "--workspace", cls.first.workspace, "--json")
        cls.made = json.loads(done.stdout)
        cls.first.stop()

    def setUp(self):
        self.server = self.first
        self.place = os.path.join(self.first.folder, "tampered")
        shutil.copytree(self.kept, self.place)
        self.addCleanup(shutil.rmtree, self.place)
        self.path = os.path.join(self.place, self.made["name"])
        self.target = os.path.join(self.first.folder, "target")

    def both_refuse(self, code, text, *more):
        self.refuse(code, text, "backup", "verify", self.path, *more)
        self.refuse(code, text, "restore", self.path, "--workspace", self.target, "--reason", "x", *more)
        self.assertFalse(os.path.exists(self.target))

    def test_each_file(self):
        for file in self.made["files"]:
            path = os.path.join(self.path, file["name"])
            with open(path, "rb") as opened:
                good = opened.read()
            for bad in (good[:-1], good[:len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1:]):
                with open(path, "wb") as opened:
                    opened.write(bad)
                self.both_refuse(8, file["name"])
            with open(path, "wb") as opened:
                opened.write(good)
        self.assertEqual(tidemark("backup", "verify", self.path).returncode, 0)

    def test_content(self):
        path = os.path.join(self.place, "content", self.content[:2], self.content)
        os.chmod(path, 0o600)
        with open(path, "r+b") as file:
            file.write(b"S")
        self.refuse(8, self.content[:12], "restore", self.path, "--workspace", self.target, "--reason", "x")
        self.refuse(8, self.content[:12], "backup", "verify", self.path)
        shutil.rmtree(self.target + ".restoring")

    def test_content_that_is_gone(self):
        os.remove(os.path.join(self.place, "content", self.content[:2], self.content))
        self.both_refuse(8, self.content)

    def rewrite(self, change, *files):
        """backup.json, consistent again after a change."""
        with open(os.path.join(self.path, "backup.json"), encoding="utf-8") as file:
            head = json.load(file)
        change(head)
        for entry in head["files"]:
            if entry["name"] in files:
                with open(os.path.join(self.path, entry["name"]), "rb") as file:
                    entry["sha256"] = hashlib.sha256(file.read()).hexdigest()
        with open(os.path.join(self.path, "backup.json"), "w", encoding="utf-8") as file:
            json.dump(head, file)

    def test_somebody_who_makes_it_all_consistent(self):
        """A row beside the log: only the digest that the command and the log told finds it."""
        db = sqlite3.connect(os.path.join(self.path, "tidemark.db"))
        self.assertEqual(db.execute("UPDATE model SET description = 'of somebody else'").rowcount, 1)
        db.commit()
        db.close()
        self.rewrite(lambda head: None, "tidemark.db")
        self.assertEqual(tidemark("backup", "verify", self.path).returncode, 0)
        self.both_refuse(8, "not the " + self.made["digest"], "--digest", self.made["digest"])

    def test_somebody_who_rewrites_the_log_as_well(self):
        db = sqlite3.connect(os.path.join(self.path, "tidemark.db"))
        for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit_record'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE audit_record SET body = replace(body, 'pump', 'pimp') WHERE action = 'register.version'")
        db.commit()
        db.close()
        self.rewrite(lambda head: None, "tidemark.db")
        self.both_refuse(8, "record ")

    def test_names_that_lead_out(self):
        def change(name):
            return lambda head: head["files"].append({"name": name, "size": 1, "sha256": "0" * 64, "mode": "0600"})
        for name, code in (("../../evil", 2), ("/etc/passwd", 2), ("keys/log.state", 8), ("run/x", 8), ("", 2)):
            shutil.copy(os.path.join(self.kept, self.made["name"], "backup.json"), self.path)
            self.rewrite(change(name))
            self.both_refuse(code, "")

    def test_an_unfinished_one(self):
        os.remove(os.path.join(self.path, "backup.json"))
        self.both_refuse(4, "no finished backup")

    def test_another_form(self):
        for change in (lambda head: head.update(v=2), lambda head: head.update(format="tar"), lambda head: head.update(files=[])):
            shutil.copy(os.path.join(self.kept, self.made["name"], "backup.json"), self.path)
            self.rewrite(change)
            self.both_refuse(8, "expected" if "files" not in str(change.__code__.co_consts) else "does not list")


class Restoring(BackupCase):
    def setUp(self):
        super().setUp()
        self.server.start()
        self.model = harness.onnx_model(salt="restore")
        self.server.register("pump", self.model)
        self.made = self.backup()

    def test_nothing_is_overwritten(self):
        target, _ = self.restore(self.made)
        for place in (target, self.server.workspace):
            self.refuse(5, "is not empty", "restore", self.made["path"], "--workspace", place, "--reason", "x")
        self.refuse(2, "--reason", "restore", self.made["path"], "--workspace", os.path.join(self.server.folder, "new"))

    def test_it_is_recorded_and_whole(self):
        os.mkdir(os.path.join(self.server.folder, "empty"))
        target, answer = self.restore(self.made, "--digest", self.made["digest"], folder="empty")
        self.assertEqual((answer["lacks"], answer["trusted"], answer["log"]), ([], True, "no memory"))
        db = sqlite3.connect(os.path.join(target, "tidemark.db"))
        last = json.loads(db.execute("SELECT body FROM audit_record ORDER BY seq DESC LIMIT 1").fetchone()[0])
        db.close()
        self.assertEqual((last["action"], last["reason"], last["object"]["digest"]), ("restore.backup", "the disk died", self.made["digest"]))
        digest = hashlib.sha256(self.model).hexdigest()
        with open(os.path.join(target, "content", digest[:2], digest), "rb") as file:
            self.assertEqual(file.read(), self.model)
        for folder, _, files in os.walk(target):
            self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700, folder)
            for name in files:
                self.assertEqual(stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) & 0o022, 0, name)
        done = tidemark("doctor", "--workspace", target, "--json")
        bad = [one["check"] for one in json.loads(done.stdout)["findings"] if one["state"] == "bad"]
        self.assertEqual(bad, ["signer"], "only the signer's memory is lacking")

    def test_keys_from_elsewhere(self):
        made = self.backup("--without-keys")
        _, answer = self.restore(made, folder="bare")
        self.assertIn("keys/log.pem", answer["lacks"])
        target, answer = self.restore(made, "--keys", self.server.path("keys"), folder="with")
        self.assertEqual(answer["lacks"], [])
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(target, "keys/log.pem")).st_mode), 0o600)

    def test_the_memory_of_the_lost_server(self):
        self.server.register("pump")
        harness.wait_for("a checkpoint", lambda: "tidemark_audit_records_unsigned 0\n" in
                         self.server.call("GET", "/metrics").bytes.decode())
        _, answer = self.restore(self.made, "--signer-state", self.server.path("keys/log.state"), folder="behind")
        self.assertEqual(answer["log"], "behind")
        self.server.stop()
        _, answer = self.restore(self.backup(), "--signer-state", self.server.path("keys/log.state"), folder="whole")
        self.assertEqual(answer["log"], "goes on")


if __name__ == "__main__":
    harness.main()
