#!/usr/bin/env python3
"""The reference implementation of OpenSSF Model Signing must accept our model.sig and we its; both must refuse what was changed.

Makes a virtual environment of its own (kept beside the build, so that it is made once) with the PyPI package model-signing.
Without network it is skipped (exit 77); with CI=true that is a failure.
SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import subprocess
import sys
import tempfile
import venv

OURS, CACHE = sys.argv[1], sys.argv[2]
PACKAGES = ["model-signing==1.1.1", "pyopenssl"]
FILES = {"net.onnx": b"weights" * 1000, "a-b": b"one", "a/b.bin": b"two", "empty": b""}


def run(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def demand(truth, text, done):
    if not truth:
        sys.exit(f"FAILED: {text}\n{done.stdout}{done.stderr}")
    print(f"ok: {text}")


def verifier():
    """The program model_signing, installed once."""
    program = os.path.join(CACHE, "bin", "model_signing")
    if run(program, "--version").returncode != 0 if os.path.exists(program) else True:
        venv.create(CACHE, with_pip=True, clear=True)
        done = run(os.path.join(CACHE, "bin", "pip"), "install", "--quiet", *PACKAGES)
        if done.returncode != 0:
            print(f"skipped: model-signing cannot be installed: {done.stderr.strip()[-300:]}")
            sys.exit(1 if os.environ.get("CI") == "true" else 77)
    return program


def make_model(folder):
    for name, data in FILES.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def ours_to_theirs(theirs, work):
    model, private, public = (os.path.join(work, n) for n in ("model", "ours.pem", "ours.pub"))
    signature, stranger = os.path.join(work, "model.sig"), os.path.join(work, "stranger.pub")
    done = run(OURS, "sign", private, public, signature, model, *FILES)
    demand(done.returncode == 0, "we sign", done)
    run(OURS, "sign", os.path.join(work, "s.pem"), stranger, os.path.join(work, "s.sig"), model, *FILES)

    def verify(key):
        return run(theirs, "verify", "key", model, "--signature", signature, "--public_key", key)

    done = verify(public)
    demand(done.returncode == 0, "the reference verifier accepts our model.sig", done)
    done = verify(stranger)
    demand(done.returncode != 0, "it refuses it with another key", done)
    with open(os.path.join(model, "late.txt"), "w", encoding="utf-8") as file:
        file.write("x")
    done = verify(public)
    demand(done.returncode != 0, "it refuses an added file", done)
    os.remove(os.path.join(model, "late.txt"))
    with open(os.path.join(model, "net.onnx"), "r+b") as file:
        file.write(b"W")
    done = verify(public)
    demand(done.returncode != 0, "it refuses a changed file", done)


def theirs_to_ours(theirs, work):
    model, private, public = (os.path.join(work, n) for n in ("model", "ours.pem", "ours.pub"))
    signature = os.path.join(work, "theirs.sig")
    done = run(theirs, "sign", "key", model, "--signature", signature, "--private_key", private)
    demand(done.returncode == 0, "the reference implementation signs", done)
    done = run(OURS, "verify", public, signature, model, *FILES)
    demand(done.returncode == 0, "we accept its model.sig", done)
    with open(os.path.join(model, "a-b"), "wb") as file:
        file.write(b"changed")
    done = run(OURS, "verify", public, signature, model, *FILES)
    demand(done.returncode == 8 and "a-b" in done.stderr, "we refuse a changed file by name", done)


def main():
    theirs = verifier()
    work = tempfile.mkdtemp(prefix="td-model-signing-")
    try:
        os.makedirs(os.path.join(work, "model"))
        make_model(os.path.join(work, "model"))
        ours_to_theirs(theirs, work)
        theirs_to_ours(theirs, work)
    finally:
        shutil.rmtree(work)


main()
