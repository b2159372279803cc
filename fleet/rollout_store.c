/*
 * rollout_store.c: rows of rollouts and waves: reading them, moving them along their tables with a record each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/rollout_internal.h"

#include <stdio.h>
#include <string.h>

void td_rollout__done(td_rollout *rollout)
{
    td_str_done(&rollout->goal);
    td_str_done(&rollout->spec);
}

static void copy_blob(td_stmt *stmt, const char *column, void *out, size_t size)
{
    size_t have = 0;
    const void *bytes = td_column_blob(stmt, column, &have);
    memcpy(out, bytes, have < size ? have : size);
}

static td_code read_rollout(td_stmt *stmt, td_rollout *out, td_err *err)
{
    TD_CLEANUP(td_rollout__done)
    td_rollout row = {
        .rollout_id = td_column_int(stmt, "rollout_id"),
        .version = td_column_int(stmt, "version"),
        .created_ms = td_column_int(stmt, "created_ms"),
        .deadline_ms = td_column_int(stmt, "deadline_ms"),
        .undo_ms = td_column_int(stmt, "undo_ms"),
        .scanned_revision = td_column_int(stmt, "scanned_revision"),
    };
    snprintf(row.id, sizeof row.id, "%s", td_column_text(stmt, "id"));
    snprintf(row.project, sizeof row.project, "%s", td_column_text(stmt, "project"));
    snprintf(row.model, sizeof row.model, "%s", td_column_text(stmt, "model"));
    snprintf(row.slot, sizeof row.slot, "%s", td_column_text(stmt, "slot"));
    snprintf(row.selector, sizeof row.selector, "%s", td_column_text(stmt, "selector"));
    copy_blob(stmt, "manifest_digest", row.manifest, sizeof row.manifest);
    copy_blob(stmt, "salt", row.salt, sizeof row.salt);
    int state = 0;
    TD_TRY(td_states_parse(&td_rollout_states, td_column_text(stmt, "state"), &state, err));
    row.state = (td_rollout_state)state;
    size_t size = 0;
    const void *goal = td_column_blob(stmt, "goal", &size);
    td_str_append(&row.goal, goal, size);
    td_str_add(&row.spec, td_column_text(stmt, "spec"));
    TD_TRY(td_str_check(&row.goal, err));
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    TD_TRY(td_json_parse(td_str_text(&row.spec), row.spec.size, "rollout", &spec, err));
    TD_TRY(td_plan__read(spec, &row.plan, err));
    *out = row;
    row = (td_rollout){0};
    return TD_OK;
}

static td_code finish_read(td_stmt *stmt, td_rollout *out, td_err *err)
{
    td_code code = read_rollout(stmt, out, err);
    td_reset(stmt);
    return code;
}

td_code td_rollout__find(td_db *db, const char *project, const char *id, td_rollout *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT rollout_id, id, project, model, version, slot, manifest_digest, selector, spec, goal, "
                         "salt, state, created_ms, "
                         "deadline_ms, undo_ms, scanned_revision FROM rollout WHERE id = :id AND project = :project",
                         &stmt, err));
    td_bind_text(stmt, ":id", id);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "there is no rollout \"%.40s\" in project %s (tidemark rollout list)", id, project));
    return finish_read(stmt, out, err);
}

td_code td_rollout__by_id(td_db *db, int64_t rollout_id, td_rollout *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT rollout_id, id, project, model, version, slot, manifest_digest, selector, spec, goal, "
                         "salt, state, created_ms, "
                         "deadline_ms, undo_ms, scanned_revision FROM rollout WHERE rollout_id = :rollout_id",
                         &stmt, err));
    td_bind_int(stmt, ":rollout_id", rollout_id);
    TD_TRY(td_step_one(stmt, err, "there is no rollout in row %lld", (long long)rollout_id));
    return finish_read(stmt, out, err);
}

td_code td_rollout__active(td_db *db, int64_t *ids, size_t room, size_t *count_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT rollout_id FROM rollout WHERE ended_ms IS NULL ORDER BY rollout_id", &stmt, err));
    size_t count = 0;
    for (bool row = true; count < room; count++) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        ids[count] = td_column_int(stmt, "rollout_id");
    }
    td_reset(stmt);
    *count_out = count;
    return TD_OK;
}

td_code td_rollout__rival(td_db *db, const char *project, const char *slot, int64_t except, int64_t *id_out,
                          td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(
        td_db_prepare(db,
                      "SELECT rollout_id FROM rollout WHERE ended_ms IS NULL AND project = :project AND slot = :slot "
                      "AND rollout_id <> :except "
                      "ORDER BY rollout_id LIMIT 1",
                      &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":slot", slot);
    td_bind_int(stmt, ":except", except);
    TD_TRY(td_step(stmt, &row, err));
    *id_out = row ? td_column_int(stmt, "rollout_id") : 0;
    td_reset(stmt);
    return TD_OK;
}

td_code td_rollout__step_deadline(td_db *db, int64_t rollout_id, int64_t *out, td_err *err)
{
    TD_CLEANUP(td_rollout__done) td_rollout rollout = {0};
    TD_TRY(td_rollout__by_id(db, rollout_id, &rollout, err));
    *out = rollout.plan.step_deadline_ms;
    return TD_OK;
}

static const char *action_of(td_rollout_state from, td_rollout_state to)
{
    switch (to) {
    case TD_ROLLOUT_PAUSED:
        return "pause.rollout";
    case TD_ROLLOUT_RUNNING:
        return from == TD_ROLLOUT_PAUSED ? "resume.rollout" : NULL; /* its start is part of create.rollout */
    case TD_ROLLOUT_ABORTING:
        return "abort.rollout";
    case TD_ROLLOUT_REVERTING:
        return "revert.rollout";
    case TD_ROLLOUT_ABORTED:
    case TD_ROLLOUT_REVERTED:
    case TD_ROLLOUT_FINISHED:
    case TD_ROLLOUT_SUPERSEDED:
        return "finish.rollout";
    default:
        return NULL;
    }
}

td_code td_rollout__move(td_db *db, td_rollout *rollout, td_rollout_state to, const td_actor *actor, const char *why,
                         td_err *err)
{
    TD_TRY(td_states_check(&td_rollout_states, rollout->id, (int)rollout->state, (int)to, err));
    bool undo = to == TD_ROLLOUT_ABORTING || to == TD_ROLLOUT_REVERTING;
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "UPDATE rollout SET state = :state, why = :why, undo_ms = CASE WHEN :undo THEN :now ELSE undo_ms END, "
        "ended_ms = CASE WHEN :over THEN :now ELSE NULL END WHERE rollout_id = :rollout_id",
        &stmt, err));
    td_bind_text(stmt, ":state", td_rollout_states.names[to]);
    td_bind_text(stmt, ":why", why);
    td_bind_bool(stmt, ":undo", undo);
    td_bind_bool(stmt, ":over", td_fleet__rollout_ended(to));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":rollout_id", rollout->rollout_id);
    TD_TRY(td_run(stmt, err));
    const char *action = action_of(rollout->state, to);
    rollout->state = to;
    rollout->undo_ms = undo ? td_db_now_ms(db) : rollout->undo_ms;
    if (action == NULL) {
        return TD_OK;
    }
    TD_CLEANUP(td_json_done) json_t *after = json_pack("{s:s}", "state", td_rollout_states.names[to]);
    return td_fleet__audit(db,
                           &(td_fleet_record){.actor = actor,
                                              .action = action,
                                              .object_type = "rollout",
                                              .object_id = rollout->id,
                                              .project = rollout->project,
                                              .reason = why,
                                              .after = after},
                           err);
}

td_code td_wave__list(td_db *db, int64_t rollout_id, td_wave out[TD_ROLLOUT_WAVES_MAX], size_t *count_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT number, share, bound, state, opened_ms, soaking_ms FROM rollout_wave "
                         "WHERE rollout_id = :rollout_id ORDER BY number",
                         &stmt, err));
    td_bind_int(stmt, ":rollout_id", rollout_id);
    size_t count = 0;
    for (bool row = true; count < TD_ROLLOUT_WAVES_MAX; count++) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        int state = 0;
        TD_TRY(td_states_parse(&td_wave_states, td_column_text(stmt, "state"), &state, err));
        out[count] = (td_wave){.number = td_column_int(stmt, "number"),
                               .share = td_column_real(stmt, "share"),
                               .bound = td_column_int(stmt, "bound"),
                               .state = (td_wave_state)state,
                               .opened_ms = td_column_int(stmt, "opened_ms"),
                               .soaking_ms = td_column_int(stmt, "soaking_ms")};
    }
    td_reset(stmt);
    *count_out = count;
    return TD_OK;
}

td_code td_wave__move(td_db *db, const td_rollout *rollout, td_wave *wave, td_wave_state to, const char *why,
                      td_err *err)
{
    static const char *const actions[] = {NULL, "start.wave", NULL, "pass.wave", "fail.wave"};
    char id[TD_ROLLOUT_ID_TEXT + 24];
    snprintf(id, sizeof id, "%s/%lld", rollout->id, (long long)wave->number);
    TD_TRY(td_states_check(&td_wave_states, id, (int)wave->state, (int)to, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE rollout_wave SET state = :state, why = :why, "
                         "opened_ms = CASE WHEN :state = 'open' THEN :now ELSE opened_ms END, "
                         "soaking_ms = CASE WHEN :state = 'soaking' THEN :now ELSE soaking_ms END, "
                         "ended_ms = CASE WHEN :state IN ('passed', 'failed') THEN :now ELSE NULL END "
                         "WHERE rollout_id = :rollout_id AND number = :number",
                         &stmt, err));
    td_bind_text(stmt, ":state", td_wave_states.names[to]);
    td_bind_text(stmt, ":why", why);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":rollout_id", rollout->rollout_id);
    td_bind_int(stmt, ":number", wave->number);
    TD_TRY(td_run(stmt, err));
    wave->state = to;
    wave->opened_ms = to == TD_WAVE_OPEN ? td_db_now_ms(db) : wave->opened_ms;
    wave->soaking_ms = to == TD_WAVE_SOAKING ? td_db_now_ms(db) : wave->soaking_ms;
    if (actions[to] == NULL) {
        return TD_OK;
    }
    return td_fleet__audit(db,
                           &(td_fleet_record){.actor = &td_actor_system,
                                              .action = actions[to],
                                              .object_type = "rollout",
                                              .object_id = id,
                                              .project = rollout->project,
                                              .reason = why},
                           err);
}

td_code td_wave__counts(td_db *db, int64_t rollout_id, int64_t wave, td_counts *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT p.state, count(*) AS n, max(d.contact_every_s) AS contact FROM rollout_device p "
                         "JOIN device d ON d.device_id = p.device_id "
                         "WHERE p.rollout_id = :rollout_id AND (:wave = 0 OR p.wave = :wave) GROUP BY p.state",
                         &stmt, err));
    td_bind_int(stmt, ":rollout_id", rollout_id);
    td_bind_int(stmt, ":wave", wave);
    td_counts counts = {.contact_s = 1};
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            *out = counts;
            return TD_OK;
        }
        int state = 0;
        TD_TRY(td_states_parse(&td_part_states, td_column_text(stmt, "state"), &state, err));
        int64_t contact = td_column_int(stmt, "contact");
        contact = contact > 0 ? contact : TD_CONTACT_DEFAULT_S;
        counts.by_state[state] = td_column_int(stmt, "n");
        counts.members += counts.by_state[state];
        counts.contact_s = contact > counts.contact_s ? contact : counts.contact_s;
    }
}
