/*
 * user_json_store.c: users as the API shows them: name, kind, roles by project, tokens without their secrets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/internal.h"

static td_code set_time(td_stmt *stmt, const char *column, json_t *object, const char *key)
{
    char text[32];
    if (td_column_null(stmt, column)) {
        return TD_OK;
    }
    td_format_time(td_column_int(stmt, column), text);
    return json_object_set_new(object, key, json_string(text)) == 0 ? TD_OK : TD_NOMEM;
}

/* `only`: of this project alone; NULL: of all. */
static td_code add_roles(td_db *db, int64_t user_id, const char *only, json_t *user, td_err *err)
{
    td_stmt *stmt;
    bool row;
    json_t *roles = json_object();
    if (json_object_set_new(user, "roles", roles) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for a user's roles");
    }
    TD_TRY(td_db_prepare(db,
                         "SELECT project.name AS project, role_grant.role AS role FROM role_grant "
                         "JOIN project ON project.project_id = role_grant.project_id "
                         "WHERE role_grant.user_id = :user AND (:only IS NULL OR project.name = :only) "
                         "ORDER BY project.name, role_grant.role",
                         &stmt, err));
    td_bind_int(stmt, ":user", user_id);
    td_bind_text(stmt, ":only", only);
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        const char *project = td_column_text(stmt, "project");
        json_t *list = json_object_get(roles, project);
        if (list == NULL) {
            list = json_array();
            (void)json_object_set_new(roles, project, list);
        }
        if (json_array_append_new(list, json_string(td_column_text(stmt, "role"))) != 0) {
            td_reset(stmt);
            return td_fail(err, TD_NOMEM, "no memory for a user's roles");
        }
    }
}

/* Restrictions of a token; none: nothing is said. */
static bool set_limits(td_stmt *stmt, json_t *token)
{
    int64_t roles = td_column_int(stmt, "roles");
    json_t *names = roles != 0 ? json_array() : NULL;
    for (int role = 0; names != NULL && role < TD_ROLE_COUNT; role++) {
        if ((roles >> role & 1) != 0) {
            (void)json_array_append_new(names, json_string(td_role_name((td_role)role)));
        }
    }
    bool good = roles == 0 || json_object_set_new(token, "roles", names) == 0;
    return good && (td_column_null(stmt, "project") ||
                    json_object_set_new(token, "project", json_string(td_column_text(stmt, "project"))) == 0);
}

json_t *td_access__token_row(td_stmt *stmt)
{
    TD_CLEANUP(td_json_done)
    json_t *token = json_pack("{s:I, s:s}", "id", (json_int_t)td_column_int(stmt, "token_id"), "label",
                              td_column_text(stmt, "label"));
    bool good = token != NULL && set_limits(stmt, token) &&
                set_time(stmt, "created_ms", token, "created_at") == TD_OK &&
                set_time(stmt, "expires_ms", token, "expires_at") == TD_OK &&
                set_time(stmt, "used_ms", token, "used_at") == TD_OK;
    return good ? json_incref(token) : NULL;
}

static td_code add_tokens(td_db *db, int64_t user_id, json_t *user, td_err *err)
{
    td_stmt *stmt;
    bool row;
    json_t *tokens = json_array();
    if (json_object_set_new(user, "tokens", tokens) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for a user's tokens");
    }
    TD_TRY(td_db_prepare(
        db,
        "SELECT token_id, label, roles, (SELECT name FROM project p WHERE p.project_id = token.project_id) AS "
        "project, created_ms, expires_ms, used_ms FROM token WHERE user_id = :user "
        "AND revoked_ms IS NULL AND expires_ms > :now ORDER BY token_id",
        &stmt, err));
    td_bind_int(stmt, ":user", user_id);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        json_t *token = td_access__token_row(stmt);
        if (json_array_append_new(tokens, token) != 0) {
            td_reset(stmt);
            return td_fail(err, TD_NOMEM, "no memory for a user's tokens");
        }
    }
}

td_code td_access__user_object(td_db *db, int64_t user_id, const char *project, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT name, kind, description, created_ms, disabled_ms FROM user WHERE user_id = :id",
                         &stmt, err));
    td_bind_int(stmt, ":id", user_id);
    TD_TRY(td_step_one(stmt, err, "there is no user with row %lld", (long long)user_id));
    TD_CLEANUP(td_json_done)
    json_t *user =
        json_pack("{s:s, s:s, s:s, s:b}", "name", td_column_text(stmt, "name"), "kind", td_column_text(stmt, "kind"),
                  "description", td_column_text(stmt, "description"), "disabled", !td_column_null(stmt, "disabled_ms"));
    bool good = user != NULL && set_time(stmt, "created_ms", user, "created_at") == TD_OK &&
                set_time(stmt, "disabled_ms", user, "disabled_at") == TD_OK;
    td_reset(stmt);
    if (!good) {
        return td_fail(err, TD_NOMEM, "no memory for a user's description");
    }
    TD_TRY(add_roles(db, user_id, project, user, err));
    if (project == NULL) {
        TD_TRY(add_tokens(db, user_id, user, err));
    }
    *out = json_incref(user);
    return TD_OK;
}
