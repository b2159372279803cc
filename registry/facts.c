/*
 * facts.c: the tree of facts: neutral at first, then filled by a parser, never larger than its limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/facts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void keep(td_facts *facts, int failed)
{
    if (failed != 0 && facts->failed == TD_OK) {
        facts->failed = TD_NOMEM;
    }
}

td_code td_facts_begin(const char *format, td_facts *out, td_err *err)
{
    json_t *json =
        json_pack("{s:s, s:n, s:n, s:n, s:n, s:[], s:[], s:[], s:[], s:{}, s:i, s:i, s:i, s:i, s:{}, s:b, s:n, s:b, "
                  "s:b, s:b, s:{}, s:{}, s:[], s:n, s:b, s:[]}",
                  "format", format, "format_version", "name", "producer", "producer_version", "inputs", "outputs",
                  "params", "operators", "opsets", "nodes", 0, "tensors", 0, "parameters", 0, "parameter_bytes", 0,
                  "types", "quantized", 0, "quantization", "custom_operators", 0, "external_data", 0, "training", 0,
                  "metadata", "details", "risks", "verdict", "quarantined", 0, "globals");
    if (json == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to describe a model");
    }
    *out = (td_facts){.json = json,
                      .details = json_object_get(json, "details"),
                      .metadata = json_object_get(json, "metadata"),
                      .risks = json_object_get(json, "risks"),
                      .types = json_object_get(json, "types"),
                      .globals = json_object_get(json, "globals")};
    return TD_OK;
}

void td_facts_done(td_facts *facts)
{
    json_decref(facts->json);
    *facts = (td_facts){0};
}

td_code td_facts_finish(td_facts *facts, const char *name, json_t **out, td_err *err)
{
    if (facts->failed == TD_LIMIT) {
        return td_fail(err, TD_LIMIT, "%s has more than %d inputs or outputs, or they have more than %d dimensions",
                       name, TD_FACTS_PORTS_MAX, TD_FACTS_DIMS_MAX);
    }
    if (facts->failed != TD_OK) {
        return td_fail(err, facts->failed, "no memory to describe %s", name);
    }
    *out = facts->json;
    *facts = (td_facts){0};
    return TD_OK;
}

/* ---- text ---- */

/* Bytes of the UTF-8 sequence at the start, 0 if there is none (Unicode 15, table 3-7). */
static size_t sequence(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    size_t size = lead < 0x80                   ? 1
                  : lead >= 0xC2 && lead < 0xE0 ? 2
                  : lead >= 0xE0 && lead < 0xF0 ? 3
                  : lead >= 0xF0 && lead < 0xF5 ? 4
                                                : 0;
    if (size == 0 || size > left) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool bad = size > 1 && ((lead == 0xE0 && at[1] < 0xA0) || (lead == 0xED && at[1] > 0x9F) ||
                            (lead == 0xF0 && at[1] < 0x90) || (lead == 0xF4 && at[1] > 0x8F));
    return bad ? 0 : size;
}

json_t *td_facts_text(const void *data, size_t size, size_t most)
{
    char clean[TD_FACTS_TEXT_MAX + 64];
    const uint8_t *from = data;
    size_t used = 0, at = 0;
    most = most < TD_FACTS_TEXT_MAX ? most : TD_FACTS_TEXT_MAX;
    while (at < size && used < most) {
        size_t step = sequence(from + at, size - at);
        bool control = step == 1 && (from[at] < 0x20 || from[at] == 0x7f) && from[at] != '\n' && from[at] != '\t';
        if (step == 0 || control) {
            clean[used++] = '?';
            at++;
            continue;
        }
        if (used + step > most) {
            break;
        }
        memcpy(clean + used, from + at, step);
        used += step;
        at += step;
    }
    if (at < size) {
        int added = snprintf(clean + used, sizeof clean - used, "… (%zu bytes)", size);
        used += added > 0 ? (size_t)added : 0;
    }
    return json_stringn(clean, used);
}

/* A key of an object: as td_facts_text, in a buffer. */
static void key_text(td_text key, char out[TD_FACTS_KEY_MAX + 64])
{
    json_t *text = td_facts_text(key.data, key.size, TD_FACTS_KEY_MAX);
    snprintf(out, TD_FACTS_KEY_MAX + 64, "%s", text != NULL ? json_string_value(text) : "?");
    json_decref(text);
}

/* ---- setting ---- */

void td_facts_set(td_facts *facts, const char *key, json_t *value)
{
    keep(facts, json_object_set_new(facts->json, key, value));
}

void td_facts_detail(td_facts *facts, const char *key, json_t *value)
{
    keep(facts, json_object_set_new(facts->details, key, value));
}

void td_facts_number(td_facts *facts, const char *key, uint64_t value)
{
    td_facts_set(facts, key, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

void td_facts_metadata(td_facts *facts, td_text key, td_text value)
{
    char name[TD_FACTS_KEY_MAX + 64];
    if (json_object_size(facts->metadata) >= TD_FACTS_METADATA_MAX) {
        json_int_t left = td_json_int(facts->details, "metadata_left_out", 0);
        td_facts_detail(facts, "metadata_left_out", json_integer(left + 1));
        return;
    }
    key_text(key, name);
    keep(facts, json_object_set_new(facts->metadata, name, td_facts_text(value.data, value.size, TD_FACTS_TEXT_MAX)));
}

void td_facts_type(td_facts *facts, const char *type)
{
    json_t *count = json_object_get(facts->types, type);
    if (count != NULL) {
        keep(facts, json_integer_set(count, json_integer_value(count) + 1));
    } else if (json_object_size(facts->types) < TD_FACTS_TYPES_MAX) {
        keep(facts, json_object_set_new(facts->types, type, json_integer(1)));
    }
}

void td_facts_port(td_facts *facts, const char *list, td_text name, const char *type, json_t *shape)
{
    json_t *ports = json_object_get(facts->json, list);
    facts->dims += json_array_size(shape);
    if (json_array_size(ports) >= TD_FACTS_PORTS_MAX || facts->dims > TD_FACTS_DIMS_MAX) {
        facts->failed = facts->failed == TD_OK ? TD_LIMIT : facts->failed;
        json_decref(shape);
        return;
    }
    json_t *text = td_facts_text(name.data, name.size, TD_FACTS_KEY_MAX);
    keep(facts, json_array_append_new(ports, json_pack("{s:o, s:s, s:o}", "name", text, "type", type, "shape", shape)));
}

void td_facts_operator(td_facts *facts, const td_facts_op *op)
{
    json_t *list = json_object_get(facts->json, "operators");
    if (op->custom) {
        td_facts_set(facts, "custom_operators", json_true());
    }
    if (json_array_size(list) >= TD_FACTS_OPERATORS_MAX) {
        return;
    }
    json_t *one =
        json_pack("{s:o, s:o, s:I, s:b}", "name", td_facts_text(op->name.data, op->name.size, TD_FACTS_KEY_MAX),
                  "domain", td_facts_text(op->domain, strlen(op->domain), TD_FACTS_KEY_MAX), "count",
                  (json_int_t)op->count, "custom", op->custom);
    if (op->version > 0) {
        keep(facts, json_object_set_new(one, "version", json_integer(op->version)));
    }
    keep(facts, json_array_append_new(list, one));
}

void td_facts_risk(td_facts *facts, const char *code, const char *format, ...)
{
    char text[400];
    for (size_t i = 0; i < json_array_size(facts->risks); i++) {
        if (strcmp(td_json_text(json_array_get(facts->risks, i), "code", ""), code) == 0) {
            return;
        }
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (json_array_size(facts->risks) < TD_FACTS_RISKS_MAX) {
        json_t *shown = td_facts_text(text, strlen(text), sizeof text);
        keep(facts, json_array_append_new(facts->risks, json_pack("{s:s, s:o}", "code", code, "text", shown)));
    }
}
