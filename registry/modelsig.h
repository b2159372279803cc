/*
 * modelsig.h: OpenSSF Model Signing 1.0: a standard signature over a model's files that other people's verifiers
 * accept.
 *
 * model.sig is a Sigstore bundle (JSON) with a DSSE envelope around an in-toto statement; the method is "files" with
 * SHA-256 and a P-256 key. The hint is the SHA-256 of the public key's PEM text. The root digest does not bind names,
 * so a version's content id stays the digest of its manifest.
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

/* Signs; sorts a copy by name. `name` is the base name of the model's folder. Appends the JSON text. */
TD_MUST_USE td_code td_modelsig_make(const char *name, const td_modelsig_file *files, size_t count, const td_key *key,
                                     td_str *out, td_err *err);
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
    uint8_t root[TD_DIGEST_SIZE];
    const uint8_t *payload; /* decoded bytes that are signed */
    size_t payload_size;
    const uint8_t *signature; /* DER */
    size_t signature_size;
} td_modelsig;
/* Checks the form and that the root digest follows from the listed files; no signature. CORRUPT; INVALID: a kind of
 * signature (certificate, shards, another hash) that is well formed but not ours. */
TD_MUST_USE td_code td_modelsig_read(const void *text, size_t size, td_arena *arena, td_modelsig *out, td_err *err);
/* td_modelsig_read, then: the hint and the signature are of this public key (PEM text), and the listed files are
 * exactly `files` (any order; ignored ones left out). CORRUPT names the file that differs, lacks or is too many. */
TD_MUST_USE td_code td_modelsig_verify(const void *text, size_t size, const char *public_pem,
                                       const td_modelsig_file *files, size_t count, td_err *err);

#endif
