/*
 * checker.c: each record against its leaf, each leaf into the tree, the tree against what was signed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/checker.h"
#include "audit/leaf.h"
#include "audit/note.h"

#include <stdio.h>
#include <string.h>

/* An older checkpoint is the caller's own memory: it is believed, its signature is checked where there is a key. */
static td_code read_older(const char *text, const char *vkey, td_log_root *out, td_err *err)
{
    char origin[TD_LOG_ORIGIN_MAX];
    td_code code = vkey != NULL ? td_log_checkpoint_check(text, strlen(text), vkey, out, err)
                                : td_checkpoint_parse(text, strlen(text), origin, out, err);
    uint8_t empty[TD_DIGEST_SIZE];
    td_sha256_of("", 0, empty);
    if (code == TD_OK && out->size == 0 && memcmp(empty, out->hash, sizeof empty) != 0) {
        code = td_fail(err, TD_CORRUPT, "it speaks of no records, but its root is not the empty tree's");
    }
    return code == TD_OK ? TD_OK : td_wrap(err, "the older checkpoint");
}

/* By size, so that they are met in order. Two of one size and different roots: the log was split. */
static td_code add_older(td_checker *checker, const td_log_root *root, td_err *err)
{
    size_t at = checker->older_count;
    if (at == TD_AUDIT_OLDER_MAX) {
        return td_fail(err, TD_LIMIT, "more than %d older checkpoints were given", TD_AUDIT_OLDER_MAX);
    }
    while (at > 0 && checker->older[at - 1].size > root->size) {
        checker->older[at] = checker->older[at - 1];
        at--;
    }
    if (at > 0 && checker->older[at - 1].size == root->size &&
        memcmp(checker->older[at - 1].hash, root->hash, sizeof root->hash) != 0) {
        return td_fail(err, TD_CORRUPT,
                       "two older checkpoints of %lld records have different roots: the log showed two histories",
                       (long long)root->size);
    }
    checker->older[at] = *root;
    checker->older_count++;
    return TD_OK;
}

/* An older checkpoint that fits proves all before it, so what was rewritten lies behind the last one that did. */
static td_code check_older(td_checker *checker, td_err *err)
{
    uint8_t root[TD_DIGEST_SIZE];
    for (; checker->older_at < checker->older_count; checker->older_at++) {
        const td_log_root *older = &checker->older[checker->older_at];
        if (checker->range.size != older->size) {
            return TD_OK;
        }
        td_audit__check(checker->checks, TD_AUDIT_OLDER);
        td_merkle_root(&checker->range, root);
        if (memcmp(root, older->hash, sizeof root) != 0) {
            int64_t proven = checker->older_at > 0 ? checker->older[checker->older_at - 1].size : 0;
            return td_fail(err, TD_CORRUPT,
                           "the first %lld records are not those of the older checkpoint: history was rewritten, in "
                           "records %lld to %lld",
                           (long long)older->size, (long long)proven, (long long)older->size - 1);
        }
        td_audit__passed(checker->checks, TD_AUDIT_OLDER);
    }
    return TD_OK;
}

td_code td_checker_init(td_checker *checker, const td_audit_verify_options *options, td_err *err)
{
    memset(checker, 0, sizeof *checker);
    checker->checks = options->checks != NULL ? options->checks : &checker->own;
    *checker->checks = (td_audit_checks){.now = TD_AUDIT_OLDER, .record = -1, .set_back_at = -1};
    checker->options = options;
    for (size_t i = 0; options->older != NULL && options->older[i] != NULL; i++) {
        td_log_root root;
        bool past = false;
        TD_TRY(td_checker__past_add(checker, options->older[i], options->vkey, &past, err));
        if (past) {
            continue;
        }
        TD_TRY(read_older(options->older[i], options->vkey, &root, err));
        TD_TRY(add_older(checker, &root, err));
    }
    td_checker__past_meet(checker);
    TD_TRY(check_older(checker, err)); /* one of no records is met at once */
    return td_rules_new(checker->checks, &checker->rules, err);
}

void td_checker_done(td_checker *checker)
{
    td_rules_free(&checker->rules);
}

static td_code name_record(const td_checker *checker, const char *body, size_t size, td_err *err)
{
    char name[160];
    td_record__name(checker->next, body, size, name);
    return td_wrap(err, "%s", name);
}

static td_code take_leaf(td_checker *checker, const char *body, size_t size, const uint8_t *leaf, td_err *err)
{
    uint8_t hash[TD_DIGEST_SIZE];
    td_audit__check(checker->checks, TD_AUDIT_RECORD);
    if (body != NULL) {
        td_leaf_checksum(body, size, hash);
        if (memcmp(hash, leaf, sizeof hash) != 0) {
            return td_fail(err, TD_CORRUPT, "its text was changed: it does not fit its leaf in the log");
        }
        td_audit__passed(checker->checks, TD_AUDIT_RECORD);
    }
    td_audit__check(checker->checks, TD_AUDIT_TREE);
    if (checker->key_hash != NULL && memcmp(leaf + TD_LEAF_KEY_HASH, checker->key_hash, TD_DIGEST_SIZE) != 0) {
        return td_fail(err, TD_CORRUPT, "its leaf names another submitter's key than the log's");
    }
    if (checker->submitter != NULL && checker->next >= checker->signed_end) {
        TD_TRY(td_leaf_verify(leaf, checker->submitter, err));
    }
    td_merkle_leaf(leaf, TD_LOG_LEAF_SIZE, hash);
    td_audit__passed(checker->checks, TD_AUDIT_TREE);
    return td_merkle_append(&checker->range, hash, checker->visit, checker->visit_context, err);
}

/* A clock that was set back is told of, not refused: order is given by numbers (docs/audit.md). */
static void take_time(td_checker *checker, const char *time)
{
    int64_t at_ms = 0;
    td_audit_checks *checks = checker->checks;
    if (td_parse_time(time, &at_ms, NULL) != TD_OK) {
        return;
    }
    if (checker->time_ms > at_ms) {
        checks->clock_set_back++;
        if (checker->time_ms - at_ms > checks->set_back_ms) {
            checks->set_back_ms = checker->time_ms - at_ms;
            checks->set_back_at = checker->next;
        }
    }
    checker->time_ms = at_ms;
    td_audit__passed(checks, TD_AUDIT_TIME);
}

/* Whom the caller's function is told of. */
static bool is_awaited(const td_audit_verify_options *options, const char *action)
{
    bool awaited = options->seen != NULL && options->seen_actions == NULL;
    for (size_t i = 0; options->seen != NULL && !awaited && options->seen_actions[i] != NULL; i++) {
        awaited = strcmp(options->seen_actions[i], action) == 0;
    }
    return awaited;
}

/* What the record says is held against those before it. */
static td_code follow(td_checker *checker, td_record_view *record, td_err *err)
{
    td_audit__check(checker->checks, TD_AUDIT_OLDER);
    if (td_checker__past_take(checker, record, err) != TD_OK) {
        return name_record(checker, record->body, record->size, err);
    }
    TD_TRY(td_rules_follow(checker->rules, checker->next, record, err));
    if (is_awaited(checker->options, record->action)) {
        TD_TRY(td_record_view_tree(record, err));
        checker->options->seen(checker->options->seen_context, checker->next, record->tree);
    }
    return TD_OK;
}

/* The record's own number, form and claims. */
static td_code take_body(td_checker *checker, const char *body, size_t size, td_err *err)
{
    TD_CLEANUP(td_record_view_done) td_record_view record;
    td_audit__check(checker->checks, TD_AUDIT_NUMBER);
    if (td_record_view_read(body, size, &record, err) != TD_OK) {
        (void)td_fail(err, TD_CORRUPT, "it is not JSON, or has a key twice");
        return name_record(checker, NULL, 0, err);
    }
    if (record.v != 1 || record.seq != checker->next) {
        (void)td_fail(err, TD_CORRUPT, "it calls itself version %lld, number %lld", (long long)record.v,
                      (long long)record.seq);
        return name_record(checker, body, size, err);
    }
    td_audit__passed(checker->checks, TD_AUDIT_NUMBER);
    take_time(checker, record.time);
    if (checker->verdict.records == 0) {
        snprintf(checker->verdict.first_time, sizeof checker->verdict.first_time, "%s", record.time);
    }
    snprintf(checker->verdict.last_time, sizeof checker->verdict.last_time, "%s", record.time);
    checker->verdict.records++;
    return follow(checker, &record, err);
}

td_code td_checker_take(td_checker *checker, const char *body, size_t size, const uint8_t *leaf, td_err *err)
{
    checker->checks->record = checker->next;
    if (leaf == NULL) {
        checker->verdict.pending++;
    } else if (take_leaf(checker, body, size, leaf, err) != TD_OK) {
        return name_record(checker, body, size, err);
    }
    if (body != NULL) {
        TD_TRY(take_body(checker, body, size, err));
    } else {
        checker->verdict.erased++;
        td_rules_erased(checker->rules, checker->next);
    }
    checker->next++;
    td_checker__past_meet(checker);
    return leaf != NULL ? check_older(checker, err) : TD_OK;
}

td_code td_checker_root(const td_checker *checker, const td_log_root *root, td_err *err)
{
    uint8_t hash[TD_DIGEST_SIZE];
    td_audit__check(checker->checks, TD_AUDIT_TREE);
    td_merkle_root(&checker->range, hash);
    if (checker->range.size != root->size || memcmp(hash, root->hash, sizeof hash) != 0) {
        return td_fail(err, TD_CORRUPT,
                       "the %lld leaves do not add up to the signed checkpoint of %lld: a leaf was changed",
                       (long long)checker->range.size, (long long)root->size);
    }
    return TD_OK;
}

td_code td_checker_finish(td_checker *checker, td_err *err)
{
    checker->checks->record = -1;
    td_audit__check(checker->checks, TD_AUDIT_OLDER);
    TD_TRY(td_checker__past_finish(checker, err));
    if (checker->older_at < checker->older_count) {
        checker->checks->record = checker->range.size;
        return td_fail(err, TD_CORRUPT,
                       "the log has %lld records, fewer than the %lld of the older checkpoint: record %lld and those "
                       "behind it are missing",
                       (long long)checker->range.size, (long long)checker->older[checker->older_count - 1].size,
                       (long long)checker->range.size);
    }
    return td_rules_finish(checker->rules, err);
}
