/*
 * fuzz_edge_keyset.c: any keyset, whoever signed it, must leave a keyset behind that makes sense.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/edge/edge_kit.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t message[EDGE_KIT_MAX + 256];
    sim *s = edge_kit_new();
    size_t length = edge_kit_message(s, data, size, "application/vnd.tidemark.keyset.v1", s->keys.root[0], message);
    uint32_t before = tde_keyset_version(&s->core);
    int rc = tde_trust_pin(&s->core, message, length);
    assert(rc == TDE_OK ? tde_keyset_version(&s->core) > before : tde_keyset_version(&s->core) == before);
    edge_kit_turn(s, 2);
    sim_free(s);
    return 0;
}
