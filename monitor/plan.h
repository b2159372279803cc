/*
 * plan.h: what the columns of a reference file are, and what the first pass learnt of each. Private to monitor/.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_PLAN_H
#define TD_MONITOR_PLAN_H

#include "core/base/arena.h"
#include "firmware/edge/bins.h"
#include "monitor/csv.h"

#define TD_NAME_MAX 64      /* bytes of a feature's, class's or group's name */
#define TD_CATEGORY_MAX 128 /* bytes of a category's name */
#define TD_NO_COLUMN SIZE_MAX

/* Different texts of a column with how often each came. */
typedef struct td_values {
    struct td_value {
        const char *text; /* in the plan's arena */
        uint64_t count;
    } * items;
    size_t count, room;
    uint32_t *slots; /* hash table of 1-based indices */
    size_t slot_count;
    uint64_t beyond; /* rows whose text no longer found room */
} td_values;

typedef struct td_column {
    const char *name;
    size_t index; /* in the CSV */
    bool numeric;
    uint64_t n, missing, infinite;
    double mean, squares; /* Welford */
    float minimum, maximum;
    float *sample;
    size_t sample_count, sample_room;
    uint64_t random; /* state of the reservoir */
    td_values values;
    float edges[TDE_EDGES_MAX];
    size_t edge_count;
    const char *categories[TDE_CATEGORIES_MAX];
    size_t category_count;
    uint64_t counts[TDE_BINS_MAX]; /* second pass */
    uint64_t counted_missing;
} td_column;

typedef struct td_plan {
    td_arena arena;
    td_column *features;
    size_t feature_count;
    td_column prediction, score; /* index TD_NO_COLUMN: none */
    bool prediction_is_value;    /* regression; meaningful after the first pass */
    size_t label, group;         /* columns, or TD_NO_COLUMN */
    td_values labels, groups;
    const char *group_names[TDE_GROUPS_MAX];
    size_t group_count;
    uint64_t group_cells[TDE_GROUPS_MAX + 1][6]; /* n, positive, TP, FP, FN, TN */
    uint64_t labelled, correct;
    double threshold;
    const char *positive; /* "" : none */
    size_t column_count;
    uint64_t rows;
    json_t *warnings;
    const json_t *spec;
} td_plan;

void td_plan_done(td_plan *plan);
/* Reads the header record and gives each column its role. */
TD_MUST_USE td_code td_plan_make(td_csv *csv, const json_t *spec, td_plan *plan, td_err *err);
/* First pass: the rest of the records. */
TD_MUST_USE td_code td_plan_profile(td_csv *csv, td_plan *plan, td_err *err);
/* Edges, categories, classes and groups out of what was learnt. */
TD_MUST_USE td_code td_plan_decide(td_plan *plan, td_err *err);

typedef enum td_number_kind { TD_NUMBER, TD_NUMBER_MISSING, TD_NUMBER_INFINITE, TD_NUMBER_TEXT } td_number_kind;
/* How a CSV field reads as a number: decimal only, "" and NA, NaN, null, none are missing. */
td_number_kind td_number_read(const char *text, double *out);
/* A class as text: "1.0" and "1" are the same class. Returns text itself or room. */
const char *td_class_text(const char *text, char room[32]);
bool td_field_missing(const char *text);

TD_MUST_USE td_code td_values_add(td_values *values, td_arena *arena, const char *text, uint64_t count, td_err *err);
void td_values_done(td_values *values);
void td_plan_warn(td_plan *plan, const char *format, ...) TD_PRINTF(2, 3);

#endif
