/*
 * idempotency.h: what was answered to a create, kept for a day under the key that its sender chose.
 *
 * The row is written in the transaction that creates, so a key stands for exactly one created thing, also after a
 * crash. Answers that hold a secret are never given here.
 * Threads: where the connection lives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_ACCESS_IDEMPOTENCY_H
#define TD_ACCESS_IDEMPOTENCY_H

#include "core/base/str.h"
#include "core/crypto/crypto.h"
#include "core/db/db.h"

#define TD_IDEMPOTENCY_KEY_MAX 128     /* characters */
#define TD_IDEMPOTENCY_KEYS_MAX 10000  /* of one user within a day */
#define TD_IDEMPOTENCY_BODY_MAX 262144 /* bytes of an answer */
#define TD_IDEMPOTENCY_KEEP_MS ((int64_t)24 * 3600 * 1000)

typedef struct td_idempotent {
    const char *actor, *key;
    uint8_t request_digest[TD_DIGEST_SIZE];
} td_idempotent;

typedef struct td_idempotent_answer {
    int status;
    td_str location, body;
} td_idempotent_answer;

void td_idempotent_answer_done(td_idempotent_answer *answer); /* TD_CLEANUP */

/* INVALID: not 1 to 128 printable ASCII characters without a space. */
TD_MUST_USE td_code td_idempotency_key_check(const char *key, td_err *err);
/* NOT_FOUND: a new key; CONFLICT: it was used for another request. */
TD_MUST_USE td_code td_idempotency_find(td_db *db, const td_idempotent *request, td_idempotent_answer *out,
                                        td_err *err);
/* `location` may be NULL. LIMIT: too many keys within a day, or too long an answer. */
TD_MUST_USE td_code td_idempotency_keep(td_db *db, const td_idempotent *request, int status, const char *location,
                                        const td_str *body, td_err *err);
/* Deletes at most `rows` that are older than TD_IDEMPOTENCY_KEEP_MS; *more_out: there may be others. */
TD_MUST_USE td_code td_idempotency_purge(td_db *db, int64_t rows, bool *more_out, td_err *err);

#endif
