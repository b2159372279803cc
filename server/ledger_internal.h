/*
 * ledger_internal.h: facts, as "kind, key, field = text"; the records make them, the rows must meet them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_LEDGER_INTERNAL_H
#define TD_SERVER_LEDGER_INTERNAL_H

#include "core/crypto/crypto.h"
#include "server/ledger.h"

#define TD_LEDGER_KEY_MAX 1200
#define TD_LEDGER_FIELDS_MAX 16

struct td_ledger {
    json_t *facts; /* kind → key → {"_seq", "_action", "_object", "_met"?, "_may_lack"?, field: [text, seq, action] …}
                    */
    const struct td_ledger_saying *now; /* the record at hand */
    int64_t record;     /* that what failed is about; -1 */
    bool out_of_memory; /* while following */
};

/* How rows of a kind tell their facts. */
typedef struct td_ledger_kind {
    const char *name;
    const char *object_type; /* of the records that tell of it */
    const char *sql;         /* columns: key, and each field; "#x" is the SHA-256 of column x */
    const char *fields[TD_LEDGER_FIELDS_MAX];
} td_ledger_kind;

/* What a record says, as far as facts go. All text is borrowed from it. */
typedef struct td_ledger_saying {
    int64_t seq;
    const char *action, *actor, *object, *digest, *project, *reason;
    const json_t *before, *after; /* facts, or NULL: there are none, or they were too large to be kept */
} td_ledger_saying;

/* ---- ledger.c ---- */

/* The fact of that key, made if it is not there, stamped with the record. NULL: no memory. */
json_t *td_ledger__fact(td_ledger *ledger, const char *kind, const char *key, const td_ledger_saying *said);
/* Nothing is said when text is NULL. */
void td_ledger__say(td_ledger *ledger, json_t *fact, const char *field, const char *text);
void td_ledger__drop(td_ledger *ledger, const char *kind, const char *key);
json_t *td_ledger__find(const td_ledger *ledger, const char *kind, const char *key);
/* What was said of the field last; the fallback when nothing was. */
const char *td_ledger__text(const json_t *fact, const char *field, const char *fallback);

/* ---- ledger_follow.c: the table of actions ---- */

void td_ledger__apply(td_ledger *ledger, const td_ledger_saying *said);
bool td_ledger__tells(const char *action);
size_t td_ledger__action_count(void);

/* ---- ledger_edges.c ---- */

/* Edges of the lineage follow from what was said of versions and roll-outs. */
void td_ledger__edges(td_ledger *ledger);

/* ---- ledger_store.c ---- */

extern const td_ledger_kind td_ledger__kinds[]; /* a kind without name ends it */
/* A row's fields in the kind's order; text is borrowed. */
typedef td_code (*td_ledger_row)(void *context, const td_ledger_kind *kind, const char *key, const char *const *fields,
                                 td_err *err);
TD_MUST_USE td_code td_ledger__rows(td_db *db, const td_ledger_kind *kind, td_ledger_row visit, void *context,
                                    td_err *err);
/* Was the body of a record about such objects erased? */
TD_MUST_USE td_code td_ledger__erased(td_db *db, const char *object_type, bool *out, td_err *err);
/* Datasets and code that a version's row names as its sources: edges that may be there, or (`must`) have to. */
typedef td_code (*td_ledger_edge)(void *context, const char *version, const char *edge, bool must, td_err *err);
TD_MUST_USE td_code td_ledger__sources(td_db *db, td_ledger_edge visit, void *context, td_err *err);

typedef struct td_ledger_keyset {
    int64_t version;
    const void *envelope; /* borrowed until the next one */
    size_t size;
} td_ledger_keyset;
typedef td_code (*td_ledger_keyset_visit)(void *context, const td_ledger_keyset *row, td_err *err);
TD_MUST_USE td_code td_ledger__keysets(td_db *db, td_ledger_keyset_visit visit, void *context, td_err *err);

typedef struct td_ledger_approval {
    const char *version, *user; /* "pump/3" */
    int64_t seq;
    const void *manifest, *key_id, *signature, *public_key; /* public_key NULL: the key is unknown */
    size_t manifest_size;
} td_ledger_approval;
typedef td_code (*td_ledger_approval_visit)(void *context, const td_ledger_approval *row, td_err *err);
TD_MUST_USE td_code td_ledger__approvals(td_db *db, td_ledger_approval_visit visit, void *context, td_err *err);

/* Each object of the content store that a version, a claim or a keyset consists of. */
typedef td_code (*td_ledger_file_visit)(void *context, const uint8_t digest[TD_DIGEST_SIZE], const char *what,
                                        td_err *err);
TD_MUST_USE td_code td_ledger__files(td_db *db, td_ledger_file_visit visit, void *context, td_err *err);

/* ---- ledger_trust.c ---- */

/* Keysets, each signed by root as the one before demands; approvals, by keys that are in one of them. */
TD_MUST_USE td_code td_ledger__trust(td_ledger *ledger, td_db *db, td_ledger_verdict *verdict, td_err *err);

#endif
