"""Makes a virtual environment from a list of pinned packages, once: python3 venv.py FOLDER REQUIREMENTS

A folder that was made from the same list by the same Python is kept. A half-made one is made anew.
SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os
import shutil
import subprocess
import sys

STAMP = "tidemark.stamp"


def wanted(requirements):
    with open(requirements, "rb") as file:
        return hashlib.sha256(sys.version.encode() + file.read()).hexdigest()


def is_ready(folder, stamp):
    try:
        with open(os.path.join(folder, STAMP), encoding="ascii") as file:
            return file.read() == stamp
    except OSError:
        return False


def make(folder, requirements):
    stamp = wanted(requirements)
    if is_ready(folder, stamp):
        return
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--quiet",
                    "--disable-pip-version-check", "--requirement", requirements], check=True)
    with open(os.path.join(folder, STAMP), "w", encoding="ascii") as file:
        file.write(stamp)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    make(sys.argv[1], sys.argv[2])
