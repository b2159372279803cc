/*
 * onnx_port.c: types and shapes of inputs and outputs of an ONNX graph (ValueInfoProto, TypeProto).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/onnx_internal.h"

static td_code read_dim(td_onnx__walk *walk, const td_proto_field *outer, td_onnx_dim *out)
{
    td_proto_reader reader;
    td_proto_field field;
    *out = (td_onnx_dim){.size = -1};
    TD_TRY(td_onnx__open(walk, outer, "type.shape.dim", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number == 1) {
            TD_TRY(td_onnx__number(walk, &field, "dim.dim_value", &out->size));
            out->size = out->size < 0 ? -1 : out->size; /* some writers put -1 for "any" */
        } else if (field.number == 2) {
            TD_TRY(td_onnx__text_copy(walk, &field, "dim.dim_param", &out->symbol));
        }
    }
    return td_onnx__end(walk, &reader, "type.shape.dim");
}

static td_code read_shape(td_onnx__walk *walk, const td_proto_field *outer, td_onnx_port *port)
{
    td_proto_reader reader;
    td_proto_field field;
    td_onnx_dim dims[TD_ONNX_DIMS_MAX];
    size_t count = 0;
    TD_TRY(td_onnx__open(walk, outer, "type.shape", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number != 1) {
            continue;
        }
        if (count == TD_ONNX_DIMS_MAX) {
            return td_fail(walk->err, TD_LIMIT, "%s: \"%.60s\" has more than %d dimensions", walk->options->name,
                           port->name, TD_ONNX_DIMS_MAX);
        }
        TD_TRY(read_dim(walk, &field, &dims[count]));
        count++;
    }
    TD_TRY(td_onnx__end(walk, &reader, "type.shape"));
    port->has_shape = true;
    port->dim_count = count;
    port->dims = td_arena_copy(walk->arena, dims, count > 0 ? count * sizeof dims[0] : 1);
    return port->dims != NULL ? TD_OK : td_fail(walk->err, TD_NOMEM, "no memory to read %s", walk->options->name);
}

static td_code read_tensor_type(td_onnx__walk *walk, const td_proto_field *outer, td_onnx_port *port)
{
    td_proto_reader reader;
    td_proto_field field;
    TD_TRY(td_onnx__open(walk, outer, "type.tensor_type", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number == 1) {
            int64_t type;
            TD_TRY(td_onnx__number(walk, &field, "tensor_type.elem_type", &type));
            port->type = td_onnx__type_name(type);
        } else if (field.number == 2) {
            TD_TRY(read_shape(walk, &field, port));
        }
    }
    return td_onnx__end(walk, &reader, "type.tensor_type");
}

static td_code read_type(td_onnx__walk *walk, const td_proto_field *outer, td_onnx_port *port)
{
    static const char *const kinds[] = {
        [4] = "sequence", [5] = "map", [7] = "opaque", [8] = "sparse", [9] = "optional"};
    td_proto_reader reader;
    td_proto_field field;
    TD_TRY(td_onnx__open(walk, outer, "type", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number == 1) {
            TD_TRY(read_tensor_type(walk, &field, port));
        } else if (field.number < TD_COUNT_OF(kinds) && kinds[field.number] != NULL) {
            port->type = kinds[field.number];
        }
    }
    return td_onnx__end(walk, &reader, "type");
}

td_code td_onnx__port(td_onnx__walk *walk, const td_proto_field *outer, td_onnx_port *out)
{
    td_proto_reader reader;
    td_proto_field field;
    td_onnx_port port = {.name = "", .type = "unknown"};
    TD_TRY(td_onnx__open(walk, outer, "value_info", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number == 1) {
            TD_TRY(td_onnx__text_copy(walk, &field, "value_info.name", &port.name));
        } else if (field.number == 2) {
            TD_TRY(read_type(walk, &field, &port));
        }
    }
    TD_TRY(td_onnx__end(walk, &reader, "value_info"));
    *out = port;
    return TD_OK;
}
