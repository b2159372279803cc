/*
 * signer_process.c: open key, lock and state; then read, judge, answer, until the server closes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/signer_process.h"

#include "audit/signer_wire.h"
#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef struct signing {
    td_key *key;
    td_log_signer *signer;
    int lock;
} signing;

static void signing_done(signing *work)
{
    td_log_signer_close(&work->signer);
    td_key_free(&work->key);
    td_close_fd(&work->lock);
}

/* A server that was killed leaves its signer for the moment that it takes to die; it is not waited for here. */
static td_code take_lock(const char *state, int *out, td_err *err)
{
    char path[4096 + 8];
    snprintf(path, sizeof path, "%.4095s.lock", state);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return td_fail(err, TD_BUSY, "another signer of this log is running (%s): two servers on one log?", path);
    }
    *out = fd;
    return TD_OK;
}

static td_code open_all(const char *key, const char *state, signing *work, td_err *err)
{
    td_code code = td_key_read(key, NULL, &work->key, err);
    if (code != TD_OK) {
        err->code = TD_IO; /* NOT_FOUND and CORRUPT speak of the memory */
        return td_wrap(err, "the log's key");
    }
    if (td_key_kind_of(work->key) != TD_KEY_ED25519) {
        return td_fail(err, TD_IO, "%s is no Ed25519 key", key);
    }
    if (!td_path_exists(state)) {
        return td_log_signer_open(work->key, state, false, &work->signer, err); /* lost, and says so; no lock is left */
    }
    TD_TRY(take_lock(state, &work->lock, err));
    return td_log_signer_open(work->key, state, false, &work->signer, err);
}

static td_code answer(const signing *work, td_code opened, const td_err *why, int fd, td_str *frame, td_err *err)
{
    td_signer_request request;
    td_signer_reply reply = {.code = opened};
    TD_TRY(td_signer_request_read(td_str_text(frame), frame->size, &request, err));
    if (opened == TD_OK) {
        td_signer_answer(work->signer, &request, &reply);
    } else {
        snprintf(reply.text, sizeof reply.text, "%s", why->text);
    }
    td_str_clear(frame);
    TD_TRY(td_signer_reply_write(&reply, frame, err));
    return td_signer_send(fd, frame, err);
}

td_code td_signer_process(const char *key, const char *state, int fd, td_code (*cage)(td_err *err),
                          td_err *err)
{
    td_err why = {0};
    TD_CLEANUP(signing_done) signing work = {.lock = -1};
    TD_CLEANUP(td_str_done) td_str frame = {0};
    td_code opened = open_all(key, state, &work, &why);
    if (cage) {
        TD_TRY(cage(err));
    }
    for (;;) {
        td_code code = td_signer_receive(fd, -1, &frame, err);
        if (code == TD_NOT_FOUND) {
            return TD_OK;
        }
        TD_TRY(code);
        TD_TRY(answer(&work, opened, &why, fd, &frame, err));
    }
}
