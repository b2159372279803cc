/*
 * load_publish.c: a few MQTT 3.1.1 connections that send a file of windows as fast as the broker acknowledges them.
 *
 * Not Paho: its publisher hands each message through two threads, which on a small machine takes from the consumer the
 * processor that the bench wants to give it. What matters to the consumer is the same: windows of many devices, QoS 1,
 * each device's in order. SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/broker/load.h"

#include "core/base/fs.h"
#include "core/base/str.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 8
#define AHEAD_MAX 64 /* a connection's windows without a PUBACK */
#define FILE_MAX ((size_t)1 << 30)
#define ANSWERS 4096
#define PATIENCE_MS 30000

typedef struct sender {
    int fd;
    td_str stream; /* all its PUBLISH packets */
    size_t at;     /* bytes written */
    int64_t total, acknowledged;
    size_t *ends;    /* of each packet in the stream */
    uint8_t kept[4]; /* of a PUBACK that came in parts */
    size_t kept_size;
} sender;

static void add_short(td_str *out, size_t value)
{
    td_str_add_char(out, (char)(value >> 8));
    td_str_add_char(out, (char)(value & 0xff));
}

static void add_length(td_str *out, size_t value)
{
    do {
        td_str_add_char(out, (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0)));
        value >>= 7;
    } while (value > 0);
}

static td_code connect_one(int port, int number, int *fd_out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str packet = {0};
    char name[32], answer[4];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1, length = snprintf(name, sizeof name, "load-%d-%d", (int)getpid(), number);
    td_str_add_char(&packet, 0x10);
    add_length(&packet, 10 + 2 + (size_t)length);
    td_str_append(&packet, "\0\4MQTT\4\2\0\74", 10); /* 3.1.1, clean session, keep-alive of a minute */
    add_short(&packet, (size_t)length);
    td_str_add(&packet, name);
    TD_TRY(td_str_check(&packet, err));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *fd_out = fd;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) {
        return td_fail_errno(err, errno, "the broker on port %d", port);
    }
    TD_TRY(td_write_all(fd, packet.data, packet.size, err));
    if (recv(fd, answer, sizeof answer, MSG_WAITALL) != sizeof answer || answer[3] != 0) {
        return td_fail(err, TD_IO, "the broker refused the publisher");
    }
    return TD_OK;
}

/* One piece of a record; borrowed. */
static td_code take(const td_str *file, size_t *at, const char **out, uint32_t *size_out, td_err *err)
{
    uint32_t size = 0;
    if (file->size - *at < sizeof size) {
        return td_fail(err, TD_CORRUPT, "the file holds fewer windows");
    }
    memcpy(&size, file->data + *at, sizeof size);
    *at += sizeof size;
    if (file->size - *at < size) {
        return td_fail(err, TD_CORRUPT, "the file of windows is cut off");
    }
    *out = file->data + *at;
    *size_out = size;
    *at += size;
    return TD_OK;
}

/* Appends the next window of the file as a packet; skips it without a sender. */
static td_code add_packet(sender *s, const td_str *file, size_t *at, bool raw, td_err *err)
{
    const char *topic, *payload;
    uint32_t length, size;
    TD_TRY(take(file, at, &topic, &length, err));
    TD_TRY(take(file, at, &payload, &size, err));
    if (s == NULL) {
        return TD_OK;
    }
    td_str_add_char(&s->stream, 0x32); /* PUBLISH, QoS 1 */
    add_length(&s->stream, 2 + length + 2 + size);
    add_short(&s->stream, length);
    td_str_add(&s->stream, raw ? LOAD_RAW_PREFIX : LOAD_PREFIX);
    td_str_append(&s->stream, topic + strlen(LOAD_PREFIX), length - strlen(LOAD_PREFIX));
    add_short(&s->stream, (size_t)(s->total % 65535) + 1);
    td_str_append(&s->stream, payload, size);
    s->ends[s->total++] = s->stream.size;
    return td_str_check(&s->stream, err);
}

/* How far the bound on unacknowledged windows lets it send. */
static size_t allowed(const sender *s)
{
    int64_t upto = s->acknowledged + AHEAD_MAX < s->total ? s->acknowledged + AHEAD_MAX : s->total;
    return s->ends[upto - 1];
}

static td_code send_some(sender *s, td_err *err)
{
    size_t end = allowed(s);
    if (s->at < end) {
        ssize_t sent = send(s->fd, s->stream.data + s->at, end - s->at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            return td_fail_errno(err, errno, "publishing");
        }
        s->at += sent > 0 ? (size_t)sent : 0;
    }
    return TD_OK;
}

static td_code read_answers(sender *s, td_err *err)
{
    uint8_t bytes[ANSWERS];
    memcpy(bytes, s->kept, s->kept_size);
    ssize_t got = recv(s->fd, bytes + s->kept_size, sizeof bytes - s->kept_size, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        return td_fail(err, TD_IO, "the broker closed the publisher's connection");
    }
    size_t size = s->kept_size + (got > 0 ? (size_t)got : 0), at = 0;
    for (; size - at >= 4; at += 4) {
        if (bytes[at] != 0x40) {
            return td_fail(err, TD_CORRUPT, "the broker answered something else than PUBACK");
        }
        s->acknowledged++;
    }
    s->kept_size = size - at;
    memcpy(s->kept, bytes + at, s->kept_size);
    return TD_OK;
}

/* Until the broker has everything. */
static td_code send_all(sender senders[CONNECTIONS], td_err *err)
{
    for (;;) {
        struct pollfd polls[CONNECTIONS];
        int open = 0;
        for (int i = 0; i < CONNECTIONS; i++) {
            sender *s = &senders[i];
            bool done = s->acknowledged == s->total;
            open += !done;
            if (!done) {
                TD_TRY(send_some(s, err));
            }
            bool more = !done && s->at < allowed(s);
            polls[i] = (struct pollfd){.fd = done ? -1 : s->fd, .events = (short)(POLLIN | (more ? POLLOUT : 0))};
        }
        if (open == 0) {
            return TD_OK;
        }
        if (poll(polls, CONNECTIONS, PATIENCE_MS) <= 0) {
            return td_fail(err, TD_BUSY, "the broker stopped acknowledging");
        }
        for (int i = 0; i < CONNECTIONS; i++) {
            if (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) {
                TD_TRY(read_answers(&senders[i], err));
            }
        }
    }
}

static td_code set_up(sender senders[CONNECTIONS], int port, int64_t windows, td_err *err)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        senders[i].ends = calloc((size_t)windows / CONNECTIONS + 1, sizeof(size_t));
        if (senders[i].ends == NULL) {
            return td_fail(err, TD_NOMEM, "no memory for the windows");
        }
        senders[i].stream.limit = FILE_MAX;
        TD_TRY(connect_one(port, i, &senders[i].fd, err));
    }
    return TD_OK;
}

td_code load_publish(int port, const char *path, int64_t first, int64_t windows, bool raw, td_err *err)
{
    sender senders[CONNECTIONS] = {{0}}; /* they end with the process */
    TD_CLEANUP(td_str_done) td_str file = {.limit = FILE_MAX};
    size_t at = 0;
    TD_TRY(td_file_read(path, FILE_MAX, &file, err));
    TD_TRY(set_up(senders, port, windows, err));
    for (int64_t i = 0; i < first + windows; i++) {
        TD_TRY(add_packet(i < first ? NULL : &senders[i % CONNECTIONS], &file, &at, raw, err));
    }
    double began = load_seconds();
    TD_TRY(send_all(senders, err));
    printf("%.6f %.6f\n", began, load_seconds());
    return TD_OK;
}
