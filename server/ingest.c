/*
 * ingest.c: the ingest thread: what devices said becomes records, a batch a transaction; receipts go out after COMMIT.
 *
 * One message that cannot be recorded is undone alone (a savepoint each) and counted; it never takes the batch with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/log.h"
#include "server/link_internal.h"
#include "server/scheduler.h"

#include <stdlib.h>
#include <string.h>

typedef struct uplink_item {
    td_link__message *message;
    td_uplink uplink;
    td_window *window; /* of a window */
    bool reported;     /* settled is to be sent */
    uint64_t settled;
} uplink_item;

typedef struct uplink_batch {
    td_link *link;
    uplink_item items[TD_LINK_BATCH];
    size_t count;
    td_window_item windows[TD_LINK_BATCH];
    size_t window_count;
} uplink_batch;

/* ---- inside the transaction ---- */

static td_code record(td_db *db, uplink_item *item, td_err *err)
{
    const td_uplink *uplink = &item->uplink;
    switch (uplink->kind) {
    case TD_UPLINK_BIRTH:
        return td_fleet_birth(db, uplink->device_id, &uplink->as.birth, err);
    case TD_UPLINK_DEATH:
        return td_fleet_death(db, uplink->device_id, uplink->as.death.boot_id, err);
    case TD_UPLINK_REPORT:
        TD_TRY(td_fleet_report(db, uplink->device_id, &uplink->as.report, &item->settled, err));
        item->reported = true;
        return TD_OK;
    case TD_UPLINK_WINDOW: {
        bool fresh;
        TD_TRY(
            td_fleet_settle(db, uplink->device_id, uplink->sequence, uplink->oldest_kept, &fresh, &item->settled, err));
        item->reported = true;
        return TD_OK;
    }
    default:
        return TD_OK;
    }
}

static bool is_ours(td_code code)
{
    return code == TD_IO || code == TD_NOMEM || code == TD_CORRUPT;
}

static td_code record_alone(td_db *db, td_link *link, uplink_item *item, td_err *err)
{
    TD_TRY(td_db_savepoint(db, err));
    item->reported = false;
    td_code code = record(db, item, err);
    if (code == TD_OK) {
        return td_db_release(db, err);
    }
    td_db_rollback_to(db);
    item->reported = false;
    if (is_ours(code)) {
        return code;
    }
    atomic_fetch_add(&link->failed, 1);
    td_log_warn("ingest", "%s: not recorded: %s", item->uplink.device, err->text);
    return TD_OK;
}

static td_code write_batch(td_db *db, void *context, td_err *err)
{
    uplink_batch *batch = context;
    if (batch->window_count) {
        TD_TRY(td_window_ingest(db, batch->windows, batch->window_count, err));
    }
    for (size_t i = 0; i < batch->count; i++) {
        TD_TRY(record_alone(db, batch->link, &batch->items[i], err));
    }
    return TD_OK;
}

/* ---- before and after ---- */

static void add_window(uplink_batch *batch, uplink_item *item)
{
    td_err err = {0};
    if (td_window_decode(item->uplink.message, item->uplink.message_size, &item->window, &err) != TD_OK) {
        td_log_warn("ingest", "%s: a window does not decode: %s", item->uplink.device, err.text);
        return; /* settled all the same, or the device would send it for ever */
    }
    batch->windows[batch->window_count] = (td_window_item){
        .device = item->uplink.device, .window = item->window, .received_ms = item->message->received_ms};
    batch->window_count++;
}

static void add_message(uplink_batch *batch, td_link__message *message)
{
    uplink_item *item = &batch->items[batch->count];
    memset(item, 0, sizeof *item);
    item->message = message;
    td_err err = {0};
    if (td_uplink_read(batch->link->ingest_reader, message->topic, message->payload, message->size, &item->uplink,
                       &err) != TD_OK) {
        td_log_debug("ingest", "dropped: %s", err.text);
        free(message);
        return;
    }
    if (item->uplink.kind == TD_UPLINK_WINDOW) {
        add_window(batch, item);
    }
    batch->count++;
}

static void send_receipt(td_link *link, const uplink_item *item)
{
    td_err err = {0};
    char topic[TD_TOPIC_MAX];
    uint8_t payload[16];
    size_t size = td_receipt_encode(item->settled, payload);
    if (td_topic_down(link->prefix, item->uplink.device, "receipt", topic, &err) != TD_OK) {
        return;
    }
    td_mqtt_publication publication = {.topic = topic, .payload = payload, .size = size, .qos = 1};
    if (td_mqtt_publish(link->mqtt, &publication, &err) != TD_OK) {
        td_log_debug("ingest", "receipt for %s: %s", item->uplink.device, err.text); /* the device will ask again */
    }
}

/* One receipt a device: its newest. */
static void send_receipts(const uplink_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const uplink_item *item = &batch->items[i];
        bool newest = item->reported;
        for (size_t later = i + 1; newest && later < batch->count; later++) {
            newest = !(batch->items[later].reported && batch->items[later].uplink.device_id == item->uplink.device_id);
        }
        if (newest) {
            send_receipt(batch->link, item);
        }
    }
}

static void finish_batch(uplink_batch *batch)
{
    td_err err = {0};
    if (batch->count == 0) {
        return;
    }
    if (td_server_write(batch->link->server, write_batch, batch, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "ingest", "a batch could not be recorded; devices will send it again", &err);
    } else {
        for (size_t i = 0; i < batch->window_count; i++) {
            atomic_fetch_add(&batch->link->windows[batch->windows[i].verdict], 1);
        }
        send_receipts(batch);
        td_scheduler_kick(batch->link->server->scheduler);
    }
    for (size_t i = 0; i < batch->count; i++) {
        td_window_free(&batch->items[i].window);
        free(batch->items[i].message);
    }
    batch->count = 0;
    batch->window_count = 0;
}

void *td_link__ingest_main(void *argument)
{
    td_link *link = argument;
    uplink_batch *batch = calloc(1, sizeof *batch);
    void *messages[TD_LINK_BATCH];
    if (!batch) {
        td_log_error("ingest", "no memory: telemetry will not be taken in");
        return NULL;
    }
    batch->link = link;
    for (;;) {
        size_t count = td_queue_pop(link->uplinks, messages, TD_LINK_BATCH, -1);
        if (count == 0 && td_queue_closed(link->uplinks)) {
            break;
        }
        for (size_t i = 0; i < count; i++) {
            add_message(batch, messages[i]);
        }
        finish_batch(batch);
    }
    free(batch);
    return NULL;
}
