"""A witness of transparency logs (C2SP tlog-witness), as an outsider would write one: it shares nothing with Tidemark.

Standard library, and the openssl program for Ed25519. `mode` makes it misbehave.
SPDX-License-Identifier: Apache-2.0
"""
import base64
import hashlib
import http.server
import os
import struct
import subprocess
import tempfile
import threading
import time

DASH = "\u2014 "


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], capture_output=True, check=False)


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def consistent(old_size, old_root, new_size, new_root, proof):
    """RFC 9162, 2.1.4.2."""
    if old_size == 0 or old_size == new_size:
        return not proof and (old_size == 0 or old_root == new_root)
    proof = list(proof)
    if old_size & (old_size - 1) == 0:
        proof.insert(0, old_root)
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    if not proof:
        return False
    fr = sr = proof[0]
    for sibling in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(sibling, fr), node(sibling, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == new_root


class Key:
    """An Ed25519 key in a file; its signatures are made by openssl."""

    def __init__(self, folder, name):
        self.name = name
        self.path = os.path.join(folder, name.replace("/", "_") + ".pem")
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.path)
        self.public = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER").stdout[-32:]

    def sign(self, message):
        with tempfile.NamedTemporaryFile() as file:
            file.write(message)
            file.flush()
            return openssl("pkeyutl", "-sign", "-inkey", self.path, "-rawin", "-in", file.name).stdout

    def key_id(self):
        return hashlib.sha256(self.name.encode() + b"\n\x04" + self.public).digest()[:4]

    def vkey(self):
        return f"{self.name}+{self.key_id().hex()}+{base64.b64encode(bytes([4]) + self.public).decode()}"


def verify(public, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.join(folder, name) for name in ("key", "message", "signature")]
        for name, data in zip(names, (bytes.fromhex("302a300506032b6570032100") + public, message, signature)):
            with open(name, "wb") as file:
                file.write(data)
        return openssl("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", names[0], "-rawin", "-in", names[1],
                       "-sigfile", names[2]).returncode == 0


class QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # clients that do not wait are part of the tests


class Witness:
    """mode: good; gone (503); stuck (answers when released); lying (cosigns another text); silent (200 without a
    cosignature); stranger (does not know the log); flood (an answer without end)."""

    def __init__(self, folder, name):
        self.key = Key(folder, name)
        self.mode = "good"
        self.log_vkey = None
        self.size, self.root = 0, b""
        self.requests = []  # (old size, new size, status)
        self.release = threading.Event()
        self.server = QuietServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/w"

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def handler(self):
        witness = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer, kind = witness.answer(self.path, body)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    pass  # it did not wait

            def log_message(self, *_):
                pass

        return Handler

    def cosign(self, text):
        now = int(time.time())
        signature = self.key.sign(f"cosignature/v1\ntime {now}\n{text}".encode())
        blob = self.key.key_id() + struct.pack(">Q", now) + signature
        return f"{DASH}{self.key.name} {base64.b64encode(blob).decode()}\n".encode()

    def signed_by_log(self, text, signatures):
        name, key_id, key = self.log_vkey.split("+", 2)
        for line in signatures.splitlines():
            signer, blob = line[len(DASH):].rsplit(" ", 1)
            blob = base64.b64decode(blob)
            if signer == name and blob[:4].hex() == key_id:
                return verify(base64.b64decode(key)[1:], text.encode(), blob[4:])
        return False

    def judge(self, body):
        head, note = body.decode().split("\n\n", 1)
        lines = head.split("\n")
        text, signatures = note.rsplit("\n\n", 1)
        text += "\n"
        origin, size, root = text.split("\n")[:3]
        old, size, root = int(lines[0].removeprefix("old ")), int(size), base64.b64decode(root)
        status, answer, kind = 200, b"", "text/plain"
        if self.mode == "stranger" or origin != self.log_vkey.split("+")[0]:
            status = 404
        elif not self.signed_by_log(text, signatures):
            status = 403
        elif old > size:
            status = 400
        elif old != self.size or (old == size and root != self.root):
            status, answer, kind = 409, f"{self.size}\n".encode(), "text/x.tlog.size"
        elif not consistent(old, self.root, size, root, [base64.b64decode(line) for line in lines[1:]]):
            status = 422
        else:
            self.size, self.root = size, root
            answer = self.cosign(text if self.mode != "lying" else text.replace(f"\n{size}\n", f"\n{size + 1}\n"))
        self.requests.append((old, size, status))
        return status, answer, kind

    def answer(self, path, body):
        if path != "/w/add-checkpoint":
            return 400, b"", "text/plain"
        if self.mode == "gone":
            self.requests.append((None, None, 503))
            return 503, b"", "text/plain"
        if self.mode == "stuck":
            self.requests.append((None, None, None))
            self.release.wait()
        if self.mode == "flood":
            return 200, b"x" * 200000, "text/plain"
        status, answer, kind = self.judge(body)
        return (status, b"" if self.mode == "silent" and status == 200 else answer, kind)
