/*
 * routes_access.c: users, tokens, roles, and approvers' keys.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/trust.h"
#include "server/routes.h"
#include "server/workspace_internal.h"

#include <string.h>

#define PEM_MAX 2048

static td_code list_users(td_request *request, td_err *err)
{
    json_t *users;
    TD_TRY(td_user_list_json(request->db, &users, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "users", users), err);
}

static td_code answer_user(td_request *request, int status, const char *name, td_err *err)
{
    json_t *user;
    TD_TRY(td_request_refresh(request, err));
    TD_TRY(td_user_json(request->db, name, &user, err));
    return td_answer_json(request, status, user, err);
}

static td_code get_user(td_request *request, td_err *err)
{
    return answer_user(request, 200, request->parameters[0], err);
}

/* ---- users and roles ---- */

/* Every name in the list is a role. */
static td_code check_roles(const json_t *roles, td_err *err)
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
    TD_TRY(check_roles(json_object_get(request->body, "roles"), err));
    return td_request_write(request, write_user, request, err);
}

static bool lists_role(const json_t *roles, td_role role)
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
        if (!lists_role(roles, (td_role)role)) {
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
    TD_TRY(check_roles(json_object_get(request->body, "roles"), err));
    TD_TRY(td_request_write(request, write_roles, request, err));
    return answer_user(request, 200, request->parameters[0], err);
}

static td_code write_disable(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    return td_user_disable(db, &request->actor, request->parameters[0], td_json_text(request->body, "reason", ""), err);
}

static td_code disable_user(td_request *request, td_err *err)
{
    const char *reason;
    TD_TRY(td_request_reason(request, true, &reason, err));
    TD_TRY(td_request_write(request, write_disable, request, err));
    return answer_user(request, 200, request->parameters[0], err);
}

/* ---- tokens ---- */

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

/* For others' tokens this very token must allow it; td_access_recheck sees only what the user holds. */
static td_code need_admin(td_request *request, td_err *err)
{
    return td_access_check(&request->principal, TD_PROJECT_DEFAULT, TD_MAY_MANAGE_USER, request->id, &request->actor,
                           err);
}

/* A token that is restricted to some roles must not make one that is not. */
static td_code restrict_token(td_request *request, td_token_options *options, td_err *err)
{
    const td_principal *principal = &request->principal;
    if (strcmp(options->user, principal->name) != 0) {
        return need_admin(request, err);
    }
    uint32_t held = principal->all_roles;
    for (size_t i = 0; i < principal->grant_count; i++) {
        held |= principal->grants[i].roles;
    }
    options->roles = options->roles ? options->roles & held : held;
    return options->roles ? TD_OK
                          : td_fail(err, TD_DENIED, "this token holds none of those roles, so it cannot hand them on");
}

static td_code create_token(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "label", .type = TD_JSON_STRING, .maximum = 200},
        {.name = "lifetime", .type = TD_JSON_DURATION},
        {.name = "roles", .type = TD_JSON_ARRAY, .item_type = TD_JSON_STRING, .minimum = 0, .maximum = TD_ROLE_COUNT},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    token_write write = {.request = request};
    write.options =
        (td_token_options){.user = request->parameters[0], .label = td_json_text(request->body, "label", NULL)};
    const json_t *lifetime = json_object_get(request->body, "lifetime"),
                 *roles = json_object_get(request->body, "roles");
    if (json_is_string(lifetime)) {
        TD_TRY(td_parse_duration(json_string_value(lifetime), &write.options.lifetime_ms, err));
    } else {
        write.options.lifetime_ms = json_integer_value(lifetime) * 1000;
    }
    TD_TRY(check_roles(roles, err));
    for (int role = 0; role < TD_ROLE_COUNT; role++) {
        write.options.roles |= lists_role(roles, (td_role)role) ? UINT32_C(1) << role : 0;
    }
    TD_TRY(restrict_token(request, &write.options, err));
    write.options.latest_ms = request->principal.token_expires_ms; /* no token outlives the one that made it */
    TD_TRY(td_request_write(request, write_token, &write, err));
    char expires[32];
    td_format_time(write.token.expires_ms, expires);
    json_t *answer = json_pack("{s:s, s:I, s:s, s:s}", "user", write.options.user, "id",
                               (json_int_t)write.token.token_id, "token", write.token.text, "expires_at", expires);
    td_wipe(&write.token, sizeof write.token);
    return td_answer_json(request, 201, answer, err);
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
    TD_TRY(td_request_reason(request, true, &write.reason, err));
    TD_TRY(td_parse_int(request->parameters[0], "token", 1, INT64_MAX, &write.token_id, err));
    int64_t owner_id;
    TD_TRY(td_token_owner(request->db, write.token_id, &owner_id, err));
    if (owner_id != request->principal.user_id) {
        TD_TRY(need_admin(request, err));
    }
    TD_TRY(td_request_write(request, write_token_end, &write, err));
    return td_answer_json(request, 200, json_pack("{s:I, s:b}", "id", (json_int_t)write.token_id, "revoked", 1), err);
}

/* ---- keys and keysets ---- */

typedef struct keyset_write {
    td_request *request;
    const td_str *envelope;
    td_key_owner owner;
    const char *reason;
} keyset_write;

static td_code write_keyset(td_db *db, void *context, td_err *err)
{
    const keyset_write *write = context;
    return td_trust_publish(db, &write->request->actor, write->envelope->data, write->envelope->size,
                            write->owner.user ? &write->owner : NULL, write->reason, err);
}

/* Content first, then the row that names it, then the file for offline verifiers. */
static td_code publish_keyset(td_request *request, keyset_write *write, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    char path[4096];
    TD_TRY(td_content_put_bytes(request->server->content, write->envelope->data, write->envelope->size, digest, err));
    TD_TRY(td_request_write(request, write_keyset, write, err));
    TD_TRY(td_workspace_file(request->server->path, TD_FILE_KEYSET, path, err));
    TD_TRY(td_file_replace(path, write->envelope->data, write->envelope->size, 0644, err));
    TD_TRY(td_request_refresh(request, err));
    json_t *keyset;
    TD_TRY(td_trust_json(request->db, &keyset, err));
    return td_answer_json(request, 201, keyset, err);
}

static td_code read_approver(td_request *request, td_trust_change *change, uint8_t public_key[TD_P256_PUBLIC_SIZE],
                             keyset_write *write, td_err *err)
{
    const char *pem = td_json_text(request->body, "public_key", "");
    td_key_kind kind;
    TD_TRY(td_public_from_pem(pem, strlen(pem), &kind, public_key, err));
    if (kind != TD_KEY_P256) {
        return td_fail(err, TD_INVALID, "public_key: approvers sign with P-256; this is another kind of key");
    }
    change->add_approver = public_key;
    bool service;
    write->owner.user = request->parameters[0];
    TD_TRY(td_user_find(request->db, write->owner.user, &write->owner.user_id, &service, err));
    return service ? td_fail(err, TD_DENIED, "%s is a service account; only people approve", write->owner.user) : TD_OK;
}

/* Profile demo signs the new keyset here. Elsewhere root is offline: the unsigned draft is answered, to be signed there
 * (tidemark key sign-keyset) and posted to /api/v1/keysets. */
static td_code add_key(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "public_key", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = PEM_MAX},
        {.name = "reason", .type = TD_JSON_STRING, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    td_trust_change change = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    keyset_write write = {.request = request,
                          .reason = td_json_text(request->body, "reason", "an approver's key was added")};
    TD_TRY(read_approver(request, &change, public_key, &write, err));
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    TD_TRY(td_trust_draft(request->db, &change, request->server->keys.root, &envelope, err));
    write.envelope = &envelope;
    if (request->server->keys.root) {
        return publish_keyset(request, &write, err);
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_base64_add(&text, envelope.data, envelope.size);
    TD_TRY(td_str_check(&text, err));
    return td_answer_json(request, 202,
                          json_pack("{s:s, s:s, s:s}", "draft", td_str_text(&text), "user", write.owner.user, "next",
                                    "sign it on the machine that holds root (tidemark key sign-keyset) and post it "
                                    "to /api/v1/keysets"),
                          err);
}

static td_code post_keyset(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "keyset", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 200000},
        {.name = "user", .type = TD_JSON_STRING, .minimum = 1, .maximum = TD_USER_NAME_MAX},
        {.name = "reason", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    const char *text = td_json_text(request->body, "keyset", "");
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    char *room = td_arena_alloc(&request->arena, TD_SIGNED_MESSAGE_MAX);
    size_t size;
    if (!room) {
        return td_fail(err, TD_NOMEM, "no memory for a keyset");
    }
    TD_TRY(td_base64_decode(text, strlen(text), room, TD_SIGNED_MESSAGE_MAX, &size, err));
    td_str_append(&envelope, room, size);
    keyset_write write = {
        .request = request, .envelope = &envelope, .reason = td_json_text(request->body, "reason", "")};
    bool service;
    write.owner.user = td_json_text(request->body, "user", NULL);
    if (write.owner.user) {
        TD_TRY(td_user_find(request->db, write.owner.user, &write.owner.user_id, &service, err));
    }
    return publish_keyset(request, &write, err);
}

static td_code get_keyset(td_request *request, td_err *err)
{
    if (strcmp(td_request_query(request, "form", "json"), "bytes") == 0) {
        td_trust trust;
        TD_TRY(td_trust_current(request->db, &request->arena, &trust, err));
        TD_CLEANUP(td_str_done) td_str bytes = {0};
        td_str_append(&bytes, trust.envelope, trust.envelope_size);
        return td_answer_bytes(request, 200, "application/octet-stream", &bytes, err);
    }
    json_t *keyset;
    TD_TRY(td_trust_json(request->db, &keyset, err));
    return td_answer_json(request, 200, keyset, err);
}

static td_code list_keys(td_request *request, td_err *err)
{
    json_t *keys;
    TD_TRY(td_approver_keys_json(request->db, request->parameters[0], &keys, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "keys", keys), err);
}

const td_route td_routes_access[] = {
    TD_GET("/api/v1/users", TD_MAY_MANAGE_USER, list_users, "Users"),
    TD_SEND("POST", "/api/v1/users", TD_MAY_MANAGE_USER, create_user, "Make a user or service account"),
    TD_GET("/api/v1/users/{user}", TD_MAY_MANAGE_USER, get_user, "One user"),
    TD_SEND("POST", "/api/v1/users/{user}/disable", TD_MAY_MANAGE_USER, disable_user, "Shut a user out"),
    TD_SEND("PUT", "/api/v1/users/{user}/roles", TD_MAY_MANAGE_USER, set_roles, "Set the roles in a project"),
    {"POST", "/api/v1/users/{user}/tokens", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, create_token,
     "Make a token (for oneself, or as admin)"},
    {"POST", "/api/v1/tokens/{token}/revoke", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, revoke_token,
     "End a token (one's own, or as admin)"},
    TD_GET("/api/v1/users/{user}/keys", TD_MAY_READ, list_keys, "An approver's public keys"),
    TD_SEND("POST", "/api/v1/users/{user}/keys", TD_MAY_MANAGE_USER, add_key, "Add an approver's key to the keyset"),
    TD_GET("/api/v1/keyset", TD_MAY_READ, get_keyset, "The keyset (?form=bytes: as signed by root)"),
    TD_SEND("POST", "/api/v1/keysets", TD_MAY_MANAGE_USER, post_keyset, "A keyset signed offline by root"),
    TD_ROUTES_END,
};
