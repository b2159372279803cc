/*
 * key.c: private keys, held and used through libcrypto.
 *
 * A key never leaves memory but as a PKCS#8 file that only its owner may read. P-256 signatures leave as raw r‖s.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
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
    EVP_PKEY *pkey;
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
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

static bool read_p256_public(EVP_PKEY *pkey, uint8_t out[TD_P256_PUBLIC_SIZE])
{
    char group[32];
    size_t size = 0;
    if (EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) != 1 ||
        strcmp(group, "prime256v1") != 0) {
        return false;
    }
    /* A file may ask for the compressed form; the raw key is always the uncompressed one here. */
    if (EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") != 1) {
        return false;
    }
    return EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, out, TD_P256_PUBLIC_SIZE,
                                           &size) == 1 &&
           size == TD_P256_PUBLIC_SIZE && out[0] == 0x04;
}

/* Takes over pkey, also on failure. */
static td_code wrap_pkey(EVP_PKEY *owned, const char *what, td_key **out, td_err *err)
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
        known = read_p256_public(pkey, key->public_key);
    }
    if (!known) {
        free(key);
        ERR_clear_error();
        return td_fail(err, TD_INVALID, "%s holds neither a P-256 nor an Ed25519 key", what);
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
    return wrap_pkey(pkey, "the new key", out, err);
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

td_code td_key_read(const char *path, const char *passphrase, td_key **out, td_err *err)
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
    return wrap_pkey(pkey, path, out, err);
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
    size_t size = key->kind == TD_KEY_P256 ? TD_P256_PUBLIC_SIZE : TD_ED25519_PUBLIC_SIZE;
    memcpy(out, key->public_key, size);
    return size;
}

td_code td_key_sign(const td_key *key, const void *data, size_t size, uint8_t out[TD_SIGNATURE_SIZE], td_err *err)
{
    uint8_t made[TD_SIGNATURE_DER_MAX + 8];
    size_t made_size = sizeof made;
    static const uint8_t nothing[1] = {0};
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *digest = key->kind == TD_KEY_P256 ? EVP_sha256() : NULL;
    bool good = context != NULL && EVP_DigestSignInit(context, NULL, digest, NULL, key->pkey) == 1 &&
                EVP_DigestSign(context, made, &made_size, size > 0 ? data : nothing, size) == 1;
    EVP_MD_CTX_free(context);
    if (!good) {
        ERR_clear_error();
        return td_fail(err, TD_NOMEM, "libcrypto could not sign");
    }
    if (key->kind == TD_KEY_P256) {
        return td_signature_from_der(made, made_size, out, err);
    }
    assert(made_size == TD_SIGNATURE_SIZE);
    memcpy(out, made, TD_SIGNATURE_SIZE);
    return TD_OK;
}

size_t td_key__private_der(const td_key *key, uint8_t *out, size_t room)
{
    if (key->kind != TD_KEY_P256) {
        return 0;
    }
    int size = i2d_PrivateKey(key->pkey, NULL);
    if (size <= 0 || (size_t)size > room) {
        return 0;
    }
    unsigned char *at = out;
    return i2d_PrivateKey(key->pkey, &at) == size ? (size_t)size : 0;
}
