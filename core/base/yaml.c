/*
 * yaml.c: YAML (libyaml's events) into a JSON tree, with the line of every node.
 *
 * The part of YAML that people use in configuration: block and flow mappings, sequences and scalars; no anchors,
 * aliases, tags or merge keys, so a small file cannot grow into a large tree. SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct line_entry {
    const json_t *node;
    int line;
} line_entry;

struct td_yaml_lines {
    size_t count, room;
    line_entry *entries;
};

typedef struct reader {
    yaml_parser_t parser;
    const char *name;
    td_yaml_lines *lines;
    td_err *err;
} reader;

void td_yaml_lines_done(td_yaml_lines **lines)
{
    if (*lines != NULL) {
        free((*lines)->entries);
        free(*lines);
        *lines = NULL;
    }
}

int td_yaml_line(const td_yaml_lines *lines, const json_t *json)
{
    for (size_t i = 0; lines != NULL && i < lines->count; i++) {
        if (lines->entries[i].node == json) {
            return lines->entries[i].line;
        }
    }
    return 0;
}

static td_code remember(reader *r, const json_t *node, size_t line)
{
    td_yaml_lines *lines = r->lines;
    if (lines->count == lines->room) {
        size_t room = lines->room == 0 ? 64 : 2 * lines->room;
        line_entry *entries = realloc(lines->entries, room * sizeof *entries);
        if (entries == NULL) {
            return td_fail(r->err, TD_NOMEM, "%s: no memory", r->name);
        }
        lines->entries = entries;
        lines->room = room;
    }
    lines->entries[lines->count++] = (line_entry){node, (int)line + 1};
    return TD_OK;
}

static td_code next_event(reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event) == 0) {
        return td_fail(r->err, TD_INVALID, "%s:%zu: not YAML: %s", r->name, r->parser.problem_mark.line + 1,
                       r->parser.problem != NULL ? r->parser.problem : "out of memory");
    }
    return TD_OK;
}

/* A plain scalar's JSON value by the core schema; quoted ones are text. NULL when memory is out or the text is not
 * UTF-8. */
static json_t *scalar_value(const char *text, size_t size, bool plain)
{
    int64_t integer;
    double real;
    if (plain && (size == 0 || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)) {
        return json_null();
    }
    if (plain && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
        return json_boolean(text[0] == 't');
    }
    bool leading_zero = size > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
    if (plain && !leading_zero && td_parse_int(text, "", INT64_MIN, INT64_MAX, &integer, NULL) == TD_OK) {
        return json_integer(integer);
    }
    if (plain && !leading_zero && strpbrk(text, ".eE") != NULL && td_parse_double(text, "", &real, NULL) == TD_OK) {
        return json_real(real);
    }
    return json_stringn(text, size);
}

static td_code read_scalar(reader *r, const yaml_event_t *event, json_t **out)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    if (event->data.scalar.anchor != NULL || (event->data.scalar.tag != NULL && !event->data.scalar.quoted_implicit)) {
        return td_fail(r->err, TD_INVALID, "%s:%zu: anchors and tags are not supported", r->name,
                       event->start_mark.line + 1);
    }
    if (memchr(text, '\0', size) != NULL) {
        return td_fail(r->err, TD_INVALID, "%s:%zu: a NUL character", r->name, event->start_mark.line + 1);
    }
    json_t *value = scalar_value(text, size, event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
    if (value == NULL) {
        return td_fail(r->err, TD_INVALID, "%s:%zu: not UTF-8 text", r->name, event->start_mark.line + 1);
    }
    *out = value;
    return TD_OK;
}

static td_code read_node(reader *r, const yaml_event_t *event, int depth, json_t **out);

static td_code read_sequence(reader *r, int depth, json_t *array)
{
    for (;;) {
        yaml_event_t event;
        TD_TRY(next_event(r, &event));
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return TD_OK;
        }
        json_t *item = NULL;
        td_code code = read_node(r, &event, depth + 1, &item);
        yaml_event_delete(&event);
        TD_TRY(code);
        json_array_append_new(array, item);
    }
}

static td_code read_pair(reader *r, const yaml_event_t *key, int depth, json_t *object)
{
    size_t line = key->start_mark.line + 1;
    if (key->type != YAML_SCALAR_EVENT || memchr(key->data.scalar.value, '\0', key->data.scalar.length) != NULL) {
        return td_fail(r->err, TD_INVALID, "%s:%zu: a key must be text", r->name, line);
    }
    const char *name = (const char *)key->data.scalar.value;
    if (json_object_get(object, name) != NULL) {
        return td_fail(r->err, TD_INVALID, "%s:%zu: the key \"%.60s\" stands twice", r->name, line, name);
    }
    yaml_event_t event;
    TD_TRY(next_event(r, &event));
    json_t *value = NULL;
    td_code code = read_node(r, &event, depth + 1, &value);
    yaml_event_delete(&event);
    TD_TRY(code);
    if (json_object_set_new(object, name, value) != 0) {
        return td_fail(r->err, TD_INVALID, "%s:%zu: a key is not UTF-8 text", r->name, line);
    }
    return remember(r, value, key->start_mark.line);
}

static td_code read_mapping(reader *r, int depth, json_t *object)
{
    for (;;) {
        yaml_event_t key;
        TD_TRY(next_event(r, &key));
        if (key.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&key);
            return TD_OK;
        }
        td_code code = read_pair(r, &key, depth, object);
        yaml_event_delete(&key);
        TD_TRY(code);
    }
}

static td_code read_collection(reader *r, const yaml_event_t *event, int depth, json_t **out)
{
    bool mapping = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *anchor = mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    if (anchor != NULL || depth > TD_JSON_DEPTH_MAX) {
        return td_fail(r->err, TD_INVALID, "%s:%zu: %s", r->name, event->start_mark.line + 1,
                       anchor != NULL ? "anchors are not supported" : "nested too deep");
    }
    json_t *node = mapping ? json_object() : json_array();
    if (node == NULL) {
        return td_fail(r->err, TD_NOMEM, "%s: no memory", r->name);
    }
    td_code code = mapping ? read_mapping(r, depth, node) : read_sequence(r, depth, node);
    if (code != TD_OK) {
        json_decref(node);
        return code;
    }
    *out = node;
    return TD_OK;
}

static td_code read_node(reader *r, const yaml_event_t *event, int depth, json_t **out)
{
    json_t *node = NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        TD_TRY(read_scalar(r, event, &node));
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        TD_TRY(read_collection(r, event, depth, &node));
        break;
    default:
        return td_fail(r->err, TD_INVALID, "%s:%zu: aliases are not supported", r->name, event->start_mark.line + 1);
    }
    td_code code = remember(r, node, event->start_mark.line);
    if (code != TD_OK) {
        json_decref(node);
        return code;
    }
    *out = node;
    return TD_OK;
}

/* Stream start, document start, one node, document end, stream end. */
static td_code read_document(reader *r, json_t **out)
{
    json_t *root = NULL;
    for (;;) {
        yaml_event_t event;
        td_code code = next_event(r, &event);
        if (code != TD_OK) {
            json_decref(root);
            return code;
        }
        yaml_event_type_t type = event.type;
        bool node = type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                    type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT;
        if ((type == YAML_DOCUMENT_START_EVENT && root != NULL) || (node && root != NULL)) {
            code = td_fail(r->err, TD_INVALID, "%s:%zu: more than one document", r->name, event.start_mark.line + 1);
        } else if (node) {
            code = read_node(r, &event, 0, &root);
        }
        yaml_event_delete(&event);
        if (code != TD_OK) {
            json_decref(root);
            return code;
        }
        if (type == YAML_STREAM_END_EVENT) {
            *out = root != NULL ? root : json_object();
            return TD_OK;
        }
    }
}

td_code td_yaml_parse(const char *text, size_t size, const char *name, json_t **out, td_yaml_lines **lines_out,
                      td_err *err)
{
    if (size > TD_YAML_BYTES_MAX) {
        return td_fail(err, TD_LIMIT, "%s is larger than %zu bytes", name, TD_YAML_BYTES_MAX);
    }
    TD_CLEANUP(td_yaml_lines_done) td_yaml_lines *lines = calloc(1, sizeof *lines);
    reader r = {.name = name, .lines = lines, .err = err};
    if (lines == NULL || yaml_parser_initialize(&r.parser) == 0) {
        return td_fail(err, TD_NOMEM, "%s: no memory", name);
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
    td_code code = read_document(&r, out);
    yaml_parser_delete(&r.parser);
    TD_TRY(code);
    if (lines_out != NULL) {
        *lines_out = lines;
        lines = NULL;
    }
    return TD_OK;
}

td_code td_yaml_read(const char *path, json_t **out, td_yaml_lines **lines_out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_file_read(path, TD_YAML_BYTES_MAX, &text, err));
    const char *slash = strrchr(path, '/');
    return td_yaml_parse(td_str_text(&text), text.size, slash != NULL ? slash + 1 : path, out, lines_out, err);
}

/* ---- writing ---- */

static bool plain_text(const char *text)
{
    if (text[0] == '\0' || strchr("-?:,[]{}#&*!|>'\"%@` ~0123456789.+", text[0]) != NULL) {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || (*c == ':' && (c[1] == ' ' || c[1] == '\0')) || (*c == ' ' && c[1] == '#')) {
            return false;
        }
    }
    return strcmp(text, "true") != 0 && strcmp(text, "false") != 0 && strcmp(text, "null") != 0 &&
           text[strlen(text) - 1] != ' ';
}

static td_code write_node(const json_t *json, td_str *out, int indent, td_err *err);

static td_code write_child(const json_t *child, td_str *out, int indent, td_err *err)
{
    bool block =
        (json_is_object(child) && json_object_size(child) > 0) || (json_is_array(child) && json_array_size(child) > 0);
    td_str_add(out, block ? "\n" : " ");
    TD_TRY(write_node(child, out, indent, err));
    if (!block) {
        td_str_add_char(out, '\n');
    }
    return TD_OK;
}

/* People read this: 0.1 rather than 0.10000000000000001, where that is the same number. */
static void write_real(double value, td_str *out)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) {
        (void)snprintf(text, sizeof text, "%.17g", value);
    }
    td_str_addf(out, "%s%s", text, strpbrk(text, ".e") == NULL ? ".0" : "");
}

static td_code write_node(const json_t *json, td_str *out, int indent, td_err *err)
{
    const char *key;
    json_t *value;
    if (indent > 2 * TD_JSON_DEPTH_MAX) {
        return td_fail(err, TD_INVALID, "a tree is nested too deep for YAML");
    }
    if (json_is_object(json) && json_object_size(json) > 0) {
        json_object_foreach ((json_t *)json, key, value) {
            td_str_addf(out, plain_text(key) ? "%*s%s:" : "%*s\"%s\":", indent, "", key);
            TD_TRY(write_child(value, out, indent + 2, err));
        }
        return TD_OK;
    }
    if (json_is_array(json) && json_array_size(json) > 0) {
        for (size_t i = 0; i < json_array_size(json); i++) {
            td_str_addf(out, "%*s-", indent, "");
            TD_TRY(write_child(json_array_get(json, i), out, indent + 2, err));
        }
        return TD_OK;
    }
    if (json_is_string(json) && plain_text(json_string_value(json))) {
        td_str_add(out, json_string_value(json));
        return TD_OK;
    }
    if (json_is_real(json)) {
        write_real(json_real_value(json), out);
        return TD_OK;
    }
    return td_json_write(json, out, err);
}

td_code td_yaml_write(const json_t *json, td_str *out, td_err *err)
{
    TD_TRY(write_node(json, out, 0, err));
    return td_str_check(out, err);
}
