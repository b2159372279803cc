/*
 * link.h: the agent's MQTT session, and the queue that brings what arrives to the agent's one loop.
 *
 * Callbacks of core/mqtt run on other threads: they copy, put the copy into a bounded queue and wake the loop by an
 * eventfd. Content blocks may take only three quarters of the queue; a block that finds no room is dropped and asked
 * for again.
 * Threads: td_link_take and the rest from the loop.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_LINK_H
#define TD_FIRMWARE_LINUX_LINK_H

#include "core/base/queue.h"
#include "core/mqtt/mqtt.h"
#include "firmware/linux/identity.h"

#define TD_LINK_QUEUE 128
#define TD_LINK_MESSAGE_MAX ((size_t)65536)
#define TD_LINK_SESSION_S (7 * 24 * 3600) /* how long the broker keeps our session */
#define TD_LINK_WILL_DELAY_S 45

typedef enum td_link_kind {
    TD_LINK_CONNECTED,
    TD_LINK_DISCONNECTED, /* bytes: why, NUL-terminated */
    TD_LINK_DIRECTIVE,
    TD_LINK_BLOCK,
    TD_LINK_RECEIPT,
    TD_LINK_SERVER,
    TD_LINK_REFUSED, /* the broker did not take what we published; bytes: why */
} td_link_kind;

typedef struct td_link_event {
    td_link_kind kind;
    td_code code; /* of a disconnection */
    size_t size;
    uint8_t bytes[];
} td_link_event;

typedef struct td_link td_link;

typedef struct td_link_options {
    const td_identity *identity;
    const char *will_topic;
    const void *will_payload;
    size_t will_size;
    int wake_fd; /* an eventfd */
} td_link_options;

TD_MUST_USE td_code td_link_start(const td_link_options *options, td_link **out, td_err *err);
/* Disconnects cleanly after at most drain_ms, frees. NULL is fine. */
void td_link_stop(td_link *link, int64_t drain_ms);
td_mqtt *td_link_mqtt(const td_link *link);
/* The `done` of everything that is published, with the link as its context. */
void td_link_published(void *context, td_code code, const td_err *err);
/* The next event, to be freed with free(); NULL: none. */
td_link_event *td_link_take(td_link *link);

#endif
