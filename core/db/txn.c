/*
 * txn.c: transactions, and savepoints that stand for one closure of a group commit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/internal.h"

#include <assert.h>

/* Group commit runs thousands of these a second, so they are prepared once. */
static td_code run(td_db *db, const char *literal, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, literal, &stmt, err));
    return td_run(stmt, err);
}

td_code td_txn_begin(td_db *db, td_txn *txn, td_err *err)
{
    assert(!db->in_txn);
    TD_TRY(run(db, "BEGIN IMMEDIATE", err));
    db->in_txn = true;
    *txn = (td_txn){db, true};
    return TD_OK;
}

td_code td_txn_commit(td_txn *txn, td_err *err)
{
    assert(txn->open);
    TD_TRY(run(txn->db, "COMMIT", err)); /* on failure td_txn_done rolls back */
    txn->open = false;
    txn->db->in_txn = false;
    return TD_OK;
}

void td_txn_done(td_txn *txn)
{
    if (txn->open) {
        /* A failed COMMIT may have rolled back by itself; then this one fails, which does not matter. */
        (void)sqlite3_exec(txn->db->handle, "ROLLBACK", NULL, NULL, NULL);
        txn->open = false;
        txn->db->in_txn = false;
    }
}

/* What a closure, and what it calls, may nest. */
#define DEPTH_MAX 4
static const char *const savepoint[DEPTH_MAX] = {"SAVEPOINT td_0", "SAVEPOINT td_1", "SAVEPOINT td_2",
                                                 "SAVEPOINT td_3"};
static const char *const release[DEPTH_MAX] = {"RELEASE td_0", "RELEASE td_1", "RELEASE td_2", "RELEASE td_3"};
static const char *const rollback[DEPTH_MAX] = {"ROLLBACK TO td_0", "ROLLBACK TO td_1", "ROLLBACK TO td_2",
                                                "ROLLBACK TO td_3"};

td_code td_db_savepoint(td_db *db, td_err *err)
{
    assert(db->depth < DEPTH_MAX);
    TD_TRY(run(db, savepoint[db->depth], err));
    db->depth++;
    return TD_OK;
}

td_code td_db_release(td_db *db, td_err *err)
{
    assert(db->depth > 0);
    TD_TRY(run(db, release[db->depth - 1], err));
    db->depth--;
    return TD_OK;
}

void td_db_rollback_to(td_db *db)
{
    assert(db->depth > 0);
    db->depth--;
    (void)sqlite3_exec(db->handle, rollback[db->depth], NULL, NULL, NULL);
    (void)sqlite3_exec(db->handle, release[db->depth], NULL, NULL, NULL);
}

/* Each request begins and ends one: the statement is kept. */
static int run_kept(td_db *db, sqlite3_stmt **kept, const char *sql)
{
    int result = *kept != NULL ? SQLITE_OK
                               : sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, kept, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_step(*kept);
        result = sqlite3_reset(*kept);
    }
    return result;
}

td_code td_db_read_begin(td_db *db, td_err *err)
{
    if (db->reads == 0) {
        int result = run_kept(db, &db->begin, "BEGIN");
        if (result != SQLITE_OK) {
            return td_db__fail(db, result, "BEGIN", err);
        }
    }
    db->reads++;
    return TD_OK;
}

void td_db_read_end(td_db *db)
{
    if (db->reads == 0 || --db->reads > 0) {
        return;
    }
    (void)run_kept(db, &db->end, "ROLLBACK");
}
