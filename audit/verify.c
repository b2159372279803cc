/*
 * verify.c: an export, verified with the server switched off.
 *
 * When the leaves do not add up to the signed root, a second pass checks each leaf's own signature, to name the
 * record. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/checker.h"
#include "audit/export.h"
#include "audit/leaf.h"
#include "audit/verify_memory.h"

#include <string.h>

typedef struct source {
    const char *path;
    const void *data;
    size_t size;
} source;

/* The signatures of a whole file of leaves at once. One that is not good is left to the checker, who names it in its
 * turn. */
static void verify_ahead(const td_export_reader *reader, const uint8_t *leaf, td_checker *checker)
{
    if (checker->submitter != NULL && checker->next % TD_EXPORT_CHUNK == 0) {
        checker->signed_end = checker->next + (int64_t)td_leaf_verify_many(leaf, td_export_leaves_ahead(reader),
                                                                           checker->submitter);
    }
}

static td_code take_all(td_export_reader *reader, td_checker *checker, td_err *err)
{
    for (;;) {
        bool more = false;
        const char *body = NULL;
        size_t size = 0;
        const uint8_t *leaf = NULL;
        TD_TRY(td_export_next(reader, &more, &body, &size, &leaf, err));
        if (!more) {
            return TD_OK;
        }
        verify_ahead(reader, leaf, checker);
        TD_TRY(td_checker_take(checker, body, size, leaf, err));
    }
}

/* Which leaf is not the submitter's? OK: none, the culprit holds his key. */
static td_code find_forged_leaf(const source *from, td_audit_checks *checks, td_err *err)
{
    TD_CLEANUP(td_export_close) td_export_reader *reader = NULL;
    TD_CLEANUP(td_checker_done) td_checker checker;
    td_audit_verify_options plain = {.checks = checks};
    TD_TRY(td_checker_init(&checker, &plain, err));
    TD_TRY(td_export_open(from->path, from->data, from->size, &reader, err));
    checker.submitter = td_export_head_of(reader)->submitter;
    return take_all(reader, &checker, err);
}

static td_code check_root(const source *from, const td_checker *checker, const td_log_root *root, td_err *err)
{
    td_err found = {.code = TD_OK};
    td_audit_checks checks;
    td_code code = td_checker_root(checker, root, err);
    if (code != TD_OK && find_forged_leaf(from, &checks, &found) != TD_OK) {
        *err = found;
        checker->checks->record = checks.record;
        return td_wrap(err, "the leaves do not add up to the signed checkpoint");
    }
    return code;
}

static td_code verify_whole(const source *from, const td_audit_verify_options *options, td_audit_verdict *out,
                            td_err *err)
{
    TD_CLEANUP(td_export_close) td_export_reader *reader = NULL;
    TD_CLEANUP(td_checker_done) td_checker checker = {.rules = NULL};
    td_log_root root;
    TD_TRY(td_checker_init(&checker, options, err));
    td_audit__check(checker.checks, TD_AUDIT_SIGNATURE);
    TD_TRY(td_export_open(from->path, from->data, from->size, &reader, err));
    const td_export_head *head = td_export_head_of(reader);
    const char *vkey = options->vkey != NULL ? options->vkey : head->vkey;
    TD_TRY(td_log_checkpoint_check(td_str_text(&head->checkpoint), head->checkpoint.size, vkey, &root, err));
    if (root.size != head->size) {
        return td_fail(err, TD_CORRUPT, "the export says it has %lld records, its checkpoint %lld",
                       (long long)head->size, (long long)root.size);
    }
    td_audit__passed(checker.checks, TD_AUDIT_SIGNATURE);
    TD_TRY(td_audit__judge(checker.checks, options, vkey, &head->checkpoint, err));
    td_audit__check(checker.checks, TD_AUDIT_NUMBER);
    uint8_t key_hash[TD_DIGEST_SIZE];
    td_sha256_of(head->submitter, sizeof head->submitter, key_hash);
    checker.key_hash = key_hash;
    checker.submitter = options->signatures ? head->submitter : NULL;
    TD_TRY(take_all(reader, &checker, err));
    TD_TRY(check_root(from, &checker, &root, err));
    TD_TRY(td_checker_finish(&checker, err));
    checker.verdict.root = root;
    checker.verdict.trusted =
        options->vkey != NULL || (options->demand != NULL && td_policy_logs(options->demand->policy) > 0);
    *out = checker.verdict;
    return TD_OK;
}

/* What goes wrong is named step by step, which needs an error object even if the caller has none. */
static td_code verify_source(const source *from, const td_audit_verify_options *options, td_audit_verdict *out,
                             td_err *err)
{
    td_err own = {.code = TD_OK};
    return verify_whole(from, options, out, err != NULL ? err : &own);
}

td_code td_audit_verify_export(const char *path, const td_audit_verify_options *options, td_audit_verdict *out,
                               td_err *err)
{
    source from = {.path = path};
    return verify_source(&from, options, out, err);
}

td_code td_audit_verify_memory(const void *data, size_t size, const td_audit_verify_options *options,
                               td_audit_verdict *out, td_err *err)
{
    source from = {.data = data, .size = size};
    return verify_source(&from, options, out, err);
}
