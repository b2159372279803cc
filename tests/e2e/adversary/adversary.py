"""Somebody who holds a server's machine: its database, its content store and every key in its workspace, the log's and
the submitter's included. REWRITES names what he tries; each gets a copy of the workspace of its own.

What he does not have: the checkpoint that an auditor keeps, the keys of people, and root's.
SPDX-License-Identifier: Apache-2.0
"""
import base64
import glob
import hashlib
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "interop", "audit"))
import forge  # noqa: E402

REWRITES = {}
sha = forge.sha


def rewrite(found_by, names):
    """`found_by`: "log" (export and workspace find it) or "rows" (the workspace does; its log is in order). `names`: a
    part of what the auditor is told, with {fields} of the story."""
    def keep(function):
        REWRITES[function.__name__.replace("_", " ")] = (function, found_by, names)
        return function
    return keep


def node(left, right):
    return sha(b"\x01", left, right)


class Hand:
    """The workspace, and the keys that lie in it."""

    def __init__(self, workspace, story):
        self.workspace, self.story = workspace, story
        self.log, self.submitter = forge.Key(self.read("keys/log.pem")), forge.Key(self.read("keys/submitter.pem"))
        self.db = sqlite3.connect(self.path("tidemark.db"), isolation_level=None)
        for name, in self.db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            self.db.execute(f"DROP TRIGGER {name}")

    def close(self):
        self.db.close()

    def path(self, name):
        return os.path.join(self.workspace, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def sql(self, text, *values):
        return self.db.execute(text, values).fetchall()

    # ---- records ----

    def bodies(self):
        return [body for body, in self.sql("SELECT body FROM audit_record ORDER BY seq")]

    def seq(self, action, outcome="done"):
        for body in self.bodies():
            record = json.loads(body)
            if record["action"] == action and record["outcome"] == outcome:
                return record["seq"]
        raise KeyError(action)

    def edit(self, seq, change):
        """The record, changed by a function, and the columns that repeat it."""
        record = json.loads(self.sql("SELECT body FROM audit_record WHERE seq = ?", seq)[0][0])
        change(record)
        self.put(seq, record)

    def put(self, seq, record):
        from datetime import datetime
        at = int(datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp() * 1000 + 0.5)
        self.sql("INSERT OR REPLACE INTO audit_record (seq, at_ms, project, actor, action, object_type, object_id, body) "
                 "VALUES (?, ?, ?, ?, ?, ?, ?, ?)", seq, at, record["project"], record["actor"]["id"], record["action"],
                 record["object"]["type"], record["object"]["id"], forge.canonical(record).decode())

    def records(self, records):
        """All of them anew, numbered."""
        self.sql("DELETE FROM audit_record")
        for seq, record in enumerate(records):
            record["seq"] = seq
            self.put(seq, record)

    def append(self, actor, action, object_, after, **more):
        """A record as the server itself would write it."""
        last = json.loads(self.bodies()[-1])
        record = {"v": 1, "seq": last["seq"] + 1, "time": last["time"], "action": action, "object": object_, "outcome": "done",
                  "actor": {"id": actor, "kind": "user", "authentication": "token", "role": "approver"}, "project": "default",
                  "request": "", "build": last["build"], "salt": os.urandom(16).hex(), "reason": "it is good",
                  "after": {"digest": "sha256:" + hashlib.sha256(forge.canonical(after)).hexdigest(), "facts": after}, **more}
        self.put(record["seq"], record)
        return record["seq"]

    # ---- the tree, signed again ----

    def seal(self, submitter=None, log=None):
        """Leaves, nodes and every checkpoint as if it had always been so; and the signer's memory."""
        submitter, log = submitter or self.submitter, log or self.log
        sizes = [size for size, in self.sql("SELECT size FROM log_checkpoint ORDER BY size")]
        old = dict(self.sql("SELECT seq, leaf FROM log_leaf"))
        for table in ("log_leaf", "log_node", "log_published", "log_cosignature", "log_timestamp", "log_checkpoint"):
            self.sql(f"DELETE FROM {table}")
        leaves = []
        for seq, body in self.sql("SELECT seq, body FROM audit_record ORDER BY seq"):
            leaves.append(submitter.leaf(body.encode()) if body is not None else old[seq])
            self.sql("INSERT INTO log_leaf (seq, leaf) VALUES (?, ?)", seq, leaves[-1])
        self.nodes([sha(b"\x00", leaf) for leaf in leaves])
        for size in sorted({size for size in sizes if 0 < size < len(leaves)} | {len(leaves)}):
            self.checkpoint(log, size, forge.root_of(leaves[:size]))

    def nodes(self, row):
        level = 0
        while row:
            if level and level % 4 == 0:
                self.db.executemany("INSERT INTO log_node (level, position, hash) VALUES (?, ?, ?)",
                                    [(level, at, hash_) for at, hash_ in enumerate(row)])
            row, level = [node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)], level + 1

    def checkpoint(self, log, size, root):
        note = log.note(forge.checkpoint_text(log.origin(), size, root))
        self.sql("INSERT INTO log_checkpoint (size, root, note, at_ms) VALUES (?, ?, ?, 1)", size, root, note)
        with open(self.path("keys/log.state"), "w", encoding="utf-8") as file:
            json.dump({"v": 1, "origin": log.origin(), "size": size, "root": root.hex()}, file)

    # ---- content ----

    def content(self, digest):
        name = digest.hex() if isinstance(digest, bytes) else digest
        return glob.glob(self.path(f"content/*/{name}"))[0]

    def spoil(self, digest):
        path = self.content(digest)
        os.chmod(path, 0o644)
        with open(path, "r+b") as file:
            byte = file.read(1)
            file.seek(0)
            file.write(bytes([byte[0] ^ 1]))

    def export(self, path):
        """What `tidemark audit export` would give out."""
        log = forge.Log.__new__(forge.Log)
        note, size = self.sql("SELECT note, size FROM log_checkpoint ORDER BY size DESC LIMIT 1")[0]
        log.note, log.leaves = note, [leaf for leaf, in self.sql("SELECT leaf FROM log_leaf WHERE seq < ? ORDER BY seq", size)]
        log.bodies = [body.encode() if body is not None else b"erased" for body in self.bodies()[:size]]
        origin = note.split("\n", 1)[0]
        key = self.log if origin == self.log.origin() else self.story["strange"]
        log.head = {"format": "tidemark-audit-export", "v": 1, "size": size, "chunk": 1024, "log": key.public.hex(),
                    "submitter": self.submitter.public.hex(), "vkey": key.vkey()}
        with open(path, "wb") as file:
            file.write(forge.tar_bytes(log.files()))


def change_reason(record):
    record["reason"] = "it was otherwise"


# ---- the database alone is edited ----

@rewrite("log", r'record {approval} \(approve.version pump/1\): its text was changed')
def a_field_is_changed(hand):
    hand.edit(hand.story["approval"], change_reason)


@rewrite("log", r'record {denial} \(approve.version pump/2\): its text was changed')
def a_denial_becomes_a_deed(hand):
    hand.edit(hand.story["denial"], lambda record: record.update(outcome="done"))


@rewrite("log", r'record {approval}')
def a_record_is_dropped(hand):
    hand.sql("DELETE FROM audit_record WHERE seq = ?", hand.story["approval"])
    hand.sql("DELETE FROM log_leaf WHERE seq = ?", hand.story["approval"])


@rewrite("log", r'record {erased}.*its body is gone, and no erase.record says who erased it')
def a_body_is_shredded_without_a_record(hand):
    hand.sql("INSERT INTO audit_erasure (seq, by_seq) VALUES (?, ?)", hand.story["erased"], hand.story["erased"] + 1)
    hand.sql("UPDATE audit_record SET body = NULL, actor = '', object_id = '' WHERE seq = ?", hand.story["erased"])


# ---- everything is signed again: only the auditor's checkpoint knows better ----

OLDER = r"history was rewritten, in records 0 to {older_last}"


@rewrite("log", OLDER)
def a_field_is_changed_and_all_signed_again(hand):
    hand.edit(hand.story["approval"], change_reason)
    hand.sql("UPDATE approval SET reason = 'it was otherwise'")
    hand.seal()


@rewrite("log", OLDER)
def a_record_is_dropped_and_all_signed_again(hand):
    records = [json.loads(body) for body in hand.bodies()]
    del records[hand.story["token"]]
    hand.records(records)
    hand.seal()


@rewrite("log", OLDER)
def a_record_is_put_into_the_past(hand):
    records = [json.loads(body) for body in hand.bodies()]
    records.insert(hand.story["submission"], {**records[hand.story["submission"]], "action": "export.audit", "reason": "a visit"})
    hand.records(records)
    hand.seal()


@rewrite("log", OLDER)
def two_records_are_swapped(hand):
    records = [json.loads(body) for body in hand.bodies()]
    a = hand.story["token"]
    records[a], records[a + 1] = records[a + 1], records[a]
    hand.records(records)
    hand.seal()


@rewrite("log", OLDER)
def times_are_put_back(hand):
    for seq in range(hand.story["older"]):
        hand.edit(seq, lambda record: record.update(time="2019" + record["time"][4:]))
    hand.seal()


@rewrite("log", OLDER)
def another_did_it(hand):
    hand.edit(hand.story["registration"], lambda record: record["actor"].update(id="carl"))
    hand.sql("UPDATE version SET registrar = 'carl' WHERE number = 1")
    hand.seal()


@rewrite("log", OLDER)
def a_denial_becomes_another(hand):
    hand.edit(hand.story["denial"], lambda record: record["actor"].update(id="carl"))
    hand.seal()


@rewrite("log", OLDER)
def the_tree_is_built_again_with_other_salts(hand):
    for seq in range(len(hand.bodies())):
        hand.edit(seq, lambda record: record.update(salt=os.urandom(16).hex()))
    hand.seal()


@rewrite("log", r"record 0 .*another submitter|" + OLDER)
def leaves_by_another_submitter(hand):
    hand.seal(submitter=hand.story["strange"])


@rewrite("log", r'fewer than the {older} of the older checkpoint: record {cut} and those behind it are missing')
def the_end_is_cut_off(hand):
    hand.sql("DELETE FROM audit_record WHERE seq >= ?", hand.story["older"] - 3)
    hand.sql("DELETE FROM log_leaf WHERE seq >= ?", hand.story["older"] - 3)
    hand.seal()


@rewrite("log", r'fewer than the {older} of the older checkpoint: record {early} and those behind it are missing')
def the_file_is_set_back(hand):
    hand.db.close()
    for name, data in hand.story["early_files"].items():
        with open(hand.path(name), "wb") as file:
            file.write(data)
    hand.db = sqlite3.connect(hand.path("tidemark.db"), isolation_level=None)


@rewrite("log", r'checkpoint.*not signed by|note is not signed by')
def checkpoints_of_another_origin(hand):
    hand.seal(log=hand.story["strange"])


# ---- new records, rightly signed, about what never was ----

@rewrite("rows", r"record {next} \(approve.version pump/2\): ben's approval is forged")
def an_approval_is_forged(hand):
    version, manifest = hand.sql("SELECT version_id, manifest_digest FROM version WHERE number = 2")[0]
    user, key = hand.sql("SELECT user_id, key_id FROM approver_key WHERE user_name = 'ben'")[0]
    signature = os.urandom(64)
    after = {"key_id": key.hex(), "signature": signature.hex(), "payload_type": "application/vnd.tidemark.manifest.v1", "state": "approved"}
    seq = hand.append("ben", "approve.version", {"type": "version", "id": "pump/2", "digest": "sha256:" + manifest.hex()}, after)
    hand.sql("INSERT INTO approval VALUES (?, ?, 'ben', ?, ?, 'it is good', 1, ?)", version, user, key, signature, seq)
    hand.sql("UPDATE version SET state = 'approved', decided_ms = 1, approval_seq = ? WHERE version_id = ?", seq, version)
    project, ben, two = "default", "pump/2#ben", "pump/2"
    hand.sql("INSERT INTO lineage_node (project, kind, name, made_at_ms) VALUES (?, 'approval', ?, 1)", project, ben)
    hand.sql("INSERT INTO lineage_edge (from_id, to_id, kind, made_at_ms) SELECT f.node_id, t.node_id, 'approved', 1 FROM lineage_node f, "
             "lineage_node t WHERE f.kind = 'approval' AND f.name = ? AND t.kind = 'version' AND t.name = ?", ben, two)
    hand.seal()


@rewrite("rows", r'keyset {next_keyset}: root did not sign it')
def a_keyset_of_his_own(hand):
    envelope = bytearray(hand.sql("SELECT envelope FROM keyset ORDER BY version DESC LIMIT 1")[0][0])
    envelope[-1] ^= 1
    digest = hashlib.sha256(envelope).digest()
    hand.append("ana", "publish.keyset", {"type": "keyset", "id": f"keyset/{hand.story['keyset'] + 1}", "digest": "sha256:" + digest.hex()},
                {"version": hand.story["keyset"] + 1})
    hand.sql("INSERT INTO keyset VALUES (?, ?, ?, 'ana', 1)", hand.story["keyset"] + 1, bytes(envelope), digest)
    hand.seal()


# ---- rows are changed, and the log is left alone ----

@rewrite("rows", r'record {alias} \(set.alias pump@production\): alias default/pump@production has version "1" by the record, "2"')
def an_alias_is_moved_silently(hand):
    hand.sql("UPDATE alias SET version_id = (SELECT version_id FROM version WHERE number = 2)")


@rewrite("rows", r'version default/pump/3 is gone from the database, and no record says who removed it')
def a_version_is_deleted_silently(hand):
    version = hand.sql("SELECT version_id FROM version WHERE number = 3")[0][0]
    for table in ("version_file", "version_tag", "version_metric", "version_param", "version_scan", "version"):
        hand.sql(f"DELETE FROM {table} WHERE version_id = ?", version)


@rewrite("rows", r'\(submit.version pump/2\): version default/pump/2 has state "pending" by the record, "approved"')
def a_version_is_approved_silently(hand):
    hand.sql("UPDATE version SET state = 'approved', decided_ms = 1 WHERE number = 2")


@rewrite("rows", r'record {approval} \(approve.version pump/1\): approval default/pump/1#ben has reason')
def an_approvals_reason_is_changed(hand):
    hand.sql("UPDATE approval SET reason = 'I was made to'")


@rewrite("rows", r'file model/model.onnx of version pump/1: the bytes of its content sha256:\w+ were changed')
def a_stored_file_is_changed(hand):
    hand.spoil(hand.sql("SELECT f.digest FROM version_file f JOIN version v USING (version_id) WHERE v.number = 1 AND role = 'model'")[0][0])


@rewrite("rows", r'file default/pump/1 model/model.onnx has digest "sha256:[^"]+" by the record,')
def a_file_is_replaced_by_another(hand):
    digest = hand.sql("SELECT f.digest FROM version_file f JOIN version v USING (version_id) WHERE v.number = 2 AND role = 'model'")[0][0]
    hand.sql("UPDATE version_file SET digest = ? WHERE role = 'model' AND version_id = (SELECT version_id FROM version WHERE number = 1)", digest)


@rewrite("rows", r'\(submit.version pump/1\): version default/pump/1 has manifest')
def a_manifest_is_changed(hand):
    hand.sql("UPDATE version SET manifest = CAST(manifest || x'00' AS BLOB) WHERE number = 1")


@rewrite("rows", r'record {keyset_record} \(publish.keyset keyset/{keyset}\): keyset keyset/{keyset} has')
def a_keyset_is_changed(hand):
    hand.sql("UPDATE keyset SET envelope = CAST(substr(envelope, 1, length(envelope) - 1) || x'ff' AS BLOB) WHERE version = ?", hand.story["keyset"])


@rewrite("rows", r"lineage edge default input dataset:s3://other@\w+ > version:pump/1: .* no record says so|"
                 r"lineage edge default input dataset:s3://plant/vibration.* is gone from the database")
def an_edge_of_the_lineage_is_moved(hand):
    hand.sql("UPDATE lineage_node SET name = 's3://other@' || substr(name, -12) WHERE kind = 'dataset' AND name LIKE 's3://plant%'")


@rewrite("rows", r'record {registration} \(register.version pump/1\): version default/pump/1 has sources')
def the_sources_of_a_version_are_changed(hand):
    hand.sql("UPDATE version SET sources = replace(sources, 's3://plant', 's3://other') WHERE number = 1")
    hand.sql("UPDATE lineage_node SET name = replace(name, 's3://plant', 's3://other') WHERE kind = 'dataset'")


@rewrite("rows", r'a claim of version pump/1: the bytes of its content sha256:\w+ were changed')
def a_line_of_a_claim_is_changed(hand):
    hand.spoil(hand.sql("SELECT c.digest FROM claim c JOIN version v USING (version_id) WHERE v.number = 1 LIMIT 1")[0][0])


@rewrite("rows", r'\(add.claim pump/1\): claim default/pump/1 sha256:\w+ is gone from the database')
def a_claim_is_left_out(hand):
    hand.sql("DELETE FROM claim WHERE claim_id = (SELECT min(claim_id) FROM claim)")


@rewrite("rows", r'role ben default admin: it is in the database, but no record says so')
def a_role_is_taken_silently(hand):
    hand.sql("INSERT INTO role_grant SELECT user_id, 1, 'admin', 1 FROM user WHERE name = 'ben'")


@rewrite("rows", r'\(create.token \d+\): token \d+ has digest')
def a_token_is_given_another_secret(hand):
    hand.sql("UPDATE token SET digest = ? WHERE token_id = (SELECT max(token_id) FROM token)", os.urandom(32))


@rewrite("rows", r'record {directive} \(issue.directive pump-01\): directive default/pump-01 1 has envelope')
def an_order_to_a_device_is_changed(hand):
    hand.sql("UPDATE directive SET envelope = CAST(envelope || x'00' AS BLOB)")


@rewrite("rows", r'record {revocation} \(revoke.device pump-02\): device default/pump-02 has state "revoked" by the record, "enrolled"')
def a_revoked_device_is_let_in_again(hand):
    hand.sql("UPDATE device SET state = 'enrolled', revoked_ms = NULL WHERE name = 'pump-02'")


@rewrite("rows", r'record {rollout} \(create.rollout r-\w+\): roll-out default/r-\w+ has created_by "ana" by the record, "carl"')
def another_ordered_the_rollout(hand):
    hand.sql("UPDATE rollout SET created_by = 'carl'")
