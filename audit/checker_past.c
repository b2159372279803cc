/*
 * checker_past.c: older checkpoints of an origin that the log had before it was resumed.
 *
 * Such a one is compared when the tree has its size; what the comparison is worth is known at the resume.log record,
 * which tells the old key and how many of the old records were kept.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/checker.h"
#include "audit/note.h"

#include <string.h>

td_code td_checker__past_add(td_checker *checker, const char *note, const char *vkey, bool *out, td_err *err)
{
    char origin[TD_LOG_ORIGIN_MAX];
    td_note_key key;
    td_checker_past past = {.note = note};
    *out = false;
    if (vkey == NULL || td_checkpoint_parse(note, strlen(note), origin, &past.root, NULL) != TD_OK) {
        return TD_OK; /* whoever reads it next says what is wrong with it */
    }
    TD_TRY(td_note_key_parse(vkey, &key, err));
    if (strcmp(origin, key.name) == 0) {
        return TD_OK;
    }
    if (checker->past_count == TD_AUDIT_OLDER_MAX) {
        return td_fail(err, TD_LIMIT, "more than %d older checkpoints were given", TD_AUDIT_OLDER_MAX);
    }
    checker->past[checker->past_count++] = past;
    *out = true;
    return TD_OK;
}

void td_checker__past_meet(td_checker *checker)
{
    for (size_t i = 0; i < checker->past_count; i++) {
        td_checker_past *past = &checker->past[i];
        uint8_t root[TD_DIGEST_SIZE];
        if (past->root.size == checker->range.size) {
            td_merkle_root(&checker->range, root);
            past->fits = memcmp(root, past->root.hash, sizeof root) == 0;
        }
    }
}

static td_code settle(const td_checker_past *past, const char *vkey, int64_t kept, td_err *err)
{
    td_log_root root;
    if (td_log_checkpoint_check(past->note, strlen(past->note), vkey, &root, err) != TD_OK) {
        return td_wrap(err, "the older checkpoint");
    }
    if (root.size > kept) {
        return td_fail(err, TD_CORRUPT,
                       "records %lld to %lld of the older checkpoint are lost, and the log says so: it went on without "
                       "them",
                       (long long)kept, (long long)root.size - 1);
    }
    return past->fits ? TD_OK
                      : td_fail(err, TD_CORRUPT,
                                "the first %lld records are not those of the older checkpoint: history was rewritten",
                                (long long)root.size);
}

td_code td_checker__past_take(td_checker *checker, td_record_view *record, td_err *err)
{
    char vkey[TD_LOG_VKEY_MAX], origin[TD_LOG_ORIGIN_MAX];
    int64_t kept = 0;
    td_note_key key;
    if (checker->past_count == 0 || strcmp(record->action, TD_LOG_RESUME_ACTION) != 0) {
        return TD_OK;
    }
    TD_TRY(td_record_view_tree(record, err));
    if (!td_log__past_of(record->tree, vkey, &kept)) {
        return TD_OK;
    }
    TD_TRY(td_note_key_parse(vkey, &key, err));
    for (size_t i = 0; i < checker->past_count; i++) {
        td_checker_past *past = &checker->past[i];
        td_log_root root;
        TD_TRY(td_checkpoint_parse(past->note, strlen(past->note), origin, &root, err));
        if (!past->settled && strcmp(origin, key.name) == 0) {
            TD_TRY(settle(past, vkey, kept, err));
            past->settled = true;
            td_audit__passed(checker->checks, TD_AUDIT_OLDER);
        }
    }
    return TD_OK;
}

td_code td_checker__past_finish(const td_checker *checker, td_err *err)
{
    for (size_t i = 0; i < checker->past_count; i++) {
        const char *note = checker->past[i].note;
        if (!checker->past[i].settled) {
            return td_fail(err, TD_CORRUPT,
                           "the older checkpoint is of the log %.*s, not of this one or one that it went on from",
                           (int)strcspn(note, "\n"), note);
        }
    }
    return TD_OK;
}
