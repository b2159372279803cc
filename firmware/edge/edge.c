/*
 * edge.c: the start of a boot, the one loop, and what arrives; the rest is behind it in its own files.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/edge/edge.h"

#include <pb_decode.h>
#include <string.h>

#include "firmware/edge/parts.h"

#define SERVER_TYPE "application/vnd.tidemark.server.v1"
#define PROGRESS_SIZE 40u

static bool is_power_of_two(uint32_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* Areas of the state: two of the record, two of the journal, then the outbox. */
static uint32_t record_area(const tde_state_port *state)
{
    return tde_round_up(tde_round_up(TDE_LOG_HEADER + TDE_RECORD_SIZE, state->program_size), state->erase_size);
}

static uint32_t journal_area(const tde_state_port *state)
{
    return tde_round_up(tde_round_up(TDE_LOG_HEADER + PROGRESS_SIZE, state->program_size), state->erase_size);
}

uint32_t tde_state_size(uint32_t erase_size, uint32_t program_size, uint32_t outbox_cell, uint32_t cells)
{
    tde_state_port state = {.erase_size = erase_size, .program_size = program_size};
    uint32_t cell = tde_round_up(outbox_cell + 72, erase_size);
    return 2 * record_area(&state) + 2 * journal_area(&state) + cells * cell;
}

static bool is_config_sound(const tde_config *config, const tde_memory *memory, const tde_state_port *state)
{
    size_t device = strlen(config->device), prefix = strlen(config->prefix);
    bool names = device >= 1 && device <= 64 && prefix >= 1 && prefix + device + 12 <= TDE_TOPIC_MAX &&
                 strlen(config->agent) <= 64 && strlen(config->hardware) <= 64 && config->runtimes_count <= 8;
    bool blocks = is_power_of_two(config->block_size) && config->block_size >= 512 && config->block_size <= 32768 &&
                  config->credit >= 1 && config->credit <= 64;
    bool sizes = config->outbox_cell >= 384 && memory->work_size >= TDE_WORK_MIN &&
                 memory->work_size >= (size_t)config->outbox_cell + 512 && memory->message_size >= 1024 &&
                 memory->directive_size >= 512;
    bool geometry = is_power_of_two(state->erase_size) && state->erase_size >= 256 &&
                    is_power_of_two(state->program_size) && state->program_size <= 64;
    return names && blocks && sizes && geometry && memory->work_size >= TDE_LOG_HEADER + TDE_RECORD_SIZE + 64;
}

static int open_state(tde *core)
{
    const tde_state_port *state = &core->ports.state;
    uint32_t record = record_area(state), journal = journal_area(state), fixed = 2 * record + 2 * journal;
    if (state->size < fixed) {
        return TDE_LIMIT;
    }
    int rc = tde_log_open(core, &core->records, 0, record, TDE_RECORD_SIZE);
    if (rc == TDE_OK) {
        rc = tde_log_open(core, &core->journal, 2 * record, journal, PROGRESS_SIZE);
    }
    return rc == TDE_OK ? tde_outbox_open(core, fixed, state->size - fixed) : rc;
}

/* Brings outbox and record together: the record may lag behind on what is settled, the outbox on what was lost. */
static void join_outbox(tde *core)
{
    tde_outbox *box = &core->outbox;
    box->settled = core->record.settled;
    box->dropped = core->record.dropped;
    if (box->next <= box->settled) {
        box->next = box->settled + 1;
    }
    if (box->next - 1 - box->settled > box->cells) {
        box->settled = box->next - 1 - box->cells;
    }
    tde_outbox_session(core);
}

int tde_start(tde_core *public_core, const tde_config *config, const tde_memory *memory, const tde_ports *ports)
{
    tde *core = tde_of(public_core);
    const tde_world_port *world = &ports->world;
    if (!is_config_sound(config, memory, &ports->state)) {
        return TDE_INVALID;
    }
    memset(core, 0, sizeof *core);
    core->config = *config;
    core->memory = *memory;
    core->ports = *ports;
    core->server_online = true;
    core->now = world->monotonic_ms(world->context);
    tde_fetch_forget(core);
    int rc = world->random(world->context, &core->boot_id, sizeof core->boot_id);
    if (rc == TDE_OK) {
        rc = world->random(world->context, &core->nonce, sizeof core->nonce);
    }
    if (rc == TDE_OK) {
        rc = world->random(world->context, &core->transfer_id, sizeof core->transfer_id);
    }
    if (rc == TDE_OK) {
        rc = open_state(core);
    }
    if (rc == TDE_OK) {
        rc = tde_record_load(core);
    }
    if (rc != TDE_OK && rc != TDE_NOT_FOUND) {
        return rc;
    }
    join_outbox(core);
    for (uint32_t i = 0; i < core->record.slots_count; i++) {
        tde_install_boot(core, i);
    }
    tde_report_repair(core);
    return TDE_OK;
}

/* ---- The loop ---- */

static bool is_fetching(int state)
{
    return state == tidemark_DeviceState_STATE_OFFERED || state == tidemark_DeviceState_STATE_DEFERRED ||
           state == tidemark_DeviceState_STATE_FETCHING || state == tidemark_DeviceState_STATE_PAUSED;
}

/* One slot at a time is fetched or verified: the first by index; all others step. */
static void step_slots(tde *core, bool keyset_first)
{
    bool taken = false;
    for (uint32_t i = 0; i < core->record.slots_count; i++) {
        int state = core->record.slots[i].state;
        bool content = is_fetching(state) || state == tidemark_DeviceState_STATE_VERIFYING;
        if (content && (taken || keyset_first)) {
            continue;
        }
        taken = taken || content;
        if (is_fetching(state)) {
            tde_fetch_step(core, i);
        } else {
            tde_install_step(core, i);
        }
    }
}

static uint32_t until(const tde *core, uint64_t at, uint32_t wait)
{
    if (at <= core->now) {
        return 0;
    }
    return at - core->now < wait ? (uint32_t)(at - core->now) : wait;
}

static uint32_t next_call(const tde *core)
{
    uint32_t wait = TDE_POLL_LAST_MS;
    if (core->busy) {
        return 0;
    }
    if (core->transfer.sink != TDE_SINK_NONE && core->connected && core->server_online) {
        wait = until(core, core->transfer.ask_at, wait);
    }
    const tde_outbox *box = &core->outbox;
    if (core->connected && box->next - 1 > box->settled) {
        bool to_send = box->cursor < box->next && box->cursor <= box->settled + TDE_OUTBOX_FLIGHT;
        wait = until(core, to_send ? box->send_at : box->resend_at, wait);
    }
    for (uint32_t i = 0; i < core->record.slots_count; i++) {
        bool at_rest = tde_machine_phase(core->record.slots[i].state) == TDE_PHASE_REST;
        if (!at_rest && wait > 1000) {
            wait = 1000; /* trials and retries are judged once a second */
        }
    }
    return wait;
}

uint32_t tde_poll(tde_core *public_core)
{
    tde *core = tde_of(public_core);
    core->now = core->ports.world.monotonic_ms(core->ports.world.context);
    core->busy = false;
    if (core->connected && core->birth_due && tde_send_birth(core) == TDE_OK) {
        core->birth_due = false;
        tde_outbox_session(core);
    }
    bool keyset_first = tde_directive_step(core);
    step_slots(core, keyset_first);
    tde_transfer_step(core);
    if (!core->birth_due) {
        tde_outbox_step(core);
    }
    uint32_t wait = next_call(core);
    return core->birth_due && core->connected && wait > 1000 ? 1000 : wait;
}

void tde_on_connected(tde_core *public_core)
{
    tde *core = tde_of(public_core);
    core->now = core->ports.world.monotonic_ms(core->ports.world.context);
    core->connected = true;
    core->birth_due = true;
    core->fetch.counted_at = core->now;
    core->transfer.ask_at = core->now;
    core->transfer.backoff_ms = TDE_RETRY_FIRST_MS;
}

void tde_on_disconnected(tde_core *public_core)
{
    tde_of(public_core)->connected = false;
}

int tde_on_block(tde_core *public_core, const uint8_t *payload, size_t size)
{
    tde *core = tde_of(public_core);
    core->now = core->ports.world.monotonic_ms(core->ports.world.context);
    return tde_transfer_block(core, payload, size);
}

int tde_on_server(tde_core *public_core, const uint8_t *payload, size_t size)
{
    tde *core = tde_of(public_core);
    tde_signed parsed;
    tidemark_ServerState state = tidemark_ServerState_init_zero;
    if (tde_signed_parse(payload, size, &parsed) != TDE_OK ||
        tde_signed_check(core, &parsed, SERVER_TYPE, &core->record.keyset, tidemark_Role_ROLE_DIRECTOR) != TDE_OK) {
        core->refused++;
        return TDE_CORRUPT;
    }
    pb_istream_t in = pb_istream_from_buffer(parsed.payload.data, parsed.payload.size);
    if (!pb_decode(&in, tidemark_ServerState_fields, &state)) {
        core->refused++;
        return TDE_INVALID;
    }
    if (state.epoch < core->server_epoch) {
        core->refused++;
        return TDE_DENIED; /* an old one, played again */
    }
    if (state.online && (state.epoch != core->server_epoch || state.now_ms != core->server_said_ms)) {
        core->server_said_ms = state.now_ms;
        core->birth_due = true; /* it has just subscribed: a birth before that was heard by nobody */
    }
    core->server_epoch = state.epoch;
    core->server_online = state.online;
    core->largest_block = state.largest_block;
    tde_time_seen(core, state.now_ms);
    core->busy = true;
    return TDE_OK;
}

void tde_set_checkpoint(tde_core *core, const uint8_t *text, size_t size)
{
    tde_of(core)->checkpoint = (tde_bytes){text, size <= 512 ? size : 0};
}

void tde_set_hold(tde_core *core, uint32_t hold)
{
    tde_of(core)->hold = hold;
}

/* ---- Applications ---- */

int tde_slot_attached(tde_core *public_core, const char *name)
{
    tde *core = tde_of(public_core);
    int index = tde_slot_find(core, name);
    if (index < 0 && !tde_is_slot_name(name)) {
        return TDE_INVALID;
    }
    if (index < 0) {
        index = tde_slot_add(core, name);
    }
    if (index < 0 || core->record.slots[index].attached) {
        return index < 0 ? index : TDE_OK;
    }
    core->record.slots[index].attached = 1;
    return tde_record_store(core);
}

int tde_slot_observed(tde_core *public_core, const char *name, const uint8_t *digest, uint32_t inferences,
                      uint32_t errors)
{
    tde *core = tde_of(public_core);
    int index = tde_slot_find(core, name);
    if (index < 0) {
        return TDE_NOT_FOUND;
    }
    const tde_slot *slot = &core->record.slots[index];
    tde_trial *trial = &core->trials[index];
    core->now = core->ports.world.monotonic_ms(core->ports.world.context);
    trial->renewed_at = core->now;
    if (digest != NULL && memcmp(digest, tde_slot_current(slot), TDE_DIGEST_SIZE) != 0) {
        return TDE_OK;
    }
    trial->renewed = true;
    trial->inferences = inferences > UINT32_MAX - trial->inferences ? UINT32_MAX : trial->inferences + inferences;
    trial->errors = errors > UINT32_MAX - trial->errors ? UINT32_MAX : trial->errors + errors;
    return TDE_OK;
}

size_t tde_slot_count(const tde_core *core)
{
    return tde_of_const(core)->record.slots_count;
}

int tde_slot_get(const tde_core *public_core, size_t index, tde_slot_view *out)
{
    const tde *core = tde_of_const(public_core);
    if (index >= core->record.slots_count) {
        return TDE_NOT_FOUND;
    }
    const tde_slot *slot = &core->record.slots[index];
    *out = (tde_slot_view){.name = slot->name,
                           .state = slot->state,
                           .reason = slot->reason,
                           .bytes_done = tde_fetch_done(core, (uint32_t)index),
                           .bytes_total = slot->total_size,
                           .directive_sequence = slot->directive_sequence,
                           .security_counter = slot->counter_floor,
                           .window_seconds = slot->window_seconds};
    memcpy(out->running, slot->running, TDE_DIGEST_SIZE);
    memcpy(out->previous, slot->previous, TDE_DIGEST_SIZE);
    memcpy(out->current, tde_slot_current(slot), TDE_DIGEST_SIZE);
    if (tde_machine_phase(slot->state) != TDE_PHASE_REST) {
        memcpy(out->candidate, slot->candidate, TDE_DIGEST_SIZE);
    }
    return TDE_OK;
}

void tde_get_status(const tde_core *public_core, tde_status *out)
{
    const tde *core = tde_of_const(public_core);
    uint32_t contact = core->record.contact_every_s;
    *out = (tde_status){.boot_id = core->boot_id,
                        .nonce = core->nonce,
                        .refused = core->refused,
                        .directive_sequence = core->record.directive_sequence,
                        .time_floor_ms = core->record.time_floor_ms,
                        .connected = core->connected,
                        .keyset_version = core->record.keyset.version,
                        .server_online = core->server_online,
                        .contact_every_s = contact != 0 ? contact : core->config.contact_every_s};
}
