#!/usr/bin/env python3
"""Keys in a token: SoftHSM2 signs, openssl and the reference implementation of Model Signing judge; and every way a token can fail.

A token is made in a temporary folder with softhsm2-util and pkcs11-tool. faulty_module stands before SoftHSM and breaks on order.
Without these programs it is skipped (exit 77); with CI=true that is a failure.
SPDX-License-Identifier: Apache-2.0
"""
import glob
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
FAULTY, CACHE = os.path.abspath(sys.argv.pop(1)), os.path.abspath(sys.argv.pop(1))
sys.path[:0] = [os.path.join(HERE, "..", "model_signing"), os.path.join(HERE, "..", "..", "e2e", "server")]
import harness  # noqa: E402
import reference  # noqa: E402

SOFTHSM = next(iter(glob.glob("/usr/lib/*/softhsm/libsofthsm2.so") + glob.glob("/usr/lib/softhsm/libsofthsm2.so")), None)
TIDEMARK = harness.TIDEMARK
PIN, WRONG = "1234", "4321987"
CURVES = ("P-256", "P-384", "P-521")
INVALID, DENIED, NOT_FOUND, LIMIT, CORRUPT, IO = 2, 3, 4, 6, 8, 9


def run(*arguments, **more):
    return subprocess.run(arguments, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **more)


def must(*arguments, **more):
    done = run(*arguments, **more)
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.stdout}{done.stderr}")
    return done.stdout


class Token:
    """A folder with a SoftHSM of its own, and tokens in it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tdm-hsm-")
        self.tokens = self.path("tokens")
        os.mkdir(self.tokens)
        self.write("softhsm.conf", f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK_")}
        self.environment.update(SOFTHSM2_CONF=self.path("softhsm.conf"), TD_REAL_MODULE=SOFTHSM, HOME=self.folder)
        self.pin = self.write("pin", PIN + "\n")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, mode)) as file:
            file.write(text)
        return file.name

    def make(self, label):
        must("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "5678", env=self.environment)

    def generate(self, token, kind, label, key_id, *more):
        self.tool(token, "--login", "--pin", PIN, "--keypairgen", "--key-type", kind, "--label", label, "--id", key_id, *more)

    def tool(self, token, *arguments):
        return must("pkcs11-tool", "--module", SOFTHSM, "--token-label", token, *arguments, env=self.environment)

    def bring(self, token, group, label, key_id):
        """A key that openssl made; returns its file."""
        key = self.path(label + ".pem")
        must("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + group, "-out", key)
        must("softhsm2-util", "--import", key, "--token", token, "--label", label, "--id", key_id, "--pin", PIN, env=self.environment)
        return key

    def public(self, token, label):
        """The public half by openssl: of the key that was brought, else as pkcs11-tool reads it (which OpenSC 0.23 can of P-256 alone)."""
        if os.path.exists(self.path(label + ".pem")):
            return must("openssl", "pkey", "-in", self.path(label + ".pem"), "-pubout")
        der = self.path("public.der")
        self.tool(token, "--read-object", "--type", "pubkey", "--label", label, "-o", der)
        return must("openssl", "pkey", "-pubin", "-inform", "DER", "-in", der, "-pubout")

    def close(self):
        shutil.rmtree(self.folder)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.token = Token()
        cls.addClassCleanup(cls.token.close)
        cls.token.make("plant")
        cls.token.make("other")
        cls.token.generate("plant", "EC:prime256v1", "P-256", "01")
        cls.token.bring("plant", "P-384", "P-384", "02")
        cls.token.bring("plant", "P-521", "P-521", "03")
        cls.token.generate("other", "EC:prime256v1", "P-256", "01")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = folder.name
        self.model = os.path.join(self.work, "model")
        os.mkdir(self.model)
        with open(os.path.join(self.model, "net.onnx"), "wb") as file:
            file.write(b"weights" * 1000)
        self.sig = os.path.join(self.work, "model.sig")

    def uri(self, key, token="plant", module=None, query=""):
        return f"pkcs11:token={token};object={key}?module-path={module or SOFTHSM}{query}"

    def pinned(self, key, **more):
        return self.uri(key, query="&pin-source=file:" + self.token.pin, **more)

    def tidemark(self, *arguments, **environment):
        return run(TIDEMARK, *arguments, env={**self.token.environment, **environment})

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def refused(self, done, code, *parts):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, "one line says it")
        self.assertFalse(os.path.exists(self.sig))

    def sign(self, uri, *more, **environment):
        return self.tidemark("model", "sign", self.model, "--key", uri, "--signature", self.sig, *more, **environment)

    def verify(self, pem):
        key = os.path.join(self.work, "key.pub")
        with open(key, "w", encoding="ascii") as file:
            file.write(pem)
        self.good(self.tidemark("model", "verify", self.model, "--key", key, "--signature", self.sig))
        os.remove(self.sig)


class Signing(Case):
    def test_the_public_half_is_what_others_read(self):
        for curve in CURVES:
            with self.subTest(curve):
                pem = self.good(self.tidemark("key", "public", self.uri(curve)))
                self.assertEqual(pem, self.token.public("plant", curve))
                report = json.loads(self.good(self.tidemark("key", "public", self.uri(curve), "--json")))
                self.assertEqual((report["curve"], report["public_key"]), (curve, pem))

    def test_the_reference_verifies(self):
        why = reference.install(CACHE)
        if why:
            self.assertNotEqual(os.environ.get("CI"), "true", why)
            self.skipTest(why)
        for curve in CURVES:
            with self.subTest(curve):
                self.good(self.sign(self.pinned(curve)))
                public = os.path.join(self.work, curve)
                self.good(self.tidemark("key", "public", self.uri(curve), "--out", public))
                check = [reference.program(CACHE), "verify", "key", self.model, "--signature", self.sig, "--public_key", public]
                self.good(run(*check))
                with open(os.path.join(self.model, "late"), "wb") as file:
                    file.write(b"x")
                self.assertNotEqual(run(*check).returncode, 0)
                os.remove(os.path.join(self.model, "late"))
                self.verify(self.token.public("plant", curve))

    def test_an_imported_key_signs_as_the_file_did(self):
        key = self.token.bring("other", "P-256", "imported", "77")
        os.chmod(key, 0o600)
        public = self.good(self.tidemark("key", "public", key))
        self.assertEqual(public, must("openssl", "pkey", "-in", key, "-pubout"))
        self.assertEqual(public, self.good(self.tidemark("key", "public", self.uri("imported", token="other"))))
        self.good(self.sign(self.pinned("imported", token="other")))
        self.verify(public)

    def test_a_key_is_found_by_any_part_that_names_it(self):
        public = self.token.public("plant", "P-256")
        slot = next(part for part in self.token.tool("plant", "-L").split("Slot ") if ": plant\n" in part)
        serial = next(line.split(":")[1].strip() for line in slot.splitlines() if "serial num" in line)
        for uri in ("pkcs11:token=plant;id=%01", f"pkcs11:serial={serial};object=P-256", "pkcs11:token=plant;id=%01;object=P-256;type=private",
                    "pkcs11:manufacturer=SoftHSM%20project;token=plant;object=P-256", "PKCS11:token=plant;object=P%2D256;type=public"):
            with self.subTest(uri):
                full = f"{uri}?module-path={SOFTHSM}&pin-source={self.token.pin}"
                self.assertEqual(self.good(self.tidemark("key", "public", full)), public)
                self.good(self.sign(full))
                self.verify(public)

    @unittest.skipUnless(glob.glob("/usr/share/p11-kit/modules/softhsm2.module"), "SoftHSM is not registered with p11-kit here")
    def test_registered_modules_are_asked_without_a_path(self):
        public = self.token.public("plant", "P-256")
        for query in ("", "?module-name=softhsm2"):
            self.assertEqual(self.good(self.tidemark("key", "public", "pkcs11:token=plant;object=P-256" + query)), public)
        self.refused(self.tidemark("key", "public", "pkcs11:token=plant;object=P-256?module-name=nobody"), NOT_FOUND, "no token fits")

    def test_where_the_pin_comes_from(self):
        public, wrong = self.token.public("plant", "P-256"), self.token.write("wrong", WRONG)
        self.good(self.sign(self.uri("P-256"), "--passphrase-file", self.token.pin))
        self.verify(public)
        self.good(self.sign(self.uri("P-256"), TIDEMARK_PIN_FILE=self.token.pin))
        self.verify(public)
        self.good(self.sign(self.uri("P-256"), "--passphrase-file", self.token.pin, TIDEMARK_PIN_FILE=wrong))
        self.verify(public)
        self.good(self.sign(self.pinned("P-256"), "--passphrase-file", wrong))
        self.verify(public)
        self.refused(self.sign(self.uri("P-256")), INVALID, "the token plant wants its PIN", "--passphrase-file FILE")

    def typed(self, pin, *more, **environment):
        leader, follower = pty.openpty()
        command = [TIDEMARK, "model", "sign", self.model, "--signature", self.sig, *more]
        process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
                                   env={**self.token.environment, "TERM": "dumb", **environment})
        os.close(follower)
        shown = b""
        while not shown.rstrip().endswith(b":"):
            self.assertTrue(select.select([leader], [], [], 30)[0], shown)
            shown += os.read(leader, 1024)
        os.write(leader, pin.encode() + b"\n")
        try:
            while piece := os.read(leader, 1024):
                shown += piece
        except OSError:  # the other side is closed
            pass
        os.close(leader)
        self.assertNotIn(pin, shown.decode())
        return process.wait(30), shown.decode()

    def test_a_terminal_is_asked_and_does_not_show_the_pin(self):
        code, shown = self.typed(PIN, "--key", self.uri("P-256"))
        self.assertEqual(code, 0, shown)
        self.assertIn("PIN of the token plant:", shown)
        self.verify(self.token.public("plant", "P-256"))
        code, shown = self.typed(WRONG, "--key", self.uri("P-256"))
        self.assertEqual(code, DENIED, shown)
        self.assertEqual(shown.count("PIN of the token plant:"), 1, "a wrong PIN is not asked for again")

    def test_a_key_that_wants_the_pin_for_each_signature(self):
        self.token.generate("plant", "EC:prime256v1", "careful", "30", "--always-auth")
        logins = os.path.join(self.work, "logins")
        self.good(self.sign(self.pinned("careful", module=FAULTY), TD_LOGINS=logins))
        self.assertEqual(os.path.getsize(logins), 2)
        self.verify(self.token.public("plant", "careful"))


class Refusals(Case):
    def test_no_such_module(self):
        self.refused(self.sign(self.uri("P-256", module="/nowhere/module.so")), NOT_FOUND, "/nowhere/module.so cannot be loaded",
                     "is the token's software installed?")
        text = self.token.write("text.so", "not a library")
        self.refused(self.sign(self.uri("P-256", module=text)), NOT_FOUND, text + " cannot be loaded")
        libz = next(iter(glob.glob("/lib/*/libz.so.1") + glob.glob("/usr/lib/*/libz.so.1")))
        self.refused(self.sign(self.uri("P-256", module=libz)), NOT_FOUND, libz + " cannot be loaded")

    def test_no_such_token(self):
        self.refused(self.sign(self.pinned("P-256", token="factory")), NOT_FOUND, "no token fits", "there are: ", "plant", "other")

    def test_a_module_that_cannot_start_or_has_no_token(self):
        empty = os.path.join(self.work, "empty")
        os.mkdir(empty)
        conf = os.path.join(self.work, "softhsm.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"directories.tokendir = {empty}\n")
        self.refused(self.sign(self.pinned("P-256"), SOFTHSM2_CONF=conf), NOT_FOUND, "no token fits the key's URI; none is there")
        self.refused(self.sign(self.pinned("P-256"), SOFTHSM2_CONF=os.path.join(self.work, "none.conf")), IO, "does not start")

    def test_no_such_key(self):
        self.refused(self.sign(self.pinned("P-999")), NOT_FOUND, "the token plant has no private key", "P-384")
        self.refused(self.tidemark("key", "public", self.uri("P-999")), NOT_FOUND, "the token plant has no public key", "P-384")

    def test_more_than_one(self):
        self.refused(self.sign(f"pkcs11:token=plant?module-path={SOFTHSM}&pin-source=file:{self.token.pin}"), INVALID,
                     "private keys of the token plant fit", "object= or id=", "P-521")
        self.refused(self.sign(f"pkcs11:object=P-256?module-path={SOFTHSM}"), INVALID, "2 tokens fit", "token=")

    def test_a_wrong_pin_is_tried_once(self):
        logins = os.path.join(self.work, "logins")
        wrong = self.token.write("wrong", WRONG)
        done = self.sign(self.uri("P-256", module=FAULTY), "--passphrase-file", wrong, TD_LOGINS=logins)
        self.refused(done, DENIED, "the PIN of the token plant is wrong", "lock")
        self.assertNotIn(WRONG, done.stderr)
        self.assertEqual(os.path.getsize(logins), 1)

    def test_pin_files_that_will_not_do(self):
        cases = [("open", PIN, 0o644, DENIED, "chmod 600"), ("empty", "", 0o600, INVALID, "1 to 255 bytes"),
                 ("long", "1" * 256, 0o600, INVALID, "1 to 255 bytes"), ("lines", "1234\n5678\n", 0o600, INVALID, "more than one line")]
        for name, text, mode, code, part in cases:
            with self.subTest(name):
                logins = os.path.join(self.work, "logins")
                path = self.token.write(name, text, mode)
                self.refused(self.sign(self.uri("P-256", module=FAULTY), "--passphrase-file", path, TD_LOGINS=logins), code, part)
                self.assertFalse(os.path.exists(logins))
        self.refused(self.sign(self.uri("P-256"), "--passphrase-file", "/nowhere/pin"), NOT_FOUND, "/nowhere/pin")

    def test_keys_of_another_kind(self):
        self.token.generate("other", "EC:edwards25519", "edwards", "20")
        self.token.generate("other", "rsa:2048", "rsa", "21")
        self.token.generate("other", "EC:secp256k1", "coin", "22")
        for label, part in (("edwards", "an Ed25519 key"), ("rsa", "an RSA key"), ("coin", "none of P-256, P-384 and P-521")):
            with self.subTest(label):
                self.refused(self.sign(self.pinned(label, token="other")), INVALID, part)
                self.refused(self.tidemark("key", "public", self.uri(label, token="other")), INVALID, part)

    def test_uris_that_are_not_taken(self):
        rest = f"?module-path={SOFTHSM}"
        cases = [("pkcs11:token=plant;object=P-256" + rest + "&pin-value=" + WRONG, INVALID, "everybody on this machine can read arguments"),
                 ("pkcs11:token=plant" + rest + "&pin-source=|cat%20pin", INVALID, "must be a file with its whole path"),
                 ("pkcs11:token=plant" + rest + "&pin-source=pin", INVALID, "must be a file with its whole path"),
                 ("pkcs11:token=plant;colour=red" + rest, INVALID, "a part that is not known"),
                 ("pkcs11:token=plant;type=cert" + rest, INVALID, "no key pair"),
                 ("pkcs11:token=the plant" + rest, INVALID, "write a blank as %20"),
                 ("pkcs11:token=plant%00" + rest, INVALID, "cannot be read"), ("pkcs11:token=%zz" + rest, INVALID, "cannot be read"),
                 ("pkcs11:token", INVALID, "cannot be read"), ("pkcs11:token=" + "x" * 2048, LIMIT, "longer than 2048 bytes")]
        for uri, code, part in cases:
            with self.subTest(uri[:60]):
                done = self.sign(uri)
                self.refused(done, code, part)
                self.assertNotIn(WRONG, done.stderr)

    def test_a_token_that_misbehaves(self):
        cases = [("removed", IO, "the token plant went away at signing"), ("strange", IO, "the token plant failed at signing"),
                 ("wrong-signature", CORRUPT, "does not verify"), ("short-signature", CORRUPT, "does not verify"),
                 ("long", CORRUPT, "1000000 bytes"), ("off-curve", INVALID, "not a point on P-256"),
                 ("compressed", CORRUPT, "no uncompressed point"), ("other-curve", INVALID, "none of P-256"),
                 ("objects", INVALID, "16 private keys"), ("no-ecdsa", INVALID, "does not sign by ECDSA"),
                 ("locked", DENIED, "the token plant is locked"), ("locks-now", DENIED, "the token plant is locked"),
                 ("no-pin", DENIED, "has no PIN yet"), ("pad-cancel", DENIED, "was cancelled at the token plant"),
                 ("label", NOT_FOUND, "there are: ????????"), ("last-try", DENIED, "one more wrong PIN locks the token plant")]
        for fault, code, part in cases:
            with self.subTest(fault):
                logins = os.path.join(self.work, fault)
                self.refused(self.sign(self.pinned("P-256", module=FAULTY), TD_FAULT=fault, TD_LOGINS=logins), code, part)
                if fault in ("locked", "no-pin", "last-try", "label"):
                    self.assertFalse(os.path.exists(logins), "no PIN is tried")

    def test_what_only_looks_like_misbehaving(self):
        for fault, uri in (("raw-point", self.pinned("P-256", module=FAULTY)), ("slots", self.pinned("P-256", module=FAULTY)),
                           ("pad", self.uri("P-256", module=FAULTY))):
            with self.subTest(fault):
                self.good(self.sign(uri, TD_FAULT=fault))
                self.verify(self.token.public("plant", "P-256"))

    def test_a_person_may_use_the_last_try(self):
        code, shown = Signing.typed(self, PIN, "--key", self.uri("P-256", module=FAULTY), TD_FAULT="last-try")
        self.assertEqual(code, 0, shown)
        self.assertIn("ONE more wrong PIN locks it", shown)
        os.remove(self.sig)

    def test_halves_that_do_not_belong_together(self):
        key = os.path.join(self.work, "key.der")
        must("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-outform", "DER", "-out", key)
        public = os.path.join(self.work, "public.der")
        must("openssl", "ec", "-inform", "DER", "-in", key, "-pubout", "-outform", "DER", "-out", public)
        self.token.generate("other", "EC:prime256v1", "half", "40")
        login = ["--login", "--pin", PIN]
        self.token.tool("other", *login, "--delete-object", "--type", "pubkey", "--label", "half")
        self.refused(self.sign(self.pinned("half", token="other")), NOT_FOUND, "0 public keys with the private key's id")
        self.token.tool("other", *login, "--write-object", public, "--type", "pubkey", "--label", "half", "--id", "40")
        self.refused(self.sign(self.pinned("half", token="other")), CORRUPT, "does not verify under the public key")


class Approving(Case):
    """An approver whose key is in a token, against a real server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = harness.Server()
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    def as_(self, who, *arguments, **environment):
        return self.tidemark(*arguments, "--workspace", self.server.workspace, "--as", who, **environment)

    def test_a_life_with_a_token(self):
        key = self.pinned("P-256")
        self.refused(self.as_("ben", "key", "enrol-me", "--key", self.pinned("P-384"), "--reason", "new card"), INVALID, "P-256 is needed")
        self.assertIn("keyset", self.good(self.as_("ben", "key", "enrol-me", "--key", key, "--reason", "new card")))
        self.assertEqual(self.server.register("pump").status, 201)
        self.good(self.as_("ana", "version", "submit", "pump/1"))
        predicate = os.path.join(self.work, "result.json")
        with open(predicate, "w", encoding="ascii") as file:
            json.dump({"result": "PASSED", "configuration": []}, file)
        self.good(self.as_("ben", "claims", "add", "pump/1", "--type", "https://in-toto.io/attestation/test-result/v0.1", "--predicate",
                           predicate, "--key", key))
        self.refused(self.as_("ben", "version", "approve", "pump/1", "--reason", "good", "--yes", "--key", self.pinned("P-999")), NOT_FOUND,
                     "the token plant has no private key")
        self.refused(self.as_("ben", "version", "approve", "pump/1", "--reason", "good", "--yes", "--key", self.pinned("P-256", token="other")),
                     DENIED, "")  # a good key, but of nobody
        environment = {"TIDEMARK_PIN_FILE": self.token.pin}
        self.good(self.as_("ben", "version", "approve", "pump/1", "--reason", "good", "--yes", "--key", self.uri("P-256"), **environment))
        claims = os.path.join(self.work, "claims.jsonl")
        public = os.path.join(self.work, "public.pem")
        self.good(self.as_("ana", "claims", "export", "pump/1", "--out", claims))
        self.good(self.tidemark("key", "public", self.uri("P-256"), "--out", public))
        shown = self.tidemark("claims", "verify", claims, "--key", public).stdout  # the bill of materials has another signer
        self.assertRegex(shown, r"test-result +public.pem .*result=PASSED *\n")


def main():
    lacking = [name for name in ("softhsm2-util", "pkcs11-tool", "openssl") if shutil.which(name) is None]
    if lacking or SOFTHSM is None:
        print(f"skipped: {', '.join(lacking) or 'the SoftHSM module'} is not installed (apt-get install softhsm2 opensc)")
        sys.exit(1 if os.environ.get("CI") == "true" else 77)
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
