/*
 * mqtt.h: one MQTT 5 connection that keeps itself alive: the only place that knows Paho.
 *
 * td_mqtt_start returns at once; a thread of its own connects, and connects again with growing, jittered pauses for as
 * long as the handle lives (Paho's automatic reconnect neither resubscribes nor retries a first failure, so it is not
 * used). What was subscribed is subscribed again in every new session before `connected` is called.
 *
 * Callbacks run on Paho's or the connection's own thread, one at a time a handle: copy, enqueue, return. They must not
 * block and must not call td_mqtt_stop; publishing from them is allowed. A message counts as received by the broker
 * when the callback returns, before anybody stored it: what must not be lost needs a receipt of its own
 * (docs/fleet.md).
 *
 * Threads: every function from any thread; td_mqtt_stop once.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_MQTT_MQTT_H
#define TD_CORE_MQTT_MQTT_H

#include "core/base/err.h"

#define TD_MQTT_TOPIC_MAX 512 /* bytes of a topic that we publish or subscribe */
#define TD_MQTT_SUBSCRIPTIONS_MAX 16
#define TD_MQTT_INFLIGHT_DEFAULT 1024                  /* messages under way: accepted and not yet finished */
#define TD_MQTT_WINDOW_DEFAULT 32                      /* of those, sent and unacknowledged (QoS 1) */
#define TD_MQTT_PACKET_MAX ((size_t)256 * 1024 * 1024) /* MQTT's own largest packet */

typedef struct td_mqtt td_mqtt;

/* A message that came in; everything is borrowed until the callback returns. */
typedef struct td_mqtt_message {
    const char *topic; /* NUL-terminated; a topic with a NUL inside never gets here */
    const uint8_t *payload;
    size_t size;
    int qos;
    bool retained;
} td_mqtt_message;

typedef struct td_mqtt_subscription {
    const char *filter; /* NULL ends a list */
    int qos;
} td_mqtt_subscription;

typedef struct td_mqtt_options {
    const char *host; /* name or address */
    int port;
    bool tls;            /* false: plain TCP, for tests and for a broker on the same machine */
    const char *ca_path; /* PEM files; the CA is mandatory with tls; certificate and key come together or not at all */
    const char *certificate_path;
    const char *key_path;
    const char *client_id;     /* mandatory */
    const char *username;      /* or NULL */
    const char *password_path; /* a file whose first line is the password, or NULL */

    bool clean_start; /* forget the broker's session at the first connect of this handle (reconnects keep it) */
    uint32_t session_expiry_s; /* how long the broker keeps the session without us; 0: not at all */
    uint16_t keepalive_s;      /* 0: 60 */
    const char *will_topic;    /* NULL: no will */
    const void *will_payload;
    size_t will_size;
    bool will_retain;
    uint32_t will_delay_s; /* QoS of the will is 1 */

    const td_mqtt_subscription *subscriptions; /* ends with filter NULL; NULL: none */
    size_t inflight_max;                       /* 0: TD_MQTT_INFLIGHT_DEFAULT */
    int window;                                /* 0: TD_MQTT_WINDOW_DEFAULT */
    int64_t backoff_min_ms;                    /* pause after a first failure, 0: 1000 */
    int64_t backoff_max_ms; /* the pause doubles up to this, 0: 60000; each is drawn from [half, full] */

    void *context; /* handed to the callbacks, each of which may be NULL */
    void (*connected)(void *context, bool session_present);
    /* `why` names the broker and the reason; also called for each attempt that failed. */
    void (*disconnected)(void *context, const td_err *why);
    void (*message)(void *context, const td_mqtt_message *message);
} td_mqtt_options;

/* Copies the options and starts connecting. INVALID; IO and DENIED for files that cannot be read. */
TD_MUST_USE td_code td_mqtt_start(const td_mqtt_options *options, td_mqtt **out, td_err *err);
/* Hands out what is queued for at most drain_ms, disconnects cleanly (no will is sent), frees. NULL is fine. */
void td_mqtt_stop(td_mqtt *mqtt, int64_t drain_ms);
/* Disconnects with the reason "with will" (0x04): the broker publishes the will, as after a crash; then frees. */
void td_mqtt_abandon(td_mqtt *mqtt);

bool td_mqtt_connected(td_mqtt *mqtt);
/* Waits until connected. On time-out: the code and text of the last failed attempt, or BUSY. */
TD_MUST_USE td_code td_mqtt_wait(td_mqtt *mqtt, int64_t timeout_ms, td_err *err);
/* Largest payload for a topic that the broker of this session accepts (CONNACK's maximum packet size, less headers). */
size_t td_mqtt_payload_max(td_mqtt *mqtt, const char *topic);

/* Adds to the list that every session subscribes; subscribes at once if connected. An existing filter is a no-op.
 * LIMIT. */
TD_MUST_USE td_code td_mqtt_subscribe(td_mqtt *mqtt, const char *filter, int qos, td_err *err);

typedef struct td_mqtt_publication {
    const char *topic;
    const void *payload; /* copied */
    size_t size;
    int qos; /* 0 or 1 */
    bool retain;
    uint32_t expiry_s; /* 0: never */
    /* Told once, on Paho's thread, when the broker has it (QoS 1: PUBACK; QoS 0: written) or it is lost for good. */
    void (*done)(void *context, td_code code, const td_err *err);
    void *done_context;
} td_mqtt_publication;

/* Queues one message. BUSY: not connected, or inflight_max messages are under way; nothing was queued, `done` is not
 * called. LIMIT: larger than the broker takes. */
TD_MUST_USE td_code td_mqtt_publish(td_mqtt *mqtt, const td_mqtt_publication *publication, td_err *err);
/* Messages handed over and not yet done. */
size_t td_mqtt_inflight(td_mqtt *mqtt);

#endif
