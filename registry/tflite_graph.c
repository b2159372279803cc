/*
 * tflite_graph.c: tensors and operators of a TFLite graph: counted, measured, and held against the bytes they claim.
 *
 * The tensor arena cannot be smaller than what one operator needs at once (its inputs and outputs that are no weights)
 * and all variables: that is the lower bound that is told. A planner needs at least as much.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/tflite_internal.h"

#include <string.h>

#define FIRST_DATA_OFFSET 2 /* smaller offsets mean: not used */

static void fail(td_tflite__walk *walk, size_t at, const char *what)
{
    if (walk->fb.failed == NULL) {
        walk->fb.failed = what;
        walk->fb.failed_at = at;
    }
}

/* Weights lie in the buffer's own vector, or, in files above 2 GiB, behind the FlatBuffer at an offset. */
td_text td_tflite__buffer(td_tflite__walk *walk, uint64_t index)
{
    td_text none = {walk->fb.data, 0};
    if (index == 0 && walk->buffers.count == 0) {
        return none;
    }
    if (index >= walk->buffers.count) {
        fail(walk, walk->buffers.at, "a buffer is named that is not there");
        return none;
    }
    td_fb_table buffer = td_fb_element(&walk->fb, walk->buffers, (size_t)index);
    td_fb_vector data = td_fb_vector_of(&walk->fb, &buffer, 0, 1);
    uint64_t offset = td_fb_number(&walk->fb, &buffer, 1, 8, 0), size = td_fb_number(&walk->fb, &buffer, 2, 8, 0);
    if (walk->fb.failed != NULL) {
        return none;
    }
    if (offset < FIRST_DATA_OFFSET || size == 0) {
        return (td_text){walk->fb.data + data.at, data.count};
    }
    if (offset > walk->fb.size || size > walk->fb.size - offset) {
        fail(walk, buffer.at, "a buffer lies outside the file");
        return none;
    }
    return (td_text){walk->fb.data + offset, (size_t)size};
}

/* Negative dimensions are those that are not fixed. */
static void measure(td_tflite__walk *walk, td_tflite__tensor *t)
{
    uint64_t bits;
    t->elements = 1;
    for (size_t i = 0; i < t->shape.count && walk->fb.failed == NULL; i++) {
        int32_t dim = td_fb_int_at(&walk->fb, t->shape, i);
        walk->dynamic |= dim < 0;
        if (dim > 0 && __builtin_mul_overflow(t->elements, (uint64_t)dim, &t->elements)) {
            fail(walk, t->shape.at, "a tensor has too many elements");
        }
        t->elements = dim == 0 ? 0 : t->elements;
    }
    if (__builtin_mul_overflow(t->elements, (uint64_t)td_tflite__type_bits(t->type), &bits) || bits > INT64_MAX) {
        fail(walk, t->shape.at, "a tensor has too many elements");
        return;
    }
    t->bytes = (bits + 7) / 8;
}

bool td_tflite__tensor_at(td_tflite__walk *walk, td_fb_vector tensors, size_t index, td_tflite__tensor *out)
{
    if (index >= tensors.count) {
        fail(walk, tensors.at, "a tensor is named that is not there");
        return false;
    }
    td_fb_table table = td_fb_element(&walk->fb, tensors, index);
    td_fb_table quantization = td_fb_table_of(&walk->fb, &table, 4);
    td_fb_vector name = td_fb_vector_of(&walk->fb, &table, 3, 1);
    td_tflite__tensor t = {.type = (int64_t)td_fb_number(&walk->fb, &table, 1, 1, 0),
                           .name = {walk->fb.data + name.at, name.count},
                           .shape = td_fb_vector_of(&walk->fb, &table, 0, 4),
                           .signature = td_fb_vector_of(&walk->fb, &table, 7, 4),
                           .buffer = td_fb_number(&walk->fb, &table, 2, 4, 0),
                           .variable = td_fb_number(&walk->fb, &table, 5, 1, 0) != 0,
                           .sparse = td_fb_table_of(&walk->fb, &table, 6).at != 0};
    t.quantized = td_fb_vector_of(&walk->fb, &quantization, 2, 4).count > 0;
    t.data = td_tflite__buffer(walk, t.buffer);
    t.constant = t.data.size > 0;
    if (td_fb_spend(&walk->fb, t.shape.count)) {
        measure(walk, &t);
    }
    if (t.constant && !t.sparse && t.bytes > t.data.size) {
        fail(walk, table.at, "a tensor claims more elements than it holds");
    }
    *out = t;
    return walk->fb.failed == NULL;
}

/* Weights that several tensors share count once. */
static void count_weights(td_tflite__walk *walk, const td_tflite__tensor *t)
{
    size_t byte = (size_t)(t->buffer / 8);
    uint8_t bit = (uint8_t)(1u << t->buffer % 8);
    const char *type = td_tflite__type_name(t->type);
    if ((walk->seen[byte] & bit) != 0) {
        return;
    }
    walk->seen[byte] |= bit;
    bool counted = td_tflite__type_bits(t->type) > 0 && !t->sparse; /* checked against the bytes that are there */
    walk->parameters += counted ? t->elements : 0;
    walk->parameter_bytes += t->data.size;
    td_facts_type(walk->facts, type != NULL ? type : "unknown");
    bool narrow =
        type != NULL && (strcmp(type, "int8") == 0 || strcmp(type, "uint8") == 0 || strcmp(type, "int4") == 0);
    walk->quantized_weights |= t->quantized && narrow;
    walk->int4_weights |= t->quantized && type != NULL && strcmp(type, "int4") == 0;
    walk->float16_weights |= type != NULL && strcmp(type, "float16") == 0;
}

static void note_activation(td_tflite__walk *walk, const td_tflite__tensor *t)
{
    const char *type = td_tflite__type_name(t->type);
    if (type == NULL) {
        return;
    }
    walk->float_activations |= strncmp(type, "float", 5) == 0;
    walk->int8_activations |= t->quantized && strcmp(type, "int8") == 0;
    walk->uint8_activations |= t->quantized && strcmp(type, "uint8") == 0;
    walk->int16_activations |= t->quantized && strcmp(type, "int16") == 0;
}

static void count_tensors(td_tflite__walk *walk, td_fb_vector tensors)
{
    for (size_t i = 0; i < tensors.count && walk->fb.failed == NULL; i++) {
        td_tflite__tensor t;
        if (!td_tflite__tensor_at(walk, tensors, i, &t)) {
            return;
        }
        walk->tensors++;
        if (t.constant) {
            count_weights(walk, &t);
        } else {
            note_activation(walk, &t);
            walk->variable_bytes += t.variable && t.bytes < INT64_MAX - walk->variable_bytes ? t.bytes : 0;
        }
    }
}

/* Bytes of those tensors of a list that live in the arena. */
static uint64_t arena_of(td_tflite__walk *walk, const td_fb_table *op, unsigned field, td_fb_vector tensors)
{
    uint64_t total = 0;
    td_fb_vector indices = td_fb_vector_of(&walk->fb, op, field, 4);
    for (size_t i = 0; i < indices.count && walk->fb.failed == NULL; i++) {
        td_tflite__tensor t;
        int32_t index = td_fb_int_at(&walk->fb, indices, i);
        if (index >= 0 && td_tflite__tensor_at(walk, tensors, (size_t)index, &t) && !t.constant && !t.variable) {
            total = t.bytes > INT64_MAX - total ? INT64_MAX : total + t.bytes;
        }
    }
    return total;
}

static void count_operator(td_tflite__walk *walk, const td_fb_table *op, td_fb_vector tensors)
{
    uint64_t index = td_fb_number(&walk->fb, op, 0, 4, 0);
    if (index >= walk->opcodes.count) {
        fail(walk, op->at, "an operator is named that is not there");
        return;
    }
    walk->counts[index]++;
    walk->nodes++;
    uint64_t in = arena_of(walk, op, 1, tensors), out = arena_of(walk, op, 2, tensors);
    uint64_t both = out > INT64_MAX - in ? INT64_MAX : in + out;
    walk->arena_bytes = both > walk->arena_bytes ? both : walk->arena_bytes;
}

void td_tflite__subgraph(td_tflite__walk *walk, const td_fb_table *graph)
{
    td_fb_vector tensors = td_fb_vector_of(&walk->fb, graph, 0, 4);
    td_fb_vector operators = td_fb_vector_of(&walk->fb, graph, 3, 4);
    count_tensors(walk, tensors);
    for (size_t i = 0; i < operators.count && walk->fb.failed == NULL; i++) {
        td_fb_table op = td_fb_element(&walk->fb, operators, i);
        count_operator(walk, &op, tensors);
    }
}

/* In the words of TensorFlow's guide to post-training quantisation. */
static const char *quantization(const td_tflite__walk *walk)
{
    bool whole = walk->int8_activations || walk->uint8_activations;
    if (walk->int16_activations && !walk->float_activations) {
        return "int16x8";
    }
    if (whole && !walk->float_activations) {
        return walk->uint8_activations ? "uint8" : "int8";
    }
    if (whole) {
        return "int8, partly";
    }
    if (walk->quantized_weights) {
        return walk->int4_weights ? "int4 weights" : "int8 weights";
    }
    return walk->float16_weights ? "float16 weights" : NULL;
}

void td_tflite__sum_up(td_tflite__walk *walk)
{
    td_facts *facts = walk->facts;
    const char *how = quantization(walk);
    td_facts_number(facts, "nodes", walk->nodes);
    td_facts_number(facts, "tensors", walk->tensors);
    td_facts_number(facts, "parameters", walk->parameters);
    td_facts_number(facts, "parameter_bytes", walk->parameter_bytes);
    td_facts_set(facts, "quantized", json_boolean(how != NULL && how[0] != 'f'));
    if (how != NULL) {
        td_facts_set(facts, "quantization", json_string(how));
    }
    uint64_t arena =
        walk->variable_bytes > INT64_MAX - walk->arena_bytes ? INT64_MAX : walk->arena_bytes + walk->variable_bytes;
    td_facts_detail(facts, "arena_bytes_min", json_integer((json_int_t)arena));
    td_facts_detail(facts, "dynamic_shapes", json_boolean(walk->dynamic));
}
