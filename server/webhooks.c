/*
 * webhooks.c: one delivery after the other, and when the next is due.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/webhooks.h"

#include "core/base/log.h"
#include "core/http/address.h"
#include "registry/webhook.h"
#include "server/webhook_send.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_PAUSE_MS 1000
#define PAUSE_MAX_MS (INT64_C(10) * 60 * 1000)
#define DOUBLINGS_MAX 10
#define TROUBLE_PAUSE_MS 5000 /* when the database or libcurl fails */
#define IDLE_MS 10000

struct td_webhooks {
    td_server *server;
    td_db *db; /* NULL at rest */
    pthread_t thread;
    bool joined;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    uint64_t seen; /* of td_webhook_queued */
    bool work, stopping;
};

/* ---- one attempt ---- */

static int64_t pause_after(int64_t failures, int64_t asked_ms)
{
    int64_t doublings = failures < DOUBLINGS_MAX ? failures : DOUBLINGS_MAX;
    int64_t pause = (int64_t)FIRST_PAUSE_MS << doublings;
    uint16_t noise = 0;
    pause = pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
    if (td_random(&noise, sizeof noise, NULL) == TD_OK) {
        pause += pause * noise / (5 * UINT16_MAX); /* up to a fifth, so that servers do not come back in step */
    }
    return pause > asked_ms ? pause : asked_ms;
}

/* Statuses that another attempt would not change. */
static bool is_final(int status)
{
    return status >= 300 && status < 500 && status != 408 && status != 425 && status != 429;
}

static void judge(const td_delivery *delivery, const td_posted *posted, int64_t now_ms, td_delivered *out)
{
    bool taken = posted->status >= 200 && posted->status < 300;
    bool old = now_ms - delivery->created_ms > TD_WEBHOOK_KEEP_MS;
    out->done = taken || is_final(posted->status) || old;
    out->lost = out->done && !taken;
    out->retry_ms = now_ms + pause_after(delivery->failures, posted->retry_ms);
}

static td_code note(td_db *db, void *context, td_err *err)
{
    return td_webhook_note(db, context, err);
}

static td_code send_one(td_webhooks *webhooks, const td_delivery *delivery, td_posted *posted, td_err *err)
{
    td_server *server = webhooks->server;
    TD_CLEANUP(td_str_done) td_str secret = {0};
    td_post post = {.url = delivery->url, .delivery = delivery->uuid, .body = delivery->body};
    *posted = (td_posted){0};
    if (delivery->secret != NULL) {
        td_err why;
        if (td_webhook_unseal(server, delivery->webhook, delivery->secret, delivery->secret_size, &secret, &why) !=
            TD_OK) {
            snprintf(posted->trouble, sizeof posted->trouble, "%.150s", why.text);
            return TD_OK;
        }
        post.secret = td_str_text(&secret);
        post.secret_size = secret.size;
    }
    td_code code = td_webhook_post(server, &post, posted, err);
    td_wipe(secret.data, secret.size);
    return code;
}

static td_code attempt(td_webhooks *webhooks, const td_delivery *delivery, td_err *err)
{
    td_server *server = webhooks->server;
    char answer[200];
    td_posted posted = {0};
    td_delivered delivered = {.delivery_id = delivery->delivery_id, .webhook_id = delivery->webhook_id,
                              .answer = answer};
    td_code code = send_one(webhooks, delivery, &posted, err);
    td_str_done(&posted.body);
    TD_TRY(code);
    if (atomic_load(&server->stopping)) {
        return TD_OK; /* it was cut off: no attempt */
    }
    judge(delivery, &posted, td_now_ms(server->clock), &delivered);
    if (posted.status > 0) {
        snprintf(answer, sizeof answer, "status %d", posted.status);
    } else {
        snprintf(answer, sizeof answer, "%s", posted.trouble);
    }
    if (delivered.lost) {
        td_log_warn("webhook", "webhook %s: a delivery was given up: %s", delivery->webhook, answer);
    }
    return td_server_write(server, note, &delivered, err);
}

/* ---- the thread ---- */

/* *pause_ms_out: nothing is due before (-1: until somebody says so). */
static td_code run_once(td_webhooks *webhooks, int64_t *pause_ms_out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_delivery delivery;
    int64_t due_ms;
    *pause_ms_out = 0;
    if (webhooks->db == NULL) {
        TD_TRY(td_workspace_reader(webhooks->server->workspace, &webhooks->db, err));
    }
    TD_TRY(td_webhook_next(webhooks->db, &arena, &delivery, &due_ms, err));
    if (delivery.delivery_id != 0) {
        return attempt(webhooks, &delivery, err);
    }
    int64_t ahead = due_ms - td_now_ms(webhooks->server->clock);
    *pause_ms_out = due_ms == INT64_MAX ? -1 : ahead > 1 ? ahead : 1;
    return TD_OK;
}

static struct timespec moment_in(int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000 * 1000000);
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return until;
}

/* True: stop. A long wait closes the connection: a server at rest should not hold one. */
static bool wait_work(td_webhooks *webhooks, int64_t pause_ms)
{
    if (pause_ms < 0 || pause_ms > IDLE_MS) {
        td_db_close(webhooks->db);
        webhooks->db = NULL;
    }
    pthread_mutex_lock(&webhooks->lock);
    struct timespec until = moment_in(pause_ms > 0 ? pause_ms : 0);
    int waited = pause_ms == 0 ? 1 : 0;
    while (!webhooks->stopping && !webhooks->work && waited == 0) {
        waited = pause_ms > 0 ? pthread_cond_timedwait(&webhooks->changed, &webhooks->lock, &until)
                              : pthread_cond_wait(&webhooks->changed, &webhooks->lock);
    }
    webhooks->work = false;
    bool stop = webhooks->stopping;
    pthread_mutex_unlock(&webhooks->lock);
    return stop;
}

static void *webhooks_main(void *argument)
{
    td_webhooks *webhooks = argument;
    bool stop = false;
    while (!stop) {
        td_err err = {0};
        int64_t pause_ms;
        if (run_once(webhooks, &pause_ms, &err) != TD_OK) {
            td_log_err(TD_LOG_WARN, "webhook", "delivering", &err);
            pause_ms = TROUBLE_PAUSE_MS;
        }
        stop = wait_work(webhooks, pause_ms);
    }
    return NULL;
}

void td_webhooks_wake(td_webhooks *webhooks)
{
    if (webhooks == NULL) {
        return;
    }
    uint64_t queued = td_webhook_queued();
    pthread_mutex_lock(&webhooks->lock);
    if (queued != webhooks->seen) {
        webhooks->seen = queued;
        webhooks->work = true;
        pthread_cond_signal(&webhooks->changed);
    }
    pthread_mutex_unlock(&webhooks->lock);
}

td_code td_webhooks_start(td_server *server, td_webhooks **out, td_err *err)
{
    td_networks listed;
    if (td_networks_parse(td_config_text(server->config, "webhooks.private_networks"), &listed, err) != TD_OK) {
        return td_wrap(err, "webhooks.private_networks");
    }
    td_webhooks *webhooks = calloc(1, sizeof *webhooks);
    if (webhooks == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for webhooks");
    }
    webhooks->server = server;
    pthread_mutex_init(&webhooks->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&webhooks->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int failed = pthread_create(&webhooks->thread, NULL, webhooks_main, webhooks);
    if (failed != 0) {
        pthread_cond_destroy(&webhooks->changed);
        pthread_mutex_destroy(&webhooks->lock);
        free(webhooks);
        return td_fail_errno(err, failed, "starting the thread of webhooks");
    }
    *out = webhooks;
    return TD_OK;
}

void td_webhooks_stop(td_webhooks *webhooks)
{
    if (webhooks == NULL || webhooks->joined) {
        return;
    }
    pthread_mutex_lock(&webhooks->lock);
    webhooks->stopping = true;
    pthread_cond_signal(&webhooks->changed);
    pthread_mutex_unlock(&webhooks->lock);
    pthread_join(webhooks->thread, NULL);
    webhooks->joined = true;
    td_db_close(webhooks->db);
    webhooks->db = NULL;
}

void td_webhooks_free(td_webhooks **slot)
{
    td_webhooks *webhooks = *slot;
    if (webhooks == NULL) {
        return;
    }
    td_webhooks_stop(webhooks);
    pthread_cond_destroy(&webhooks->changed);
    pthread_mutex_destroy(&webhooks->lock);
    free(webhooks);
    *slot = NULL;
}
