/*
 * profile.c: the first pass over the reference: moments and a sample of each numeric column, the texts of each other
 * one.
 *
 * The sample is a reservoir (Vitter's algorithm R) with a fixed seed, so the same file always gives the same baseline;
 * up to TD_BASELINE_SAMPLE rows it is simply all of them, and quantiles are exact.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/plan.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ROWS_MAX 4000000000u

/* ---- Fields ---------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcasecmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

bool td_field_missing(const char *text)
{
    static const char *const words[] = {"", "na", "n/a", "nan", "null", "none", NULL};
    return is_one_of(text, words);
}

td_number_kind td_number_read(const char *text, double *out)
{
    static const char *const infinities[] = {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity", NULL};
    char trimmed[64];
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t')) {
        length--;
    }
    if (length >= sizeof trimmed) {
        return TD_NUMBER_TEXT;
    }
    memcpy(trimmed, text, length);
    trimmed[length] = '\0';
    if (td_field_missing(trimmed)) {
        return TD_NUMBER_MISSING;
    }
    if (is_one_of(trimmed, infinities)) {
        return TD_NUMBER_INFINITE;
    }
    if (strspn(trimmed, "0123456789+-.eE") != length) {
        return TD_NUMBER_TEXT;
    }
    char *end;
    double value = strtod(trimmed, &end);
    if (*end != '\0') {
        return TD_NUMBER_TEXT;
    }
    *out = value;
    return isinf((float)value) ? TD_NUMBER_INFINITE : TD_NUMBER;
}

const char *td_class_text(const char *text, char room[32])
{
    double value;
    if (td_number_read(text, &value) == TD_NUMBER && fabs(value) < 1e15 && value == rint(value)) {
        snprintf(room, 32, "%lld", (long long)value);
        return room;
    }
    return text;
}

/* ---- Different texts ------------------------------------------------------------------------- */

void td_values_done(td_values *values)
{
    free(values->items);
    free(values->slots);
}

static uint64_t text_hash(const char *text)
{
    uint64_t hash = 14695981039346656037ULL; /* FNV-1a */
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 1099511628211ULL;
    }
    return hash;
}

/* The slot that holds `text`, or the free one where it belongs. */
static size_t find_slot(const td_values *values, const char *text)
{
    size_t slot = text_hash(text) & (values->slot_count - 1);
    while (values->slots[slot] != 0 && strcmp(values->items[values->slots[slot] - 1].text, text) != 0) {
        slot = (slot + 1) & (values->slot_count - 1);
    }
    return slot;
}

static td_code values_grow(td_values *values, td_err *err)
{
    size_t room = values->room == 0 ? 64 : values->room * 2;
    struct td_value *items = realloc(values->items, room * sizeof *items);
    uint32_t *slots = calloc(room * 2, sizeof *slots);
    if (items != NULL) {
        values->items = items;
    }
    if (items == NULL || slots == NULL) {
        free(slots);
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    free(values->slots);
    values->slots = slots;
    values->slot_count = room * 2;
    values->room = room;
    for (size_t i = 0; i < values->count; i++) {
        values->slots[find_slot(values, items[i].text)] = (uint32_t)(i + 1);
    }
    return TD_OK;
}

td_code td_values_add(td_values *values, td_arena *arena, const char *text, uint64_t count, td_err *err)
{
    if (values->count == values->room) {
        TD_TRY(values_grow(values, err));
    }
    size_t slot = find_slot(values, text);
    if (values->slots[slot] != 0) {
        values->items[values->slots[slot] - 1].count += count;
        return TD_OK;
    }
    if (values->count == TD_BASELINE_VALUES_MAX || strlen(text) > TD_CATEGORY_MAX) {
        values->beyond += count;
        return TD_OK;
    }
    const char *copy = td_arena_text(arena, text);
    if (copy == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    values->items[values->count++] = (struct td_value){copy, count};
    values->slots[slot] = (uint32_t)values->count;
    return TD_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static uint64_t next_random(td_column *column)
{
    uint64_t z = (column->random += 0x9e3779b97f4a7c15ULL); /* SplitMix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static td_code sample_add(td_column *column, float value, td_err *err)
{
    if (column->sample_count < TD_BASELINE_SAMPLE) {
        if (column->sample_count == column->sample_room) {
            size_t room = column->sample_room == 0 ? 1024 : column->sample_room * 2;
            float *grown = realloc(column->sample, room * sizeof *grown);
            if (grown == NULL) {
                return td_fail(err, TD_NOMEM, "out of memory");
            }
            column->sample = grown;
            column->sample_room = room;
        }
        column->sample[column->sample_count++] = value;
        return TD_OK;
    }
    uint64_t place = next_random(column) % column->n;
    if (place < TD_BASELINE_SAMPLE) {
        column->sample[place] = value;
    }
    return TD_OK;
}

static td_code number_add(td_column *column, double value, td_err *err)
{
    float narrow = (float)value;
    column->n++;
    double step = (double)narrow - column->mean;
    column->mean += step / (double)column->n;
    column->squares += step * ((double)narrow - column->mean);
    column->minimum = column->n == 1 ? narrow : fminf(column->minimum, narrow);
    column->maximum = column->n == 1 ? narrow : fmaxf(column->maximum, narrow);
    return sample_add(column, narrow, err);
}

static td_code numeric_add(const td_csv *csv, const td_plan *plan, td_column *column, td_err *err)
{
    const char *text = td_csv_field(csv, column->index);
    double value = 0;
    switch (td_number_read(text, &value)) {
    case TD_NUMBER:
        return number_add(column, value, err);
    case TD_NUMBER_MISSING:
        column->missing++;
        return TD_OK;
    case TD_NUMBER_INFINITE:
        column->infinite++;
        return TD_OK;
    case TD_NUMBER_TEXT:
        break;
    }
    bool feature = column != &plan->score && column != &plan->prediction;
    return td_fail(err, TD_INVALID, "%s:%lld: column \"%s\": expected a number, found \"%.40s\"%s", td_csv_name(csv),
                   (long long)td_csv_line(csv), column->name, text,
                   feature ? "; list the column under \"categorical\" if it holds categories" : "");
}

static td_code text_add(const td_csv *csv, td_plan *plan, td_column *column, td_err *err)
{
    const char *text = td_csv_field(csv, column->index);
    char room[32];
    if (td_field_missing(text)) {
        column->missing++;
        return TD_OK;
    }
    column->n++;
    return td_values_add(&column->values, &plan->arena, td_class_text(text, room), 1, err);
}

/* The prediction is watched as text and, as long as it is one, as a number: which of both it is shows at the end. */
static td_code prediction_add(const td_csv *csv, td_plan *plan, td_err *err)
{
    td_column *column = &plan->prediction;
    const char *text = td_csv_field(csv, column->index);
    double value = 0;
    td_number_kind kind = td_number_read(text, &value);
    if (kind == TD_NUMBER_MISSING || kind == TD_NUMBER_INFINITE) {
        *(kind == TD_NUMBER_MISSING ? &column->missing : &column->infinite) += 1;
        return TD_OK;
    }
    if (kind == TD_NUMBER) {
        TD_TRY(number_add(column, value, err));
    }
    char room[32];
    return td_values_add(&column->values, &plan->arena, td_class_text(text, room), 1, err);
}

static td_code role_add(const td_csv *csv, td_plan *plan, td_values *values, size_t index, bool as_class, td_err *err)
{
    const char *text = td_csv_field(csv, index);
    char room[32];
    if (td_field_missing(text)) {
        return TD_OK;
    }
    return td_values_add(values, &plan->arena, as_class ? td_class_text(text, room) : text, 1, err);
}

static td_code row_add(const td_csv *csv, td_plan *plan, td_err *err)
{
    for (size_t i = 0; i < plan->feature_count; i++) {
        td_column *column = &plan->features[i];
        TD_TRY(column->numeric ? numeric_add(csv, plan, column, err) : text_add(csv, plan, column, err));
    }
    if (plan->prediction.index != TD_NO_COLUMN) {
        TD_TRY(prediction_add(csv, plan, err));
    }
    if (plan->score.index != TD_NO_COLUMN) {
        TD_TRY(numeric_add(csv, plan, &plan->score, err));
    }
    if (plan->label != TD_NO_COLUMN) {
        TD_TRY(role_add(csv, plan, &plan->labels, plan->label, true, err));
    }
    if (plan->group != TD_NO_COLUMN) {
        TD_TRY(role_add(csv, plan, &plan->groups, plan->group, false, err));
    }
    plan->rows++;
    return TD_OK;
}

td_code td_plan_profile(td_csv *csv, td_plan *plan, td_err *err)
{
    for (;;) {
        bool row;
        TD_TRY(td_csv_next(csv, &row, err));
        if (!row) {
            break;
        }
        if (td_csv_count(csv) != plan->column_count) {
            return td_fail(err, TD_INVALID, "%s:%lld: %zu fields, but the header has %zu", td_csv_name(csv),
                           (long long)td_csv_line(csv), td_csv_count(csv), plan->column_count);
        }
        if (plan->rows == ROWS_MAX) {
            return td_fail(err, TD_LIMIT, "%s: more than %u rows; a sample of it serves as well", td_csv_name(csv),
                           ROWS_MAX);
        }
        TD_TRY(row_add(csv, plan, err));
    }
    if (plan->rows == 0) {
        return td_fail(err, TD_INVALID, "%s has a header but no rows", td_csv_name(csv));
    }
    return TD_OK;
}
