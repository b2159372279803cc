/*
 * fuzz_manifest.c: any bytes as a manifest; what is accepted can be shown.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_manifest manifest;
    td_err err;
    if (td_manifest_read(data, size, &arena, &manifest, &err) == TD_OK &&
        td_manifest_text(data, size, &text, &err) != TD_OK) {
        __builtin_trap();
    }
    return 0;
}
