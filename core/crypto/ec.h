/*
 * ec.h: ECDSA on the curves that other people's formats allow beside our own: P-256, P-384, P-521, each with its hash.
 *
 * Tidemark's own keys are P-256 and Ed25519 with raw signatures (crypto.h). OpenSSF Model Signing takes any of the
 * three NIST curves and signatures in DER, and claims have such signatures too; only what reads or makes such files
 * includes this header.
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_CRYPTO_EC_H
#define TD_CORE_CRYPTO_EC_H

#include "core/crypto/crypto.h"

typedef enum td_curve { TD_CURVE_P256, TD_CURVE_P384, TD_CURVE_P521, TD_CURVE_COUNT } td_curve;
#define TD_EC_SCALAR_MAX 66 /* bytes of P-521 */
#define TD_EC_POINT_MAX (1 + 2 * TD_EC_SCALAR_MAX)
#define TD_EC_RAW_MAX (2 * TD_EC_SCALAR_MAX)
#define TD_EC_DER_MAX (TD_EC_RAW_MAX + 9)

typedef struct td_ec_public {
    td_curve curve;
    size_t size; /* of the point, uncompressed: 65, 97 or 133 */
    uint8_t point[TD_EC_POINT_MAX];
} td_ec_public;

const char *td_curve_name(td_curve curve); /* "P-384" */
size_t td_curve_scalar(td_curve curve);    /* 32, 48 or 66 bytes */
/* The curve of a DER object identifier with its head (as in PKCS#11's EC_PARAMS). INVALID: none of the three. */
TD_MUST_USE td_code td_curve_of_oid(const uint8_t *der, size_t size, td_curve *out, td_err *err);

/* SubjectPublicKeyInfo in PEM. INVALID: another kind of key, a point that is compressed or not on the curve. */
TD_MUST_USE td_code td_ec_public_from_pem(const char *pem, size_t size, td_ec_public *out, td_err *err);
TD_MUST_USE td_code td_ec_public_pem(const td_ec_public *key, td_str *out, td_err *err);
/* A signature in strict DER over the curve's own hash of data: SHA-256, SHA-384, SHA-512. CORRUPT: it does not verify.
 */
TD_MUST_USE td_code td_ec_verify(const td_ec_public *key, const void *data, size_t size, const uint8_t *der,
                                 size_t der_size, td_err *err);
/* The hash that goes with a curve, of data. Returns its size. */
size_t td_ec_hash(td_curve curve, const void *data, size_t size, uint8_t out[64]);
/* Raw r‖s of any of the curves as DER; returns its size. */
size_t td_ec_to_der(td_curve curve, const uint8_t *raw, uint8_t out[TD_EC_DER_MAX]);

/* Strict: shortest lengths, shortest non-negative integers, nothing after the sequence. False: it is not that. */
bool td_ec_from_der(td_curve curve, const uint8_t *der, size_t size, uint8_t raw[TD_EC_RAW_MAX]);

/* As td_key_read, but P-384 and P-521 too: for td_key_ec_public and td_key_ec_sign alone. */
TD_MUST_USE td_code td_key_read_ec(const char *path, const char *passphrase, td_key **out, td_err *err);
/* INVALID: an Ed25519 key. */
TD_MUST_USE td_code td_key_ec_public(const td_key *key, td_ec_public *out, td_err *err);
/* Appends the signature in DER. Its nonce follows from key and data (RFC 6979): the same again gives the same bytes,
 * unless the private half lies outside. About a thousand a second (P-256); td_key_sign is much faster. */
TD_MUST_USE td_code td_key_ec_sign(const td_key *key, const void *data, size_t size, td_str *out, td_err *err);

/* A key whose private half lies elsewhere (in a token). `sign` makes raw r‖s over a digest. */
typedef struct td_key_outside {
    td_code (*sign)(void *context, const uint8_t *digest, size_t digest_size, uint8_t *raw_out, td_err *err);
    void (*free)(void *context);
    void *context;
} td_key_outside;
/* Takes over outside->context, also on failure. */
TD_MUST_USE td_code td_key_of_outside(const td_ec_public *key, const td_key_outside *outside, td_key **out,
                                      td_err *err);

#endif
