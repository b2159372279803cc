/*
 * publisher_store.c: brings directives out, in the order in which they were written, as fast as the broker takes them.
 *
 * What was sent is remembered only as a place in that order. On a reconnect the place goes back to the start and
 * everything that no device has acknowledged goes out again: the same retained message once more does no harm, a
 * missing one would.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/downlink.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct td_publisher {
    td_db *db;
    td_sender sender;
    char prefix[TD_TOPIC_PREFIX_MAX + 1];
    int64_t sent_id; /* directives up to this row are out */
    atomic_bool restart;
};

td_code td_publisher_new(td_db *db, td_sender sender, const char *prefix, td_publisher **out, td_err *err)
{
    if (strlen(prefix) > TD_TOPIC_PREFIX_MAX) {
        return td_fail(err, TD_INVALID, "topic prefix \"%.40s…\" is too long", prefix);
    }
    td_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    publisher->db = db;
    publisher->sender = sender;
    memcpy(publisher->prefix, prefix, strlen(prefix) + 1);
    *out = publisher;
    return TD_OK;
}

void td_publisher_free(td_publisher *publisher)
{
    free(publisher);
}

void td_publisher_restart(td_publisher *publisher)
{
    atomic_store(&publisher->restart, true);
}

/* A message that failed on its way was not received: start over. */
static void on_done(void *context, td_code code, const td_err *err)
{
    (void)err;
    if (code != TD_OK) {
        td_publisher_restart(context);
    }
}

static td_code publish_row(td_publisher *publisher, td_stmt *stmt, td_err *err)
{
    char topic[TD_TOPIC_MAX];
    TD_TRY(td_topic_down(publisher->prefix, td_column_text(stmt, "name"), "directive", topic, err));
    size_t size = 0;
    const void *envelope = td_column_blob(stmt, "envelope", &size);
    int64_t left_ms = td_column_int(stmt, "not_after_ms") - td_db_now_ms(publisher->db);
    td_mqtt_publication publication = {.topic = topic,
                                       .payload = envelope,
                                       .size = size,
                                       .qos = 1,
                                       .retain = true,
                                       .expiry_s = left_ms > 1000 ? (uint32_t)(left_ms / 1000) : 1,
                                       .done = on_done,
                                       .done_context = publisher};
    return publisher->sender.publish(publisher->sender.context, &publication, err);
}

static td_code publish_rows(td_publisher *publisher, td_stmt *stmt, int64_t most, int64_t *sent, bool *more,
                            td_err *err)
{
    while (*sent < most) {
        bool row;
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        td_code code = publish_row(publisher, stmt, err);
        if (code == TD_BUSY) {
            *more = true;
            return TD_OK;
        }
        TD_TRY(code);
        publisher->sent_id = td_column_int(stmt, "directive_id");
        (*sent)++;
    }
    *more = true;
    return TD_OK;
}

td_code td_publisher_run(td_publisher *publisher, int64_t most, int64_t *sent_out, bool *more_out, td_err *err)
{
    if (atomic_exchange(&publisher->restart, false)) {
        publisher->sent_id = 0;
    }
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        publisher->db,
        "SELECT o.directive_id, d.name, o.envelope, o.not_after_ms FROM directive o JOIN device d ON d.device_id = "
        "o.device_id "
        "WHERE o.newest = 1 AND o.acknowledged_ms IS NULL AND o.directive_id > :sent AND o.not_after_ms > :now "
        "AND d.state = 'enrolled' ORDER BY o.directive_id",
        &stmt, err));
    td_bind_int(stmt, ":sent", publisher->sent_id);
    td_bind_int(stmt, ":now", td_db_now_ms(publisher->db));
    int64_t sent = 0;
    bool more = false;
    td_code code = publish_rows(publisher, stmt, most, &sent, &more, err);
    td_reset(stmt);
    TD_TRY(code);
    *sent_out = sent;
    *more_out = more;
    return TD_OK;
}
