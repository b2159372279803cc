/*
 * fuzz_onnx.c: any bytes as an ONNX file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const files[] = {"weights.bin", NULL};
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    td_onnx_options options = {.name = "fuzz.onnx", .files = files};
    td_onnx onnx;
    td_err err;
    if (td_onnx_read(data, size, &options, &arena, &onnx, &err) == TD_OK && td_onnx_json(&onnx, &json, &err) != TD_OK) {
        __builtin_trap(); /* what was accepted can be shown */
    }
    return 0;
}
