/*
 * pem.c: public keys as SubjectPublicKeyInfo in PEM.
 *
 * Both kinds of key have a fixed DER head, so reading is comparing: nothing of ASN.1 is interpreted.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/mbed.h"

#include <string.h>

#define PEM_BEGIN "-----BEGIN PUBLIC KEY-----"
#define PEM_END "-----END PUBLIC KEY-----"
#define PEM_COLUMNS 64
#define BASE64_MAX (TD_PEM__DER_MAX / 3 * 4) /* of a public key; longer is none that we know */

td_code td_public_pem(td_key_kind kind, const uint8_t *public_key, td_str *out, td_err *err)
{
    uint8_t der[TD_SPKI_P256_SIZE];
    bool p256 = kind == TD_KEY_P256;
    size_t head = p256 ? TD_SPKI_P256_HEAD : TD_SPKI_ED25519_HEAD;
    size_t size = p256 ? TD_SPKI_P256_SIZE : TD_SPKI_ED25519_SIZE;
    memcpy(der, p256 ? td_spki__p256_head : td_spki__ed25519_head, head);
    memcpy(der + head, public_key, size - head);
    return td_pem__write(der, size, out, err);
}

td_code td_pem__write(const uint8_t *der, size_t size, td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str base64 = {0};
    td_base64_add(&base64, der, size);
    TD_TRY(td_str_check(&base64, err));
    td_str_add(out, PEM_BEGIN "\n");
    for (size_t at = 0; at < base64.size; at += PEM_COLUMNS) {
        size_t line = base64.size - at < PEM_COLUMNS ? base64.size - at : PEM_COLUMNS;
        td_str_append(out, base64.data + at, line);
        td_str_add_char(out, '\n');
    }
    td_str_add(out, PEM_END "\n");
    return td_str_check(out, err);
}

/* Copies the base64 text between the markers without line ends; false if the frame is wrong. */
static bool unframe(const char *pem, size_t size, char out[BASE64_MAX], size_t *size_out)
{
    const char *begin = memmem(pem, size, PEM_BEGIN, strlen(PEM_BEGIN));
    if (begin == NULL) {
        return false;
    }
    const char *at = begin + strlen(PEM_BEGIN);
    const char *stop = memmem(at, size - (size_t)(at - pem), PEM_END, strlen(PEM_END));
    size_t used = 0;
    for (; stop != NULL && at < stop; at++) {
        if (*at == '\n' || *at == '\r') {
            continue;
        }
        if (used == BASE64_MAX) {
            return false;
        }
        out[used++] = *at;
    }
    *size_out = used;
    return stop != NULL;
}

td_code td_pem__read(const char *pem, size_t size, uint8_t der[TD_PEM__DER_MAX], size_t *size_out, td_err *err)
{
    char base64[BASE64_MAX];
    size_t base64_size = 0;
    if (!unframe(pem, size, base64, &base64_size) ||
        td_base64_decode(base64, base64_size, der, TD_PEM__DER_MAX, size_out, NULL) != TD_OK) {
        return td_fail(err, TD_INVALID, "not a public key in PEM (\"" PEM_BEGIN "\" …)");
    }
    return TD_OK;
}

static bool has_head(const uint8_t *der, size_t size, const uint8_t *head, size_t head_size, size_t whole)
{
    return size == whole && memcmp(der, head, head_size) == 0;
}

/* A point that is not on the curve is no key. */
static td_code check_point(const uint8_t public_key[TD_P256_PUBLIC_SIZE], td_err *err)
{
    mbedtls_pk_context pk;
    td_mbed__lock();
    mbedtls_pk_init(&pk);
    td_code code = td_mbed__load_public(&pk, public_key, err);
    mbedtls_pk_free(&pk);
    td_mbed__unlock();
    return code;
}

td_code td_public_from_pem(const char *pem, size_t size, td_key_kind *kind_out, uint8_t out[TD_P256_PUBLIC_SIZE],
                           td_err *err)
{
    uint8_t der[TD_PEM__DER_MAX];
    size_t der_size = 0;
    TD_TRY(td_pem__read(pem, size, der, &der_size, err));
    if (has_head(der, der_size, td_spki__ed25519_head, TD_SPKI_ED25519_HEAD, TD_SPKI_ED25519_SIZE)) {
        memcpy(out, der + TD_SPKI_ED25519_HEAD, TD_ED25519_PUBLIC_SIZE);
        *kind_out = TD_KEY_ED25519;
        return TD_OK;
    }
    if (!has_head(der, der_size, td_spki__p256_head, TD_SPKI_P256_HEAD, TD_SPKI_P256_SIZE) ||
        der[TD_SPKI_P256_HEAD] != 4) {
        return td_fail(err, TD_INVALID, "the public key is neither P-256 (uncompressed) nor Ed25519");
    }
    TD_TRY(check_point(der + TD_SPKI_P256_HEAD, err));
    memcpy(out, der + TD_SPKI_P256_HEAD, TD_P256_PUBLIC_SIZE);
    *kind_out = TD_KEY_P256;
    return TD_OK;
}
