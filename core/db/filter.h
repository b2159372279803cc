/*
 * filter.h: one filter grammar for every list, from hostile text to SQL with bound parameters only.
 *
 *     filter     = [ comparison { AND comparison } ]
 *     comparison = left ( "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" | LIKE | ILIKE ) value
 *                | left [ NOT ] IN "(" value { "," value } ")"  |  left IS [ NOT ] NULL
 *     left       = name  |  ("attribute" | "attributes" | "attr") "." key  |  family "." key
 *     key        = bare ([A-Za-z0-9_.:/@-] and any non-ASCII)  |  `…`  |  "…"
 *     value      = '…' | "…" (the quote doubled stands for itself)  |  number  |  true  |  false
 *
 * Words of the grammar in either case; names and values as they are written. It is MLflow's grammar (what its clients
 * send is understood as they mean it) with times, IN and IS NULL everywhere. LIKE tells case apart, ILIKE does not (of
 * ASCII letters); in both % is any text, _ any one character, and nothing escapes them.
 *
 * The caller gives a table of what may be asked: attributes with the SQL expression that each stands for, and families
 * of keyed rows (tags, metrics, parameters). Nothing of the text ever becomes SQL: names are looked up, keys and values
 * are bound. A statement is put together like this (list.h does it, with order and cursors):
 *
 *     TD_CLEANUP(td_filter_free) td_filter *filter = NULL;
 *     TD_TRY(td_filter_parse(text, &table, &filter, err));      // INVALID: "filter, column 9: expected …, found …"
 *     TD_TRY(td_filter_plan(filter, db, err));                   // optional: chooses between two shapes of SQL
 *     td_str_add(&sql, "SELECT … FROM version v WHERE v.model_id = :model AND ");
 *     td_filter_sql(filter, &sql);                               // "1" for an empty filter
 *     TD_TRY(td_db_prepare_text(db, td_str_text(&sql), &stmt, err));
 *     td_filter_bind(filter, stmt);
 *
 * Threads: a td_filter belongs to one thread; tables are constant. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_DB_FILTER_H
#define TD_CORE_DB_FILTER_H

#include "core/base/str.h"
#include "core/db/db.h"

#define TD_FILTER_LENGTH_MAX ((size_t)16384) /* bytes of a filter's text */
#define TD_FILTER_COMPARISONS_MAX 32         /* of one filter */
#define TD_FILTER_ITEMS_MAX 512              /* values of one filter, those of IN included */
#define TD_FILTER_KEY_MAX ((size_t)250)      /* bytes of a key */

typedef enum td_filter_type {
    TD_FILTER_TEXT,    /* = != LIKE ILIKE IN; values in quotes */
    TD_FILTER_INTEGER, /* = != < <= > >= IN; numbers, in quotes or not */
    TD_FILTER_REAL,    /* likewise */
    TD_FILTER_TIME,    /* likewise; stored as milliseconds; a number is that, text is a date or an RFC 3339 time */
    TD_FILTER_BOOLEAN  /* = !=; true or false, in quotes or not; stored as 1 or 0 */
} td_filter_type;

/* Rows that belong to a listed row: `table` t WHERE t.`owner` = `row`. `table` may be "(SELECT …)". */
typedef struct td_filter_rows {
    const char *table; /* "version_tag" */
    const char *owner; /* "version_id", a column of it */
    const char *row;   /* "v.version_id", of the listed row */
} td_filter_rows;

/* An attribute. A table of them ends with name NULL. */
typedef struct td_filter_field {
    const char *name;
    td_filter_type type;
    const char *sql;            /* expression over the listed row; with `rows`: a column of those */
    const char *const *choices; /* of TEXT: what it may be (any case is understood), NULL-terminated; or NULL: any */
    const td_filter_rows *rows; /* it has many values (aliases): = is "one of them is", != "none is"; or NULL */
    bool nullable;              /* IS NULL may be asked; NULLs are ordered last */
    bool no_order;              /* may not be ordered by (implied by rows) */
    bool narrows;               /* "= value" leaves few rows, by an index */
} td_filter_field;

/* A key of a family that is more than a row. */
typedef struct td_filter_key {
    const char *key;     /* "mlflow.prompt.is_prompt"; NULL ends a list */
    const char *missing; /* a row without it counts as having this value: so != 'true' matches it */
    const char *flag;    /* indexed 0/1 column that is kept equal to (value = 'true'), missing being 'false'; or NULL */
} td_filter_key;

/* Keyed rows. A table of them ends with names NULL. */
typedef struct td_filter_family {
    const char *const *names;      /* "tags", "tag", NULL: the first one is used in messages */
    td_filter_type type;           /* of the values */
    td_filter_rows rows;           /* where they are */
    const char *key, *value;       /* its columns */
    const td_filter_key *keys;     /* special ones, or NULL */
    const td_filter_field *fields; /* instead of key and value: the columns that may be asked (dataset.name); or NULL */
    bool missing_matches;          /* a row without the key matches != and NOT IN */
    bool by_value;                 /* there is an index on (key, value, owner) */
    bool no_order;                 /* may not be ordered by */
} td_filter_family;

typedef struct td_filter_table {
    const td_filter_field *fields;
    const td_filter_family *families; /* or NULL */
    const char *prefix;               /* one more word for "attribute" ("run"), or NULL */
    const char *order;                /* when none is asked: "created_at DESC" */
    const char *tie;                  /* then always: "name, version DESC"; together unique, none of them nullable */
} td_filter_table;

extern const char *const td_filter_tags[];    /* "tags", "tag" */
extern const char *const td_filter_metrics[]; /* "metrics", "metric" */
extern const char *const td_filter_params[];  /* "params", "param", "parameters", "parameter" */

typedef struct td_filter td_filter;

/* NULL and blank text are the filter that admits all. `table` must outlive the filter. INVALID names the column and
 * what was expected; LIMIT names the limit. */
TD_MUST_USE td_code td_filter_parse(const char *text, const td_filter_table *table, td_filter **out, td_err *err);
void td_filter_free(td_filter **filter); /* NULL is fine */
/* Looks at how many rows the equalities by value would find, so that td_filter_sql intersects them where they are rare
 * and tests row by row where they are not. Without it they are intersected. A few index reads, bounded. */
TD_MUST_USE td_code td_filter_plan(td_filter *filter, td_db *db, td_err *err);
/* Appends one condition, safe after AND. Its parameters are :f… and :k…, so the statement's others are named
 * differently. */
void td_filter_sql(const td_filter *filter, td_str *sql);
void td_filter_bind(const td_filter *filter, td_stmt *stmt);
/* How many comparisons; 0: it admits all. */
size_t td_filter_count(const td_filter *filter);

#endif
