/*
 * fuzz_safetensors.c: any bytes as a safetensors file; what is accepted can be shown.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_facts_done) td_facts facts = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_view view = {.data = data, .size = size, .name = "fuzz.safetensors"};
    td_err err;
    if (td_facts_begin("safetensors", &facts, &err) == TD_OK && td_safetensors__read(&view, &facts, &err) == TD_OK &&
        td_facts_finish(&facts, view.name, &json, &err) == TD_OK && td_json_canonical(json, &text, &err) != TD_OK) {
        __builtin_trap();
    }
    return 0;
}
