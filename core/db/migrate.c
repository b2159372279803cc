/*
 * migrate.c: brings a database up to the steps that this program knows, all or nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/migrate.h"

#include "core/db/internal.h"

#include <stdio.h>

static const char bookkeeping[] =
    "CREATE TABLE IF NOT EXISTS schema_migration ("
    " module TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, applied_ms INTEGER NOT NULL,"
    " PRIMARY KEY (module, number)) STRICT";

static int count_steps(const td_migration *const *lists)
{
    int count = 0;
    for (; *lists != NULL; lists++) {
        for (const td_migration *step = *lists; step->module != NULL; step++) {
            count++;
        }
    }
    return count;
}

static td_code is_applied(td_db *db, const td_migration *step, bool *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT 1 AS one FROM schema_migration WHERE module = :module AND number = :number", &stmt,
                         err));
    td_bind_text(stmt, ":module", step->module);
    td_bind_int(stmt, ":number", step->number);
    TD_TRY(td_step(stmt, out, err));
    td_reset(stmt);
    return TD_OK;
}

static td_code apply(td_db *db, const td_migration *step, td_err *err)
{
    bool done = false;
    TD_TRY(is_applied(db, step, &done, err));
    if (done) {
        return TD_OK;
    }
    if (td_db_exec(db, step->sql, err) != TD_OK) {
        return td_wrap(err, "schema step %s/%s", step->module, step->name);
    }
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO schema_migration (module, number, name, applied_ms)"
                         " VALUES (:module, :number, :name, :now)",
                         &stmt, err));
    td_bind_text(stmt, ":module", step->module);
    td_bind_int(stmt, ":number", step->number);
    td_bind_text(stmt, ":name", step->name);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

/* How many of our steps the database has, and how many that we do not know. */
static td_code count_applied(td_db *db, const td_migration *const *lists, int64_t *known_out, int64_t *unknown_out,
                             td_err *err)
{
    int64_t known = 0;
    for (const td_migration *const *list = lists; *list != NULL; list++) {
        for (const td_migration *step = *list; step->module != NULL; step++) {
            bool done = false;
            TD_TRY(is_applied(db, step, &done, err));
            known += done;
        }
    }
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT count(*) AS n FROM schema_migration", &stmt, err));
    TD_TRY(td_step_one(stmt, err, "no bookkeeping of schema steps"));
    *known_out = known;
    *unknown_out = td_column_int(stmt, "n") - known;
    td_reset(stmt);
    return TD_OK;
}

td_code td_db_migrate_state(td_db *db, const td_migration *const *lists, int64_t *missing_out, int64_t *unknown_out,
                            td_err *err)
{
    int64_t known = 0;
    TD_TRY(count_applied(db, lists, &known, unknown_out, err));
    *missing_out = count_steps(lists) - known;
    return TD_OK;
}

td_code td_db_migrate(td_db *db, const td_migration *const *lists, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    int64_t known = 0, unknown = 0;
    TD_TRY(td_txn_begin(db, &txn, err));
    TD_TRY(td_db_exec(db, bookkeeping, err));
    TD_TRY(count_applied(db, lists, &known, &unknown, err));
    if (unknown > 0) {
        return td_fail(err, TD_CONFLICT,
                       "the database was made by a newer Tidemark (it has %d schema steps that this program, "
                       "%s, does not know); install that version or a newer one",
                       (int)unknown, TD_VERSION);
    }
    if (known == count_steps(lists)) {
        return TD_OK; /* nothing to write: a start costs no fsync */
    }
    for (const td_migration *const *list = lists; *list != NULL; list++) {
        for (const td_migration *step = *list; step->module != NULL; step++) {
            TD_TRY(apply(db, step, err));
        }
    }
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", count_steps(lists));
    TD_TRY(td_db_exec(db, sql, err));
    return td_txn_commit(&txn, err);
}
