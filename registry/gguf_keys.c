/*
 * gguf_keys.c: what the keys and types of a GGUF file mean.
 *
 * Sources: docs/gguf.md and ggml.h of github.com/ggml-org/ggml, enum llama_ftype of github.com/ggml-org/llama.cpp
 * (MIT). SPDX-License-Identifier: Apache-2.0
 */
#include "registry/gguf_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const td_gguf__type types[] = {
    {0, "F32", 1, 4, false},        {1, "F16", 1, 2, false},        {2, "Q4_0", 32, 18, true},
    {3, "Q4_1", 32, 20, true},      {6, "Q5_0", 32, 22, true},      {7, "Q5_1", 32, 24, true},
    {8, "Q8_0", 32, 34, true},      {9, "Q8_1", 32, 40, true},      {10, "Q2_K", 256, 84, true},
    {11, "Q3_K", 256, 110, true},   {12, "Q4_K", 256, 144, true},   {13, "Q5_K", 256, 176, true},
    {14, "Q6_K", 256, 210, true},   {15, "Q8_K", 256, 292, true},   {16, "IQ2_XXS", 256, 66, true},
    {17, "IQ2_XS", 256, 74, true},  {18, "IQ3_XXS", 256, 98, true}, {19, "IQ1_S", 256, 50, true},
    {20, "IQ4_NL", 32, 18, true},   {21, "IQ3_S", 256, 110, true},  {22, "IQ2_S", 256, 82, true},
    {23, "IQ4_XS", 256, 136, true}, {24, "I8", 1, 1, false},        {25, "I16", 1, 2, false},
    {26, "I32", 1, 4, false},       {27, "I64", 1, 8, false},       {28, "F64", 1, 8, false},
    {29, "IQ1_M", 256, 56, true},   {30, "BF16", 1, 2, false},      {34, "TQ1_0", 256, 54, true},
    {35, "TQ2_0", 256, 66, true},   {39, "MXFP4", 32, 17, true},    {40, "NVFP4", 64, 36, true},
    {41, "Q1_0", 128, 18, true},
};

/* general.file_type */
static const struct {
    int64_t number;
    const char *name;
} file_types[] = {
    {0, "F32"},     {1, "F16"},     {2, "Q4_0"},     {3, "Q4_1"},    {7, "Q8_0"},       {8, "Q5_0"},    {9, "Q5_1"},
    {10, "Q2_K"},   {11, "Q3_K_S"}, {12, "Q3_K_M"},  {13, "Q3_K_L"}, {14, "Q4_K_S"},    {15, "Q4_K_M"}, {16, "Q5_K_S"},
    {17, "Q5_K_M"}, {18, "Q6_K"},   {19, "IQ2_XXS"}, {20, "IQ2_XS"}, {21, "Q2_K_S"},    {22, "IQ3_XS"}, {23, "IQ3_XXS"},
    {24, "IQ1_S"},  {25, "IQ4_NL"}, {26, "IQ3_S"},   {27, "IQ3_M"},  {28, "IQ2_S"},     {29, "IQ2_M"},  {30, "IQ4_XS"},
    {31, "IQ1_M"},  {32, "BF16"},   {36, "TQ1_0"},   {37, "TQ2_0"},  {38, "MXFP4_MOE"}, {39, "NVFP4"},  {40, "Q1_0"},
};

const td_gguf__type *td_gguf__type_of(uint32_t number)
{
    for (size_t i = 0; i < TD_COUNT_OF(types); i++) {
        if (types[i].number == number) {
            return &types[i];
        }
    }
    return NULL;
}

void td_gguf__count_type(td_gguf__walk *walk, const td_gguf__type *type)
{
    if (type->number < TD_COUNT_OF(walk->type_counts)) {
        walk->type_counts[type->number]++;
    }
}

static bool same(td_text a, const char *b)
{
    return a.size == strlen(b) && memcmp(a.data, b, a.size) == 0;
}

static bool starts(td_text a, const char *b)
{
    return a.size >= strlen(b) && memcmp(a.data, b, strlen(b)) == 0;
}

/* Numbers as text; floats as what they are, rounded for people. */
static int number_text(const td_gguf__value *value, char out[48])
{
    uint32_t low = (uint32_t)value->number;
    float f;
    double d;
    memcpy(&f, &low, sizeof f);
    memcpy(&d, &value->number, sizeof d);
    switch (value->type) {
    case 1:
        return snprintf(out, 48, "%d", (int)(int8_t)value->number);
    case 3:
        return snprintf(out, 48, "%d", (int)(int16_t)value->number);
    case 5:
        return snprintf(out, 48, "%" PRId32, (int32_t)low);
    case 6:
        return snprintf(out, 48, "%.7g", (double)f);
    case 7:
        return snprintf(out, 48, "%s", value->number != 0 ? "true" : "false");
    case 11:
        return snprintf(out, 48, "%" PRId64, (int64_t)value->number);
    case 12:
        return snprintf(out, 48, "%.15g", d);
    default:
        return snprintf(out, 48, "%" PRIu64, value->number);
    }
}

static bool contains(td_text text, const char *part)
{
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

/* Jinja that reaches for Python's inside ("__class__" and the like) runs code where the template is not sandboxed. */
static void judge_template(td_gguf__walk *w, td_text text)
{
    td_facts_detail(w->facts, "chat_template_bytes", json_integer((json_int_t)text.size));
    if (contains(text, "__") || contains(text, "|attr") || contains(text, "\\x5f") || contains(text, "| attr")) {
        td_facts_risk(w->facts, "template_code",
                      "its chat template reaches for Python's inside; programs that do not sandbox it run code");
    }
}

static json_t *value_json(const td_gguf__value *value)
{
    char text[48];
    if (value->type == 8) {
        return td_facts_text(value->text.data, value->text.size, TD_FACTS_TEXT_MAX);
    }
    if (value->type != 6 && value->type != 12 && value->type != 7 && value->number <= INT64_MAX) {
        return json_integer((json_int_t)value->number);
    }
    int length = number_text(value, text);
    return json_stringn(text, (size_t)length);
}

/* "<architecture>.context_length" and the like become details under their last part. */
static void keep_size(td_gguf__walk *w, td_text key, const td_gguf__value *value)
{
    static const char *const kept[] = {"context_length",      "embedding_length",     "block_count",
                                       "feed_forward_length", "attention.head_count", "attention.head_count_kv",
                                       "expert_count",        "expert_used_count",    "vocab_size"};
    const char *dot = memchr(key.data, '.', key.size);
    if (dot == NULL) {
        return;
    }
    td_text rest = {dot + 1, key.size - (size_t)(dot + 1 - (const char *)key.data)};
    for (size_t i = 0; i < TD_COUNT_OF(kept); i++) {
        if (same(rest, kept[i])) {
            td_facts_detail(w->facts, kept[i], value_json(value));
        }
    }
}

static void keep_general(td_gguf__walk *w, td_text key, const td_gguf__value *value)
{
    if (same(key, "general.alignment")) {
        w->alignment = value->type == 4 ? value->number : 0;
    } else if (same(key, "general.file_type") && value->type < 8) {
        w->file_type = (int64_t)value->number;
    } else if (same(key, "general.architecture") && value->type == 8) {
        td_facts_detail(w->facts, "architecture", value_json(value));
    } else if (same(key, "general.name") && value->type == 8) {
        td_facts_set(w->facts, "name", value_json(value));
    } else if (starts(key, "general.license") && value->type == 8) {
        td_facts_detail(w->facts, same(key, "general.license") ? "license" : "license_link", value_json(value));
    } else if (starts(key, "general.quantized_by") && value->type == 8) {
        td_facts_set(w->facts, "producer", value_json(value));
    }
}

/* "general.base_model.0.name", ".version", ".organization", ".repo_url", ".doi": one entry a model. */
static void keep_base_model(td_gguf__walk *w, td_text key, const td_gguf__value *value)
{
    char name[96];
    size_t prefix = strlen("general.base_model.");
    if (value->type != 8 || key.size <= prefix || key.size - prefix >= sizeof name) {
        return;
    }
    json_t *list = json_object_get(w->facts->details, "base_models");
    if (list == NULL) {
        td_facts_detail(w->facts, "base_models", json_object());
        list = json_object_get(w->facts->details, "base_models");
    }
    memcpy(name, (const char *)key.data + prefix, key.size - prefix);
    name[key.size - prefix] = '\0';
    json_t *shown = td_facts_text(name, strlen(name), sizeof name);
    if (json_object_size(list) < 64 && shown != NULL) {
        (void)json_object_set_new(list, json_string_value(shown), value_json(value));
    }
    json_decref(shown);
}

void td_gguf__key(td_gguf__walk *w, td_text key, const td_gguf__value *value)
{
    char text[64];
    if (same(key, "tokenizer.chat_template") && value->type == 8) {
        judge_template(w, value->text);
    }
    if (starts(key, "general.base_model.")) {
        keep_base_model(w, key, value);
    } else if (starts(key, "general.")) {
        keep_general(w, key, value);
    } else if (!starts(key, "tokenizer.")) {
        keep_size(w, key, value);
    }
    if (value->type == 8) {
        td_facts_metadata(w->facts, key, value->text);
    } else if (value->type == 9) {
        int length = snprintf(text, sizeof text, "(%" PRIu64 " elements)", value->number);
        td_facts_metadata(w->facts, key, (td_text){text, (size_t)length});
    } else {
        char number[48];
        int length = number_text(value, number);
        td_facts_metadata(w->facts, key, (td_text){number, (size_t)length});
    }
}

/* The file's own word, else the type that most tensors have. */
void td_gguf__sum_up(td_gguf__walk *w)
{
    const char *name = NULL;
    const td_gguf__type *most = NULL;
    for (size_t i = 0; i < TD_COUNT_OF(types); i++) {
        uint64_t count = types[i].number < TD_COUNT_OF(w->type_counts) ? w->type_counts[types[i].number] : 0;
        if (count > 0) {
            json_t *total = json_integer((json_int_t)count);
            (void)json_object_set_new(w->facts->types, types[i].name, total);
            most = types[i].quantized || most == NULL ? &types[i] : most;
        }
    }
    for (size_t i = 0; i < TD_COUNT_OF(file_types); i++) {
        name = file_types[i].number == w->file_type ? file_types[i].name : name;
    }
    name = name == NULL && most != NULL ? most->name : name;
    td_facts_set(w->facts, "quantized", json_boolean(most != NULL && most->quantized));
    if (name != NULL) {
        td_facts_set(w->facts, "quantization", json_string(name));
    }
    if (json_object_get(w->facts->details, "architecture") == NULL) {
        td_facts_risk(w->facts, "no_architecture", "it does not say its architecture (general.architecture)");
    }
}
