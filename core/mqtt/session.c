/*
 * session.c: from nothing to a subscribed session, and back: connect, CONNACK, SUBACK, loss, the next attempt.
 *
 * Everything after the connect call happens in Paho's callbacks; they only move the phase and wake the connection's
 * thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/crypto/x509.h"
#include "core/mqtt/internal.h"

#include <string.h>

#define CONNECT_TIMEOUT_S 20
#define PACKET_IN_MAX (1024 * 1024) /* what we ask the broker not to exceed; blocks and messages are <= 64 KiB */
#define STEADY_MS 10000             /* a session that lasted this long resets the back-off */

static int64_t back_off(const td_mqtt *mqtt)
{
    int64_t pause = mqtt->options.backoff_min_ms;
    for (int i = 1; i < mqtt->failures && pause < mqtt->options.backoff_max_ms; i++) {
        pause *= 2;
    }
    if (pause > mqtt->options.backoff_max_ms) {
        pause = mqtt->options.backoff_max_ms;
    }
    uint32_t random = 0;
    td_err err;
    if (td_random(&random, sizeof random, &err) != TD_OK) {
        return pause;
    }
    return pause / 2 + (int64_t)(random % (uint64_t)(pause / 2 + 1));
}

void td_mqtt__failed(td_mqtt *mqtt, const td_err *err)
{
    pthread_mutex_lock(&mqtt->mutex);
    bool stopping = mqtt->phase == TD_MQTT_STOPPING;
    bool late = mqtt->phase == TD_MQTT_IDLE; /* this session's end was told before */
    if (!stopping && !late) {
        if (mqtt->phase == TD_MQTT_CONNECTED && td_mqtt__now_ms() - mqtt->connected_ms >= STEADY_MS) {
            mqtt->failures = 0;
        }
        mqtt->failures++;
        mqtt->phase = TD_MQTT_IDLE;
        mqtt->due_ms = td_mqtt__now_ms() + back_off(mqtt);
        mqtt->last_error = *err;
    }
    pthread_cond_broadcast(&mqtt->changed);
    pthread_mutex_unlock(&mqtt->mutex);
    td_mqtt__drop_waiting(mqtt);
    if (!stopping && !late && mqtt->options.disconnected != NULL) {
        mqtt->options.disconnected(mqtt->options.context, err);
    }
}

static void ready(td_mqtt *mqtt)
{
    pthread_mutex_lock(&mqtt->mutex);
    bool now = mqtt->phase == TD_MQTT_SUBSCRIBING;
    if (now) {
        mqtt->phase = TD_MQTT_CONNECTED;
        mqtt->connected_ms = td_mqtt__now_ms();
        mqtt->ever_connected = true;
    }
    bool present = mqtt->session_present;
    pthread_cond_broadcast(&mqtt->changed);
    pthread_mutex_unlock(&mqtt->mutex);
    if (now && mqtt->options.connected != NULL) {
        mqtt->options.connected(mqtt->options.context, present);
    }
}

static void subscribe_refused(td_mqtt *mqtt, int reason)
{
    td_err why, err;
    td_mqtt__explain(&why, mqtt->broker, 0, reason >= 0x80 ? reason : 0, "");
    (void)td_fail(&err, why.code, "%.200s; it refuses a subscription", why.text);
    td_mqtt__failed(mqtt, &err);
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer5;
    (void)MQTTAsync_disconnect(mqtt->client, &options);
}

static void on_subscribed(void *context, MQTTAsync_successData5 *data)
{
    td_mqtt *mqtt = context;
    int worst = (int)data->reasonCode;
    if (data->alt.sub.reasonCodeCount > 1) {
        for (int i = 0; i < data->alt.sub.reasonCodeCount; i++) {
            worst = (int)data->alt.sub.reasonCodes[i] > worst ? (int)data->alt.sub.reasonCodes[i] : worst;
        }
    }
    if (worst >= 0x80) {
        subscribe_refused(mqtt, worst);
        return;
    }
    td_mqtt__subscribe_rest(mqtt);
}

static void on_subscribe_failed(void *context, MQTTAsync_failureData5 *data)
{
    td_mqtt *mqtt = context;
    if ((int)data->reasonCode >= 0x80) {
        subscribe_refused(mqtt, (int)data->reasonCode);
    } /* else the connection was lost, which on_lost tells */
}

void td_mqtt__subscribe_rest(td_mqtt *mqtt)
{
    char *filters[TD_MQTT_SUBSCRIPTIONS_MAX];
    int qos[TD_MQTT_SUBSCRIPTIONS_MAX];
    MQTTSubscribe_options each[TD_MQTT_SUBSCRIPTIONS_MAX];
    int count = 0;
    pthread_mutex_lock(&mqtt->mutex);
    bool live = mqtt->phase == TD_MQTT_SUBSCRIBING || mqtt->phase == TD_MQTT_CONNECTED;
    for (; live && mqtt->filter_sent < mqtt->filter_count; mqtt->filter_sent++, count++) {
        filters[count] = mqtt->filters[mqtt->filter_sent].filter; /* never freed while the handle lives */
        qos[count] = mqtt->filters[mqtt->filter_sent].qos;
        each[count] = (MQTTSubscribe_options)MQTTSubscribe_options_initializer;
    }
    pthread_mutex_unlock(&mqtt->mutex);
    if (count == 0) {
        if (live) {
            ready(mqtt);
        }
        return;
    }
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = mqtt;
    response.onSuccess5 = on_subscribed;
    response.onFailure5 = on_subscribe_failed;
    response.subscribeOptions = each[0];
    response.subscribeOptionsCount = count;
    response.subscribeOptionsList = each;
    int code = MQTTAsync_subscribeMany(mqtt->client, count, filters, qos, &response);
    if (code != MQTTASYNC_SUCCESS && code != MQTTASYNC_DISCONNECTED) {
        subscribe_refused(mqtt, 0);
    }
}

static size_t packet_max_of(MQTTProperties *properties)
{
    if (!MQTTProperties_hasProperty(properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE)) {
        return TD_MQTT_PACKET_MAX;
    }
    int64_t value =
        (int64_t)(uint32_t)MQTTProperties_getNumericValue(properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE);
    return value > 0 && (uint64_t)value < TD_MQTT_PACKET_MAX ? (size_t)value : TD_MQTT_PACKET_MAX;
}

static size_t receive_max_of(MQTTProperties *properties)
{
    int64_t value = MQTTProperties_hasProperty(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)
                        ? MQTTProperties_getNumericValue(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)
                        : 65535;
    return value > 0 ? (size_t)value : 65535;
}

static void on_connected(void *context, MQTTAsync_successData5 *data)
{
    td_mqtt *mqtt = context;
    pthread_mutex_lock(&mqtt->mutex);
    if (mqtt->phase == TD_MQTT_CONNECTING) {
        mqtt->phase = TD_MQTT_SUBSCRIBING;
    }
    mqtt->session_present = data->alt.connect.sessionPresent != 0;
    mqtt->packet_max = packet_max_of(&data->properties);
    mqtt->receive_max = receive_max_of(&data->properties);
    mqtt->filter_sent = 0;
    pthread_mutex_unlock(&mqtt->mutex);
    td_mqtt__subscribe_rest(mqtt);
}

/* Under TLS 1.3 a broker that refuses our certificate says so after the hand-shake, where Paho does not listen: it
 * looks like a connection that was closed. So our own certificate is asked. */
static bool explain_expired(const td_mqtt *mqtt, td_err *err)
{
    if (!mqtt->options.tls || mqtt->options.certificate_path == NULL) {
        return false;
    }
    TD_CLEANUP(td_str_done) td_str pem = {0};
    td_x509_facts facts;
    td_err ignored;
    if (td_file_read(mqtt->options.certificate_path, 64 * 1024, &pem, &ignored) != TD_OK ||
        td_x509_read(pem.data, pem.size, &facts, &ignored) != TD_OK ||
        facts.not_after_ms >= td_now_ms(&td_clock_system)) {
        return false;
    }
    char when[32];
    td_format_time(facts.not_after_ms, when);
    (void)td_fail(err, TD_DENIED,
                  "MQTT broker %s will not have us: our certificate (%.64s) has expired at %s; renew it", mqtt->broker,
                  facts.common_name, when);
    return true;
}

static void explain_and_fail(td_mqtt *mqtt, int code, int reason)
{
    char tls[sizeof mqtt->tls_error];
    pthread_mutex_lock(&mqtt->mutex);
    memcpy(tls, mqtt->tls_error, sizeof tls);
    mqtt->tls_error[0] = '\0';
    if (reason < 0x80 && mqtt->disconnect_reason >= 0x80) {
        reason = mqtt->disconnect_reason;
    }
    mqtt->disconnect_reason = -1;
    pthread_mutex_unlock(&mqtt->mutex);
    td_err err;
    if (reason >= 0x80 || tls[0] != '\0' || !explain_expired(mqtt, &err)) {
        td_mqtt__explain(&err, mqtt->broker, code, reason, tls);
    }
    td_mqtt__failed(mqtt, &err);
}

static void on_connect_failed(void *context, MQTTAsync_failureData5 *data)
{
    /* A refused CONNECT comes with Paho's code equal to the reason code (>= 0x80). */
    int reason = (int)data->reasonCode >= 0x80 ? (int)data->reasonCode : data->code >= 0x80 ? data->code : 0;
    explain_and_fail(context, data->code, reason);
}

static void on_lost(void *context, char *cause)
{
    (void)cause; /* Paho never fills it */
    explain_and_fail(context, MQTTASYNC_DISCONNECTED, 0);
}

static void on_disconnect_packet(void *context, MQTTProperties *properties, enum MQTTReasonCodes reason)
{
    (void)properties;
    td_mqtt *mqtt = context;
    pthread_mutex_lock(&mqtt->mutex);
    mqtt->disconnect_reason = (int)reason;
    pthread_mutex_unlock(&mqtt->mutex);
}

static int on_message(void *context, char *topic, int topic_length, MQTTAsync_message *message)
{
    td_mqtt *mqtt = context;
    bool embedded_nul = topic_length > 0 && strlen(topic) != (size_t)topic_length;
    if (!embedded_nul && mqtt->options.message != NULL && message->payloadlen >= 0) {
        td_mqtt_message view = {.topic = topic,
                                .payload = message->payload,
                                .size = (size_t)message->payloadlen,
                                .qos = message->qos,
                                .retained = message->retained != 0};
        mqtt->options.message(mqtt->options.context, &view);
    }
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

void td_mqtt__set_callbacks(td_mqtt *mqtt)
{
    (void)MQTTAsync_setCallbacks(mqtt->client, mqtt, on_lost, on_message, NULL);
    (void)MQTTAsync_setDisconnected(mqtt->client, mqtt, on_disconnect_packet);
}

static int on_tls_error(const char *text, size_t size, void *context)
{
    td_mqtt *mqtt = context;
    pthread_mutex_lock(&mqtt->mutex);
    if (mqtt->tls_error[0] == '\0') { /* the first line is the cause; later ones follow from it */
        size_t n = size < sizeof mqtt->tls_error - 1 ? size : sizeof mqtt->tls_error - 1;
        memcpy(mqtt->tls_error, text, n);
        mqtt->tls_error[n] = '\0';
        mqtt->tls_error[strcspn(mqtt->tls_error, "\r\n")] = '\0';
    }
    pthread_mutex_unlock(&mqtt->mutex);
    return 1;
}

static void add_property(MQTTProperties *properties, enum MQTTPropertyCodes code, uint32_t value)
{
    MQTTProperty property = {.identifier = code};
    property.value.integer4 = value;
    (void)MQTTProperties_add(properties, &property);
}

static void fill_will(const td_mqtt_options *from, MQTTAsync_willOptions *will, MQTTProperties *properties)
{
    will->topicName = from->will_topic;
    will->payload.data = from->will_payload;
    will->payload.len = (int)from->will_size;
    will->qos = 1;
    will->retained = from->will_retain;
    add_property(properties, MQTTPROPERTY_CODE_WILL_DELAY_INTERVAL, from->will_delay_s);
}

static void fill_tls(td_mqtt *mqtt, MQTTAsync_SSLOptions *tls)
{
    tls->trustStore = mqtt->options.ca_path;
    tls->keyStore = mqtt->options.certificate_path;
    tls->privateKey = mqtt->options.key_path;
    tls->enableServerCertAuth = 1;
    tls->verify = 1;                            /* the certificate must name the host */
    tls->sslVersion = MQTT_SSL_VERSION_TLS_1_2; /* the least: OpenSSL then takes 1.3 if the broker has it */
    tls->ssl_error_cb = on_tls_error;
    tls->ssl_error_context = mqtt;
}

void td_mqtt__connect(td_mqtt *mqtt)
{
    const td_mqtt_options *from = &mqtt->options;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    MQTTProperties properties = MQTTProperties_initializer, will_properties = MQTTProperties_initializer;
    options.keepAliveInterval = from->keepalive_s;
    options.cleanstart =
        from->clean_start && !mqtt->ever_connected; /* only this thread and callbacks of a session look */
    options.connectTimeout = CONNECT_TIMEOUT_S;
    options.maxInflight = 65535; /* the window is kept in publish.c */
    options.username = from->username;
    options.password = mqtt->password;
    options.context = mqtt;
    options.onSuccess5 = on_connected;
    options.onFailure5 = on_connect_failed;
    add_property(&properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, from->session_expiry_s);
    add_property(&properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, PACKET_IN_MAX);
    options.connectProperties = &properties;
    if (from->will_topic != NULL) {
        fill_will(from, &will, &will_properties);
        options.will = &will;
        options.willProperties = &will_properties;
    }
    if (from->tls) {
        fill_tls(mqtt, &tls);
        options.ssl = &tls;
    }
    int code = MQTTAsync_connect(mqtt->client, &options);
    MQTTProperties_free(&properties);
    MQTTProperties_free(&will_properties);
    if (code != MQTTASYNC_SUCCESS) {
        explain_and_fail(mqtt, code, 0);
    }
}
