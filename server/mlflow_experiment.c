/*
 * mlflow_experiment.c: MLflow's routes of experiments, and how its searches are paged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/mlflow_tracking.h"

#include <string.h>

/* ---- shared ---- */

td_code td_mlflow_view(td_request *request, const char *name, td_tracking_view *out, td_err *err)
{
    static const char *const names[] = {"ACTIVE_ONLY", "DELETED_ONLY", "ALL"};
    const char *text;
    TD_TRY(td_mlflow_text(request, name, false, &text, err));
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        if (text == NULL || strcmp(text, names[i]) == 0) {
            *out = (td_tracking_view)i;
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "Invalid value for parameter '%s': expected ACTIVE_ONLY, DELETED_ONLY or ALL",
                   name);
}

/* ---- reading ---- */

static td_code answer_one(td_request *request, json_t *experiment, td_err *err)
{
    return td_answer_json(request, 200, json_pack("{s:o}", "experiment", experiment), err);
}

static td_code get_experiment(td_request *request, td_err *err)
{
    const char *id;
    json_t *json;
    TD_TRY(td_mlflow_text(request, "experiment_id", true, &id, err));
    TD_TRY(td_experiment_json(request->db, request->project, id, &json, err));
    return answer_one(request, json, err);
}

static td_code get_by_name(td_request *request, td_err *err)
{
    const char *name;
    json_t *json;
    TD_TRY(td_mlflow_text(request, "experiment_name", true, &name, err));
    TD_TRY(td_experiment_named_json(request->db, request->project, name, &json, err));
    return answer_one(request, json, err);
}

static td_code search(td_request *request, td_err *err)
{
    td_page page;
    td_tracking_view view;
    json_t *json;
    TD_TRY(td_mlflow_page(request, TD_TRACKING_PAGE_MAX, TD_TRACKING_PAGE_MAX, &page, err));
    TD_TRY(td_mlflow_view(request, "view_type", &view, err));
    TD_TRY(td_experiment_search_json(request->db, request->project, &page, view, &json, err));
    return td_answer_json(request, 200, json, err);
}

/* ---- writing ---- */

/* A change of one experiment: the function, and what it takes beside the experiment. */
typedef struct change {
    td_request *request;
    td_code (*apply)(td_db *db, const struct change *change, td_err *err);
    const char *id, *name, *key, *value;
    const json_t *tags;
} change;

static td_code write_change(td_db *db, void *context, td_err *err)
{
    const change *c = context;
    TD_TRY(c->apply(db, c, err));
    return c->request->answer.status != 0 ? TD_OK : td_mlflow_answer_empty(c->request, err);
}

static td_code taken(const change *c, td_code code)
{
    if (code == TD_CONFLICT) {
        td_mlflow_error_name(c->request, "RESOURCE_ALREADY_EXISTS");
    }
    return code;
}

static td_code apply_create(td_db *db, const change *c, td_err *err)
{
    int64_t number;
    TD_TRY(taken(c, td_experiment_create(db, TD_WHO(c->request), c->name, c->tags, &number, err)));
    return td_answer_json(
        c->request, 200,
        json_pack("{s:s}", "experiment_id", td_request_text(c->request, "%lld", (long long)number)), err);
}

static td_code create(td_request *request, td_err *err)
{
    const char *location;
    change c = {.request = request, .apply = apply_create};
    TD_TRY(td_mlflow_text(request, "name", true, &c.name, err));
    TD_TRY(td_mlflow_text(request, "artifact_location", false, &location, err));
    TD_TRY(td_mlflow_json(request, "tags", JSON_ARRAY, &c.tags, err));
    if (location != NULL && *location != '\0') {
        return td_fail(err, TD_INVALID,
                       "Invalid value for parameter 'artifact_location': this server keeps artifacts itself; leave it "
                       "out");
    }
    return td_request_write(request, write_change, &c, err);
}

static td_code change_one(td_request *request, change *c, td_err *err)
{
    c->request = request;
    TD_TRY(td_mlflow_text(request, "experiment_id", true, &c->id, err));
    return td_request_write(request, write_change, c, err);
}

static td_code apply_rename(td_db *db, const change *c, td_err *err)
{
    return taken(c, td_experiment_rename(db, TD_WHO(c->request), c->id, c->name, err));
}

static td_code update(td_request *request, td_err *err)
{
    change c = {.apply = apply_rename};
    TD_TRY(td_mlflow_text(request, "new_name", true, &c.name, err));
    return change_one(request, &c, err);
}

static td_code apply_delete(td_db *db, const change *c, td_err *err)
{
    return td_experiment_delete(db, TD_WHO(c->request), c->id, err);
}

static td_code delete_one(td_request *request, td_err *err)
{
    change c = {.apply = apply_delete};
    return change_one(request, &c, err);
}

static td_code apply_restore(td_db *db, const change *c, td_err *err)
{
    return td_experiment_restore(db, TD_WHO(c->request), c->id, err);
}

static td_code restore(td_request *request, td_err *err)
{
    change c = {.apply = apply_restore};
    return change_one(request, &c, err);
}

static td_code apply_tag(td_db *db, const change *c, td_err *err)
{
    return td_experiment_set_tag(db, TD_WHO(c->request), c->id, c->key, c->value, err);
}

static td_code set_tag(td_request *request, td_err *err)
{
    change c = {.apply = apply_tag};
    TD_TRY(td_mlflow_text(request, "key", true, &c.key, err));
    TD_TRY(td_mlflow_text(request, "value", false, &c.value, err));
    c.value = c.value != NULL ? c.value : "";
    return change_one(request, &c, err);
}

static td_code delete_tag(td_request *request, td_err *err)
{
    change c = {.apply = apply_tag};
    TD_TRY(td_mlflow_text(request, "key", true, &c.key, err));
    return change_one(request, &c, err);
}

#define EXPERIMENTS "/api/2.0/mlflow/experiments/"

const td_route td_routes_mlflow_experiment[] = {
    TD_GET(EXPERIMENTS "get", TD_MAY_READ, get_experiment, "MLflow: one experiment"),
    TD_GET(EXPERIMENTS "get-by-name", TD_MAY_READ, get_by_name, "MLflow: one experiment by its name"),
    TD_GET(EXPERIMENTS "search", TD_MAY_READ, search, "MLflow: find experiments"),
    TD_SEND("POST", EXPERIMENTS "search", TD_MAY_READ, search, "MLflow: find experiments"),
    TD_GET(EXPERIMENTS "list", TD_MAY_READ, search, "MLflow: all experiments (clients before 2.0)"),
    TD_SEND("POST", EXPERIMENTS "create", TD_MAY_REGISTER, create, "MLflow: make an experiment"),
    TD_SEND("POST", EXPERIMENTS "update", TD_MAY_REGISTER, update, "MLflow: rename an experiment"),
    TD_SEND("POST", EXPERIMENTS "delete", TD_MAY_REGISTER, delete_one, "MLflow: hide an experiment"),
    TD_SEND("POST", EXPERIMENTS "restore", TD_MAY_REGISTER, restore, "MLflow: bring an experiment back"),
    TD_SEND("POST", EXPERIMENTS "set-experiment-tag", TD_MAY_REGISTER, set_tag, "MLflow: set a tag of an experiment"),
    TD_SEND("POST", EXPERIMENTS "delete-experiment-tag", TD_MAY_REGISTER, delete_tag,
            "MLflow: remove a tag of an experiment"),
    TD_ROUTES_END,
};
