/*
 * project_store.c: the rows of projects and of the content that they may name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "access/internal.h"


td_code td_access__project_insert(td_db *db, const char *name, const char *description, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "INSERT INTO project (name, description, created_ms) VALUES (:name, :description, :now)",
                         &stmt, err));
    td_bind_text(stmt, ":name", name);
    td_bind_text(stmt, ":description", description == NULL ? "" : description);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_code code = td_run(stmt, err);
    if (code == TD_CONFLICT) {
        return td_fail(err, TD_CONFLICT, "there is already a project \"%s\"", name);
    }
    return code;
}

td_code td_access__project_by_name(td_db *db, const char *name, td_access__project *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT project_id, archived_ms FROM project WHERE name = :name", &stmt, err));
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_step_one(stmt, err, TD_ACCESS__NO_PROJECT, name));
    *out = (td_access__project){.project_id = td_column_int(stmt, "project_id"),
                                .archived = !td_column_null(stmt, "archived_ms")};
    td_reset(stmt);
    return TD_OK;
}

td_code td_project_find(td_db *db, const char *name, int64_t *project_id_out, td_err *err)
{
    td_access__project project;
    TD_TRY(td_access__project_by_name(db, name, &project, err));
    *project_id_out = project.project_id;
    return TD_OK;
}

td_code td_access__project_set_description(td_db *db, int64_t project_id, const char *description, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE project SET description = :description WHERE project_id = :id", &stmt, err));
    td_bind_text(stmt, ":description", description);
    td_bind_int(stmt, ":id", project_id);
    return td_run(stmt, err);
}

td_code td_access__project_set_archived(td_db *db, int64_t project_id, bool archived, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE project SET archived_ms = CASE WHEN :archived THEN :now ELSE NULL END "
                         "WHERE project_id = :id",
                         &stmt, err));
    td_bind_int(stmt, ":archived", archived);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":id", project_id);
    return td_run(stmt, err);
}

/* ---- as the API shows them ---- */

static json_t *role_names(uint32_t roles)
{
    json_t *names = json_array();
    for (int role = 0; names != NULL && role < TD_ROLE_COUNT; role++) {
        if ((roles & (UINT32_C(1) << role)) != 0) {
            (void)json_array_append_new(names, json_string(td_role_name((td_role)role)));
        }
    }
    return names;
}

json_t *td_access__project_row(td_stmt *stmt, const td_principal *principal)
{
    char created[32], archived[32];
    const char *name = td_column_text(stmt, "name");
    td_format_time(td_column_int(stmt, "created_ms"), created);
    td_format_time(td_column_int(stmt, "archived_ms"), archived);
    return json_pack("{s:s, s:s, s:s, s:s*, s:o}", "name", name, "description", td_column_text(stmt, "description"),
                     "created_at", created, "archived_at", td_column_null(stmt, "archived_ms") ? NULL : archived,
                     "roles", role_names(td_access__roles_of(principal, name)));
}

td_code td_project_json(td_db *db, const td_principal *principal, const char *name, json_t **out, td_err *err)
{
    td_stmt *stmt;
    if (!td_access_sees(principal, name)) {
        return td_fail(err, TD_NOT_FOUND, TD_ACCESS__NO_PROJECT, name);
    }
    TD_TRY(td_db_prepare(db, "SELECT name, description, created_ms, archived_ms FROM project WHERE name = :name", &stmt,
                         err));
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_step_one(stmt, err, TD_ACCESS__NO_PROJECT, name));
    json_t *project = td_access__project_row(stmt, principal);
    td_reset(stmt);
    if (project == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a project");
    }
    *out = project;
    return TD_OK;
}

/* ---- content ---- */

td_code td_project_content_add(td_db *db, const char *project, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    td_stmt *stmt;
    int64_t project_id;
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO project_content (project_id, digest) VALUES (:project, :digest) "
                         "ON CONFLICT DO NOTHING",
                         &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    return td_run(stmt, err);
}

td_code td_project_content_has(td_db *db, const char *project, const uint8_t digest[TD_DIGEST_SIZE], bool *out,
                               td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT c.project_id AS project_id FROM project p JOIN project_content c "
                         "ON c.project_id = p.project_id WHERE p.name = :project AND c.digest = :digest",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    TD_TRY(td_step(stmt, &row, err));
    td_reset(stmt);
    *out = row;
    return TD_OK;
}
