#!/usr/bin/env python3
"""Programs that others wrote must accept every kind of claim that we make, and we what they make; both refuse what was changed.

A real server retrains a model, its gate judges, an approver says what he means; judge.py looks at the claims. Makes a virtual
environment of its own (kept beside the build). Without network it is skipped (exit 77); with CI=true that is a failure.
SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import json
import os
import subprocess
import sys
import venv

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = sys.argv.pop(1)
sys.path.insert(0, os.path.join(HERE, "..", "..", "e2e", "server"))
import harness  # noqa: E402
import test_retrain  # noqa: E402

PACKAGES = ["in-toto-attestation==0.9.3", "cyclonedx-python-lib[json-validation]==11.12.0", "securesystemslib[crypto]==1.6.0"]
PYTHON = os.path.join(CACHE, "bin", "python")


def environment():
    """The environment of judge.py, made once."""
    ready = os.path.join(CACHE, "ready")
    wanted = " ".join(PACKAGES)
    if os.path.exists(ready):
        with open(ready, encoding="ascii") as file:
            if file.read() == wanted:
                return
    venv.create(CACHE, with_pip=True, clear=True)
    done = subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        print(f"not run: the packages cannot be installed: {done.stderr.strip()[-300:]}")
        sys.exit(1 if os.environ.get("CI") == "true" else 77)
    with open(ready, "w", encoding="ascii") as file:
        file.write(wanted)


class Interop(test_retrain.Retraining):
    settings = {}
    # Those tests are test_retrain.py's own.
    test_passed_gate_signs_with_the_named_key = test_failed_gate_registers_nothing = test_a_claim_takes_no_key_and_leaves_the_step = None

    @classmethod
    def setUpClass(cls):
        environment()
        super().setUpClass()

    def judge(self, *arguments):
        return subprocess.run([PYTHON, os.path.join(HERE, "judge.py"), *arguments], capture_output=True, text=True, check=False)

    def tidemark(self, *arguments, as_="ana", code=0):
        done = subprocess.run([harness.TIDEMARK, *arguments, "--workspace", self.server.workspace, "--as", as_], capture_output=True,
                              text=True, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def write(self, name, text):
        with open(os.path.join(self.server.folder, name), "w", encoding="utf-8") as file:
            file.write(text)
        return file.name

    def keys(self):
        keys = self.server.call("GET", "/api/v1/claim-keys").json["keys"]
        return self.write("keys.json", json.dumps({key["key_id"]: key["public_key"] for key in keys}))

    def export(self, version):
        path = os.path.join(self.server.folder, version.replace("/", "-") + ".jsonl")
        self.tidemark("claims", "export", version, "--out", path)
        return path

    def test_theirs_accept_ours(self):
        self.prepare("good", 0.93)
        run = self.run_once("good")
        self.assertEqual(run["state"], "registered", run)
        harness.wait_for("its submission", lambda: self.server.call("GET", "/api/v1/models/good/versions/2").json["state"] == "pending")
        self.tidemark("version", "approve", "good/2", "--reason", "fine", "--meaning", "review", as_="ben")
        claims, keys = self.export("good/2"), self.keys()
        done = self.judge("check", claims, keys)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()],
                         ["https://slsa.dev/provenance/v1", "https://in-toto.io/attestation/test-result/v0.1", "https://cyclonedx.org/bom",
                          "urn:tidemark:approval:v1"])
        print(f"claims held against the definitions of in-toto, SLSA and CycloneDX: {len(done.stdout.splitlines())} of 4")
        with open(claims, encoding="utf-8") as file:
            envelope = json.loads(file.readline())
        envelope["payload"] = "e30="
        done = self.judge("check", self.write("changed.jsonl", json.dumps(envelope) + "\n"), keys)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("VerificationError", done.stderr)

    def test_a_bill_of_everything_fits_the_schema(self):
        """Odd names, addresses, numbers and a description in two scripts."""
        reference = ("speed,prediction\n" + "".join(f"{i * 7 % 97}.5,{i % 3}\n" for i in range(600))).encode()
        datasets = [{"name": "vibration", "uri": "s3://plant/vibration 2026", "digest": "sha256:" + "ab" * 32},
                    {"name": "no digest", "uri": "historian://x/y?z=1#w"}, {"name": "bare", "digest": "sha256:" + "cd" * 32}]
        answer = self.server.register("rich", data=harness.onnx_model(more=["z"]), description="Pumpe № 7 \"x\" <b>\nタイドマーク",
                                      metrics={"auc": 0.94, "loss": 1e-12, "n": 3}, datasets=datasets, tags={"a": "b"},
                                      baseline_csv={"digest": self.server.upload(reference), "name": "reference.csv"},
                                      code={"repository": "https://git.example/pump", "commit": "4f2a9c1"})
        self.assertEqual(answer.status, 201, answer)
        self.tidemark("version", "submit", "rich/1")
        done = self.judge("check", self.export("rich/1"), self.keys())
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_we_accept_theirs(self):
        self.assertEqual(self.server.register("plain").status, 201)
        self.tidemark("version", "submit", "plain/1")
        public = os.path.join(self.server.folder, "theirs.pem")
        done = self.judge("make", hashlib.sha256(harness.onnx_model()).hexdigest(), public)
        self.assertEqual(done.returncode, 0, done.stderr)
        file = self.write("theirs.json", done.stdout)
        self.tidemark("claims", "verify", file, "--key", public)
        self.tidemark("claims", "add", "plain/1", file, code=8)
        self.tidemark("claims", "trust", "theirs", "--key", public, "--reason", "interop")
        self.assertIn("test-result, signed by theirs", self.tidemark("claims", "add", "plain/1", file))


if __name__ == "__main__":
    harness.main()
