/*
 * onnx_json.c: the summary of an ONNX file that is stored with a version.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/onnx.h"

#include <inttypes.h>

#define OPERATORS_SHOWN 256

static json_t *dim_json(const td_onnx_dim *dim)
{
    if (dim->size >= 0) {
        return json_integer(dim->size);
    }
    return dim->symbol != NULL && dim->symbol[0] != '\0' ? json_string(dim->symbol) : json_null();
}

static json_t *port_json(const td_onnx_port *port)
{
    json_t *shape = port->has_shape ? json_array() : json_null();
    for (size_t i = 0; i < port->dim_count; i++) {
        if (json_array_append_new(shape, dim_json(&port->dims[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    }
    return json_pack("{s:s, s:s, s:o}", "name", port->name, "type", port->type, "shape", shape);
}

static json_t *ports_json(const td_onnx_port *ports, size_t count)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(list, port_json(&ports[i])) != 0) {
            return NULL;
        }
    }
    return json_incref(list);
}

static json_t *opsets_json(const td_onnx *onnx)
{
    TD_CLEANUP(td_json_done) json_t *object = json_object();
    for (size_t i = 0; i < onnx->opset_count; i++) {
        const char *domain = onnx->opsets[i].domain;
        if (json_object_set_new(object, domain[0] != '\0' ? domain : "ai.onnx",
                                json_integer(onnx->opsets[i].version)) != 0) {
            return NULL;
        }
    }
    return json_incref(object);
}

static json_t *operators_json(const td_onnx *onnx)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    for (size_t i = 0; i < onnx->operator_count && i < OPERATORS_SHOWN; i++) {
        const td_onnx_operator *op = &onnx->operators[i];
        json_t *one = json_pack("{s:s, s:s, s:I, s:b}", "name", op->name, "domain",
                                op->domain[0] != '\0' ? op->domain : "ai.onnx", "count", (json_int_t)op->count,
                                "custom", op->custom);
        if (json_array_append_new(list, one) != 0) {
            return NULL;
        }
    }
    return json_incref(list);
}

static json_t *metadata_json(const td_onnx *onnx)
{
    TD_CLEANUP(td_json_done) json_t *object = json_object();
    for (size_t i = 0; i < onnx->metadata_count; i++) {
        if (json_object_set_new(object, onnx->metadata[i].key, json_string(onnx->metadata[i].value)) != 0) {
            return NULL;
        }
    }
    return json_incref(object);
}

td_code td_onnx_json(const td_onnx *onnx, json_t **out, td_err *err)
{
    json_t *json = json_pack(
        "{s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:b, s:b, s:b, s:b}", "format",
        "onnx", "ir_version", (json_int_t)onnx->ir_version, "model_version", (json_int_t)onnx->model_version,
        "producer", onnx->producer, "producer_version", onnx->producer_version, "domain", onnx->domain, "graph",
        onnx->graph, "opsets", opsets_json(onnx), "inputs", ports_json(onnx->inputs, onnx->input_count), "outputs",
        ports_json(onnx->outputs, onnx->output_count), "operators", operators_json(onnx), "metadata",
        metadata_json(onnx), "nodes", (json_int_t)onnx->node_count, "parameters", (json_int_t)onnx->parameter_count,
        "parameter_bytes", (json_int_t)onnx->parameter_bytes, "quantized", onnx->quantized, "custom_operators",
        onnx->custom_operators, "external_data", onnx->external_data, "training", onnx->training);
    if (json == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to describe a model");
    }
    *out = json;
    return TD_OK;
}
