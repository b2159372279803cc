/*
 * mbed.h: what the files of core/crypto share about mbedTLS: its lock, its random callback, and the calls whose form
 * changed between 2.28 and 3.6.
 *
 * Private to core/crypto. Every call into mbedTLS happens between td_mbed__lock and td_mbed__unlock: PSA 2.28 is not
 * thread-safe, and mbedTLS 3.6 uses PSA inside its X.509 code.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_CRYPTO_MBED_H
#define TD_CORE_CRYPTO_MBED_H

#include "core/crypto/ec.h"

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <mbedtls/x509_csr.h>

/* SubjectPublicKeyInfo in DER: a fixed head, then the raw key. */
#define TD_SPKI_P256_HEAD 26
#define TD_SPKI_P256_SIZE (TD_SPKI_P256_HEAD + TD_P256_PUBLIC_SIZE)
#define TD_SPKI_ED25519_HEAD 12
#define TD_SPKI_ED25519_SIZE (TD_SPKI_ED25519_HEAD + TD_ED25519_PUBLIC_SIZE)
extern const uint8_t td_spki__p256_head[TD_SPKI_P256_HEAD];
extern const uint8_t td_spki__ed25519_head[TD_SPKI_ED25519_HEAD];

/* PEM of a public key <-> DER, in pem.c. INVALID: no such PEM, or longer than any key we know. */
#define TD_PEM__DER_MAX 192
td_code td_pem__read(const char *pem, size_t size, uint8_t der[TD_PEM__DER_MAX], size_t *size_out, td_err *err);
td_code td_pem__write(const uint8_t *der, size_t size, td_str *out, td_err *err);

/* The raw signature check, the lock not held. In ec.c. */
td_code td_ec__verify_digest(const td_ec_public *key, const uint8_t *digest, size_t digest_size, const uint8_t *raw,
                             td_err *err);

/* A signature whose nonce follows from key and digest (RFC 6979), raw; the lock not held. In ec.c. */
td_code td_ec__sign_digest(td_curve curve, const uint8_t *scalar, const uint8_t *digest, size_t digest_size,
                           uint8_t *raw_out, td_err *err);

/* INVALID: no point on its curve. In ec.c. */
td_code td_ec__check_point(const td_ec_public *key, td_err *err);

td_code td_mbed__setup(td_err *err);
void td_mbed__lock(void);
void td_mbed__unlock(void);
int td_mbed__random(void *context, unsigned char *out, size_t size);
/* Raises with mbedTLS' own words for `result`. */
td_code td_mbed__fail(td_err *err, td_code code, int result, const char *what);

/* The caller holds the lock. `pk` is initialized and empty. */
td_code td_mbed__load_private(mbedtls_pk_context *pk, const td_key *key, td_err *err);
td_code td_mbed__load_public(mbedtls_pk_context *pk, const uint8_t public_key[TD_P256_PUBLIC_SIZE], td_err *err);
/* INVALID: not a P-256 key. */
td_code td_mbed__public_of(mbedtls_pk_context *pk, uint8_t out[TD_P256_PUBLIC_SIZE], td_err *err);
int td_mbed__set_serial(mbedtls_x509write_cert *cert, const uint8_t *serial, size_t size);
/* The request's signature: DER bytes and whether it is ECDSA with SHA-256. */
void td_mbed__request_signature(const mbedtls_x509_csr *csr, const uint8_t **der_out, size_t *size_out,
                                bool *ecdsa_sha256_out);
/* PKCS#8 or SEC1 DER of a P-256 private key into out; returns its size, 0 on failure. In key.c. */
size_t td_key__private_der(const td_key *key, uint8_t *out, size_t room);

#endif
