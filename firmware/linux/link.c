/*
 * link.c: see link.h.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room that messages leave for news of the session, which may not be lost. There are at most a few a second of those,
 * and a callback must not wait for the loop: the loop may be waiting for Paho's lock, which the callback holds. */
#define SESSION_ROOM 32
#define MESSAGES_MAX (TD_LINK_QUEUE - SESSION_ROOM)

struct td_link {
    td_mqtt *mqtt;
    td_queue *queue;
    int wake_fd;
    char down[TD_MQTT_TOPIC_MAX];   /* <prefix>/<device>/down/ */
    char server[TD_MQTT_TOPIC_MAX]; /* <prefix>/_/server */
};

static void wake(const td_link *link)
{
    uint64_t one = 1;
    (void)!write(link->wake_fd, &one, sizeof one);
}

static void enqueue(td_link *link, td_link_kind kind, td_code code, const void *bytes, size_t size)
{
    td_link_event *event = malloc(sizeof *event + size + 1);
    if (event == NULL) {
        return; /* as if the message had been lost on the way */
    }
    event->kind = kind;
    event->code = code;
    event->size = size;
    if (size > 0) {
        memcpy(event->bytes, bytes, size);
    }
    event->bytes[size] = 0;
    bool session = kind == TD_LINK_CONNECTED || kind == TD_LINK_DISCONNECTED;
    if (!(session || td_queue_count(link->queue) < MESSAGES_MAX) || !td_queue_try_push(link->queue, event)) {
        free(event);
    }
    wake(link);
}

static void on_connected(void *context, bool session_present)
{
    (void)session_present;
    enqueue(context, TD_LINK_CONNECTED, TD_OK, NULL, 0);
}

static void on_disconnected(void *context, const td_err *why)
{
    enqueue(context, TD_LINK_DISCONNECTED, why->code, why->text, strlen(why->text));
}

void td_link_published(void *context, td_code code, const td_err *err)
{
    if (code == TD_DENIED) {
        enqueue(context, TD_LINK_REFUSED, code, err->text, strlen(err->text));
    }
}

static bool kind_of(const td_link *link, const char *topic, td_link_kind *kind_out)
{
    static const struct {
        const char *name;
        td_link_kind kind;
    } kinds[] = {{"directive", TD_LINK_DIRECTIVE}, {"block", TD_LINK_BLOCK}, {"receipt", TD_LINK_RECEIPT}};
    size_t length = strlen(link->down);
    if (strcmp(topic, link->server) == 0) {
        *kind_out = TD_LINK_SERVER;
        return true;
    }
    for (size_t i = 0; i < TD_COUNT_OF(kinds) && strncmp(topic, link->down, length) == 0; i++) {
        if (strcmp(topic + length, kinds[i].name) == 0) {
            *kind_out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static void on_message(void *context, const td_mqtt_message *message)
{
    td_link *link = context;
    td_link_kind kind;
    if (message->size > TD_LINK_MESSAGE_MAX || !kind_of(link, message->topic, &kind)) {
        return;
    }
    if (kind == TD_LINK_BLOCK && td_queue_count(link->queue) > MESSAGES_MAX * 3 / 4) {
        return;
    }
    enqueue(link, kind, TD_OK, message->payload, message->size);
}

static td_code connect_link(td_link *link, const td_link_options *options, td_err *err)
{
    const td_identity *identity = options->identity;
    char ca[4096], certificate[4096], key[4096], filter[TD_MQTT_TOPIC_MAX + 2];
    td_identity_path(identity, "ca.pem", ca);
    td_identity_path(identity, "device.crt", certificate);
    td_identity_path(identity, "device.key", key);
    snprintf(filter, sizeof filter, "%s#", link->down);
    const td_mqtt_subscription subscriptions[] = {{filter, 1}, {link->server, 1}, {NULL, 0}};
    td_mqtt_options mqtt = {.host = identity->host,
                            .port = identity->port,
                            .tls = true,
                            .ca_path = ca,
                            .certificate_path = certificate,
                            .key_path = key,
                            .client_id = identity->device,
                            .session_expiry_s = TD_LINK_SESSION_S,
                            .keepalive_s = 60,
                            .will_topic = options->will_topic,
                            .will_payload = options->will_payload,
                            .will_size = options->will_size,
                            .will_delay_s = TD_LINK_WILL_DELAY_S,
                            .subscriptions = subscriptions,
                            .inflight_max = 256,
                            .context = link,
                            .connected = on_connected,
                            .disconnected = on_disconnected,
                            .message = on_message};
    return td_mqtt_start(&mqtt, &link->mqtt, err);
}

static void free_link(td_link **link)
{
    if (*link != NULL && (*link)->queue != NULL) {
        for (td_link_event *event = td_link_take(*link); event != NULL; event = td_link_take(*link)) {
            free(event);
        }
        td_queue_free((*link)->queue);
    }
    free(*link);
    *link = NULL;
}

td_code td_link_start(const td_link_options *options, td_link **out, td_err *err)
{
    TD_CLEANUP(free_link) td_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the MQTT session");
    }
    link->wake_fd = options->wake_fd;
    snprintf(link->down, sizeof link->down, "%s/%s/down/", options->identity->prefix, options->identity->device);
    snprintf(link->server, sizeof link->server, "%s/_/server", options->identity->prefix);
    TD_TRY(td_queue_new(TD_LINK_QUEUE, &link->queue, err));
    TD_TRY(connect_link(link, options, err));
    *out = link;
    link = NULL;
    return TD_OK;
}

void td_link_stop(td_link *link, int64_t drain_ms)
{
    if (link != NULL) {
        td_queue_close(link->queue); /* the loop is over: nobody may wait for it any more */
        td_mqtt_stop(link->mqtt, drain_ms);
        free_link(&link);
    }
}

td_mqtt *td_link_mqtt(const td_link *link)
{
    return link->mqtt;
}

td_link_event *td_link_take(td_link *link)
{
    void *item = NULL;
    return td_queue_pop(link->queue, &item, 1, 0) == 1 ? item : NULL;
}
