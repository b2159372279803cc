/*
 * verify_db.c: the same verification on a live database, and more: columns against bodies, stored nodes against
 * recomputed ones, every checkpoint that was ever stored.
 *
 * Stored nodes narrow a changed leaf down to sixteen records when its signature cannot (the culprit holds the key).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/checker.h"
#include "audit/leaf.h"
#include "audit/note.h"
#include "audit/past.h"
#include "audit/verify_store.h"

#include <stdio.h>
#include <string.h>

typedef struct db_check {
    td_db *db;
    const td_audit_verify_options *options;
    td_checker checker;
    td_checkpoint_row next; /* the next stored checkpoint; size -1: no more */
    int64_t last_size;      /* of the newest checkpoint that was passed */
} db_check;

static td_code check_node(void *context, int level, int64_t position, const uint8_t *hash, td_err *err)
{
    db_check *job = context;
    uint8_t stored[TD_DIGEST_SIZE];
    if (level % TD_NODE_STEP != 0) {
        return TD_OK;
    }
    td_code code = td_log__fetch(job->db, level, position, stored, err);
    if (code != TD_OK && code != TD_NOT_FOUND) {
        return code;
    }
    if (code == TD_NOT_FOUND || memcmp(stored, hash, sizeof stored) != 0) {
        long long first = (long long)(position << level);
        return td_fail(err, TD_CORRUPT,
                       "the tree's node %d/%lld does not fit the leaves of records %lld to %lld: one of "
                       "them, or the node, was changed",
                       level, (long long)position, first, first + (1LL << level) - 1);
    }
    return TD_OK;
}

/* The checkpoint whose size the tree has just reached. */
static td_code check_checkpoint(db_check *job, td_err *err)
{
    const td_checkpoint_row *row = &job->next;
    td_log_root signed_root;
    char origin[TD_LOG_ORIGIN_MAX], vkey[TD_LOG_VKEY_MAX];
    if (job->checker.range.size != row->size) {
        return TD_OK;
    }
    td_audit__check(job->checker.checks, TD_AUDIT_SIGNATURE);
    if (job->options->vkey != NULL) { /* of a time before the log was resumed: the key that it had then */
        TD_TRY(td_log__vkey_at(job->db, row->size, job->options->vkey, vkey, err));
    }
    td_code code = job->options->vkey != NULL
                       ? td_log_checkpoint_check(row->note, strlen(row->note), vkey, &signed_root, err)
                       : td_checkpoint_parse(row->note, strlen(row->note), origin, &signed_root, err);
    if (code != TD_OK) {
        return td_wrap(err, "the stored checkpoint of %lld records", (long long)row->size);
    }
    if (signed_root.size != row->size) {
        return td_fail(err, TD_CORRUPT, "the stored checkpoint of %lld records speaks of %lld", (long long)row->size,
                       (long long)signed_root.size);
    }
    job->checker.checks->count[TD_AUDIT_SIGNATURE] += job->options->vkey != NULL;
    TD_TRY(td_checker_root(&job->checker, &signed_root, err));
    job->checker.verdict.root = signed_root;
    job->last_size = row->size;
    return td_checkpoint__after(job->db, row->size, &job->next, err);
}

/* Columns serve queries; the body is what counts. A row whose columns say something else deceives whoever lists the
 * log. */
static bool columns_fit(const td_record_row *row, const td_record_view *record)
{
    char time[32];
    td_format_time(row->at_ms, time);
    return strcmp(record->time, time) == 0 && strcmp(record->project, row->project) == 0 &&
           strcmp(record->action, row->action) == 0 && strcmp(record->actor, row->actor) == 0 &&
           strcmp(record->type, row->object_type) == 0 && strcmp(record->object, row->object_id) == 0;
}

static td_code check_columns(const td_record_row *row, td_err *err)
{
    char name[160];
    if (row->body == NULL) {
        return TD_OK;
    }
    TD_CLEANUP(td_record_view_done) td_record_view record;
    TD_TRY(td_record_view_read(row->body, row->body_size, &record, err));
    if (columns_fit(row, &record)) {
        return TD_OK;
    }
    td_record__name(row->seq, row->body, row->body_size, name);
    return td_fail(err, TD_CORRUPT, "%s: the columns of its row were changed: they do not fit its body", name);
}

static td_code take_row(void *context, const td_record_row *row, td_err *err)
{
    db_check *job = context;
    uint8_t leaf[TD_LOG_LEAF_SIZE];
    job->checker.checks->record = job->checker.next;
    td_audit__check(job->checker.checks, TD_AUDIT_NUMBER);
    if (row->seq != job->checker.next) {
        return td_fail(err, TD_CORRUPT, "record %lld is missing", (long long)job->checker.next);
    }
    td_code code = td_log__leaf(job->db, row->seq, leaf, err);
    bool pending = code == TD_NOT_FOUND;
    if (code != TD_OK && !pending) {
        return code;
    }
    if (!pending && row->seq != job->checker.range.size) {
        return td_fail(err, TD_CORRUPT, "record %lld: its leaf is missing from the tree",
                       (long long)job->checker.range.size);
    }
    TD_TRY(td_checker_take(&job->checker, row->body, row->body_size, pending ? NULL : leaf, err));
    td_audit__check(job->checker.checks, TD_AUDIT_RECORD);
    TD_TRY(check_columns(row, err));
    return pending ? TD_OK : check_checkpoint(job, err);
}

/* Whatever lies beyond the last record: deleted rows, or a checkpoint that nothing stands for. */
static td_code check_tail(const db_check *job, td_err *err)
{
    int64_t leaves = 0;
    job->checker.checks->record = job->checker.next;
    td_audit__check(job->checker.checks, TD_AUDIT_NUMBER);
    TD_TRY(td_log__size(job->db, &leaves, err));
    if (leaves > job->checker.next) {
        return td_fail(err, TD_CORRUPT, "record %lld is missing: the tree has a leaf for it",
                       (long long)job->checker.next);
    }
    if (leaves != job->checker.range.size) {
        return td_fail(err, TD_CORRUPT, "record %lld: its leaf is missing from the tree",
                       (long long)job->checker.range.size);
    }
    if (job->next.size >= 0) {
        return td_fail(err, TD_CORRUPT,
                       "a checkpoint of %lld records is stored, but only %lld are in the tree: "
                       "records are missing",
                       (long long)job->next.size, (long long)leaves);
    }
    return TD_OK;
}

/* What the server hands out, against the auditor's policy. */
static td_code judge_published(const db_check *job, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_log_root root;
    if (job->options->demand == NULL) {
        return TD_OK;
    }
    td_audit__check(job->checker.checks, TD_AUDIT_QUORUM);
    TD_TRY(td_log__checkpoint(job->db, &root, &note, err));
    return td_audit__judge(job->checker.checks, job->options, job->options->vkey, &note, err);
}

static td_code verify_all(db_check *job, td_err *err)
{
    TD_TRY(judge_published(job, err));
    TD_TRY(td_checkpoint__after(job->db, 0, &job->next, err));
    TD_TRY(td_record__each(job->db, 0, INT64_MAX, take_row, job, err));
    TD_TRY(check_tail(job, err));
    TD_TRY(td_checker_finish(&job->checker, err));
    job->checker.checks->record = -1;
    td_audit__check(job->checker.checks, TD_AUDIT_ROWS);
    return job->options->then != NULL ? job->options->then(job->options->seen_context, job->db, err) : TD_OK;
}

static td_code verify_in_transaction(db_check *job, td_audit_verdict *out, td_err *err)
{
    TD_TRY(td_db_read_begin(job->db, err));
    td_code code = verify_all(job, err);
    td_db_read_end(job->db);
    td_checkpoint__done(&job->next);
    TD_TRY(code);
    job->checker.verdict.pending = job->checker.next - job->last_size;
    job->checker.verdict.trusted = job->options->vkey != NULL && job->last_size > 0;
    *out = job->checker.verdict;
    return TD_OK;
}

td_code td_audit_verify_db(td_db *db, const td_audit_verify_options *options, td_audit_verdict *out, td_err *err)
{
    db_check job = {.db = db, .options = options};
    td_err own = {.code = TD_OK};
    err = err != NULL ? err : &own; /* what goes wrong is named step by step */
    if (options->signatures && options->submitter == NULL) {
        return td_fail(err, TD_INVALID,
                       "verifying the leaves' signatures in a database needs the submitter's public key; an export "
                       "holds it: tidemark audit export, then tidemark audit verify FILE --signatures");
    }
    TD_TRY(td_checker_init(&job.checker, options, err));
    job.checker.submitter = options->signatures ? options->submitter : NULL;
    job.checker.visit = check_node;
    job.checker.visit_context = &job;
    td_code code = verify_in_transaction(&job, out, err);
    td_checker_done(&job.checker);
    return code;
}
