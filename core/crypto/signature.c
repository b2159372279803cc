/*
 * signature.c: the two encodings of a P-256 signature, what DSSE signs, and Ed25519 verification.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/mbed.h"

#include <string.h>

#include <openssl/evp.h>

td_code td_signature_from_der(const uint8_t *der, size_t size, uint8_t out[TD_SIGNATURE_SIZE], td_err *err)
{
    uint8_t raw[TD_EC_RAW_MAX];
    if (size > TD_SIGNATURE_DER_MAX || !td_ec_from_der(TD_CURVE_P256, der, size, raw)) {
        return td_fail(err, TD_CORRUPT, "the signature (%zu bytes) is not strict DER of an ECDSA P-256 signature",
                       size);
    }
    memcpy(out, raw, TD_SIGNATURE_SIZE);
    return TD_OK;
}

size_t td_signature_to_der(const uint8_t raw[TD_SIGNATURE_SIZE], uint8_t out[TD_SIGNATURE_DER_MAX])
{
    uint8_t made[TD_EC_DER_MAX];
    size_t size = td_ec_to_der(TD_CURVE_P256, raw, made);
    memcpy(out, made, size);
    return size;
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
