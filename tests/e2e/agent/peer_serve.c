/*
 * peer_serve.c: the server's side of the topics: directives, blocks, receipts; and every uplink checked and shown.
 *
 * Commands, one a line: "release MODEL CSV COUNTER [forged]" (numbers versions from 1), "direct SEQUENCE VERSION
 * [WORD…]" with words expired, forged, foreign, proof (20 observations in probation), short (probation of 3 s), huge
 * (more than any disk holds), cancel; "tamper on|off" (flips a bit of each block), "blocks on|off", "receipts on|off",
 * "quit".
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/e2e/agent/peer.h"

#include "core/base/clock.h"
#include "core/base/queue.h"
#include "core/mqtt/mqtt.h"
#include "firmware/edge/window.h"
#include "firmware/wire/tidemark.pb.h"

#include <inttypes.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct serving {
    peer_keys *peer;
    td_mqtt *mqtt;
    const char *device;
    uint8_t key[32];
    pthread_mutex_t lock; /* commands and messages */
    td_queue *queue;
    atomic_bool tamper, blocks, receipts;
    uint64_t settled;
} serving;

static void event(const char *format, ...) TD_PRINTF(1, 2);
static void event(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}

static void publish(serving *s, const char *name, const void *payload, size_t size, bool retain)
{
    td_err err;
    char topic[256];
    snprintf(topic, sizeof topic, "tm/v1/%s/down/%s", s->device, name);
    const td_mqtt_publication publication = {
        .topic = topic, .payload = payload, .size = size, .qos = 1, .retain = retain};
    if (td_mqtt_publish(s->mqtt, &publication, &err) != TD_OK) {
        event("{\"event\":\"error\",\"text\":\"publish: %s\"}", err.text);
    }
}

/* ---- Down ---------------------------------------------------------------------------------------------------------
 */

static bool has(const char *words, const char *word)
{
    return words != NULL && strstr(words, word) != NULL;
}

static void direct(serving *s, uint64_t sequence, size_t number, const char *words)
{
    td_err err;
    uint8_t bytes[4096];
    const peer_version *version = &s->peer->versions[number - 1];
    uint64_t now = (uint64_t)td_now_ms(&td_clock_system), day = 86400000;
    tidemark_Directive directive = {.sequence = sequence,
                                    .issued_ms = has(words, "expired") ? now - 60 * day : now,
                                    .not_after_ms = has(words, "expired") ? now - 30 * day : now + 30 * day,
                                    .contact_every_s = 60,
                                    .goals_count = number > 0,
                                    .cancel = has(words, "cancel"),
                                    .keyset_version = 1,
                                    .keyset_size = (uint32_t)s->peer->keyset.size};
    snprintf(directive.device, sizeof directive.device, "%s", has(words, "foreign") ? "somebody-else" : s->device);
    directive.keyset_digest.size = 32;
    td_sha256_of(s->peer->keyset.data, s->peer->keyset.size, directive.keyset_digest.bytes);
    if (number > 0) {
        tidemark_Goal *goal = &directive.goals[0];
        snprintf(goal->slot, sizeof goal->slot, "pump");
        memcpy(goal->manifest_digest, version->manifest_digest, 32);
        memcpy(goal->envelope_digest, version->envelope_digest, 32);
        goal->envelope_size = version->envelope_size;
        goal->total_size = version->total_size;
        goal->min_security_counter = version->counter;
        goal->has_probation = true;
        goal->probation = (tidemark_Probation){.seconds = has(words, "short") ? 3 : 60,
                                               .min_inferences = has(words, "proof") ? 20 : 0,
                                               .max_errors = 10,
                                               .lease_seconds = 30};
        goal->window_seconds = 1;
    }
    TD_CLEANUP(td_str_done) td_str message = {0};
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    if (!pb_encode(&stream, tidemark_Directive_fields, &directive) ||
        td_signed_message_make(TD_DIRECTIVE_TYPE, bytes, stream.bytes_written,
                               has(words, "forged") ? s->peer->stranger : s->peer->director, &message, &err) != TD_OK) {
        event("{\"event\":\"error\",\"text\":\"directive\"}");
        return;
    }
    publish(s, "directive", message.data, message.size, true);
}

static void send_blocks(serving *s, const tidemark_Get *get)
{
    td_err err;
    TD_CLEANUP(td_str_done) td_str object = {0};
    uint32_t sent = 0;
    if (!s->blocks || get->block_size < 512 || get->block_size > 32768 ||
        td_content_read(s->peer->content, get->digest, 64 << 20, &object, &err) != TD_OK) {
        return;
    }
    for (uint32_t i = 0; i < 64 && sent < get->credit; i++) {
        uint8_t block[12 + 32768] = {0};
        uint32_t number = get->first_block + i;
        size_t offset = (size_t)number * get->block_size;
        if ((get->wanted >> i & 1) == 0 || offset >= object.size) {
            continue;
        }
        size_t size = object.size - offset < get->block_size ? object.size - offset : get->block_size;
        for (int b = 0; b < 4; b++) {
            block[b] = (uint8_t)(get->transfer >> 8 * b);
            block[4 + b] = (uint8_t)(number >> 8 * b);
        }
        block[8] = (uint8_t)size;
        block[9] = (uint8_t)(size >> 8);
        memcpy(block + 12, object.data + offset, size);
        block[12] ^= s->tamper ? 1 : 0;
        publish(s, "block", block, 12 + size, false);
        sent++;
    }
}

/* ---- Up -----------------------------------------------------------------------------------------------------------
 */

static void settle(serving *s, uint64_t sequence)
{
    uint8_t bytes[16];
    tidemark_Receipt receipt = {.settled = sequence > s->settled ? sequence : s->settled};
    s->settled = receipt.settled;
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    if (s->receipts && pb_encode(&stream, tidemark_Receipt_fields, &receipt)) {
        publish(s, "receipt", bytes, stream.bytes_written, false);
    }
}

static void show_window(serving *s, const uint8_t *bytes, size_t size)
{
    static tidemark_Window window;
    static tidemark_FeatureWindow features[64];
    uint32_t count = 0;
    if (tde_window_decode(bytes, size, &window, features, 64, &count) != TDE_BINS_OK) {
        event("{\"event\":\"error\",\"text\":\"window\"}");
        return;
    }
    char digest[65];
    td_hex_encode(window.manifest_digest, 32, digest);
    event("{\"event\":\"window\",\"sequence\":%" PRIu64 ",\"n\":%" PRIu32 ",\"features\":%" PRIu32
          ",\"labelled\":%" PRIu32 ",\"correct\":%" PRIu32 ",\"errors\":%" PRIu32 ",\"dropped\":%" PRIu32
          ",\"slot\":\"%s\",\"manifest\":\"%.16s\"}",
          (uint64_t)window.sequence, (uint32_t)window.n, count, (uint32_t)window.labelled, (uint32_t)window.correct,
          (uint32_t)window.errors, (uint32_t)window.dropped, window.slot, digest);
    settle(s, window.sequence);
}

static void show_birth(const uint8_t *bytes, size_t size)
{
    static tidemark_Birth birth;
    pb_istream_t stream = pb_istream_from_buffer(bytes, size);
    birth = (tidemark_Birth)tidemark_Birth_init_zero;
    bool good = pb_decode(&stream, tidemark_Birth_fields, &birth);
    event("{\"event\":\"birth\",\"good\":%s,\"device\":\"%s\",\"boot\":\"%" PRIx64
          "\",\"hardware\":\"%s\",\"directive\":%" PRIu64 ",\"slots\":%u,\"clock\":%s}",
          good ? "true" : "false", birth.device, (uint64_t)birth.boot_id, birth.hardware,
          (uint64_t)birth.directive_sequence, (unsigned)birth.slots_count, birth.clock_known ? "true" : "false");
}

static void show_report(serving *s, const uint8_t *bytes, size_t size)
{
    tidemark_Report report = tidemark_Report_init_zero;
    pb_istream_t stream = pb_istream_from_buffer(bytes, size);
    bool good = pb_decode(&stream, tidemark_Report_fields, &report);
    char digest[65] = "";
    td_hex_encode(report.manifest_digest.bytes, report.manifest_digest.size, digest);
    event("{\"event\":\"report\",\"good\":%s,\"sequence\":%" PRIu64 ",\"directive\":%" PRIu64
          ",\"state\":%d,\"reason\":%d,\"bytes\":%" PRIu64 ",\"manifest\":\"%.16s\"}",
          good ? "true" : "false", (uint64_t)report.sequence, (uint64_t)report.directive_sequence, (int)report.state,
          (int)report.reason, (uint64_t)report.bytes_done, digest);
    settle(s, report.sequence);
}

static bool authentic(const serving *s, const td_mqtt_message *message)
{
    uint8_t mac[TD_DIGEST_SIZE];
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (message->size < 16) {
        return false;
    }
    td_str_append(&text, message->topic, strlen(message->topic) + 1);
    td_str_append(&text, message->payload, message->size - 16);
    td_hmac_sha256(s->key, sizeof s->key, text.data, text.size, mac);
    return td_equal_secret(mac, message->payload + message->size - 16, 16);
}

static void take_message(serving *s, const td_mqtt_message *message)
{
    const char *kind = strrchr(message->topic, '/') + 1;
    size_t size = message->size - 16;
    if (!authentic(s, message)) {
        event("{\"event\":\"forged\",\"kind\":\"%s\"}", kind);
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (strcmp(kind, "birth") == 0) {
        show_birth(message->payload, size);
    } else if (strcmp(kind, "report") == 0) {
        show_report(s, message->payload, size);
    } else if (strcmp(kind, "window") == 0) {
        show_window(s, message->payload, size);
    } else if (strcmp(kind, "death") == 0) {
        event("{\"event\":\"death\"}");
    } else if (strcmp(kind, "get") == 0) {
        tidemark_Get get = tidemark_Get_init_zero;
        pb_istream_t stream = pb_istream_from_buffer(message->payload, size);
        if (pb_decode(&stream, tidemark_Get_fields, &get)) {
            send_blocks(s, &get);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* A copy of a message on its way from Paho's thread to ours: Paho holds its lock during the callback. */
typedef struct parcel {
    size_t size;
    char topic[256];
    uint8_t payload[];
} parcel;

static void on_message(void *context, const td_mqtt_message *message)
{
    serving *s = context;
    parcel *copy = malloc(sizeof *copy + message->size + 1);
    if (copy == NULL) {
        return;
    }
    copy->size = message->size;
    snprintf(copy->topic, sizeof copy->topic, "%s", message->topic);
    memcpy(copy->payload, message->payload, message->size);
    if (!td_queue_try_push(s->queue, copy)) {
        free(copy);
    }
}

static void *work(void *context)
{
    serving *s = context;
    void *item;
    while (td_queue_pop(s->queue, &item, 1, -1) == 1) {
        parcel *copy = item;
        const td_mqtt_message message = {.topic = copy->topic, .payload = copy->payload, .size = copy->size};
        take_message(s, &message);
        free(copy);
    }
    return NULL;
}

/* ---- Commands -----------------------------------------------------------------------------------------------------
 */

static void set_flag(atomic_bool *flag, const char *word)
{
    *flag = word != NULL && strcmp(word, "on") == 0;
}

static void release(serving *s, char *rest)
{
    td_err err;
    const char *model = strsep(&rest, " "), *csv = strsep(&rest, " "), *counter = strsep(&rest, " ");
    const char *words = rest;
    if (counter == NULL) {
        return;
    }
    td_code code = peer_release(s->peer, model, csv, (uint32_t)strtoul(counter, NULL, 10), has(words, "forged"), &err);
    if (code == TD_OK && has(words, "huge")) {
        s->peer->versions[s->peer->version_count - 1].total_size = UINT64_C(1) << 60;
    }
    if (code != TD_OK) {
        event("{\"event\":\"error\",\"text\":\"%s\"}", err.text);
    } else {
        event("{\"event\":\"released\",\"version\":%zu}", s->peer->version_count);
    }
}

static bool command(serving *s, char *line)
{
    char *rest = line;
    line[strcspn(line, "\n")] = 0;
    const char *verb = strsep(&rest, " ");
    if (strcmp(verb, "quit") == 0) {
        return true;
    }
    if (strcmp(verb, "release") == 0) {
        release(s, rest);
    } else if (strcmp(verb, "direct") == 0) {
        const char *sequence = strsep(&rest, " "), *version = strsep(&rest, " ");
        if (version != NULL) {
            direct(s, strtoull(sequence, NULL, 10), strtoul(version, NULL, 10), rest);
        }
    } else if (strcmp(verb, "tamper") == 0) {
        set_flag(&s->tamper, rest);
    } else if (strcmp(verb, "blocks") == 0) {
        set_flag(&s->blocks, rest);
    } else if (strcmp(verb, "receipts") == 0) {
        set_flag(&s->receipts, rest);
    }
    return false;
}

static void on_connected(void *context, bool session_present)
{
    (void)context;
    (void)session_present;
    event("{\"event\":\"online\"}");
}

static td_code connect_broker(serving *s, int port, td_err *err)
{
    char ca[4096], certificate[4096], key[4096], filter[256];
    peer_path(s->peer, "ca.pem", ca);
    peer_path(s->peer, "_server.crt", certificate);
    peer_path(s->peer, "_server.key", key);
    snprintf(filter, sizeof filter, "tm/v1/%s/up/#", s->device);
    const td_mqtt_subscription subscriptions[] = {{filter, 1}, {NULL, 0}};
    const td_mqtt_options options = {.host = "127.0.0.1",
                                     .port = port,
                                     .tls = true,
                                     .ca_path = ca,
                                     .certificate_path = certificate,
                                     .key_path = key,
                                     .client_id = "_server",
                                     .clean_start = true,
                                     .subscriptions = subscriptions,
                                     .backoff_min_ms = 50,
                                     .backoff_max_ms = 200,
                                     .context = s,
                                     .connected = on_connected,
                                     .message = on_message};
    TD_TRY(td_mqtt_start(&options, &s->mqtt, err));
    return td_mqtt_wait(s->mqtt, 20000, err);
}

td_code peer_serve(const char *folder, int port, const char *device, td_err *err)
{
    char path[4096], line[8192];
    TD_CLEANUP(peer_close) peer_keys peer = {0};
    TD_CLEANUP(td_str_done) td_str key = {0};
    serving s = {.peer = &peer, .device = device, .lock = PTHREAD_MUTEX_INITIALIZER, .blocks = true, .receipts = true};
    TD_TRY(peer_open(folder, &peer, err));
    peer_path(&peer, "uplink.key", path);
    TD_TRY(td_file_read(path, 64, &key, err));
    memcpy(s.key, key.data, key.size < sizeof s.key ? key.size : sizeof s.key);
    pthread_t worker;
    TD_TRY(td_queue_new(1024, &s.queue, err));
    TD_TRY(connect_broker(&s, port, err));
    if (pthread_create(&worker, NULL, work, &s) != 0) {
        return td_fail(err, TD_INTERNAL, "no thread");
    }
    event("{\"event\":\"ready\"}");
    bool done = false;
    while (!done && fgets(line, sizeof line, stdin) != NULL) {
        pthread_mutex_lock(&s.lock);
        done = command(&s, line);
        pthread_mutex_unlock(&s.lock);
    }
    td_mqtt_stop(s.mqtt, 1000);
    td_queue_close(s.queue);
    pthread_join(worker, NULL);
    td_queue_free(s.queue);
    return TD_OK;
}
