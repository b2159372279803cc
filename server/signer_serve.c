/*
 * signer_serve.c: poll; let lines in; gather a frame, answer it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/signer_serve.h"

#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "server/signer_tls.h"
#include "server/signer_work.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUIET_MS 1000 /* between two lines in the log about strangers */

typedef struct line {
    int fd; /* -1: free */
    gnutls_session_t tls; /* NULL: a Unix socket */
    bool known; /* it is the server */
    int64_t since_ms; /* it came, or its last frame began */
    size_t got;
    uint8_t in[4 + TD_SIGNER_FRAME_MAX];
} line;

typedef struct serving {
    const td_signer_serve_options *options;
    td_signer_work *work;
    gnutls_certificate_credentials_t credentials;
    int64_t said_ms;
    line lines[TD_SIGNER_LINES_MAX];
} serving;

static int64_t now_ms(void)
{
    return td_clock_system.monotonic_ms(&td_clock_system);
}

static void drop(line *at)
{
    td_signer_tls_close(&at->tls);
    td_close_fd(&at->fd);
    at->known = false;
    at->got = 0;
}

/* At most one line a second about what strangers do. */
static bool may_say(serving *serve)
{
    int64_t now = now_ms();
    bool may = serve->said_ms == 0 || now - serve->said_ms >= QUIET_MS;
    serve->said_ms = may ? now : serve->said_ms;
    return may;
}

/* ---- letting in ---- */

static bool is_server(serving *serve, int fd)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == serve->options->server_user) {
        return true;
    }
    if (may_say(serve)) {
        td_log_warn("signer", "user %u (process %d) was turned away: only user %u is served", (unsigned)peer.uid,
                    (int)peer.pid, (unsigned)serve->options->server_user);
    }
    return false;
}

/* The one of these that has been silent for longest, or NULL; *count_out: how many there are. */
static line *oldest_of(serving *serve, bool known, size_t *count_out)
{
    line *oldest = NULL;
    *count_out = 0;
    for (size_t i = 0; i < TD_SIGNER_LINES_MAX; i++) {
        line *at = &serve->lines[i];
        if (at->fd >= 0 && at->known == known) {
            oldest = !oldest || at->since_ms < oldest->since_ms ? at : oldest;
            *count_out += 1;
        }
    }
    return oldest;
}

/* Half of the lines are for strangers, who may become known: who comes last has the best chance. */
static line *room_for_one(serving *serve)
{
    size_t count;
    line *oldest = oldest_of(serve, false, &count);
    if (oldest && count >= TD_SIGNER_LINES_MAX / 2) {
        drop(oldest);
    }
    for (size_t i = 0; i < TD_SIGNER_LINES_MAX; i++) {
        if (serve->lines[i].fd < 0) {
            return &serve->lines[i];
        }
    }
    return NULL; /* cannot be: the other half is for those that are known */
}

/* A server that comes again and again leaves lines that nobody has closed. */
static void make_known(serving *serve, line *at)
{
    size_t count;
    line *oldest = oldest_of(serve, true, &count);
    if (oldest && count >= TD_SIGNER_LINES_MAX / 2) {
        drop(oldest);
    }
    at->known = true;
    at->since_ms = now_ms();
}

static bool is_unix(int fd)
{
    int family = 0;
    socklen_t size = sizeof family;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_UNIX;
}

static void let_in(serving *serve, int listener)
{
    TD_CLEANUP(td_close_fd) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    bool local = fd >= 0 && is_unix(fd);
    int yes = 1;
    if (fd < 0 || (local && !is_server(serve, fd))) {
        return;
    }
    line *at = room_for_one(serve);
    if (!at || (!local && td_signer_tls_accept(serve->credentials, fd, &at->tls, NULL) != TD_OK)) {
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    at->fd = fd;
    at->known = false;
    at->got = 0;
    at->since_ms = now_ms();
    if (local) {
        make_known(serve, at);
    }
    fd = -1;
}

/* ---- frames ---- */

/* How many bytes are wanted until the next step. CORRUPT: too long a frame. */
static td_code wanted(const line *at, size_t *out, td_err *err)
{
    size_t size = 0;
    if (at->got >= 4) {
        TD_TRY(td_signer_frame_size(at->in, &size, err));
    }
    *out = 4 + size - at->got;
    return TD_OK;
}

static td_code reply_to(const serving *serve, line *at, td_err *err)
{
    uint8_t bytes[4 + TD_SIGNER_FRAME_MAX];
    size_t size;
    TD_TRY(td_signer_work_answer(serve->work, at->in + 4, at->got - 4, bytes, &size, err));
    at->got = 0;
    /* Who does not read what he asked for is not waited for. */
    ssize_t sent = at->tls ? td_signer_tls_write(at->tls, bytes, size) : send(at->fd, bytes, size, MSG_NOSIGNAL);
    return sent == (ssize_t)size ? TD_OK : td_fail(err, TD_NOT_FOUND, "the other side does not read");
}

/* Takes what is there. NOT_FOUND: closed. */
static td_code take(const serving *serve, line *at, td_err *err)
{
    for (;;) {
        size_t want;
        TD_TRY(wanted(at, &want, err));
        if (want == 0) {
            TD_TRY(reply_to(serve, at, err));
            continue;
        }
        ssize_t count = at->tls ? td_signer_tls_recv(at->tls, at->in + at->got, want)
                                : recv(at->fd, at->in + at->got, want, 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
            return TD_OK;
        }
        if (count <= 0) {
            return td_fail(err, TD_NOT_FOUND, "the other side has closed");
        }
        at->got += (size_t)count;
        at->since_ms = at->got == (size_t)count ? now_ms() : at->since_ms; /* a frame's time runs from its first byte */
    }
}

static void serve_line(serving *serve, line *at)
{
    td_err err = {0};
    bool done = true;
    td_code code = at->known ? TD_OK : td_signer_tls_shake(at->tls, serve->options->client, &done, &err);
    if (code == TD_OK && !at->known && done) {
        make_known(serve, at);
    }
    code = code == TD_OK && done ? take(serve, at, &err) : code;
    if (code != TD_OK) {
        if (code != TD_NOT_FOUND && may_say(serve)) {
            td_log_err(TD_LOG_WARN, "signer", "a line was dropped", &err);
        }
        drop(at);
    }
}

/* ---- the loop ---- */

static bool is_slow(const line *at, int64_t now)
{
    return at->fd >= 0 && (at->got > 0 || !at->known) && now - at->since_ms >= TD_SIGNER_SLOW_MS;
}

/* What to wait for; false: nothing is left that could say anything. */
static bool gather(const serving *serve, struct pollfd *set, int *timeout_out)
{
    size_t listeners = serve->options->listener_count;
    bool any = listeners > 0;
    *timeout_out = -1;
    for (size_t i = 0; i < listeners; i++) {
        set[i] = (struct pollfd){.fd = serve->options->listeners[i], .events = POLLIN};
    }
    for (size_t i = 0; i < TD_SIGNER_LINES_MAX; i++) {
        const line *at = &serve->lines[i];
        set[listeners + i] = (struct pollfd){.fd = at->fd, .events = POLLIN};
        any = any || at->fd >= 0;
        *timeout_out = at->fd >= 0 && (at->got > 0 || !at->known) ? TD_SIGNER_SLOW_MS : *timeout_out;
    }
    return any;
}

static td_code loop(serving *serve, td_err *err)
{
    struct pollfd set[TD_SIGNER_LISTENERS_MAX + TD_SIGNER_LINES_MAX];
    size_t listeners = serve->options->listener_count;
    int timeout_ms;
    while (gather(serve, set, &timeout_ms)) {
        if (poll(set, listeners + TD_SIGNER_LINES_MAX, timeout_ms) < 0 && errno != EINTR) {
            return td_fail_errno(err, errno, "waiting for servers");
        }
        for (size_t i = 0; i < TD_SIGNER_LINES_MAX; i++) {
            line *at = &serve->lines[i];
            if (at->fd >= 0 && set[listeners + i].revents) {
                serve_line(serve, at);
            }
            if (is_slow(at, now_ms())) {
                drop(at);
            }
        }
        for (size_t i = 0; i < listeners; i++) {
            if (set[i].revents) {
                let_in(serve, set[i].fd);
            }
        }
    }
    return TD_OK;
}

static void serving_free(serving **slot)
{
    if (*slot) {
        for (size_t i = 0; i < TD_SIGNER_LINES_MAX; i++) {
            drop(&(*slot)->lines[i]);
        }
        td_signer_tls_free(&(*slot)->credentials);
        td_signer_work_free(&(*slot)->work);
        free(*slot);
        *slot = NULL;
    }
}

td_code td_signer_serve(const td_signer_serve_options *options, td_err *err)
{
    td_err why = {0};
    TD_CLEANUP(serving_free) serving *serve = calloc(1, sizeof *serve);
    if (!serve) {
        return td_fail(err, TD_NOMEM, "no memory for the log's signer");
    }
    serve->options = options;
    for (size_t i = 0; i < TD_SIGNER_LINES_MAX; i++) {
        serve->lines[i].fd = -1;
    }
    serve->lines[0].fd = options->line;
    serve->lines[0].known = options->line >= 0;
    if (td_signer_wants_tls(options)) {
        const td_signer_tls_files files = {options->certificate, options->certificate_key, options->client_ca};
        TD_TRY(td_signer_tls_read(&files, &serve->credentials, err));
    }
    TD_TRY(td_signer_work_new(options->key, options->state, &serve->work, err));
    if (td_signer_work_open(serve->work, &why) != TD_OK && options->listener_count > 0) {
        td_log_err(TD_LOG_ERROR, "signer", "nothing can be signed", &why);
    }
    if (options->cage) {
        TD_TRY(options->cage(err));
    }
    return loop(serve, err);
}
