/*
 * fuzz_modelsig.c: any bytes as model.sig.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/modelsig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_modelsig sig;
    td_err err;
    (void)!td_modelsig_read(data, size, &arena, &sig, &err);
    return 0;
}
