/*
 * routes_version.c: the life of a version: register, derive, submit, approve, reject, move; manifest, files, bundle.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "claims/claims.h"
#include "server/routes.h"

#include <string.h>

#define PROOF_WAIT_MS 5000 /* for a checkpoint that covers the approval */

static td_code show_version(td_request *request, int status, const char *reference, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *version = NULL;
    TD_TRY(td_version_json(request->db, request->project, reference, &version, err));
    TD_TRY(td_claims_complete(request->db, request->project, version, err));
    return td_answer_json(request, status, json_incref(version), err);
}

static td_code answer_version(td_request *request, int status, const char *reference, td_err *err)
{
    TD_TRY(td_request_refresh(request, err));
    return show_version(request, status, reference, err);
}

typedef struct registering {
    td_request *request;
    td_registration registration;
} registering;

static td_code answer_registered(td_db *db, void *context, int64_t number, td_err *err)
{
    registering *made = context;
    const char *model = made->registration.model;
    (void)db;
    td_answer_header(made->request, "Location",
                     td_request_text(made->request, "/api/v1/models/%s/versions/%lld", model, (long long)number));
    return td_answer_json(made->request, 201,
                          json_pack("{s:s, s:I, s:s, s:O}", "model", model, "version", (json_int_t)number, "state",
                                    "draft", "warnings", made->registration.warnings),
                          err);
}

static td_code register_version(td_request *request, td_err *err)
{
    td_case work = td_request_case(request);
    registering made = {.request = request};
    td_registered registered = {.number = 0};
    TD_TRY(td_registration_read(&work, request->body, &made.registration, err));
    made.registration.model = request->parameters[0];
    made.registration.also = answer_registered;
    made.registration.also_context = &made;
    TD_TRY(td_register(&work, &made.registration, &registered, err));
    json_decref(registered.warnings);
    return TD_OK;
}

static td_code answer_derived(td_db *db, void *context, int64_t number, td_err *err)
{
    registering *made = context;
    const td_registration *registration = &made->registration;
    (void)db;
    td_answer_header(
        made->request, "Location",
        td_request_text(made->request, "/api/v1/models/%s/versions/%lld", registration->model, (long long)number));
    return td_answer_json(made->request, 201,
                          json_pack("{s:s, s:I, s:s, s:s, s:O, s:O}", "model", registration->model, "version",
                                    (json_int_t)number, "state", "draft", "parent", registration->parent, "left_out",
                                    registration->left_out, "warnings", registration->warnings),
                          err);
}

static td_code derive_version(td_request *request, td_err *err)
{
    td_case work = td_request_case(request);
    registering made = {.request = request};
    td_registered registered = {.number = 0};
    const json_t *without;
    const char *reference;
    TD_TRY(td_derivation_read(&work, request->body, &made.registration, &without, err));
    TD_TRY(td_request_reference(request, &reference, err));
    made.registration.also = answer_derived;
    made.registration.also_context = &made;
    TD_TRY(td_derive(&work, reference, without, &made.registration, &registered, err));
    json_decref(registered.warnings);
    return TD_OK;
}

static td_code get_version(td_request *request, td_err *err)
{
    const char *reference;
    TD_TRY(td_request_reference(request, &reference, err));
    return show_version(request, 200, reference, err);
}

typedef struct version_write {
    td_request *request;
    const char *reference, *reason;
    td_version_state to;
    td_version_edit edit;
} version_write;

/* ---- edit, submit, reject, move ---- */

static td_code write_edit(td_db *db, void *context, td_err *err)
{
    const version_write *write = context;
    return td_version_update(db, &write->request->actor, write->request->project, write->reference, &write->edit, err);
}

static td_code change_version(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "description", .type = TD_JSON_STRING},
        {.name = "metrics", .type = TD_JSON_OBJECT},
        {.name = "params", .type = TD_JSON_OBJECT},
        {.name = "tags", .type = TD_JSON_OBJECT},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    version_write write = {.request = request};
    write.edit =
        (td_version_edit){td_json_text(request->body, "description", NULL), json_object_get(request->body, "metrics"),
                          json_object_get(request->body, "params"), json_object_get(request->body, "tags")};
    TD_TRY(td_request_reference(request, &write.reference, err));
    TD_TRY(td_request_write(request, write_edit, &write, err));
    return answer_version(request, 200, write.reference, err);
}

static td_code submit_version(td_request *request, td_err *err)
{
    const char *reference, *reason;
    td_case work = td_request_case(request);
    TD_TRY(td_request_reason(request, false, &reason, err));
    TD_TRY(td_request_reference(request, &reference, err));
    TD_TRY(td_submit(&work, reference, reason, err));
    return answer_version(request, 200, reference, err);
}

static td_code write_reject(td_db *db, void *context, td_err *err)
{
    const version_write *write = context;
    return td_version_reject(db, &write->request->actor, write->request->project, write->reference, write->reason, err);
}

static td_code reject_version(td_request *request, td_err *err)
{
    version_write write = {.request = request};
    TD_TRY(td_request_reason(request, true, &write.reason, err));
    TD_TRY(td_request_reference(request, &write.reference, err));
    TD_TRY(td_request_write(request, write_reject, &write, err));
    return answer_version(request, 200, write.reference, err);
}

static td_code write_move(td_db *db, void *context, td_err *err)
{
    const version_write *write = context;
    return td_version_move(db, &write->request->actor, write->request->project, write->reference, write->to,
                           write->reason, err);
}

static td_code move_version(td_request *request, td_err *err)
{
    static const char *const states[] = {"deprecated", "retired", NULL};
    static const td_json_field fields[] = {
        {.name = "to", .type = TD_JSON_STRING, .required = true, .choices = states},
        {.name = "reason", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    version_write write = {.request = request, .reason = td_json_text(request->body, "reason", "")};
    int to;
    TD_TRY(td_states_parse(&td_version_states, td_json_text(request->body, "to", ""), &to, err));
    write.to = (td_version_state)to;
    TD_TRY(td_request_reference(request, &write.reference, err));
    TD_TRY(td_request_write(request, write_move, &write, err));
    return answer_version(request, 200, write.reference, err);
}

/* ---- approval ---- */

static td_code approve_version(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "key_id", .type = TD_JSON_STRING, .required = true, .minimum = 32, .maximum = 32},
        {.name = "signature", .type = TD_JSON_STRING, .required = true, .minimum = 128, .maximum = 128},
        {.name = "reason", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_REASON_BODY_MAX},
        {.name = "statement", .type = TD_JSON_OBJECT},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    const char *reference, *key = td_json_text(request->body, "key_id", ""),
                           *signature = td_json_text(request->body, "signature", "");
    td_approval approval = {.reason = td_json_text(request->body, "reason", "")};
    TD_TRY(td_hex_decode(key, strlen(key), approval.key_id, sizeof approval.key_id, err));
    TD_TRY(td_hex_decode(signature, strlen(signature), approval.signature, sizeof approval.signature, err));
    TD_TRY(td_request_reference(request, &reference, err));
    td_case work = td_request_case(request);
    td_version_state state;
    TD_TRY(td_approve(&work, reference, &approval, json_object_get(request->body, "statement"), &state, err));
    return answer_version(request, 201, reference, err);
}

/* Against ?from=, any reference; else against what it was made from, or the version before it. */
static td_code get_diff(td_request *request, td_err *err)
{
    const char *to, *from = td_request_query(request, "from", NULL);
    td_version version;
    json_t *diff;
    TD_TRY(td_request_reference(request, &to, err));
    if (!from) {
        TD_TRY(td_version_find(request->db, request->project, to, &request->arena, &version, err));
        if (!version.parent && version.number == 1) {
            return td_fail(err, TD_NOT_FOUND, "%s is the first one and was made from none: say which to compare with",
                           version.label);
        }
        from = version.parent ? version.parent
                              : td_request_text(request, "%s/%lld", version.model, (long long)version.number - 1);
    }
    td_case work = td_request_case(request);
    TD_TRY(td_compare(&work, from, to, &diff, err));
    return td_answer_json(request, 200, diff, err);
}

/* The bytes that an approver signs, exactly; what they say is in X-Manifest-Digest and the version's JSON. */
static td_code get_manifest(td_request *request, td_err *err)
{
    static const char *const forms[] = {"json", "bytes", NULL};
    const char *reference, *form;
    td_version version;
    TD_TRY(td_request_query_choice(request, "form", forms, "bytes", &form, err));
    TD_TRY(td_request_reference(request, &reference, err));
    TD_TRY(td_version_find(request->db, request->project, reference, &request->arena, &version, err));
    if (!version.manifest) {
        return td_fail(err, TD_CONFLICT, "version %s is a draft and has no manifest yet; submit it first",
                       version.label);
    }
    if (strcmp(form, "json") == 0) {
        json_t *json;
        TD_TRY(td_manifest_json(version.manifest, version.manifest_size, &json, err));
        return td_answer_json(request, 200, json, err);
    }
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_str_append(&bytes, version.manifest, version.manifest_size);
    char label[TD_DIGEST_LABEL_SIZE];
    td_digest_format(version.manifest_digest, label);
    TD_TRY(td_answer_bytes(request, 200, TD_MANIFEST_TYPE, &bytes, err));
    td_answer_header(request, "X-Manifest-Digest", label);
    return TD_OK;
}

/* ---- files and bundle ---- */

static const char *base_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* By its full name ("model/pump.onnx") or, if only one file has it, by its last part. */
static const td_version_file *find_file(const td_version_file *files, size_t count, const char *name)
{
    const td_version_file *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i].name, name) == 0) {
            return &files[i];
        }
        if (strcmp(base_name(files[i].name), name) == 0) {
            found = found ? NULL : &files[i];
        }
    }
    return found;
}

static td_code get_file(td_request *request, td_err *err)
{
    const char *reference, *name = request->parameters[2];
    td_version version;
    td_version_file *files;
    size_t count;
    TD_TRY(td_request_reference(request, &reference, err));
    TD_TRY(td_version_find(request->db, request->project, reference, &request->arena, &version, err));
    TD_TRY(td_version_files(request->db, version.version_id, &request->arena, &files, &count, err));
    const td_version_file *file = find_file(files, count, name);
    if (!file) {
        return td_fail(err, TD_NOT_FOUND, "version %s has no file \"%.100s\"", version.label, name);
    }
    int fd;
    uint64_t size;
    TD_TRY(td_content_get(request->server->content, file->digest, &fd, &size, err));
    td_answer_file(request, fd, size, "application/octet-stream", base_name(file->name));
    char label[TD_DIGEST_LABEL_SIZE];
    td_digest_format(file->digest, label);
    td_answer_header(request, "X-Content-Digest", label);
    td_answer_header(request, "ETag", td_request_text(request, "\"%s\"", label + 7));
    return TD_OK;
}

static td_code get_bundle(td_request *request, td_err *err)
{
    const char *reference;
    td_version version;
    td_case work = td_request_case(request);
    TD_TRY(td_request_reference(request, &reference, err));
    TD_TRY(td_version_find(request->db, request->project, reference, &request->arena, &version, err));
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size;
    int fd;
    td_code code = td_export_version(&work, &version, digest, &size, err);
    if (code == TD_BUSY && !request->expired) { /* the approval's proof comes with the next checkpoint */
        request->answer.wait = true;
        request->answer.wait_until_ms = request->started_ms + PROOF_WAIT_MS;
        return TD_OK;
    }
    TD_TRY(code);
    TD_TRY(td_content_get(request->server->content, digest, &fd, &size, err));
    td_answer_file(request, fd, size, "application/x-tar",
                   td_request_text(request, "%s-%lld.tidemark.tar", version.model, (long long)version.number));
    char label[TD_DIGEST_LABEL_SIZE];
    td_digest_format(digest, label);
    td_answer_header(request, "X-Content-Digest", label);
    return TD_OK;
}

#define VERSION "/api/v1/models/{model}/versions/{version}"

const td_route td_routes_version[] = {
    TD_SEND("POST", "/api/v1/models/{model}/versions", TD_MAY_REGISTER, register_version, "Register a version"),
    TD_POINT(VERSION, TD_MAY_READ, get_version, "One version, by number or @alias"),
    TD_SEND("PATCH", VERSION, TD_MAY_REGISTER, change_version, "Edit a draft"),
    TD_SEND("POST", VERSION "/submit", TD_MAY_REGISTER, submit_version, "Pack and freeze"),
    TD_GET(VERSION "/diff", TD_MAY_READ, get_diff, "What differs from ?from= (else from what it was made from)"),
    TD_SEND("POST", VERSION "/derive", TD_MAY_REGISTER, derive_version, "A draft without the files that hold pickles"),
    TD_GET(VERSION "/manifest", TD_MAY_READ, get_manifest, "The bytes that approvers sign (?form=json for people)"),
    TD_SEND("POST", VERSION "/approvals", TD_MAY_APPROVE, approve_version, "Approve by a signature"),
    TD_SEND("POST", VERSION "/reject", TD_MAY_APPROVE, reject_version, "Turn down"),
    TD_SEND("POST", VERSION "/move", TD_MAY_MANAGE_ALIAS, move_version, "Deprecate or retire"),
    TD_GET(VERSION "/files/{name...}", TD_MAY_READ, get_file, "One file"),
    TD_GET(VERSION "/bundle", TD_MAY_READ, get_bundle, "Bundle and what proves it, as one tar"),
    TD_ROUTES_END,
};
