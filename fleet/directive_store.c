/*
 * directive_store.c: the signed, numbered order of one device, written from its goals.
 *
 * Row and audit record are one transaction; only then is it published. The newest row of a device is its goal state.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/internal.h"
#include "registry/trust.h"

#include <pb_decode.h>
#include <pb_encode.h>
#include <string.h>

#define GOALS_MAX (sizeof((tidemark_Directive *)0)->goals / sizeof((tidemark_Directive *)0)->goals[0])

static td_code load_goals(td_db *db, const td_device_row *device, tidemark_Directive *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db, "SELECT slot, goal FROM device_goal WHERE device_id = :device_id ORDER BY slot", &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        size_t size = 0;
        const void *goal = td_column_blob(stmt, "goal", &size);
        pb_istream_t stream = pb_istream_from_buffer(goal, size);
        if (out->goals_count == GOALS_MAX || !pb_decode(&stream, tidemark_Goal_fields, &out->goals[out->goals_count])) {
            td_reset(stmt);
            return td_fail(err, out->goals_count == GOALS_MAX ? TD_LIMIT : TD_CORRUPT,
                           "device %s: a directive holds at most %zu sound goals", device->name, GOALS_MAX);
        }
        out->goals_count++;
    }
}

static td_code insert_directive(td_db *db, const tidemark_Directive *directive, const td_device_row *device,
                                const td_str *envelope, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db, "UPDATE directive SET newest = 0 WHERE device_id = :device_id AND newest = 1", &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO directive (device_id, sequence, rollout, cancel, envelope, keyset_digest, "
                         "issued_ms, not_after_ms) "
                         "VALUES (:device_id, :sequence, :rollout, :cancel, :envelope, :keyset, :now, :not_after)",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    td_bind_int(stmt, ":sequence", (int64_t)directive->sequence);
    td_bind_text(stmt, ":rollout", directive->rollout);
    td_bind_bool(stmt, ":cancel", directive->cancel);
    td_bind_blob(stmt, ":envelope", envelope->data, envelope->size);
    td_bind_blob(stmt, ":keyset", directive->keyset_digest.bytes, directive->keyset_digest.size);
    td_bind_int(stmt, ":now", (int64_t)directive->issued_ms);
    td_bind_int(stmt, ":not_after", (int64_t)directive->not_after_ms);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db, "UPDATE device SET directive_sequence = :sequence, nonce = 0 WHERE device_id = :device_id",
                         &stmt, err));
    td_bind_int(stmt, ":sequence", (int64_t)directive->sequence);
    td_bind_int(stmt, ":device_id", device->device_id);
    return td_run(stmt, err);
}

static td_code sign(const tidemark_Directive *directive, const td_key *director, td_str *out, td_err *err)
{
    uint8_t bytes[tidemark_Directive_size];
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    if (!pb_encode(&stream, tidemark_Directive_fields, directive)) {
        return td_fail(err, TD_INTERNAL, "encoding a directive: %s", PB_GET_ERROR(&stream));
    }
    return td_signed_message_make(TD_DIRECTIVE_TYPE, bytes, stream.bytes_written, director, out, err);
}

static td_code audit_directive(td_db *db, const td_device_row *device, const tidemark_Directive *directive,
                               const td_str *envelope, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    td_sha256_of(envelope->data, envelope->size, digest);
    TD_CLEANUP(td_json_done) json_t *goals = json_array();
    for (pb_size_t i = 0; i < directive->goals_count; i++) {
        json_array_append_new(goals,
                              json_pack("{s:s, s:o}", "slot", directive->goals[i].slot, "manifest",
                                        td_fleet__digest_json(directive->goals[i].manifest_digest, TD_DIGEST_SIZE)));
    }
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:I, s:O, s:b, s:s}", "sequence", (json_int_t)directive->sequence, "goals", goals,
                              "cancel", directive->cancel, "rollout", directive->rollout);
    td_audit_entry entry = {.actor = &td_actor_system,
                            .action = "issue.directive",
                            .object_type = "device",
                            .object_id = device->name,
                            .digest = digest,
                            .project = device->project,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_fleet__issue(td_db *db, int64_t device_id, const td_order *order, const td_rollout_tick_options *options,
                        int64_t *sequence_out, td_err *err)
{
    td_device_row device;
    TD_TRY(td_fleet__device_by_id(db, device_id, &device, err));
    if (device.revoked) {
        return td_fail(err, TD_CONFLICT, "device %s is revoked", device.name);
    }
    int64_t last =
        device.directive_sequence > device.directive_accepted ? device.directive_sequence : device.directive_accepted;
    tidemark_Directive directive = tidemark_Directive_init_zero;
    directive.sequence = (uint64_t)last + 1;
    directive.issued_ms = (uint64_t)td_db_now_ms(db);
    directive.not_after_ms = directive.issued_ms + TD_DIRECTIVE_LIFE_MS;
    directive.nonce = device.nonce;
    directive.keyset_version = options->keyset_version;
    directive.keyset_size = options->keyset_size;
    directive.keyset_digest.size = TD_DIGEST_SIZE;
    memcpy(directive.keyset_digest.bytes, options->keyset_digest, TD_DIGEST_SIZE);
    directive.cancel = order->cancel;
    snprintf(directive.device, sizeof directive.device, "%s", device.name);
    snprintf(directive.rollout, sizeof directive.rollout, "%s", order->rollout);
    TD_TRY(load_goals(db, &device, &directive, err));
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    TD_TRY(sign(&directive, options->director, &envelope, err));
    TD_TRY(insert_directive(db, &directive, &device, &envelope, err));
    TD_TRY(audit_directive(db, &device, &directive, &envelope, err));
    *sequence_out = (int64_t)directive.sequence;
    return TD_OK;
}

td_code td_fleet__accepted(td_db *db, const td_device_row *device, int64_t sequence, td_err *err)
{
    if (sequence <= device->directive_accepted || sequence > device->directive_sequence) {
        return TD_OK; /* nothing new, or a number that we never issued */
    }
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db, "UPDATE device SET directive_accepted = :sequence WHERE device_id = :device_id", &stmt, err));
    td_bind_int(stmt, ":sequence", sequence);
    td_bind_int(stmt, ":device_id", device->device_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db,
                         "UPDATE directive SET acknowledged_ms = :now WHERE device_id = :device_id AND newest = 1 "
                         "AND sequence <= :sequence AND acknowledged_ms IS NULL",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":device_id", device->device_id);
    td_bind_int(stmt, ":sequence", sequence);
    TD_TRY(td_run(stmt, err));
    return td_fleet__part_accepted(db, device, sequence, err);
}

td_code td_fleet__ahead(td_db *db, const td_device_row *device, int64_t sequence, td_err *err)
{
    if (sequence <= device->directive_sequence || sequence > TD_DIRECTIVE_NUMBER_MAX) {
        return TD_OK;
    }
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE device SET directive_sequence = :sequence, directive_accepted = :sequence "
                         "WHERE device_id = :device_id",
                         &stmt, err));
    td_bind_int(stmt, ":sequence", sequence);
    td_bind_int(stmt, ":device_id", device->device_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db,
                         "UPDATE directive SET not_after_ms = 0 WHERE device_id = :device_id AND newest = 1 "
                         "AND acknowledged_ms IS NULL",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    return td_run(stmt, err);
}

td_code td_fleet__forgotten(td_db *db, const td_device_row *device, int64_t sequence, td_err *err)
{
    if (sequence >= device->directive_accepted) {
        return TD_OK;
    }
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db, "UPDATE device SET directive_accepted = :sequence WHERE device_id = :device_id", &stmt, err));
    td_bind_int(stmt, ":sequence", sequence);
    td_bind_int(stmt, ":device_id", device->device_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db,
                         "UPDATE directive SET acknowledged_ms = NULL WHERE device_id = :device_id AND newest = 1 "
                         "AND sequence > :sequence",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    td_bind_int(stmt, ":sequence", sequence);
    return td_run(stmt, err);
}

typedef struct due {
    int64_t device_id, sequence;
    char rollout[TD_ROLLOUT_ID_TEXT];
    bool cancel;
} due;

static td_code list_due(td_db *db, due *out, size_t room, size_t *count_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT device_id, sequence, rollout, cancel FROM directive "
        "WHERE newest = 1 AND acknowledged_ms IS NULL AND not_after_ms < :soon "
        "UNION SELECT d.device_id, o.sequence, o.rollout, o.cancel FROM device d CROSS JOIN directive o "
        "  ON o.device_id = d.device_id AND o.newest = 1 AND o.acknowledged_ms IS NULL WHERE d.nonce <> 0 LIMIT :room",
        &stmt, err));
    td_bind_int(stmt, ":soon", td_db_now_ms(db) + TD_DIRECTIVE_RENEW_MS);
    td_bind_int(stmt, ":room", (int64_t)room);
    size_t count = 0;
    for (bool row = true; count < room; count++) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        out[count] = (due){.device_id = td_column_int(stmt, "device_id"),
                           .sequence = td_column_int(stmt, "sequence"),
                           .cancel = td_column_int(stmt, "cancel") != 0};
        snprintf(out[count].rollout, sizeof out[count].rollout, "%s", td_column_text(stmt, "rollout"));
    }
    td_reset(stmt);
    *count_out = count;
    return TD_OK;
}

/* The parts that waited for the old number now wait for the new one. */
static td_code renumber(td_db *db, const due *old, int64_t sequence, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE rollout_device SET sequence = CASE WHEN sequence = :old THEN :new ELSE sequence END, "
                         "undo_sequence = CASE WHEN undo_sequence = :old THEN :new ELSE undo_sequence END "
                         "WHERE device_id = :device_id AND (sequence = :old OR undo_sequence = :old)",
                         &stmt, err));
    td_bind_int(stmt, ":old", old->sequence);
    td_bind_int(stmt, ":new", sequence);
    td_bind_int(stmt, ":device_id", old->device_id);
    return td_run(stmt, err);
}

td_code td_fleet__renew(td_db *db, const td_rollout_tick_options *options, int64_t *budget, int64_t *written,
                        td_err *err)
{
    due list[64];
    size_t count = 0, room = *budget < (int64_t)TD_COUNT_OF(list) ? (size_t)*budget : TD_COUNT_OF(list);
    TD_TRY(list_due(db, list, room, &count, err));
    for (size_t i = 0; i < count; i++) {
        td_device_row device;
        int64_t sequence = 0;
        TD_TRY(td_fleet__device_by_id(db, list[i].device_id, &device, err));
        if (device.revoked) {
            continue;
        }
        td_order order = {.rollout = list[i].rollout, .cancel = list[i].cancel};
        TD_TRY(td_fleet__issue(db, list[i].device_id, &order, options, &sequence, err));
        TD_TRY(renumber(db, &list[i], sequence, err));
        (*budget)--;
        (*written)++;
    }
    return TD_OK;
}
