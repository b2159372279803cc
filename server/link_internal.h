/*
 * link_internal.h: what link.c (connection), ingest.c (recording) and blocks.c (content, directives) share.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_LINK_INTERNAL_H
#define TD_SERVER_LINK_INTERNAL_H

#include "core/base/queue.h"
#include "monitor/windows.h"
#include "server/link.h"

/* A message as it came, copied out of the callback. */
typedef struct td_link__message {
    int64_t received_ms;
    size_t size;
    char topic[TD_TOPIC_MAX];
    uint8_t payload[];
} td_link__message;

struct td_link {
    td_server *server;
    char host[256];
    int port;
    bool tls;
    char prefix[TD_TOPIC_PREFIX_MAX + 1];
    td_mqtt *mqtt;
    td_uplink_keys *keys;
    td_queue *uplinks, *gets;
    pthread_t ingest_thread, block_thread;
    bool ingest_started, block_started;
    td_db *block_db; /* reading connection of the block thread; the ingest thread needs none */
    td_uplink_reader *ingest_reader, *block_reader;
    td_publisher *publisher;
    td_content_server *content;
    atomic_bool connected, announce;
    atomic_int_fast64_t waiting_since_ms; /* wall; of the oldest message in hand, 0: none */
    atomic_int_fast64_t lag_ms, lag_at_ms; /* of the last batch; when it was recorded */
    atomic_uint_fast64_t dropped_full, windows[TD_WINDOW_VERDICTS], failed;
    pthread_mutex_t lock; /* of why */
    char why[200];
};

void *td_link__ingest_main(void *link);
void *td_link__block_main(void *link);
/* Wakes the block thread. */
void td_link__wake_blocks(td_link *link);
bool td_link__is_wake(const td_link__message *message);

#endif
