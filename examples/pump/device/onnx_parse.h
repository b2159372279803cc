/*
 * onnx_parse.h: the parts of an ONNX file that the runner looks at, as views into the file's bytes. Private to this
 * folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_EXAMPLES_PUMP_ONNX_PARSE_H
#define TD_EXAMPLES_PUMP_ONNX_PARSE_H

#include "core/base/err.h"
#include "examples/pump/device/onnx_run.h"

#define ONNX_NODE_INPUTS_MAX 3

typedef struct onnx_name {
    const char *text; /* not NUL-terminated */
    size_t length;
} onnx_name;

typedef struct onnx_tensor {
    onnx_name name;
    size_t rows, columns; /* a vector has one row */
    bool matrix;          /* two dimensions */
    float *values;        /* rows * columns, allocated */
} onnx_tensor;

typedef struct onnx_node {
    onnx_name type;
    onnx_name inputs[ONNX_NODE_INPUTS_MAX];
    size_t input_count;
    onnx_name output;
    float alpha, beta;
    bool transpose_a, transpose_b;
} onnx_node;

typedef struct onnx_graph {
    onnx_node nodes[PUMP_ONNX_NODES_MAX];
    size_t node_count;
    onnx_tensor tensors[PUMP_ONNX_TENSORS_MAX];
    size_t tensor_count;
    onnx_name input, output;
    size_t input_width; /* the input's second dimension */
} onnx_graph;

/* Fills `out` (zeroed by the caller); free with onnx_graph_done also after a failure. */
td_code onnx_parse(const void *data, size_t size, onnx_graph *out, td_err *err);
void onnx_graph_done(onnx_graph *graph);
bool onnx_same(onnx_name a, onnx_name b);
bool onnx_is(onnx_name name, const char *text);

#endif
