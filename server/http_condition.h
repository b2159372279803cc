/*
 * http_condition.h: entity tags, and changes that hold only for the state that their caller saw (RFC 9110 §13).
 *
 * Every answer of JSON to a GET below /api/v1, and each file of the log, carries a strong ETag, which is a hash of its
 * bytes. If-Match on a change speaks of the object at the request's path or, where there is none (…/pause, …/roles), of
 * the nearest one above it: what a GET of it would answer. td_request_write compares once more inside the writer's
 * transaction, by running that GET there, so that of two changes with one tag exactly one is made. No handler knows of
 * it.
 * Threads: td_condition_check runs on the writer's thread, the rest on a worker's.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_HTTP_CONDITION_H
#define TD_SERVER_HTTP_CONDITION_H

#include "server/request.h"

#define TD_ETAG_SIZE 35 /* 32 hexadecimal digits in quotes, and NUL */

/* Does the list of a header ("*", or tags) name this tag? `weak`: W/"x" counts as "x" (If-None-Match). tag NULL: there
 * is no object. */
bool td_etag_listed(const char *header, const char *tag, bool weak);
/* Gives an answer to a GET its ETag, or makes it a 304. */
void td_condition_answer(td_request *request);
/* Has the request a condition that a change must check? */
bool td_condition_wanted(const td_request *request);
/* Inside the transaction of a change. CONFLICT, told as 412 precondition_failed; INVALID: nothing here has a tag. */
TD_MUST_USE td_code td_condition_check(td_request *request, td_db *db, td_err *err);

#endif
