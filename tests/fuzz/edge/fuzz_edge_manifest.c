/*
 * fuzz_edge_manifest.c: any manifest that a directive names, fetched over the wire; files go nowhere but into the slot.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/edge/edge_kit.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sim_version version;
    sim *s = edge_kit_new();
    memset(&version, 0, sizeof version);
    version.envelope_size = edge_kit_message(s, data, size < 3500 ? size : 3500, "application/vnd.tidemark.manifest.v1",
                                             s->keys.approver[0], version.envelope);
    if (version.envelope_size > 0) {
        size_t payload = size > 1 ? (size < 3500 ? size : 3500) - 1 : 0;
        td_sha256_of(data + (size > 0), payload, version.manifest_digest);
        memcpy(version.envelope_digest, sim_add_content(s, version.envelope, version.envelope_size)->digest,
               TDE_DIGEST_SIZE);
        version.total_size = 1u << 24;
        sim_make_directive(s, &(sim_directive_options){.sequence = 1, .version = &version});
        (void)tde_on_directive(&s->core, s->directive, s->directive_size);
        edge_kit_turn(s, 12);
    }
    sim_free(s);
    return 0;
}
