/*
 * order.c: what a list is ordered by: parsed by the names of the filter's table, written as ORDER BY and as the
 * condition "behind that row".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/list_internal.h"

#include <stdio.h>
#include <string.h>

static bool same_left(const td_filter__left *a, const td_filter__left *b)
{
    return a->field == b->field && a->family == b->family &&
           (a->key == b->key || (a->key != NULL && b->key != NULL && strcmp(a->key, b->key) == 0));
}

static bool may_order(const td_filter__left *left)
{
    if (left->family != NULL) {
        return !left->family->no_order && left->family->fields == NULL;
    }
    return !left->field->no_order && left->field->rows == NULL;
}

static td_code read_term(td_filter__reader *r, const td_filter_table *table, td_order__term *out)
{
    TD_TRY(td_filter__left_read(r, table, &out->left));
    if (!may_order(&out->left)) {
        return td_filter__wrong(r, out->left.at, "something to order by (this is not)");
    }
    out->descending = td_filter__word(r, "DESC");
    if (!out->descending) {
        (void)td_filter__word(r, "ASC");
    }
    out->nullable = out->left.family != NULL || out->left.field->nullable;
    return TD_OK;
}

/* A term that came before already decides, so it is left out the second time. */
static void add_term(td_order *order, const td_order__term *term)
{
    for (size_t i = 0; i < order->count; i++) {
        if (same_left(&order->terms[i].left, &term->left)) {
            return;
        }
    }
    order->terms[order->count++] = *term;
}

static td_code read_terms(td_filter__reader *r, const td_filter_table *table, size_t terms_max, td_order *order)
{
    size_t count = 0;
    do {
        td_order__term term = {0};
        if (count++ == terms_max) {
            return td_fail(r->err, TD_LIMIT, "%s: more than %zu terms", r->what, terms_max);
        }
        TD_TRY(read_term(r, table, &term));
        add_term(order, &term);
    } while (td_filter__symbol(r, ","));
    td_filter__skip(r);
    return *r->at == '\0' ? TD_OK : td_filter__wrong(r, r->at, "ASC, DESC, a comma or the end");
}

static bool is_blank(const char *text)
{
    return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

td_code td_order__parse(const char *text, const td_filter_table *table, td_arena *arena, td_order *out, td_err *err)
{
    td_order order = {.count = 0};
    td_filter__reader reader = {.what = "order_by", .arena = arena, .err = err};
    reader.text = reader.at = is_blank(text) ? table->order : text;
    if (text != NULL && strlen(text) > TD_ORDER_LENGTH_MAX) {
        return td_fail(err, TD_LIMIT, "order_by: %zu bytes, at most %zu", strlen(text), TD_ORDER_LENGTH_MAX);
    }
    if (reader.text != NULL) {
        TD_TRY(read_terms(&reader, table, TD_ORDER_TERMS_MAX, &order));
    }
    reader.text = reader.at = table->tie;
    TD_TRY(read_terms(&reader, table, TD_ORDER__TERMS_MAX - TD_ORDER_TERMS_MAX, &order));
    *out = order;
    return TD_OK;
}

void td_order__add_expression(const td_order *order, size_t i, td_str *sql)
{
    const td_filter__left *left = &order->terms[i].left;
    const td_filter_family *f = left->family;
    if (f == NULL) {
        td_str_add(sql, left->field->sql);
    } else if (f->type == TD_FILTER_TEXT) {
        td_str_addf(sql, "(SELECT substr(u.%s, 1, %d) FROM %s u WHERE u.%s = %s AND u.%s = :o%zu)", f->value,
                    TD_ORDER_TEXT_MAX, f->rows.table, f->rows.owner, f->rows.row, f->key, i);
    } else {
        td_str_addf(sql, "(SELECT u.%s FROM %s u WHERE u.%s = %s AND u.%s = :o%zu)", f->value, f->rows.table,
                    f->rows.owner, f->rows.row, f->key, i);
    }
}

void td_order__add_by(const td_order *order, td_str *sql)
{
    for (size_t i = 0; i < order->count; i++) {
        td_str_add(sql, i > 0 ? ", " : "");
        td_order__add_expression(order, i, sql);
        td_str_add(sql, order->terms[i].descending ? " DESC" : "");
        td_str_add(sql, order->terms[i].nullable ? " NULLS LAST" : "");
    }
}

/* "expression OP :cI" */
static void add_compare(const td_order *order, size_t i, const char *op, td_str *sql)
{
    td_order__add_expression(order, i, sql);
    td_str_addf(sql, " %s :c%zu", op, i);
}

static void add_after(const td_order *order, const td_filter__value *values, size_t i, td_str *sql)
{
    const td_order__term *term = &order->terms[i];
    const char *beyond = term->descending ? "<" : ">", *from = term->descending ? "<=" : ">=";
    bool last = i + 1 == order->count;
    if (term->nullable && values[i].type == TD_VALUE_NULL) { /* only the rows without a value are left */
        td_str_add_char(sql, '(');
        td_order__add_expression(order, i, sql);
        td_str_add(sql, " IS NULL AND ");
        add_after(order, values, i + 1, sql);
        td_str_add_char(sql, ')');
    } else if (term->nullable) {
        td_str_add_char(sql, '(');
        td_order__add_expression(order, i, sql);
        td_str_add(sql, " IS NULL OR ");
        add_compare(order, i, beyond, sql);
        td_str_add(sql, " OR (");
        add_compare(order, i, "=", sql);
        td_str_add(sql, " AND ");
        add_after(order, values, i + 1, sql);
        td_str_add(sql, "))");
    } else if (last) {
        add_compare(order, i, beyond, sql);
    } else { /* the first half lets an index start there */
        td_str_add_char(sql, '(');
        add_compare(order, i, from, sql);
        td_str_add(sql, " AND (");
        add_compare(order, i, beyond, sql);
        td_str_add(sql, " OR ");
        add_after(order, values, i + 1, sql);
        td_str_add(sql, "))");
    }
}

void td_order__add_after(const td_order *order, const td_filter__value *values, td_str *sql)
{
    add_after(order, values, 0, sql);
}

void td_order__bind(const td_order *order, td_stmt *stmt)
{
    for (size_t i = 0; i < order->count; i++) {
        if (order->terms[i].left.key != NULL) {
            char name[TD_FILTER_PARAMETER_SIZE];
            snprintf(name, sizeof name, ":o%zu", i);
            td_bind_text(stmt, name, order->terms[i].left.key);
        }
    }
}
