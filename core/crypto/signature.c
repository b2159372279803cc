/*
 * signature.c: the two encodings of a P-256 signature, what DSSE signs, and Ed25519 verification.
 *
 * The DER reader is strict: shortest lengths, shortest non-negative integers, nothing after the sequence. Lax readers
 * (mbedTLS' own, for one) accept nine signatures of Wycheproof's set that they must refuse.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/crypto.h"

#include <assert.h>
#include <string.h>

#include <openssl/evp.h>

#define SCALAR_SIZE 32

/* INTEGER at *at: shortest form, not negative, at most 32 bytes of value. Moves *at behind it. */
static bool take_integer(const uint8_t **at, const uint8_t *end, uint8_t out[SCALAR_SIZE])
{
    const uint8_t *p = *at;
    if (end - p < 3 || p[0] != 0x02) {
        return false;
    }
    size_t size = p[1];
    p += 2;
    if (size == 0 || size > SCALAR_SIZE + 1 || size > (size_t)(end - p) || (p[0] & 0x80) != 0) {
        return false;
    }
    if (size > 1 && p[0] == 0 && (p[1] & 0x80) == 0) {
        return false; /* a zero byte that the sign does not need */
    }
    const uint8_t *value = p;
    size_t value_size = size;
    if (value[0] == 0) {
        value++;
        value_size--;
    }
    if (value_size > SCALAR_SIZE) {
        return false;
    }
    memset(out, 0, SCALAR_SIZE);
    memcpy(out + SCALAR_SIZE - value_size, value, value_size);
    *at = p + size;
    return true;
}

td_code td_signature_from_der(const uint8_t *der, size_t size, uint8_t out[TD_SIGNATURE_SIZE], td_err *err)
{
    uint8_t raw[TD_SIGNATURE_SIZE];
    bool good = size >= 8 && size <= TD_SIGNATURE_DER_MAX && der[0] == 0x30 && der[1] == size - 2;
    if (good) {
        const uint8_t *at = der + 2;
        const uint8_t *end = der + size;
        good = take_integer(&at, end, raw) && take_integer(&at, end, raw + SCALAR_SIZE) && at == end;
    }
    if (!good) {
        return td_fail(err, TD_CORRUPT, "the signature (%zu bytes) is not strict DER of an ECDSA P-256 signature",
                       size);
    }
    memcpy(out, raw, sizeof raw);
    return TD_OK;
}

static uint8_t *put_integer(uint8_t *at, const uint8_t value[SCALAR_SIZE])
{
    size_t skip = 0;
    while (skip < SCALAR_SIZE - 1 && value[skip] == 0) {
        skip++;
    }
    size_t size = SCALAR_SIZE - skip;
    bool sign = (value[skip] & 0x80) != 0;
    *at++ = 0x02;
    *at++ = (uint8_t)(size + (sign ? 1 : 0));
    if (sign) {
        *at++ = 0;
    }
    memcpy(at, value + skip, size);
    return at + size;
}

size_t td_signature_to_der(const uint8_t raw[TD_SIGNATURE_SIZE], uint8_t out[TD_SIGNATURE_DER_MAX])
{
    uint8_t *end = put_integer(out + 2, raw);
    end = put_integer(end, raw + SCALAR_SIZE);
    out[0] = 0x30;
    out[1] = (uint8_t)(end - out - 2);
    return (size_t)(end - out);
}

td_code td_dsse_pae(const char *payload_type, const void *payload, size_t size, td_str *out, td_err *err)
{
    td_str_addf(out, "DSSEv1 %zu %s %zu ", strlen(payload_type), payload_type, size);
    td_str_append(out, payload, size);
    return td_str_check(out, err);
}

void td_key_id(const uint8_t *public_key, size_t size, uint8_t out[TD_KEY_ID_SIZE])
{
    uint8_t digest[TD_DIGEST_SIZE];
    td_sha256_of(public_key, size, digest);
    memcpy(out, digest, TD_KEY_ID_SIZE);
}

td_code td_ed25519_verify(const uint8_t public_key[TD_ED25519_PUBLIC_SIZE], const void *data, size_t size,
                          const uint8_t signature[TD_SIGNATURE_SIZE], td_err *err)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, TD_ED25519_PUBLIC_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (key == NULL || context == NULL) {
        EVP_PKEY_free(key);
        EVP_MD_CTX_free(context);
        return td_fail(err, TD_NOMEM, "no memory to verify an Ed25519 signature");
    }
    static const unsigned char nothing[1] = {0};
    bool good = EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(context, signature, TD_SIGNATURE_SIZE, size > 0 ? data : nothing, size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    if (!good) {
        return td_fail(err, TD_CORRUPT, "the Ed25519 signature does not verify under this key");
    }
    return TD_OK;
}
