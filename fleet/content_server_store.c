/*
 * content_server_store.c: answers a device's request for blocks, from page cache, within what it can take and we can
 * hold.
 *
 * A request carries all state there is (which blocks, how many at once), so the server keeps none but the bytes that
 * are under way. A device gets only what its newest goals refer to: one look-up by primary key a request.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/downlink.h"

#include "core/base/fs.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_DEFAULT ((size_t)16 * 1024 * 1024)
#define DEVICE_DEFAULT ((size_t)1024 * 1024)
#define PAYLOAD_DEFAULT ((size_t)64 * 1024)
#define SHARES 4096 /* devices share counters of bytes under way by their row: a power of two */
#define OPEN_FILES 16
#define RETRY_MS 250u /* asked of a device that is deferred; jittered up to twice that */

enum { BLOCK_DATA = 0, BLOCK_DEFER = 1, BLOCK_REFUSED = 2 };

typedef struct open_file {
    uint8_t digest[TD_DIGEST_SIZE];
    int fd; /* -1: none */
    uint64_t size, used;
} open_file;

struct td_content_server {
    td_content_server_options options;
    char prefix[TD_TOPIC_PREFIX_MAX + 1];
    atomic_size_t memory, memory_peak;
    atomic_size_t by_device[SHARES];
    atomic_uint_least64_t blocks, bytes, deferred, refused;
    open_file files[OPEN_FILES];
    uint64_t clock; /* of uses, for the least recently used */
    uint8_t buffer[TD_BLOCK_HEADER_SIZE + TD_BLOCK_SIZE_MAX];
};

typedef struct answer {
    td_content_server *server;
    int64_t device_id;
    const tidemark_Get *get;
    char topic[TD_TOPIC_MAX];
} answer;

/* One block under way. */
typedef struct under_way {
    td_content_server *server;
    size_t share, size;
} under_way;

td_code td_content_server_new(const td_content_server_options *options, td_content_server **out, td_err *err)
{
    if (strlen(options->prefix) > TD_TOPIC_PREFIX_MAX) {
        return td_fail(err, TD_INVALID, "topic prefix \"%.40s…\" is too long", options->prefix);
    }
    td_content_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    server->options = *options;
    memcpy(server->prefix, options->prefix, strlen(options->prefix) + 1);
    server->options.prefix = server->prefix;
    server->options.memory_max = options->memory_max > 0 ? options->memory_max : MEMORY_DEFAULT;
    server->options.device_max = options->device_max > 0 ? options->device_max : DEVICE_DEFAULT;
    server->options.payload_max = options->payload_max > 0 ? options->payload_max : PAYLOAD_DEFAULT;
    for (size_t i = 0; i < OPEN_FILES; i++) {
        server->files[i].fd = -1;
    }
    *out = server;
    return TD_OK;
}

void td_content_server_free(td_content_server *server)
{
    if (server == NULL) {
        return;
    }
    for (size_t i = 0; i < OPEN_FILES; i++) {
        td_close_fd(&server->files[i].fd);
    }
    free(server);
}

static void put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

/* docs/spec/topics.md: u32 transfer, u32 block, u16 length, u8 kind, u8 zero. */
static void put_header(uint8_t *out, uint32_t transfer, uint32_t block, size_t length, uint8_t kind)
{
    put_u32(out, transfer);
    put_u32(out + 4, block);
    out[8] = (uint8_t)length;
    out[9] = (uint8_t)(length >> 8);
    out[10] = kind;
    out[11] = 0;
}

/* A short answer without data; when even that finds no room, the device asks again by its own timer. */
static td_code send_short(const answer *self, uint8_t kind, uint32_t retry_ms, td_err *err)
{
    uint8_t bytes[TD_BLOCK_HEADER_SIZE + 4];
    size_t length = kind == BLOCK_DEFER ? 4 : 0;
    put_header(bytes, self->get->transfer, self->get->first_block, length, kind);
    put_u32(bytes + TD_BLOCK_HEADER_SIZE, retry_ms);
    td_mqtt_publication publication = {
        .topic = self->topic, .payload = bytes, .size = TD_BLOCK_HEADER_SIZE + length, .qos = 1};
    td_code code = self->server->options.sender.publish(self->server->options.sender.context, &publication, err);
    return code == TD_BUSY ? TD_OK : code;
}

static td_code refuse(const answer *self, td_err *err)
{
    atomic_fetch_add(&self->server->refused, 1);
    return send_short(self, BLOCK_REFUSED, 0, err);
}

static td_code defer(const answer *self, td_err *err)
{
    uint32_t jitter = (uint32_t)(self->device_id * 2654435761u) % RETRY_MS;
    atomic_fetch_add(&self->server->deferred, 1);
    return send_short(self, BLOCK_DEFER, RETRY_MS + jitter, err);
}

/* Does a goal of this device, or its newest directive's keyset, refer to the object? */
static td_code may_fetch(td_content_server *server, int64_t device_id, const uint8_t *digest, bool *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        server->options.db,
        "SELECT EXISTS (SELECT 1 FROM device_goal g JOIN goal_content c ON c.manifest_digest = g.manifest_digest "
        "  AND c.digest = :digest WHERE g.device_id = :device_id) "
        "OR EXISTS (SELECT 1 FROM directive o WHERE o.device_id = :device_id AND o.newest = 1 AND o.keyset_digest = "
        ":digest) "
        "AS allowed",
        &stmt, err));
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    td_bind_int(stmt, ":device_id", device_id);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    *out = td_column_int(stmt, "allowed") != 0;
    td_reset(stmt);
    return TD_OK;
}

/* The object's file, kept open among the last few. */
static td_code open_object(td_content_server *server, const uint8_t *digest, open_file **out, td_err *err)
{
    open_file *oldest = &server->files[0];
    for (size_t i = 0; i < OPEN_FILES; i++) {
        open_file *file = &server->files[i];
        if (file->fd >= 0 && memcmp(file->digest, digest, TD_DIGEST_SIZE) == 0) {
            file->used = ++server->clock;
            *out = file;
            return TD_OK;
        }
        oldest = file->used < oldest->used ? file : oldest;
    }
    int fd = -1;
    uint64_t size = 0;
    TD_TRY(td_content_get(server->options.content, digest, &fd, &size, err));
    td_close_fd(&oldest->fd);
    *oldest = (open_file){.fd = fd, .size = size, .used = ++server->clock};
    memcpy(oldest->digest, digest, TD_DIGEST_SIZE);
    *out = oldest;
    return TD_OK;
}

static void on_delivered(void *context, td_code code, const td_err *err)
{
    (void)code; /* lost or delivered: the bytes are no longer held; the device asks for what it lacks */
    (void)err;
    under_way *block = context;
    atomic_fetch_sub(&block->server->by_device[block->share], block->size);
    atomic_fetch_sub(&block->server->memory, block->size);
    free(block);
}

static bool reserve(td_content_server *server, size_t share, size_t size)
{
    size_t now = atomic_load(&server->memory) + size; /* this thread is the only one that adds */
    if (now > server->options.memory_max ||
        atomic_load(&server->by_device[share]) + size > server->options.device_max) {
        return false;
    }
    atomic_fetch_add(&server->memory, size);
    atomic_fetch_add(&server->by_device[share], size);
    if (now > atomic_load(&server->memory_peak)) {
        atomic_store(&server->memory_peak, now);
    }
    return true;
}

/* *sent false: no room for it now. */
static td_code send_block(const answer *self, const open_file *file, uint32_t block, bool *sent, td_err *err)
{
    td_content_server *server = self->server;
    uint64_t offset = (uint64_t)block * self->get->block_size;
    size_t length = file->size - offset < self->get->block_size ? (size_t)(file->size - offset) : self->get->block_size;
    size_t share = (size_t)self->device_id & (SHARES - 1);
    *sent = reserve(server, share, TD_BLOCK_HEADER_SIZE + length);
    if (!*sent) {
        return TD_OK;
    }
    under_way *held = malloc(sizeof *held);
    if (held == NULL) {
        atomic_fetch_sub(&server->by_device[share], TD_BLOCK_HEADER_SIZE + length);
        atomic_fetch_sub(&server->memory, TD_BLOCK_HEADER_SIZE + length);
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    *held = (under_way){.server = server, .share = share, .size = TD_BLOCK_HEADER_SIZE + length};
    ssize_t got = pread(file->fd, server->buffer + TD_BLOCK_HEADER_SIZE, length, (off_t)offset);
    if (got != (ssize_t)length) {
        on_delivered(held, TD_IO, NULL);
        return td_fail_errno(err, got < 0 ? errno : EIO, "reading content for a device");
    }
    put_header(server->buffer, self->get->transfer, block, length, BLOCK_DATA);
    td_mqtt_publication publication = {.topic = self->topic,
                                       .payload = server->buffer,
                                       .size = TD_BLOCK_HEADER_SIZE + length,
                                       .qos = 1,
                                       .done = on_delivered,
                                       .done_context = held};
    td_code code = server->options.sender.publish(server->options.sender.context, &publication, err);
    if (code != TD_OK) {
        on_delivered(held, code, NULL);
        *sent = false;
        return code == TD_BUSY ? TD_OK : code;
    }
    atomic_fetch_add(&server->blocks, 1);
    atomic_fetch_add(&server->bytes, length);
    return TD_OK;
}

static bool well_formed(const td_content_server *server, const tidemark_Get *get)
{
    uint32_t size = get->block_size;
    return size >= TD_BLOCK_SIZE_MIN && size <= TD_BLOCK_SIZE_MAX && (size & (size - 1)) == 0 &&
           size + TD_BLOCK_HEADER_SIZE <= server->options.payload_max && get->wanted != 0 && get->credit != 0;
}

static td_code send_wanted(const answer *self, const open_file *file, td_err *err)
{
    const tidemark_Get *get = self->get;
    uint64_t count = (file->size + get->block_size - 1) / get->block_size;
    uint32_t sent_count = 0;
    for (uint32_t i = 0; i < 64 && sent_count < get->credit; i++) {
        uint64_t block = (uint64_t)get->first_block + i;
        if ((get->wanted >> i & 1) == 0) {
            continue;
        }
        if (block >= count) {
            return sent_count == 0 ? refuse(self, err) : TD_OK; /* beyond the end: a confused or hostile device */
        }
        bool sent = false;
        TD_TRY(send_block(self, file, (uint32_t)block, &sent, err));
        if (!sent) {
            return sent_count == 0 ? defer(self, err) : TD_OK;
        }
        sent_count++;
    }
    return TD_OK;
}

td_code td_content_server_get(td_content_server *server, int64_t device_id, const char *device, const tidemark_Get *get,
                              td_err *err)
{
    answer self = {.server = server, .device_id = device_id, .get = get};
    bool allowed = false;
    TD_TRY(td_topic_down(server->prefix, device, "block", self.topic, err));
    if (!well_formed(server, get)) {
        return refuse(&self, err);
    }
    TD_TRY(may_fetch(server, device_id, get->digest, &allowed, err));
    if (!allowed) {
        return refuse(&self, err);
    }
    open_file *file = NULL;
    td_code code = open_object(server, get->digest, &file, err);
    if (code == TD_NOT_FOUND || code == TD_CORRUPT) {
        return refuse(&self, err);
    }
    TD_TRY(code);
    return send_wanted(&self, file, err);
}

void td_content_server_stats(td_content_server *server, td_content_stats *out)
{
    *out = (td_content_stats){.blocks = atomic_load(&server->blocks),
                              .bytes = atomic_load(&server->bytes),
                              .deferred = atomic_load(&server->deferred),
                              .refused = atomic_load(&server->refused),
                              .memory = atomic_load(&server->memory),
                              .memory_peak = atomic_load(&server->memory_peak)};
}
