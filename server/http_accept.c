/*
 * http_accept.c: one thread that polls the listening socket, and a counter of what is open.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http_accept.h"

#include "core/base/log.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_MS 100 /* when the process or the machine has no descriptor left */

struct td_acceptor {
    int fd;
    int nudge; /* eventfd: stop, or there is room again */
    struct MHD_Daemon *const *daemons;
    size_t count, next; /* of the daemons; whose turn it is */
    size_t most;
    atomic_size_t open;
    atomic_bool stopping;
    bool started;
    bool starving; /* the thread's own */
    pthread_t thread;
};

/* No file is left to accept with, or no memory; said once, until there is again. */
static int starve(td_acceptor *acceptor)
{
    if (!acceptor->starving) {
        td_log_warn("http", "no connection can be accepted: too many files are open, or too little memory is left");
    }
    acceptor->starving = true;
    return RETRY_MS;
}

/* False: there is nothing to accept, or nothing to accept it with. */
static bool accept_one(td_acceptor *acceptor, int *wait_ms)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int fd = accept4(acceptor->fd, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        bool starving = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        bool passing = errno == EINTR || errno == ECONNABORTED;
        *wait_ms = starving ? starve(acceptor) : -1;
        return passing;
    }
    acceptor->starving = false;
    atomic_fetch_add(&acceptor->open, 1);
    struct MHD_Daemon *daemon = acceptor->daemons[acceptor->next++ % acceptor->count];
    if (MHD_add_connection(daemon, fd, (struct sockaddr *)&address, size) != MHD_YES) {
        atomic_fetch_sub(&acceptor->open, 1); /* closed by the library, and never announced */
    }
    return true;
}

static void *acceptor_main(void *context)
{
    td_acceptor *acceptor = context;
    int wait_ms = -1;
    while (!atomic_load(&acceptor->stopping)) {
        bool may = wait_ms < 0 && atomic_load(&acceptor->open) < acceptor->most;
        struct pollfd waits[2] = {{.fd = acceptor->nudge, .events = POLLIN}, {.fd = acceptor->fd, .events = POLLIN}};
        (void)poll(waits, may ? 2 : 1, wait_ms);
        uint64_t ignored;
        (void)!read(acceptor->nudge, &ignored, sizeof ignored);
        wait_ms = -1;
        while (!atomic_load(&acceptor->stopping) && atomic_load(&acceptor->open) < acceptor->most &&
               accept_one(acceptor, &wait_ms)) {
        }
    }
    return NULL;
}

static void nudge(td_acceptor *acceptor)
{
    const uint64_t one = 1;
    (void)!write(acceptor->nudge, &one, sizeof one);
}

td_code td_acceptor_new(int fd, size_t most, td_acceptor **out, td_err *err)
{
    td_acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (!acceptor) {
        return td_fail(err, TD_NOMEM, "no memory for an acceptor");
    }
    acceptor->fd = fd;
    acceptor->most = most;
    acceptor->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (acceptor->nudge < 0) {
        int number = errno;
        free(acceptor);
        return td_fail_errno(err, number, "making an event for the acceptor");
    }
    *out = acceptor;
    return TD_OK;
}

td_code td_acceptor_start(td_acceptor *acceptor, struct MHD_Daemon *const *daemons, size_t count, td_err *err)
{
    acceptor->daemons = daemons;
    acceptor->count = count;
    int failed = pthread_create(&acceptor->thread, NULL, acceptor_main, acceptor);
    if (failed) {
        return td_fail_errno(err, failed, "starting the acceptor's thread");
    }
    acceptor->started = true;
    return TD_OK;
}

void td_acceptor_ended(td_acceptor *acceptor)
{
    if (acceptor && atomic_fetch_sub(&acceptor->open, 1) == acceptor->most) {
        nudge(acceptor);
    }
}

void td_acceptor_stop(td_acceptor *acceptor)
{
    if (acceptor && acceptor->started) {
        atomic_store(&acceptor->stopping, true);
        nudge(acceptor);
        pthread_join(acceptor->thread, NULL);
        acceptor->started = false;
    }
}

void td_acceptor_free(td_acceptor **slot)
{
    td_acceptor *acceptor = *slot;
    if (acceptor) {
        td_acceptor_stop(acceptor);
        close(acceptor->nudge);
        free(acceptor);
        *slot = NULL;
    }
}
