/*
 * sequencer.c: committed records become leaves of the tree, in their order.
 *
 * Signing leaves is the slow part, so it runs on a reading connection; storing them is one short transaction that
 * checks that the tree still ends where the batch begins. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"
#include "audit/leaf.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_MAX ((size_t)4096) /* leaves; 512 KiB */

struct td_log_batch {
    int64_t first;
    size_t count, room;
    const td_key *submitter;
    uint8_t (*leaves)[TD_LOG_LEAF_SIZE];
};

void td_log_batch_free(td_log_batch **batch)
{
    if (batch != NULL && *batch != NULL) {
        free((*batch)->leaves);
        free(*batch);
        *batch = NULL;
    }
}

size_t td_log_batch_count(const td_log_batch *batch)
{
    return batch->count;
}

static td_code make_leaf(void *context, const td_record_row *row, td_err *err)
{
    td_log_batch *batch = context;
    if (row->seq != batch->first + (int64_t)batch->count || row->body == NULL || batch->count == batch->room) {
        return td_fail(err, TD_CORRUPT, "record %lld of the log is missing or was erased before it entered the tree",
                       (long long)(batch->first + (int64_t)batch->count));
    }
    TD_TRY(td_leaf_make(batch->submitter, row->body, row->body_size, batch->leaves[batch->count], err));
    batch->count++;
    return TD_OK;
}

static td_code fill_batch(td_db *db, td_log_batch *batch, size_t limit, td_err *err)
{
    int64_t records = 0;
    TD_TRY(td_log__size(db, &batch->first, err));
    TD_TRY(td_audit_count(db, &records, err));
    if (records < batch->first) {
        return td_fail(err, TD_CORRUPT, "the log's tree has %lld leaves but only %lld records are there",
                       (long long)batch->first, (long long)records);
    }
    size_t waiting = (size_t)(records - batch->first);
    batch->room = waiting < limit ? waiting : limit;
    batch->leaves = calloc(batch->room > 0 ? batch->room : 1, TD_LOG_LEAF_SIZE);
    if (batch->leaves == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for %zu leaves of the log", batch->room);
    }
    return td_record__each(db, batch->first, batch->first + (int64_t)batch->room, make_leaf, batch, err);
}

td_code td_log_batch_read(td_db *db, const td_key *submitter, size_t limit, td_log_batch **out, td_err *err)
{
    TD_CLEANUP(td_log_batch_free) td_log_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the log's sequencer");
    }
    batch->submitter = submitter;
    TD_TRY(fill_batch(db, batch, limit < BATCH_MAX ? limit : BATCH_MAX, err));
    *out = batch;
    batch = NULL;
    return TD_OK;
}

static td_code store_node(void *context, int level, int64_t position, const uint8_t *hash, td_err *err)
{
    return level % TD_NODE_STEP == 0 ? td_log__node_add(context, level, position, hash, err) : TD_OK;
}

td_code td_log_batch_store(td_db *db, const td_log_batch *batch, td_err *err)
{
    int64_t size = 0;
    td_merkle_range range;
    if (batch->count == 0) {
        return TD_OK;
    }
    TD_TRY(td_log__size(db, &size, err));
    if (size != batch->first) {
        return td_fail(err, TD_CONFLICT, "the log's tree has %lld leaves, and the batch begins at %lld",
                       (long long)size, (long long)batch->first);
    }
    TD_TRY(td_merkle_load(size, td_log__fetch, db, &range, err));
    for (size_t i = 0; i < batch->count; i++) {
        uint8_t hash[TD_DIGEST_SIZE];
        TD_TRY(td_log__leaf_add(db, range.size, batch->leaves[i], err));
        td_merkle_leaf(batch->leaves[i], TD_LOG_LEAF_SIZE, hash);
        TD_TRY(td_merkle_append(&range, hash, store_node, db, err));
    }
    return TD_OK;
}

td_code td_log_sequence(td_db *db, const td_key *submitter, td_log_root *root_out, td_err *err)
{
    for (size_t count = BATCH_MAX; count == BATCH_MAX;) {
        TD_CLEANUP(td_log_batch_free) td_log_batch *batch = NULL;
        TD_TRY(td_log_batch_read(db, submitter, BATCH_MAX, &batch, err));
        TD_TRY(td_log_batch_store(db, batch, err));
        count = batch->count;
    }
    return root_out != NULL ? td_log_root_read(db, root_out, err) : TD_OK;
}

td_code td_log_root_read(td_db *db, td_log_root *out, td_err *err)
{
    td_log_root root;
    td_merkle_range range;
    TD_TRY(td_log__size(db, &root.size, err));
    TD_TRY(td_merkle_load(root.size, td_log__fetch, db, &range, err));
    td_merkle_root(&range, root.hash);
    *out = root;
    return TD_OK;
}
