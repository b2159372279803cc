/*
 * search_store.c: what may be asked of models and versions, and the lists that answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/search.h"

#include "access/project.h"
#include "core/db/list_json.h"
#include "registry/lifecycle.h"
#include "registry/registry_internal.h"

#include <stdio.h>

/* ---- what may be asked ---- */

static const td_filter_key prompt_keys[] = {{"mlflow.prompt.is_prompt", "false", NULL}, {.key = NULL}};
static const td_filter_key model_prompt_keys[] = {{"mlflow.prompt.is_prompt", "false", "m.is_prompt"}, {.key = NULL}};

const td_filter_family td_model_families[] = {
    {.names = td_filter_tags,
     .type = TD_FILTER_TEXT,
     .rows = {"model_tag", "model_id", "m.model_id"},
     .key = "key",
     .value = "value",
     .keys = model_prompt_keys,
     .by_value = true},
    {.names = NULL},
};

const td_filter_family td_version_families[] = {
    {.names = td_filter_tags,
     .type = TD_FILTER_TEXT,
     .rows = {"version_tag", "version_id", "v.version_id"},
     .key = "key",
     .value = "value",
     .keys = prompt_keys,
     .by_value = true},
    {.names = td_filter_metrics,
     .type = TD_FILTER_REAL,
     .rows = {"version_metric", "version_id", "v.version_id"},
     .key = "key",
     .value = "value"},
    {.names = td_filter_params,
     .type = TD_FILTER_TEXT,
     .rows = {"version_param", "version_id", "v.version_id"},
     .key = "key",
     .value = "value"},
    {.names = NULL},
};

static const td_filter_rows model_aliases = {"alias", "model_id", "m.model_id"};
static const td_filter_field model_fields[] = {
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "m.name", .narrows = true},
    {.name = "description", .type = TD_FILTER_TEXT, .sql = "m.description", .no_order = true},
    {.name = "owner", .type = TD_FILTER_TEXT, .sql = "m.owner"},
    {.name = "created_at", .type = TD_FILTER_TIME, .sql = "m.created_ms"},
    {.name = "updated_at", .type = TD_FILTER_TIME, .sql = "m.updated_ms"},
    {.name = "latest_version",
     .type = TD_FILTER_INTEGER,
     .sql = "(SELECT max(l.number) FROM version l WHERE l.model_id = m.model_id AND l.archived_ms IS NULL)",
     .nullable = true},
    {.name = "alias", .type = TD_FILTER_TEXT, .sql = "name", .rows = &model_aliases},
    {.name = NULL},
};
const td_filter_table td_model_table = {
    .fields = model_fields, .families = td_model_families, .prefix = "model", .order = "name", .tie = "name"};

static const td_filter_rows version_aliases = {"alias", "version_id", "v.version_id"};
static const td_filter_rows version_files = {"version_file", "version_id", "v.version_id"};
static const td_filter_field version_fields[] = {
    {.name = "model", .type = TD_FILTER_TEXT, .sql = "m.name", .narrows = true},
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "m.name", .narrows = true},
    {.name = "version", .type = TD_FILTER_INTEGER, .sql = "v.number"},
    {.name = "state", .type = TD_FILTER_TEXT, .sql = "v.state", .choices = td_registry__version_state_names},
    {.name = "stage", .type = TD_FILTER_TEXT, .sql = "v.stage", .choices = td_stage_names},
    {.name = "description", .type = TD_FILTER_TEXT, .sql = "v.description", .no_order = true},
    {.name = "format", .type = TD_FILTER_TEXT, .sql = "v.format"},
    {.name = "created_by", .type = TD_FILTER_TEXT, .sql = "v.registrar"},
    {.name = "created_at", .type = TD_FILTER_TIME, .sql = "v.created_ms"},
    {.name = "updated_at", .type = TD_FILTER_TIME, .sql = "v.updated_ms"},
    {.name = "submitted_at", .type = TD_FILTER_TIME, .sql = "v.submitted_ms", .nullable = true},
    {.name = "decided_at", .type = TD_FILTER_TIME, .sql = "v.decided_ms", .nullable = true},
    {.name = "cause", .type = TD_FILTER_TEXT, .sql = "v.cause", .nullable = true},
    {.name = "derived_by", .type = TD_FILTER_TEXT, .sql = "v.derived_by", .nullable = true},
    {.name = "hardware", .type = TD_FILTER_TEXT, .sql = "v.hardware"},
    {.name = "run_id", .type = TD_FILTER_TEXT, .sql = "v.run_id"},
    {.name = "quarantined",
     .type = TD_FILTER_BOOLEAN,
     .sql = "EXISTS (SELECT 1 FROM version_scan q WHERE q.version_id = v.version_id AND q.verdict <> 'none')"},
    {.name = "parent",
     .type = TD_FILTER_TEXT,
     .sql = "(SELECT pm.name || '/' || pv.number FROM version pv JOIN model pm ON pm.model_id = pv.model_id "
            "WHERE pv.version_id = v.parent_id)",
     .nullable = true,
     .no_order = true},
    {.name = "alias", .type = TD_FILTER_TEXT, .sql = "name", .rows = &version_aliases},
    {.name = "file", .type = TD_FILTER_TEXT, .sql = "name", .rows = &version_files},
    {.name = NULL},
};
const td_filter_table td_version_table = {.fields = version_fields,
                                          .families = td_version_families,
                                          .prefix = "version",
                                          .order = "created_at DESC",
                                          .tie = "model, version DESC"};
const td_filter_table td_model_version_table = {.fields = version_fields,
                                                .families = td_version_families,
                                                .prefix = "version",
                                                .order = "version DESC",
                                                .tie = "version DESC"};

/* ---- models ---- */

static td_code model_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    return td_registry__model_json(context, td_column_int(stmt, "model_id"), out, err);
}

td_code td_model_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err)
{
    static const td_list_query query = {.name = "models",
                                        .table = &td_model_table,
                                        .columns = "m.model_id",
                                        .from = "model m",
                                        .where = "m.project_id = :project AND m.archived_ms IS NULL"};
    int64_t project_id;
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(td_list_open(db, &query, project, page, &list, err));
    td_bind_int(td_list_stmt(list), ":project", project_id);
    return td_list_json(list, model_row, db, out, err);
}

/* ---- versions ---- */

static td_code version_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    return td_registry__version_brief(context, td_column_int(stmt, "version_id"), out, err);
}

static td_code list_of_model(td_db *db, const char *project, const char *model, const td_page *page, td_list **out,
                             td_err *err)
{
    static const td_list_query query = {.name = "versions",
                                        .table = &td_model_version_table,
                                        .columns = "v.version_id",
                                        .from = "version v CROSS JOIN model m ON m.model_id = v.model_id",
                                        .where = "v.model_id = :model AND v.archived_ms IS NULL"};
    td_registry__model row;
    char scope[64];
    TD_TRY(td_registry__model_find(db, project, model, &row, err));
    snprintf(scope, sizeof scope, "model %lld", (long long)row.model_id);
    TD_TRY(td_list_open(db, &query, scope, page, out, err));
    td_bind_int(td_list_stmt(*out), ":model", row.model_id);
    return TD_OK;
}

/* The project is tested row by row (+), so that the order or what the filter finds decides where reading begins; a
 * model that is named is found first. */
static td_code list_of_project(td_db *db, const char *project, const td_page *page, td_list **out, td_err *err)
{
    static const td_list_query query = {.name = "versions",
                                        .table = &td_version_table,
                                        .columns = "v.version_id",
                                        .from = "version v JOIN model m ON m.model_id = v.model_id",
                                        .where = "+m.project_id = :project AND v.archived_ms IS NULL",
                                        .narrowed = "m.project_id = :project AND v.archived_ms IS NULL"};
    int64_t project_id;
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(td_list_open(db, &query, project, page, out, err));
    td_bind_int(td_list_stmt(*out), ":project", project_id);
    return TD_OK;
}

td_code td_version_list_json(td_db *db, const char *project, const char *model, const td_page *page, json_t **out,
                             td_err *err)
{
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(model != NULL ? list_of_model(db, project, model, page, &list, err)
                         : list_of_project(db, project, page, &list, err));
    return td_list_json(list, version_row, db, out, err);
}
