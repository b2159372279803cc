"""HTTPS of the API: whose certificate, for which names, which versions of TLS, and what happens without it.

SPDX-License-Identifier: Apache-2.0
"""
import http.client
import os
import signal
import socket
import ssl
import subprocess

import harness


def make_certificate(folder, name, common_name="given.example"):
    """A self-signed certificate for 127.0.0.1 and common_name; (certificate, key)."""
    certificate, key = os.path.join(folder, name + ".crt.pem"), os.path.join(folder, name + ".key.pem")
    harness.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + common_name, "-addext",
                    f"subjectAltName=DNS:{common_name},IP:127.0.0.1", "-keyout", key, "-out", certificate)
    os.chmod(key, 0o600)
    return certificate, key


class TlsTest(harness.ServerTest):
    def call_tls(self, path="/healthz", ca=None, name="127.0.0.1", token=None, method="GET", body=None):
        context = ssl.create_default_context(cafile=ca or self.server.path("keys/ca.crt.pem"))
        connection = http.client.HTTPSConnection(name, self.server.port, timeout=harness.PATIENCE_S, context=context)
        connection._create_connection = lambda address, *rest: socket.create_connection(("127.0.0.1", address[1]), *rest)
        return self.server._send(connection, method, path, body, token, None)

    def cli(self, *arguments, environment=None):
        return subprocess.run([harness.TIDEMARK, *arguments], capture_output=True, text=True, check=False,
                              env={**self.server.environment(), **(environment or {})})

    def refused_start(self, needle):
        self.server.spawn()
        self.assertEqual(self.server.process.stdout.readline(), b"")
        code = self.server.process.wait(harness.PATIENCE_S)
        self.server.process = None
        self.assertNotEqual(code, 0)
        self.assertIn(needle, self.server.log_text())
        return code


class WorkspaceCertificate(TlsTest):
    settings = {"HTTP_TLS": "workspace", "HTTP_HOSTS": "registry.example,10.1.2.3"}

    def test_every_name_of_http_hosts_is_certified(self):
        for name in ("127.0.0.1", "localhost", "registry.example", "10.1.2.3"):
            self.assertEqual(self.call_tls(name=name).bytes, b"ok\n", name)
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.call_tls(name="elsewhere.example")

    def test_reading_and_writing_large_and_small(self):
        token, data = self.server.token("ana"), os.urandom(3_000_000)
        answer = self.call_tls("/api/v1/uploads", token=token, method="POST", body=data)
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(self.call_tls("/api/v1/content/" + answer.json["digest"], token=token).bytes, data)
        self.assertEqual(self.call_tls("/api/v1/models", token=token, method="POST", body={"name": "m"}).status, 201)

    def test_plain_http_and_old_tls_get_nothing(self):
        self.assertNotIn(b"HTTP/1.1 200", self.server.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", timeout=2))
        for version, accepted in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port}", version, "-cipher",
                                   "DEFAULT@SECLEVEL=0"], input=b"", capture_output=True, check=False)
            self.assertEqual(b"Cipher is (NONE)" not in done.stdout, accepted, (version, done.stdout[-500:]))

    def test_the_client_of_this_machine_needs_no_options(self):
        done = self.cli("model", "list", "--as", "ana", "--workspace", self.server.workspace, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_client_elsewhere_needs_the_ca(self):
        url, token = f"https://localhost:{self.server.port}", self.server.path("users/ana/token")
        done = self.cli("model", "list", "--server", url, "--token-file", token)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("--ca FILE", done.stderr)
        done = self.cli("model", "list", "--server", url, "--token-file", token, "--ca", self.server.path("keys/ca.crt.pem"))
        self.assertEqual(done.returncode, 0, done.stderr)


class OwnServer(TlsTest):
    """A server a test, which the test starts."""

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def setUp(self):
        self.server = harness.Server()
        self.addCleanup(self.server.close)


class GivenCertificate(OwnServer):
    def setUp(self):
        super().setUp()
        self.certificate, self.key = make_certificate(self.server.folder, "given")
        self.server.settings.update(HTTP_TLS="files", HTTP_CERT_FILE=self.certificate, HTTP_KEY_FILE=self.key)

    def serial(self):
        text = ssl.get_server_certificate(("127.0.0.1", self.server.port))
        return harness.openssl("x509", "-noout", "-serial", data=text.encode())

    def test_it_is_used_and_read_again_at_sighup(self):
        self.server.start()
        self.assertEqual(self.call_tls(ca=self.certificate).status, 200)
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.call_tls()
        before = self.serial()
        fresh, fresh_key = make_certificate(self.server.folder, "fresh")
        os.replace(fresh, self.certificate)
        os.replace(fresh_key, self.key)
        self.server.process.send_signal(signal.SIGHUP)
        harness.wait_for("the new certificate", lambda: self.serial() != before)
        self.assertEqual(self.call_tls(ca=self.certificate).status, 200)

    def test_a_bad_one_at_sighup_changes_nothing(self):
        self.server.start()
        before = self.serial()
        with open(self.certificate, "w", encoding="ascii") as file:
            file.write("nonsense\n")
        self.server.process.send_signal(signal.SIGHUP)
        harness.wait_for("the log", lambda: "the old one stays in use" in self.server.log_text())
        self.assertEqual(self.serial(), before)

    def test_a_key_that_others_can_read(self):
        os.chmod(self.key, 0o644)
        self.refused_start("can be read by others (mode 0644); chmod 600 it")

    def test_a_key_of_another_certificate(self):
        self.server.settings["HTTP_KEY_FILE"] = make_certificate(self.server.folder, "other")[1]
        self.refused_start("is not this certificate's")

    def test_files_without_names(self):
        self.server.settings["HTTP_KEY_FILE"] = ""
        self.refused_start("http.cert_file and http.key_file must name PEM files")

    def test_a_missing_certificate(self):
        os.unlink(self.certificate)
        self.refused_start("given.crt.pem")


class OtherAddresses(OwnServer):
    def test_elsewhere_than_on_loopback_it_is_https(self):
        self.server.settings["HTTP_HOST"] = "0.0.0.0"
        self.server.start()
        self.assertEqual(self.call_tls().status, 200)
        self.assertNotIn(b"HTTP/1.1 200", self.server.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", timeout=2))

    def test_plain_http_there_must_be_said_and_is_told(self):
        self.server.settings.update(HTTP_HOST="0.0.0.0", HTTP_TLS="off")
        self.server.start()
        self.assertEqual(self.server.call("GET", "/healthz").status, 200)
        self.assertIn("let only a TLS proxy reach it", self.server.log_text())


if __name__ == "__main__":
    harness.main()
