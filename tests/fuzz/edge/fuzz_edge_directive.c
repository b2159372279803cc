/*
 * fuzz_edge_directive.c: any directive, signed or not, must leave the device standing.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/edge/edge_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t message[EDGE_KIT_MAX + 256];
    sim *s = edge_kit_new();
    size_t length =
        edge_kit_message(s, data, size, "application/vnd.tidemark.directive.v1", s->keys.director[0], message);
    (void)tde_on_directive(&s->core, message, length);
    edge_kit_turn(s, 6);
    (void)tde_on_directive(&s->core, message, length);
    edge_kit_turn(s, 2);
    sim_free(s);
    return 0;
}
