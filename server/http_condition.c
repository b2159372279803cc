/*
 * http_condition.c: the tag of an object is a hash of what a GET answers; a condition asks that GET again.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http_condition.h"

#include "core/crypto/crypto.h"
#include "server/routes.h"

#include <string.h>

#define TAGGED_BYTES_MAX ((size_t)1024 * 1024) /* longer answers are lists that nobody compares */
#define API_PREFIX "/api/v1/"

static void tag_of(const td_str *body, char out[TD_ETAG_SIZE])
{
    uint8_t digest[TD_DIGEST_SIZE];
    char hex[TD_DIGEST_TEXT];
    td_sha256_of(body->data, body->size, digest);
    td_hex_encode(digest, sizeof digest, hex);
    memcpy(out + 1, hex, TD_ETAG_SIZE - 3);
    out[0] = out[TD_ETAG_SIZE - 2] = '"';
    out[TD_ETAG_SIZE - 1] = 0;
}

/* One member of a list: [W/]"…"; returns what comes after it, or NULL when it is none. */
static const char *next_tag(const char *text, bool *weak_out, const char **tag_out, size_t *length_out)
{
    text += strspn(text, " \t,");
    *weak_out = strncmp(text, "W/", 2) == 0;
    text += *weak_out ? 2 : 0;
    const char *end = *text == '"' ? strchr(text + 1, '"') : NULL;
    if (!end) {
        return NULL;
    }
    *tag_out = text;
    *length_out = (size_t)(end + 1 - text);
    return end + 1;
}

bool td_etag_listed(const char *header, const char *tag, bool weak)
{
    if (strcmp(header + strspn(header, " \t"), "*") == 0) {
        return tag != NULL;
    }
    bool is_weak;
    const char *one;
    size_t length;
    for (const char *rest = next_tag(header, &is_weak, &one, &length); tag && rest;
         rest = next_tag(rest, &is_weak, &one, &length)) {
        if ((weak || !is_weak) && length == strlen(tag) && memcmp(one, tag, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_json_get(const td_route *route, const td_answer *answer)
{
    return strcmp(route->method, "GET") == 0 && strncmp(route->pattern, API_PREFIX, strlen(API_PREFIX)) == 0 &&
           answer->status == 200 && answer->fd < 0 && !answer->wait && answer->content_type &&
           strcmp(answer->content_type, "application/json") == 0 && answer->body.size <= TAGGED_BYTES_MAX;
}

/* The log's files are for caches, which ask again by tag. */
static bool is_log_file(const td_route *route, const td_answer *answer)
{
    return strncmp(route->pattern, TD_LOG_PREFIX, strlen(TD_LOG_PREFIX)) == 0 && answer->status == 200;
}

void td_condition_answer(td_request *request)
{
    td_answer *answer = &request->answer;
    if (!is_json_get(request->route, answer) && !is_log_file(request->route, answer)) {
        return;
    }
    char tag[TD_ETAG_SIZE];
    tag_of(&answer->body, tag);
    td_answer_header(request, "ETag", tag);
    if (request->if_none_match && td_etag_listed(request->if_none_match, tag, true)) {
        td_str_clear(&answer->body);
        answer->status = 304;
    }
}

bool td_condition_wanted(const td_request *request)
{
    return !request->condition_held && (request->if_match || request->if_none_match);
}

/* The GET of the longest beginning of the path that has one; `peek` gets its parameters. */
static const td_route *object_route(td_request *peek)
{
    for (; peek->target.segment_count > 2; peek->target.segment_count--) {
        const td_route *route = NULL;
        if (td_router_find(&td_server_router, "GET", TD_LISTENER_USERS, &peek->target, peek, &route, NULL) ==
                TD_MATCH_OK &&
            strncmp(route->pattern, API_PREFIX, strlen(API_PREFIX)) == 0) {
            return route;
        }
    }
    return NULL;
}

static td_code failed(td_request *request, td_err *err)
{
    request->problem_status = 412;
    request->problem_code = "precondition_failed";
    return request->if_match
               ? td_fail(err, TD_CONFLICT, "it was changed since you read it (If-Match); read it again, decide anew")
               : td_fail(err, TD_CONFLICT, "it is there already (If-None-Match)");
}

static td_code compare(td_request *request, td_request *peek, td_err *err)
{
    char tag[TD_ETAG_SIZE];
    td_code code = peek->route->handler(peek, err);
    if (code != TD_OK && code != TD_NOT_FOUND) {
        return code;
    }
    if (code == TD_OK && !is_json_get(peek->route, &peek->answer)) {
        return td_fail(err, TD_INVALID, "If-Match: %s has no ETag", peek->route->pattern);
    }
    if (code == TD_OK) {
        tag_of(&peek->answer.body, tag);
    }
    const char *now = code == TD_OK ? tag : NULL;
    bool held = request->if_match ? td_etag_listed(request->if_match, now, false)
                                  : !td_etag_listed(request->if_none_match, now, true);
    return held ? TD_OK : failed(request, err);
}

td_code td_condition_check(td_request *request, td_db *db, td_err *err)
{
    td_request peek = *request;
    peek.arena = (td_arena){0};
    peek.answer = (td_answer){.fd = -1};
    peek.body = NULL;
    peek.db = db;
    peek.target.pair_count = 0;
    peek.route = object_route(&peek);
    td_code code = peek.route ? compare(request, &peek, err)
                              : td_fail(err, TD_INVALID, "If-Match: nothing at this path has an ETag");
    td_answer_done(&peek.answer);
    td_arena_done(&peek.arena);
    request->condition_held = code == TD_OK;
    return code;
}
