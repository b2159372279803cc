/*
 * history_store.c: one metric over time, page by page.
 *
 * A page's token is where the next one begins: time, step, value and NaN of the last point, as hexadecimal digits. It
 * goes on by the primary key, so the last page costs what the first did.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracking/internal.h"

#include <math.h>
#include <string.h>

#define TOKEN_SIZE (8 + 8 + 8 + 1)

typedef struct place {
    int64_t timestamp_ms, step;
    double value;
    int64_t nan;
} place;

/* Before all points. */
static const place start = {INT64_MIN, INT64_MIN, -(double)INFINITY, -1};

static void put64(uint8_t out[8], uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

static uint64_t get64(const uint8_t in[8])
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | in[i];
    }
    return value;
}

static void write_token(const place *at, char out[2 * TOKEN_SIZE + 1])
{
    uint8_t bytes[TOKEN_SIZE];
    uint64_t bits;
    memcpy(&bits, &at->value, sizeof bits);
    put64(bytes, (uint64_t)at->timestamp_ms);
    put64(bytes + 8, (uint64_t)at->step);
    put64(bytes + 16, bits);
    bytes[24] = (uint8_t)at->nan;
    td_hex_encode(bytes, sizeof bytes, out);
}

static td_code read_token(const char *token, place *out, td_err *err)
{
    uint8_t bytes[TOKEN_SIZE];
    place at = start;
    if (token == NULL || *token == '\0') {
        *out = at;
        return TD_OK;
    }
    if (strlen(token) != (size_t)2 * TOKEN_SIZE ||
        td_hex_decode(token, strlen(token), bytes, sizeof bytes, NULL) != TD_OK) {
        return td_fail(err, TD_INVALID, "the page_token is not one that this server gave; begin without");
    }
    uint64_t bits = get64(bytes + 16);
    at.timestamp_ms = (int64_t)get64(bytes);
    at.step = (int64_t)get64(bytes + 8);
    memcpy(&at.value, &bits, sizeof bits);
    at.nan = bytes[24] != 0;
    if (isnan(at.value)) {
        return td_fail(err, TD_INVALID, "the page_token is not one that this server gave; begin without");
    }
    *out = at;
    return TD_OK;
}

static json_t *point_json(const char *key, const char *uuid, const place *at)
{
    return json_pack("{s:s, s:o, s:I, s:I, s:s*}", "key", key, "value",
                     td_tracking__number_json(at->nan ? (double)NAN : at->value), "timestamp",
                     (json_int_t)at->timestamp_ms, "step", (json_int_t)at->step, "run_id", uuid);
}

static place read_place(td_stmt *stmt)
{
    return (place){td_column_int(stmt, "timestamp_ms"), td_column_int(stmt, "step"), td_column_real(stmt, "value"),
                   td_column_int(stmt, "nan")};
}

static td_code find_metric(td_db *db, int64_t run_id, const char *key, int64_t *metric_id_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT metric_id FROM run_metric WHERE run_id = :run AND key = :key", &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":key", key);
    TD_TRY(td_step(stmt, &row, err));
    *metric_id_out = row ? td_column_int(stmt, "metric_id") : 0;
    td_reset(stmt);
    return TD_OK;
}

static td_code open_page(td_db *db, int64_t metric_id, const place *after, td_stmt **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT timestamp_ms, step, value, nan FROM metric_point WHERE metric_id = :metric AND "
                         "(timestamp_ms, step, value, nan) > (:timestamp, :step, :value, :nan) "
                         "ORDER BY timestamp_ms, step, value, nan",
                         &stmt, err));
    td_bind_int(stmt, ":metric", metric_id);
    td_bind_int(stmt, ":timestamp", after->timestamp_ms);
    td_bind_int(stmt, ":step", after->step);
    td_bind_real(stmt, ":value", after->value);
    td_bind_int(stmt, ":nan", after->nan);
    *out = stmt;
    return TD_OK;
}

/* Appends up to `limit` points; *more_out: there are others behind *last_out. */
static td_code read_page(td_stmt *stmt, const char *key, int64_t limit, json_t *list, place *last_out, bool *more_out,
                         td_err *err)
{
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    for (; row && limit > 0; limit--) {
        *last_out = read_place(stmt);
        if (json_array_append_new(list, point_json(key, NULL, last_out)) != 0) {
            td_reset(stmt);
            return td_fail(err, TD_NOMEM, "no memory to show a metric");
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    *more_out = row;
    td_reset(stmt);
    return TD_OK;
}

td_code td_trial_history_json(td_db *db, const char *project, const char *uuid, const td_history_page *page,
                            json_t **out, td_err *err)
{
    td_tracking__run run;
    td_stmt *stmt;
    int64_t metric_id = 0;
    place at, last = start;
    bool more = false;
    TD_TRY(td_tracking__run_find(db, project, uuid, &run, err));
    TD_TRY(read_token(page->token, &at, err));
    TD_TRY(find_metric(db, run.run_id, page->key, &metric_id, err));
    TD_CLEANUP(td_json_done) json_t *answer = json_pack("{s:[]}", "metrics");
    TD_TRY(open_page(db, metric_id, &at, &stmt, err));
    TD_TRY(read_page(stmt, page->key, page->limit > 0 ? page->limit : TD_HISTORY_PAGE_MAX,
                     json_object_get(answer, "metrics"), &last, &more, err));
    if (more) {
        char token[2 * TOKEN_SIZE + 1];
        write_token(&last, token);
        if (json_object_set_new(answer, "next_page_token", json_string(token)) != 0) {
            return td_fail(err, TD_NOMEM, "no memory to show a metric");
        }
    }
    *out = json_incref(answer);
    return TD_OK;
}

/* ---- a thinned history, for curves of many runs ---- */

static td_code count_points(td_db *db, int64_t metric_id, const td_history_range *range, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT count(*) AS n FROM metric_point "
                         "WHERE metric_id = :metric AND step BETWEEN :first AND :last",
                         &stmt, err));
    td_bind_int(stmt, ":metric", metric_id);
    td_bind_int(stmt, ":first", range->first_step);
    td_bind_int(stmt, ":last", range->last_step);
    TD_TRY(td_step_one(stmt, err, "the metric is gone"));
    *out = td_column_int(stmt, "n");
    td_reset(stmt);
    return TD_OK;
}

/* Every n-th point, so that at most `limit` remain beside the last one. */
static td_code thin(td_stmt *stmt, const char *uuid, const td_history_range *range, int64_t count, json_t *list,
                    td_err *err)
{
    bool row;
    int64_t every = (count + range->limit - 1) / range->limit;
    TD_TRY(td_step(stmt, &row, err));
    for (int64_t i = 0; row; i++) {
        place at = read_place(stmt);
        bool wanted = i % every == 0 || i == count - 1;
        if (wanted && json_array_append_new(list, point_json(range->key, uuid, &at)) != 0) {
            td_reset(stmt);
            return td_fail(err, TD_NOMEM, "no memory to show a metric");
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

td_code td_trial_interval_json(td_db *db, const char *project, const char *uuid, const td_history_range *range,
                             json_t *list, td_err *err)
{
    td_tracking__run run;
    td_stmt *stmt;
    int64_t metric_id = 0, count = 0;
    TD_TRY(td_tracking__run_find(db, project, uuid, &run, err));
    TD_TRY(find_metric(db, run.run_id, range->key, &metric_id, err));
    TD_TRY(count_points(db, metric_id, range, &count, err));
    if (count == 0) {
        return TD_OK;
    }
    TD_TRY(td_db_prepare(db,
                         "SELECT timestamp_ms, step, value, nan FROM metric_point "
                         "WHERE metric_id = :metric AND step BETWEEN :first AND :last "
                         "ORDER BY timestamp_ms, step, value, nan",
                         &stmt, err));
    td_bind_int(stmt, ":metric", metric_id);
    td_bind_int(stmt, ":first", range->first_step);
    td_bind_int(stmt, ":last", range->last_step);
    return thin(stmt, uuid, range, count, list, err);
}
