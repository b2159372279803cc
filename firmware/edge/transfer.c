/*
 * transfer.c: pulls one content object block by block: a 64-bit window, a credit, and back-off when nothing comes.
 *
 * The device asks; the server only ever sends what was asked for, within the credit. Whatever else arrives (another
 * transfer, outside the window, a wrong length, twice) is counted and thrown away. docs/device-core.md shows a Get.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "firmware/edge/parts.h"

#define BLOCK_HEADER 12u
#define SEND_AGAIN_MS 200u
enum { KIND_DATA = 0, KIND_DEFER = 1, KIND_REFUSED = 2 };

static uint32_t choose_block_size(const tde *core, uint32_t piece_size)
{
    uint32_t size = core->config.block_size;
    while (size > 512 && (size > piece_size || (core->largest_block != 0 && size > core->largest_block))) {
        size /= 2;
    }
    return size;
}

void tde_transfer_start(tde *core, tde_sink sink, const uint8_t *digest, uint64_t size, uint32_t piece_size,
                        uint32_t from_piece)
{
    tde_transfer *t = &core->transfer;
    *t = (tde_transfer){
        .sink = sink, .id = ++core->transfer_id, .size = size, .backoff_ms = TDE_RETRY_FIRST_MS, .ask_at = core->now};
    memcpy(t->digest, digest, TDE_DIGEST_SIZE);
    t->block_size = choose_block_size(core, piece_size);
    t->blocks = (uint32_t)((size + t->block_size - 1) / t->block_size);
    t->base = from_piece * (piece_size / t->block_size);
    core->busy = true;
}

void tde_transfer_stop(tde *core)
{
    core->transfer.sink = TDE_SINK_NONE;
}

bool tde_transfer_has(const tde_transfer *t, uint32_t block)
{
    return block < t->base || (block - t->base < 64 && (t->have >> (block - t->base) & 1u) != 0);
}

static uint64_t wanted_of(const tde_transfer *t)
{
    uint32_t left = t->blocks - t->base;
    uint64_t window = left >= 64 ? UINT64_MAX : ((uint64_t)1 << left) - 1;
    return window & ~t->have;
}

static uint32_t count_bits(uint64_t bits)
{
    uint32_t count = 0;
    for (; bits != 0; bits &= bits - 1) {
        count++;
    }
    return count;
}

/* Waits the back-off and a random quarter of it, then longer the next time. */
static void back_off(tde *core)
{
    tde_transfer *t = &core->transfer;
    uint32_t jitter = 0;
    (void)core->ports.world.random(core->ports.world.context, &jitter, sizeof jitter);
    t->ask_at = core->now + t->backoff_ms + jitter % (t->backoff_ms / 4 + 1);
    t->backoff_ms = t->backoff_ms * 2 > TDE_RETRY_LAST_MS ? TDE_RETRY_LAST_MS : t->backoff_ms * 2;
}

void tde_transfer_step(tde *core)
{
    tde_transfer *t = &core->transfer;
    if (t->sink == TDE_SINK_NONE || !core->connected || !core->server_online || core->now < t->ask_at) {
        return;
    }
    uint64_t wanted = wanted_of(t);
    uint32_t missing = count_bits(wanted);
    uint32_t credit = missing < core->config.credit ? missing : core->config.credit;
    if (tde_send_get(core, t, wanted, credit) != TDE_OK) {
        t->ask_at = core->now + SEND_AGAIN_MS;
        return;
    }
    t->expected = credit;
    back_off(core);
}

static void slide(tde_transfer *t)
{
    while ((t->have & 1u) != 0) {
        t->have >>= 1;
        t->base++;
    }
}

static void took(tde *core, uint32_t block)
{
    tde_transfer *t = &core->transfer;
    t->have |= (uint64_t)1 << (block - t->base);
    slide(t);
    t->expected -= t->expected > 0 ? 1 : 0;
    t->backoff_ms = TDE_RETRY_FIRST_MS;
    t->ask_at = t->expected == 0 ? core->now : core->now + TDE_RETRY_FIRST_MS;
    core->busy = true;
    if (t->base >= t->blocks) {
        tde_fetch_whole(core);
    }
}

static int take_data(tde *core, uint32_t block, const uint8_t *data, uint32_t length)
{
    tde_transfer *t = &core->transfer;
    if (!tde_fetch_budget(core, length)) {
        return TDE_DENIED;
    }
    if (block >= t->blocks || block < t->base || block - t->base >= 64 || tde_transfer_has(t, block)) {
        core->refused++;
        return TDE_DENIED;
    }
    uint64_t left = t->size - (uint64_t)block * t->block_size;
    if (length != (left < t->block_size ? left : t->block_size)) {
        core->refused++;
        return TDE_INVALID;
    }
    uint32_t id = t->id;
    int rc = tde_fetch_store(core, block, data, length);
    if (t->sink == TDE_SINK_NONE || t->id != id) {
        return rc; /* given up, or begun again */
    }
    if (rc == TDE_OK) {
        took(core, block);
    } else {
        back_off(core);
    }
    return rc;
}

int tde_transfer_block(tde *core, const uint8_t *payload, size_t size)
{
    tde_transfer *t = &core->transfer;
    if (size < BLOCK_HEADER || payload[11] != 0) {
        core->refused++;
        return TDE_INVALID;
    }
    uint32_t length = (uint32_t)payload[8] | (uint32_t)payload[9] << 8;
    if (length != size - BLOCK_HEADER) {
        core->refused++;
        return TDE_INVALID;
    }
    if (t->sink == TDE_SINK_NONE || tde_get32(payload) != t->id) {
        core->refused++;
        return TDE_DENIED;
    }
    if (payload[10] == KIND_DATA) {
        return take_data(core, tde_get32(payload + 4), payload + BLOCK_HEADER, length);
    }
    if (payload[10] == KIND_DEFER && length == 4) {
        uint32_t retry_ms = tde_get32(payload + BLOCK_HEADER);
        t->expected = 0;
        t->ask_at = core->now + (retry_ms < TDE_DEFER_MAX_MS ? retry_ms : TDE_DEFER_MAX_MS);
        return TDE_OK;
    }
    if (payload[10] == KIND_REFUSED) {
        tde_fetch_refused(core);
        return TDE_OK;
    }
    core->refused++;
    return TDE_INVALID;
}
