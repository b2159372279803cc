/*
 * verify_store.c: the stored checkpoints, read one after another beside the records.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/verify_store.h"

void td_checkpoint__done(td_checkpoint_row *row)
{
    td_free_text(&row->note);
    row->size = -1;
}

td_code td_checkpoint__after(td_db *db, int64_t size, td_checkpoint_row *row, td_err *err)
{
    td_stmt *stmt;
    bool found;
    td_checkpoint__done(row);
    TD_TRY(td_db_prepare(db, "SELECT size, note FROM log_checkpoint WHERE size > :size ORDER BY size LIMIT 1", &stmt,
                         err));
    td_bind_int(stmt, ":size", size);
    TD_TRY(td_step(stmt, &found, err));
    if (found) {
        row->size = td_column_int(stmt, "size");
        row->note = td_dup(td_column_text(stmt, "note"));
    }
    td_reset(stmt);
    return found && row->note == NULL ? td_fail(err, TD_NOMEM, "no memory for a checkpoint") : TD_OK;
}
