/*
 * diff.c: two lists side by side, by the name of their elements; a version's parts are such lists.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/diff.h"

#include <stdlib.h>
#include <string.h>

#define WARNINGS_MAX 64

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to compare versions");
}

/* ---- lists ---- */

/* name → element, borrowed. */
static json_t *index_of(const json_t *list, const char *key)
{
    size_t i;
    json_t *element, *index = json_object();
    json_array_foreach ((json_t *)list, i, element) {
        (void)json_object_set(index, td_json_text(element, key, ""), element);
    }
    return index;
}

static int put(json_t *part, const char *list, json_t *value)
{
    return json_array_append_new(json_object_get(part, list), value);
}

/* What `to` has: it is new, or another than before, or the same. */
static int walk_new(const json_t *to, const json_t *before, const char *key, json_t *part)
{
    size_t i;
    json_t *element;
    int failed = 0;
    json_int_t same = 0;
    json_array_foreach ((json_t *)to, i, element) {
        const char *name = td_json_text(element, key, "");
        json_t *old = json_object_get(before, name);
        if (old == NULL) {
            failed |= put(part, "added", json_incref(element));
        } else if (!json_equal(old, element)) {
            failed |= put(part, "changed", json_pack("{s:s, s:O, s:O}", "name", name, "from", old, "to", element));
        } else {
            same++;
        }
    }
    return failed | json_object_set_new(part, "same", json_integer(same));
}

static int walk_old(const json_t *from, const json_t *after, const char *key, json_t *part)
{
    size_t i;
    json_t *element;
    int failed = 0;
    json_array_foreach ((json_t *)from, i, element) {
        if (json_object_get(after, td_json_text(element, key, "")) == NULL) {
            failed |= put(part, "removed", json_incref(element));
        }
    }
    return failed;
}

td_code td_diff_lists(const json_t *from, const json_t *to, const char *key, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *before = index_of(from, key);
    TD_CLEANUP(td_json_done) json_t *after = index_of(to, key);
    TD_CLEANUP(td_json_done) json_t *part = json_pack("{s:[], s:[], s:[]}", "added", "removed", "changed");
    if (before == NULL || after == NULL || part == NULL || walk_new(to, before, key, part) != 0 ||
        walk_old(from, after, key, part) != 0) {
        return no_memory(err);
    }
    *out = json_incref(part);
    return TD_OK;
}

/* ---- maps, as lists of {name, value} by name ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *list_of(const json_t *map)
{
    size_t count = 0;
    const char *key;
    json_t *value, *list = json_array();
    const char **keys = calloc(json_object_size(map) + 1, sizeof *keys);
    json_object_foreach ((json_t *)map, key, value) {
        if (keys != NULL) {
            keys[count++] = key;
        }
    }
    if (keys != NULL) {
        qsort(keys, count, sizeof *keys, by_name);
    }
    for (size_t i = 0; i < count; i++) {
        json_t *value_of = json_object_get(map, keys[i]);
        (void)json_array_append_new(list, json_pack("{s:s, s:O}", "name", keys[i], "value", value_of));
    }
    bool whole = keys != NULL && json_array_size(list) == json_object_size(map);
    free(keys);
    if (!whole) {
        json_decref(list);
        return NULL;
    }
    return list;
}

td_code td_diff_maps(const json_t *from, const json_t *to, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *before = list_of(from);
    TD_CLEANUP(td_json_done) json_t *after = list_of(to);
    return before != NULL && after != NULL ? td_diff_lists(before, after, "name", out, err) : no_memory(err);
}

bool td_diff_empty(const json_t *part)
{
    return json_array_size(json_object_get(part, "added")) == 0 &&
           json_array_size(json_object_get(part, "removed")) == 0 &&
           json_array_size(json_object_get(part, "changed")) == 0;
}

/* ---- the parts of a version ---- */

static json_t *head_of(const json_t *version)
{
    static const char *const keys[] = {"label", "state", "format", "content_id", "created_by", "created_at"};
    json_t *head = json_object();
    for (size_t i = 0; i < TD_COUNT_OF(keys); i++) {
        json_t *value = json_object_get(version, keys[i]);
        (void)json_object_set_new(head, keys[i], value != NULL ? json_incref(value) : json_null());
    }
    return head;
}

/* Single facts of the model file, and its operator sets. */
static json_t *facts_of(const json_t *version)
{
    static const char *const keys[] = {"format",       "format_version",  "producer",      "producer_version",
                                       "quantization", "nodes",           "tensors",       "parameters",
                                       "training",     "parameter_bytes", "external_data", "custom_operators"};
    const json_t *facts = json_object_get(version, "facts");
    json_t *map = json_object(), *value;
    const char *domain;
    for (size_t i = 0; i < TD_COUNT_OF(keys); i++) {
        value = json_object_get(facts, keys[i]);
        if (value != NULL && !json_is_null(value)) {
            (void)json_object_set(map, keys[i], value);
        }
    }
    json_object_foreach (json_object_get(facts, "opsets"), domain, value) {
        TD_CLEANUP(td_str_done) td_str name = {0};
        td_str_addf(&name, "opset %s", domain);
        (void)json_object_set(map, td_str_text(&name), value);
    }
    return map;
}

/* Operators under one name with their domain, which is left out where it is the format's own. */
static json_t *operators_of(const json_t *version)
{
    size_t i;
    json_t *operator, *list = json_array();
    json_array_foreach (json_object_get(json_object_get(version, "facts"), "operators"), i, operator) {
        const char *domain = td_json_text(operator, "domain", "");
        bool own = domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0;
        TD_CLEANUP(td_str_done) td_str name = {0};
        td_str_addf(&name, "%s%s%s", own ? "" : domain, own ? "" : ".", td_json_text(operator, "name", "?"));
        json_t *copy = json_copy(operator);
        (void)json_object_set_new(copy, "name", json_string(td_str_text(&name)));
        (void)json_array_append_new(list, copy);
    }
    return list;
}

static td_code add_list(json_t *diff, const char *name, const json_t *from, const json_t *to, td_err *err)
{
    json_t *part;
    TD_TRY(td_diff_lists(from, to, "name", &part, err));
    return json_object_set_new(diff, name, part) == 0 ? TD_OK : no_memory(err);
}

static td_code add_map(json_t *diff, const char *name, const json_t *from, const json_t *to, td_err *err)
{
    json_t *part;
    TD_TRY(td_diff_maps(from, to, &part, err));
    return json_object_set_new(diff, name, part) == 0 ? TD_OK : no_memory(err);
}

static td_code add_model_parts(json_t *diff, const json_t *from, const json_t *to, td_err *err)
{
    static const char *const ports[] = {"inputs", "outputs"};
    TD_CLEANUP(td_json_done) json_t *facts_before = facts_of(from);
    TD_CLEANUP(td_json_done) json_t *facts_after = facts_of(to);
    TD_CLEANUP(td_json_done) json_t *operators_before = operators_of(from);
    TD_CLEANUP(td_json_done) json_t *operators_after = operators_of(to);
    TD_TRY(add_map(diff, "facts", facts_before, facts_after, err));
    for (size_t i = 0; i < TD_COUNT_OF(ports); i++) {
        TD_TRY(add_list(diff, ports[i], json_object_get(json_object_get(from, "facts"), ports[i]),
                        json_object_get(json_object_get(to, "facts"), ports[i]), err));
    }
    return add_list(diff, "operators", operators_before, operators_after, err);
}

/* ---- what it means ---- */

static void warn(json_t *warnings, const char *what, const char *name, const char *sentence)
{
    if (json_array_size(warnings) < WARNINGS_MAX) {
        (void)json_array_append_new(warnings, json_sprintf("%s %s %s", what, name, sentence));
    }
}

static void warn_each(json_t *warnings, const json_t *part, const char *list, const char *what, const char *sentence)
{
    size_t i;
    json_t *element;
    json_array_foreach (json_object_get(part, list), i, element) {
        warn(warnings, what, td_json_text(element, "name", "?"), sentence);
    }
}

static td_code add_meaning(json_t *diff, const json_t *from, const json_t *to, td_err *err)
{
    json_t *warnings = json_array();
    const json_t *inputs = json_object_get(diff, "inputs"), *outputs = json_object_get(diff, "outputs");
    bool known = json_is_object(json_object_get(from, "facts")) && json_is_object(json_object_get(to, "facts"));
    warn_each(warnings, inputs, "added", "input", "is new: applications must feed it");
    warn_each(warnings, inputs, "removed", "input", "is gone: applications still feed it");
    warn_each(warnings, inputs, "changed", "input", "has another type or shape");
    warn_each(warnings, outputs, "removed", "output", "is gone: applications still read it");
    warn_each(warnings, outputs, "changed", "output", "has another type or shape");
    warn_each(warnings, json_object_get(diff, "operators"), "added", "operator",
              "is new: the devices' runtimes must have it");
    if (!known) {
        (void)json_array_append_new(warnings, json_string("inputs and outputs are not known of both"));
    }
    bool compatible = known && td_diff_empty(inputs) && json_array_size(json_object_get(outputs, "removed")) == 0 &&
                      json_array_size(json_object_get(outputs, "changed")) == 0;
    int failed = json_object_set_new(diff, "compatible", json_boolean(compatible));
    failed |= json_object_set_new(diff, "warnings", warnings);
    return failed == 0 ? TD_OK : no_memory(err);
}

td_code td_version_diff(const json_t *from, const json_t *to, json_t **out, td_err *err)
{
    static const char *const maps[] = {"metrics", "params", "tags"};
    TD_CLEANUP(td_json_done) json_t *diff = json_pack("{s:o, s:o}", "from", head_of(from), "to", head_of(to));
    if (diff == NULL) {
        return no_memory(err);
    }
    TD_TRY(add_list(diff, "files", json_object_get(from, "files"), json_object_get(to, "files"), err));
    TD_TRY(add_model_parts(diff, from, to, err));
    for (size_t i = 0; i < TD_COUNT_OF(maps); i++) {
        TD_TRY(add_map(diff, maps[i], json_object_get(from, maps[i]), json_object_get(to, maps[i]), err));
    }
    TD_TRY(add_meaning(diff, from, to, err));
    *out = json_incref(diff);
    return TD_OK;
}
