/*
 * directive.c: one signed, numbered message that states everything a device should run.
 *
 * A directive is believed when the director's threshold signed it for this device, with a sequence above the last, and
 * it is fresh by the clock, by the time floor, or by this boot's nonce. It is taken on at a safe point in one durable
 * write. The same directive again is nothing new; it is retained at the broker, so what a power cut takes away comes
 * again.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pb_decode.h>
#include <string.h>

#include "firmware/edge/parts.h"

#define DIRECTIVE_TYPE "application/vnd.tidemark.directive.v1"

/* Outcomes of check(): 0 or a tidemark_Reason, or one of these. */
enum { SAME_AGAIN = -1, NEEDS_KEYSET = -2 };

static bool goals_make_sense(const tidemark_Directive *d)
{
    for (pb_size_t i = 0; i < d->goals_count; i++) {
        const tidemark_Goal *goal = &d->goals[i];
        if (!tde_is_slot_name(goal->slot) || tde_is_zero(goal->manifest_digest) || goal->envelope_size == 0) {
            return false;
        }
        for (pb_size_t k = 0; k < i; k++) {
            if (strcmp(d->goals[k].slot, goal->slot) == 0) {
                return false;
            }
        }
    }
    return d->goals_count <= TDE_SLOTS_MAX;
}

static bool is_fresh(const tde *core, const tidemark_Directive *d)
{
    if (d->nonce != 0 && d->nonce == core->nonce) {
        return true;
    }
    return d->not_after_ms > tde_now_signed(core);
}

static bool can_fetch_keyset(const tde *core, const tidemark_Directive *d)
{
    return d->keyset_version > core->record.keyset.version && d->keyset_digest.size == TDE_DIGEST_SIZE &&
           d->keyset_size != 0 && d->keyset_size <= core->memory.message_size;
}

static int check(tde *core, const uint8_t *message, size_t size, tidemark_Directive *d)
{
    tde_signed parsed;
    if (tde_signed_parse(message, size, &parsed) != TDE_OK) {
        return tidemark_Reason_REASON_MALFORMED;
    }
    pb_istream_t in = pb_istream_from_buffer(parsed.payload.data, parsed.payload.size);
    memset(d, 0, sizeof *d);
    if (!pb_decode(&in, tidemark_Directive_fields, d) || d->sequence == 0) {
        return tidemark_Reason_REASON_MALFORMED;
    }
    if (strcmp(d->device, core->config.device) != 0) {
        return tidemark_Reason_REASON_WRONG_DEVICE;
    }
    if (tde_signed_check(core, &parsed, DIRECTIVE_TYPE, &core->record.keyset, tidemark_Role_ROLE_DIRECTOR) != TDE_OK) {
        return can_fetch_keyset(core, d) ? NEEDS_KEYSET : (int)tidemark_Reason_REASON_SIGNATURE;
    }
    core->pending.verified = true;
    if (d->sequence <= core->record.directive_sequence) {
        return d->sequence == core->record.directive_sequence ? SAME_AGAIN : (int)tidemark_Reason_REASON_REPLAYED;
    }
    if (can_fetch_keyset(core, d)) {
        return NEEDS_KEYSET;
    }
    if (d->keyset_version > core->record.keyset.version || !tde_keyset_usable(core)) {
        return tidemark_Reason_REASON_KEYSET;
    }
    if (!is_fresh(core, d)) {
        return tidemark_Reason_REASON_EXPIRED;
    }
    return goals_make_sense(d) ? tidemark_Reason_REASON_NONE : tidemark_Reason_REASON_MALFORMED;
}

/* Counts, logs, and tells the server once a sequence, unless the message was never meant for us or is an old one. */
static void refuse(tde *core, uint64_t sequence, int reason)
{
    core->refused++;
    tde_say(core, TDE_LOG_WARNING, NULL, "directive refused");
    tde_say(core, TDE_LOG_WARNING, NULL, tde_reason_name(reason));
    bool quiet = reason == tidemark_Reason_REASON_WRONG_DEVICE || reason == tidemark_Reason_REASON_REPLAYED ||
                 (core->refused_sequence == sequence && core->refused_reason == reason);
    if (!quiet) {
        core->refused_sequence = sequence;
        core->refused_reason = (uint8_t)reason;
        (void)tde_report_refusal(core, sequence, reason);
    }
}

int tde_on_directive(tde_core *public_core, const uint8_t *payload, size_t size)
{
    tde *core = tde_of(public_core);
    tidemark_Directive d;
    tde_waiting before = core->pending;
    if (size == 0) {
        return TDE_OK; /* a retained message was cleared */
    }
    if (size > core->memory.directive_size) {
        refuse(core, 0, tidemark_Reason_REASON_MALFORMED);
        return TDE_LIMIT;
    }
    memset(&d, 0, sizeof d);
    core->pending = (tde_waiting){.size = size, .since = core->now};
    int outcome = check(core, payload, size, &d);
    if (outcome > 0 || outcome == SAME_AGAIN || (before.verified && !core->pending.verified)) {
        core->pending = before;
        if (outcome > 0) {
            refuse(core, d.sequence, outcome);
        }
        return outcome > 0 ? TDE_DENIED : TDE_OK;
    }
    if (core->transfer.sink == TDE_SINK_KEYSET) {
        tde_transfer_stop(core);
    }
    memcpy(core->memory.directive, payload, size);
    core->busy = true;
    return TDE_OK;
}

/* ---- Taking it on ---- */

static const tidemark_Goal *goal_of(const tidemark_Directive *d, const char *slot)
{
    for (pb_size_t i = 0; i < d->goals_count; i++) {
        if (strcmp(d->goals[i].slot, slot) == 0) {
            return &d->goals[i];
        }
    }
    return NULL;
}

static bool is_revoked(const tidemark_Directive *d, const uint8_t *digest)
{
    for (pb_size_t i = 0; i < d->revoked_count; i++) {
        if (memcmp(d->revoked[i], digest, TDE_DIGEST_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

/* All slots are where the directive can be taken on; a probation of something else is ended. */
static bool is_safe_point(tde *core, const tidemark_Directive *d)
{
    bool safe = true;
    for (uint32_t i = 0; i < core->record.slots_count; i++) {
        const tde_slot *slot = &core->record.slots[i];
        const tidemark_Goal *goal = goal_of(d, slot->name);
        tde_phase phase = tde_machine_phase(slot->state);
        bool other = goal != NULL && memcmp(goal->manifest_digest, slot->candidate, TDE_DIGEST_SIZE) != 0;
        if (phase == TDE_PHASE_BACK || (phase == TDE_PHASE_SWITCHED && other)) {
            safe = false;
        }
        if (slot->state == tidemark_DeviceState_STATE_PROBATION && other) {
            (void)tde_move(core, i, tidemark_DeviceState_STATE_ROLLING_BACK, tidemark_Reason_REASON_OPERATOR);
        }
    }
    return safe;
}

/* Report numbers are handed out before the record is written, one a slot, so that none is lost or said twice. */
static void number_report(tde *core, uint32_t index)
{
    uint64_t next = core->outbox.next;
    for (uint32_t i = 0; i < core->record.slots_count; i++) {
        if (i != index && core->record.slots[i].report_sequence >= next) {
            next = core->record.slots[i].report_sequence + 1;
        }
    }
    core->record.slots[index].report_sequence = next;
}

static void set_terms(tde_slot *slot, const tidemark_Directive *d, const tidemark_Goal *goal)
{
    slot->directive_sequence = d->sequence;
    slot->not_after_ms = d->not_after_ms;
    slot->window_seconds = goal->window_seconds;
    slot->byte_budget = goal->byte_budget;
    slot->seconds = goal->probation.seconds;
    slot->inferences_min = goal->probation.min_inferences;
    slot->errors_max = goal->probation.max_errors;
    slot->lease_seconds = goal->probation.lease_seconds;
}

/* Ends what is on its way; its own report goes out under its own directive. */
static void drop_candidate(tde *core, uint32_t index, const tidemark_Directive *d)
{
    int to = d->cancel ? tidemark_DeviceState_STATE_CANCELLED : tidemark_DeviceState_STATE_SUPERSEDED;
    (void)tde_report_slot(core, index, to, tidemark_Reason_REASON_OPERATOR);
    (void)tde_mark(core, index, to, tidemark_Reason_REASON_OPERATOR);
    core->trials[index].untidy = true;
    if (core->fetch.slot == index) {
        tde_fetch_forget(core);
    }
}

static void offer(tde *core, uint32_t index, const tidemark_Directive *d, const tidemark_Goal *goal)
{
    tde_slot *slot = &core->record.slots[index];
    bool revoked = is_revoked(d, goal->manifest_digest);
    memcpy(slot->candidate, goal->manifest_digest, TDE_DIGEST_SIZE);
    memcpy(slot->envelope_digest, goal->envelope_digest, TDE_DIGEST_SIZE);
    slot->envelope_size = goal->envelope_size;
    slot->total_size = goal->total_size;
    slot->counter_min = goal->min_security_counter;
    slot->boots = 0;
    (void)tde_mark(core, index, revoked ? tidemark_DeviceState_STATE_REJECTED : tidemark_DeviceState_STATE_OFFERED,
                   revoked ? tidemark_Reason_REASON_REVOKED : tidemark_Reason_REASON_NONE);
}

static void apply_goal(tde *core, uint32_t index, const tidemark_Directive *d, const tidemark_Goal *goal)
{
    tde_slot *slot = &core->record.slots[index];
    tde_phase phase = tde_machine_phase(slot->state);
    bool same = phase != TDE_PHASE_REST && memcmp(goal->manifest_digest, slot->candidate, TDE_DIGEST_SIZE) == 0;
    bool same_envelope = memcmp(goal->envelope_digest, slot->envelope_digest, TDE_DIGEST_SIZE) == 0;
    if (phase == TDE_PHASE_PREPARE && (!same || !same_envelope || is_revoked(d, slot->candidate))) {
        drop_candidate(core, index, d);
        same = false;
    }
    set_terms(slot, d, goal);
    if (!same && memcmp(goal->manifest_digest, slot->running, TDE_DIGEST_SIZE) == 0) {
        memset(slot->candidate, 0, TDE_DIGEST_SIZE);
        (void)tde_mark(core, index, tidemark_DeviceState_STATE_COMMITTED, tidemark_Reason_REASON_NONE);
    } else if (!same) {
        offer(core, index, d, goal);
    }
    number_report(core, index);
}

/* A slot that the directive does not name goes on running what it runs, but gets nothing new. */
static void apply_silence(tde *core, uint32_t index, const tidemark_Directive *d)
{
    tde_slot *slot = &core->record.slots[index];
    if (tde_machine_phase(slot->state) == TDE_PHASE_PREPARE) {
        drop_candidate(core, index, d);
        slot->directive_sequence = d->sequence;
        number_report(core, index);
    }
}

/* An entry for a new slot; one that only an application ever spoke of makes way. */
int tde_slot_add(tde *core, const char *name)
{
    uint32_t index = core->record.slots_count;
    for (uint32_t i = 0; index == TDE_SLOTS_MAX && i < TDE_SLOTS_MAX; i++) {
        if (core->record.slots[i].directive_sequence == 0) {
            index = i;
        }
    }
    if (index == TDE_SLOTS_MAX) {
        return TDE_LIMIT;
    }
    tde_slot *slot = &core->record.slots[index];
    *slot = (tde_slot){.state = tidemark_DeviceState_STATE_IDLE};
    memcpy(slot->name, name, strlen(name) + 1);
    core->trials[index] = (tde_trial){.since = core->now, .renewed_at = core->now};
    core->record.slots_count += index == core->record.slots_count ? 1 : 0;
    return (int)index;
}

static void add_slots(tde *core, const tidemark_Directive *d)
{
    for (pb_size_t i = 0; i < d->goals_count; i++) {
        const char *name = d->goals[i].slot;
        if (tde_slot_find(core, name) < 0 && tde_slot_add(core, name) < 0) {
            tde_say(core, TDE_LOG_WARNING, NULL, "no slot is left for a goal of the directive");
            (void)tde_report_refusal(core, d->sequence, tidemark_Reason_REASON_NO_SPACE);
        }
    }
}

static int accept(tde *core, const tidemark_Directive *d)
{
    core->accepted_at = core->now;
    uint64_t first_report = core->outbox.next;
    add_slots(core, d);
    for (uint32_t i = 0; i < core->record.slots_count; i++) {
        tde_slot *slot = &core->record.slots[i];
        const tidemark_Goal *goal = goal_of(d, slot->name);
        if (is_revoked(d, slot->previous)) {
            memset(slot->previous, 0, TDE_DIGEST_SIZE);
            core->trials[i].untidy = true;
        }
        if (goal != NULL) {
            apply_goal(core, i, d, goal);
        } else {
            apply_silence(core, i, d);
        }
    }
    core->record.directive_sequence = d->sequence;
    core->record.contact_every_s = d->contact_every_s;
    tde_time_seen(core, d->issued_ms);
    int rc = tde_record_store(core);
    if (rc == TDE_OK) {
        tde_report_repair(core);
        if (core->outbox.next == first_report) {
            (void)tde_report_refusal(core, d->sequence, tidemark_Reason_REASON_NONE); /* received; nothing to do */
        }
    }
    return rc;
}

void tde_directive_keyset_done(tde *core, int result)
{
    core->pending.keyset = false;
    if (result == TDE_OK) {
        core->pending.verified = false; /* check it again, by the new keys */
    } else if (result == TDE_IO) {
        core->pending.retry_at = core->now + TDE_RETRY_FIRST_MS;
    } else {
        tidemark_Directive d;
        size_t size = core->pending.size;
        core->pending.size = 0;
        (void)check(core, core->memory.directive, size, &d);
        core->pending.verified = false;
        refuse(core, d.sequence, tidemark_Reason_REASON_KEYSET);
    }
    core->busy = true;
}

static void want_keyset(tde *core, const tidemark_Directive *d)
{
    tde_waiting *pending = &core->pending;
    if (!pending->keyset || core->transfer.sink != TDE_SINK_KEYSET) {
        pending->keyset = true;
        pending->keyset_size = d->keyset_size;
        memcpy(pending->keyset_digest, d->keyset_digest.bytes, TDE_DIGEST_SIZE);
        core->message_slot = TDE_NO_SLOT;
        tde_transfer_start(core, TDE_SINK_KEYSET, d->keyset_digest.bytes, d->keyset_size, 32768, 0);
    }
}

bool tde_directive_step(tde *core)
{
    tde_waiting *pending = &core->pending;
    tidemark_Directive d;
    if (pending->size == 0 || core->now < pending->retry_at) {
        return false;
    }
    if (pending->keyset && core->now - pending->since > TDE_KEYSET_WAIT_MS) {
        tde_transfer_stop(core);
        tde_directive_keyset_done(core, TDE_NOT_FOUND);
        return false;
    }
    if (pending->keyset && core->transfer.sink == TDE_SINK_KEYSET) {
        return true;
    }
    int outcome = check(core, core->memory.directive, pending->size, &d);
    if (outcome == NEEDS_KEYSET) {
        want_keyset(core, &d);
        return true;
    }
    if (outcome != tidemark_Reason_REASON_NONE) {
        *pending = (tde_waiting){.size = 0};
        if (outcome > 0) {
            refuse(core, d.sequence, outcome);
        }
        return false;
    }
    if (!is_safe_point(core, &d)) {
        return false;
    }
    if (accept(core, &d) == TDE_OK) {
        *pending = (tde_waiting){.size = 0};
    } else {
        pending->retry_at = core->now + TDE_RETRY_FIRST_MS;
    }
    core->busy = true;
    return false;
}
