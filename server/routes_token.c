/*
 * routes_token.c: making, rotating and ending tokens; the secret leaves in one answer and no other.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/routes_access.h"

#include <string.h>

typedef struct token_write {
    td_request *request;
    td_token_options options;
    td_token token;
} token_write;

static td_code write_token(td_db *db, void *context, td_err *err)
{
    token_write *write = context;
    return td_token_create(db, &write->request->actor, &write->options, &write->token, err);
}

/* A token that is restricted must not make one that is less so. */
static td_code restrict_token(td_request *request, td_token_options *options, td_err *err)
{
    const td_principal *principal = &request->principal;
    if (!td_request_is_about_self(request, options->user)) {
        return td_request_need_admin(request, err);
    }
    uint32_t held = principal->all_roles;
    for (size_t i = 0; i < principal->grant_count; i++) {
        held |= principal->grants[i].roles;
    }
    options->roles = options->roles ? options->roles & held : principal->token_restricted ? held : 0;
    if (principal->token_project_id) {
        const char *only = principal->grant_count ? principal->grants[0].project : "";
        if (options->project && strcmp(options->project, only) != 0) {
            return td_fail(err, TD_DENIED, "this token is for project %s alone, so it cannot hand on another", only);
        }
        options->project = only;
    }
    return options->roles || !principal->token_restricted
               ? TD_OK
               : td_fail(err, TD_DENIED, "this token holds none of those roles, so it cannot hand them on");
}

/* "90d" or a number of seconds. */
static td_code read_duration(const json_t *value, int64_t *ms_out, td_err *err)
{
    if (json_is_string(value)) {
        return td_parse_duration(json_string_value(value), ms_out, err);
    }
    *ms_out = json_integer_value(value) * 1000;
    return TD_OK;
}

/* One's own, or as an admin of the workspace; of others' tokens one does not even learn that they exist. */
static td_code may_touch(td_request *request, int64_t token_id, td_err *err)
{
    int64_t owner_id = 0;
    td_code code = td_token_owner(request->db, token_id, &owner_id, err);
    bool own = code == TD_OK && owner_id == request->principal.user_id;
    if (!own && !td_access_is_workspace_admin(&request->principal)) {
        return td_fail(err, TD_NOT_FOUND, "you have no token %lld (see `tidemark token list`)", (long long)token_id);
    }
    return own || code != TD_OK ? code : td_request_need_admin(request, err);
}

/* The one answer that shows a secret. */
static td_code answer_token(td_request *request, const char *user, td_token *token, td_err *err)
{
    char expires[32];
    td_format_time(token->expires_ms, expires);
    json_t *answer = json_pack("{s:s*, s:I, s:s, s:s}", "user", user, "id", (json_int_t)token->token_id, "token",
                               token->text, "expires_at", expires);
    td_wipe(token, sizeof *token);
    return td_answer_json(request, 201, answer, err);
}

static td_code create_token(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "label", .type = TD_JSON_STRING, .maximum = 200},
        {.name = "lifetime", .type = TD_JSON_DURATION},
        {.name = "project", .type = TD_JSON_STRING, .minimum = 1, .maximum = TD_PROJECT_NAME_MAX},
        {.name = "roles", .type = TD_JSON_ARRAY, .item_type = TD_JSON_STRING, .minimum = 0, .maximum = TD_ROLE_COUNT},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    token_write write = {.request = request};
    write.options = (td_token_options){.user = request->parameters[0],
                                       .label = td_json_text(request->body, "label", NULL),
                                       .project = td_json_text(request->body, "project", NULL)};
    const json_t *lifetime = json_object_get(request->body, "lifetime"),
                 *roles = json_object_get(request->body, "roles");
    TD_TRY(read_duration(lifetime, &write.options.lifetime_ms, err));
    TD_TRY(td_request_check_roles(roles, err));
    for (int role = 0; role < TD_ROLE_COUNT; role++) {
        write.options.roles |= td_request_lists_role(roles, (td_role)role) ? UINT32_C(1) << role : 0;
    }
    TD_TRY(restrict_token(request, &write.options, err));
    write.options.latest_ms = request->principal.token_expires_ms; /* no token outlives the one that made it */
    TD_TRY(td_request_write(request, write_token, &write, err));
    return answer_token(request, write.options.user, &write.token, err);
}

typedef struct token_turn {
    td_request *request;
    td_token_rotation rotation;
    td_token token;
} token_turn;

static td_code write_rotation(td_db *db, void *context, td_err *err)
{
    token_turn *write = context;
    return td_token_rotate(db, &write->request->actor, &write->rotation, &write->token, err);
}

static td_code rotate_token(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "grace", .type = TD_JSON_DURATION},
        {.name = "reason", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    token_turn write = {.request = request};
    const td_principal *who = &request->principal;
    TD_TRY(td_parse_int(request->parameters[0], "token", 1, INT64_MAX, &write.rotation.token_id, err));
    TD_TRY(may_touch(request, write.rotation.token_id, err));
    TD_TRY(td_request_check(request, fields, err));
    TD_TRY(read_duration(json_object_get(request->body, "grace"), &write.rotation.grace_ms, err));
    if (who->token_restricted && write.rotation.token_id != who->token_id) {
        TD_TRY(td_request_need_admin(request, err)); /* the other one may open more */
    }
    write.rotation.latest_ms = who->token_expires_ms;
    write.rotation.reason = td_json_text(request->body, "reason", "");
    TD_TRY(td_request_write(request, write_rotation, &write, err));
    return answer_token(request, NULL, &write.token, err);
}

typedef struct token_end {
    td_request *request;
    int64_t token_id;
    const char *reason;
} token_end;

static td_code write_token_end(td_db *db, void *context, td_err *err)
{
    const token_end *write = context;
    return td_token_revoke(db, &write->request->actor, write->token_id, write->reason, err);
}

static td_code revoke_token(td_request *request, td_err *err)
{
    token_end write = {.request = request};
    TD_TRY(td_parse_int(request->parameters[0], "token", 1, INT64_MAX, &write.token_id, err));
    TD_TRY(may_touch(request, write.token_id, err));
    TD_TRY(td_request_reason(request, true, &write.reason, err));
    TD_TRY(td_request_write(request, write_token_end, &write, err));
    return td_answer_json(request, 200, json_pack("{s:I, s:b}", "id", (json_int_t)write.token_id, "revoked", 1), err);
}

/* Of oneself, or of a user whom one manages; without secrets. */
static td_code list_tokens(td_request *request, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *user = NULL;
    const char *name = request->parameters[0];
    if (!td_request_is_about_self(request, name)) {
        TD_TRY(td_request_need_admin(request, err));
    }
    TD_TRY(td_request_user(request, name, &user, err));
    td_page page;
    json_t *tokens;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_token_list_json(request->db, name, &page, &tokens, err));
    return td_answer_json(request, 200, tokens, err);
}

const td_route td_routes_token[] = {
    {"GET", "/api/v1/users/{user}/tokens", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_NONE, list_tokens,
     "Valid tokens, their last use and end (one's own, or as admin)"},
    {"POST", "/api/v1/users/{user}/tokens", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, create_token,
     "Make a token (for oneself, or as admin)"},
    {"POST", "/api/v1/tokens/{token}/rotate", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, rotate_token,
     "Replace a token by a new one (one's own, or as admin)"},
    {"POST", "/api/v1/tokens/{token}/revoke", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, revoke_token,
     "End a token (one's own, or as admin)"},
    TD_ROUTES_END,
};
