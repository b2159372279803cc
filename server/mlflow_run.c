/*
 * mlflow_run.c: MLflow's routes of runs: started, found, read, ended, hidden; and metrics over time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/mlflow_tracking.h"

#include <string.h>

#define RUNS_DEFAULT 1000    /* of a search that names no max_results */
#define INTERVAL_DEFAULT 250 /* points of each curve */

td_code td_mlflow_run_id(td_request *request, const char **out, td_err *err)
{
    const char *id;
    TD_TRY(td_mlflow_text(request, "run_id", false, &id, err));
    if (id == NULL || *id == '\0') {
        TD_TRY(td_mlflow_text(request, "run_uuid", false, &id, err));
    }
    if (id == NULL || *id == '\0') {
        return td_fail(err, TD_INVALID, "Missing value for required parameter 'run_id'");
    }
    *out = id;
    return TD_OK;
}

/* ---- reading ---- */

static td_code get_run(td_request *request, td_err *err)
{
    const char *id;
    json_t *run;
    TD_TRY(td_mlflow_run_id(request, &id, err));
    TD_TRY(td_trial_json(request->db, request->project, id, &run, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "run", run), err);
}

static td_code search(td_request *request, td_err *err)
{
    td_page page;
    td_tracking_view view;
    const json_t *experiments;
    json_t *json;
    TD_TRY(td_mlflow_page(request, RUNS_DEFAULT, TD_TRACKING_PAGE_MAX, &page, err));
    TD_TRY(td_mlflow_view(request, "run_view_type", &view, err));
    TD_TRY(td_mlflow_json(request, "experiment_ids", JSON_ARRAY, &experiments, err));
    TD_TRY(td_trial_search_json(request->db, request->project, experiments, &page, view, &json, err));
    return td_answer_json(request, 200, json, err);
}

static td_code get_history(td_request *request, td_err *err)
{
    const char *id;
    td_history_page page = {0};
    json_t *json;
    TD_TRY(td_mlflow_run_id(request, &id, err));
    TD_TRY(td_mlflow_text(request, "metric_key", true, &page.key, err));
    TD_TRY(td_mlflow_text(request, "page_token", false, &page.token, err));
    TD_TRY(td_mlflow_int(request, "max_results", 1, TD_MLFLOW_RESULTS_MAX, TD_HISTORY_PAGE_MAX, &page.limit, err));
    page.limit = page.limit > TD_HISTORY_PAGE_MAX ? TD_HISTORY_PAGE_MAX : page.limit;
    TD_TRY(td_trial_history_json(request->db, request->project, id, &page, &json, err));
    return td_answer_json(request, 200, json, err);
}

static td_code get_interval(td_request *request, td_err *err)
{
    const char *const *ids;
    size_t count;
    td_history_range range = {0};
    TD_CLEANUP(td_json_done) json_t *answer = json_pack("{s:[]}", "metrics");
    TD_TRY(td_mlflow_texts(request, "run_ids", &ids, &count, err));
    TD_TRY(td_mlflow_text(request, "metric_key", true, &range.key, err));
    TD_TRY(td_mlflow_int(request, "start_step", INT64_MIN, INT64_MAX, INT64_MIN, &range.first_step, err));
    TD_TRY(td_mlflow_int(request, "end_step", INT64_MIN, INT64_MAX, INT64_MAX, &range.last_step, err));
    TD_TRY(td_mlflow_int(request, "max_results", 1, 2500, INTERVAL_DEFAULT, &range.limit, err));
    for (size_t i = 0; i < count; i++) {
        TD_TRY(td_trial_interval_json(request->db, request->project, ids[i], &range,
                                      json_object_get(answer, "metrics"), err));
    }
    return td_answer_json(request, 200, json_incref(answer), err);
}

static td_code list_artifacts(td_request *request, td_err *err)
{
    const char *id, *path;
    json_t *json;
    TD_TRY(td_mlflow_run_id(request, &id, err));
    TD_TRY(td_mlflow_text(request, "path", false, &path, err));
    TD_TRY(td_artifact_of_run_json(request->db, request->project, id, path, &json, err));
    return td_answer_json(request, 200, json, err);
}

/* ---- the life of a run ---- */

typedef struct creation {
    td_request *request;
    td_trial_options options;
} creation;

static td_code write_creation(td_db *db, void *context, td_err *err)
{
    const creation *c = context;
    char uuid[TD_TRIAL_UUID_SIZE];
    json_t *run;
    TD_TRY(td_trial_start(db, TD_WHO(c->request), &c->options, uuid, err));
    TD_TRY(td_trial_json(db, c->request->project, uuid, &run, err));
    return td_answer_json(c->request, 200, json_pack("{s:o}", "run", run), err);
}

static td_code create(td_request *request, td_err *err)
{
    creation c = {.request = request};
    TD_TRY(td_mlflow_text(request, "experiment_id", false, &c.options.experiment, err));
    TD_TRY(td_mlflow_text(request, "run_name", false, &c.options.name, err));
    TD_TRY(td_mlflow_text(request, "user_id", false, &c.options.user, err));
    TD_TRY(td_mlflow_int(request, "start_time", 0, INT64_MAX, 0, &c.options.started_ms, err));
    TD_TRY(td_mlflow_json(request, "tags", JSON_ARRAY, &c.options.tags, err));
    if (c.options.experiment == NULL || *c.options.experiment == '\0') {
        c.options.experiment = "0";
    }
    return td_request_write(request, write_creation, &c, err);
}

typedef struct update_write {
    td_request *request;
    const char *id;
    td_trial_change change;
} update_write;

static td_code write_update(td_db *db, void *context, td_err *err)
{
    const update_write *u = context;
    TD_CLEANUP(td_json_done) json_t *run = NULL;
    TD_TRY(td_trial_update(db, TD_WHO(u->request), u->id, &u->change, err));
    TD_TRY(td_trial_json(db, u->request->project, u->id, &run, err));
    return td_answer_json(u->request, 200, json_pack("{s:O}", "run_info", json_object_get(run, "info")), err);
}

static td_code update(td_request *request, td_err *err)
{
    update_write u = {.request = request};
    TD_TRY(td_mlflow_run_id(request, &u.id, err));
    TD_TRY(td_mlflow_text(request, "status", false, &u.change.status, err));
    TD_TRY(td_mlflow_text(request, "run_name", false, &u.change.name, err));
    TD_TRY(td_mlflow_int(request, "end_time", 0, INT64_MAX, 0, &u.change.ended_ms, err));
    u.change.name = u.change.name != NULL && *u.change.name != '\0' ? u.change.name : NULL;
    return td_request_write(request, write_update, &u, err);
}

typedef struct stage_write {
    td_request *request;
    const char *id;
    td_code (*apply)(td_db *db, const td_actor *actor, const char *project, const char *uuid, td_err *err);
} stage_write;

static td_code write_stage(td_db *db, void *context, td_err *err)
{
    const stage_write *s = context;
    TD_TRY(s->apply(db, TD_WHO(s->request), s->id, err));
    return td_mlflow_answer_empty(s->request, err);
}

static td_code delete_run(td_request *request, td_err *err)
{
    stage_write s = {.request = request, .apply = td_trial_delete};
    TD_TRY(td_mlflow_run_id(request, &s.id, err));
    return td_request_write(request, write_stage, &s, err);
}

static td_code restore(td_request *request, td_err *err)
{
    stage_write s = {.request = request, .apply = td_trial_restore};
    TD_TRY(td_mlflow_run_id(request, &s.id, err));
    return td_request_write(request, write_stage, &s, err);
}

#define RUNS "/api/2.0/mlflow/runs/"

const td_route td_routes_mlflow_run[] = {
    TD_GET(RUNS "get", TD_MAY_READ, get_run, "MLflow: one run"),
    TD_SEND("POST", RUNS "search", TD_MAY_READ, search, "MLflow: find runs"),
    TD_GET("/api/2.0/mlflow/metrics/get-history", TD_MAY_READ, get_history, "MLflow: a metric over time"),
    TD_GET("/api/2.0/mlflow/metrics/get-history-bulk-interval", TD_MAY_READ, get_interval,
           "MLflow: a metric of several runs, thinned"),
    TD_GET("/api/2.0/mlflow/artifacts/list", TD_MAY_READ, list_artifacts, "MLflow: artifacts of a run"),
    TD_SEND("POST", RUNS "create", TD_MAY_REGISTER, create, "MLflow: start a run"),
    TD_SEND("POST", RUNS "update", TD_MAY_REGISTER, update, "MLflow: status and name of a run"),
    TD_SEND("POST", RUNS "delete", TD_MAY_REGISTER, delete_run, "MLflow: hide a run"),
    TD_SEND("POST", RUNS "restore", TD_MAY_REGISTER, restore, "MLflow: bring a run back"),
    TD_ROUTES_END,
};
