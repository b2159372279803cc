/*
 * parts_store.c: many parts at a time: who is due, what their goals become, who joins.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/fit.h"
#include "fleet/rollout_internal.h"

#include <stdio.h>
#include <string.h>

#define BRAKE_FAILURES 3
#define BRAKE_MS ((int64_t)24 * 3600 * 1000)

td_code td_part__list(td_db *db, const td_part_query *query, int64_t *device_ids, size_t room, size_t *count_out,
                      td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT p.device_id FROM rollout_device p WHERE p.rollout_id = :rollout_id AND p.state = :state "
        "AND (:wave = 0 OR p.wave <= :wave) AND (:overdue = 0 OR p.deadline_ms < :overdue) "
        "AND (:state <> 'waiting' OR (SELECT count(*) FROM rollout_device f WHERE f.device_id = p.device_id "
        "  AND f.state = 'failed' AND f.ended_ms > :brake) < :failures) ORDER BY p.wave, p.device_id LIMIT :room",
        &stmt, err));
    td_bind_int(stmt, ":rollout_id", query->rollout_id);
    td_bind_text(stmt, ":state", td_part_states.names[query->state]);
    td_bind_int(stmt, ":wave", query->wave_max);
    td_bind_int(stmt, ":overdue", query->overdue_ms);
    td_bind_int(stmt, ":brake", td_db_now_ms(db) - BRAKE_MS);
    td_bind_int(stmt, ":failures", BRAKE_FAILURES);
    td_bind_int(stmt, ":room", (int64_t)room);
    size_t count = 0;
    for (bool row = true; count < room; count++) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        device_ids[count] = td_column_int(stmt, "device_id");
    }
    td_reset(stmt);
    *count_out = count;
    return TD_OK;
}

td_code td_part__move_all(td_db *db, const td_rollout *rollout, td_part_state from, td_part_state to,
                          const char *reason, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_states_check(&td_part_states, rollout->id, (int)from, (int)to, err));
    TD_TRY(td_db_prepare(db,
                         "UPDATE rollout_device SET state = :to, reason = :reason, ended_ms = :now "
                         "WHERE rollout_id = :rollout_id AND state = :from",
                         &stmt, err));
    td_bind_text(stmt, ":to", td_part_states.names[to]);
    td_bind_text(stmt, ":from", td_part_states.names[from]);
    td_bind_text(stmt, ":reason", reason);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":rollout_id", rollout->rollout_id);
    return td_run(stmt, err);
}

td_code td_part__set_goal(td_db *db, const td_rollout *rollout, int64_t device_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "UPDATE rollout_device SET (previous_goal, previous_digest, previous_model, previous_version) = "
        "(SELECT goal, manifest_digest, model, version FROM device_goal WHERE device_id = :device_id AND slot = :slot) "
        "WHERE rollout_id = :rollout_id AND device_id = :device_id",
        &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_text(stmt, ":slot", rollout->slot);
    td_bind_int(stmt, ":rollout_id", rollout->rollout_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO device_goal (device_id, slot, manifest_digest, model, version, goal) "
        "VALUES (:device_id, :slot, :manifest, :model, :version, :goal) ON CONFLICT (device_id, slot) DO UPDATE SET "
        "manifest_digest = excluded.manifest_digest, model = excluded.model, version = excluded.version, "
        "goal = excluded.goal",
        &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_text(stmt, ":slot", rollout->slot);
    td_bind_blob(stmt, ":manifest", rollout->manifest, sizeof rollout->manifest);
    td_bind_text(stmt, ":model", rollout->model);
    td_bind_int(stmt, ":version", rollout->version);
    td_bind_blob(stmt, ":goal", rollout->goal.data, rollout->goal.size);
    return td_run(stmt, err);
}

td_code td_part__issued(td_db *db, const td_rollout *rollout, int64_t device_id, int64_t sequence, bool undo,
                        td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE rollout_device SET sequence = CASE WHEN :undo THEN sequence ELSE :sequence END, "
                         "undo_sequence = CASE WHEN :undo THEN :sequence ELSE undo_sequence END, "
                         "issued_ms = CASE WHEN :undo THEN issued_ms ELSE :now END "
                         "WHERE rollout_id = :rollout_id AND device_id = :device_id",
                         &stmt, err));
    td_bind_bool(stmt, ":undo", undo);
    td_bind_int(stmt, ":sequence", sequence);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":rollout_id", rollout->rollout_id);
    td_bind_int(stmt, ":device_id", device_id);
    return td_run(stmt, err);
}

td_code td_part__issued_since(td_db *db, int64_t rollout_id, int64_t since_ms, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(
        db, "SELECT count(*) AS n FROM rollout_device WHERE rollout_id = :rollout_id AND issued_ms > :since", &stmt,
        err));
    td_bind_int(stmt, ":rollout_id", rollout_id);
    td_bind_int(stmt, ":since", since_ms);
    TD_TRY(td_step(stmt, &row, err));
    *out = td_column_int(stmt, "n");
    td_reset(stmt);
    return TD_OK;
}

typedef struct joining {
    td_db *db;
    const td_rollout *rollout;
    const td_wave *waves;
    size_t wave_count;
    const json_t *canaries;
    int64_t admitted;
    td_fit_need need; /* read with the first device */
    bool need_read;
} joining;

static void joining_done(joining *self)
{
    td_fit_need_done(&self->need);
}

/* A device that cannot take the version is left out for as long as it cannot, unless the rollout says `try`. */
static td_code may_join(joining *self, int64_t device_id, bool *out, td_err *err)
{
    td_fit fit = TD_FIT_YES;
    if (self->rollout->plan.unfit == 't') {
        *out = true;
        return TD_OK;
    }
    if (!self->need_read) {
        char label[160];
        snprintf(label, sizeof label, "%s/%lld", self->rollout->model, (long long)self->rollout->version);
        TD_TRY(td_fit_need_read(self->db, self->rollout->project, label, &self->need, err));
        self->need_read = true;
    }
    TD_TRY(td_fit_device(self->db, &self->need, device_id, &fit, NULL, err));
    *out = fit != TD_FIT_NO;
    return TD_OK;
}

static int64_t wave_of(const joining *self, const char *device)
{
    for (size_t i = 0; i < json_array_size(self->canaries); i++) {
        const char *canary = json_string_value(json_array_get(self->canaries, i));
        if (canary != NULL && strcmp(canary, device) == 0) {
            return 1;
        }
    }
    int64_t place = td_plan__place(self->rollout->salt, device);
    for (size_t i = 0; i < self->wave_count; i++) {
        if (place <= self->waves[i].bound) {
            return self->waves[i].number;
        }
    }
    return (int64_t)self->wave_count;
}

static td_code join(void *context, int64_t device_id, const char *name, td_err *err)
{
    joining *self = context;
    td_stmt *stmt;
    bool may;
    TD_TRY(may_join(self, device_id, &may, err));
    if (!may) {
        return TD_OK;
    }
    TD_TRY(td_db_prepare(self->db,
                         "INSERT INTO rollout_device (rollout_id, device_id, wave) "
                         "VALUES (:rollout_id, :device_id, :wave) ON CONFLICT (rollout_id, device_id) DO NOTHING",
                         &stmt, err));
    td_bind_int(stmt, ":rollout_id", self->rollout->rollout_id);
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_int(stmt, ":wave", wave_of(self, name));
    TD_TRY(td_run(stmt, err));
    self->admitted += td_db_changes(self->db);
    return TD_OK;
}

static td_code store_revision(td_db *db, td_rollout *rollout, int64_t revision, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE rollout SET scanned_revision = :revision WHERE rollout_id = :rollout_id", &stmt,
                         err));
    td_bind_int(stmt, ":revision", revision);
    td_bind_int(stmt, ":rollout_id", rollout->rollout_id);
    rollout->scanned_revision = revision;
    return td_run(stmt, err);
}

td_code td_rollout__admit(td_db *db, td_rollout *rollout, int64_t *admitted_out, td_err *err)
{
    td_selector selector;
    td_wave waves[TD_ROLLOUT_WAVES_MAX];
    TD_CLEANUP(joining_done) joining self = {.db = db, .rollout = rollout, .waves = waves};
    TD_TRY(td_selector__parse(rollout->selector, &selector, err));
    TD_TRY(td_wave__list(db, rollout->rollout_id, waves, &self.wave_count, err));
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    TD_TRY(td_json_parse(td_str_text(&rollout->spec), rollout->spec.size, "rollout", &spec, err));
    self.canaries = json_object_get(spec, "canaries");
    int64_t revision = 0;
    TD_TRY(td_fleet__select(db, rollout->project, &selector, rollout->scanned_revision, join, &self, &revision, err));
    *admitted_out = self.admitted;
    return revision != rollout->scanned_revision ? store_revision(db, rollout, revision, err) : TD_OK;
}
