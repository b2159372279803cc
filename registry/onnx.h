/*
 * onnx.h: what an ONNX file says about itself, read without running or trusting any of it.
 *
 * A walk over the Protocol Buffers wire format (field numbers of onnx.proto3): every length is checked against the
 * bytes that are left before it is used, no allocation follows from an unchecked number, and each count has a limit.
 * Weights are never read, only measured. External data is refused unless it names one of the files that are registered
 * with the model.
 * Threads: any; no shared state.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_ONNX_H
#define TD_REGISTRY_ONNX_H

#include "core/base/arena.h"
#include "registry/inspect.h"

#define TD_ONNX_PORTS_MAX 1024     /* inputs or outputs that are listed */
#define TD_ONNX_DIMS_MAX 32        /* of one tensor */
#define TD_ONNX_OPERATORS_MAX 1024 /* distinct operators */
#define TD_ONNX_OPSETS_MAX 64
#define TD_ONNX_METADATA_MAX 256
#define TD_ONNX_TENSORS_MAX 1000000 /* initializers, nodes: a million each */
#define TD_ONNX_NODES_MAX 1000000
#define TD_ONNX_DEPTH_MAX 16 /* graphs inside graphs (If, Loop, Scan) */
#define TD_ONNX_TYPES 27     /* element types that are known */
#define TD_ONNX_NAME_MAX 512 /* bytes of a name that is kept; longer is refused */

typedef struct td_onnx_dim {
    int64_t size;       /* -1: not fixed */
    const char *symbol; /* name of a dimension that is not fixed, or NULL */
} td_onnx_dim;

typedef struct td_onnx_port {
    const char *name;
    const char
        *type; /* "float32", "int64", …; "sequence", "map", "optional", "sparse", "opaque" for what is no tensor */
    bool has_shape;
    size_t dim_count;
    const td_onnx_dim *dims;
} td_onnx_port;

typedef struct td_onnx_operator {
    const char *domain; /* "" is ai.onnx */
    const char *name;
    uint64_t count;
    bool custom; /* neither of ONNX's own domains nor a function that the file itself defines */
} td_onnx_operator;

typedef struct td_onnx_opset {
    const char *domain;
    int64_t version;
} td_onnx_opset;

typedef struct td_onnx_metadata {
    const char *key, *value;
} td_onnx_metadata;

typedef struct td_onnx {
    int64_t ir_version, model_version;
    const char *producer, *producer_version, *domain, *graph; /* never NULL */
    td_onnx_opset *opsets;
    td_onnx_port *inputs, *outputs; /* inputs without those that are initializers */
    td_onnx_operator *operators;    /* by falling count, then by name */
    td_onnx_metadata *metadata;
    size_t opset_count, input_count, output_count, operator_count, metadata_count;
    uint64_t node_count, tensor_count, function_count;
    uint64_t parameter_count, parameter_bytes; /* of initializers, subgraphs included */
    uint64_t type_counts[TD_ONNX_TYPES];       /* initializers by element type (td_onnx__type_name) */
    bool quantized, custom_operators, external_data, training;
} td_onnx;

/* Everything in *out lives in the arena.
 * INVALID: this is no ONNX file (the caller may register it as "opaque"). CORRUPT: it is one, but truncated or hostile;
 * the message names offset and field. LIMIT: one of the limits above. */
TD_MUST_USE td_code td_onnx_read(const void *data, size_t size, const td_inspect_options *options, td_arena *arena,
                                 td_onnx *out, td_err *err);
/* Does it begin as every writer begins one? */
bool td_onnx_looks(const void *data, size_t size);
/* Fills the facts. */
void td_onnx_facts(const td_onnx *onnx, td_facts *facts);

#endif
