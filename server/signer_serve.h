/*
 * signer_serve.h: the log's signer as a process: lines of servers that it knows, one loop, one thread.
 *
 * It is handed one open line (a child of the server, `tidemark signer run`), or it listens (`tidemark signer serve`).
 * Nobody can hold it up: nothing blocks, a line that is slow to introduce itself or to end a frame is dropped, and when
 * there is no room a stranger goes before one that is known.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SIGNER_SERVE_H
#define TD_SERVER_SIGNER_SERVE_H

#include "core/base/err.h"

#include <sys/types.h>

#define TD_SIGNER_LINES_MAX 16
#define TD_SIGNER_SLOW_MS 10000 /* that a frame may take, or a handshake */
#define TD_SIGNER_LISTENERS_MAX 4

typedef struct td_signer_serve_options {
    const char *key, *state; /* files of the log's key and of the memory */
    int line;                /* an open one, or -1; without listeners the process ends when it closes */
    int listeners[TD_SIGNER_LISTENERS_MAX]; /* sockets that listen, not blocking; closed with the process */
    size_t listener_count;
    uid_t server_user; /* who may speak over Unix sockets */
    const char *certificate, *certificate_key, *client_ca; /* files for TLS, which all other sockets speak, or NULL */
    const char *client;           /* and the common name of who may speak there */
    td_code (*cage)(td_err *err); /* called when all files are open, or NULL */
} td_signer_serve_options;

TD_MUST_USE td_code td_signer_serve(const td_signer_serve_options *options, td_err *err);

/* Sockets that systemd opened for this process ($LISTEN_FDS, sd_listen_fds(3)). INVALID: one that does not listen. */
TD_MUST_USE td_code td_signer_inherit(td_signer_serve_options *options, td_err *err);
/* Does any of the listeners speak TLS? */
bool td_signer_wants_tls(const td_signer_serve_options *options);
/* The folder of key and memory: ours alone. DENIED: others may enter it, or it is somebody else's. */
TD_MUST_USE td_code td_signer_home_check(const char *folder, td_err *err);

#endif
