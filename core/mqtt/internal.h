/*
 * internal.h: the parts of a connection that mqtt.c (life), session.c (connecting) and publish.c (sending) share.
 *
 * One rule keeps the two locks apart: Paho calls back with its own lock held, so our mutex is never held while calling
 * Paho or a user's callback.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_MQTT_INTERNAL_H
#define TD_CORE_MQTT_INTERNAL_H

#include "core/mqtt/mqtt.h"

#include <MQTTAsync.h>
#include <pthread.h>

typedef enum td_mqtt_phase {
    TD_MQTT_IDLE,        /* not connected; the next attempt is due at due_ms */
    TD_MQTT_CONNECTING,  /* TCP, TLS, CONNECT … CONNACK */
    TD_MQTT_SUBSCRIBING, /* CONNACK came, SUBACK did not */
    TD_MQTT_CONNECTED,
    TD_MQTT_STOPPING,
} td_mqtt_phase;

typedef struct td_mqtt_delivery {
    struct td_mqtt_delivery *next, *previous;
    td_mqtt *mqtt;
    void (*done)(void *context, td_code code, const td_err *err);
    void *done_context;
    struct td_mqtt_delivery *next_waiting;
    bool sent, retain; /* sent: Paho has it */
    int qos;
    uint32_t expiry_s;
    size_t size;
    char topic[TD_MQTT_TOPIC_MAX];
    uint8_t payload[];
} td_mqtt_delivery;

typedef struct td_mqtt_filter {
    char *filter;
    int qos;
} td_mqtt_filter;

struct td_mqtt {
    /* Set at start, constant afterwards. */
    td_mqtt_options options; /* its texts are our copies */
    char *password;
    char *broker; /* "host:port", for messages */
    MQTTAsync client;
    pthread_t thread;

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    td_mqtt_phase phase;
    int64_t due_ms, connected_ms; /* monotonic */
    int failures;                 /* in a row */
    bool ever_connected;
    bool session_present;
    size_t packet_max;
    td_err last_error;
    char tls_error[160];
    int disconnect_reason; /* of the broker's DISCONNECT, or -1 */
    td_mqtt_filter filters[TD_MQTT_SUBSCRIPTIONS_MAX];
    size_t filter_count, filter_sent;
    td_mqtt_delivery *waiting, *waiting_last; /* of those, what Paho has not got yet, in order */
    size_t inflight, sent;
    size_t receive_max; /* of the broker: QoS 1 messages that it takes unacknowledged */
    bool pumping;
    td_mqtt_delivery deliveries; /* ring of what is under way; last: it ends in an array */
};

int64_t td_mqtt__now_ms(void);

/* session.c */
void td_mqtt__connect(td_mqtt *mqtt);
void td_mqtt__set_callbacks(td_mqtt *mqtt);
/* Subscribes what was not sent yet; without anything to send, the session is ready. */
void td_mqtt__subscribe_rest(td_mqtt *mqtt);
/* The attempt or the session is over: notes the error, plans the next attempt, tells the user. */
void td_mqtt__failed(td_mqtt *mqtt, const td_err *err);

/* publish.c */
void td_mqtt__drop_deliveries(td_mqtt *mqtt);
void td_mqtt__drop_waiting(td_mqtt *mqtt);

/* reason.c: what went wrong, for people. `code` is Paho's, `reason` MQTT 5's, `tls` what OpenSSL said ("" if nothing).
 */
void td_mqtt__explain(td_err *err, const char *broker, int code, int reason, const char *tls);

#endif
