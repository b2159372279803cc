/*
 * signer_work.c: open key, lock and state; then read, judge, answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/signer_work.h"

#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct td_signer_work {
    char key_path[4096], state[4096];
    td_key *key;
    td_log_signer *signer; /* NULL: not open */
    int lock;
};

/* A server that was killed leaves its signer for the moment that it takes to die; it is not waited for here. */
td_code td_signer_lock(const char *state, int *out, td_err *err)
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

static void close_all(td_signer_work *work)
{
    td_log_signer_close(&work->signer);
    td_key_free(&work->key);
    td_close_fd(&work->lock);
}

void td_signer_work_free(td_signer_work **slot)
{
    if (*slot) {
        close_all(*slot);
        free(*slot);
        *slot = NULL;
    }
}

td_code td_signer_work_new(const char *key, const char *state, td_signer_work **out, td_err *err)
{
    td_signer_work *work = calloc(1, sizeof *work);
    if (!work || strlen(key) >= sizeof work->key_path || strlen(state) >= sizeof work->state) {
        free(work);
        return td_fail(err, TD_LIMIT, "the paths of the log's key and memory are too long, or there is no memory");
    }
    memcpy(work->key_path, key, strlen(key) + 1);
    memcpy(work->state, state, strlen(state) + 1);
    work->lock = -1;
    *out = work;
    return TD_OK;
}

static td_code open_all(td_signer_work *work, td_err *err)
{
    td_code code = td_key_read(work->key_path, NULL, &work->key, err);
    if (code != TD_OK) {
        err->code = TD_IO; /* NOT_FOUND and CORRUPT speak of the memory */
        return td_wrap(err, "the log's key");
    }
    if (td_key_kind_of(work->key) != TD_KEY_ED25519) {
        return td_fail(err, TD_IO, "%s is no Ed25519 key", work->key_path);
    }
    if (td_path_exists(work->state)) { /* a lost one says so; no lock is left for it */
        TD_TRY(td_signer_lock(work->state, &work->lock, err));
        TD_TRY(td_file_sweep(work->state, err));
    }
    return td_log_signer_open(work->key, work->state, false, &work->signer, err);
}

td_code td_signer_work_open(td_signer_work *work, td_err *err)
{
    td_code code = work->signer ? TD_OK : open_all(work, err);
    if (code != TD_OK) {
        close_all(work);
    }
    return code;
}

td_code td_signer_work_answer(td_signer_work *work, const void *data, size_t size,
                              uint8_t out[4 + TD_SIGNER_FRAME_MAX], size_t *size_out, td_err *err)
{
    td_signer_request request;
    td_err why = {0};
    TD_CLEANUP(td_str_done) td_str frame = {0};
    TD_TRY(td_signer_request_read(data, size, &request, err));
    td_signer_reply reply = {.code = td_signer_work_open(work, &why)};
    if (reply.code == TD_OK) {
        td_signer_answer(work->signer, &request, &reply);
    } else {
        snprintf(reply.text, sizeof reply.text, "%s", why.text);
    }
    if (reply.code == TD_OK && request.op == TD_SIGNER_LOOK) {
        snprintf(reply.text, sizeof reply.text, TD_SIGNER_UID "%u", (unsigned)geteuid());
    }
    TD_TRY(td_signer_reply_write(&reply, &frame, err));
    return td_signer_frame(&frame, out, size_out, err);
}
