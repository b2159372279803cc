/*
 * gguf.c: a GGUF file (llama.cpp and others): keys, tensors, and what they say of architecture, licence and origin.
 *
 * Versions 2 and 3, in either byte order. Every tensor must lie inside the file, at its alignment, and none over
 * another: readers that trusted the counts have overflowed again and again.
 * Source: docs/gguf.md and ggml.h of github.com/ggml-org/ggml (MIT).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/gguf_internal.h"
#include "registry/sort.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT_DEFAULT 32
#define ARRAY_DEPTH_MAX 4

/* ---- reading ---- */

static td_code corrupt(td_gguf__walk *w, const char *field, const char *problem)
{
    return td_view__corrupt(w->view, w->at, field, problem, w->err);
}

static td_code need(td_gguf__walk *w, uint64_t size, const char *field)
{
    return size <= w->view->size - w->at ? TD_OK : corrupt(w, field, "the file is cut short here");
}

static td_code take32(td_gguf__walk *w, const char *field, uint32_t *out)
{
    TD_TRY(need(w, 4, field));
    uint32_t value = td_get32(w->view->data + w->at);
    w->at += 4;
    *out = w->big ? __builtin_bswap32(value) : value;
    return TD_OK;
}

static td_code take64(td_gguf__walk *w, const char *field, uint64_t *out)
{
    TD_TRY(need(w, 8, field));
    uint64_t value = td_get64(w->view->data + w->at);
    w->at += 8;
    *out = w->big ? __builtin_bswap64(value) : value;
    return TD_OK;
}

static td_code take_text(td_gguf__walk *w, const char *field, uint64_t most, td_text *out)
{
    uint64_t size;
    TD_TRY(take64(w, field, &size));
    if (size > most) {
        return corrupt(w, field, "a text is longer than it may be");
    }
    TD_TRY(need(w, size, field));
    *out = (td_text){w->view->data + w->at, (size_t)size};
    w->at += size;
    return TD_OK;
}

/* ---- keys and values ---- */

enum { TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9, TYPE_COUNT = 13 };
static const uint8_t sizes[TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}; /* u8 i8 u16 i16 u32 i32 f32 bool … */

static td_code read_array(td_gguf__walk *w, int depth, td_gguf__value *out)
{
    uint32_t type;
    uint64_t count;
    TD_TRY(take32(w, "array.type", &type));
    TD_TRY(take64(w, "array.count", &count));
    if (type >= TYPE_COUNT || depth == ARRAY_DEPTH_MAX) {
        return corrupt(w, "array.type", "no known type, or nested too deeply");
    }
    uint64_t least = type == TYPE_STRING ? 8 : type == TYPE_ARRAY ? 12 : sizes[type];
    if (count > (w->view->size - w->at) / least) {
        return corrupt(w, "array.count", "more elements than the file holds");
    }
    *out = (td_gguf__value){.type = TYPE_ARRAY, .number = count, .element = type};
    if (sizes[type] > 0) {
        w->at += count * sizes[type];
        return TD_OK;
    }
    for (uint64_t i = 0; i < count; i++) {
        td_text text;
        td_gguf__value inner;
        TD_TRY(type == TYPE_STRING ? take_text(w, "array.text", w->view->size, &text)
                                   : read_array(w, depth + 1, &inner));
        if (type == TYPE_STRING && i == 0) {
            out->text = text;
        }
    }
    return TD_OK;
}

static uint64_t number_at(const td_gguf__walk *w, uint32_t type)
{
    const uint8_t *at = w->view->data + w->at;
    uint64_t value = 0;
    for (unsigned i = 0; i < sizes[type]; i++) {
        unsigned from = w->big ? sizes[type] - 1 - i : i;
        value |= (uint64_t)at[from] << 8 * i;
    }
    return value;
}

static td_code read_value(td_gguf__walk *w, td_gguf__value *out)
{
    uint32_t type;
    TD_TRY(take32(w, "value.type", &type));
    if (type >= TYPE_COUNT) {
        return corrupt(w, "value.type", "no known type");
    }
    if (type == TYPE_ARRAY) {
        return read_array(w, 0, out);
    }
    *out = (td_gguf__value){.type = type};
    if (type == TYPE_STRING) {
        return take_text(w, "value.text", w->view->size, &out->text);
    }
    TD_TRY(need(w, sizes[type], "value"));
    out->number = number_at(w, type);
    w->at += sizes[type];
    return type == TYPE_BOOL && out->number > 1 ? corrupt(w, "value", "a boolean that is neither 0 nor 1") : TD_OK;
}

static td_code read_key(td_gguf__walk *w)
{
    td_text key;
    td_gguf__value value;
    TD_TRY(take_text(w, "key", TD_GGUF_KEY_MAX, &key));
    if (key.size == 0) {
        return corrupt(w, "key", "an empty key");
    }
    TD_TRY(read_value(w, &value));
    td_gguf__key(w, key, &value);
    return TD_OK;
}

/* ---- tensors ---- */

static td_code read_dims(td_gguf__walk *w, uint64_t *elements_out, uint64_t *row_out)
{
    uint32_t count;
    uint64_t elements = 1;
    TD_TRY(take32(w, "tensor.n_dims", &count));
    if (count > TD_GGUF_DIMS_MAX) {
        return corrupt(w, "tensor.n_dims", "more than 4 dimensions");
    }
    *row_out = 1;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t dim;
        TD_TRY(take64(w, "tensor.dims", &dim));
        if (dim > INT64_MAX || __builtin_mul_overflow(elements, dim, &elements) || elements > INT64_MAX) {
            return corrupt(w, "tensor.dims", "negative, or too many elements");
        }
        *row_out = i == 0 ? dim : *row_out;
    }
    *elements_out = elements;
    return TD_OK;
}

static td_code read_tensor(td_gguf__walk *w, td_gguf__tensor *out)
{
    td_text name;
    uint32_t number;
    uint64_t elements, row, size;
    TD_TRY(take_text(w, "tensor.name", TD_GGUF_NAME_MAX, &name));
    TD_TRY(read_dims(w, &elements, &row));
    TD_TRY(take32(w, "tensor.type", &number));
    const td_gguf__type *type = td_gguf__type_of(number);
    if (type == NULL) {
        return corrupt(w, "tensor.type", "no known type");
    }
    if (row % type->block != 0) {
        return corrupt(w, "tensor.dims", "no whole number of blocks of its type");
    }
    if (__builtin_mul_overflow(elements / type->block, (uint64_t)type->bytes, &size)) {
        return corrupt(w, "tensor.dims", "too many elements");
    }
    TD_TRY(take64(w, "tensor.offset", &out->offset));
    out->size = size;
    out->name = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < name.size; i++) {
        out->name = (out->name ^ ((const uint8_t *)name.data)[i]) * 1099511628211u;
    }
    if (__builtin_add_overflow(w->parameters, elements, &w->parameters) || w->parameters > INT64_MAX) {
        return corrupt(w, "tensor.dims", "too many elements in all");
    }
    w->parameter_bytes += size; /* each is inside the file, none over another: checked below */
    td_gguf__count_type(w, type);
    return TD_OK;
}

static int by_offset(const void *a, const void *b, void *context)
{
    (void)context;
    const td_gguf__tensor *x = a;
    const td_gguf__tensor *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int by_name(const void *a, const void *b, void *context)
{
    (void)context;
    const td_gguf__tensor *x = a;
    const td_gguf__tensor *y = b;
    return (x->name > y->name) - (x->name < y->name);
}

/* All of them inside what is left of the file, aligned, none over another, no name twice. */
static td_code check_places(td_gguf__walk *w, td_gguf__tensor *tensors, size_t count)
{
    uint64_t alignment = w->alignment, start = w->at, end = 0;
    if (alignment == 0 || alignment > 1 << 20 || (alignment & (alignment - 1)) != 0) {
        return corrupt(w, "general.alignment", "no power of two");
    }
    start = (start + alignment - 1) / alignment * alignment;
    uint64_t room = start > w->view->size ? 0 : w->view->size - start;
    td_sort(tensors, count, sizeof *tensors, by_offset, NULL);
    for (size_t i = 0; i < count; i++) {
        const td_gguf__tensor *t = &tensors[i];
        if (t->offset % alignment != 0) {
            return corrupt(w, "tensor.offset", "not at its alignment");
        }
        if (t->offset > room || t->size > room - t->offset) {
            return corrupt(w, "tensor.offset", "a tensor reaches past the end of the file");
        }
        if (t->offset < end) {
            return corrupt(w, "tensor.offset", "a tensor lies over another");
        }
        end = t->offset + t->size;
    }
    if (room > end && room - end > alignment + 4096) {
        td_facts_risk(w->facts, "trailing_bytes", "%llu bytes follow the last tensor",
                      (unsigned long long)(room - end));
    }
    td_sort(tensors, count, sizeof *tensors, by_name, NULL);
    for (size_t i = 1; i < count; i++) {
        if (tensors[i].name == tensors[i - 1].name) {
            return corrupt(w, "tensor.name", "two tensors have the same name");
        }
    }
    return TD_OK;
}

static td_code read_tensors(td_gguf__walk *w, uint64_t count)
{
    td_gguf__tensor *tensors = malloc((count + 1) * sizeof *tensors); /* each takes more bytes in the file: checked */
    td_code code = tensors != NULL ? TD_OK : td_fail(w->err, TD_NOMEM, "no memory to read %s", w->view->name);
    for (uint64_t i = 0; code == TD_OK && i < count; i++) {
        code = read_tensor(w, &tensors[i]);
    }
    code = code == TD_OK ? check_places(w, tensors, (size_t)count) : code;
    free(tensors);
    return code;
}

/* ---- the whole ---- */

/* Counts are held against the fewest bytes that so many can take: 13 a key, 24 a tensor. */
static td_code check_counts(td_gguf__walk *w, uint64_t tensors, uint64_t keys)
{
    uint64_t left = w->view->size - w->at;
    if (keys > left / 13 || tensors > left / 24) {
        return corrupt(w, "header", "counts more keys or tensors than the file can hold");
    }
    if (keys > TD_GGUF_KEYS_MAX || tensors > TD_GGUF_TENSORS_MAX) {
        return td_fail(w->err, TD_LIMIT, "%s has %llu keys and %llu tensors; at most %d and %d are read", w->view->name,
                       (unsigned long long)keys, (unsigned long long)tensors, TD_GGUF_KEYS_MAX, TD_GGUF_TENSORS_MAX);
    }
    return TD_OK;
}

static td_code read_header(td_gguf__walk *w, uint64_t *tensors_out, uint64_t *keys_out)
{
    uint32_t version;
    char text[16];
    if (w->view->size < 4) {
        return corrupt(w, "magic", "the file is cut short here");
    }
    w->at = 4;
    TD_TRY(take32(w, "version", &version));
    w->big = (version & 0xffff) == 0 && version != 0;
    version = w->big ? __builtin_bswap32(version) : version;
    if (version != 2 && version != 3) {
        return corrupt(w, "version", "neither 2 nor 3; convert it again with a current program");
    }
    snprintf(text, sizeof text, "%u", (unsigned)version);
    td_facts_set(w->facts, "format_version", json_string(text));
    td_facts_detail(w->facts, "byte_order", json_string(w->big ? "big" : "little"));
    TD_TRY(take64(w, "tensor_count", tensors_out));
    TD_TRY(take64(w, "kv_count", keys_out));
    return check_counts(w, *tensors_out, *keys_out);
}

td_code td_gguf__read(const td_view *view, td_facts *facts, td_err *err)
{
    td_gguf__walk w = {.view = view, .facts = facts, .err = err, .alignment = ALIGNMENT_DEFAULT, .file_type = -1};
    uint64_t tensors, keys;
    TD_TRY(read_header(&w, &tensors, &keys));
    for (uint64_t i = 0; i < keys; i++) {
        TD_TRY(read_key(&w));
    }
    TD_TRY(read_tensors(&w, tensors));
    td_facts_number(facts, "tensors", tensors);
    td_facts_number(facts, "parameters", w.parameters);
    td_facts_number(facts, "parameter_bytes", w.parameter_bytes);
    td_gguf__sum_up(&w);
    return TD_OK;
}
