/*
 * writer.c: closures that wait together share one COMMIT.
 *
 * The thread takes what is queued (up to group_max), runs each closure in a savepoint, commits, and only then answers.
 * A caller's slot lives on his stack, so a call allocates nothing. SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/writer.h"

#include "core/base/log.h"
#include "core/base/queue.h"
#include "core/db/internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CHECKPOINT_EVERY_COMMITS 256
#define IDLE_MS 1000

typedef struct job {
    td_write_fn fn;
    void *context;
    td_write_done_fn done; /* posted jobs; NULL for calls */
    bool posted;           /* the writer frees it */
    bool answered;         /* under writer->mutex, for calls */
    td_code code;
    td_err err;
} job;

struct td_writer {
    td_db *db;
    td_queue *queue;
    size_t group_max;
    job **group;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    void (*on_commit)(void *context);
    void *on_commit_context;
    td_err forbidden; /* code OK: not */
    int commits; /* since the last WAL checkpoint */
    atomic_uint_fast64_t committed, failed;
};

static void run_job(td_writer *writer, job *work)
{
    work->err = (td_err){0};
    work->code = td_db_savepoint(writer->db, &work->err);
    if (work->code != TD_OK) {
        return;
    }
    work->code = work->fn(writer->db, work->context, &work->err);
    if (work->code == TD_OK) {
        work->code = td_db_release(writer->db, &work->err);
    }
    if (work->code != TD_OK) {
        td_db_rollback_to(writer->db);
    }
}

static void fail_all(td_writer *writer, size_t count, td_code code, const td_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (writer->group[i]->code == TD_OK) {
            writer->group[i]->code = code;
            writer->group[i]->err = *err;
        }
    }
}

/* A full disk or an I/O error may end the whole transaction under us: SQLite says so by autocommit mode. */
static bool transaction_lost(const td_writer *writer)
{
    return sqlite3_get_autocommit(writer->db->handle) != 0;
}

static void run_group(td_writer *writer, size_t count)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    td_err err = {0};
    for (size_t i = 0; i < count; i++) {
        writer->group[i]->code = TD_OK;
    }
    td_code code = td_txn_begin(writer->db, &txn, &err);
    for (size_t i = 0; i < count && code == TD_OK; i++) {
        run_job(writer, writer->group[i]);
        if (transaction_lost(writer)) {
            err = writer->group[i]->err;
            code = writer->group[i]->code != TD_OK ? writer->group[i]->code
                                                   : td_fail(&err, TD_IO, "the transaction was rolled back");
            writer->db->depth = 0;
        }
    }
    if (code == TD_OK) {
        code = td_txn_commit(&txn, &err);
    }
    if (code != TD_OK) {
        fail_all(writer, count, code, &err);
        atomic_fetch_add(&writer->failed, 1);
    } else {
        writer->commits++;
        atomic_fetch_add(&writer->committed, 1);
    }
}

static void finish_posted(job *work)
{
    if (work->done != NULL) {
        work->done(work->context, work->code, &work->err);
    } else if (work->code != TD_OK) {
        td_log_err(TD_LOG_ERROR, "writer", "posted work failed", &work->err);
    }
    free(work);
}

/* Posted jobs first: a caller's slot is gone as soon as the mutex is released. */
static void answer(td_writer *writer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (writer->group[i]->posted) {
            finish_posted(writer->group[i]);
            writer->group[i] = NULL;
        }
    }
    pthread_mutex_lock(&writer->mutex);
    for (size_t i = 0; i < count; i++) {
        if (writer->group[i] != NULL) {
            writer->group[i]->answered = true;
        }
    }
    pthread_cond_broadcast(&writer->answered);
    pthread_mutex_unlock(&writer->mutex);
}

static void checkpoint_if_due(td_writer *writer, bool idle)
{
    if (writer->commits >= (idle ? 1 : CHECKPOINT_EVERY_COMMITS)) {
        td_err err;
        if (td_db_checkpoint(writer->db, idle, &err) != TD_OK) {
            td_log_err(TD_LOG_WARN, "writer", "WAL checkpoint", &err);
        }
        writer->commits = 0;
    }
}

static void *writer_main(void *context)
{
    td_writer *writer = context;
    for (;;) {
        size_t count =
            td_queue_pop(writer->queue, (void **)writer->group, writer->group_max, writer->commits > 0 ? IDLE_MS : -1);
        if (count == 0 && td_queue_closed(writer->queue)) {
            break;
        }
        if (count > 0) {
            run_group(writer, count);
            answer(writer, count);
            if (writer->on_commit != NULL) {
                writer->on_commit(writer->on_commit_context);
            }
        }
        checkpoint_if_due(writer, count == 0);
    }
    checkpoint_if_due(writer, true);
    return NULL;
}

static void free_writer(td_writer *writer)
{
    td_db_close(writer->db);
    td_queue_free(writer->queue);
    pthread_cond_destroy(&writer->answered);
    pthread_mutex_destroy(&writer->mutex);
    free(writer->group);
    free(writer);
}

td_code td_writer_start(td_db *db, size_t queue_max, size_t group_max, td_writer **out, td_err *err)
{
    td_writer *writer = calloc(1, sizeof *writer);
    job **group = calloc(group_max, sizeof(job *));
    td_queue *queue = NULL;
    if (writer == NULL || group == NULL || td_queue_new(queue_max, &queue, NULL) != TD_OK) {
        free(writer);
        free(group);
        return td_fail(err, TD_NOMEM, "no memory for the writer");
    }
    *writer = (td_writer){.queue = queue, .group = group, .group_max = group_max};
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->answered, NULL);
    if (pthread_create(&writer->thread, NULL, writer_main, writer) != 0) {
        free_writer(writer);
        return td_fail(err, TD_NOMEM, "cannot start the writer's thread");
    }
    writer->db = db; /* nothing is queued yet, so the thread has not looked at it */
    *out = writer;
    return TD_OK;
}

void td_writer_stop(td_writer *writer)
{
    if (writer != NULL) {
        td_queue_close(writer->queue);
        pthread_join(writer->thread, NULL);
        free_writer(writer);
    }
}

void td_writer_forbid(td_writer *writer, const td_err *why)
{
    writer->forbidden = *why;
}

static td_code refuse(const td_writer *writer, td_err *err)
{
    if (err != NULL) {
        *err = writer->forbidden;
    }
    return writer->forbidden.code;
}

td_code td_writer_call(td_writer *writer, td_write_fn fn, void *context, td_err *err)
{
    job work = {.fn = fn, .context = context};
    if (writer->forbidden.code != TD_OK) {
        return refuse(writer, err);
    }
    if (!td_queue_try_push(writer->queue, &work)) {
        return td_fail(err, TD_BUSY, "the server has too much to write at the moment; try again");
    }
    pthread_mutex_lock(&writer->mutex);
    while (!work.answered) {
        pthread_cond_wait(&writer->answered, &writer->mutex);
    }
    pthread_mutex_unlock(&writer->mutex);
    if (work.code != TD_OK && err != NULL) {
        *err = work.err;
    }
    return work.code;
}

td_code td_writer_post(td_writer *writer, td_write_fn fn, void *context, td_write_done_fn done, td_err *err)
{
    if (writer->forbidden.code != TD_OK) {
        return refuse(writer, err);
    }
    job *work = calloc(1, sizeof *work);
    if (work == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for posted work");
    }
    *work = (job){.fn = fn, .context = context, .done = done, .posted = true};
    if (!td_queue_try_push(writer->queue, work)) {
        free(work);
        return td_fail(err, TD_BUSY, "the server has too much to write at the moment; try again");
    }
    return TD_OK;
}

size_t td_writer_queued(td_writer *writer)
{
    return td_queue_count(writer->queue);
}

void td_writer_counts_read(const td_writer *writer, td_writer_counts *out)
{
    out->commits = atomic_load(&writer->committed);
    out->failures = atomic_load(&writer->failed);
}

void td_writer_on_commit(td_writer *writer, void (*hook)(void *context), void *context)
{
    writer->on_commit = hook;
    writer->on_commit_context = context;
}
