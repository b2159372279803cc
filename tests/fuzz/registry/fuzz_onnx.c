/*
 * fuzz_onnx.c: any bytes as an ONNX file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect_internal.h"
#include "registry/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const files[] = {"weights.bin", NULL};
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_facts_done) td_facts facts = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_inspect_options options = {.name = "fuzz.onnx", .files = files};
    td_onnx onnx;
    td_err err;
    if (td_onnx_read(data, size, &options, &arena, &onnx, &err) != TD_OK ||
        td_facts_begin("onnx", &facts, &err) != TD_OK) {
        return 0;
    }
    td_onnx_facts(&onnx, &facts);
    if (td_facts_finish(&facts, "fuzz.onnx", &json, &err) == TD_OK && td_json_canonical(json, &text, &err) != TD_OK) {
        __builtin_trap(); /* what was accepted can be shown */
    }
    return 0;
}
