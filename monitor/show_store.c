/*
 * show_store.c: how a version does now, for people and programs: its signals, and the sums of its newest evaluation
 * windows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/alerts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_MAX 60 /* evaluation windows that are listed */
#define SUMMED 3       /* newest ones that performance and groups are taken from */

typedef struct showing {
    td_db *db;
    td_arena arena;
    td_watched watched;
    td_spec spec;
    uint64_t *sum, *vector;
    int64_t from_ms, to_ms, first_window, last_window;
    size_t summed;
    json_t *history; /* newest first while it is made */
} showing;

static void showing_done(showing *s)
{
    td_spec_done(&s->spec);
    json_decref(s->history);
    td_arena_done(&s->arena);
}

/* ---- Sums ------------------------------------------------------------------------------------ */

static json_t *history_json(const showing *s, int64_t start_ms)
{
    const td_reference *reference = &s->watched.reference;
    const uint64_t *tallies = s->vector + reference->tallies_first;
    double worst = NAN;
    for (size_t i = 0; i < reference->feature_count; i++) {
        worst = fmax(worst, td_stream_psi(&reference->features[i], s->vector)); /* fmax passes over NAN */
    }
    double labelled = (double)tallies[TD_TALLY_LABELLED];
    json_t *json = json_object();
    json_object_set_new(json, "from_at", td_time_json(start_ms));
    json_object_set_new(json, "n", json_integer((json_int_t)tallies[TD_TALLY_N]));
    json_object_set_new(json, "labelled", json_integer((json_int_t)tallies[TD_TALLY_LABELLED]));
    json_object_set_new(json, "accuracy",
                        td_number_json(labelled > 0 ? (double)tallies[TD_TALLY_CORRECT] / labelled : NAN));
    json_object_set_new(json, "worst_psi", td_number_json(worst));
    double prediction = reference->prediction.present ? td_stream_psi(&reference->prediction, s->vector) : NAN;
    json_object_set_new(json, "prediction_psi", td_number_json(prediction));
    return json;
}

static td_code take_bucket(showing *s, td_stmt *stmt, td_err *err)
{
    size_t size = 0, count = s->watched.reference.size;
    const void *counts = td_column_blob(stmt, "counts", &size);
    memset(s->vector, 0, count * sizeof *s->vector);
    TD_TRY(td_vector_add(counts, size, s->vector, count, err));
    int64_t start = td_column_int(stmt, "start_ms"), first = td_column_int(stmt, "first_window");
    int64_t last = td_column_int(stmt, "last_window");
    if (s->summed < SUMMED) {
        for (size_t i = 0; i < count; i++) {
            s->sum[i] += s->vector[i];
        }
        s->to_ms = s->summed == 0 ? start + s->spec.window_ms : s->to_ms;
        s->from_ms = start;
        s->first_window = first < s->first_window ? first : s->first_window;
        s->last_window = last > s->last_window ? last : s->last_window;
        s->summed++;
    }
    json_array_insert_new(s->history, 0, history_json(s, start));
    return TD_OK;
}

static td_code read_buckets(showing *s, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        s->db,
        "SELECT start_ms, first_window, last_window, counts FROM monitor_bucket WHERE version_key = :version AND "
        "length_ms = :length ORDER BY start_ms DESC LIMIT :limit",
        &stmt, err));
    td_bind_int(stmt, ":version", s->watched.key);
    td_bind_int(stmt, ":length", s->spec.window_ms);
    td_bind_int(stmt, ":limit", HISTORY_MAX);
    td_code code = TD_OK;
    while (code == TD_OK) {
        bool row;
        code = td_step(stmt, &row, err);
        if (code != TD_OK || !row) {
            break;
        }
        code = take_bucket(s, stmt, err);
    }
    td_reset(stmt);
    return code;
}

static td_code count_devices(showing *s, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        s->db,
        "SELECT COUNT(DISTINCT device_key) AS devices FROM monitor_window WHERE window_id BETWEEN :first AND "
        ":last AND version_key = :version",
        &stmt, err));
    td_bind_int(stmt, ":first", s->first_window);
    td_bind_int(stmt, ":last", s->last_window);
    td_bind_int(stmt, ":version", s->watched.key);
    TD_TRY(td_step_one(stmt, err, "no count"));
    *out = td_column_int(stmt, "devices");
    td_reset(stmt);
    return TD_OK;
}

/* ---- Signals --------------------------------------------------------------------------------- */

static td_code signal_json(td_stmt *stmt, json_t **out, td_err *err)
{
    char alert[24];
    json_t *json = NULL;
    const char *text = td_column_text(stmt, "report");
    TD_TRY(td_json_parse(text, strlen(text), "stored report", &json, err));
    json_object_set_new(json, "signal", json_string(td_column_text(stmt, "signal")));
    json_object_set_new(json, "feature", json_string(td_column_text(stmt, "feature")));
    json_object_set_new(json, "state", json_string(td_column_text(stmt, "state")));
    json_object_set_new(json, "since_at", td_time_json(td_column_int(stmt, "since_ms")));
    td_alert_name(td_column_int(stmt, "alert_id"), alert);
    json_object_set_new(json, "alert_id", td_column_null(stmt, "alert_id") ? json_null() : json_string(alert));
    *out = json;
    return TD_OK;
}

static td_code read_signals(showing *s, json_t *signals, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        s->db,
        "SELECT signal, feature, state, since_ms, report, alert_id FROM monitor_signal WHERE version_key = "
        ":version ORDER BY signal, feature",
        &stmt, err));
    td_bind_int(stmt, ":version", s->watched.key);
    td_code code = TD_OK;
    while (code == TD_OK) {
        bool row;
        json_t *signal = NULL;
        code = td_step(stmt, &row, err);
        if (code != TD_OK || !row) {
            break;
        }
        code = signal_json(stmt, &signal, err);
        if (code == TD_OK) {
            json_array_append_new(signals, signal);
        }
    }
    td_reset(stmt);
    return code;
}

/* ---- All ------------------------------------------------------------------------------------- */

static td_code open_showing(showing *s, const char *project, const char *model, int64_t version, td_err *err)
{
    TD_TRY(td_watched_by_version(s->db, project, model, version, &s->arena, &s->watched, err));
    TD_TRY(td_spec_load(s->db, project, model, &s->spec, err));
    s->sum = td_arena_alloc(&s->arena, s->watched.reference.size * sizeof *s->sum);
    s->vector = td_arena_alloc(&s->arena, s->watched.reference.size * sizeof *s->vector);
    s->history = json_array();
    s->first_window = INT64_MAX;
    return s->sum != NULL && s->vector != NULL && s->history != NULL ? TD_OK : td_fail(err, TD_NOMEM, "out of memory");
}

td_code td_monitor_json(td_db *db, const char *project, const char *model, int64_t version, json_t **out, td_err *err)
{
    TD_CLEANUP(showing_done) showing s = {.db = db};
    TD_CLEANUP(td_json_done) json_t *signals = json_array();
    TD_CLEANUP(td_str_done) td_str label = {0};
    int64_t devices = 0;
    TD_TRY(open_showing(&s, project, model, version, err));
    TD_TRY(read_buckets(&s, err));
    TD_TRY(count_devices(&s, &devices, err));
    TD_TRY(read_signals(&s, signals, err));
    td_str_addf(&label, "%s/%lld", model, (long long)version);
    const td_reference *reference = &s.watched.reference;
    char digest[7 + TD_DIGEST_TEXT] = "sha256:";
    td_hex_encode(s.watched.edges_digest, TD_DIGEST_SIZE, digest + 7);
    json_t *json = json_object();
    json_object_set_new(json, "version", json_string(td_str_text(&label)));
    json_object_set_new(json, "edges_digest", json_string(digest));
    json_object_set_new(json, "window_ms", json_integer(s.spec.window_ms));
    json_object_set_new(json, "from_at", td_time_json(s.from_ms));
    json_object_set_new(json, "to_at", td_time_json(s.to_ms));
    uint64_t n = s.sum[reference->tallies_first + TD_TALLY_N];
    json_object_set_new(json, "observations", json_integer((json_int_t)n));
    json_object_set_new(json, "devices", json_integer(devices));
    json_object_set(json, "signals", signals);
    json_object_set_new(json, "performance", td_performance_json(reference, s.sum));
    json_object_set_new(json, "groups", td_groups_json(reference, s.sum));
    json_object_set_new(json, "fairness", td_fairness_json(reference, s.sum, s.spec.minimum_group));
    json_object_set(json, "history", s.history);
    *out = json;
    return TD_OK;
}
