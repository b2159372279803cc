/*
 * routes_access.c: users, and the roles that they hold in projects.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/routes_access.h"

#include <string.h>

/* Admins of the workspace see users whole; those of a project what belongs to it. */
static const char *scope(const td_request *request)
{
    return td_access_is_workspace_admin(&request->principal) ? NULL : request->project;
}

static td_code list_users(td_request *request, td_err *err)
{
    td_page page;
    json_t *users;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_user_list_json(request->db, scope(request), &page, &users, err));
    return td_answer_json(request, 200, users, err);
}

static td_code answer_user(td_request *request, int status, const char *name, td_err *err)
{
    json_t *user;
    TD_TRY(td_request_refresh(request, err));
    TD_TRY(td_user_json(request->db, name, scope(request), &user, err));
    return td_answer_json(request, status, user, err);
}

td_code td_request_need_admin(td_request *request, td_err *err)
{
    return td_access_check(&request->principal, TD_PROJECT_DEFAULT, TD_MAY_MANAGE_USER, request->id, &request->actor,
                           err);
}

bool td_request_is_about_self(const td_request *request, const char *user)
{
    return request->principal.user_id > 0 && strcmp(user, request->principal.name) == 0;
}

td_code td_request_user(td_request *request, const char *name, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *user = NULL;
    const char *within = td_request_is_about_self(request, name) ? NULL : scope(request);
    td_code code = td_user_json(request->db, name, within, &user, err);
    if (within && (code == TD_NOT_FOUND || (code == TD_OK && json_object_size(json_object_get(user, "roles")) == 0))) {
        return td_fail(err, TD_NOT_FOUND, "there is no user \"%.64s\" in project %s (see `tidemark user list`)", name,
                       within);
    }
    TD_TRY(code);
    *out = json_incref(user);
    return TD_OK;
}

/* One's own row is shown to everybody, another's to admins. */
static td_code get_user(td_request *request, td_err *err)
{
    const char *name = request->parameters[0];
    json_t *user;
    if (!td_request_is_about_self(request, name)) {
        TD_TRY(td_access_check(&request->principal, request->project, TD_MAY_MANAGE_USER, request->id, &request->actor,
                               err));
    }
    TD_TRY(td_request_user(request, name, &user, err));
    return td_answer_json(request, 200, user, err);
}

/* ---- users and roles ---- */

td_code td_request_check_roles(const json_t *roles, td_err *err)
{
    size_t index;
    json_t *name;
    json_array_foreach ((json_t *)roles, index, name) {
        td_role ignored;
        TD_TRY(td_role_parse(json_string_value(name), &ignored, err));
    }
    return TD_OK;
}

static td_code grant_roles(td_db *db, td_request *request, const char *user, const json_t *roles, const char *reason,
                           td_err *err)
{
    size_t index;
    json_t *name;
    json_array_foreach ((json_t *)roles, index, name) {
        td_role role;
        TD_TRY(td_role_parse(json_string_value(name), &role, err));
        TD_TRY(td_role_grant(db, &request->actor, user, request->project, role, reason, err));
    }
    return TD_OK;
}

static td_code write_user(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    const json_t *body = request->body;
    td_user_options options = {.name = td_json_text(body, "name", ""),
                               .service = td_json_bool(body, "service", false),
                               .description = td_json_text(body, "description", NULL)};
    int64_t user_id;
    TD_TRY(td_user_create(db, &request->actor, &options, &user_id, err));
    TD_TRY(grant_roles(db, request, options.name, json_object_get(body, "roles"),
                       td_json_text(body, "reason", "given when the user was created"), err));
    return answer_user(request, 201, options.name, err);
}

static td_code create_user(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "name", .type = TD_JSON_STRING, .required = true},
        {.name = "service", .type = TD_JSON_BOOLEAN},
        {.name = "description", .type = TD_JSON_STRING, .maximum = 1000},
        {.name = "roles", .type = TD_JSON_ARRAY, .item_type = TD_JSON_STRING, .minimum = 0, .maximum = TD_ROLE_COUNT},
        {.name = "reason", .type = TD_JSON_STRING, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    TD_TRY(td_request_check_roles(json_object_get(request->body, "roles"), err));
    TD_TRY(td_request_need_admin(request, err));
    return td_request_write(request, write_user, request, err);
}

bool td_request_lists_role(const json_t *roles, td_role role)
{
    size_t index;
    json_t *name;
    json_array_foreach ((json_t *)roles, index, name) {
        if (strcmp(json_string_value(name), td_role_name(role)) == 0) {
            return true;
        }
    }
    return false;
}

/* The roles in this project become exactly those of the body. */
static td_code write_roles(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    const char *user = request->parameters[0], *reason = td_json_text(request->body, "reason", "");
    const json_t *roles = json_object_get(request->body, "roles");
    for (int role = 0; role < TD_ROLE_COUNT; role++) {
        if (!td_request_lists_role(roles, (td_role)role)) {
            TD_TRY(td_role_revoke(db, &request->actor, user, request->project, (td_role)role, reason, err));
        }
    }
    return grant_roles(db, request, user, roles, reason, err);
}

static td_code set_roles(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "roles",
         .type = TD_JSON_ARRAY,
         .required = true,
         .item_type = TD_JSON_STRING,
         .minimum = 0,
         .maximum = TD_ROLE_COUNT},
        {.name = "reason", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    TD_TRY(td_request_check_roles(json_object_get(request->body, "roles"), err));
    TD_TRY(td_request_write(request, write_roles, request, err));
    return answer_user(request, 200, request->parameters[0], err);
}

typedef struct user_switch {
    td_request *request;
    bool disable;
    const char *reason;
} user_switch;

static td_code write_switch(td_db *db, void *context, td_err *err)
{
    const user_switch *write = context;
    return td_user_disable(db, &write->request->actor, write->request->parameters[0], write->disable, write->reason,
                           err);
}

static td_code switch_user(td_request *request, bool disable, td_err *err)
{
    user_switch write = {.request = request, .disable = disable};
    TD_TRY(td_request_reason(request, true, &write.reason, err));
    TD_TRY(td_request_need_admin(request, err));
    TD_TRY(td_request_write(request, write_switch, &write, err));
    return answer_user(request, 200, request->parameters[0], err);
}

static td_code disable_user(td_request *request, td_err *err)
{
    return switch_user(request, true, err);
}

static td_code enable_user(td_request *request, td_err *err)
{
    return switch_user(request, false, err);
}

static td_code list_roles(td_request *request, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *roles = json_array();
    for (int role = 0; roles && role < TD_ROLE_COUNT; role++) {
        json_t *may = json_array();
        for (int permission = 0; permission < TD_PERMISSION_COUNT; permission++) {
            if (td_role_may((td_role)role, (td_permission)permission)) {
                (void)json_array_append_new(may, json_string(td_permission_name((td_permission)permission)));
            }
        }
        (void)json_array_append_new(roles,
                                    json_pack("{s:s, s:o}", "role", td_role_name((td_role)role), "permissions", may));
    }
    return td_answer_json(request, 200, json_pack("{s:O}", "roles", roles), err);
}

/* Who the server takes the caller for. */
static td_code get_self(td_request *request, td_err *err)
{
    const td_principal *who = &request->principal;
    json_t *projects;
    char expires[32];
    td_page page = {.limit = TD_PROJECTS_LIST_MAX};
    TD_TRY(td_project_list_json(request->db, who, false, &page, &projects, err));
    td_format_time(who->token_expires_ms, expires);
    json_t *self =
        json_pack("{s:s, s:s, s:s, s:b, s:o}", "user", who->name, "kind",
                  who->kind == TD_ACTOR_SERVICE ? "service" : "person", "authentication", who->authentication,
                  "restricted", who->token_restricted, "projects", json_incref(json_object_get(projects, "projects")));
    json_decref(projects);
    if (self && who->token_id) {
        (void)json_object_set_new(self, "token", json_integer(who->token_id));
        (void)json_object_set_new(self, "expires_at", json_string(expires));
    }
    return td_answer_json(request, 200, self, err);
}

const td_route td_routes_access[] = {
    {"GET", "/api/v1/me", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_NONE, get_self,
     "Who the caller is, and his roles"},
    {"GET", "/api/v1/roles", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_NONE, list_roles, "Roles and what they may"},
    TD_GET("/api/v1/users", TD_MAY_MANAGE_USER, list_users,
           "Users; for admins of a project those who hold roles in it"),
    TD_SEND("POST", "/api/v1/users", TD_MAY_MANAGE_USER, create_user, "Make a user or service account"),
    {"GET", "/api/v1/users/{user}", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_NONE, get_user,
     "One user: oneself, or as admin"},
    TD_SEND("POST", "/api/v1/users/{user}/disable", TD_MAY_MANAGE_USER, disable_user, "Shut a user out"),
    TD_SEND("POST", "/api/v1/users/{user}/enable", TD_MAY_MANAGE_USER, enable_user, "Let a user in again"),
    TD_SEND("PUT", "/api/v1/users/{user}/roles", TD_MAY_MANAGE_USER, set_roles, "Set the roles in a project"),
    TD_ROUTES_END,
};
