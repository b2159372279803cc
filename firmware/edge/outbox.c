/*
 * outbox.c: reports and windows, kept on flash until the server's receipt settles them.
 *
 * Sequences are dense and each message has the cell `sequence mod cells`: there is nothing to look up, and when the
 * outbox is full the newest message takes the place of the oldest. What a power cut tore was never sent; its sequence
 * is used again. Receipts move `settled` up; all messages above it are sent again in each session and by a back-off
 * timer. Cell: u32 magic, u32 body size, u64 sequence, u32 kind, u32 CRC of the body, u32 zero, u32 CRC of this header;
 * body.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pb_decode.h>
#include <pb_encode.h>
#include <string.h>

#include "firmware/edge/parts.h"

#define MAGIC 0x78656454u /* "Tdex" */
#define HEADER 32u
#define APPENDED 40u /* room for the fields that are appended when a message is kept */
#define SEND_AGAIN_MS 200u
#define SEND_STEP 4 /* messages a poll */

typedef struct cell {
    uint32_t size, kind, crc;
    uint64_t sequence;
} cell;

static uint32_t cell_at(const tde *core, uint64_t sequence)
{
    return core->outbox.offset + (uint32_t)(sequence % core->outbox.cells) * core->outbox.cell;
}

static int read_cell(tde *core, uint32_t at, cell *out)
{
    const tde_state_port *state = &core->ports.state;
    uint8_t raw[HEADER];
    if (state->read(state->context, at, raw, sizeof raw) != TDE_OK) {
        return TDE_IO;
    }
    if (tde_get32(raw) != MAGIC || tde_crc32(0, raw, HEADER - 4) != tde_get32(raw + 28)) {
        return TDE_NOT_FOUND;
    }
    out->size = tde_get32(raw + 4);
    out->sequence = tde_get64(raw + 8);
    out->kind = tde_get32(raw + 16);
    out->crc = tde_get32(raw + 20);
    bool sound =
        out->size <= core->config.outbox_cell + APPENDED && (out->kind == TDE_UP_REPORT || out->kind == TDE_UP_WINDOW);
    return sound ? TDE_OK : TDE_NOT_FOUND;
}

/* A torn message may have a whole header: look at the body too. */
static int check_body(tde *core, uint32_t at, const cell *header)
{
    const tde_state_port *state = &core->ports.state;
    uint8_t chunk[64];
    uint32_t crc = 0;
    for (uint32_t done = 0; done < header->size;) {
        uint32_t take = header->size - done < sizeof chunk ? header->size - done : (uint32_t)sizeof chunk;
        if (state->read(state->context, at + HEADER + done, chunk, take) != TDE_OK) {
            return TDE_IO;
        }
        crc = tde_crc32(crc, chunk, take);
        done += take;
    }
    return crc == header->crc ? TDE_OK : TDE_NOT_FOUND;
}

int tde_outbox_open(tde *core, uint32_t offset, uint32_t size)
{
    tde_outbox *box = &core->outbox;
    uint32_t unit = tde_round_up(core->config.outbox_cell + HEADER + APPENDED, core->ports.state.erase_size);
    *box = (tde_outbox){.offset = offset, .cell = unit, .cells = size / unit, .next = 1};
    box->backoff_ms = TDE_RECEIPT_FIRST_MS;
    if (box->cells < 4) {
        return TDE_LIMIT;
    }
    for (uint32_t i = 0; i < box->cells; i++) {
        cell header;
        int rc = read_cell(core, offset + i * unit, &header);
        bool newer = rc == TDE_OK && header.sequence % box->cells == i && header.sequence >= box->next;
        if (newer) {
            rc = check_body(core, offset + i * unit, &header);
        }
        if (rc == TDE_IO) {
            return rc;
        }
        if (newer && rc == TDE_OK) {
            box->next = header.sequence + 1;
        }
    }
    return TDE_OK;
}

uint64_t tde_outbox_oldest(const tde *core)
{
    return core->outbox.settled + 1;
}

uint8_t *tde_outbox_body(tde *core, size_t *room_out)
{
    *room_out = core->config.outbox_cell;
    return core->memory.work + HEADER;
}

static bool put_field(pb_ostream_t *out, uint32_t tag, uint64_t value)
{
    return value == 0 || (pb_encode_tag(out, PB_WT_VARINT, tag) && pb_encode_varint(out, value));
}

/* Appends what the outbox knows: in Protocol Buffers the order of fields is free. */
static bool append_fields(tde *core, tde_uplink kind, uint8_t *at, size_t *size)
{
    pb_ostream_t out = pb_ostream_from_buffer(at + *size, APPENDED);
    bool ok;
    if (kind == TDE_UP_WINDOW) {
        ok = put_field(&out, tidemark_Window_sequence_tag, core->outbox.next) &&
             put_field(&out, tidemark_Window_boot_id_tag, core->boot_id) &&
             put_field(&out, tidemark_Window_dropped_tag, core->outbox.dropped);
    } else {
        ok = put_field(&out, tidemark_Report_sequence_tag, core->outbox.next) &&
             put_field(&out, tidemark_Report_boot_id_tag, core->boot_id);
    }
    *size += out.bytes_written;
    return ok;
}

static int write_cell(tde *core, tde_uplink kind, size_t size)
{
    const tde_state_port *state = &core->ports.state;
    uint8_t *work = core->memory.work;
    uint32_t at = cell_at(core, core->outbox.next);
    uint32_t whole = tde_round_up(HEADER + (uint32_t)size, state->program_size);
    memset(work, 0, HEADER);
    memset(work + HEADER + size, 0xFF, whole - HEADER - size);
    tde_put32(work, MAGIC);
    tde_put32(work + 4, (uint32_t)size);
    tde_put64(work + 8, core->outbox.next);
    tde_put32(work + 16, (uint32_t)kind);
    tde_put32(work + 20, tde_crc32(0, work + HEADER, size));
    tde_put32(work + 28, tde_crc32(0, work, HEADER - 4));
    if (state->erase(state->context, at, core->outbox.cell) != TDE_OK) {
        return TDE_IO;
    }
    return state->program(state->context, at, work, whole);
}

int tde_outbox_keep(tde *core, tde_uplink kind, size_t size)
{
    tde_outbox *box = &core->outbox;
    if (!append_fields(core, kind, core->memory.work + HEADER, &size)) {
        return TDE_LIMIT;
    }
    /* The cell of the oldest message is about to go: say so before, since a failure below has lost it already. */
    if (box->next - box->settled > box->cells) {
        box->settled = box->next - box->cells;
        box->dropped++;
    }
    if (write_cell(core, kind, size) != TDE_OK) {
        return TDE_IO;
    }
    box->next++;
    core->busy = true;
    return TDE_OK;
}

int tde_outbox_add_window(tde_core *public_core, const uint8_t *window, size_t size)
{
    tde *core = tde_of(public_core);
    size_t room;
    uint8_t *body = tde_outbox_body(core, &room);
    if (size > room) {
        return TDE_LIMIT;
    }
    tde_report_repair(core);
    memcpy(body, window, size);
    return tde_outbox_keep(core, TDE_UP_WINDOW, size);
}

/* Sends one message; TDE_NOT_FOUND: its cell is unreadable. */
static int send_one(tde *core, uint64_t sequence)
{
    const tde_state_port *state = &core->ports.state;
    uint32_t at = cell_at(core, sequence);
    cell header;
    int rc = read_cell(core, at, &header);
    if (rc != TDE_OK || header.sequence != sequence) {
        return rc == TDE_IO ? TDE_IO : TDE_NOT_FOUND;
    }
    tde_uplink kind = (tde_uplink)header.kind;
    size_t head = tde_topic(core, kind, (char *)core->memory.work);
    uint8_t *body = core->memory.work + head;
    if (state->read(state->context, at + HEADER, body, header.size) != TDE_OK) {
        return TDE_IO;
    }
    if (tde_crc32(0, body, header.size) != header.crc) {
        return TDE_NOT_FOUND;
    }
    pb_ostream_t out = pb_ostream_from_buffer(body + header.size, APPENDED);
    uint32_t tag = kind == TDE_UP_WINDOW ? tidemark_Window_oldest_kept_tag : tidemark_Report_oldest_kept_tag;
    if (!put_field(&out, tag, tde_outbox_oldest(core))) {
        return TDE_LIMIT;
    }
    return tde_seal_send(core, kind, head, header.size + out.bytes_written);
}

static void rewind_if_due(tde *core)
{
    tde_outbox *box = &core->outbox;
    if (box->cursor <= box->settled) {
        box->cursor = box->settled + 1;
    }
    if (box->cursor > box->settled + 1 && core->now >= box->resend_at) {
        box->cursor = box->settled + 1;
        box->resend_at = core->now + box->backoff_ms;
        box->backoff_ms = box->backoff_ms * 2 > TDE_RECEIPT_LAST_MS ? TDE_RECEIPT_LAST_MS : box->backoff_ms * 2;
    }
}

void tde_outbox_step(tde *core)
{
    tde_outbox *box = &core->outbox;
    tde_report_repair(core);
    if (!core->connected || core->now < box->send_at) {
        return;
    }
    rewind_if_due(core);
    for (int i = 0; i < SEND_STEP; i++) {
        if (box->cursor >= box->next || box->cursor > box->settled + TDE_OUTBOX_FLIGHT) {
            return;
        }
        int rc = send_one(core, box->cursor);
        bool lost = rc == TDE_NOT_FOUND || rc == TDE_LIMIT; /* unreadable on flash, or too large to be sent at all */
        if (lost && box->cursor == box->settled + 1) {
            box->settled++; /* `oldest_kept` of the next message tells the server */
            box->dropped++;
        } else if (rc != TDE_OK && !lost) {
            box->send_at = core->now + SEND_AGAIN_MS;
            return;
        }
        if (box->cursor == box->settled + 1) {
            box->resend_at = core->now + box->backoff_ms;
        }
        box->cursor++;
    }
    core->busy = true;
}

void tde_outbox_session(tde *core)
{
    core->outbox.cursor = core->outbox.settled + 1;
    core->outbox.backoff_ms = TDE_RECEIPT_FIRST_MS;
    core->outbox.resend_at = core->now + TDE_RECEIPT_FIRST_MS;
}

void tde_outbox_settle(tde *core, uint64_t settled)
{
    tde_outbox *box = &core->outbox;
    if (settled >= box->next) {
        settled = box->next - 1; /* a forged or foreign receipt settles no message that does not exist yet */
    }
    if (settled > box->settled) {
        box->settled = settled;
        box->backoff_ms = TDE_RECEIPT_FIRST_MS;
        box->resend_at = core->now + TDE_RECEIPT_FIRST_MS;
        core->busy = true;
    }
}

int tde_on_receipt(tde_core *public_core, const uint8_t *payload, size_t size)
{
    tde *core = tde_of(public_core);
    tidemark_Receipt receipt = tidemark_Receipt_init_zero;
    pb_istream_t in = pb_istream_from_buffer(payload, size);
    if (!pb_decode(&in, tidemark_Receipt_fields, &receipt)) {
        core->refused++;
        return TDE_INVALID;
    }
    tde_outbox_settle(core, receipt.settled);
    return TDE_OK;
}

void tde_outbox_get_status(const tde_core *public_core, tde_outbox_status *out)
{
    const tde_outbox *box = &tde_of_const(public_core)->outbox;
    *out = (tde_outbox_status){.next = box->next,
                               .settled = box->settled,
                               .dropped = box->dropped,
                               .kept = (uint32_t)(box->next - 1 - box->settled)};
}
