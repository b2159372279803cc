/*
 * idempotency_store.c: the table of keys.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/idempotency.h"

#include <string.h>

void td_idempotent_answer_done(td_idempotent_answer *answer)
{
    td_str_done(&answer->location);
    td_str_done(&answer->body);
}

td_code td_idempotency_key_check(const char *key, td_err *err)
{
    size_t length = strnlen(key, TD_IDEMPOTENCY_KEY_MAX + 1);
    bool good = length > 0 && length <= TD_IDEMPOTENCY_KEY_MAX;
    for (size_t i = 0; good && i < length; i++) {
        good = key[i] > 0x20 && key[i] < 0x7f;
    }
    return good ? TD_OK
                : td_fail(err, TD_INVALID, "Idempotency-Key: expected 1 to %d printable characters without a space",
                          TD_IDEMPOTENCY_KEY_MAX);
}

static td_code read_answer(td_stmt *stmt, const td_idempotent *request, td_idempotent_answer *out, td_err *err)
{
    size_t size;
    const void *digest = td_column_blob(stmt, "request_digest", &size);
    if (size != TD_DIGEST_SIZE || memcmp(digest, request->request_digest, TD_DIGEST_SIZE) != 0) {
        return td_fail(err, TD_CONFLICT,
                       "Idempotency-Key %.60s was used within a day for another request; choose a new one",
                       request->key);
    }
    td_idempotent_answer answer = {.status = (int)td_column_int(stmt, "status")};
    const char *location = td_column_text(stmt, "location");
    td_str_add(&answer.location, location ? location : "");
    const void *body = td_column_blob(stmt, "body", &size);
    td_str_append(&answer.body, body, size);
    td_code code = td_str_check(&answer.location, err);
    code = code == TD_OK ? td_str_check(&answer.body, err) : code;
    if (code != TD_OK) {
        td_idempotent_answer_done(&answer);
        return code;
    }
    *out = answer;
    return TD_OK;
}

td_code td_idempotency_find(td_db *db, const td_idempotent *request, td_idempotent_answer *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT request_digest, status, location, body FROM idempotency_key "
                         "WHERE actor = :actor AND key = :key AND created_ms > :since",
                         &stmt, err));
    td_bind_text(stmt, ":actor", request->actor);
    td_bind_text(stmt, ":key", request->key);
    td_bind_int(stmt, ":since", td_db_now_ms(db) - TD_IDEMPOTENCY_KEEP_MS);
    TD_TRY(td_step_one(stmt, err, "Idempotency-Key %.60s is new", request->key));
    td_code code = read_answer(stmt, request, out, err);
    td_reset(stmt);
    return code;
}

static td_code check_room(td_db *db, const char *actor, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT count(*) AS n FROM idempotency_key WHERE actor = :actor", &stmt, err));
    td_bind_text(stmt, ":actor", actor);
    TD_TRY(td_step_one(stmt, err, "no count of keys"));
    int64_t count = td_column_int(stmt, "n");
    td_reset(stmt);
    return count < TD_IDEMPOTENCY_KEYS_MAX
               ? TD_OK
               : td_fail(err, TD_LIMIT, "%s has used %d idempotency keys within a day; go on without, or tomorrow",
                         actor, TD_IDEMPOTENCY_KEYS_MAX);
}

td_code td_idempotency_keep(td_db *db, const td_idempotent *request, int status, const char *location,
                            const td_str *body, td_err *err)
{
    if (body->size > TD_IDEMPOTENCY_BODY_MAX) {
        return td_fail(err, TD_LIMIT, "Idempotency-Key: the answer is longer than %d bytes; send it without a key",
                       TD_IDEMPOTENCY_BODY_MAX);
    }
    TD_TRY(check_room(db, request->actor, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO idempotency_key (actor, key, request_digest, status, location, body, created_ms) "
                         "VALUES (:actor, :key, :digest, :status, :location, :body, :now) "
                         "ON CONFLICT (actor, key) DO UPDATE SET request_digest = excluded.request_digest, "
                         "status = excluded.status, location = excluded.location, body = excluded.body, "
                         "created_ms = excluded.created_ms",
                         &stmt, err)); /* a row in the way is older than a day: nobody finds it any more */
    td_bind_text(stmt, ":actor", request->actor);
    td_bind_text(stmt, ":key", request->key);
    td_bind_blob(stmt, ":digest", request->request_digest, TD_DIGEST_SIZE);
    td_bind_int(stmt, ":status", status);
    td_bind_text(stmt, ":location", location);
    td_bind_blob(stmt, ":body", body->size ? body->data : "", body->size);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

td_code td_idempotency_purge(td_db *db, int64_t rows, bool *more_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "DELETE FROM idempotency_key WHERE (actor, key) IN (SELECT actor, key FROM idempotency_key "
                         "WHERE created_ms <= :until ORDER BY created_ms LIMIT :rows)",
                         &stmt, err));
    td_bind_int(stmt, ":until", td_db_now_ms(db) - TD_IDEMPOTENCY_KEEP_MS);
    td_bind_int(stmt, ":rows", rows);
    TD_TRY(td_run(stmt, err));
    *more_out = td_db_changes(db) >= rows;
    return TD_OK;
}
