/*
 * tidemark_client.c: the application's side of the agent's socket.
 *
 * The idea: one datagram is always under construction. A call appends a record to it and tries to send it at once; if
 * the agent is away or its queue is full the datagram stays and the next call adds to it, so bursts turn into batches.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/client/tidemark_client.h"

#include "firmware/linux/client/tidemark_local.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DIGEST_TEXT (2 * TM_LOCAL_MODEL_SIZE)

struct tm_client {
    char folder[TM_PATH_MAX - 256]; /* <state>/slots/<slot> */
    char digest[DIGEST_TEXT + 1];
    struct sockaddr_un address;
    int fd;
    uint64_t dropped;
    size_t head;    /* bytes of the datagram's head */
    size_t size;    /* bytes in datagram */
    size_t records; /* in datagram */
    uint8_t datagram[TM_LOCAL_DATAGRAM_MAX];
};

static bool slot_is_good(const char *slot)
{
    size_t length = strnlen(slot, TM_LOCAL_SLOT_MAX + 1);
    return length >= 1 && length <= TM_LOCAL_SLOT_MAX && slot[0] != '.' && strchr(slot, '/') == NULL;
}

static void start_datagram(tm_client *client)
{
    client->size = client->head;
    client->records = 0;
}

static void write_head(tm_client *client, const char *slot)
{
    size_t length = strlen(slot);
    uint8_t *at = client->datagram;
    at[0] = 'T';
    at[1] = 'M';
    at[2] = TM_LOCAL_VERSION;
    at[3] = (uint8_t)length;
    memset(at + 4, 0, TM_LOCAL_MODEL_SIZE);
    memcpy(at + TM_LOCAL_HEAD_SIZE, slot, length);
    client->head = TM_LOCAL_HEAD_SIZE + length;
    start_datagram(client);
}

int tm_open(const char *folder, const char *slot, tm_client **out)
{
    if (folder == NULL || slot == NULL || !slot_is_good(slot)) {
        return TM_INVALID;
    }
    tm_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return TM_SYSTEM;
    }
    client->fd = -1;
    client->address.sun_family = AF_UNIX;
    int path = snprintf(client->address.sun_path, sizeof client->address.sun_path, "%s/run/agent.sock", folder);
    int slots = snprintf(client->folder, sizeof client->folder, "%s/slots/%s", folder, slot);
    if (path < 0 || (size_t)path >= sizeof client->address.sun_path || slots < 0 ||
        (size_t)slots >= sizeof client->folder) {
        free(client);
        return TM_INVALID;
    }
    write_head(client, slot);
    *out = client;
    return TM_OK;
}

void tm_close(tm_client *client)
{
    if (client == NULL) {
        return;
    }
    (void)tm_flush(client);
    if (client->fd >= 0) {
        close(client->fd);
    }
    free(client);
}

/* The digest that `current` points to, 32 hexadecimal digits. */
static bool read_current(const tm_client *client, char digest[DIGEST_TEXT + 1])
{
    char link[TM_PATH_MAX];
    char target[DIGEST_TEXT + 2] = ""; /* readlink adds no NUL */
    snprintf(link, sizeof link, "%s/current", client->folder);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length != DIGEST_TEXT || strspn(target, "0123456789abcdef") < DIGEST_TEXT) {
        return false;
    }
    memcpy(digest, target, DIGEST_TEXT);
    digest[DIGEST_TEXT] = 0;
    return true;
}

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* From now on datagrams name this model; what waits was made by the one before, so it is sent or dropped first. */
static void mark_model(tm_client *client, const char *digest)
{
    if (strcmp(client->digest, digest) == 0) {
        return;
    }
    if (tm_flush(client) != TM_OK) {
        client->dropped += client->records;
        start_datagram(client);
    }
    memcpy(client->digest, digest, DIGEST_TEXT + 1);
    for (size_t i = 0; i < TM_LOCAL_MODEL_SIZE; i++) {
        client->datagram[4 + i] = (uint8_t)(hex_value(digest[2 * i]) << 4 | hex_value(digest[2 * i + 1]));
    }
}

/* The name of the only file in a folder. */
static int only_file(const char *folder, char name[256])
{
    DIR *stream = opendir(folder);
    if (stream == NULL) {
        return errno == ENOENT ? TM_NO_MODEL : TM_SYSTEM;
    }
    int count = 0;
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        if (entry->d_name[0] != '.') {
            count++;
            snprintf(name, 256, "%s", entry->d_name);
        }
    }
    closedir(stream);
    return count == 1 ? TM_OK : count == 0 ? TM_NO_MODEL : TM_AMBIGUOUS;
}

int tm_model_path(tm_client *client, const char *name, char *out, size_t room)
{
    char digest[DIGEST_TEXT + 1], folder[TM_PATH_MAX], found[256];
    if (!read_current(client, digest)) {
        return TM_NO_MODEL;
    }
    snprintf(folder, sizeof folder, "%s/%s/model", client->folder, digest);
    if (name == NULL) {
        int code = only_file(folder, found);
        if (code != TM_OK) {
            return code;
        }
        name = found;
    }
    int length = snprintf(out, room, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= room) {
        return TM_INVALID;
    }
    if (access(out, R_OK) != 0) {
        return TM_SYSTEM;
    }
    mark_model(client, digest);
    return TM_OK;
}

bool tm_model_changed(tm_client *client)
{
    char digest[DIGEST_TEXT + 1];
    return read_current(client, digest) && strcmp(digest, client->digest) != 0;
}

const char *tm_model_digest(const tm_client *client)
{
    return client->digest;
}

/* ---- Records ------------------------------------------------------------------------------------------------------
 */

static void put_16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put_32(uint8_t *at, uint32_t value)
{
    put_16(at, value & 0xFFFF);
    put_16(at + 2, value >> 16);
}

static void put_64(uint8_t *at, uint64_t value)
{
    put_32(at, (uint32_t)value);
    put_32(at + 4, (uint32_t)(value >> 32));
}

static void put_float(uint8_t *at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_32(at, bits);
}

/* Room for a record in the datagram, or NULL: then the record is counted as dropped. Sends first if it must. */
static uint8_t *record_begin(tm_client *client, unsigned type, size_t length)
{
    if (client->size + TM_LOCAL_RECORD_HEAD + length > TM_LOCAL_DATAGRAM_MAX && tm_flush(client) != TM_OK) {
        client->dropped++;
        return NULL;
    }
    uint8_t *at = client->datagram + client->size;
    at[0] = (uint8_t)type;
    at[1] = 0;
    put_16(at + 2, (uint32_t)length);
    client->size += TM_LOCAL_RECORD_HEAD + length;
    client->records++;
    return at + TM_LOCAL_RECORD_HEAD;
}

/* The record is kept in any case; that the agent is away for a while is no error of this call. */
static int record_end(tm_client *client)
{
    (void)tm_flush(client);
    return TM_OK;
}

int tm_attach(tm_client *client)
{
    if (client->records > 0) {
        return tm_flush(client); /* any record renews the lease */
    }
    return record_begin(client, TM_RECORD_ATTACH, 0) != NULL ? record_end(client) : TM_DROPPED;
}

static bool observation_size(const tm_observation *observation, size_t *size_out)
{
    if (observation->feature_count > TM_LOCAL_FEATURES_MAX || observation->text_count > TM_LOCAL_TEXTS_MAX ||
        (observation->group != NULL && strlen(observation->group) > TM_LOCAL_TEXT_MAX)) {
        return false;
    }
    size_t size = TM_OBSERVE_SIZE + 4 * (size_t)observation->feature_count;
    size += observation->group != NULL ? strlen(observation->group) : 0;
    for (uint32_t i = 0; i < observation->text_count; i++) {
        size_t length = strlen(observation->texts[i].text);
        if (length < 1 || length > TM_LOCAL_TEXT_MAX) {
            return false;
        }
        size += 3 + length;
    }
    *size_out = size;
    return size <= TM_LOCAL_DATAGRAM_MAX - TM_LOCAL_HEAD_SIZE - TM_LOCAL_SLOT_MAX - TM_LOCAL_RECORD_HEAD;
}

int tm_observe(tm_client *client, const tm_observation *observation)
{
    size_t size;
    if (!observation_size(observation, &size)) {
        return TM_INVALID;
    }
    uint8_t *at = record_begin(client, TM_RECORD_OBSERVE, size);
    if (at == NULL) {
        return TM_DROPPED;
    }
    size_t group = observation->group != NULL ? strlen(observation->group) : 0;
    put_64(at, observation->id);
    put_32(at + 8, observation->latency_us);
    put_float(at + 12, observation->prediction);
    put_float(at + 16, observation->score);
    put_16(at + 20, observation->feature_count);
    at[22] = (uint8_t)group;
    at[23] = (uint8_t)observation->text_count;
    at += TM_OBSERVE_SIZE;
    for (uint32_t i = 0; i < observation->feature_count; i++, at += 4) {
        put_float(at, observation->features[i]);
    }
    if (group > 0) {
        memcpy(at, observation->group, group);
        at += group;
    }
    for (uint32_t i = 0; i < observation->text_count; i++) {
        size_t length = strlen(observation->texts[i].text);
        put_16(at, observation->texts[i].feature);
        at[2] = (uint8_t)length;
        memcpy(at + 3, observation->texts[i].text, length);
        at += 3 + length;
    }
    return record_end(client);
}

static int add_label(tm_client *client, uint64_t id, float value, const char *name)
{
    size_t length = strlen(name);
    if (id == 0 || length > TM_LOCAL_TEXT_MAX) {
        return TM_INVALID;
    }
    uint8_t *at = record_begin(client, TM_RECORD_LABEL, TM_LABEL_SIZE + length);
    if (at == NULL) {
        return TM_DROPPED;
    }
    put_64(at, id);
    put_float(at + 8, value);
    at[12] = (uint8_t)length;
    memcpy(at + TM_LABEL_SIZE, name, length);
    return record_end(client);
}

int tm_label(tm_client *client, uint64_t id, float value)
{
    return add_label(client, id, value, "");
}

int tm_label_text(tm_client *client, uint64_t id, const char *name)
{
    return name[0] != 0 ? add_label(client, id, NAN, name) : TM_INVALID;
}

int tm_error(tm_client *client, uint32_t count)
{
    uint8_t *at = record_begin(client, TM_RECORD_ERROR, 4);
    if (at == NULL) {
        return TM_DROPPED;
    }
    put_32(at, count);
    return record_end(client);
}

int tm_flush(tm_client *client)
{
    if (client->records == 0) {
        return TM_OK;
    }
    if (client->fd < 0) {
        client->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (client->fd < 0) {
            return TM_SYSTEM;
        }
    }
    ssize_t sent = sendto(client->fd, client->datagram, client->size, MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&client->address, sizeof client->address);
    if (sent < 0) {
        return TM_DROPPED; /* the agent is away or busy: the datagram waits */
    }
    start_datagram(client);
    return TM_OK;
}

uint64_t tm_dropped(const tm_client *client)
{
    return client->dropped;
}
