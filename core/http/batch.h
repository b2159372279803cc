/*
 * batch.h: POSTs to several others at once, bounded in time and bytes, from one thread.
 *
 * For programs that ask outsiders for something small: one that is slow delays nobody else's answer. Redirects are not
 * followed, only http and https are spoken, certificates are verified against the system's store.
 * Threads: a td_http_batch belongs to one thread; td_http_batch_stop may be called by any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_HTTP_BATCH_H
#define TD_CORE_HTTP_BATCH_H

#include "core/base/str.h"

typedef struct td_http_job {
    const char *url;
    const char *content_type;
    const void *body; /* borrowed until the batch has run */
    size_t body_size;
    size_t answer_max; /* more bytes than that are a failure */
    void *context;     /* the caller's */

    /* Set by the batch. */
    td_code code;       /* OK: there is a status. IO: no answer, `error` says why. LIMIT: the answer was too large */
    long status;        /* of HTTP */
    td_str answer;      /* td_str_done it */
    char type[64];      /* Content-Type of the answer, or "" */
    char error[160];
    void *easy; /* libcurl's handle, while it runs */
} td_http_job;

typedef struct td_http_batch td_http_batch;
/* IO: libcurl is not installed. */
TD_MUST_USE td_code td_http_batch_new(td_http_batch **out, td_err *err);
void td_http_batch_free(td_http_batch **batch); /* TD_CLEANUP */
/* Runs all jobs, each for at most timeout_ms, and tells `done` of each as soon as its answer is there. */
TD_MUST_USE td_code td_http_batch_run(td_http_batch *batch, td_http_job *jobs, size_t count, int timeout_ms,
                                      void (*done)(void *context, td_http_job *job), void *context, td_err *err);
/* Ends a run, and every later one, within moments; `done` hears of jobs that were cut off (IO). */
void td_http_batch_stop(td_http_batch *batch);

#endif
