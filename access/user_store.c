/*
 * user_store.c: the rows of users and their roles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/internal.h"

#include <stdio.h>
#include <string.h>

static void read_user(td_stmt *stmt, td_access__user *out)
{
    *out = (td_access__user){.user_id = td_column_int(stmt, "user_id")};
    (void)snprintf(out->name, sizeof out->name, "%s", td_column_text(stmt, "name"));
    out->service = strcmp(td_column_text(stmt, "kind"), "service") == 0;
    out->disabled = !td_column_null(stmt, "disabled_ms");
}

td_code td_access__user_by_name(td_db *db, const char *name, td_access__user *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT user_id, name, kind, disabled_ms FROM user WHERE name = :name", &stmt, err));
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_step_one(stmt, err, "there is no user \"%.64s\" (see `tidemark user list`)", name));
    read_user(stmt, out);
    td_reset(stmt);
    return TD_OK;
}

td_code td_access__user_by_id(td_db *db, int64_t user_id, td_access__user *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT user_id, name, kind, disabled_ms FROM user WHERE user_id = :id", &stmt, err));
    td_bind_int(stmt, ":id", user_id);
    TD_TRY(td_step_one(stmt, err, "there is no user with row %lld", (long long)user_id));
    read_user(stmt, out);
    td_reset(stmt);
    return TD_OK;
}

td_code td_access__user_insert(td_db *db, const td_user_options *options, int64_t *user_id_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO user (name, kind, description, created_ms) "
                         "VALUES (:name, :kind, :description, :now)",
                         &stmt, err));
    td_bind_text(stmt, ":name", options->name);
    td_bind_text(stmt, ":kind", options->service ? "service" : "person");
    td_bind_text(stmt, ":description", options->description == NULL ? "" : options->description);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_code code = td_run(stmt, err);
    if (code == TD_CONFLICT) {
        return td_fail(err, TD_CONFLICT, "there is already a user \"%s\"; names are never reused", options->name);
    }
    TD_TRY(code);
    *user_id_out = td_db_last_id(db);
    return TD_OK;
}

td_code td_access__user_set_disabled(td_db *db, int64_t user_id, bool disabled, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE user SET disabled_ms = CASE WHEN :disabled THEN :now ELSE NULL END "
                         "WHERE user_id = :id",
                         &stmt, err));
    td_bind_int(stmt, ":disabled", disabled);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":id", user_id);
    return td_run(stmt, err);
}

td_code td_access__roles_in(td_db *db, int64_t user_id, int64_t project_id, uint32_t *roles_out, td_err *err)
{
    td_stmt *stmt;
    uint32_t roles = 0;
    bool row;
    TD_TRY(
        td_db_prepare(db, "SELECT role FROM role_grant WHERE user_id = :user AND project_id = :project", &stmt, err));
    td_bind_int(stmt, ":user", user_id);
    td_bind_int(stmt, ":project", project_id);
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        td_role role;
        td_code code = td_role_parse(td_column_text(stmt, "role"), &role, err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
        roles |= UINT32_C(1) << role;
    }
    *roles_out = roles;
    return TD_OK;
}

/* Adds one grant to the principal's list; rows come ordered by project. */
static td_code add_grant(td_stmt *stmt, uint32_t mask, td_principal *principal, td_err *err)
{
    td_role role;
    TD_TRY(td_role_parse(td_column_text(stmt, "role"), &role, err));
    if ((mask & (UINT32_C(1) << role)) == 0) {
        return TD_OK;
    }
    const char *project = td_column_text(stmt, "project");
    size_t count = principal->grant_count;
    if (count == 0 || strcmp(principal->grants[count - 1].project, project) != 0) {
        if (count == TD_PROJECTS_PER_USER_MAX) {
            return td_fail(err, TD_LIMIT, "%s has roles in more than %d projects", principal->name,
                           TD_PROJECTS_PER_USER_MAX);
        }
        (void)snprintf(principal->grants[count].project, sizeof principal->grants[count].project, "%s", project);
        principal->grants[count].roles = 0;
        principal->grant_count = ++count;
    }
    principal->grants[count - 1].roles |= UINT32_C(1) << role;
    return TD_OK;
}

td_code td_access__load_grants(td_db *db, uint32_t mask, int64_t project_id, td_principal *principal, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT project.name AS project, role_grant.role AS role FROM role_grant "
                         "JOIN project ON project.project_id = role_grant.project_id "
                         "WHERE role_grant.user_id = :user AND (:project = 0 OR role_grant.project_id = :project) "
                         "ORDER BY role_grant.project_id, role_grant.role",
                         &stmt, err));
    td_bind_int(stmt, ":user", principal->user_id);
    td_bind_int(stmt, ":project", project_id);
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        td_code code = add_grant(stmt, mask, principal, err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
}

td_code td_access__project_count(td_db *db, int64_t user_id, int64_t *count_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db, "SELECT count(DISTINCT project_id) AS n FROM role_grant WHERE user_id = :user", &stmt, err));
    td_bind_int(stmt, ":user", user_id);
    TD_TRY(td_step_one(stmt, err, "no count of projects"));
    *count_out = td_column_int(stmt, "n");
    td_reset(stmt);
    return TD_OK;
}

static void bind_grant(td_stmt *stmt, int64_t user_id, int64_t project_id, td_role role)
{
    td_bind_int(stmt, ":user", user_id);
    td_bind_int(stmt, ":project", project_id);
    td_bind_text(stmt, ":role", td_role_name(role));
}

td_code td_access__grant_insert(td_db *db, int64_t user_id, int64_t project_id, td_role role, bool *changed_out,
                                td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO role_grant (user_id, project_id, role, granted_ms) "
                         "VALUES (:user, :project, :role, :now) ON CONFLICT DO NOTHING",
                         &stmt, err));
    bind_grant(stmt, user_id, project_id, role);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    TD_TRY(td_run(stmt, err));
    *changed_out = td_db_changes(db) > 0;
    return TD_OK;
}

td_code td_access__grant_delete(td_db *db, int64_t user_id, int64_t project_id, td_role role, bool *changed_out,
                                td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "DELETE FROM role_grant WHERE user_id = :user AND project_id = :project AND role = :role",
                         &stmt, err));
    bind_grant(stmt, user_id, project_id, role);
    TD_TRY(td_run(stmt, err));
    *changed_out = td_db_changes(db) > 0;
    return TD_OK;
}

td_code td_access__other_admins(td_db *db, int64_t user_id, bool *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT u.user_id AS user_id FROM user u JOIN role_grant g ON g.user_id = u.user_id "
                         "WHERE g.project_id = 1 AND g.role = 'admin' AND u.kind = 'person' "
                         "AND u.disabled_ms IS NULL AND u.user_id <> :user LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":user", user_id);
    TD_TRY(td_step(stmt, &row, err));
    td_reset(stmt);
    *out = row;
    return TD_OK;
}
