/*
 * enrol_code.c: see enrol_code.h. The commitment: the first 16 bytes of SHA-256(SHA-256(CA certificate, DER) ‖
 * SHA-256(keyset)).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/enrol_code.h"

#include "core/base/str.h"
#include "core/crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

#define CODE_SIZE (TD_CODE_SECRET_SIZE + TD_CODE_DIGEST_SIZE)
#define CODE_LETTERS ((CODE_SIZE * 8 + 4) / 5) /* 42 */
#define PEM_MAX ((size_t)16384)

static int letter_value(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

td_code td_enrol_code_parse(const char *text, td_enrol_secret *out, td_err *err)
{
    uint8_t bytes[CODE_SIZE + 1] = {0};
    size_t letters = 0;
    for (const char *at = text; *at != 0; at++) {
        if (*at == '-' || *at == ' ') {
            continue;
        }
        int value = letter_value(*at);
        if (value < 0) {
            return td_fail(err, TD_INVALID, "enrolment code: character %zu is none of A to Z and 2 to 7",
                           (size_t)(at - text) + 1);
        }
        if (letters == CODE_LETTERS) {
            return td_fail(err, TD_INVALID, "enrolment code: more than %d letters", CODE_LETTERS);
        }
        size_t bit = letters * 5;
        unsigned wide = (unsigned)value << (11 - bit % 8);
        bytes[bit / 8] |= (uint8_t)(wide >> 8);
        bytes[bit / 8 + 1] |= (uint8_t)wide;
        letters++;
    }
    if (letters != CODE_LETTERS) {
        return td_fail(err, TD_INVALID, "enrolment code: %zu letters, expected %d; copy it whole", letters,
                       CODE_LETTERS);
    }
    if (bytes[CODE_SIZE] != 0) {
        return td_fail(err, TD_INVALID, "enrolment code: the last letter cannot be right; copy it again");
    }
    memcpy(out->secret, bytes, sizeof out->secret);
    memcpy(out->digest, bytes + TD_CODE_SECRET_SIZE, sizeof out->digest);
    return TD_OK;
}

static void free_bytes(uint8_t **bytes)
{
    free(*bytes);
}

/* The bytes of the first certificate. */
static td_code decode_pem(const char *pem, uint8_t *der, size_t room, size_t *size_out, td_err *err)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    const char *from = strstr(pem, begin);
    const char *to = from != NULL ? strstr(from, end) : NULL;
    TD_CLEANUP(td_str_done) td_str text = {.limit = PEM_MAX};
    if (to == NULL) {
        return td_fail(err, TD_INVALID, "the server's CA is not a PEM certificate");
    }
    for (const char *at = from + sizeof begin - 1; at < to; at++) {
        if (*at != '\n' && *at != '\r') {
            td_str_add_char(&text, *at);
        }
    }
    TD_TRY(td_str_check(&text, err));
    return td_base64_decode(td_str_text(&text), text.size, der, room, size_out, err);
}

td_code td_enrol_code_check(const td_enrol_secret *code, const char *ca_pem, const void *keyset, size_t keyset_size,
                            td_err *err)
{
    uint8_t both[2 * TD_DIGEST_SIZE], digest[TD_DIGEST_SIZE];
    size_t size = 0;
    TD_CLEANUP(free_bytes) uint8_t *der = malloc(PEM_MAX);
    if (der == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a certificate");
    }
    TD_TRY(decode_pem(ca_pem, der, PEM_MAX, &size, err));
    td_sha256_of(der, size, both);
    td_sha256_of(keyset, keyset_size, both + TD_DIGEST_SIZE);
    td_sha256_of(both, sizeof both, digest);
    if (!td_equal_secret(digest, code->digest, sizeof code->digest)) {
        return td_fail(err, TD_DENIED,
                       "the code is not of this server: its certificate or keyset is another; "
                       "check --server, or somebody stands in between");
    }
    return TD_OK;
}
