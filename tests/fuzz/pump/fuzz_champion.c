/*
 * fuzz_champion.c: any bytes as the champion's file: what is accepted can be scored.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/train/onnx_file.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mlp model;
    const float features[PUMP_FEATURES] = {1, 3, 4, 0.1f, 0.1f, 0.5f, 48, 1450};
    if (onnx_file_read(data, size, &model, NULL) == TD_OK) {
        assert(model.hidden >= 1 && model.hidden <= MLP_HIDDEN_MAX);
        (void)mlp_score(&model, features);
    }
    return 0;
}
