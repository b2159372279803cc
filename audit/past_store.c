/*
 * past_store.c: the resumptions of a log, found among its records.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"
#include "audit/past.h"
#include "core/base/json.h"

#include <stdio.h>
#include <string.h>

/* Records that the world may have seen signed are ours for certain; what a restored copy got after it was restored is
 * not the old log's. */
td_code td_log_cut_read(td_db *db, const td_log_root *last, td_log_cut *out, td_err *err)
{
    td_stmt *stmt;
    int64_t records;
    TD_TRY(td_audit_count(db, &records, err));
    TD_TRY(td_db_prepare(db,
                         "SELECT (SELECT coalesce(max(seq), -1) FROM audit_record WHERE action = 'restore.backup') "
                         "AS restored, (SELECT coalesce(max(size), 0) FROM log_checkpoint) AS signed",
                         &stmt, err));
    TD_TRY(td_step_one(stmt, err, "no row"));
    int64_t restored = td_column_int(stmt, "restored"), stored = td_column_int(stmt, "signed");
    td_reset(stmt);
    int64_t kept = restored >= stored ? restored : records;
    *out = (td_log_cut){.kept = kept, .lost = last->size < 0 ? -1 : last->size > kept ? last->size - kept : 0};
    return TD_OK;
}

static td_code read_body(td_stmt *stmt, json_t **out, td_err *err)
{
    const char *body = td_column_text(stmt, "body");
    return body ? td_json_parse(body, strlen(body), TD_LOG_RESUME_ACTION, out, err)
                : td_fail(err, TD_CORRUPT, "the body of record %lld (" TD_LOG_RESUME_ACTION ") is missing",
                          (long long)td_column_int(stmt, "seq"));
}

/* NULL when there is none. */
static td_code newest(td_db *db, json_t **out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT seq, body FROM audit_record WHERE action = 'resume.log' ORDER BY seq DESC LIMIT 1",
                         &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    td_code code = row ? read_body(stmt, out, err) : TD_OK;
    td_reset(stmt);
    return code;
}

/* A text of "before" or "after". */
static td_code newest_vkey(td_db *db, const char *side, char out[TD_LOG_VKEY_MAX], td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *record = NULL;
    TD_TRY(newest(db, &record, err));
    const json_t *facts = json_object_get(json_object_get(record, side), "facts");
    snprintf(out, TD_LOG_VKEY_MAX, "%s", td_json_text(facts, "vkey", ""));
    return TD_OK;
}

td_code td_log_resumed_vkey(td_db *db, char out[TD_LOG_VKEY_MAX], td_err *err)
{
    return newest_vkey(db, "after", out, err);
}

td_code td_log_resumed_from(td_db *db, char out[TD_LOG_VKEY_MAX], td_err *err)
{
    return newest_vkey(db, "before", out, err);
}

td_code td_log_resumed_cut(td_db *db, td_log_cut *out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *record = NULL;
    TD_TRY(newest(db, &record, err));
    const json_t *after = json_object_get(json_object_get(record, "after"), "facts");
    *out = (td_log_cut){.kept = td_json_int(after, "kept", 0), .lost = td_json_int(after, "lost", 0)};
    return TD_OK;
}

td_code td_log__vkey_at(td_db *db, int64_t size, const char *current, char out[TD_LOG_VKEY_MAX], td_err *err)
{
    td_stmt *stmt;
    bool row;
    int64_t kept;
    TD_CLEANUP(td_json_done) json_t *record = NULL;
    TD_TRY(td_db_prepare(db,
                         "SELECT seq, body FROM audit_record WHERE action = 'resume.log' AND seq >= :size "
                         "ORDER BY seq LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":size", size);
    TD_TRY(td_step(stmt, &row, err));
    td_code code = row ? read_body(stmt, &record, err) : TD_OK;
    td_reset(stmt);
    TD_TRY(code);
    if (!row || !td_log__past_of(record, out, &kept)) {
        snprintf(out, TD_LOG_VKEY_MAX, "%s", current);
    }
    return TD_OK;
}
