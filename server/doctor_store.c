/*
 * doctor_store.c: what an examination asks the records.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/doctor_internal.h"

td_code td_doctor__newest_ms(td_db *db, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT at_ms FROM audit_record ORDER BY seq DESC LIMIT 1", &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    *out = row ? td_column_int(stmt, "at_ms") : 0;
    td_reset(stmt);
    return TD_OK;
}

td_code td_doctor__backup_ms(td_db *db, int64_t *newest_out, int64_t *first_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT (SELECT at_ms FROM audit_record WHERE action = 'create.backup' ORDER BY seq DESC "
                         "LIMIT 1) AS newest, (SELECT at_ms FROM audit_record ORDER BY seq LIMIT 1) AS first",
                         &stmt, err));
    TD_TRY(td_step_one(stmt, err, "no row"));
    *newest_out = td_column_int(stmt, "newest");
    *first_out = td_column_int(stmt, "first");
    td_reset(stmt);
    return TD_OK;
}

td_code td_doctor__each_file(td_db *db,
                             void (*visit)(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size),
                             void *context, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT digest, max(size) AS size FROM version_file GROUP BY digest", &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        size_t size;
        const uint8_t *digest = td_column_blob(stmt, "digest", &size);
        if (digest && size == TD_DIGEST_SIZE) {
            visit(context, digest, (uint64_t)td_column_int(stmt, "size"));
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}
