/*
 * fetch.c: brings one candidate's content in: signed manifest, then file by file its piece table and its pieces.
 *
 * Nothing is asked for that the signed manifest does not list, and nothing before there is room for all of it. A piece
 * is verified on arrival, made durable in the slot, and only then marked in the journal, so that a power cut costs at
 * most the piece that was on its way. Files that the slot holds already are reused.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "firmware/edge/parts.h"

static tde_slot *slot_of(tde *core)
{
    return &core->record.slots[core->fetch.slot];
}

tde_object tde_fetch_object(const tde *core, tde_object_kind kind)
{
    return (tde_object){kind, kind == TDE_OBJECT_ENVELOPE ? "" : core->fetch.file.name};
}

void tde_fetch_forget(tde *core)
{
    tde_transfer_stop(core);
    core->fetch.slot = TDE_NO_SLOT;
    core->message_slot = TDE_NO_SLOT;
}

static void reject(tde *core, int reason)
{
    uint32_t index = core->fetch.slot;
    tde_say(core, TDE_LOG_WARNING, slot_of(core)->name, tde_reason_name(reason));
    if (tde_move(core, index, tidemark_DeviceState_STATE_REJECTED, reason) == TDE_OK) {
        core->trials[index].untidy = true;
    }
    tde_fetch_forget(core);
}

/* A port failed: try the step again after a while, a few times. */
void tde_fetch_failed(tde *core, int rc)
{
    tde_trial *trial = &core->trials[core->fetch.slot];
    tde_transfer_stop(core);
    core->fetch.step = TDE_STEP_ENVELOPE;
    if (rc == TDE_NO_SPACE) {
        reject(core, tidemark_Reason_REASON_NO_SPACE);
    } else if (++trial->failures > TDE_IO_TRIES_MAX) {
        trial->failures = 0;
        reject(core, tidemark_Reason_REASON_IO);
    } else {
        trial->retry_at = core->now + (500u << trial->failures);
    }
}

void tde_fetch_bad(tde *core)
{
    tde_transfer_stop(core);
    if (++core->fetch.bad >= TDE_PIECE_TRIES_MAX) {
        reject(core, tidemark_Reason_REASON_HASH);
    }
    core->busy = true;
}

bool tde_fetch_budget(tde *core, size_t size)
{
    if (core->transfer.sink == TDE_SINK_KEYSET) {
        return true;
    }
    uint64_t budget = slot_of(core)->byte_budget;
    core->fetch.progress.used += size;
    if (budget != 0 && core->fetch.progress.used > budget) {
        reject(core, tidemark_Reason_REASON_BUDGET);
        return false;
    }
    return true;
}

uint64_t tde_fetch_done(const tde *core, uint32_t index)
{
    const tde_slot *slot = &core->record.slots[index];
    const tde_progress *progress = &core->fetch.progress;
    const tde_file *file = &core->fetch.file;
    switch (slot->state) {
    case tidemark_DeviceState_STATE_FETCHING:
    case tidemark_DeviceState_STATE_PAUSED:
    case tidemark_DeviceState_STATE_REJECTED:
        break;
    case tidemark_DeviceState_STATE_OFFERED:
    case tidemark_DeviceState_STATE_DEFERRED:
        return 0;
    default:
        return slot->total_size;
    }
    if (core->fetch.slot != index || core->message_slot != index) {
        return 0;
    }
    uint64_t pieces = progress->piece;
    for (uint64_t bits = progress->pieces; bits != 0; bits &= bits - 1) {
        pieces++;
    }
    uint64_t part = pieces * file->piece_size;
    return file->before + (part < file->size ? part : file->size);
}

/* ---- The signed manifest ---- */

int tde_envelope_load(tde *core, uint32_t index, int *reason_out)
{
    const tde_slots_port *slots = &core->ports.slots;
    const tde_slot *slot = &core->record.slots[index];
    tde_place place = tde_place_of(core, index);
    tde_object object = {TDE_OBJECT_ENVELOPE, ""};
    uint8_t digest[TDE_DIGEST_SIZE];
    *reason_out = tidemark_Reason_REASON_NONE;
    if (slot->envelope_size > core->memory.message_size) {
        return TDE_NOT_FOUND;
    }
    if (core->transfer.sink == TDE_SINK_KEYSET || core->transfer.sink == TDE_SINK_ENVELOPE) {
        tde_transfer_stop(core); /* it was filling this very memory */
    }
    core->message_slot = TDE_NO_SLOT;
    int rc = slots->read(slots->context, &place, &object, 0, core->memory.message, slot->envelope_size);
    if (rc != TDE_OK) {
        return rc == TDE_IO ? TDE_IO : TDE_NOT_FOUND;
    }
    if (tde_sha256(core, core->memory.message, slot->envelope_size, digest) != TDE_OK ||
        memcmp(digest, slot->envelope_digest, TDE_DIGEST_SIZE) != 0) {
        return TDE_NOT_FOUND;
    }
    *reason_out = tde_manifest_check(core, index, slot->envelope_size);
    return TDE_OK;
}

/* Room for all of it, before the first byte; the way back is given up for it only when there is no other. */
static int make_room(tde *core)
{
    const tde_slots_port *slots = &core->ports.slots;
    tde_slot *slot = slot_of(core);
    tde_place place = tde_place_of(core, core->fetch.slot);
    int rc = slots->begin(slots->context, &place, slot->total_size);
    if (rc != TDE_NO_SPACE || tde_is_zero(slot->previous)) {
        return rc;
    }
    memset(slot->previous, 0, TDE_DIGEST_SIZE);
    rc = tde_record_store(core);
    if (rc != TDE_OK) {
        return rc;
    }
    tde_say(core, TDE_LOG_WARNING, slot->name, "the previous version is given up for room");
    tde_tidy(core, core->fetch.slot);
    return slots->begin(slots->context, &place, slot->total_size);
}

static int keep_envelope(tde *core)
{
    const tde_slots_port *slots = &core->ports.slots;
    tde_place place = tde_place_of(core, core->fetch.slot);
    tde_object object = {TDE_OBJECT_ENVELOPE, ""};
    int rc = slots->write(slots->context, &place, &object, 0, core->memory.message, slot_of(core)->envelope_size);
    return rc == TDE_OK ? slots->sync(slots->context, &place, &object) : rc;
}

/* The manifest in memory is signed and fits this device. */
static void accept_manifest(tde *core, bool fetched)
{
    tde_slot *slot = slot_of(core);
    bool fresh = slot->state == tidemark_DeviceState_STATE_OFFERED;
    bool held = fresh && memcmp(slot->candidate, slot->previous, TDE_DIGEST_SIZE) == 0;
    int rc = held ? TDE_OK : make_room(core);
    if (rc == TDE_OK && fetched) {
        rc = keep_envelope(core);
    }
    if (rc != TDE_OK) {
        tde_fetch_failed(core, rc);
        return;
    }
    core->fetch.step = TDE_STEP_FILE;
    if (fresh) {
        int to = held ? tidemark_DeviceState_STATE_VERIFYING : tidemark_DeviceState_STATE_FETCHING;
        (void)tde_move(core, core->fetch.slot, to, tidemark_Reason_REASON_NONE);
    }
    core->busy = true;
}

static void envelope_step(tde *core)
{
    const tde_slot *slot = slot_of(core);
    int reason;
    if (slot->envelope_size > core->memory.message_size) {
        reject(core, tidemark_Reason_REASON_MALFORMED);
        return;
    }
    int rc = tde_envelope_load(core, core->fetch.slot, &reason);
    if (rc == TDE_NOT_FOUND) {
        tde_transfer_start(core, TDE_SINK_ENVELOPE, slot->envelope_digest, slot->envelope_size, 32768, 0);
    } else if (rc != TDE_OK) {
        tde_fetch_failed(core, rc);
    } else if (reason != tidemark_Reason_REASON_NONE) {
        reject(core, reason);
    } else {
        accept_manifest(core, false);
    }
}

static void envelope_whole(tde *core)
{
    const tde_slot *slot = slot_of(core);
    uint8_t digest[TDE_DIGEST_SIZE];
    tde_transfer_stop(core);
    if (tde_sha256(core, core->memory.message, slot->envelope_size, digest) != TDE_OK ||
        memcmp(digest, slot->envelope_digest, TDE_DIGEST_SIZE) != 0) {
        tde_fetch_bad(core);
        return;
    }
    core->fetch.bad = 0;
    int reason = tde_manifest_check(core, core->fetch.slot, slot->envelope_size);
    if (reason != tidemark_Reason_REASON_NONE) {
        reject(core, reason);
    } else {
        accept_manifest(core, true);
    }
}

/* ---- Files ---- */

static void table_whole(tde *core)
{
    const tde_slots_port *slots = &core->ports.slots;
    tde_place place = tde_place_of(core, core->fetch.slot);
    tde_object table = tde_fetch_object(core, TDE_OBJECT_TABLE);
    tde_transfer_stop(core);
    core->fetch.step = TDE_STEP_FILE;
    if (!tde_table_is_good(core)) {
        tde_fetch_bad(core);
        return;
    }
    int rc = slots->sync(slots->context, &place, &table);
    if (rc != TDE_OK) {
        tde_fetch_failed(core, rc);
        return;
    }
    tde_pull_pieces(core);
}

/* True when the file needs no pulling: it is empty, or held already. */
static bool got_without_pull(tde *core, int *rc_out)
{
    const tde_slots_port *slots = &core->ports.slots;
    const tde_file *file = &core->fetch.file;
    tde_place place = tde_place_of(core, core->fetch.slot);
    tde_object object = tde_fetch_object(core, TDE_OBJECT_FILE);
    *rc_out = TDE_OK;
    if (file->size == 0) {
        *rc_out = slots->write(slots->context, &place, &object, 0, "", 0);
        if (*rc_out == TDE_OK) {
            *rc_out = slots->sync(slots->context, &place, &object);
        }
        return true;
    }
    bool begun = core->fetch.progress.piece != 0 || core->fetch.progress.pieces != 0;
    return !begun && slots->reuse != NULL &&
           slots->reuse(slots->context, &place, &object, file->digest, file->size) == 1;
}

static void file_step(tde *core)
{
    tde_file *file = &core->fetch.file;
    int rc = tde_manifest_file(core, core->fetch.progress.file, file);
    if (rc == TDE_NOT_FOUND) {
        core->fetch.verify_file = 0;
        core->fetch.verify_offset = 0;
        (void)tde_move(core, core->fetch.slot, tidemark_DeviceState_STATE_VERIFYING, tidemark_Reason_REASON_NONE);
        return;
    }
    if (got_without_pull(core, &rc)) {
        rc = rc == TDE_OK ? tde_file_done(core) : rc;
        if (rc != TDE_OK) {
            tde_fetch_failed(core, rc);
        }
    } else if (file->pieces > 1 && !tde_table_is_good(core)) {
        tde_transfer_start(core, TDE_SINK_TABLE, file->table_digest, (uint64_t)file->pieces * TDE_DIGEST_SIZE, 32768,
                           0);
        core->fetch.step = TDE_STEP_PULL;
    } else {
        tde_pull_pieces(core);
    }
}

void tde_fetch_whole(tde *core)
{
    uint8_t digest[TDE_DIGEST_SIZE];
    switch (core->transfer.sink) {
    case TDE_SINK_KEYSET:
        tde_transfer_stop(core);
        if (tde_sha256(core, core->memory.message, core->pending.keyset_size, digest) != TDE_OK ||
            memcmp(digest, core->pending.keyset_digest, TDE_DIGEST_SIZE) != 0) {
            tde_directive_keyset_done(core, TDE_CORRUPT);
            break;
        }
        tde_directive_keyset_done(core, tde_keyset_install(core, core->memory.message, core->pending.keyset_size));
        break;
    case TDE_SINK_ENVELOPE:
        envelope_whole(core);
        break;
    case TDE_SINK_TABLE:
        table_whole(core);
        break;
    case TDE_SINK_FILE:
        tde_transfer_stop(core);
        core->fetch.step = TDE_STEP_FILE;
        break;
    default:
        break;
    }
}

void tde_fetch_refused(tde *core)
{
    if (core->transfer.sink == TDE_SINK_KEYSET) {
        tde_transfer_stop(core);
        tde_directive_keyset_done(core, TDE_NOT_FOUND);
    } else {
        reject(core, tidemark_Reason_REASON_IO); /* the server does not give what it directed: final, no loop */
    }
}

/* ---- The step ---- */

/* The journal speaks of this candidate, and the candidate's place is still there. */
static bool can_resume(tde *core, uint32_t index)
{
    const tde_slots_port *slots = &core->ports.slots;
    tde_place place = tde_place_of(core, index);
    tde_object object = {TDE_OBJECT_ENVELOPE, ""};
    uint64_t size;
    return tde_progress_load(core) == TDE_OK &&
           memcmp(core->fetch.progress.place, place.digest, sizeof core->fetch.progress.place) == 0 &&
           slots->size(slots->context, &place, &object, &size) == TDE_OK;
}

void tde_fetch_begin(tde *core, uint32_t index)
{
    tde_fetch *fetch = &core->fetch;
    const tde_slot *slot = &core->record.slots[index];
    tde_fetch_forget(core);
    *fetch = (tde_fetch){.slot = index, .counted_at = core->now};
    if (!can_resume(core, index)) {
        fetch->progress = (tde_progress){.file = 0};
        memcpy(fetch->progress.place, slot->candidate, sizeof fetch->progress.place);
    }
}

/* True when the transfer has to end: it took too long, or the directive's time is over. */
static bool is_over(tde *core)
{
    tde_fetch *fetch = &core->fetch;
    const tde_slot *slot = slot_of(core);
    uint32_t limit_s = core->config.fetch_seconds_max != 0 ? core->config.fetch_seconds_max : TDE_FETCH_DEFAULT_S;
    fetch->spent_ms += core->connected ? core->now - fetch->counted_at : 0;
    fetch->counted_at = core->now;
    if (fetch->spent_ms / 1000 >= limit_s) {
        reject(core, tidemark_Reason_REASON_DEADLINE);
        return true;
    }
    uint64_t clock = core->ports.world.unix_ms(core->ports.world.context);
    if (clock != 0 && slot->not_after_ms != 0 && clock > slot->not_after_ms) {
        reject(core, tidemark_Reason_REASON_EXPIRED);
        return true;
    }
    return false;
}

/* The device's own wish to wait; true while it lasts. */
static bool is_held(tde *core, uint32_t index)
{
    bool hold = (core->hold & TDE_HOLD_FETCH) != 0;
    int to;
    switch (core->record.slots[index].state) {
    case tidemark_DeviceState_STATE_OFFERED:
        to = hold ? tidemark_DeviceState_STATE_DEFERRED : -1;
        break;
    case tidemark_DeviceState_STATE_FETCHING:
        to = hold ? tidemark_DeviceState_STATE_PAUSED : -1;
        break;
    case tidemark_DeviceState_STATE_DEFERRED:
        to = hold ? -1 : tidemark_DeviceState_STATE_OFFERED;
        break;
    default:
        to = hold ? -1 : tidemark_DeviceState_STATE_FETCHING;
        break;
    }
    if (to >= 0) {
        tde_fetch_forget(core);
        (void)tde_move(core, index, to, tidemark_Reason_REASON_NONE);
        return true;
    }
    return hold;
}

void tde_fetch_step(tde *core, uint32_t index)
{
    tde_fetch *fetch = &core->fetch;
    if (is_held(core, index) || core->now < core->trials[index].retry_at) {
        return;
    }
    if (fetch->slot != index) {
        tde_fetch_begin(core, index);
    }
    if (fetch->progress.sequence != core->record.slots[index].directive_sequence) {
        fetch->progress.sequence = core->record.slots[index].directive_sequence; /* a new directive, a new budget */
        fetch->progress.used = 0;
    }
    if (is_over(core)) {
        return;
    }
    if (core->transfer.sink != TDE_SINK_NONE && core->transfer.sink != TDE_SINK_ENVELOPE &&
        core->message_slot != index) {
        tde_transfer_stop(core); /* another message took the memory, or the keys changed: check again */
    }
    if (core->transfer.sink == TDE_SINK_NONE) {
        if (core->message_slot != index) {
            fetch->step = TDE_STEP_ENVELOPE;
        }
        if (fetch->step == TDE_STEP_ENVELOPE) {
            envelope_step(core);
        } else {
            file_step(core);
        }
    } else if (core->connected && core->now >= fetch->progress_at &&
               core->record.slots[index].state == tidemark_DeviceState_STATE_FETCHING) {
        fetch->progress_at = core->now + TDE_PROGRESS_EVERY_MS;
        tde_report_progress(core, index);
    }
}
