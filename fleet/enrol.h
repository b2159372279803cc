/*
 * enrol.h: how a new device gets in: once, with a code, with a key that never leaves it.
 *
 * A code's text is base32 of a 10-byte secret and 16 bytes that commit to the workspace's CA and keyset, so that the
 * device can tell the right server from a wrong one before it says anything. The database keeps only the secret's
 * SHA-256.
 *
 * Order in the server: td_enrol_check on a reading connection (cheap refusal), td_enrol_certify (signs; no database),
 * then td_enrol_device in a writer's closure (which checks everything again and spends the code).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_ENROL_H
#define TD_FLEET_ENROL_H

#include "audit/audit.h"
#include "core/db/list.h"
#include "core/crypto/x509.h"
#include "fleet/device.h"

#define TD_ENROL_SECRET_SIZE 10
#define TD_ENROL_DIGEST_SIZE 16
#define TD_ENROL_CODES_MAX 1000 /* codes of one call */
#define TD_ENROL_TTL_MAX_MS ((int64_t)365 * 24 * 3600 * 1000)
#define TD_UPLINK_KEY_SIZE 32

/* First 16 bytes of SHA-256(SHA-256(CA certificate, DER) ‖ SHA-256(keyset's SignedMessage bytes)). INVALID: no PEM. */
TD_MUST_USE td_code td_enrol_trust_digest(const char *ca_pem, const void *keyset, size_t keyset_size,
                                          uint8_t out[TD_ENROL_DIGEST_SIZE], td_err *err);

typedef struct td_enrol_code_options {
    const char *project; /* NULL: "default" */
    int64_t count;       /* 1 … TD_ENROL_CODES_MAX */
    const json_t *tags;  /* {key: text} that every device of these codes gets, or NULL */
    int64_t ttl_ms;      /* from now; 0: 7 days */
    int64_t uses;        /* devices a code may let in; 0: 1 */
    uint8_t trust_digest[TD_ENROL_DIGEST_SIZE];
} td_enrol_code_options;

/* {"codes":["ABCD-…", …],"expires_at":…,"uses":n}: the only time that their text exists. */
TD_MUST_USE td_code td_enrol_code_create(td_db *db, const td_actor *actor, const td_enrol_code_options *options,
                                         json_t **out, td_err *err);
/* {"codes":[{"id","created_at","expires_at","uses","used","tags","created_by"}],"next_cursor"?}, newest first, or as
 * the page says. INVALID, LIMIT. */
TD_MUST_USE td_code td_enrol_code_list_json(td_db *db, const char *project, const td_page *page, json_t **out,
                                            td_err *err);

typedef struct td_enrol_request {
    uint8_t secret[TD_ENROL_SECRET_SIZE];
    const char *device;  /* the identifier that it proposes */
    const char *csr_pem; /* its common name is the same identifier */
    size_t csr_size;
    const char *hardware;   /* "" if unknown */
    const json_t *runtimes; /* array of text or NULL */
    const json_t *tags;     /* of its own; the code's tags win; or NULL */
} td_enrol_request;

typedef struct td_enrol_authority {
    const td_key *ca_key;
    const char *ca_pem;
    int64_t validity_ms; /* of the device's certificate; 0: 10 years */
} td_enrol_authority;

/* What the device gets. A zeroed one is valid; free with td_enrol_grant_done, which wipes the key. */
typedef struct td_enrol_grant {
    td_str certificate_pem;
    uint8_t serial[16];
    int64_t not_after_ms;
    uint8_t uplink_key[TD_UPLINK_KEY_SIZE];
} td_enrol_grant;
void td_enrol_grant_done(td_enrol_grant *grant);

/* DENIED: unknown, spent or expired code (each with its own text). CONFLICT: the identifier is taken. INVALID: its
 * form. */
TD_MUST_USE td_code td_enrol_check(td_db *db, const td_enrol_request *request, td_err *err);
/* Checks the request's signature and common name, issues the certificate (now_ms: its start is a day before), draws the
 * uplink key. */
TD_MUST_USE td_code td_enrol_certify(const td_enrol_request *request, const td_enrol_authority *authority,
                                     int64_t now_ms, td_enrol_grant *out, td_err *err);
/* Spends the code and writes the device. Call td_uplink_keys_load after the commit. Errors as td_enrol_check. */
TD_MUST_USE td_code td_enrol_device(td_db *db, const td_enrol_request *request, const td_enrol_grant *grant,
                                    td_err *err);

#endif
