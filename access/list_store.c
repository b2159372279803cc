/*
 * list_store.c: lists of users, tokens and projects, by what may be asked of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/internal.h"
#include "access/project.h"
#include "core/db/list_json.h"

/* ---- users ---- */

static const char *const kinds[] = {"person", "service", NULL};
static const td_filter_rows user_roles = {"role_grant", "user_id", "u.user_id"};
#define USER_FIELDS                                                                                                    \
    {.name = "id", .type = TD_FILTER_INTEGER, .sql = "u.user_id"},                                                     \
        {.name = "name", .type = TD_FILTER_TEXT, .sql = "u.name"},                                                     \
        {.name = "kind", .type = TD_FILTER_TEXT, .sql = "u.kind", .choices = kinds},                                   \
        {.name = "description", .type = TD_FILTER_TEXT, .sql = "u.description", .no_order = true},                     \
        {.name = "disabled", .type = TD_FILTER_BOOLEAN, .sql = "(u.disabled_ms IS NOT NULL)"},                         \
        {.name = "created_at", .type = TD_FILTER_TIME, .sql = "u.created_ms"}
static const td_filter_field user_fields[] = {USER_FIELDS, {.name = NULL}};
/* Roles in other projects are no business of a project's admin: only the whole workspace is asked for them. */
static const td_filter_field whole_fields[] = {
    USER_FIELDS, {.name = "role", .type = TD_FILTER_TEXT, .sql = "role", .rows = &user_roles}, {.name = NULL}};
static const td_filter_table user_table = {.fields = user_fields, .prefix = "user", .order = "id", .tie = "id"};
static const td_filter_table whole_table = {.fields = whole_fields, .prefix = "user", .order = "id", .tie = "id"};

typedef struct user_view {
    td_db *db;
    const char *project;
} user_view;

static td_code user_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    const user_view *view = context;
    return td_access__user_object(view->db, td_column_int(stmt, "user_id"), view->project, out, err);
}

td_code td_user_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err)
{
    static const td_list_query whole = {
        .name = "users", .table = &whole_table, .columns = "u.user_id", .from = "user u"};
    static const td_list_query part = {
        .name = "users",
        .table = &user_table,
        .columns = "u.user_id",
        .from = "user u",
        .where = "EXISTS (SELECT 1 FROM role_grant g JOIN project p ON p.project_id = g.project_id "
                 "WHERE g.user_id = u.user_id AND p.name = :project)"};
    user_view view = {db, project};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_list_open(db, project != NULL ? &part : &whole, project, page, &list, err));
    if (project != NULL) {
        td_bind_text(td_list_stmt(list), ":project", project);
    }
    return td_list_json(list, user_row, &view, out, err);
}

/* ---- tokens ---- */

static const td_filter_field token_fields[] = {
    {.name = "id", .type = TD_FILTER_INTEGER, .sql = "t.token_id"},
    {.name = "label", .type = TD_FILTER_TEXT, .sql = "t.label"},
    {.name = "project", .type = TD_FILTER_TEXT, .sql = "p.name", .nullable = true},
    {.name = "created_at", .type = TD_FILTER_TIME, .sql = "t.created_ms"},
    {.name = "expires_at", .type = TD_FILTER_TIME, .sql = "t.expires_ms"},
    {.name = "used_at", .type = TD_FILTER_TIME, .sql = "t.used_ms", .nullable = true},
    {.name = NULL},
};
static const td_filter_table token_table = {.fields = token_fields, .prefix = "token", .order = "id", .tie = "id"};

static td_code token_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    (void)context;
    (void)err;
    *out = td_access__token_row(stmt);
    return TD_OK;
}

td_code td_token_list_json(td_db *db, const char *user, const td_page *page, json_t **out, td_err *err)
{
    static const td_list_query query = {
        .name = "tokens",
        .table = &token_table,
        .columns = "t.token_id, t.label, t.roles, p.name AS project, t.created_ms, t.expires_ms, t.used_ms",
        .from = "token t LEFT JOIN project p ON p.project_id = t.project_id",
        .where = "t.user_id = :user AND t.revoked_ms IS NULL AND t.expires_ms > :now"};
    int64_t user_id;
    bool service;
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_user_find(db, user, &user_id, &service, err));
    TD_TRY(td_list_open(db, &query, user, page, &list, err));
    td_bind_int(td_list_stmt(list), ":user", user_id);
    td_bind_int(td_list_stmt(list), ":now", td_db_now_ms(db));
    return td_list_json(list, token_row, NULL, out, err);
}

/* ---- projects ---- */

static const td_filter_field project_fields[] = {
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "p.name"},
    {.name = "description", .type = TD_FILTER_TEXT, .sql = "p.description", .no_order = true},
    {.name = "created_at", .type = TD_FILTER_TIME, .sql = "p.created_ms"},
    {.name = "archived_at", .type = TD_FILTER_TIME, .sql = "p.archived_ms", .nullable = true},
    {.name = NULL},
};
static const td_filter_table project_table = {
    .fields = project_fields, .prefix = "project", .order = "name", .tie = "name"};

static td_code project_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    (void)err;
    *out = td_access__project_row(stmt, context);
    return TD_OK;
}

/* Names of the projects in which he holds a role, as a JSON array. */
static td_code own_names(const td_principal *principal, td_str *out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *names = json_array();
    for (size_t i = 0; i < principal->grant_count; i++) {
        if (json_array_append_new(names, json_string(principal->grants[i].project)) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for the list of projects");
        }
    }
    return td_json_write(names, out, err);
}

td_code td_project_list_json(td_db *db, const td_principal *principal, bool archived, const td_page *page,
                             json_t **out, td_err *err)
{
    static const td_list_query query = {
        .name = "projects",
        .table = &project_table,
        .columns = "p.name, p.description, p.created_ms, p.archived_ms",
        .from = "project p",
        .where = "(:all OR p.name IN (SELECT value FROM json_each(:own))) AND (:archived OR p.archived_ms IS NULL)",
        .limit_max = TD_PROJECTS_LIST_MAX};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_CLEANUP(td_str_done) td_str own = {0};
    TD_TRY(own_names(principal, &own, err));
    TD_TRY(td_list_open(db, &query, archived ? "archived" : "", page, &list, err));
    td_bind_bool(td_list_stmt(list), ":all", principal->all_roles != 0 || td_access_is_workspace_admin(principal));
    td_bind_text(td_list_stmt(list), ":own", td_str_text(&own));
    td_bind_bool(td_list_stmt(list), ":archived", archived);
    return td_list_json(list, project_row, (void *)principal, out, err);
}
