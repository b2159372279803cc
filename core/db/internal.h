/*
 * internal.h: what the files of core/db share: the connection with its cache of prepared statements.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_DB_INTERNAL_H
#define TD_CORE_DB_INTERNAL_H

#include "core/db/db.h"

#include <sqlite3.h>

#define TD_DB_CACHE_BUCKETS 256

struct td_stmt {
    td_db *db;
    sqlite3_stmt *handle;
    const char *literal;  /* the key of the cache; NULL for statements of td_db_prepare_text */
    struct td_stmt *next; /* in its bucket */
    int last_column;      /* that was read: the next one is near */
    int bind_failed;      /* sticky SQLite code of a bind */
    bool used;            /* since td_db_shrink last looked */
};

struct td_db {
    sqlite3 *handle;
    const td_clock *clock;
    td_db_mode mode;
    int lock_fd; /* the lock file of a writing connection, or -1 */
    int depth;   /* open savepoints of closures */
    int reads;   /* read transactions inside each other */
    bool in_txn;
    sqlite3_stmt *begin, *end; /* of read transactions */
    void (*on_prepare)(void *context, const char *sql);
    void *on_prepare_context;
    td_stmt *cache[TD_DB_CACHE_BUCKETS];
};

/* Turns SQLite's result code into ours, with SQLite's message. */
td_code td_db__fail(td_db *db, int result, const char *what, td_err *err);

#endif
