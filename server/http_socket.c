/*
 * http_socket.c: listening sockets: never on an address that nobody asked for, never on a port that wrapped.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http_watch.h"

#include "core/base/fs.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

static td_code bound_port(int fd, int *port_out, td_err *err)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        return td_fail_errno(err, errno, "reading the port of a listener");
    }
    *port_out = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                    : ((struct sockaddr_in *)&address)->sin_port);
    return TD_OK;
}

static td_code bind_one(const struct addrinfo *address, const char *host, int port, int *fd_out, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return td_fail_errno(err, errno, "making a listening socket");
    }
    int yes = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0) {
        int number = errno;
        if (number == EADDRINUSE) {
            return td_fail(err, TD_CONFLICT,
                           "port %d on %s is taken by another program; choose another (0 picks a free one)", port,
                           host);
        }
        return td_fail_errno(err, number, "listening on %s port %d", host, port);
    }
    if (listen(fd, BACKLOG) != 0) {
        return td_fail_errno(err, errno, "listening on %s port %d", host, port);
    }
    *fd_out = fd;
    fd = -1;
    return TD_OK;
}

td_code td_socket_listen(const char *host, int port, int *fd_out, int *port_out, td_err *err)
{
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host, service, &hints, &found);
    if (failed) {
        return td_fail(err, TD_INVALID, "\"%s\" is no address of this machine: %s", host, gai_strerror(failed));
    }
    int fd = -1;
    td_code code = bind_one(found, host, port, &fd, err);
    freeaddrinfo(found);
    TD_TRY(code);
    code = bound_port(fd, port_out, err);
    if (code != TD_OK) {
        close(fd);
        return code;
    }
    *fd_out = fd;
    return TD_OK;
}

/* What a server that was killed left; anything else that lies there is somebody's. */
static td_code remove_stale(const char *path, td_err *err)
{
    struct stat facts;
    if (lstat(path, &facts) != 0) {
        return errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", path);
    }
    if (!S_ISSOCK(facts.st_mode)) {
        return td_fail(err, TD_CONFLICT, "%s is there already and is no socket", path);
    }
    return unlink(path) == 0 ? TD_OK : td_fail_errno(err, errno, "%s", path);
}

td_code td_socket_listen_path(const char *path, unsigned mode, int *fd_out, td_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        return td_fail(err, TD_LIMIT, "%s: the path of a socket is longer than %zu bytes; use a shorter one", path,
                       sizeof address.sun_path - 1);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    TD_CLEANUP(td_close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return td_fail_errno(err, errno, "making a socket");
    }
    TD_TRY(remove_stale(path, err));
    mode_t before = umask(0777u & ~mode);
    int failed = bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ? errno : 0;
    umask(before);
    if (failed || listen(fd, BACKLOG) != 0) {
        return td_fail_errno(err, failed ? failed : errno, "listening on %s", path);
    }
    *fd_out = fd;
    fd = -1;
    return TD_OK;
}
