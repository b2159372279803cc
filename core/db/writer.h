/*
 * writer.h: the one thread that changes anything, with group commit.
 *
 * Work is a closure that gets the writing connection. Closures that wait together run in one transaction, each inside
 * its own savepoint: one that fails is undone alone. Callers are answered only after COMMIT (synchronous=FULL); if
 * COMMIT fails, all its callers fail. A closure must re-check everything that it relies on, may run SQL and touch small
 * memory, and must not hash, pack, wait or talk to the network. The writer is also the only one that checkpoints the
 * WAL. Threads: td_writer_call and td_writer_post from any thread but the writer's own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_DB_WRITER_H
#define TD_CORE_DB_WRITER_H

#include "core/db/db.h"

typedef struct td_writer td_writer;
typedef td_code (*td_write_fn)(td_db *db, void *context, td_err *err);
/* After COMMIT (or failure), on the writer's thread: must be short. */
typedef void (*td_write_done_fn)(void *context, td_code code, const td_err *err);

/* Takes over `db` (a writing connection) and starts the thread. Limits: queue of queue_max closures, group_max a
 * transaction. */
TD_MUST_USE td_code td_writer_start(td_db *db, size_t queue_max, size_t group_max, td_writer **out, td_err *err);
/* Runs what is queued, checkpoints, closes the connection, joins. NULL is fine. */
void td_writer_stop(td_writer *writer);
/* Runs fn and waits for its COMMIT. BUSY when the queue is full or stopping. */
TD_MUST_USE td_code td_writer_call(td_writer *writer, td_write_fn fn, void *context, td_err *err);
/* Queues fn and returns; done (may be NULL) is told. BUSY: not queued, done is not called. */
TD_MUST_USE td_code td_writer_post(td_writer *writer, td_write_fn fn, void *context, td_write_done_fn done,
                                   td_err *err);
/* From now on every closure is refused with this error, unseen. Set before traffic. */
void td_writer_forbid(td_writer *writer, const td_err *why);
size_t td_writer_queued(td_writer *writer);

typedef struct td_writer_counts {
    uint64_t commits;
    uint64_t failures; /* transactions that failed as a whole; a closure that fails alone is not one */
} td_writer_counts;
/* Since the start. Any thread. */
void td_writer_counts_read(const td_writer *writer, td_writer_counts *out);
/* Called on the writer's thread after each COMMIT (sequencer, live views): must be short. Set before traffic. */
void td_writer_on_commit(td_writer *writer, void (*hook)(void *context), void *context);

#endif
