/*
 * key.c: private keys, held and used through libcrypto.
 *
 * A key never leaves memory but as a PKCS#8 file that only its owner may read. P-256 signatures leave as raw r‖s.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/crypto/ec.h"
#include "core/crypto/mbed.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#define KEY_FILE_MAX ((size_t)16 * 1024)
#define PASSPHRASE_ROUNDS 600000 /* PBKDF2-HMAC-SHA256, the OWASP figure */

struct td_key {
    td_key_kind kind;
    EVP_PKEY *pkey; /* NULL: the private half lies outside */
    td_key_outside outside;
    td_curve curve; /* of kind P256: another one only out of td_key_read_ec */
    uint8_t public_key[TD_EC_POINT_MAX];
};

static void free_pkey(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
    *pkey = NULL;
}

static void free_bio(BIO **bio)
{
    BIO_free_all(*bio);
    *bio = NULL;
}

static void wipe_str(td_str *str)
{
    if (str->data != NULL) {
        td_wipe(str->data, str->room);
    }
    td_str_done(str);
}

static bool read_ec_public(EVP_PKEY *pkey, td_curve *curve_out, uint8_t out[TD_EC_POINT_MAX])
{
    static const char *const groups[TD_CURVE_COUNT] = {"prime256v1", "secp384r1", "secp521r1"};
    char group[32];
    size_t size = 0;
    size_t i = 0;
    if (EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) != 1) {
        return false;
    }
    while (i < TD_CURVE_COUNT && strcmp(group, groups[i]) != 0) {
        i++;
    }
    /* A file may ask for the compressed form; the raw key is always the uncompressed one here. */
    if (i == TD_CURVE_COUNT ||
        EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") != 1) {
        return false;
    }
    *curve_out = (td_curve)i;
    const char *name = OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY;
    return EVP_PKEY_get_octet_string_param(pkey, name, out, TD_EC_POINT_MAX, &size) == 1 &&
           size == 1 + 2 * td_curve_scalar(*curve_out) && out[0] == 0x04;
}

/* Takes over pkey, also on failure. */
static td_code wrap_pkey(EVP_PKEY *owned, bool wide, const char *what, td_key **out, td_err *err)
{
    TD_CLEANUP(free_pkey) EVP_PKEY *pkey = owned;
    td_key *key = calloc(1, sizeof *key);
    if (key == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a key");
    }
    size_t size = TD_ED25519_PUBLIC_SIZE;
    bool known = false;
    if (EVP_PKEY_is_a(pkey, "ED25519")) {
        key->kind = TD_KEY_ED25519;
        known = EVP_PKEY_get_raw_public_key(pkey, key->public_key, &size) == 1;
    } else if (EVP_PKEY_is_a(pkey, "EC")) {
        key->kind = TD_KEY_P256;
        known = read_ec_public(pkey, &key->curve, key->public_key) && (wide || key->curve == TD_CURVE_P256);
    }
    if (!known) {
        free(key);
        ERR_clear_error();
        return td_fail(err, TD_INVALID, "%s holds neither a P-256 nor an Ed25519 key%s", what,
                       wide ? ", nor one of P-384 or P-521" : "");
    }
    key->pkey = pkey;
    pkey = NULL;
    *out = key;
    return TD_OK;
}

td_code td_key_generate(td_key_kind kind, td_key **out, td_err *err)
{
    EVP_PKEY *pkey = kind == TD_KEY_P256 ? EVP_EC_gen("P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (pkey == NULL) {
        ERR_clear_error();
        return td_fail(err, TD_NOMEM, "libcrypto made no %s key", kind == TD_KEY_P256 ? "P-256" : "Ed25519");
    }
    return wrap_pkey(pkey, false, "the new key", out, err);
}

/* Without this callback libcrypto would ask at the terminal. */
static int give_passphrase(char *out, int room, int writing, void *context)
{
    (void)writing;
    const char *passphrase = context;
    size_t size = passphrase != NULL ? strlen(passphrase) : 0;
    if (passphrase == NULL || size > (size_t)room) {
        return -1;
    }
    memcpy(out, passphrase, size);
    return (int)size;
}

static td_code check_private_mode(const char *path, td_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return td_fail_errno(err, errno, "reading the key %s", path);
    }
    if ((st.st_mode & 077) != 0) {
        return td_fail(err, TD_DENIED, "the private key %s may be read by others (mode %03o); run: chmod 600 %s",
                       path, (unsigned)(st.st_mode & 0777), path);
    }
    return TD_OK;
}

td_code td_key_sealed(const char *path, bool *out, td_err *err)
{
    TD_CLEANUP(wipe_str) td_str text = {0};
    TD_TRY(check_private_mode(path, err));
    TD_TRY(td_file_read(path, KEY_FILE_MAX, &text, err));
    *out = strstr(td_str_text(&text), "ENCRYPTED") != NULL;
    return TD_OK;
}

static td_code read_key(const char *path, const char *passphrase, bool wide, td_key **out, td_err *err)
{
    TD_TRY(check_private_mode(path, err));
    TD_CLEANUP(wipe_str) td_str text = {0};
    TD_TRY(td_file_read(path, KEY_FILE_MAX, &text, err));
    TD_CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(td_str_text(&text), (int)text.size);
    if (bio == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read the key %s", path);
    }
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, (void *)(uintptr_t)passphrase);
    ERR_clear_error();
    if (pkey == NULL) {
        bool sealed = strstr(td_str_text(&text), "ENCRYPTED") != NULL;
        return td_fail(err, TD_INVALID, "%s: %s", path,
                       !sealed              ? "not a private key in PEM (PKCS#8 or SEC1)"
                       : passphrase == NULL ? "the key has a passphrase and none was given"
                                            : "the passphrase does not open this key");
    }
    return wrap_pkey(pkey, wide, path, out, err);
}

td_code td_key_read(const char *path, const char *passphrase, td_key **out, td_err *err)
{
    return read_key(path, passphrase, false, out, err);
}

td_code td_key_read_ec(const char *path, const char *passphrase, td_key **out, td_err *err)
{
    return read_key(path, passphrase, true, out, err);
}

static bool write_sealed(BIO *bio, EVP_PKEY *pkey, const char *passphrase)
{
    PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(pkey);
    X509_SIG *sealed = plain == NULL ? NULL
                                     : PKCS8_encrypt(-1, EVP_aes_256_cbc(), passphrase, (int)strlen(passphrase), NULL,
                                                     16, PASSPHRASE_ROUNDS, plain);
    bool good = sealed != NULL && PEM_write_bio_PKCS8(bio, sealed) == 1;
    X509_SIG_free(sealed);
    PKCS8_PRIV_KEY_INFO_free(plain);
    return good;
}

td_code td_key_write(const td_key *key, const char *path, const char *passphrase, td_err *err)
{
    if (key->pkey == NULL) {
        return td_fail(err, TD_INVALID, "the key does not leave its token, so it cannot be written to %s", path);
    }
    TD_CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_secmem());
    bool good = bio != NULL &&
                (passphrase != NULL ? write_sealed(bio, key->pkey, passphrase)
                                    : PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL));
    char *text = NULL;
    long size = good ? BIO_get_mem_data(bio, &text) : 0;
    if (size <= 0) {
        ERR_clear_error();
        return td_fail(err, TD_NOMEM, "could not encode the key for %s", path);
    }
    return td_file_create(path, text, (size_t)size, 0600, err);
}

void td_key_free(td_key **key)
{
    if (key != NULL && *key != NULL) {
        EVP_PKEY_free((*key)->pkey);
        if ((*key)->outside.free != NULL) {
            (*key)->outside.free((*key)->outside.context);
        }
        free(*key);
        *key = NULL;
    }
}

td_key_kind td_key_kind_of(const td_key *key)
{
    return key->kind;
}

size_t td_key_public(const td_key *key, uint8_t out[TD_P256_PUBLIC_SIZE])
{
    assert(key->curve == TD_CURVE_P256); /* others are for td_key_ec_public */
    size_t size = key->kind == TD_KEY_P256 ? TD_P256_PUBLIC_SIZE : TD_ED25519_PUBLIC_SIZE;
    memcpy(out, key->public_key, size);
    return size;
}

/* By libcrypto, for it is fast: DER of P-256, raw of Ed25519. */
static td_code sign_inside(const td_key *key, const void *data, size_t size, uint8_t made[TD_EC_DER_MAX],
                           size_t *size_out, td_err *err)
{
    static const uint8_t nothing[1] = {0};
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *digest = key->kind == TD_KEY_P256 ? EVP_sha256() : NULL;
    *size_out = TD_EC_DER_MAX;
    bool good = context != NULL && EVP_DigestSignInit(context, NULL, digest, NULL, key->pkey) == 1 &&
                EVP_DigestSign(context, made, size_out, size > 0 ? data : nothing, size) == 1;
    EVP_MD_CTX_free(context);
    if (!good) {
        ERR_clear_error();
        return td_fail(err, TD_NOMEM, "libcrypto could not sign");
    }
    return TD_OK;
}

static td_code sign_outside(const td_key *key, const void *data, size_t size, uint8_t raw[TD_EC_RAW_MAX], td_err *err)
{
    uint8_t digest[64];
    size_t digest_size = td_ec_hash(key->curve, data, size, digest);
    if (digest_size == 0) {
        return td_fail(err, TD_NOMEM, "libcrypto could not hash what is to be signed");
    }
    return key->outside.sign(key->outside.context, digest, digest_size, raw, err);
}

/* Raw; the same key and data give the same bytes. libcrypto 3.0 has no such signature, so mbedTLS makes it. */
static td_code sign_repeatably(const td_key *key, const void *data, size_t size, uint8_t raw[TD_EC_RAW_MAX],
                               td_err *err)
{
    uint8_t digest[64], scalar[TD_EC_SCALAR_MAX];
    size_t digest_size = td_ec_hash(key->curve, data, size, digest);
    int scalar_size = (int)td_curve_scalar(key->curve);
    BIGNUM *number = NULL;
    bool good = digest_size > 0 && EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &number) == 1 &&
                BN_bn2binpad(number, scalar, scalar_size) == scalar_size;
    BN_clear_free(number);
    td_code code = good ? td_ec__sign_digest(key->curve, scalar, digest, digest_size, raw, err)
                        : td_fail(err, TD_NOMEM, "libcrypto does not give out the private key");
    OPENSSL_cleanse(scalar, sizeof scalar);
    ERR_clear_error();
    return code;
}

td_code td_key_sign(const td_key *key, const void *data, size_t size, uint8_t out[TD_SIGNATURE_SIZE], td_err *err)
{
    uint8_t made[TD_EC_DER_MAX];
    size_t made_size;
    assert(key->curve == TD_CURVE_P256); /* others are for td_key_ec_sign */
    if (key->pkey == NULL) {
        TD_TRY(sign_outside(key, data, size, made, err));
        memcpy(out, made, TD_SIGNATURE_SIZE);
        return TD_OK;
    }
    TD_TRY(sign_inside(key, data, size, made, &made_size, err));
    if (key->kind == TD_KEY_P256) {
        return td_signature_from_der(made, made_size, out, err);
    }
    assert(made_size == TD_SIGNATURE_SIZE);
    memcpy(out, made, TD_SIGNATURE_SIZE);
    return TD_OK;
}

td_code td_key_ec_public(const td_key *key, td_ec_public *out, td_err *err)
{
    if (key->kind != TD_KEY_P256) {
        return td_fail(err, TD_INVALID, "an Ed25519 key; one of P-256, P-384 or P-521 is needed");
    }
    *out = (td_ec_public){.curve = key->curve, .size = 1 + 2 * td_curve_scalar(key->curve)};
    memcpy(out->point, key->public_key, out->size);
    return TD_OK;
}

td_code td_key_ec_sign(const td_key *key, const void *data, size_t size, td_str *out, td_err *err)
{
    uint8_t made[TD_EC_DER_MAX], raw[TD_EC_RAW_MAX];
    if (key->kind != TD_KEY_P256) {
        return td_fail(err, TD_INVALID, "an Ed25519 key; one of P-256, P-384 or P-521 is needed");
    }
    TD_TRY(key->pkey == NULL ? sign_outside(key, data, size, raw, err) : sign_repeatably(key, data, size, raw, err));
    td_str_append(out, (const char *)made, td_ec_to_der(key->curve, raw, made));
    return td_str_check(out, err);
}

td_code td_key_of_outside(const td_ec_public *public_key, const td_key_outside *outside, td_key **out, td_err *err)
{
    td_key *key = calloc(1, sizeof *key);
    if (key == NULL) {
        outside->free(outside->context);
        return td_fail(err, TD_NOMEM, "no memory for a key");
    }
    *key = (td_key){.kind = TD_KEY_P256, .outside = *outside, .curve = public_key->curve};
    memcpy(key->public_key, public_key->point, public_key->size);
    *out = key;
    return TD_OK;
}

size_t td_key__private_der(const td_key *key, uint8_t *out, size_t room)
{
    if (key->kind != TD_KEY_P256 || key->pkey == NULL) {
        return 0;
    }
    int size = i2d_PrivateKey(key->pkey, NULL);
    if (size <= 0 || (size_t)size > room) {
        return 0;
    }
    unsigned char *at = out;
    return i2d_PrivateKey(key->pkey, &at) == size ? (size_t)size : 0;
}
