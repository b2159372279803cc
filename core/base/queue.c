/*
 * queue.c: a ring of pointers under one mutex and two condition variables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct td_queue {
    pthread_mutex_t mutex;
    pthread_cond_t filled, drained;
    size_t capacity, first, count;
    bool closed;
    void *items[];
};

td_code td_queue_new(size_t capacity, td_queue **out, td_err *err)
{
    td_queue *queue = calloc(1, sizeof *queue + capacity * sizeof queue->items[0]);
    if (queue == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a queue of %zu items", capacity);
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->filled, &attributes);
    pthread_cond_init(&queue->drained, &attributes);
    pthread_condattr_destroy(&attributes);
    queue->capacity = capacity;
    *out = queue;
    return TD_OK;
}

void td_queue_free(td_queue *queue)
{
    if (queue != NULL) {
        pthread_cond_destroy(&queue->filled);
        pthread_cond_destroy(&queue->drained);
        pthread_mutex_destroy(&queue->mutex);
        free(queue);
    }
}

static bool put_locked(td_queue *queue, void *item)
{
    if (queue->closed || queue->count == queue->capacity) {
        return false;
    }
    queue->items[(queue->first + queue->count) % queue->capacity] = item;
    queue->count++;
    pthread_cond_signal(&queue->filled);
    return true;
}

bool td_queue_try_push(td_queue *queue, void *item)
{
    pthread_mutex_lock(&queue->mutex);
    bool done = put_locked(queue, item);
    pthread_mutex_unlock(&queue->mutex);
    return done;
}

bool td_queue_push(td_queue *queue, void *item)
{
    pthread_mutex_lock(&queue->mutex);
    while (!queue->closed && queue->count == queue->capacity) {
        pthread_cond_wait(&queue->drained, &queue->mutex);
    }
    bool done = put_locked(queue, item);
    pthread_mutex_unlock(&queue->mutex);
    return done;
}

/* Waits until an item is there, the queue is closed, or the time is over. */
static void wait_filled(td_queue *queue, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (queue->count == 0 && !queue->closed) {
        if (timeout_ms < 0) {
            pthread_cond_wait(&queue->filled, &queue->mutex);
        } else if (pthread_cond_timedwait(&queue->filled, &queue->mutex, &until) == ETIMEDOUT) {
            return;
        }
    }
}

size_t td_queue_pop(td_queue *queue, void **items, size_t room, int timeout_ms)
{
    pthread_mutex_lock(&queue->mutex);
    wait_filled(queue, timeout_ms);
    size_t taken = queue->count < room ? queue->count : room;
    for (size_t i = 0; i < taken; i++) {
        items[i] = queue->items[(queue->first + i) % queue->capacity];
    }
    queue->first = queue->capacity > 0 ? (queue->first + taken) % queue->capacity : 0;
    queue->count -= taken;
    if (taken > 0) {
        pthread_cond_broadcast(&queue->drained);
    }
    pthread_mutex_unlock(&queue->mutex);
    return taken;
}

void td_queue_close(td_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_cond_broadcast(&queue->drained);
    pthread_mutex_unlock(&queue->mutex);
}

bool td_queue_closed(td_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    bool closed = queue->closed;
    pthread_mutex_unlock(&queue->mutex);
    return closed;
}

size_t td_queue_count(td_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    size_t count = queue->count;
    pthread_mutex_unlock(&queue->mutex);
    return count;
}
