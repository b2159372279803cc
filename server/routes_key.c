/*
 * routes_key.c: approvers' public keys, and the keyset that devices trust.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/trust.h"
#include "server/routes_access.h"
#include "server/workspace_internal.h"

#include <string.h>

#define PEM_MAX 2048

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
    write->owner.project = td_request_is_about_self(request, write->owner.user) ? request->project : NULL;
    TD_TRY(td_user_find(request->db, write->owner.user, &write->owner.user_id, &service, err));
    return service ? td_fail(err, TD_DENIED, "%s is a service account; only people approve", write->owner.user) : TD_OK;
}

/* An approver brings his own key; for others it takes an admin of the workspace, because the keyset is the whole
 * workspace's. */
static td_code may_add_key(td_request *request, td_err *err)
{
    if (!td_request_is_about_self(request, request->parameters[0])) {
        return td_request_need_admin(request, err);
    }
    if (td_access_is_workspace_admin(&request->principal)) {
        return TD_OK;
    }
    return td_access_check(&request->principal, request->project, TD_MAY_APPROVE, request->id, &request->actor, err);
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
    TD_TRY(may_add_key(request, err));
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
    TD_TRY(td_request_need_admin(request, err));
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
    static const char *const forms[] = {"json", "bytes", NULL};
    const char *form;
    TD_TRY(td_request_query_choice(request, "form", forms, "json", &form, err));
    if (strcmp(form, "bytes") == 0) {
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
    TD_CLEANUP(td_json_done) json_t *user = NULL;
    json_t *keys;
    TD_TRY(td_request_user(request, request->parameters[0], &user, err));
    TD_TRY(td_approver_keys_json(request->db, request->parameters[0], &keys, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "keys", keys), err);
}

const td_route td_routes_key[] = {
    TD_GET("/api/v1/users/{user}/keys", TD_MAY_READ, list_keys, "An approver's public keys"),
    {"POST", "/api/v1/users/{user}/keys", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, add_key,
     "Add an approver's key to the keyset (an approver his own, or as admin)"},
    TD_GET("/api/v1/keyset", TD_MAY_READ, get_keyset, "The keyset (?form=bytes: as signed by root)"),
    TD_SEND("POST", "/api/v1/keysets", TD_MAY_MANAGE_USER, post_keyset, "A keyset signed offline by root"),
    TD_ROUTES_END,
};
