/*
 * tflite_internal.h: the state of one walk through a TFLite file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_TFLITE_INTERNAL_H
#define TD_REGISTRY_TFLITE_INTERNAL_H

#include "registry/flatbuf.h"
#include "registry/inspect_internal.h"

typedef struct td_tflite__walk {
    td_flatbuf fb;
    const td_view *view;
    td_facts *facts;
    td_err *err;
    td_fb_vector opcodes, subgraphs, buffers;
    uint32_t *counts; /* operators by their kind */
    uint8_t *seen;    /* bits: buffers whose weights are counted */
    uint64_t nodes, tensors, parameters, parameter_bytes;
    uint64_t arena_bytes, variable_bytes;
    bool float_activations, int8_activations, uint8_activations, int16_activations;
    bool quantized_weights, int4_weights, float16_weights, dynamic;
} td_tflite__walk;

typedef struct td_tflite__tensor {
    int64_t type;
    td_text name;
    td_fb_vector shape, signature;
    uint64_t elements, bytes; /* bytes: as the shape says; 0 when its size is not fixed */
    uint64_t buffer;          /* index */
    td_text data;             /* weights; size 0: none */
    bool constant, variable, quantized, sparse;
} td_tflite__tensor;

/* False: there is none (fb.failed set), or the file is broken. */
bool td_tflite__tensor_at(td_tflite__walk *walk, td_fb_vector tensors, size_t index, td_tflite__tensor *out);
/* The bytes of a buffer, inside the file. */
td_text td_tflite__buffer(td_tflite__walk *walk, uint64_t index);
/* All tensors and operators of a graph: counted and checked. */
void td_tflite__subgraph(td_tflite__walk *walk, const td_fb_table *graph);
/* What the whole amounts to: counts, quantisation, the least arena. */
void td_tflite__sum_up(td_tflite__walk *walk);

#endif
