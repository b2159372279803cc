/*
 * socket.h: the Unix datagram socket <state>/run/agent.sock, and the lock that keeps a second agent away.
 *
 * Threads: belongs to the agent's loop.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_SOCKET_H
#define TD_FIRMWARE_LINUX_SOCKET_H

#include "core/base/err.h"

typedef struct td_agent_socket {
    int fd, lock_fd;
    char path[108];
} td_agent_socket;

/* Takes <state>/run/agent.lock (BUSY: another agent has it) and binds run/agent.sock: mode 0600, or 0660 with `group`.
 * LIMIT: the path is too long for a socket. NOT_FOUND: no such group. */
TD_MUST_USE td_code td_agent_socket_open(td_agent_socket *sock, const char *state, const char *group, td_err *err);
/* Removes the socket, gives the lock back. */
void td_agent_socket_close(td_agent_socket *sock);
/* Sends one datagram to the agent of `state` and waits up to timeout_ms for its answer. NOT_FOUND: no agent listens
 * there. */
TD_MUST_USE td_code td_agent_ask(const char *state, const void *datagram, size_t size, int timeout_ms, void *answer,
                                 size_t *answer_size, td_err *err);

#endif
