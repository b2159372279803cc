/*
 * json.c: strict reading and canonical writing of JSON on top of jansson.
 *
 * Canonical form is RFC 8785 for trees without reals: keys sorted by UTF-16 code units, shortest escapes, no white
 * space. SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void td_json_done(json_t **json)
{
    json_decref(*json);
    *json = NULL;
}

/* jansson's own depth limit is 2,048: look before it recurses. */
static bool too_deep(const char *text, size_t size)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > TD_JSON_DEPTH_MAX) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

td_code td_json_parse(const char *text, size_t size, const char *name, json_t **out, td_err *err)
{
    if (too_deep(text, size)) {
        return td_fail(err, TD_INVALID, "%s: nested deeper than %d levels", name, TD_JSON_DEPTH_MAX);
    }
    json_error_t fault;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    if (json == NULL) {
        return td_fail(err, TD_INVALID, "%s:%d:%d: not JSON: %s", name, fault.line, fault.column, fault.text);
    }
    *out = json;
    return TD_OK;
}

static int append_dump(const char *buffer, size_t size, void *context)
{
    td_str_append(context, buffer, size);
    return 0;
}

td_code td_json_write(const json_t *json, td_str *out, td_err *err)
{
    if (json_dump_callback(json, append_dump, out, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) != 0) {
        return td_fail(err, TD_INTERNAL, "a JSON tree cannot be written");
    }
    return td_str_check(out, err);
}

/* ---- canonical form ---- */

static void add_string(td_str *out, const char *text, size_t size)
{
    td_str_add_char(out, '"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        static const char *const shorts[] = {
            ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
        if (c == '"' || c == '\\') {
            char pair[2] = {'\\', (char)c};
            td_str_append(out, pair, 2);
        } else if (c < TD_COUNT_OF(shorts) && shorts[c] != NULL) {
            td_str_add(out, shorts[c]);
        } else if (c < 0x20) {
            td_str_addf(out, "\\u%04x", c);
        } else {
            td_str_add_char(out, (char)c);
        }
    }
    td_str_add_char(out, '"');
}

/* Order of UTF-16 code units: code points from U+E000 up to U+FFFF sort after the surrogates of those beyond. */
static int compare_keys(const void *a, const void *b)
{
    const unsigned char *x = *(const unsigned char *const *)a, *y = *(const unsigned char *const *)b;
    while (*x != '\0' && *x == *y) {
        x++;
        y++;
    }
    int left = *x, right = *y;
    if (left >= 0xEE && right >= 0xEE) {
        left = left >= 0xF0 ? left - 0x10 : left + 0x10;
        right = right >= 0xF0 ? right - 0x10 : right + 0x10;
    }
    return left - right;
}

static td_code add_canonical(const json_t *json, td_str *out, int depth, td_err *err);

static td_code add_object(const json_t *json, td_str *out, int depth, td_err *err)
{
    size_t count = json_object_size(json), index = 0;
    const char **keys = calloc(count > 0 ? count : 1, sizeof *keys);
    if (keys == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for %zu keys", count);
    }
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)json, key, value) {
        keys[index++] = key;
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    td_code code = TD_OK;
    td_str_add_char(out, '{');
    for (size_t i = 0; i < count && code == TD_OK; i++) {
        td_str_add(out, i > 0 ? "," : "");
        add_string(out, keys[i], strlen(keys[i]));
        td_str_add_char(out, ':');
        code = add_canonical(json_object_get(json, keys[i]), out, depth + 1, err);
    }
    td_str_add_char(out, '}');
    free(keys);
    return code;
}

static td_code add_array(const json_t *json, td_str *out, int depth, td_err *err)
{
    td_str_add_char(out, '[');
    for (size_t i = 0; i < json_array_size(json); i++) {
        td_str_add(out, i > 0 ? "," : "");
        TD_TRY(add_canonical(json_array_get(json, i), out, depth + 1, err));
    }
    td_str_add_char(out, ']');
    return TD_OK;
}

static td_code add_canonical(const json_t *json, td_str *out, int depth, td_err *err)
{
    if (depth > TD_JSON_DEPTH_MAX) {
        return td_fail(err, TD_INVALID, "a JSON tree is deeper than %d levels", TD_JSON_DEPTH_MAX);
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return add_object(json, out, depth, err);
    case JSON_ARRAY:
        return add_array(json, out, depth, err);
    case JSON_STRING:
        add_string(out, json_string_value(json), json_string_length(json));
        return TD_OK;
    case JSON_INTEGER:
        td_str_addf(out, "%" PRId64, (int64_t)json_integer_value(json));
        return TD_OK;
    case JSON_TRUE:
        td_str_add(out, "true");
        return TD_OK;
    case JSON_FALSE:
        td_str_add(out, "false");
        return TD_OK;
    case JSON_NULL:
        td_str_add(out, "null");
        return TD_OK;
    case JSON_REAL:
        break;
    }
    return td_fail(err, TD_INVALID, "canonical JSON holds no reals; write them as strings");
}

td_code td_json_canonical(const json_t *json, td_str *out, td_err *err)
{
    TD_TRY(add_canonical(json, out, 0, err));
    return td_str_check(out, err);
}

/* ---- readers ---- */

const char *td_json_text(const json_t *object, const char *key, const char *fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? json_string_value(value) : fallback;
}

int64_t td_json_int(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

double td_json_number(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

bool td_json_bool(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}
