/*
 * fuzz_edge_block.c: any sequence of blocks, receipts and server states while a transfer waits for content.
 *
 * The input is a row of messages: one byte kind (0 … 2), one byte length / 8, bytes. Blocks get the transfer's
 * identifier (it is random, so no input could guess it) unless their first byte is 0xFF.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/edge/edge_kit.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(sim *s, uint8_t kind, const uint8_t *data, size_t size)
{
    uint8_t copy[8 * 256];
    memcpy(copy, data, size);
    if (kind == 0) {
        if (size >= 4 && copy[0] != 0xFF) {
            memcpy(copy, s->last_transfer, 4);
        }
        (void)tde_on_block(&s->core, copy, size);
    } else if (kind == 1) {
        (void)tde_on_receipt(&s->core, copy, size);
    } else {
        (void)tde_on_server(&s->core, copy, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sim_version version;
    sim *s = edge_kit_new();
    s->config.block_size = 512;
    sim_make_version(s, &(sim_version_options){.number = 1, .model_size = 9000, .seed = 1}, &version);
    sim_make_directive(s, &(sim_directive_options){.sequence = 1, .version = &version});
    (void)tde_on_directive(&s->core, s->directive, s->directive_size);
    s->mute = (size & 1) != 0; /* the envelope itself, or a file of it */
    edge_kit_turn(s, 6);
    s->mute = true;
    edge_kit_turn(s, 2);
    for (size_t at = 0; at + 2 <= size;) {
        size_t length = (size_t)data[at + 1] * 8;
        length = length < size - at - 2 ? length : size - at - 2;
        take(s, data[at] % 3, data + at + 2, length);
        (void)tde_poll(&s->core);
        at += 2 + length;
    }
    edge_kit_turn(s, 2);
    sim_free(s);
    return 0;
}
