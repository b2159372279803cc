/*
 * seal.c: small secrets at rest: AES-256-GCM with a random nonce, bound to what they belong to.
 *
 * A sealed text is nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes); the name that it belongs to is authenticated with
 * it, so that one cannot be put in another's place.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/crypto.h"

#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

#define NONCE 12
#define TAG 16

static void free_context(EVP_CIPHER_CTX **context)
{
    EVP_CIPHER_CTX_free(*context);
}

static bool begin(EVP_CIPHER_CTX *context, bool sealing, const uint8_t *key, const uint8_t *nonce, const char *name)
{
    int size;
    return context != NULL &&
           EVP_CipherInit_ex2(context, EVP_aes_256_gcm(), key, nonce, sealing ? 1 : 0, NULL) == 1 &&
           EVP_CipherUpdate(context, NULL, &size, (const uint8_t *)name, (int)strlen(name)) == 1;
}

td_code td_seal(const uint8_t key[TD_SEAL_KEY_SIZE], const char *name, const void *data, size_t size, td_str *out,
                td_err *err)
{
    uint8_t nonce[NONCE], tag[TAG], sealed[TD_SEAL_DATA_MAX];
    int written, last;
    if (size > sizeof sealed) {
        return td_fail(err, TD_LIMIT, "a secret has at most %zu bytes", sizeof sealed);
    }
    TD_TRY(td_random(nonce, sizeof nonce, err));
    TD_CLEANUP(free_context) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (!begin(context, true, key, nonce, name) || EVP_CipherUpdate(context, sealed, &written, data, (int)size) != 1 ||
        EVP_CipherFinal_ex(context, sealed + written, &last) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, tag) != 1) {
        return td_fail(err, TD_INTERNAL, "sealing a secret failed");
    }
    td_str_append(out, nonce, sizeof nonce);
    td_str_append(out, sealed, size);
    td_str_append(out, tag, sizeof tag);
    return td_str_check(out, err);
}

td_code td_unseal(const uint8_t key[TD_SEAL_KEY_SIZE], const char *name, const void *sealed, size_t size, td_str *out,
                  td_err *err)
{
    uint8_t data[TD_SEAL_DATA_MAX], tag[TAG];
    int written, last;
    if (size < NONCE + TAG || size - NONCE - TAG > sizeof data) {
        return td_fail(err, TD_CORRUPT, "a sealed secret has an impossible size");
    }
    const uint8_t *bytes = sealed;
    size_t length = size - NONCE - TAG;
    memcpy(tag, bytes + NONCE + length, sizeof tag);
    TD_CLEANUP(free_context) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool opened = begin(context, false, key, bytes, name) &&
                  EVP_CipherUpdate(context, data, &written, bytes + NONCE, (int)length) == 1 &&
                  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1 &&
                  EVP_CipherFinal_ex(context, data + written, &last) == 1;
    if (opened) {
        td_str_append(out, data, length);
    }
    td_wipe(data, sizeof data);
    return opened ? td_str_check(out, err)
                  : td_fail(err, TD_CORRUPT, "a sealed secret does not open with this workspace's key");
}
