/*
 * crypto.h: hashing, signatures and keys; the only caller of mbedTLS' PSA and of libcrypto.
 *
 * Bulk SHA-256, Ed25519 and the server's own P-256 signing go through libcrypto; P-256 verification, X.509 and
 * requests through mbedTLS (2.28 or 3.6). PSA 2.28 is not thread-safe: one process-wide mutex is held around every
 * PSA call. P-256 signatures are raw r‖s (64 bytes) everywhere but where a format demands DER; verification is
 * strict.
 * Threads: everything here may be called from any thread; a td_sha256 belongs to one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_CRYPTO_CRYPTO_H
#define TD_CORE_CRYPTO_CRYPTO_H

#include "core/base/err.h"
#include "core/base/str.h"

#define TD_DIGEST_SIZE 32
#define TD_DIGEST_TEXT (2 * TD_DIGEST_SIZE + 1)
#define TD_SIGNATURE_SIZE 64
#define TD_P256_PUBLIC_SIZE 65 /* 0x04 ‖ x ‖ y */
#define TD_ED25519_PUBLIC_SIZE 32

/* Once a program, before threads. */
TD_MUST_USE td_code td_crypto_setup(td_err *err);
TD_MUST_USE td_code td_random(void *out, size_t size, td_err *err);
/* Compares in constant time. */
bool td_equal_secret(const void *a, const void *b, size_t size);
void td_wipe(void *data, size_t size);

typedef struct td_sha256 td_sha256; /* one running hash */
TD_MUST_USE td_code td_sha256_new(td_sha256 **out, td_err *err);
void td_sha256_update(td_sha256 *hash, const void *data, size_t size);
void td_sha256_final(td_sha256 *hash, uint8_t digest[TD_DIGEST_SIZE]); /* and restarts it */
void td_sha256_free(td_sha256 **hash);                                 /* TD_CLEANUP */
void td_sha256_of(const void *data, size_t size, uint8_t digest[TD_DIGEST_SIZE]);
/* Hashes a whole file with large reads; size_out may be NULL. */
TD_MUST_USE td_code td_sha256_file(const char *path, uint8_t digest[TD_DIGEST_SIZE], uint64_t *size_out, td_err *err);
void td_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, uint8_t mac[TD_DIGEST_SIZE]);

typedef enum td_key_kind { TD_KEY_P256, TD_KEY_ED25519 } td_key_kind;
typedef struct td_key td_key; /* a private key with its public half */

TD_MUST_USE td_code td_key_generate(td_key_kind kind, td_key **out, td_err *err);
/* PKCS#8 or SEC1 PEM of a private key; passphrase NULL for none. Refuses files that others may read (mode & 077). */
TD_MUST_USE td_code td_key_read(const char *path, const char *passphrase, td_key **out, td_err *err);
/* Does the file's private key need a passphrase? Refuses as td_key_read does; NOT_FOUND. */
TD_MUST_USE td_code td_key_sealed(const char *path, bool *out, td_err *err);
/* PKCS#8 PEM, mode 0600, atomically; CONFLICT if the file exists. */
TD_MUST_USE td_code td_key_write(const td_key *key, const char *path, const char *passphrase, td_err *err);
void td_key_free(td_key **key); /* TD_CLEANUP */
td_key_kind td_key_kind_of(const td_key *key);
/* P-256: 65 bytes; Ed25519: 32 bytes. */
size_t td_key_public(const td_key *key, uint8_t out[TD_P256_PUBLIC_SIZE]);
/* P-256: ECDSA with SHA-256 over data, raw r‖s. Ed25519: over data itself. */
TD_MUST_USE td_code td_key_sign(const td_key *key, const void *data, size_t size, uint8_t out[TD_SIGNATURE_SIZE],
                                td_err *err);
/* SubjectPublicKeyInfo PEM (64 columns, trailing newline) of a public key. */
TD_MUST_USE td_code td_public_pem(td_key_kind kind, const uint8_t *public_key, td_str *out, td_err *err);
TD_MUST_USE td_code td_public_from_pem(const char *pem, size_t size, td_key_kind *kind_out,
                                       uint8_t out[TD_P256_PUBLIC_SIZE], td_err *err);
/* Key identifier everywhere in Tidemark: the first 16 bytes of SHA-256 of the raw public key. */
#define TD_KEY_ID_SIZE 16
void td_key_id(const uint8_t *public_key, size_t size, uint8_t out[TD_KEY_ID_SIZE]);

/* TD_CORRUPT when the signature does not verify. */
TD_MUST_USE td_code td_p256_verify(const uint8_t public_key[TD_P256_PUBLIC_SIZE], const void *data, size_t size,
                                   const uint8_t signature[TD_SIGNATURE_SIZE], td_err *err);
/* The same over a SHA-256 digest that the caller already has. */
TD_MUST_USE td_code td_p256_verify_digest(const uint8_t public_key[TD_P256_PUBLIC_SIZE],
                                          const uint8_t digest[TD_DIGEST_SIZE],
                                          const uint8_t signature[TD_SIGNATURE_SIZE], td_err *err);
TD_MUST_USE td_code td_ed25519_verify(const uint8_t public_key[TD_ED25519_PUBLIC_SIZE], const void *data, size_t size,
                                      const uint8_t signature[TD_SIGNATURE_SIZE], td_err *err);
/* Strict DER <-> raw r‖s (64 bytes). The DER form has at most 72 bytes. */
#define TD_SIGNATURE_DER_MAX 72
TD_MUST_USE td_code td_signature_from_der(const uint8_t *der, size_t size, uint8_t out[TD_SIGNATURE_SIZE],
                                          td_err *err);
size_t td_signature_to_der(const uint8_t raw[TD_SIGNATURE_SIZE], uint8_t out[TD_SIGNATURE_DER_MAX]);

/* DSSE v1 pre-authentication encoding: "DSSEv1" SP len(type) SP type SP len(payload) SP payload, appended to out. */
TD_MUST_USE td_code td_dsse_pae(const char *payload_type, const void *payload, size_t size, td_str *out, td_err *err);

/* Small secrets at rest (seal.c): AES-256-GCM under a key of the workspace. `name` says what it belongs to; another
 * name, another key or a changed byte does not open it (CORRUPT). Sealed, it is 28 bytes longer. */
#define TD_SEAL_KEY_SIZE 32
#define TD_SEAL_DATA_MAX 4096
TD_MUST_USE td_code td_seal(const uint8_t key[TD_SEAL_KEY_SIZE], const char *name, const void *data, size_t size,
                            td_str *out, td_err *err);
TD_MUST_USE td_code td_unseal(const uint8_t key[TD_SEAL_KEY_SIZE], const char *name, const void *sealed, size_t size,
                              td_str *out, td_err *err);

#endif
