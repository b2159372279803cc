/*
 * enrol.c: what enrolment computes: the digest that a code carries, the code's text, the certificate.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/enrol_internal.h"

#include <string.h>

#define VALIDITY_DEFAULT_MS ((int64_t)3650 * 24 * 3600 * 1000)
#define DAY_MS ((int64_t)24 * 3600 * 1000)
#define CERTIFICATE_MAX 8192

static td_code certificate_der(const char *pem, uint8_t *der, size_t *size, td_err *err)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    const char *from = strstr(pem, begin);
    const char *to = from != NULL ? strstr(from, end) : NULL;
    if (to == NULL) {
        return td_fail(err, TD_INVALID, "the CA certificate is no PEM");
    }
    TD_CLEANUP(td_str_done) td_str body = {.limit = 2 * CERTIFICATE_MAX};
    for (const char *at = from + sizeof begin - 1; at < to; at++) {
        if (*at != '\n' && *at != '\r') {
            td_str_add_char(&body, *at);
        }
    }
    TD_TRY(td_str_check(&body, err));
    return td_base64_decode(td_str_text(&body), body.size, der, CERTIFICATE_MAX, size, err);
}

td_code td_enrol_trust_digest(const char *ca_pem, const void *keyset, size_t keyset_size,
                              uint8_t out[TD_ENROL_DIGEST_SIZE], td_err *err)
{
    uint8_t der[CERTIFICATE_MAX];
    size_t size = 0;
    TD_TRY(certificate_der(ca_pem, der, &size, err));
    uint8_t both[2 * TD_DIGEST_SIZE], digest[TD_DIGEST_SIZE];
    td_sha256_of(der, size, both);
    td_sha256_of(keyset, keyset_size, both + TD_DIGEST_SIZE);
    td_sha256_of(both, sizeof both, digest);
    memcpy(out, digest, TD_ENROL_DIGEST_SIZE);
    return TD_OK;
}

/* RFC 4648 §6 without padding, in groups of four. */
void td_enrol__code_text(const uint8_t secret[TD_ENROL_SECRET_SIZE], const uint8_t digest[TD_ENROL_DIGEST_SIZE],
                         char out[TD_ENROL_CODE_TEXT])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t bytes[TD_ENROL_SECRET_SIZE + TD_ENROL_DIGEST_SIZE];
    memcpy(bytes, secret, TD_ENROL_SECRET_SIZE);
    memcpy(bytes + TD_ENROL_SECRET_SIZE, digest, TD_ENROL_DIGEST_SIZE);
    size_t symbols = (8 * sizeof bytes + 4) / 5, at = 0;
    for (size_t i = 0; i < symbols; i++) {
        if (i > 0 && i % 4 == 0) {
            out[at++] = '-';
        }
        unsigned value = 0;
        for (size_t bit = 5 * i; bit < 5 * i + 5; bit++) {
            unsigned b = bit < 8 * sizeof bytes ? (bytes[bit / 8] >> (7 - bit % 8)) & 1u : 0;
            value = value << 1 | b;
        }
        out[at++] = alphabet[value];
    }
    out[at] = '\0';
    td_wipe(bytes, sizeof bytes);
}

void td_enrol_grant_done(td_enrol_grant *grant)
{
    td_str_done(&grant->certificate_pem);
    td_wipe(grant->uplink_key, sizeof grant->uplink_key);
}

td_code td_enrol_certify(const td_enrol_request *request, const td_enrol_authority *authority, int64_t now_ms,
                         td_enrol_grant *out, td_err *err)
{
    TD_TRY(td_device_check_name(request->device, err));
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    char common_name[65];
    TD_TRY(td_x509_read_request(request->csr_pem, request->csr_size, public_key, common_name, err));
    if (strcmp(common_name, request->device) != 0) {
        return td_fail(err, TD_INVALID,
                       "the certificate request is for \"%.64s\", but the device proposes \"%s\": they must "
                       "be the same",
                       common_name, request->device);
    }
    int64_t validity = authority->validity_ms > 0 ? authority->validity_ms : VALIDITY_DEFAULT_MS;
    td_x509_leaf leaf = {
        .common_name = request->device, .not_before_ms = now_ms - DAY_MS, .not_after_ms = now_ms + validity};
    TD_CLEANUP(td_enrol_grant_done) td_enrol_grant grant = {.not_after_ms = leaf.not_after_ms};
    TD_TRY(td_x509_issue(authority->ca_key, authority->ca_pem, public_key, &leaf, &grant.certificate_pem, grant.serial,
                         err));
    TD_TRY(td_random(grant.uplink_key, sizeof grant.uplink_key, err));
    *out = grant;
    grant = (td_enrol_grant){0};
    return TD_OK;
}
