/*
 * fuzz_pump_onnx.c: any bytes as a model file of the pump's runner; what loads must also run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/device/onnx_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float in[PUMP_ONNX_WIDTH_MAX], out[PUMP_ONNX_WIDTH_MAX];
    td_err err;
    TD_CLEANUP(pump_onnx_free) pump_onnx *model = NULL;
    if (pump_onnx_load(data, size, &model, &err) == TD_OK) {
        pump_onnx_run(model, in, out);
    }
    return 0;
}
