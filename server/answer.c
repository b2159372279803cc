/*
 * answer.c: building the one answer of a request, and telling errors as problem details (RFC 9457).
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/idempotency.h"
#include "core/base/log.h"
#include "server/http_condition.h"
#include "server/internal.h"
#include "server/mlflow.h"
#include "server/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *status_title(int status)
{
    switch (status) {
    case 400:
        return "Bad request";
    case 401:
        return "Not logged in";
    case 403:
        return "Not allowed";
    case 404:
        return "Not found";
    case 405:
        return "Method not allowed";
    case 409:
        return "Conflict";
    case 412:
        return "Precondition failed";
    case 411:
        return "Length required";
    case 414:
        return "Target too long";
    case 413:
        return "Too large";
    case 415:
        return "Unsupported media type";
    case 416:
        return "Range not satisfiable";
    case 429:
        return "Too many requests";
    case 421:
        return "Misdirected request";
    case 422:
        return "Check failed";
    case 503:
        return "Try again later";
    default:
        return "Server error";
    }
}

void td_answer_done(td_answer *answer)
{
    td_str_done(&answer->body);
    if (answer->fd >= 0) {
        close(answer->fd);
    }
    *answer = (td_answer){.fd = -1};
}

/* Headers that the handler set already stay. */
static void drop_body(td_answer *answer)
{
    td_answer kept = {.fd = -1, .header_count = answer->header_count};
    memcpy(kept.headers, answer->headers, sizeof kept.headers);
    td_answer_done(answer);
    *answer = kept;
}

td_code td_answer_json(td_request *request, int status, json_t *json, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *owned = json;
    if (!owned) {
        return td_fail(err, TD_NOMEM, "no memory for the answer");
    }
    drop_body(&request->answer);
    TD_TRY(td_json_write(owned, &request->answer.body, err));
    td_str_add_char(&request->answer.body, '\n');
    TD_TRY(td_str_check(&request->answer.body, err));
    request->answer.status = status;
    request->answer.content_type = "application/json";
    return TD_OK;
}

td_code td_answer_bytes(td_request *request, int status, const char *content_type, td_str *body, td_err *err)
{
    TD_TRY(td_str_check(body, err));
    drop_body(&request->answer);
    request->answer.body = *body;
    *body = (td_str){0};
    request->answer.status = status;
    request->answer.content_type = content_type;
    return TD_OK;
}

void td_answer_file(td_request *request, int fd, uint64_t size, const char *content_type, const char *name)
{
    drop_body(&request->answer);
    request->answer.fd = fd;
    request->answer.fd_size = size;
    request->answer.ranges = true;
    request->answer.status = 200;
    request->answer.content_type = content_type;
    td_answer_header(request, "Content-Disposition", td_request_text(request, "attachment; filename=\"%s\"", name));
}

void td_answer_header(td_request *request, const char *name, const char *value)
{
    td_answer *answer = &request->answer;
    if (answer->header_count < TD_ANSWER_HEADERS_MAX) {
        const char *copy = td_arena_text(&request->arena, value);
        answer->headers[answer->header_count++] = (td_header){name, copy ? copy : ""};
    }
}

void td_answer_problem_status(td_request *request, int status, const char *code, const char *detail)
{
    if (request->mlflow) {
        td_answer_done(&request->answer);
        td_mlflow_problem(request, status, code, detail);
        return;
    }
    td_answer_done(&request->answer);
    TD_CLEANUP(td_json_done)
    json_t *problem = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", "about:blank", "title", status_title(status),
                                "status", status, "code", code, "detail", detail, "request_id", request->id);
    if (!problem) { /* the detail was cut inside a character */
        problem = json_pack("{s:s, s:i, s:s, s:s}", "title", status_title(status), "status", status, "code", code,
                            "request_id", request->id);
    }
    if (problem && request->field[0]) {
        (void)json_object_set_new(problem, "field", json_string(request->field));
    }
    td_err ignored;
    if (!problem || td_json_write(problem, &request->answer.body, &ignored) != TD_OK) {
        td_str_clear(&request->answer.body);
    }
    request->answer.status = status;
    request->answer.content_type = "application/problem+json";
}

/* What a list refuses of a page names it first (core/db/list.h). */
static void note_page_field(td_request *request, const td_err *err)
{
    static const char *const fields[] = {"filter", "order_by", "cursor", "limit"};
    for (size_t i = 0; i < TD_COUNT_OF(fields) && !request->field[0]; i++) {
        size_t length = strlen(fields[i]);
        if (strncmp(err->text, fields[i], length) == 0 && strchr(",: ", err->text[length])) {
            snprintf(request->field, sizeof request->field, "%s", fields[i]);
        }
    }
}

void td_answer_problem(td_request *request, const td_err *err)
{
    note_page_field(request, err);
    const td_code_info *info = td_code_lookup(err->code);
    td_answer_problem_status(request, request->problem_status ? request->problem_status : info->http_status,
                             request->problem_code ? request->problem_code : info->name, err->text);
    if (info->retry) {
        td_answer_header(request, "Retry-After", "1");
    }
}

/* ---- writing ---- */

typedef struct guarded_write {
    td_request *request;
    td_write_fn fn;
    void *context;
} guarded_write;

static td_idempotent idempotent_of(const td_request *request)
{
    td_idempotent out = {.actor = request->actor.name, .key = request->idempotency_key};
    memcpy(out.request_digest, request->request_digest, sizeof out.request_digest);
    return out;
}

td_code td_request_replay(td_request *request, td_db *db, td_err *err)
{
    TD_CLEANUP(td_idempotent_answer_done) td_idempotent_answer kept = {0};
    td_idempotent key = idempotent_of(request);
    td_code code = td_idempotency_find(db, &key, &kept, err);
    if (code == TD_CONFLICT) {
        request->problem_status = 422;
        request->problem_code = "idempotency_key_reused";
    }
    TD_TRY(code);
    td_answer_done(&request->answer);
    if (kept.location.size) {
        td_answer_header(request, "Location", td_str_text(&kept.location));
    }
    td_answer_header(request, "Idempotency-Replayed", "true");
    TD_TRY(td_answer_bytes(request, kept.status, "application/json", &kept.body, err));
    request->replayed = true;
    return TD_OK;
}

static const char *answer_location(const td_answer *answer)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        if (strcmp(answer->headers[i].name, "Location") == 0) {
            return answer->headers[i].value;
        }
    }
    return NULL;
}

static td_code keep_answer(td_request *request, td_db *db, td_err *err)
{
    const td_answer *answer = &request->answer;
    td_idempotent key = idempotent_of(request);
    if (answer->status == 0) {
        return td_fail(err, TD_INVALID, "Idempotency-Key: %s %s takes none", request->route->method,
                       request->route->pattern);
    }
    return td_idempotency_keep(db, &key, answer->status, answer_location(answer), &answer->body, err);
}

/* Two requests with one key meet here: the second finds what the first one left. */
static td_code write_once(const guarded_write *write, td_db *db, td_err *err)
{
    td_request *request = write->request;
    td_code code = td_request_replay(request, db, err);
    if (code != TD_NOT_FOUND) {
        return code;
    }
    TD_TRY(write->fn(db, write->context, err));
    return keep_answer(request, db, err);
}

static td_code write_guarded(td_db *db, void *context, td_err *err)
{
    const guarded_write *write = context;
    td_request *request = write->request;
    td_db *reading = request->db;
    request->db = db;
    request->writing = true;
    const char *before = td_log_request(request->id);
    td_code code = td_condition_wanted(request) ? td_condition_check(request, db, err) : TD_OK;
    if (code == TD_OK) {
        code = request->idempotency_key ? write_once(write, db, err) : write->fn(db, write->context, err);
    }
    (void)td_log_request(before);
    request->db = reading;
    request->writing = false;
    return code;
}

td_code td_request_write(td_request *request, td_write_fn fn, void *context, td_err *err)
{
    guarded_write write = {request, fn, context};
    if (request->server->read_only[0]) {
        request->problem_status = 409;
        request->problem_code = "read_only";
    }
    return td_server_write(request->server, write_guarded, &write, err);
}

td_code td_request_refresh(td_request *request, td_err *err)
{
    if (request->writing) {
        return TD_OK; /* the writer sees what it wrote */
    }
    td_db_read_end(request->db);
    return td_db_read_begin(request->db, err);
}

const char *td_request_query(const td_request *request, const char *name, const char *fallback)
{
    const char *value = td_target_query(&request->target, name);
    return value ? value : fallback;
}

td_code td_request_query_choice(td_request *request, const char *name, const char *const *choices,
                                const char *fallback, const char **out, td_err *err)
{
    const char *value = td_target_query(&request->target, name);
    TD_CLEANUP(td_str_done) td_str known = {0};
    for (size_t i = 0; value && choices[i]; i++) {
        if (strcmp(value, choices[i]) == 0) {
            *out = value;
            return TD_OK;
        }
        td_str_addf(&known, "%s %s", i ? "," : "", choices[i]);
    }
    if (value) {
        snprintf(request->field, sizeof request->field, "%s", name);
        return td_fail(err, TD_INVALID, "?%s=%.40s is not one of%s", name, value, td_str_text(&known));
    }
    *out = fallback;
    return TD_OK;
}

td_code td_request_query_name(td_request *request, const char *name, td_code (*check)(const char *text, td_err *err),
                              const char *fallback, const char **out, td_err *err)
{
    const char *value = td_request_query(request, name, fallback);
    if (value) {
        snprintf(request->field, sizeof request->field, "%s", name);
        TD_TRY(check(value, err));
        request->field[0] = 0;
    }
    *out = value;
    return TD_OK;
}

td_code td_request_query_int(td_request *request, const char *name, int64_t minimum, int64_t maximum, int64_t fallback,
                             int64_t *out, td_err *err)
{
    const char *value = td_target_query(&request->target, name);
    if (!value) {
        *out = fallback;
        return TD_OK;
    }
    snprintf(request->field, sizeof request->field, "%s", name);
    TD_TRY(td_parse_int(value, name, minimum, maximum, out, err));
    request->field[0] = 0;
    return TD_OK;
}

td_code td_request_page(td_request *request, int64_t limit_max, td_page *out, td_err *err)
{
    td_page page = {.filter = td_request_query(request, "filter", NULL),
                    .order = td_request_query(request, "order_by", NULL),
                    .cursor = td_request_query(request, "cursor", NULL)};
    TD_TRY(td_request_query_int(request, "limit", 1, limit_max, 0, &page.limit, err));
    *out = page;
    return TD_OK;
}

/* The validator's messages have the form `request body: files[0].name: is missing` or `request body: unknown key
 * "vesion"; …`. */
static void note_field(td_request *request, const char *text)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789_.[]";
    const char *start = strstr(text, ": ");
    start = start ? start + 2 : text;
    size_t length = strspn(start, alphabet);
    if (length == 0 || start[length] != ':') {
        start = strchr(text, '"');
        start = start ? start + 1 : "";
        length = strcspn(start, "\"");
    }
    if (length && length < sizeof request->field) {
        snprintf(request->field, sizeof request->field, "%.*s", (int)length, start);
    }
}

td_code td_request_check(td_request *request, const td_json_field *fields, td_err *err)
{
    td_code code = td_json_check(request->body, fields, "request body", NULL, err);
    if (code == TD_INVALID && err) {
        note_field(request, err->text);
    }
    return code;
}

const char *td_request_text(td_request *request, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *copy = length < 0 ? NULL : td_arena_text(&request->arena, text);
    return copy ? copy : "";
}
