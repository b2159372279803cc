#!/usr/bin/env python3
"""A second verifier of Tidemark's audit log: Python's standard library, no code shared with the first.

    verify_log.py log.tar log.vkey [--older CHECKPOINT]       the export: checkpoint, leaves, tree, records
    verify_log.py --proof PROOF RECORD log.vkey               one record by its proof

Formats: docs/audit.md. Ed25519 after RFC 8032, sections 5.1 and 6 (slow, and for verifying only).
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import base64
import hashlib
import json
import sys
import tarfile

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
CHUNK = 1024


class Bad(Exception):
    """The log, or what claims to be one, fails a check."""


def unbase64(text):
    """Strict: no stray bits either."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise Bad("base64 that is not canonical")
    return data


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# --- Ed25519 ---

def add(a, b):
    """Adds two points in extended coordinates."""
    u, v = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    w, z = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = v - u, z - w, z + w, v + u
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def same_point(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def decompress(data):
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def good_signature(public, message, signature):
    a, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or a is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    return same_point(multiply(s, BASE), add(r, multiply(h, a)))


# --- notes and checkpoints ---

def read_vkey(text):
    name, key_id, data = text.strip().split("+", 2)
    raw = unbase64(data)
    if raw[0] != 1 or sha(name.encode(), b"\n", raw)[:4].hex() != key_id:
        raise Bad("the verifier key is damaged")
    return name, raw[1:], raw


def read_checkpoint(note, vkey):
    """(size, root) of a signed checkpoint."""
    name, public, raw = read_vkey(vkey)
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, data = line.split(" ")
        blob = unbase64(data)
        if dash == "\u2014" and signer == name and blob[:4] == sha(name.encode(), b"\n", raw)[:4]:
            if not good_signature(public, text.encode(), blob[4:]):
                raise Bad("the checkpoint's signature does not verify")
            break
    else:
        raise Bad("the checkpoint is not signed by the log")
    origin, size, root = text.split("\n")[:3]
    if origin != name:
        raise Bad("the checkpoint is of another log")
    return int(size), unbase64(root)


# --- the tree ---

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
        if not self.parts:
            return sha(b"")
        node = self.parts[-1]
        for part in reversed(self.parts[:-1]):
            node = sha(b"\x01", part, node)
        return node


def root_by_path(leaf, index, size, path):
    """RFC 9162, 2.1.3.2."""
    node, at, last = sha(b"\x00", leaf), index, size - 1
    for sibling in path:
        if last == 0:
            raise Bad("the proof is too long")
        if at & 1 or at == last:
            node = sha(b"\x01", sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = sha(b"\x01", node, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise Bad("the proof is too short")
    return node


# --- export and proof ---

def read_file(tar, name):
    member = tar.next()
    if member is None or member.name != name or not member.isfile():
        raise Bad(f"{name} is missing, or something else lies in its place")
    return tar.extractfile(member).read()


def check_record(number, line, leaf, submitter):
    if leaf[96:] != sha(submitter):
        raise Bad(f"record {number}: its leaf names another submitter")
    if line == b"erased":
        return
    if leaf[:32] != sha(sha(line)):
        raise Bad(f"record {number}: its text was changed")
    if json.loads(line)["seq"] != number:
        raise Bad(f"record {number}: it calls itself otherwise")


def verify_export(path, vkey, older):
    tree, kept = Tree(), read_checkpoint(older, vkey) if older else None
    with tarfile.open(path, "r:") as tar:
        head = json.loads(read_file(tar, "format.json"))
        size, root = read_checkpoint(read_file(tar, "checkpoint").decode(), vkey)
        submitter = bytes.fromhex(head["submitter"])
        for first in range(0, size, CHUNK):
            count = min(CHUNK, size - first)
            lines = read_file(tar, f"records/{first:012d}.jsonl").split(b"\n")
            leaves = read_file(tar, f"leaves/{first:012d}.bin")
            if len(lines) != count + 1 or lines[-1] or len(leaves) != 128 * count:
                raise Bad(f"the chunk at record {first} is not of {count} records")
            for i in range(count):
                leaf = leaves[128 * i:128 * i + 128]
                check_record(first + i, lines[i], leaf, submitter)
                tree.append(leaf)
                if kept and tree.size == kept[0] and tree.root() != kept[1]:
                    raise Bad("the log is not an extension of the older checkpoint")
        if tar.next() is not None:
            raise Bad("the export has too many entries")
    if tree.root() != root:
        raise Bad("the leaves do not add up to the signed root")
    if kept and kept[0] > size:
        raise Bad("the log is shorter than the older checkpoint")
    return f"{size} records, root {root.hex()}"


def verify_proof(proof, record, vkey):
    head, _, note = proof.partition("\n\n")
    version, extra, index, *path = head.split("\n")
    if version != "c2sp.org/tlog-proof@v1" or not extra.startswith("extra ") or not index.startswith("index "):
        raise Bad("not a tlog-proof")
    size, root = read_checkpoint(note, vkey)
    leaf = sha(sha(record)) + unbase64(extra[6:])
    number = int(index[6:])
    if number >= size or root_by_path(leaf, number, size, [unbase64(h) for h in path]) != root:
        raise Bad("the proof does not show this record")
    return f"record {number} of {size}"


def read_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proof", help="a tlog-proof of the record")
    parser.add_argument("--older", help="a checkpoint kept from earlier")
    parser.add_argument("file", help="the export, or the record")
    parser.add_argument("vkey", help="file with the log's verifier key")
    chosen = parser.parse_args()
    vkey = read_text(chosen.vkey)
    try:
        if chosen.proof:
            with open(chosen.file, "rb") as file:
                said = verify_proof(read_text(chosen.proof), file.read(), vkey)
        else:
            said = verify_export(chosen.file, vkey, read_text(chosen.older) if chosen.older else None)
    except (Bad, ValueError, KeyError, IndexError, TypeError, tarfile.TarError) as error:
        sys.exit(f"not verified: {error}")
    print(f"verified: {said}")


if __name__ == "__main__":
    main()
