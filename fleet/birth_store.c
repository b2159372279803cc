/*
 * birth_store.c: a device says who it is and what it holds, or the broker says that it is gone.
 *
 * A birth is the whole truth about a device at that moment, so it replaces what was known; a will only counts for the
 * very session that left it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/internal.h"

#include <string.h>

static td_code heard(td_db *db, int64_t device_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE device_contact SET heard_ms = :now WHERE device_id = :device_id", &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":device_id", device_id);
    return td_run(stmt, err);
}

/* A birth of the same session whose clock is behind the one that we know came late. */
static td_code is_late(td_db *db, int64_t device_id, const tidemark_Birth *birth, bool *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT boot_id, birth_now_ms FROM device WHERE device_id = :device_id", &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    TD_TRY(td_step_one(stmt, err, "there is no device in row %lld", (long long)device_id));
    *out = birth->clock_known && (uint64_t)td_column_int(stmt, "boot_id") == birth->boot_id &&
           (uint64_t)td_column_int(stmt, "birth_now_ms") > birth->now_ms;
    td_reset(stmt);
    return TD_OK;
}

static int64_t bounded(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static td_code runtimes_text(const tidemark_Birth *birth, td_str *out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *runtimes = json_array();
    for (pb_size_t i = 0; i < birth->runtimes_count; i++) {
        json_t *name = json_string(birth->runtimes[i]); /* NULL for what is no UTF-8 */
        if (name == NULL || json_array_append_new(runtimes, name) != 0) {
            return td_fail(err, TD_INVALID, "the birth's runtimes are no UTF-8 text");
        }
    }
    return td_json_write(runtimes, out, err);
}

static td_code update_device(td_db *db, const td_device_row *device, const tidemark_Birth *birth, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str runtimes = {0};
    TD_TRY(runtimes_text(birth, &runtimes, err));
    int64_t revision = 0;
    TD_TRY(td_fleet__next_revision(db, &revision, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "UPDATE device SET hardware = :hardware, runtimes = :runtimes, agent = :agent, ram_bytes = :ram, "
        "  storage_free = :storage, boot_id = :boot_id, clock_known = :clock_known, contact_every_s = :contact, "
        "  keyset_version = :keyset, checkpoint = :checkpoint, birth_ms = :now, birth_now_ms = :birth_now, live = 1, "
        "  nonce = CASE WHEN :clock_known THEN 0 ELSE :nonce END, revision = CASE WHEN hardware = :hardware "
        "    AND runtimes = :runtimes AND ram_bytes = :ram AND birth_ms IS NOT NULL THEN revision ELSE :revision END "
        "WHERE device_id = :device_id",
        &stmt, err));
    td_bind_text(stmt, ":hardware", birth->hardware);
    td_bind_text(stmt, ":runtimes", td_str_text(&runtimes));
    td_bind_text(stmt, ":agent", birth->agent);
    td_bind_int(stmt, ":ram", bounded(birth->ram_bytes));
    td_bind_int(stmt, ":storage", bounded(birth->storage_free));
    td_bind_int(stmt, ":boot_id", (int64_t)birth->boot_id);
    td_bind_bool(stmt, ":clock_known", birth->clock_known);
    td_bind_int(stmt, ":contact", birth->contact_every_s <= 86400 * 31 ? birth->contact_every_s : 86400 * 31);
    td_bind_int(stmt, ":keyset", birth->keyset_version);
    td_bind_blob(stmt, ":checkpoint", birth->checkpoint.size > 0 ? birth->checkpoint.bytes : NULL,
                 birth->checkpoint.size);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":birth_now", bounded(birth->now_ms));
    td_bind_int(stmt, ":nonce", (int64_t)birth->nonce);
    td_bind_int(stmt, ":revision", revision);
    td_bind_int(stmt, ":device_id", device->device_id);
    return td_run(stmt, err);
}

static td_code put_slot(td_db *db, const td_device_row *device, const tidemark_SlotState *slot, td_err *err)
{
    bool runs = slot->manifest_digest.size == TD_DIGEST_SIZE, keeps = slot->previous_digest.size == TD_DIGEST_SIZE;
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO device_slot (device_id, slot, manifest_digest, previous_digest, state, updated_ms) "
        "VALUES (:device_id, :slot, :manifest, :previous, :state, :now) ON CONFLICT (device_id, slot) DO UPDATE SET "
        "manifest_digest = excluded.manifest_digest, previous_digest = excluded.previous_digest, state = "
        "excluded.state, "
        "updated_ms = excluded.updated_ms",
        &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    td_bind_text(stmt, ":slot", slot->slot);
    td_bind_blob(stmt, ":manifest", runs ? slot->manifest_digest.bytes : NULL, TD_DIGEST_SIZE);
    td_bind_blob(stmt, ":previous", keeps ? slot->previous_digest.bytes : NULL, TD_DIGEST_SIZE);
    td_bind_text(stmt, ":state", td_fleet__state_name((int)slot->state));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    TD_TRY(td_run(stmt, err));
    return td_fleet__runs(db, device, slot->slot, runs ? slot->manifest_digest.bytes : NULL, err);
}

/* Text of the wire is bytes: what is no UTF-8 is refused before it reaches a table. */
static td_code check_text(const tidemark_Birth *birth, td_err *err)
{
    const char *texts[2 + 4] = {birth->hardware, birth->agent};
    size_t count = 2;
    for (pb_size_t i = 0; i < birth->slots_count; i++) {
        texts[count++] = birth->slots[i].slot;
    }
    for (size_t i = 0; i < count; i++) {
        TD_CLEANUP(td_json_done) json_t *text = json_string(texts[i]);
        if (text == NULL || strpbrk(texts[i], "'\"") != NULL) {
            return td_fail(err, TD_INVALID, "device %s: a text in its birth is no UTF-8, or holds quotes",
                           birth->device);
        }
    }
    return TD_OK;
}

td_code td_fleet_birth(td_db *db, int64_t device_id, const tidemark_Birth *birth, td_err *err)
{
    td_device_row device;
    bool late = false;
    TD_TRY(check_text(birth, err));
    TD_TRY(td_fleet__device_by_id(db, device_id, &device, err));
    if (device.revoked) {
        return td_fail(err, TD_DENIED, "device %s is revoked", device.name);
    }
    TD_TRY(heard(db, device_id, err));
    TD_TRY(is_late(db, device_id, birth, &late, err));
    if (late) {
        return TD_OK;
    }
    TD_TRY(update_device(db, &device, birth, err));
    for (pb_size_t i = 0; i < birth->slots_count; i++) {
        TD_TRY(put_slot(db, &device, &birth->slots[i], err));
    }
    TD_TRY(td_fleet__forgotten(db, &device, bounded(birth->directive_sequence), err));
    TD_TRY(td_fleet__ahead(db, &device, bounded(birth->directive_sequence), err));
    TD_TRY(td_fleet__accepted(db, &device, bounded(birth->directive_sequence), err));
    for (pb_size_t i = 0; i < birth->slots_count; i++) {
        const tidemark_SlotState *slot = &birth->slots[i];
        td_part_report report = {.device_id = device_id,
                                 .directive_sequence = bounded(birth->directive_sequence),
                                 .state = (int)slot->state,
                                 .manifest =
                                     slot->manifest_digest.size == TD_DIGEST_SIZE ? slot->manifest_digest.bytes : NULL};
        if (slot->state == tidemark_DeviceState_STATE_COMMITTED) {
            TD_TRY(td_fleet__part_report(db, &device, &report, err)); /* the report of it may be lost or late */
        }
    }
    return TD_OK;
}

td_code td_fleet_death(td_db *db, int64_t device_id, uint64_t boot_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE device SET live = 0 WHERE device_id = :device_id AND boot_id = :boot_id", &stmt,
                         err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_int(stmt, ":boot_id", (int64_t)boot_id);
    return td_run(stmt, err);
}
