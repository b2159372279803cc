/*
 * part_store.c: a device's part in a rollout: one row that moves along td_part_states by what the device says.
 *
 * A report names the directive that it is about; that directive's number is the key to the part. What a device says
 * about a directive that took the version back moves the same part towards its end.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/rollout_internal.h"

#include <string.h>

static void read_part(td_stmt *stmt, td_part *out)
{
    *out = (td_part){.rollout_id = td_column_int(stmt, "rollout_id"),
                     .device_id = td_column_int(stmt, "device_id"),
                     .sequence = td_column_int(stmt, "sequence"),
                     .undo_sequence = td_column_int(stmt, "undo_sequence"),
                     .ended = td_column_int(stmt, "over") != 0};
    snprintf(out->state_name, sizeof out->state_name, "%s", td_column_text(stmt, "state"));
    snprintf(out->rollout, sizeof out->rollout, "%s", td_column_text(stmt, "id"));
    snprintf(out->slot, sizeof out->slot, "%s", td_column_text(stmt, "slot"));
    size_t size = 0;
    const void *digest = td_column_blob(stmt, "manifest_digest", &size);
    if (size == TD_DIGEST_SIZE) {
        memcpy(out->manifest, digest, size);
    }
}

/* The part that a directive's number belongs to. */
static td_code find_part(td_db *db, int64_t device_id, int64_t sequence, td_part *out, bool *found_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT p.rollout_id, p.device_id, p.state, p.sequence, p.undo_sequence, r.id, r.slot, r.manifest_digest, "
        "r.ended_ms IS NOT NULL AS over FROM rollout_device p JOIN rollout r ON r.rollout_id = p.rollout_id "
        "WHERE p.device_id = :device_id AND p.state <> 'waiting' AND (p.sequence = :sequence OR p.undo_sequence = "
        ":sequence) "
        "ORDER BY p.rollout_id DESC LIMIT 1",
        &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_int(stmt, ":sequence", sequence);
    TD_TRY(td_step(stmt, found_out, err));
    if (!*found_out) {
        return TD_OK;
    }
    read_part(stmt, out);
    td_reset(stmt);
    int state = 0;
    TD_TRY(td_states_parse(&td_part_states, out->state_name, &state, err));
    out->state = (td_part_state)state;
    return TD_OK;
}

td_code td_part__move(td_db *db, const td_part *part, td_part_state to, const char *reason, td_err *err)
{
    TD_TRY(td_states_check(&td_part_states, part->rollout, (int)part->state, (int)to, err));
    bool over = to == TD_PART_COMMITTED || to == TD_PART_FAILED || to == TD_PART_CANCELLED || to == TD_PART_REVERTED ||
                to == TD_PART_UNREACHED;
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE rollout_device SET state = :state, reason = coalesce(:reason, reason), "
                         "ended_ms = CASE WHEN :over THEN :now ELSE NULL END "
                         "WHERE rollout_id = :rollout_id AND device_id = :device_id",
                         &stmt, err));
    td_bind_text(stmt, ":state", td_part_states.names[to]);
    td_bind_text(stmt, ":reason", reason);
    td_bind_bool(stmt, ":over", over);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":rollout_id", part->rollout_id);
    td_bind_int(stmt, ":device_id", part->device_id);
    return td_run(stmt, err);
}

/* From its yes on, the device has its time: the step deadline, at least three of its contacts. */
static td_code begin_work(td_db *db, td_part *part, const td_device_row *device, td_err *err)
{
    int64_t contact_ms = 1000 * (device->contact_every_s > 0 ? device->contact_every_s : TD_CONTACT_DEFAULT_S);
    int64_t allowed_ms = 0;
    TD_TRY(td_rollout__step_deadline(db, part->rollout_id, &allowed_ms, err));
    allowed_ms = allowed_ms > 3 * contact_ms ? allowed_ms : 3 * contact_ms;
    TD_TRY(td_part__move(db, part, TD_PART_WORKING, NULL, err));
    part->state = TD_PART_WORKING;
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE rollout_device SET acknowledged_ms = :now, deadline_ms = :deadline "
                         "WHERE rollout_id = :rollout_id AND device_id = :device_id",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":deadline", td_db_now_ms(db) + allowed_ms);
    td_bind_int(stmt, ":rollout_id", part->rollout_id);
    td_bind_int(stmt, ":device_id", part->device_id);
    return td_run(stmt, err);
}

td_code td_fleet__part_accepted(td_db *db, const td_device_row *device, int64_t sequence, td_err *err)
{
    td_part part;
    bool found = false;
    TD_TRY(find_part(db, device->device_id, sequence, &part, &found, err));
    if (!found) {
        return TD_OK;
    }
    if (part.state == TD_PART_ISSUED && part.sequence == sequence) {
        return begin_work(db, &part, device, err);
    }
    return TD_OK;
}

static td_code keep_progress(td_db *db, const td_part *part, const td_part_report *report, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "UPDATE rollout_device SET step = :step, bytes_done = CASE WHEN :total > 0 THEN :done ELSE bytes_done END, "
        "bytes_total = CASE WHEN :total > 0 THEN :total ELSE bytes_total END "
        "WHERE rollout_id = :rollout_id AND device_id = :device_id",
        &stmt, err));
    td_bind_text(stmt, ":step", td_fleet__state_name(report->state));
    td_bind_int(stmt, ":done", report->bytes_done);
    td_bind_int(stmt, ":total", report->bytes_total);
    td_bind_int(stmt, ":rollout_id", part->rollout_id);
    td_bind_int(stmt, ":device_id", part->device_id);
    return td_run(stmt, err);
}

td_code td_part__restore_goal(td_db *db, int64_t rollout_id, int64_t device_id, const char *slot, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "DELETE FROM device_goal WHERE device_id = :device_id AND slot = :slot", &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_text(stmt, ":slot", slot);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO device_goal (device_id, slot, manifest_digest, model, version, goal) "
        "SELECT device_id, :slot, previous_digest, previous_model, previous_version, previous_goal FROM rollout_device "
        "WHERE rollout_id = :rollout_id AND device_id = :device_id AND previous_goal IS NOT NULL",
        &stmt, err));
    td_bind_text(stmt, ":slot", slot);
    td_bind_int(stmt, ":rollout_id", rollout_id);
    td_bind_int(stmt, ":device_id", device_id);
    return td_run(stmt, err);
}

static td_code record(td_db *db, const td_device_row *device, const td_part *part, const char *state,
                      const char *reason, td_err *err)
{
    td_actor actor = td_fleet__device_actor(device->name);
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s, s:s, s:s}", "rollout", part->rollout, "state", state, "reason", reason);
    return td_fleet__audit(db,
                           &(td_fleet_record){.actor = &actor,
                                              .action = "report.install",
                                              .object_type = "device",
                                              .object_id = device->name,
                                              .project = device->project,
                                              .after = after},
                           err);
}

/* What a report about the order itself means for the part, or the part's own state when it means nothing. */
static td_part_state judge_order(const td_part *part, const td_part_report *report, bool ours)
{
    bool at_work = part->state == TD_PART_ISSUED || part->state == TD_PART_WORKING || part->state == TD_PART_UNREACHED;
    switch (report->state) {
    case tidemark_DeviceState_STATE_COMMITTED:
        return at_work && ours ? TD_PART_COMMITTED : part->state;
    case tidemark_DeviceState_STATE_REJECTED:
    case tidemark_DeviceState_STATE_ROLLED_BACK:
        return at_work || part->state == TD_PART_COMMITTED || part->state == TD_PART_CANCELLING ? TD_PART_FAILED
                                                                                                : part->state;
    case tidemark_DeviceState_STATE_CANCELLED:
    case tidemark_DeviceState_STATE_SUPERSEDED:
        return at_work || part->state == TD_PART_CANCELLING ? TD_PART_CANCELLED
               : part->state == TD_PART_REVERTING           ? TD_PART_REVERTED
                                                            : part->state;
    default:
        return part->state;
    }
}

/* What a report about the directive that took it back means. */
static td_part_state judge_undo(const td_part *part, const td_part_report *report)
{
    td_part_state done = part->state == TD_PART_REVERTING                                        ? TD_PART_REVERTED
                         : part->state == TD_PART_CANCELLING || part->state == TD_PART_UNREACHED ? TD_PART_CANCELLED
                                                                                                 : part->state;
    switch (report->state) {
    case tidemark_DeviceState_STATE_COMMITTED:
    case tidemark_DeviceState_STATE_CANCELLED:
    case tidemark_DeviceState_STATE_SUPERSEDED:
    case tidemark_DeviceState_STATE_IDLE:
        return done;
    case tidemark_DeviceState_STATE_REJECTED:
    case tidemark_DeviceState_STATE_ROLLED_BACK:
        return done != part->state ? TD_PART_FAILED : part->state;
    default:
        return part->state;
    }
}

td_code td_fleet__part_progress(td_db *db, const td_part_report *report, td_err *err)
{
    td_part part;
    bool found = false;
    TD_TRY(find_part(db, report->device_id, report->directive_sequence, &part, &found, err));
    bool under_way = found && part.state == TD_PART_WORKING && report->directive_sequence == part.sequence;
    return under_way ? keep_progress(db, &part, report, err) : TD_OK;
}

td_code td_fleet__part_report(td_db *db, const td_device_row *device, const td_part_report *report, td_err *err)
{
    td_part part;
    bool found = false;
    TD_TRY(find_part(db, device->device_id, report->directive_sequence, &part, &found, err));
    if (!found) {
        return TD_OK;
    }
    bool about_order = report->directive_sequence == part.sequence;
    bool ours = report->manifest != NULL && memcmp(report->manifest, part.manifest, TD_DIGEST_SIZE) == 0;
    if (about_order) {
        TD_TRY(keep_progress(db, &part, report, err));
        if (part.state == TD_PART_ISSUED) {
            TD_TRY(begin_work(db, &part, device, err));
        }
    }
    td_part_state to = about_order ? judge_order(&part, report, ours) : judge_undo(&part, report);
    if (to == part.state) {
        return TD_OK;
    }
    const char *reason = td_fleet__reason_name(report->reason);
    TD_TRY(td_part__move(db, &part, to, reason, err));
    if (to == TD_PART_FAILED && about_order && !part.ended) {
        TD_TRY(td_part__restore_goal(db, part.rollout_id, part.device_id, part.slot, err));
    }
    return record(db, device, &part, td_part_states.names[to], reason, err);
}
