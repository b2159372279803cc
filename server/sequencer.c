/*
 * sequencer.c: the thread behind the audit log: after each commit it reads new records, stores their leaves, has the
 * root signed.
 *
 * Signing never comes before fsync: what it reads is committed. Checkpoints are spaced, so that a busy log costs
 * little. While the signer is away the leaves are stored all the same, and signing is tried again.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/sequencer.h"

#include "audit/past.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "server/signer_link.h"
#include "server/workspace_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEAVES_AT_ONCE 1000
#define CHECKPOINT_EVERY_MS 200
#define IDLE_MS 10000
#define SIGNER_START_MS 3000
#define RETRY_MS 50 /* after the line to the signer may be tried again */

struct td_sequencer {
    td_server *server;
    td_db *db;
    td_signer_link *signer;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool work, stopping;
    int64_t unsigned_since_ms; /* monotonic: signing has failed since then; 0: all is signed */
    bool refused;
    bool judged; /* the signer was asked whether this log may go on */
    char trouble[240];
};

void td_sequencer_look(td_sequencer *sequencer, td_sequencer_state *out)
{
    td_signer_link_facts(sequencer->signer, &out->signer);
    pthread_mutex_lock(&sequencer->lock);
    int64_t since = sequencer->unsigned_since_ms;
    out->refused = sequencer->refused;
    out->judged = sequencer->judged;
    memcpy(out->trouble, sequencer->trouble, sizeof out->trouble);
    pthread_mutex_unlock(&sequencer->lock);
    out->away_ms = since ? td_server_monotonic_ms(sequencer->server) - since : 0;
}

td_code td_sequencer_check_signed(td_sequencer *sequencer, td_err *err)
{
    td_sequencer_state state;
    int64_t most = td_config_int(sequencer->server->config, "audit.signer_patience");
    td_sequencer_look(sequencer, &state);
    if (!state.judged) {
        return td_fail(err, TD_BUSY,
                       "the log's signer has not been reached since the server started, and only it knows whether "
                       "this is the newest history: nothing new is rolled out before it said so");
    }
    return state.away_ms < most ? TD_OK
                          : td_fail(err, TD_BUSY,
                                    "nothing was signed into the log for %lld s, so nothing new is rolled out (limit: "
                                    "audit.signer_patience); `tidemark status` says what the log's signer lacks",
                                    (long long)state.away_ms / 1000);
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

/* From here on the world may see it. */
static td_code publish_checkpoint(td_sequencer *sequencer, td_str *note, td_err *err)
{
    return td_server_write(sequencer->server, store_checkpoint, note, err);
}

static td_code sign(td_sequencer *sequencer, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_log_growth growth;
    TD_TRY(td_signer_link_look(sequencer->signer, &growth.last, err));
    TD_TRY(td_log_growth_read(sequencer->db, &growth, err));
    if (!growth.fresh) {
        return TD_OK;
    }
    TD_TRY(td_signer_link_sign(sequencer->signer, &growth, &note, err));
    return publish_checkpoint(sequencer, &note, err);
}

/* Whoever looks learns since when nothing was signed. */
static void note_outcome(td_sequencer *sequencer, td_code code, const td_err *err)
{
    pthread_mutex_lock(&sequencer->lock);
    bool was_away = sequencer->unsigned_since_ms != 0;
    if (code == TD_OK) {
        sequencer->unsigned_since_ms = 0;
        sequencer->trouble[0] = 0;
    } else {
        sequencer->unsigned_since_ms =
            was_away ? sequencer->unsigned_since_ms : td_server_monotonic_ms(sequencer->server);
        memcpy(sequencer->trouble, err->text, sizeof sequencer->trouble);
    }
    sequencer->refused =
        code == TD_CONFLICT || code == TD_CORRUPT || code == TD_NOT_FOUND || code == TD_DENIED;
    pthread_mutex_unlock(&sequencer->lock);
    if (code != TD_OK && !was_away) {
        td_log_err(code == TD_BUSY ? TD_LOG_WARN : TD_LOG_ERROR, "audit", "the log is not signed", err);
    } else if (code == TD_OK && was_away) {
        td_log_info("audit", "the log is signed again");
    }
}

/* Commands that move the log's key leave a sign while they are under way. */
static td_code check_unfinished(const td_sequencer *sequencer, td_err *err)
{
    static const struct {
        const char *file, *meaning;
        bool only_service;
    } signs[] = {{TD_FILE_LOG_NEXT, "`tidemark log resume` was interrupted", false},
                 {TD_FILE_LOG_MOVING, "`tidemark signer adopt` was interrupted", false},
                 {TD_FILE_LOG_STATE, "the log's key waits for `tidemark signer adopt`", true}};
    char path[4096];
    for (size_t i = 0; i < TD_COUNT_OF(signs); i++) {
        TD_TRY(td_workspace_file(sequencer->server->path, signs[i].file, path, err));
        if (td_path_exists(path) && (!signs[i].only_service || td_signer_link_is_service(sequencer->signer))) {
            return td_fail(err, TD_CONFLICT, "%s", signs[i].meaning);
        }
    }
    return TD_OK;
}

/* What the world may have seen signed decides, never the database. */
static td_code judge(td_sequencer *sequencer, td_err *err)
{
    td_log_root root;
    TD_TRY(check_unfinished(sequencer, err));
    td_code code = td_signer_link_look(sequencer->signer, &root, err);
    if (code == TD_NOT_FOUND) {
        return td_fail(err, TD_CONFLICT, "the memory of the log's signer is lost");
    }
    TD_TRY(code);
    TD_TRY(sequence(sequencer, err)); /* what was signed may be here, but not in the tree yet */
    return td_log_extends(sequencer->db, &root, err);
}

/* The signer was away when the server started. A log that turns out to be behind it is not written any longer: the
 * server ends, and its next start is read-only. */
static td_code judge_late(td_sequencer *sequencer, td_err *err)
{
    td_server *server = sequencer->server;
    td_code code = judge(sequencer, err);
    if (code == TD_OK) {
        pthread_mutex_lock(&sequencer->lock);
        sequencer->judged = true;
        pthread_mutex_unlock(&sequencer->lock);
    } else if ((code == TD_CONFLICT || code == TD_CORRUPT) && server->failed.code == TD_OK) {
        (void)td_fail(&server->failed, TD_CORRUPT,
                      "the log's signer has come, and refuses: %.100s. Start the server again: it is read-only then, "
                      "and says how to go on",
                      err->text);
        (void)kill(getpid(), SIGTERM);
    }
    return code;
}

static void run_once(td_sequencer *sequencer)
{
    td_err err = {0};
    td_code code = TD_OK;
    if (!sequencer->db) {
        code = td_workspace_reader(sequencer->server->workspace, &sequencer->db, &err);
    }
    code = code == TD_OK ? sequence(sequencer, &err) : code;
    code = code == TD_OK && !sequencer->judged ? judge_late(sequencer, &err) : code;
    code = code == TD_OK ? sign(sequencer, &err) : code;
    note_outcome(sequencer, code, &err);
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
    bool again = sequencer->unsigned_since_ms != 0;
    struct timespec retry = moment_in(again ? td_signer_link_pause_ms(sequencer->signer) + RETRY_MS : 0);
    while (!sequencer->stopping && !sequencer->work && waited == 0) {
        waited = pthread_cond_timedwait(&sequencer->changed, &sequencer->lock, again ? &retry : &idle);
    }
    sequencer->work = sequencer->work || again;
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

/* A signer that a killed server left needs a moment to go. */
static td_code judge_patiently(td_sequencer *sequencer, td_err *err)
{
    int64_t until = td_server_monotonic_ms(sequencer->server) + SIGNER_START_MS;
    td_code code = judge(sequencer, err);
    while (code == TD_BUSY && td_server_monotonic_ms(sequencer->server) < until) {
        const struct timespec pause = {.tv_nsec = 10000000};
        (void)nanosleep(&pause, NULL);
        code = judge(sequencer, err);
    }
    return code;
}

static td_code open_parts(td_sequencer *sequencer, td_err *err)
{
    td_err why = {0};
    td_server *server = sequencer->server;
    TD_TRY(td_signer_link_new(server, &sequencer->signer, err));
    TD_TRY(td_workspace_reader(server->workspace, &sequencer->db, err));
    td_code code = judge_patiently(sequencer, &why);
    if ((code == TD_BUSY || code == TD_IO) && td_signer_link_is_service(sequencer->signer)) {
        note_outcome(sequencer, code, &why); /* the log goes on; judge_late makes up for it */
        return TD_OK;
    }
    sequencer->judged = true;
    if (code != TD_OK && code != TD_CONFLICT && code != TD_CORRUPT) {
        return td_fail(err, code, "%s", why.text);
    }
    if (code != TD_OK) {
        snprintf(server->read_only, sizeof server->read_only,
                 "read-only: %.90s. Restore a newer copy, or stop the server and accept the loss: tidemark log resume "
                 "--accept-truncation --reason TEXT (docs/backup.md)",
                 why.text);
        memcpy(sequencer->trouble, server->read_only, sizeof sequencer->trouble);
        sequencer->refused = true;
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
    td_signer_link_free(&sequencer->signer);
    td_db_close(sequencer->db);
    pthread_cond_destroy(&sequencer->changed);
    pthread_mutex_destroy(&sequencer->lock);
    free(sequencer);
    *slot = NULL;
}
