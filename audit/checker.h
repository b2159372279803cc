/*
 * checker.h: one pass over the log, record by record, in constant memory: what both verifiers share.
 *
 * Private to audit. No code is shared with the writer but hashing and the shape of a leaf.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_CHECKER_H
#define TD_AUDIT_CHECKER_H

#include "audit/internal.h"
#include "audit/past.h"
#include "audit/record_view.h"
#include "audit/verify.h"

typedef struct td_rules td_rules;
/* `checks` is borrowed. */
TD_MUST_USE td_code td_rules_new(td_audit_checks *checks, td_rules **out, td_err *err);
void td_rules_free(td_rules **rules);
/* The record's own claims against those before it. CORRUPT. */
TD_MUST_USE td_code td_rules_follow(td_rules *rules, int64_t seq, td_record_view *record, td_err *err);
void td_rules_erased(td_rules *rules, int64_t seq);
/* CORRUPT: a body is missing and no erase.record names it. */
TD_MUST_USE td_code td_rules_finish(const td_rules *rules, td_err *err);

/* ---- checks.c ---- */

/* The next thing to be checked; when it passed, td_audit__passed. */
void td_audit__check(td_audit_checks *checks, td_audit_check check);
void td_audit__passed(td_audit_checks *checks, td_audit_check check);
/* The checkpoint against the policy of the options, if there is one. vkey: the log's key, or NULL. */
TD_MUST_USE td_code td_audit__judge(td_audit_checks *checks, const td_audit_verify_options *options, const char *vkey,
                                    const td_str *note, td_err *err);

/* An older checkpoint of an earlier origin. */
typedef struct td_checker_past {
    const char *note; /* borrowed */
    td_log_root root;
    bool fits;    /* the tree of its size had its root */
    bool settled; /* a resume.log told its key */
} td_checker_past;

typedef struct td_checker {
    td_merkle_range range;
    td_rules *rules;
    const uint8_t *submitter; /* verify signatures with it; NULL: do not */
    int64_t signed_end;       /* those of the leaves before this one have been */
    const uint8_t *key_hash;  /* of the submitter that every leaf must name; NULL: not known */
    td_log_root older[TD_AUDIT_OLDER_MAX]; /* by size */
    size_t older_count, older_at;          /* those before older_at were met */
    td_checker_past past[TD_AUDIT_OLDER_MAX];
    size_t past_count;
    td_merkle_visit visit;    /* told of the tree's nodes as they are recomputed, or NULL */
    void *visit_context;
    const td_audit_verify_options *options;
    int64_t next;    /* number of the next record */
    int64_t time_ms; /* of the last record that told one */
    td_audit_checks *checks; /* the caller's, or own */
    td_audit_checks own;
    td_audit_verdict verdict;
} td_checker;

/* `options` is borrowed. */
TD_MUST_USE td_code td_checker_init(td_checker *checker, const td_audit_verify_options *options, td_err *err);
void td_checker_done(td_checker *checker); /* TD_CLEANUP */
/* The next record; body NULL: erased; leaf NULL: not in the tree yet. */
TD_MUST_USE td_code td_checker_take(td_checker *checker, const char *body, size_t size, const uint8_t *leaf,
                                    td_err *err);
/* The whole tree against a signed root. */
TD_MUST_USE td_code td_checker_root(const td_checker *checker, const td_log_root *root, td_err *err);
TD_MUST_USE td_code td_checker_finish(td_checker *checker, td_err *err);

/* ---- checker_past.c ---- */

/* *out: it is of another origin than vkey's (NULL: none is known) and was taken. */
TD_MUST_USE td_code td_checker__past_add(td_checker *checker, const char *note, const char *vkey, bool *out,
                                         td_err *err);
void td_checker__past_meet(td_checker *checker); /* after each leaf */
TD_MUST_USE td_code td_checker__past_take(td_checker *checker, td_record_view *record, td_err *err);
TD_MUST_USE td_code td_checker__past_finish(const td_checker *checker, td_err *err);

#endif
