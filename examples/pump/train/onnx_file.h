/*
 * onnx_file.h: the network as an ONNX file: written whole, and read back when it is one of ours.
 *
 * The graph is Sub, Div, Gemm, Relu, Gemm, Sigmoid from input "features" float [N,8] to output "score" float [N,1]
 * (IR version 8, opset 13): any ONNX runtime computes what mlp_score computes.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_EXAMPLES_PUMP_ONNX_FILE_H
#define TD_EXAMPLES_PUMP_ONNX_FILE_H

#include "core/base/str.h"
#include "examples/pump/train/mlp.h"

/* Appends the bytes of the file. `seed` goes into the metadata. */
TD_MUST_USE td_code onnx_file_write(const mlp *model, uint64_t seed, td_str *out, td_err *err);
/* Takes the weights out of a file that onnx_file_write made. INVALID: another graph; CORRUPT: cut or broken. */
TD_MUST_USE td_code onnx_file_read(const void *data, size_t size, mlp *out, td_err *err);

#endif
