#!/usr/bin/env python3
"""A second verifier of Tidemark's audit log: Python's standard library, no code shared with the first.

    verify_log.py log.tar log.vkey [--older CHECKPOINT]...    the export: checkpoint, leaves, tree, records
    verify_log.py --proof PROOF RECORD log.vkey               one record by its proof

Formats: docs/audit.md. Ed25519 by the package `cryptography` where it is installed, else after RFC 8032, sections 5.1
and 6 (slow, and for verifying only).
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import base64
import hashlib
import json
import pathlib
import re
import sys
import tarfile

try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
CHUNK, NOTE_MAX, SIGNATURES_MAX = 1024, 16384, 64

class Bad(Exception):
    """The log, or what claims to be one, fails a check."""

def need(truth, text):
    if not truth:
        raise Bad(text)

def unbase64(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 that is not canonical")
    return data

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def read_json(text):
    def unique(pairs):
        need(len(dict(pairs)) == len(pairs), "a key stands twice in JSON")
        return dict(pairs)
    return json.loads(text, object_pairs_hook=unique)

def add(a, b):
    """Adds two points in extended coordinates."""
    u, v = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    w, z = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = v - u, z - w, z + w, v + u
    return e * f % P, g * h % P, f * g % P, e * h % P

def multiply(scalar, point):
    total = (0, 1, 1, 0)
    for bit in bin(scalar)[2:]:
        total = add(total, total)
        total = add(total, point) if bit == "1" else total
    return total

def decompress(data):
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - x2) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P

BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def good_signature(public, message, signature):
    if Ed25519PublicKey:
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
            return True
        except Exception:  # whatever is wrong with it, it is no signature
            return False
    a, r, s = decompress(public), decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or a is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = multiply(s, BASE), add(r, multiply(h, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))

def read_checkpoint(note, vkey):
    """(size, root) of a signed checkpoint."""
    name, key_id, data = vkey.strip().split("+", 2)
    raw = unbase64(data)
    need(raw[0] == 1 and sha(name.encode(), b"\n", raw)[:4].hex() == key_id, "the verifier key is damaged")
    need(len(note) <= NOTE_MAX and note.endswith("\n") and not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f]", note), "not a note")
    text, _, signatures = note.rpartition("\n\n")
    text, lines, found = text + "\n", signatures[:-1].split("\n"), False
    need(len(lines) <= SIGNATURES_MAX, "too many signatures")
    for line in lines:
        dash, signer, data = line.split(" ")
        blob = unbase64(data)
        need(dash == "\u2014" and signer and "+" not in signer and len(blob) > 4, "a malformed signature line")
        if signer == name and blob[:4].hex() == key_id:
            found = good_signature(raw[1:], text.encode(), blob[4:])
            need(found, "the checkpoint's signature does not verify")
    need(found, "the checkpoint is not signed by the log")
    origin, size, root = text.split("\n")[:3]
    need(origin == name, "the checkpoint is of another log")
    need(re.fullmatch("0|[1-9][0-9]{0,18}", size) and len(unbase64(root)) == 32, "the checkpoint is malformed")
    return int(size), unbase64(root)

class Tree:
    """The roots of the perfect subtrees that make up the tree so far, largest first."""

    def __init__(self):
        self.size, self.parts = 0, []

    def append(self, leaf):
        node, bits = sha(b"\x00", leaf), self.size
        while bits & 1:
            node, bits = sha(b"\x01", self.parts.pop(), node), bits >> 1
        self.parts.append(node)
        self.size += 1

    def root(self):
        node = self.parts[-1] if self.parts else sha(b"")
        for part in reversed(self.parts[:-1]):
            node = sha(b"\x01", part, node)
        return node

def root_by_path(leaf, index, size, path):
    """RFC 9162, 2.1.3.2."""
    node, at, last = sha(b"\x00", leaf), index, size - 1
    for sibling in path:
        need(last, "the proof is too long")
        if at & 1 or at == last:
            node = sha(b"\x01", sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = sha(b"\x01", node, sibling)
        at, last = at >> 1, last >> 1
    need(last == 0, "the proof is too short")
    return node

class Rules:
    """What the records say about each other: four eyes, approval before deployment, erasures accounted for."""

    def __init__(self):
        self.made, self.approved, self.enough, self.manifests, self.rollouts = {}, {}, set(), set(), set()
        self.keys, self.threshold, self.erased, self.any_erased, self.doubts, self.forgotten = None, 1, set(), False, {}, {}

    def demand(self, truth, record, action, text):
        """Something that should be on record; an erased body may have said it, which is settled at the end."""
        if not truth:
            need(self.any_erased, text)
            self.doubts.setdefault(action, (record["seq"], text))
        return truth

    def approve(self, record, who, key, facts):
        if not self.demand(key in self.made, record, "register.version", "a version is approved that was never registered"):
            return
        need(who not in self.made[key], "four-eyes is broken")
        known = self.keys is None or facts.get("key_id") is None or facts["key_id"] in self.keys
        if self.demand(known, record, "publish.keyset", "the approval is by a key that no keyset of that time has"):
            self.approved.setdefault(key, set()).add(who)
            if len(self.approved[key]) >= self.threshold:
                self.enough.add(key)
                self.manifests.add(record["object"].get("digest"))

    def rename(self, project, old, new):
        def name(key):
            return (project, new + key[1][len(old):]) if key[0] == project and key[1].startswith(old + "/") else key
        self.made, self.approved = ({name(key): value for key, value in table.items()} for table in (self.made, self.approved))
        self.enough = {name(key) for key in self.enough}

    def follow(self, record):
        what, who, thing = record["action"], record["actor"]["id"], record["object"]
        facts = record.get("after", {}).get("facts", {})
        version = record.get("links", {}).get("version", facts.get("model_version"))
        key = record["project"], thing["id"] if thing["type"] == "version" else version
        if record["outcome"] != "done":
            return
        if what == "register.version":
            need(key not in self.made, "the version is registered a second time")
            parent = (record["project"], facts["parent"]) if "derived_by" in facts else None
            self.made[key] = {who} | self.made.get(parent, set())
        elif what == "update.version" and key in self.made:
            self.made[key].add(who)
        elif what == "rename.model":
            self.rename(record["project"], record["before"]["facts"]["name"], thing["id"])
        elif what == "publish.keyset":
            self.threshold, self.keys = facts.get("approver_threshold", self.threshold), facts.get("approvers")
        elif what == "approve.version":
            self.approve(record, who, key, facts)
        elif what == "create.rollout":
            self.rollouts.add(thing["id"])
            known = not version or self.demand(key in self.made, record, "register.version", "it deploys what was never registered")
            if version and known:
                self.demand(key in self.enough, record, "approve.version", "it deploys what nobody had approved, or too few")
        elif what == "issue.directive":
            good = all(goal["manifest"] in self.manifests for goal in facts.get("goals", []))
            self.demand(good, record, "approve.version", "an order that nobody approved, or too few")
        elif what == "report.install" and "rollout" in facts:
            self.demand(facts["rollout"] in self.rollouts, record, "create.rollout", "an installation that no roll-out ordered")
        elif what == "erase.record":
            self.erased.discard(thing["id"])
            action, number = facts.get("action", ""), int(thing["id"])
            self.forgotten[action] = min(number, self.forgotten.get(action, number))

    def finish(self):
        need(not self.erased, f"nobody says who erased {sorted(self.erased)}")
        for action, (number, text) in self.doubts.items():
            settled = any(self.forgotten.get(name, number) < number for name in (action, ""))
            need(settled, f"record {number}: {text}")

def read_file(tar, name):
    member = tar.next()
    need(member and member.name == name and member.isfile(), f"{name} is missing, or something else lies in its place")
    return tar.extractfile(member).read()

def take(number, line, leaf, submitter, rules):
    need(leaf[96:] == sha(submitter), "its leaf names another submitter")
    if line == b"erased":
        rules.erased.add(str(number))
        rules.any_erased = True
        return
    need(leaf[:32] == sha(sha(line)), "its text was changed")
    record = read_json(line)
    need(record["v"] == 1 and record["seq"] == number, "it calls itself otherwise")
    rules.follow(record)

def verify_export(path, vkey, older):
    tree, rules, kept = Tree(), Rules(), dict(read_checkpoint(note, vkey) for note in older)
    with tarfile.open(path, "r:") as tar:
        head = read_json(read_file(tar, "format.json"))
        size, root = read_checkpoint(read_file(tar, "checkpoint").decode(), vkey)
        need((head["format"], head["v"], head["size"], head["chunk"]) == ("tidemark-audit-export", 1, size, CHUNK), "not its head")
        for first in range(0, size, CHUNK):
            count = min(CHUNK, size - first)
            lines = read_file(tar, f"records/{first:012d}.jsonl").split(b"\n")
            leaves = read_file(tar, f"leaves/{first:012d}.bin")
            need(len(lines) == count + 1 and not lines[-1] and len(leaves) == 128 * count, f"not {count} records from {first} on")
            for i, line in enumerate(lines[:-1]):
                leaf = leaves[128 * i:128 * i + 128]
                try:
                    take(first + i, line, leaf, bytes.fromhex(head["submitter"]), rules)
                except (Bad, ValueError, KeyError, TypeError) as error:
                    raise Bad(f"record {first + i}: {error}") from error
                tree.append(leaf)
                need(kept.get(tree.size, tree.root()) == tree.root(), f"the first {tree.size} are not those of the older checkpoint")
        need(tar.next() is None, "the export has too many entries")
    need(tree.root() == root, "the leaves do not add up to the signed root")
    need(max(kept, default=0) <= size, "the log is shorter than the older checkpoint")
    rules.finish()
    return f"{size} records, root {root.hex()}"

def verify_proof(proof, record, vkey):
    head, _, note = proof.partition("\n\n")
    version, extra, index, *path = head.split("\n")
    need(version == "c2sp.org/tlog-proof@v1" and extra.startswith("extra ") and index.startswith("index "), "not a tlog-proof")
    need(re.fullmatch("0|[1-9][0-9]{0,18}", index[6:]) and len(path) <= 64, "not a tlog-proof")
    (size, root), number, leaf = read_checkpoint(note, vkey), int(index[6:]), sha(sha(record)) + unbase64(extra[6:])
    path = [unbase64(h) for h in path]
    need(len(leaf) == 128 and number < size and all(len(h) == 32 for h in path), "not a tlog-proof")
    need(root_by_path(leaf, number, size, path) == root, "the proof does not show this record")
    return f"record {number} of {size}"

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proof", help="a tlog-proof of the record")
    parser.add_argument("--older", action="append", default=[], help="a checkpoint kept from earlier")
    parser.add_argument("file", help="the export, or the record")
    parser.add_argument("vkey", help="file with the log's verifier key")
    chosen = parser.parse_args()
    try:
        vkey = pathlib.Path(chosen.vkey).read_text("utf-8")
        if chosen.proof:
            proof = pathlib.Path(chosen.proof).read_bytes().decode()
            said = verify_proof(proof, pathlib.Path(chosen.file).read_bytes(), vkey)
        else:
            said = verify_export(chosen.file, vkey, [pathlib.Path(name).read_bytes().decode() for name in chosen.older])
    except (Bad, ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, tarfile.TarError) as error:
        sys.exit(f"not verified: {error}")
    print(f"verified: {said}")

if __name__ == "__main__":
    main()
