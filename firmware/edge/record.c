/*
 * record.c: the one durable record that decides everything, and the small journal of a transfer's progress.
 *
 * An arrow of the state machine is one append of the whole record (flashlog.c). If that fails the record is read back,
 * so memory never says more than storage does. The layout is described once, by fields(), for both directions.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "firmware/edge/parts.h"

#define RECORD_FORMAT 1u

/* Moves fields between the record and bytes. */
typedef struct codec {
    uint8_t *at;
    bool reading;
    uint32_t size;
} codec;

static void bytes(codec *c, void *data, uint32_t size)
{
    if (c->reading) {
        memcpy(data, c->at + c->size, size);
    } else {
        memcpy(c->at + c->size, data, size);
    }
    c->size += size;
}

static void u32(codec *c, uint32_t *value)
{
    uint8_t raw[4];
    tde_put32(raw, *value);
    bytes(c, raw, sizeof raw);
    *value = tde_get32(raw);
}

static void u64(codec *c, uint64_t *value)
{
    uint8_t raw[8];
    tde_put64(raw, *value);
    bytes(c, raw, sizeof raw);
    *value = tde_get64(raw);
}

static void keyset_fields(codec *c, tde_keyset *set)
{
    u32(c, &set->version);
    u32(c, &set->count);
    u64(c, &set->expires_ms);
    for (int i = 0; i < TDE_ROLES; i++) {
        u32(c, &set->threshold[i]);
    }
    for (int i = 0; i < TDE_KEYS_MAX; i++) {
        bytes(c, &set->keys[i].role, 1);
        bytes(c, set->keys[i].bytes, TDE_PUBLIC_KEY_SIZE);
    }
}

static void slot_fields(codec *c, tde_slot *slot)
{
    bytes(c, slot->name, sizeof slot->name);
    bytes(c, &slot->state, 1);
    bytes(c, &slot->reason, 1);
    bytes(c, &slot->attached, 1);
    bytes(c, &slot->boots, 1);
    bytes(c, slot->running, TDE_DIGEST_SIZE);
    bytes(c, slot->previous, TDE_DIGEST_SIZE);
    bytes(c, slot->candidate, TDE_DIGEST_SIZE);
    bytes(c, slot->envelope_digest, TDE_DIGEST_SIZE);
    uint32_t *const words[] = {&slot->envelope_size, &slot->counter_floor, &slot->counter_candidate,
                               &slot->counter_min,   &slot->seconds,       &slot->inferences_min,
                               &slot->errors_max,    &slot->lease_seconds, &slot->window_seconds};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        u32(c, words[i]);
    }
    uint64_t *const longs[] = {&slot->total_size, &slot->byte_budget, &slot->directive_sequence, &slot->not_after_ms,
                               &slot->report_sequence};
    for (size_t i = 0; i < sizeof longs / sizeof longs[0]; i++) {
        u64(c, longs[i]);
    }
}

static void fields(codec *c, uint32_t *format, tde_record *record)
{
    u32(c, format);
    u64(c, &record->directive_sequence);
    u64(c, &record->time_floor_ms);
    u64(c, &record->settled);
    u32(c, &record->contact_every_s);
    u32(c, &record->dropped);
    u32(c, &record->slots_count);
    keyset_fields(c, &record->keyset);
    for (int i = 0; i < TDE_SLOTS_MAX; i++) {
        slot_fields(c, &record->slots[i]);
    }
}

static bool is_sound(const tde_record *record)
{
    if (record->slots_count > TDE_SLOTS_MAX || record->keyset.count > TDE_KEYS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < record->slots_count; i++) {
        const tde_slot *slot = &record->slots[i];
        if (slot->name[TDE_SLOT_NAME_SIZE - 1] != '\0' || !tde_machine_known(slot->state)) {
            return false;
        }
    }
    return true;
}

int tde_record_load(tde *core)
{
    uint8_t *work = core->memory.work;
    codec c = {.at = work, .reading = true};
    uint32_t format = 0;
    int rc = tde_log_read(core, &core->records, work, TDE_RECORD_SIZE);
    if (rc != TDE_OK) {
        return rc;
    }
    if (tde_get32(work) != RECORD_FORMAT) {
        return TDE_CORRUPT;
    }
    fields(&c, &format, &core->record);
    return c.size == TDE_RECORD_SIZE && is_sound(&core->record) ? TDE_OK : TDE_CORRUPT;
}

int tde_record_store(tde *core)
{
    uint8_t *work = core->memory.work;
    uint32_t format = RECORD_FORMAT;
    core->record.settled = core->outbox.settled;
    core->record.dropped = core->outbox.dropped;
    memset(work, 0, core->records.entry);
    codec c = {.at = work + TDE_LOG_HEADER};
    fields(&c, &format, &core->record);
    int rc = tde_log_append(core, &core->records, work);
    if (rc != TDE_OK) {
        tde_say(core, TDE_LOG_ERROR, NULL, "the durable record cannot be written");
        int back = tde_log_open(core, &core->records, core->records.offset, core->records.area, TDE_RECORD_SIZE);
        if (back == TDE_OK) {
            (void)tde_record_load(core);
        }
    }
    return rc;
}

static void progress_fields(codec *c, tde_progress *progress)
{
    bytes(c, progress->place, sizeof progress->place);
    u32(c, &progress->file);
    u32(c, &progress->piece);
    u64(c, &progress->pieces);
    u64(c, &progress->used);
    u64(c, &progress->sequence);
}

int tde_progress_load(tde *core)
{
    uint8_t raw[40];
    codec c = {.at = raw, .reading = true};
    core->fetch.progress = (tde_progress){.file = 0};
    int rc = tde_log_read(core, &core->journal, raw, sizeof raw);
    if (rc == TDE_OK) {
        progress_fields(&c, &core->fetch.progress);
    }
    return rc == TDE_NOT_FOUND ? TDE_OK : rc;
}

int tde_progress_store(tde *core)
{
    uint8_t entry[TDE_LOG_HEADER + 40 + 64];
    codec c = {.at = entry + TDE_LOG_HEADER};
    memset(entry, 0, sizeof entry);
    progress_fields(&c, &core->fetch.progress);
    return tde_log_append(core, &core->journal, entry);
}

int tde_progress_drop(tde *core, const uint8_t *digest)
{
    uint8_t entry[TDE_LOG_HEADER + 40 + 64] = {0};
    uint8_t place[8];
    int rc = tde_log_read(core, &core->journal, place, sizeof place);
    if (rc != TDE_OK || memcmp(place, digest, sizeof place) != 0) {
        return rc == TDE_IO ? TDE_IO : TDE_OK;
    }
    return tde_log_append(core, &core->journal, entry);
}

int tde_mark(tde *core, uint32_t index, int state, int reason)
{
    tde_slot *slot = &core->record.slots[index];
    if (!tde_machine_may(slot->state, state)) {
        tde_say(core, TDE_LOG_ERROR, slot->name, "no such arrow in the table of states");
        return TDE_DENIED;
    }
    slot->state = (uint8_t)state;
    slot->reason = (uint8_t)reason;
    slot->report_sequence = core->outbox.next;
    return TDE_OK;
}

int tde_move(tde *core, uint32_t index, int state, int reason)
{
    int rc = tde_mark(core, index, state, reason);
    if (rc == TDE_OK) {
        rc = tde_record_store(core);
    }
    if (rc == TDE_OK) {
        tde_say(core, TDE_LOG_INFO, core->record.slots[index].name, tde_state_name(state));
        tde_report_repair(core);
        core->busy = true;
    } else {
        core->trials[index].retry_at = core->now + 1000;
    }
    return rc;
}

int tde_slot_find(const tde *core, const char *name)
{
    for (uint32_t i = 0; i < core->record.slots_count; i++) {
        if (strcmp(core->record.slots[i].name, name) == 0) {
            return (int)i;
        }
    }
    return TDE_NOT_FOUND;
}

const uint8_t *tde_slot_current(const tde_slot *slot)
{
    return tde_machine_phase(slot->state) == TDE_PHASE_SWITCHED ? slot->candidate : slot->running;
}

void tde_say(tde *core, tde_log_level level, const char *slot, const char *text)
{
    core->ports.world.log(core->ports.world.context, level, slot, text);
}
