"""Bundles that were tampered with, hostile archives, wrong keys: verified and inspected offline, as who receives one does.

SPDX-License-Identifier: Apache-2.0
"""
import io
import os
import tarfile

from command import CORRUPT, INVALID, NOT_FOUND, CommandTest, files_of, harness, run

BUNDLE = "bundle.tar.zst"


def entry(name, data=b"", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info, data


def pack(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


def unpack(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(info, tar.extractfile(info).read()) for info in tar.getmembers()]


def zstd(data):
    """A frame of Zstandard that holds the bytes as they are, in blocks (RFC 8878)."""
    out = b"\x28\xb5\x2f\xfd" + b"\xa0" + len(data).to_bytes(4, "little")  # one segment, its size in four bytes
    blocks = [data[at:at + 131072] for at in range(0, len(data), 131072)]
    for number, block in enumerate(blocks):
        head = len(block) << 3 | (1 if number == len(blocks) - 1 else 0)
        out += head.to_bytes(3, "little") + block
    return out


class Bundles(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.make_export()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def make_export(cls):
        server = cls.server
        cls.bytes_of_model = harness.onnx_model()
        assert server.register("pump", cls.bytes_of_model).status == 201
        assert server.submit("pump/1").status == 200
        assert server.approve("pump/1").status == 201
        cls.export = server.call("GET", "/api/v1/models/pump/versions/1/bundle").bytes
        cls.outer = unpack(cls.export)
        cls.keyset = server.path("keys/keyset.bin")

    def inner(self):
        """The entries of the bundle inside the export."""
        packed = os.path.join(self.folder, BUNDLE)
        with open(packed, "wb") as file:
            file.write(dict((info.name, data) for info, data in self.outer)[BUNDLE])
        done = run("zstd", "-q", "-d", "--rm", packed, "-o", os.path.join(self.folder, "inner.tar"), cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(self.folder, "inner.tar"), "rb") as file:
            return unpack(file.read())

    def with_inner(self, entries):
        changed = zstd(pack(entries))
        return pack([entry(info.name, changed if info.name == BUNDLE else data) for info, data in self.outer])

    def refuse(self, data, parts, inspect=True, code=CORRUPT, keyset=None):
        """Neither verify nor inspect takes it, both name the file, nothing is written anywhere near."""
        self.file("x.tar", data)
        parts = ["x.tar", *([parts] if isinstance(parts, str) else parts)]
        around = files_of(os.path.dirname(self.folder))
        self.refused(code, parts, "bundle", "verify", "x.tar", "--keyset", keyset or self.keyset)
        if inspect:
            self.refused(code, "x.tar", "bundle", "inspect", "x.tar")
        now = files_of(os.path.dirname(self.folder))
        mine = [path for path in now if "/ws/" not in path and not path.endswith("server.log")]
        self.assertEqual({path: now[path] for path in mine}, {path: around.get(path) for path in mine})

    def test_the_frame_itself_is_right(self):
        self.file("x.tar", self.export)
        self.done("bundle", "verify", "x.tar", "--keyset", self.keyset)
        self.file("y.tar", self.with_inner(self.inner()))
        self.done("bundle", "verify", "y.tar", "--keyset", self.keyset)

    def test_changed_bytes(self):
        entries = self.inner()
        for name in [info.name for info, _ in entries]:
            changed = [entry(info.name, data[:-1] + bytes([data[-1] ^ 1]) if info.name == name else data)
                       for info, data in entries]
            self.refuse(self.with_inner(changed), name, inspect=False)
        for at in range(600, len(self.export) - 1024, 997):
            self.file("x.tar", self.export[:at] + bytes([self.export[at] ^ 0x10]) + self.export[at + 1:])
            result = self.type("bundle", "verify", "x.tar", "--keyset", self.keyset)
            self.assertIn(result.returncode, (0, CORRUPT), f"byte {at}: {result.stderr}")
            if result.returncode == 0:  # padding or a proof that verify was not asked for
                self.assertIn("pump", result.stdout)

    def test_cut_short(self):
        for size in (len(self.export) // 2, 512, 0):
            self.refuse(self.export[:size], "")
        self.refuse(self.bytes_of_model, "garbled")

    def test_hostile_entries_of_the_bundle(self):
        entries = self.inner()
        rest = [(info, data) for info, data in entries if info.name != "model/model.onnx"]
        cases = {
            "climbs out of its folder": [*entries, entry("../evil", b"x")],
            "absolute path": [*entries, entry("/tmp/tidemark-evil", b"x")],
            "symbolic link": [*rest, entry("model/model.onnx", kind=tarfile.SYMTYPE, link="/etc/passwd")],
            "hard link": [*rest, entry("model/model.onnx", kind=tarfile.LNKTYPE, link="manifest.pb")],
            "is there twice": [*entries, entry("model/model.onnx", self.bytes_of_model)],
            "more bytes than the manifest": [*rest, entry("model/model.onnx", self.bytes_of_model + b"+")],
            "fewer bytes than the manifest": [*rest, entry("model/model.onnx", self.bytes_of_model[:-1])],
            "not listed in the manifest": [*entries, entry("model/extra", b"x")],
            "model/model.onnx": rest,
        }
        for said, changed in cases.items():
            with self.subTest(said):
                self.refuse(self.with_inner(changed), said)
        self.assertFalse(os.path.exists("/tmp/tidemark-evil"))

    def test_hostile_entries_of_the_export(self):
        whole = [entry(info.name, data) for info, data in self.outer]
        for said, evil in (("climbs out of its folder", entry("../evil", b"x")),
                           ("absolute path", entry("/tmp/tidemark-evil", b"x")),
                           ("symbolic link", entry("attest/evil", kind=tarfile.SYMTYPE, link="/etc/passwd")),
                           ("is there twice", entry("attest/keyset.pb", b"x"))):
            for place in ([evil, *whole], [*whole, evil]):
                with self.subTest(said, first=place[0] is evil):
                    self.refuse(pack(place), "", inspect=False)

    def test_wrong_keys(self):
        other = harness.Server()
        self.addCleanup(other.close)
        self.refuse(self.export, ["0 good signatures", "1 are needed"], inspect=False, keyset=other.path("keys/keyset.bin"))
        key = harness.make_key(os.path.join(self.folder, "key.pem"))
        self.file("root.pub.pem", harness.public_pem(key))
        self.refused(CORRUPT, ["x.tar", "is not signed by the given root key"], "bundle", "verify", "x.tar", "--root",
                     "root.pub.pem")
        self.refused(CORRUPT, ["x.tar", "model.sig"], "bundle", "verify", "x.tar", "--keyset", self.keyset, "--publisher",
                     "root.pub.pem")

    def test_without_what_it_takes(self):
        self.file("x.tar", self.export)
        self.refused(INVALID, ["--root FILE", "--keyset FILE"], "bundle", "verify", "x.tar")
        self.refused(NOT_FOUND, "nowhere.tar: No such file", "bundle", "verify", "nowhere.tar", "--keyset", self.keyset)
        self.refused(NOT_FOUND, "nowhere.pem: No such file", "bundle", "verify", "x.tar", "--root", "nowhere.pem")
        self.refused(CORRUPT, "x.tar", "bundle", "verify", "x.tar", "--keyset", "x.tar")


if __name__ == "__main__":
    harness.main()
