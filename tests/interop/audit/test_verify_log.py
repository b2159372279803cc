#!/usr/bin/env python3
"""`tidemark audit verify` and the second verifier in verify_log.py must say the same of good exports, of exports that
were tampered with in many ways (tamper.py), of single flipped bits, and of proofs, good and bad.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import copy
import json
import os
import random
import subprocess
import sys
import tempfile

import forge
import tamper

HERE = os.path.dirname(os.path.abspath(__file__))
MAKE_LOG, TIDEMARK = sys.argv[1:3]
SEED = int(os.environ.get("TD_SEED", "1"))
FLIPS = 40


def run(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def demand(truth, text, *done):
    if not truth:
        sys.exit(f"FAILED: {text}" + "".join(f"\n{one.stdout}{one.stderr}" for one in done))


def read(folder, name, mode="r"):
    with open(os.path.join(folder, name), mode) as file:
        return file.read()


class Judges:
    """Both verifiers, over the files of one folder."""

    def __init__(self, folder):
        self.folder, self.vkey = folder, os.path.join(folder, "log.vkey")

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def export(self, name, *more):
        """(accepted or not, ours, theirs): fails if they do not agree."""
        return self.agree(name, run(TIDEMARK, "audit", "verify", self.path(name), "--key", self.vkey, *more),
                          run(sys.executable, os.path.join(HERE, "verify_log.py"), self.path(name), self.vkey, *more))

    def proof(self, proof, record):
        return self.agree("proof", run(TIDEMARK, "audit", "verify", self.path(record), "--proof", self.path(proof), "--key", self.vkey),
                          run(sys.executable, os.path.join(HERE, "verify_log.py"), "--proof", self.path(proof), self.path(record), self.vkey))

    @staticmethod
    def agree(name, ours, theirs):
        demand(ours.returncode in (0, 8) and theirs.returncode in (0, 1) and "Traceback" not in theirs.stderr,
               f"{name}: neither verified nor refused", ours, theirs)
        demand((ours.returncode == 0) == (theirs.returncode == 0), f"{name}: the verifiers disagree", ours, theirs)
        return ours.returncode == 0, ours, theirs


def make(folder, records):
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    done = run(MAKE_LOG, folder, str(records))
    demand(done.returncode == 0, f"making a log of {records} records", done)
    return Judges(folder)


def check_good(folder, records):
    judges = make(folder, records)
    good, ours, theirs = judges.export("log.tar", "--older", judges.path("older"))
    demand(good and f"{records} records" in theirs.stdout, "the good export verifies", ours, theirs)
    good, ours, theirs = judges.proof("proof", "record")
    demand(good and f"record {records // 3} of {records}" in theirs.stdout and f"record {records // 3} of the {records}" in ours.stdout,
           "the proof verifies", ours, theirs)


def check_tampered(folder):
    """Each case of tamper.py, by both; and the log itself, written by forge.py, is still good."""
    judges = make(folder, 2500)
    hand = tamper.Hand(forge.Key(read(folder, "log.pem")), forge.Key(read(folder, "submitter.pem")), None, read(folder, "older"))
    with tempfile.TemporaryDirectory() as other:
        make(other, 8)
        hand.other = forge.Key(read(other, "log.pem"))
    original = forge.Log(judges.path("log.tar"))
    judges.put("again.tar", forge.tar_bytes(original.files()))
    demand(judges.export("again.tar")[0], "the log as forge.py writes it is good")
    for name, change in tamper.CASES.items():
        log = copy.deepcopy(original)
        data = change(log, hand)
        judges.put("tampered.tar", forge.tar_bytes(log.files()) if data is None else data)
        accepted, ours, theirs = judges.export("tampered.tar")
        demand(not accepted, f"{name} is noticed", ours, theirs)
        print(f"  {name.replace('_', ' ')}: {ours.stderr.strip()[:140]}")
    return judges, hand


def check_allowed(judges, hand):
    """What looks odd and is allowed: signatures of strangers, extension lines."""
    log = forge.Log(judges.path("log.tar"))
    log.note = log.note + f"\u2014 some.witness {base64.b64encode(bytes(76)).decode()}\n"
    judges.put("odd.tar", forge.tar_bytes(log.files()))
    demand(judges.export("odd.tar")[0], "a stranger's signature is ignored")
    log.note += f"\u2014 {hand.log_key.origin()} {base64.b64encode(bytes([255, 0, 0, 6]) + bytes(2420)).decode()}\n"
    judges.put("odd.tar", forge.tar_bytes(log.files()))
    demand(judges.export("odd.tar")[0], "a signature of a type that nobody knows is ignored")
    log.note = hand.log_key.note(log.note[:log.note.index("\n\n") + 1] + "an extension line\n")
    judges.put("odd.tar", forge.tar_bytes(log.files()))
    demand(judges.export("odd.tar")[0], "an extension line is allowed")


def check_forgotten(judges, hand):
    """An erased registration: the approval after it is not refused, since the erasure says what was erased."""
    log = forge.Log(judges.path("log.tar"))
    erased = tamper.index_of(log, "register.version")
    log.bodies[erased] = b"erased"
    log.edit(30, action="erase.record", object={"type": "record", "id": str(erased)}, after={"facts": {"action": "register.version"}})
    log.sign_leaves(hand.submitter, 30)
    log.seal(hand.log_key)
    judges.put("forgotten.tar", forge.tar_bytes(log.files()))
    done = judges.export("forgotten.tar")
    demand(done[0], "what an erased registration said is not missed", *done[1:])
    told = run(TIDEMARK, "audit", "verify", judges.path("forgotten.tar"), "--key", judges.vkey, "--json")
    erasures = json.loads(told.stdout)["erasures"]
    demand([(one["record"], one["action"], one["by_record"]) for one in erasures] == [(str(erased), "register.version", 30)] and
           erasures[0]["by"] and erasures[0]["reason"], "who erased what, and why, is listed", told)


def check_renamed(judges, hand):
    """A model that got another name keeps who registered what."""
    log = forge.Log(judges.path("log.tar"))
    log.edit(tamper.index_of(log, "submit.version"), action="rename.model", object={"type": "model", "id": "pumps"},
             before={"facts": {"name": "pump"}}, after={"facts": {"name": "pumps"}})
    log.edit(tamper.index_of(log, "approve.version"), object={"type": "version", "id": "pumps/1"})
    log.edit(tamper.index_of(log, "create.rollout"), links={"version": "pumps/1"})
    log.sign_leaves(hand.submitter)
    log.seal(hand.log_key)
    judges.put("renamed.tar", forge.tar_bytes(log.files()))
    done = judges.export("renamed.tar")
    demand(done[0], "a renamed model's versions are known by the new name", *done[1:])


def check_older(judges, hand):
    """Everything was signed again; only the kept checkpoint is not the attacker's."""
    log = forge.Log(judges.path("log.tar"))
    log.edit(8, reason="it was otherwise")
    log.sign_leaves(hand.submitter)
    log.seal(hand.log_key)
    judges.put("rewritten.tar", forge.tar_bytes(log.files()))
    demand(judges.export("rewritten.tar")[0], "without a kept checkpoint a whole rewriting is not to be seen")
    refused = judges.export("rewritten.tar", "--older", judges.path("older"))
    demand(not refused[0] and "in records 0 to 1249" in refused[1].stderr, "with one it is", *refused[1:])
    log = forge.Log(judges.path("log.tar"))
    del log.bodies[1000:], log.leaves[1000:]
    log.seal(hand.log_key)
    judges.put("short.tar", forge.tar_bytes(log.files()))
    refused = judges.export("short.tar", "--older", judges.path("older"))
    demand(not refused[0] and "record 1000 and those behind it are missing" in refused[1].stderr, "a short log is short", *refused[1:])


def check_proofs(judges):
    """A good proof, and what is done to it."""
    proof, record = read(judges.folder, "proof", "rb"), read(judges.folder, "record", "rb")
    lines = proof.decode().split("\n")
    end = lines.index("")
    swapped = lines[:3] + [lines[4], lines[3]] + lines[5:]
    bad = {"a hash too many": lines[:end] + [lines[3]] + lines[end:], "a hash too few": lines[:end - 1] + lines[end:],
           "two hashes swapped": swapped, "another index": [*lines[:2], "index 834", *lines[3:]],
           "a negative index": [*lines[:2], "index -1", *lines[3:]], "an index behind the tree": [*lines[:2], "index 99999", *lines[3:]],
           "another first line": ["c2sp.org/tlog-proof@v9", *lines[1:]], "a short extra line": [lines[0], "extra AAAA", *lines[2:]],
           "no extra line": [lines[0], *lines[2:]], "a hash of 31 bytes": lines[:3] + [base64.b64encode(bytes(31)).decode()] + lines[4:],
           "no checkpoint": lines[:end + 1], "65 hashes": lines[:3] + [lines[3]] * 65 + lines[end:]}
    for what, text in bad.items():
        judges.put("bad.proof", "\n".join(text).encode())
        demand(not judges.proof("bad.proof", "record")[0], f"a proof with {what} is refused")
    judges.put("bad.record", record.replace(b"ana", b"eve").replace(b"ben", b"eve"))
    demand(not judges.proof("proof", "bad.record")[0], "the proof of another record is refused")
    return len(bad) + 1


def payload_bytes(data):
    """Offsets in records, leaves and checkpoint; the tar's headers and its padding are not the log's."""
    at, found = 0, []
    while at + 512 <= len(data) and data[at] != 0:
        name, size = data[at:at + 100].rstrip(b"\0").decode(), int(data[at + 124:at + 135], 8)
        if name != "format.json":
            found.append((at + 512, size))
        at += 512 + (size + 511) // 512 * 512
    return found


def check_flipped(folder):
    judges, chosen = make(folder, 40), random.Random(SEED)
    data = bytearray(read(folder, "log.tar", "rb"))
    for _ in range(FLIPS):
        start, size = chosen.choice(payload_bytes(data))
        at, bit = start + chosen.randrange(size), 1 << chosen.randrange(8)
        data[at] ^= bit
        judges.put("flipped.tar", data)
        data[at] ^= bit
        refused = judges.export("flipped.tar")
        demand(not refused[0], f"byte {at} ^ {bit} is noticed (TD_SEED={SEED})", *refused[1:])


def main():
    with tempfile.TemporaryDirectory() as folder:
        for records in (2, 3, 17, 1024, 1025):
            check_good(folder, records)
        judges, hand = check_tampered(folder)
        check_allowed(judges, hand)
        check_forgotten(judges, hand)
        check_renamed(judges, hand)
        check_older(judges, hand)
        proofs = check_proofs(judges)
        check_flipped(folder)
    print(f"both verifiers agree: 8 good logs, {len(tamper.CASES)} exports tampered with, {FLIPS} flipped bits, {proofs} bad proofs")


if __name__ == "__main__":
    main()
