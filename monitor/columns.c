/*
 * columns.c: gives each column of the reference file its role, from the columns spec and the header.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const feature_types[] = {"numeric", "categorical", NULL};
static const char *const prediction_types[] = {"class", "value", NULL};

static const td_json_field spec_fields[] = {
    {.name = "features",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_ANY,
     .minimum = 1,
     .maximum = TD_BASELINE_FEATURES_MAX},
    {.name = "categorical", .type = TD_JSON_ARRAY, .item_type = TD_JSON_STRING},
    {.name = "ignore", .type = TD_JSON_ARRAY, .item_type = TD_JSON_STRING},
    {.name = "prediction", .type = TD_JSON_STRING},
    {.name = "prediction_type", .type = TD_JSON_STRING, .choices = prediction_types},
    {.name = "classes",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_STRING,
     .minimum = 2,
     .maximum = TDE_CATEGORIES_MAX},
    {.name = "score", .type = TD_JSON_STRING},
    {.name = "label", .type = TD_JSON_STRING},
    {.name = "group", .type = TD_JSON_STRING},
    {.name = "decision_threshold", .type = TD_JSON_NUMBER},
    {.name = "positive_class", .type = TD_JSON_STRING},
    {.name = NULL},
};

static const td_json_field feature_fields[] = {
    {.name = "name", .type = TD_JSON_STRING, .required = true},
    {.name = "type", .type = TD_JSON_STRING, .choices = feature_types},
    {.name = NULL},
};

td_code td_baseline_check_columns(const json_t *columns, const char *name, const td_yaml_lines *lines, td_err *err)
{
    TD_TRY(td_json_check(columns, spec_fields, name, lines, err));
    const json_t *features = json_object_get(columns, "features");
    for (size_t i = 0; i < json_array_size(features); i++) {
        const json_t *feature = json_array_get(features, i);
        if (!json_is_string(feature)) {
            TD_TRY(td_json_check(feature, feature_fields, name, lines, err));
        }
    }
    return TD_OK;
}

void td_plan_warn(td_plan *plan, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(plan->warnings, json_string(text));
}

static void column_done(td_column *column)
{
    free(column->sample);
    td_values_done(&column->values);
}

void td_plan_done(td_plan *plan)
{
    for (size_t i = 0; i < plan->feature_count; i++) {
        column_done(&plan->features[i]);
    }
    column_done(&plan->prediction);
    column_done(&plan->score);
    td_values_done(&plan->labels);
    td_values_done(&plan->groups);
    json_decref(plan->warnings);
    td_arena_done(&plan->arena);
}

/* ---- The header ------------------------------------------------------------------------------ */

static td_code check_header(const td_csv *csv, const char **names, td_err *err)
{
    size_t count = td_csv_count(csv);
    for (size_t i = 0; i < count; i++) {
        names[i] = td_csv_field(csv, i);
        size_t length = strlen(names[i]);
        if (length == 0 || length > TD_NAME_MAX) {
            return td_fail(err, TD_INVALID, "%s:%lld: the name of column %zu has %zu bytes; expected 1 to %d",
                           td_csv_name(csv), (long long)td_csv_line(csv), i + 1, length, TD_NAME_MAX);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(names[i], names[j]) == 0) {
                return td_fail(err, TD_INVALID, "%s:%lld: columns %zu and %zu are both called \"%s\"", td_csv_name(csv),
                               (long long)td_csv_line(csv), j + 1, i + 1, names[i]);
            }
        }
    }
    names[count] = NULL;
    return TD_OK;
}

/* Index of the column that the spec names under `key`. */
static td_code find_column(const td_csv *csv, const char *const *names, const char *wanted, const char *key,
                           size_t *index_out, td_err *err)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], wanted) == 0) {
            *index_out = i;
            return TD_OK;
        }
    }
    const char *near = td_nearest(wanted, names);
    if (near != NULL) {
        return td_fail(err, TD_INVALID, "%s: no column \"%s\" (%s); did you mean \"%s\"?", td_csv_name(csv), wanted,
                       key, near);
    }
    return td_fail(err, TD_INVALID, "%s: no column \"%s\" (%s); the file has %zu columns, the first is \"%s\"",
                   td_csv_name(csv), wanted, key, td_csv_count(csv), names[0]);
}

static td_code find_role(const td_csv *csv, const char *const *names, const json_t *spec, const char *key,
                         size_t *index_out, td_err *err)
{
    const char *wanted = td_json_text(spec, key, NULL);
    *index_out = TD_NO_COLUMN;
    return wanted != NULL ? find_column(csv, names, wanted, key, index_out, err) : TD_OK;
}

/* Marks the columns of a list of names. */
static td_code mark_list(const td_csv *csv, const char *const *names, const json_t *spec, const char *key, bool *marks,
                         td_err *err)
{
    const json_t *list = json_object_get(spec, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t index = 0;
        TD_TRY(find_column(csv, names, json_string_value(json_array_get(list, i)), key, &index, err));
        marks[index] = true;
    }
    return TD_OK;
}

/* ---- Roles ----------------------------------------------------------------------------------- */

typedef struct roles {
    const char *names[TD_BASELINE_COLUMNS_MAX + 1];
    bool categorical[TD_BASELINE_COLUMNS_MAX];
    bool taken[TD_BASELINE_COLUMNS_MAX]; /* not a feature by default */
} roles;

static td_code add_feature(const td_csv *csv, td_plan *plan, const roles *r, size_t index, bool numeric, td_err *err)
{
    if (plan->feature_count == TD_BASELINE_FEATURES_MAX) {
        return td_fail(err, TD_LIMIT, "%s: more than %d features; name the ones to watch in \"features\"",
                       td_csv_name(csv), TD_BASELINE_FEATURES_MAX);
    }
    for (size_t i = 0; i < plan->feature_count; i++) {
        if (plan->features[i].index == index) {
            return td_fail(err, TD_INVALID, "columns: feature \"%s\" is listed twice", r->names[index]);
        }
    }
    td_column *column = &plan->features[plan->feature_count++];
    column->index = index;
    column->numeric = numeric;
    column->name = td_arena_text(&plan->arena, r->names[index]);
    return column->name != NULL ? TD_OK : td_fail(err, TD_NOMEM, "out of memory");
}

static td_code add_listed(const td_csv *csv, td_plan *plan, const roles *r, const json_t *listed, td_err *err)
{
    for (size_t i = 0; i < json_array_size(listed); i++) {
        const json_t *item = json_array_get(listed, i);
        const char *name = json_is_string(item) ? json_string_value(item) : td_json_text(item, "name", "");
        const char *type = json_is_string(item) ? "" : td_json_text(item, "type", "");
        size_t index = 0;
        TD_TRY(find_column(csv, r->names, name, "features", &index, err));
        bool categorical = type[0] != '\0' ? strcmp(type, "categorical") == 0 : r->categorical[index];
        TD_TRY(add_feature(csv, plan, r, index, !categorical, err));
    }
    return TD_OK;
}

static td_code add_all(const td_csv *csv, td_plan *plan, const roles *r, td_err *err)
{
    for (size_t i = 0; i < plan->column_count; i++) {
        if (!r->taken[i]) {
            TD_TRY(add_feature(csv, plan, r, i, !r->categorical[i], err));
        }
    }
    if (plan->feature_count == 0) {
        return td_fail(err, TD_INVALID, "%s: no column is left to be a feature", td_csv_name(csv));
    }
    return TD_OK;
}

static void take(roles *r, size_t index)
{
    if (index != TD_NO_COLUMN) {
        r->taken[index] = true;
    }
}

static td_code find_roles(const td_csv *csv, td_plan *plan, roles *r, td_err *err)
{
    const json_t *spec = plan->spec;
    TD_TRY(find_role(csv, r->names, spec, "prediction", &plan->prediction.index, err));
    TD_TRY(find_role(csv, r->names, spec, "score", &plan->score.index, err));
    TD_TRY(find_role(csv, r->names, spec, "label", &plan->label, err));
    TD_TRY(find_role(csv, r->names, spec, "group", &plan->group, err));
    TD_TRY(mark_list(csv, r->names, spec, "ignore", r->taken, err));
    TD_TRY(mark_list(csv, r->names, spec, "categorical", r->categorical, err));
    take(r, plan->prediction.index);
    take(r, plan->score.index);
    take(r, plan->label);
    take(r, plan->group);
    if (plan->label != TD_NO_COLUMN && plan->prediction.index == TD_NO_COLUMN) {
        return td_fail(err, TD_INVALID, "columns: \"label\" needs \"prediction\", or nothing can be compared with it");
    }
    plan->score.numeric = true;
    plan->prediction.name = "prediction";
    plan->score.name = "score";
    plan->threshold = td_json_number(spec, "decision_threshold", 0.5);
    return TD_OK;
}

td_code td_plan_make(td_csv *csv, const json_t *spec, td_plan *plan, td_err *err)
{
    TD_TRY(td_baseline_check_columns(spec, "columns", NULL, err));
    bool row;
    TD_TRY(td_csv_next(csv, &row, err));
    if (!row) {
        return td_fail(err, TD_INVALID, "%s is empty; expected a header line and rows", td_csv_name(csv));
    }
    plan->spec = spec;
    plan->column_count = td_csv_count(csv);
    plan->positive = "";
    plan->warnings = json_array();
    plan->features = td_arena_alloc(&plan->arena, TD_BASELINE_FEATURES_MAX * sizeof *plan->features);
    roles *r = td_arena_alloc(&plan->arena, sizeof *r);
    if (plan->features == NULL || r == NULL || plan->warnings == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    TD_TRY(check_header(csv, r->names, err));
    TD_TRY(find_roles(csv, plan, r, err));
    const json_t *listed = json_object_get(spec, "features");
    return listed != NULL ? add_listed(csv, plan, r, listed, err) : add_all(csv, plan, r, err);
}
