/*
 * http_call.c: the life of one request: judge the headers, find out who asks, run the handler, or say why not.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/idempotency.h"
#include "core/base/log.h"
#include "server/denials.h"
#include "server/http.h"
#include "server/http_condition.h"
#include "server/internal.h"
#include "server/mlflow.h"
#include "server/metrics.h"
#include "server/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool refuse(td_call *call, int status, const char *code, const char *detail)
{
    td_answer_problem_status(&call->request, status, code, detail);
    call->refused = true;
    return false;
}

static bool refuse_err(td_call *call, const td_err *err)
{
    td_answer_problem(&call->request, err);
    call->refused = true;
    return false;
}

/* "name", "name:port", "[::1]:port" -> does it mean `host`? */
static bool host_is(const char *header, size_t length, const char *host)
{
    size_t name_length = length;
    const char *colon = memrchr(header, ':', length);
    if (colon && !memchr(colon, ']', length - (size_t)(colon - header))) {
        name_length = (size_t)(colon - header);
    }
    return strlen(host) == name_length && strncasecmp(header, host, name_length) == 0;
}

static bool host_in_list(const char *header, const char *list)
{
    while (*list) {
        size_t length = strcspn(list, ",");
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)(length < 255 ? length : 255), list);
        if (length && host_is(header, strlen(header), name)) {
            return true;
        }
        list += length + (list[length] == ',');
    }
    return false;
}

/* A page of somebody's own may not talk to us by a name that he points at 127.0.0.1 (DNS rebinding). */
static bool host_allowed(const td_call *call, const char *header)
{
    static const char *const local[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < TD_COUNT_OF(local); i++) {
        if (host_is(header, strlen(header), local[i])) {
            return true;
        }
    }
    const td_config *config = call->request.server->config;
    return host_is(header, strlen(header), td_listener_host(call->listener)) ||
           host_in_list(header, td_config_text(config, "http.hosts"));
}

static bool check_host(td_call *call)
{
    call->request.base_url = "http://localhost";
    if (td_listener_kind(call->listener) != TD_LISTENER_API) {
        return true;
    }
    const char *host = td_call_header(call, "Host");
    if (!host || !host_allowed(call, host)) {
        return refuse(call, 421, "wrong_host",
                      "the Host header names no address of this server; list further names in http.hosts");
    }
    const char *origin = td_call_header(call, "Origin");
    const char *slashes = origin ? strstr(origin, "://") : NULL;
    if (origin && (!slashes || strcasecmp(slashes + 3, host) != 0)) {
        return refuse(call, 403, "foreign_origin", "requests from pages of another origin are refused");
    }
    const char *port = strrchr(host, ':');
    if (port && port[1 + strspn(port + 1, "0123456789")] && !strchr(port, ']')) {
        return refuse(call, 400, "invalid", "the Host header's port is no number");
    }
    call->request.base_url =
        td_request_text(&call->request, "%s://%s", td_listener_tls(call->listener) ? "https" : "http", host);
    return true;
}

/* Where this request ends is in doubt, so nothing that follows on the connection is read as another one. */
static bool refuse_framing(td_call *call, const char *detail)
{
    refuse(call, 400, "invalid", detail);
    td_answer_header(&call->request, "Connection", "close");
    return false;
}

static bool check_length(td_call *call)
{
    const char *length = td_call_header(call, "Content-Length");
    const char *coding = td_call_header(call, "Transfer-Encoding");
    if (length && coding) {
        return refuse_framing(call, "Content-Length and Transfer-Encoding must not come together");
    }
    if (coding && (strcasecmp(coding, "chunked") != 0 || td_call_header_count(call, "Transfer-Encoding") > 1)) {
        return refuse_framing(call, "the only Transfer-Encoding that is taken here is \"chunked\", once");
    }
    if (td_call_header_count(call, "Content-Length") > 1 || td_call_header_count(call, "Host") > 1) {
        return refuse_framing(call, "Content-Length and Host may stand only once");
    }
    if (!length) {
        return true;
    }
    td_err err = {0};
    int64_t size;
    if (td_parse_int(length, "Content-Length", 0, INT64_MAX, &size, &err) != TD_OK) {
        return refuse_framing(call, td_request_text(&call->request, "%s", err.text));
    }
    bool stream = call->request.route->body == TD_BODY_STREAM;
    int64_t most =
        td_config_int(call->request.server->config, stream ? "http.upload_bytes_max" : "http.body_bytes_max");
    if (size > most) {
        return refuse(call, 413, "limit",
                      td_request_text(&call->request, "the body has %lld bytes; this route takes at most %lld (%s)",
                                      (long long)size, (long long)most,
                                      stream ? "http.upload_bytes_max" : "http.body_bytes_max"));
    }
    return true;
}

static bool find_route(td_call *call, const char *method)
{
    td_request *request = &call->request;
    TD_CLEANUP(td_str_done) td_str allowed = {0};
    td_match match = td_router_find(&td_server_router, method, td_listener_kind(call->listener), &request->target,
                                    request, &request->route, &allowed);
    if (match == TD_MATCH_NO_PATH) {
        return refuse(call, 404, "not_found", "there is no such route");
    }
    if (match == TD_MATCH_NO_METHOD) {
        refuse(call, 405, "method_not_allowed", td_request_text(request, "this path takes %s", td_str_text(&allowed)));
        td_answer_header(request, "Allow", td_str_text(&allowed));
        return false;
    }
    return true;
}

/* Of MLflow's clients a header names it; they also repeat keys of a query, which means nothing elsewhere. */
static bool refuse_rate(td_call *call, const char *whose, int64_t wait_ms)
{
    refuse(call, 429, "rate_limited",
           td_request_text(&call->request, "too many requests of this %s; the next one may come in %lld ms", whose,
                           (long long)wait_ms));
    td_answer_header(&call->request, "Retry-After",
                     td_request_text(&call->request, "%lld", (long long)(wait_ms + 999) / 1000));
    return false;
}

/* Whether the server lives may always be asked. */
static bool check_address_rate(td_call *call)
{
    td_request *request = &call->request;
    unsigned char address[16];
    int64_t wait_ms;
    size_t size = request->server->address_rate ? td_call_address(call, address) : 0;
    return size == 0 || strcmp(request->route->pattern, "/healthz") == 0 ||
           td_rate_take(request->server->address_rate, address, size, request->started_ms, &wait_ms) ||
           refuse_rate(call, "address", wait_ms);
}

static bool check_token_rate(td_call *call)
{
    td_request *request = &call->request;
    int64_t token_id = request->principal.token_id, wait_ms;
    return token_id == 0 || request->stream.open ||
           td_rate_take(request->server->token_rate, &token_id, sizeof token_id, request->started_ms, &wait_ms) ||
           refuse_rate(call, "token", wait_ms);
}

static bool find_project(td_call *call)
{
    td_request *request = &call->request;
    td_err err = {0};
    if (request->mlflow) {
        return td_mlflow_project(td_call_header(call, TD_MLFLOW_WORKSPACE), &request->project, &err) == TD_OK ||
               refuse_err(call, &err);
    }
    if (request->target.repeated) {
        return refuse(call, 400, "invalid",
                      td_request_text(request, "the query names \"%.40s\" twice", request->target.repeated));
    }
    return td_request_query_name(request, "project", td_project_name_check, TD_PROJECT_DEFAULT, &request->project,
                                 &err) == TD_OK ||
           refuse_err(call, &err);
}

/* The headers that make a request conditional or repeatable; each may stand once. */
static bool read_conditions(td_call *call)
{
    td_request *request = &call->request;
    const char **wanted[] = {&request->if_match, &request->if_none_match, &request->idempotency_key};
    request->last_event_id = td_call_header(call, "Last-Event-ID");
    static const char *const names[] = {"If-Match", "If-None-Match", "Idempotency-Key"};
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        *wanted[i] = td_call_header(call, names[i]);
        if (*wanted[i] && td_call_header_count(call, names[i]) > 1) {
            return refuse(call, 400, "invalid", td_request_text(request, "%s may stand only once", names[i]));
        }
    }
    if (strcmp(request->route->method, "POST") != 0 || request->route->body != TD_BODY_JSON) {
        request->idempotency_key = NULL; /* the others do no harm when sent twice */
    }
    td_err err = {0};
    return !request->idempotency_key || td_idempotency_key_check(request->idempotency_key, &err) == TD_OK ||
           refuse_err(call, &err);
}

/* A proxy or a client that has a number for the request already may name it; anything but a plain word is ignored. */
static void take_request_id(td_call *call)
{
    static const char plain[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.";
    const char *id = td_call_header(call, "X-Request-Id");
    size_t length = id ? strspn(id, plain) : 0;
    if (id && id[length] == 0 && length >= TD_REQUEST_ID_MIN && length < sizeof call->request.id &&
        td_listener_kind(call->listener) != TD_LISTENER_DEVICE && td_call_header_count(call, "X-Request-Id") == 1) {
        memcpy(call->request.id, id, length + 1);
    }
}

bool td_call_begin(td_call *call, const char *method)
{
    td_request *request = &call->request;
    take_request_id(call);
    if (call->target_too_long) {
        return refuse(call, 414, "limit", "the request target is too long");
    }
    td_err err = {0};
    if (td_target_parse(call->raw_target, &request->arena, &request->target, &err) != TD_OK) {
        return refuse_err(call, &err);
    }
    return check_host(call) && find_project(call) && find_route(call, method) && check_address_rate(call) &&
           check_length(call) && read_conditions(call);
}

/* ---- who ---- */

/* For the audit log; actor NULL: nobody was authenticated. */
static void note_refusal(td_call *call, const td_actor *actor)
{
    char peer[64], what[128];
    td_call_peer(call, peer);
    snprintf(what, sizeof what, "%s %s", call->request.route->method, call->request.route->pattern);
    td_denials_note(call->request.server->denials, actor, peer, what);
}

static bool refuse_login(td_call *call, const char *detail)
{
    note_refusal(call, NULL);
    refuse(call, 401, "unauthenticated", detail);
    td_answer_header(&call->request, "WWW-Authenticate", "Bearer realm=\"tidemark\"");
    return false;
}

static bool log_in(td_call *call, td_db *db)
{
    td_request *request = &call->request;
    if (td_listener_kind(call->listener) == TD_LISTENER_ADMIN) {
        td_access_local(td_call_uid(call), &request->principal);
        return true;
    }
    td_err err = {0};
    td_code code = td_access_log_in(db, td_call_header(call, "Authorization"), &request->principal, &err);
    if (code == TD_DENIED) {
        return refuse_login(call, err.text);
    }
    return code == TD_OK || refuse_err(call, &err);
}

static bool check_permission(td_call *call)
{
    td_request *request = &call->request;
    request->actor = (td_actor){request->principal.kind,
                                request->principal.user_id,
                                request->principal.name,
                                request->principal.authentication,
                                "",
                                request->id};
    if (request->route->access == TD_ROUTE_LOGIN) {
        return true;
    }
    td_err err = {0};
    td_permission permission = (td_permission)(request->route->access - 1);
    if (td_access_check(&request->principal, request->project, permission, request->id, &request->actor, &err) ==
        TD_OK) {
        return true;
    }
    note_refusal(call, &request->actor);
    return refuse_err(call, &err);
}

bool td_call_authorize(td_call *call, td_db *db)
{
    td_request *request = &call->request;
    if (request->logged_in || request->route->access == TD_ROUTE_PUBLIC || td_metrics_open(call) ||
        td_log_open(request, td_listener_kind(call->listener))) {
        return true;
    }
    if (!log_in(call, db) || !check_token_rate(call) || !check_permission(call)) {
        return false;
    }
    request->logged_in = true;
    return true;
}

/* ---- work ---- */

static bool read_body(td_call *call)
{
    td_request *request = &call->request;
    if (request->route->body != TD_BODY_JSON || request->body) {
        return true;
    }
    const char *type = td_call_header(call, "Content-Type");
    if (call->body.size && type && strncasecmp(type, "application/json", 16) != 0) {
        return refuse(call, 415, "unsupported_media_type", "this route takes application/json");
    }
    td_err err = {0};
    const char *text = call->body.size ? call->body.data : "{}";
    size_t size = call->body.size ? call->body.size : 2;
    if (td_json_parse(text, size, "request body", &request->body, &err) != TD_OK) {
        return refuse_err(call, &err);
    }
    if (!json_is_object(request->body)) {
        return refuse(call, 400, "invalid", "request body: a JSON object is expected");
    }
    return true;
}

static bool finish_piece(td_call *call)
{
    td_request *request = &call->request;
    td_err err = {0};
    td_code code = td_partial_end(call->partial, &request->upload, &request->upload_whole, &err);
    td_partial_free(&call->partial);
    return code == TD_OK || refuse_err(call, &err);
}

static bool finish_upload(td_call *call)
{
    td_request *request = &call->request;
    if (call->partial) {
        return finish_piece(call);
    }
    if (!call->put) {
        return true;
    }
    td_err err = {0};
    const char *expected_text = td_target_query(&request->target, "digest");
    uint8_t expected[TD_DIGEST_SIZE];
    if (expected_text && td_digest_parse(expected_text, expected, &err) != TD_OK) {
        return refuse_err(call, &err);
    }
    td_code code = td_content_put_finish(call->put, expected_text ? expected : NULL, request->upload_digest,
                                         &request->upload_size, &err);
    td_content_put_free(&call->put);
    return code == TD_OK || refuse_err(call, &err);
}

/* True: this request was answered before, and is now answered alike (or refused). */
static bool replay(td_call *call, td_db *db)
{
    td_request *request = &call->request;
    if (!request->idempotency_key) {
        return false;
    }
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    td_err err = {0};
    td_code code = td_sha256_new(&hash, &err);
    if (code == TD_OK) {
        td_sha256_update(hash, request->route->method, strlen(request->route->method) + 1);
        td_sha256_update(hash, call->raw_target, strlen(call->raw_target) + 1);
        td_sha256_update(hash, td_str_text(&call->body), call->body.size);
        td_sha256_final(hash, request->request_digest);
        code = td_request_replay(request, db, &err);
    }
    if (code == TD_OK || code == TD_NOT_FOUND) {
        return code == TD_OK;
    }
    td_answer_problem(request, &err);
    return true;
}

static td_code touch_token(td_db *db, void *context, td_err *err)
{
    return td_token_touch(db, *(int64_t *)context, err);
}

static void touched(void *context, td_code code, const td_err *err)
{
    (void)code;
    (void)err;
    free(context);
}

/* "Last used" of a token, to the minute; nobody waits for it. */
static void note_token(td_request *request)
{
    if (!request->logged_in || !td_token_wants_touch(&request->principal, td_now_ms(request->server->clock))) {
        return;
    }
    int64_t *token_id = malloc(sizeof *token_id);
    if (!token_id) {
        return;
    }
    *token_id = request->principal.token_id;
    td_err err;
    if (td_writer_post(request->server->writer, touch_token, token_id, touched, &err) != TD_OK) {
        free(token_id);
    }
}

static void log_answer(const td_request *request, const td_err *err)
{
    if (request->answer.status >= 500 && request->answer.status != 503) {
        td_log_err(TD_LOG_ERROR, "http", request->route->pattern, err);
    }
}

/* A stream lives as long as its token; a server that stops ends it. */
static void work_stream(td_call *call, td_db *db)
{
    td_request *request = &call->request;
    td_err err = {0};
    request->db = db;
    request->logged_in = false;
    request->answer.wait = false;
    td_code code = TD_BUSY;
    if (!atomic_load(&request->server->stopping) && td_call_authorize(call, db)) {
        code = td_db_read_begin(db, &err);
    }
    if (code == TD_OK) {
        code = request->route->handler(request, &err);
        td_db_read_end(db);
    }
    request->expired = false;
    if (code != TD_OK) {
        request->stream.closed = true;
        request->answer.wait = false;
    }
}

void td_call_work(td_call *call, td_db *db)
{
    td_request *request = &call->request;
    td_err err = {0};
    if (request->stream.open) {
        work_stream(call, db);
        return;
    }
    request->db = db;
    if (!finish_upload(call)) {
        return;
    }
    td_code code = td_db_read_begin(db, &err); /* who asks, and what he asks for, are read from one state */
    if (code == TD_OK) {
        if (!td_call_authorize(call, db) || !read_body(call) || replay(call, db)) {
            td_db_read_end(db);
            return;
        }
        request->answer.wait = false;
        code = request->route->handler(request, &err);
        td_db_read_end(db);
    }
    note_token(request);
    if (code == TD_DENIED && request->route->access < 0) { /* public or login: the handler itself decided */
        note_refusal(call, request->logged_in ? &request->actor : NULL);
    }
    if (code != TD_OK && request->stream.open) { /* it did not even begin */
        request->stream.open = false;
        atomic_fetch_sub(&request->server->streams, 1);
    }
    if (code != TD_OK) {
        td_answer_problem(request, &err);
    } else if (!request->answer.wait && request->answer.status == 0) {
        td_answer_problem_status(request, 500, "internal", "the route gave no answer");
    }
    td_condition_answer(request);
    log_answer(request, &err);
}
