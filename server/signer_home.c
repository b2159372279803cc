/*
 * signer_home.c: what a signer that is a service stands on: sockets that systemd opened, a folder of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/signer_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define INHERITED_FIRST 3

static td_code take_socket(int fd, td_err *err)
{
    int listens = 0, family = 0;
    socklen_t size = sizeof listens, family_size = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &family_size) != 0 ||
        (family != AF_UNIX && family != AF_INET && family != AF_INET6)) {
        return td_fail(err, TD_INVALID, "LISTEN_FDS: descriptor %d is no socket that listens", fd);
    }
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0
               ? TD_OK
               : td_fail_errno(err, errno, "LISTEN_FDS");
}

td_code td_signer_inherit(td_signer_serve_options *options, td_err *err)
{
    const char *process = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
    int64_t pid, count;
    if (!process || !count_text || td_parse_int(process, "LISTEN_PID", 1, INT32_MAX, &pid, err) != TD_OK ||
        pid != getpid()) {
        return TD_OK; /* for another process */
    }
    TD_TRY(td_parse_int(count_text, "LISTEN_FDS", 0, TD_SIGNER_LISTENERS_MAX - (int)options->listener_count, &count,
                        err));
    for (int i = 0; i < (int)count; i++) {
        TD_TRY(take_socket(INHERITED_FIRST + i, err));
        options->listeners[options->listener_count++] = INHERITED_FIRST + i;
    }
    return TD_OK;
}

bool td_signer_wants_tls(const td_signer_serve_options *options)
{
    bool any = false;
    for (size_t i = 0; i < options->listener_count; i++) {
        int family = 0;
        socklen_t size = sizeof family;
        (void)getsockopt(options->listeners[i], SOL_SOCKET, SO_DOMAIN, &family, &size);
        any = any || family != AF_UNIX;
    }
    return any;
}

td_code td_signer_home_check(const char *folder, td_err *err)
{
    struct stat facts;
    if (stat(folder, &facts) != 0) {
        return td_fail_errno(err, errno, "%s", folder);
    }
    if (!S_ISDIR(facts.st_mode)) {
        return td_fail(err, TD_INVALID, "%s is no folder", folder);
    }
    if (facts.st_uid != geteuid() || (facts.st_mode & 077)) {
        return td_fail(err, TD_DENIED,
                       "%s holds the log's key: it must belong to user %u, who runs the signer, and be closed to "
                       "others (chmod 700); it belongs to user %u with mode %04o",
                       folder, (unsigned)geteuid(), (unsigned)facts.st_uid, (unsigned)(facts.st_mode & 07777));
    }
    return TD_OK;
}
