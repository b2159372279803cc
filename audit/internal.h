/*
 * internal.h: what the files of audit share: rows of the log's tables, and the building of records.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_INTERNAL_H
#define TD_AUDIT_INTERNAL_H

#include "audit/merkle.h"

#define TD_NODE_STEP 4 /* every how many levels nodes are stored */

/* --- record.c --- */
/* Appends the canonical record to out. */
td_code td_record__build(const td_audit_entry *entry, int64_t seq, int64_t at_ms, td_str *out, td_err *err);
/* The record as lists show it, from a row with seq and body; *out is owned by the caller. CORRUPT. */
td_code td_record__listed(td_stmt *stmt, json_t **out, td_err *err);
/* "record 17 (approve.version pump/3)", from what may be a forgery: anything unreadable is left out. */
void td_record__name(int64_t seq, const char *body, size_t size, char out[160]);

/* --- audit_store.c --- */
/* Told of each record in order; body is NULL once erased. */
typedef struct td_record_row {
    int64_t seq, at_ms;
    const char *project, *actor, *action, *object_type, *object_id;
    const char *body;
    size_t body_size;
    int64_t erased_by; /* seq of the erase.record, -1 */
} td_record_row;
typedef td_code (*td_record_visit)(void *context, const td_record_row *row, td_err *err);
/* Visits the records first … end - 1 in order. */
td_code td_record__each(td_db *db, int64_t first, int64_t end, td_record_visit visit, void *context, td_err *err);

/* --- log_store.c --- */
td_code td_log__size(td_db *db, int64_t *out, td_err *err);
td_code td_log__leaf(td_db *db, int64_t index, uint8_t out[TD_LOG_LEAF_SIZE], td_err *err);
td_code td_log__leaf_add(td_db *db, int64_t index, const uint8_t leaf[TD_LOG_LEAF_SIZE], td_err *err);
td_code td_log__node_add(td_db *db, int level, int64_t position, const uint8_t *hash, td_err *err);
/* A td_merkle_fetch; context is the td_db. */
td_code td_log__fetch(void *db, int level, int64_t position, uint8_t *hash_out, td_err *err);

/* --- witness_store.c --- */
/* The newest published checkpoint, with its cosignatures. NOT_FOUND. */
td_code td_log__checkpoint(td_db *db, td_log_root *root_out, td_str *note_out, td_err *err);
/* Told of each cosignature of a checkpoint; `line` is its signature line. */
typedef td_code (*td_cosignature_visit)(void *context, const uint8_t witness[TD_ED25519_PUBLIC_SIZE], int64_t time_s,
                                        const char *line, td_err *err);
td_code td_log__cosignatures(td_db *db, int64_t size, td_cosignature_visit visit, void *context, td_err *err);

#endif
