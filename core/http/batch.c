/*
 * batch.c: libcurl's multi interface, driven until every job has ended or the batch is stopped.
 *
 * Connections stay open between runs, in the multi handle's cache.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/http/batch.h"

#include "core/http/curl.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS 1000
#define CONNECTIONS_KEPT 64L

struct td_http_batch {
    CURLM *multi;
    atomic_bool stopped;
};

typedef struct batch_run {
    td_http_batch *batch;
    td_http_job *jobs;
    size_t count;
    int timeout_ms;
    struct curl_slist *headers[64];
    void (*done)(void *context, td_http_job *job);
    void *context;
} batch_run;

td_code td_http_batch_new(td_http_batch **out, td_err *err)
{
    TD_TRY(td_curl_load(err));
    TD_CLEANUP(td_http_batch_free) td_http_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL || (batch->multi = curl_multi_init()) == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for HTTP requests");
    }
    *out = batch;
    batch = NULL;
    return TD_OK;
}

void td_http_batch_free(td_http_batch **batch)
{
    if (*batch != NULL) {
        if ((*batch)->multi != NULL) {
            (void)curl_multi_cleanup((*batch)->multi);
        }
        free(*batch);
        *batch = NULL;
    }
}

void td_http_batch_stop(td_http_batch *batch)
{
    atomic_store(&batch->stopped, true);
    (void)curl_multi_wakeup(batch->multi);
}

static size_t take_bytes(char *data, size_t size, size_t count, void *context)
{
    td_http_job *job = context;
    td_str_append(&job->answer, data, size * count);
    return job->answer.failed == TD_OK ? size * count : 0;
}

static td_code start(batch_run *run, size_t index, td_err *err)
{
    td_http_job *job = &run->jobs[index];
    char type[128];
    CURL *curl = curl_easy_init();
    snprintf(type, sizeof type, "Content-Type: %s", job->content_type);
    run->headers[index] = curl_slist_append(NULL, type);
    job->easy = curl;
    job->answer = (td_str){.limit = job->answer_max + 1};
    job->code = TD_IO;
    if (curl == NULL || run->headers[index] == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for an HTTP request");
    }
    bool good = curl_easy_setopt(curl, CURLOPT_URL, job->url) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)run->timeout_ms) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)job->body_size) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_POSTFIELDS, job->body) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_HTTPHEADER, run->headers[index]) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_USERAGENT, "tidemark") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEDATA, job) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PRIVATE, job) == CURLE_OK &&
                curl_multi_add_handle(run->batch->multi, curl) == CURLM_OK;
    return good ? TD_OK : td_fail(err, TD_IO, "libcurl refuses the request to %.120s", job->url);
}

/* Tells of a job that has ended, with or without an answer. */
static void finish(batch_run *run, td_http_job *job, CURLcode result)
{
    char *type = NULL;
    if (result == CURLE_OK) {
        (void)curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &job->status);
        (void)curl_easy_getinfo(job->easy, CURLINFO_CONTENT_TYPE, &type);
        snprintf(job->type, sizeof job->type, "%s", type != NULL ? type : "");
        job->code = job->answer.size > job->answer_max ? TD_LIMIT : TD_OK;
    } else {
        job->code = job->answer.failed == TD_LIMIT ? TD_LIMIT : TD_IO;
    }
    if (job->code == TD_LIMIT) {
        snprintf(job->error, sizeof job->error, "the answer is larger than %zu bytes", job->answer_max);
    } else if (job->code != TD_OK) {
        snprintf(job->error, sizeof job->error, "%s", curl_easy_strerror(result));
    }
    (void)curl_multi_remove_handle(run->batch->multi, job->easy);
    curl_easy_cleanup(job->easy);
    job->easy = NULL;
    run->done(run->context, job);
}

static void take_ended(batch_run *run)
{
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(run->batch->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            char *job = NULL;
            CURLcode result = message->data.result;
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
            finish(run, (td_http_job *)(void *)job, result);
        }
    }
}

static void drive(batch_run *run)
{
    int running = 1;
    while (running > 0 && !atomic_load(&run->batch->stopped)) {
        if (curl_multi_perform(run->batch->multi, &running) != CURLM_OK) {
            return;
        }
        take_ended(run);
        if (running > 0 && curl_multi_poll(run->batch->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK) {
            return;
        }
    }
}

td_code td_http_batch_run(td_http_batch *batch, td_http_job *jobs, size_t count, int timeout_ms,
                          void (*done)(void *context, td_http_job *job), void *context, td_err *err)
{
    batch_run run = {.batch = batch,
                     .jobs = jobs,
                     .count = count,
                     .timeout_ms = timeout_ms,
                     .done = done,
                     .context = context};
    td_code code = TD_OK;
    if (count > TD_COUNT_OF(run.headers)) {
        return td_fail(err, TD_LIMIT, "%zu requests at once, at most %zu", count, TD_COUNT_OF(run.headers));
    }
    (void)curl_multi_setopt(batch->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
    for (size_t i = 0; i < count && code == TD_OK; i++) {
        code = start(&run, i, err);
    }
    if (code == TD_OK) {
        drive(&run);
    }
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].easy != NULL) {
            finish(&run, &jobs[i], CURLE_ABORTED_BY_CALLBACK);
        }
        curl_slist_free_all(run.headers[i]);
    }
    return code;
}
