"""The reference implementation of OpenSSF Model Signing, in a virtual environment beside the build that is made once.

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import venv

PACKAGES = ["model-signing==1.1.1", "pyopenssl", "jsonschema==4.26.0"]


def program(cache):
    return os.path.join(cache, "bin", "model_signing")


def python(cache):
    return os.path.join(cache, "bin", "python")


def install(cache):
    """None, or why it cannot be had."""
    if os.path.exists(program(cache)) and subprocess.run([python(cache), "-c", "import model_signing, jsonschema"], capture_output=True,
                                                         check=False).returncode == 0:
        return None
    venv.create(cache, with_pip=True, clear=True)
    done = subprocess.run([os.path.join(cache, "bin", "pip"), "install", "--quiet", *PACKAGES], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"model-signing cannot be installed: {done.stderr.strip()[-300:]}"
