/*
 * onnx.c: the outermost message of an ONNX file (ModelProto), and the tools of the walk.
 *
 * Field numbers: onnx.proto3 of github.com/onnx/onnx (Apache-2.0).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/onnx.h"

#include "registry/onnx_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METADATA_SHOWN 4096 /* bytes of a value; longer ones are only measured */

/* ---- tools ---- */

td_code td_onnx__corrupt(const td_onnx__walk *walk, const uint8_t *at, const char *field, const char *problem)
{
    return td_fail(walk->err, TD_CORRUPT, "%s: byte %zu, field %s: %s", walk->options->name, (size_t)(at - walk->base),
                   field, problem);
}

td_code td_onnx__open(const td_onnx__walk *walk, const td_proto_field *field, const char *name, td_proto_reader *out)
{
    if (field->wire != TD_PROTO_BYTES) {
        return td_onnx__corrupt(walk, field->data, name, "a message was expected");
    }
    *out = td_proto_open(field->data, field->size);
    return TD_OK;
}

td_code td_onnx__end(const td_onnx__walk *walk, const td_proto_reader *reader, const char *name)
{
    if (reader->failed) {
        return td_onnx__corrupt(walk, reader->next, name, "the file is cut short or garbled here");
    }
    return TD_OK;
}

static bool is_utf8(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint8_t lead = data[i];
        size_t more = lead < 0x80                   ? 0
                      : lead >= 0xC2 && lead < 0xE0 ? 1
                      : lead >= 0xE0 && lead < 0xF0 ? 2
                      : lead >= 0xF0 && lead < 0xF5 ? 3
                                                    : 4;
        if (lead == 0 || more == 4 || more > size - i - 1) {
            return false;
        }
        uint8_t next = more > 0 ? data[i + 1] : 0x80;
        bool bad = (lead == 0xE0 && next < 0xA0) || (lead == 0xED && next > 0x9F) || (lead == 0xF0 && next < 0x90) ||
                   (lead == 0xF4 && next > 0x8F);
        for (size_t k = 1; k <= more; k++) {
            bad |= (data[i + k] & 0xC0) != 0x80;
        }
        if (bad) {
            return false;
        }
        i += more + 1;
    }
    return true;
}

static td_code copy_text(const td_onnx__walk *walk, const td_proto_field *field, const char *name, size_t most,
                         const char **out)
{
    if (field->wire != TD_PROTO_BYTES || field->size > most || !is_utf8(field->data, field->size)) {
        return td_onnx__corrupt(walk, field->data, name, "text was expected (UTF-8, of sensible length)");
    }
    char *text = td_arena_alloc(walk->arena, field->size + 1);
    if (text == NULL) {
        return td_fail(walk->err, TD_NOMEM, "no memory to read %s", walk->options->name);
    }
    memcpy(text, field->data, field->size);
    *out = text;
    return TD_OK;
}

td_code td_onnx__text_copy(const td_onnx__walk *walk, const td_proto_field *field, const char *name, const char **out)
{
    return copy_text(walk, field, name, TD_ONNX_NAME_MAX, out);
}

td_code td_onnx__number(const td_onnx__walk *walk, const td_proto_field *field, const char *name, int64_t *out)
{
    if (field->wire != TD_PROTO_VARINT) {
        return td_onnx__corrupt(walk, field->data, name, "a number was expected");
    }
    *out = (int64_t)field->value;
    return TD_OK;
}

bool td_onnx__same(td_onnx__text a, td_onnx__text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* FNV-1a over both, with a separator. */
uint64_t td_onnx__hash(td_onnx__text a, td_onnx__text b)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < a.size; i++) {
        hash = (hash ^ a.data[i]) * 1099511628211u;
    }
    hash = (hash ^ 0xff) * 1099511628211u;
    for (size_t i = 0; i < b.size; i++) {
        hash = (hash ^ b.data[i]) * 1099511628211u;
    }
    return hash ^ hash >> 29;
}

/* ---- parts of the model ---- */

static td_code read_opset(td_onnx__walk *walk, const td_proto_field *outer)
{
    td_onnx *onnx = walk->out;
    td_proto_reader reader;
    td_proto_field field;
    td_onnx_opset opset = {.domain = "", .version = 0};
    if (onnx->opset_count == TD_ONNX_OPSETS_MAX) {
        return td_fail(walk->err, TD_LIMIT, "%s: more than %d operator sets", walk->options->name, TD_ONNX_OPSETS_MAX);
    }
    TD_TRY(td_onnx__open(walk, outer, "opset_import", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number == 1) {
            TD_TRY(td_onnx__text_copy(walk, &field, "opset_import.domain", &opset.domain));
        } else if (field.number == 2) {
            TD_TRY(td_onnx__number(walk, &field, "opset_import.version", &opset.version));
        }
    }
    TD_TRY(td_onnx__end(walk, &reader, "opset_import"));
    opset.domain = strcmp(opset.domain, "ai.onnx") == 0 ? "" : opset.domain;
    onnx->opsets[onnx->opset_count++] = opset;
    return TD_OK;
}

static td_code metadata_value(td_onnx__walk *walk, const td_proto_field *field, const char **out)
{
    char measured[48];
    if (field->wire == TD_PROTO_BYTES && field->size > METADATA_SHOWN) {
        snprintf(measured, sizeof measured, "(%zu bytes)", field->size);
        *out = td_arena_text(walk->arena, measured);
        return *out != NULL ? TD_OK : td_fail(walk->err, TD_NOMEM, "no memory to read %s", walk->options->name);
    }
    return copy_text(walk, field, "metadata_props.value", METADATA_SHOWN, out);
}

static td_code read_metadata(td_onnx__walk *walk, const td_proto_field *outer)
{
    td_onnx *onnx = walk->out;
    td_proto_reader reader;
    td_proto_field field;
    td_onnx_metadata entry = {.key = "", .value = ""};
    if (onnx->metadata_count == TD_ONNX_METADATA_MAX) {
        return td_fail(walk->err, TD_LIMIT, "%s: more than %d metadata entries", walk->options->name,
                       TD_ONNX_METADATA_MAX);
    }
    TD_TRY(td_onnx__open(walk, outer, "metadata_props", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number == 1) {
            TD_TRY(td_onnx__text_copy(walk, &field, "metadata_props.key", &entry.key));
        } else if (field.number == 2) {
            TD_TRY(metadata_value(walk, &field, &entry.value));
        }
    }
    TD_TRY(td_onnx__end(walk, &reader, "metadata_props"));
    onnx->metadata[onnx->metadata_count++] = entry;
    return TD_OK;
}

/* A function that the file defines itself: its name, and the operators of its body. */
static td_code read_function(td_onnx__walk *walk, const td_proto_field *outer)
{
    td_proto_reader reader;
    td_proto_field field;
    if (walk->out->function_count == TD_ONNX__FUNCTIONS_MAX) {
        return td_fail(walk->err, TD_LIMIT, "%s: more than %d functions", walk->options->name, TD_ONNX__FUNCTIONS_MAX);
    }
    td_onnx__text *pair = &walk->functions[2 * walk->out->function_count++];
    TD_TRY(td_onnx__open(walk, outer, "functions", &reader));
    while (td_proto_next(&reader, &field)) {
        if (field.number == 7) {
            TD_TRY(td_onnx__node(walk, &field));
        } else if ((field.number == 1 || field.number == 10) && field.wire == TD_PROTO_BYTES) {
            pair[field.number == 1] = (td_onnx__text){field.data, field.size};
        }
    }
    return td_onnx__end(walk, &reader, "functions");
}

static td_code read_graph(td_onnx__walk *walk, const td_proto_field *field, bool *seen)
{
    if (*seen) {
        return td_onnx__corrupt(walk, field->data, "graph", "given twice");
    }
    *seen = true;
    return td_onnx__graph(walk, field);
}

static td_code read_model_field(td_onnx__walk *walk, const td_proto_field *field, bool *graph_seen)
{
    td_onnx *onnx = walk->out;
    switch (field->number) {
    case 1:
        return td_onnx__number(walk, field, "ir_version", &onnx->ir_version);
    case 2:
        return td_onnx__text_copy(walk, field, "producer_name", &onnx->producer);
    case 3:
        return td_onnx__text_copy(walk, field, "producer_version", &onnx->producer_version);
    case 4:
        return td_onnx__text_copy(walk, field, "domain", &onnx->domain);
    case 5:
        return td_onnx__number(walk, field, "model_version", &onnx->model_version);
    case 7:
        return read_graph(walk, field, graph_seen);
    case 8:
        return read_opset(walk, field);
    case 14:
        return read_metadata(walk, field);
    case 20:
        onnx->training = true;
        return TD_OK;
    case 25:
        return read_function(walk, field);
    default:
        return TD_OK; /* documentation, and what newer versions add */
    }
}

/* ---- custom operators, order ---- */

static bool is_standard(const char *domain)
{
    static const char *const known[] = {"", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview",
                                        "ai.onnx.preview.training"};
    for (size_t i = 0; i < TD_COUNT_OF(known); i++) {
        if (strcmp(domain, known[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_local(const td_onnx__walk *walk, const td_onnx_operator *op)
{
    td_onnx__text domain = {(const uint8_t *)op->domain, strlen(op->domain)};
    td_onnx__text name = {(const uint8_t *)op->name, strlen(op->name)};
    for (size_t i = 0; i < walk->out->function_count; i++) {
        if (td_onnx__same(walk->functions[2 * i], domain) && td_onnx__same(walk->functions[2 * i + 1], name)) {
            return true;
        }
    }
    return false;
}

static bool is_quantizing(const char *name)
{
    /* MatMulNBits and QMoE: block-quantised weights of com.microsoft */
    return strcmp(name, "MatMulNBits") == 0 || strcmp(name, "QMoE") == 0 || strstr(name, "QuantizeLinear") != NULL ||
           strncmp(name, "QLinear", 7) == 0 || strcmp(name, "MatMulInteger") == 0 || strcmp(name, "ConvInteger") == 0;
}

static int by_count(const void *a, const void *b)
{
    const td_onnx_operator *x = a;
    const td_onnx_operator *y = b;
    if (x->count != y->count) {
        return x->count < y->count ? 1 : -1;
    }
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->domain, y->domain);
}

static void judge_operators(td_onnx__walk *walk)
{
    td_onnx *onnx = walk->out;
    for (size_t i = 0; i < onnx->operator_count; i++) {
        td_onnx_operator *op = &onnx->operators[i];
        op->custom = !is_standard(op->domain) && !is_local(walk, op);
        onnx->custom_operators |= op->custom;
        onnx->quantized |= is_quantizing(op->name);
    }
    qsort(onnx->operators, onnx->operator_count, sizeof *onnx->operators, by_count);
}

/* ---- the whole ---- */

/* Every writer puts ir_version first; what then follows must be a field of a model. */
bool td_onnx_looks(const void *data, size_t size)
{
    td_proto_reader reader = td_proto_open(data, size);
    td_proto_field field;
    if (!td_proto_next(&reader, &field) || field.number != 1 || field.wire != TD_PROTO_VARINT || field.value == 0 ||
        field.value > 1000) {
        return false;
    }
    uint64_t tag;
    if (!td_proto_varint(&reader, &tag)) {
        return false;
    }
    uint64_t number = tag >> 3;
    return (tag & 7) == (number == 5 ? TD_PROTO_VARINT : TD_PROTO_BYTES) &&
           ((number >= 2 && number <= 8) || number == 14 || number == 20 || number == 25 || number == 26);
}

static td_code prepare(td_onnx__walk *walk)
{
    td_onnx *onnx = walk->out;
    td_arena *arena = walk->arena;
    *onnx = (td_onnx){.producer = "", .producer_version = "", .domain = "", .graph = ""};
    onnx->opsets = td_arena_alloc(arena, TD_ONNX_OPSETS_MAX * sizeof *onnx->opsets);
    onnx->metadata = td_arena_alloc(arena, TD_ONNX_METADATA_MAX * sizeof *onnx->metadata);
    onnx->operators = td_arena_alloc(arena, TD_ONNX_OPERATORS_MAX * sizeof *onnx->operators);
    walk->operator_slots = td_arena_alloc(arena, TD_ONNX__OPERATOR_SLOTS * sizeof *walk->operator_slots);
    walk->functions = td_arena_alloc(arena, 2 * TD_ONNX__FUNCTIONS_MAX * sizeof *walk->functions);
    bool all = onnx->opsets != NULL && onnx->metadata != NULL && onnx->operators != NULL &&
               walk->operator_slots != NULL && walk->functions != NULL;
    return all ? TD_OK : td_fail(walk->err, TD_NOMEM, "no memory to read %s", walk->options->name);
}

static td_code walk_model(td_onnx__walk *walk, const void *data, size_t size)
{
    td_proto_reader reader = td_proto_open(data, size);
    td_proto_field field;
    bool graph_seen = false;
    TD_TRY(prepare(walk));
    while (td_proto_next(&reader, &field)) {
        TD_TRY(read_model_field(walk, &field, &graph_seen));
    }
    TD_TRY(td_onnx__end(walk, &reader, "model"));
    if (!graph_seen) {
        return td_onnx__corrupt(walk, reader.next, "graph", "the model has none; the file may be cut short");
    }
    judge_operators(walk);
    return TD_OK;
}

td_code td_onnx_read(const void *data, size_t size, const td_inspect_options *options, td_arena *arena, td_onnx *out,
                     td_err *err)
{
    td_onnx onnx;
    if (!td_onnx_looks(data, size)) {
        return td_fail(err, TD_INVALID, "%s is no ONNX file (it does not begin as one)", options->name);
    }
    td_onnx__walk walk = {.base = data, .options = options, .arena = arena, .out = &onnx, .err = err};
    TD_TRY(walk_model(&walk, data, size));
    *out = onnx;
    return TD_OK;
}
