/*
 * mlflow_store.c: MLflow's view of models and versions, one row at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/mlflow.h"

#include "access/project.h"
#include "core/db/list_json.h"
#include "registry/lifecycle.h"
#include "registry/registry_internal.h"
#include "registry/search.h"

#include <stdio.h>
#include <string.h>

/* ---- lists of a row ---- */

typedef json_t *(*make_row)(td_stmt *stmt);

static json_t *pair_json(td_stmt *stmt)
{
    return json_pack("{s:s, s:s}", "key", td_column_text(stmt, "key"), "value", td_column_text(stmt, "value"));
}

static json_t *metric_json(td_stmt *stmt)
{
    return json_pack("{s:s, s:f, s:I, s:i}", "key", td_column_text(stmt, "key"), "value", td_column_real(stmt, "value"),
                     "timestamp", (json_int_t)td_column_int(stmt, "at"), "step", 0);
}

static json_t *alias_json(td_stmt *stmt)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)td_column_int(stmt, "number"));
    return json_pack("{s:s, s:s}", "alias", td_column_text(stmt, "name"), "version", number);
}

static json_t *name_json(td_stmt *stmt)
{
    return json_string(td_column_text(stmt, "name"));
}

/* Runs a statement that was bound and puts its rows under a name. */
static td_code add_rows(json_t *json, const char *name, td_stmt *stmt, make_row make, td_err *err)
{
    bool row;
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        if (json_array_append_new(list, make(stmt)) != 0) {
            td_reset(stmt);
            return td_registry__json_ok(NULL, err);
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    return json_object_set(json, name, list) == 0 ? TD_OK : td_registry__json_ok(NULL, err);
}

static td_code add_list(td_db *db, const char *sql_literal, int64_t id, const char *name, make_row make, json_t *json,
                        td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, sql_literal, &stmt, err));
    td_bind_int(stmt, ":id", id);
    return add_rows(json, name, stmt, make, err);
}

/* ---- versions ---- */

static const char version_sql[] =
    "SELECT m.name, v.model_id, v.number, v.created_ms, v.updated_ms, v.registrar, v.stage, v.description, v.source, "
    "v.run_id, v.run_link, v.logged_model FROM version v JOIN model m ON m.model_id = v.model_id "
    "WHERE v.version_id = :id";
static const char version_tags_sql[] = "SELECT key, value FROM version_tag WHERE version_id = :id";
static const char version_aliases_sql[] =
    "SELECT a.name FROM version v JOIN alias a ON a.model_id = v.model_id AND a.version_id = v.version_id "
    "WHERE v.version_id = :id";
static const char version_params_sql[] =
    "SELECT key AS name, key, value FROM version_param WHERE version_id = :id";
static const char version_metrics_sql[] =
    "SELECT w.key, w.value, v.created_ms AS at FROM version v JOIN version_metric w ON w.version_id = v.version_id "
    "WHERE v.version_id = :id";

static json_t *param_json(td_stmt *stmt)
{
    return json_pack("{s:s, s:s}", "name", td_column_text(stmt, "name"), "value", td_column_text(stmt, "value"));
}

static json_t *version_head(td_stmt *stmt)
{
    char number[24], source[TD_LABEL_SIZE + 16];
    snprintf(number, sizeof number, "%lld", (long long)td_column_int(stmt, "number"));
    snprintf(source, sizeof source, "models:/%s/%s", td_column_text(stmt, "name"), number);
    const char *given = td_column_text(stmt, "source");
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name",
                     td_column_text(stmt, "name"), "version", number, "creation_timestamp",
                     (json_int_t)td_column_int(stmt, "created_ms"), "last_updated_timestamp",
                     (json_int_t)td_column_int(stmt, "updated_ms"), "user_id", td_column_text(stmt, "registrar"),
                     "current_stage", td_column_text(stmt, "stage"), "description", td_column_text(stmt, "description"),
                     "source", given[0] != '\0' ? given : source, "run_id", td_column_text(stmt, "run_id"), "run_link",
                     td_column_text(stmt, "run_link"), "model_id", td_column_text(stmt, "logged_model"), "status",
                     "READY", "status_message", "");
}

static td_code version_json(td_db *db, int64_t version_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, version_sql, &stmt, err));
    td_bind_int(stmt, ":id", version_id);
    TD_TRY(td_step_one(stmt, err, "the version is gone"));
    TD_CLEANUP(td_json_done) json_t *json = version_head(stmt);
    td_reset(stmt);
    TD_TRY(td_registry__json_ok(json, err));
    TD_TRY(add_list(db, version_tags_sql, version_id, "tags", pair_json, json, err));
    TD_TRY(add_list(db, version_aliases_sql, version_id, "aliases", name_json, json, err));
    *out = json_incref(json);
    return TD_OK;
}

td_code td_mlflow_version_json(td_db *db, const char *project, const char *reference, json_t **out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    td_version version;
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    if (version.archived_ms != 0) {
        return td_fail(err, TD_NOT_FOUND, "Model Version (name=%s, version=%lld) not found: it was deleted",
                       version.model, (long long)version.number);
    }
    TD_TRY(version_json(db, version.version_id, &json, err));
    TD_TRY(add_list(db, version_params_sql, version.version_id, "model_params", param_json, json, err));
    TD_TRY(add_list(db, version_metrics_sql, version.version_id, "model_metrics", metric_json, json, err));
    *out = json_incref(json);
    return TD_OK;
}

/* ---- the newest of each stage ---- */

#define STAGES 4
#define NEWEST_OF(stage)                                                                                               \
    "(SELECT version_id FROM version WHERE model_id = :model AND stage = '" stage                                      \
    "' AND archived_ms IS NULL ORDER BY number DESC LIMIT 1) AS \"" stage "\""

/* One statement for all stages: a page of models asks for each of a hundred. */
static td_code newest(td_db *db, int64_t model_id, int64_t version_ids[STAGES], td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT " NEWEST_OF("None") ", " NEWEST_OF("Staging") ", " NEWEST_OF("Production") ", "
                         NEWEST_OF("Archived"), &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    TD_TRY(td_step_one(stmt, err, "no newest versions"));
    for (size_t i = 0; i < STAGES; i++) {
        version_ids[i] = td_column_int(stmt, td_stage_names[i]); /* 0: NULL */
    }
    td_reset(stmt);
    return TD_OK;
}

static bool is_asked(const char *stage, const char *const *stages, size_t count)
{
    bool asked = false;
    for (size_t i = 0; i < count; i++) {
        asked = asked || strcmp(stages[i], stage) == 0;
    }
    return asked;
}

static td_code latest(td_db *db, int64_t model_id, const char *const *stages, size_t count, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    int64_t version_ids[STAGES];
    TD_TRY(newest(db, model_id, version_ids, err));
    for (size_t i = 0; i < STAGES; i++) {
        json_t *version = NULL;
        if (version_ids[i] != 0 && is_asked(td_stage_names[i], stages, count)) {
            TD_TRY(version_json(db, version_ids[i], &version, err));
            if (json_array_append_new(list, version) != 0) {
                return td_registry__json_ok(NULL, err);
            }
        }
    }
    TD_TRY(td_registry__json_ok(list, err));
    *out = json_incref(list);
    return TD_OK;
}

td_code td_mlflow_latest_json(td_db *db, const char *project, const char *name, const char *const *stages, size_t count,
                              json_t **out, td_err *err)
{
    td_registry__model model;
    TD_TRY(td_registry__model_find(db, project, name, &model, err));
    return count == 0 ? latest(db, model.model_id, td_stage_names, STAGES, out, err)
                      : latest(db, model.model_id, stages, count, out, err);
}

/* ---- models ---- */

static const char model_sql[] =
    "SELECT name, description, owner, created_ms, updated_ms FROM model WHERE model_id = :id";
static const char model_tags_sql[] = "SELECT key, value FROM model_tag WHERE model_id = :id";
static const char model_aliases_sql[] =
    "SELECT a.name, v.number FROM alias a JOIN version v ON v.version_id = a.version_id WHERE a.model_id = :id";

static json_t *model_head(td_stmt *stmt)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", td_column_text(stmt, "name"), "description",
                     td_column_text(stmt, "description"), "user_id", td_column_text(stmt, "owner"),
                     "creation_timestamp", (json_int_t)td_column_int(stmt, "created_ms"), "last_updated_timestamp",
                     (json_int_t)td_column_int(stmt, "updated_ms"));
}

static td_code model_json(td_db *db, int64_t model_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    json_t *versions = NULL;
    TD_TRY(td_db_prepare(db, model_sql, &stmt, err));
    td_bind_int(stmt, ":id", model_id);
    TD_TRY(td_step_one(stmt, err, "the model is gone"));
    TD_CLEANUP(td_json_done) json_t *json = model_head(stmt);
    td_reset(stmt);
    TD_TRY(td_registry__json_ok(json, err));
    TD_TRY(add_list(db, model_tags_sql, model_id, "tags", pair_json, json, err));
    TD_TRY(add_list(db, model_aliases_sql, model_id, "aliases", alias_json, json, err));
    TD_TRY(latest(db, model_id, td_stage_names, STAGES, &versions, err));
    if (json_object_set_new(json, "latest_versions", versions) != 0) {
        return td_registry__json_ok(NULL, err);
    }
    *out = json_incref(json);
    return TD_OK;
}

td_code td_mlflow_model_json(td_db *db, const char *project, const char *name, json_t **out, td_err *err)
{
    td_registry__model model;
    TD_TRY(td_registry__model_find(db, project, name, &model, err));
    return model_json(db, model.model_id, out, err);
}

/* ---- search ---- */

static const td_filter_field model_fields[] = {
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "m.name", .narrows = true},
    {.name = "creation_timestamp", .type = TD_FILTER_INTEGER, .sql = "m.created_ms"},
    {.name = "last_updated_timestamp", .type = TD_FILTER_INTEGER, .sql = "m.updated_ms"},
    {.name = "timestamp", .type = TD_FILTER_INTEGER, .sql = "m.updated_ms"},
    {.name = NULL},
};
static const td_filter_table model_table = {
    .fields = model_fields, .families = td_model_families, .prefix = "model", .order = "name", .tie = "name"};

static const td_filter_field version_fields[] = {
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "m.name", .narrows = true},
    {.name = "version_number", .type = TD_FILTER_INTEGER, .sql = "v.number"},
    {.name = "run_id", .type = TD_FILTER_TEXT, .sql = "v.run_id", .narrows = true},
    {.name = "source_path", .type = TD_FILTER_TEXT, .sql = "v.source", .no_order = true},
    {.name = "current_stage", .type = TD_FILTER_TEXT, .sql = "v.stage", .choices = td_stage_names},
    {.name = "creation_timestamp", .type = TD_FILTER_INTEGER, .sql = "v.created_ms"},
    {.name = "last_updated_timestamp", .type = TD_FILTER_INTEGER, .sql = "v.updated_ms"},
    {.name = NULL},
};
static const td_filter_table version_table = {.fields = version_fields,
                                              .families = td_version_families,
                                              .prefix = "version",
                                              .order = "last_updated_timestamp DESC",
                                              .tie = "name, version_number DESC"};

static td_code model_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    return model_json(context, td_column_int(stmt, "model_id"), out, err);
}

static td_code version_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    return version_json(context, td_column_int(stmt, "version_id"), out, err);
}

static td_code page_text(td_db *db, const char *project, const td_list_query *query, const td_page *page,
                         td_list_row row, td_str *out, td_err *err)
{
    int64_t project_id;
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(td_list_open(db, query, project, page, &list, err));
    td_bind_int(td_list_stmt(list), ":project", project_id);
    return td_list_text(list, row, db, "next_page_token", out, err);
}

td_code td_mlflow_models_text(td_db *db, const char *project, const td_page *page, td_str *out, td_err *err)
{
    static const td_list_query query = {.name = "registered_models",
                                        .table = &model_table,
                                        .columns = "m.model_id",
                                        .from = "model m",
                                        .where = "m.project_id = :project AND m.archived_ms IS NULL",
                                        .limit_max = TD_MLFLOW_MODELS_PAGE_MAX};
    return page_text(db, project, &query, page, model_row, out, err);
}

td_code td_mlflow_versions_text(td_db *db, const char *project, const td_page *page, td_str *out, td_err *err)
{
    static const td_list_query query = {.name = "model_versions",
                                        .table = &version_table,
                                        .columns = "v.version_id",
                                        .from = "version v JOIN model m ON m.model_id = v.model_id",
                                        .where = "m.project_id = :project AND v.archived_ms IS NULL",
                                        .limit_max = TD_MLFLOW_VERSIONS_PAGE_MAX};
    return page_text(db, project, &query, page, version_row, out, err);
}
