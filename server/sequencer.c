/*
 * sequencer.c: the thread behind the audit log: after each commit it reads new records, stores their leaves, has the
 * root signed.
 *
 * Signing never comes before fsync: what it reads is committed. Checkpoints are spaced, so that a busy log costs
 * little.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/sequencer.h"

#include "audit/past.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "server/workspace_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEAVES_AT_ONCE 1000
#define CHECKPOINT_EVERY_MS 200
#define IDLE_MS 10000

struct td_sequencer {
    td_server *server;
    td_db *db;
    td_log_signer *signer;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool work, stopping;
    char trouble[240];
};

static void set_trouble(td_sequencer *sequencer, const td_err *err)
{
    td_log_err(TD_LOG_ERROR, "audit", "the log cannot be signed", err);
    pthread_mutex_lock(&sequencer->lock);
    memcpy(sequencer->trouble, err->text, sizeof sequencer->trouble);
    pthread_mutex_unlock(&sequencer->lock);
}

void td_sequencer_trouble(td_sequencer *sequencer, char out[240])
{
    pthread_mutex_lock(&sequencer->lock);
    memcpy(out, sequencer->trouble, sizeof sequencer->trouble);
    pthread_mutex_unlock(&sequencer->lock);
}

static td_code store_batch(td_db *db, void *context, td_err *err)
{
    return td_log_batch_store(db, context, err);
}

static td_code store_checkpoint(td_db *db, void *context, td_err *err)
{
    return td_log_checkpoint_store(db, td_str_text(context), err);
}

static td_code sequence(td_sequencer *sequencer, td_err *err)
{
    for (;;) {
        TD_CLEANUP(td_log_batch_free) td_log_batch *batch = NULL;
        TD_TRY(td_log_batch_read(sequencer->db, sequencer->server->keys.submitter, LEAVES_AT_ONCE, &batch, err));
        if (td_log_batch_count(batch) == 0) {
            return TD_OK;
        }
        TD_TRY(td_server_write(sequencer->server, store_batch, batch, err));
    }
}

static td_code sign(td_sequencer *sequencer, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    bool fresh = false;
    TD_TRY(td_log_checkpoint_make(sequencer->db, sequencer->signer, &note, &fresh, err));
    return fresh ? td_server_write(sequencer->server, store_checkpoint, &note, err) : TD_OK;
}

static void run_once(td_sequencer *sequencer)
{
    td_err err = {0};
    td_code code = TD_OK;
    if (!sequencer->db) {
        code = td_workspace_reader(sequencer->server->workspace, &sequencer->db, &err);
    }
    code = code == TD_OK ? sequence(sequencer, &err) : code;
    code = code == TD_OK ? sign(sequencer, &err) : code;
    if (code == TD_CONFLICT) {
        set_trouble(sequencer, &err);
    } else if (code != TD_OK) {
        td_log_err(TD_LOG_WARN, "audit", "sequencing the log", &err);
    }
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

/* Waits for work, and CHECKPOINT_EVERY_MS in any case; true: stop. A connection that found nothing to do for a while is
 * closed: it holds the parsed schema, and a server at rest should not. */
static bool wait_work(td_sequencer *sequencer)
{
    struct timespec until = moment_in(CHECKPOINT_EVERY_MS), idle = moment_in(IDLE_MS);
    pthread_mutex_lock(&sequencer->lock);
    while (!sequencer->stopping && pthread_cond_timedwait(&sequencer->changed, &sequencer->lock, &until) == 0) {
    }
    int waited = 0;
    while (!sequencer->stopping && !sequencer->work && waited == 0) {
        waited = pthread_cond_timedwait(&sequencer->changed, &sequencer->lock, &idle);
    }
    if (waited != 0 && !sequencer->work) {
        td_db_close(sequencer->db);
        sequencer->db = NULL;
    }
    while (!sequencer->stopping && !sequencer->work) {
        pthread_cond_wait(&sequencer->changed, &sequencer->lock);
    }
    sequencer->work = false;
    bool stop = sequencer->stopping;
    pthread_mutex_unlock(&sequencer->lock);
    return stop;
}

static void *sequencer_main(void *argument)
{
    td_sequencer *sequencer = argument;
    bool stop = false;
    while (!stop) {
        run_once(sequencer);
        if (sequencer->db) {
            td_db_shrink(sequencer->db); /* it reads each leaf once */
        }
        stop = wait_work(sequencer);
    }
    run_once(sequencer);
    return NULL;
}

void td_sequencer_wake(td_sequencer *sequencer)
{
    if (sequencer) {
        pthread_mutex_lock(&sequencer->lock);
        sequencer->work = true;
        pthread_cond_signal(&sequencer->changed);
        pthread_mutex_unlock(&sequencer->lock);
    }
}

/* What the world may have seen signed decides, never the database. */
static td_code judge(td_sequencer *sequencer, const char *state, td_err *err)
{
    char next[4096];
    td_server *server = sequencer->server;
    TD_TRY(td_workspace_file(server->path, TD_FILE_LOG_NEXT, next, err));
    if (td_path_exists(next)) {
        return td_fail(err, TD_CONFLICT, "`tidemark log resume` was interrupted");
    }
    td_code code = td_log_signer_open(server->keys.log, state, false, &sequencer->signer, err);
    if (code == TD_NOT_FOUND) {
        return td_fail(err, TD_CONFLICT, "the memory of the log's signer is lost");
    }
    TD_TRY(code);
    TD_TRY(sequence(sequencer, err)); /* what was signed may be here, but not in the tree yet */
    td_log_root root = td_log_signer_root(sequencer->signer);
    return td_log_extends(sequencer->db, &root, err);
}

static td_code open_parts(td_sequencer *sequencer, td_err *err)
{
    char path[4096];
    td_err why = {0};
    td_server *server = sequencer->server;
    TD_TRY(td_workspace_reader(server->workspace, &sequencer->db, err));
    TD_TRY(td_workspace__signer_state(server->path, server->config, path, err));
    td_code code = judge(sequencer, path, &why);
    if (code != TD_OK && code != TD_CONFLICT && code != TD_CORRUPT) {
        return td_fail(err, code, "%s", why.text);
    }
    if (code != TD_OK) {
        snprintf(server->read_only, sizeof server->read_only,
                 "read-only: %.90s. Restore a newer copy, or stop the server and accept the loss: tidemark log resume "
                 "--accept-truncation --reason TEXT (docs/backup.md)",
                 why.text);
        memcpy(sequencer->trouble, server->read_only, sizeof sequencer->trouble);
    }
    return TD_OK;
}

td_code td_sequencer_start(td_sequencer *sequencer, td_err *err)
{
    int failed = pthread_create(&sequencer->thread, NULL, sequencer_main, sequencer);
    sequencer->started = failed == 0;
    return failed ? td_fail_errno(err, failed, "starting the sequencer") : TD_OK;
}

td_code td_sequencer_new(td_server *server, td_sequencer **out, td_err *err)
{
    TD_CLEANUP(td_sequencer_free) td_sequencer *sequencer = calloc(1, sizeof *sequencer);
    if (!sequencer) {
        return td_fail(err, TD_NOMEM, "no memory for the sequencer");
    }
    sequencer->server = server;
    pthread_mutex_init(&sequencer->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sequencer->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    TD_TRY(open_parts(sequencer, err));
    *out = sequencer;
    sequencer = NULL;
    return TD_OK;
}

void td_sequencer_stop(td_sequencer *sequencer)
{
    if (sequencer && sequencer->started) {
        pthread_mutex_lock(&sequencer->lock);
        sequencer->stopping = true;
        pthread_cond_signal(&sequencer->changed);
        pthread_mutex_unlock(&sequencer->lock);
        pthread_join(sequencer->thread, NULL);
        sequencer->started = false;
    }
}

void td_sequencer_free(td_sequencer **slot)
{
    td_sequencer *sequencer = *slot;
    if (!sequencer) {
        return;
    }
    td_sequencer_stop(sequencer);
    td_log_signer_close(&sequencer->signer);
    td_db_close(sequencer->db);
    pthread_cond_destroy(&sequencer->changed);
    pthread_mutex_destroy(&sequencer->lock);
    free(sequencer);
    *slot = NULL;
}
