/*
 * report_store.c: a step report: kept once, and handed on to the rollout that it is about.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/internal.h"

#include <string.h>

static td_code insert_report(td_db *db, int64_t device_id, const tidemark_Report *report, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO device_report (device_id, sequence, directive_sequence, slot, manifest_digest, "
                         "state, reason, bytes_done, "
                         "bytes_total, at_ms, received_ms) VALUES (:device_id, :sequence, :directive, :slot, "
                         ":manifest, :state, :reason, :done, "
                         ":total, :at, :now)",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_int(stmt, ":sequence", (int64_t)report->sequence);
    td_bind_int(stmt, ":directive", (int64_t)(report->directive_sequence & INT64_MAX));
    td_bind_text(stmt, ":slot", report->slot);
    td_bind_blob(stmt, ":manifest",
                 report->manifest_digest.size == TD_DIGEST_SIZE ? report->manifest_digest.bytes : NULL, TD_DIGEST_SIZE);
    td_bind_text(stmt, ":state", td_fleet__state_name((int)report->state));
    td_bind_text(stmt, ":reason", td_fleet__reason_name((int)report->reason));
    td_bind_int(stmt, ":done", (int64_t)(report->bytes_done & INT64_MAX));
    td_bind_int(stmt, ":total", (int64_t)(report->bytes_total & INT64_MAX));
    td_bind_int(stmt, ":at", (int64_t)(report->at_ms & INT64_MAX));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

static td_code prune(td_db *db, int64_t device_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "DELETE FROM device_report WHERE report_id IN (SELECT report_id FROM device_report WHERE "
                         "device_id = :device_id "
                         "ORDER BY report_id DESC LIMIT 10 OFFSET :kept)",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_int(stmt, ":kept", TD_REPORTS_KEPT);
    return td_run(stmt, err);
}

static td_code update_slot(td_db *db, const td_device_row *device, const tidemark_Report *report, td_err *err)
{
    bool committed =
        report->state == tidemark_DeviceState_STATE_COMMITTED && report->manifest_digest.size == TD_DIGEST_SIZE;
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO device_slot (device_id, slot, manifest_digest, state, updated_ms) "
        "VALUES (:device_id, :slot, :manifest, :state, :now) ON CONFLICT (device_id, slot) DO UPDATE SET "
        "previous_digest = CASE WHEN excluded.manifest_digest IS NULL OR excluded.manifest_digest IS manifest_digest "
        "  THEN previous_digest ELSE manifest_digest END, "
        "manifest_digest = coalesce(excluded.manifest_digest, manifest_digest), state = excluded.state, "
        "updated_ms = excluded.updated_ms",
        &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    td_bind_text(stmt, ":slot", report->slot);
    td_bind_blob(stmt, ":manifest", committed ? report->manifest_digest.bytes : NULL, TD_DIGEST_SIZE);
    td_bind_text(stmt, ":state", td_fleet__state_name((int)report->state));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    TD_TRY(td_run(stmt, err));
    return committed ? td_fleet__runs(db, device, report->slot, report->manifest_digest.bytes, err) : TD_OK;
}

static td_code check_text(const tidemark_Report *report, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *text = json_string(report->slot);
    return text != NULL ? TD_OK : td_fail(err, TD_INVALID, "the report's slot is no UTF-8 text");
}

/* A hint for progress bars, sent while a device fetches: sequence 0, kept by nobody. */
static td_code note_progress(td_db *db, int64_t device_id, const tidemark_Report *report, uint64_t *settled_out,
                             td_err *err)
{
    td_part_report part = {.device_id = device_id,
                           .directive_sequence = (int64_t)(report->directive_sequence & INT64_MAX),
                           .state = (int)report->state,
                           .bytes_done = (int64_t)(report->bytes_done & INT64_MAX),
                           .bytes_total = (int64_t)(report->bytes_total & INT64_MAX)};
    TD_TRY(td_fleet__part_progress(db, &part, err));
    return td_fleet__heard(db, device_id, settled_out, err);
}

td_code td_fleet_report(td_db *db, int64_t device_id, const tidemark_Report *report, uint64_t *settled_out, td_err *err)
{
    td_device_row device;
    bool fresh = false;
    uint64_t settled = 0;
    TD_TRY(check_text(report, err));
    TD_TRY(td_fleet__device_by_id(db, device_id, &device, err));
    if (device.revoked) {
        return td_fail(err, TD_DENIED, "device %s is revoked", device.name);
    }
    if (report->sequence == 0 && report->state == tidemark_DeviceState_STATE_FETCHING) {
        return note_progress(db, device_id, report, settled_out, err);
    }
    TD_TRY(td_fleet_settle(db, device_id, report->sequence, report->oldest_kept, &fresh, &settled, err));
    if (fresh) {
        bool digest = report->manifest_digest.size == TD_DIGEST_SIZE;
        td_part_report part = {.device_id = device_id,
                               .directive_sequence = (int64_t)(report->directive_sequence & INT64_MAX),
                               .state = (int)report->state,
                               .reason = (int)report->reason,
                               .manifest = digest ? report->manifest_digest.bytes : NULL,
                               .bytes_done = (int64_t)(report->bytes_done & INT64_MAX),
                               .bytes_total = (int64_t)(report->bytes_total & INT64_MAX)};
        TD_TRY(insert_report(db, device_id, report, err));
        TD_TRY(prune(db, device_id, err));
        if (report->slot[0] != '\0') {
            TD_TRY(update_slot(db, &device, report, err));
        }
        TD_TRY(td_fleet__accepted(db, &device, part.directive_sequence, err));
        TD_TRY(td_fleet__part_report(db, &device, &part, err));
    }
    *settled_out = settled;
    return TD_OK;
}
