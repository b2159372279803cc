/*
 * tile_store.c: a tile's bytes out of the rows of leaves and nodes.
 *
 * Nodes are stored at every fourth level, so those of levels 8, 16, … that tiles are made of are rows. The hashes of
 * leaves are computed. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"
#include "audit/tile.h"

static void add_leaf(const td_tile *tile, const uint8_t *leaf, td_str *out)
{
    static const uint8_t length[] = {TD_LOG_LEAF_SIZE >> 8, TD_LOG_LEAF_SIZE & 0xff};
    uint8_t hash[TD_DIGEST_SIZE];
    if (tile->entries) {
        td_str_append(out, length, sizeof length);
        td_str_append(out, leaf, TD_LOG_LEAF_SIZE);
    } else {
        td_merkle_leaf(leaf, TD_LOG_LEAF_SIZE, hash);
        td_str_append(out, hash, sizeof hash);
    }
}

static td_code prepare(td_db *db, const td_tile *tile, td_stmt **out, td_err *err)
{
    if (tile->level > 0) {
        TD_TRY(td_db_prepare(db,
                             "SELECT hash AS bytes FROM log_node WHERE level = :level AND position >= :first AND "
                             "position < :end ORDER BY position",
                             out, err));
        td_bind_int(*out, ":level", 8 * tile->level);
    } else {
        TD_TRY(td_db_prepare(
            db, "SELECT leaf AS bytes FROM log_leaf WHERE seq >= :first AND seq < :end ORDER BY seq", out, err));
    }
    int64_t first = tile->position * TD_TILE_WIDTH;
    td_bind_int(*out, ":first", first);
    td_bind_int(*out, ":end", first + tile->width);
    return TD_OK;
}

static td_code read_rows(td_db *db, const td_tile *tile, td_str *out, td_err *err)
{
    td_stmt *stmt;
    bool row = true;
    int count = 0;
    size_t wanted = tile->level > 0 ? TD_DIGEST_SIZE : TD_LOG_LEAF_SIZE;
    TD_TRY(prepare(db, tile, &stmt, err));
    for (;; count++) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        size_t size = 0;
        const uint8_t *bytes = td_column_blob(stmt, "bytes", &size);
        if (bytes == NULL || size != wanted) {
            td_reset(stmt);
            return td_fail(err, TD_CORRUPT, "a row of the log's tree has %zu bytes, not %zu", size, wanted);
        }
        if (tile->level > 0) {
            td_str_append(out, bytes, size);
        } else {
            add_leaf(tile, bytes, out);
        }
    }
    td_reset(stmt);
    return count == tile->width
               ? td_str_check(out, err)
               : td_fail(err, TD_CORRUPT, "the log's tree lacks %d of the %d rows of a tile of level %d",
                         tile->width - count, tile->width, tile->level);
}

td_code td_tile_read(td_db *db, const td_tile *tile, td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_log_root root = {.size = 0};
    td_code found = td_log__checkpoint(db, &root, &note, err);
    if (found != TD_OK && found != TD_NOT_FOUND) {
        return found;
    }
    int64_t nodes = root.size >> (8 * tile->level); /* complete ones of this level */
    if (tile->position > nodes / TD_TILE_WIDTH || nodes - tile->position * TD_TILE_WIDTH < tile->width) {
        return td_fail(err, TD_NOT_FOUND, "the log's newest checkpoint, of %lld records, does not cover such a tile",
                       (long long)root.size);
    }
    return read_rows(db, tile, out, err);
}
