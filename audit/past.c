/*
 * past.c: what a resumption of the log says, and what verifiers read out of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/past.h"

#include "audit/internal.h"
#include "audit/note.h"
#include "core/base/json.h"

#include <stdio.h>
#include <string.h>

td_code td_log_extends(td_db *db, const td_log_root *signed_root, td_err *err)
{
    int64_t size = 0;
    td_merkle_range range;
    uint8_t root[TD_DIGEST_SIZE];
    TD_TRY(td_log__size(db, &size, err));
    if (size < signed_root->size) {
        return td_fail(err, TD_CONFLICT,
                       "the log holds %lld records, but %lld were signed (an old backup or snapshot?)",
                       (long long)size, (long long)signed_root->size);
    }
    TD_TRY(td_merkle_load(signed_root->size, td_log__fetch, db, &range, err));
    td_merkle_root(&range, root);
    if (memcmp(root, signed_root->hash, sizeof root) != 0) {
        return td_fail(err, TD_CONFLICT,
                       "the log's first %lld records are not those that were signed (an old backup that went on?)",
                       (long long)signed_root->size);
    }
    return TD_OK;
}

static td_code origin_of(const char *vkey, char out[TD_LOG_ORIGIN_MAX], td_err *err)
{
    td_note_key key;
    TD_TRY(td_note_key_parse(vkey, &key, err));
    memcpy(out, key.name, sizeof key.name);
    return TD_OK;
}

static td_code before_json(const td_log_resume *resume, json_t **out, td_err *err)
{
    char origin[TD_LOG_ORIGIN_MAX], root[TD_DIGEST_TEXT] = "";
    TD_TRY(origin_of(resume->old_vkey, origin, err));
    if (resume->last.size >= 0) {
        td_hex_encode(resume->last.hash, TD_DIGEST_SIZE, root);
    }
    *out = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "origin", origin, "vkey", resume->old_vkey, "size",
                     (json_int_t)(resume->last.size >= 0 ? resume->last.size : -1), "root", root, "known_by",
                     resume->known_by, "checkpoint", resume->note ? resume->note : "");
    return *out ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the record of a resumption");
}

static td_code after_json(const td_log_resume *resume, const td_log_cut *cut, json_t **out, td_err *err)
{
    char origin[TD_LOG_ORIGIN_MAX];
    TD_TRY(origin_of(resume->new_vkey, origin, err));
    *out = json_pack("{s:s, s:s, s:I, s:I, s:s}", "origin", origin, "vkey", resume->new_vkey, "kept",
                     (json_int_t)cut->kept, "lost", (json_int_t)cut->lost, "by", resume->by);
    return *out ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the record of a resumption");
}

td_code td_log_resume_append(td_db *db, const td_log_resume *resume, td_err *err)
{
    td_log_cut cut;
    char origin[TD_LOG_ORIGIN_MAX];
    TD_CLEANUP(td_json_done) json_t *before = NULL;
    TD_CLEANUP(td_json_done) json_t *after = NULL;
    TD_TRY(td_log_cut_read(db, &resume->last, &cut, err));
    TD_TRY(before_json(resume, &before, err));
    TD_TRY(after_json(resume, &cut, &after, err));
    TD_TRY(origin_of(resume->new_vkey, origin, err));
    td_audit_entry entry = {.actor = &td_actor_system,
                            .action = TD_LOG_RESUME_ACTION,
                            .object_type = "log",
                            .object_id = origin,
                            .decision = "truncation accepted",
                            .reason = resume->reason,
                            .before = before,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

bool td_log__past_of(const json_t *record, char vkey_out[TD_LOG_VKEY_MAX], int64_t *kept_out)
{
    if (strcmp(td_json_text(record, "action", ""), TD_LOG_RESUME_ACTION) != 0) {
        return false;
    }
    const json_t *before = json_object_get(json_object_get(record, "before"), "facts");
    const json_t *after = json_object_get(json_object_get(record, "after"), "facts");
    snprintf(vkey_out, TD_LOG_VKEY_MAX, "%s", td_json_text(before, "vkey", ""));
    *kept_out = td_json_int(after, "kept", 0);
    return true;
}
