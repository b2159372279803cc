/*
 * onnx_parse.c: see onnx_parse.h. ONNX is Protocol Buffers: a reader that cannot pass the end of its message walks the
 * fields; unknown ones are skipped. Field numbers: onnx.proto, IR version 3 and later.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/device/onnx_parse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };
enum { ONNX_FLOAT = 1 };

typedef struct span {
    const uint8_t *at, *end;
} span;

typedef struct wire_field {
    unsigned number, wire;
    uint64_t value; /* varint, or the bits of a fixed one */
    span bytes;     /* WIRE_BYTES */
} wire_field;

bool onnx_same(onnx_name a, onnx_name b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.text, b.text, a.length) == 0);
}

bool onnx_is(onnx_name name, const char *text)
{
    return onnx_same(name, (onnx_name){text, strlen(text)});
}

static bool varint(span *from, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && from->at < from->end; shift += 7) {
        uint8_t byte = *from->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool fixed(span *from, size_t size, uint64_t *out)
{
    if ((size_t)(from->end - from->at) < size) {
        return false;
    }
    *out = 0;
    for (size_t i = size; i > 0; i--) {
        *out = *out << 8 | from->at[i - 1];
    }
    from->at += size;
    return true;
}

/* 1: a field, 0: the end, -1: broken. */
static int next_field(span *from, wire_field *out)
{
    uint64_t tag, length;
    if (from->at == from->end) {
        return 0;
    }
    if (!varint(from, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) {
        return -1;
    }
    *out = (wire_field){.number = (unsigned)(tag >> 3), .wire = (unsigned)(tag & 7)};
    switch (out->wire) {
    case WIRE_VARINT:
        return varint(from, &out->value) ? 1 : -1;
    case WIRE_64:
        return fixed(from, 8, &out->value) ? 1 : -1;
    case WIRE_32:
        return fixed(from, 4, &out->value) ? 1 : -1;
    case WIRE_BYTES:
        if (!varint(from, &length) || length > (uint64_t)(from->end - from->at)) {
            return -1;
        }
        out->bytes = (span){from->at, from->at + length};
        from->at += length;
        return 1;
    default:
        return -1;
    }
}

static onnx_name as_name(const wire_field *field)
{
    return (onnx_name){(const char *)field->bytes.at, (size_t)(field->bytes.end - field->bytes.at)};
}

static float as_float(uint64_t bits)
{
    uint32_t narrow = (uint32_t)bits;
    float value;
    memcpy(&value, &narrow, sizeof value);
    return value;
}

static td_code broken(td_err *err, const char *what)
{
    return td_fail(err, TD_CORRUPT, "not a whole ONNX file: %s", what);
}

/* Walks a message: `visit` gets each field. */
typedef td_code (*visit_fn)(void *context, const wire_field *field, td_err *err);

static td_code walk(span message, visit_fn visit, void *context, const char *what, td_err *err)
{
    wire_field field;
    int result;
    while ((result = next_field(&message, &field)) > 0) {
        TD_TRY(visit(context, &field, err));
    }
    return result == 0 ? TD_OK : broken(err, what);
}

/* ---- Tensors ------------------------------------------------------------------------------------------------------
 */

typedef struct tensor_parts {
    onnx_name name;
    uint64_t dims[2];
    size_t dim_count;
    uint64_t type;
    span raw, floats;
    bool has_raw, has_floats, elsewhere;
} tensor_parts;

static td_code add_dim(tensor_parts *parts, uint64_t dim, td_err *err)
{
    if (parts->dim_count == 2) {
        return td_fail(err, TD_INVALID, "a constant with more than two dimensions");
    }
    parts->dims[parts->dim_count++] = dim;
    return TD_OK;
}

static td_code visit_tensor(void *context, const wire_field *field, td_err *err)
{
    tensor_parts *parts = context;
    if (field->number == 1 && field->wire == WIRE_VARINT) {
        return add_dim(parts, field->value, err);
    }
    if (field->number == 1 && field->wire == WIRE_BYTES) {
        span packed = field->bytes;
        uint64_t dim;
        while (packed.at < packed.end) {
            TD_TRY(varint(&packed, &dim) ? add_dim(parts, dim, err) : broken(err, "dims"));
        }
    } else if (field->number == 2 && field->wire == WIRE_VARINT) {
        parts->type = field->value;
    } else if (field->number == 4 && field->wire == WIRE_BYTES) {
        parts->floats = field->bytes;
        parts->has_floats = true;
    } else if (field->number == 8 && field->wire == WIRE_BYTES) {
        parts->name = as_name(field);
    } else if (field->number == 9 && field->wire == WIRE_BYTES) {
        parts->raw = field->bytes;
        parts->has_raw = true;
    } else if (field->number == 13 || (field->number == 14 && field->value != 0)) {
        parts->elsewhere = true;
    }
    return TD_OK;
}

static int shown(onnx_name name)
{
    return (int)(name.length < 60 ? name.length : 60);
}

static td_code take_values(onnx_tensor *tensor, span bytes, td_err *err)
{
    size_t count = tensor->rows * tensor->columns;
    if ((size_t)(bytes.end - bytes.at) != count * 4) {
        return td_fail(err, TD_CORRUPT, "constant %.*s: %zu bytes for %zu floats", shown(tensor->name),
                       tensor->name.text, (size_t)(bytes.end - bytes.at), count);
    }
    tensor->values = malloc(count * sizeof *tensor->values);
    if (tensor->values == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a constant of %zu floats", count);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = 0;
        (void)fixed(&bytes, 4, &bits);
        tensor->values[i] = as_float(bits);
        if (!isfinite(tensor->values[i])) {
            return td_fail(err, TD_CORRUPT, "constant %.*s: value %zu is not a finite number", shown(tensor->name),
                           tensor->name.text, i);
        }
    }
    return TD_OK;
}

static td_code add_tensor(onnx_graph *graph, const wire_field *field, td_err *err)
{
    tensor_parts parts = {0};
    TD_TRY(walk(field->bytes, visit_tensor, &parts, "a constant", err));
    if (graph->tensor_count == PUMP_ONNX_TENSORS_MAX) {
        return td_fail(err, TD_LIMIT, "more than %d constants", PUMP_ONNX_TENSORS_MAX);
    }
    if (parts.type != ONNX_FLOAT || parts.elsewhere || parts.has_raw == parts.has_floats) {
        return td_fail(err, TD_INVALID, "constant %.*s: only 32-bit floats inside the file are taken",
                       shown(parts.name), parts.name.text);
    }
    onnx_tensor *tensor = &graph->tensors[graph->tensor_count];
    uint64_t rows = parts.dim_count == 2 ? parts.dims[0] : 1;
    uint64_t columns = parts.dim_count > 0 ? parts.dims[parts.dim_count - 1] : 1;
    if (rows < 1 || columns < 1 || rows > PUMP_ONNX_WIDTH_MAX || columns > PUMP_ONNX_WIDTH_MAX) {
        return td_fail(err, TD_LIMIT, "constant %.*s: a side outside 1 to %d", shown(parts.name), parts.name.text,
                       PUMP_ONNX_WIDTH_MAX);
    }
    *tensor = (onnx_tensor){
        .name = parts.name, .rows = (size_t)rows, .columns = (size_t)columns, .matrix = parts.dim_count == 2};
    graph->tensor_count++;
    return take_values(tensor, parts.has_raw ? parts.raw : parts.floats, err);
}

/* ---- Nodes --------------------------------------------------------------------------------------------------------
 */

typedef struct attribute_parts {
    onnx_name name;
    float number;
    uint64_t integer;
} attribute_parts;

static td_code visit_attribute(void *context, const wire_field *field, td_err *err)
{
    attribute_parts *parts = context;
    (void)err;
    if (field->number == 1 && field->wire == WIRE_BYTES) {
        parts->name = as_name(field);
    } else if (field->number == 2 && field->wire == WIRE_32) {
        parts->number = as_float(field->value);
    } else if (field->number == 3 && field->wire == WIRE_VARINT) {
        parts->integer = field->value;
    }
    return TD_OK;
}

static td_code add_attribute(onnx_node *node, const wire_field *field, td_err *err)
{
    attribute_parts parts = {0};
    TD_TRY(walk(field->bytes, visit_attribute, &parts, "an attribute", err));
    if (onnx_is(parts.name, "alpha")) {
        node->alpha = parts.number;
    } else if (onnx_is(parts.name, "beta")) {
        node->beta = parts.number;
    } else if (onnx_is(parts.name, "transA")) {
        node->transpose_a = parts.integer != 0;
    } else if (onnx_is(parts.name, "transB")) {
        node->transpose_b = parts.integer != 0;
    } else {
        return td_fail(err, TD_INVALID, "attribute %.*s is not known to this runner", shown(parts.name),
                       parts.name.text);
    }
    return TD_OK;
}

static td_code visit_node(void *context, const wire_field *field, td_err *err)
{
    onnx_node *node = context;
    if (field->wire != WIRE_BYTES) {
        return TD_OK;
    }
    if (field->number == 1) {
        if (node->input_count == ONNX_NODE_INPUTS_MAX) {
            return td_fail(err, TD_INVALID, "a node with more than %d inputs", ONNX_NODE_INPUTS_MAX);
        }
        node->inputs[node->input_count++] = as_name(field);
    } else if (field->number == 2) {
        if (node->output.length > 0) {
            return td_fail(err, TD_INVALID, "a node with more than one output");
        }
        node->output = as_name(field);
    } else if (field->number == 4) {
        node->type = as_name(field);
    } else if (field->number == 5) {
        return add_attribute(node, field, err);
    } else if (field->number == 7 && field->bytes.at != field->bytes.end) {
        onnx_name domain = as_name(field);
        return td_fail(err, TD_INVALID, "operators of domain %.*s are not known to this runner", shown(domain),
                       domain.text);
    }
    return TD_OK;
}

static td_code add_node(onnx_graph *graph, const wire_field *field, td_err *err)
{
    if (graph->node_count == PUMP_ONNX_NODES_MAX) {
        return td_fail(err, TD_LIMIT, "more than %d nodes", PUMP_ONNX_NODES_MAX);
    }
    onnx_node node = {.alpha = 1.0f, .beta = 1.0f};
    TD_TRY(walk(field->bytes, visit_node, &node, "a node", err));
    if (node.type.length == 0 || node.output.length == 0 || node.input_count == 0) {
        return td_fail(err, TD_CORRUPT, "a node without operator, input or output");
    }
    graph->nodes[graph->node_count++] = node;
    return TD_OK;
}

/* ---- Inputs and outputs -------------------------------------------------------------------------------------------
 */

typedef struct value_parts {
    onnx_name name;
    uint64_t type, width;
    size_t dims;
} value_parts;

static td_code visit_dim(void *context, const wire_field *field, td_err *err)
{
    value_parts *parts = context;
    (void)err;
    parts->width = field->number == 1 && field->wire == WIRE_VARINT ? field->value : parts->width;
    return TD_OK;
}

static td_code visit_shape(void *context, const wire_field *field, td_err *err)
{
    value_parts *parts = context;
    if (field->number != 1 || field->wire != WIRE_BYTES) {
        return TD_OK;
    }
    parts->dims++;
    parts->width = 0; /* the last dimension's, 0 if it has a name instead */
    return walk(field->bytes, visit_dim, parts, "a dimension", err);
}

static td_code visit_tensor_type(void *context, const wire_field *field, td_err *err)
{
    value_parts *parts = context;
    if (field->number == 1 && field->wire == WIRE_VARINT) {
        parts->type = field->value;
    } else if (field->number == 2 && field->wire == WIRE_BYTES) {
        return walk(field->bytes, visit_shape, parts, "a shape", err);
    }
    return TD_OK;
}

static td_code visit_type(void *context, const wire_field *field, td_err *err)
{
    bool tensor = field->number == 1 && field->wire == WIRE_BYTES;
    return tensor ? walk(field->bytes, visit_tensor_type, context, "a type", err) : TD_OK;
}

static td_code visit_value(void *context, const wire_field *field, td_err *err)
{
    value_parts *parts = context;
    if (field->number == 1 && field->wire == WIRE_BYTES) {
        parts->name = as_name(field);
    } else if (field->number == 2 && field->wire == WIRE_BYTES) {
        return walk(field->bytes, visit_type, parts, "a type", err);
    }
    return TD_OK;
}

/* ---- Graph and model ----------------------------------------------------------------------------------------------
 */

static bool is_constant(const onnx_graph *graph, onnx_name name)
{
    for (size_t i = 0; i < graph->tensor_count; i++) {
        if (onnx_same(graph->tensors[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Old files list their constants as inputs too; constants come first, so they are known here. */
static td_code add_input(onnx_graph *graph, const wire_field *field, td_err *err)
{
    value_parts parts = {0};
    TD_TRY(walk(field->bytes, visit_value, &parts, "an input", err));
    if (is_constant(graph, parts.name)) {
        return TD_OK;
    }
    if (graph->input.length > 0) {
        return td_fail(err, TD_INVALID, "more than one input");
    }
    if (parts.type != ONNX_FLOAT || parts.dims != 2 || parts.width < 1 || parts.width > PUMP_ONNX_WIDTH_MAX) {
        return td_fail(err, TD_INVALID, "input %.*s: expected floats [N, 1 to %d]", shown(parts.name), parts.name.text,
                       PUMP_ONNX_WIDTH_MAX);
    }
    graph->input = parts.name;
    graph->input_width = (size_t)parts.width;
    return TD_OK;
}

static td_code add_output(onnx_graph *graph, const wire_field *field, td_err *err)
{
    value_parts parts = {0};
    TD_TRY(walk(field->bytes, visit_value, &parts, "an output", err));
    if (graph->output.length > 0) {
        return td_fail(err, TD_INVALID, "more than one output");
    }
    graph->output = parts.name;
    return TD_OK;
}

static td_code visit_graph(void *context, const wire_field *field, td_err *err)
{
    onnx_graph *graph = context;
    if (field->wire != WIRE_BYTES) {
        return TD_OK;
    }
    switch (field->number) {
    case 1:
        return add_node(graph, field, err);
    case 5:
        return add_tensor(graph, field, err);
    case 11:
        return add_input(graph, field, err);
    case 12:
        return add_output(graph, field, err);
    default:
        return TD_OK;
    }
}

static td_code visit_model(void *context, const wire_field *field, td_err *err)
{
    onnx_graph *graph = context;
    if (field->number != 7 || field->wire != WIRE_BYTES) {
        return TD_OK;
    }
    return graph->node_count == 0 ? walk(field->bytes, visit_graph, graph, "the graph", err)
                                  : td_fail(err, TD_CORRUPT, "two graphs in one file");
}

td_code onnx_parse(const void *data, size_t size, onnx_graph *out, td_err *err)
{
    span file = {data, (const uint8_t *)data + size};
    TD_TRY(walk(file, visit_model, out, "the file", err));
    if (out->node_count == 0 || out->input.length == 0 || out->output.length == 0) {
        return td_fail(err, TD_CORRUPT, "not an ONNX model: no graph with nodes, an input and an output");
    }
    return TD_OK;
}

void onnx_graph_done(onnx_graph *graph)
{
    for (size_t i = 0; i < graph->tensor_count; i++) {
        free(graph->tensors[i].values);
    }
    graph->tensor_count = 0;
}
