/*
 * search_store.c: finding experiments, runs and logged models in the grammar of core/db/filter.h, page by page.
 *
 * The tables say what MLflow's clients may ask, by the names that they use. A run of a hidden experiment counts as
 * hidden itself.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/list.h"
#include "tracking/internal.h"

#include <string.h>

/* ---- what may be asked ---- */

static const td_filter_family experiment_families[] = {
    {.names = td_filter_tags,
     .type = TD_FILTER_TEXT,
     .rows = {"experiment_tag", "experiment_id", "e.experiment_id"},
     .key = "key",
     .value = "value"},
    {.names = NULL},
};
static const td_filter_field experiment_fields[] = {
    {.name = "experiment_id", .type = TD_FILTER_INTEGER, .sql = "e.number"},
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "e.name"},
    {.name = "creation_time", .type = TD_FILTER_TIME, .sql = "e.created_ms"},
    {.name = "last_update_time", .type = TD_FILTER_TIME, .sql = "e.updated_ms"},
    {.name = NULL},
};
static const td_filter_table experiment_table = {.fields = experiment_fields,
                                                 .families = experiment_families,
                                                 .prefix = "experiment",
                                                 .order = "last_update_time DESC, experiment_id DESC",
                                                 .tie = "experiment_id DESC"};

static const char *const dataset_names[] = {"dataset", "datasets", NULL};
static const td_filter_field dataset_fields[] = {
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "name"},
    {.name = "digest", .type = TD_FILTER_TEXT, .sql = "digest"},
    {.name = "context", .type = TD_FILTER_TEXT, .sql = "context"},
    {.name = NULL},
};
static const td_filter_family run_families[] = {
    {.names = td_filter_tags,
     .type = TD_FILTER_TEXT,
     .rows = {"run_tag", "run_id", "r.run_id"},
     .key = "key",
     .value = "value",
     .by_value = true},
    {.names = td_filter_metrics,
     .type = TD_FILTER_REAL,
     .rows = {"run_metric", "run_id", "r.run_id"},
     .key = "key",
     .value = "value"},
    {.names = td_filter_params,
     .type = TD_FILTER_TEXT,
     .rows = {"run_param", "run_id", "r.run_id"},
     .key = "key",
     .value = "value"},
    {.names = dataset_names,
     .rows = {"(SELECT run_id, name, digest, (SELECT json_extract(j.value, '$.value') FROM json_each(used.tags) j "
              "WHERE json_extract(j.value, '$.key') = 'mlflow.data.context') AS context FROM run_input used "
              "JOIN dataset_input d ON d.dataset_id = used.dataset_id)",
              "run_id", "r.run_id"},
     .fields = dataset_fields,
     .no_order = true},
    {.names = NULL},
};
static const td_filter_field run_fields[] = {
    {.name = "run_id", .type = TD_FILTER_TEXT, .sql = "r.uuid", .narrows = true},
    {.name = "run_name", .type = TD_FILTER_TEXT, .sql = "r.name"},
    {.name = "run name", .type = TD_FILTER_TEXT, .sql = "r.name"},
    {.name = "Run name", .type = TD_FILTER_TEXT, .sql = "r.name"},
    {.name = "Run Name", .type = TD_FILTER_TEXT, .sql = "r.name"},
    {.name = "status", .type = TD_FILTER_TEXT, .sql = "r.status"},
    {.name = "user_id", .type = TD_FILTER_TEXT, .sql = "iif(r.user_name = '', r.owner, r.user_name)"},
    {.name = "artifact_uri",
     .type = TD_FILTER_TEXT,
     .sql = "('mlflow-artifacts:/' || e.number || '/' || r.uuid || '/artifacts')"},
    {.name = "start_time", .type = TD_FILTER_TIME, .sql = "r.started_ms"},
    {.name = "created", .type = TD_FILTER_TIME, .sql = "r.started_ms"},
    {.name = "Created", .type = TD_FILTER_TIME, .sql = "r.started_ms"},
    {.name = "end_time", .type = TD_FILTER_TIME, .sql = "r.ended_ms", .nullable = true},
    {.name = NULL},
};
static const td_filter_table run_table = {.fields = run_fields,
                                          .families = run_families,
                                          .prefix = "run",
                                          .order = "start_time DESC",
                                          .tie = "run_id"};

static const td_filter_family logged_families[] = {
    {.names = td_filter_tags,
     .type = TD_FILTER_TEXT,
     .rows = {"logged_model_tag", "logged_model_id", "l.logged_model_id"},
     .key = "key",
     .value = "value"},
    {.names = td_filter_metrics,
     .type = TD_FILTER_REAL,
     .rows = {"logged_model_metric", "logged_model_id", "l.logged_model_id"},
     .key = "key",
     .value = "value"},
    {.names = td_filter_params,
     .type = TD_FILTER_TEXT,
     .rows = {"logged_model_param", "logged_model_id", "l.logged_model_id"},
     .key = "key",
     .value = "value"},
    {.names = NULL},
};
static const td_filter_field logged_fields[] = {
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "l.name"},
    {.name = "model_id", .type = TD_FILTER_TEXT, .sql = "l.uuid", .narrows = true},
    {.name = "model_type", .type = TD_FILTER_TEXT, .sql = "l.model_type"},
    {.name = "status", .type = TD_FILTER_TEXT, .sql = "replace(l.status, 'LOGGED_MODEL_', '')"},
    {.name = "source_run_id",
     .type = TD_FILTER_TEXT,
     .sql = "(SELECT uuid FROM experiment_run WHERE run_id = l.source_run_id)",
     .nullable = true},
    {.name = "creation_timestamp", .type = TD_FILTER_TIME, .sql = "l.created_ms"},
    {.name = "creation_time", .type = TD_FILTER_TIME, .sql = "l.created_ms"},
    {.name = "last_updated_timestamp", .type = TD_FILTER_TIME, .sql = "l.updated_ms"},
    {.name = NULL},
};
static const td_filter_table logged_table = {.fields = logged_fields,
                                             .families = logged_families,
                                             .order = "creation_timestamp DESC",
                                             .tie = "model_id"};

/* ---- searching ---- */

typedef td_code (*show_fn)(td_db *db, int64_t id, json_t **out, td_err *err);

static td_code add_shown(td_db *db, int64_t id, show_fn show, json_t *list, td_err *err)
{
    json_t *entry = NULL;
    TD_TRY(show(db, id, &entry, err));
    return json_array_append_new(list, entry) == 0 ? TD_OK : td_fail(err, TD_NOMEM, "no memory to list");
}

/* Steps through the list, shows each row by its id, and adds the token of the next page. */
static td_code collect(td_db *db, td_list *list, show_fn show, const char *name, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = json_pack("{s:[]}", name);
    json_t *entries = json_object_get(answer, name);
    for (bool row = true;;) {
        TD_TRY(td_list_step(list, &row, err));
        if (!row) {
            break;
        }
        TD_TRY(add_shown(db, td_column_int(td_list_stmt(list), "id"), show, entries, err));
    }
    const char *next = td_list_next(list);
    if (answer == NULL ||
        (next != NULL && json_object_set_new(answer, "next_page_token", json_string(next)) != 0)) {
        return td_fail(err, TD_NOMEM, "no memory to list");
    }
    *out = json_incref(answer);
    return TD_OK;
}

/* What tells this list from others, for its cursors. */
static td_code scope_of(td_str *scope, const char *kind, const char *project, td_tracking_view view,
                        const char *experiments, td_err *err)
{
    td_str_addf(scope, "%s %s %d %s", kind, project, (int)view, experiments);
    return td_str_check(scope, err);
}

static const char *stage_of(td_tracking_view view)
{
    return view == TD_VIEW_ACTIVE ? "active" : view == TD_VIEW_DELETED ? "deleted" : NULL;
}

td_code td_experiment_search_json(td_db *db, const char *project, const td_page *page, td_tracking_view view,
                                  json_t **out, td_err *err)
{
    static const td_list_query query = {
        .table = &experiment_table,
        .columns = "e.experiment_id AS id",
        .from = "experiment e",
        .where = "e.project_id = (SELECT project_id FROM project WHERE name = :project) "
                 "AND (:stage IS NULL OR e.stage = :stage)",
        .limit_max = TD_TRACKING_PAGE_MAX,
    };
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_CLEANUP(td_str_done) td_str scope = {0};
    TD_TRY(scope_of(&scope, "experiments", project, view, "", err));
    TD_TRY(td_list_open(db, &query, td_str_text(&scope), page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    td_bind_text(td_list_stmt(list), ":stage", stage_of(view));
    return collect(db, list, td_tracking__experiment_json, "experiments", out, err);
}

/* The numbers of a JSON array of texts, as JSON; what is no number names no experiment. */
static td_code numbers_of(const json_t *experiments, td_str *out, td_err *err)
{
    size_t i;
    const json_t *text;
    const char *comma = "";
    if (json_array_size(experiments) > TD_SEARCH_EXPERIMENTS_MAX) {
        return td_fail(err, TD_LIMIT, "at most %d experiments can be searched at once", TD_SEARCH_EXPERIMENTS_MAX);
    }
    td_str_add(out, "[");
    json_array_foreach (experiments, i, text) {
        int64_t number;
        if (json_is_string(text) &&
            td_parse_int(json_string_value(text), "experiment_id", 0, INT64_MAX, &number, NULL) == TD_OK) {
            td_str_addf(out, "%s%lld", comma, (long long)number);
            comma = ",";
        }
    }
    td_str_add(out, "]");
    return td_str_check(out, err);
}

td_code td_trial_search_json(td_db *db, const char *project, const json_t *experiments, const td_page *page,
                             td_tracking_view view, json_t **out, td_err *err)
{
    static const td_list_query query = {
        .table = &run_table,
        .columns = "r.run_id AS id",
        .from = "experiment e JOIN experiment_run r ON r.experiment_id = e.experiment_id",
        .where = "e.project_id = (SELECT project_id FROM project WHERE name = :project) "
                 "AND e.number IN (SELECT value FROM json_each(:experiments)) "
                 "AND (:stage IS NULL OR iif(e.stage = 'deleted', 'deleted', r.stage) = :stage)",
        .limit_max = TD_TRACKING_PAGE_MAX,
    };
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_CLEANUP(td_str_done) td_str numbers = {0};
    TD_CLEANUP(td_str_done) td_str scope = {0};
    TD_TRY(numbers_of(experiments, &numbers, err));
    TD_TRY(scope_of(&scope, "runs", project, view, td_str_text(&numbers), err));
    TD_TRY(td_list_open(db, &query, td_str_text(&scope), page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    td_bind_text(td_list_stmt(list), ":experiments", td_str_text(&numbers));
    td_bind_text(td_list_stmt(list), ":stage", stage_of(view));
    return collect(db, list, td_tracking__run_json, "runs", out, err);
}

td_code td_logged_search_json(td_db *db, const char *project, const json_t *experiments, const td_page *page,
                              json_t **out, td_err *err)
{
    static const td_list_query query = {
        .table = &logged_table,
        .columns = "l.logged_model_id AS id",
        .from = "experiment e JOIN logged_model l ON l.experiment_id = e.experiment_id",
        .where = "e.project_id = (SELECT project_id FROM project WHERE name = :project) "
                 "AND e.number IN (SELECT value FROM json_each(:experiments)) AND l.deleted_ms IS NULL",
        .limit_max = TD_TRACKING_PAGE_MAX,
    };
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_CLEANUP(td_str_done) td_str numbers = {0};
    TD_CLEANUP(td_str_done) td_str scope = {0};
    TD_TRY(numbers_of(experiments, &numbers, err));
    TD_TRY(scope_of(&scope, "models", project, TD_VIEW_ACTIVE, td_str_text(&numbers), err));
    TD_TRY(td_list_open(db, &query, td_str_text(&scope), page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    td_bind_text(td_list_stmt(list), ":experiments", td_str_text(&numbers));
    return collect(db, list, td_tracking__logged_json, "models", out, err);
}
