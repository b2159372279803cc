/*
 * consider_store.c: what an alert starts, and what keeps it from starting anything: cooldown, a run that goes on, the
 * budget.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/alerts.h"
#include "monitor/retrain.h"
#include "monitor/spec.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <string.h>

#define COOLDOWN_MS (24 * 3600000LL)
#define BUDGET_RUNS 7
#define BUDGET_PERIOD_MS (7 * 24 * 3600000LL)

typedef struct cause {
    const char *project, *model, *signal;
    int64_t version;
    char name[24];
} cause;

static td_code read_cause(td_db *db, int64_t alert_id, td_arena *arena, cause *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT project, model, version, signal FROM alert WHERE alert_id = :id", &stmt, err));
    td_bind_int(stmt, ":id", alert_id);
    TD_TRY(td_step_one(stmt, err, "no alert al-%lld", (long long)alert_id));
    out->project = td_arena_text(arena, td_column_text(stmt, "project"));
    out->model = td_arena_text(arena, td_column_text(stmt, "model"));
    out->signal = td_arena_text(arena, td_column_text(stmt, "signal"));
    out->version = td_column_int(stmt, "version");
    td_reset(stmt);
    td_alert_name(alert_id, out->name);
    bool whole = out->project != NULL && out->model != NULL && out->signal != NULL;
    return whole ? TD_OK : td_fail(err, TD_NOMEM, "out of memory");
}

static bool wanted(const json_t *retraining, const char *signal)
{
    const json_t *on = json_object_get(retraining, "on");
    for (size_t i = 0; i < json_array_size(on); i++) {
        if (strcmp(json_string_value(json_array_get(on, i)), signal) == 0) {
            return true;
        }
    }
    static const char *const usual[] = {"data_drift", "prediction_drift", "performance"};
    for (size_t i = 0; on == NULL && i < TD_COUNT_OF(usual); i++) {
        if (strcmp(usual[i], signal) == 0) {
            return true;
        }
    }
    return false;
}

static int64_t duration(const json_t *json, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(json, key);
    int64_t ms = 0;
    if (json_is_integer(value)) {
        return json_integer_value(value) * 1000;
    }
    return json_is_string(value) && td_parse_duration(json_string_value(value), &ms, NULL) == TD_OK ? ms : fallback;
}

typedef struct recent {
    int64_t open_runs, newest_ms, in_period;
} recent;

static td_code read_recent(td_db *db, const cause *why, int64_t period_ms, recent *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT COALESCE(SUM(state IN ('pending', 'running', 'judging', 'passed')), 0) AS open_runs, "
        "COALESCE(MAX(COALESCE(ended_ms, created_ms)), 0) AS newest, COALESCE(SUM(created_ms > :since), 0) AS "
        "in_period FROM pipeline_run WHERE project = :project AND model = :model",
        &stmt, err));
    td_bind_text(stmt, ":project", why->project);
    td_bind_text(stmt, ":model", why->model);
    td_bind_int(stmt, ":since", td_db_now_ms(db) - period_ms);
    TD_TRY(td_step_one(stmt, err, "no runs"));
    *out = (recent){td_column_int(stmt, "open_runs"), td_column_int(stmt, "newest"), td_column_int(stmt, "in_period")};
    td_reset(stmt);
    return TD_OK;
}

/* Why nothing may start now, or NULL. */
static td_code find_obstacle(td_db *db, const cause *why, const json_t *retraining, const char **out, td_err *err)
{
    recent runs;
    *out = NULL;
    if (retraining == NULL) {
        *out = "the model's monitor has no retraining section";
        return TD_OK;
    }
    if (!wanted(retraining, why->signal)) {
        *out = "retraining.on does not list this signal";
        return TD_OK;
    }
    TD_TRY(read_recent(db, why, duration(retraining, "budget_period", BUDGET_PERIOD_MS), &runs, err));
    int64_t cooldown = duration(retraining, "cooldown", COOLDOWN_MS);
    if (runs.open_runs > 0) {
        *out = "a run for this model is still going on";
    } else if (runs.newest_ms > 0 && td_db_now_ms(db) < runs.newest_ms + cooldown) {
        *out = "the cooldown after the last run is not over";
    } else if (runs.in_period >= td_json_int(retraining, "budget", BUDGET_RUNS)) {
        *out = "the budget of runs is used up";
    }
    return TD_OK;
}

td_code td_retrain_consider(td_db *db, const td_actor *actor, int64_t alert_id, bool *started_out, char run_out[24],
                            const char **reason_out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_spec_done) td_spec spec = {0};
    cause why = {0};
    const char *obstacle = NULL;
    TD_TRY(read_cause(db, alert_id, &arena, &why, err));
    TD_TRY(td_spec_load(db, why.project, why.model, &spec, err));
    const json_t *retraining = json_object_get(spec.json, "retraining");
    TD_TRY(find_obstacle(db, &why, retraining, &obstacle, err));
    *started_out = false;
    if (obstacle != NULL) {
        *reason_out = obstacle;
        return TD_OK;
    }
    char reason[160];
    snprintf(reason, sizeof reason, "%s on %.80s/%lld", why.signal, why.model, (long long)why.version);
    td_run_request request = {.project = why.project,
                              .pipeline = td_json_text(retraining, "pipeline", ""),
                              .model = why.model,
                              .parent_version = why.version,
                              .alert = why.name,
                              .reason = reason};
    td_code code = td_run_start(db, actor, &request, run_out, err);
    if (code == TD_NOT_FOUND) { /* the alert stands, even if its pipeline does not */
        *reason_out = "its pipeline or gate is not defined";
        return TD_OK;
    }
    *started_out = code == TD_OK;
    *reason_out = "";
    return code;
}
