/*
 * json_check.c: the one validator of specs and request bodies, driven by a table of fields.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/clock.h"
#include "core/base/json.h"

#include <string.h>

#define FIELDS_MAX 64

/* Where in which document we are, for messages. */
typedef struct place {
    const char *name;
    const td_yaml_lines *lines;
    char path[96]; /* "datasets[2].uri" */
} place;

static td_code refuse(const place *at, const json_t *node, td_err *err, const char *what)
{
    int line = at->lines != NULL ? td_yaml_line(at->lines, node) : 0;
    const char *colon = at->path[0] != '\0' ? ": " : "";
    if (line > 0) {
        return td_fail(err, TD_INVALID, "%s:%d: %s%s%s", at->name, line, at->path, colon, what);
    }
    return td_fail(err, TD_INVALID, "%s: %s%s%s", at->name, at->path, colon, what);
}

static place inside(const place *at, const char *key, size_t index)
{
    place child = {at->name, at->lines, ""};
    size_t used = strlen(at->path);
    memcpy(child.path, at->path, used + 1);
    td_str text = {0};
    if (key != NULL) {
        td_str_addf(&text, "%s%s", used > 0 ? "." : "", key);
    } else {
        td_str_addf(&text, "[%zu]", index);
    }
    if (used + text.size < sizeof child.path) {
        memcpy(child.path + used, td_str_text(&text), text.size + 1);
    }
    td_str_done(&text);
    return child;
}

static bool has_type(const json_t *node, td_json_type type)
{
    int64_t ms;
    switch (type) {
    case TD_JSON_STRING:
        return json_is_string(node);
    case TD_JSON_INTEGER:
        return json_is_integer(node);
    case TD_JSON_NUMBER:
        return json_is_number(node);
    case TD_JSON_BOOLEAN:
        return json_is_boolean(node);
    case TD_JSON_OBJECT:
        return json_is_object(node);
    case TD_JSON_ARRAY:
        return json_is_array(node);
    case TD_JSON_DURATION:
        return (json_is_integer(node) && json_integer_value(node) >= 0) ||
               (json_is_string(node) && td_parse_duration(json_string_value(node), &ms, NULL) == TD_OK);
    case TD_JSON_ANY:
        break;
    }
    return node != NULL;
}

static const char *type_text(td_json_type type)
{
    static const char *const names[] = {[TD_JSON_STRING] = "expected text",
                                        [TD_JSON_INTEGER] = "expected a whole number",
                                        [TD_JSON_NUMBER] = "expected a number",
                                        [TD_JSON_BOOLEAN] = "expected true or false",
                                        [TD_JSON_OBJECT] = "expected keys and values",
                                        [TD_JSON_ARRAY] = "expected a list",
                                        [TD_JSON_DURATION] = "expected a duration such as 90s, 15m, 24h or 7d",
                                        [TD_JSON_ANY] = "expected a value"};
    return names[type];
}

static td_code check_choice(const place *at, const json_t *node, const char *const *choices, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_addf(&text, "\"%.40s\" is not one of", json_string_value(node));
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (strcmp(choices[i], json_string_value(node)) == 0) {
            return TD_OK;
        }
        td_str_addf(&text, "%s %s", i > 0 ? "," : "", choices[i]);
    }
    return refuse(at, node, err, td_str_text(&text));
}

static td_code check_range(const place *at, const json_t *node, const td_json_field *field, td_err *err)
{
    double value = json_is_string(node)  ? (double)json_string_length(node)
                   : json_is_array(node) ? (double)json_array_size(node)
                                         : json_number_value(node);
    if (field->minimum >= field->maximum || (value >= field->minimum && value <= field->maximum)) {
        return TD_OK;
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *what = json_is_string(node) ? "length " : json_is_array(node) ? "count " : "";
    td_str_addf(&text, "%s%g is outside %g … %g", what, value, field->minimum, field->maximum);
    return refuse(at, node, err, td_str_text(&text));
}

static td_code check_object(const place *at, const json_t *json, const td_json_field *fields, td_err *err);

static td_code check_value(const place *at, const json_t *node, const td_json_field *field, td_err *err)
{
    if (!has_type(node, field->type)) {
        return refuse(at, node, err, type_text(field->type));
    }
    if (field->type == TD_JSON_STRING && field->choices != NULL) {
        TD_TRY(check_choice(at, node, field->choices, err));
    }
    if (json_is_string(node) || json_is_array(node) || json_is_number(node)) {
        TD_TRY(check_range(at, node, field, err));
    }
    if (field->type == TD_JSON_OBJECT && field->fields != NULL) {
        return check_object(at, node, field->fields, err);
    }
    if (field->type != TD_JSON_ARRAY) {
        return TD_OK;
    }
    td_json_field item = {
        .name = field->name, .type = field->item_type, .fields = field->fields, .choices = field->choices};
    for (size_t i = 0; i < json_array_size(node); i++) {
        place child = inside(at, NULL, i);
        TD_TRY(check_value(&child, json_array_get(node, i), &item, err));
    }
    return TD_OK;
}

static const td_json_field *find_field(const td_json_field *fields, const char *key)
{
    for (; fields->name != NULL; fields++) {
        if (strcmp(fields->name, key) == 0) {
            return fields;
        }
    }
    return NULL;
}

static td_code refuse_key(const place *at, const json_t *node, const char *key, const td_json_field *fields,
                          td_err *err)
{
    const char *names[FIELDS_MAX + 1] = {0};
    for (size_t i = 0; fields[i].name != NULL && i < FIELDS_MAX; i++) {
        names[i] = fields[i].name;
    }
    const char *near = td_nearest(key, names);
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_addf(&text, "unknown key \"%.60s\"", key);
    if (near != NULL) {
        td_str_addf(&text, "; did you mean \"%s\"?", near);
    } else {
        td_str_add(&text, "; known are");
        for (size_t i = 0; names[i] != NULL; i++) {
            td_str_addf(&text, "%s %s", i > 0 ? "," : "", names[i]);
        }
    }
    return refuse(at, node, err, td_str_text(&text));
}

static td_code check_object(const place *at, const json_t *json, const td_json_field *fields, td_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)json, key, value) {
        const td_json_field *field = find_field(fields, key);
        if (field == NULL) {
            return refuse_key(at, value, key, fields, err);
        }
        place child = inside(at, key, 0);
        TD_TRY(check_value(&child, value, field, err));
    }
    for (; fields->name != NULL; fields++) {
        if (fields->required && json_object_get(json, fields->name) == NULL) {
            place child = inside(at, fields->name, 0);
            return refuse(&child, json, err, "is missing");
        }
    }
    return TD_OK;
}

td_code td_json_check(const json_t *json, const td_json_field *fields, const char *name, const td_yaml_lines *lines,
                      td_err *err)
{
    place at = {name, lines, ""};
    if (!json_is_object(json)) {
        return refuse(&at, json, err, "expected keys and values");
    }
    return check_object(&at, json, fields, err);
}
