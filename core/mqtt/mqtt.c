/*
 * mqtt.c: the life of a connection: start, the thread that keeps trying, waiting for it, stop.
 *
 * The thread does one thing: whenever no session is there and the pause is over, it calls connect. What happens then is
 * session.c's.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/mqtt/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t td_mqtt__now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for a change, at most until the monotonic time until_ms (-1: for ever); the mutex is held. */
static void wait_change(td_mqtt *mqtt, int64_t until_ms)
{
    if (until_ms < 0) {
        pthread_cond_wait(&mqtt->changed, &mqtt->mutex);
        return;
    }
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = (until_ms % 1000) * 1000000};
    (void)pthread_cond_timedwait(&mqtt->changed, &mqtt->mutex, &until);
}

static void *keep_connected(void *context)
{
    td_mqtt *mqtt = context;
    pthread_mutex_lock(&mqtt->mutex);
    while (mqtt->phase != TD_MQTT_STOPPING) {
        if (mqtt->phase != TD_MQTT_IDLE) {
            wait_change(mqtt, -1);
        } else if (td_mqtt__now_ms() < mqtt->due_ms) {
            wait_change(mqtt, mqtt->due_ms);
        } else {
            mqtt->phase = TD_MQTT_CONNECTING;
            pthread_mutex_unlock(&mqtt->mutex);
            td_mqtt__connect(mqtt);
            pthread_mutex_lock(&mqtt->mutex);
        }
    }
    pthread_mutex_unlock(&mqtt->mutex);
    return NULL;
}

static void free_handle(td_mqtt *mqtt)
{
    if (mqtt == NULL) {
        return;
    }
    if (mqtt->client != NULL) {
        td_mqtt__drop_waiting(mqtt);
        MQTTAsync_destroy(&mqtt->client); /* no callback comes after this */
        td_mqtt__drop_deliveries(mqtt);
    }
    const char *texts[] = {mqtt->options.host,       mqtt->options.ca_path,     mqtt->options.certificate_path,
                           mqtt->options.key_path,   mqtt->options.client_id,   mqtt->options.username,
                           mqtt->options.will_topic, mqtt->options.will_payload};
    for (size_t i = 0; i < TD_COUNT_OF(texts); i++) {
        free((void *)texts[i]); /* our own copies */
    }
    for (size_t i = 0; i < mqtt->filter_count; i++) {
        free(mqtt->filters[i].filter);
    }
    if (mqtt->password != NULL) {
        explicit_bzero(mqtt->password, strlen(mqtt->password));
    }
    free(mqtt->password);
    free(mqtt->broker);
    pthread_cond_destroy(&mqtt->changed);
    pthread_mutex_destroy(&mqtt->mutex);
    free(mqtt);
}

static void free_handle_at(td_mqtt **mqtt)
{
    free_handle(*mqtt);
}

static td_code check_file(const char *path, const char *what, td_err *err)
{
    if (path != NULL && access(path, R_OK) != 0) {
        return td_fail_errno(err, errno, "%s %s", what, path);
    }
    return TD_OK;
}

static td_code check_options(const td_mqtt_options *options, td_err *err)
{
    if (options->host == NULL || options->host[0] == '\0' || options->port < 1 || options->port > 65535) {
        return td_fail(err, TD_INVALID, "an MQTT broker needs a host and a port from 1 to 65535, not %s:%d",
                       options->host != NULL ? options->host : "", options->port);
    }
    if (options->client_id == NULL || options->client_id[0] == '\0') {
        return td_fail(err, TD_INVALID, "MQTT broker %s:%d: a client identifier is needed", options->host,
                       options->port);
    }
    if (options->tls && options->ca_path == NULL) {
        return td_fail(err, TD_INVALID, "MQTT broker %s:%d: TLS needs the CA's certificate", options->host,
                       options->port);
    }
    if ((options->certificate_path == NULL) != (options->key_path == NULL)) {
        return td_fail(err, TD_INVALID, "MQTT broker %s:%d: certificate and key come together", options->host,
                       options->port);
    }
    TD_TRY(check_file(options->tls ? options->ca_path : NULL, "CA certificate", err));
    TD_TRY(check_file(options->tls ? options->certificate_path : NULL, "certificate", err));
    return check_file(options->tls ? options->key_path : NULL, "key", err);
}

static bool copy_text(const char **text)
{
    if (*text == NULL) {
        return true;
    }
    *text = td_dup(*text);
    return *text != NULL;
}

static td_code read_password(td_mqtt *mqtt, const char *path, td_err *err)
{
    if (path == NULL) {
        return TD_OK;
    }
    td_str text = {0};
    TD_TRY(td_file_read(path, 4096, &text, err));
    mqtt->password = td_str_take(&text);
    if (mqtt->password == NULL) {
        return td_fail(err, TD_INVALID, "%s is empty: it must hold the broker's password", path);
    }
    mqtt->password[strcspn(mqtt->password, "\r\n")] = '\0';
    return TD_OK;
}

static td_code copy_options(td_mqtt *mqtt, const td_mqtt_options *from, td_err *err)
{
    td_mqtt_options *to = &mqtt->options;
    *to = *from;
    to->password_path = NULL;
    to->subscriptions = NULL;
    to->will_payload = NULL;
    bool ok = copy_text(&to->host);
    ok = copy_text(&to->ca_path) && ok;
    ok = copy_text(&to->certificate_path) && ok;
    ok = copy_text(&to->key_path) && ok;
    ok = copy_text(&to->client_id) && ok;
    ok = copy_text(&to->username) && ok;
    ok = copy_text(&to->will_topic) && ok;
    if (from->will_topic != NULL) {
        void *payload = malloc(from->will_size + 1);
        ok = payload != NULL && ok;
        if (payload != NULL && from->will_size > 0) {
            memcpy(payload, from->will_payload, from->will_size);
        }
        to->will_payload = payload;
    }
    ok = asprintf(&mqtt->broker, "%s:%d", from->host, from->port) > 0 && ok;
    to->keepalive_s = from->keepalive_s > 0 ? from->keepalive_s : 60;
    to->inflight_max = from->inflight_max > 0 ? from->inflight_max : TD_MQTT_INFLIGHT_DEFAULT;
    to->window = from->window > 0 ? from->window : TD_MQTT_WINDOW_DEFAULT;
    to->backoff_min_ms = from->backoff_min_ms > 0 ? from->backoff_min_ms : 1000;
    to->backoff_max_ms = from->backoff_max_ms > 0 ? from->backoff_max_ms : 60000;
    return ok ? TD_OK : td_fail(err, TD_NOMEM, "out of memory");
}

static td_code create_client(td_mqtt *mqtt, td_err *err)
{
    const td_mqtt_options *options = &mqtt->options;
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;
    create.sendWhileDisconnected = 0;
    create.maxBufferedMessages = (int)options->inflight_max + 16; /* the true bound is ours */
    char uri[512];
    bool v6 = strchr(options->host, ':') != NULL && options->host[0] != '[';
    int length = snprintf(uri, sizeof uri, "%s://%s%s%s:%d", options->tls ? "ssl" : "tcp", v6 ? "[" : "", options->host,
                          v6 ? "]" : "", options->port);
    if (length < 0 || (size_t)length >= sizeof uri) {
        return td_fail(err, TD_INVALID, "the broker's host name is too long");
    }
    int code =
        MQTTAsync_createWithOptions(&mqtt->client, uri, options->client_id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
    if (code != MQTTASYNC_SUCCESS) {
        mqtt->client = NULL;
        return td_fail(err, TD_INVALID, "MQTT broker %s: Paho refuses the options (code %d)", mqtt->broker, code);
    }
    td_mqtt__set_callbacks(mqtt);
    return TD_OK;
}

static td_code new_handle(td_mqtt **out, td_err *err)
{
    td_mqtt *mqtt = calloc(1, sizeof *mqtt);
    if (mqtt == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&mqtt->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&mqtt->mutex, NULL);
    mqtt->deliveries.next = mqtt->deliveries.previous = &mqtt->deliveries;
    mqtt->packet_max = TD_MQTT_PACKET_MAX;
    mqtt->receive_max = 65535;
    mqtt->disconnect_reason = -1;
    *out = mqtt;
    return TD_OK;
}

td_code td_mqtt_start(const td_mqtt_options *options, td_mqtt **out, td_err *err)
{
    TD_TRY(check_options(options, err));
    TD_CLEANUP(free_handle_at) td_mqtt *mqtt = NULL;
    TD_TRY(new_handle(&mqtt, err));
    TD_TRY(copy_options(mqtt, options, err));
    TD_TRY(read_password(mqtt, options->password_path, err));
    for (const td_mqtt_subscription *s = options->subscriptions; s != NULL && s->filter != NULL; s++) {
        TD_TRY(td_mqtt_subscribe(mqtt, s->filter, s->qos, err));
    }
    TD_TRY(create_client(mqtt, err));
    int error_number = pthread_create(&mqtt->thread, NULL, keep_connected, mqtt);
    if (error_number != 0) {
        return td_fail_errno(err, error_number, "starting the thread of MQTT broker %s", mqtt->broker);
    }
    *out = mqtt;
    mqtt = NULL;
    return TD_OK;
}

/* Waits until the session is over; the broker's answer to DISCONNECT is closing the socket. */
static void disconnect(td_mqtt *mqtt, enum MQTTReasonCodes reason, int64_t drain_ms)
{
    int64_t until_ms = td_mqtt__now_ms() + drain_ms;
    pthread_mutex_lock(&mqtt->mutex);
    while (mqtt->phase == TD_MQTT_CONNECTED && mqtt->inflight > 0 && td_mqtt__now_ms() < until_ms) {
        wait_change(mqtt, until_ms);
    }
    bool was_live = mqtt->phase == TD_MQTT_CONNECTED || mqtt->phase == TD_MQTT_SUBSCRIBING;
    mqtt->phase = TD_MQTT_STOPPING;
    pthread_cond_broadcast(&mqtt->changed);
    pthread_mutex_unlock(&mqtt->mutex);
    pthread_join(mqtt->thread, NULL);
    if (!was_live) {
        return;
    }
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer5;
    options.reasonCode = reason;
    options.timeout = 0;
    (void)MQTTAsync_disconnect(mqtt->client, &options);
    until_ms = td_mqtt__now_ms() + 2000;
    while (MQTTAsync_isConnected(mqtt->client) && td_mqtt__now_ms() < until_ms) {
        usleep(1000); /* Paho's disconnect has no event that comes in every case */
    }
}

void td_mqtt_stop(td_mqtt *mqtt, int64_t drain_ms)
{
    if (mqtt != NULL) {
        disconnect(mqtt, MQTTREASONCODE_NORMAL_DISCONNECTION, drain_ms);
        free_handle(mqtt);
    }
}

void td_mqtt_abandon(td_mqtt *mqtt)
{
    if (mqtt != NULL) {
        disconnect(mqtt, MQTTREASONCODE_DISCONNECT_WITH_WILL_MESSAGE, 0);
        free_handle(mqtt);
    }
}

bool td_mqtt_connected(td_mqtt *mqtt)
{
    pthread_mutex_lock(&mqtt->mutex);
    bool connected = mqtt->phase == TD_MQTT_CONNECTED;
    pthread_mutex_unlock(&mqtt->mutex);
    return connected;
}

td_code td_mqtt_wait(td_mqtt *mqtt, int64_t timeout_ms, td_err *err)
{
    int64_t until_ms = td_mqtt__now_ms() + timeout_ms;
    pthread_mutex_lock(&mqtt->mutex);
    while (mqtt->phase != TD_MQTT_CONNECTED && td_mqtt__now_ms() < until_ms) {
        wait_change(mqtt, until_ms);
    }
    bool connected = mqtt->phase == TD_MQTT_CONNECTED;
    td_err last = mqtt->last_error;
    pthread_mutex_unlock(&mqtt->mutex);
    if (connected) {
        return TD_OK;
    }
    if (last.code != TD_OK) {
        return td_fail(err, last.code, "%s", last.text);
    }
    return td_fail(err, TD_BUSY, "MQTT broker %s: no answer within %lld ms", mqtt->broker, (long long)timeout_ms);
}

/* *send_out: the session is live and the filter is new. */
static td_code remember_filter(td_mqtt *mqtt, const char *filter, int qos, bool *send_out, td_err *err)
{
    for (size_t i = 0; i < mqtt->filter_count; i++) {
        if (strcmp(mqtt->filters[i].filter, filter) == 0) {
            return TD_OK;
        }
    }
    if (mqtt->filter_count == TD_MQTT_SUBSCRIPTIONS_MAX) {
        return td_fail(err, TD_LIMIT, "subscribing %s: a connection has at most %d subscriptions", filter,
                       TD_MQTT_SUBSCRIPTIONS_MAX);
    }
    char *copy = td_dup(filter);
    if (copy == NULL) {
        return td_fail(err, TD_NOMEM, "subscribing %s: out of memory", filter);
    }
    mqtt->filters[mqtt->filter_count++] = (td_mqtt_filter){.filter = copy, .qos = qos};
    *send_out = mqtt->phase == TD_MQTT_CONNECTED;
    return TD_OK;
}

td_code td_mqtt_subscribe(td_mqtt *mqtt, const char *filter, int qos, td_err *err)
{
    size_t length = strlen(filter);
    if (length == 0 || length >= TD_MQTT_TOPIC_MAX || qos < 0 || qos > 1) {
        return td_fail(err, TD_INVALID, "subscribing \"%.40s\": a filter has 1 to %d bytes, QoS is 0 or 1", filter,
                       TD_MQTT_TOPIC_MAX - 1);
    }
    bool send = false;
    pthread_mutex_lock(&mqtt->mutex);
    td_code code = remember_filter(mqtt, filter, qos, &send, err);
    pthread_mutex_unlock(&mqtt->mutex);
    if (code == TD_OK && send) {
        td_mqtt__subscribe_rest(mqtt);
    }
    return code;
}
