/*
 * blocks.c: the block thread: answers requests for content from disk, and brings directives out.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/log.h"
#include "server/link_internal.h"

#include <stdlib.h>

#define GETS_AT_ONCE 64
#define DIRECTIVES_AT_ONCE 100
#define IDLE_MS 1000
#define BUSY_MS 20

static void answer_get(td_link *link, const td_link__message *message)
{
    td_err err = {0};
    td_uplink uplink;
    if (td_uplink_read(link->block_reader, message->topic, message->payload, message->size, &uplink, &err) != TD_OK) {
        td_log_debug("mqtt", "dropped: %s", err.text);
        return;
    }
    if (uplink.kind != TD_UPLINK_GET) {
        return;
    }
    td_code code = td_content_server_get(link->content, uplink.device_id, uplink.device, &uplink.as.get, &err);
    if (code != TD_OK && code != TD_BUSY) {
        td_log_err(TD_LOG_WARN, "mqtt", "content for a device", &err);
    }
}

/* Tells the world that the server is there (retained; the will says the opposite). */
static void announce(td_link *link)
{
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    char topic[TD_TOPIC_MAX];
    const td_server *server = link->server;
    td_code code = td_topic_down(link->prefix, "_", "server", topic, &err);
    code = code == TD_OK ? td_server_state_message(server->keys.director, true, (uint64_t)server->started_ms,
                                                   td_now_ms(server->clock), &text, &err)
                         : code;
    if (code == TD_OK) {
        td_mqtt_publication publication = {
            .topic = topic, .payload = text.data, .size = text.size, .qos = 1, .retain = true};
        code = td_mqtt_publish(link->mqtt, &publication, &err);
    }
    if (code == TD_BUSY) {
        atomic_store(&link->announce, true);
    } else if (code != TD_OK) {
        td_log_err(TD_LOG_WARN, "mqtt", "announcing the server", &err);
    }
}

/* Returns whether more waits. */
static bool publish_directives(td_link *link)
{
    if (!atomic_load(&link->connected)) {
        return false;
    }
    if (atomic_exchange(&link->announce, false)) {
        announce(link);
    }
    td_err err = {0};
    int64_t sent = 0;
    bool more = false;
    if (td_publisher_run(link->publisher, DIRECTIVES_AT_ONCE, &sent, &more, &err) != TD_OK) {
        td_log_err(TD_LOG_WARN, "mqtt", "publishing directives", &err);
    }
    return more;
}

void *td_link__block_main(void *argument)
{
    td_link *link = argument;
    bool more = false;
    while (!td_queue_closed(link->gets)) {
        void *items[GETS_AT_ONCE];
        size_t count = td_queue_pop(link->gets, items, GETS_AT_ONCE, more ? BUSY_MS : IDLE_MS);
        bool woken = count == 0;
        for (size_t i = 0; i < count; i++) {
            if (td_link__is_wake(items[i])) {
                woken = true;
                continue;
            }
            answer_get(link, items[i]);
            free(items[i]);
        }
        if (woken || more) {
            more = publish_directives(link);
        }
    }
    return NULL;
}
