/*
 * txn.c: transactions, and savepoints that stand for one closure of a group commit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/internal.h"

#include <assert.h>
#include <stdio.h>

td_code td_txn_begin(td_db *db, td_txn *txn, td_err *err)
{
    assert(!db->in_txn);
    TD_TRY(td_db_exec(db, "BEGIN IMMEDIATE", err));
    db->in_txn = true;
    *txn = (td_txn){db, true};
    return TD_OK;
}

td_code td_txn_commit(td_txn *txn, td_err *err)
{
    assert(txn->open);
    TD_TRY(td_db_exec(txn->db, "COMMIT", err)); /* on failure td_txn_done rolls back */
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

static void savepoint_sql(char sql[64], const char *verb, int depth)
{
    snprintf(sql, 64, "%s td_%d", verb, depth);
}

td_code td_db_savepoint(td_db *db, td_err *err)
{
    char sql[64];
    savepoint_sql(sql, "SAVEPOINT", db->depth);
    TD_TRY(td_db_exec(db, sql, err));
    db->depth++;
    return TD_OK;
}

td_code td_db_release(td_db *db, td_err *err)
{
    assert(db->depth > 0);
    char sql[64];
    savepoint_sql(sql, "RELEASE", db->depth - 1);
    TD_TRY(td_db_exec(db, sql, err));
    db->depth--;
    return TD_OK;
}

void td_db_rollback_to(td_db *db)
{
    assert(db->depth > 0);
    char sql[64];
    db->depth--;
    savepoint_sql(sql, "ROLLBACK TO", db->depth);
    (void)sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    savepoint_sql(sql, "RELEASE", db->depth);
    (void)sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
}

td_code td_db_read_begin(td_db *db, td_err *err)
{
    if (db->reads == 0) {
        TD_TRY(td_db_exec(db, "BEGIN", err));
    }
    db->reads++;
    return TD_OK;
}

void td_db_read_end(td_db *db)
{
    if (db->reads == 0 || --db->reads > 0) {
        return;
    }
    (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}
