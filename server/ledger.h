/*
 * ledger.h: do the rows that people are shown say what the records of the audit log say?
 *
 * The log proves that no record was changed; whoever writes into the database file can still move an alias and leave
 * the log alone. So the facts are told twice: once by the records, in their order, and once by the rows; and the two
 * must agree, in both directions. What signatures of people stand for (keysets, approvals, the manifest's bytes) is
 * verified again, and the files that versions consist of are hashed again.
 * Memory grows with the number of objects, not of records. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_LEDGER_H
#define TD_SERVER_LEDGER_H

#include "core/base/json.h"
#include "core/db/db.h"
#include "registry/content.h"

typedef struct td_ledger td_ledger;
TD_MUST_USE td_code td_ledger_new(td_ledger **out, td_err *err);
void td_ledger_free(td_ledger **ledger); /* TD_CLEANUP */

/* A td_audit_seen: told of each record in order. */
void td_ledger_follow(void *ledger, int64_t seq, const json_t *record);

typedef struct td_ledger_verdict {
    int64_t rows;      /* held against the records */
    int64_t undecided; /* rows that cannot be: the body of a record of their kind was erased */
    int64_t approvals; /* signatures of approvers over manifests that were verified */
    int64_t keysets;   /* signed by root, each by the one before */
    int64_t files;     /* of content that were hashed; 0 without content */
} td_ledger_verdict;

/* After a comparison that failed: the record that it is about, -1 when there is none. */
int64_t td_ledger_record(const td_ledger *ledger);
/* After all records were followed, on the same connection and in the same read transaction. `content` NULL: files are
 * not read. CORRUPT names the record or, where there is none, the object. */
TD_MUST_USE td_code td_ledger_compare(td_ledger *ledger, td_db *db, td_content *content, td_ledger_verdict *out,
                                      td_err *err);

#endif
