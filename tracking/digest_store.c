/*
 * digest_store.c: one digest over all that a run logged, for the record of its end.
 *
 * Lines "kind\tkey\tvalue…\n" in a fixed order go into one SHA-256: parameters, tags, the latest of each metric, and
 * the tree of artifacts. Numbers are written with 17 digits, so equal doubles give equal text. The history of metrics
 * counts by the number of its points only: reading it all at the end would hold up the writer.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/content.h"
#include "tracking/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void hash_line(td_sha256 *hash, const char *kind, const char *key, const char *value)
{
    td_sha256_update(hash, kind, strlen(kind) + 1);
    td_sha256_update(hash, key, strlen(key) + 1);
    td_sha256_update(hash, value, strlen(value) + 1);
}

static td_code hash_pairs(td_stmt *stmt, const char *kind, td_sha256 *hash, int64_t *count, td_err *err)
{
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        hash_line(hash, kind, td_column_text(stmt, "key"), td_column_text(stmt, "value"));
        (*count)++;
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

static td_code hash_metrics(td_db *db, int64_t run_id, td_sha256 *hash, int64_t *count, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT key, value, step, timestamp_ms FROM run_metric WHERE run_id = :run ORDER BY key",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        char text[96];
        double value = td_column_null(stmt, "value") ? (double)NAN : td_column_real(stmt, "value");
        snprintf(text, sizeof text, "%.17g %lld %lld", value, (long long)td_column_int(stmt, "step"),
                 (long long)td_column_int(stmt, "timestamp_ms"));
        hash_line(hash, "metric", td_column_text(stmt, "key"), text);
        (*count)++;
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

td_code td_tracking__run_digest_json(td_db *db, int64_t run_id, json_t **out, td_err *err)
{
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    td_stmt *stmt;
    int64_t params = 0, tags = 0, metrics = 0, files = 0;
    uint8_t tree[TD_DIGEST_SIZE], digest[TD_DIGEST_SIZE];
    char label[TD_DIGEST_LABEL_SIZE];
    TD_TRY(td_sha256_new(&hash, err));
    TD_TRY(td_db_prepare(db, "SELECT key, value FROM run_param WHERE run_id = :run ORDER BY key", &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    TD_TRY(hash_pairs(stmt, "param", hash, &params, err));
    TD_TRY(td_db_prepare(db, "SELECT key, value FROM run_tag WHERE run_id = :run ORDER BY key", &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    TD_TRY(hash_pairs(stmt, "tag", hash, &tags, err));
    TD_TRY(hash_metrics(db, run_id, hash, &metrics, err));
    TD_TRY(td_tracking__tree_digest(db, run_id, 0, tree, &files, err));
    td_sha256_update(hash, tree, sizeof tree);
    td_sha256_final(hash, digest);
    td_digest_format(digest, label);
    json_t *json = json_pack("{s:s, s:I, s:I, s:I, s:I}", "digest", label, "params", (json_int_t)params, "tags",
                             (json_int_t)tags, "metrics", (json_int_t)metrics, "artifacts", (json_int_t)files);
    if (json == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the audit record");
    }
    *out = json;
    return TD_OK;
}
