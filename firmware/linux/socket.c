/*
 * socket.c: see socket.h.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/socket.h"

#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RECEIVE_BUFFER (1024 * 1024) /* bursts of applications wait here while the loop writes to the disk */

static td_code address_of(const char *state, struct sockaddr_un *address, td_err *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/run/agent.sock", state);
    if (length < 0 || (size_t)length >= sizeof address->sun_path) {
        return td_fail(err, TD_LIMIT,
                       "%s/run/agent.sock is longer than a socket's path may be (%zu): use a shorter --state", state,
                       sizeof address->sun_path - 1);
    }
    return TD_OK;
}

static td_code take_lock(td_agent_socket *sock, const char *state, td_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/run/agent.lock", state);
    sock->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (sock->lock_fd < 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (flock(sock->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return td_fail(err, TD_BUSY, "another agent runs on %s: stop it first, or use another --state", state);
    }
    return TD_OK;
}

static td_code give_to_group(const char *path, const char *group, td_err *err)
{
    errno = 0;
    const struct group *entry = group != NULL ? getgrnam(group) : NULL;
    if (group != NULL && entry == NULL) {
        return td_fail(err, TD_NOT_FOUND, "no group \"%s\" on this machine: groupadd --system %s", group, group);
    }
    if ((entry != NULL && chown(path, (uid_t)-1, entry->gr_gid) != 0) ||
        chmod(path, entry != NULL ? 0660 : 0600) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    return TD_OK;
}

static td_code bind_socket(td_agent_socket *sock, const struct sockaddr_un *address, const char *group, td_err *err)
{
    int size = RECEIVE_BUFFER;
    sock->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock->fd < 0) {
        return td_fail_errno(err, errno, "socket");
    }
    (void)setsockopt(sock->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)unlink(address->sun_path); /* left by an agent that was killed: we hold the lock */
    mode_t mask = umask(0177);
    int bound = bind(sock->fd, (const struct sockaddr *)address, sizeof *address);
    int saved = errno;
    umask(mask);
    if (bound != 0) {
        return td_fail_errno(err, saved, "%s", address->sun_path);
    }
    memcpy(sock->path, address->sun_path, sizeof sock->path);
    return give_to_group(sock->path, group, err);
}

td_code td_agent_socket_open(td_agent_socket *sock, const char *state, const char *group, td_err *err)
{
    struct sockaddr_un address;
    char folder[4096];
    *sock = (td_agent_socket){.fd = -1, .lock_fd = -1};
    TD_TRY(address_of(state, &address, err));
    TD_TRY(td_path_join(folder, state, "run", err));
    TD_TRY(td_folder_make(folder, 0755, err));
    td_code code = take_lock(sock, state, err);
    if (code == TD_OK) {
        code = bind_socket(sock, &address, group, err);
    }
    if (code != TD_OK) {
        td_agent_socket_close(sock);
    }
    return code;
}

void td_agent_socket_close(td_agent_socket *sock)
{
    if (sock->path[0] != 0) {
        (void)unlink(sock->path);
    }
    td_close_fd(&sock->fd);
    td_close_fd(&sock->lock_fd);
}

td_code td_agent_ask(const char *state, const void *datagram, size_t size, int timeout_ms, void *answer,
                     size_t *answer_size, td_err *err)
{
    struct sockaddr_un address;
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    TD_TRY(address_of(state, &address, err));
    TD_CLEANUP(td_close_fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* An address with the family alone makes the kernel choose an abstract name, for the answer. */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&own, sizeof own.sun_family) != 0) {
        return td_fail_errno(err, errno, "socket");
    }
    if (sendto(fd, datagram, size, MSG_NOSIGNAL, (const struct sockaddr *)&address, sizeof address) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED) {
            return td_fail(err, TD_NOT_FOUND, "no agent runs on %s: start it with tidemark-agent run --state %s", state,
                           state);
        }
        return td_fail_errno(err, errno, "%s", address.sun_path);
    }
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, timeout_ms) <= 0) {
        return td_fail(err, TD_BUSY, "the agent on %s does not answer", state);
    }
    ssize_t got = recv(fd, answer, *answer_size, 0);
    if (got < 0) {
        return td_fail_errno(err, errno, "%s", address.sun_path);
    }
    *answer_size = (size_t)got;
    return TD_OK;
}
