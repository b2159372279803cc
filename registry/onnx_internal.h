/*
 * onnx_internal.h: the state of one walk through an ONNX file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_ONNX_INTERNAL_H
#define TD_REGISTRY_ONNX_INTERNAL_H

#include "registry/onnx.h"
#include "registry/proto.h"

#define TD_ONNX__FUNCTIONS_MAX 4096
#define TD_ONNX__INPUT_SLOTS 4096    /* power of two, at least twice TD_ONNX__INPUTS_MAX */
#define TD_ONNX__INPUTS_MAX 2048     /* whose names are compared with weights' */
#define TD_ONNX__OPERATOR_SLOTS 4096 /* power of two, at least twice TD_ONNX_OPERATORS_MAX */

/* Text inside the file: not yet copied. */
typedef struct td_onnx__text {
    const uint8_t *data;
    size_t size;
} td_onnx__text;

typedef struct td_onnx__input {
    td_onnx__text name; /* size 0: free */
    bool initializer;   /* a weight has this name: no real input */
} td_onnx__input;

typedef struct td_onnx__walk {
    const uint8_t *base; /* of the file, for offsets in messages */
    const td_inspect_options *options;
    td_arena *arena;
    td_onnx *out;
    td_err *err;
    int depth;                /* of graphs */
    uint16_t *operator_slots; /* index + 1 into out->operators */
    td_onnx__text *functions; /* pairs of domain and name */
    td_onnx__input *inputs;   /* hash table of the main graph's inputs; NULL before they are known */
} td_onnx__walk;

/* CORRUPT: "model.onnx: byte 123, field graph.node: …". */
td_code td_onnx__corrupt(const td_onnx__walk *walk, const uint8_t *at, const char *field, const char *problem);
/* The field must be bytes: opens them. */
td_code td_onnx__open(const td_onnx__walk *walk, const td_proto_field *field, const char *name, td_proto_reader *out);
/* To be called when a reader is done: CORRUPT if it failed. */
td_code td_onnx__end(const td_onnx__walk *walk, const td_proto_reader *reader, const char *name);
/* Copies text (UTF-8 without NUL, at most TD_ONNX_NAME_MAX). */
td_code td_onnx__text_copy(const td_onnx__walk *walk, const td_proto_field *field, const char *name, const char **out);
td_code td_onnx__number(const td_onnx__walk *walk, const td_proto_field *field, const char *name, int64_t *out);
bool td_onnx__same(td_onnx__text a, td_onnx__text b);
uint64_t td_onnx__hash(td_onnx__text a, td_onnx__text b);

/* The graph of the model: inputs, outputs, nodes, initializers. */
td_code td_onnx__graph(td_onnx__walk *walk, const td_proto_field *field);
/* One node (also of functions). */
td_code td_onnx__node(td_onnx__walk *walk, const td_proto_field *field);
/* An input or output. */
td_code td_onnx__port(td_onnx__walk *walk, const td_proto_field *field, td_onnx_port *out);
/* A tensor: checked always, counted as parameters if `counted`; its name (borrowed) in *name_out. */
td_code td_onnx__tensor(td_onnx__walk *walk, const td_proto_field *field, bool counted, td_onnx__text *name_out);
const char *td_onnx__type_name(int64_t type); /* never NULL */

#endif
