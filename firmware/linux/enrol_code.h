/*
 * enrol_code.h: one-time enrolment codes: base32 (RFC 4648, no padding) of a 10-byte secret and 16 bytes that commit to
 * the server's CA certificate and keyset, in groups of four by '-'.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_ENROL_CODE_H
#define TD_FIRMWARE_LINUX_ENROL_CODE_H

#include "core/base/err.h"

#define TD_CODE_SECRET_SIZE 10
#define TD_CODE_DIGEST_SIZE 16

typedef struct td_enrol_secret {
    uint8_t secret[TD_CODE_SECRET_SIZE];
    uint8_t digest[TD_CODE_DIGEST_SIZE];
} td_enrol_secret;

/* Takes either case, '-' and spaces anywhere. INVALID: a character that base32 lacks (0, 1, 8, 9), too short or long,
 * stray bits at the end. */
TD_MUST_USE td_code td_enrol_code_parse(const char *text, td_enrol_secret *out, td_err *err);
/* Whether this CA (PEM) and keyset are those of the code. DENIED: another server. INVALID: no certificate. */
TD_MUST_USE td_code td_enrol_code_check(const td_enrol_secret *code, const char *ca_pem, const void *keyset,
                                        size_t keyset_size, td_err *err);

#endif
