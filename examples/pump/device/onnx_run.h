/*
 * onnx_run.h: a small, honest ONNX runner: enough operators for a standardising multilayer perceptron, and a refusal by
 * name for everything else.
 *
 * Operators: Sub, Add, Mul, Div (with a constant vector or number), Gemm, MatMul (with a constant matrix), Relu,
 * Sigmoid, Identity. One input [N, features] of floats, one output; rows are run one at a time. All sizes are checked
 * when the file is read, so that running cannot fail. The reader is bounded: the file may come from anywhere.
 * Threads: a pump_onnx belongs to one thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_EXAMPLES_PUMP_ONNX_RUN_H
#define TD_EXAMPLES_PUMP_ONNX_RUN_H

#include "core/base/err.h"

#define PUMP_ONNX_FILE_MAX ((size_t)16 * 1024 * 1024)
#define PUMP_ONNX_NODES_MAX 64
#define PUMP_ONNX_TENSORS_MAX 64
#define PUMP_ONNX_WIDTH_MAX 4096 /* columns of any value */

typedef struct pump_onnx pump_onnx;

/* CORRUPT: not an ONNX file, or cut; INVALID: something that this runner lacks, named; LIMIT; NOMEM. The bytes are not
 * needed afterwards. */
TD_MUST_USE td_code pump_onnx_load(const void *data, size_t size, pump_onnx **out, td_err *err);
/* Reads a file, then as pump_onnx_load. */
TD_MUST_USE td_code pump_onnx_open(const char *path, pump_onnx **out, td_err *err);
void pump_onnx_free(pump_onnx **model); /* TD_CLEANUP */
size_t pump_onnx_inputs(const pump_onnx *model);
size_t pump_onnx_outputs(const pump_onnx *model);
/* One row: `in` has pump_onnx_inputs() values, `out` gets pump_onnx_outputs(). */
void pump_onnx_run(pump_onnx *model, const float *in, float *out);

#endif
