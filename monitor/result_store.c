/*
 * result_store.c: what a run made, for the server to register; and runs as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/list_json.h"
#include "monitor/alerts.h"
#include "monitor/run.h"

#include <stdio.h>
#include <string.h>

#define FILES_MAX 256

/* ---- Result ---------------------------------------------------------------------------------- */

static td_code add_file(const json_t *declared, const json_t *made, td_arena *arena, td_run_file *out, td_err *err)
{
    const char *name = td_json_text(declared, "name", ""), *path = td_json_text(declared, "path", "");
    const char *digest = td_json_text(made, "digest", "");
    *out = (td_run_file){.name = td_arena_text(arena, td_json_text(declared, "file", path)),
                         .role = td_arena_text(arena, td_json_text(declared, "role", "file")),
                         .output = td_arena_text(arena, name),
                         .size = td_json_int(made, "size", 0)};
    if (out->name == NULL || out->role == NULL || out->output == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    return td_hex_decode(digest + 7, strlen(digest + 7), out->digest, TD_DIGEST_SIZE, err);
}

static td_code add_step_files(const json_t *step, const json_t *made, td_arena *arena, td_run_file *files,
                              size_t *count, td_err *err)
{
    const json_t *declared = json_object_get(step, "outputs");
    for (size_t i = 0; i < json_array_size(made); i++) {
        const json_t *output = json_array_get(made, i);
        for (size_t k = 0; k < json_array_size(declared); k++) {
            const json_t *item = json_array_get(declared, k);
            if (strcmp(td_json_text(item, "name", ""), td_json_text(output, "name", "")) == 0) {
                if (*count == FILES_MAX) {
                    return td_fail(err, TD_LIMIT, "more than %d output files", FILES_MAX);
                }
                TD_TRY(add_file(item, output, arena, &files[*count], err));
                (*count)++;
            }
        }
    }
    return TD_OK;
}

static td_code read_files(td_db *db, const td_run_row *run, const json_t *spec, td_arena *arena, td_run_file *files,
                          size_t *count, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db, "SELECT name, outputs FROM pipeline_step WHERE run_id = :run AND outputs IS NOT NULL ORDER BY position",
        &stmt, err));
    td_bind_int(stmt, ":run", run->id);
    for (;;) {
        bool row;
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        TD_CLEANUP(td_json_done) json_t *made = NULL;
        const char *text = td_column_text(stmt, "outputs");
        td_code code = td_json_parse(text, strlen(text), "stored outputs", &made, err);
        if (code == TD_OK) {
            code = add_step_files(td_pipeline_step(spec, td_column_text(stmt, "name")), made, arena, files, count, err);
        }
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
}

static td_code json_text(const json_t *json, td_arena *arena, const char **out, td_err *err)
{
    if (json == NULL) {
        *out = NULL;
        return TD_OK;
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_json_write(json, &text, err));
    *out = td_arena_text(arena, td_str_text(&text));
    return *out != NULL ? TD_OK : td_fail(err, TD_NOMEM, "out of memory");
}

/* Only finite numbers can be metrics of a version. */
static td_code flat_metrics(const td_run_row *run, td_arena *arena, const char **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *measured = NULL;
    TD_CLEANUP(td_json_done) json_t *numbers = json_object();
    *out = NULL;
    if (run->metrics == NULL) {
        return TD_OK;
    }
    TD_TRY(td_json_parse(run->metrics, strlen(run->metrics), "stored metrics", &measured, err));
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(measured, "metrics"), key, value) {
        if (json_is_number(value)) {
            json_object_set(numbers, key, value);
        }
    }
    return json_text(numbers, arena, out, err);
}

td_code td_run_result_read(td_db *db, const char *project, const char *run_name, td_arena *arena, td_run_result *out,
                           td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    td_run_row run;
    TD_TRY(td_run_read(db, project, run_name, arena, &run, err));
    TD_TRY(td_run_pipeline(db, &run, &spec, err));
    td_run_result made = {.run = td_arena_text(arena, run_name),
                          .state = td_run_states.names[run.state],
                          .project = run.project,
                          .model = run.model,
                          .pipeline = run.pipeline,
                          .gate = run.gate,
                          .parent_version = run.parent_version,
                          .registrar = td_arena_text(arena, td_json_text(spec, "registrar", NULL)),
                          .submit = td_json_bool(spec, "submit", false)};
    if (run.alert_id > 0) {
        char alert[24];
        td_alert_name(run.alert_id, alert);
        made.alert = td_arena_text(arena, alert);
    }
    td_run_file *files = td_arena_alloc(arena, FILES_MAX * sizeof *files);
    if (files == NULL || made.run == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    TD_TRY(read_files(db, &run, spec, arena, files, &made.file_count, err));
    made.files = files;
    TD_TRY(json_text(json_object_get(spec, "columns"), arena, &made.columns, err));
    TD_TRY(flat_metrics(&run, arena, &made.metrics, err));
    *out = made;
    return TD_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *column_json(td_stmt *stmt, const char *column)
{
    const char *text = td_column_text(stmt, column);
    return text != NULL ? json_string(text) : json_null();
}

static json_t *parsed_json(td_stmt *stmt, const char *column)
{
    const char *text = td_column_text(stmt, column);
    json_t *json = text != NULL ? json_loads(text, 0, NULL) : NULL;
    return json != NULL ? json : json_null();
}

static json_t *run_json(td_stmt *stmt)
{
    char name[24], alert[24];
    json_t *json = json_object();
    td_run_name(td_column_int(stmt, "run_id"), name);
    json_object_set_new(json, "run", json_string(name));
    static const char *const texts[] = {"pipeline", "gate", "model", "state", "reason"};
    for (size_t i = 0; i < TD_COUNT_OF(texts); i++) {
        json_object_set_new(json, texts[i], column_json(stmt, texts[i]));
    }
    json_object_set_new(json, "pipeline_revision", json_integer(td_column_int(stmt, "pipeline_revision")));
    json_object_set_new(json, "parent_version", json_integer(td_column_int(stmt, "parent_version")));
    bool caused = !td_column_null(stmt, "alert_id"), registered = !td_column_null(stmt, "result_version");
    td_alert_name(td_column_int(stmt, "alert_id"), alert);
    json_object_set_new(json, "alert", caused ? json_string(alert) : json_null());
    json_object_set_new(json, "version",
                        registered ? json_integer(td_column_int(stmt, "result_version")) : json_null());
    json_object_set_new(json, "created_at", td_time_json(td_column_int(stmt, "created_ms")));
    json_object_set_new(json, "ended_at", td_time_json(td_column_int(stmt, "ended_ms")));
    json_object_set_new(json, "metrics", parsed_json(stmt, "metrics"));
    json_object_set_new(json, "verdict", parsed_json(stmt, "verdict"));
    return json;
}

static td_code steps_json(td_db *db, int64_t run, json_t *steps, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT name, state, attempt, worker, exit_code, log, outputs, started_ms, ended_ms FROM pipeline_step "
        "WHERE run_id = :run ORDER BY position",
        &stmt, err));
    td_bind_int(stmt, ":run", run);
    for (;;) {
        bool row;
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        json_t *step = json_object();
        json_object_set_new(step, "step", column_json(stmt, "name"));
        json_object_set_new(step, "state", column_json(stmt, "state"));
        json_object_set_new(step, "attempt", json_integer(td_column_int(stmt, "attempt")));
        json_object_set_new(step, "worker", column_json(stmt, "worker"));
        bool ended = !td_column_null(stmt, "exit_code");
        json_object_set_new(step, "exit_code", ended ? json_integer(td_column_int(stmt, "exit_code")) : json_null());
        json_object_set_new(step, "log", column_json(stmt, "log"));
        json_object_set_new(step, "outputs", parsed_json(stmt, "outputs"));
        json_object_set_new(step, "started_at", td_time_json(td_column_int(stmt, "started_ms")));
        json_object_set_new(step, "ended_at", td_time_json(td_column_int(stmt, "ended_ms")));
        json_array_append_new(steps, step);
    }
}

td_code td_run_json(td_db *db, const char *project, const char *run_name, json_t **out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_run_row run;
    TD_TRY(td_run_read(db, project, run_name, &arena, &run, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT run_id, pipeline, pipeline_revision, gate, model, parent_version, alert_id, state, reason, "
        "metrics, verdict, result_version, created_ms, ended_ms FROM pipeline_run WHERE run_id = :id",
        &stmt, err));
    td_bind_int(stmt, ":id", run.id);
    TD_TRY(td_step_one(stmt, err, "no run %s", run_name));
    TD_CLEANUP(td_json_done) json_t *json = run_json(stmt);
    td_reset(stmt);
    json_t *steps = json_array();
    json_object_set_new(json, "steps", steps);
    TD_TRY(steps_json(db, run.id, steps, err));
    *out = json_incref(json);
    return TD_OK;
}

static const td_filter_field run_fields[] = {
    {.name = "id", .type = TD_FILTER_INTEGER, .sql = "r.run_id"},
    {.name = "model", .type = TD_FILTER_TEXT, .sql = "r.model"},
    {.name = "gate", .type = TD_FILTER_TEXT, .sql = "r.gate", .nullable = true},
    {.name = "state", .type = TD_FILTER_TEXT, .sql = "r.state", .choices = td_run_state_names},
    {.name = "parent_version", .type = TD_FILTER_INTEGER, .sql = "r.parent_version"},
    {.name = "version", .type = TD_FILTER_INTEGER, .sql = "r.result_version", .nullable = true},
    {.name = "alert", .type = TD_FILTER_TEXT, .sql = "('al-' || r.alert_id)", .nullable = true},
    {.name = "created_at", .type = TD_FILTER_TIME, .sql = "r.created_ms"},
    {.name = "ended_at", .type = TD_FILTER_TIME, .sql = "r.ended_ms", .nullable = true},
    {.name = NULL},
};
static const td_filter_table run_table = {
    .fields = run_fields, .prefix = "run", .order = "id DESC", .tie = "id DESC"};

static td_code run_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    (void)context;
    (void)err;
    *out = run_json(stmt);
    return TD_OK;
}

td_code td_run_list_json(td_db *db, const char *project, const char *pipeline, const td_page *page, json_t **out,
                         td_err *err)
{
    static const td_list_query query = {
        .name = "runs",
        .table = &run_table,
        .columns = "r.run_id, r.pipeline, r.pipeline_revision, r.gate, r.model, r.parent_version, r.alert_id, "
                   "r.state, r.reason, r.metrics, r.verdict, r.result_version, r.created_ms, r.ended_ms",
        .from = "pipeline_run r",
        .where = "r.project = :project AND r.pipeline = :pipeline"};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_CLEANUP(td_str_done) td_str scope = {0};
    td_str_addf(&scope, "%s %s", project, pipeline);
    TD_TRY(td_str_check(&scope, err));
    TD_TRY(td_list_open(db, &query, td_str_text(&scope), page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    td_bind_text(td_list_stmt(list), ":pipeline", pipeline);
    return td_list_json(list, run_row, NULL, out, err);
}

td_code td_run_waiting_json(td_db *db, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db, "SELECT run_id, project FROM pipeline_run WHERE state IN ('judging', 'passed') ORDER BY run_id", &stmt,
        err));
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    for (;;) {
        bool row;
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        char name[24];
        td_run_name(td_column_int(stmt, "run_id"), name);
        json_array_append_new(list, json_pack("{s:s,s:s}", "run", name, "project", td_column_text(stmt, "project")));
    }
    *out = json_pack("{s:O}", "runs", list);
    return TD_OK;
}
