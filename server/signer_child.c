/*
 * signer_child.c: fork, then this very program again (/proc/self/exe), so that the child holds no memory of ours: no
 * key, no connection, no record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/signer_child.h"

#include "core/base/fs.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* After fork: only calls that are safe there. */
static void run_child(const char *key, const char *state, int fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* our standard output is for the line "ready" */
    if (getppid() != parent || dup2(fd, TD_SIGNER_CHILD_FD) < 0) { /* dup2 drops close-on-exec */
        _exit(127);
    }
    (void)syscall(SYS_close_range, TD_SIGNER_CHILD_FD + 1, ~0U, 0);
    char *const arguments[] = {(char *)(uintptr_t) "tidemark", (char *)(uintptr_t) "signer",
                               (char *)(uintptr_t) "run",      (char *)(uintptr_t) "--key",
                               (char *)(uintptr_t)key,         (char *)(uintptr_t) "--state",
                               (char *)(uintptr_t)state,       (char *)(uintptr_t) "--fd",
                               (char *)(uintptr_t) "3",        NULL};
    char *const environment[] = {NULL};
    execve("/proc/self/exe", arguments, environment);
    _exit(126);
}

td_code td_signer_child_start(const char *key, const char *state, int *fd_out, pid_t *child_out, td_err *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return td_fail_errno(err, errno, "a line to the log's signer");
    }
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        if (ends[1] == TD_SIGNER_CHILD_FD) { /* dup2 to itself would leave close-on-exec set */
            ends[1] = dup(ends[1]);
        }
        run_child(key, state, ends[1], parent);
    }
    int failed = errno;
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return td_fail_errno(err, failed, "starting the log's signer");
    }
    *fd_out = ends[0];
    *child_out = child;
    return TD_OK;
}

void td_signer_child_stop(pid_t child)
{
    int status;
    (void)kill(child, SIGKILL); /* what it signed is on disk before anybody hears of it */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
}
