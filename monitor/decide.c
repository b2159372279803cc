/*
 * decide.c: edges, categories, classes and groups out of what the first pass learnt.
 *
 * A numeric column gets edges at fixed quantiles. Where two or more of them fall on one value, that value is an atom:
 * it gets an edge at itself and one at the next float, hence a bin of its own; so ties never cost more edges than they
 * saved.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MISSING_SHARE_WARN 0.2

static const double quantiles[TDE_EDGES_MAX] = {0.001, 0.01, 0.025, 0.1, 0.2,   0.3,  0.4,  0.5,
                                                0.6,   0.7,  0.8,   0.9, 0.975, 0.99, 0.999};

/* ---- Numeric columns ------------------------------------------------------------------------- */

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Linear between the two nearest ranks (Hyndman and Fan's type 7, NumPy's default). */
static float quantile_of(const float *sorted, size_t count, double q)
{
    double at = q * (double)(count - 1);
    size_t low = (size_t)at, high = low + 1 < count ? low + 1 : low;
    return (float)((double)sorted[low] + (at - (double)low) * ((double)sorted[high] - (double)sorted[low]));
}

static void edge_add(td_column *column, float edge)
{
    bool ascending = column->edge_count == 0 || edge > column->edges[column->edge_count - 1];
    if (ascending && isfinite(edge) && column->edge_count < TDE_EDGES_MAX) {
        column->edges[column->edge_count++] = edge;
    }
}

static void decide_edges(td_column *column)
{
    if (column->sample_count == 0) {
        return;
    }
    qsort(column->sample, column->sample_count, sizeof *column->sample, compare_floats);
    for (size_t i = 0; i < TDE_EDGES_MAX;) {
        float edge = quantile_of(column->sample, column->sample_count, quantiles[i]);
        size_t same = 1;
        while (i + same < TDE_EDGES_MAX &&
               quantile_of(column->sample, column->sample_count, quantiles[i + same]) <= edge) {
            same++;
        }
        edge_add(column, edge);
        if (same > 1) {
            edge_add(column, nextafterf(edge, INFINITY));
        }
        i += same;
    }
}

/* The score's histogram must tell apart what the decision tells apart. */
static void edge_insert(td_column *column, float edge)
{
    size_t at = 0;
    while (at < column->edge_count && column->edges[at] < edge) {
        at++;
    }
    if (at < column->edge_count && column->edges[at] <= edge) {
        return;
    }
    if (column->edge_count < TDE_EDGES_MAX) {
        memmove(&column->edges[at + 1], &column->edges[at], (column->edge_count - at) * sizeof column->edges[0]);
        column->edge_count++;
    } else if (at == column->edge_count || (at > 0 && edge - column->edges[at - 1] < column->edges[at] - edge)) {
        at--; /* takes the place of the nearest edge */
    }
    column->edges[at] = edge;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static int compare_counts(const void *a, const void *b)
{
    const struct td_value *x = a, *y = b;
    if (x->count != y->count) {
        return x->count < y->count ? 1 : -1;
    }
    return strcmp(x->text, y->text);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_numbers(const void *a, const void *b)
{
    double x = strtod(*(const char *const *)a, NULL), y = strtod(*(const char *const *)b, NULL);
    return (x > y) - (x < y);
}

static bool all_numbers(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value;
        if (td_number_read(texts[i], &value) != TD_NUMBER) {
            return false;
        }
    }
    return true;
}

/* The commonest ones, in their natural order; returns how many rows are left to "other". */
static uint64_t commonest(td_values *values, const char **out, size_t room, size_t length_max, size_t *count_out)
{
    uint64_t other = values->beyond;
    size_t count = 0;
    if (values->count > 0) {
        qsort(values->items, values->count, sizeof *values->items, compare_counts);
    }
    for (size_t i = 0; i < values->count; i++) {
        if (count < room && strlen(values->items[i].text) <= length_max) {
            out[count++] = values->items[i].text;
        } else {
            other += values->items[i].count;
        }
    }
    if (count > 0) {
        qsort(out, count, sizeof *out, all_numbers(out, count) ? compare_numbers : compare_texts);
    }
    *count_out = count;
    return other;
}

static void decide_categories(td_plan *plan, td_column *column)
{
    uint64_t other =
        commonest(&column->values, column->categories, TDE_CATEGORIES_MAX, TD_CATEGORY_MAX, &column->category_count);
    if (other > 0) {
        td_plan_warn(plan, "column \"%s\" has more than %d categories; %llu rows count as \"other\"", column->name,
                     TDE_CATEGORIES_MAX, (unsigned long long)other);
    }
}

/* ---- Prediction ------------------------------------------------------------------------------ */

static bool looks_like_value(const td_plan *plan)
{
    const td_column *column = &plan->prediction;
    const char *type = td_json_text(plan->spec, "prediction_type", "");
    if (type[0] != '\0') {
        return strcmp(type, "value") == 0;
    }
    uint64_t texts = column->values.beyond;
    for (size_t i = 0; i < column->values.count; i++) {
        texts += column->values.items[i].count;
    }
    return plan->score.index == TD_NO_COLUMN && json_object_get(plan->spec, "classes") == NULL &&
           column->values.count > TDE_CATEGORIES_MAX && column->n == texts;
}

static td_code classes_from_spec(td_plan *plan, const json_t *classes, td_err *err)
{
    td_column *column = &plan->prediction;
    for (size_t i = 0; i < json_array_size(classes); i++) {
        char room[32];
        const char *text = td_class_text(json_string_value(json_array_get(classes, i)), room);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(column->categories[j], text) == 0) {
                return td_fail(err, TD_INVALID, "columns: class \"%s\" is listed twice", text);
            }
        }
        column->categories[i] = td_arena_text(&plan->arena, text);
        if (column->categories[i] == NULL) {
            return td_fail(err, TD_NOMEM, "out of memory");
        }
    }
    column->category_count = json_array_size(classes);
    return TD_OK;
}

static td_code decide_classes(td_plan *plan, td_err *err)
{
    td_column *column = &plan->prediction;
    const json_t *classes = json_object_get(plan->spec, "classes");
    if (classes != NULL) {
        return classes_from_spec(plan, classes, err);
    }
    for (size_t i = 0; i < plan->labels.count; i++) {
        TD_TRY(
            td_values_add(&column->values, &plan->arena, plan->labels.items[i].text, plan->labels.items[i].count, err));
    }
    decide_categories(plan, column);
    return TD_OK;
}

static td_code decide_positive(td_plan *plan, td_err *err)
{
    const td_column *column = &plan->prediction;
    const char *wanted = td_json_text(plan->spec, "positive_class", NULL);
    if (wanted == NULL) {
        plan->positive = column->category_count == 2 ? column->categories[1] : "";
        return TD_OK;
    }
    char room[32];
    wanted = td_class_text(wanted, room);
    const char *names[TDE_CATEGORIES_MAX + 1] = {NULL};
    for (size_t i = 0; i < column->category_count; i++) {
        names[i] = column->categories[i];
        if (strcmp(wanted, names[i]) == 0 && strlen(wanted) <= TD_NAME_MAX) {
            plan->positive = names[i];
            return TD_OK;
        }
    }
    const char *near = td_nearest(wanted, names);
    return td_fail(err, TD_INVALID, "columns: positive_class \"%s\" is none of the %zu classes%s%s%s", wanted,
                   column->category_count, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                   near != NULL ? "\"?" : "");
}

static td_code decide_prediction(td_plan *plan, td_err *err)
{
    td_column *column = &plan->prediction;
    if (column->index == TD_NO_COLUMN) {
        td_plan_warn(plan, "no prediction column: neither prediction drift nor performance can be watched");
        return TD_OK;
    }
    plan->prediction_is_value = looks_like_value(plan);
    column->numeric = plan->prediction_is_value;
    if (!plan->prediction_is_value) {
        TD_TRY(decide_classes(plan, err));
        TD_TRY(decide_positive(plan, err));
        if (plan->label == TD_NO_COLUMN) {
            td_plan_warn(plan, "no label column: there is no reference accuracy to compare with");
        }
        return TD_OK;
    }
    for (size_t i = 0; i < column->values.count; i++) {
        double value;
        if (td_number_read(column->values.items[i].text, &value) != TD_NUMBER) {
            return td_fail(err, TD_INVALID, "columns: prediction_type is \"value\", but the column holds \"%.40s\"",
                           column->values.items[i].text);
        }
    }
    decide_edges(column);
    return TD_OK;
}

/* ---- All ------------------------------------------------------------------------------------- */

static void warn_column(td_plan *plan, const td_column *column)
{
    bool constant = column->numeric ? column->n > 0 && column->minimum >= column->maximum
                                    : column->values.count == 1 && column->values.beyond == 0;
    if (column->n == 0) {
        td_plan_warn(plan, "column \"%s\" has no values at all", column->name);
    } else if (constant) {
        td_plan_warn(plan, "column \"%s\" is constant; any other value will count as drift", column->name);
    }
    if (column->n > 0 && (double)column->missing > MISSING_SHARE_WARN * (double)plan->rows) {
        td_plan_warn(plan, "column \"%s\" lacks a value in %.0f %% of the rows", column->name,
                     100 * (double)column->missing / (double)plan->rows);
    }
}

td_code td_plan_decide(td_plan *plan, td_err *err)
{
    for (size_t i = 0; i < plan->feature_count; i++) {
        td_column *column = &plan->features[i];
        warn_column(plan, column);
        if (column->numeric) {
            decide_edges(column);
        } else {
            decide_categories(plan, column);
        }
    }
    TD_TRY(decide_prediction(plan, err));
    if (plan->score.index != TD_NO_COLUMN) {
        decide_edges(&plan->score);
        edge_insert(&plan->score, (float)plan->threshold);
    }
    uint64_t other = commonest(&plan->groups, plan->group_names, TDE_GROUPS_MAX, TD_NAME_MAX, &plan->group_count);
    if (other > 0) {
        td_plan_warn(plan, "more than %d groups; %llu rows count as \"other\"", TDE_GROUPS_MAX,
                     (unsigned long long)other);
    }
    return TD_OK;
}
