/*
 * mlflow_model.c: registered models of MLflow's REST API: their names, tags, aliases and newest versions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/lineage.h"
#include "registry/lifecycle.h"
#include "server/mlflow_registry.h"

#include <string.h>

#define PAGE_DEFAULT 100
#define ALIAS_REASON "set by a client of MLflow" /* its API has no place for a reason */

/* One change of a model, filled in by its handler. */
typedef struct model_write {
    td_request *request;
    const char *name, *new_name, *alias;
    td_model_options options;
    int64_t number;
    td_code (*change)(td_db *db, const struct model_write *write, td_err *err);
} model_write;

/* The answer is made inside the transaction, from what it wrote. */
static td_code answer_model(td_request *request, const char *name, td_err *err)
{
    json_t *model;
    TD_TRY(td_mlflow_model_json(request->db, request->project, name, &model, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "registered_model", model), err);
}

static td_code write_and_show(td_db *db, void *context, td_err *err)
{
    const model_write *write = context;
    TD_TRY(write->change(db, write, err));
    return answer_model(write->request, write->new_name != NULL ? write->new_name : write->name, err);
}

static td_code write_only(td_db *db, void *context, td_err *err)
{
    const model_write *write = context;
    TD_TRY(write->change(db, write, err));
    return td_mlflow_answer_empty(write->request, err);
}

/* ---- create, get, rename, update, delete ---- */

static td_code create(td_db *db, const model_write *write, td_err *err)
{
    return td_model_create(db, &write->request->actor, write->request->project, &write->options, err);
}

static td_code post_model(td_request *request, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *tags = NULL;
    model_write write = {.request = request, .change = create};
    TD_TRY(td_mlflow_text(request, "name", true, &write.name, err));
    TD_TRY(td_mlflow_text(request, "description", false, &write.options.description, err));
    TD_TRY(td_mlflow_pairs(request, "tags", &tags, err));
    write.options.name = write.name;
    write.options.tags = tags;
    td_code code = td_request_write(request, write_and_show, &write, err);
    if (code == TD_CONFLICT) {
        td_mlflow_error_name(request, "RESOURCE_ALREADY_EXISTS");
        return td_fail(err, code, "Registered Model (name=%s) already exists", write.name);
    }
    return code;
}

static td_code get_model(td_request *request, td_err *err)
{
    const char *name;
    TD_TRY(td_mlflow_text(request, "name", true, &name, err));
    return answer_model(request, name, err);
}

static td_code rename_model(td_db *db, const model_write *write, td_err *err)
{
    const td_request *request = write->request;
    TD_TRY(td_model_rename(db, &request->actor, request->project, write->name, write->new_name, err));
    return td_lineage_model_renamed(db, request->project, write->name, write->new_name, err);
}

static td_code post_rename(td_request *request, td_err *err)
{
    model_write write = {.request = request, .change = rename_model};
    TD_TRY(td_mlflow_text(request, "name", true, &write.name, err));
    TD_TRY(td_mlflow_text(request, "new_name", true, &write.new_name, err));
    td_code code = td_request_write(request, write_and_show, &write, err);
    if (code == TD_CONFLICT && strstr(err->text, "exists already") != NULL) {
        td_mlflow_error_name(request, "RESOURCE_ALREADY_EXISTS");
    }
    return code;
}

static td_code update(td_db *db, const model_write *write, td_err *err)
{
    return td_model_update(db, &write->request->actor, write->request->project, &write->options, err);
}

static td_code patch_model(td_request *request, td_err *err)
{
    model_write write = {.request = request, .change = update};
    TD_TRY(td_mlflow_text(request, "name", true, &write.name, err));
    TD_TRY(td_mlflow_text(request, "description", false, &write.options.description, err));
    write.options.name = write.name;
    write.options.description = write.options.description != NULL ? write.options.description : "";
    return td_request_write(request, write_and_show, &write, err);
}

static td_code archive(td_db *db, const model_write *write, td_err *err)
{
    return td_model_archive(db, &write->request->actor, write->request->project, write->name, err);
}

static td_code delete_model(td_request *request, td_err *err)
{
    model_write write = {.request = request, .change = archive};
    TD_TRY(td_mlflow_text(request, "name", true, &write.name, err));
    return td_request_write(request, write_only, &write, err);
}

/* ---- tags ---- */

static td_code change_tag(td_request *request, bool remove, td_err *err)
{
    const char *key, *value = NULL;
    model_write write = {.request = request, .change = update};
    TD_TRY(td_mlflow_text(request, "name", true, &write.name, err));
    TD_TRY(td_mlflow_text(request, "key", true, &key, err));
    if (!remove) {
        TD_TRY(td_mlflow_text(request, "value", false, &value, err));
        value = value != NULL ? value : "";
    }
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s?}", key, value);
    write.options = (td_model_options){.name = write.name, .tags = tags};
    td_code code = td_request_write(request, write_only, &write, err);
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

/* ---- aliases ---- */

static td_code set_alias(td_db *db, const model_write *write, td_err *err)
{
    const td_request *request = write->request;
    return td_alias_set(db, &request->actor, request->project, write->name, write->alias, write->number, ALIAS_REASON,
                        err);
}

static td_code end_alias(td_db *db, const model_write *write, td_err *err)
{
    const td_request *request = write->request;
    return td_alias_delete(db, &request->actor, request->project, write->name, write->alias, ALIAS_REASON, err);
}

/* The reserved names would be taken for versions. */
static bool is_reserved(const char *alias)
{
    bool number = (alias[0] == 'v' || alias[0] == 'V') && alias[1] != '\0' &&
                  alias[1 + strspn(alias + 1, "0123456789")] == '\0';
    return number || strcasecmp(alias, "latest") == 0;
}

/* Whoever may not move aliases learns nothing from the rest. */
static td_code read_alias(td_request *request, model_write *write, td_err *err)
{
    TD_TRY(td_mlflow_text(request, "alias", false, &write->alias, err));
    TD_TRY(td_access_check(&request->principal, request->project,
                           td_alias_permission(write->alias != NULL ? write->alias : ""), request->id, &request->actor,
                           err));
    TD_TRY(td_mlflow_text(request, "name", true, &write->name, err));
    TD_TRY(td_mlflow_text(request, "alias", true, &write->alias, err));
    return is_reserved(write->alias)
               ? td_fail(err, TD_INVALID, "Invalid alias name '%.60s': it is reserved", write->alias)
               : TD_OK;
}

static td_code post_alias(td_request *request, td_err *err)
{
    model_write write = {.request = request, .change = set_alias};
    TD_TRY(read_alias(request, &write, err));
    TD_TRY(td_mlflow_version(request, &write.number, err));
    td_code code = td_request_write(request, write_only, &write, err);
    bool same = code == TD_CONFLICT && strstr(err->text, "already") != NULL;
    return same ? td_mlflow_answer_empty(request, err) : code;
}

static td_code delete_alias(td_request *request, td_err *err)
{
    json_t *model;
    model_write write = {.request = request, .change = end_alias};
    TD_TRY(read_alias(request, &write, err));
    TD_TRY(td_model_json(request->db, request->project, write.name, &model, err));
    bool there = json_object_get(json_object_get(model, "aliases"), write.alias) != NULL;
    json_decref(model);
    return there ? td_request_write(request, write_only, &write, err) : td_mlflow_answer_empty(request, err);
}

static td_code get_alias(td_request *request, td_err *err)
{
    const char *name, *alias;
    TD_TRY(td_mlflow_text(request, "name", true, &name, err));
    TD_TRY(td_mlflow_text(request, "alias", true, &alias, err));
    return td_mlflow_answer_version(request, td_request_text(request, "%s@%s", name, alias), err);
}

/* ---- search ---- */

static td_code search_models(td_request *request, td_err *err)
{
    td_page page;
    TD_CLEANUP(td_str_done) td_str list = {0};
    TD_TRY(td_mlflow_page(request, PAGE_DEFAULT, TD_MLFLOW_MODELS_PAGE_MAX, &page, err));
    TD_TRY(td_mlflow_models_text(request->db, request->project, &page, &list, err));
    return td_answer_bytes(request, 200, "application/json", &list, err);
}

static td_code latest_versions(td_request *request, td_err *err)
{
    const char *name;
    const char *const *asked;
    const char *stages[TD_MLFLOW_LIST_MAX];
    size_t count;
    json_t *list;
    TD_TRY(td_mlflow_text(request, "name", true, &name, err));
    TD_TRY(td_mlflow_texts(request, "stages", &asked, &count, err));
    for (size_t i = 0; i < count; i++) {
        stages[i] = td_stage_find(asked[i]);
        if (stages[i] == NULL) {
            return td_fail(err, TD_INVALID, "Invalid Model Version stage: %.40s. Value must be one of %s", asked[i],
                           TD_STAGES_TEXT);
        }
    }
    TD_TRY(td_mlflow_latest_json(request->db, request->project, name, stages, count, &list, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "model_versions", list), err);
}

#define MODELS "/api/2.0/mlflow/registered-models/"
#define TD_MLFLOW_LOGIN(verb, route_pattern, fn, text)                                                                 \
    {                                                                                                                  \
        (verb), (route_pattern), TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, (fn), (text)                         \
    }

const td_route td_routes_mlflow_model[] = {
    TD_SEND("POST", MODELS "create", TD_MAY_REGISTER, post_model, "MLflow: make a model"),
    TD_GET(MODELS "get", TD_MAY_READ, get_model, "MLflow: one model"),
    TD_SEND("POST", MODELS "rename", TD_MAY_REGISTER, post_rename, "MLflow: rename a model"),
    TD_SEND("PATCH", MODELS "update", TD_MAY_REGISTER, patch_model, "MLflow: describe a model"),
    TD_SEND("DELETE", MODELS "delete", TD_MAY_MANAGE_ALIAS, delete_model, "MLflow: hide a model"),
    TD_GET(MODELS "search", TD_MAY_READ, search_models, "MLflow: models by a filter"),
    TD_GET(MODELS "get-latest-versions", TD_MAY_READ, latest_versions, "MLflow: the newest version of each stage"),
    TD_SEND("POST", MODELS "get-latest-versions", TD_MAY_READ, latest_versions,
            "MLflow: the newest version of each stage"),
    TD_SEND("POST", MODELS "set-tag", TD_MAY_REGISTER, set_tag, "MLflow: tag a model"),
    TD_SEND("DELETE", MODELS "delete-tag", TD_MAY_REGISTER, delete_tag, "MLflow: take a tag from a model"),
    TD_MLFLOW_LOGIN("POST", MODELS "alias", post_alias, "MLflow: point an alias at a version"),
    TD_MLFLOW_LOGIN("DELETE", MODELS "alias", delete_alias, "MLflow: end an alias"),
    TD_GET(MODELS "alias", TD_MAY_READ, get_alias, "MLflow: the version that an alias names"),
    TD_ROUTES_END,
};
