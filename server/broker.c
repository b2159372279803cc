/*
 * broker.c: one thread that starts the child, waits for it to end, and starts it again after a growing pause.
 *
 * The thread lives as long as the server, because PR_SET_PDEATHSIG is tied to the thread that forked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/broker.h"

#include "core/base/fs.h"
#include "core/base/log.h"
#include "server/http_watch.h"
#include "server/workspace_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STABLE_MS 10000 /* a child that lived this long starts the pauses from the beginning */
#define STOP_MS 5000

struct td_broker {
    td_server *server;
    int port;
    int stop_fd;
    pthread_t thread;
    bool thread_started;
    pthread_mutex_t lock; /* of what follows */
    pid_t child;          /* 0: none */
    const char *state;
    int64_t starts;
    char why[160];
};

static void set_state(td_broker *broker, const char *state, pid_t child, const char *why)
{
    pthread_mutex_lock(&broker->lock);
    broker->state = state;
    broker->child = child;
    if (why) {
        snprintf(broker->why, sizeof broker->why, "%s", why);
    }
    pthread_mutex_unlock(&broker->lock);
}

const char *td_broker_state(td_broker *broker, int64_t *starts_out, char why_out[160])
{
    pthread_mutex_lock(&broker->lock);
    const char *state = broker->state;
    *starts_out = broker->starts;
    memcpy(why_out, broker->why, sizeof broker->why);
    pthread_mutex_unlock(&broker->lock);
    return state;
}

int td_broker_port(const td_broker *broker)
{
    return broker->port;
}

/* ---- the child ---- */

/* After fork: only calls that are safe there. */
static void run_child(const char *program, const char *config, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* our standard output is for the line "ready" */
    if (getppid() != parent) {
        _exit(127);
    }
    char *const arguments[] = {(char *)(uintptr_t) "mosquitto", (char *)(uintptr_t) "-c", (char *)(uintptr_t)config,
                               NULL};
    /* None of our environment: with NOTIFY_SOCKET it would tell the service manager that we are ready. */
    char *const environment[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    execvpe(program, arguments, environment);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Debian keeps mosquitto in /usr/sbin, which is not in everybody's PATH. */
static const char *find_program(const char *name, char room[4096])
{
    static const char *const folders[] = {"/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin",
                                          "/opt/homebrew/sbin"};
    if (strchr(name, '/')) {
        return name;
    }
    for (size_t i = 0; i < TD_COUNT_OF(folders); i++) {
        snprintf(room, 4096, "%s/%s", folders[i], name);
        if (access(room, X_OK) == 0) {
            return room;
        }
    }
    return name;
}

static pid_t start_child(td_broker *broker)
{
    char config[4096], room[4096];
    snprintf(config, sizeof config, "%.4000s/broker/mosquitto.conf", broker->server->path);
    const char *program = find_program(td_config_text(broker->server->config, "mqtt.mosquitto"), room);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        run_child(program, config, parent);
    }
    if (child > 0) {
        pthread_mutex_lock(&broker->lock);
        broker->starts++;
        pthread_mutex_unlock(&broker->lock);
    }
    return child;
}

static bool wait_stop(const td_broker *broker, int timeout_ms)
{
    struct pollfd wait = {.fd = broker->stop_fd, .events = POLLIN};
    return poll(&wait, 1, timeout_ms) > 0;
}

/* Returns when the child ended (true) or the server stops (false). */
static bool wait_child(const td_broker *broker, pid_t child, int *status)
{
    int pid_fd = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd waits[2] = {{.fd = broker->stop_fd, .events = POLLIN}, {.fd = pid_fd, .events = POLLIN}};
    bool ended = false;
    for (;;) {
        int timeout = pid_fd >= 0 ? -1 : 200; /* without pidfd (old kernel, sandbox): look now and then */
        (void)poll(waits, pid_fd >= 0 ? 2 : 1, timeout);
        if (waitpid(child, status, WNOHANG) == child) {
            ended = true;
            break;
        }
        if (waits[0].revents & POLLIN) {
            break;
        }
    }
    if (pid_fd >= 0) {
        close(pid_fd);
    }
    return ended;
}

static void stop_child(pid_t child)
{
    kill(child, SIGTERM);
    int pid_fd = (int)syscall(SYS_pidfd_open, child, 0);
    if (pid_fd >= 0) {
        struct pollfd wait = {.fd = pid_fd, .events = POLLIN};
        if (poll(&wait, 1, STOP_MS) <= 0) {
            kill(child, SIGKILL);
        }
        close(pid_fd);
    }
    int status;
    (void)waitpid(child, &status, 0);
}

static void tell_end(td_broker *broker, int status, int64_t pause_ms)
{
    char why[160];
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        snprintf(why, sizeof why, "the broker's program \"%s\" was not found; install mosquitto or set mqtt.mosquitto",
                 td_config_text(broker->server->config, "mqtt.mosquitto"));
    } else if (WIFSIGNALED(status)) {
        snprintf(why, sizeof why, "the broker was ended by signal %d", WTERMSIG(status));
    } else {
        snprintf(why, sizeof why, "the broker ended with status %d", WEXITSTATUS(status));
    }
    set_state(broker, "down", 0, why);
    td_log_warn("broker", "%s; starting it again in %lld ms", why, (long long)pause_ms);
}

static void *broker_main(void *argument)
{
    td_broker *broker = argument;
    int64_t pause_ms = 250;
    for (;;) {
        int64_t began = td_server_monotonic_ms(broker->server);
        pid_t child = start_child(broker);
        int status = 127 << 8;
        if (child > 0) {
            set_state(broker, "running", child, "");
            if (!wait_child(broker, child, &status)) {
                stop_child(child);
                break;
            }
        }
        if (td_server_monotonic_ms(broker->server) - began > STABLE_MS) {
            pause_ms = 250;
        }
        tell_end(broker, status, pause_ms);
        if (wait_stop(broker, (int)pause_ms)) {
            break;
        }
        pause_ms = pause_ms * 2 > TD_BROKER_BACKOFF_MAX_MS ? TD_BROKER_BACKOFF_MAX_MS : pause_ms * 2;
    }
    set_state(broker, "stopped", 0, NULL);
    return NULL;
}

/* ---- files, start, stop ---- */

/* Written anew at each start from the records, so nothing is lost with it: atomic, but not synced to disk. */
static td_code write_file(const td_server *server, const char *name, const td_str *text, td_err *err)
{
    char path[4096], temporary[4096 + 8];
    TD_TRY(td_workspace_file(server->path, name, path, err));
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    TD_CLEANUP(td_close_fd) int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return td_fail_errno(err, errno, "%s", temporary);
    }
    TD_TRY(td_write_all(fd, text->data, text->size, err));
    return rename(temporary, path) == 0 ? TD_OK : td_fail_errno(err, errno, "%s", path);
}

static td_code write_acl(const td_server *server, const json_t *revoked, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_broker_acl_text(td_config_text(server->config, "mqtt.prefix"), revoked, &text, err));
    return write_file(server, "broker/acl", &text, err);
}

/* Devices keep the broker's address: a port that was picked once is used again while it is free. */
static td_code choose_port(const td_server *server, int *port_out, td_err *err)
{
    int port = (int)td_config_int(server->config, "mqtt.port");
    const char *host = td_config_text(server->config, "mqtt.host");
    TD_CLEANUP(td_close_fd) int fd = -1;
    if (port) {
        *port_out = port;
        return TD_OK;
    }
    char path[4096];
    TD_TRY(td_workspace_file(server->path, "broker/port", path, err));
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_err ignored;
    int64_t before = 0;
    if (td_path_exists(path) && td_file_read(path, 16, &text, &ignored) == TD_OK) {
        (void)!td_parse_int(td_str_text(&text), "port", 1, 65535, &before, &ignored);
    }
    if (before == 0 || td_socket_listen(host, (int)before, &fd, port_out, &ignored) != TD_OK) {
        TD_TRY(td_socket_listen(host, 0, &fd, port_out, err));
    }
    char number[16];
    int length = snprintf(number, sizeof number, "%d", *port_out);
    return *port_out == before ? TD_OK : td_file_replace(path, number, (size_t)length, 0600, err);
}

static td_code prepare(td_broker *broker, const json_t *revoked, td_err *err)
{
    TD_TRY(choose_port(broker->server, &broker->port, err));
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_broker_config_text(broker->server, broker->port, &text, err));
    TD_TRY(write_file(broker->server, "broker/mosquitto.conf", &text, err));
    TD_TRY(write_acl(broker->server, revoked, err));
    broker->stop_fd = eventfd(0, EFD_CLOEXEC);
    return broker->stop_fd < 0 ? td_fail_errno(err, errno, "preparing the broker's watch") : TD_OK;
}

td_code td_broker_start(td_broker *broker, td_err *err)
{
    int failed = pthread_create(&broker->thread, NULL, broker_main, broker);
    broker->thread_started = failed == 0;
    return failed ? td_fail_errno(err, failed, "starting the broker's watch") : TD_OK;
}

td_code td_broker_new(td_server *server, const json_t *revoked, td_broker **out, td_err *err)
{
    TD_CLEANUP(td_broker_stop) td_broker *broker = calloc(1, sizeof *broker);
    if (!broker) {
        return td_fail(err, TD_NOMEM, "no memory for the broker's watch");
    }
    broker->server = server;
    broker->stop_fd = -1;
    broker->state = "starting";
    pthread_mutex_init(&broker->lock, NULL);
    TD_TRY(prepare(broker, revoked, err));
    *out = broker;
    broker = NULL;
    return TD_OK;
}

void td_broker_stop(td_broker **slot)
{
    td_broker *broker = *slot;
    if (!broker) {
        return;
    }
    if (broker->thread_started) {
        uint64_t one = 1;
        (void)!write(broker->stop_fd, &one, sizeof one);
        pthread_join(broker->thread, NULL);
    }
    td_close_fd(&broker->stop_fd);
    pthread_mutex_destroy(&broker->lock);
    free(broker);
    *slot = NULL;
}

td_code td_broker_revoked(td_broker *broker, const json_t *revoked, td_err *err)
{
    TD_TRY(write_acl(broker->server, revoked, err));
    pthread_mutex_lock(&broker->lock);
    if (broker->child > 0) {
        kill(broker->child, SIGHUP);
    }
    pthread_mutex_unlock(&broker->lock);
    return TD_OK;
}
