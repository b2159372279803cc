/*
 * worker_run.c: fork, cage, exec; output through a pipe; a deadline; all that the first process started ends with it,
 * also what left its process group: orphans come to the worker, which is their subreaper, and are killed there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fs.h"

#define TICK_MS 1000
#define SLICE_MS 100
#define GRACE_MS 5000 /* between SIGTERM and SIGKILL */
#define REAP_SLICE_MS 2
#define CHILDREN_LIST_MAX (1 << 20)
#define EXIT_NO_EXEC 127

/* ---- in the child ---- */

static void complain(const char *what)
{
    (void)dprintf(STDERR_FILENO, "tidemark worker: %s: %s\n", what, strerror(errno));
    _exit(EXIT_NO_EXEC);
}

static void start_command(const td_job *job, int out)
{
    const char *what = "";
    struct rlimit none = {0, 0};
    int null = open("/dev/null", O_RDONLY);
    if (setpgid(0, 0) != 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(out, STDERR_FILENO) < 0) {
        complain("setting up");
    }
    if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0) {
        complain("closing files");
    }
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    if (chdir(job->folder) != 0) {
        complain(job->folder);
    }
    if (job->caged && td_cage_enter(job, &what) != 0) {
        complain(what);
    }
    (void)execvpe(job->command[0], (char *const *)job->command, (char *const *)job->environment);
    complain(job->command[0]);
}

/* ---- in the parent ---- */

typedef struct running {
    pid_t pid;
    int out; /* read end */
    td_str *log;
    int64_t started_ms, killed_ms; /* killed_ms 0: not asked to end */
    int64_t ticked_ms;
} running;

static int64_t now_ms(void)
{
    return td_clock_system.monotonic_ms(&td_clock_system);
}

/* Keeps the last bytes. */
static void add_log(td_str *log, const char *data, size_t size)
{
    td_str_append(log, data, size);
    if (log->size > 2 * TD_JOB_LOG_MAX) {
        size_t drop = log->size - TD_JOB_LOG_MAX;
        memmove(log->data, log->data + drop, TD_JOB_LOG_MAX);
        log->size = TD_JOB_LOG_MAX;
        log->data[log->size] = '\0';
    }
}

/* Reads what is there within one slice; false at the end of the output. */
static bool read_output(running *r)
{
    char buffer[4096];
    struct pollfd waiting = {.fd = r->out, .events = POLLIN};
    if (poll(&waiting, 1, SLICE_MS) <= 0) {
        return true;
    }
    ssize_t got = read(r->out, buffer, sizeof buffer);
    if (got > 0) {
        add_log(r->log, buffer, (size_t)got);
    }
    return got > 0 || (got < 0 && errno == EINTR);
}

static void end_group(running *r)
{
    int64_t now = now_ms();
    if (r->killed_ms == 0) {
        r->killed_ms = now;
        (void)kill(-r->pid, SIGTERM);
    } else if (now - r->killed_ms > GRACE_MS) {
        (void)kill(-r->pid, SIGKILL);
    }
}

/* Watches until the first process has ended. */
static td_code watch(running *r, const td_job *job, td_job_tick tick, void *context, int *status_out, bool *timed_out,
                     td_err *err)
{
    td_code code = TD_OK;
    bool open_still = true;
    for (;;) {
        if (open_still) {
            open_still = read_output(r);
        } else {
            (void)poll(NULL, 0, SLICE_MS);
        }
        pid_t ended = waitpid(r->pid, status_out, WNOHANG);
        if (ended == r->pid) {
            return code;
        }
        if (ended < 0 && errno != EINTR) {
            return td_fail_errno(err, errno, "waiting for the command");
        }
        int64_t now = now_ms();
        if (now - r->started_ms > job->timeout_ms) {
            *timed_out = true;
            end_group(r);
        } else if (code != TD_OK) {
            end_group(r);
        } else if (tick != NULL && now - r->ticked_ms >= TICK_MS) {
            r->ticked_ms = now;
            code = tick(context, err);
        }
    }
}

/* SIGKILL to every child; the orphans that this makes are children, too, the next time. */
static td_code kill_children(td_err *err)
{
    TD_CLEANUP(td_str_done) td_str list = {0};
    char *end;
    TD_TRY(td_file_read("/proc/thread-self/children", CHILDREN_LIST_MAX, &list, err));
    const char *at = td_str_text(&list);
    for (long pid = strtol(at, &end, 10); end != at && pid > 1; pid = strtol(at, &end, 10)) {
        (void)kill((pid_t)pid, SIGKILL);
        at = end;
    }
    return TD_OK;
}

/* Ends what the command left running until no child is left. One that forks faster than this is given up. */
static td_code end_descendants(td_err *err)
{
    int64_t until = now_ms() + GRACE_MS;
    for (;;) {
        pid_t ended;
        do {
            ended = waitpid(-1, NULL, WNOHANG);
        } while (ended > 0 || (ended < 0 && errno == EINTR));
        if (ended < 0) {
            return errno == ECHILD ? TD_OK : td_fail_errno(err, errno, "waiting for what the command left");
        }
        if (now_ms() > until) {
            return td_fail(err, TD_IO, "the command left processes that do not end; look for them with ps");
        }
        TD_TRY(kill_children(err));
        (void)poll(NULL, 0, REAP_SLICE_MS);
    }
}

/* What is left in the pipe; nobody writes any more once all are dead. */
static void drain(running *r)
{
    char buffer[4096];
    ssize_t got;
    (void)fcntl(r->out, F_SETFL, O_NONBLOCK);
    while ((got = read(r->out, buffer, sizeof buffer)) > 0) {
        add_log(r->log, buffer, (size_t)got);
    }
}

static void trim_log(td_str *log)
{
    if (log->size > TD_JOB_LOG_MAX) {
        size_t drop = log->size - TD_JOB_LOG_MAX;
        memmove(log->data, log->data + drop, TD_JOB_LOG_MAX);
        log->size = TD_JOB_LOG_MAX;
        log->data[log->size] = '\0';
    }
}

td_code td_job_run(const td_job *job, td_job_tick tick, void *context, td_job_result *out, td_err *err)
{
    int pipe_fds[2], status = 0;
    bool timed_out = false;
    td_str log = {0};
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        return td_fail_errno(err, errno, "becoming the reaper of the command's processes");
    }
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        return td_fail_errno(err, errno, "a pipe");
    }
    TD_CLEANUP(td_close_fd) int out_fd = pipe_fds[0];
    pid_t pid = fork();
    if (pid == 0) {
        start_command(job, pipe_fds[1]);
    }
    (void)close(pipe_fds[1]);
    if (pid < 0) {
        return td_fail_errno(err, errno, "starting the command");
    }
    (void)setpgid(pid, pid); /* whichever of the two comes first */
    running r = {.pid = pid, .out = out_fd, .log = &log, .started_ms = now_ms(), .ticked_ms = now_ms()};
    td_code code = watch(&r, job, tick, context, &status, &timed_out, err);
    (void)kill(-pid, SIGKILL); /* grandchildren do not outlive it */
    td_err ignored;
    td_code ended = end_descendants(code == TD_OK ? err : &ignored);
    code = code == TD_OK ? ended : code;
    drain(&r);
    trim_log(&log);
    if (code != TD_OK) {
        td_str_done(&log);
        return code;
    }
    *out = (td_job_result){.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                           .timed_out = timed_out,
                           .duration_ms = now_ms() - r.started_ms,
                           .log = log};
    return TD_OK;
}
