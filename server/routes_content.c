/*
 * routes_content.c: bytes in by streaming, bytes out by their digest.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "core/base/fs.h"
#include "server/routes.h"
#include "server/usecase.h"

#include <string.h>

typedef struct arrival {
    td_request *request;
    const uint8_t *digest;
} arrival;

static td_code write_arrival(td_db *db, void *context, td_err *err)
{
    const arrival *write = context;
    TD_TRY(td_request_recheck(db, write->request, err));
    return td_project_content_add(db, write->request->project, write->digest, err);
}

td_code td_request_own_content(td_request *request, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    bool known;
    arrival write = {request, digest};
    TD_TRY(td_project_content_has(request->db, request->project, digest, &known, err));
    return known ? TD_OK : td_request_write(request, write_arrival, &write, err);
}

static td_code post_upload(td_request *request, td_err *err)
{
    char label[TD_DIGEST_LABEL_SIZE];
    td_digest_format(request->upload_digest, label);
    TD_TRY(td_request_own_content(request, request->upload_digest, err));
    return td_answer_json(request, 201,
                          json_pack("{s:s, s:I}", "digest", label, "size", (json_int_t)request->upload_size), err);
}

/* Content of others is not there, whoever knows its digest. */
static td_code find_content(td_request *request, uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    bool visible;
    const char *text = request->parameters[0];
    TD_TRY(td_digest_parse(text, digest, err));
    TD_TRY(td_content_visible(request->db, request->project, digest, &visible, err));
    return visible ? TD_OK
                   : td_fail(err, TD_NOT_FOUND, "project %s has no content sha256:%.16s…", request->project,
                             text + (strncmp(text, "sha256:", 7) == 0 ? 7 : 0));
}

static td_code get_content(td_request *request, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    char name[TD_DIGEST_TEXT];
    int fd;
    uint64_t size;
    TD_TRY(find_content(request, digest, err));
    TD_TRY(td_content_get(request->server->content, digest, &fd, &size, err));
    td_hex_encode(digest, sizeof digest, name);
    td_answer_file(request, fd, size, "application/octet-stream", name);
    td_answer_header(request, "ETag", td_request_text(request, "\"%s\"", name));
    return TD_OK;
}

static td_code check_plain_name(const char *name, td_err *err)
{
    return td_check_file_name(name, strlen(name), err);
}

/* What a file says of itself, before it is registered. */
static td_code inspect_content(td_request *request, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    const char *name;
    json_t *json;
    TD_TRY(td_request_query_name(request, "name", check_plain_name, "file", &name, err));
    TD_TRY(find_content(request, digest, err));
    td_case work = td_request_case(request);
    TD_TRY(td_look_json(&work, name, digest, &json, err));
    return td_answer_json(request, 200, json, err);
}

/* ---- resumable uploads ---- */

static td_code answer_session(td_request *request, int status, const td_partial_facts *facts, bool whole, td_err *err)
{
    char label[TD_DIGEST_LABEL_SIZE], expires[32];
    td_digest_format(facts->digest, label);
    td_format_time(facts->expires_ms, expires);
    td_answer_header(request, "Upload-Offset", td_request_text(request, "%llu", (unsigned long long)facts->offset));
    td_answer_header(request, "Upload-Length", td_request_text(request, "%llu", (unsigned long long)facts->size));
    return td_answer_json(request, status,
                          json_pack("{s:s, s:s, s:I, s:I, s:b, s:s}", "id", facts->id, "digest", label, "size",
                                    (json_int_t)facts->size, "offset", (json_int_t)facts->offset, "complete", whole,
                                    "expires_at", expires),
                          err);
}

static td_code post_session(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "digest", .type = TD_JSON_STRING, .required = true, .minimum = 64, .maximum = 71},
        {.name = "size", .type = TD_JSON_INTEGER, .required = true, .minimum = 1, .maximum = 1e15},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    uint8_t digest[TD_DIGEST_SIZE];
    td_partial_facts facts;
    bool fresh;
    TD_TRY(td_digest_parse(td_json_text(request->body, "digest", ""), digest, err));
    TD_TRY(td_partial_announce(request->server->partials, request->principal.name, digest,
                               (uint64_t)td_json_int(request->body, "size", 0), &facts, &fresh, err));
    td_answer_header(request, "Location", td_request_text(request, "/api/v1/upload-sessions/%s", facts.id));
    return answer_session(request, fresh ? 201 : 200, &facts, false, err);
}

static td_code get_session(td_request *request, td_err *err)
{
    td_partial_facts facts;
    TD_TRY(td_partial_look(request->server->partials, request->principal.name, request->parameters[0], &facts, err));
    return answer_session(request, 200, &facts, false, err);
}

static td_code patch_session(td_request *request, td_err *err)
{
    if (request->upload_whole) {
        TD_TRY(td_request_own_content(request, request->upload.digest, err));
    }
    return answer_session(request, 200, &request->upload, request->upload_whole, err);
}

static td_code delete_session(td_request *request, td_err *err)
{
    TD_TRY(td_partial_drop(request->server->partials, request->principal.name, request->parameters[0], err));
    return td_answer_json(request, 200, json_pack("{s:s, s:b}", "id", request->parameters[0], "deleted", 1), err);
}

const td_route td_routes_content[] = {
    {"POST", "/api/v1/uploads", TD_ROUTE_MAY(TD_MAY_REGISTER), TD_LISTENER_USERS, TD_BODY_STREAM, post_upload,
     "Bytes in; answers their digest (?digest= is checked)"},
    TD_SEND("POST", "/api/v1/upload-sessions", TD_MAY_REGISTER, post_session,
            "Announce a resumable upload, or find it again"),
    TD_GET("/api/v1/upload-sessions/{upload}", TD_MAY_REGISTER, get_session, "Where it stands (HEAD: Upload-Offset)"),
    {"PATCH", "/api/v1/upload-sessions/{upload}", TD_ROUTE_MAY(TD_MAY_REGISTER), TD_LISTENER_USERS, TD_BODY_STREAM,
     patch_session, "The bytes from Upload-Offset on"},
    {"DELETE", "/api/v1/upload-sessions/{upload}", TD_ROUTE_MAY(TD_MAY_REGISTER), TD_LISTENER_USERS, TD_BODY_NONE,
     delete_session, "Give it up"},
    TD_GET("/api/v1/content/{digest}", TD_MAY_READ, get_content, "Bytes out; Range is honoured"),
    TD_GET("/api/v1/content/{digest}/inspection", TD_MAY_READ, inspect_content,
           "What the file says of itself, read as ?name="),
    TD_ROUTES_END,
};
