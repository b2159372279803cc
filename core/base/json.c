/*
 * json.c: strict reading and canonical writing of JSON on top of jansson.
 *
 * Canonical form is RFC 8785 for trees without reals: keys sorted by UTF-16 code units, shortest escapes, no white
 * space. Answers are written the same way, reals as jansson has them: every request passes here, and jansson's own
 * writer looks each key up again and hands over a character or two at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/json.h"

#include <stdio.h>
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

/* ---- writing ---- */

#define WRITE_DEPTH_MAX (2 * TD_JSON_DEPTH_MAX) /* what was read, inside an answer of ours */
#define MEMBERS_FEW 32                           /* of an object; more are sorted in memory of their own */

typedef struct member {
    const char *key;
    const json_t *value;
} member;

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

static void add_escaped(td_str *out, unsigned char c)
{
    static const char *const shorts[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    if (c == '"' || c == '\\') {
        td_str_append(out, (const char[]){'\\', (char)c}, 2);
    } else if (c < TD_COUNT_OF(shorts) && shorts[c] != NULL) {
        td_str_append(out, shorts[c], 2);
    } else {
        td_str_addf(out, "\\u%04x", c);
    }
}

static void add_string(td_str *out, const char *text, size_t size)
{
    td_str_add_char(out, '"');
    for (size_t i = 0; i < size;) {
        size_t run = i;
        while (run < size && is_plain((unsigned char)text[run])) {
            run++;
        }
        td_str_append(out, text + i, run - i);
        if (run < size) {
            add_escaped(out, (unsigned char)text[run++]);
        }
        i = run;
    }
    td_str_add_char(out, '"');
}

static void add_integer(td_str *out, int64_t value)
{
    char text[24];
    char *first = text + sizeof text;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--first = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0) {
        *--first = '-';
    }
    td_str_append(out, first, (size_t)(text + sizeof text - first));
}

static void add_real(td_str *out, const json_t *real)
{
    char text[64];
    td_str_append(out, text, json_dumpb(real, text, sizeof text, JSON_ENCODE_ANY));
}

/* Order of UTF-16 code units: code points from U+E000 up to U+FFFF sort after the surrogates of those beyond. */
static int compare_keys(const char *a, const char *b)
{
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
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

static int compare_members(const void *a, const void *b)
{
    return compare_keys(((const member *)a)->key, ((const member *)b)->key);
}

/* Nearly every object is small; for those qsort() costs more than all else that is done with them here. */
static void sort_members(member *members, size_t count)
{
    if (count > MEMBERS_FEW) {
        qsort(members, count, sizeof *members, compare_members);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        const member moved = members[i];
        size_t to = i;
        for (; to > 0 && compare_keys(members[to - 1].key, moved.key) > 0; to--) {
            members[to] = members[to - 1];
        }
        members[to] = moved;
    }
}

static td_code add_value(const json_t *json, bool canonical, td_str *out, int depth, td_err *err);

static td_code add_members(const json_t *json, member *members, bool canonical, td_str *out, int depth, td_err *err)
{
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)json, key, value) {
        members[count++] = (member){key, value};
    }
    sort_members(members, count);
    td_str_add_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            td_str_add_char(out, ',');
        }
        add_string(out, members[i].key, strlen(members[i].key));
        td_str_add_char(out, ':');
        TD_TRY(add_value(members[i].value, canonical, out, depth + 1, err));
    }
    td_str_add_char(out, '}');
    return TD_OK;
}

static td_code add_object(const json_t *json, bool canonical, td_str *out, int depth, td_err *err)
{
    member few[MEMBERS_FEW];
    size_t count = json_object_size(json);
    if (count <= MEMBERS_FEW) {
        return add_members(json, few, canonical, out, depth, err);
    }
    member *many = calloc(count, sizeof *many);
    if (many == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for %zu keys", count);
    }
    td_code code = add_members(json, many, canonical, out, depth, err);
    free(many);
    return code;
}

static td_code add_array(const json_t *json, bool canonical, td_str *out, int depth, td_err *err)
{
    td_str_add_char(out, '[');
    for (size_t i = 0; i < json_array_size(json); i++) {
        if (i > 0) {
            td_str_add_char(out, ',');
        }
        TD_TRY(add_value(json_array_get(json, i), canonical, out, depth + 1, err));
    }
    td_str_add_char(out, ']');
    return TD_OK;
}

static td_code add_value(const json_t *json, bool canonical, td_str *out, int depth, td_err *err)
{
    int most = canonical ? TD_JSON_DEPTH_MAX : WRITE_DEPTH_MAX;
    if (depth > most) {
        return td_fail(err, TD_INVALID, "a JSON tree is deeper than %d levels", most);
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return add_object(json, canonical, out, depth, err);
    case JSON_ARRAY:
        return add_array(json, canonical, out, depth, err);
    case JSON_STRING:
        add_string(out, json_string_value(json), json_string_length(json));
        return TD_OK;
    case JSON_INTEGER:
        add_integer(out, json_integer_value(json));
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
    if (canonical) {
        return td_fail(err, TD_INVALID, "canonical JSON holds no reals; write them as strings");
    }
    add_real(out, json);
    return TD_OK;
}

td_code td_json_write(const json_t *json, td_str *out, td_err *err)
{
    if (json == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for JSON");
    }
    TD_TRY(add_value(json, false, out, 0, err));
    return td_str_check(out, err);
}

td_code td_json_canonical(const json_t *json, td_str *out, td_err *err)
{
    if (json == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for JSON");
    }
    TD_TRY(add_value(json, true, out, 0, err));
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
