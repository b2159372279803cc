/*
 * log_store.c: what a run logs as it goes: points of metrics, parameters, tags.
 *
 * The latest point of a metric, by step, then time, then value, is kept beside its name, so that lists and searches
 * never read a history. The same point again is no error: clients repeat a request whose answer they did not see.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracking/internal.h"

#include <math.h>
#include <string.h>

typedef struct point {
    const char *key;
    double value; /* NAN for what is not a number */
    int64_t timestamp_ms, step;
    const char *model_id, *dataset_name, *dataset_digest; /* or "" */
} point;

/* ---- reading ---- */

static td_code read_number(const json_t *metric, const char *key, double *out, td_err *err)
{
    const json_t *value = json_object_get(metric, "value");
    const char *text = json_string_value(value);
    if (json_is_number(value)) {
        *out = json_number_value(value);
    } else if (text != NULL && strcmp(text, "NaN") == 0) {
        *out = (double)NAN;
    } else if (text != NULL && strcmp(text, "Infinity") == 0) {
        *out = (double)INFINITY;
    } else if (text != NULL && strcmp(text, "-Infinity") == 0) {
        *out = -(double)INFINITY;
    } else {
        return td_fail(err, TD_INVALID,
                       "the value of metric \"%.*s\" must be a number, or \"NaN\", \"Infinity\" or \"-Infinity\"",
                       TD_TRACKING_MESSAGE_TEXT, key);
    }
    return TD_OK;
}

/* A whole number as JSON number or decimal text; absent: the fallback. */
static td_code read_whole(const json_t *metric, const char *name, int64_t fallback, int64_t *out, td_err *err)
{
    const json_t *value = json_object_get(metric, name);
    if (json_is_string(value)) {
        return td_parse_int(json_string_value(value), name, INT64_MIN, INT64_MAX, out, err);
    }
    if (value != NULL && !json_is_integer(value) && !json_is_null(value)) {
        return td_fail(err, TD_INVALID, "the %s of a metric must be a whole number", name);
    }
    *out = json_is_integer(value) ? json_integer_value(value) : fallback;
    return TD_OK;
}

static td_code read_point(td_db *db, const json_t *metric, point *out, td_err *err)
{
    point p = {.key = json_string_value(json_object_get(metric, "key")),
               .model_id = td_json_text(metric, "model_id", ""),
               .dataset_name = td_json_text(metric, "dataset_name", ""),
               .dataset_digest = td_json_text(metric, "dataset_digest", "")};
    TD_TRY(td_tracking__name_check("metric's key", p.key, TD_TRIAL_KEY_MAX, err));
    TD_TRY(read_number(metric, p.key, &p.value, err));
    TD_TRY(read_whole(metric, "timestamp", td_db_now_ms(db), &p.timestamp_ms, err));
    TD_TRY(read_whole(metric, "step", 0, &p.step, err));
    if (strlen(p.dataset_name) > TD_DATASET_NAME_MAX || strlen(p.dataset_digest) > TD_DATASET_DIGEST_MAX) {
        return td_fail(err, TD_INVALID, "the dataset of metric \"%.*s\" has too long a name or digest",
                       TD_TRACKING_MESSAGE_TEXT, p.key);
    }
    *out = p;
    return TD_OK;
}

/* ---- metrics ---- */

static bool is_later(const point *a, int64_t step, int64_t timestamp_ms, bool nan, double value)
{
    if (a->step != step) {
        return a->step > step;
    }
    if (a->timestamp_ms != timestamp_ms) {
        return a->timestamp_ms > timestamp_ms;
    }
    return nan || a->value > value;
}

static void bind_latest(td_stmt *stmt, const point *p)
{
    td_bind_real(stmt, ":value", p->value); /* NaN is stored as NULL */
    td_bind_int(stmt, ":step", p->step);
    td_bind_int(stmt, ":timestamp", p->timestamp_ms);
}

static td_code latest_insert(td_db *db, int64_t run_id, const point *p, int64_t *metric_id_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO run_metric (run_id, key, value, step, timestamp_ms) "
                         "VALUES (:run, :key, :value, :step, :timestamp)",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":key", p->key);
    bind_latest(stmt, p);
    TD_TRY(td_run(stmt, err));
    *metric_id_out = td_db_last_id(db);
    return TD_OK;
}

/* Moves the latest value on if this point is later; gives the metric's id. */
static td_code latest_put(td_db *db, int64_t run_id, const point *p, int64_t *metric_id_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT metric_id, value, step, timestamp_ms FROM run_metric "
                         "WHERE run_id = :run AND key = :key",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":key", p->key);
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return latest_insert(db, run_id, p, metric_id_out, err);
    }
    int64_t metric_id = td_column_int(stmt, "metric_id");
    bool later = is_later(p, td_column_int(stmt, "step"), td_column_int(stmt, "timestamp_ms"),
                          td_column_null(stmt, "value"), td_column_real(stmt, "value"));
    td_reset(stmt);
    if (later) {
        TD_TRY(td_db_prepare(db,
                             "UPDATE run_metric SET value = :value, step = :step, timestamp_ms = :timestamp "
                             "WHERE metric_id = :metric",
                             &stmt, err));
        td_bind_int(stmt, ":metric", metric_id);
        bind_latest(stmt, p);
        TD_TRY(td_run(stmt, err));
    }
    *metric_id_out = metric_id;
    return TD_OK;
}

static td_code point_put(td_db *db, int64_t metric_id, const point *p, td_err *err)
{
    td_stmt *stmt;
    bool nan = isnan(p->value);
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO metric_point (metric_id, timestamp_ms, step, value, nan) "
                         "VALUES (:metric, :timestamp, :step, :value, :nan) ON CONFLICT DO NOTHING",
                         &stmt, err));
    td_bind_int(stmt, ":metric", metric_id);
    td_bind_int(stmt, ":timestamp", p->timestamp_ms);
    td_bind_int(stmt, ":step", p->step);
    td_bind_real(stmt, ":value", nan ? 0 : p->value);
    td_bind_int(stmt, ":nan", nan);
    return td_run(stmt, err);
}

/* A metric that was measured on a logged model also stands there. */
static td_code model_metric_put(td_db *db, const char *project, int64_t run_id, const point *p, td_err *err)
{
    td_stmt *stmt;
    td_tracking__logged model;
    TD_TRY(td_tracking__logged_find(db, project, p->model_id, &model, err));
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO logged_model_metric (logged_model_id, key, dataset_name, dataset_digest, run_id, "
                         "value, step, timestamp_ms) VALUES (:model, :key, :dataset, :digest, :run, :value, :step, "
                         ":timestamp) ON CONFLICT DO UPDATE SET value = excluded.value, step = excluded.step, "
                         "timestamp_ms = excluded.timestamp_ms, run_id = excluded.run_id "
                         "WHERE (excluded.step, excluded.timestamp_ms) >= (step, timestamp_ms)",
                         &stmt, err));
    td_bind_int(stmt, ":model", model.logged_model_id);
    td_bind_text(stmt, ":key", p->key);
    td_bind_text(stmt, ":dataset", p->dataset_name);
    td_bind_text(stmt, ":digest", p->dataset_digest);
    td_bind_int(stmt, ":run", run_id);
    bind_latest(stmt, p);
    return td_run(stmt, err);
}

static td_code log_metrics(td_db *db, const char *project, int64_t run_id, const json_t *metrics, td_err *err)
{
    size_t i;
    const json_t *metric;
    json_array_foreach (metrics, i, metric) {
        point p;
        int64_t metric_id;
        TD_TRY(read_point(db, metric, &p, err));
        TD_TRY(latest_put(db, run_id, &p, &metric_id, err));
        TD_TRY(point_put(db, metric_id, &p, err));
        if (*p.model_id != '\0') {
            TD_TRY(model_metric_put(db, project, run_id, &p, err));
        }
    }
    return TD_OK;
}

/* ---- parameters and tags ---- */

static td_code param_put(td_db *db, int64_t run_id, const char *key, const char *value, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT value FROM run_param WHERE run_id = :run AND key = :key", &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":key", key);
    TD_TRY(td_step(stmt, &row, err));
    if (row) {
        bool same = strcmp(td_column_text(stmt, "value"), value) == 0;
        td_reset(stmt);
        return same ? TD_OK
                    : td_fail(err, TD_INVALID,
                              "Changing param values is not allowed. Param with key='%.*s' was already logged with "
                              "another value for this run",
                              TD_TRACKING_MESSAGE_TEXT, key);
    }
    TD_TRY(td_db_prepare(db, "INSERT INTO run_param (run_id, key, value) VALUES (:run, :key, :value)", &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":key", key);
    td_bind_text(stmt, ":value", value);
    return td_run(stmt, err);
}

static td_code log_params(td_db *db, int64_t run_id, const json_t *params, td_err *err)
{
    size_t i;
    const json_t *param;
    const char *key, *value;
    json_array_foreach (params, i, param) {
        TD_TRY(td_tracking__pair_check("parameter", param, TD_TRIAL_PARAM_MAX, &key, &value, err));
        TD_TRY(param_put(db, run_id, key, value, err));
    }
    return TD_OK;
}

static td_code log_tags(td_db *db, int64_t run_id, const json_t *tags, td_err *err)
{
    size_t i;
    const json_t *tag;
    const char *key, *value;
    json_array_foreach (tags, i, tag) {
        TD_TRY(td_tracking__pair_check("tag", tag, TD_TRIAL_TAG_MAX, &key, &value, err));
        TD_TRY(td_tracking__run_tag_put(db, run_id, key, value, err));
    }
    return TD_OK;
}

/* ---- the batch ---- */

static td_code check_batch(const td_trial_batch *batch, td_err *err)
{
    if (json_array_size(batch->metrics) > TD_BATCH_METRICS_MAX ||
        json_array_size(batch->params) > TD_BATCH_PARAMS_MAX || json_array_size(batch->tags) > TD_BATCH_TAGS_MAX) {
        return td_fail(err, TD_LIMIT, "a batch has at most %d metrics, %d parameters and %d tags; send several",
                       TD_BATCH_METRICS_MAX, TD_BATCH_PARAMS_MAX, TD_BATCH_TAGS_MAX);
    }
    return TD_OK;
}

static td_code check_entries(td_db *db, int64_t run_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT max((SELECT count(*) FROM run_metric WHERE run_id = :run), "
                         "(SELECT count(*) FROM run_param WHERE run_id = :run), "
                         "(SELECT count(*) FROM run_tag WHERE run_id = :run)) AS most",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    TD_TRY(td_step_one(stmt, err, "the run is gone"));
    int64_t most = td_column_int(stmt, "most");
    td_reset(stmt);
    return most <= TD_TRIAL_ENTRIES_MAX ? TD_OK
                                      : td_fail(err, TD_LIMIT, "a run has at most %d metrics, parameters and tags each",
                                                TD_TRIAL_ENTRIES_MAX);
}

td_code td_trial_log(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                     const td_trial_batch *batch, td_err *err)
{
    td_tracking__run run;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_tracking__run_open(db, project, uuid, &run, err));
    TD_TRY(check_batch(batch, err));
    TD_TRY(log_metrics(db, project, run.run_id, batch->metrics, err));
    TD_TRY(log_params(db, run.run_id, batch->params, err));
    TD_TRY(log_tags(db, run.run_id, batch->tags, err));
    TD_TRY(check_entries(db, run.run_id, err));
    if (!run.ended) {
        return TD_OK;
    }
    return td_tracking__record(db, actor, project, "update.experiment_run", "experiment_run", uuid,
                               json_pack("{s:I, s:I, s:I}", "metrics", (json_int_t)json_array_size(batch->metrics),
                                         "params", (json_int_t)json_array_size(batch->params), "tags",
                                         (json_int_t)json_array_size(batch->tags)),
                               err);
}
