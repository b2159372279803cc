/*
 * erase_store.c: taking a body out of the log without breaking the tree.
 *
 * The leaf keeps the body's digest, so the tree still verifies; the erasure is itself a record that names the erased
 * one. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"

#include <stdio.h>

/* *after_out: what kind of record it is; the rest is what shall be forgotten. */
static td_code check_erasable(td_db *db, int64_t seq, json_t **after_out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *record = NULL;
    TD_CLEANUP(td_str_done) td_str body = {0};
    TD_TRY(td_audit_record(db, seq, &body, err));
    int64_t size = 0;
    TD_TRY(td_log__size(db, &size, err));
    if (seq >= size) {
        return td_fail(err, TD_CONFLICT, "record %lld is not in the tree yet; try again in a second", (long long)seq);
    }
    TD_TRY(td_json_parse(body.data, body.size, "record", &record, err));
    *after_out = json_pack("{s:s}", "action", td_json_text(record, "action", ""));
    return *after_out != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the record of an erasure");
}

static td_code note_erasure(td_db *db, int64_t seq, int64_t by_seq, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "INSERT INTO audit_erasure (seq, by_seq) VALUES (:seq, :by)", &stmt, err));
    td_bind_int(stmt, ":seq", seq);
    td_bind_int(stmt, ":by", by_seq);
    return td_run(stmt, err);
}

td_code td_audit_erase(td_db *db, int64_t seq, const td_actor *actor, const char *reason, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *after = NULL;
    TD_TRY(check_erasable(db, seq, &after, err));
    char id[24];
    snprintf(id, sizeof id, "%lld", (long long)seq);
    td_audit_entry entry = {.actor = actor,
                            .action = "erase.record",
                            .object_type = "record",
                            .object_id = id,
                            .reason = reason,
                            .after = after};
    int64_t by_seq = 0;
    TD_TRY(td_audit_append(db, &entry, &by_seq, err));
    TD_TRY(note_erasure(db, seq, by_seq, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE audit_record SET body = NULL, actor = '', object_id = '' WHERE seq = :seq",
                         &stmt, err));
    td_bind_int(stmt, ":seq", seq);
    return td_run(stmt, err);
}
