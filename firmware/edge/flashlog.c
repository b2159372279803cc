/*
 * flashlog.c: an append-only log of equal entries in two areas of flash: the newest valid entry counts.
 *
 * Entries fill one area, then the other is erased and filled in turn, so the newest entry is never in the area that is
 * being erased. An entry that a power cut tore fails its checksum and is passed over.
 * Entry: u32 magic, u32 sequence, u32 payload size, u32 CRC-32 of the twelve bytes before and the payload; payload.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "firmware/edge/parts.h"

#define MAGIC 0x6D656454u /* "Tdem" */

/* Checksum of a stored entry's header (without the sum) and payload. */
static int stored_crc(tde *core, uint32_t at, uint32_t payload, uint32_t *crc_out)
{
    const tde_state_port *state = &core->ports.state;
    uint8_t chunk[64];
    uint32_t crc = 0, done = 0, size = TDE_LOG_HEADER + payload;
    while (done < size) {
        uint32_t take = size - done < sizeof chunk ? size - done : (uint32_t)sizeof chunk;
        if (state->read(state->context, at + done, chunk, take) != TDE_OK) {
            return TDE_IO;
        }
        if (done == 0) {
            crc = tde_crc32(crc, chunk, TDE_LOG_HEADER - 4);
            crc = tde_crc32(crc, chunk + TDE_LOG_HEADER, take - TDE_LOG_HEADER);
        } else {
            crc = tde_crc32(crc, chunk, take);
        }
        done += take;
    }
    *crc_out = crc;
    return TDE_OK;
}

/* The sequence of a valid entry at `at`, or 0. */
static int probe(tde *core, uint32_t at, uint32_t entry, uint32_t *sequence_out)
{
    const tde_state_port *state = &core->ports.state;
    uint8_t header[TDE_LOG_HEADER];
    *sequence_out = 0;
    if (state->read(state->context, at, header, sizeof header) != TDE_OK) {
        return TDE_IO;
    }
    uint32_t payload = tde_get32(header + 8), crc;
    if (tde_get32(header) != MAGIC || payload > entry - TDE_LOG_HEADER) {
        return TDE_OK;
    }
    if (stored_crc(core, at, payload, &crc) != TDE_OK) {
        return TDE_IO;
    }
    if (crc == tde_get32(header + 12)) {
        *sequence_out = tde_get32(header + 4);
    }
    return TDE_OK;
}

int tde_log_open(tde *core, tde_log *log, uint32_t offset, uint32_t area, uint32_t payload)
{
    *log = (tde_log){.offset = offset,
                     .area = area,
                     .next = offset,
                     .entry = tde_round_up(TDE_LOG_HEADER + payload, core->ports.state.program_size)};
    for (uint32_t which = 0; which < 2; which++) {
        uint32_t start = offset + which * area;
        for (uint32_t at = start; at + log->entry <= start + area; at += log->entry) {
            uint32_t sequence;
            int rc = probe(core, at, log->entry, &sequence);
            if (rc != TDE_OK) {
                return rc;
            }
            if (sequence > log->sequence) {
                log->sequence = sequence;
                log->newest = at;
                log->next = at + log->entry;
            }
        }
    }
    return TDE_OK;
}

int tde_log_read(tde *core, const tde_log *log, void *payload, size_t size)
{
    const tde_state_port *state = &core->ports.state;
    if (log->sequence == 0) {
        return TDE_NOT_FOUND;
    }
    return state->read(state->context, log->newest + TDE_LOG_HEADER, payload, size) == TDE_OK ? TDE_OK : TDE_IO;
}

static bool is_erased(tde *core, uint32_t at, uint32_t size)
{
    const tde_state_port *state = &core->ports.state;
    uint8_t chunk[64];
    for (uint32_t done = 0; done < size;) {
        uint32_t take = size - done < sizeof chunk ? size - done : (uint32_t)sizeof chunk;
        if (state->read(state->context, at + done, chunk, take) != TDE_OK) {
            return false;
        }
        for (uint32_t i = 0; i < take; i++) {
            if (chunk[i] != 0xFF) {
                return false;
            }
        }
        done += take;
    }
    return true;
}

/* Finds room behind the newest entry, or else in the other area, which is erased for it. */
static int find_room(tde *core, tde_log *log, uint32_t *at_out)
{
    const tde_state_port *state = &core->ports.state;
    uint32_t which = log->sequence != 0 && log->newest >= log->offset + log->area ? 1 : 0;
    uint32_t end = log->offset + (which + 1) * log->area;
    for (uint32_t at = log->next; log->sequence != 0 && at + log->entry <= end; at += log->entry) {
        if (is_erased(core, at, log->entry)) {
            *at_out = at;
            return TDE_OK;
        }
    }
    uint32_t start = log->sequence == 0 ? log->offset : log->offset + (1 - which) * log->area;
    if (state->erase(state->context, start, log->area) != TDE_OK) {
        return TDE_IO;
    }
    *at_out = start;
    return TDE_OK;
}

int tde_log_append(tde *core, tde_log *log, uint8_t *entry)
{
    const tde_state_port *state = &core->ports.state;
    uint32_t at, payload = log->entry - TDE_LOG_HEADER;
    if (find_room(core, log, &at) != TDE_OK) {
        return TDE_IO;
    }
    tde_put32(entry, MAGIC);
    tde_put32(entry + 4, log->sequence + 1);
    tde_put32(entry + 8, payload);
    uint32_t crc = tde_crc32(0, entry, TDE_LOG_HEADER - 4);
    tde_put32(entry + 12, tde_crc32(crc, entry + TDE_LOG_HEADER, payload));
    if (state->program(state->context, at, entry, log->entry) != TDE_OK) {
        return TDE_IO;
    }
    log->sequence++;
    log->newest = at;
    log->next = at + log->entry;
    return TDE_OK;
}
