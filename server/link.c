/*
 * link.c: the connection to the broker: start, callbacks, stop, status.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/log.h"
#include "server/broker.h"
#include "server/link_internal.h"
#include "server/workspace_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_MS 1000
#define WILL_DELAY_S 0
#define BROKER_START_MS 5000

static td_link__message wake_message; /* never freed: tells the block thread to look up */

bool td_link__is_wake(const td_link__message *message)
{
    return message == &wake_message;
}

void td_link__wake_blocks(td_link *link)
{
    (void)td_queue_try_push(link->gets, &wake_message); /* a full queue wakes it as well */
}

/* ---- Paho's callbacks: copy, enqueue, return ---- */

static void on_message(void *context, const td_mqtt_message *message)
{
    td_link *link = context;
    size_t length = strlen(message->topic);
    if (length >= TD_TOPIC_MAX || message->size > TD_UPLINK_BYTES_MAX) {
        atomic_fetch_add(&link->dropped_full, 1);
        return;
    }
    td_link__message *copy = malloc(sizeof *copy + message->size);
    if (!copy) {
        return;
    }
    copy->received_ms = td_now_ms(link->server->clock);
    copy->size = message->size;
    memcpy(copy->topic, message->topic, length + 1);
    if (message->size) {
        memcpy(copy->payload, message->payload, message->size);
    }
    bool get = length > 7 && strcmp(message->topic + length - 7, "/up/get") == 0;
    if (!td_queue_try_push(get ? link->gets : link->uplinks, copy)) {
        atomic_fetch_add(&link->dropped_full, 1);
        free(copy);
    }
}

static void on_connected(void *context, bool session_present)
{
    td_link *link = context;
    (void)session_present;
    atomic_store(&link->connected, true);
    atomic_store(&link->announce, true);
    td_publisher_restart(link->publisher);
    td_link__wake_blocks(link);
    td_log_info("mqtt", "connected to %s:%d", link->host, link->port);
}

/* Our own Mosquitto needs a moment before it listens, which is nothing to warn of. */
static bool may_be_starting(const td_link *link)
{
    const td_server *server = link->server;
    return server->broker && td_now_ms(server->clock) - server->started_ms < BROKER_START_MS;
}

static void on_disconnected(void *context, const td_err *why)
{
    td_link *link = context;
    bool was = atomic_exchange(&link->connected, false);
    pthread_mutex_lock(&link->lock);
    bool same = strcmp(link->why, why->text) == 0;
    snprintf(link->why, sizeof link->why, "%.190s", why->text);
    pthread_mutex_unlock(&link->lock);
    if (was || !same) {
        td_log_write(may_be_starting(link) ? TD_LOG_DEBUG : TD_LOG_WARN, "mqtt", "not connected: %s", why->text);
    }
}

/* ---- start ---- */

static td_code parse_url(td_link *link, const char *url, td_err *err)
{
    link->tls = strncmp(url, "mqtts://", 8) == 0;
    const char *rest = link->tls ? url + 8 : strncmp(url, "mqtt://", 7) == 0 ? url + 7 : NULL;
    const char *colon = rest ? strrchr(rest, ':') : NULL;
    size_t length = rest ? (colon ? (size_t)(colon - rest) : strlen(rest)) : 0;
    if (length == 0 || length >= sizeof link->host || strchr(rest, '/')) {
        return td_fail(err, TD_INVALID,
                       "mqtt.url must have the form mqtts://host:port or mqtt://host:port, not \"%.80s\"", url);
    }
    int64_t port = link->tls ? 8883 : 1883;
    if (colon) {
        TD_TRY(td_parse_int(colon + 1, "mqtt.url's port", 1, 65535, &port, err));
    }
    memcpy(link->host, rest, length);
    link->host[length] = 0;
    link->port = (int)port;
    return TD_OK;
}

/* "0.0.0.0" is where a server listens, not where a client connects. */
static const char *reachable(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ? "127.0.0.1" : host;
}

static td_code connect_broker(td_link *link, td_err *err)
{
    char ca[4096], certificate[4096], key[4096], filters[TD_UPLINK_KIND_COUNT][TD_TOPIC_MAX], will_topic[TD_TOPIC_MAX];
    const td_server *server = link->server;
    const char *own_ca = td_config_text(server->config, "mqtt.ca_file");
    TD_TRY(td_workspace_file(server->path, TD_FILE_CA, ca, err));
    TD_TRY(td_workspace_file(server->path, TD_FILE_MQTT, certificate, err));
    TD_TRY(td_workspace_file(server->path, TD_FILE_MQTT_KEY, key, err));
    td_mqtt_subscription subscriptions[TD_UPLINK_KIND_COUNT + 1] = {{0}};
    for (int kind = 0; kind < TD_UPLINK_KIND_COUNT; kind++) {
        TD_TRY(td_uplink_filter(link->prefix, (td_uplink_kind)kind, filters[kind], TD_TOPIC_MAX, err));
        subscriptions[kind] = (td_mqtt_subscription){filters[kind], kind == TD_UPLINK_GET ? 0 : 1};
    }
    TD_TRY(td_topic_down(link->prefix, "_", "server", will_topic, err));
    TD_CLEANUP(td_str_done) td_str will = {0};
    TD_TRY(td_server_state_message(server->keys.director, false, (uint64_t)server->started_ms, td_now_ms(server->clock),
                                   &will, err));
    td_mqtt_options options = {
        .host = link->host,
        .port = link->port,
        .tls = link->tls,
        .ca_path = link->tls ? (*own_ca ? own_ca : ca) : NULL,
        .certificate_path = link->tls ? certificate : NULL,
        .key_path = link->tls ? key : NULL,
        .client_id = TD_MQTT_IDENTITY,
        .clean_start = true,
        .keepalive_s = 30,
        .will_topic = will_topic,
        .will_payload = will.data,
        .will_size = will.size,
        .will_retain = true,
        .will_delay_s = WILL_DELAY_S,
        .subscriptions = subscriptions,
        .backoff_min_ms = 100,
        .backoff_max_ms = 5000,
        .context = link,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .message = on_message,
    };
    return td_mqtt_start(&options, &link->mqtt, err);
}

static td_code publish_mqtt(void *context, const td_mqtt_publication *publication, td_err *err)
{
    td_link *link = context;
    if (!link->mqtt) {
        return td_fail(err, TD_BUSY, "not connected to the broker yet");
    }
    return td_mqtt_publish(link->mqtt, publication, err);
}

static td_code make_parts(td_link *link, td_err *err)
{
    td_server *server = link->server;
    TD_TRY(td_queue_new(TD_LINK_QUEUE_MAX, &link->uplinks, err));
    TD_TRY(td_queue_new(TD_LINK_GETS_MAX, &link->gets, err));
    TD_TRY(td_workspace_reader(server->workspace, &link->block_db, err));
    TD_TRY(td_uplink_keys_new(&link->keys, err));
    TD_TRY(td_uplink_keys_load(link->keys, link->block_db, err));
    TD_TRY(td_uplink_reader_new(link->keys, link->prefix, &link->ingest_reader, err));
    TD_TRY(td_uplink_reader_new(link->keys, link->prefix, &link->block_reader, err));
    td_sender sender = {link, publish_mqtt};
    TD_TRY(td_publisher_new(link->block_db, sender, link->prefix, &link->publisher, err));
    td_content_server_options content = {
        .db = link->block_db, .content = server->content, .sender = sender, .prefix = link->prefix};
    return td_content_server_new(&content, &link->content, err);
}

static td_code start_threads(td_link *link, td_err *err)
{
    int failed = pthread_create(&link->ingest_thread, NULL, td_link__ingest_main, link);
    link->ingest_started = failed == 0;
    if (!failed) {
        failed = pthread_create(&link->block_thread, NULL, td_link__block_main, link);
        link->block_started = failed == 0;
    }
    return failed ? td_fail_errno(err, failed, "starting the ingest threads") : TD_OK;
}

td_code td_link_start(td_server *server, int port, td_link **out, td_err *err)
{
    TD_CLEANUP(td_link_stop) td_link *link = calloc(1, sizeof *link);
    if (!link) {
        return td_fail(err, TD_NOMEM, "no memory for the link to the broker");
    }
    link->server = server;
    pthread_mutex_init(&link->lock, NULL);
    snprintf(link->prefix, sizeof link->prefix, "%s", td_config_text(server->config, "mqtt.prefix"));
    if (port) {
        snprintf(link->host, sizeof link->host, "%s", reachable(td_config_text(server->config, "mqtt.host")));
        link->port = port;
        link->tls = true;
    } else {
        TD_TRY(parse_url(link, td_config_text(server->config, "mqtt.url"), err));
    }
    TD_TRY(make_parts(link, err));
    TD_TRY(connect_broker(link, err));
    TD_TRY(start_threads(link, err));
    *out = link;
    link = NULL;
    return TD_OK;
}

static void drain(td_queue *queue)
{
    void *item;
    while (queue && td_queue_pop(queue, &item, 1, 0) == 1) {
        if (!td_link__is_wake(item)) {
            free(item);
        }
    }
}

void td_link_stop(td_link **slot)
{
    td_link *link = *slot;
    if (!link) {
        return;
    }
    if (link->uplinks && link->gets) {
        td_queue_close(link->uplinks);
        td_queue_close(link->gets);
    }
    if (link->ingest_started) {
        pthread_join(link->ingest_thread, NULL);
    }
    if (link->block_started) {
        pthread_join(link->block_thread, NULL);
    }
    td_mqtt_stop(link->mqtt, DRAIN_MS);
    td_content_server_free(link->content);
    td_publisher_free(link->publisher);
    td_uplink_reader_free(link->ingest_reader);
    td_uplink_reader_free(link->block_reader);
    td_uplink_keys_free(link->keys);
    drain(link->uplinks);
    drain(link->gets);
    td_queue_free(link->uplinks);
    td_queue_free(link->gets);
    td_db_close(link->block_db);
    pthread_mutex_destroy(&link->lock);
    free(link);
    *slot = NULL;
}

/* ---- for the rest of the server ---- */

void td_link_kick(td_link *link)
{
    if (link) {
        td_link__wake_blocks(link);
    }
}

td_code td_link_keys_reload(td_link *link, td_db *db, td_err *err)
{
    return link ? td_uplink_keys_load(link->keys, db, err) : TD_OK;
}

td_code td_link_address(td_server *server, char host_out[256], int *port_out, td_err *err)
{
    const td_link *link = td_server_link(server);
    const char *told = td_config_text(server->config, "mqtt.public_host");
    const char *host = server->broker ? td_config_text(server->config, "mqtt.host") : link ? link->host : "";
    char name[256] = "localhost";
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        (void)gethostname(name, sizeof name - 1);
        host = name;
    }
    host = *told ? told : host;
    if (!*host) {
        return td_fail(err, TD_BUSY, "the link to the broker is not up yet; try again");
    }
    snprintf(host_out, 256, "%s", host);
    *port_out = server->broker ? td_broker_port(server->broker) : link ? link->port : 0;
    return TD_OK;
}

static json_t *drops_json(const td_link *link)
{
    json_t *drops = json_object();
    for (int why = 0; drops && why < TD_DROP_COUNT; why++) {
        uint64_t count = td_uplink_dropped(link->ingest_reader, (td_uplink_drop)why) +
                         td_uplink_dropped(link->block_reader, (td_uplink_drop)why);
        (void)json_object_set_new(drops, td_uplink_drop_names[why], json_integer((json_int_t)count));
    }
    return drops;
}

void td_link_counts_read(const td_link *link, td_link_counts *out)
{
    *out = (td_link_counts){.connected = false};
    if (!link) {
        return;
    }
    td_content_stats stats;
    td_content_server_stats(link->content, &stats);
    out->connected = atomic_load(&link->connected);
    for (int i = 0; i < TD_WINDOW_VERDICTS; i++) {
        out->windows[i] = atomic_load(&link->windows[i]);
    }
    for (int i = 0; i < TD_DROP_COUNT; i++) {
        out->dropped[i] = td_uplink_dropped(link->ingest_reader, (td_uplink_drop)i) +
                          td_uplink_dropped(link->block_reader, (td_uplink_drop)i);
    }
    out->queue_full = atomic_load(&link->dropped_full);
    out->failed = atomic_load(&link->failed);
    out->content_bytes = stats.bytes;
    out->queued = td_queue_count(link->uplinks);
    int64_t since = atomic_load(&link->waiting_since_ms);
    int64_t now = td_now_ms(link->server->clock);
    int64_t waited = since ? now - since : 0;
    int64_t last = now - atomic_load(&link->lag_at_ms) < TD_LINK_LAG_KEPT_MS ? atomic_load(&link->lag_ms) : 0;
    out->lag_ms = waited > last ? waited : last;
}

static json_t *windows_json(const td_link *link)
{
    json_t *windows = json_object();
    for (int verdict = 0; windows && verdict < TD_WINDOW_VERDICTS; verdict++) {
        (void)json_object_set_new(windows, td_window_verdict_name((td_window_verdict)verdict),
                                  json_integer((json_int_t)atomic_load(&link->windows[verdict])));
    }
    return windows;
}

static json_t *received_json(const td_link *link)
{
    static const char *const names[TD_UPLINK_KIND_COUNT] = {"birth", "death", "report", "get", "window"};
    json_t *received = json_object();
    for (int kind = 0; received && kind < TD_UPLINK_KIND_COUNT; kind++) {
        const td_uplink_reader *reader = kind == TD_UPLINK_GET ? link->block_reader : link->ingest_reader;
        (void)json_object_set_new(received, names[kind],
                                  json_integer((json_int_t)td_uplink_accepted(reader, (td_uplink_kind)kind)));
    }
    return received;
}

td_code td_link_status_json(td_link *link, json_t **out, td_err *err)
{
    if (!link) {
        *out = json_pack("{s:b}", "connected", 0);
        return *out ? TD_OK : td_fail(err, TD_NOMEM, "no memory");
    }
    char address[300], why[200];
    snprintf(address, sizeof address, "%s:%d", link->host, link->port);
    pthread_mutex_lock(&link->lock);
    memcpy(why, link->why, sizeof why);
    pthread_mutex_unlock(&link->lock);
    bool connected = atomic_load(&link->connected);
    td_content_stats stats;
    td_content_server_stats(link->content, &stats);
    json_t *json =
        json_pack("{s:b, s:s, s:b, s:o, s:o, s:I, s:o, s:{s:I, s:I, s:I, s:I, s:I}}", "connected", connected, "address",
                  address, "tls", link->tls, "received", received_json(link), "dropped", drops_json(link), "queue_full",
                  (json_int_t)atomic_load(&link->dropped_full), "windows", windows_json(link), "content", "blocks",
                  (json_int_t)stats.blocks, "bytes", (json_int_t)stats.bytes, "deferred", (json_int_t)stats.deferred,
                  "refused", (json_int_t)stats.refused, "memory_peak", (json_int_t)stats.memory_peak);
    if (!json) {
        return td_fail(err, TD_NOMEM, "no memory for the broker's status");
    }
    if (!connected && *why) {
        (void)json_object_set_new(json, "why", json_string(why));
    }
    *out = json;
    return TD_OK;
}
