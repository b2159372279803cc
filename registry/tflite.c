/*
 * tflite.c: a TFLite (LiteRT) model: operators, inputs and outputs, signatures, metadata.
 *
 * Field numbers: schema.fbs of github.com/tensorflow/tensorflow, metadata_schema.fbs of github.com/tensorflow/
 * tflite-support (Apache-2.0). Of two operator codes of one operator the larger counts: files older than code 127 have
 * the first only.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/tflite_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VISITS_MAX 20000000 /* elements, whatever the size: a second or two */
#define SIGNATURES_MAX 64
#define SIGNATURE_PORTS_MAX 256

static td_text text_of(td_tflite__walk *walk, const td_fb_table *table, unsigned field)
{
    td_fb_vector bytes = td_fb_vector_of(&walk->fb, table, field, 1);
    return (td_text){walk->fb.data + bytes.at, bytes.count};
}

/* ---- operators ---- */

typedef struct kind {
    td_text name;
    int64_t code, version;
    bool custom;
} kind;

static kind read_kind(td_tflite__walk *walk, size_t i)
{
    td_fb_table table = td_fb_element(&walk->fb, walk->opcodes, i);
    int64_t old = (int8_t)td_fb_number(&walk->fb, &table, 0, 1, 0);
    int64_t code = (int32_t)td_fb_number(&walk->fb, &table, 3, 4, 0);
    kind out = {.code = code > old ? code : old, .version = (int32_t)td_fb_number(&walk->fb, &table, 2, 4, 1)};
    const char *known = td_tflite__operator_name(out.code);
    out.custom = known != NULL && strcmp(known, "CUSTOM") == 0;
    out.name = out.custom ? text_of(walk, &table, 1) : (td_text){known, known != NULL ? strlen(known) : 0};
    return out;
}

static bool is_flex(td_text name)
{
    return name.size > 4 && memcmp(name.data, "Flex", 4) == 0;
}

static bool touches_files(td_text name)
{
    static const char *const bad[] = {
        "FlexReadFile",           "FlexWriteFile",       "FlexMatchingFiles", "FlexPrintV2",
        "FlexMergeV2Checkpoints", "FlexSaveV2",          "FlexRestoreV2",     "FlexPyFunc",
        "FlexEagerPyFunc",        "FlexPyFuncStateless", "FlexDeleteFile"};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        if (strlen(bad[i]) == name.size && memcmp(bad[i], name.data, name.size) == 0) {
            return true;
        }
    }
    return false;
}

static void judge_custom(td_tflite__walk *walk, const kind *op)
{
    int length = op->name.size < 60 ? (int)op->name.size : 60;
    const char *name = op->name.data;
    if (touches_files(op->name)) {
        td_facts_risk(walk->facts, "file_access", "operator %.*s reads or writes files, or runs Python, where it runs",
                      length, name);
    }
    if (is_flex(op->name)) {
        td_facts_risk(walk->facts, "flex_operators",
                      "operator %.*s needs TensorFlow's own kernels (the Flex delegate) in the runtime", length, name);
    } else {
        td_facts_risk(walk->facts, "custom_operators", "custom operator \"%.*s\": devices need a runtime that has it",
                      length, name);
    }
}

static void show_operator(td_tflite__walk *walk, size_t i)
{
    char unknown[32];
    kind op = read_kind(walk, i);
    if (op.name.size == 0) {
        int length = snprintf(unknown, sizeof unknown, "BUILTIN_%lld", (long long)op.code);
        op.name = (td_text){unknown, (size_t)length};
    }
    if (op.custom) {
        judge_custom(walk, &op);
    }
    td_facts_op shown = {op.name, op.custom ? "custom" : "tflite", op.version, walk->counts[i], op.custom};
    td_facts_operator(walk->facts, &shown);
}

typedef struct rank {
    uint32_t count, index;
} rank;

static int by_count(const void *a, const void *b)
{
    const rank *x = a;
    const rank *y = b;
    if (x->count != y->count) {
        return x->count < y->count ? 1 : -1;
    }
    return (x->index > y->index) - (x->index < y->index);
}

/* By falling count; kinds that no operator uses are left out. */
static td_code show_operators(td_tflite__walk *walk)
{
    size_t used = 0;
    rank *ranks = calloc(walk->opcodes.count + 1, sizeof *ranks);
    if (ranks == NULL) {
        return td_fail(walk->err, TD_NOMEM, "no memory to read %s", walk->view->name);
    }
    for (size_t i = 0; i < walk->opcodes.count; i++) {
        if (walk->counts[i] > 0) {
            ranks[used++] = (rank){walk->counts[i], (uint32_t)i};
        }
    }
    qsort(ranks, used, sizeof *ranks, by_count);
    for (size_t i = 0; i < used && i < TD_FACTS_OPERATORS_MAX; i++) {
        show_operator(walk, ranks[i].index);
    }
    if (used > TD_FACTS_OPERATORS_MAX) {
        td_facts_detail(walk->facts, "operators_left_out", json_integer((json_int_t)(used - TD_FACTS_OPERATORS_MAX)));
    }
    free(ranks);
    return TD_OK;
}

/* ---- inputs, outputs, signatures ---- */

static json_t *shape_of(const td_tflite__walk *walk, const td_tflite__tensor *t)
{
    td_fb_vector dims = t->signature.count == t->shape.count && t->signature.count > 0 ? t->signature : t->shape;
    json_t *list = json_array();
    for (size_t i = 0; i < dims.count && i <= TD_FACTS_DIMS_MAX; i++) {
        int32_t dim = td_fb_int_at(&walk->fb, dims, i);
        (void)json_array_append_new(list, dim >= 0 ? json_integer(dim) : json_null());
    }
    return list;
}

static void show_port(td_tflite__walk *walk, const char *list, td_fb_vector tensors, int64_t index)
{
    td_tflite__tensor t;
    if (index < 0 || !td_tflite__tensor_at(walk, tensors, (size_t)index, &t)) {
        return;
    }
    const char *type = td_tflite__type_name(t.type);
    td_facts_port(walk->facts, list, t.name, type != NULL ? type : "unknown", shape_of(walk, &t));
}

static void show_ports(td_tflite__walk *walk, const td_fb_table *graph, const char *list, unsigned field)
{
    td_fb_vector tensors = td_fb_vector_of(&walk->fb, graph, 0, 4);
    td_fb_vector indices = td_fb_vector_of(&walk->fb, graph, field, 4);
    for (size_t i = 0; i < indices.count && i <= TD_FACTS_PORTS_MAX && walk->fb.failed == NULL; i++) {
        show_port(walk, list, tensors, td_fb_int_at(&walk->fb, indices, i));
    }
}

static json_t *signature_names(td_tflite__walk *walk, const td_fb_table *signature, unsigned field)
{
    td_fb_vector maps = td_fb_vector_of(&walk->fb, signature, field, 4);
    json_t *names = json_array();
    for (size_t i = 0; i < maps.count && i < SIGNATURE_PORTS_MAX && walk->fb.failed == NULL; i++) {
        td_fb_table map = td_fb_element(&walk->fb, maps, i);
        td_text name = text_of(walk, &map, 0);
        (void)json_array_append_new(names, td_facts_text(name.data, name.size, 128));
    }
    return names;
}

static void show_signatures(td_tflite__walk *walk, const td_fb_table *model)
{
    td_fb_vector signatures = td_fb_vector_of(&walk->fb, model, 7, 4);
    json_t *list = json_array();
    for (size_t i = 0; i < signatures.count && i < SIGNATURES_MAX && walk->fb.failed == NULL; i++) {
        td_fb_table signature = td_fb_element(&walk->fb, signatures, i);
        td_text key = text_of(walk, &signature, 2);
        json_t *one =
            json_pack("{s:o, s:o, s:o, s:I}", "key", td_facts_text(key.data, key.size, TD_FACTS_KEY_MAX), "inputs",
                      signature_names(walk, &signature, 0), "outputs", signature_names(walk, &signature, 1), "subgraph",
                      (json_int_t)td_fb_number(&walk->fb, &signature, 4, 4, 0));
        (void)json_array_append_new(list, one);
    }
    td_facts_detail(walk->facts, "signatures", list);
}

/* ---- metadata ---- */

/* A buffer of its own FlatBuffer: "M001", ModelMetadata. */
static void read_model_metadata(td_tflite__walk *walk, td_text bytes)
{
    static const struct {
        unsigned field;
        const char *key;
    } fields[] = {{0, "name"},   {1, "description"}, {2, "version"},
                  {4, "author"}, {5, "license"},     {7, "min_parser_version"}};
    td_flatbuf inner = {.data = bytes.data, .size = bytes.size, .budget = 64};
    td_fb_table root;
    if (bytes.size < 8 || memcmp(inner.data + 4, "M001", 4) != 0 || !td_fb_root(&inner, &root)) {
        td_facts_risk(walk->facts, "metadata", "its TFLITE_METADATA cannot be read");
        return;
    }
    for (size_t i = 0; i < TD_COUNT_OF(fields); i++) {
        td_fb_vector value = td_fb_vector_of(&inner, &root, fields[i].field, 1);
        if (value.count > 0) {
            td_facts_metadata(walk->facts, (td_text){fields[i].key, strlen(fields[i].key)},
                              (td_text){inner.data + value.at, value.count});
        }
    }
    const char *name = td_json_text(walk->facts->metadata, "name", NULL);
    if (name != NULL) {
        td_facts_set(walk->facts, "name", json_string(name));
    }
}

static void show_metadata(td_tflite__walk *walk, const td_fb_table *model)
{
    td_fb_vector entries = td_fb_vector_of(&walk->fb, model, 6, 4);
    for (size_t i = 0; i < entries.count && i < TD_FACTS_METADATA_MAX && walk->fb.failed == NULL; i++) {
        td_fb_table entry = td_fb_element(&walk->fb, entries, i);
        td_text name = text_of(walk, &entry, 0);
        td_text value = td_tflite__buffer(walk, td_fb_number(&walk->fb, &entry, 1, 4, 0));
        if (name.size == 15 && memcmp(name.data, "TFLITE_METADATA", 15) == 0) {
            read_model_metadata(walk, value);
        } else if (name.size == 19 && memcmp(name.data, "min_runtime_version", 19) == 0) {
            size_t length = strnlen(value.data, value.size < 16 ? value.size : 16);
            td_facts_detail(walk->facts, "min_runtime_version", td_facts_text(value.data, length, 16));
        } else {
            char measured[32];
            int length = snprintf(measured, sizeof measured, "(%zu bytes)", value.size);
            td_facts_metadata(walk->facts, name, (td_text){measured, (size_t)length});
        }
    }
}

/* ---- the whole ---- */

static td_code walk_model(td_tflite__walk *walk)
{
    td_fb_table model, first = {0};
    if (!td_fb_root(&walk->fb, &model)) {
        return TD_OK; /* told by the caller */
    }
    int64_t version = (uint32_t)td_fb_number(&walk->fb, &model, 0, 4, 0);
    walk->opcodes = td_fb_vector_of(&walk->fb, &model, 1, 4);
    walk->subgraphs = td_fb_vector_of(&walk->fb, &model, 2, 4);
    walk->buffers = td_fb_vector_of(&walk->fb, &model, 4, 4);
    td_text description = text_of(walk, &model, 3);
    walk->counts = calloc(walk->opcodes.count + 1, sizeof *walk->counts);
    walk->seen = calloc(walk->buffers.count / 8 + 1, 1);
    if (walk->counts == NULL || walk->seen == NULL) {
        return td_fail(walk->err, TD_NOMEM, "no memory to read %s", walk->view->name);
    }
    for (size_t i = 0; i < walk->subgraphs.count && walk->fb.failed == NULL; i++) {
        td_fb_table graph = td_fb_element(&walk->fb, walk->subgraphs, i);
        td_tflite__subgraph(walk, &graph);
        first = i == 0 ? graph : first;
    }
    show_ports(walk, &first, "inputs", 1);
    show_ports(walk, &first, "outputs", 2);
    show_signatures(walk, &model);
    show_metadata(walk, &model);
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)version);
    td_facts_set(walk->facts, "format_version", json_string(text));
    td_facts_detail(walk->facts, "description", td_facts_text(description.data, description.size, TD_FACTS_TEXT_MAX));
    td_facts_detail(walk->facts, "subgraphs", json_integer((json_int_t)walk->subgraphs.count));
    if (walk->subgraphs.count == 0 && walk->fb.failed == NULL) {
        walk->fb.failed = "the model has no graph; the file may be cut short";
    }
    return show_operators(walk);
}

td_code td_tflite__read(const td_view *view, td_facts *facts, td_err *err)
{
    td_tflite__walk walk = {.view = view, .facts = facts, .err = err};
    uint64_t visits = (uint64_t)view->size > VISITS_MAX / 4 ? VISITS_MAX : 4 * (uint64_t)view->size + 4096;
    walk.fb = (td_flatbuf){.data = view->data, .size = view->size, .budget = visits};
    td_code code = walk_model(&walk);
    free(walk.counts);
    free(walk.seen);
    TD_TRY(code);
    if (walk.fb.failed != NULL) {
        return td_view__corrupt(view, walk.fb.failed_at, "model", walk.fb.failed, err);
    }
    td_tflite__sum_up(&walk);
    return TD_OK;
}
