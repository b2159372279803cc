/*
 * onnx_graph.c: nodes, tensors, inputs and outputs of an ONNX graph.
 *
 * Weights are measured, not read: what a tensor claims must fit what it holds.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/onnx_internal.h"

#include <stdio.h>
#include <string.h>

/* TensorProto.DataType: name and bits of an element. */
static const struct {
    const char *name;
    unsigned bits;
} types[] = {
    {"undefined", 0},      {"float32", 32},  {"uint8", 8},        {"int8", 8},           {"uint16", 16},
    {"int16", 16},         {"int32", 32},    {"int64", 64},       {"string", 0},         {"bool", 8},
    {"float16", 16},       {"float64", 64},  {"uint32", 32},      {"uint64", 64},        {"complex64", 64},
    {"complex128", 128},   {"bfloat16", 16}, {"float8e4m3fn", 8}, {"float8e4m3fnuz", 8}, {"float8e5m2", 8},
    {"float8e5m2fnuz", 8}, {"uint4", 4},     {"int4", 4},         {"float4e2m1", 4},     {"float8e8m0", 8},
    {"uint2", 2},          {"int2", 2},
};

_Static_assert(TD_COUNT_OF(types) == TD_ONNX_TYPES, "one name an element type");

const char *td_onnx__type_name(int64_t type)
{
    return type > 0 && type < (int64_t)TD_COUNT_OF(types) ? types[type].name : "unknown";
}

/* ---- operators ---- */

static td_code keep_operator(td_onnx__walk *walk, const td_proto_field *at, td_onnx__text domain, td_onnx__text name,
                             uint16_t *slot)
{
    td_onnx *onnx = walk->out;
    if (onnx->operator_count == TD_ONNX_OPERATORS_MAX) {
        return td_fail(walk->err, TD_LIMIT, "%s: more than %d different operators", walk->options->name,
                       TD_ONNX_OPERATORS_MAX);
    }
    td_onnx_operator *op = &onnx->operators[onnx->operator_count];
    td_proto_field text = *at;
    text.wire = TD_PROTO_BYTES;
    text.data = domain.data;
    text.size = domain.size;
    TD_TRY(td_onnx__text_copy(walk, &text, "node.domain", &op->domain));
    text.data = name.data;
    text.size = name.size;
    TD_TRY(td_onnx__text_copy(walk, &text, "node.op_type", &op->name));
    op->count = 1;
    *slot = (uint16_t)++onnx->operator_count;
    return TD_OK;
}

static td_code count_operator(td_onnx__walk *walk, const td_proto_field *at, td_onnx__text domain, td_onnx__text name)
{
    if (domain.size == 7 && memcmp(domain.data, "ai.onnx", 7) == 0) {
        domain.size = 0;
    }
    uint64_t index = td_onnx__hash(domain, name) & (TD_ONNX__OPERATOR_SLOTS - 1);
    while (walk->operator_slots[index] != 0) {
        td_onnx_operator *op = &walk->out->operators[walk->operator_slots[index] - 1];
        td_onnx__text op_domain = {(const uint8_t *)op->domain, strlen(op->domain)};
        td_onnx__text op_name = {(const uint8_t *)op->name, strlen(op->name)};
        if (td_onnx__same(op_domain, domain) && td_onnx__same(op_name, name)) {
            op->count++;
            return TD_OK;
        }
        index = (index + 1) & (TD_ONNX__OPERATOR_SLOTS - 1);
    }
    return keep_operator(walk, at, domain, name, &walk->operator_slots[index]);
}

static td_code walk_graph(td_onnx__walk *walk, const td_proto_field *field);

/* An attribute may hold tensors and whole graphs. */
static td_code read_attribute(td_onnx__walk *walk, const td_proto_field *outer)
{
    td_proto_reader reader;
    td_proto_field field;
    TD_TRY(td_onnx__open(walk, outer, "node.attribute", &reader));
    while (td_proto_next(&reader, &field)) {
        td_onnx__text ignored;
        if (field.number == 5 || field.number == 10) {
            TD_TRY(td_onnx__tensor(walk, &field, false, &ignored));
        } else if (field.number == 6 || field.number == 11) {
            TD_TRY(walk_graph(walk, &field));
        }
    }
    return td_onnx__end(walk, &reader, "node.attribute");
}

td_code td_onnx__node(td_onnx__walk *walk, const td_proto_field *outer)
{
    td_proto_reader reader;
    td_proto_field field;
    td_onnx__text domain = {outer->data, 0};
    td_onnx__text name = {outer->data, 0};
    if (++walk->out->node_count > TD_ONNX_NODES_MAX) {
        return td_fail(walk->err, TD_LIMIT, "%s: more than %d nodes", walk->options->name, TD_ONNX_NODES_MAX);
    }
    TD_TRY(td_onnx__open(walk, outer, "node", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number == 4 && field.wire == TD_PROTO_BYTES) {
            name = (td_onnx__text){field.data, field.size};
        } else if (field.number == 7 && field.wire == TD_PROTO_BYTES) {
            domain = (td_onnx__text){field.data, field.size};
        } else if (field.number == 5) {
            TD_TRY(read_attribute(walk, &field));
        }
    }
    TD_TRY(td_onnx__end(walk, &reader, "node"));
    if (name.size == 0) {
        return td_onnx__corrupt(walk, outer->data, "node.op_type", "a node without operator");
    }
    return count_operator(walk, outer, domain, name);
}

/* ---- tensors ---- */

typedef struct tensor {
    int64_t type, location;
    uint64_t elements;   /* product of dims */
    uint64_t raw, typed; /* bytes held; a text counts as one */
    bool has_raw;
    td_onnx__text name, external; /* external: its location entry */
} tensor;

static td_code multiply_dim(td_onnx__walk *walk, const td_proto_field *field, uint64_t dim, tensor *t)
{
    if (dim > INT64_MAX || __builtin_mul_overflow(t->elements, dim, &t->elements)) {
        return td_onnx__corrupt(walk, field->data, "tensor.dims", "negative, or too many elements");
    }
    return TD_OK;
}

static td_code read_dims(td_onnx__walk *walk, const td_proto_field *field, tensor *t)
{
    if (field->wire == TD_PROTO_VARINT) {
        return multiply_dim(walk, field, field->value, t);
    }
    td_proto_reader packed;
    uint64_t dim;
    TD_TRY(td_onnx__open(walk, field, "tensor.dims", &packed));
    while (packed.next < packed.end && td_proto_varint(&packed, &dim)) {
        TD_TRY(multiply_dim(walk, field, dim, t));
    }
    return td_onnx__end(walk, &packed, "tensor.dims");
}

/* A key and a value; only the location matters. */
static td_code read_external(td_onnx__walk *walk, const td_proto_field *outer, tensor *t)
{
    td_proto_reader reader;
    td_proto_field field;
    td_onnx__text key = {outer->data, 0};
    td_onnx__text value = {outer->data, 0};
    TD_TRY(td_onnx__open(walk, outer, "tensor.external_data", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.wire == TD_PROTO_BYTES && (field.number == 1 || field.number == 2)) {
            *(field.number == 1 ? &key : &value) = (td_onnx__text){field.data, field.size};
        }
    }
    if (key.size == 8 && memcmp(key.data, "location", 8) == 0) {
        t->external = value;
    }
    return td_onnx__end(walk, &reader, "tensor.external_data");
}

static td_code read_tensor_field(td_onnx__walk *walk, const td_proto_field *field, tensor *t)
{
    switch (field->number) {
    case 1:
        return read_dims(walk, field, t);
    case 2:
        return td_onnx__number(walk, field, "tensor.data_type", &t->type);
    case 4: /* numbers by type, one by one or packed */
    case 5:
    case 7:
    case 10:
    case 11:
        t->typed += field->wire == TD_PROTO_BYTES ? field->size : 8;
        return TD_OK;
    case 6:
        t->typed += 1;
        return TD_OK;
    case 8:
        if (field->wire == TD_PROTO_BYTES) {
            t->name = (td_onnx__text){field->data, field->size};
        }
        return TD_OK;
    case 9:
        t->raw = field->wire == TD_PROTO_BYTES ? field->size : 0;
        t->has_raw = true;
        return TD_OK;
    case 13:
        return read_external(walk, field, t);
    case 14:
        return td_onnx__number(walk, field, "tensor.data_location", &t->location);
    default:
        return TD_OK;
    }
}

/* The name must be one of the registered files: nothing else is ever opened. */
static td_code check_external(td_onnx__walk *walk, const td_proto_field *at, const tensor *t)
{
    char name[256] = "";
    if (t->external.size < sizeof name) {
        memcpy(name, t->external.data, t->external.size);
    }
    bool good = t->external.size < sizeof name && td_check_file_name(name, t->external.size, NULL) == TD_OK;
    for (const char *const *file = walk->options->files; good && file != NULL && *file != NULL; file++) {
        if (strcmp(*file, name) == 0) {
            walk->out->external_data = true;
            return TD_OK;
        }
    }
    char problem[200];
    for (char *c = name; *c != '\0'; c++) {
        *c = *c < 0x20 || *c > 0x7e ? '?' : *c;
    }
    snprintf(problem, sizeof problem, "weights are in the file \"%.60s\", %s", name,
             good ? "which is not registered with the model; give it too"
                  : "which is no name of a file beside the model; export it again with its data beside it");
    return td_onnx__corrupt(walk, at->data, "tensor.external_data", problem);
}

/* The bytes that the elements need; false on overflow. */
static bool needed_bytes(const tensor *t, uint64_t *out)
{
    unsigned bits = t->type < (int64_t)TD_COUNT_OF(types) ? types[t->type].bits : 8;
    uint64_t total;
    if (__builtin_mul_overflow(t->elements, (uint64_t)bits, &total) || total > UINT64_MAX - 7) {
        return false;
    }
    *out = (total + 7) / 8;
    return true;
}

static td_code check_tensor(td_onnx__walk *walk, const td_proto_field *at, const tensor *t, uint64_t *bytes_out)
{
    if (t->type <= 0 || t->type > 1000) {
        return td_onnx__corrupt(walk, at->data, "tensor.data_type", "no known type");
    }
    if (!needed_bytes(t, bytes_out)) {
        return td_onnx__corrupt(walk, at->data, "tensor.dims", "too many elements");
    }
    if (t->location == 1) {
        return check_external(walk, at, t);
    }
    bool known = t->type < (int64_t)TD_COUNT_OF(types) && types[t->type].bits > 0;
    if (t->has_raw && known && t->raw != *bytes_out) {
        return td_onnx__corrupt(walk, at->data, "tensor.raw_data", "another number of bytes than its dimensions say");
    }
    if (!t->has_raw && t->elements / 4 > t->typed) {
        return td_onnx__corrupt(walk, at->data, "tensor.dims", "claims more elements than it holds");
    }
    return TD_OK;
}

td_code td_onnx__tensor(td_onnx__walk *walk, const td_proto_field *outer, bool counted, td_onnx__text *name_out)
{
    td_proto_reader reader;
    td_proto_field field;
    tensor t = {.elements = 1, .name = {outer->data, 0}, .external = {outer->data, 0}};
    uint64_t bytes = 0;
    TD_TRY(td_onnx__open(walk, outer, "tensor", &reader));
    while (td_proto_next(&reader, &field)) {
        TD_TRY(read_tensor_field(walk, &field, &t));
    }
    TD_TRY(td_onnx__end(walk, &reader, "tensor"));
    TD_TRY(check_tensor(walk, outer, &t, &bytes));
    if (counted) {
        td_onnx *onnx = walk->out;
        onnx->type_counts[t.type < TD_ONNX_TYPES ? t.type : 0]++;
        if (++onnx->tensor_count > TD_ONNX_TENSORS_MAX) {
            return td_fail(walk->err, TD_LIMIT, "%s: more than %d tensors", walk->options->name, TD_ONNX_TENSORS_MAX);
        }
        if (__builtin_add_overflow(onnx->parameter_count, t.elements, &onnx->parameter_count) ||
            __builtin_add_overflow(onnx->parameter_bytes, bytes, &onnx->parameter_bytes) ||
            onnx->parameter_count > INT64_MAX || onnx->parameter_bytes > INT64_MAX) {
            return td_onnx__corrupt(walk, outer->data, "graph.initializer", "too many elements in all");
        }
    }
    *name_out = t.name;
    return TD_OK;
}

/* The values of a sparse tensor; its indices are no parameters. */
static td_code read_sparse(td_onnx__walk *walk, const td_proto_field *outer, td_onnx__text *name_out)
{
    td_proto_reader reader;
    td_proto_field field;
    *name_out = (td_onnx__text){outer->data, 0};
    TD_TRY(td_onnx__open(walk, outer, "graph.sparse_initializer", &reader));
    while (td_proto_next(&reader, &field)) {
        td_onnx__text ignored;
        if (field.number == 1) {
            TD_TRY(td_onnx__tensor(walk, &field, true, name_out));
        } else if (field.number == 2) {
            TD_TRY(td_onnx__tensor(walk, &field, false, &ignored));
        }
    }
    return td_onnx__end(walk, &reader, "graph.sparse_initializer");
}

/* ---- graphs ---- */

/* The slot of a name: its own, or a free one. */
static td_onnx__input *input_slot(const td_onnx__walk *walk, td_onnx__text name)
{
    td_onnx__text nothing = {name.data, 0};
    size_t index = (size_t)td_onnx__hash(nothing, name) & (TD_ONNX__INPUT_SLOTS - 1);
    while (walk->inputs[index].name.size != 0 && !td_onnx__same(walk->inputs[index].name, name)) {
        index = (index + 1) & (TD_ONNX__INPUT_SLOTS - 1);
    }
    return &walk->inputs[index];
}

static void remember_initializer(td_onnx__walk *walk, td_onnx__text name)
{
    if (walk->inputs != NULL && name.size > 0) {
        input_slot(walk, name)->initializer = true; /* on a free slot it says nothing */
    }
}

static bool is_initializer(const td_onnx__walk *walk, td_onnx__text name)
{
    const td_onnx__input *slot = name.size > 0 ? input_slot(walk, name) : NULL;
    return slot != NULL && slot->name.size > 0 && slot->initializer;
}

/* What every graph has, nested or not: nodes and weights. */
static td_code read_body_field(td_onnx__walk *walk, const td_proto_field *field)
{
    td_onnx__text name;
    switch (field->number) {
    case 1:
        return td_onnx__node(walk, field);
    case 5:
        TD_TRY(td_onnx__tensor(walk, field, true, &name));
        break;
    case 14:
        walk->out->quantized = true;
        return TD_OK;
    case 15:
        TD_TRY(read_sparse(walk, field, &name));
        break;
    default:
        return TD_OK;
    }
    if (walk->depth == 1) {
        remember_initializer(walk, name);
    }
    return TD_OK;
}

static td_code walk_graph(td_onnx__walk *walk, const td_proto_field *outer)
{
    td_proto_reader reader;
    td_proto_field field;
    if (walk->depth == TD_ONNX_DEPTH_MAX) {
        return td_onnx__corrupt(walk, outer->data, "graph", "graphs are nested too deeply");
    }
    TD_TRY(td_onnx__open(walk, outer, "graph", &reader));
    walk->depth++;
    while (td_proto_next(&reader, &field)) {
        TD_TRY(read_body_field(walk, &field));
    }
    walk->depth--;
    return td_onnx__end(walk, &reader, "graph");
}

/* The name of a ValueInfo without copying it. */
static td_onnx__text port_name(const td_proto_field *outer)
{
    td_proto_reader reader = td_proto_open(outer->data, outer->wire == TD_PROTO_BYTES ? outer->size : 0);
    td_proto_field field;
    td_onnx__text name = {outer->data, 0};
    while (td_proto_next(&reader, &field)) {
        if (field.number == 1 && field.wire == TD_PROTO_BYTES) {
            name = (td_onnx__text){field.data, field.size};
        }
    }
    return name;
}

/* Counts before anything is allocated. Inputs come first: weights are then only looked up among them, so that no table
 * grows with the number of weights. */
static td_code make_tables(td_onnx__walk *walk, const td_proto_field *outer)
{
    td_proto_reader reader;
    td_proto_field field;
    size_t counts[16] = {0};
    walk->inputs = td_arena_alloc(walk->arena, TD_ONNX__INPUT_SLOTS * sizeof *walk->inputs);
    if (walk->inputs == NULL) {
        return td_fail(walk->err, TD_NOMEM, "no memory to read %s", walk->options->name);
    }
    TD_TRY(td_onnx__open(walk, outer, "graph", &reader));
    while (td_proto_next(&reader, &field)) {
        counts[field.number < 16 ? field.number : 0]++;
        td_onnx__text name = field.number == 11 ? port_name(&field) : (td_onnx__text){field.data, 0};
        if (name.size > 0 && counts[11] <= TD_ONNX__INPUTS_MAX) {
            input_slot(walk, name)->name = name;
        }
    }
    size_t inputs = counts[11] < TD_ONNX_PORTS_MAX ? counts[11] + 1 : TD_ONNX_PORTS_MAX;
    size_t outputs = counts[12] < TD_ONNX_PORTS_MAX ? counts[12] + 1 : TD_ONNX_PORTS_MAX;
    walk->out->inputs = td_arena_alloc(walk->arena, inputs * sizeof(td_onnx_port));
    walk->out->outputs = td_arena_alloc(walk->arena, outputs * sizeof(td_onnx_port));
    bool all = walk->out->inputs != NULL && walk->out->outputs != NULL;
    return all ? TD_OK : td_fail(walk->err, TD_NOMEM, "no memory to read %s", walk->options->name);
}

static td_code add_port(td_onnx__walk *walk, const td_proto_field *field, td_onnx_port *ports, size_t *count)
{
    if (*count == TD_ONNX_PORTS_MAX) {
        return td_fail(walk->err, TD_LIMIT, "%s: more than %d inputs or outputs", walk->options->name,
                       TD_ONNX_PORTS_MAX);
    }
    TD_TRY(td_onnx__port(walk, field, &ports[*count]));
    (*count)++;
    return TD_OK;
}

/* Second pass, when all initializers are known: older files list them among the inputs. */
static td_code read_ports(td_onnx__walk *walk, const td_proto_field *outer)
{
    td_onnx *onnx = walk->out;
    td_proto_reader reader;
    td_proto_field field;
    TD_TRY(td_onnx__open(walk, outer, "graph", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number == 2) {
            TD_TRY(td_onnx__text_copy(walk, &field, "graph.name", &onnx->graph));
        } else if (field.number == 11 && !is_initializer(walk, port_name(&field))) {
            TD_TRY(add_port(walk, &field, onnx->inputs, &onnx->input_count));
        } else if (field.number == 12) {
            TD_TRY(add_port(walk, &field, onnx->outputs, &onnx->output_count));
        }
    }
    return td_onnx__end(walk, &reader, "graph");
}

td_code td_onnx__graph(td_onnx__walk *walk, const td_proto_field *field)
{
    TD_TRY(make_tables(walk, field));
    TD_TRY(walk_graph(walk, field));
    return read_ports(walk, field);
}
