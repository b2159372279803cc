/*
 * log_store.c: leaves, nodes and checkpoints in the database.
 *
 * Nodes are stored every fourth level only (a fifteenth of a row a leaf); those between are computed from at most
 * eight stored ones, which costs a proof little and the writer nothing. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"

#include <string.h>

td_code td_log__size(td_db *db, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT coalesce(max(seq), -1) + 1 AS size FROM log_leaf", &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    *out = td_column_int(stmt, "size");
    td_reset(stmt);
    return TD_OK;
}

td_code td_log__leaf(td_db *db, int64_t index, uint8_t out[TD_LOG_LEAF_SIZE], td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT leaf FROM log_leaf WHERE seq = :seq", &stmt, err));
    td_bind_int(stmt, ":seq", index);
    TD_TRY(td_step_one(stmt, err, "the log's tree has no leaf %lld", (long long)index));
    size_t size = 0;
    const void *leaf = td_column_blob(stmt, "leaf", &size);
    bool good = leaf != NULL && size == TD_LOG_LEAF_SIZE;
    if (good) {
        memcpy(out, leaf, TD_LOG_LEAF_SIZE);
    }
    td_reset(stmt);
    return good ? TD_OK
                : td_fail(err, TD_CORRUPT, "leaf %lld of the log has %zu bytes, not 128", (long long)index, size);
}

td_code td_log__leaf_add(td_db *db, int64_t index, const uint8_t leaf[TD_LOG_LEAF_SIZE], td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "INSERT INTO log_leaf (seq, leaf) VALUES (:seq, :leaf)", &stmt, err));
    td_bind_int(stmt, ":seq", index);
    td_bind_blob(stmt, ":leaf", leaf, TD_LOG_LEAF_SIZE);
    return td_run(stmt, err);
}

td_code td_log__node_add(td_db *db, int level, int64_t position, const uint8_t *hash, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "INSERT INTO log_node (level, position, hash) VALUES (:level, :position, :hash)", &stmt,
                         err));
    td_bind_int(stmt, ":level", level);
    td_bind_int(stmt, ":position", position);
    td_bind_blob(stmt, ":hash", hash, TD_DIGEST_SIZE);
    return td_run(stmt, err);
}

static td_code read_node(td_db *db, int level, int64_t position, uint8_t *hash_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT hash FROM log_node WHERE level = :level AND position = :position", &stmt, err));
    td_bind_int(stmt, ":level", level);
    td_bind_int(stmt, ":position", position);
    TD_TRY(td_step_one(stmt, err, "the log's tree lacks node %d/%lld", level, (long long)position));
    size_t size = 0;
    const void *hash = td_column_blob(stmt, "hash", &size);
    bool good = hash != NULL && size == TD_DIGEST_SIZE;
    if (good) {
        memcpy(hash_out, hash, TD_DIGEST_SIZE);
    }
    td_reset(stmt);
    return good ? TD_OK
                : td_fail(err, TD_CORRUPT, "node %d/%lld of the log has %zu bytes", level, (long long)position, size);
}

td_code td_log__fetch(void *context, int level, int64_t position, uint8_t *hash_out, td_err *err)
{
    td_db *db = context;
    if (level == 0) {
        uint8_t leaf[TD_LOG_LEAF_SIZE];
        TD_TRY(td_log__leaf(db, position, leaf, err));
        td_merkle_leaf(leaf, sizeof leaf, hash_out);
        return TD_OK;
    }
    if (level % TD_NODE_STEP == 0) {
        return read_node(db, level, position, hash_out, err);
    }
    uint8_t left[TD_DIGEST_SIZE];
    uint8_t right[TD_DIGEST_SIZE];
    TD_TRY(td_log__fetch(db, level - 1, 2 * position, left, err)); /* at most three deep */
    TD_TRY(td_log__fetch(db, level - 1, 2 * position + 1, right, err));
    td_merkle_node(left, right, hash_out);
    return TD_OK;
}
