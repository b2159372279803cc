/*
 * content.c: two hundred devices pull one object at once over a real broker.
 *
 * All devices share one connection, which subscribes for them all: what is measured is the server's side and the
 * broker. Each asks for 64 blocks with a credit of 8, and asks again when its credit has come. The reference sends as
 * many blocks of that size on the same topics without being asked, at the same window.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/fleet/bench_fleet.h"

#include "core/base/fs.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECT_SIZE (1024 * 1024)
#define BLOCK 32768u
#define BLOCKS (OBJECT_SIZE / BLOCK)
#define CREDIT 8u

typedef struct puller {
    uint32_t missing; /* bit i: block i is not there yet */
    uint32_t due;     /* blocks that come for the last request */
    int64_t ask_ms;   /* monotonic; ask again at this time */
} puller;

typedef struct pull {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    puller devices[BENCH_DEVICES];
    int done;
    long received;
    bool connected[2];
} pull;

static int64_t now_ms(void)
{
    return (int64_t)(bench_seconds() * 1000);
}

static void on_server_connected(void *context, bool present)
{
    (void)present;
    pull *p = context;
    pthread_mutex_lock(&p->mutex);
    p->connected[0] = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

static void take_block(puller *d, const uint8_t *bytes, size_t size)
{
    uint32_t block = (uint32_t)(bytes[4] | bytes[5] << 8);
    if (bytes[10] != 0 || size != TD_BLOCK_HEADER_SIZE + BLOCK || block >= BLOCKS) {
        d->ask_ms = now_ms() + (bytes[12] | bytes[13] << 8); /* deferred */
        d->due = 0;
        return;
    }
    d->missing &= ~(1u << block);
    d->due -= d->due > 0;
    if (d->due == 0) {
        d->ask_ms = 0;
    }
}

static void on_block(void *context, const td_mqtt_message *message)
{
    pull *p = context;
    int device = (int)strtol(message->topic + strlen("tm/v1/d-"), NULL, 10) % BENCH_DEVICES; /* our own topics */
    pthread_mutex_lock(&p->mutex);
    p->received++;
    puller *d = &p->devices[device];
    if (d->missing != 0) {
        take_block(d, message->payload, message->size);
        p->done += d->missing == 0;
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

static td_code connect_to(int port, const char *id, pull *p, bool receives, td_mqtt **out, td_err *err)
{
    static const td_mqtt_subscription blocks[] = {{"tm/v1/+/down/block", 1}, {NULL, 0}};
    td_mqtt_options options = {.host = "127.0.0.1",
                               .port = port,
                               .client_id = id,
                               .clean_start = true,
                               .context = p,
                               .inflight_max = 4096,
                               .backoff_min_ms = 50,
                               .connected = on_server_connected,
                               .subscriptions = receives ? blocks : NULL,
                               .message = receives ? on_block : NULL};
    TD_TRY(td_mqtt_start(&options, out, err));
    return td_mqtt_wait(*out, 20000, err);
}

/* Which device asks next; -1: none now. The mutex is held. */
static int next_to_ask(pull *p, int from)
{
    int64_t now = now_ms();
    for (int i = 0; i < BENCH_DEVICES; i++) {
        int device = (from + i) % BENCH_DEVICES;
        puller *d = &p->devices[device];
        if (d->missing != 0 && now >= d->ask_ms) {
            d->due = CREDIT;
            d->ask_ms = now + 2000;
            return device;
        }
    }
    return -1;
}

static void wait_a_little(pull *p)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&p->changed, &p->mutex, &until);
}

static td_code pull_all(pull *p, td_content_server *server, const uint8_t *digest, td_err *err)
{
    for (int from = 0;;) {
        pthread_mutex_lock(&p->mutex);
        int device = next_to_ask(p, from);
        bool done = p->done == BENCH_DEVICES;
        uint32_t wanted = device >= 0 ? p->devices[device].missing : 0;
        if (device < 0 && !done) {
            wait_a_little(p);
        }
        pthread_mutex_unlock(&p->mutex);
        if (done) {
            return TD_OK;
        }
        if (device >= 0) {
            char name[32];
            snprintf(name, sizeof name, "d-%03d", device);
            tidemark_Get get = {.transfer = 1, .block_size = BLOCK, .wanted = wanted, .credit = CREDIT};
            memcpy(get.digest, digest, TD_DIGEST_SIZE);
            TD_TRY(td_content_server_get(server, device + 1, name, &get, err));
            from = device + 1;
        }
    }
}

static td_code push_all(pull *p, td_mqtt *mqtt, td_err *err)
{
    static uint8_t block[TD_BLOCK_HEADER_SIZE + BLOCK];
    long start = p->received;
    for (long i = 0; i < (long)BENCH_DEVICES * BLOCKS;) {
        char topic[64];
        snprintf(topic, sizeof topic, "tm/v1/d-%03d/down/block", (int)(i % BENCH_DEVICES));
        td_mqtt_publication publication = {.topic = topic, .payload = block, .size = sizeof block, .qos = 1};
        td_code code = td_mqtt_inflight(mqtt) < 500 ? td_mqtt_publish(mqtt, &publication, err) : TD_BUSY;
        if (code == TD_OK) {
            i++;
        } else if (code == TD_BUSY) {
            (void)poll(NULL, 0, 1);
        } else {
            return code;
        }
    }
    pthread_mutex_lock(&p->mutex);
    while (p->received - start < (long)BENCH_DEVICES * BLOCKS) {
        wait_a_little(p);
    }
    pthread_mutex_unlock(&p->mutex);
    return TD_OK;
}

static td_code start_broker(const char *folder, int *port_out, pid_t *pid_out, td_err *err)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        return td_fail(err, TD_IO, "no free port");
    }
    close(fd);
    char path[128], text[256];
    snprintf(path, sizeof path, "%s/broker.conf", folder);
    int length = snprintf(text, sizeof text,
                          "listener %d 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\n"
                          "max_inflight_messages 64\nset_tcp_nodelay true\nlog_dest none\n",
                          ntohs(address.sin_port));
    TD_TRY(td_file_replace(path, text, (size_t)length, 0644, err));
    *port_out = ntohs(address.sin_port);
    *pid_out = fork();
    if (*pid_out == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("mosquitto", "mosquitto", "-c", path, (char *)NULL);
        execl("/usr/sbin/mosquitto", "mosquitto", "-c", path, (char *)NULL);
        _exit(127);
    }
    return TD_OK;
}

static td_code put_object(bench_world *w, uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    char *data = calloc(1, OBJECT_SIZE);
    td_code code = td_content_put_bytes(w->content, data, OBJECT_SIZE, digest, err);
    free(data);
    TD_TRY(code);
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(w->db, "INSERT INTO goal_content (manifest_digest, digest) VALUES (x'01', :digest)", &stmt, err));
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    TD_TRY(td_run(stmt, err));
    return td_db_exec(w->db,
                      "INSERT INTO device_goal (device_id, slot, manifest_digest, model, version, goal) "
                      "SELECT device_id, 'm', x'01', 'm', 1, x'00' FROM device",
                      err);
}

static td_code run_with(bench_world *w, int port, pull *p, td_err *err)
{
    td_mqtt *device_side = NULL, *server_side = NULL;
    td_content_server *server = NULL;
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(put_object(w, digest, err));
    TD_TRY(connect_to(port, "devices", p, true, &device_side, err));
    TD_TRY(connect_to(port, "_server", p, false, &server_side, err));
    td_content_server_options options = {
        .db = w->db, .content = w->content, .sender = td_sender_mqtt(server_side), .prefix = "tm/v1"};
    TD_TRY(td_content_server_new(&options, &server, err));
    double start = bench_seconds();
    TD_TRY(pull_all(p, server, digest, err));
    double pulled = (double)BENCH_DEVICES * OBJECT_SIZE / (bench_seconds() - start) / 1e6;
    start = bench_seconds();
    TD_TRY(push_all(p, server_side, err));
    double pushed = (double)BENCH_DEVICES * OBJECT_SIZE / (bench_seconds() - start) / 1e6;
    td_content_stats stats;
    td_mqtt_stop(server_side, 1000);
    td_mqtt_stop(device_side, 0);
    td_content_server_stats(server, &stats);
    td_content_server_free(server);
    char note[160];
    snprintf(note, sizeof note, "200 devices pull 1 MiB each; at most %.1f MiB under way, %llu requests deferred",
             (double)stats.memory_peak / 1048576, (unsigned long long)stats.deferred);
    bench_print("content", pulled, "MB/s", pushed, pulled / pushed, note);
    return TD_OK;
}

td_code bench_content(bench_world *w, td_err *err)
{
    pid_t broker = 0;
    int port = 0;
    pull *p = calloc(1, sizeof *p);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->changed, NULL);
    for (int i = 0; i < BENCH_DEVICES; i++) {
        p->devices[i].missing = UINT32_MAX; /* 32 blocks */
    }
    td_code code = start_broker(w->folder, &port, &broker, err);
    code = code == TD_OK ? run_with(w, port, p, err) : code;
    if (broker > 0) {
        kill(broker, SIGKILL);
        waitpid(broker, NULL, 0);
    }
    free(p);
    return code;
}
