/*
 * list.h: one mechanism for every list: filter, order, limit, and a cursor to go on from.
 *
 *     order = term { "," term }      term = left [ ASC | DESC ]      left as in filter.h ("created_at DESC, name",
 *                                                                    "metrics.auc DESC", "tags.`my key`")
 *
 * Pages follow each other by key, not by offset: each goes on behind the last row of the one before, so it costs the
 * same anywhere in the list, and rows that come or go meanwhile make no others appear twice or be left out. Rows
 * without a value (no such metric) come last in either direction. The caller's `tie` makes the order total.
 *
 * A cursor is opaque text (base64url): the last row's order values and a digest of them with the list's scope, filter
 * and order. One that was cut, changed, made up, or belongs to another query is INVALID. It is not a secret and no
 * permission: it says where to go on in rows that the caller's `from` and `where` admit anyway.
 *
 *     static const td_list_query query = {.name = "versions", .table = &table, .columns = "v.version_id AS version_id",
 *                                         .from = "version v", .where = "v.model_id = :model"};
 *     TD_CLEANUP(td_list_close) td_list *list = NULL;
 *     TD_TRY(td_list_open(db, &query, "pump", &page, &list, err));
 *     td_bind_int(td_list_stmt(list), ":model", model_id);
 *     for (bool row = true;;) {
 *         TD_TRY(td_list_step(list, &row, err));
 *         if (!row) { break; }
 *         … td_column_int(td_list_stmt(list), "version_id") …
 *     }
 *     const char *next = td_list_next(list); // NULL: that was all
 *
 * Threads: a td_list belongs to the thread of its td_db. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_DB_LIST_H
#define TD_CORE_DB_LIST_H

#include "core/db/filter.h"

#define TD_LIST_LIMIT_DEFAULT 50
#define TD_LIST_LIMIT_MAX 500                /* rows of a page, where the query sets no other */
#define TD_ORDER_TERMS_MAX 4                 /* that may be asked for */
#define TD_ORDER_LENGTH_MAX ((size_t)1024)   /* bytes of an order's text */
#define TD_ORDER_TEXT_MAX 64                 /* characters of a tag's or parameter's value that count in an order */
#define TD_CURSOR_LENGTH_MAX ((size_t)4096)  /* of a cursor's text */

/* What somebody asks of a list. All may be NULL or 0. */
typedef struct td_page {
    int64_t limit;      /* 0: TD_LIST_LIMIT_DEFAULT */
    const char *cursor; /* td_list_next of the page before */
    const char *filter;
    const char *order;
} td_page;

typedef struct td_list_query {
    const char *name; /* "versions": what the rows are called; tells cursors of one list from another's */
    const td_filter_table *table;
    const char *columns; /* what is read: "v.version_id AS version_id" */
    const char *from;    /* "version v JOIN model m ON …" */
    const char *where;   /* "m.project_id = :project", or NULL; its parameters are the caller's to bind */
    const char *narrowed; /* instead of `where` when the filter has an equality that narrows (filter.h); or NULL */
    int64_t limit_max;    /* 0: TD_LIST_LIMIT_MAX */
} td_list_query;

typedef struct td_list td_list;

/* `scope`: what else tells this list from others of its name (project, model), for the cursor; copied. INVALID: limit,
 * filter, order or cursor, with the place; LIMIT. */
TD_MUST_USE td_code td_list_open(td_db *db, const td_list_query *query, const char *scope, const td_page *page,
                                 td_list **out, td_err *err);
void td_list_close(td_list **list); /* NULL is fine */
/* For binding before the first step, and for reading columns. Borrowed. */
td_stmt *td_list_stmt(td_list *list);
/* The next row; *row_out false at the page's end. */
TD_MUST_USE td_code td_list_step(td_list *list, bool *row_out, td_err *err);
/* After the last step: the cursor of the next page, borrowed, or NULL when there is none. */
const char *td_list_next(const td_list *list);
const char *td_list_name(const td_list *list); /* the query's; borrowed */
bool td_list_asks(const td_list *list, const char *field); /* does the filter speak of that attribute? */
/* The statement as it was built, for tests of plans. Borrowed. */
const char *td_list_sql(const td_list *list);

#endif
