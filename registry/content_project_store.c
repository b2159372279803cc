/*
 * content_project_store.c: which content a project may see. The store holds equal bytes once for everybody; to name a
 * digest is not to have a right to its bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "registry/registry.h"

td_code td_content_visible(td_db *db, const char *project, const uint8_t digest[TD_DIGEST_SIZE], bool *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_project_content_has(db, project, digest, &row, err));
    if (row) {
        *out = true;
        return TD_OK;
    }
    TD_TRY(td_db_prepare(db,
                         "SELECT f.version_id AS version_id FROM version_file f "
                         "JOIN version v ON v.version_id = f.version_id JOIN model m ON m.model_id = v.model_id "
                         "JOIN project p ON p.project_id = m.project_id "
                         "WHERE f.digest = :digest AND p.name = :project LIMIT 1",
                         &stmt, err));
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step(stmt, &row, err));
    td_reset(stmt);
    *out = row;
    return TD_OK;
}
