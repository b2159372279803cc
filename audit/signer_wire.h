/*
 * signer_wire.h: what a server and the log's signer say to each other when they are two processes.
 *
 * One request, one reply. A request names the log, the tree that was signed last, the new tree and the proof that the
 * one grew into the other; a reply holds the tree that the signer remembers, and the signed checkpoint or why there is
 * none. Integers are big-endian; a frame's length goes before it in four bytes. Nothing is larger than
 * TD_SIGNER_FRAME_MAX, and a frame that is not wholly understood is refused.
 * Threads: no shared state.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_SIGNER_WIRE_H
#define TD_AUDIT_SIGNER_WIRE_H

#include "audit/log.h"

#define TD_SIGNER_FRAME_MAX 4096
#define TD_SIGNER_TEXT_MAX 1024

typedef enum td_signer_op { TD_SIGNER_LOOK = 1, TD_SIGNER_SIGN = 2 } td_signer_op;

typedef struct td_signer_request {
    td_signer_op op;
    char origin[TD_LOG_ORIGIN_MAX];
    td_log_root last, next; /* of TD_SIGNER_SIGN, as is proof */
    td_log_proof proof;
} td_signer_request;

typedef struct td_signer_reply {
    td_code code;     /* BUSY: `last` was not what the signer remembers; look again */
    td_log_root root; /* what it remembers */
    char text[TD_SIGNER_TEXT_MAX]; /* with OK to a TD_SIGNER_SIGN: the note; else why not */
} td_signer_reply;

/* Append the bytes of a frame, without its length. */
TD_MUST_USE td_code td_signer_request_write(const td_signer_request *request, td_str *out, td_err *err);
TD_MUST_USE td_code td_signer_reply_write(const td_signer_reply *reply, td_str *out, td_err *err);
/* CORRUPT. */
TD_MUST_USE td_code td_signer_request_read(const void *data, size_t size, td_signer_request *out, td_err *err);
TD_MUST_USE td_code td_signer_reply_read(const void *data, size_t size, td_signer_reply *out, td_err *err);

/* The signer's whole work on one request. */
void td_signer_answer(td_log_signer *signer, const td_signer_request *request, td_signer_reply *out);

/* A socket, or what lies over one (server/signer_tls.h). send sends all of it. receive fills all of it, waits at most
 * timeout_ms (-1: for ever) for each piece and says NOT_FOUND when the other side closed before the first byte. */
typedef struct td_signer_stream {
    td_code (*send)(void *context, const void *data, size_t size, td_err *err);
    td_code (*receive)(void *context, int timeout_ms, void *out, size_t size, td_err *err);
    void *context;
} td_signer_stream;
/* Of a connected socket; *fd is borrowed. */
td_signer_stream td_signer_stream_of(int *fd);

/* A frame with its length before it. LIMIT: too long. */
TD_MUST_USE td_code td_signer_frame(const td_str *frame, uint8_t out[4 + TD_SIGNER_FRAME_MAX], size_t *size_out,
                                    td_err *err);
/* The length that four bytes tell. CORRUPT: too long. */
TD_MUST_USE td_code td_signer_frame_size(const uint8_t head[4], size_t *out, td_err *err);
/* One frame over a stream. NOT_FOUND: the other side has closed, between frames; BUSY: it took too long; IO; CORRUPT:
 * too long a frame. */
TD_MUST_USE td_code td_signer_send(const td_signer_stream *stream, const td_str *frame, td_err *err);
TD_MUST_USE td_code td_signer_receive(const td_signer_stream *stream, int timeout_ms, td_str *frame, td_err *err);

#endif
