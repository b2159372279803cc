/*
 * http_accept.h: deals out a listener's new connections to several daemons of libmicrohttpd, a polling thread each.
 *
 * The library's own pool of threads races for what arrives, and one that happens to win all of it does all the work
 * while the others sleep. Beyond the most that a listener admits, connections wait in the kernel's queue.
 * Threads: any; td_acceptor_stop joins the acceptor's own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_HTTP_ACCEPT_H
#define TD_SERVER_HTTP_ACCEPT_H

#include "core/base/err.h"

#include <stddef.h>

struct MHD_Daemon;
typedef struct td_acceptor td_acceptor;

/* `fd` (stays the caller's) does not block; `most` connections may be open. */
TD_MUST_USE td_code td_acceptor_new(int fd, size_t most, td_acceptor **out, td_err *err);
/* Begins to accept, for `count` daemons without a listening socket, in turn; the array stays the caller's. */
TD_MUST_USE td_code td_acceptor_start(td_acceptor *acceptor, struct MHD_Daemon *const *daemons, size_t count,
                                      td_err *err);
/* A connection of a daemon has ended. NULL is fine. */
void td_acceptor_ended(td_acceptor *acceptor);
/* Nothing is accepted any more. NULL is fine. */
void td_acceptor_stop(td_acceptor *acceptor);
void td_acceptor_free(td_acceptor **acceptor); /* TD_CLEANUP; when no connection is left */

#endif
