/*
 * onnx_json.c: an ONNX file in the words of registry/facts.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/onnx_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static td_text text_of(const char *text)
{
    return (td_text){text, strlen(text)};
}

static json_t *dim_json(const td_onnx_dim *dim)
{
    if (dim->size >= 0) {
        return json_integer(dim->size);
    }
    bool named = dim->symbol != NULL && dim->symbol[0] != '\0';
    return named ? td_facts_text(dim->symbol, strlen(dim->symbol), TD_FACTS_KEY_MAX) : json_null();
}

static bool add_ports(const td_onnx_port *ports, size_t count, const char *list, td_facts *facts)
{
    bool dynamic = false;
    for (size_t i = 0; i < count; i++) {
        json_t *shape = ports[i].has_shape ? json_array() : json_null();
        for (size_t d = 0; d < ports[i].dim_count; d++) {
            dynamic |= ports[i].dims[d].size < 0;
            (void)json_array_append_new(shape, dim_json(&ports[i].dims[d]));
        }
        td_facts_port(facts, list, text_of(ports[i].name), ports[i].type, shape);
    }
    return dynamic;
}

static void add_opsets(const td_onnx *onnx, td_facts *facts)
{
    json_t *opsets = json_object_get(facts->json, "opsets");
    for (size_t i = 0; i < onnx->opset_count; i++) {
        const char *domain = onnx->opsets[i].domain[0] != '\0' ? onnx->opsets[i].domain : "ai.onnx";
        json_t *key = td_facts_text(domain, strlen(domain), TD_FACTS_KEY_MAX);
        (void)json_object_set_new(opsets, key != NULL ? json_string_value(key) : "?",
                                  json_integer(onnx->opsets[i].version));
        json_decref(key);
    }
}

static void add_operators(const td_onnx *onnx, td_facts *facts)
{
    for (size_t i = 0; i < onnx->operator_count; i++) {
        const td_onnx_operator *op = &onnx->operators[i];
        td_facts_operator(facts, &(td_facts_op){.name = text_of(op->name),
                                                .domain = op->domain[0] != '\0' ? op->domain : "ai.onnx",
                                                .count = op->count,
                                                .custom = op->custom});
        if (op->custom) {
            td_facts_risk(facts, "custom_operators",
                          "operator %.80s of domain \"%.80s\" is none of ONNX's: devices need a "
                          "runtime that has it",
                          op->name, op->domain);
        }
    }
    if (onnx->operator_count > TD_FACTS_OPERATORS_MAX) {
        td_facts_detail(facts, "operators_left_out",
                        json_integer((json_int_t)(onnx->operator_count - TD_FACTS_OPERATORS_MAX)));
    }
}

/* The narrowest type among the weights of a quantised model; half precision is told as well. */
static const char *quantization(const td_onnx *onnx)
{
    static const struct {
        int first, last;
        const char *name;
    } narrow[] = {{25, 26, "int2"}, {21, 23, "int4"}, {17, 20, "float8"}, {2, 3, "int8"}};
    for (size_t i = 0; onnx->quantized && i < TD_COUNT_OF(narrow); i++) {
        for (int type = narrow[i].first; type <= narrow[i].last; type++) {
            if (onnx->type_counts[type] > 0) {
                return narrow[i].name;
            }
        }
    }
    if (onnx->quantized) {
        return "int8";
    }
    return onnx->type_counts[10] > onnx->type_counts[1] ? "float16" : NULL;
}

static void add_details(const td_onnx *onnx, td_facts *facts)
{
    td_facts_detail(facts, "ir_version", json_integer(onnx->ir_version));
    td_facts_detail(facts, "model_version", json_integer(onnx->model_version));
    td_facts_detail(facts, "functions", json_integer((json_int_t)onnx->function_count));
    if (onnx->domain[0] != '\0') {
        td_facts_detail(facts, "domain", td_facts_text(onnx->domain, strlen(onnx->domain), TD_FACTS_KEY_MAX));
    }
    if (onnx->external_data) {
        td_facts_risk(facts, "external_data", "its weights lie in other files of the version");
    }
    if (onnx->training) {
        td_facts_risk(facts, "training", "it carries training state, which no device needs");
    }
}

void td_onnx_facts(const td_onnx *onnx, td_facts *facts)
{
    char version[24];
    const char *how = quantization(onnx);
    snprintf(version, sizeof version, "%" PRId64, onnx->ir_version);
    td_facts_set(facts, "format_version", json_string(version));
    td_facts_set(facts, "name", td_facts_text(onnx->graph, strlen(onnx->graph), TD_FACTS_KEY_MAX));
    td_facts_set(facts, "producer", td_facts_text(onnx->producer, strlen(onnx->producer), TD_FACTS_KEY_MAX));
    td_facts_set(facts, "producer_version",
                 td_facts_text(onnx->producer_version, strlen(onnx->producer_version), TD_FACTS_KEY_MAX));
    bool dynamic = add_ports(onnx->inputs, onnx->input_count, "inputs", facts);
    dynamic |= add_ports(onnx->outputs, onnx->output_count, "outputs", facts);
    td_facts_detail(facts, "dynamic_shapes", json_boolean(dynamic));
    add_opsets(onnx, facts);
    add_operators(onnx, facts);
    for (size_t i = 0; i < onnx->metadata_count; i++) {
        td_facts_metadata(facts, text_of(onnx->metadata[i].key), text_of(onnx->metadata[i].value));
    }
    for (int type = 0; type < TD_ONNX_TYPES; type++) {
        if (onnx->type_counts[type] > 0) {
            (void)json_object_set_new(facts->types, td_onnx__type_name(type),
                                      json_integer((json_int_t)onnx->type_counts[type]));
        }
    }
    td_facts_number(facts, "nodes", onnx->node_count);
    td_facts_number(facts, "tensors", onnx->tensor_count);
    td_facts_number(facts, "parameters", onnx->parameter_count);
    td_facts_number(facts, "parameter_bytes", onnx->parameter_bytes);
    td_facts_set(facts, "quantized", json_boolean(onnx->quantized));
    td_facts_set(facts, "quantization", how != NULL ? json_string(how) : json_null());
    td_facts_set(facts, "external_data", json_boolean(onnx->external_data));
    td_facts_set(facts, "training", json_boolean(onnx->training));
    add_details(onnx, facts);
}
