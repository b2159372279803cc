"""The log's signer on another host: TLS in which both sides show certificates; wrong, expired, foreign and no certificate; other trees.

Both ends are on this machine, so the status never says "another host" here.
SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import socket
import ssl
import subprocess
import unittest

import harness
from test_signer import Case
from test_signer_service import BUSY, CONFLICT, OK, ROOT, Line, Signer


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Remote(Signer):
    def __init__(self, server):
        super().__init__(server)
        self.port = free_port()
        self.url = f"tls://127.0.0.1:{self.port}"

    def command(self):
        return [harness.TIDEMARK, "signer", "serve", "--state", self.home, "--listen", f"127.0.0.1:{self.port}", *self.extra]

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=harness.PATIENCE_S)


class Tls(Case):
    def setUp(self):
        super().setUp()
        self.wait_signed()
        self.server.stop()
        self.service = Remote(self.server)
        self.addCleanup(self.service.kill)
        self.service.move_in(self.server)
        self.origin = self.server.read("keys/log.vkey").split("+")[0]
        self.service.start()

    def file(self, name):
        return os.path.join(self.server.folder, name)

    def context(self, certificate=None, key=None):
        context = ssl.create_default_context(cafile=self.server.path("keys/ca.crt.pem"))
        if certificate:
            context.load_cert_chain(certificate, key)
        return context

    def own(self):
        return self.context(self.server.path("keys/mqtt.crt.pem"), self.server.path("keys/mqtt.key.pem"))

    def issue(self, name, common_name, days="30", purpose="clientAuth", ca=("keys/ca.crt.pem", "keys/ca.key.pem")):
        """A certificate of the workspace's own CA: devices have such."""
        key = harness.make_key(self.file(name + ".key"))
        harness.openssl("req", "-new", "-key", key, "-subj", f"/CN={common_name}", "-out", self.file(name + ".csr"))
        with open(self.file(name + ".ext"), "w", encoding="utf-8") as file:
            file.write(f"extendedKeyUsage={purpose}\nkeyUsage=digitalSignature\n")
        certificate, ca_key = (path if os.path.isabs(path) else self.server.path(path) for path in ca)
        harness.openssl("x509", "-req", "-in", self.file(name + ".csr"), "-CA", certificate, "-CAkey", ca_key, "-set_serial", "77", "-days",
                        days, "-extfile", self.file(name + ".ext"), "-out", self.file(name + ".crt"))
        return self.file(name + ".crt"), key

    def foreign_ca(self):
        key = harness.make_key(self.file("foreign.key"))
        harness.openssl("req", "-new", "-x509", "-key", key, "-subj", "/CN=foreign", "-days", "30", "-out", self.file("foreign.crt"))
        return self.file("foreign.crt"), key

    def look(self, context):
        """The reply to one question, or None where the signer refuses."""
        try:
            with context.wrap_socket(self.service.connect(), server_hostname="127.0.0.1") as sock:
                return Line(sock, self.origin).look()
        except OSError:  # ssl.SSLError is one
            return None


class Works(Tls):
    def test_it_signs(self):
        self.server.start()
        size = self.wait_signed().size
        self.change()
        self.assertGreater(self.wait_signed().size, size)
        self.assertEqual(self.log()["signer_apart"], "another_user" if ROOT else "same_user")

    def test_it_is_killed_again_and_again(self):
        self.server.start()
        size = self.wait_signed().size
        for _ in range(8):
            self.service.process.send_signal(signal.SIGKILL)
            self.change()
            self.service.kill()
            self.service.start()
            mirror = self.wait_signed()
            self.assertGreater(mirror.size, size)
            size = mirror.size

    def test_while_it_hangs_the_log_goes_on(self):
        self.server.start()
        self.wait_signed()
        self.service.process.send_signal(signal.SIGSTOP)
        self.change()
        harness.wait_for("the signer to be missed", lambda: self.log()["unsigned_ms"] > 0)
        self.service.process.send_signal(signal.SIGCONT)
        self.wait_signed()


class Refuses(Tls):
    def test_certificates(self):
        self.assertEqual(self.look(self.own())[0], OK)
        self.assertEqual(self.look(self.context(*self.issue("right", "_server")))[0], OK)
        refused = {
            "none": self.context(),
            "of a device": self.context(*self.issue("device", "pump-7")),
            "expired": self.context(*self.issue("expired", "_server", days="-1")),
            "for another purpose": self.context(*self.issue("purpose", "_server", purpose="serverAuth")),
            "of another CA": self.context(*self.issue("stranger", "_server", ca=self.foreign_ca())),
        }
        for what, context in refused.items():
            self.assertIsNone(self.look(context), what)
        old = self.own()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertIsNone(self.look(old), "TLS 1.2")
        harness.wait_for("the log to say whose it was", lambda: self.look(refused["of a device"]) or
                         'only "_server" is served' in self.service.log())  # one line a second at most
        self.assertEqual(self.look(self.own())[0], OK)

    def test_a_signer_that_the_server_does_not_trust(self):
        foreign = self.foreign_ca()[0]
        self.server.settings["AUDIT_SIGNER_CA_FILE"] = foreign
        self.server.start()
        self.assertIn("the other side's certificate", self.log()["trouble"])

    def test_a_server_with_another_certificate_hears_why(self):
        certificate, key = self.issue("device", "pump-7")
        self.server.settings.update({"AUDIT_SIGNER_CERT_FILE": certificate, "AUDIT_SIGNER_KEY_FILE": key})
        self.server.start()
        self.assertIn("the other side refuses", self.log()["trouble"])
        self.change()  # and the log goes on

    def test_smaller_and_different_trees(self):
        self.server.start()
        self.wait_signed()
        with self.own().wrap_socket(self.service.connect(), server_hostname="127.0.0.1") as sock:
            line = Line(sock, self.origin)
            code, size, root, _ = line.look()
            self.assertEqual(code, OK)
            self.assertEqual(line.sign((size, root), (size - 1, b"\1" * 32))[0], CONFLICT)
            for following in ((size, b"\1" * 32), (size + 1, b"\1" * 32)):
                self.assertEqual(line.sign((size, root), following)[0], CONFLICT)
            self.assertEqual(line.sign((size, b"\3" * 32), (size + 1, b"\1" * 32))[0], BUSY)
            self.assertEqual(line.look()[1:3], (size, root))
        self.change()
        self.wait_signed()

    def test_strangers_cannot_keep_the_server_out(self):
        self.server.start()
        self.wait_signed()
        socks = [self.service.connect() for _ in range(60)]
        for number, sock in enumerate(socks):
            try:
                sock.sendall(b"\x16\x03\x01\x02\x00" if number % 2 else b"\0\0\0\5hello")
            except OSError:
                pass
        self.change()
        self.wait_signed()  # its line is not dropped for them
        self.server.stop()
        self.server.start()  # and a new one finds room
        self.change()
        self.wait_signed()
        for sock in socks:
            sock.close()

    def test_frames_are_bounded(self):
        for data in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\x10\1", b"\0\0\0\5hello"):
            with self.own().wrap_socket(self.service.connect(), server_hostname="127.0.0.1") as sock:
                sock.sendall(data)
                try:
                    self.assertEqual(sock.recv(99), b"", data)
                except OSError:
                    pass
        self.assertEqual(self.look(self.own())[0], OK)

    def test_a_key_that_others_can_read(self):
        self.service.kill()
        os.chmod(os.path.join(self.service.home, "tls.key.pem"), 0o644)
        process = self.service.run()
        self.assertEqual(process.wait(harness.PATIENCE_S), 3)
        process.stdout.close()
        self.assertIn("can be read by others", self.service.log())

    def test_urls(self):
        for url in ("tls://", "tls://host", "tls://:1", "tls://host:0", "tls://::1:7", "tls://host:99999", "https://host:1"):
            done = subprocess.run([harness.TIDEMARK, "serve", "--workspace", self.server.workspace], capture_output=True, text=True, check=False,
                                  env={**self.server.environment(), "TIDEMARK_AUDIT_SIGNER_URL": url})
            self.assertEqual(done.returncode, 2, url)


if __name__ == "__main__":
    harness.main()
