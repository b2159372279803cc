/*
 * scheduler.c: the thread of timers. It looks, posts closures to the writer, and sleeps.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/scheduler.h"

#include "access/idempotency.h"
#include "core/base/log.h"
#include "core/base/notify.h"
#include "fleet/fleet.h"
#include "monitor/evaluate.h"
#include "registry/trust.h"
#include "server/denials.h"
#include "server/health.h"
#include "server/link.h"
#include "server/sequencer.h"
#include "server/usecase.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KICK_GAP_MS 100
#define ROLLUP_EVERY_MS 60000
#define ROLLUP_FIRST_MS 5000
#define RETAIN_EVERY_MS 3600000
#define ROLLUP_ROWS 2000
#define KEEP_RAW_MS (INT64_C(48) * 3600 * 1000)
#define KEEP_DEVICE_MS (INT64_C(396) * 24 * 3600 * 1000)
#define TRANSITIONS_MAX 64

struct td_scheduler {
    td_server *server;
    td_db *db;
    int64_t watchdog_ms; /* between two signs of life; 0: nobody waits for them */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool kicked, stopping;
};

/* ---- rollouts ---- */

typedef struct tick {
    td_server *server;
    td_rollout_tick_result result;
} tick;

static td_code run_tick(td_db *db, void *context, td_err *err)
{
    tick *work = context;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_trust trust;
    TD_TRY(td_trust_current(db, &arena, &trust, err));
    td_rollout_tick_options options = {.director = work->server->keys.director,
                                       .keyset_version = trust.keyset.version,
                                       .keyset_size = (uint32_t)trust.envelope_size,
                                       .health = td_rollout_health_ask};
    memcpy(options.keyset_digest, trust.digest, sizeof options.keyset_digest);
    return td_rollout_tick(db, &options, &work->result, err);
}

static void tick_rollouts(td_scheduler *scheduler)
{
    td_err err = {0};
    tick work = {.server = scheduler->server};
    if (td_server_write(scheduler->server, run_tick, &work, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "rollout", "a step of the rollouts failed", &err);
        return;
    }
    if (work.result.directives) {
        td_link_kick(td_server_link(scheduler->server));
    }
}

/* ---- monitor ---- */

typedef struct evaluation {
    td_transition transitions[TRANSITIONS_MAX];
    size_t count;
} evaluation;

static td_code run_evaluation(td_db *db, void *context, td_err *err)
{
    evaluation *work = context;
    return td_monitor_evaluate(db, &td_actor_system, td_db_now_ms(db), work->transitions, TRANSITIONS_MAX, &work->count,
                               err);
}

static void evaluate(td_scheduler *scheduler)
{
    td_err err = {0};
    evaluation work = {.count = 0};
    if (td_server_write(scheduler->server, run_evaluation, &work, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "monitor", "signals could not be evaluated", &err);
        return;
    }
    for (size_t i = 0; i < work.count; i++) {
        const td_transition *moved = &work.transitions[i];
        td_log_info("monitor", "%s/%lld %s %s: %s -> %s %s", moved->model, (long long)moved->version, moved->signal,
                    moved->feature, moved->from, moved->to, moved->alert);
    }
}

static td_code run_rollup(td_db *db, void *context, td_err *err)
{
    return td_monitor_rollup(db, ROLLUP_ROWS, context, err);
}

static td_code run_retain(td_db *db, void *context, td_err *err)
{
    (void)context;
    return td_monitor_retain(db, KEEP_RAW_MS, KEEP_DEVICE_MS, ROLLUP_ROWS, err);
}

static td_code run_purge(td_db *db, void *context, td_err *err)
{
    return td_idempotency_purge(db, ROLLUP_ROWS, context, err);
}

static td_code run_shrink(td_db *db, void *context, td_err *err)
{
    (void)context;
    (void)err;
    td_db_shrink(db);
    return TD_OK;
}

/* Once a minute what a burst took goes back to the system: pages that SQLite cached, what malloc holds, unused code. */
static void shrink(td_scheduler *scheduler)
{
    td_err err = {0};
    td_db_shrink(scheduler->db);
    if (td_server_write(scheduler->server, run_shrink, NULL, &err) == TD_OK) {
        (void)malloc_trim(0);
    }
    td_text_pages_drop();
}

static void roll_up(td_scheduler *scheduler)
{
    td_err err = {0};
    bool more = true;
    while (more && !atomic_load(&scheduler->server->stopping)) {
        if (td_server_write(scheduler->server, run_rollup, &more, &err) != TD_OK) {
            td_log_err(TD_LOG_ERROR, "monitor", "windows could not be added up", &err);
            return;
        }
    }
}

static void retain(td_scheduler *scheduler)
{
    td_err err = {0};
    if (td_server_write(scheduler->server, run_retain, NULL, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "monitor", "old windows could not be deleted", &err);
    }
    bool more = true;
    while (more && !atomic_load(&scheduler->server->stopping)) {
        if (td_server_write(scheduler->server, run_purge, &more, &err) != TD_OK) {
            td_log_err(TD_LOG_ERROR, "http", "old idempotency keys could not be deleted", &err);
            return;
        }
    }
}

/* ---- the service manager's watchdog ---- */

static td_code run_nothing(td_db *db, void *context, td_err *err)
{
    (void)db;
    (void)context;
    (void)err;
    return TD_OK;
}

/* We live while the writer answers, whatever it answers: a full disk is not cured by a new start. */
static void feed_watchdog(td_scheduler *scheduler)
{
    td_err ignored;
    (void)!td_server_write(scheduler->server, run_nothing, NULL, &ignored);
    td_notify("WATCHDOG=1");
}

/* ---- the thread ---- */

typedef struct timetable {
    int64_t tick_ms, evaluate_ms, rollup_ms, retain_ms, watchdog_ms; /* when each comes next */
} timetable;

static bool passed(int64_t *next, int64_t now, int64_t interval, bool force)
{
    if (now < *next && !force) {
        return false;
    }
    *next = now + interval;
    return true;
}

static void look(td_scheduler *scheduler, timetable *due, bool kicked)
{
    td_server *server = scheduler->server;
    int64_t now = td_server_monotonic_ms(server);
    if (passed(&due->tick_ms, now, td_config_int(server->config, "scheduler.interval"), kicked)) {
        tick_rollouts(scheduler);
        td_retraining_advance(server, scheduler->db);
        td_denials_flush(server->denials, server, td_now_ms(server->clock), false);
        td_listener_watch(server->api, now);
        td_listener_watch(server->device, now);
        td_listener_watch(server->admin, now);
    }
    if (passed(&due->evaluate_ms, now, td_config_int(server->config, "monitor.interval"), false)) {
        evaluate(scheduler);
    }
    if (passed(&due->rollup_ms, now, ROLLUP_EVERY_MS, false)) {
        roll_up(scheduler);
        td_partials_expire(server->partials);
        shrink(scheduler);
    }
    if (scheduler->watchdog_ms > 0 && passed(&due->watchdog_ms, now, scheduler->watchdog_ms, false)) {
        feed_watchdog(scheduler);
    }
    if (passed(&due->retain_ms, now, RETAIN_EVERY_MS, false)) {
        retain(scheduler);
    }
}

static void add_ms(struct timespec *time, int64_t ms)
{
    time->tv_sec += ms / 1000;
    time->tv_nsec += (long)(ms % 1000) * 1000000;
    time->tv_sec += time->tv_nsec / 1000000000;
    time->tv_nsec %= 1000000000;
}

/* True: stop. */
static bool pause_until(td_scheduler *scheduler, int64_t ms, bool *kicked_out)
{
    struct timespec gap, until;
    clock_gettime(CLOCK_MONOTONIC, &gap);
    until = gap;
    add_ms(&gap, ms < KICK_GAP_MS ? ms : KICK_GAP_MS);
    add_ms(&until, ms);
    pthread_mutex_lock(&scheduler->lock);
    while (!scheduler->stopping && pthread_cond_timedwait(&scheduler->changed, &scheduler->lock, &gap) == 0) {
    }
    while (!scheduler->stopping && !scheduler->kicked &&
           pthread_cond_timedwait(&scheduler->changed, &scheduler->lock, &until) == 0) {
    }
    *kicked_out = scheduler->kicked;
    scheduler->kicked = false;
    bool stop = scheduler->stopping;
    pthread_mutex_unlock(&scheduler->lock);
    return stop;
}

static void *scheduler_main(void *argument)
{
    td_scheduler *scheduler = argument;
    td_server *server = scheduler->server;
    int64_t now = td_server_monotonic_ms(server);
    timetable next = {
        .tick_ms = now, .evaluate_ms = now, .rollup_ms = now + ROLLUP_FIRST_MS, .retain_ms = now + RETAIN_EVERY_MS};
    bool kicked = false;
    do {
        look(scheduler, &next, kicked);
        int64_t interval = td_config_int(server->config, "scheduler.interval");
        int64_t evaluation_ms = td_config_int(server->config, "monitor.interval");
        now = (int64_t)td_pool_tick(server->pool, (int)(evaluation_ms < interval ? evaluation_ms : interval));
    } while (!pause_until(scheduler, now, &kicked));
    return NULL;
}

void td_scheduler_kick(td_scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler->kicked = true;
    pthread_cond_signal(&scheduler->changed);
    pthread_mutex_unlock(&scheduler->lock);
}

td_code td_scheduler_new(td_server *server, td_scheduler **out, td_err *err)
{
    TD_CLEANUP(td_scheduler_free) td_scheduler *scheduler = calloc(1, sizeof *scheduler);
    if (!scheduler) {
        return td_fail(err, TD_NOMEM, "no memory for the scheduler");
    }
    scheduler->server = server;
    scheduler->watchdog_ms = td_notify_watchdog_ms();
    pthread_mutex_init(&scheduler->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&scheduler->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    TD_TRY(td_workspace_reader(server->workspace, &scheduler->db, err));
    *out = scheduler;
    scheduler = NULL;
    return TD_OK;
}

td_code td_scheduler_start(td_scheduler *scheduler, td_err *err)
{
    int failed = pthread_create(&scheduler->thread, NULL, scheduler_main, scheduler);
    scheduler->started = failed == 0;
    return failed ? td_fail_errno(err, failed, "starting the scheduler") : TD_OK;
}

void td_scheduler_stop(td_scheduler *scheduler)
{
    if (scheduler && scheduler->started) {
        pthread_mutex_lock(&scheduler->lock);
        scheduler->stopping = true;
        pthread_cond_signal(&scheduler->changed);
        pthread_mutex_unlock(&scheduler->lock);
        pthread_join(scheduler->thread, NULL);
        scheduler->started = false;
    }
}

void td_scheduler_free(td_scheduler **slot)
{
    td_scheduler *scheduler = *slot;
    if (!scheduler) {
        return;
    }
    td_scheduler_stop(scheduler);
    td_db_close(scheduler->db);
    pthread_cond_destroy(&scheduler->changed);
    pthread_mutex_destroy(&scheduler->lock);
    free(scheduler);
    *slot = NULL;
}
