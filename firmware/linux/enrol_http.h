/*
 * enrol_http.h: the two HTTPS requests of an enrolment. The only user of libcurl on the device.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_ENROL_HTTP_H
#define TD_FIRMWARE_LINUX_ENROL_HTTP_H

#include "core/base/json.h"

#define TD_ENROL_ANSWER_MAX ((size_t)256 * 1024)
#define TD_ENROL_TIMEOUT_S 60

typedef struct td_enrol_http {
    const char *server;  /* "https://host:port" */
    const char *ca_path; /* NULL: whoever answers is believed (only for what the code's digest checks) */
} td_enrol_http;

/* GET (body NULL) or POST of JSON; the answer must be a JSON object. DENIED, CONFLICT, INVALID … by the answer's
 * status, with the problem's own words; IO: no connection; DENIED: the server's certificate is not of ca_path. */
TD_MUST_USE td_code td_enrol_request_json(const td_enrol_http *http, const char *path, const json_t *body, json_t **out,
                                          td_err *err);

#endif
