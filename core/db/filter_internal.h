/*
 * filter_internal.h: what the files of the filter grammar share: the lexer and the parsed comparisons.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_DB_FILTER_INTERNAL_H
#define TD_CORE_DB_FILTER_INTERNAL_H

#include "core/base/arena.h"
#include "core/db/filter.h"

#define TD_FILTER_PARAMETER_SIZE 48

/* Where reading is. `what` names the text in messages: "filter", "order_by". */
typedef struct td_filter__reader {
    const char *what, *text, *at;
    td_arena *arena;
    td_err *err;
} td_filter__reader;

typedef enum td_filter__value_type {
    TD_VALUE_NULL,
    TD_VALUE_INTEGER,
    TD_VALUE_REAL,
    TD_VALUE_TEXT,
} td_filter__value_type;

typedef struct td_filter__value {
    td_filter__value_type type;
    int64_t integer;
    double real;
    const char *text;
} td_filter__value;

/* A value as it is written, before it is known what type the left side wants. */
typedef struct td_filter__literal {
    const char *at;   /* where it stands, for messages */
    const char *text; /* without its quotes */
    bool quoted;
} td_filter__literal;

/* The left side of a comparison, or what is ordered by. */
typedef struct td_filter__left {
    const char *at;
    const td_filter_field *field;   /* an attribute, or a column of a family with fields */
    const td_filter_family *family; /* or NULL */
    const td_filter_key *special;   /* or NULL */
    const char *key;                /* of a family without fields */
    td_filter_type type;
} td_filter__left;

typedef enum td_filter__op {
    TD_FILTER_EQ,
    TD_FILTER_NE,
    TD_FILTER_LT,
    TD_FILTER_LE,
    TD_FILTER_GT,
    TD_FILTER_GE,
    TD_FILTER_LIKE,
    TD_FILTER_ILIKE,
    TD_FILTER_IN,
    TD_FILTER_NOT_IN,
    TD_FILTER_IS_NULL,
    TD_FILTER_NOT_NULL
} td_filter__op;

typedef struct td_filter__comparison {
    td_filter__left left;
    td_filter__op op;
    td_filter__value *values; /* none for IS NULL */
    size_t count;
    int64_t found; /* rows that it would find, as planned; INT64_MAX: not asked */
} td_filter__comparison;

struct td_filter {
    td_arena arena;
    const td_filter_table *table;
    td_filter__comparison comparisons[TD_FILTER_COMPARISONS_MAX];
    size_t count, items;
    bool narrow; /* planned: an equality leaves few rows, by an index */
    bool by_row; /* planned: the equalities by value are common, so rows are tested one by one */
};

/* ---- filter_lex.c ---- */

void td_filter__skip(td_filter__reader *r);
/* INVALID: "WHAT, column N: expected …, found …" at the place `at`. */
td_code td_filter__wrong(const td_filter__reader *r, const char *at, const char *expected);
bool td_filter__symbol(td_filter__reader *r, const char *symbol);
bool td_filter__word(td_filter__reader *r, const char *word); /* in either case, whole */
/* A name with its optional key, each bare or quoted; *key_out NULL without one. */
td_code td_filter__name(td_filter__reader *r, const char **name_out, const char **key_out);
td_code td_filter__literal_read(td_filter__reader *r, td_filter__literal *out);

/* ---- filter_left.c ---- */

/* Reads and looks up. */
td_code td_filter__left_read(td_filter__reader *r, const td_filter_table *table, td_filter__left *out);
/* The literal as the type (and the field's choices) demand. */
td_code td_filter__value_read(const td_filter__reader *r, const td_filter__left *left,
                              const td_filter__literal *literal, td_filter__value *out);

/* ---- filter_sql.c ---- */

void td_filter__bind_value(td_stmt *stmt, const char *name, const td_filter__value *value);
/* Whether it is an equality that an index by value answers. */
bool td_filter__by_value(const td_filter__comparison *c);

#endif
