"""A log in the hands of somebody who holds its keys: read an export, change anything, sign everything again, write it.

Signing by the package `cryptography` where it is installed, else after RFC 8032, section 5.1.6.
SPDX-License-Identifier: Apache-2.0
"""
import base64
import hashlib
import io
import json
import tarfile

import verify_log

try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
except ImportError:
    Ed25519PrivateKey = None

LEAF_CONTEXT = b"sigsum.org/v1/tree-leaf\0"
sha = verify_log.sha


class Key:
    """An Ed25519 private key, from a PKCS#8 file: its last 32 bytes are the seed."""

    def __init__(self, pem):
        der = base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))
        self.seed = der[-32:]
        digest = bytearray(hashlib.sha512(self.seed).digest())
        digest[0], digest[31] = digest[0] & 248, digest[31] & 63 | 64
        self.scalar, self.prefix = int.from_bytes(digest[:32], "little"), bytes(digest[32:])
        self.public = self.compress(verify_log.multiply(self.scalar, verify_log.BASE))
        self.fast = Ed25519PrivateKey.from_private_bytes(self.seed) if Ed25519PrivateKey else None

    @staticmethod
    def compress(point):
        inverse = pow(point[2], verify_log.P - 2, verify_log.P)
        x, y = point[0] * inverse % verify_log.P, point[1] * inverse % verify_log.P
        return (y | (x & 1) << 255).to_bytes(32, "little")

    def sign(self, message):
        if self.fast:
            return self.fast.sign(message)
        order = verify_log.Q
        r = int.from_bytes(hashlib.sha512(self.prefix + message).digest(), "little") % order
        head = self.compress(verify_log.multiply(r, verify_log.BASE))
        h = int.from_bytes(hashlib.sha512(head + self.public + message).digest(), "little") % order
        return head + ((r + h * self.scalar) % order).to_bytes(32, "little")

    def origin(self):
        return "sigsum.org/v1/tree/" + sha(self.public).hex()

    def key_id(self, name=None):
        return sha((name or self.origin()).encode(), b"\n\x01", self.public)[:4]

    def vkey(self):
        return f"{self.origin()}+{self.key_id().hex()}+{base64.b64encode(bytes([1]) + self.public).decode()}"

    def signature_line(self, text, name=None):
        blob = self.key_id(name) + self.sign(text.encode())
        return f"\u2014 {name or self.origin()} {base64.b64encode(blob).decode()}\n"

    def note(self, text):
        return text + "\n" + self.signature_line(text)

    def leaf(self, body):
        checksum = sha(sha(body))
        return checksum + self.sign(LEAF_CONTEXT + checksum) + sha(self.public)


def root_of(leaves):
    tree = verify_log.Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def checkpoint_text(origin, size, root):
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def canonical(record):
    """RFC 8785 of what a record holds: no floating-point numbers, keys in ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Log:
    """An export in pieces: head (a dict), note, bodies and leaves (lists of bytes)."""

    def __init__(self, path):
        with tarfile.open(path, "r:") as tar:
            files = [(member.name, tar.extractfile(member).read()) for member in tar]
        self.head, self.note = json.loads(files[0][1]), files[1][1].decode()
        self.bodies = [line for name, data in files if name.startswith("records/") for line in data.split(b"\n")[:-1]]
        self.leaves = [data[at:at + 128] for name, data in files if name.startswith("leaves/") for at in range(0, len(data), 128)]

    def files(self):
        """[(name, bytes)] as an export has them."""
        found, size = [("format.json", json.dumps(self.head).encode() + b"\n"), ("checkpoint", self.note.encode())], len(self.bodies)
        for first in range(0, size, 1024):
            found.append((f"records/{first:012d}.jsonl", b"".join(body + b"\n" for body in self.bodies[first:first + 1024])))
            found.append((f"leaves/{first:012d}.bin", b"".join(self.leaves[first:first + 1024])))
        return found

    def sign_leaves(self, submitter, first=0):
        for i in range(first, len(self.bodies)):
            self.leaves[i:i + 1] = [submitter.leaf(self.bodies[i])]

    def seal(self, log_key):
        """Size, root and signature as if it had always been so."""
        self.head["size"] = len(self.bodies)
        self.note = log_key.note(checkpoint_text(log_key.origin(), len(self.bodies), root_of(self.leaves)))

    def edit(self, index, **changes):
        record = json.loads(self.bodies[index])
        record.update(changes)
        self.bodies[index] = canonical(record)

    def renumber(self):
        for index, body in enumerate(self.bodies):
            if json.loads(body)["seq"] != index:
                self.edit(index, seq=index)


def tar_bytes(files, types=None):
    """A ustar archive; `types` gives some names another kind of entry."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = (types or {}).get(name, (tarfile.REGTYPE, ""))
            member.size, member.mode = len(data) if member.type == tarfile.REGTYPE else 0, 0o444
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()
