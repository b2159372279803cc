/*
 * ec.c: the three NIST curves by a table: their names, hashes, and the fixed heads of their public keys in DER.
 *
 * Reading a public key is comparing with those heads. A signature's DER is read strictly before mbedTLS sees raw r‖s:
 * lax readers (mbedTLS' own, for one) accept nine signatures of Wycheproof's set that they must refuse.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/ec.h"

#include "core/crypto/mbed.h"

#include <string.h>

#include <openssl/evp.h>
#include <psa/crypto.h>

#define HEAD_MAX 26

static const struct curve {
    const char *name;
    size_t bits, scalar, head_size;
    psa_algorithm_t hash;
    const EVP_MD *(*digest)(void);
    uint8_t head[HEAD_MAX]; /* of SubjectPublicKeyInfo, up to the point */
    uint8_t oid_at, oid_size;
} curves[TD_CURVE_COUNT] = {
    [TD_CURVE_P256] = {"P-256", 256, 32, 26, PSA_ALG_SHA_256, EVP_sha256,
                       {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
                        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00},
                       13, 10},
    [TD_CURVE_P384] = {"P-384", 384, 48, 23, PSA_ALG_SHA_384, EVP_sha384,
                       {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                        0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00},
                       13, 7},
    [TD_CURVE_P521] = {"P-521", 521, 66, 25, PSA_ALG_SHA_512, EVP_sha512,
                       {0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                        0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00},
                       14, 7},
};

const char *td_curve_name(td_curve curve)
{
    return curves[curve].name;
}

size_t td_curve_scalar(td_curve curve)
{
    return curves[curve].scalar;
}

static size_t point_size(td_curve curve)
{
    return 1 + 2 * curves[curve].scalar;
}

td_code td_curve_of_oid(const uint8_t *der, size_t size, td_curve *out, td_err *err)
{
    for (size_t i = 0; i < TD_CURVE_COUNT; i++) {
        if (size == curves[i].oid_size && memcmp(der, curves[i].head + curves[i].oid_at, size) == 0) {
            *out = (td_curve)i;
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "the key's curve is none of P-256, P-384 and P-521");
}

/* ---- mbedTLS ---- */

/* The caller holds the lock. */
static td_code import_locked(const td_ec_public *key, psa_key_id_t *out, td_err *err)
{
    const struct curve *curve = &curves[key->curve];
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_VERIFY_HASH);
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDSA(curve->hash));
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_bits(&attributes, curve->bits);
    psa_status_t status = psa_import_key(&attributes, key->point, key->size, out);
    if (status == PSA_ERROR_NOT_SUPPORTED) {
        return td_fail(err, TD_INVALID, "this build of mbedTLS does not know the curve %s", curve->name);
    }
    if (status == PSA_ERROR_INSUFFICIENT_MEMORY) {
        return td_fail(err, TD_NOMEM, "no memory for a public key");
    }
    return status == PSA_SUCCESS ? TD_OK
                                 : td_fail(err, TD_INVALID, "the public key is not a point on %s", curve->name);
}

td_code td_ec__check_point(const td_ec_public *key, td_err *err)
{
    psa_key_id_t id = 0;
    TD_TRY(td_mbed__setup(err));
    td_mbed__lock();
    td_code code = import_locked(key, &id, err);
    if (code == TD_OK) {
        (void)psa_destroy_key(id);
    }
    td_mbed__unlock();
    return code;
}

static td_code verify_locked(const td_ec_public *key, const uint8_t *digest, size_t digest_size, const uint8_t *raw,
                             td_err *err)
{
    psa_key_id_t id = 0;
    TD_TRY(import_locked(key, &id, err));
    psa_status_t status = psa_verify_hash(id, PSA_ALG_ECDSA(curves[key->curve].hash), digest, digest_size, raw,
                                          2 * curves[key->curve].scalar);
    (void)psa_destroy_key(id);
    if (status == PSA_SUCCESS) {
        return TD_OK;
    }
    return td_fail(err, status == PSA_ERROR_INSUFFICIENT_MEMORY ? TD_NOMEM : TD_CORRUPT,
                   "the %s signature does not verify under this key", curves[key->curve].name);
}

td_code td_ec__verify_digest(const td_ec_public *key, const uint8_t *digest, size_t digest_size, const uint8_t *raw,
                             td_err *err)
{
    TD_TRY(td_mbed__setup(err));
    td_mbed__lock();
    td_code code = verify_locked(key, digest, digest_size, raw, err);
    td_mbed__unlock();
    return code;
}

static td_code sign_locked(td_curve name, const uint8_t *scalar, const uint8_t *digest, size_t digest_size,
                           uint8_t *raw_out, td_err *err)
{
    const struct curve *curve = &curves[name];
    psa_algorithm_t algorithm = PSA_ALG_DETERMINISTIC_ECDSA(curve->hash);
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_key_id_t id = 0;
    size_t size = 0;
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_SIGN_HASH);
    psa_set_key_algorithm(&attributes, algorithm);
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_bits(&attributes, curve->bits);
    psa_status_t status = psa_import_key(&attributes, scalar, curve->scalar, &id);
    if (status == PSA_SUCCESS) {
        status = psa_sign_hash(id, algorithm, digest, digest_size, raw_out, 2 * curve->scalar, &size);
        (void)psa_destroy_key(id);
    }
    if (status == PSA_ERROR_NOT_SUPPORTED) {
        return td_fail(err, TD_INVALID, "this build of mbedTLS does not sign on the curve %s", curve->name);
    }
    return status == PSA_SUCCESS && size == 2 * curve->scalar
               ? TD_OK
               : td_fail(err, TD_NOMEM, "mbedTLS could not sign (%d)", (int)status);
}

td_code td_ec__sign_digest(td_curve curve, const uint8_t *scalar, const uint8_t *digest, size_t digest_size,
                           uint8_t *raw_out, td_err *err)
{
    TD_TRY(td_mbed__setup(err));
    td_mbed__lock();
    td_code code = sign_locked(curve, scalar, digest, digest_size, raw_out, err);
    td_mbed__unlock();
    return code;
}

/* ---- public keys ---- */

td_code td_ec_public_from_pem(const char *pem, size_t size, td_ec_public *out, td_err *err)
{
    uint8_t der[TD_PEM__DER_MAX];
    size_t der_size = 0;
    TD_TRY(td_pem__read(pem, size, der, &der_size, err));
    for (size_t i = 0; i < TD_CURVE_COUNT; i++) {
        size_t head = curves[i].head_size, point = point_size((td_curve)i);
        if (der_size == head + point && memcmp(der, curves[i].head, head) == 0 && der[head] == 0x04) {
            td_ec_public key = {.curve = (td_curve)i, .size = point};
            memcpy(key.point, der + head, point);
            TD_TRY(td_ec__check_point(&key, err));
            *out = key;
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "the public key is none of P-256, P-384 and P-521 (uncompressed)");
}

td_code td_ec_public_pem(const td_ec_public *key, td_str *out, td_err *err)
{
    uint8_t der[HEAD_MAX + TD_EC_POINT_MAX];
    size_t head = curves[key->curve].head_size;
    memcpy(der, curves[key->curve].head, head);
    memcpy(der + head, key->point, key->size);
    return td_pem__write(der, head + key->size, out, err);
}

/* ---- signatures in DER ---- */

/* A length in its shortest form; *at moves behind it. */
static bool take_length(const uint8_t **at, const uint8_t *end, size_t *out)
{
    if (end - *at < 2) {
        return false;
    }
    size_t first = *(*at)++;
    if (first < 0x80) {
        *out = first;
        return true;
    }
    *out = *(*at)++;
    return first == 0x81 && *out >= 0x80;
}

/* INTEGER: shortest form, not negative, at most `scalar` bytes of value. */
static bool take_integer(const uint8_t **at, const uint8_t *end, size_t scalar, uint8_t *out)
{
    size_t size;
    if (end - *at < 3 || *(*at)++ != 0x02 || !take_length(at, end, &size) || size == 0 ||
        size > (size_t)(end - *at) || ((*at)[0] & 0x80) != 0) {
        return false;
    }
    const uint8_t *value = *at;
    *at += size;
    if (size > 1 && value[0] == 0) {
        if ((value[1] & 0x80) == 0) {
            return false; /* a zero byte that the sign does not need */
        }
        value++;
        size--;
    }
    if (size > scalar) {
        return false;
    }
    memset(out, 0, scalar - size);
    memcpy(out + scalar - size, value, size);
    return true;
}

bool td_ec_from_der(td_curve curve, const uint8_t *der, size_t size, uint8_t raw[TD_EC_RAW_MAX])
{
    const uint8_t *at = der, *end = der + size;
    size_t scalar = curves[curve].scalar, length;
    return size >= 8 && size <= TD_EC_DER_MAX && *at++ == 0x30 && take_length(&at, end, &length) &&
           length == (size_t)(end - at) && take_integer(&at, end, scalar, raw) &&
           take_integer(&at, end, scalar, raw + scalar) && at == end;
}

static uint8_t *put_integer(uint8_t *at, const uint8_t *value, size_t scalar)
{
    size_t skip = 0;
    while (skip < scalar - 1 && value[skip] == 0) {
        skip++;
    }
    size_t size = scalar - skip;
    bool sign = (value[skip] & 0x80) != 0;
    *at++ = 0x02;
    *at++ = (uint8_t)(size + (sign ? 1 : 0));
    if (sign) {
        *at++ = 0;
    }
    memcpy(at, value + skip, size);
    return at + size;
}

size_t td_ec_to_der(td_curve curve, const uint8_t *raw, uint8_t out[TD_EC_DER_MAX])
{
    uint8_t body[TD_EC_DER_MAX];
    size_t scalar = curves[curve].scalar;
    uint8_t *end = put_integer(put_integer(body, raw, scalar), raw + scalar, scalar);
    size_t size = (size_t)(end - body), head = 0;
    out[head++] = 0x30;
    if (size >= 0x80) {
        out[head++] = 0x81;
    }
    out[head++] = (uint8_t)size;
    memcpy(out + head, body, size);
    return head + size;
}

size_t td_ec_hash(td_curve curve, const void *data, size_t size, uint8_t out[64])
{
    static const uint8_t nothing[1] = {0};
    unsigned made = 0;
    int good = EVP_Digest(size > 0 ? data : nothing, size, out, &made, curves[curve].digest(), NULL);
    return good == 1 ? made : 0;
}

td_code td_ec_verify(const td_ec_public *key, const void *data, size_t size, const uint8_t *der, size_t der_size,
                     td_err *err)
{
    uint8_t raw[TD_EC_RAW_MAX], digest[64];
    if (!td_ec_from_der(key->curve, der, der_size, raw)) {
        return td_fail(err, TD_CORRUPT, "the signature (%zu bytes) is not strict DER of an ECDSA %s signature",
                       der_size, curves[key->curve].name);
    }
    size_t digest_size = td_ec_hash(key->curve, data, size, digest);
    if (digest_size == 0) {
        return td_fail(err, TD_NOMEM, "no memory to verify a signature");
    }
    return td_ec__verify_digest(key, digest, digest_size, raw, err);
}
