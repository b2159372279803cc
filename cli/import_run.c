/*
 * import_run.c: runs and what they logged, and logged models, under the ids that they had.
 *
 * An experiment is walked three times: its runs are made, then its logged models (which name runs), then what the runs
 * logged (which names logged models). A run gets its end last: until then it counts as unfinished here too. The third
 * walk is left out where no run is new.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/import.h"

#include <string.h>

#define BATCH 500            /* entries of one log-batch */
#define PARAM_MAX 6000       /* bytes, as docs/mlflow.md says */
#define TAG_MAX 8000
#define HISTORY_PAGE "1000"

typedef struct of_experiment {
    const char *ours;
    const json_t *run; /* the one at hand */
} of_experiment;

static int64_t whole(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    int64_t number = json_integer_value(value);
    if (json_is_string(value) && td_parse_int(json_string_value(value), key, 0, INT64_MAX, &number, NULL) != TD_OK) {
        number = 0;
    }
    return number;
}

/* ---- is it here already? ---- */

static const char *mark_of(td_import *im, const json_t *info)
{
    return td_cli_text(im->cli, "%s %s %lld", im->uri, td_json_text(info, "status", ""),
                       (long long)whole(info, "end_time"));
}

static const char *tag_value(const json_t *tags, const char *key)
{
    size_t i;
    const json_t *tag;
    json_array_foreach (tags, i, tag) {
        if (strcmp(td_json_text(tag, "key", ""), key) == 0) {
            return td_json_text(tag, "value", "");
        }
    }
    return "";
}

static bool is_over(const json_t *info)
{
    const char *status = td_json_text(info, "status", "");
    return strcmp(status, "RUNNING") != 0 && strcmp(status, "SCHEDULED") != 0;
}

static const char *id_of(const json_t *item)
{
    return td_json_text(json_object_get(item, "info"), "run_id", "");
}

static td_code remember(td_import *im, const json_t *item, td_err *err)
{
    char as[TD_DIGEST_TEXT];
    TD_TRY(td_import__digest(item, as, err));
    return json_object_set_new(im->whole, id_of(item), json_string(as)) == 0
               ? TD_OK
               : td_fail(err, TD_NOMEM, "no memory for an import");
}

/* As it was in an earlier pass of ours. */
static td_code is_unchanged(td_import *im, const json_t *item, bool *out, td_err *err)
{
    char as[TD_DIGEST_TEXT];
    TD_TRY(td_import__digest(item, as, err));
    *out = strcmp(td_json_text(im->whole, id_of(item), ""), as) == 0;
    return TD_OK;
}

/* Whole, and in the state in which it was taken. A run that goes on is taken again. */
static td_code is_here(td_import *im, const json_t *info, bool *out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *status = td_json_text(info, "status", ""), *id = td_json_text(info, "run_id", "");
    const char *path = td_cli_query(im->cli, "/api/2.0/mlflow/runs/get", "run_id", id);
    *out = false;
    td_code code = td_import__send(im, "GET", path, NULL, &answer, err);
    if (code == TD_NOT_FOUND) {
        return TD_OK;
    }
    TD_TRY(code);
    const json_t *run = json_object_get(answer, "run");
    const json_t *tags = json_object_get(json_object_get(run, "data"), "tags");
    *out = is_over(info) && strcmp(tag_value(tags, TD_IMPORT_MARK), mark_of(im, info)) == 0 &&
           strcmp(td_json_text(json_object_get(run, "info"), "status", ""), status) == 0;
    return TD_OK;
}

/* ---- making runs ---- */

static td_code make_run(td_import *im, const json_t *item, void *context, td_err *err)
{
    const of_experiment *e = context;
    const json_t *info = json_object_get(item, "info");
    const char *id = td_json_text(info, "run_id", "");
    bool here;
    TD_TRY(is_unchanged(im, item, &here, err));
    if (!here) {
        TD_TRY(is_here(im, info, &here, err));
    }
    if (here) {
        im->runs_unchanged++;
        return remember(im, item, err);
    }
    const char *name = td_json_text(info, "run_name", "");
    const char *user = td_json_text(info, "user_id", "");
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s, s:s*, s:s*, s:I}", "experiment_id", e->ours, "name",
                             *name != '\0' ? name : NULL, "user", *user != '\0' ? user : NULL, "start_time",
                             (json_int_t)whole(info, "start_time"));
    TD_TRY(td_cli_need(body, err));
    td_code code = td_cli_call(im->cli, "PUT", td_cli_path(im->cli, "mirror", "runs", id, NULL), body, NULL, err);
    if (code == TD_OK && json_object_set_new(im->pending, id, json_true()) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for an import");
    }
    return td_import__soften(im, code, td_cli_text(im->cli, "run %.40s", id), err);
}

/* ---- what a run logged ---- */

typedef struct batch {
    const char *run, *kind; /* "metrics", "params", "tags" */
    json_t *list;
} batch;

static td_code flush(td_import *im, batch *b, td_err *err)
{
    if (json_array_size(b->list) == 0) {
        return TD_OK;
    }
    td_code code = td_import__send(im, "POST", "/api/2.0/mlflow/runs/log-batch",
                                   json_pack("{s:s, s:O}", "run_id", b->run, b->kind, b->list), NULL, err);
    json_decref(b->list);
    b->list = json_array();
    return td_import__soften(im, code, td_cli_text(im->cli, "run %.40s, %s", b->run, b->kind), err);
}

static td_code add(td_import *im, batch *b, json_t *entry, td_err *err)
{
    if (json_array_append_new(b->list, entry) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for what a run logged");
    }
    return json_array_size(b->list) >= BATCH ? flush(im, b, err) : TD_OK;
}

static td_code add_point(td_import *im, const json_t *item, void *context, td_err *err)
{
    json_t *point = json_deep_copy(item);
    const char *model = td_json_text(point, "model_id", "");
    if (*model != '\0' && json_object_get(im->logged, model) == NULL) {
        (void)json_object_del(point, "model_id"); /* that model is not there any more */
    }
    (void)json_object_del(point, "run_id");
    return add(im, context, point, err);
}

static td_code log_metrics(td_import *im, const char *run, const json_t *metrics, td_err *err)
{
    size_t i;
    const json_t *metric;
    batch b = {.run = run, .kind = "metrics", .list = json_array()};
    td_code code = TD_OK;
    json_array_foreach (metrics, i, metric) {
        const char *path = td_cli_query(&im->from, "/api/2.0/mlflow/metrics/get-history", "run_id", run);
        path = td_cli_query(&im->from, path, "metric_key", td_json_text(metric, "key", ""));
        path = td_cli_query(&im->from, path, "max_results", HISTORY_PAGE);
        code = code == TD_OK ? td_import__each(im, path, NULL, "metrics", add_point, &b, err) : code;
    }
    code = code == TD_OK ? flush(im, &b, err) : code;
    td_json_done(&b.list);
    return code;
}

static td_code log_pairs(td_import *im, const char *run, const char *kind, const json_t *pairs, td_err *err)
{
    size_t i;
    const json_t *pair;
    const char *what = td_cli_text(im->cli, "run %.40s, %s", run, kind);
    TD_CLEANUP(td_json_done)
    json_t *fitting = td_import__pairs(im, pairs, strcmp(kind, "params") == 0 ? PARAM_MAX : TAG_MAX, what);
    batch b = {.run = run, .kind = kind, .list = json_array()};
    td_code code = TD_OK;
    json_array_foreach (fitting, i, pair) {
        code = code == TD_OK ? add(im, &b, json_deep_copy(pair), err) : code;
    }
    code = code == TD_OK ? flush(im, &b, err) : code;
    td_json_done(&b.list);
    return code;
}

static td_code log_inputs(td_import *im, const char *run, const json_t *inputs, td_err *err)
{
    json_t *datasets = json_object_get(inputs, "dataset_inputs");
    if (json_array_size(datasets) == 0) {
        return TD_OK;
    }
    td_code code = td_import__send(im, "POST", "/api/2.0/mlflow/runs/log-inputs",
                                   json_pack("{s:s, s:O}", "run_id", run, "datasets", datasets), NULL, err);
    return td_import__soften(im, code, td_cli_text(im->cli, "run %.40s, datasets", run), err);
}

static td_code log_outputs(td_import *im, const char *run, const json_t *outputs, td_err *err)
{
    size_t i;
    const json_t *model;
    TD_CLEANUP(td_json_done) json_t *known = json_array();
    json_array_foreach (json_object_get(outputs, "model_outputs"), i, model) {
        if (json_object_get(im->logged, td_json_text(model, "model_id", "")) != NULL &&
            json_array_append_new(known, json_deep_copy(model)) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for what a run logged");
        }
    }
    if (json_array_size(known) == 0) {
        return TD_OK;
    }
    td_code code = td_import__send(im, "POST", "/api/2.0/mlflow/runs/outputs",
                                   json_pack("{s:s, s:O}", "run_id", run, "models", known), NULL, err);
    return td_import__soften(im, code, td_cli_text(im->cli, "run %.40s, models", run), err);
}

static td_code copy_artifacts(td_import *im, const char *run, const char *experiment, td_err *err)
{
    td_import_tree tree = {
        .list = td_cli_query(&im->from, "/api/2.0/mlflow/artifacts/list", "run_id", run),
        .list_key = "path",
        .get = td_cli_query(&im->from, "/get-artifact", "run_uuid", run),
        .get_key = "path",
        .root = td_cli_text(im->cli, "%s/%s/artifacts", experiment, run),
    };
    td_code code = td_import__tree(im, &tree, run, err);
    return td_import__soften(im, code, td_cli_text(im->cli, "run %.40s, artifacts", run), err);
}

/* The mark, then status and end: with these it is whole. One that lacks files is looked at again next time. */
static td_code finish(td_import *im, const json_t *info, td_err *err)
{
    const char *id = td_json_text(info, "run_id", ""), *status = td_json_text(info, "status", "");
    if (json_object_get(im->lacking, id) != NULL) {
        return TD_OK;
    }
    TD_TRY(td_import__send(im, "POST", "/api/2.0/mlflow/runs/set-tag",
                           json_pack("{s:s, s:s, s:s}", "run_id", id, "key", TD_IMPORT_MARK, "value",
                                     mark_of(im, info)),
                           NULL, err));
    if (!is_over(info)) {
        return TD_OK;
    }
    return td_import__send(im, "POST", "/api/2.0/mlflow/runs/update",
                           json_pack("{s:s, s:s, s:I}", "run_id", id, "status", status, "end_time",
                                     (json_int_t)whole(info, "end_time")),
                           NULL, err);
}

static td_code fill_run(td_import *im, const json_t *item, void *context, td_err *err)
{
    const of_experiment *e = context;
    const json_t *info = json_object_get(item, "info"), *data = json_object_get(item, "data");
    const char *id = td_json_text(info, "run_id", "");
    if (json_object_get(im->pending, id) == NULL) { /* here already, or refused */
        return TD_OK;
    }
    td_import__progress(im, "run", id);
    TD_TRY(log_pairs(im, id, "params", json_object_get(data, "params"), err));
    TD_TRY(log_pairs(im, id, "tags", json_object_get(data, "tags"), err));
    TD_TRY(log_metrics(im, id, json_object_get(data, "metrics"), err));
    TD_TRY(log_inputs(im, id, json_object_get(item, "inputs"), err));
    TD_TRY(log_outputs(im, id, json_object_get(item, "outputs"), err));
    TD_TRY(copy_artifacts(im, id, e->ours, err));
    td_code code = finish(im, info, err);
    if (code == TD_OK && json_object_get(im->lacking, id) == NULL) {
        im->runs++;
        code = remember(im, item, err);
    }
    return td_import__soften(im, code, td_cli_text(im->cli, "run %.40s", id), err);
}

static td_code each_run(td_import *im, const char *theirs, td_import_each each, of_experiment *e, td_err *err)
{
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:[s], s:i, s:s, s:[s]}", "experiment_ids", theirs, "max_results", 100, "run_view_type",
                             "ACTIVE_ONLY", "order_by", "start_time ASC");
    TD_TRY(td_cli_need(body, err));
    return td_import__each(im, "/api/2.0/mlflow/runs/search", body, "runs", each, e, err);
}

td_code td_import__runs(td_import *im, const char *theirs, const char *ours, td_err *err)
{
    of_experiment e = {.ours = ours};
    td_json_done(&im->logged);
    td_json_done(&im->pending);
    im->logged = json_object();
    im->pending = json_object();
    TD_TRY(td_cli_need(im->logged, err));
    TD_TRY(td_cli_need(im->pending, err));
    TD_TRY(each_run(im, theirs, make_run, &e, err));
    TD_TRY(td_import__logged(im, theirs, ours, err));
    return json_object_size(im->pending) > 0 ? each_run(im, theirs, fill_run, &e, err) : TD_OK;
}
