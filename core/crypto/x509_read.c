/*
 * x509_read.c: requests and certificates that come from outside, read by mbedTLS and then held to our own stricter
 * rules.
 *
 * A request's signature is checked by the strict route (DER → raw → PSA), since it proves possession of the key.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/mbed.h"
#include "core/crypto/x509.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/oid.h>

#define PEM_MAX ((size_t)64 * 1024)
#define COMMON_NAME_MAX 64

/* mbedTLS wants the NUL counted; and no NUL inside, or it would take the text for DER. */
static td_code terminated(const char *pem, size_t size, const char *what, char **out, td_err *err)
{
    if (size == 0 || size > PEM_MAX || memchr(pem, '\0', size) != NULL) {
        return td_fail(err, TD_INVALID, "%s: not PEM text of at most %zu bytes", what, PEM_MAX);
    }
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read %s", what);
    }
    memcpy(copy, pem, size);
    copy[size] = '\0';
    *out = copy;
    return TD_OK;
}

/* The subject's one common name, printable and short. */
static td_code read_common_name(const mbedtls_x509_name *subject, const char *what, char out[65], td_err *err)
{
    const mbedtls_x509_name *found = NULL;
    for (const mbedtls_x509_name *part = subject; part != NULL; part = part->next) {
        if (part->oid.p == NULL || MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) != 0) {
            continue;
        }
        if (found != NULL) {
            return td_fail(err, TD_INVALID, "%s has more than one common name", what);
        }
        found = part;
    }
    if (found == NULL || found->val.len == 0 || found->val.len > COMMON_NAME_MAX) {
        return td_fail(err, TD_INVALID, "%s has no common name of 1 to %d characters", what, COMMON_NAME_MAX);
    }
    for (size_t i = 0; i < found->val.len; i++) {
        if (found->val.p[i] < 0x20 || found->val.p[i] > 0x7e) {
            return td_fail(err, TD_INVALID, "%s has a common name with characters other than printable ASCII", what);
        }
    }
    memcpy(out, found->val.p, found->val.len);
    out[found->val.len] = '\0';
    return TD_OK;
}

static td_code check_request(mbedtls_x509_csr *csr, const char *pem, uint8_t public_key[TD_P256_PUBLIC_SIZE],
                             char name[65], uint8_t signature[TD_SIGNATURE_SIZE], td_err *err)
{
    int result = mbedtls_x509_csr_parse(csr, (const unsigned char *)pem, strlen(pem) + 1);
    if (result != 0) {
        return td_mbed__fail(err, TD_INVALID, result, "not a certificate request in PEM");
    }
    TD_TRY(td_mbed__public_of(&csr->pk, public_key, err));
    TD_TRY(read_common_name(&csr->subject, "the certificate request", name, err));
    const uint8_t *der = NULL;
    size_t size = 0;
    bool expected = false;
    td_mbed__request_signature(csr, &der, &size, &expected);
    if (!expected) {
        return td_fail(err, TD_INVALID, "the certificate request is not signed by ECDSA with SHA-256");
    }
    return td_signature_from_der(der, size, signature, err);
}

td_code td_x509_read_request(const char *pem, size_t size, uint8_t public_key_out[TD_P256_PUBLIC_SIZE],
                             char common_name_out[65], td_err *err)
{
    TD_CLEANUP(td_free_text) char *text = NULL;
    TD_TRY(terminated(pem, size, "the certificate request", &text, err));
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    uint8_t signature[TD_SIGNATURE_SIZE];
    uint8_t digest[TD_DIGEST_SIZE] = {0};
    char name[65];
    mbedtls_x509_csr csr;
    td_mbed__lock();
    mbedtls_x509_csr_init(&csr);
    td_code code = check_request(&csr, text, public_key, name, signature, err);
    if (code == TD_OK) {
        td_sha256_of(csr.cri.p, csr.cri.len, digest);
    }
    mbedtls_x509_csr_free(&csr);
    td_mbed__unlock();
    TD_TRY(code);
    code = td_p256_verify_digest(public_key, digest, signature, err);
    if (code != TD_OK) {
        return td_fail(err, code, "the certificate request of \"%s\" is not signed with its own key", name);
    }
    memcpy(public_key_out, public_key, sizeof public_key);
    memcpy(common_name_out, name, sizeof name);
    return TD_OK;
}

static td_code read_time(const mbedtls_x509_time *time, int64_t *out, td_err *err)
{
    char text[96];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", time->year, time->mon, time->day, time->hour,
             time->min, time->sec);
    return td_parse_time(text, out, err);
}

static td_code read_facts(mbedtls_x509_crt *cert, const char *pem, td_x509_facts *out, td_err *err)
{
    int result = mbedtls_x509_crt_parse(cert, (const unsigned char *)pem, strlen(pem) + 1);
    if (cert->raw.p == NULL) { /* a positive result only means that a later certificate is bad */
        return td_mbed__fail(err, TD_INVALID, result, "not a certificate in PEM");
    }
    TD_TRY(td_mbed__public_of(&cert->pk, out->public_key, err));
    TD_TRY(read_common_name(&cert->subject, "the certificate", out->common_name, err));
    if (cert->serial.len > sizeof out->serial) {
        return td_fail(err, TD_INVALID, "the certificate's serial number has %zu bytes; 20 are allowed",
                       cert->serial.len);
    }
    memcpy(out->serial, cert->serial.p, cert->serial.len);
    out->serial_size = cert->serial.len;
    TD_TRY(read_time(&cert->valid_from, &out->not_before_ms, err));
    return read_time(&cert->valid_to, &out->not_after_ms, err);
}

td_code td_x509_read(const char *pem, size_t size, td_x509_facts *out, td_err *err)
{
    TD_CLEANUP(td_free_text) char *text = NULL;
    TD_TRY(terminated(pem, size, "the certificate", &text, err));
    td_x509_facts facts = {.serial_size = 0};
    mbedtls_x509_crt cert;
    td_mbed__lock();
    mbedtls_x509_crt_init(&cert);
    td_code code = read_facts(&cert, text, &facts, err);
    mbedtls_x509_crt_free(&cert);
    td_mbed__unlock();
    TD_TRY(code);
    *out = facts;
    return TD_OK;
}
