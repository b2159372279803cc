/*
 * mlflow_logged.c: MLflow 3's routes of logged models.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/mlflow_tracking.h"

#include <string.h>

#define MODELS_DEFAULT 50 /* of a search that names no max_results */

/* ---- reading ---- */

static td_code answer_model(td_request *request, td_db *db, const char *id, td_err *err)
{
    json_t *model;
    TD_TRY(td_logged_json(db, request->project, id, &model, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "model", model), err);
}

static td_code get_model(td_request *request, td_err *err)
{
    return answer_model(request, request->db, request->parameters[0], err);
}

/* {"field_name", "ascending"?, "dataset_name"?} to "FIELD ASC". */
static td_code add_term(const json_t *term, td_str *order, td_err *err)
{
    const char *field = json_string_value(json_object_get(term, "field_name"));
    if (field == NULL || *td_json_text(term, "dataset_name", "") != '\0') {
        return td_fail(err, TD_INVALID,
                       field == NULL ? "Invalid value for parameter 'order_by': expected a list of {field_name}"
                                     : "ordering by the metric of one dataset is not served; leave dataset_name out");
    }
    const json_t *ascending = json_object_get(term, "ascending");
    td_str_addf(order, "%s%s %s", order->size > 0 ? ", " : "", field, json_is_false(ascending) ? "DESC" : "ASC");
    return td_str_check(order, err);
}

static td_code read_page(td_request *request, td_str *order, td_page *out, td_err *err)
{
    size_t i;
    const json_t *terms, *datasets, *term;
    td_page page = {0};
    TD_TRY(td_mlflow_int(request, "max_results", 1, TD_MLFLOW_RESULTS_MAX, MODELS_DEFAULT, &page.limit, err));
    TD_TRY(td_mlflow_text(request, "page_token", false, &page.cursor, err));
    TD_TRY(td_mlflow_text(request, "filter", false, &page.filter, err));
    TD_TRY(td_mlflow_json(request, "order_by", JSON_ARRAY, &terms, err));
    TD_TRY(td_mlflow_json(request, "datasets", JSON_ARRAY, &datasets, err));
    if (json_array_size(datasets) > 0) {
        return td_fail(err, TD_INVALID, "a filter on the metrics of one dataset is not served; leave datasets out");
    }
    json_array_foreach (terms, i, term) {
        TD_TRY(add_term(term, order, err));
    }
    page.order = order->size > 0 ? td_str_text(order) : NULL;
    page.limit = page.limit > TD_TRACKING_PAGE_MAX ? TD_TRACKING_PAGE_MAX : page.limit;
    page.cursor = page.cursor != NULL && *page.cursor != '\0' ? page.cursor : NULL;
    *out = page;
    return TD_OK;
}

static td_code search(td_request *request, td_err *err)
{
    td_page page;
    const json_t *experiments;
    json_t *json;
    TD_CLEANUP(td_str_done) td_str order = {0};
    TD_TRY(td_mlflow_json(request, "experiment_ids", JSON_ARRAY, &experiments, err));
    TD_TRY(read_page(request, &order, &page, err));
    TD_TRY(td_logged_search_json(request->db, request->project, experiments, &page, &json, err));
    return td_answer_json(request, 200, json, err);
}

static td_code list_artifacts(td_request *request, td_err *err)
{
    const char *path;
    json_t *json;
    TD_TRY(td_mlflow_text(request, "artifact_directory_path", false, &path, err));
    TD_TRY(td_artifact_of_logged_json(request->db, request->project, request->parameters[0], path, &json, err));
    return td_answer_json(request, 200, json, err);
}

/* ---- writing ---- */

typedef struct model_write {
    td_request *request;
    td_logged_options options;
    const char *status;
} model_write;

static td_code write_creation(td_db *db, void *context, td_err *err)
{
    const model_write *w = context;
    char uuid[TD_LOGGED_UUID_SIZE];
    TD_TRY(td_logged_create(db, TD_WHO(w->request), &w->options, uuid, err));
    return answer_model(w->request, db, uuid, err);
}

static td_code create(td_request *request, td_err *err)
{
    model_write w = {.request = request};
    TD_TRY(td_mlflow_text(request, "experiment_id", true, &w.options.experiment, err));
    TD_TRY(td_mlflow_text(request, "name", false, &w.options.name, err));
    TD_TRY(td_mlflow_text(request, "model_type", false, &w.options.model_type, err));
    TD_TRY(td_mlflow_text(request, "source_run_id", false, &w.options.source_run, err));
    TD_TRY(td_mlflow_json(request, "params", JSON_ARRAY, &w.options.params, err));
    TD_TRY(td_mlflow_json(request, "tags", JSON_ARRAY, &w.options.tags, err));
    return td_request_write(request, write_creation, &w, err);
}

static td_code write_status(td_db *db, void *context, td_err *err)
{
    const model_write *w = context;
    TD_TRY(td_logged_finish(db, TD_WHO(w->request), w->request->parameters[0], w->status, err));
    return answer_model(w->request, db, w->request->parameters[0], err);
}

static td_code finish(td_request *request, td_err *err)
{
    model_write w = {.request = request};
    TD_TRY(td_mlflow_text(request, "status", true, &w.status, err));
    return td_request_write(request, write_status, &w, err);
}

static td_code write_tags(td_db *db, void *context, td_err *err)
{
    const model_write *w = context;
    TD_TRY(td_logged_set_tags(db, TD_WHO(w->request), w->request->parameters[0], w->options.tags, err));
    return answer_model(w->request, db, w->request->parameters[0], err);
}

static td_code set_tags(td_request *request, td_err *err)
{
    model_write w = {.request = request};
    TD_TRY(td_mlflow_json(request, "tags", JSON_ARRAY, &w.options.tags, err));
    return td_request_write(request, write_tags, &w, err);
}

static td_code write_params(td_db *db, void *context, td_err *err)
{
    const model_write *w = context;
    TD_TRY(td_logged_add_params(db, TD_WHO(w->request), w->request->parameters[0], w->options.params, err));
    return td_mlflow_answer_empty(w->request, err);
}

static td_code add_params(td_request *request, td_err *err)
{
    model_write w = {.request = request};
    TD_TRY(td_mlflow_json(request, "params", JSON_ARRAY, &w.options.params, err));
    return td_request_write(request, write_params, &w, err);
}

static td_code write_delete_tag(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    TD_TRY(td_logged_delete_tag(db, TD_WHO(request), request->parameters[0], request->parameters[1], err));
    return td_mlflow_answer_empty(request, err);
}

static td_code delete_tag(td_request *request, td_err *err)
{
    return td_request_write(request, write_delete_tag, request, err);
}

static td_code write_delete(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    TD_TRY(td_logged_delete(db, TD_WHO(request), request->parameters[0], err));
    return td_mlflow_answer_empty(request, err);
}

static td_code delete_model(td_request *request, td_err *err)
{
    return td_request_write(request, write_delete, request, err);
}

#define MODELS "/api/2.0/mlflow/logged-models"

const td_route td_routes_mlflow_logged[] = {
    TD_SEND("POST", MODELS "/search", TD_MAY_READ, search, "MLflow: find logged models"),
    TD_GET(MODELS "/{model_id}", TD_MAY_READ, get_model, "MLflow: one logged model"),
    TD_GET(MODELS "/{model_id}/artifacts/directories", TD_MAY_READ, list_artifacts,
           "MLflow: artifacts of a logged model"),
    TD_SEND("POST", MODELS, TD_MAY_REGISTER, create, "MLflow: begin to log a model"),
    TD_SEND("PATCH", MODELS "/{model_id}", TD_MAY_REGISTER, finish, "MLflow: all its files are there, or never will"),
    TD_SEND("PATCH", MODELS "/{model_id}/tags", TD_MAY_REGISTER, set_tags, "MLflow: set tags of a logged model"),
    TD_SEND("POST", MODELS "/{model_id}/params", TD_MAY_REGISTER, add_params, "MLflow: parameters of a logged model"),
    TD_SEND("DELETE", MODELS "/{model_id}/tags/{tag_key}", TD_MAY_REGISTER, delete_tag,
            "MLflow: remove a tag of a logged model"),
    TD_SEND("DELETE", MODELS "/{model_id}", TD_MAY_REGISTER, delete_model, "MLflow: hide a logged model"),
    TD_ROUTES_END,
};
