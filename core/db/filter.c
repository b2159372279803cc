/*
 * filter.c: the parser of filters: comparisons joined by AND into a small fixed array.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/filter_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- operators ---- */

static const struct {
    const char *symbol;
    td_filter__op op;
} symbols[] = {
    {"!=", TD_FILTER_NE}, {"<>", TD_FILTER_NE}, {"<=", TD_FILTER_LE}, {">=", TD_FILTER_GE},
    {"==", TD_FILTER_EQ}, {"=", TD_FILTER_EQ},  {"<", TD_FILTER_LT},  {">", TD_FILTER_GT},
};

static td_code read_negated(td_filter__reader *r, td_filter__op *out)
{
    if (!td_filter__word(r, "IN")) {
        return td_filter__wrong(r, r->at, "IN after NOT");
    }
    *out = TD_FILTER_NOT_IN;
    return TD_OK;
}

static td_code read_null(td_filter__reader *r, td_filter__op *out)
{
    bool negated = td_filter__word(r, "NOT");
    if (!td_filter__word(r, "NULL")) {
        return td_filter__wrong(r, r->at, negated ? "NULL" : "NULL or NOT NULL");
    }
    *out = negated ? TD_FILTER_NOT_NULL : TD_FILTER_IS_NULL;
    return TD_OK;
}

static td_code read_op(td_filter__reader *r, td_filter__op *out)
{
    for (size_t i = 0; i < TD_COUNT_OF(symbols); i++) {
        if (td_filter__symbol(r, symbols[i].symbol)) {
            *out = symbols[i].op;
            return TD_OK;
        }
    }
    if (td_filter__word(r, "NOT")) {
        return read_negated(r, out);
    }
    if (td_filter__word(r, "IS")) {
        return read_null(r, out);
    }
    static const struct {
        const char *word;
        td_filter__op op;
    } words[] = {{"LIKE", TD_FILTER_LIKE}, {"ILIKE", TD_FILTER_ILIKE}, {"IN", TD_FILTER_IN}};
    for (size_t i = 0; i < TD_COUNT_OF(words); i++) {
        if (td_filter__word(r, words[i].word)) {
            *out = words[i].op;
            return TD_OK;
        }
    }
    return td_filter__wrong(r, r->at, "a comparison: = != < <= > >= LIKE ILIKE IN IS");
}

static bool may_be_null(const td_filter__left *left)
{
    return left->field == NULL || left->field->nullable || left->field->rows != NULL || left->family != NULL;
}

/* Whether the left side's type knows the operator. */
static td_code check_op(const td_filter__reader *r, const char *at, const td_filter__left *left, td_filter__op op)
{
    bool orders = op == TD_FILTER_LT || op == TD_FILTER_LE || op == TD_FILTER_GT || op == TD_FILTER_GE;
    bool likes = op == TD_FILTER_LIKE || op == TD_FILTER_ILIKE;
    if (op == TD_FILTER_IS_NULL || op == TD_FILTER_NOT_NULL) {
        return may_be_null(left) ? TD_OK : td_filter__wrong(r, at, "a comparison (this is never NULL)");
    }
    if (left->type == TD_FILTER_TEXT) {
        return orders ? td_filter__wrong(r, at, "= != LIKE ILIKE or IN (this is text)") : TD_OK;
    }
    if (left->type == TD_FILTER_BOOLEAN) {
        return op == TD_FILTER_EQ || op == TD_FILTER_NE ? TD_OK
                                                        : td_filter__wrong(r, at, "= or != (this is true or false)");
    }
    return likes ? td_filter__wrong(r, at, "= != < <= > >= or IN (this is a number)") : TD_OK;
}

/* ---- values ---- */

static td_code add_value(td_filter__reader *r, td_filter *filter, td_filter__comparison *c, size_t *room)
{
    td_filter__literal literal;
    td_filter__left left = c->left;
    if (c->op == TD_FILTER_LIKE || c->op == TD_FILTER_ILIKE) {
        left.field = NULL; /* a pattern need not be one of the choices */
    }
    if (filter->items == TD_FILTER_ITEMS_MAX) {
        return td_fail(r->err, TD_LIMIT, "%s: more than %d values", r->what, TD_FILTER_ITEMS_MAX);
    }
    if (c->count == *room) {
        td_filter__value *more = td_arena_alloc(r->arena, 2 * (*room + 1) * sizeof *more);
        if (more == NULL) {
            return td_fail(r->err, TD_NOMEM, "no memory for the %s", r->what);
        }
        if (c->count > 0) {
            memcpy(more, c->values, c->count * sizeof *more);
        }
        c->values = more;
        *room = 2 * (*room + 1);
    }
    TD_TRY(td_filter__literal_read(r, &literal));
    TD_TRY(td_filter__value_read(r, &left, &literal, &c->values[c->count]));
    c->count++;
    filter->items++;
    return TD_OK;
}

static td_code read_list(td_filter__reader *r, td_filter *filter, td_filter__comparison *c)
{
    size_t room = 0;
    if (!td_filter__symbol(r, "(")) {
        return td_filter__wrong(r, r->at, "( after IN");
    }
    do {
        TD_TRY(add_value(r, filter, c, &room));
        td_filter__skip(r);
    } while (td_filter__symbol(r, ",") && !(td_filter__skip(r), *r->at == ')'));
    return td_filter__symbol(r, ")") ? TD_OK : td_filter__wrong(r, r->at, ", or )");
}

static td_code read_values(td_filter__reader *r, td_filter *filter, td_filter__comparison *c)
{
    size_t room = 0;
    if (c->op == TD_FILTER_IS_NULL || c->op == TD_FILTER_NOT_NULL) {
        return TD_OK;
    }
    if (c->op == TD_FILTER_IN || c->op == TD_FILTER_NOT_IN) {
        return read_list(r, filter, c);
    }
    return add_value(r, filter, c, &room);
}

/* ---- comparisons ---- */

static td_code read_comparison(td_filter__reader *r, td_filter *filter)
{
    if (filter->count == TD_FILTER_COMPARISONS_MAX) {
        return td_fail(r->err, TD_LIMIT, "%s: more than %d comparisons", r->what, TD_FILTER_COMPARISONS_MAX);
    }
    td_filter__comparison c = {.found = INT64_MAX};
    TD_TRY(td_filter__left_read(r, filter->table, &c.left));
    td_filter__skip(r);
    const char *at = r->at;
    TD_TRY(read_op(r, &c.op));
    TD_TRY(check_op(r, at, &c.left, c.op));
    TD_TRY(read_values(r, filter, &c));
    filter->comparisons[filter->count++] = c;
    return TD_OK;
}

static td_code read_all(td_filter__reader *r, td_filter *filter)
{
    td_filter__skip(r);
    if (*r->at == '\0') {
        return TD_OK;
    }
    do {
        TD_TRY(read_comparison(r, filter));
    } while (td_filter__word(r, "AND"));
    td_filter__skip(r);
    return *r->at == '\0' ? TD_OK : td_filter__wrong(r, r->at, "AND or the end");
}

td_code td_filter_parse(const char *text, const td_filter_table *table, td_filter **out, td_err *err)
{
    TD_CLEANUP(td_filter_free) td_filter *filter = calloc(1, sizeof *filter);
    if (filter == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a filter");
    }
    if (text == NULL) {
        text = "";
    }
    if (strlen(text) > TD_FILTER_LENGTH_MAX) {
        return td_fail(err, TD_LIMIT, "filter: %zu bytes, at most %zu", strlen(text), TD_FILTER_LENGTH_MAX);
    }
    filter->table = table;
    td_filter__reader reader = {.what = "filter", .text = text, .at = text, .arena = &filter->arena, .err = err};
    TD_TRY(read_all(&reader, filter));
    *out = filter;
    filter = NULL;
    return TD_OK;
}

void td_filter_free(td_filter **filter)
{
    if (*filter != NULL) {
        td_arena_done(&(*filter)->arena);
        free(*filter);
        *filter = NULL;
    }
}

size_t td_filter_count(const td_filter *filter)
{
    return filter->count;
}
