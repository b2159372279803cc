/*
 * filter_left.c: what a name of a filter means in the caller's table, and what values it may be compared with.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/filter_internal.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAMES_MAX 64 /* of a table, for "did you mean …?" */
#define LISTED_SIZE 160

const char *const td_filter_tags[] = {"tags", "tag", NULL};
const char *const td_filter_metrics[] = {"metrics", "metric", NULL};
const char *const td_filter_params[] = {"params", "param", "parameters", "parameter", NULL};

/* ---- names ---- */

static const td_filter_field *find_field(const td_filter_field *fields, const char *name)
{
    for (; fields->name != NULL; fields++) {
        if (strcmp(fields->name, name) == 0) {
            return fields;
        }
    }
    return NULL;
}

static bool has_name(const char *const *names, const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

static const td_filter_family *find_family(const td_filter_table *table, const char *name)
{
    for (const td_filter_family *f = table->families; f != NULL && f->names != NULL; f++) {
        if (has_name(f->names, name)) {
            return f;
        }
    }
    return NULL;
}

static bool is_attribute_word(const td_filter_table *table, const char *name)
{
    static const char *const words[] = {"attribute", "attributes", "attr", NULL};
    return has_name(words, name) || (table->prefix != NULL && strcmp(table->prefix, name) == 0);
}

static size_t add_fields(const td_filter_field *fields, const char **names, size_t count)
{
    for (; fields->name != NULL && count + 1 < NAMES_MAX; fields++) {
        names[count++] = fields->name;
    }
    return count;
}

/* "name, state, tags.…" as far as it fits. */
static void list_names(const char *const *names, const td_filter_table *families, char out[LISTED_SIZE])
{
    size_t n = 0;
    out[0] = '\0';
    for (; *names != NULL && n + strlen(*names) + 3 < LISTED_SIZE - 40; names++) {
        n += (size_t)snprintf(out + n, LISTED_SIZE - n, "%s%s", n > 0 ? ", " : "", *names);
    }
    const td_filter_family *f = families != NULL ? families->families : NULL;
    for (; f != NULL && f->names != NULL && n + 20 < LISTED_SIZE; f++) {
        n += (size_t)snprintf(out + n, LISTED_SIZE - n, ", %s.…", f->names[0]);
    }
}

static td_code unknown(const td_filter__reader *r, const char *at, const char *name, const td_filter_field *fields,
                       const td_filter_table *families)
{
    const char *names[NAMES_MAX];
    char listed[LISTED_SIZE];
    size_t count = add_fields(fields, names, 0);
    names[count] = NULL;
    const char *nearest = td_nearest(name, names);
    int column = (int)(at - r->text) + 1;
    if (nearest != NULL) {
        return td_fail(r->err, TD_INVALID, "%s, column %d: there is no %.40s; did you mean %s?", r->what, column, name,
                       nearest);
    }
    list_names(names, families, listed);
    return td_fail(r->err, TD_INVALID, "%s, column %d: there is no %.40s; there are %s", r->what, column, name, listed);
}

static const td_filter_key *find_special(const td_filter_family *family, const char *key)
{
    for (const td_filter_key *k = family->keys; k != NULL && k->key != NULL; k++) {
        if (strcmp(k->key, key) == 0) {
            return k;
        }
    }
    return NULL;
}

static td_code of_family(const td_filter__reader *r, const td_filter_family *family, const char *key,
                         td_filter__left *out)
{
    out->family = family;
    out->type = family->type;
    if (family->fields == NULL) {
        out->key = key;
        out->special = find_special(family, key);
        return TD_OK;
    }
    out->field = find_field(family->fields, key);
    if (out->field == NULL) {
        return unknown(r, out->at, key, family->fields, NULL);
    }
    out->type = out->field->type;
    return TD_OK;
}

td_code td_filter__left_read(td_filter__reader *r, const td_filter_table *table, td_filter__left *out)
{
    const char *name = NULL, *key = NULL;
    td_filter__skip(r);
    *out = (td_filter__left){.at = r->at};
    TD_TRY(td_filter__name(r, &name, &key));
    const td_filter_family *family = find_family(table, name);
    if (family != NULL && key != NULL) {
        return of_family(r, family, key, out);
    }
    if (family != NULL) {
        char expected[64];
        snprintf(expected, sizeof expected, "a key (%s.NAME)", name);
        return td_filter__wrong(r, r->at, expected);
    }
    bool prefixed = key != NULL && is_attribute_word(table, name);
    const char *attribute = prefixed || key == NULL ? (prefixed ? key : name) : NULL;
    out->field = attribute != NULL ? find_field(table->fields, attribute) : NULL;
    if (out->field == NULL) {
        return unknown(r, out->at, attribute != NULL ? attribute : name, table->fields, table);
    }
    out->type = out->field->type;
    return TD_OK;
}

/* ---- values ---- */

static td_code number_value(const td_filter__reader *r, const td_filter__literal *literal, td_filter__value *out)
{
    td_err ignored;
    if (td_parse_int(literal->text, "value", INT64_MIN, INT64_MAX, &out->integer, &ignored) == TD_OK) {
        out->type = TD_VALUE_INTEGER;
        return TD_OK;
    }
    if (td_parse_double(literal->text, "value", &out->real, &ignored) == TD_OK) {
        out->type = TD_VALUE_REAL;
        return TD_OK;
    }
    return td_filter__wrong(r, literal->at, "a number");
}

static td_code time_value(const td_filter__reader *r, const td_filter__literal *literal, td_filter__value *out)
{
    td_err ignored;
    if (literal->quoted && td_parse_time(literal->text, &out->integer, &ignored) == TD_OK) {
        out->type = TD_VALUE_INTEGER;
        return TD_OK;
    }
    if (number_value(r, literal, out) == TD_OK) {
        return TD_OK;
    }
    return td_filter__wrong(r, literal->at, "a time: '2026-03-01', '2026-03-01T10:00:00Z', or milliseconds");
}

static td_code boolean_value(const td_filter__reader *r, const td_filter__literal *literal, td_filter__value *out)
{
    bool yes = strcasecmp(literal->text, "true") == 0;
    if (!yes && strcasecmp(literal->text, "false") != 0) {
        return td_filter__wrong(r, literal->at, "true or false");
    }
    *out = (td_filter__value){.type = TD_VALUE_INTEGER, .integer = yes ? 1 : 0};
    return TD_OK;
}

static td_code text_value(const td_filter__reader *r, const td_filter_field *field, const td_filter__literal *literal,
                          td_filter__value *out)
{
    char listed[LISTED_SIZE];
    if (!literal->quoted) {
        return td_filter__wrong(r, literal->at, "text in quotes: '…'");
    }
    *out = (td_filter__value){.type = TD_VALUE_TEXT, .text = literal->text};
    if (field == NULL || field->choices == NULL) {
        return TD_OK;
    }
    for (const char *const *choice = field->choices; *choice != NULL; choice++) {
        if (strcasecmp(*choice, literal->text) == 0) {
            out->text = *choice;
            return TD_OK;
        }
    }
    list_names(field->choices, NULL, listed);
    return td_filter__wrong(r, literal->at, listed);
}

td_code td_filter__value_read(const td_filter__reader *r, const td_filter__left *left,
                              const td_filter__literal *literal, td_filter__value *out)
{
    switch (left->type) {
    case TD_FILTER_INTEGER:
    case TD_FILTER_REAL:
        return number_value(r, literal, out);
    case TD_FILTER_TIME:
        return time_value(r, literal, out);
    case TD_FILTER_BOOLEAN:
        return boolean_value(r, literal, out);
    default:
        return text_value(r, left->field, literal, out);
    }
}
