/*
 * list.c: a list as one statement: the caller's rows, the filter, the place to go on behind, the order, one row more
 * than the page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/list_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct td_list {
    const char *name;
    td_arena arena;
    td_filter *filter;
    td_order order;
    td_cursor__query bound; /* what the cursor is bound to */
    td_filter__value behind[TD_ORDER__TERMS_MAX];
    bool goes_on;
    int64_t limit, count;
    td_str sql, next;
    td_stmt *stmt;
    bool done;
};

void td_list_close(td_list **list)
{
    if (*list != NULL) {
        td_stmt_free(&(*list)->stmt);
        td_filter_free(&(*list)->filter);
        td_str_done(&(*list)->sql);
        td_str_done(&(*list)->next);
        td_arena_done(&(*list)->arena);
        free(*list);
        *list = NULL;
    }
}

td_stmt *td_list_stmt(td_list *list)
{
    return list->stmt;
}

const char *td_list_next(const td_list *list)
{
    return list->next.size > 0 ? td_str_text(&list->next) : NULL;
}

const char *td_list_name(const td_list *list)
{
    return list->name;
}

bool td_list_asks(const td_list *list, const char *field)
{
    bool asks = false;
    for (size_t i = 0; i < list->filter->count; i++) {
        const td_filter__left *left = &list->filter->comparisons[i].left;
        asks = asks || (left->family == NULL && strcmp(left->field->name, field) == 0);
    }
    return asks;
}

const char *td_list_sql(const td_list *list)
{
    return td_str_text(&list->sql);
}

/* ---- opening ---- */

static td_code read_limit(const td_page *page, const td_list_query *query, int64_t *out, td_err *err)
{
    int64_t most = query->limit_max != 0 ? query->limit_max : TD_LIST_LIMIT_MAX;
    int64_t limit = page->limit != 0 ? page->limit : TD_LIST_LIMIT_DEFAULT;
    if (limit < 1 || limit > most) {
        return td_fail(err, TD_INVALID, "limit is %lld; it must be 1 to %lld", (long long)limit, (long long)most);
    }
    *out = limit;
    return TD_OK;
}

static td_code read_page(td_list *list, const td_list_query *query, const char *scope, const td_page *page,
                         td_err *err)
{
    TD_TRY(read_limit(page, query, &list->limit, err));
    TD_TRY(td_filter_parse(page->filter, query->table, &list->filter, err));
    TD_TRY(td_order__parse(page->order, query->table, &list->arena, &list->order, err));
    list->name = query->name != NULL ? query->name : "";
    list->bound = (td_cursor__query){list->name, td_arena_text(&list->arena, scope),
                                     td_arena_text(&list->arena, page->filter),
                                     td_arena_text(&list->arena, page->order)};
    list->goes_on = page->cursor != NULL && page->cursor[0] != '\0';
    if (!list->goes_on) {
        return TD_OK;
    }
    return td_cursor__read(&list->bound, page->cursor, &list->arena, list->behind, list->order.count, err);
}

static void build(td_list *list, const td_list_query *query)
{
    td_str *sql = &list->sql;
    td_str_addf(sql, "SELECT %s", query->columns);
    for (size_t i = 0; i < list->order.count; i++) {
        td_str_add(sql, ", ");
        td_order__add_expression(&list->order, i, sql);
        td_str_addf(sql, " AS order_%zu", i);
    }
    td_str_addf(sql, " FROM %s WHERE ", query->from);
    const char *where = list->filter->narrow && query->narrowed != NULL ? query->narrowed : query->where;
    if (where != NULL) {
        td_str_addf(sql, "%s AND ", where);
    }
    td_filter_sql(list->filter, sql);
    if (list->goes_on) {
        td_str_add(sql, " AND ");
        td_order__add_after(&list->order, list->behind, sql);
    }
    td_str_add(sql, " ORDER BY ");
    td_order__add_by(&list->order, sql);
    td_str_add(sql, " LIMIT :limit");
}

static void bind(td_list *list)
{
    td_filter_bind(list->filter, list->stmt);
    td_order__bind(&list->order, list->stmt);
    for (size_t i = 0; list->goes_on && i < list->order.count; i++) {
        char name[TD_FILTER_PARAMETER_SIZE];
        snprintf(name, sizeof name, ":c%zu", i);
        if (list->behind[i].type != TD_VALUE_NULL) {
            td_filter__bind_value(list->stmt, name, &list->behind[i]);
        }
    }
    td_bind_int(list->stmt, ":limit", list->limit + 1);
}

td_code td_list_open(td_db *db, const td_list_query *query, const char *scope, const td_page *page, td_list **out,
                     td_err *err)
{
    TD_CLEANUP(td_list_close) td_list *list = calloc(1, sizeof *list);
    if (list == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a list");
    }
    TD_TRY(read_page(list, query, scope, page, err));
    TD_TRY(td_filter_plan(list->filter, db, err));
    build(list, query);
    TD_TRY(td_str_check(&list->sql, err));
    TD_TRY(td_db_prepare_text(db, td_str_text(&list->sql), &list->stmt, err));
    bind(list);
    *out = list;
    list = NULL;
    return TD_OK;
}

/* ---- reading ---- */

/* The current row's order values, in the arena: there is another row, so the cursor may be asked for. */
static td_code remember(td_list *list, td_err *err)
{
    for (size_t i = 0; i < list->order.count; i++) {
        char name[TD_FILTER_PARAMETER_SIZE];
        snprintf(name, sizeof name, "order_%zu", i);
        td_filter__value *value = &list->behind[i];
        *value = (td_filter__value){.type = TD_VALUE_INTEGER};
        if (td_column_null(list->stmt, name)) {
            value->type = TD_VALUE_NULL;
        } else if (list->order.terms[i].left.type == TD_FILTER_TEXT) {
            value->type = TD_VALUE_TEXT;
            value->text = td_arena_text(&list->arena, td_column_text(list->stmt, name));
            if (value->text == NULL) {
                return td_fail(err, TD_NOMEM, "no memory for a list");
            }
        } else if (list->order.terms[i].left.type == TD_FILTER_REAL) {
            value->type = TD_VALUE_REAL;
            value->real = td_column_real(list->stmt, name);
        } else {
            value->integer = td_column_int(list->stmt, name);
        }
    }
    return TD_OK;
}

td_code td_list_step(td_list *list, bool *row_out, td_err *err)
{
    bool row = false;
    if (!list->done) {
        TD_TRY(td_step(list->stmt, &row, err));
    }
    if (row && list->count == list->limit) { /* one more than the page: it is not shown, it says that there is more */
        td_cursor__write(&list->bound, list->behind, list->order.count, &list->next);
        TD_TRY(td_str_check(&list->next, err));
        row = false;
    }
    if (!row) {
        list->done = true;
        td_reset(list->stmt);
        *row_out = false;
        return TD_OK;
    }
    list->count++;
    if (list->count == list->limit) {
        TD_TRY(remember(list, err));
    }
    *row_out = true;
    return TD_OK;
}
