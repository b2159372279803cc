/*
 * backup_store.c: which content the records name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/backup_internal.h"

td_code td_backup__each_reference(td_db *db, td_backup_visit visit, void *context, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT digest FROM version_file UNION SELECT bundle_digest FROM version "
                         "UNION SELECT envelope_digest FROM version UNION SELECT model_sig_digest FROM version "
                         "UNION SELECT digest FROM keyset UNION SELECT digest FROM project_content "
                         "UNION SELECT digest FROM goal_content UNION SELECT digest FROM artifact "
                         "UNION SELECT digest FROM claim",
                         &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        size_t size;
        const uint8_t *digest = td_column_blob(stmt, "digest", &size);
        td_code code = digest && size == TD_DIGEST_SIZE ? visit(context, digest, 0, err) : TD_OK;
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}
