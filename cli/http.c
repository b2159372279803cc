/*
 * http.c: one libcurl handle, used for every call of the invocation, so that connections are kept alive.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/http_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

#define ANSWER_MAX ((size_t)64 * 1024 * 1024)
#define CALL_TIMEOUT_MS 60000
#define STALL_SECONDS 60L /* a transfer that moves less than a byte a second for so long has failed */

void td_http_close(td_http **http)
{
    if (*http != NULL) {
        if ((*http)->curl != NULL) {
            curl_easy_cleanup((*http)->curl);
        }
        td_arena_done(&(*http)->arena);
        free(*http);
        *http = NULL;
    }
}

td_code td_cli__make_http(td_cli *cli, td_http **out, td_err *err)
{
    if (cli->http == NULL) {
        cli->http = calloc(1, sizeof *cli->http);
    }
    *out = cli->http;
    return cli->http == NULL ? td_fail(err, TD_NOMEM, "no memory for the HTTP client") : TD_OK;
}

void td_cli_prefer_socket(td_cli *cli)
{
    td_http *http;
    if (td_cli__make_http(cli, &http, NULL) == TD_OK) {
        http->prefer_socket = true;
    }
}

/* Address and token outlive the invocation's arena, which long-running commands empty. */
static td_code keep_texts(td_http *http, td_err *err)
{
    const char **texts[] = {&http->base, &http->socket, &http->ca, &http->header};
    for (size_t i = 0; i < TD_COUNT_OF(texts); i++) {
        const char *copy = td_arena_text(&http->arena, *texts[i]);
        if (copy == NULL && *texts[i] != NULL) {
            return td_fail(err, TD_NOMEM, "no memory for the HTTP client");
        }
        *texts[i] = copy;
    }
    return TD_OK;
}

td_code td_cli__http(td_cli *cli, td_http **out, td_err *err)
{
    TD_TRY(td_cli__make_http(cli, out, err));
    td_http *http = *out;
    if (http->ready) {
        return TD_OK;
    }
    if (!http->located) {
        TD_TRY(td_cli__locate(cli, http, err));
    }
    TD_TRY(keep_texts(http, err));
    TD_TRY(td_curl_load(err));
    http->curl = curl_easy_init();
    if (http->curl == NULL) {
        return td_fail(err, TD_NOMEM, "libcurl does not start");
    }
    http->ready = true;
    return TD_OK;
}

/* ---- paths ---- */

/* Percent-encodes everything but RFC 3986's unreserved characters; '@' stays readable. */
static void add_escaped(td_str *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~@", c) != NULL;
        if (plain) {
            td_str_add_char(out, (char)c);
        } else {
            td_str_addf(out, "%%%02X", c);
        }
    }
}

const char *td_cli_path(td_cli *cli, const char *segment, ...)
{
    TD_CLEANUP(td_str_done) td_str path = {0};
    va_list args;
    td_str_add(&path, "/api/v1");
    va_start(args, segment);
    for (; segment != NULL; segment = va_arg(args, const char *)) {
        td_str_add_char(&path, '/');
        add_escaped(&path, segment);
    }
    va_end(args);
    td_str_add(&path, "?project=");
    add_escaped(&path, cli->project);
    return td_cli_text(cli, "%s", td_str_text(&path));
}

const char *td_cli_query(td_cli *cli, const char *path, const char *key, const char *value)
{
    if (value == NULL) {
        return path;
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_addf(&text, "%s%c%s=", path, strchr(path, '?') == NULL ? '?' : '&', key);
    add_escaped(&text, value);
    return td_cli_text(cli, "%s", td_str_text(&text));
}

/* ---- problems ---- */

static td_code code_of(const char *name, long status)
{
    for (int code = TD_INVALID; code < TD_CODE_COUNT; code++) {
        if (strcmp(td_code_lookup((td_code)code)->name, name) == 0) {
            return (td_code)code;
        }
    }
    switch (status) {
    case 401:
    case 403:
        return TD_DENIED;
    case 404:
        return TD_NOT_FOUND;
    case 409:
    case 412:
        return TD_CONFLICT;
    case 413:
    case 431:
        return TD_LIMIT;
    case 429:
    case 503:
        return TD_BUSY;
    default:
        return status < 500 ? TD_INVALID : TD_INTERNAL;
    }
}

/* An answer of RFC 9457, or whatever came instead. */
static td_code raise_problem(const td_http *http, const td_cli__exchange *x, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *problem = NULL;
    if (td_json_parse(td_str_text(&x->answer), x->answer.size, "answer", &problem, NULL) != TD_OK ||
        !json_is_object(problem)) {
        return td_fail(err, code_of("", x->status), "the server answered %ld to %s %s", x->status, x->method, x->path);
    }
    const char *field = td_json_text(problem, "field", "");
    const char *title = td_json_text(problem, "title", "no details");
    const char *detail = td_json_text(problem, "detail", td_json_text(problem, "message", title)); /* or MLflow's */
    td_code code = code_of(td_json_text(problem, "code", ""), x->status);
    if (x->status == 401 && http->header == NULL) {
        return td_fail(err, code,
                       "%s (say who you are: `tidemark login URL`, --token-file FILE, or --as NAME in profile demo)",
                       detail);
    }
    if (*field != '\0' && strstr(detail, field) == NULL) {
        return td_fail(err, code, "%s: %s", field, detail);
    }
    return td_fail(err, code, "%s", detail);
}

/* ---- one exchange ---- */

static size_t take_answer(char *data, size_t size, size_t count, void *context)
{
    td_cli__exchange *x = context;
    td_str_append(&x->answer, data, size * count);
    return x->answer.failed == TD_OK ? size * count : 0;
}

/* Errors are small even where the body goes to a file. */
static size_t take_bytes(char *data, size_t size, size_t count, void *context)
{
    td_cli__exchange *x = context;
    return x->status >= 400 ? take_answer(data, size, count, context) : x->write(data, size, count, x->write_context);
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    td_cli__exchange *x = context;
    if (size * count > 12 && strncmp(data, "HTTP/", 5) == 0) {
        const char *space = memchr(data, ' ', size * count);
        x->status = space == NULL ? 0 : strtol(space + 1, NULL, 10);
    }
    return size * count;
}

static void set_body(CURL *curl, const td_cli__exchange *x)
{
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, x->method);
    if (x->read != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, x->method);
        (void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, x->read);
        (void)curl_easy_setopt(curl, CURLOPT_READDATA, x->read_context);
        (void)curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->read_size);
    } else if (x->body != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, x->body);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body_size);
    } else if (strcmp(x->method, "GET") == 0) {
        (void)curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
}

static void set_limits(CURL *curl, td_cli__exchange *x)
{
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, x->timeout_ms == 0 ? 1L : 0L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, x->timeout_ms == 0 ? STALL_SECONDS : 0L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)x->timeout_ms);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "tidemark/" TD_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, x->write == NULL ? take_answer : take_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
    if (x->progress != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, x->progress);
        (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x->progress_context);
    }
}

static td_code no_connection(td_cli *cli, const td_http *http, CURLcode result, const char *details, td_err *err)
{
    const char *where = http->socket != NULL ? http->socket : http->base;
    const char *why = *details != '\0' ? details : curl_easy_strerror(result);
    if (result == CURLE_COULDNT_CONNECT && cli->workspace == NULL) {
        return td_fail(err, TD_IO, "no server answers at %s", where);
    }
    if (result == CURLE_COULDNT_CONNECT) {
        return td_fail(err, TD_IO, "no server answers at %s: start one with `tidemark serve --workspace %s`", where,
                       cli->workspace);
    }
    if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE) {
        return td_fail(err, TD_DENIED, "%s: its certificate does not verify (%s); name its CA with --ca FILE", where,
                       why);
    }
    return td_fail(err, TD_IO, "%s: %s", where, why);
}

td_code td_cli__perform(td_cli *cli, td_cli__exchange *x, td_err *err)
{
    td_http *http;
    char details[CURL_ERROR_SIZE] = "";
    TD_TRY(td_cli__http(cli, &http, err));
    TD_CLEANUP(td_str_done) td_str url = {0};
    td_str_addf(&url, "%s%s", http->base, x->path);
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    headers = curl_slist_append(headers, x->content_type == NULL ? "Content-Type: application/json"
                                                                 : "Content-Type: application/octet-stream");
    if (http->header != NULL) {
        headers = curl_slist_append(headers, http->header);
    }
    for (size_t i = 0; i < TD_COUNT_OF(x->headers) && x->headers[i] != NULL; i++) {
        headers = curl_slist_append(headers, x->headers[i]);
    }
    CURL *curl = http->curl;
    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, td_str_text(&url));
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, details);
    if (http->socket != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, http->socket);
    }
    if (http->ca != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, http->ca);
    }
    x->answer.limit = x->answer_max == 0 ? ANSWER_MAX : x->answer_max;
    set_limits(curl, x);
    set_body(curl, x);
    CURLcode result = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (x->answer.failed != TD_OK) {
        return td_fail(err, TD_LIMIT, "the answer to %s is longer than %zu bytes", x->path, x->answer.limit);
    }
    if (result != CURLE_OK && x->status < 400) {
        return no_connection(cli, http, result, details, err);
    }
    return x->status >= 400 ? raise_problem(http, x, err) : TD_OK;
}

td_code td_cli__call(td_cli *cli, td_cli__exchange *x, const json_t *body, json_t **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (body != NULL) {
        TD_TRY(td_json_write(body, &text, err));
        x->body = td_str_text(&text);
        x->body_size = text.size;
    } else if (strcmp(x->method, "GET") != 0) {
        x->body = "{}";
        x->body_size = 2;
    }
    td_code code = td_cli__perform(cli, x, err);
    if (code == TD_OK && out != NULL && x->answer.size == 0) {
        *out = json_object();
    } else if (code == TD_OK && out != NULL) {
        code = td_json_parse(td_str_text(&x->answer), x->answer.size, "the server's answer", out, err);
    }
    td_str_done(&x->answer);
    return code;
}

td_code td_cli_call(td_cli *cli, const char *method, const char *path, const json_t *body, json_t **out, td_err *err)
{
    td_cli__exchange x = {.method = method, .path = path, .timeout_ms = CALL_TIMEOUT_MS};
    return td_cli__call(cli, &x, body, out, err);
}

td_code td_cli_poll(td_cli *cli, const char *path, int64_t wait_ms, json_t **out, td_err *err)
{
    td_cli__exchange x = {.method = "GET", .path = path, .timeout_ms = CALL_TIMEOUT_MS + wait_ms};
    return td_cli__call(cli, &x, NULL, out, err);
}

td_code td_cli_fetch(td_cli *cli, const char *path, size_t limit, td_str *out, td_err *err)
{
    td_cli__exchange x = {.method = "GET", .path = path, .timeout_ms = CALL_TIMEOUT_MS, .answer_max = limit};
    td_code code = td_cli__perform(cli, &x, err);
    if (code == TD_OK) {
        td_str_append(out, td_str_text(&x.answer), x.answer.size);
        code = td_str_check(out, err);
    }
    td_str_done(&x.answer);
    return code;
}
