/*
 * db.h: the only place that knows SQLite.
 *
 * A td_db is one connection: one writing connection a workspace (owned by the writer thread, see writer.h), any number
 * of reading ones. Statements are string literals with named parameters, prepared once and cached a connection by the
 * literal's address. Settings: WAL, synchronous=FULL, foreign keys, trusted_schema off, defensive, cell_size_check, no
 * mmap. A statement is used like this:
 *
 *     td_stmt *stmt;
 *     TD_TRY(td_db_prepare(db, "SELECT name FROM model WHERE model_id = :id", &stmt, err));
 *     td_bind_int(stmt, ":id", id);
 *     bool row;
 *     TD_TRY(td_step(stmt, &row, err));       // resets by itself on error and when done
 *     if (row) { name = td_column_text(stmt, "name"); … }
 *     td_reset(stmt);                          // when leaving rows unread
 *
 * Binds are sticky: a failing bind (unknown name is our bug: assert) surfaces at the next td_step.
 * Threads: a td_db and its statements belong to one thread at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_DB_DB_H
#define TD_CORE_DB_DB_H

#include "core/base/clock.h"
#include "core/base/err.h"

typedef struct td_db td_db;
typedef struct td_stmt td_stmt;

#define TD_DB_APPLICATION_ID 0x54444D4B /* "TDMK" */

typedef enum td_db_mode { TD_DB_READ, TD_DB_WRITE } td_db_mode;

/* TD_DB_WRITE creates the file (0600) if need be and takes an exclusive lock file `<path>.lock`; BUSY when another
 * server has it. `clock` must outlive the connection. CORRUPT: not a Tidemark database. */
TD_MUST_USE td_code td_db_open(const char *path, td_db_mode mode, const td_clock *clock, td_db **out, td_err *err);
void td_db_close(td_db *db); /* NULL is fine */
/* "3.40.1". Static storage. */
const char *td_db_library_version(void);
/* The connection's clock, so that stores stamp rows by the time they were given. */
int64_t td_db_now_ms(const td_db *db);

TD_MUST_USE td_code td_db_prepare(td_db *db, const char *sql_literal, td_stmt **out, td_err *err);
/* A statement whose text is built at run time (filter grammar): not cached; finish with td_stmt_free. */
TD_MUST_USE td_code td_db_prepare_text(td_db *db, const char *sql, td_stmt **out, td_err *err);
void td_stmt_free(td_stmt **stmt); /* TD_CLEANUP, only for td_db_prepare_text */

void td_bind_int(td_stmt *stmt, const char *name, int64_t value);
void td_bind_real(td_stmt *stmt, const char *name, double value);
void td_bind_text(td_stmt *stmt, const char *name, const char *text);              /* copied; NULL binds NULL */
void td_bind_blob(td_stmt *stmt, const char *name, const void *data, size_t size); /* copied; NULL data binds NULL */
void td_bind_null(td_stmt *stmt, const char *name);
void td_bind_bool(td_stmt *stmt, const char *name, bool value);

/* One step. *row_out: a row is there. A constraint that the caller's input broke comes back as CONFLICT (unique,
 * primary key) or INVALID (check, not null, foreign key); SQLITE_FULL as LIMIT "disk is full", BUSY as BUSY, the rest
 * as IO or CORRUPT. */
TD_MUST_USE td_code td_step(td_stmt *stmt, bool *row_out, td_err *err);
/* Runs a statement that returns no row (or whose rows do not matter), then resets. */
TD_MUST_USE td_code td_run(td_stmt *stmt, td_err *err);
/* As td_step, but NOT_FOUND with the given message when there is no row. */
TD_MUST_USE td_code td_step_one(td_stmt *stmt, td_err *err, const char *format, ...) TD_PRINTF(3, 4);
void td_reset(td_stmt *stmt); /* also clears bindings; NULL is fine */

/* Columns by name; asking for one that the statement lacks is our bug (assert). Text and blobs are borrowed until the
 * next step or reset; NULL text comes back as NULL, NULL numbers as 0. */
int64_t td_column_int(td_stmt *stmt, const char *name);
double td_column_real(td_stmt *stmt, const char *name);
const char *td_column_text(td_stmt *stmt, const char *name);
const void *td_column_blob(td_stmt *stmt, const char *name, size_t *size_out);
bool td_column_null(td_stmt *stmt, const char *name);

int64_t td_db_last_id(const td_db *db);
int64_t td_db_changes(const td_db *db);

/* BEGIN IMMEDIATE … COMMIT on a writing connection, outside the server's writer thread (init, offline tools, tests). A
 * transaction that is not committed rolls back in td_txn_done (TD_CLEANUP). */
typedef struct td_txn {
    td_db *db;
    bool open;
} td_txn;
TD_MUST_USE td_code td_txn_begin(td_db *db, td_txn *txn, td_err *err);
TD_MUST_USE td_code td_txn_commit(td_txn *txn, td_err *err);
void td_txn_done(td_txn *txn);

/* Savepoints for one closure inside a group commit (used by writer.c and migrate.c). */
TD_MUST_USE td_code td_db_savepoint(td_db *db, td_err *err);
TD_MUST_USE td_code td_db_release(td_db *db, td_err *err);
void td_db_rollback_to(td_db *db);

/* A read transaction: everything until td_db_read_end sees one state. One inside another sees the outer one's state. */
TD_MUST_USE td_code td_db_read_begin(td_db *db, td_err *err);
void td_db_read_end(td_db *db);

/* Multi-statement SQL text without parameters (schema steps, pragmas). */
TD_MUST_USE td_code td_db_exec(td_db *db, const char *sql, td_err *err);
/* WAL checkpoint; only the writing connection. truncate: also shrink the file. */
TD_MUST_USE td_code td_db_checkpoint(td_db *db, bool truncate, td_err *err);
/* How far a long piece of work is. */
typedef struct td_db_progress {
    void *context;
    void (*tell)(void *context, uint64_t done, uint64_t total); /* pages */
} td_db_progress;
/* Copies one state of a database that others may be writing to (any connection, without an open read transaction) into
 * the new file `path` (0600), durably and without a log beside it. The writer is never held up. `progress` may be NULL.
 * On failure nothing is left. */
TD_MUST_USE td_code td_db_copy(td_db *from, const char *path, const td_db_progress *progress, td_err *err);
/* Reads everything: pages, indexes against tables, foreign keys. CORRUPT names the first damage. */
TD_MUST_USE td_code td_db_check(td_db *db, td_err *err);
/* Gives back the memory of cached pages, and of statements that were not asked for since the call before, for a
 * connection that rests: between two uses, on its own thread. What is asked next is read and prepared again. */
void td_db_shrink(td_db *db);
/* Hook of tests that check statements: called with each literal that is prepared. */
void td_db_on_prepare(td_db *db, void (*hook)(void *context, const char *sql), void *context);

#endif
