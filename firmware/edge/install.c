/*
 * install.c: from the last piece to a committed version, or back to the one before.
 *
 * VERIFYING reads every file back and compares whole digests, then runs the golden test; ACTIVATING switches; PROBATION
 * waits for the application to prove the version; ROLLING_BACK switches back. The record is written before the switch
 * is made, and each step can be repeated, so a boot in the middle of any of them simply does it again.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "firmware/edge/parts.h"

tde_place tde_place_of(const tde *core, uint32_t index)
{
    const tde_slot *slot = &core->record.slots[index];
    return (tde_place){slot->name, slot->candidate};
}

/* Removes what no state needs any more. A transfer that ended for want of time or budget may be taken up again. */
void tde_tidy(tde *core, uint32_t index)
{
    const tde_slots_port *slots = &core->ports.slots;
    const tde_slot *slot = &core->record.slots[index];
    uint8_t keep[3][TDE_DIGEST_SIZE];
    size_t count = 0;
    bool resumable = slot->state == tidemark_DeviceState_STATE_REJECTED &&
                     (slot->reason == tidemark_Reason_REASON_DEADLINE ||
                      slot->reason == tidemark_Reason_REASON_EXPIRED || slot->reason == tidemark_Reason_REASON_BUDGET);
    bool live = tde_machine_phase(slot->state) != TDE_PHASE_REST || resumable;
    if (!live && !tde_is_zero(slot->candidate) && tde_progress_drop(core, slot->candidate) != TDE_OK) {
        return;
    }
    const uint8_t *const digests[] = {slot->running, slot->previous, live ? slot->candidate : slot->running};
    for (size_t i = 0; i < 3; i++) {
        if (!tde_is_zero(digests[i])) {
            memcpy(keep[count++], digests[i], TDE_DIGEST_SIZE);
        }
    }
    if (slots->keep(slots->context, slot->name, (const uint8_t(*)[TDE_DIGEST_SIZE])keep, count) == TDE_OK) {
        core->trials[index].untidy = false;
    }
}

static int activate(tde *core, uint32_t index, const uint8_t *digest)
{
    const tde_slots_port *slots = &core->ports.slots;
    tde_place place = {core->record.slots[index].name, tde_is_zero(digest) ? NULL : digest};
    return slots->activate(slots->context, &place);
}

static void roll_back(tde *core, uint32_t index, int reason)
{
    tde_slot *slot = &core->record.slots[index];
    tde_say(core, TDE_LOG_WARNING, slot->name, tde_reason_name(reason));
    if (reason == tidemark_Reason_REASON_HASH && memcmp(slot->previous, slot->candidate, TDE_DIGEST_SIZE) == 0) {
        memset(slot->previous, 0, TDE_DIGEST_SIZE); /* what was kept is damaged: next time it is fetched */
    }
    (void)tde_move(core, index, tidemark_DeviceState_STATE_ROLLING_BACK, reason);
}

/* A storage error: true when the step should be tried again later. */
static bool may_retry(tde *core, uint32_t index)
{
    tde_trial *trial = &core->trials[index];
    if (++trial->failures > TDE_IO_TRIES_MAX) {
        trial->failures = 0;
        return false;
    }
    trial->retry_at = core->now + (500u << trial->failures);
    return true;
}

/* ---- Verifying ---- */

/* What was fetched is not what was signed: forget the progress too, then give up. */
static void distrust(tde *core, uint32_t index, int reason)
{
    tde_progress *progress = &core->fetch.progress;
    *progress = (tde_progress){.used = progress->used, .sequence = progress->sequence};
    (void)tde_progress_store(core);
    roll_back(core, index, reason);
    tde_fetch_forget(core);
}

static int open_file(tde *core, tde_place place)
{
    tde_fetch *fetch = &core->fetch;
    const tde_slots_port *slots = &core->ports.slots;
    const tde_world_port *world = &core->ports.world;
    uint64_t size;
    int rc = tde_manifest_file(core, fetch->verify_file, &fetch->file);
    if (rc != TDE_OK) {
        return rc;
    }
    tde_object object = {TDE_OBJECT_FILE, fetch->file.name};
    rc = slots->size(slots->context, &place, &object, &size);
    if (rc != TDE_OK || size != fetch->file.size) {
        return rc == TDE_IO ? TDE_IO : TDE_CORRUPT;
    }
    return world->hash_start(world->context);
}

/* Hashes one bounded part of the current file; TDE_AGAIN until the last file is done, which is TDE_OK. */
static int verify_part(tde *core, tde_place place)
{
    tde_fetch *fetch = &core->fetch;
    const tde_slots_port *slots = &core->ports.slots;
    const tde_world_port *world = &core->ports.world;
    uint8_t digest[TDE_DIGEST_SIZE];
    if (fetch->verify_offset == 0) {
        int rc = open_file(core, place);
        if (rc != TDE_OK) {
            return rc == TDE_NOT_FOUND ? TDE_OK : rc;
        }
    }
    tde_object object = {TDE_OBJECT_FILE, fetch->file.name};
    uint64_t left = fetch->file.size - fetch->verify_offset;
    size_t take = left < core->memory.work_size ? (size_t)left : core->memory.work_size;
    int rc = slots->read(slots->context, &place, &object, fetch->verify_offset, core->memory.work, take);
    if (rc == TDE_OK) {
        rc = world->hash_update(world->context, core->memory.work, take);
    }
    if (rc != TDE_OK || take < left) {
        fetch->verify_offset += take;
        return rc != TDE_OK ? rc : TDE_AGAIN;
    }
    rc = world->hash_finish(world->context, digest);
    fetch->verify_file++;
    fetch->verify_offset = 0;
    if (rc == TDE_OK && memcmp(digest, fetch->file.digest, TDE_DIGEST_SIZE) != 0) {
        return TDE_CORRUPT;
    }
    return rc != TDE_OK ? rc : TDE_AGAIN;
}

/* All digests are right: the golden test, then the content is made whole and durable. */
static void verified(tde *core, uint32_t index, tde_place place)
{
    const tde_slots_port *slots = &core->ports.slots;
    int rc = slots->self_test != NULL ? slots->self_test(slots->context, &place) : TDE_OK;
    if (rc == TDE_AGAIN) {
        return;
    }
    if (rc == TDE_DENIED) {
        roll_back(core, index, tidemark_Reason_REASON_GOLDEN_MISMATCH);
        tde_fetch_forget(core);
        return;
    }
    if (rc == TDE_OK) {
        rc = slots->commit(slots->context, &place);
    }
    if (rc == TDE_OK) {
        core->trials[index].failures = 0;
        (void)tde_move(core, index, tidemark_DeviceState_STATE_STAGED, tidemark_Reason_REASON_NONE);
    } else if (!may_retry(core, index)) {
        distrust(core, index, tidemark_Reason_REASON_IO);
    }
}

static void verify_step(tde *core, uint32_t index)
{
    tde_place place = tde_place_of(core, index);
    if (core->fetch.slot != index) {
        tde_fetch_begin(core, index);
    }
    if (core->message_slot != index) {
        int reason;
        int rc = tde_envelope_load(core, index, &reason);
        if (rc == TDE_NOT_FOUND || (rc == TDE_OK && reason != tidemark_Reason_REASON_NONE)) {
            distrust(core, index, rc == TDE_OK ? reason : (int)tidemark_Reason_REASON_HASH);
            return;
        }
        if (rc != TDE_OK) {
            if (!may_retry(core, index)) {
                distrust(core, index, tidemark_Reason_REASON_IO);
            }
            return;
        }
        core->fetch.verify_file = 0;
        core->fetch.verify_offset = 0;
    }
    int rc = verify_part(core, place);
    if (rc == TDE_OK) {
        verified(core, index, place);
    } else if (rc == TDE_AGAIN) {
        core->busy = true;
    } else if (rc == TDE_IO && may_retry(core, index)) {
        core->fetch.verify_offset = 0;
    } else {
        distrust(core, index, rc == TDE_IO ? tidemark_Reason_REASON_IO : tidemark_Reason_REASON_HASH);
    }
}

/* ---- Switching ---- */

static void reject(tde *core, uint32_t index, int reason)
{
    tde_say(core, TDE_LOG_WARNING, core->record.slots[index].name, tde_reason_name(reason));
    core->trials[index].untidy = true;
    (void)tde_move(core, index, tidemark_DeviceState_STATE_REJECTED, reason);
}

/* Before the switch: is the device willing, is the directive still good, do today's keys still approve it? */
static void staged_step(tde *core, uint32_t index)
{
    const tde_slot *slot = &core->record.slots[index];
    uint64_t clock = core->ports.world.unix_ms(core->ports.world.context);
    int reason = tidemark_Reason_REASON_NONE;
    if ((core->hold & TDE_HOLD_ACTIVATE) != 0) {
        if (slot->state == tidemark_DeviceState_STATE_STAGED) {
            (void)tde_move(core, index, tidemark_DeviceState_STATE_WAIT_WINDOW, tidemark_Reason_REASON_NONE);
        }
        return;
    }
    if (clock != 0 && slot->not_after_ms != 0 && clock > slot->not_after_ms) {
        reject(core, index, tidemark_Reason_REASON_EXPIRED);
        return;
    }
    if (core->message_slot != index) {
        int rc = tde_envelope_load(core, index, &reason);
        if (rc == TDE_IO && may_retry(core, index)) {
            return;
        }
        reason = rc != TDE_OK ? (int)tidemark_Reason_REASON_HASH : reason;
    }
    if (reason != tidemark_Reason_REASON_NONE) {
        reject(core, index, reason);
    } else {
        (void)tde_move(core, index, tidemark_DeviceState_STATE_ACTIVATING, reason);
    }
}

static void begin_trial(tde *core, uint32_t index)
{
    core->trials[index] = (tde_trial){.since = core->now, .renewed_at = core->now, .untidy = true};
}

static void activating_step(tde *core, uint32_t index)
{
    tde_slot *slot = &core->record.slots[index];
    if (core->fetch.slot == index) {
        tde_fetch_forget(core);
    }
    if (activate(core, index, slot->candidate) != TDE_OK) {
        if (!may_retry(core, index)) {
            roll_back(core, index, tidemark_Reason_REASON_IO);
        }
        return;
    }
    begin_trial(core, index);
    slot->boots = 0;
    (void)tde_move(core, index, tidemark_DeviceState_STATE_PROBATION, tidemark_Reason_REASON_NONE);
}

static void commit(tde *core, uint32_t index, int reason)
{
    tde_slot *slot = &core->record.slots[index];
    memcpy(slot->previous, slot->running, TDE_DIGEST_SIZE);
    memcpy(slot->running, slot->candidate, TDE_DIGEST_SIZE);
    memset(slot->candidate, 0, TDE_DIGEST_SIZE);
    slot->boots = 0;
    if (slot->counter_candidate > slot->counter_floor) {
        slot->counter_floor = slot->counter_candidate;
    }
    if (tde_move(core, index, tidemark_DeviceState_STATE_COMMITTED, reason) == TDE_OK) {
        core->trials[index].untidy = true;
    }
}

/* The verdict of the trial: a reason to go back, REASON_NONE to commit, or -1 to wait. */
static int judge(const tde *core, uint32_t index)
{
    const tde_slot *slot = &core->record.slots[index];
    const tde_trial *trial = &core->trials[index];
    uint64_t limit_s = slot->seconds != 0 ? slot->seconds : TDE_LEASE_DEFAULT_S;
    if (trial->errors > slot->errors_max) {
        return tidemark_Reason_REASON_ERRORS;
    }
    if (trial->renewed && trial->inferences >= slot->inferences_min) {
        return tidemark_Reason_REASON_NONE;
    }
    if (slot->lease_seconds != 0 && core->now - trial->renewed_at >= slot->lease_seconds * (uint64_t)1000) {
        return tidemark_Reason_REASON_LEASE_LOST;
    }
    return core->now - trial->since >= limit_s * 1000 ? (int)tidemark_Reason_REASON_DEADLINE : -1;
}

static void probation_step(tde *core, uint32_t index)
{
    if (!core->record.slots[index].attached) {
        commit(core, index, tidemark_Reason_REASON_UNPROVEN);
        return;
    }
    int verdict = judge(core, index);
    if (verdict == tidemark_Reason_REASON_NONE) {
        commit(core, index, verdict);
    } else if (verdict > 0) {
        roll_back(core, index, verdict);
    }
}

static void rolling_back_step(tde *core, uint32_t index)
{
    const tde_slot *slot = &core->record.slots[index];
    if (activate(core, index, slot->running) != TDE_OK) {
        core->trials[index].retry_at =
            core->now + TDE_RETRY_FIRST_MS; /* there is nothing better than to go on trying */
        return;
    }
    if (tde_move(core, index, tidemark_DeviceState_STATE_ROLLED_BACK, slot->reason) == TDE_OK) {
        core->trials[index].untidy = true;
    }
}

void tde_install_step(tde *core, uint32_t index)
{
    if (core->now < core->trials[index].retry_at) {
        return;
    }
    switch (core->record.slots[index].state) {
    case tidemark_DeviceState_STATE_VERIFYING:
        verify_step(core, index);
        break;
    case tidemark_DeviceState_STATE_STAGED:
    case tidemark_DeviceState_STATE_WAIT_WINDOW:
    case tidemark_DeviceState_STATE_WAIT_APPROVAL:
        staged_step(core, index);
        break;
    case tidemark_DeviceState_STATE_ACTIVATING:
        activating_step(core, index);
        break;
    case tidemark_DeviceState_STATE_PROBATION:
        probation_step(core, index);
        break;
    case tidemark_DeviceState_STATE_ROLLING_BACK:
        rolling_back_step(core, index);
        break;
    default:
        if (core->trials[index].untidy) {
            tde_tidy(core, index);
        }
        break;
    }
}

void tde_install_boot(tde *core, uint32_t index)
{
    const tde_slots_port *slots = &core->ports.slots;
    tde_slot *slot = &core->record.slots[index];
    uint8_t now[TDE_DIGEST_SIZE] = {0};
    begin_trial(core, index);
    if (slot->state == tidemark_DeviceState_STATE_PROBATION) {
        if (++slot->boots > TDE_PROBATION_BOOTS_MAX) {
            roll_back(core, index, tidemark_Reason_REASON_CRASH_LOOP);
        } else {
            (void)tde_record_store(core);
        }
    }
    if (slot->state == tidemark_DeviceState_STATE_ACTIVATING ||
        slot->state == tidemark_DeviceState_STATE_ROLLING_BACK) {
        return; /* the step does it again */
    }
    const uint8_t *want = tde_slot_current(slot);
    (void)slots->current(slots->context, slot->name, now);
    if (memcmp(now, want, TDE_DIGEST_SIZE) != 0) {
        tde_say(core, TDE_LOG_WARNING, slot->name, "what is switched on does not match the record: repaired");
        (void)activate(core, index, want);
    }
}
