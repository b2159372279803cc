/*
 * http_watch.h: connections that are too slow, and the sockets that listeners listen on.
 *
 * libmicrohttpd closes a silent connection, but not one that sends a byte now and then. Here: headers within the
 * timeout, bodies at TD_SLOW_BYTES_PER_S or better after a grace of the same timeout; what is slower is shut down.
 * Threads: any; a connection's functions run on its listener's thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_HTTP_WATCH_H
#define TD_SERVER_HTTP_WATCH_H

#include "core/base/clock.h"
#include "core/base/err.h"

#define TD_SLOW_BYTES_PER_S 1024

struct MHD_Connection;
typedef struct td_watch_list td_watch_list;

TD_MUST_USE td_code td_watch_new(const td_clock *clock, int64_t timeout_ms, td_watch_list **out, td_err *err);
void td_watch_free(td_watch_list **list); /* TD_CLEANUP */
/* The entry of a new connection; libmicrohttpd keeps it as the socket's context. NULL when memory is out. */
void *td_watch_add(td_watch_list *list, int fd);
void td_watch_remove(td_watch_list *list, void *entry);
void td_watch_headers_wanted(td_watch_list *list, struct MHD_Connection *connection);
void td_watch_body_wanted(td_watch_list *list, struct MHD_Connection *connection);
void td_watch_bytes(td_watch_list *list, struct MHD_Connection *connection, size_t size);
void td_watch_working(td_watch_list *list, struct MHD_Connection *connection);
/* Shuts down what is too slow. now_ms: monotonic. */
void td_watch_check(td_watch_list *list, int64_t now_ms);

/* A listening TCP socket on a numeric address or name; port 0: any. CONFLICT: taken; INVALID: no such address. */
TD_MUST_USE td_code td_socket_listen(const char *host, int port, int *fd_out, int *port_out, td_err *err);
/* A listening Unix socket. A stale one is replaced: the caller knows that nobody else listens there. CONFLICT: what
 * lies there is no socket. */
TD_MUST_USE td_code td_socket_listen_path(const char *path, unsigned mode, int *fd_out, td_err *err);

#endif
