/*
 * http_pool.c: worker threads with a reading connection each, and the parking place of long polls.
 *
 * A parked call holds no thread: a commit or its deadline puts it back into the queue.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/log.h"
#include "core/base/queue.h"
#include "server/http.h"
#include "server/internal.h"

#include <stdlib.h>

#define WORKERS_MAX 64
#define CONNECTION_IDLE_MS 30000

struct td_pool {
    td_server *server;
    td_queue *queue;
    pthread_t threads[WORKERS_MAX];
    td_db *connections[WORKERS_MAX];
    size_t count;
    pthread_mutex_t lock; /* of what follows */
    td_call *parked;
    uint64_t wakes;
    bool stopping;
};

typedef struct worker_start {
    td_pool *pool;
    size_t index;
} worker_start;

static void finish(td_call *call)
{
    call->state = TD_CALL_ANSWERED;
    td_call_resume(call);
}

/* False when it must not wait (stopping, or woken in between: it is asked again at once). */
static bool park(td_pool *pool, td_call *call, uint64_t wakes_seen)
{
    pthread_mutex_lock(&pool->lock);
    bool may = !pool->stopping && pool->wakes == wakes_seen;
    if (may) {
        call->waited = true;
        call->next_parked = pool->parked;
        pool->parked = call;
    }
    pthread_mutex_unlock(&pool->lock);
    return may;
}

static uint64_t wakes_now(td_pool *pool, bool *stopping_out)
{
    pthread_mutex_lock(&pool->lock);
    uint64_t wakes = pool->wakes;
    *stopping_out = pool->stopping;
    pthread_mutex_unlock(&pool->lock);
    return wakes;
}

/* A worker's connection is opened with a request and closed after a while without one: with its cache of pages and its
 * statements it takes a megabyte or two, and a server at rest holds none. */
static bool connect_worker(td_pool *pool, size_t index, td_call *call)
{
    td_err err = {0};
    if (pool->connections[index] ||
        td_workspace_reader(pool->server->workspace, &pool->connections[index], &err) == TD_OK) {
        return true;
    }
    td_log_err(TD_LOG_ERROR, "http", "a worker cannot read the records", &err);
    td_answer_problem(&call->request, &err);
    return false;
}

static void work(td_pool *pool, td_call *call, td_db *db)
{
    for (;;) {
        bool stopping;
        uint64_t wakes = wakes_now(pool, &stopping);
        call->request.expired = call->request.expired || stopping;
        call->request.stream.wakes = wakes;
        const char *before = td_log_request(call->request.id);
        td_call_work(call, db);
        (void)td_log_request(before);
        if (!call->request.answer.wait) {
            break;
        }
        if (td_server_monotonic_ms(pool->server) >= call->request.answer.wait_until_ms) {
            call->request.expired = true;
        } else if (park(pool, call, wakes)) {
            return;
        }
    }
    finish(call);
}

static void *worker_main(void *argument)
{
    worker_start start = *(worker_start *)argument;
    free(argument);
    td_db **connection = &start.pool->connections[start.index];
    void *item;
    for (;;) {
        if (td_queue_pop(start.pool->queue, &item, 1, *connection ? CONNECTION_IDLE_MS : -1) == 0) {
            if (td_queue_closed(start.pool->queue)) {
                return NULL;
            }
            td_db_close(*connection);
            *connection = NULL;
        } else if (connect_worker(start.pool, start.index, item)) {
            work(start.pool, item, *connection);
        } else {
            finish(item);
        }
    }
}

static td_code start_worker(td_pool *pool, td_err *err)
{
    worker_start *start = malloc(sizeof *start);
    if (!start) {
        return td_fail(err, TD_NOMEM, "no memory for a worker");
    }
    *start = (worker_start){pool, pool->count};
    int failed = pthread_create(&pool->threads[pool->count], NULL, worker_main, start);
    if (failed) {
        free(start);
        return td_fail_errno(err, failed, "starting a worker thread");
    }
    pool->count++;
    return TD_OK;
}

td_code td_pool_start(td_server *server, size_t workers, size_t limit, td_pool **out, td_err *err)
{
    td_pool *pool = calloc(1, sizeof *pool);
    if (!pool) {
        return td_fail(err, TD_NOMEM, "no memory for the workers");
    }
    pool->server = server;
    pthread_mutex_init(&pool->lock, NULL);
    td_code code = td_queue_new(limit, &pool->queue, err);
    while (code == TD_OK && pool->count < workers && pool->count < WORKERS_MAX) {
        code = start_worker(pool, err);
    }
    if (code != TD_OK) {
        td_pool_stop(pool);
        td_pool_free(&pool);
        return code;
    }
    *out = pool;
    return TD_OK;
}

void td_pool_stop(td_pool *pool)
{
    if (!pool || !pool->queue) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_mutex_unlock(&pool->lock);
    td_pool_wake(pool); /* parked calls are answered as expired */
    td_queue_close(pool->queue);
    for (size_t i = 0; i < pool->count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pool->count = 0;
}

void td_pool_free(td_pool **pool)
{
    if (!*pool) {
        return;
    }
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        td_db_close((*pool)->connections[i]);
    }
    td_queue_free((*pool)->queue);
    pthread_mutex_destroy(&(*pool)->lock);
    free(*pool);
    *pool = NULL;
}

bool td_pool_push(td_pool *pool, td_call *call)
{
    return td_queue_try_push(pool->queue, call);
}

bool td_pool_rest(td_pool *pool, td_call *call)
{
    call->request.answer.wait_until_ms =
        td_server_monotonic_ms(pool->server) + td_config_int(pool->server->config, "http.stream_heartbeat");
    bool stopping;
    uint64_t wakes = wakes_now(pool, &stopping);
    if (stopping) {
        return false;
    }
    return (wakes == call->request.stream.wakes && park(pool, call, wakes)) || td_pool_push(pool, call);
}

static void requeue(td_pool *pool, td_call *calls)
{
    while (calls) {
        td_call *call = calls;
        calls = call->next_parked;
        call->next_parked = NULL;
        if (!td_queue_try_push(pool->queue, call)) {
            call->request.stream.closed = true;
            td_answer_problem_status(&call->request, 503, "busy", "too many requests are waiting; try again");
            finish(call);
        }
    }
}

void td_pool_wake(td_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->wakes++;
    td_call *calls = pool->parked;
    pool->parked = NULL;
    pthread_mutex_unlock(&pool->lock);
    requeue(pool, calls);
}

int td_pool_tick(td_pool *pool, int most)
{
    int64_t now = td_server_monotonic_ms(pool->server);
    int64_t next = now + most;
    td_call *due = NULL;
    pthread_mutex_lock(&pool->lock);
    for (td_call **link = &pool->parked; *link;) {
        td_call *call = *link;
        if (call->request.answer.wait_until_ms <= now) {
            *link = call->next_parked;
            call->next_parked = due;
            due = call;
        } else {
            next = call->request.answer.wait_until_ms < next ? call->request.answer.wait_until_ms : next;
            link = &call->next_parked;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    for (td_call *call = due; call; call = call->next_parked) {
        call->request.expired = true;
    }
    requeue(pool, due);
    return next - now < 1 ? 1 : (int)(next - now);
}

size_t td_pool_parked(td_pool *pool)
{
    size_t count = 0;
    pthread_mutex_lock(&pool->lock);
    for (const td_call *call = pool->parked; call; call = call->next_parked) {
        count++;
    }
    pthread_mutex_unlock(&pool->lock);
    return count;
}
