/*
 * x509_make.c: certificates and requests, written by mbedTLS.
 *
 * What mbedTLS writes only in some versions (extended key usage, alternative names) is put together here as DER, so
 * that one text serves 2.28 and 3.6. SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/mbed.h"
#include "core/crypto/x509.h"

#include "core/base/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/oid.h>

#define PEM_ROOM 4096
#define SAN_ROOM 1024
#define CA_BEGIN "19700101000000"
#define CA_END "99991231235959"

/* Names go into mbedTLS' "CN=…" text, whose escapes differ between versions: so only characters that need none. */
static td_code check_common_name(const char *name, td_err *err)
{
    size_t length = strlen(name);
    size_t good = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ._:-");
    if (length == 0 || length > 64 || good != length || name[0] == ' ' || name[length - 1] == ' ') {
        return td_fail(err, TD_INVALID,
                       "a certificate's name has 1 to 64 letters, digits, spaces or any of \"._:-\", not \"%.64s\"",
                       name);
    }
    return TD_OK;
}

static td_code format_x509_time(int64_t wall_ms, char out[16], td_err *err)
{
    char text[32];
    td_format_time(wall_ms, text);
    unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    if (wall_ms < 0 || sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2uZ", &year, &month, &day, &hour, &minute, &second) != 6) {
        return td_fail(err, TD_INVALID, "a certificate's time lies outside 1970 to 9999");
    }
    char wide[64];
    snprintf(wide, sizeof wide, "%04u%02u%02u%02u%02u%02u", year, month, day, hour, minute, second);
    memcpy(out, wide, 14);
    out[14] = '\0';
    return TD_OK;
}

typedef struct san {
    uint8_t data[SAN_ROOM];
    size_t size;
    bool full;
} san;

static void san_put(san *names, uint8_t tag, const void *value, size_t size)
{
    if (size > 127 || names->size + size + 2 > sizeof names->data - 4) { /* 4: the sequence's own head */
        names->full = true;
        return;
    }
    names->data[names->size++] = tag;
    names->data[names->size++] = (uint8_t)size;
    memcpy(names->data + names->size, value, size);
    names->size += size;
}

static void san_put_address(san *names, const char *text)
{
    uint8_t address[16];
    if (inet_pton(AF_INET, text, address) == 1) {
        san_put(names, 0x87, address, 4);
    } else if (inet_pton(AF_INET6, text, address) == 1) {
        san_put(names, 0x87, address, 16);
    } else {
        names->full = true;
    }
}

/* SEQUENCE around the names; the head is moved in front. */
static void san_close(san *names)
{
    uint8_t head[4] = {0x30};
    size_t head_size = 2;
    if (names->size < 128) {
        head[1] = (uint8_t)names->size;
    } else {
        head[1] = 0x82;
        head[2] = (uint8_t)(names->size >> 8);
        head[3] = (uint8_t)names->size;
        head_size = 4;
        if (names->size < 256) {
            head[1] = 0x81;
            head[2] = (uint8_t)names->size;
            head_size = 3;
        }
    }
    memmove(names->data + head_size, names->data, names->size);
    memcpy(names->data, head, head_size);
    names->size += head_size;
}

static td_code add_names(mbedtls_x509write_cert *cert, const td_x509_leaf *leaf, td_err *err)
{
    san names = {.size = 0};
    for (const char *const *name = leaf->dns_names; name != NULL && *name != NULL; name++) {
        san_put(&names, 0x82, *name, strlen(*name));
    }
    for (const char *const *address = leaf->ip_addresses; address != NULL && *address != NULL; address++) {
        san_put_address(&names, *address);
    }
    if (names.full) {
        return td_fail(err, TD_INVALID,
                       "the alternative names of certificate \"%s\" are too long, or hold a bad IP address",
                       leaf->common_name);
    }
    if (names.size == 0) {
        return TD_OK;
    }
    san_close(&names);
    int result = mbedtls_x509write_crt_set_extension(cert, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                                     MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0, names.data,
                                                     names.size);
    return result == 0 ? TD_OK : td_mbed__fail(err, TD_NOMEM, result, "writing a certificate's alternative names");
}

static int add_extended_usage(mbedtls_x509write_cert *cert, bool server)
{
    /* SEQUENCE { id-kp-serverAuth | id-kp-clientAuth } */
    uint8_t usage[] = {0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, server ? 0x01 : 0x02};
    return mbedtls_x509write_crt_set_extension(cert, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                               MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0, usage,
                                               sizeof usage);
}

/* A random positive serial of exactly 16 bytes (top bit clear, not zero). */
static td_code make_serial(uint8_t serial[16], td_err *err)
{
    TD_TRY(td_random(serial, 16, err));
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
    return TD_OK;
}

static td_code write_cert_pem(mbedtls_x509write_cert *cert, td_str *out, td_err *err)
{
    unsigned char pem[PEM_ROOM];
    int result = mbedtls_x509write_crt_pem(cert, pem, sizeof pem, td_mbed__random, NULL);
    if (result != 0) {
        return td_mbed__fail(err, TD_INVALID, result, "writing a certificate");
    }
    td_str_add(out, (const char *)pem);
    return td_str_check(out, err);
}

static td_code build_ca(mbedtls_x509write_cert *cert, mbedtls_pk_context *pk, const td_key *key, const char *subject,
                        td_str *out, td_err *err)
{
    uint8_t serial[16];
    TD_TRY(make_serial(serial, err));
    TD_TRY(td_mbed__load_private(pk, key, err));
    mbedtls_x509write_crt_set_version(cert, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(cert, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(cert, pk);
    mbedtls_x509write_crt_set_issuer_key(cert, pk);
    int result = td_mbed__set_serial(cert, serial, sizeof serial);
    result = result != 0 ? result : mbedtls_x509write_crt_set_subject_name(cert, subject);
    result = result != 0 ? result : mbedtls_x509write_crt_set_issuer_name(cert, subject);
    result = result != 0 ? result : mbedtls_x509write_crt_set_validity(cert, CA_BEGIN, CA_END);
    result = result != 0 ? result : mbedtls_x509write_crt_set_basic_constraints(cert, 1, 0);
    result =
        result != 0
            ? result
            : mbedtls_x509write_crt_set_key_usage(cert, MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN);
    result = result != 0 ? result : mbedtls_x509write_crt_set_subject_key_identifier(cert);
    result = result != 0 ? result : mbedtls_x509write_crt_set_authority_key_identifier(cert);
    return result == 0 ? write_cert_pem(cert, out, err)
                       : td_mbed__fail(err, TD_INVALID, result, "making a CA certificate");
}

td_code td_x509_make_ca(const td_key *key, const char *common_name, td_str *pem_out, td_err *err)
{
    TD_TRY(check_common_name(common_name, err));
    char subject[80];
    snprintf(subject, sizeof subject, "CN=%s", common_name);
    mbedtls_x509write_cert cert;
    mbedtls_pk_context pk;
    td_mbed__lock();
    mbedtls_x509write_crt_init(&cert);
    mbedtls_pk_init(&pk);
    td_code code = build_ca(&cert, &pk, key, subject, pem_out, err);
    mbedtls_x509write_crt_free(&cert);
    mbedtls_pk_free(&pk);
    td_mbed__unlock();
    return code;
}

/* What issuing needs while it holds the lock. */
typedef struct issue {
    mbedtls_x509write_cert cert;
    mbedtls_x509_crt ca;
    mbedtls_pk_context ca_key, subject_key;
    char issuer[256];
    char subject[80];
    char begin[16], end[16];
    uint8_t serial[16];
    const td_key *with_key;
    const char *with_certificate;
    const uint8_t *public_key;
    const td_x509_leaf *leaf;
} issue;

static td_code load_issuer(issue *job, td_err *err)
{
    const char *ca_pem = job->with_certificate;
    int result = mbedtls_x509_crt_parse(&job->ca, (const unsigned char *)ca_pem, strlen(ca_pem) + 1);
    if (result != 0) {
        return td_mbed__fail(err, TD_INVALID, result, "reading the CA certificate");
    }
    TD_TRY(td_mbed__load_private(&job->ca_key, job->with_key, err));
    uint8_t in_certificate[TD_P256_PUBLIC_SIZE];
    uint8_t of_key[TD_P256_PUBLIC_SIZE];
    TD_TRY(td_mbed__public_of(&job->ca.pk, in_certificate, err));
    (void)td_key_public(job->with_key, of_key);
    if (memcmp(in_certificate, of_key, sizeof of_key) != 0) {
        return td_fail(err, TD_INVALID, "the CA certificate does not belong to the CA key");
    }
    result = mbedtls_x509_dn_gets(job->issuer, sizeof job->issuer, &job->ca.subject);
    return result > 0 ? TD_OK : td_mbed__fail(err, TD_INVALID, result, "reading the CA certificate's name");
}

static td_code fill_leaf(issue *job, td_err *err)
{
    mbedtls_x509write_cert *cert = &job->cert;
    mbedtls_x509write_crt_set_version(cert, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(cert, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(cert, &job->subject_key);
    mbedtls_x509write_crt_set_issuer_key(cert, &job->ca_key);
    int result = td_mbed__set_serial(cert, job->serial, sizeof job->serial);
    result = result != 0 ? result : mbedtls_x509write_crt_set_subject_name(cert, job->subject);
    result = result != 0 ? result : mbedtls_x509write_crt_set_issuer_name(cert, job->issuer);
    result = result != 0 ? result : mbedtls_x509write_crt_set_validity(cert, job->begin, job->end);
    result = result != 0 ? result : mbedtls_x509write_crt_set_basic_constraints(cert, 0, -1);
    result = result != 0 ? result : mbedtls_x509write_crt_set_key_usage(cert, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    result = result != 0 ? result : add_extended_usage(cert, job->leaf->server);
    result = result != 0 ? result : mbedtls_x509write_crt_set_subject_key_identifier(cert);
    result = result != 0 ? result : mbedtls_x509write_crt_set_authority_key_identifier(cert);
    return result == 0 ? add_names(cert, job->leaf, err)
                       : td_mbed__fail(err, TD_INVALID, result, "making a certificate");
}

/* mbedTLS rewrites the issuer's name from text; a CA of another maker may come out with other bytes, and no chain. */
static td_code check_issuer_bytes(issue *job, const char *pem, td_err *err)
{
    mbedtls_x509_crt made;
    mbedtls_x509_crt_init(&made);
    int result = mbedtls_x509_crt_parse(&made, (const unsigned char *)pem, strlen(pem) + 1);
    bool same = result == 0 && made.issuer_raw.len == job->ca.subject_raw.len &&
                memcmp(made.issuer_raw.p, job->ca.subject_raw.p, made.issuer_raw.len) == 0;
    mbedtls_x509_crt_free(&made);
    return same ? TD_OK
                : td_fail(err, TD_INVALID,
                          "the CA certificate's name (%s) cannot be repeated byte for byte; use a CA made by "
                          "`tidemark init`",
                          job->issuer);
}

static td_code issue_locked(issue *job, td_str *out, td_err *err)
{
    TD_TRY(load_issuer(job, err));
    TD_TRY(td_mbed__load_public(&job->subject_key, job->public_key, err));
    TD_TRY(fill_leaf(job, err));
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_TRY(write_cert_pem(&job->cert, &pem, err));
    TD_TRY(check_issuer_bytes(job, td_str_text(&pem), err));
    td_str_append(out, pem.data, pem.size);
    return td_str_check(out, err);
}

static td_code issue_checked(issue *job, td_str *out, td_err *err)
{
    td_mbed__lock();
    mbedtls_x509write_crt_init(&job->cert);
    mbedtls_x509_crt_init(&job->ca);
    mbedtls_pk_init(&job->ca_key);
    mbedtls_pk_init(&job->subject_key);
    td_code code = issue_locked(job, out, err);
    mbedtls_x509write_crt_free(&job->cert);
    mbedtls_x509_crt_free(&job->ca);
    mbedtls_pk_free(&job->ca_key);
    mbedtls_pk_free(&job->subject_key);
    td_mbed__unlock();
    return code;
}

td_code td_x509_issue(const td_key *ca_key, const char *ca_pem, const uint8_t *public_key, const td_x509_leaf *leaf,
                      td_str *pem_out, uint8_t serial_out[16], td_err *err)
{
    issue job = {.with_key = ca_key, .with_certificate = ca_pem, .public_key = public_key, .leaf = leaf};
    TD_TRY(check_common_name(leaf->common_name, err));
    snprintf(job.subject, sizeof job.subject, "CN=%s", leaf->common_name);
    if (leaf->not_before_ms > leaf->not_after_ms) {
        return td_fail(err, TD_INVALID, "certificate \"%s\" would end before it begins", leaf->common_name);
    }
    TD_TRY(format_x509_time(leaf->not_before_ms, job.begin, err));
    TD_TRY(format_x509_time(leaf->not_after_ms, job.end, err));
    TD_TRY(make_serial(job.serial, err));
    TD_TRY(issue_checked(&job, pem_out, err));
    memcpy(serial_out, job.serial, sizeof job.serial);
    return TD_OK;
}

static td_code request_locked(mbedtls_x509write_csr *csr, mbedtls_pk_context *pk, const td_key *key,
                              const char *subject, td_str *out, td_err *err)
{
    TD_TRY(td_mbed__load_private(pk, key, err));
    mbedtls_x509write_csr_set_md_alg(csr, MBEDTLS_MD_SHA256);
    mbedtls_x509write_csr_set_key(csr, pk);
    unsigned char pem[PEM_ROOM];
    int result = mbedtls_x509write_csr_set_subject_name(csr, subject);
    result = result != 0 ? result : mbedtls_x509write_csr_pem(csr, pem, sizeof pem, td_mbed__random, NULL);
    if (result != 0) {
        return td_mbed__fail(err, TD_INVALID, result, "writing a certificate request");
    }
    td_str_add(out, (const char *)pem);
    return td_str_check(out, err);
}

td_code td_x509_make_request(const td_key *key, const char *common_name, td_str *pem_out, td_err *err)
{
    TD_TRY(check_common_name(common_name, err));
    char subject[80];
    snprintf(subject, sizeof subject, "CN=%s", common_name);
    mbedtls_x509write_csr csr;
    mbedtls_pk_context pk;
    td_mbed__lock();
    mbedtls_x509write_csr_init(&csr);
    mbedtls_pk_init(&pk);
    td_code code = request_locked(&csr, &pk, key, subject, pem_out, err);
    mbedtls_x509write_csr_free(&csr);
    mbedtls_pk_free(&pk);
    td_mbed__unlock();
    return code;
}
