/*
 * mlflow_version.c: model versions of MLflow's REST API: registering, describing, stages, search.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/lifecycle.h"
#include "server/mlflow_registry.h"

#include <string.h>

#define PAGE_DEFAULT 10000
#define DESCRIPTION_KEY "description"
#define ARTIFACTS "/api/2.0/mlflow-artifacts/artifacts"

td_code td_mlflow_reference(td_request *request, const char **out, td_err *err)
{
    const char *name;
    int64_t number;
    TD_TRY(td_mlflow_text(request, "name", true, &name, err));
    TD_TRY(td_mlflow_version(request, &number, err));
    TD_TRY(td_model_name_check(name, err));
    *out = td_request_text(request, "%s/%lld", name, (long long)number);
    return TD_OK;
}

td_code td_mlflow_answer_version(td_request *request, const char *reference, td_err *err)
{
    json_t *version;
    TD_TRY(td_mlflow_version_json(request->db, request->project, reference, &version, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "model_version", version), err);
}

/* ---- registering ---- */

typedef struct creation {
    td_request *request;
    const char *name;
} creation;

static td_code answer_created(td_db *db, void *context, int64_t number, td_err *err)
{
    const creation *made = context;
    td_request *request = made->request;
    const char *label = td_request_text(request, "%s/%lld", made->name, (long long)number);
    (void)db;
    return td_mlflow_answer_version(request, label, err);
}

static td_code read_origin(td_request *request, td_version_origin *out, td_err *err)
{
    TD_TRY(td_mlflow_text(request, "source", true, &out->source, err));
    TD_TRY(td_mlflow_text(request, "run_id", false, &out->run_id, err));
    TD_TRY(td_mlflow_text(request, "run_link", false, &out->run_link, err));
    return td_mlflow_text(request, "model_id", false, &out->logged_model, err);
}

/* A client may leave out what its source says. */
static void fill_origin(const td_registration *registration, td_version_origin *origin)
{
    const td_artifact_tree *tree = registration->artifacts;
    if (tree != NULL && (origin->run_id == NULL || origin->run_id[0] == '\0')) {
        origin->run_id = tree->run_uuid;
    }
    if (tree != NULL && (origin->logged_model == NULL || origin->logged_model[0] == '\0')) {
        origin->logged_model = tree->logged_model_uuid;
    }
}

static td_code post_version(td_request *request, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *tags = NULL;
    creation made = {.request = request};
    td_registration registration = {.also = answer_created, .also_context = &made};
    td_version_origin origin = {0};
    td_registered registered = {0};
    json_t *model;
    TD_TRY(td_mlflow_text(request, "name", true, &made.name, err));
    TD_TRY(td_mlflow_text(request, DESCRIPTION_KEY, false, &registration.description, err));
    TD_TRY(td_mlflow_pairs(request, "tags", &tags, err));
    TD_TRY(read_origin(request, &origin, err));
    TD_TRY(td_model_json(request->db, request->project, made.name, &model, err));
    json_decref(model);
    TD_TRY(td_mlflow_source_read(request, origin.source, &registration, &origin.reference, err));
    fill_origin(&registration, &origin);
    registration.model = made.name;
    registration.tags = tags;
    registration.origin = &origin;
    td_case work = td_request_case(request);
    TD_TRY(td_register(&work, &registration, &registered, err));
    json_decref(registered.warnings);
    return TD_OK;
}

/* ---- changes ---- */

typedef struct version_write {
    td_request *request;
    const char *reference, *stage;
    bool alone;
    td_version_edit edit;
} version_write;

static td_code write_edit(td_db *db, void *context, td_err *err)
{
    const version_write *write = context;
    td_request *request = write->request;
    TD_TRY(td_version_update(db, &request->actor, request->project, write->reference, &write->edit, err));
    return td_mlflow_answer_version(request, write->reference, err);
}

static td_code patch_version(td_request *request, td_err *err)
{
    version_write write = {.request = request};
    TD_TRY(td_mlflow_reference(request, &write.reference, err));
    TD_TRY(td_mlflow_text(request, DESCRIPTION_KEY, false, &write.edit.description, err));
    write.edit.description = write.edit.description != NULL ? write.edit.description : "";
    return td_request_write(request, write_edit, &write, err);
}

static td_code write_tags(td_db *db, void *context, td_err *err)
{
    const version_write *write = context;
    td_request *request = write->request;
    TD_TRY(td_version_update(db, &request->actor, request->project, write->reference, &write->edit, err));
    return td_mlflow_answer_empty(request, err);
}

static td_code change_tag(td_request *request, bool remove, td_err *err)
{
    const char *key, *value = NULL;
    version_write write = {.request = request};
    TD_TRY(td_mlflow_reference(request, &write.reference, err));
    TD_TRY(td_mlflow_text(request, "key", true, &key, err));
    if (!remove) {
        TD_TRY(td_mlflow_text(request, "value", false, &value, err));
        value = value != NULL ? value : "";
    }
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s?}", key, value);
    write.edit.tags = tags;
    td_code code = td_request_write(request, write_tags, &write, err);
    return remove && code == TD_NOT_FOUND && strstr(err->text, "tag") != NULL ? td_mlflow_answer_empty(request, err)
                                                                              : code;
}

static td_code set_tag(td_request *request, td_err *err)
{
    return change_tag(request, false, err);
}

static td_code delete_tag(td_request *request, td_err *err)
{
    return change_tag(request, true, err);
}

static td_code write_archive(td_db *db, void *context, td_err *err)
{
    const version_write *write = context;
    td_request *request = write->request;
    TD_TRY(td_version_archive(db, &request->actor, request->project, write->reference, err));
    return td_mlflow_answer_empty(request, err);
}

static td_code delete_version(td_request *request, td_err *err)
{
    version_write write = {.request = request};
    TD_TRY(td_mlflow_reference(request, &write.reference, err));
    return td_request_write(request, write_archive, &write, err);
}

static td_code write_stage(td_db *db, void *context, td_err *err)
{
    const version_write *write = context;
    td_request *request = write->request;
    TD_TRY(td_version_stage(db, &request->actor, request->project, write->reference, write->stage, write->alone, err));
    return td_mlflow_answer_version(request, write->reference, err);
}

static td_code post_stage(td_request *request, td_err *err)
{
    const char *stage;
    version_write write = {.request = request};
    TD_TRY(td_mlflow_reference(request, &write.reference, err));
    TD_TRY(td_mlflow_text(request, "stage", true, &stage, err));
    TD_TRY(td_mlflow_bool(request, "archive_existing_versions", false, &write.alone, err));
    write.stage = td_stage_find(stage);
    if (write.stage == NULL) {
        return td_fail(err, TD_INVALID, "Invalid Model Version stage: %.40s. Value must be one of %s", stage,
                       TD_STAGES_TEXT);
    }
    return td_request_write(request, write_stage, &write, err);
}

/* ---- reading ---- */

static td_code get_version(td_request *request, td_err *err)
{
    const char *reference;
    TD_TRY(td_mlflow_reference(request, &reference, err));
    return td_mlflow_answer_version(request, reference, err);
}

static td_code search_versions(td_request *request, td_err *err)
{
    td_page page;
    TD_CLEANUP(td_str_done) td_str list = {0};
    TD_TRY(td_mlflow_page(request, PAGE_DEFAULT, TD_MLFLOW_VERSIONS_PAGE_MAX, &page, err));
    TD_TRY(td_mlflow_versions_text(request->db, request->project, &page, &list, err));
    return td_answer_bytes(request, 200, "application/json", &list, err);
}

/* A whole address, because its clients would take mlflow-artifacts:/ for the tracking server's. A version without files
 * here sends its client where it said that they are. */
static td_code get_download_uri(td_request *request, td_err *err)
{
    const char *reference;
    td_version version;
    td_version_file *files;
    size_t count;
    TD_TRY(td_mlflow_reference(request, &reference, err));
    TD_TRY(td_version_find(request->db, request->project, reference, &request->arena, &version, err));
    TD_TRY(td_version_files(request->db, version.version_id, &request->arena, &files, &count, err));
    const char *uri = td_request_text(request, "%s" ARTIFACTS "/models/%s/model", request->base_url, version.label);
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    if (count == 0) {
        TD_TRY(td_mlflow_version_json(request->db, request->project, reference, &json, err));
        uri = td_json_text(json, "source", "");
    }
    return td_answer_json(request, 200, json_pack("{s:s}", "artifact_uri", uri), err);
}

#define VERSIONS "/api/2.0/mlflow/model-versions/"

const td_route td_routes_mlflow_version[] = {
    TD_SEND("POST", VERSIONS "create", TD_MAY_REGISTER, post_version, "MLflow: register a version"),
    TD_GET(VERSIONS "get", TD_MAY_READ, get_version, "MLflow: one version"),
    TD_SEND("PATCH", VERSIONS "update", TD_MAY_REGISTER, patch_version, "MLflow: describe a version"),
    TD_SEND("DELETE", VERSIONS "delete", TD_MAY_MANAGE_ALIAS, delete_version, "MLflow: hide a version"),
    TD_GET(VERSIONS "search", TD_MAY_READ, search_versions, "MLflow: versions by a filter"),
    TD_GET(VERSIONS "get-download-uri", TD_MAY_READ, get_download_uri, "MLflow: where a version's files are"),
    TD_SEND("POST", VERSIONS "transition-stage", TD_MAY_MANAGE_ALIAS, post_stage, "MLflow: set a version's stage"),
    TD_SEND("POST", VERSIONS "set-tag", TD_MAY_REGISTER, set_tag, "MLflow: tag a version"),
    TD_SEND("DELETE", VERSIONS "delete-tag", TD_MAY_REGISTER, delete_tag, "MLflow: take a tag from a version"),
    TD_ROUTES_END,
};
