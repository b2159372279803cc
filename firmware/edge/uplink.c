/*
 * uplink.c: what a device says: births, wills, reports and content requests, each sealed with the uplink key.
 *
 * Messages are encoded field by field from where the facts lie, so that none needs a large struct. The trailer is the
 * first 16 bytes of HMAC-SHA-256 over topic, a zero and the payload.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pb_encode.h>
#include <string.h>

#include "firmware/edge/parts.h"

static bool put_u64(pb_ostream_t *out, uint32_t tag, uint64_t value)
{
    return value == 0 || (pb_encode_tag(out, PB_WT_VARINT, tag) && pb_encode_varint(out, value));
}

static bool put_bytes(pb_ostream_t *out, uint32_t tag, const void *data, size_t size)
{
    return size == 0 || (pb_encode_tag(out, PB_WT_STRING, tag) && pb_encode_string(out, data, size));
}

static bool put_text(pb_ostream_t *out, uint32_t tag, const char *text)
{
    return text == NULL || put_bytes(out, tag, text, strlen(text));
}

static bool put_digest(pb_ostream_t *out, uint32_t tag, const uint8_t *digest)
{
    return tde_is_zero(digest) || put_bytes(out, tag, digest, TDE_DIGEST_SIZE);
}

size_t tde_topic(const tde *core, tde_uplink kind, char *out)
{
    static const char *const tails[] = {"/up/birth", "/up/death", "/up/report", "/up/get", "/up/window"};
    const char *const parts[] = {core->config.prefix, "/", core->config.device, tails[kind]};
    size_t size = 0;
    for (size_t i = 0; i < 4; i++) {
        size_t length = strlen(parts[i]);
        memcpy(out + size, parts[i], length);
        size += length;
    }
    out[size++] = '\0';
    return size;
}

int tde_seal(tde *core, size_t head, size_t size)
{
    uint8_t mac[TDE_DIGEST_SIZE];
    uint8_t *work = core->memory.work;
    int rc = core->ports.world.hmac(core->ports.world.context, work, head + size, mac);
    if (rc == TDE_OK) {
        memcpy(work + head + size, mac, TDE_MAC_SIZE);
    }
    return rc;
}

int tde_seal_send(tde *core, tde_uplink kind, size_t head, size_t size)
{
    const tde_world_port *world = &core->ports.world;
    uint8_t *work = core->memory.work;
    int rc = tde_seal(core, head, size);
    if (rc != TDE_OK) {
        return rc;
    }
    return world->send(world->context, kind, (const char *)work, work + head, size + TDE_MAC_SIZE);
}

/* A stream behind the topic in memory.work, with room for the trailer. */
static pb_ostream_t open_stream(tde *core, tde_uplink kind, size_t *head_out)
{
    size_t head = tde_topic(core, kind, (char *)core->memory.work);
    *head_out = head;
    return pb_ostream_from_buffer(core->memory.work + head, core->memory.work_size - head - TDE_MAC_SIZE);
}

static bool put_slots(tde *core, pb_ostream_t *out)
{
    for (uint32_t i = 0; i < core->record.slots_count; i++) {
        const tde_slot *slot = &core->record.slots[i];
        const uint8_t *current = tde_slot_current(slot);
        tidemark_SlotState state = tidemark_SlotState_init_zero;
        memcpy(state.slot, slot->name, sizeof state.slot);
        state.manifest_digest.size = tde_is_zero(current) ? 0 : TDE_DIGEST_SIZE;
        memcpy(state.manifest_digest.bytes, current, TDE_DIGEST_SIZE);
        state.previous_digest.size = tde_is_zero(slot->previous) ? 0 : TDE_DIGEST_SIZE;
        memcpy(state.previous_digest.bytes, slot->previous, TDE_DIGEST_SIZE);
        state.state = (tidemark_DeviceState)slot->state;
        if (!pb_encode_tag(out, PB_WT_STRING, tidemark_Birth_slots_tag) ||
            !pb_encode_submessage(out, tidemark_SlotState_fields, &state)) {
            return false;
        }
    }
    return true;
}

static bool put_device(tde *core, pb_ostream_t *out)
{
    const tde_config *config = &core->config;
    bool ok = put_text(out, tidemark_Birth_device_tag, config->device) &&
              put_u64(out, tidemark_Birth_boot_id_tag, core->boot_id) &&
              put_u64(out, tidemark_Birth_nonce_tag, core->nonce) &&
              put_text(out, tidemark_Birth_agent_tag, config->agent) &&
              put_text(out, tidemark_Birth_hardware_tag, config->hardware);
    for (size_t i = 0; ok && i < config->runtimes_count; i++) {
        ok = put_text(out, tidemark_Birth_runtimes_tag, config->runtimes[i]);
    }
    return ok;
}

int tde_send_birth(tde *core)
{
    const tde_slots_port *slots = &core->ports.slots;
    uint64_t clock = core->ports.world.unix_ms(core->ports.world.context);
    uint32_t contact = core->record.contact_every_s != 0 ? core->record.contact_every_s : core->config.contact_every_s;
    size_t head;
    pb_ostream_t out = open_stream(core, TDE_UP_BIRTH, &head);
    bool ok = put_device(core, &out) &&
              put_u64(&out, tidemark_Birth_storage_free_tag, slots->room != NULL ? slots->room(slots->context) : 0) &&
              put_u64(&out, tidemark_Birth_ram_bytes_tag, core->config.ram_bytes) && put_slots(core, &out) &&
              put_u64(&out, tidemark_Birth_directive_sequence_tag, core->record.directive_sequence) &&
              put_u64(&out, tidemark_Birth_keyset_version_tag, core->record.keyset.version) &&
              put_u64(&out, tidemark_Birth_clock_known_tag, clock != 0) &&
              put_u64(&out, tidemark_Birth_now_ms_tag, clock) &&
              put_u64(&out, tidemark_Birth_contact_every_s_tag, contact) &&
              put_bytes(&out, tidemark_Birth_checkpoint_tag, core->checkpoint.data, core->checkpoint.size);
    return ok ? tde_seal_send(core, TDE_UP_BIRTH, head, out.bytes_written) : TDE_LIMIT;
}

int tde_send_get(tde *core, const tde_transfer *transfer, uint64_t wanted, uint32_t credit)
{
    size_t head;
    pb_ostream_t out = open_stream(core, TDE_UP_GET, &head);
    bool ok = put_u64(&out, tidemark_Get_transfer_tag, transfer->id) &&
              put_bytes(&out, tidemark_Get_digest_tag, transfer->digest, TDE_DIGEST_SIZE) &&
              put_u64(&out, tidemark_Get_block_size_tag, transfer->block_size) &&
              put_u64(&out, tidemark_Get_first_block_tag, transfer->base) &&
              pb_encode_tag(&out, PB_WT_64BIT, tidemark_Get_wanted_tag) && pb_encode_fixed64(&out, &wanted) &&
              put_u64(&out, tidemark_Get_credit_tag, credit);
    return ok ? tde_seal_send(core, TDE_UP_GET, head, out.bytes_written) : TDE_LIMIT;
}

int tde_death(tde_core *public_core, char *topic, size_t topic_size, uint8_t *payload, size_t payload_size,
              size_t *size_out)
{
    tde *core = tde_of(public_core);
    size_t head;
    pb_ostream_t out = open_stream(core, TDE_UP_DEATH, &head);
    if (!put_u64(&out, tidemark_Death_boot_id_tag, core->boot_id)) {
        return TDE_LIMIT;
    }
    size_t size = out.bytes_written + TDE_MAC_SIZE;
    if (head > topic_size || size > payload_size) {
        return TDE_LIMIT;
    }
    int rc = tde_seal(core, head, out.bytes_written);
    if (rc != TDE_OK) {
        return rc;
    }
    memcpy(topic, core->memory.work, head);
    memcpy(payload, core->memory.work + head, size);
    *size_out = size;
    return TDE_OK;
}

/* ---- Reports ---- */

typedef struct facts {
    uint64_t directive_sequence;
    const char *slot;
    const uint8_t *digest;
    int state, reason;
    uint64_t done, total;
} facts;

static bool put_report(tde *core, pb_ostream_t *out, const facts *of)
{
    uint64_t clock = core->ports.world.unix_ms(core->ports.world.context);
    uint64_t elapsed = core->accepted_at != 0 ? core->now - core->accepted_at : 0;
    return put_u64(out, tidemark_Report_directive_sequence_tag, of->directive_sequence) &&
           put_text(out, tidemark_Report_slot_tag, of->slot) &&
           (of->digest == NULL || put_digest(out, tidemark_Report_manifest_digest_tag, of->digest)) &&
           put_u64(out, tidemark_Report_state_tag, (uint64_t)of->state) &&
           put_u64(out, tidemark_Report_reason_tag, (uint64_t)of->reason) &&
           put_u64(out, tidemark_Report_bytes_done_tag, of->done) &&
           put_u64(out, tidemark_Report_bytes_total_tag, of->total) && put_u64(out, tidemark_Report_at_ms_tag, clock) &&
           put_u64(out, tidemark_Report_elapsed_ms_tag, elapsed > UINT32_MAX ? UINT32_MAX : elapsed);
}

static int keep_report(tde *core, const facts *of)
{
    size_t room;
    uint8_t *body = tde_outbox_body(core, &room);
    pb_ostream_t out = pb_ostream_from_buffer(body, room);
    return put_report(core, &out, of) ? tde_outbox_keep(core, TDE_UP_REPORT, out.bytes_written) : TDE_LIMIT;
}

static facts facts_of(const tde *core, uint32_t index, int state, int reason)
{
    const tde_slot *slot = &core->record.slots[index];
    bool running = state == tidemark_DeviceState_STATE_COMMITTED;
    return (facts){.directive_sequence = slot->directive_sequence,
                   .slot = slot->name,
                   .digest = running ? slot->running : slot->candidate,
                   .state = state,
                   .reason = reason,
                   .done = tde_fetch_done(core, index),
                   .total = slot->total_size};
}

int tde_report_slot(tde *core, uint32_t index, int state, int reason)
{
    facts of = facts_of(core, index, state, reason);
    return keep_report(core, &of);
}

int tde_report_refusal(tde *core, uint64_t directive_sequence, int reason)
{
    facts of = {
        .directive_sequence = directive_sequence, .state = tidemark_DeviceState_STATE_REJECTED, .reason = reason};
    if (reason == tidemark_Reason_REASON_NONE) {
        of.state = tidemark_DeviceState_STATE_IDLE;
    }
    return keep_report(core, &of);
}

/* A hint for progress bars: sequence 0, not kept, lost without harm. */
void tde_report_progress(tde *core, uint32_t index)
{
    facts of = facts_of(core, index, core->record.slots[index].state, tidemark_Reason_REASON_NONE);
    size_t head;
    pb_ostream_t out = open_stream(core, TDE_UP_REPORT, &head);
    if (put_u64(&out, tidemark_Report_boot_id_tag, core->boot_id) && put_report(core, &out, &of)) {
        (void)tde_seal_send(core, TDE_UP_REPORT, head, out.bytes_written);
    }
}

/* The slot whose report is missing and came first, or -1. */
static int missing_report(const tde *core)
{
    int first = -1;
    for (uint32_t i = 0; i < core->record.slots_count; i++) {
        uint64_t sequence = core->record.slots[i].report_sequence;
        if (sequence >= core->outbox.next && (first < 0 || sequence < core->record.slots[first].report_sequence)) {
            first = (int)i;
        }
    }
    return first;
}

void tde_report_repair(tde *core)
{
    for (int i = missing_report(core); i >= 0; i = missing_report(core)) {
        tde_slot *slot = &core->record.slots[i];
        uint64_t sequence = core->outbox.next;
        if (tde_report_slot(core, (uint32_t)i, slot->state, slot->reason) != TDE_OK) {
            tde_say(core, TDE_LOG_ERROR, slot->name, "a report cannot be kept");
            return;
        }
        slot->report_sequence = sequence;
    }
}
