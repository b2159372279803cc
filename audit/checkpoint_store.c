/*
 * checkpoint_store.c: keeping signed checkpoints.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"
#include "audit/note.h"

#include <string.h>

td_code td_log_checkpoint_store(td_db *db, const char *note, td_err *err)
{
    char origin[TD_LOG_ORIGIN_MAX];
    td_log_root root;
    TD_TRY(td_checkpoint_parse(note, strlen(note), origin, &root, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO log_checkpoint (size, root, note, at_ms) VALUES (:size, :root, :note, :at) "
                         "ON CONFLICT (size) DO NOTHING",
                         &stmt, err));
    td_bind_int(stmt, ":size", root.size);
    td_bind_blob(stmt, ":root", root.hash, sizeof root.hash);
    td_bind_text(stmt, ":note", note);
    td_bind_int(stmt, ":at", td_db_now_ms(db));
    return td_run(stmt, err);
}
