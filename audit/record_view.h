/*
 * record_view.h: what verifiers look at in a record, read from its canonical bytes without a tree of them.
 *
 * A log has millions of records, and a verifier looks at ten members of each. So a scanner reads them in one pass over
 * the plain form that td_audit_append makes: keys in order, no white space, no escapes, whole numbers. Whatever is not
 * of that form is left to jansson, which decides: the scanner makes it faster, never more lenient, since what it takes
 * is JSON to jansson too, and says the same (tests/fuzz/audit/fuzz_log_record.c holds the two against each other).
 *
 * Private to audit. Threads: a view belongs to one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_RECORD_VIEW_H
#define TD_AUDIT_RECORD_VIEW_H

#include "audit/audit.h"

#define TD_RECORD_VIEW_TEXT ((size_t)1024) /* bytes of all the texts; a record with longer ones is read as a tree */

typedef struct td_record_facts {
    const char *text; /* JSON inside the body; NULL: there are none, or the record was read as a tree */
    size_t size;
    json_t *tree; /* NULL until td_record_view_facts, and if there are none */
} td_record_facts;

/* Text that is not there is "" (digest, version: NULL), numbers 0 (seq: -1). Valid as long as the body. */
typedef struct td_record_view {
    const char *body;
    size_t size;
    int64_t v, seq;
    const char *time, *action, *outcome, *project;
    const char *actor;         /* actor.id */
    const char *type, *object; /* object.type, object.id */
    const char *digest;        /* object.digest */
    const char *version;       /* links.version */
    td_record_facts before, after;
    json_t *tree; /* of the whole record, once it was made */
    char text[TD_RECORD_VIEW_TEXT];
    size_t used;
} td_record_view;

/* INVALID: the body is not JSON, or has a key twice. *out must be td_record_view_done in any case. */
TD_MUST_USE td_code td_record_view_read(const char *body, size_t size, td_record_view *out, td_err *err);
void td_record_view_done(td_record_view *view); /* TD_CLEANUP */
/* Makes before.tree and after.tree. NOMEM. */
TD_MUST_USE td_code td_record_view_facts(td_record_view *view, td_err *err);
/* Makes the tree of the whole record. NOMEM. */
TD_MUST_USE td_code td_record_view_tree(td_record_view *view, td_err *err);

/* The two ways to read, for the tests that compare them. False: the scanner leaves it to jansson. */
bool td_record_view__scan(const char *body, size_t size, td_record_view *out);
TD_MUST_USE td_code td_record_view__parse(const char *body, size_t size, td_record_view *out, td_err *err);

#endif
