/*
 * worker_store.c: steps under leases: claimed, prolonged, reported, returned when a worker went silent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/run.h"

#include "core/base/clock.h"
#include "lineage/lineage.h"
#include "monitor/alerts.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 3600000LL
#define EXPIRED_MAX 100
#define LEASE_MIN_MS 1000
#define LEASE_MAX_MS 86400000LL

static const char *const step_names[] = {"waiting", "ready", "leased", "done", "failed", NULL};
static const td_arrow step_arrows[] = {
    {TD_STEP_WAITING, TD_STEP_READY}, {TD_STEP_READY, TD_STEP_LEASED},  {TD_STEP_LEASED, TD_STEP_DONE},
    {TD_STEP_LEASED, TD_STEP_READY},  {TD_STEP_LEASED, TD_STEP_FAILED},
};
const td_states td_step_states = {"step", step_names, step_arrows, TD_COUNT_OF(step_arrows)};

typedef struct step_row {
    int64_t position, attempt, lease_ms, user_id;
    td_step_state state;
    char worker[65];
} step_row;

static td_code step_read(td_db *db, int64_t run, const char *name, step_row *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT position, state, attempt, worker, user_id, lease_ms FROM pipeline_step WHERE run_id = :run AND "
        "name = :name",
        &stmt, err));
    td_bind_int(stmt, ":run", run);
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_step_one(stmt, err, "run-%lld has no step \"%.64s\"", (long long)run, name));
    int state = 0;
    td_code code = td_states_parse(&td_step_states, td_column_text(stmt, "state"), &state, err);
    *out = (step_row){.position = td_column_int(stmt, "position"),
                      .attempt = td_column_int(stmt, "attempt"),
                      .lease_ms = td_column_int(stmt, "lease_ms"),
                      .user_id = td_column_int(stmt, "user_id"),
                      .state = (td_step_state)state};
    const char *worker = td_column_text(stmt, "worker");
    snprintf(out->worker, sizeof out->worker, "%s", worker != NULL ? worker : "");
    td_reset(stmt);
    return code;
}

static td_code step_move(td_db *db, int64_t run, const char *name, step_row *row, td_step_state to, td_err *err)
{
    TD_TRY(td_states_check(&td_step_states, name, (int)row->state, (int)to, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "UPDATE pipeline_step SET state = :state, lease_ms = NULL, ended_ms = :ended WHERE run_id = :run AND "
        "name = :name",
        &stmt, err));
    td_bind_text(stmt, ":state", step_names[to]);
    td_bind_int(stmt, ":run", run);
    td_bind_text(stmt, ":name", name);
    if (to == TD_STEP_DONE || to == TD_STEP_FAILED) {
        td_bind_int(stmt, ":ended", td_db_now_ms(db));
    } else {
        td_bind_null(stmt, ":ended");
    }
    TD_TRY(td_run(stmt, err));
    row->state = to;
    return TD_OK;
}

/* ---- Failing and retrying -------------------------------------------------------------------- */

static td_code step_failed(td_db *db, const td_actor *actor, td_run_row *run, const char *name, step_row *row,
                           const char *reason, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    TD_TRY(td_run_pipeline(db, run, &spec, err));
    int64_t retries = td_json_int(td_pipeline_step(spec, name), "retries", 0);
    if (row->attempt <= retries) {
        return step_move(db, run->id, name, row, TD_STEP_READY, err);
    }
    TD_TRY(step_move(db, run->id, name, row, TD_STEP_FAILED, err));
    char text[300];
    snprintf(text, sizeof text, "step %.64s: %.200s", name, reason);
    TD_TRY(td_run_move(db, run, TD_RUN_FAILED, text, err));
    return td_run_audit(db, actor, run, "finish.run", "failed", text, err);
}

/* One lease that ran out: its run and step; *found_out false: none left. */
static td_code find_expired(td_db *db, char run_out[24], char step_out[65], bool *found_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT s.run_id, s.name FROM pipeline_step s JOIN pipeline_run r ON r.run_id = s.run_id WHERE s.state "
        "= 'leased' AND s.lease_ms <= :now AND r.state = 'running' LIMIT 1",
        &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    TD_TRY(td_step(stmt, found_out, err));
    if (*found_out) {
        td_run_name(td_column_int(stmt, "run_id"), run_out);
        snprintf(step_out, 65, "%s", td_column_text(stmt, "name"));
        td_reset(stmt);
    }
    return TD_OK;
}

static td_code return_expired(td_db *db, const td_actor *actor, td_err *err)
{
    for (int i = 0; i < EXPIRED_MAX; i++) {
        TD_CLEANUP(td_arena_done) td_arena arena = {0};
        char run_name[24], step[65];
        bool found = false;
        td_run_row run;
        step_row row;
        TD_TRY(find_expired(db, run_name, step, &found, err));
        if (!found) {
            return TD_OK;
        }
        TD_TRY(td_run_read(db, NULL, run_name, &arena, &run, err));
        TD_TRY(step_read(db, run.id, step, &row, err));
        TD_TRY(step_failed(db, actor, &run, step, &row, "its worker went silent", err));
    }
    return TD_OK;
}

/* ---- Claiming -------------------------------------------------------------------------------- */

static td_code find_ready(td_db *db, const char *project, char run_out[24], char step_out[65], bool *found_out,
                          td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT s.run_id, s.name FROM pipeline_step s JOIN pipeline_run r ON r.run_id = s.run_id WHERE s.state "
        "= 'ready' AND r.state IN ('pending', 'running') AND r.project = :project ORDER BY s.run_id, s.position LIMIT "
        "1",
        &stmt, err));
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step(stmt, found_out, err));
    if (*found_out) {
        td_run_name(td_column_int(stmt, "run_id"), run_out);
        snprintf(step_out, 65, "%s", td_column_text(stmt, "name"));
        td_reset(stmt);
    }
    return TD_OK;
}

static td_code take_lease(td_db *db, const td_lease *lease, int64_t run, int64_t lease_ms, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "UPDATE pipeline_step SET state = 'leased', attempt = attempt + 1, worker = :worker, user_id = :user, "
        "lease_ms = :lease, started_ms = :now, exit_code = NULL, log = NULL, outputs = NULL WHERE run_id = :run AND "
        "name = :name",
        &stmt, err));
    td_bind_text(stmt, ":worker", lease->worker);
    td_bind_int(stmt, ":user", lease->actor->user_id);
    td_bind_int(stmt, ":lease", td_db_now_ms(db) + lease_ms);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":run", run);
    td_bind_text(stmt, ":name", lease->step);
    return td_run(stmt, err);
}

/* Digest text of another step's output. */
static td_code find_output(td_db *db, int64_t run, const json_t *input, char digest_out[80], td_err *err)
{
    char step[65];
    td_input_step(input, step);
    const char *wanted = td_input_output(input);
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db, "SELECT outputs FROM pipeline_step WHERE run_id = :run AND name = :name AND outputs IS NOT NULL", &stmt,
        err));
    td_bind_int(stmt, ":run", run);
    td_bind_text(stmt, ":name", step);
    TD_TRY(td_step_one(stmt, err, "step %s has no outputs yet", step));
    TD_CLEANUP(td_json_done) json_t *outputs = NULL;
    const char *text = td_column_text(stmt, "outputs");
    td_code code = td_json_parse(text, strlen(text), "stored outputs", &outputs, err);
    td_reset(stmt);
    TD_TRY(code);
    for (size_t i = 0; i < json_array_size(outputs); i++) {
        const json_t *output = json_array_get(outputs, i);
        if (strcmp(td_json_text(output, "name", ""), wanted) == 0) {
            snprintf(digest_out, 80, "%s", td_json_text(output, "digest", ""));
            return TD_OK;
        }
    }
    return td_fail(err, TD_NOT_FOUND, "step %s made no output \"%s\"", step, wanted);
}

static td_code inputs_json(td_db *db, int64_t run, const json_t *step, json_t *out, td_err *err)
{
    const json_t *inputs = json_object_get(step, "inputs");
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        const json_t *input = json_array_get(inputs, i);
        const char *name = td_json_text(input, "name", "");
        json_t *item = NULL;
        if (json_object_get(input, "path") != NULL) {
            item = json_pack("{s:s,s:s,s:s}", "name", name, "kind", "path", "path", td_json_text(input, "path", ""));
        } else if (json_object_get(input, "digest") != NULL) {
            item = json_pack("{s:s,s:s,s:s}", "name", name, "kind", "content", "digest",
                             td_json_text(input, "digest", ""));
        } else if (json_object_get(input, "parent_file") != NULL) {
            item = json_pack("{s:s,s:s,s:s}", "name", name, "kind", "parent_file", "file",
                             td_json_text(input, "parent_file", ""));
        } else {
            char digest[80] = "";
            TD_TRY(find_output(db, run, input, digest, err));
            item = json_pack("{s:s,s:s,s:s}", "name", name, "kind", "content", "digest", digest);
        }
        json_array_append_new(out, item);
    }
    return TD_OK;
}

static int64_t timeout_of(const json_t *step)
{
    const json_t *value = json_object_get(step, "timeout");
    int64_t ms = 0;
    if (json_is_integer(value)) {
        return json_integer_value(value) * 1000;
    }
    return json_is_string(value) && td_parse_duration(json_string_value(value), &ms, NULL) == TD_OK ? ms : TIMEOUT_MS;
}

static td_code cause_json(td_db *db, const td_run_row *run, json_t **out, td_err *err)
{
    char alert[24];
    *out = json_null();
    if (run->alert_id == 0) {
        return TD_OK;
    }
    td_alert_name(run->alert_id, alert);
    TD_TRY(td_alert_show_json(db, run->project, alert, out, err));
    json_object_del(*out, "evidence");
    return TD_OK;
}

static td_code claim_json(td_db *db, const td_run_row *run, const char *step_name, int64_t lease_ms, json_t **out,
                          td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    TD_CLEANUP(td_json_done) json_t *inputs = json_array();
    TD_CLEANUP(td_json_done) json_t *json = json_object();
    char name[24];
    step_row row;
    TD_TRY(td_run_pipeline(db, run, &spec, err));
    const json_t *step = td_pipeline_step(spec, step_name);
    TD_TRY(inputs_json(db, run->id, step, inputs, err));
    TD_TRY(step_read(db, run->id, step_name, &row, err));
    td_run_name(run->id, name);
    json_object_set_new(json, "run", json_string(name));
    json_object_set_new(json, "step", json_string(step_name));
    json_object_set_new(json, "project", json_string(run->project));
    json_object_set_new(json, "attempt", json_integer(row.attempt));
    json_object_set_new(json, "lease_ms", json_integer(lease_ms));
    json_object_set(json, "command", json_object_get(step, "command"));
    json_t *environment = json_object_get(step, "environment"), *outputs = json_object_get(step, "outputs");
    json_object_set_new(json, "environment", environment != NULL ? json_incref(environment) : json_object());
    json_object_set_new(json, "outputs", outputs != NULL ? json_incref(outputs) : json_array());
    json_object_set(json, "inputs", inputs);
    json_object_set_new(json, "timeout_ms", json_integer(timeout_of(step)));
    json_object_set_new(json, "network", json_boolean(td_json_bool(step, "network", false)));
    json_object_set_new(json, "pipeline", json_string(run->pipeline));
    json_object_set_new(json, "model", json_string(run->model));
    json_object_set_new(json, "parent_version", json_integer(run->parent_version));
    json_t *cause = NULL;
    TD_TRY(cause_json(db, run, &cause, err));
    json_object_set_new(json, "alert",
                        json_is_null(cause) ? json_null() : json_incref(json_object_get(cause, "alert")));
    json_object_set_new(json, "cause", cause);
    *out = json_incref(json);
    return TD_OK;
}

td_code td_worker_claim(td_db *db, const td_lease *wanted, int64_t lease_ms, json_t **out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    char run_name[24], step[65];
    bool found = false;
    td_run_row run;
    const td_actor *actor = wanted->actor;
    const char *worker = wanted->worker;
    if (lease_ms < LEASE_MIN_MS || lease_ms > LEASE_MAX_MS || worker[0] == '\0' || strlen(worker) > 64) {
        return td_fail(err, TD_INVALID, "expected a worker's name of 1 to 64 bytes and a lease of 1 s to 1 day");
    }
    TD_TRY(return_expired(db, actor, err));
    TD_TRY(find_ready(db, wanted->project, run_name, step, &found, err));
    if (!found) {
        *out = NULL;
        return TD_OK;
    }
    TD_TRY(td_run_read(db, NULL, run_name, &arena, &run, err));
    td_lease lease = {.actor = actor, .project = wanted->project, .worker = worker, .run = run_name, .step = step};
    TD_TRY(take_lease(db, &lease, run.id, lease_ms, err));
    if (run.state == TD_RUN_PENDING) {
        TD_TRY(td_run_move(db, &run, TD_RUN_RUNNING, NULL, err));
        TD_TRY(td_run_audit(db, actor, &run, "start.run", NULL, NULL, err));
    }
    return claim_json(db, &run, step, lease_ms, out, err);
}

/* The same user, worker and attempt as claimed it. */
static td_code check_lease(td_db *db, const td_lease *lease, td_arena *arena, td_run_row *run, step_row *row,
                           td_err *err)
{
    TD_TRY(td_run_read(db, lease->project, lease->run, arena, run, err));
    TD_TRY(step_read(db, run->id, lease->step, row, err));
    if (row->state != TD_STEP_LEASED || row->user_id != lease->actor->user_id || row->attempt != lease->attempt ||
        strcmp(row->worker, lease->worker) != 0) {
        return td_fail(err, TD_CONFLICT,
                       "the lease of %s/%s, attempt %lld, is lost: the step is %s, at attempt %lld; drop the work",
                       lease->run, lease->step, (long long)lease->attempt, step_names[row->state],
                       (long long)row->attempt);
    }
    return TD_OK;
}

td_code td_worker_renew(td_db *db, const td_lease *lease, int64_t lease_ms, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_run_row run;
    step_row row;
    if (lease_ms < LEASE_MIN_MS || lease_ms > LEASE_MAX_MS) {
        return td_fail(err, TD_INVALID, "expected a lease of 1 s to 1 day");
    }
    TD_TRY(check_lease(db, lease, &arena, &run, &row, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE pipeline_step SET lease_ms = :lease WHERE run_id = :run AND name = :name", &stmt,
                         err));
    td_bind_int(stmt, ":lease", td_db_now_ms(db) + lease_ms);
    td_bind_int(stmt, ":run", run.id);
    td_bind_text(stmt, ":name", lease->step);
    return td_run(stmt, err);
}

/* ---- Results --------------------------------------------------------------------------------- */

static const td_json_field report_output_fields[] = {
    {.name = "name", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 64},
    {.name = "digest", .type = TD_JSON_STRING, .required = true, .minimum = 71, .maximum = 71.5},
    {.name = "size", .type = TD_JSON_INTEGER, .required = true, .minimum = 0, .maximum = 1e15},
    {.name = NULL},
};
static const td_json_field report_fields[] = {
    {.name = "worker", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 64},
    {.name = "attempt", .type = TD_JSON_INTEGER, .required = true, .minimum = 1, .maximum = 1e9},
    {.name = "exit_code", .type = TD_JSON_INTEGER, .required = true},
    {.name = "log", .type = TD_JSON_STRING},
    {.name = "duration_ms", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 1e12},
    {.name = "outputs",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_OBJECT,
     .fields = report_output_fields,
     .minimum = 0,
     .maximum = 64},
    {.name = "inputs",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_OBJECT,
     .fields = report_output_fields,
     .minimum = 0,
     .maximum = 64},
    {.name = "metrics", .type = TD_JSON_OBJECT},
    {.name = NULL},
};

static const json_t *find_named(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(td_json_text(json_array_get(list, i), "name", ""), name) == 0) {
            return json_array_get(list, i);
        }
    }
    return NULL;
}

/* What the step declared against what it made; the name of the first required output that is missing, or NULL. */
static td_code check_outputs(const json_t *step, const json_t *made, const char **missing_out, td_err *err)
{
    const json_t *declared = json_object_get(step, "outputs");
    for (size_t i = 0; i < json_array_size(made); i++) {
        const json_t *output = json_array_get(made, i);
        const char *name = td_json_text(output, "name", ""), *digest = td_json_text(output, "digest", "");
        uint8_t bytes[TD_DIGEST_SIZE];
        if (find_named(declared, name) == NULL) {
            return td_fail(err, TD_INVALID, "the step declares no output \"%s\"", name);
        }
        if (strncmp(digest, "sha256:", 7) != 0 ||
            td_hex_decode(digest + 7, strlen(digest + 7), bytes, sizeof bytes, NULL) != TD_OK) {
            return td_fail(err, TD_INVALID, "output \"%s\": expected a digest sha256:<64 hexadecimal digits>", name);
        }
    }
    *missing_out = NULL;
    for (size_t i = 0; i < json_array_size(declared); i++) {
        const json_t *output = json_array_get(declared, i);
        const char *name = td_json_text(output, "name", "");
        if (td_json_bool(output, "required", true) && find_named(made, name) == NULL) {
            *missing_out = name;
        }
    }
    return TD_OK;
}

static td_code write_report(td_db *db, const td_run_row *run, const char *step, const json_t *report, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str outputs = {0};
    TD_CLEANUP(td_json_done) json_t *none = json_array();
    const json_t *made = json_object_get(report, "outputs");
    TD_TRY(td_json_write(made != NULL ? made : none, &outputs, err));
    const char *log = td_json_text(report, "log", "");
    size_t length = strlen(log);
    log += length > TD_STEP_LOG_MAX ? length - TD_STEP_LOG_MAX : 0;
    while ((*log & 0xc0) == 0x80) {
        log++; /* not in the middle of a character */
    }
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "UPDATE pipeline_step SET exit_code = :exit, log = :log, outputs = :outputs WHERE run_id = :run AND "
        "name = :name",
        &stmt, err));
    td_bind_int(stmt, ":exit", td_json_int(report, "exit_code", -1));
    td_bind_text(stmt, ":log", log);
    td_bind_text(stmt, ":outputs", td_str_text(&outputs));
    td_bind_int(stmt, ":run", run->id);
    td_bind_text(stmt, ":name", step);
    return td_run(stmt, err);
}

/* Inputs that the pipeline calls a dataset become lineage of the run, with the digest that the worker found. */
static td_code input_lineage(td_db *db, const td_run_row *run, const json_t *step, const json_t *used, td_err *err)
{
    const json_t *declared = json_object_get(step, "inputs");
    for (size_t i = 0; i < json_array_size(used); i++) {
        const char *name = td_json_text(json_array_get(used, i), "name", "");
        const char *text = td_json_text(json_array_get(used, i), "digest", "");
        const json_t *input = find_named(declared, name);
        const char *dataset = input != NULL ? td_json_text(input, "dataset", NULL) : NULL;
        char full[TD_LINEAGE_NAME_MAX + 14], run_name[24];
        uint8_t digest[TD_DIGEST_SIZE];
        if (input == NULL || strncmp(text, "sha256:", 7) != 0 ||
            td_hex_decode(text + 7, strlen(text + 7), digest, sizeof digest, NULL) != TD_OK) {
            return td_fail(err, TD_INVALID, "input \"%s\": not one of the step's, or without a proper digest", name);
        }
        if (dataset == NULL) {
            continue;
        }
        td_run_name(run->id, run_name);
        td_lineage_dataset_name(dataset, digest, full);
        td_lineage_node node = {.kind = "dataset", .name = full, .digest = digest};
        TD_TRY(td_lineage_edge_add(db, run->project, &node, TD_NODE("run", run_name), "input", run_name, err));
    }
    return TD_OK;
}

static td_code write_metrics(td_db *db, const td_run_row *run, const json_t *metrics, td_err *err)
{
    if (metrics == NULL) {
        return TD_OK;
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_json_write(metrics, &text, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE pipeline_run SET metrics = :metrics WHERE run_id = :run", &stmt, err));
    td_bind_text(stmt, ":metrics", td_str_text(&text));
    td_bind_int(stmt, ":run", run->id);
    return td_run(stmt, err);
}

static td_code is_done(td_db *db, int64_t run, const char *step, bool *out, td_err *err)
{
    step_row row;
    TD_TRY(step_read(db, run, step, &row, err));
    *out = row.state == TD_STEP_DONE;
    return TD_OK;
}

/* Steps whose inputs are all there become ready; *all_out: every step is done. */
static td_code release_steps(td_db *db, const td_run_row *run, const json_t *spec, bool *all_out, td_err *err)
{
    const json_t *steps = json_object_get(spec, "steps");
    *all_out = true;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i), *inputs = json_object_get(step, "inputs");
        const char *name = td_json_text(step, "name", "");
        step_row row;
        TD_TRY(step_read(db, run->id, name, &row, err));
        *all_out = *all_out && row.state == TD_STEP_DONE;
        bool ready = row.state == TD_STEP_WAITING;
        for (size_t k = 0; ready && k < json_array_size(inputs); k++) {
            char from[65];
            td_input_step(json_array_get(inputs, k), from);
            if (from[0] != '\0') {
                TD_TRY(is_done(db, run->id, from, &ready, err));
            }
        }
        if (ready) {
            TD_TRY(step_move(db, run->id, name, &row, TD_STEP_READY, err));
        }
    }
    return TD_OK;
}

static td_code step_done(td_db *db, td_run_row *run, const char *step, step_row *row, const json_t *spec,
                         bool *done_out, td_err *err)
{
    TD_TRY(step_move(db, run->id, step, row, TD_STEP_DONE, err));
    TD_TRY(release_steps(db, run, spec, done_out, err));
    return *done_out ? td_run_move(db, run, TD_RUN_JUDGING, NULL, err) : TD_OK;
}

td_code td_step_result(td_db *db, const td_lease *held, const json_t *report, bool *done_out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    td_run_row run;
    step_row row;
    const char *missing = NULL, *step = held->step;
    const td_actor *actor = held->actor;
    TD_TRY(td_json_check(report, report_fields, "report", NULL, err));
    td_lease lease = *held;
    lease.worker = td_json_text(report, "worker", "");
    lease.attempt = td_json_int(report, "attempt", 0);
    TD_TRY(check_lease(db, &lease, &arena, &run, &row, err));
    TD_TRY(td_run_pipeline(db, &run, &spec, err));
    TD_TRY(check_outputs(td_pipeline_step(spec, step), json_object_get(report, "outputs"), &missing, err));
    TD_TRY(write_report(db, &run, step, report, err));
    *done_out = false;
    int64_t exit_code = td_json_int(report, "exit_code", -1);
    char reason[160];
    if (exit_code != 0) {
        snprintf(reason, sizeof reason, "its command ended with %lld", (long long)exit_code);
        return step_failed(db, actor, &run, step, &row, reason, err);
    }
    if (missing != NULL) {
        snprintf(reason, sizeof reason, "it did not make its output \"%.64s\"", missing);
        return step_failed(db, actor, &run, step, &row, reason, err);
    }
    TD_TRY(input_lineage(db, &run, td_pipeline_step(spec, step), json_object_get(report, "inputs"), err));
    TD_TRY(write_metrics(db, &run, json_object_get(report, "metrics"), err));
    return step_done(db, &run, step, &row, spec, done_out, err);
}
