/*
 * modelsig.h: OpenSSF Model Signing 1.0: a standard signature over a model's files that other people's verifiers
 * accept.
 *
 * model.sig is a Sigstore bundle (JSON) with a DSSE envelope around an in-toto statement; the method is "files" with
 * SHA-256 and a key of P-256, P-384 or P-521. The hint is the SHA-256 of the public key's PEM text. The root digest
 * does not bind names, so a version's content id stays the digest of its manifest.
 * Source: https://github.com/ossf/model-signing-spec (version 1.0).
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_MODELSIG_H
#define TD_REGISTRY_MODELSIG_H

#include "registry/manifest.h"

#define TD_MODELSIG_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define TD_MODELSIG_FILES_MAX 10000

typedef struct td_modelsig_file {
    const char *name; /* relative to the model's folder */
    uint8_t digest[TD_DIGEST_SIZE];
} td_modelsig_file;

typedef struct td_modelsig_how {
    const char *name;           /* base name of the model's folder */
    const char *const *ignored; /* paths below it that the signature does not speak of; written down in it */
    size_t ignored_count;
    bool follow_links; /* links to files count as what they point to; written down in it */
} td_modelsig_how;

/* Signs; sorts a copy by name. `key` may be of P-256, P-384 or P-521. Appends the JSON text. INVALID: a name that other
 * verifiers take for something else, or twice the same. */
TD_MUST_USE td_code td_modelsig_make(const td_modelsig_how *how, const td_modelsig_file *files, size_t count,
                                     const td_key *key, td_str *out, td_err *err);
/* The same for the files under model/ of a manifest (names relative to it). */
TD_MUST_USE td_code td_modelsig_of_manifest(const td_manifest *manifest, const td_key *key, td_str *out, td_err *err);
/* The root digest that model.sig of this manifest signs: SHA-256 over the digests of the files under model/. */
TD_MUST_USE td_code td_modelsig_manifest_root(const td_manifest *manifest, uint8_t out[TD_DIGEST_SIZE], td_err *err);

/* The parsed statement. Strings live in the arena. */
typedef struct td_modelsig {
    const char *name;
    const char *hint;        /* 64 hexadecimal digits, or "" (deprecated rawBytes) */
    td_modelsig_file *files; /* in the listed order */
    size_t file_count;
    const char **ignored; /* ignore_paths */
    size_t ignored_count;
    bool follow_links; /* allow_symlinks */
    bool counts_git;   /* a file that git keeps at the top is among the files */
    uint8_t root[TD_DIGEST_SIZE];
    const uint8_t *payload; /* decoded bytes that are signed */
    size_t payload_size;
    const uint8_t *signature; /* DER */
    size_t signature_size;
} td_modelsig;
/* Checks the form and that the root digest follows from the listed files; no signature. CORRUPT; INVALID: a kind of
 * signature (certificate, shards, another hash) that is well formed but not ours. */
TD_MUST_USE td_code td_modelsig_read(const void *text, size_t size, td_arena *arena, td_modelsig *out, td_err *err);
/* The hint and the signature are of this public key (PEM text). CORRUPT. */
TD_MUST_USE td_code td_modelsig_check_signature(const td_modelsig *sig, const char *public_pem, td_err *err);
/* Is this name one that the signature does not speak of? What git keeps at the top counts only with counts_git. */
bool td_modelsig_ignores(const td_modelsig *sig, const char *name);
/* The listed files are exactly `files` (any order; ignored ones left out); others_may_be: further ones do not matter.
 * CORRUPT names the file that differs, lacks or is too many. */
TD_MUST_USE td_code td_modelsig_check_files(const td_modelsig *sig, const td_modelsig_file *files, size_t count,
                                            bool others_may_be, td_err *err);
/* All three: read, signature, files. */
TD_MUST_USE td_code td_modelsig_verify(const void *text, size_t size, const char *public_pem,
                                       const td_modelsig_file *files, size_t count, td_err *err);

/* What git keeps at the top of a model's folder, ignored unless the signature counts it; ends with NULL. */
extern const char *const td_modelsig_always_ignored[];

#endif
