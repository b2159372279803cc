/*
 * mbed.c: mbedTLS behind one mutex, and the only file that knows how 2.28 and 3.6 differ.
 *
 * P-256 verification goes through psa_verify_hash on raw r‖s. The mutex is held around every call, because four
 * threads that import keys into PSA 2.28 end in a double free. SPDX-License-Identifier: Apache-2.0
 */
/* 3.x hides the fields of a request that carry its signature, and offers no function to read them. */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include "core/crypto/mbed.h"

#include <pthread.h>
#include <string.h>

#include <mbedtls/error.h>
#include <mbedtls/version.h>
#include <psa/crypto.h>

static pthread_mutex_t mbed_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool psa_ready; /* under the mutex */

const uint8_t td_spki__p256_head[TD_SPKI_P256_HEAD] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                                       0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                                       0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
const uint8_t td_spki__ed25519_head[TD_SPKI_ED25519_HEAD] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                             0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

void td_mbed__lock(void)
{
    pthread_mutex_lock(&mbed_mutex);
}

void td_mbed__unlock(void)
{
    pthread_mutex_unlock(&mbed_mutex);
}

/* The caller holds the lock. */
static td_code setup_locked(td_err *err)
{
    if (!psa_ready) {
        psa_status_t status = psa_crypto_init();
        if (status != PSA_SUCCESS) {
            return td_fail(err, TD_IO, "mbedTLS could not start its cryptography (PSA status %d)", (int)status);
        }
        psa_ready = true;
    }
    return TD_OK;
}

td_code td_mbed__setup(td_err *err)
{
    td_mbed__lock();
    td_code code = setup_locked(err);
    td_mbed__unlock();
    return code;
}

int td_mbed__random(void *context, unsigned char *out, size_t size)
{
    (void)context;
    return td_random(out, size, NULL) == TD_OK ? 0 : MBEDTLS_ERR_PK_ALLOC_FAILED;
}

td_code td_mbed__fail(td_err *err, td_code code, int result, const char *what)
{
    char text[128];
    mbedtls_strerror(result, text, sizeof text);
    return td_fail(err, code, "%s: %s", what, text);
}

td_code td_mbed__load_private(mbedtls_pk_context *pk, const td_key *key, td_err *err)
{
    uint8_t der[256];
    size_t size = td_key__private_der(key, der, sizeof der);
    if (size == 0) {
        return td_fail(err, TD_INVALID, "the key is not a P-256 private key");
    }
    TD_TRY(setup_locked(err));
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
    int result = mbedtls_pk_parse_key(pk, der, size, NULL, 0, td_mbed__random, NULL);
#else
    int result = mbedtls_pk_parse_key(pk, der, size, NULL, 0);
#endif
    td_wipe(der, sizeof der);
    return result == 0 ? TD_OK : td_mbed__fail(err, TD_INVALID, result, "loading the private key");
}

td_code td_mbed__load_public(mbedtls_pk_context *pk, const uint8_t public_key[TD_P256_PUBLIC_SIZE], td_err *err)
{
    uint8_t der[TD_SPKI_P256_SIZE];
    memcpy(der, td_spki__p256_head, TD_SPKI_P256_HEAD);
    memcpy(der + TD_SPKI_P256_HEAD, public_key, TD_P256_PUBLIC_SIZE);
    TD_TRY(setup_locked(err));
    int result = mbedtls_pk_parse_public_key(pk, der, sizeof der);
    return result == 0 ? TD_OK : td_mbed__fail(err, TD_INVALID, result, "the public key is not a point on P-256");
}

td_code td_mbed__public_of(mbedtls_pk_context *pk, uint8_t out[TD_P256_PUBLIC_SIZE], td_err *err)
{
    uint8_t der[TD_SPKI_P256_SIZE + 32]; /* a longer key does not fit and is refused, which is what we want */
    int size = mbedtls_pk_get_type(pk) == MBEDTLS_PK_ECKEY ? mbedtls_pk_write_pubkey_der(pk, der, sizeof der) : 0;
    const uint8_t *spki = der + sizeof der - TD_SPKI_P256_SIZE; /* mbedTLS writes at the end of the buffer */
    if (size != TD_SPKI_P256_SIZE || memcmp(spki, td_spki__p256_head, TD_SPKI_P256_HEAD) != 0 ||
        spki[TD_SPKI_P256_HEAD] != 0x04) {
        return td_fail(err, TD_INVALID,
                       "the public key is not an ECDSA P-256 key, the only kind that is accepted here");
    }
    memcpy(out, spki + TD_SPKI_P256_HEAD, TD_P256_PUBLIC_SIZE);
    return TD_OK;
}

int td_mbed__set_serial(mbedtls_x509write_cert *cert, const uint8_t *serial, size_t size)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03040000
    uint8_t copy[32];
    memcpy(copy, serial, size);
    return mbedtls_x509write_crt_set_serial_raw(cert, copy, size);
#else
    mbedtls_mpi number;
    mbedtls_mpi_init(&number);
    int result = mbedtls_mpi_read_binary(&number, serial, size);
    if (result == 0) {
        result = mbedtls_x509write_crt_set_serial(cert, &number);
    }
    mbedtls_mpi_free(&number);
    return result;
#endif
}

void td_mbed__request_signature(const mbedtls_x509_csr *csr, const uint8_t **der_out, size_t *size_out,
                                bool *ecdsa_sha256_out)
{
    *der_out = csr->sig.p;
    *size_out = csr->sig.len;
    *ecdsa_sha256_out = csr->sig_md == MBEDTLS_MD_SHA256 && csr->sig_pk == MBEDTLS_PK_ECDSA;
}

static td_code verify_digest(const uint8_t *public_key, const uint8_t *digest, const uint8_t *signature, td_err *err)
{
    td_ec_public key = {.curve = TD_CURVE_P256, .size = TD_P256_PUBLIC_SIZE};
    memcpy(key.point, public_key, TD_P256_PUBLIC_SIZE);
    return td_ec__verify_digest(&key, digest, TD_DIGEST_SIZE, signature, err);
}

td_code td_p256_verify(const uint8_t public_key[TD_P256_PUBLIC_SIZE], const void *data, size_t size,
                       const uint8_t signature[TD_SIGNATURE_SIZE], td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    static const uint8_t nothing[1] = {0};
    td_sha256_of(size > 0 ? data : nothing, size, digest);
    return verify_digest(public_key, digest, signature, err);
}

td_code td_p256_verify_digest(const uint8_t public_key[TD_P256_PUBLIC_SIZE], const uint8_t digest[TD_DIGEST_SIZE],
                              const uint8_t signature[TD_SIGNATURE_SIZE], td_err *err)
{
    return verify_digest(public_key, digest, signature, err);
}
