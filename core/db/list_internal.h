/*
 * list_internal.h: what the files of lists share: the terms of an order and the cursor's codec.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_DB_LIST_INTERNAL_H
#define TD_CORE_DB_LIST_INTERNAL_H

#include "core/db/filter_internal.h"
#include "core/db/list.h"

#define TD_ORDER__TERMS_MAX (TD_ORDER_TERMS_MAX + 4) /* with the caller's ties */

typedef struct td_order__term {
    td_filter__left left;
    bool descending, nullable;
} td_order__term;

typedef struct td_order {
    td_order__term terms[TD_ORDER__TERMS_MAX];
    size_t count;
} td_order;

/* `text` (NULL or blank: the table's own order), then the table's tie. INVALID, LIMIT. */
td_code td_order__parse(const char *text, const td_filter_table *table, td_arena *arena, td_order *out, td_err *err);
/* The expression that term i orders by. Its key is bound by td_order__bind as :oI. */
void td_order__add_expression(const td_order *order, size_t i, td_str *sql);
/* "k0, k1 DESC NULLS LAST" over the expressions. */
void td_order__add_by(const td_order *order, td_str *sql);
/* The condition "behind the row with the values :cI". `values`: which of them are NULL. */
void td_order__add_after(const td_order *order, const td_filter__value *values, td_str *sql);
void td_order__bind(const td_order *order, td_stmt *stmt);

/* What a cursor is bound to. */
typedef struct td_cursor__query {
    const char *name, *scope, *filter, *order;
} td_cursor__query;

/* Appends the cursor's text. */
void td_cursor__write(const td_cursor__query *query, const td_filter__value *values, size_t count, td_str *out);
/* Into exactly `count` values; texts live in the arena. INVALID says so and nothing more. */
td_code td_cursor__read(const td_cursor__query *query, const char *text, td_arena *arena, td_filter__value *values,
                        size_t count, td_err *err);

#endif
