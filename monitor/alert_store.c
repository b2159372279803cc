/*
 * alert_store.c: alerts: fired, acknowledged, resolved, listed. Each change is a row, an audit record and, at birth,
 * lineage.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/alerts.h"

#include "core/db/list_json.h"
#include "lineage/lineage.h"

#include <stdio.h>
#include <string.h>


void td_alert_name(int64_t alert_id, char out[24])
{
    snprintf(out, 24, "al-%lld", (long long)alert_id);
}

td_code td_alert_number(const char *alert, int64_t *out, td_err *err)
{
    if (strncmp(alert, "al-", 3) != 0 || td_parse_int(alert + 3, "alert", 1, INT64_MAX, out, NULL) != TD_OK) {
        return td_fail(err, TD_INVALID, "\"%.40s\" is not an alert; expected al-<number>, see `tidemark alert list`",
                       alert);
    }
    return TD_OK;
}

/* ---- Audit and lineage ----------------------------------------------------------------------- */

typedef struct alert_facts {
    const char *project, *model, *signal, *feature, *metric;
    int64_t alert_id, version;
    double value, threshold;
} alert_facts;

static td_code audit(td_db *db, const td_actor *actor, const char *action, const alert_facts *facts, const char *reason,
                     td_err *err)
{
    char name[24], value[32], threshold[32], version[160];
    td_alert_name(facts->alert_id, name);
    snprintf(value, sizeof value, "%.6g", facts->value); /* records hold no reals */
    snprintf(threshold, sizeof threshold, "%.6g", facts->threshold);
    snprintf(version, sizeof version, "%s/%lld", facts->model, (long long)facts->version);
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s,s:s,s:s,s:s,s:s}", "signal", facts->signal, "feature", facts->feature, "metric",
                              facts->metric, "value", value, "threshold", threshold);
    TD_CLEANUP(td_json_done) json_t *links = json_pack("{s:s}", "version", version);
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = "alert",
                            .object_id = name,
                            .project = facts->project,
                            .reason = reason,
                            .after = after,
                            .links = links};
    return td_audit_append(db, &entry, NULL, err);
}

static td_code add_lineage(td_db *db, const alert_facts *facts, td_err *err)
{
    char alert[24], version[160], title[240];
    td_alert_name(facts->alert_id, alert);
    snprintf(version, sizeof version, "%s/%lld", facts->model, (long long)facts->version);
    snprintf(title, sizeof title, "%s%s%s: %s %.3g over %.3g", facts->signal, facts->feature[0] != '\0' ? " of " : "",
             facts->feature, facts->metric, facts->value, facts->threshold);
    td_lineage_node to = {.kind = "alert", .name = alert, .title = title};
    return td_lineage_edge_add(db, facts->project, TD_NODE("version", version), &to, "raised", NULL, err);
}

/* ---- Firing ---------------------------------------------------------------------------------- */

static td_code insert_alert(td_db *db, const td_finding *finding, const td_str *evidence, int64_t now_ms,
                            int64_t *id_out, td_err *err)
{
    const td_result *r = finding->result;
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO alert (project, model, version, version_key, signal, feature, severity, state, metric, "
        "value, threshold, fired_ms, first_window, last_window, evidence) VALUES (:project, :model, :version, "
        ":key, :signal, :feature, 'alert', 'firing', :metric, :value, :threshold, :now, :first, :last, "
        ":evidence)",
        &stmt, err));
    td_bind_text(stmt, ":project", finding->watched->project);
    td_bind_text(stmt, ":model", finding->watched->model);
    td_bind_int(stmt, ":version", finding->watched->version);
    td_bind_int(stmt, ":key", finding->watched->key);
    td_bind_text(stmt, ":signal", td_signal_name(r->kind));
    td_bind_text(stmt, ":feature", r->feature);
    td_bind_text(stmt, ":metric", r->bounds.metric);
    td_bind_real(stmt, ":value", r->value);
    td_bind_real(stmt, ":threshold", r->bounds.alert);
    td_bind_int(stmt, ":now", now_ms);
    td_bind_int(stmt, ":first", finding->stretch->first_window);
    td_bind_int(stmt, ":last", finding->stretch->last_window);
    td_bind_text(stmt, ":evidence", td_str_text(evidence));
    TD_TRY(td_run(stmt, err));
    *id_out = td_db_last_id(db);
    return TD_OK;
}

td_code td_alert_fire(td_db *db, const td_actor *actor, const td_finding *finding, int64_t now_ms, int64_t *alert_out,
                      td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *evidence = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_finding_evidence(db, finding, &evidence, err));
    TD_TRY(td_json_write(evidence, &text, err));
    int64_t id = 0;
    TD_TRY(insert_alert(db, finding, &text, now_ms, &id, err));
    const td_result *r = finding->result;
    alert_facts facts = {.project = finding->watched->project,
                         .model = finding->watched->model,
                         .signal = td_signal_name(r->kind),
                         .feature = r->feature,
                         .metric = r->bounds.metric,
                         .alert_id = id,
                         .version = finding->watched->version,
                         .value = r->value,
                         .threshold = r->bounds.alert};
    TD_TRY(audit(db, actor, "fire.alert", &facts, NULL, err));
    TD_TRY(add_lineage(db, &facts, err));
    *alert_out = id;
    return TD_OK;
}

/* ---- Afterwards ------------------------------------------------------------------------------ */

/* Reads what audit needs; text is copied into the arena. */
static td_code read_facts(td_db *db, int64_t alert_id, td_arena *arena, alert_facts *out, char state_out[16],
                          td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT project, model, version, signal, feature, metric, value, threshold, state FROM alert WHERE "
        "alert_id = :id",
        &stmt, err));
    td_bind_int(stmt, ":id", alert_id);
    TD_TRY(td_step_one(stmt, err, "no alert al-%lld; see `tidemark alert list`", (long long)alert_id));
    *out = (alert_facts){.project = td_arena_text(arena, td_column_text(stmt, "project")),
                         .model = td_arena_text(arena, td_column_text(stmt, "model")),
                         .signal = td_arena_text(arena, td_column_text(stmt, "signal")),
                         .feature = td_arena_text(arena, td_column_text(stmt, "feature")),
                         .metric = td_arena_text(arena, td_column_text(stmt, "metric")),
                         .alert_id = alert_id,
                         .version = td_column_int(stmt, "version"),
                         .value = td_column_real(stmt, "value"),
                         .threshold = td_column_real(stmt, "threshold")};
    snprintf(state_out, 16, "%s", td_column_text(stmt, "state"));
    td_reset(stmt);
    bool whole = out->project != NULL && out->model != NULL && out->signal != NULL && out->feature != NULL &&
                 out->metric != NULL;
    return whole ? TD_OK : td_fail(err, TD_NOMEM, "out of memory");
}

td_code td_alert_resolve(td_db *db, const td_actor *actor, int64_t alert_id, int64_t now_ms, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    alert_facts facts;
    char state[16];
    TD_TRY(read_facts(db, alert_id, &arena, &facts, state, err));
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db, "UPDATE alert SET state = 'resolved', resolved_ms = :now WHERE alert_id = :id", &stmt, err));
    td_bind_int(stmt, ":now", now_ms);
    td_bind_int(stmt, ":id", alert_id);
    TD_TRY(td_run(stmt, err));
    return audit(db, actor, "resolve.alert", &facts, NULL, err);
}

td_code td_alert_started(td_db *db, int64_t alert_id, const char *what, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE alert SET started = :what WHERE alert_id = :id", &stmt, err));
    td_bind_text(stmt, ":what", what);
    td_bind_int(stmt, ":id", alert_id);
    return td_run(stmt, err);
}

static td_code write_acknowledgement(td_db *db, const td_actor *actor, int64_t id, const char *reason, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE alert SET state = 'acknowledged', acknowledged_ms = :now, acknowledged_by = :by, "
                         "acknowledged_reason = :reason WHERE alert_id = :id",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_text(stmt, ":by", actor->name);
    td_bind_text(stmt, ":reason", reason);
    td_bind_int(stmt, ":id", id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db, "UPDATE monitor_signal SET state = 'acknowledged', since_ms = :now WHERE alert_id = :id",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":id", id);
    return td_run(stmt, err);
}

td_code td_alert_acknowledge(td_db *db, const td_actor *actor, const char *project, const char *alert,
                             const char *reason, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    alert_facts facts;
    char state_name[16];
    int64_t id = 0;
    int state = 0;
    TD_TRY(td_alert_number(alert, &id, err));
    td_code code = read_facts(db, id, &arena, &facts, state_name, err);
    if (code == TD_NOT_FOUND || (code == TD_OK && strcmp(facts.project, project) != 0)) {
        return td_fail(err, TD_NOT_FOUND, "no alert %s in project %s; see `tidemark alert list`", alert, project);
    }
    TD_TRY(code);
    TD_TRY(td_states_parse(&td_signal_states, state_name, &state, err));
    TD_TRY(td_states_check(&td_signal_states, alert, state, TD_STATE_ACKNOWLEDGED, err));
    TD_TRY(write_acknowledgement(db, actor, id, reason, err));
    return audit(db, actor, "acknowledge.alert", &facts, reason, err);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static json_t *text_json(td_stmt *stmt, const char *column)
{
    const char *text = td_column_text(stmt, column);
    return text != NULL ? json_string(text) : json_null();
}

static json_t *alert_json(td_stmt *stmt)
{
    char name[24], version[160];
    td_alert_name(td_column_int(stmt, "alert_id"), name);
    snprintf(version, sizeof version, "%s/%lld", td_column_text(stmt, "model"),
             (long long)td_column_int(stmt, "version"));
    char what[240];
    const char *feature = td_column_text(stmt, "feature");
    snprintf(what, sizeof what, "%s%s%s: %s %.3g is over %.3g", td_column_text(stmt, "signal"),
             feature[0] != '\0' ? " of " : "", feature, td_column_text(stmt, "metric"), td_column_real(stmt, "value"),
             td_column_real(stmt, "threshold"));
    json_t *json = json_object();
    json_object_set_new(json, "alert", json_string(name));
    json_object_set_new(json, "text", json_string(what));
    json_object_set_new(json, "version", json_string(version));
    static const char *const texts[] = {"signal", "feature", "severity",        "state",
                                        "metric", "started", "acknowledged_by", "acknowledged_reason"};
    for (size_t i = 0; i < TD_COUNT_OF(texts); i++) {
        json_object_set_new(json, texts[i], text_json(stmt, texts[i]));
    }
    json_object_set_new(json, "value", json_real(td_column_real(stmt, "value")));
    json_object_set_new(json, "threshold", json_real(td_column_real(stmt, "threshold")));
    json_object_set_new(json, "fired_at", td_time_json(td_column_int(stmt, "fired_ms")));
    json_object_set_new(json, "acknowledged_at", td_time_json(td_column_int(stmt, "acknowledged_ms")));
    json_object_set_new(json, "resolved_at", td_time_json(td_column_int(stmt, "resolved_ms")));
    return json;
}

static const char *const alert_states[] = {"firing", "acknowledged", "resolved", NULL};
static const char *const severities[] = {"warning", "alert", NULL};
static const td_filter_field alert_fields[] = {
    {.name = "id", .type = TD_FILTER_INTEGER, .sql = "a.alert_id"},
    {.name = "model", .type = TD_FILTER_TEXT, .sql = "a.model"},
    {.name = "version", .type = TD_FILTER_INTEGER, .sql = "a.version"},
    {.name = "signal", .type = TD_FILTER_TEXT, .sql = "a.signal"},
    {.name = "feature", .type = TD_FILTER_TEXT, .sql = "a.feature"},
    {.name = "severity", .type = TD_FILTER_TEXT, .sql = "a.severity", .choices = severities},
    {.name = "state", .type = TD_FILTER_TEXT, .sql = "a.state", .choices = alert_states},
    {.name = "open", .type = TD_FILTER_BOOLEAN, .sql = "(a.state <> 'resolved')"},
    {.name = "metric", .type = TD_FILTER_TEXT, .sql = "a.metric"},
    {.name = "value", .type = TD_FILTER_REAL, .sql = "a.value"},
    {.name = "started", .type = TD_FILTER_TEXT, .sql = "a.started", .nullable = true},
    {.name = "acknowledged_by", .type = TD_FILTER_TEXT, .sql = "a.acknowledged_by", .nullable = true},
    {.name = "fired_at", .type = TD_FILTER_TIME, .sql = "a.fired_ms"},
    {.name = "acknowledged_at", .type = TD_FILTER_TIME, .sql = "a.acknowledged_ms", .nullable = true},
    {.name = "resolved_at", .type = TD_FILTER_TIME, .sql = "a.resolved_ms", .nullable = true},
    {.name = NULL},
};
static const td_filter_table alert_table = {
    .fields = alert_fields, .prefix = "alert", .order = "id DESC", .tie = "id DESC"};

static td_code alert_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    (void)context;
    (void)err;
    *out = alert_json(stmt);
    return TD_OK;
}

td_code td_alert_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err)
{
    static const td_list_query query = {
        .name = "alerts",
        .table = &alert_table,
        .columns = "a.alert_id, a.model, a.version, a.signal, a.feature, a.severity, a.state, a.metric, a.value, "
                   "a.threshold, a.fired_ms, a.acknowledged_ms, a.acknowledged_by, a.acknowledged_reason, "
                   "a.resolved_ms, a.started",
        .from = "alert a",
        .where = "a.project = :project"};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_list_open(db, &query, project, page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    return td_list_json(list, alert_row, NULL, out, err);
}

td_code td_alert_show_json(td_db *db, const char *project, const char *alert, json_t **out, td_err *err)
{
    int64_t id = 0;
    TD_TRY(td_alert_number(alert, &id, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT alert_id, model, version, signal, feature, severity, state, metric, value, threshold, fired_ms, "
        "acknowledged_ms, acknowledged_by, acknowledged_reason, resolved_ms, started, evidence FROM alert "
        "WHERE alert_id = :id AND project = :project",
        &stmt, err));
    td_bind_int(stmt, ":id", id);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "no alert %s in project %s; see `tidemark alert list`", alert, project));
    json_t *json = alert_json(stmt), *evidence = NULL;
    const char *text = td_column_text(stmt, "evidence");
    td_code code = td_json_parse(text, strlen(text), "stored evidence", &evidence, err);
    td_reset(stmt);
    if (code != TD_OK) {
        json_decref(json);
        return code;
    }
    json_object_set_new(json, "evidence", evidence);
    *out = json;
    return TD_OK;
}
