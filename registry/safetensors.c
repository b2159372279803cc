/*
 * safetensors.c: the header of a safetensors file: names, types, shapes, and that the tensors fill the file exactly.
 *
 * The header is JSON, but may be 100 MB of it: it is read as it stands, without a tree. No tensor may overlap another,
 * no byte may belong to none, no name may stand twice: what one reader skips another may load.
 * Source: README of github.com/huggingface/safetensors (Apache-2.0).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/safetensors_internal.h"
#include "registry/sort.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 100000000u
#define TENSOR_TEXT_MIN 48 /* "":{"dtype":"U8","shape":[],"data_offsets":[0,0]} */
#define TENSORS_MAX 1000000
#define DIMS_MAX 32

typedef struct tensor {
    uint64_t begin, end;
    uint32_t name, name_size; /* place in the file */
} tensor;

typedef struct walk {
    td_jsontext json;
    const td_view *view;
    td_facts *facts;
    td_err *err;
    tensor *tensors;
    size_t count, room;
    uint64_t parameters, narrow; /* narrow: of those, in types of at most 8 bits */
} walk;

static const struct {
    const char *name;
    unsigned bits;
} dtypes[] = {{"F32", 32},    {"F16", 16},    {"BF16", 16},   {"F64", 64},    {"I64", 64}, {"I32", 32}, {"I16", 16},
              {"I8", 8},      {"U8", 8},      {"BOOL", 8},    {"U64", 64},    {"U32", 32}, {"U16", 16}, {"F8_E5M2", 8},
              {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},   {"C64", 64}};

static td_code corrupt(const walk *w, const char *field, const char *problem)
{
    return td_view__corrupt(w->view, (uint64_t)(w->json.at - w->view->data), field, problem, w->err);
}

static td_code garbled(const walk *w, const char *field)
{
    return corrupt(w, field, "the header is no JSON of the form that it must have");
}

/* ---- one tensor ---- */

typedef struct info {
    int dtype; /* index, -1: not given */
    uint64_t elements, begin, end;
    bool has_shape, has_offsets;
} info;

static td_code read_dtype(walk *w, info *out)
{
    td_text text;
    if (!td_jsontext_string(&w->json, &text)) {
        return garbled(w, "dtype");
    }
    for (size_t i = 0; i < TD_COUNT_OF(dtypes); i++) {
        if (strlen(dtypes[i].name) == text.size && memcmp(dtypes[i].name, text.data, text.size) == 0) {
            out->dtype = (int)i;
            return TD_OK;
        }
    }
    return corrupt(w, "dtype", "no known type");
}

static td_code read_shape(walk *w, info *out)
{
    size_t count = 0;
    uint64_t dim;
    if (!td_jsontext_char(&w->json, '[')) {
        return garbled(w, "shape");
    }
    out->has_shape = true;
    out->elements = 1;
    if (td_jsontext_char(&w->json, ']')) {
        return TD_OK;
    }
    do {
        if (!td_jsontext_number(&w->json, &dim)) {
            return garbled(w, "shape");
        }
        if (++count > DIMS_MAX || __builtin_mul_overflow(out->elements, dim, &out->elements)) {
            return corrupt(w, "shape", "more than 32 dimensions, or too many elements");
        }
    } while (td_jsontext_char(&w->json, ','));
    return td_jsontext_char(&w->json, ']') ? TD_OK : garbled(w, "shape");
}

static td_code read_offsets(walk *w, info *out)
{
    bool good = td_jsontext_char(&w->json, '[') && td_jsontext_number(&w->json, &out->begin) &&
                td_jsontext_char(&w->json, ',') && td_jsontext_number(&w->json, &out->end) &&
                td_jsontext_char(&w->json, ']');
    out->has_offsets = true;
    return good ? TD_OK : garbled(w, "data_offsets");
}

static bool is(td_text text, const char *name)
{
    return text.size == strlen(name) && memcmp(text.data, name, text.size) == 0;
}

static td_code read_info(walk *w, info *out)
{
    *out = (info){.dtype = -1};
    if (!td_jsontext_char(&w->json, '{')) {
        return garbled(w, "tensor");
    }
    do {
        td_text key;
        if (!td_jsontext_string(&w->json, &key) || !td_jsontext_char(&w->json, ':')) {
            return garbled(w, "tensor");
        }
        if (is(key, "dtype") && out->dtype < 0) {
            TD_TRY(read_dtype(w, out));
        } else if (is(key, "shape") && !out->has_shape) {
            TD_TRY(read_shape(w, out));
        } else if (is(key, "data_offsets") && !out->has_offsets) {
            TD_TRY(read_offsets(w, out));
        } else {
            return corrupt(w, "tensor", "a key that is not known or stands twice");
        }
    } while (td_jsontext_char(&w->json, ','));
    if (!td_jsontext_char(&w->json, '}') || out->dtype < 0 || !out->has_shape || !out->has_offsets) {
        return corrupt(w, "tensor", "dtype, shape or data_offsets is missing");
    }
    return TD_OK;
}

static td_code check_size(walk *w, const info *t)
{
    uint64_t bits;
    if (__builtin_mul_overflow(t->elements, (uint64_t)dtypes[t->dtype].bits, &bits) || bits % 8 != 0) {
        return corrupt(w, "shape", "too many elements, or no whole number of bytes");
    }
    if (t->end < t->begin || t->end - t->begin != bits / 8) {
        return corrupt(w, "data_offsets", "another number of bytes than its shape says");
    }
    return TD_OK;
}

static td_code read_tensor(walk *w, td_text name)
{
    info t;
    if (memchr(name.data, '\\', name.size) != NULL) {
        return corrupt(w, "name", "a tensor's name with escapes: two names could be one");
    }
    TD_TRY(read_info(w, &t));
    TD_TRY(check_size(w, &t));
    if (w->count == w->room) {
        return td_fail(w->err, TD_LIMIT, "%s has more than %zu tensors", w->view->name, w->room);
    }
    w->tensors[w->count++] =
        (tensor){t.begin, t.end, (uint32_t)((const uint8_t *)name.data - w->view->data), (uint32_t)name.size};
    if (__builtin_add_overflow(w->parameters, t.elements, &w->parameters)) {
        return corrupt(w, "shape", "too many elements in all");
    }
    unsigned bits = dtypes[t.dtype].bits;
    w->narrow += bits <= 8 && strcmp(dtypes[t.dtype].name, "BOOL") != 0 ? t.elements : 0;
    td_facts_type(w->facts, dtypes[t.dtype].name);
    return TD_OK;
}

/* ---- the header ---- */

static td_code read_metadata(walk *w)
{
    char key[TD_FACTS_KEY_MAX], value[TD_FACTS_TEXT_MAX];
    if (!td_jsontext_char(&w->json, '{')) {
        return garbled(w, "__metadata__");
    }
    if (td_jsontext_char(&w->json, '}')) {
        return TD_OK;
    }
    do {
        td_text name, text;
        if (!td_jsontext_string(&w->json, &name) || !td_jsontext_char(&w->json, ':') ||
            !td_jsontext_string(&w->json, &text)) {
            return garbled(w, "__metadata__");
        }
        name = (td_text){key, td_jsontext_unescape(name, key, sizeof key)};
        text = (td_text){value, td_jsontext_unescape(text, value, sizeof value)};
        td_facts_metadata(w->facts, name, text);
    } while (td_jsontext_char(&w->json, ','));
    return td_jsontext_char(&w->json, '}') ? TD_OK : garbled(w, "__metadata__");
}

static td_code read_header(walk *w)
{
    bool metadata = false;
    if (!td_jsontext_char(&w->json, '{')) {
        return garbled(w, "header");
    }
    if (td_jsontext_char(&w->json, '}')) {
        return TD_OK;
    }
    do {
        td_text name;
        if (!td_jsontext_string(&w->json, &name) || !td_jsontext_char(&w->json, ':')) {
            return garbled(w, "header");
        }
        bool is_metadata = is(name, "__metadata__");
        if (is_metadata && metadata) {
            return corrupt(w, "__metadata__", "stands twice");
        }
        metadata |= is_metadata;
        TD_TRY(is_metadata ? read_metadata(w) : read_tensor(w, name));
    } while (td_jsontext_char(&w->json, ','));
    return td_jsontext_char(&w->json, '}') && td_jsontext_done(&w->json) ? TD_OK : garbled(w, "header");
}

static int by_place(const void *a, const void *b, void *context)
{
    const tensor *x = a;
    const tensor *y = b;
    (void)context;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return (x->end > y->end) - (x->end < y->end);
}

static int by_name(const void *a, const void *b, void *context)
{
    const tensor *x = a;
    const tensor *y = b;
    const uint8_t *data = context;
    size_t least = x->name_size < y->name_size ? x->name_size : y->name_size;
    int order = memcmp(data + x->name, data + y->name, least);
    return order != 0 ? order : (x->name_size > y->name_size) - (x->name_size < y->name_size);
}

/* The tensors, one after another, are the rest of the file. */
static td_code check_places(walk *w, uint64_t room)
{
    uint64_t end = 0;
    td_sort(w->tensors, w->count, sizeof *w->tensors, by_place, NULL);
    for (size_t i = 0; i < w->count; i++) {
        if (w->tensors[i].begin != end) {
            return corrupt(w, "data_offsets",
                           w->tensors[i].begin < end ? "two tensors overlap" : "bytes that belong to no tensor");
        }
        end = w->tensors[i].end;
    }
    if (end != room) {
        return corrupt(w, "data_offsets",
                       end < room ? "bytes that belong to no tensor follow the last one" : "the file is cut short");
    }
    void *data = (void *)(uintptr_t)w->view->data;
    td_sort(w->tensors, w->count, sizeof *w->tensors, by_name, data);
    for (size_t i = 1; i < w->count; i++) {
        if (by_name(&w->tensors[i - 1], &w->tensors[i], data) == 0) {
            return corrupt(w, "name", "two tensors have the same name");
        }
    }
    return TD_OK;
}

static void sum_up(walk *w, uint64_t bytes)
{
    td_facts *facts = w->facts;
    td_facts_number(facts, "tensors", w->count);
    td_facts_number(facts, "parameters", w->parameters);
    td_facts_number(facts, "parameter_bytes", bytes);
    if (w->parameters > 0 && w->narrow > w->parameters / 2) {
        td_facts_set(facts, "quantized", json_true());
        td_facts_set(facts, "quantization", json_string("8 bits or fewer"));
    }
    const char *framework = td_json_text(facts->metadata, "format", NULL);
    const char *licence = td_json_text(facts->metadata, "license", NULL);
    if (framework != NULL) {
        td_facts_set(facts, "producer", json_string(framework));
    }
    if (licence != NULL) {
        td_facts_detail(facts, "license", json_string(licence));
    }
}

bool td_safetensors__looks(const td_view *view)
{
    return view->size >= 10 && td_get64(view->data) >= 2 && td_get64(view->data) <= HEADER_MAX && view->data[8] == '{';
}

td_code td_safetensors__read(const td_view *view, td_facts *facts, td_err *err)
{
    uint64_t length = view->size >= 8 ? td_get64(view->data) : 0;
    if (length < 2 || length > HEADER_MAX || length > view->size - 8) {
        return td_view__corrupt(view, 0, "header", "its length is more than the file, or more than 100 MB", err);
    }
    walk w = {.view = view, .facts = facts, .err = err, .room = (size_t)length / TENSOR_TEXT_MIN + 1};
    w.room = w.room < TENSORS_MAX ? w.room : TENSORS_MAX;
    w.json = (td_jsontext){view->data + 8, view->data + 8 + length};
    w.tensors = malloc(w.room * sizeof *w.tensors); /* half the header */
    if (w.tensors == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read %s", view->name);
    }
    td_code code = read_header(&w);
    code = code == TD_OK ? check_places(&w, view->size - 8 - length) : code;
    free(w.tensors);
    TD_TRY(code);
    sum_up(&w, view->size - 8 - length);
    return TD_OK;
}
