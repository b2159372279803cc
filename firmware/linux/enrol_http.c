/*
 * enrol_http.c: see enrol_http.h. HTTPS only, no redirects, bounded answers.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/enrol_http.h"

#include <curl/curl.h>
#include <string.h>

typedef struct http_exchange {
    CURL *curl;
    struct curl_slist *headers;
    td_str url, body, answer;
    char why[CURL_ERROR_SIZE];
} http_exchange;

static void exchange_done(http_exchange *exchange)
{
    curl_slist_free_all(exchange->headers);
    curl_easy_cleanup(exchange->curl);
    td_str_done(&exchange->url);
    td_str_done(&exchange->body);
    td_str_done(&exchange->answer);
}

static size_t take_bytes(char *data, size_t size, size_t count, void *context)
{
    td_str *answer = context;
    td_str_append(answer, data, size * count);
    return answer->failed == TD_OK ? size * count : 0; /* fewer than given: curl stops */
}

static bool set_trust(CURL *curl, const char *ca_path)
{
    if (ca_path == NULL) {
        return curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
    }
    return curl_easy_setopt(curl, CURLOPT_CAINFO, ca_path) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
}

static bool only_https(CURL *curl)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK;
#else
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS) == CURLE_OK;
#endif
}

static td_code prepare(http_exchange *exchange, const td_enrol_http *http, const json_t *body, td_err *err)
{
    CURL *curl = exchange->curl = curl_easy_init();
    if (curl == NULL) {
        return td_fail(err, TD_NOMEM, "libcurl does not start");
    }
    exchange->headers = curl_slist_append(NULL, "Content-Type: application/json");
    exchange->answer.limit = TD_ENROL_ANSWER_MAX;
    bool set = exchange->headers != NULL && only_https(curl) && set_trust(curl, http->ca_path) &&
               curl_easy_setopt(curl, CURLOPT_URL, td_str_text(&exchange->url)) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->why) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TD_ENROL_TIMEOUT_S) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange->answer) == CURLE_OK;
    if (set && body != NULL) {
        TD_TRY(td_json_write(body, &exchange->body, err));
        set = curl_easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)exchange->body.size) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_POSTFIELDS, td_str_text(&exchange->body)) == CURLE_OK;
    }
    return set ? TD_OK : td_fail(err, TD_INTERNAL, "libcurl lacks an option that enrolment needs");
}

static td_code fail_transfer(const http_exchange *exchange, CURLcode result, const char *server, td_err *err)
{
    const char *why = exchange->why[0] != 0 ? exchange->why : curl_easy_strerror(result);
    if (exchange->answer.failed != TD_OK) {
        return td_fail(err, TD_LIMIT, "%s answers with more than %zu bytes", server, TD_ENROL_ANSWER_MAX);
    }
    if (result == CURLE_PEER_FAILED_VERIFICATION) {
        return td_fail(err, TD_DENIED, "%s is not the server of this code, or has another name: %s", server, why);
    }
    if (result == CURLE_UNSUPPORTED_PROTOCOL || result == CURLE_URL_MALFORMAT) {
        return td_fail(err, TD_INVALID, "--server %s: expected https://HOST:PORT", server);
    }
    return td_fail(err, TD_IO, "%s cannot be reached: %s", server, why);
}

/* The problem's own words (RFC 9457), under the code that its status stands for. */
static td_code fail_status(long status, const json_t *problem, const char *server, td_err *err)
{
    td_code code = status == 403 || status == 401   ? TD_DENIED
                   : status == 404                  ? TD_NOT_FOUND
                   : status == 409                  ? TD_CONFLICT
                   : status == 503 || status == 429 ? TD_BUSY
                   : status < 500                   ? TD_INVALID
                                                    : TD_IO;
    const char *detail = td_json_text(problem, "detail", td_json_text(problem, "title", NULL));
    return detail != NULL ? td_fail(err, code, "%s refuses: %s", server, detail)
                          : td_fail(err, code, "%s answers with HTTP status %ld", server, status);
}

td_code td_enrol_request_json(const td_enrol_http *http, const char *path, const json_t *body, json_t **out,
                              td_err *err)
{
    TD_CLEANUP(exchange_done) http_exchange exchange = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    long status = 0;
    size_t length = strlen(http->server);
    while (length > 0 && http->server[length - 1] == '/') {
        length--;
    }
    td_str_addf(&exchange.url, "%.*s%s", (int)length, http->server, path);
    TD_TRY(td_str_check(&exchange.url, err));
    TD_TRY(prepare(&exchange, http, body, err));
    CURLcode result = curl_easy_perform(exchange.curl);
    if (result != CURLE_OK) {
        return fail_transfer(&exchange, result, http->server, err);
    }
    (void)curl_easy_getinfo(exchange.curl, CURLINFO_RESPONSE_CODE, &status);
    td_code code =
        td_json_parse(td_str_text(&exchange.answer), exchange.answer.size, "the server's answer", &json, err);
    if (status < 200 || status > 299) {
        return fail_status(status, code == TD_OK ? json : NULL, http->server, err);
    }
    TD_TRY(code);
    if (!json_is_object(json)) {
        return td_fail(err, TD_INVALID, "%s%s does not answer as a Tidemark server", http->server, path);
    }
    *out = json;
    json = NULL;
    return TD_OK;
}
