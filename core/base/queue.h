/*
 * queue.h: a bounded queue of pointers between threads.
 *
 * Threads: any number of producers and consumers.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_QUEUE_H
#define TD_CORE_BASE_QUEUE_H

#include "core/base/err.h"

typedef struct td_queue td_queue;

TD_MUST_USE td_code td_queue_new(size_t capacity, td_queue **out, td_err *err);
void td_queue_free(td_queue *queue); /* what is still inside is the caller's to drain first */
/* False when full or closed; never waits. */
bool td_queue_try_push(td_queue *queue, void *item);
/* Waits for room; false when closed. */
bool td_queue_push(td_queue *queue, void *item);
/* Waits up to timeout_ms (-1: for ever) for at least one item, then takes up to room items. 0: timeout, or closed and
 * empty. */
size_t td_queue_pop(td_queue *queue, void **items, size_t room, int timeout_ms);
/* Wakes everybody; pushes fail from now on, pops drain what is left. */
void td_queue_close(td_queue *queue);
bool td_queue_closed(td_queue *queue);
size_t td_queue_count(td_queue *queue);

#endif
