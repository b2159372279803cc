"""A full disk: uploads and registrations are refused with a clear answer, nothing is half there, and space brings it back.

The workspace lies on a small tmpfs. Where mounting is not allowed the test says so and is skipped, but not in CI.
SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e", "server"))
import harness  # noqa: E402 (its folder comes first)

SIZE_MIB = 8


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.mount = tempfile.mkdtemp(prefix="tdm-full-")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0700", "tmpfs", self.mount], check=False,
                              capture_output=True)
        if done.returncode != 0:
            os.rmdir(self.mount)
            if os.environ.get("CI") == "true" and os.geteuid() == 0:
                self.fail(f"mounting a tmpfs failed: {done.stderr!r}")
            self.skipTest("mounting a tmpfs is not allowed here")
        self.addCleanup(self.unmount)
        os.environ["TMPDIR"] = self.mount
        tempfile.tempdir = None
        self.server = harness.Server()
        self.addCleanup(self.server.close)
        os.environ.pop("TMPDIR")
        tempfile.tempdir = None

    def unmount(self):
        subprocess.run(["umount", "-l", self.mount], check=False)
        os.rmdir(self.mount)

    def test_full_and_free_again(self):
        server = self.server
        server.start()
        self.assertEqual(server.register("before").status, 201)
        filler = os.path.join(self.mount, "filler")
        with open(filler, "wb"):
            pass
        answer = server.call("POST", "/api/v1/uploads", b"x" * (SIZE_MIB * 1024 * 1024))
        self.assertEqual((answer.status, answer.json["code"]), (413, "limit"), answer)
        self.assertRegex(answer.json["detail"], "full|No space left")
        with open(filler, "r+b", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass
        failed = [answer for answer in (self.try_register(f"during{i}") for i in range(3)) if answer is None or answer.status >= 400]
        self.assertTrue(failed)
        self.assertEqual(server.call("GET", "/api/v1/models/before/versions/1").status, 200)
        os.remove(filler)
        harness.wait_for("writing to work again", lambda: (lambda a: a is not None and a.status == 201)(self.try_register("after")))
        server.stop()
        server.start()
        self.assertEqual(server.call("GET", "/api/v1/models/after/versions/1").status, 200)
        server.stop()

    def try_register(self, name):
        try:
            return self.server.register(name, harness.onnx_model(name))
        except AssertionError:
            return None


if __name__ == "__main__":
    harness.main()
