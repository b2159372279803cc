/*
 * stmt.c: statements: prepared once a literal and connection, bound by name, read by name.
 *
 * The cache is keyed by the literal's address: the same source line gives the same statement. A statement that is still
 * in the middle of its rows when it is asked for again is reset (one user at a time; nested use of one literal is a
 * bug). SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static td_code new_stmt(td_db *db, const char *sql, unsigned flags, td_stmt **out, td_err *err)
{
    if (db->on_prepare != NULL) {
        db->on_prepare(db->on_prepare_context, sql);
    }
    td_stmt *stmt = calloc(1, sizeof *stmt);
    if (stmt == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a statement");
    }
    const char *rest = NULL;
    int result = sqlite3_prepare_v3(db->handle, sql, -1, flags, &stmt->handle, &rest);
    if (result != SQLITE_OK) {
        free(stmt);
        return td_db__fail(db, result, "preparing a statement", err);
    }
    stmt->db = db;
    *out = stmt;
    return TD_OK;
}

td_code td_db_prepare(td_db *db, const char *sql_literal, td_stmt **out, td_err *err)
{
    size_t bucket = ((uintptr_t)sql_literal >> 3) % TD_DB_CACHE_BUCKETS;
    for (td_stmt *stmt = db->cache[bucket]; stmt != NULL; stmt = stmt->next) {
        if (stmt->literal == sql_literal) {
            td_reset(stmt);
            stmt->used = true;
            *out = stmt;
            return TD_OK;
        }
    }
    td_stmt *stmt = NULL;
    TD_TRY(new_stmt(db, sql_literal, SQLITE_PREPARE_PERSISTENT, &stmt, err));
    stmt->literal = sql_literal;
    stmt->used = true;
    stmt->next = db->cache[bucket];
    db->cache[bucket] = stmt;
    *out = stmt;
    return TD_OK;
}

td_code td_db_prepare_text(td_db *db, const char *sql, td_stmt **out, td_err *err)
{
    return new_stmt(db, sql, 0, out, err);
}

void td_stmt_free(td_stmt **stmt)
{
    if (*stmt != NULL) {
        assert((*stmt)->literal == NULL);
        sqlite3_finalize((*stmt)->handle);
        free(*stmt);
        *stmt = NULL;
    }
}

static int parameter(td_stmt *stmt, const char *name)
{
    int index = sqlite3_bind_parameter_index(stmt->handle, name);
    assert(index > 0); /* a name that the statement lacks is our bug */
    return index;
}

static void keep(td_stmt *stmt, int result)
{
    if (result != SQLITE_OK && stmt->bind_failed == SQLITE_OK) {
        stmt->bind_failed = result;
    }
}

void td_bind_int(td_stmt *stmt, const char *name, int64_t value)
{
    keep(stmt, sqlite3_bind_int64(stmt->handle, parameter(stmt, name), value));
}

void td_bind_real(td_stmt *stmt, const char *name, double value)
{
    keep(stmt, sqlite3_bind_double(stmt->handle, parameter(stmt, name), value));
}

void td_bind_text(td_stmt *stmt, const char *name, const char *text)
{
    int index = parameter(stmt, name);
    keep(stmt, text == NULL ? sqlite3_bind_null(stmt->handle, index)
                            : sqlite3_bind_text(stmt->handle, index, text, -1, SQLITE_TRANSIENT));
}

void td_bind_blob(td_stmt *stmt, const char *name, const void *data, size_t size)
{
    int index = parameter(stmt, name);
    if (data == NULL) {
        keep(stmt, sqlite3_bind_null(stmt->handle, index));
    } else if (size == 0) {
        keep(stmt, sqlite3_bind_zeroblob(stmt->handle, index, 0));
    } else {
        keep(stmt, sqlite3_bind_blob64(stmt->handle, index, data, size, SQLITE_TRANSIENT));
    }
}

void td_bind_null(td_stmt *stmt, const char *name)
{
    keep(stmt, sqlite3_bind_null(stmt->handle, parameter(stmt, name)));
}

void td_bind_bool(td_stmt *stmt, const char *name, bool value)
{
    td_bind_int(stmt, name, value ? 1 : 0);
}

td_code td_step(td_stmt *stmt, bool *row_out, td_err *err)
{
    int result = stmt->bind_failed != SQLITE_OK ? stmt->bind_failed : sqlite3_step(stmt->handle);
    if (result == SQLITE_ROW) {
        *row_out = true;
        return TD_OK;
    }
    td_code code = result == SQLITE_DONE ? TD_OK : td_db__fail(stmt->db, result, "database", err);
    td_reset(stmt);
    if (code == TD_OK) {
        *row_out = false;
    }
    return code;
}

td_code td_run(td_stmt *stmt, td_err *err)
{
    bool row = true;
    while (row) {
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

td_code td_step_one(td_stmt *stmt, td_err *err, const char *format, ...)
{
    bool row = false;
    TD_TRY(td_step(stmt, &row, err));
    if (row) {
        return TD_OK;
    }
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return td_fail(err, TD_NOT_FOUND, "%s", text);
}

void td_reset(td_stmt *stmt)
{
    if (stmt != NULL) {
        sqlite3_reset(stmt->handle);
        sqlite3_clear_bindings(stmt->handle);
        stmt->bind_failed = SQLITE_OK;
    }
}

static bool is_column(td_stmt *stmt, int index, int count, const char *name)
{
    return index >= 0 && index < count && strcmp(sqlite3_column_name(stmt->handle, index), name) == 0;
}

/* Columns are mostly read one after the other (or backwards: compilers evaluate arguments that way), so the neighbours
 * of the one before come first. */
static int column(td_stmt *stmt, const char *name)
{
    int count = sqlite3_column_count(stmt->handle), found = stmt->last_column + 1;
    if (!is_column(stmt, found, count, name)) {
        found = stmt->last_column - 1;
    }
    if (!is_column(stmt, found, count, name)) {
        for (found = 0; found < count && !is_column(stmt, found, count, name); found++) {
        }
    }
    assert(found < count && "a column that the statement lacks");
    stmt->last_column = found;
    return found;
}

int64_t td_column_int(td_stmt *stmt, const char *name)
{
    return sqlite3_column_int64(stmt->handle, column(stmt, name));
}

double td_column_real(td_stmt *stmt, const char *name)
{
    return sqlite3_column_double(stmt->handle, column(stmt, name));
}

const char *td_column_text(td_stmt *stmt, const char *name)
{
    return (const char *)sqlite3_column_text(stmt->handle, column(stmt, name));
}

const void *td_column_blob(td_stmt *stmt, const char *name, size_t *size_out)
{
    int index = column(stmt, name);
    const void *data = sqlite3_column_blob(stmt->handle, index);
    *size_out = (size_t)sqlite3_column_bytes(stmt->handle, index);
    return data;
}

bool td_column_null(td_stmt *stmt, const char *name)
{
    return sqlite3_column_type(stmt->handle, column(stmt, name)) == SQLITE_NULL;
}
