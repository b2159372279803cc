/*
 * run_store.c: runs: started by an alert or a person, moved along one table, judged, registered.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/run.h"

#include "lineage/lineage.h"
#include "monitor/alerts.h"

#include <stdio.h>
#include <string.h>

const char *const td_run_state_names[] = {"pending",    "running", "judging",   "passed", "rejected",
                                          "registered", "failed",  "cancelled", NULL};
static const td_arrow run_arrows[] = {
    {TD_RUN_PENDING, TD_RUN_RUNNING},   {TD_RUN_RUNNING, TD_RUN_JUDGING},   {TD_RUN_JUDGING, TD_RUN_PASSED},
    {TD_RUN_JUDGING, TD_RUN_REJECTED},  {TD_RUN_PASSED, TD_RUN_REGISTERED}, {TD_RUN_PENDING, TD_RUN_FAILED},
    {TD_RUN_RUNNING, TD_RUN_FAILED},    {TD_RUN_JUDGING, TD_RUN_FAILED},    {TD_RUN_PASSED, TD_RUN_FAILED},
    {TD_RUN_PENDING, TD_RUN_CANCELLED}, {TD_RUN_RUNNING, TD_RUN_CANCELLED},
};
const td_states td_run_states = {"run", td_run_state_names, run_arrows, TD_COUNT_OF(run_arrows)};

static bool ends(td_run_state state)
{
    return state == TD_RUN_REJECTED || state == TD_RUN_REGISTERED || state == TD_RUN_FAILED ||
           state == TD_RUN_CANCELLED;
}

void td_run_name(int64_t id, char out[24])
{
    snprintf(out, 24, "run-%lld", (long long)id);
}

static td_code run_number(const char *run, int64_t *out, td_err *err)
{
    if (strncmp(run, "run-", 4) != 0 || td_parse_int(run + 4, "run", 1, INT64_MAX, out, NULL) != TD_OK) {
        return td_fail(err, TD_INVALID, "\"%.40s\" is not a run; expected run-<number>", run);
    }
    return TD_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const char *copy(td_arena *arena, td_stmt *stmt, const char *column)
{
    return td_arena_text(arena, td_column_text(stmt, column));
}

td_code td_run_read(td_db *db, const char *project, const char *run, td_arena *arena, td_run_row *out, td_err *err)
{
    int64_t id = 0;
    int state = 0;
    TD_TRY(run_number(run, &id, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT run_id, project, pipeline, pipeline_revision, gate, gate_revision, model, parent_version, "
        "alert_id, state, metrics, verdict FROM pipeline_run WHERE run_id = :id AND (:project IS NULL OR "
        "project = :project)",
        &stmt, err));
    td_bind_int(stmt, ":id", id);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "no run %s", run));
    td_code code = td_states_parse(&td_run_states, td_column_text(stmt, "state"), &state, err);
    *out = (td_run_row){.id = id,
                        .pipeline_revision = td_column_int(stmt, "pipeline_revision"),
                        .gate_revision = td_column_int(stmt, "gate_revision"),
                        .parent_version = td_column_int(stmt, "parent_version"),
                        .alert_id = td_column_int(stmt, "alert_id"),
                        .project = copy(arena, stmt, "project"),
                        .pipeline = copy(arena, stmt, "pipeline"),
                        .gate = copy(arena, stmt, "gate"),
                        .model = copy(arena, stmt, "model"),
                        .metrics = copy(arena, stmt, "metrics"),
                        .verdict = copy(arena, stmt, "verdict"),
                        .state = (td_run_state)state};
    td_reset(stmt);
    return code;
}

td_code td_run_move(td_db *db, td_run_row *run, td_run_state to, const char *reason, td_err *err)
{
    char name[24];
    td_run_name(run->id, name);
    TD_TRY(td_states_check(&td_run_states, name, (int)run->state, (int)to, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "UPDATE pipeline_run SET state = :state, reason = COALESCE(:reason, reason), ended_ms = :ended WHERE "
        "run_id = :id",
        &stmt, err));
    td_bind_text(stmt, ":state", td_run_state_names[to]);
    td_bind_text(stmt, ":reason", reason);
    td_bind_int(stmt, ":id", run->id);
    if (ends(to)) {
        td_bind_int(stmt, ":ended", td_db_now_ms(db));
    } else {
        td_bind_null(stmt, ":ended");
    }
    TD_TRY(td_run(stmt, err));
    run->state = to;
    return TD_OK;
}

td_code td_run_audit(td_db *db, const td_actor *actor, const td_run_row *run, const char *action, const char *decision,
                     const char *reason, td_err *err)
{
    char name[24], alert[24] = "";
    td_run_name(run->id, name);
    TD_CLEANUP(td_json_done) json_t *links = json_object();
    json_object_set_new(links, "pipeline", json_string(run->pipeline));
    json_object_set_new(links, "model", json_string(run->model));
    if (run->alert_id > 0) {
        td_alert_name(run->alert_id, alert);
        json_object_set_new(links, "alert", json_string(alert));
    }
    TD_CLEANUP(td_json_done) json_t *after = json_pack("{s:s}", "state", td_run_state_names[run->state]);
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = "run",
                            .object_id = name,
                            .project = run->project,
                            .decision = decision,
                            .reason = reason,
                            .after = after,
                            .links = links};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_run_pipeline(td_db *db, const td_run_row *run, json_t **out, td_err *err)
{
    TD_CLEANUP(td_revision_done) td_revision revision = {0};
    TD_TRY(td_pipeline_read(db, run->project, run->pipeline, run->pipeline_revision, &revision, err));
    *out = json_incref(revision.spec);
    return TD_OK;
}

td_code td_run_gate(td_db *db, const td_run_row *run, json_t **spec_out, uint8_t digest_out[TD_DIGEST_SIZE],
                    td_err *err)
{
    TD_CLEANUP(td_revision_done) td_revision revision = {0};
    TD_TRY(td_gate_read(db, run->project, run->gate, run->gate_revision, &revision, err));
    memcpy(digest_out, revision.digest, TD_DIGEST_SIZE);
    *spec_out = json_incref(revision.spec);
    return TD_OK;
}

/* ---- Starting -------------------------------------------------------------------------------- */

static td_code insert_run(td_db *db, td_run_row *run, const char *reason, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO pipeline_run (project, pipeline, pipeline_revision, gate, gate_revision, model, "
        "parent_version, alert_id, state, reason, created_ms) VALUES (:project, :pipeline, :revision, :gate, "
        ":gate_revision, :model, :parent, :alert, 'pending', :reason, :now)",
        &stmt, err));
    td_bind_text(stmt, ":project", run->project);
    td_bind_text(stmt, ":pipeline", run->pipeline);
    td_bind_int(stmt, ":revision", run->pipeline_revision);
    td_bind_text(stmt, ":gate", run->gate);
    td_bind_text(stmt, ":model", run->model);
    td_bind_int(stmt, ":parent", run->parent_version);
    td_bind_text(stmt, ":reason", reason);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_null(stmt, ":gate_revision");
    td_bind_null(stmt, ":alert");
    if (run->gate != NULL) {
        td_bind_int(stmt, ":gate_revision", run->gate_revision);
    }
    if (run->alert_id > 0) {
        td_bind_int(stmt, ":alert", run->alert_id);
    }
    TD_TRY(td_run(stmt, err));
    run->id = td_db_last_id(db);
    return TD_OK;
}

static bool waits_for_others(const json_t *step)
{
    const json_t *inputs = json_object_get(step, "inputs");
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        if (json_object_get(json_array_get(inputs, i), "from") != NULL) {
            return true;
        }
    }
    return false;
}

static td_code insert_steps(td_db *db, const td_run_row *run, const json_t *spec, td_err *err)
{
    const json_t *steps = json_object_get(spec, "steps");
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        td_stmt *stmt;
        TD_TRY(td_db_prepare(
            db,
            "INSERT INTO pipeline_step (run_id, position, name, state, attempt) VALUES (:run, :position, :name, "
            ":state, 0)",
            &stmt, err));
        td_bind_int(stmt, ":run", run->id);
        td_bind_int(stmt, ":position", (int64_t)i);
        td_bind_text(stmt, ":name", td_json_text(step, "name", ""));
        td_bind_text(stmt, ":state", waits_for_others(step) ? "waiting" : "ready");
        TD_TRY(td_run(stmt, err));
    }
    return TD_OK;
}

static td_code start_lineage(td_db *db, const td_run_row *run, td_err *err)
{
    char name[24], alert[24], title[240];
    td_run_name(run->id, name);
    snprintf(title, sizeof title, "%.120s for %.80s", run->pipeline, run->model);
    td_lineage_node node = {.kind = "run", .name = name, .title = title};
    if (run->alert_id == 0) {
        return td_lineage_node_ensure(db, run->project, &node, NULL, err);
    }
    td_alert_name(run->alert_id, alert);
    return td_lineage_edge_add(db, run->project, TD_NODE("alert", alert), &node, "caused", name, err);
}

static td_code pin(td_db *db, td_run_row *run, json_t **spec_out, td_err *err)
{
    TD_CLEANUP(td_revision_done) td_revision pipeline = {0};
    TD_CLEANUP(td_revision_done) td_revision gate = {0};
    TD_TRY(td_pipeline_read(db, run->project, run->pipeline, 0, &pipeline, err));
    run->pipeline_revision = pipeline.number;
    run->gate = td_json_text(pipeline.spec, "gate", NULL);
    if (run->gate != NULL) {
        TD_TRY(td_gate_read(db, run->project, run->gate, 0, &gate, err));
        run->gate_revision = gate.number;
    }
    *spec_out = json_incref(pipeline.spec);
    return TD_OK;
}

td_code td_run_start(td_db *db, const td_actor *actor, const td_run_request *request, char run_out[24], td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    td_run_row run = {.project = request->project,
                      .pipeline = request->pipeline,
                      .model = request->model,
                      .parent_version = request->parent_version};
    if (request->alert != NULL) {
        TD_TRY(td_alert_number(request->alert, &run.alert_id, err));
    }
    TD_TRY(pin(db, &run, &spec, err));
    TD_TRY(insert_run(db, &run, request->reason, err));
    TD_TRY(insert_steps(db, &run, spec, err));
    TD_TRY(start_lineage(db, &run, err));
    TD_TRY(td_run_audit(db, actor, &run, "request.retrain", NULL, request->reason, err));
    td_run_name(run.id, run_out);
    return TD_OK;
}

/* ---- Ending ---------------------------------------------------------------------------------- */

static td_code write_verdict(td_db *db, const td_run_row *run, const json_t *verdict, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_json_write(verdict, &text, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE pipeline_run SET verdict = :verdict WHERE run_id = :id", &stmt, err));
    td_bind_text(stmt, ":verdict", td_str_text(&text));
    td_bind_int(stmt, ":id", run->id);
    return td_run(stmt, err);
}

static void gate_node(const td_run_row *run, char out[200])
{
    snprintf(out, 200, "%.128s/run-%lld", run->gate, (long long)run->id);
}

static td_code judge_lineage(td_db *db, const td_run_row *run, const uint8_t digest[TD_DIGEST_SIZE], bool passed,
                             td_err *err)
{
    char name[24], gate[200], evaluation[64];
    td_run_name(run->id, name);
    gate_node(run, gate);
    snprintf(evaluation, sizeof evaluation, "run-%lld", (long long)run->id);
    td_lineage_node to = {.kind = "gate", .name = gate, .title = passed ? "passed" : "rejected", .digest = digest};
    td_lineage_node measured = {.kind = "evaluation", .name = evaluation, .title = "metrics on the hold-out"};
    TD_TRY(td_lineage_edge_add(db, run->project, TD_NODE("run", name), &measured, "output", name, err));
    return td_lineage_edge_add(db, run->project, &measured, &to, "judged", name, err);
}

static td_code judge(td_db *db, const td_run_row *run, const json_t *champion_metrics, bool *passed_out,
                     json_t **verdict_out, td_err *err)
{
    if (run->gate == NULL) {
        *passed_out = true;
        *verdict_out = json_pack("{s:n,s:b,s:[]}", "gate", "passed", true, "rules");
        return *verdict_out != NULL ? TD_OK : td_fail(err, TD_NOMEM, "out of memory");
    }
    TD_CLEANUP(td_json_done) json_t *gate = NULL;
    TD_CLEANUP(td_json_done) json_t *measured = NULL;
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(td_run_gate(db, run, &gate, digest, err));
    if (run->metrics != NULL) {
        TD_TRY(td_json_parse(run->metrics, strlen(run->metrics), "stored metrics", &measured, err));
    }
    *verdict_out = td_gate_verdict(gate, measured, champion_metrics, passed_out);
    char text[7 + TD_DIGEST_TEXT] = "sha256:";
    td_hex_encode(digest, TD_DIGEST_SIZE, text + 7);
    json_object_set_new(*verdict_out, "gate", json_string(run->gate));
    json_object_set_new(*verdict_out, "revision", json_integer(run->gate_revision));
    json_object_set_new(*verdict_out, "digest", json_string(text));
    return judge_lineage(db, run, digest, *passed_out, err);
}

/* The first rule that failed, for the run's reason. */
static const char *failed_rule(const json_t *verdict)
{
    const json_t *rules = json_object_get(verdict, "rules");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        if (!td_json_bool(rule, "passed", true)) {
            return td_json_text(rule, "text", "");
        }
    }
    return NULL;
}

td_code td_gate_judge(td_db *db, const td_actor *actor, const char *project, const char *run_name,
                      const json_t *champion_metrics, bool *passed_out, json_t **verdict_out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_json_done) json_t *verdict = NULL;
    td_run_row run;
    bool passed = false;
    TD_TRY(td_run_read(db, project, run_name, &arena, &run, err));
    TD_TRY(td_states_check(&td_run_states, run_name, (int)run.state, TD_RUN_PASSED, err));
    TD_TRY(judge(db, &run, champion_metrics, &passed, &verdict, err));
    TD_TRY(write_verdict(db, &run, verdict, err));
    const char *reason = passed ? NULL : failed_rule(verdict);
    TD_TRY(td_run_move(db, &run, passed ? TD_RUN_PASSED : TD_RUN_REJECTED, reason, err));
    TD_TRY(td_run_audit(db, actor, &run, "judge.gate", passed ? "passed" : "rejected", reason, err));
    if (!passed) {
        TD_TRY(td_run_audit(db, actor, &run, "finish.run", "rejected", reason, err));
    }
    *passed_out = passed;
    if (verdict_out != NULL) {
        *verdict_out = json_incref(verdict);
    }
    return TD_OK;
}

static td_code finish_lineage(td_db *db, const td_run_row *run, int64_t version, td_err *err)
{
    char name[24], alert[24], result[160], gate[200];
    td_run_name(run->id, name);
    snprintf(result, sizeof result, "%.128s/%lld", run->model, (long long)version);
    TD_TRY(
        td_lineage_edge_add(db, run->project, TD_NODE("run", name), TD_NODE("version", result), "output", name, err));
    if (run->alert_id > 0) {
        td_alert_name(run->alert_id, alert);
        TD_TRY(td_lineage_edge_add(db, run->project, TD_NODE("alert", alert), TD_NODE("version", result), "caused",
                                   name, err));
    }
    if (run->gate == NULL) {
        return TD_OK;
    }
    gate_node(run, gate);
    return td_lineage_edge_add(db, run->project, TD_NODE("gate", gate), TD_NODE("version", result), "judged", name,
                               err);
}

td_code td_run_finish(td_db *db, const td_actor *actor, const char *project, const char *run_name, int64_t version,
                      td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_run_row run;
    TD_TRY(td_run_read(db, project, run_name, &arena, &run, err));
    TD_TRY(td_run_move(db, &run, TD_RUN_REGISTERED, NULL, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE pipeline_run SET result_version = :version WHERE run_id = :id", &stmt, err));
    td_bind_int(stmt, ":version", version);
    td_bind_int(stmt, ":id", run.id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(finish_lineage(db, &run, version, err));
    return td_run_audit(db, actor, &run, "finish.run", "registered", NULL, err);
}

td_code td_run_fail(td_db *db, const td_actor *actor, const char *project, const char *run_name, const char *reason,
                    td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_run_row run;
    TD_TRY(td_run_read(db, project, run_name, &arena, &run, err));
    TD_TRY(td_run_move(db, &run, TD_RUN_FAILED, reason, err));
    return td_run_audit(db, actor, &run, "finish.run", "failed", reason, err);
}
