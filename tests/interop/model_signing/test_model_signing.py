#!/usr/bin/env python3
"""The reference implementation of OpenSSF Model Signing must accept our model.sig and we its; both must refuse what was changed.

Makes a virtual environment of its own (kept beside the build, so that it is made once) with the PyPI package model-signing.
Without network it is skipped (exit 77); with CI=true that is a failure.
SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import reference

HERE = os.path.dirname(os.path.abspath(__file__))
TIDEMARK, CACHE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
PROGRAM = reference.program(CACHE)
FILES = {"net.onnx": b"weights" * 1000, "a-b": b"one", "a/b.bin": b"two", "empty": b"", "a/deep/er.txt": b"three"}
CURVES = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}
INVALID, NOT_FOUND, CONFLICT, CORRUPT = 2, 4, 5, 8


def run(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


class Signing(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="tdm-signing-")
        self.addCleanup(shutil.rmtree, self.work)
        self.model = os.path.join(self.work, "model")
        self.sig = os.path.join(self.work, "model.sig")
        for name, data in FILES.items():
            self.write(name, data)
        self.private, self.public = self.key("P-256", "key")

    def write(self, name, data=b"x"):
        path = os.path.join(self.model, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def key(self, curve, name, passphrase=None):
        private, public = (os.path.join(self.work, name + end) for end in (".pem", ".pub"))
        subprocess.run(["openssl", "ecparam", "-name", CURVES[curve], "-genkey", "-noout", "-out", private + ".plain"], check=True)
        seal = ["-aes256", "-passout", "pass:" + passphrase] if passphrase else []
        subprocess.run(["openssl", "pkcs8", "-topk8", *(["-v2", "aes-256-cbc", "-passout", "pass:" + passphrase] if seal else ["-nocrypt"]),
                        "-in", private + ".plain", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private + ".plain", "-pubout", "-out", public], check=True)
        os.remove(private + ".plain")
        os.chmod(private, 0o600)
        return private, public

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def we_refuse(self, done, code, *parts):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)

    # ---- both sides ----

    def we_sign(self, *more, private=None, sig=None):
        return run(TIDEMARK, "model", "sign", self.model, "--key", private or self.private, "--signature", sig or self.sig, *more)

    def we_verify(self, *more, public=None):
        return run(TIDEMARK, "model", "verify", self.model, "--key", public or self.public, "--signature", self.sig, *more)

    def they_sign(self, *more, private=None):
        return run(PROGRAM, "sign", "key", self.model, "--signature", self.sig, "--private_key", private or self.private, *more)

    def they_verify(self, *more, public=None):
        return run(PROGRAM, "verify", "key", self.model, "--signature", self.sig, "--public_key", public or self.public, *more)

    def both_refuse(self, *parts):
        self.we_refuse(self.we_verify(), CORRUPT, *parts)
        self.assertNotEqual(self.they_verify().returncode, 0)

    def test_the_same_again_is_the_same(self):
        """By RFC 6979: no signature hangs on the machine's random numbers."""
        for curve in CURVES:
            private, _ = self.key(curve, curve)
            made = [os.path.join(self.work, f"{curve}-{number}.sig") for number in range(2)]
            for path in made:
                self.good(self.we_sign(private=private, sig=path))
            with open(made[0], "rb") as one, open(made[1], "rb") as other:
                self.assertEqual(one.read(), other.read())

    # ---- the published schemas ----

    def schemas(self, *paths):
        return run(reference.python(CACHE), os.path.join(HERE, "schemas.py"), *paths)

    def test_the_published_schemas(self):
        os.symlink("net.onnx", os.path.join(self.model, "link"))
        made = []
        for name, curve, more in (("plain", "P-256", ["--ignore-path", "link"]), ("wide", "P-384", ["--follow-links"]),
                                  ("widest", "P-521", ["--follow-links", "--ignore-path", "a/deep"])):
            private, _ = self.key(curve, name)
            made.append(os.path.join(self.work, name + ".sig"))
            self.good(self.we_sign(*more, private=private, sig=made[-1]))
        self.assertEqual(self.good(self.schemas(*made)).stdout.split(), made)
        print(f"model.sig against the schemas of OpenSSF Model Signing: {len(made)} of {len(made)}")

    def test_the_schemas_bite(self):
        vectors = os.path.join(HERE, "..", "..", "vectors", "registry", "model-signing", "test-vectors", "v1.0")
        for folder, good in (("valid", True), ("invalid", False), ("invalid-payload", False)):
            for name in sorted(os.listdir(os.path.join(vectors, folder))):
                with self.subTest(name):
                    self.assertEqual(self.schemas(os.path.join(vectors, folder, name)).returncode == 0, good)
        self.good(self.we_sign())
        self.edited(lambda bundle: bundle["dsseEnvelope"].update(more=1))
        self.assertIn("'more' was unexpected", self.schemas(self.sig).stderr)

    # ---- what both accept and refuse ----

    def test_ours_by_theirs(self):
        for curve in CURVES:
            with self.subTest(curve):
                private, public = self.key(curve, curve)
                if os.path.exists(self.sig):
                    os.remove(self.sig)
                self.good(self.we_sign(private=private))
                self.good(self.they_verify(public=public))
                self.good(self.we_verify(public=public))

    def test_theirs_by_ours(self):
        for curve in CURVES:
            with self.subTest(curve):
                private, public = self.key(curve, curve)
                self.good(self.they_sign(private=private))
                self.assertIn("Verified", self.good(self.we_verify(public=public)).stdout)

    def test_what_was_changed(self):
        for sign in (self.we_sign, self.they_sign):
            with self.subTest(sign.__name__):
                if os.path.exists(self.sig):
                    os.remove(self.sig)
                self.good(sign())
                self.write("net.onnx", b"Weights" * 1000)
                self.both_refuse('the file "net.onnx" is not the one that model.sig covers')
                self.write("net.onnx", FILES["net.onnx"])
                os.remove(os.path.join(self.model, "a/b.bin"))
                self.both_refuse('"a/b.bin", which is not there')
                self.write("a/b.bin", FILES["a/b.bin"])
                self.write("a/late.txt")
                self.both_refuse('"a/late.txt" is not covered')
                self.good(self.we_verify("--ignore-unsigned-files"))
                self.good(self.they_verify("--ignore_unsigned_files"))
                self.good(self.we_verify("--ignore-path", "a/late.txt"))
                os.rename(os.path.join(self.model, "a/late.txt"), os.path.join(self.model, "a/b.bin"))
                self.both_refuse("a/b.bin")
                self.we_refuse(self.we_verify("--ignore-unsigned-files"), CORRUPT, "a/b.bin")
                self.write("a/b.bin", FILES["a/b.bin"])
                self.good(self.we_verify())

    def test_another_key(self):
        _, stranger = self.key("P-256", "stranger")
        _, other_curve = self.key("P-384", "wide")
        for sign in (self.we_sign, self.they_sign):
            self.good(sign()) if not os.path.exists(self.sig) else self.good(self.they_sign())
            for public in (stranger, other_curve):
                self.we_refuse(self.we_verify(public=public), CORRUPT, "another key")
                self.assertNotEqual(self.they_verify(public=public).returncode, 0)

    def test_ignored_paths(self):
        self.write("notes/draft.md")
        self.write(".git/config")
        self.write(".gitattributes")
        self.good(self.we_sign("--ignore-path", "notes/", "--ignore-path", "empty"))
        self.write("notes/more.md")
        self.write("empty", b"not any more")
        self.write(".git/HEAD")
        self.good(self.we_verify())
        self.good(self.they_verify())
        self.write("notesx")
        self.both_refuse('"notesx" is not covered')
        os.remove(os.path.join(self.model, "notesx"))
        self.good(self.they_sign("--ignore-paths", os.path.join(self.model, "notes")))
        self.write("notes/draft.md", b"changed")
        self.good(self.we_verify())
        self.write("a/.git/x")  # only at the top
        self.both_refuse("a/.git/x")
        for path in ("/etc", "../model/a", "./a", "/", "a/../b"):
            self.we_refuse(self.we_verify("--ignore-path", path), INVALID, "--ignore-path")

    def test_the_signature_inside_of_the_folder(self):
        self.sig = os.path.join(self.model, "model.sig")
        self.good(run(TIDEMARK, "model", "sign", self.model, "--key", self.private))
        self.good(self.they_verify())
        self.good(run(TIDEMARK, "model", "verify", self.model, "--key", self.public))
        self.we_refuse(run(TIDEMARK, "model", "sign", self.model, "--key", self.private), CONFLICT, "exists already")
        os.rename(self.sig, os.path.join(self.model, "renamed.sig"))
        self.sig = os.path.join(self.model, "renamed.sig")
        self.good(self.we_verify())

    def test_links(self):
        outside = os.path.join(self.work, "outside")
        with open(outside, "wb") as file:
            file.write(b"far away")
        os.symlink(outside, os.path.join(self.model, "link"))
        self.we_refuse(self.we_sign(), CORRUPT, "link is a link; --follow-links")
        self.assertNotEqual(self.they_sign().returncode, 0)
        self.good(self.we_sign("--follow-links"))
        self.both_refuse("link is a link; --follow-links")  # whoever verifies must want it too
        self.good(self.we_verify("--follow-links"))
        self.good(self.they_verify("--allow_symlinks"))
        os.remove(self.sig)
        self.good(self.they_sign("--allow_symlinks"))
        self.good(self.we_verify("--follow-links"))
        with open(outside, "wb") as file:
            file.write(b"something else")
        self.we_refuse(self.we_verify("--follow-links"), CORRUPT, '"link" is not the one')
        self.assertNotEqual(self.they_verify("--allow_symlinks").returncode, 0)
        os.remove(os.path.join(self.model, "link"))
        os.remove(self.sig)
        self.good(self.we_sign())
        os.rename(os.path.join(self.model, "empty"), outside)
        os.symlink(outside, os.path.join(self.model, "empty"))  # the same bytes, by a link that the signature does not allow
        self.both_refuse("empty is a link; --follow-links")
        self.we_refuse(self.we_verify("--follow-links"), CORRUPT, "the signature does not follow links")
        self.good(self.they_verify("--allow_symlinks"))  # the reference believes its own option alone
        self.we_refuse(self.we_verify("--ignore-unsigned-files"), CORRUPT, "empty is signed, and is no file there")

    def test_what_is_no_file(self):
        os.mkfifo(os.path.join(self.model, "pipe"))
        self.we_refuse(self.we_sign(), CORRUPT, "pipe is neither a file nor a folder")
        os.remove(os.path.join(self.model, "pipe"))
        os.symlink(self.work, os.path.join(self.model, "up"))
        self.we_refuse(self.we_sign("--follow-links"), CORRUPT, "up is a link to a folder")

    # ---- names, and what is no part of the model ----

    def sign_again(self, sign, *more):
        if os.path.exists(self.sig):
            os.remove(self.sig)
        self.good(sign(*more))

    def test_names_of_every_kind(self):
        for name in (".hidden", ".config/x", "a b", "z\u00e4h\u00df", "\u30e2\u30c7\u30eb.bin", "quote\"and\\back", "new\nline", "a.b", "a-b.c/d",
                     "A", "~", "$HOME", "-", "--key", "a/.gitignore", "a/model.sig"):
            self.write(name, name.encode())
        for sign in (self.we_sign, self.they_sign):
            with self.subTest(sign.__name__):
                self.sign_again(sign)
                self.good(self.we_verify())
                self.good(self.they_verify())
                self.write(".hidden", b"changed")
                self.both_refuse('the file ".hidden"')
                self.write(".hidden", b".hidden")

    def test_empty_folders_do_not_count(self):
        for sign in (self.we_sign, self.they_sign):
            self.sign_again(sign)
            os.makedirs(os.path.join(self.model, "nothing/in/here"), exist_ok=True)
            self.good(self.we_verify())
            self.good(self.they_verify())

    def test_a_late_file_in_every_place(self):
        for sign in (self.we_sign, self.they_sign):
            self.sign_again(sign)
            for name in ("late", "a/deep/late", ".late", "new/late", "a/.git", "model.sig"):
                with self.subTest(f"{sign.__name__} {name}"):
                    self.write(name)
                    self.both_refuse(f'"{name}" is not covered')
                    self.good(self.we_verify("--ignore-unsigned-files"))
                    self.good(self.we_verify("--ignore-path", name))
                    os.remove(os.path.join(self.model, name))
            self.write("late")
            self.good(self.they_verify("--ignore_unsigned_files"))
            self.good(self.they_verify("--ignore-paths", os.path.join(self.model, "late")))
            os.remove(os.path.join(self.model, "late"))
            shutil.rmtree(os.path.join(self.model, "new"), ignore_errors=True)

    def test_ignoring_takes_no_signed_file_away(self):
        """Whoever verifies may leave out what is unsigned, never what was signed."""
        for sign in (self.we_sign, self.they_sign):
            self.sign_again(sign)
            for name in ("net.onnx", "a", "a/deep"):
                self.we_refuse(self.we_verify("--ignore-path", name), CORRUPT, "which is not there")
                self.assertNotEqual(self.they_verify("--ignore-paths", os.path.join(self.model, name)).returncode, 0)

    def test_ignored_paths_of_both(self):
        self.write("notes/draft.md")
        self.write("log")
        ours = ("--ignore-path", "notes", "--ignore-path", "log")
        theirs = ("--ignore-paths", os.path.join(self.model, "notes"), "--ignore-paths", os.path.join(self.model, "log"))
        for sign, more in ((self.we_sign, ours), (self.they_sign, theirs)):
            with self.subTest(sign.__name__):
                self.sign_again(sign, *more)
                self.write("notes/more/deep.md")
                os.remove(os.path.join(self.model, "log"))
                self.good(self.we_verify())
                self.good(self.they_verify())
                self.write("log", b"other")
                self.write("notebook")
                self.both_refuse('"notebook" is not covered')
                os.remove(os.path.join(self.model, "notebook"))
                self.write("a/notes")
                self.both_refuse('"a/notes" is not covered')
                os.remove(os.path.join(self.model, "a/notes"))

    def test_their_signature_inside_of_the_folder(self):
        self.sig = os.path.join(self.model, "sig", "their.sig")
        os.mkdir(os.path.dirname(self.sig))
        self.good(self.they_sign())
        self.good(self.we_verify())
        self.write("sig/other.sig")
        self.both_refuse('"sig/other.sig" is not covered')

    def test_what_git_keeps(self):
        self.write(".gitattributes", b"*.bin filter=lfs")
        self.write(".git/config")
        for sign in (self.we_sign, self.they_sign):
            self.sign_again(sign)
            self.write(".gitattributes", b"changed")
            self.write(".git/more")
            self.write(".github/workflows/x.yml")
            self.good(self.we_verify())
            self.good(self.they_verify())
        for sign, option in ((self.we_sign, "--include-git"), (self.they_sign, "--no-ignore-git-paths")):
            with self.subTest(sign.__name__):
                self.write(".gitattributes", b"*.bin filter=lfs")
                self.sign_again(sign, option)
                self.good(self.we_verify())
                self.good(self.they_verify("--no-ignore-git-paths"))
                self.write(".gitattributes", b"changed")
                self.we_refuse(self.we_verify(), CORRUPT, 'the file ".gitattributes" is not the one')
                self.assertNotEqual(self.they_verify("--no-ignore-git-paths").returncode, 0)
                self.write(".gitattributes", b"*.bin filter=lfs")
                self.write(".git/hooks/late")
                self.we_refuse(self.we_verify(), CORRUPT, '".git/hooks/late" is not covered')
                self.assertNotEqual(self.they_verify("--no-ignore-git-paths").returncode, 0)
                os.remove(os.path.join(self.model, ".git/hooks/late"))

    # ---- links ----

    def test_a_link_to_a_folder(self):
        """The reference skips what lies behind it, so it would be there unsigned; we refuse."""
        self.good(self.we_sign())
        outside = os.path.join(self.work, "outside")
        os.mkdir(outside)
        with open(os.path.join(outside, "x"), "wb") as file:
            file.write(b"x")
        os.symlink(outside, os.path.join(self.model, "up"))
        self.both_refuse("up is a link; --follow-links")
        self.assertNotEqual(self.they_sign().returncode, 0)
        self.good(self.they_sign("--allow_symlinks"))
        self.we_refuse(self.we_verify("--follow-links"), CORRUPT, "up is a link to a folder")

    def test_a_link_that_leads_nowhere(self):
        self.good(self.we_sign())
        os.symlink("nowhere", os.path.join(self.model, "lost"))
        self.both_refuse("lost is a link; --follow-links")
        self.assertNotEqual(self.they_verify("--allow_symlinks").returncode, 0)
        os.remove(self.sig)
        self.we_refuse(self.we_sign("--follow-links"), NOT_FOUND, "lost")
        self.assertNotEqual(self.they_sign("--allow_symlinks").returncode, 0)

    def test_a_link_in_a_circle(self):
        os.symlink("round", os.path.join(self.model, "round"))
        self.assertNotEqual(self.we_sign("--follow-links").returncode, 0)
        self.assertNotEqual(self.they_sign("--allow_symlinks").returncode, 0)
        self.assertFalse(os.path.exists(self.sig))

    def test_a_link_within_the_folder(self):
        os.symlink("net.onnx", os.path.join(self.model, "latest.onnx"))
        for sign, option in ((self.we_sign, "--follow-links"), (self.they_sign, "--allow_symlinks")):
            with self.subTest(sign.__name__):
                self.sign_again(sign, option)
                self.good(self.we_verify("--follow-links"))
                self.good(self.they_verify("--allow_symlinks"))
                os.remove(os.path.join(self.model, "latest.onnx"))
                self.write("latest.onnx", FILES["net.onnx"])  # the same bytes, as a file
                self.good(self.we_verify())
                self.good(self.they_verify())
                os.remove(os.path.join(self.model, "latest.onnx"))
                os.symlink("a-b", os.path.join(self.model, "latest.onnx"))
                self.we_refuse(self.we_verify("--follow-links"), CORRUPT, '"latest.onnx" is not the one')
                self.assertNotEqual(self.they_verify("--allow_symlinks").returncode, 0)
                os.remove(os.path.join(self.model, "latest.onnx"))
                os.symlink("net.onnx", os.path.join(self.model, "latest.onnx"))

    def test_a_link_in_what_is_ignored(self):
        """We do not look at what is ignored; the reference refuses a link there too, unless it may follow it."""
        self.good(self.we_sign("--ignore-path", "cache"))
        os.mkdir(os.path.join(self.model, "cache"))
        os.symlink("../net.onnx", os.path.join(self.model, "cache", "link"))
        self.good(self.we_verify())
        self.assertNotEqual(self.they_verify().returncode, 0)
        self.good(self.they_verify("--allow_symlinks"))

    def test_the_folder_itself_by_a_link(self):
        real, self.model = self.model, os.path.join(self.work, "by-link")
        os.symlink(real, self.model)
        for sign in (self.we_sign, self.they_sign):
            if sign == self.they_sign:  # the reference takes a link as the model's folder only where links are allowed
                self.sign_again(sign, "--allow_symlinks")
                self.good(self.we_verify("--follow-links"))
            else:
                self.sign_again(sign)
                self.good(self.we_verify())
            self.good(self.they_verify("--allow_symlinks"))

    # ---- what is no such signature ----

    def edited(self, change, payload=False):
        with open(self.sig, encoding="utf-8") as file:
            bundle = json.load(file)
        if payload:
            statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
            change(statement)
            bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
        else:
            change(bundle)
        with open(self.sig, "w", encoding="utf-8") as file:
            json.dump(bundle, file)

    def test_foreign_types_are_named(self):
        def rename(name):
            return lambda bundle: bundle.update(mediaType=name)
        cases = [
            (rename("application/vnd.dev.sigstore.bundle+json;version=0.1"), False, "sigstore.bundle+json;version=0.1"),
            (lambda b: b["dsseEnvelope"].update(payloadType="text/plain"), False, 'the payload\'s type is "text/plain"'),
            (lambda b: b.update(more=1), False, 'unknown key "more"'),
            (lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"), True, "https://slsa.dev/provenance/v1"),
            (lambda s: s["predicate"]["resources"].pop(), True, "does not follow from the listed files"),
            (lambda s: s["predicate"]["serialization"].update(ignore_paths=["net.onnx"]), True, "the signature does not verify"),
            (lambda s: s["subject"][0].update(name="other"), True, "the signature does not verify"),
        ]
        for change, payload, part in cases:
            with self.subTest(part):
                if os.path.exists(self.sig):
                    os.remove(self.sig)
                self.good(self.we_sign())
                self.edited(change, payload)
                self.both_refuse(part)

    def test_a_second_signature_is_not_looked_past(self):
        self.good(self.we_sign())
        self.edited(lambda bundle: bundle["dsseEnvelope"]["signatures"].append({"sig": "AAAA"}))
        self.we_refuse(self.we_verify(), CORRUPT, "exactly one signature")  # the reference takes the first

    def test_bad_input(self):
        self.we_refuse(self.we_verify(), NOT_FOUND, self.sig)
        self.we_refuse(self.we_sign(private=self.public), INVALID if os.stat(self.public).st_mode & 0o77 == 0 else 3)
        self.we_refuse(run(TIDEMARK, "model", "sign", self.model), INVALID, "--key FILE is needed")
        self.we_refuse(run(TIDEMARK, "model", "verify", self.model), INVALID, "--key FILE is needed")
        empty = os.path.join(self.work, "nothing")
        os.mkdir(empty)
        self.we_refuse(run(TIDEMARK, "model", "sign", empty, "--key", self.private), INVALID, "1 to")
        self.write("a:0:10")
        self.we_refuse(self.we_sign(), INVALID, '":"')
        self.assertFalse(os.path.exists(self.sig))

    def test_a_passphrase(self):
        private, public = self.key("P-256", "sealed", "four words in a row")
        self.we_refuse(self.we_sign(private=private), INVALID, "--passphrase-file FILE")
        words = os.path.join(self.work, "words")
        with open(words, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write("four words\n")
        self.we_refuse(self.we_sign("--passphrase-file", words, private=private), INVALID, "does not open this key")
        with open(words, "w", encoding="utf-8") as file:
            file.write("four words in a row\n")
        self.good(self.we_sign("--passphrase-file", words, private=private))
        self.good(self.they_verify(public=public))


if __name__ == "__main__":
    if why := reference.install(CACHE):
        print("skipped:", why)
        sys.exit(1 if os.environ.get("CI") == "true" else 77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
