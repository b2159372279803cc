/*
 * device_json_store.c: devices as the API shows them: one in full, counts, what ran where.
 *
 * "online" is derived, never stored: born, not dead, and heard of within three of its own contact intervals.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/arena.h"
#include "fleet/internal.h"

#include <stdlib.h>
#include <string.h>

static json_t *parsed(td_stmt *stmt, const char *column)
{
    const char *text = td_column_text(stmt, column);
    json_t *value = text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    return value != NULL ? value : json_null();
}

json_t *td_fleet__device_row(td_stmt *stmt)
{
    const char *state = td_column_text(stmt, "state");
    bool revoked = strcmp(state, "revoked") == 0;
    const char *presence = revoked                              ? "revoked"
                           : td_column_int(stmt, "online") != 0 ? "online"
                           : td_column_null(stmt, "birth_ms")   ? "never"
                                                                : "offline";
    const char *running = td_column_text(stmt, "running");
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:I, s:I, s:s, s:o, s:o, s:I, s:I, s:I}", "device",
                     td_column_text(stmt, "name"), "project", td_column_text(stmt, "project"), "state", state,
                     "presence", presence, "tags", parsed(stmt, "tags"), "runtimes", parsed(stmt, "runtimes"),
                     "hardware", td_column_text(stmt, "hardware"), "ram_bytes",
                     (json_int_t)td_column_int(stmt, "ram_bytes"), "storage_free",
                     (json_int_t)td_column_int(stmt, "storage_free"), "running", running != NULL ? running : "",
                     "last_contact_at", td_fleet__time_json(td_column_int(stmt, "heard_ms")), "enrolled_at",
                     td_fleet__time_json(td_column_int(stmt, "enrolled_ms")), "contact_every_s",
                     (json_int_t)td_column_int(stmt, "contact_every_s"), "directive_sequence",
                     (json_int_t)td_column_int(stmt, "directive_sequence"), "directive_accepted",
                     (json_int_t)td_column_int(stmt, "directive_accepted"));
}

static td_code find(td_db *db, const char *device, td_stmt **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT d.*, c.heard_ms, c.settled, "
                         "  (d.live = 1 AND c.heard_ms >= :now - 3000 * CASE WHEN d.contact_every_s > 0 THEN "
                         "d.contact_every_s ELSE 60 END) "
                         "    AS online, "
                         "  (SELECT group_concat(r.model || '/' || r.version, ' ') FROM device_run r "
                         "    WHERE r.device_id = d.device_id AND r.ended_ms IS NULL) AS running "
                         "FROM device d JOIN device_contact c ON c.device_id = d.device_id WHERE d.name = :device",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_text(stmt, ":device", device);
    *out = stmt;
    return TD_OK;
}

static td_code slots_json(td_db *db, int64_t device_id, json_t *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT slot, manifest_digest, previous_digest, state, updated_ms FROM device_slot "
                         "WHERE device_id = :device_id ORDER BY slot",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        size_t size = 0, previous_size = 0;
        const void *digest = td_column_blob(stmt, "manifest_digest", &size);
        const void *previous = td_column_blob(stmt, "previous_digest", &previous_size);
        json_array_append_new(out, json_pack("{s:s, s:o, s:o, s:s, s:o}", "slot", td_column_text(stmt, "slot"),
                                             "manifest", td_fleet__digest_json(digest, size), "previous",
                                             td_fleet__digest_json(previous, previous_size), "state",
                                             td_column_text(stmt, "state"), "updated_at",
                                             td_fleet__time_json(td_column_int(stmt, "updated_ms"))));
    }
}

static td_code goals_json(td_db *db, int64_t device_id, json_t *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT slot, model, version, manifest_digest FROM device_goal WHERE device_id = :device_id "
                         "ORDER BY slot",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        size_t size = 0;
        const void *digest = td_column_blob(stmt, "manifest_digest", &size);
        json_array_append_new(out, json_pack("{s:s, s:s, s:I, s:o}", "slot", td_column_text(stmt, "slot"), "model",
                                             td_column_text(stmt, "model"), "version",
                                             (json_int_t)td_column_int(stmt, "version"), "manifest",
                                             td_fleet__digest_json(digest, size)));
    }
}

static td_code reports_json(td_db *db, int64_t device_id, json_t *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "SELECT sequence, directive_sequence, slot, state, reason, bytes_done, bytes_total, received_ms "
                      "FROM device_report WHERE device_id = :device_id ORDER BY report_id DESC LIMIT 50",
                      &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        json_array_append_new(out, json_pack("{s:I, s:I, s:s, s:s, s:s, s:I, s:I, s:o}", "sequence",
                                             (json_int_t)td_column_int(stmt, "sequence"), "directive_sequence",
                                             (json_int_t)td_column_int(stmt, "directive_sequence"), "slot",
                                             td_column_text(stmt, "slot"), "state", td_column_text(stmt, "state"),
                                             "reason", td_column_text(stmt, "reason"), "bytes_done",
                                             (json_int_t)td_column_int(stmt, "bytes_done"), "bytes_total",
                                             (json_int_t)td_column_int(stmt, "bytes_total"), "received_at",
                                             td_fleet__time_json(td_column_int(stmt, "received_ms"))));
    }
}

static void add_detail(td_stmt *stmt, json_t *device)
{
    json_object_set_new(device, "agent", json_string(td_column_text(stmt, "agent")));
    json_object_set_new(device, "certificate_serial", json_string(td_column_text(stmt, "certificate_serial")));
    json_object_set_new(device, "certificate_ends_at", td_fleet__time_json(td_column_int(stmt, "certificate_end_ms")));
    json_object_set_new(device, "revoked_at", td_fleet__time_json(td_column_int(stmt, "revoked_ms")));
    json_object_set_new(device, "birth_at", td_fleet__time_json(td_column_int(stmt, "birth_ms")));
    json_object_set_new(device, "keyset_version", json_integer(td_column_int(stmt, "keyset_version")));
    json_object_set_new(device, "settled", json_integer(td_column_int(stmt, "settled")));
}

td_code td_device_json(td_db *db, const char *project, const char *device, json_t **out, td_err *err)
{
    td_device_row row;
    TD_TRY(td_fleet__device_by_name(db, project, device, &row, err));
    td_stmt *stmt;
    TD_TRY(find(db, device, &stmt, err));
    TD_TRY(td_step_one(stmt, err, "there is no device \"%.64s\"", device));
    TD_CLEANUP(td_json_done) json_t *found = td_fleet__device_row(stmt);
    if (found != NULL) {
        add_detail(stmt, found);
    }
    td_reset(stmt);
    json_t *slots = json_array(), *goals = json_array(), *reports = json_array(), *runs = NULL;
    json_object_set_new(found, "slots", slots);
    json_object_set_new(found, "goals", goals);
    json_object_set_new(found, "reports", reports);
    TD_TRY(slots_json(db, row.device_id, slots, err));
    TD_TRY(goals_json(db, row.device_id, goals, err));
    TD_TRY(reports_json(db, row.device_id, reports, err));
    TD_TRY(td_device_runs_json(db, project, device, NULL, 0, &runs, err));
    json_object_set_new(found, "runs", runs);
    return td_fleet__json_out(json_incref(found), out, err);
}

td_code td_device_counts_json(td_db *db, const char *project, json_t **out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT count(*) AS devices, coalesce(sum(d.state = 'revoked'), 0) AS revoked, "
                         "  coalesce(sum(d.live = 1 AND c.heard_ms >= :now - 3000 * CASE WHEN d.contact_every_s > 0 "
                         "THEN d.contact_every_s "
                         "    ELSE 60 END), 0) AS online "
                         "FROM device d JOIN device_contact c ON c.device_id = d.device_id WHERE d.project = :project",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step(stmt, &row, err));
    json_t *counts =
        json_pack("{s:I, s:I, s:I}", "devices", (json_int_t)td_column_int(stmt, "devices"), "online",
                  (json_int_t)td_column_int(stmt, "online"), "revoked", (json_int_t)td_column_int(stmt, "revoked"));
    td_reset(stmt);
    return td_fleet__json_out(counts, out, err);
}

td_code td_device_revoked_json(td_db *db, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT name FROM device WHERE state = 'revoked' ORDER BY name", &stmt,
                         err)); /* scan: rare */
    TD_CLEANUP(td_json_done) json_t *names = json_array();
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return td_fleet__json_out(json_incref(names), out, err);
        }
        json_array_append_new(names, json_string(td_column_text(stmt, "name")));
    }
}

json_t *td_fleet__run_row(td_stmt *stmt)
{
    size_t size = 0;
    const void *digest = td_column_blob(stmt, "manifest_digest", &size);
    const char *model = td_column_text(stmt, "model");
    return json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "device", td_column_text(stmt, "name"), "model",
                     model != NULL ? json_string(model) : json_null(), "version",
                     model != NULL ? json_integer(td_column_int(stmt, "version")) : json_null(), "slot",
                     td_column_text(stmt, "slot"), "manifest", td_fleet__digest_json(digest, size), "started_at",
                     td_fleet__time_json(td_column_int(stmt, "started_ms")), "ended_at",
                     td_fleet__time_json(td_column_int(stmt, "ended_ms")));
}

td_code td_device_runs_json(td_db *db, const char *project, const char *device, const char *model, int64_t version,
                            json_t **out, td_err *err)
{
    td_stmt *stmt;
    if (device != NULL) {
        TD_TRY(td_db_prepare(
            db,
            "SELECT d.name, r.model, r.version, r.slot, r.manifest_digest, r.started_ms, r.ended_ms "
            "FROM device d JOIN device_run r ON r.device_id = d.device_id "
            "WHERE d.name = :name AND d.project = :project ORDER BY r.started_ms DESC, r.run_id DESC LIMIT 1000",
            &stmt, err));
        td_bind_text(stmt, ":name", device);
    } else {
        TD_TRY(td_db_prepare(db,
                             "SELECT d.name, r.model, r.version, r.slot, r.manifest_digest, r.started_ms, r.ended_ms "
                             "FROM device_run r JOIN device d ON d.device_id = r.device_id "
                             "WHERE r.model = :model AND r.version = :version AND d.project = :project "
                             "ORDER BY r.started_ms DESC, r.run_id DESC LIMIT 10000",
                             &stmt, err));
        td_bind_text(stmt, ":model", model);
        td_bind_int(stmt, ":version", version);
    }
    td_bind_text(stmt, ":project", project);
    TD_CLEANUP(td_json_done) json_t *runs = json_array();
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return td_fleet__json_out(json_incref(runs), out, err);
        }
        json_array_append_new(runs, td_fleet__run_row(stmt));
    }
}
