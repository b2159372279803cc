#!/usr/bin/env python3
"""Our verifier and the one in verify_log.py must say the same of good exports and of damaged ones.

SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MAKE_LOG = sys.argv[1]
SEED = int(os.environ.get("TD_SEED", "1"))
DAMAGES = 60


def run(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def second(*arguments):
    return run(sys.executable, os.path.join(HERE, "verify_log.py"), *arguments)


def demand(truth, text, done=None):
    if not truth:
        sys.exit(f"FAILED: {text}" + (f"\n{done.stdout}{done.stderr}" if done else ""))


def check_good(folder, records):
    done = run(MAKE_LOG, "make", folder, str(records))
    demand(done.returncode == 0, f"making a log of {records} records", done)
    tar, vkey = os.path.join(folder, "log.tar"), os.path.join(folder, "log.vkey")
    done = second(tar, vkey, "--older", os.path.join(folder, "older"))
    demand(done.returncode == 0 and f"{records} records" in done.stdout, "the good export verifies", done)
    done = run(MAKE_LOG, "verify", tar, open(vkey, encoding="utf-8").read())
    demand(done.returncode == 0, "the first verifier agrees", done)
    done = second("--proof", os.path.join(folder, "proof"), os.path.join(folder, "record"), vkey)
    demand(done.returncode == 0 and f"record {records // 3} of {records}" in done.stdout, "the proof verifies", done)
    done = second("--proof", os.path.join(folder, "proof"), vkey, vkey)
    demand(done.returncode != 0, "the proof of another record does not", done)


def payload_bytes(data):
    """Offsets in records, leaves and checkpoint; the tar's headers and its padding are not the log's."""
    at, found = 0, []
    while at + 512 <= len(data) and data[at] != 0:
        name, size = data[at:at + 100].rstrip(b"\0").decode(), int(data[at + 124:at + 135], 8)
        if name != "format.json":
            found.append((at + 512, size))
        at += 512 + (size + 511) // 512 * 512
    return found


def check_damaged(folder):
    tar, vkey = os.path.join(folder, "log.tar"), os.path.join(folder, "log.vkey")
    key, damaged = open(vkey, encoding="utf-8").read(), os.path.join(folder, "damaged.tar")
    with open(tar, "rb") as file:
        data = bytearray(file.read())
    chosen = random.Random(SEED)
    for _ in range(DAMAGES):
        start, size = chosen.choice(payload_bytes(data))
        at, bit = start + chosen.randrange(size), 1 << chosen.randrange(8)
        data[at] ^= bit
        with open(damaged, "wb") as file:
            file.write(data)
        data[at] ^= bit
        ours, theirs = run(MAKE_LOG, "verify", damaged, key), second(damaged, vkey)
        demand(ours.returncode != 0 and theirs.returncode != 0,
               f"byte {at} ^ {bit} (TD_SEED={SEED}): first {ours.returncode}, second {theirs.returncode}", theirs)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for records in (2, 3, 17, 1024, 1025, 2500):
            check_good(folder, records)
        check_good(folder, 40)
        check_damaged(folder)
    print(f"both verifiers agree: 7 logs, {DAMAGES} damaged ones")


if __name__ == "__main__":
    main()
