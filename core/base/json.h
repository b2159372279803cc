/*
 * json.h: JSON (jansson) and YAML read into the same tree, and checked by one table-driven validator that knows lines.
 *
 * A json_t * that is returned is owned by the caller (json_decref, or TD_CLEANUP(td_json_done)). Duplicate keys, a
 * depth above TD_JSON_DEPTH_MAX, NUL in strings, bad UTF-8 and trailing bytes are refused. Threads: a tree belongs to
 * one thread. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_JSON_H
#define TD_CORE_BASE_JSON_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <jansson.h>

#define TD_JSON_DEPTH_MAX 32
#define TD_YAML_BYTES_MAX ((size_t)1024 * 1024)

void td_json_done(json_t **json);
/* `name` is what an error message calls the text ("request body", "model.yaml"). */
TD_MUST_USE td_code td_json_parse(const char *text, size_t size, const char *name, json_t **out, td_err *err);
/* Appends compact JSON with object keys sorted. */
TD_MUST_USE td_code td_json_write(const json_t *json, td_str *out, td_err *err);
/* Appends canonical JSON (RFC 8785) of a tree that holds no reals; INVALID if it does. */
TD_MUST_USE td_code td_json_canonical(const json_t *json, td_str *out, td_err *err);

/* Lines of a YAML document, kept beside its tree so that messages can name them. */
typedef struct td_yaml_lines td_yaml_lines;
void td_yaml_lines_done(td_yaml_lines **lines);
/* One document; anchors, aliases and tags are refused; duplicate keys are refused. Scalars: plain
 * null/true/false/integers/ decimals become those, all else strings. JSON text is accepted as well (it is YAML).
 * lines_out may be NULL. */
TD_MUST_USE td_code td_yaml_parse(const char *text, size_t size, const char *name, json_t **out,
                                  td_yaml_lines **lines_out, td_err *err);
/* Reads a file, then as td_yaml_parse with the file's base name. */
TD_MUST_USE td_code td_yaml_read(const char *path, json_t **out, td_yaml_lines **lines_out, td_err *err);
/* The 1-based line where the node `json` (same pointer as in the tree) began; 0 if not known. */
int td_yaml_line(const td_yaml_lines *lines, const json_t *json);
/* Appends block-style YAML of a tree. */
TD_MUST_USE td_code td_yaml_write(const json_t *json, td_str *out, td_err *err);

typedef enum td_json_type {
    TD_JSON_STRING,
    TD_JSON_INTEGER,
    TD_JSON_NUMBER, /* integer or real */
    TD_JSON_BOOLEAN,
    TD_JSON_OBJECT,   /* checked against `fields` if not NULL, else any keys */
    TD_JSON_ARRAY,    /* each element checked against item_type and fields */
    TD_JSON_DURATION, /* string or integer, see td_parse_duration */
    TD_JSON_ANY,
} td_json_type;

/* One row a key. A table ends with a row whose name is NULL. */
typedef struct td_json_field {
    const char *name;
    td_json_type type;
    bool required;
    td_json_type item_type;             /* of an array's elements */
    const struct td_json_field *fields; /* of an object, or of an array's objects */
    double minimum, maximum;            /* of numbers (length of strings, count of arrays), if minimum < maximum */
    const char *const *choices;         /* of strings: NULL-terminated */
} td_json_field;

/* Checks an object against a table: unknown keys (naming the nearest known one), missing keys, wrong types, ranges. The
 * message has the form `name:LINE: …` where lines are known (NULL lines: `name: …`). INVALID. */
TD_MUST_USE td_code td_json_check(const json_t *json, const td_json_field *fields, const char *name,
                                  const td_yaml_lines *lines, td_err *err);

/* Readers with a default; the borrowed string lives as long as the tree. */
const char *td_json_text(const json_t *object, const char *key, const char *fallback);
int64_t td_json_int(const json_t *object, const char *key, int64_t fallback);
double td_json_number(const json_t *object, const char *key, double fallback);
bool td_json_bool(const json_t *object, const char *key, bool fallback);

#endif
