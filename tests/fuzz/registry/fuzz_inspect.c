/*
 * fuzz_inspect.c: any bytes through the table of formats, archives and NumPy arrays included.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_inspection_done) td_inspection found = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_inspect_options options = {.name = "fuzz.bin"};
    td_err err;
    if (td_inspect(data, size, &options, &found, &err) != TD_OK) {
        return 0;
    }
    bool quarantined = found.facts != NULL && td_json_bool(found.facts, "quarantined", false);
    if (quarantined != (found.verdict != TD_VERDICT_NONE) ||
        (found.facts != NULL && td_json_canonical(found.facts, &text, &err) != TD_OK)) {
        __builtin_trap();
    }
    return 0;
}
