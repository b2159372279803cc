/*
 * signer_answer.c: the signer's work on one request, and frames over a stream.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/signer_wire.h"

#include "core/base/fs.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static td_code sign(td_log_signer *signer, const td_signer_request *request, td_str *note, td_err *err)
{
    td_log_root root = td_log_signer_root(signer);
    if (strcmp(request->origin, td_log_signer_origin(signer)) != 0) {
        return td_fail(err, TD_DENIED, "this signer is of the log %.110s, not of %.80s", td_log_signer_origin(signer),
                       request->origin);
    }
    if (request->op == TD_SIGNER_LOOK) {
        return TD_OK;
    }
    /* Only who knows the last tree can have made the proof; a smaller tree is refused in any case, below. */
    if (request->next.size >= root.size &&
        (request->last.size != root.size || memcmp(request->last.hash, root.hash, sizeof root.hash) != 0)) {
        return td_fail(err, TD_BUSY, "the log's signer remembers a tree of %lld records, not of %lld",
                       (long long)root.size, (long long)request->last.size);
    }
    return td_log_signer_sign(signer, &request->next, &request->proof, note, err);
}

void td_signer_answer(td_log_signer *signer, const td_signer_request *request, td_signer_reply *out)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_err err = {0};
    *out = (td_signer_reply){.code = sign(signer, request, &note, &err)};
    out->root = td_log_signer_root(signer);
    snprintf(out->text, sizeof out->text, "%s", out->code == TD_OK ? td_str_text(&note) : err.text);
}

/* ---- a socket ---- */

static td_code send_all(void *context, const void *data, size_t size, td_err *err)
{
    const int *fd = context;
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t sent = send(*fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return td_fail_errno(err, errno, "talking to the log's signer");
        }
        at += sent;
        size -= (size_t)sent;
    }
    return TD_OK;
}

static td_code receive_all(void *context, int timeout_ms, void *out, size_t size, td_err *err)
{
    const int *fd = context;
    uint8_t *bytes = out;
    for (size_t got = 0; got < size;) {
        struct pollfd wait = {.fd = *fd, .events = POLLIN};
        int ready = poll(&wait, 1, timeout_ms);
        if (ready == 0) {
            return td_fail(err, TD_BUSY, "no answer within %d ms", timeout_ms);
        }
        ssize_t count = ready < 0 ? -1 : recv(*fd, bytes + got, size - got, 0);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return td_fail_errno(err, errno, "talking to the log's signer");
        }
        if (count == 0) {
            return td_fail(err, got == 0 ? TD_NOT_FOUND : TD_IO, "the other side has closed");
        }
        got += (size_t)count;
    }
    return TD_OK;
}

td_signer_stream td_signer_stream_of(int *fd)
{
    return (td_signer_stream){send_all, receive_all, fd};
}

/* ---- frames ---- */

td_code td_signer_frame(const td_str *frame, uint8_t out[4 + TD_SIGNER_FRAME_MAX], size_t *size_out, td_err *err)
{
    size_t size = frame->size;
    if (size > TD_SIGNER_FRAME_MAX) {
        return td_fail(err, TD_LIMIT, "a frame of %zu bytes, at most %d are allowed", size, TD_SIGNER_FRAME_MAX);
    }
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(size >> (24 - 8 * i));
    }
    memcpy(out + 4, td_str_text(frame), size);
    *size_out = size + 4;
    return TD_OK;
}

td_code td_signer_frame_size(const uint8_t head[4], size_t *out, td_err *err)
{
    size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (size > TD_SIGNER_FRAME_MAX) {
        return td_fail(err, TD_CORRUPT, "a frame of %zu bytes, at most %d are allowed", size, TD_SIGNER_FRAME_MAX);
    }
    *out = size;
    return TD_OK;
}

td_code td_signer_send(const td_signer_stream *stream, const td_str *frame, td_err *err)
{
    uint8_t bytes[4 + TD_SIGNER_FRAME_MAX];
    size_t size;
    TD_TRY(td_signer_frame(frame, bytes, &size, err));
    return stream->send(stream->context, bytes, size, err);
}

td_code td_signer_receive(const td_signer_stream *stream, int timeout_ms, td_str *frame, td_err *err)
{
    uint8_t bytes[TD_SIGNER_FRAME_MAX];
    size_t size;
    TD_TRY(stream->receive(stream->context, timeout_ms, bytes, 4, err));
    TD_TRY(td_signer_frame_size(bytes, &size, err));
    td_code code = stream->receive(stream->context, timeout_ms, bytes, size, err);
    if (code == TD_NOT_FOUND) {
        return td_fail(err, TD_IO, "the other side has closed in the middle of a frame");
    }
    TD_TRY(code);
    td_str_clear(frame);
    td_str_append(frame, bytes, size);
    return td_str_check(frame, err);
}
