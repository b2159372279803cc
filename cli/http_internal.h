/*
 * http_internal.h: what the three files of the HTTP client share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_HTTP_INTERNAL_H
#define TD_CLI_HTTP_INTERNAL_H

#include "cli/http.h"

#include "core/http/curl.h"

struct td_http {
    CURL *curl;
    const char *base;   /* "http://127.0.0.1:7070"; arena */
    const char *socket; /* admin socket, or NULL */
    const char *ca;     /* or NULL */
    const char *header; /* "Authorization: Bearer …", or NULL */
    td_arena arena;     /* holds the texts above */
    bool prefer_socket;
    bool located; /* server and token were said outright */
    bool ready;
};

/* The client, made but not connected to anything. */
TD_MUST_USE td_code td_cli__make_http(td_cli *cli, td_http **out, td_err *err);
/* The client, made and with address and token at the first call. */
TD_MUST_USE td_code td_cli__http(td_cli *cli, td_http **out, td_err *err);
/* Finds server and token (auth.c). */
TD_MUST_USE td_code td_cli__locate(td_cli *cli, td_http *http, td_err *err);

/* Bars on standard error (transfer.c) hook in here. */
typedef struct td_cli__exchange {
    const char *method, *path;
    const char *content_type; /* NULL: JSON, else plain bytes */
    const char *headers[2];   /* further ones, or NULL */
    const char *body;         /* text, or NULL */
    size_t body_size;
    int64_t timeout_ms; /* 0: none, but a stalled transfer ends */
    curl_read_callback read;
    void *read_context;
    int64_t read_size;
    curl_write_callback write; /* NULL: into `answer` */
    void *write_context;
    curl_xferinfo_callback progress;
    void *progress_context;
    size_t answer_max;
    td_str answer; /* filled; the caller frees it */
    long status;
} td_cli__exchange;

/* Performs it; an HTTP status of 400 and above becomes an error. */
TD_MUST_USE td_code td_cli__perform(td_cli *cli, td_cli__exchange *exchange, td_err *err);
/* Performs it with a JSON body (may be NULL) and gives the JSON that came (may be NULL). */
TD_MUST_USE td_code td_cli__call(td_cli *cli, td_cli__exchange *exchange, const json_t *body, json_t **out,
                                 td_err *err);

#endif
