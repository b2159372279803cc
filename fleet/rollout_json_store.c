/*
 * rollout_json_store.c: rollouts as the API shows them: state, waves with their counts, devices with what they are at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/rollout_internal.h"

#include <string.h>

#define DEVICES_SHOWN_MAX 10000

static json_t *parse_or_null(const char *text)
{
    json_t *value = text != NULL ? json_loads(text, 0, NULL) : NULL;
    return value != NULL ? value : json_null();
}

json_t *td_fleet__rollout_row(td_stmt *stmt)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "id", td_column_text(stmt, "id"),
                     "project", td_column_text(stmt, "project"), "model", td_column_text(stmt, "model"), "version",
                     (json_int_t)td_column_int(stmt, "version"), "slot", td_column_text(stmt, "slot"), "to",
                     td_column_text(stmt, "selector"), "state", td_column_text(stmt, "state"), "why",
                     td_column_text(stmt, "why"), "created_by", td_column_text(stmt, "created_by"), "created_at",
                     td_fleet__time_json(td_column_int(stmt, "created_ms")), "deadline_at",
                     td_fleet__time_json(td_column_int(stmt, "deadline_ms")), "ended_at",
                     td_fleet__time_json(td_column_int(stmt, "ended_ms")));
}

static void add_counts(json_t *out, const td_counts *counts)
{
    json_object_set_new(out, "devices", json_integer(counts->members));
    for (int state = 0; state < TD_PART_COUNT; state++) {
        json_object_set_new(out, td_part_states.names[state], json_integer(counts->by_state[state]));
    }
    int64_t reached =
        counts->by_state[TD_PART_WORKING] + counts->by_state[TD_PART_COMMITTED] + counts->by_state[TD_PART_FAILED];
    json_object_set_new(out, "reached", json_integer(reached));
}

static td_code waves_json(td_db *db, int64_t rollout_id, json_t *waves, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT number, share, state, opened_ms, ended_ms, why FROM rollout_wave "
                         "WHERE rollout_id = :rollout_id ORDER BY number",
                         &stmt, err));
    td_bind_int(stmt, ":rollout_id", rollout_id);
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        json_array_append_new(
            waves, json_pack("{s:I, s:f, s:s, s:o, s:o, s:s}", "number", (json_int_t)td_column_int(stmt, "number"),
                             "share", td_column_real(stmt, "share"), "state", td_column_text(stmt, "state"),
                             "opened_at", td_fleet__time_json(td_column_int(stmt, "opened_ms")), "ended_at",
                             td_fleet__time_json(td_column_int(stmt, "ended_ms")), "why", td_column_text(stmt, "why")));
    }
    for (size_t i = 0; i < json_array_size(waves); i++) {
        td_counts counts;
        json_t *wave = json_array_get(waves, i);
        TD_TRY(td_wave__counts(db, rollout_id, json_integer_value(json_object_get(wave, "number")), &counts, err));
        add_counts(wave, &counts);
    }
    return TD_OK;
}

static td_code devices_json(td_db *db, int64_t rollout_id, json_t *devices, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT d.name, p.wave, p.state, p.step, p.reason, p.sequence, p.bytes_done, p.bytes_total, p.issued_ms, "
        "p.acknowledged_ms, p.deadline_ms, p.ended_ms FROM rollout_device p JOIN device d ON d.device_id = p.device_id "
        "WHERE p.rollout_id = :rollout_id ORDER BY p.wave, d.name LIMIT :room",
        &stmt, err));
    td_bind_int(stmt, ":rollout_id", rollout_id);
    td_bind_int(stmt, ":room", DEVICES_SHOWN_MAX);
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        json_array_append_new(
            devices, json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "device",
                               td_column_text(stmt, "name"), "wave", (json_int_t)td_column_int(stmt, "wave"), "state",
                               td_column_text(stmt, "state"), "step", td_column_text(stmt, "step"), "reason",
                               td_column_text(stmt, "reason"), "sequence", (json_int_t)td_column_int(stmt, "sequence"),
                               "bytes_done", (json_int_t)td_column_int(stmt, "bytes_done"), "bytes_total",
                               (json_int_t)td_column_int(stmt, "bytes_total"), "issued_at",
                               td_fleet__time_json(td_column_int(stmt, "issued_ms")), "acknowledged_at",
                               td_fleet__time_json(td_column_int(stmt, "acknowledged_ms")), "deadline_at",
                               td_fleet__time_json(td_column_int(stmt, "deadline_ms")), "ended_at",
                               td_fleet__time_json(td_column_int(stmt, "ended_ms"))));
    }
}

td_code td_rollout_json(td_db *db, const char *project, const char *id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT rollout_id, id, project, model, version, slot, selector, spec, state, why, created_by, created_ms, "
        "deadline_ms, ended_ms FROM rollout WHERE id = :id AND project = :project",
        &stmt, err));
    td_bind_text(stmt, ":id", id);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "there is no rollout \"%.40s\" in project %s (tidemark rollout list)", id, project));
    TD_CLEANUP(td_json_done) json_t *found = td_fleet__rollout_row(stmt);
    int64_t rollout_id = td_column_int(stmt, "rollout_id");
    json_object_set_new(found, "spec", parse_or_null(td_column_text(stmt, "spec")));
    td_reset(stmt);
    json_t *waves = json_array(), *devices = json_array(), *counts_json = json_object();
    json_object_set_new(found, "waves", waves);
    json_object_set_new(found, "devices", devices);
    json_object_set_new(found, "counts", counts_json);
    td_counts counts;
    TD_TRY(td_wave__counts(db, rollout_id, 0, &counts, err));
    add_counts(counts_json, &counts);
    TD_TRY(waves_json(db, rollout_id, waves, err));
    TD_TRY(devices_json(db, rollout_id, devices, err));
    return td_fleet__json_out(json_incref(found), out, err);
}
