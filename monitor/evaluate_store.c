/*
 * evaluate_store.c: walks the complete buckets of each version in order, tests what has enough counts, carries the rest
 * on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/alerts.h"
#include "monitor/retrain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS_MAX 256 /* that are due, a call */
#define BUCKETS_MAX 512  /* a version, a call */
#define CARRIED_MAX 96   /* evaluation windows that thin data is carried over before it is dropped */
#define CLEAR_SHARE 0.7  /* of the alert bound: below it a test is clear */
#define DAY_MS 86400000.0

typedef struct evaluation {
    td_db *db;
    const td_actor *actor;
    int64_t now_ms;
    td_transition *transitions;
    size_t room, count;
    td_arena arena;
    td_watched watched;
    td_spec spec;
    int64_t until_ms;
    td_stretch stretches[TD_WAITINGS]; /* from_ms 0: nothing waits */
    uint64_t *vector;
} evaluation;

static void evaluation_done(evaluation *e)
{
    td_spec_done(&e->spec);
    td_arena_done(&e->arena);
}

/* ---- One signal ------------------------------------------------------------------------------ */

typedef struct signal_row {
    bool known;
    td_signal_track track;
    int64_t since_ms, alert_id;
    td_evidence evidence;
} signal_row;

static td_code signal_read(evaluation *e, const td_result *r, signal_row *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(e->db,
                         "SELECT state, history, clear_count, since_ms, evidence, alert_id FROM monitor_signal WHERE "
                         "version_key = :version AND signal = :signal AND feature = :feature",
                         &stmt, err));
    td_bind_int(stmt, ":version", e->watched.key);
    td_bind_text(stmt, ":signal", td_signal_name(r->kind));
    td_bind_text(stmt, ":feature", r->feature);
    *out = (signal_row){.since_ms = e->now_ms};
    td_evidence_start(&out->evidence);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return TD_OK;
    }
    int state = 0;
    td_code code = td_states_parse(&td_signal_states, td_column_text(stmt, "state"), &state, err);
    out->known = true;
    out->track = (td_signal_track){(td_signal_state)state, (uint32_t)td_column_int(stmt, "history"),
                                   (int)td_column_int(stmt, "clear_count")};
    out->since_ms = td_column_int(stmt, "since_ms");
    out->alert_id = td_column_int(stmt, "alert_id");
    size_t size = 0;
    const void *evidence = td_column_blob(stmt, "evidence", &size);
    if (size == sizeof out->evidence) {
        memcpy(&out->evidence, evidence, size);
    }
    td_reset(stmt);
    return code;
}

static td_code signal_write(evaluation *e, const td_finding *finding, const signal_row *row, td_severity severity,
                            td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *report = td_finding_report(finding, severity);
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_json_write(report, &text, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        e->db,
        "INSERT INTO monitor_signal (version_key, signal, feature, state, severity, history, clear_count, "
        "tested_ms, since_ms, evidence, report, alert_id) VALUES (:version, :signal, :feature, :state, "
        ":severity, :history, :clear, :tested, :since, :evidence, :report, :alert) ON CONFLICT (version_key, "
        "signal, feature) DO UPDATE SET state = excluded.state, severity = excluded.severity, history = "
        "excluded.history, clear_count = excluded.clear_count, tested_ms = excluded.tested_ms, since_ms = "
        "excluded.since_ms, evidence = excluded.evidence, report = excluded.report, alert_id = "
        "excluded.alert_id",
        &stmt, err));
    td_bind_int(stmt, ":version", e->watched.key);
    td_bind_text(stmt, ":signal", td_signal_name(finding->result->kind));
    td_bind_text(stmt, ":feature", finding->result->feature);
    td_bind_text(stmt, ":state", td_signal_state_name(row->track.state));
    td_bind_text(stmt, ":severity", td_severity_name(severity));
    td_bind_int(stmt, ":history", row->track.history);
    td_bind_int(stmt, ":clear", row->track.clear_count);
    td_bind_int(stmt, ":tested", finding->stretch->to_ms);
    td_bind_int(stmt, ":since", row->since_ms);
    td_bind_blob(stmt, ":evidence", finding->evidence.used ? &row->evidence : NULL, sizeof row->evidence);
    td_bind_text(stmt, ":report", td_str_text(&text));
    if (row->alert_id > 0) {
        td_bind_int(stmt, ":alert", row->alert_id);
    } else {
        td_bind_null(stmt, ":alert");
    }
    return td_run(stmt, err);
}

static void tell(evaluation *e, const td_result *r, int64_t alert_id, td_signal_state from, td_signal_state to)
{
    if (e->count >= e->room) {
        return;
    }
    td_transition *t = &e->transitions[e->count++];
    memset(t, 0, sizeof *t);
    t->alert_id = alert_id;
    if (alert_id > 0) {
        td_alert_name(alert_id, t->alert);
    }
    snprintf(t->project, sizeof t->project, "%s", e->watched.project);
    snprintf(t->model, sizeof t->model, "%s", e->watched.model);
    t->version = e->watched.version;
    snprintf(t->signal, sizeof t->signal, "%s", td_signal_name(r->kind));
    snprintf(t->feature, sizeof t->feature, "%s", r->feature);
    t->from = td_signal_state_name(from);
    t->to = td_signal_state_name(to);
}

/* log A: with one test of every stream each window, one false alarm in the budgeted time. */
static double evidence_threshold(const evaluation *e)
{
    double windows = (double)e->spec.false_alarm_ms / (double)e->spec.window_ms;
    return log(fmax(10, (double)td_signals_streams(&e->watched.reference) * windows));
}

static void gather_evidence(const evaluation *e, td_finding *finding, signal_row *row)
{
    const td_result *r = finding->result;
    if (!r->streams) {
        return;
    }
    uint64_t reference[TD_STATS_BINS_MAX], current[TD_STATS_BINS_MAX];
    td_histograms joined = {reference, current, td_stream_join(r->stream, finding->stretch->sum, reference, current)};
    td_evidence_add(&row->evidence, &joined, 1);
    finding->evidence.used = true;
    finding->evidence.log_mean = td_evidence_log_mean(&row->evidence);
    finding->evidence.log_threshold = evidence_threshold(e);
}

static td_severity severity_of(const td_spec *spec, const td_finding *finding)
{
    const td_result *r = finding->result;
    bool proven = !r->streams || !spec->evidence || finding->evidence.log_mean >= finding->evidence.log_threshold;
    if (!r->certain || !proven || isnan(r->value)) {
        return TD_SEVERITY_NONE;
    }
    return r->value > r->bounds.alert     ? TD_SEVERITY_ALERT
           : r->value > r->bounds.warning ? TD_SEVERITY_WARNING
                                          : TD_SEVERITY_NONE;
}

static td_code fire(evaluation *e, const td_finding *finding, signal_row *row, td_err *err)
{
    TD_TRY(td_alert_fire(e->db, e->actor, finding, e->now_ms, &row->alert_id, err));
    bool started = false;
    char run[24] = "";
    const char *why = "";
    TD_TRY(td_retrain_consider(e->db, e->actor, row->alert_id, &started, run, &why, err));
    return td_alert_started(e->db, row->alert_id, started ? run : why, err);
}

static td_code take_result(evaluation *e, const td_result *r, const td_stretch *stretch, td_err *err)
{
    signal_row row;
    TD_TRY(signal_read(e, r, &row, err));
    td_finding finding = {&e->watched, &e->spec, r, stretch, {false, 0, 0}};
    gather_evidence(e, &finding, &row);
    td_severity severity = severity_of(&e->spec, &finding);
    td_signal_state before = row.track.state;
    bool clear = r->value <= CLEAR_SHARE * r->bounds.alert;
    td_signal_state after = td_signal_step(&row.track, &e->spec, severity == TD_SEVERITY_ALERT, clear);
    if (after != before) {
        row.since_ms = e->now_ms;
        bool opened = td_signal_open(after) && !td_signal_open(before);
        bool closed = td_signal_open(before) && !td_signal_open(after);
        if (opened) {
            TD_TRY(fire(e, &finding, &row, err));
        }
        if (closed) {
            TD_TRY(td_alert_resolve(e->db, e->actor, row.alert_id, e->now_ms, err));
            td_evidence_start(&row.evidence);
        }
        tell(e, r, opened || closed ? row.alert_id : 0, before, after);
    }
    return signal_write(e, &finding, &row, severity, err);
}

/* ---- One version ----------------------------------------------------------------------------- */

static td_code test_stretch(evaluation *e, td_waiting waiting, td_err *err)
{
    TD_CLEANUP(td_results_done) td_results results = {0};
    td_stretch *stretch = &e->stretches[waiting];
    TD_TRY(td_signals_test(&e->spec, &e->watched.reference, stretch->sum, waiting, &results, err));
    for (size_t i = 0; i < results.count; i++) {
        TD_TRY(take_result(e, &results.items[i], stretch, err));
    }
    return TD_OK;
}

static void stretch_clear(td_stretch *stretch, size_t size)
{
    memset(stretch->sum, 0, size * sizeof *stretch->sum);
    stretch->from_ms = 0;
    stretch->windows = 0;
    stretch->first_window = INT64_MAX;
    stretch->last_window = 0;
}

static void stretch_add(td_stretch *stretch, const uint64_t *vector, size_t size, int64_t start_ms, int64_t end_ms,
                        const td_bucket_facts *facts)
{
    for (size_t i = 0; i < size; i++) {
        stretch->sum[i] += vector[i];
    }
    stretch->from_ms = stretch->from_ms == 0 ? start_ms : stretch->from_ms;
    stretch->to_ms = end_ms;
    stretch->windows += facts->windows;
    stretch->first_window = facts->first_window < stretch->first_window ? facts->first_window : stretch->first_window;
    stretch->last_window = facts->last_window > stretch->last_window ? facts->last_window : stretch->last_window;
}

/* `waits_since`: where the counts of each kind of waiting begin; 0: anywhere. */
static td_code take_bucket(evaluation *e, int64_t start_ms, const td_bucket_facts *facts, const int64_t *waits_since,
                           td_err *err)
{
    size_t size = e->watched.reference.size;
    int64_t end_ms = start_ms + e->spec.window_ms;
    for (int w = 0; w < TD_WAITINGS; w++) {
        td_stretch *stretch = &e->stretches[w];
        if (start_ms < waits_since[w]) {
            continue;
        }
        stretch_add(stretch, e->vector, size, start_ms, end_ms, facts);
        if (end_ms <= e->until_ms) {
            continue; /* seen before: only carried */
        }
        bool ready = td_signals_ready(&e->spec, &e->watched.reference, stretch->sum, (td_waiting)w);
        if (ready) {
            TD_TRY(test_stretch(e, (td_waiting)w, err));
        }
        if (ready || end_ms - stretch->from_ms > CARRIED_MAX * e->spec.window_ms) {
            stretch_clear(stretch, size);
        }
    }
    e->until_ms = end_ms > e->until_ms ? end_ms : e->until_ms;
    return TD_OK;
}

static td_code read_progress(evaluation *e, int64_t waits_since[TD_WAITINGS], td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(e->db,
                         "SELECT until_ms, from_observations, from_labels, from_groups FROM monitor_evaluated WHERE "
                         "version_key = :version",
                         &stmt, err));
    td_bind_int(stmt, ":version", e->watched.key);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    if (row) {
        e->until_ms = td_column_int(stmt, "until_ms");
        waits_since[TD_WAIT_OBSERVATIONS] = td_column_int(stmt, "from_observations");
        waits_since[TD_WAIT_LABELS] = td_column_int(stmt, "from_labels");
        waits_since[TD_WAIT_GROUPS] = td_column_int(stmt, "from_groups");
    }
    td_reset(stmt);
    return TD_OK;
}

static int64_t waits_from(const evaluation *e, td_waiting waiting)
{
    int64_t from = e->stretches[waiting].from_ms;
    return from > 0 ? from : e->until_ms;
}

static td_code write_progress(evaluation *e, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        e->db,
        "INSERT INTO monitor_evaluated (version_key, until_ms, from_observations, from_labels, from_groups) "
        "VALUES (:version, :until, :observations, :labels, :groups) ON CONFLICT (version_key) DO UPDATE SET "
        "until_ms = excluded.until_ms, from_observations = excluded.from_observations, from_labels = "
        "excluded.from_labels, from_groups = excluded.from_groups",
        &stmt, err));
    td_bind_int(stmt, ":version", e->watched.key);
    td_bind_int(stmt, ":until", e->until_ms);
    td_bind_int(stmt, ":observations", waits_from(e, TD_WAIT_OBSERVATIONS));
    td_bind_int(stmt, ":labels", waits_from(e, TD_WAIT_LABELS));
    td_bind_int(stmt, ":groups", waits_from(e, TD_WAIT_GROUPS));
    return td_run(stmt, err);
}

static td_code walk_row(evaluation *e, td_stmt *stmt, const int64_t *waits_since, td_err *err)
{
    td_bucket_facts facts = {td_column_int(stmt, "windows"), td_column_int(stmt, "first_window"),
                             td_column_int(stmt, "last_window")};
    size_t size = 0;
    const void *counts = td_column_blob(stmt, "counts", &size);
    memset(e->vector, 0, e->watched.reference.size * sizeof *e->vector);
    TD_TRY(td_vector_add(counts, size, e->vector, e->watched.reference.size, err));
    return take_bucket(e, td_column_int(stmt, "start_ms"), &facts, waits_since, err);
}

static td_code walk_buckets(evaluation *e, const int64_t *waits_since, td_err *err)
{
    int64_t from = waits_since[0];
    for (int w = 1; w < TD_WAITINGS; w++) {
        from = waits_since[w] < from ? waits_since[w] : from;
    }
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        e->db,
        "SELECT start_ms, windows, first_window, last_window, counts FROM monitor_bucket WHERE version_key = "
        ":version AND length_ms = :length AND start_ms >= :from AND start_ms <= :last ORDER BY start_ms "
        "LIMIT :limit",
        &stmt, err));
    td_bind_int(stmt, ":version", e->watched.key);
    td_bind_int(stmt, ":length", e->spec.window_ms);
    td_bind_int(stmt, ":from", from);
    td_bind_int(stmt, ":last", e->now_ms - e->spec.grace_ms - e->spec.window_ms);
    td_bind_int(stmt, ":limit", BUCKETS_MAX);
    td_code code = TD_OK;
    while (code == TD_OK) {
        bool row;
        code = td_step(stmt, &row, err);
        if (code != TD_OK || !row) {
            break;
        }
        code = walk_row(e, stmt, waits_since, err);
    }
    td_reset(stmt);
    return code;
}

static td_code evaluate_version(evaluation *e, int64_t version_key, td_err *err)
{
    int64_t waits_since[TD_WAITINGS] = {0};
    TD_TRY(td_watched_by_key(e->db, version_key, &e->arena, &e->watched, err));
    TD_TRY(td_spec_load(e->db, e->watched.project, e->watched.model, &e->spec, err));
    size_t size = e->watched.reference.size;
    e->until_ms = 0;
    e->vector = td_arena_alloc(&e->arena, size * sizeof *e->vector);
    for (int w = 0; w < TD_WAITINGS; w++) {
        e->stretches[w].sum = td_arena_alloc(&e->arena, size * sizeof *e->vector);
        if (e->vector == NULL || e->stretches[w].sum == NULL) {
            return td_fail(err, TD_NOMEM, "out of memory");
        }
        stretch_clear(&e->stretches[w], size);
    }
    TD_TRY(read_progress(e, waits_since, err));
    int64_t before = e->until_ms;
    TD_TRY(walk_buckets(e, waits_since, err));
    return e->until_ms > before ? write_progress(e, err) : TD_OK;
}

/* ---- All ------------------------------------------------------------------------------------- */

/* Versions with a bucket that is complete (but for the grace) and was not looked at. */
static td_code find_due(td_db *db, int64_t now_ms, int64_t *keys, size_t *count_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT v.version_key FROM monitor_version v LEFT JOIN monitor_spec s ON s.project = v.project AND "
        "s.model = v.model LEFT JOIN monitor_evaluated e ON e.version_key = v.version_key WHERE EXISTS "
        "(SELECT 1 FROM monitor_bucket b WHERE b.version_key = v.version_key AND b.length_ms = "
        "COALESCE(s.window_ms, :fallback) AND b.start_ms >= COALESCE(e.until_ms, 0) AND b.start_ms + "
        "b.length_ms <= :now) ORDER BY v.version_key LIMIT :limit",
        &stmt, err));
    td_bind_int(stmt, ":fallback", TD_WINDOW_DEFAULT_MS);
    td_bind_int(stmt, ":now", now_ms);
    td_bind_int(stmt, ":limit", VERSIONS_MAX);
    *count_out = 0;
    for (;;) {
        bool row;
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        keys[(*count_out)++] = td_column_int(stmt, "version_key");
    }
}

td_code td_monitor_evaluate(td_db *db, const td_actor *actor, int64_t now_ms, td_transition *transitions, size_t room,
                            size_t *count_out, td_err *err)
{
    int64_t keys[VERSIONS_MAX];
    size_t due = 0, told = 0;
    TD_TRY(find_due(db, now_ms, keys, &due, err));
    for (size_t i = 0; i < due; i++) {
        TD_CLEANUP(evaluation_done)
        evaluation e = {
            .db = db, .actor = actor, .now_ms = now_ms, .transitions = transitions, .room = room, .count = told};
        TD_TRY(evaluate_version(&e, keys[i], err));
        told = e.count;
    }
    *count_out = told;
    return TD_OK;
}
