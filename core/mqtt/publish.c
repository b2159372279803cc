/*
 * publish.c: what goes out, and the bounds on how much may be under way at once.
 *
 * Each message is a record in a ring until its fate is known, so that the count is exact and every `done` is called
 * once. Only a window of them is handed to Paho at a time, and the next one in the very callback that ends another:
 * what waits inside Paho for a window waits for its one-second timer (1.3.12 wakes its sender by that alone), which
 * costs a factor of a hundred. SPDX-License-Identifier: Apache-2.0
 */
#include "core/mqtt/internal.h"

#include <stdlib.h>
#include <string.h>

/* Fixed header 5, topic length 2, packet identifier 2, properties: length 1, message expiry 5. */
#define PUBLISH_OVERHEAD 15

static void link_delivery(td_mqtt *mqtt, td_mqtt_delivery *delivery)
{
    delivery->previous = mqtt->deliveries.previous;
    delivery->next = &mqtt->deliveries;
    delivery->previous->next = delivery;
    mqtt->deliveries.previous = delivery;
    mqtt->inflight++;
}

static void unlink_delivery(td_mqtt_delivery *delivery)
{
    delivery->previous->next = delivery->next;
    delivery->next->previous = delivery->previous;
    delivery->mqtt->inflight--;
    delivery->mqtt->sent -= delivery->sent;
}

static void pump(td_mqtt *mqtt);

static void finish(td_mqtt_delivery *delivery, td_code code, const td_err *err)
{
    td_mqtt *mqtt = delivery->mqtt;
    pthread_mutex_lock(&mqtt->mutex);
    unlink_delivery(delivery);
    pthread_cond_broadcast(&mqtt->changed);
    pthread_mutex_unlock(&mqtt->mutex);
    if (delivery->done != NULL) {
        delivery->done(delivery->done_context, code, err);
    }
    free(delivery);
    pump(mqtt);
}

static void on_sent(void *context, MQTTAsync_successData5 *data)
{
    td_mqtt_delivery *delivery = context;
    int reason = (int)data->reasonCode; /* a PUBACK may carry a refusal; 0x10 (no subscribers) is none */
    if (reason < 0x80) {
        finish(delivery, TD_OK, NULL);
        return;
    }
    td_err why, err;
    td_mqtt__explain(&why, delivery->mqtt->broker, 0, reason, "");
    (void)td_fail(&err, why.code, "publishing %.100s: %.120s", delivery->topic, why.text);
    finish(delivery, err.code, &err);
}

static void on_not_sent(void *context, MQTTAsync_failureData5 *data)
{
    td_mqtt_delivery *delivery = context;
    td_err err;
    if ((int)data->reasonCode >= 0x80) {
        td_err why;
        td_mqtt__explain(&why, delivery->mqtt->broker, data->code, (int)data->reasonCode, "");
        (void)td_fail(&err, why.code, "publishing %.100s: %.120s", delivery->topic, why.text);
    } else {
        (void)td_fail(&err, TD_BUSY, "publishing %s: the connection to %s was lost before it arrived", delivery->topic,
                      delivery->mqtt->broker);
    }
    finish(delivery, err.code, &err);
}

void td_mqtt__drop_deliveries(td_mqtt *mqtt)
{
    td_err err;
    (void)td_fail(&err, TD_BUSY, "the connection to %s was closed before the message arrived", mqtt->broker);
    for (;;) {
        pthread_mutex_lock(&mqtt->mutex);
        td_mqtt_delivery *first = mqtt->deliveries.next;
        pthread_mutex_unlock(&mqtt->mutex);
        if (first == &mqtt->deliveries) {
            return;
        }
        finish(first, TD_BUSY, &err);
    }
}

size_t td_mqtt_payload_max(td_mqtt *mqtt, const char *topic)
{
    pthread_mutex_lock(&mqtt->mutex);
    size_t packet_max = mqtt->packet_max;
    pthread_mutex_unlock(&mqtt->mutex);
    size_t overhead = PUBLISH_OVERHEAD + strlen(topic);
    return packet_max > overhead ? packet_max - overhead : 0;
}

/* Takes a place among what is under way, at the end of what waits. */
static td_code admit(td_mqtt *mqtt, td_mqtt_delivery *delivery, td_err *err)
{
    pthread_mutex_lock(&mqtt->mutex);
    bool connected = mqtt->phase == TD_MQTT_CONNECTED;
    bool full = mqtt->inflight >= mqtt->options.inflight_max;
    if (connected && !full) {
        link_delivery(mqtt, delivery);
        *(mqtt->waiting != NULL ? &mqtt->waiting_last->next_waiting : &mqtt->waiting) = delivery;
        mqtt->waiting_last = delivery;
    }
    pthread_mutex_unlock(&mqtt->mutex);
    if (!connected) {
        return td_fail(err, TD_BUSY, "MQTT broker %s: not connected", mqtt->broker);
    }
    if (full) {
        return td_fail(err, TD_BUSY, "MQTT broker %s: %zu messages are under way already", mqtt->broker,
                       mqtt->options.inflight_max);
    }
    return TD_OK;
}

static td_code check(td_mqtt *mqtt, const td_mqtt_publication *publication, td_err *err)
{
    size_t length = publication->topic != NULL ? strlen(publication->topic) : 0;
    if (length == 0 || length >= TD_MQTT_TOPIC_MAX || strpbrk(publication->topic, "+#") != NULL) {
        return td_fail(err, TD_INVALID, "a topic has 1 to %d bytes and no wildcards", TD_MQTT_TOPIC_MAX - 1);
    }
    if (publication->qos < 0 || publication->qos > 1) {
        return td_fail(err, TD_INVALID, "publishing %s: QoS is 0 or 1, not %d", publication->topic, publication->qos);
    }
    size_t most = td_mqtt_payload_max(mqtt, publication->topic);
    if (publication->size > most) {
        return td_fail(err, TD_LIMIT, "publishing %s: %zu bytes, but broker %s takes at most %zu", publication->topic,
                       publication->size, mqtt->broker, most);
    }
    return TD_OK;
}

static int send(td_mqtt *mqtt, td_mqtt_delivery *delivery)
{
    MQTTAsync_message message = MQTTAsync_message_initializer;
    message.payload = delivery->payload; /* Paho copies */
    message.payloadlen = (int)delivery->size;
    message.qos = delivery->qos;
    message.retained = delivery->retain;
    if (delivery->expiry_s > 0) {
        MQTTProperty property = {.identifier = MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL};
        property.value.integer4 = delivery->expiry_s;
        if (MQTTProperties_add(&message.properties, &property) != 0) {
            return MQTTASYNC_FAILURE;
        }
    }
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = delivery;
    response.onSuccess5 = on_sent;
    response.onFailure5 = on_not_sent;
    int code = MQTTAsync_sendMessage(mqtt->client, delivery->topic, &message, &response);
    MQTTProperties_free(&message.properties);
    return code;
}

static void refuse(td_mqtt_delivery *delivery, int code)
{
    td_err err;
    bool later =
        code == MQTTASYNC_DISCONNECTED || code == MQTTASYNC_MAX_BUFFERED_MESSAGES || code == MQTTASYNC_NO_MORE_MSGIDS;
    (void)td_fail(&err, later ? TD_BUSY : TD_IO, "publishing %.100s to %.80s: Paho code %d", delivery->topic,
                  delivery->mqtt->broker, code);
    finish(delivery, err.code, &err);
}

/* The next one that the window has room for, or NULL. The mutex is held. */
static td_mqtt_delivery *take_waiting(td_mqtt *mqtt)
{
    size_t window = mqtt->receive_max < (size_t)mqtt->options.window ? mqtt->receive_max : (size_t)mqtt->options.window;
    td_mqtt_delivery *delivery = mqtt->waiting;
    if (delivery == NULL || mqtt->phase != TD_MQTT_CONNECTED || mqtt->sent >= window) {
        return NULL;
    }
    mqtt->waiting = delivery->next_waiting;
    delivery->sent = true;
    mqtt->sent++;
    return delivery;
}

/* Hands over what the window has room for. One thread at a time, so that the order stays; another that comes meanwhile
 * leaves its work to the one that is at it. */
static void pump(td_mqtt *mqtt)
{
    pthread_mutex_lock(&mqtt->mutex);
    if (!mqtt->pumping) {
        mqtt->pumping = true;
        for (td_mqtt_delivery *next = take_waiting(mqtt); next != NULL; next = take_waiting(mqtt)) {
            pthread_mutex_unlock(&mqtt->mutex);
            int code = send(mqtt, next); /* on success its callback may have freed it already */
            if (code != MQTTASYNC_SUCCESS) {
                refuse(next, code);
            }
            pthread_mutex_lock(&mqtt->mutex);
        }
        mqtt->pumping = false;
    }
    pthread_mutex_unlock(&mqtt->mutex);
}

void td_mqtt__drop_waiting(td_mqtt *mqtt)
{
    td_err err;
    (void)td_fail(&err, TD_BUSY, "the connection to %s was lost before the message was sent", mqtt->broker);
    for (;;) {
        pthread_mutex_lock(&mqtt->mutex);
        td_mqtt_delivery *first = mqtt->waiting;
        mqtt->waiting = first != NULL ? first->next_waiting : NULL;
        pthread_mutex_unlock(&mqtt->mutex);
        if (first == NULL) {
            return;
        }
        finish(first, TD_BUSY, &err);
    }
}

static td_mqtt_delivery *copy_publication(td_mqtt *mqtt, const td_mqtt_publication *publication)
{
    td_mqtt_delivery *delivery = calloc(1, sizeof *delivery + publication->size);
    if (delivery != NULL) {
        delivery->mqtt = mqtt;
        delivery->done = publication->done;
        delivery->done_context = publication->done_context;
        delivery->size = publication->size;
        delivery->qos = publication->qos;
        delivery->retain = publication->retain;
        delivery->expiry_s = publication->expiry_s;
        memcpy(delivery->topic, publication->topic, strlen(publication->topic) + 1);
        if (publication->size > 0) {
            memcpy(delivery->payload, publication->payload, publication->size);
        }
    }
    return delivery;
}

td_code td_mqtt_publish(td_mqtt *mqtt, const td_mqtt_publication *publication, td_err *err)
{
    TD_TRY(check(mqtt, publication, err));
    td_mqtt_delivery *delivery = copy_publication(mqtt, publication);
    if (delivery == NULL) {
        return td_fail(err, TD_NOMEM, "publishing %s: out of memory", publication->topic);
    }
    td_code admitted = admit(mqtt, delivery, err);
    if (admitted != TD_OK) {
        free(delivery);
        return admitted;
    }
    pump(mqtt);
    return TD_OK;
}

size_t td_mqtt_inflight(td_mqtt *mqtt)
{
    pthread_mutex_lock(&mqtt->mutex);
    size_t inflight = mqtt->inflight;
    pthread_mutex_unlock(&mqtt->mutex);
    return inflight;
}
