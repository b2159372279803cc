/*
 * routes_content.c: bytes in by streaming, bytes out by their digest.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/routes.h"

#include <stdio.h>

static td_code post_upload(td_request *request, td_err *err)
{
    char label[TD_DIGEST_LABEL_SIZE];
    td_digest_format(request->upload_digest, label);
    return td_answer_json(request, 201,
                          json_pack("{s:s, s:I}", "digest", label, "size", (json_int_t)request->upload_size), err);
}

static td_code get_content(td_request *request, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    char name[TD_DIGEST_TEXT];
    TD_TRY(td_digest_parse(request->parameters[0], digest, err));
    int fd;
    uint64_t size;
    TD_TRY(td_content_get(request->server->content, digest, &fd, &size, err));
    td_hex_encode(digest, sizeof digest, name);
    td_answer_file(request, fd, size, "application/octet-stream", name);
    td_answer_header(request, "ETag", td_request_text(request, "\"%s\"", name));
    return TD_OK;
}

const td_route td_routes_content[] = {
    {"POST", "/api/v1/uploads", TD_ROUTE_MAY(TD_MAY_REGISTER), TD_LISTENER_USERS, TD_BODY_STREAM, post_upload,
     "Bytes in; answers their digest (?digest= is checked)"},
    TD_GET("/api/v1/content/{digest}", TD_MAY_READ, get_content, "Bytes out; Range is honoured"),
    TD_ROUTES_END,
};
