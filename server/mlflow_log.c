/*
 * mlflow_log.c: MLflow's routes by which a run logs: one entry, a batch, inputs, outputs.
 *
 * A single entry is a batch of one: its fields stand in the body as they would in the batch's array.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/mlflow_tracking.h"

#include <string.h>

typedef struct log_write {
    td_request *request;
    const char *id;
    td_trial_batch batch;
} log_write;

static td_code write_log(td_db *db, void *context, td_err *err)
{
    const log_write *l = context;
    TD_TRY(td_trial_log(db, TD_WHO(l->request), l->id, &l->batch, err));
    return td_mlflow_answer_empty(l->request, err);
}

/* The body itself is the one entry of `slot`. */
static td_code log_one(td_request *request, log_write *l, const json_t **slot, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = json_pack("[O]", request->body);
    if (list == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to log");
    }
    l->request = request;
    *slot = list;
    TD_TRY(td_mlflow_run_id(request, &l->id, err));
    return td_request_write(request, write_log, l, err);
}

static td_code log_metric(td_request *request, td_err *err)
{
    log_write l = {0};
    return log_one(request, &l, &l.batch.metrics, err);
}

static td_code log_parameter(td_request *request, td_err *err)
{
    log_write l = {0};
    return log_one(request, &l, &l.batch.params, err);
}

static td_code set_tag(td_request *request, td_err *err)
{
    log_write l = {0};
    return log_one(request, &l, &l.batch.tags, err);
}

static td_code log_batch(td_request *request, td_err *err)
{
    log_write l = {.request = request};
    TD_TRY(td_mlflow_run_id(request, &l.id, err));
    TD_TRY(td_mlflow_json(request, "metrics", JSON_ARRAY, &l.batch.metrics, err));
    TD_TRY(td_mlflow_json(request, "params", JSON_ARRAY, &l.batch.params, err));
    TD_TRY(td_mlflow_json(request, "tags", JSON_ARRAY, &l.batch.tags, err));
    return td_request_write(request, write_log, &l, err);
}

/* ---- tags, inputs, outputs, the model of old clients ---- */

typedef struct run_write {
    td_request *request;
    const char *id, *text;
    const json_t *datasets, *models;
} run_write;

static td_code write_delete_tag(td_db *db, void *context, td_err *err)
{
    const run_write *w = context;
    TD_TRY(td_trial_delete_tag(db, TD_WHO(w->request), w->id, w->text, err));
    return td_mlflow_answer_empty(w->request, err);
}

static td_code delete_tag(td_request *request, td_err *err)
{
    run_write w = {.request = request};
    TD_TRY(td_mlflow_run_id(request, &w.id, err));
    TD_TRY(td_mlflow_text(request, "key", true, &w.text, err));
    return td_request_write(request, write_delete_tag, &w, err);
}

static td_code write_inputs(td_db *db, void *context, td_err *err)
{
    const run_write *w = context;
    TD_TRY(td_trial_add_inputs(db, TD_WHO(w->request), w->id, w->datasets, w->models, err));
    return td_mlflow_answer_empty(w->request, err);
}

static td_code log_inputs(td_request *request, td_err *err)
{
    run_write w = {.request = request};
    TD_TRY(td_mlflow_run_id(request, &w.id, err));
    TD_TRY(td_mlflow_json(request, "datasets", JSON_ARRAY, &w.datasets, err));
    TD_TRY(td_mlflow_json(request, "models", JSON_ARRAY, &w.models, err));
    return td_request_write(request, write_inputs, &w, err);
}

static td_code write_outputs(td_db *db, void *context, td_err *err)
{
    const run_write *w = context;
    TD_TRY(td_trial_add_outputs(db, TD_WHO(w->request), w->id, w->models, err));
    return td_mlflow_answer_empty(w->request, err);
}

static td_code log_outputs(td_request *request, td_err *err)
{
    run_write w = {.request = request};
    TD_TRY(td_mlflow_run_id(request, &w.id, err));
    TD_TRY(td_mlflow_json(request, "models", JSON_ARRAY, &w.models, err));
    return td_request_write(request, write_outputs, &w, err);
}

static td_code write_model(td_db *db, void *context, td_err *err)
{
    const run_write *w = context;
    TD_TRY(td_trial_record_model(db, TD_WHO(w->request), w->id, w->models, err));
    return td_mlflow_answer_empty(w->request, err);
}

static td_code log_model(td_request *request, td_err *err)
{
    run_write w = {.request = request};
    TD_CLEANUP(td_json_done) json_t *model = NULL;
    TD_TRY(td_mlflow_run_id(request, &w.id, err));
    TD_TRY(td_mlflow_text(request, "model_json", true, &w.text, err));
    TD_TRY(td_json_parse(w.text, strlen(w.text), "model_json", &model, err));
    w.models = model;
    return td_request_write(request, write_model, &w, err);
}

#define RUNS "/api/2.0/mlflow/runs/"

const td_route td_routes_mlflow_log[] = {
    TD_SEND("POST", RUNS "log-metric", TD_MAY_REGISTER, log_metric, "MLflow: log a point of a metric"),
    TD_SEND("POST", RUNS "log-parameter", TD_MAY_REGISTER, log_parameter, "MLflow: log a parameter"),
    TD_SEND("POST", RUNS "set-tag", TD_MAY_REGISTER, set_tag, "MLflow: set a tag of a run"),
    TD_SEND("POST", RUNS "delete-tag", TD_MAY_REGISTER, delete_tag, "MLflow: remove a tag of a run"),
    TD_SEND("POST", RUNS "log-batch", TD_MAY_REGISTER, log_batch, "MLflow: log metrics, parameters and tags at once"),
    TD_SEND("POST", RUNS "log-inputs", TD_MAY_REGISTER, log_inputs, "MLflow: datasets and models that a run read"),
    TD_SEND("POST", RUNS "outputs", TD_MAY_REGISTER, log_outputs, "MLflow: models that a run made"),
    TD_SEND("POST", RUNS "log-model", TD_MAY_REGISTER, log_model, "MLflow: the model of a run (clients before 3.0)"),
    TD_ROUTES_END,
};
