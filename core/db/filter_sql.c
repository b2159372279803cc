/*
 * filter_sql.c: parsed comparisons as SQL. Names come from the caller's table, everything of the text is bound.
 *
 * Comparison i binds its key as :kI and its values as :fI_J. Equalities that an index by value answers become one
 * sub-query that intersects them, rarest first, so that the listed rows are found through it; all else is a test of the
 * listed row. SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/filter_internal.h"

#include <stdio.h>
#include <string.h>

#define PLANNED_MAX 5000 /* equalities that find more rows are common: rows are tested one by one */

/* ---- one test of an expression ---- */

static const char *op_sql(td_filter__op op)
{
    static const char *const sql[] = {
        [TD_FILTER_EQ] = " = ",      [TD_FILTER_NE] = " <> ",      [TD_FILTER_LT] = " < ", [TD_FILTER_LE] = " <= ",
        [TD_FILTER_GT] = " > ",      [TD_FILTER_GE] = " >= ",      [TD_FILTER_LIKE] = " GLOB ",
        [TD_FILTER_ILIKE] = " LIKE ", [TD_FILTER_IN] = " IN (",     [TD_FILTER_NOT_IN] = " NOT IN (",
        [TD_FILTER_IS_NULL] = " IS NULL", [TD_FILTER_NOT_NULL] = " IS NOT NULL",
    };
    return sql[op];
}

/* "= :f2_0", "IN (:f2_0, :f2_1)", "IS NULL", to stand behind an expression. */
static void add_test(td_str *sql, td_filter__op op, size_t index, size_t count)
{
    td_str_add(sql, op_sql(op));
    for (size_t i = 0; i < count; i++) {
        td_str_addf(sql, "%s:f%zu_%zu", i > 0 ? ", " : "", index, i);
    }
    td_str_add(sql, op == TD_FILTER_IN || op == TD_FILTER_NOT_IN ? ")" : "");
}

static bool is_negative(td_filter__op op)
{
    return op == TD_FILTER_NE || op == TD_FILTER_NOT_IN || op == TD_FILTER_IS_NULL;
}

/* The positive test whose failure is the negative one; IS NULL becomes "has any" (no test). */
static td_filter__op positive(td_filter__op op)
{
    return op == TD_FILTER_NE ? TD_FILTER_EQ : op == TD_FILTER_NOT_IN ? TD_FILTER_IN : op;
}

/* ---- tests of rows that belong to the listed row ---- */

/* EXISTS (SELECT 1 FROM table tI WHERE tI.owner = row [AND tI.key = :kI] [AND tI.column TEST]) */
static void add_exists(td_str *sql, const td_filter_rows *rows, const char *key_column, const char *column,
                       const td_filter__comparison *c, size_t index, bool negated)
{
    td_filter__op op = negated ? positive(c->op) : c->op;
    bool any = c->op == TD_FILTER_IS_NULL || c->op == TD_FILTER_NOT_NULL;
    td_str_addf(sql, "%sEXISTS (SELECT 1 FROM %s t%zu WHERE t%zu.%s = %s", negated ? "NOT " : "", rows->table, index,
                index, rows->owner, rows->row);
    if (key_column != NULL) {
        td_str_addf(sql, " AND t%zu.%s = :k%zu", index, key_column, index);
    }
    if (!any) {
        td_str_addf(sql, " AND t%zu.%s", index, column);
        add_test(sql, op, index, c->count);
    }
    td_str_add_char(sql, ')');
}

/* Whether a value passes; only of =, !=, IN and NOT IN. */
static bool passes(const td_filter__comparison *c, const char *text)
{
    bool among = false;
    for (size_t i = 0; i < c->count; i++) {
        among = among || strcmp(c->values[i].text, text) == 0;
    }
    return is_negative(c->op) ? !among : among;
}

static bool is_set_op(td_filter__op op)
{
    return op == TD_FILTER_EQ || op == TD_FILTER_NE || op == TD_FILTER_IN || op == TD_FILTER_NOT_IN;
}

/* A key that a flag mirrors: the test is settled for both of its values, and the flag's index does the rest. */
static void add_flag(td_str *sql, const td_filter__comparison *c, const char *flag)
{
    bool yes = passes(c, "true"), no = passes(c, "false");
    if (yes && no) {
        td_str_add_char(sql, '1');
    } else if (!yes && !no) {
        td_str_add_char(sql, '0');
    } else {
        td_str_addf(sql, "%s = %d", flag, yes ? 1 : 0);
    }
}

/* coalesce((SELECT value …), :mI) TEST */
static void add_missing(td_str *sql, const td_filter__comparison *c, size_t index)
{
    const td_filter_family *f = c->left.family;
    td_str_addf(sql, "coalesce((SELECT t%zu.%s FROM %s t%zu WHERE t%zu.%s = %s AND t%zu.%s = :k%zu), :m%zu)", index,
                f->value, f->rows.table, index, index, f->rows.owner, f->rows.row, index, f->key, index, index);
    add_test(sql, c->op, index, c->count);
}

static bool tests_null(const td_filter__comparison *c)
{
    return c->op == TD_FILTER_IS_NULL || c->op == TD_FILTER_NOT_NULL;
}

static bool uses_flag(const td_filter__comparison *c)
{
    const td_filter_key *special = c->left.special;
    return special != NULL && special->flag != NULL && is_set_op(c->op);
}

static bool uses_missing(const td_filter__comparison *c)
{
    return c->left.special != NULL && !uses_flag(c) && !tests_null(c);
}

static void add_family(td_str *sql, const td_filter__comparison *c, size_t index)
{
    const td_filter_family *f = c->left.family;
    if (uses_flag(c)) {
        add_flag(sql, c, c->left.special->flag);
    } else if (uses_missing(c)) {
        add_missing(sql, c, index);
    } else if (f->fields != NULL) {
        bool negated = c->op == TD_FILTER_IS_NULL || (f->missing_matches && is_negative(c->op));
        add_exists(sql, &f->rows, NULL, c->left.field->sql, c, index, negated);
    } else {
        bool negated = c->op == TD_FILTER_IS_NULL || (f->missing_matches && is_negative(c->op));
        add_exists(sql, &f->rows, f->key, f->value, c, index, negated);
    }
}

static void add_comparison(td_str *sql, const td_filter__comparison *c, size_t index)
{
    const td_filter_field *field = c->left.field;
    if (c->left.family != NULL) {
        add_family(sql, c, index);
    } else if (field->rows != NULL) {
        add_exists(sql, field->rows, NULL, field->sql, c, index, is_negative(c->op));
    } else {
        td_str_add(sql, field->sql);
        add_test(sql, c->op, index, c->count);
    }
}

/* ---- intersecting what an index by value finds ---- */

bool td_filter__by_value(const td_filter__comparison *c)
{
    return c->left.family != NULL && c->left.family->by_value && c->left.special == NULL && c->op == TD_FILTER_EQ;
}

static bool same_rows(const td_filter__comparison *a, const td_filter__comparison *b)
{
    return strcmp(a->left.family->rows.row, b->left.family->rows.row) == 0;
}

/* The equality that finds the fewest rows, or -1: nothing to intersect. */
static int rarest(const td_filter *filter)
{
    int best = -1;
    for (size_t i = 0; i < filter->count && !filter->by_row; i++) {
        const td_filter__comparison *c = &filter->comparisons[i];
        if (td_filter__by_value(c) && (best < 0 || c->found < filter->comparisons[best].found)) {
            best = (int)i;
        }
    }
    return best;
}

static bool is_intersected(const td_filter *filter, int driver, size_t index)
{
    return driver >= 0 && td_filter__by_value(&filter->comparisons[index]) &&
           same_rows(&filter->comparisons[driver], &filter->comparisons[index]);
}

static void add_by_value(td_str *sql, const td_filter_family *f, size_t index)
{
    td_str_addf(sql, "t%zu.%s = :k%zu AND t%zu.%s = :f%zu_0", index, f->key, index, index, f->value, index);
}

static void add_intersection(td_str *sql, const td_filter *filter, int driver)
{
    const td_filter_family *f = filter->comparisons[driver].left.family;
    td_str_addf(sql, "%s IN (SELECT t%d.%s FROM %s t%d WHERE ", f->rows.row, driver, f->rows.owner, f->rows.table,
                driver);
    add_by_value(sql, f, (size_t)driver);
    for (size_t i = 0; i < filter->count; i++) {
        if ((int)i != driver && is_intersected(filter, driver, i)) {
            const td_filter_family *other = filter->comparisons[i].left.family;
            td_str_addf(sql, " AND EXISTS (SELECT 1 FROM %s t%zu WHERE ", other->rows.table, i);
            add_by_value(sql, other, i);
            td_str_addf(sql, " AND t%zu.%s = t%d.%s)", i, other->rows.owner, driver, f->rows.owner);
        }
    }
    td_str_add_char(sql, ')');
}

void td_filter_sql(const td_filter *filter, td_str *sql)
{
    int driver = rarest(filter);
    bool first = true;
    if (driver >= 0) {
        add_intersection(sql, filter, driver);
        first = false;
    }
    for (size_t i = 0; i < filter->count; i++) {
        if (!is_intersected(filter, driver, i)) {
            td_str_add(sql, first ? "" : " AND ");
            add_comparison(sql, &filter->comparisons[i], i);
            first = false;
        }
    }
    td_str_add(sql, first ? "1" : "");
}

/* ---- binding ---- */

void td_filter__bind_value(td_stmt *stmt, const char *name, const td_filter__value *value)
{
    switch (value->type) {
    case TD_VALUE_INTEGER:
        td_bind_int(stmt, name, value->integer);
        break;
    case TD_VALUE_REAL:
        td_bind_real(stmt, name, value->real);
        break;
    case TD_VALUE_TEXT:
        td_bind_text(stmt, name, value->text);
        break;
    default:
        td_bind_null(stmt, name);
    }
}

/* LIKE tells case apart, which in SQLite is GLOB: % and _ become * and ?, and GLOB's own characters are set in []. */
static void bind_like(td_stmt *stmt, const char *name, const char *pattern)
{
    TD_CLEANUP(td_str_done) td_str glob = {0};
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '%' || *pattern == '_') {
            td_str_add_char(&glob, *pattern == '%' ? '*' : '?');
        } else if (strchr("*?[", *pattern) != NULL) {
            td_str_addf(&glob, "[%c]", *pattern);
        } else {
            td_str_add_char(&glob, *pattern);
        }
    }
    td_bind_text(stmt, name, glob.failed != TD_OK ? NULL : td_str_text(&glob));
}

static void bind_comparison(const td_filter__comparison *c, size_t index, td_stmt *stmt)
{
    char name[TD_FILTER_PARAMETER_SIZE];
    if (uses_flag(c)) {
        return;
    }
    if (c->left.key != NULL) {
        snprintf(name, sizeof name, ":k%zu", index);
        td_bind_text(stmt, name, c->left.key);
    }
    if (uses_missing(c)) {
        snprintf(name, sizeof name, ":m%zu", index);
        td_bind_text(stmt, name, c->left.special->missing);
    }
    for (size_t i = 0; i < c->count; i++) {
        snprintf(name, sizeof name, ":f%zu_%zu", index, i);
        if (c->op == TD_FILTER_LIKE) {
            bind_like(stmt, name, c->values[i].text);
        } else {
            td_filter__bind_value(stmt, name, &c->values[i]);
        }
    }
}

void td_filter_bind(const td_filter *filter, td_stmt *stmt)
{
    for (size_t i = 0; i < filter->count; i++) {
        bind_comparison(&filter->comparisons[i], i, stmt);
    }
}

/* ---- planning ---- */

static td_code count_found(const td_filter__comparison *c, td_db *db, int64_t *out, td_err *err)
{
    const td_filter_family *f = c->left.family;
    TD_CLEANUP(td_str_done) td_str sql = {0};
    TD_CLEANUP(td_stmt_free) td_stmt *stmt = NULL;
    td_str_addf(&sql, "SELECT count(*) AS n FROM (SELECT 1 FROM %s WHERE %s = :k AND %s = :f LIMIT %d)",
                f->rows.table, f->key, f->value, PLANNED_MAX + 1);
    TD_TRY(td_str_check(&sql, err));
    TD_TRY(td_db_prepare_text(db, td_str_text(&sql), &stmt, err));
    td_bind_text(stmt, ":k", c->left.key);
    td_filter__bind_value(stmt, ":f", &c->values[0]);
    TD_TRY(td_step_one(stmt, err, "a count without a row"));
    *out = td_column_int(stmt, "n");
    return TD_OK;
}

static bool is_narrow(const td_filter__comparison *c)
{
    return c->left.family == NULL && c->left.field->narrows && (c->op == TD_FILTER_EQ || c->op == TD_FILTER_IN);
}

td_code td_filter_plan(td_filter *filter, td_db *db, td_err *err)
{
    int64_t fewest = INT64_MAX;
    bool narrow = false;
    for (size_t i = 0; i < filter->count; i++) {
        td_filter__comparison *c = &filter->comparisons[i];
        narrow = narrow || is_narrow(c);
        if (td_filter__by_value(c)) {
            TD_TRY(count_found(c, db, &c->found, err));
            fewest = c->found < fewest ? c->found : fewest;
        }
    }
    filter->narrow = narrow;
    filter->by_row = narrow || (fewest != INT64_MAX && fewest > PLANNED_MAX);
    return TD_OK;
}
