/*
 * pieces.c: the pieces of one file: which are asked for, how each is checked, when it counts.
 *
 * A piece that comes in one block is verified before it is written; one of several blocks is read back and verified
 * when its last block is here. Then it is synced, and only then marked in the journal.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "firmware/edge/parts.h"

static int hash_object(tde *core, const tde_object *object, uint64_t from, uint64_t size, uint8_t *digest)
{
    const tde_slots_port *slots = &core->ports.slots;
    const tde_world_port *world = &core->ports.world;
    tde_place place = tde_place_of(core, core->fetch.slot);
    int rc = world->hash_start(world->context);
    for (uint64_t done = 0; rc == TDE_OK && done < size;) {
        size_t take = size - done < core->memory.work_size ? (size_t)(size - done) : core->memory.work_size;
        rc = slots->read(slots->context, &place, object, from + done, core->memory.work, take);
        if (rc == TDE_OK) {
            rc = world->hash_update(world->context, core->memory.work, take);
        }
        done += take;
    }
    return rc == TDE_OK ? world->hash_finish(world->context, digest) : rc;
}

static int expected_digest(tde *core, uint32_t piece, uint8_t *digest)
{
    const tde_slots_port *slots = &core->ports.slots;
    tde_place place = tde_place_of(core, core->fetch.slot);
    tde_object table = tde_fetch_object(core, TDE_OBJECT_TABLE);
    if (core->fetch.file.pieces == 1) {
        memcpy(digest, core->fetch.file.digest, TDE_DIGEST_SIZE);
        return TDE_OK;
    }
    return slots->read(slots->context, &place, &table, (uint64_t)piece * TDE_DIGEST_SIZE, digest, TDE_DIGEST_SIZE);
}

static uint32_t blocks_a_piece(const tde *core)
{
    return core->fetch.file.piece_size / core->transfer.block_size;
}

/* Asks for what the journal does not have of the current file. */
void tde_pull_pieces(tde *core)
{
    const tde_progress *progress = &core->fetch.progress;
    const tde_file *file = &core->fetch.file;
    tde_transfer *t = &core->transfer;
    tde_transfer_start(core, TDE_SINK_FILE, file->digest, file->size, file->piece_size, progress->piece);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t ahead = (t->base + i) / blocks_a_piece(core) - progress->piece;
        if (ahead < 64 && (progress->pieces >> ahead & 1u) != 0) {
            t->have |= (uint64_t)1 << i;
        }
    }
    core->fetch.step = TDE_STEP_PULL;
}

int tde_file_done(tde *core)
{
    tde_progress *progress = &core->fetch.progress;
    progress->file++;
    progress->piece = 0;
    progress->pieces = 0;
    core->fetch.step = TDE_STEP_FILE;
    core->fetch.bad = 0;
    core->trials[core->fetch.slot].failures = 0;
    core->busy = true;
    return tde_progress_store(core);
}

/* The piece is verified and lies in the slot: sync it, then mark it. The mark of a file's last piece is its successor.
 */
static int piece_done(tde *core, uint32_t piece)
{
    const tde_slots_port *slots = &core->ports.slots;
    tde_progress *progress = &core->fetch.progress;
    tde_place place = tde_place_of(core, core->fetch.slot);
    tde_object object = tde_fetch_object(core, TDE_OBJECT_FILE);
    int rc = slots->sync(slots->context, &place, &object);
    if (rc != TDE_OK || piece < progress->piece || piece - progress->piece >= 64) {
        return rc != TDE_OK ? rc : TDE_INVALID;
    }
    core->fetch.bad = 0;
    progress->pieces |= (uint64_t)1 << (piece - progress->piece);
    while ((progress->pieces & 1u) != 0) {
        progress->pieces >>= 1;
        progress->piece++;
    }
    return progress->piece >= core->fetch.file.pieces ? tde_file_done(core) : tde_progress_store(core);
}

/* All blocks of the piece but possibly `block`, which is here now. */
static bool is_piece_whole(const tde *core, uint32_t piece, uint32_t block)
{
    const tde_transfer *t = &core->transfer;
    uint32_t first = piece * blocks_a_piece(core);
    for (uint32_t i = first; i < first + blocks_a_piece(core) && i < t->blocks; i++) {
        if (i != block && !tde_transfer_has(t, i)) {
            return false;
        }
    }
    return true;
}

static int wrong_piece(tde *core)
{
    tde_say(core, TDE_LOG_WARNING, core->record.slots[core->fetch.slot].name, "a piece does not match its digest");
    core->fetch.step = TDE_STEP_FILE; /* begins again at what the journal has */
    tde_fetch_bad(core);
    return TDE_CORRUPT;
}

static int store_file_block(tde *core, uint32_t block, const uint8_t *data, size_t size)
{
    const tde_slots_port *slots = &core->ports.slots;
    tde_place place = tde_place_of(core, core->fetch.slot);
    tde_object object = tde_fetch_object(core, TDE_OBJECT_FILE);
    const tde_file *file = &core->fetch.file;
    uint32_t piece = block / blocks_a_piece(core);
    uint64_t offset = (uint64_t)block * core->transfer.block_size;
    uint64_t start = (uint64_t)piece * file->piece_size;
    uint64_t length = file->size - start < file->piece_size ? file->size - start : file->piece_size;
    uint8_t want[TDE_DIGEST_SIZE], digest[TDE_DIGEST_SIZE];
    int rc = expected_digest(core, piece, want);
    if (rc == TDE_OK && size == length) { /* a whole piece: look before it is written */
        rc = tde_sha256(core, data, size, digest);
        if (rc == TDE_OK && memcmp(digest, want, TDE_DIGEST_SIZE) != 0) {
            return wrong_piece(core);
        }
    }
    if (rc == TDE_OK) {
        rc = slots->write(slots->context, &place, &object, offset, data, size);
    }
    if (rc != TDE_OK || !is_piece_whole(core, piece, block)) {
        return rc;
    }
    if (size != length) {
        rc = hash_object(core, &object, start, length, digest);
        if (rc == TDE_OK && memcmp(digest, want, TDE_DIGEST_SIZE) != 0) {
            return wrong_piece(core);
        }
    }
    return rc == TDE_OK ? piece_done(core, piece) : rc;
}

int tde_fetch_store(tde *core, uint32_t block, const uint8_t *data, size_t size)
{
    const tde_slots_port *slots = &core->ports.slots;
    uint64_t offset = (uint64_t)block * core->transfer.block_size;
    int rc = TDE_OK;
    if (core->transfer.sink == TDE_SINK_KEYSET || core->transfer.sink == TDE_SINK_ENVELOPE) {
        memcpy(core->memory.message + offset, data, size);
        return TDE_OK;
    }
    if (core->transfer.sink == TDE_SINK_TABLE) {
        tde_place place = tde_place_of(core, core->fetch.slot);
        tde_object object = tde_fetch_object(core, TDE_OBJECT_TABLE);
        rc = slots->write(slots->context, &place, &object, offset, data, size);
    } else {
        rc = store_file_block(core, block, data, size);
    }
    if (rc != TDE_OK && rc != TDE_CORRUPT) {
        tde_fetch_failed(core, rc);
    }
    return rc;
}

bool tde_table_is_good(tde *core)
{
    const tde_file *file = &core->fetch.file;
    tde_object table = tde_fetch_object(core, TDE_OBJECT_TABLE);
    uint8_t digest[TDE_DIGEST_SIZE];
    return hash_object(core, &table, 0, (uint64_t)file->pieces * TDE_DIGEST_SIZE, digest) == TDE_OK &&
           memcmp(digest, file->table_digest, TDE_DIGEST_SIZE) == 0;
}
