#!/usr/bin/env python3
"""Keeps one record of each action, as real servers wrote it, with whatever differs from run to run put to fixed values.

    TD_KEEP=FOLDER ctest -L e2e          keeps the databases of the tests' servers
    collect.py records.jsonl FOLDER/*.db  adds actions that records.jsonl lacks, from TABLE in the end; all others stay as they are

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import json
import re
import sqlite3
import sys

FIXED = {"time": "2026-01-02T03:04:05.678Z", "salt": "00112233445566778899aabbccddeeff", "build": "tidemark 0.0.0"}
HEX = re.compile(r"[0-9a-f]{16,}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
FOLDER = re.compile(r"/tmp/[A-Za-z0-9._-]+")
NAMED = re.compile(r"\d{8}T\d{6}Z|\buid-\d+\b|^\d+\.\d+\.\d+$")
MEASURED = ("bytes", "objects", "records", "files")

# Actions that no test of a whole server makes, or that are kept for records to come: object, facts.
TABLE = {
    "acknowledge.alert": ("alert", "al-1", {"feature": "rms", "metric": "psi", "signal": "data_drift", "threshold": "0.2", "value": "0.31"}),
    "add.key": ("key", "0123456789abcdef0123456789abcdef", {"user": "ben"}),
    "change.configuration": ("server", "0.0.0", {"changed": ["log.level"]}),
    "delete.model": ("model", "pump", None),
    "deny.request": ("source", "127.0.0.1", {"count": 3}),
    "erase.record": ("record", "17", {"action": "enrol.device"}),
    "export.bundle": ("version", "pump/1", None),
    "fail.login": ("source", "127.0.0.1", {"count": 3}),
    "fail.wave": ("rollout", "r-0123456789abcdef/1", None),
    "import.bundle": ("version", "pump/1", None),
    "issue.keyset": ("keyset", "keyset/2", None),
    "move.version": ("version", "pump/1", {"state": "retired"}),
    "raise.profile": ("workspace", "team", {"profile": "team"}),
    "read.sensitive": ("audit", "log", None),
    "renew.certificate": ("device", "pump-01", {"certificate_serial": "0123456789abcdef0123456789abcdef"}),
    "resolve.alert": ("alert", "al-1", {"feature": "rms", "metric": "psi", "signal": "data_drift", "threshold": "0.2", "value": "0.31"}),
    "revert.rollout": ("rollout", "r-0123456789abcdef", {"state": "reverting"}),
    "revoke.key": ("key", "0123456789abcdef0123456789abcdef", {"user": "ben"}),
    "revoke.version": ("version", "pump/1", {"state": "retired"}),
    "sign.version": ("version", "pump/1", None),
    "tag.version": ("version", "pump/1", {"site": "oslo"}),
    "withdraw.version": ("version", "pump/1", {"state": "draft"}),
}


def canonical(value):
    """RFC 8785 of what a record holds: no floating-point numbers, keys in ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fixed(value, key=""):
    if isinstance(value, dict):
        return {name: fixed(member, name) for name, member in value.items()}
    if isinstance(value, list):
        return [fixed(member, key) for member in value]
    if isinstance(value, str):
        value = TIME.sub(FIXED["time"], FOLDER.sub("/srv", value))
        value = NAMED.sub(lambda match: {"u": "uid-0", "2": "20260102T030405Z"}.get(match[0][0], "0.0.0"), value)
        return HEX.sub(lambda match: ("0123456789abcdef" * 16)[:len(match[0])], value)
    if isinstance(value, int) and not isinstance(value, bool):
        return 1767323045678 if key.endswith("_ms") else 4711 if key in MEASURED else value
    return value


def normal(record):
    """The record with fixed values, its digests of facts made to fit again."""
    record = {**fixed(record), **FIXED, "seq": 0}
    record["request"] = "request-0001" if record["request"] else ""
    for side in ("before", "after"):
        if "facts" in record.get(side, {}):
            record[side]["digest"] = "sha256:" + hashlib.sha256(canonical(record[side]["facts"]).encode()).hexdigest()
    return record


def read(path):
    with open(path, encoding="utf-8") as file:
        return {json.loads(line)["action"]: line.rstrip("\n") for line in file}


def write(path, kept):
    with open(path, "w", encoding="utf-8") as file:
        for action in sorted(kept):
            file.write(kept[action] + "\n")


def always_denied(action):
    return action.startswith(("deny.", "fail.login"))


def from_table(action):
    type_, name, facts = TABLE[action]
    record = {"v": 1, "seq": 0, "action": action, "actor": {"id": "system", "kind": "system", "authentication": "internal", "role": ""},
              "object": {"type": type_, "id": name}, "project": "default", "request": "", "reason": "it is a test",
              "outcome": "denied" if always_denied(action) else "done"}
    return canonical(normal(record if facts is None else {**record, "after": {"facts": facts}}))


def main():
    target, databases = sys.argv[1], sys.argv[2:]
    kept = read(target)
    for name in databases:
        with sqlite3.connect(name) as db:
            for body, in db.execute("SELECT body FROM audit_record WHERE body IS NOT NULL ORDER BY seq"):
                record = json.loads(body)
                if record["action"] not in kept and (record["outcome"] == "done" or always_denied(record["action"])):
                    kept[record["action"]] = canonical(normal(record))
    for action in TABLE:
        kept.setdefault(action, from_table(action))
    write(target, kept)
    print(f"{len(kept)} actions")


if __name__ == "__main__":
    main()
