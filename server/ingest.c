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

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct uplink_item {
    td_link__message *message;
    td_uplink uplink;
    td_window *window; /* of a window */
    bool reported;     /* settled is to be sent */
    uint64_t settled;
} uplink_item;

/* Made for what was waiting, freed when it is recorded: at rest there is none. */
typedef struct uplink_batch {
    td_link *link;
    uplink_item *items;
    size_t count;
    td_window_item *windows;
    size_t window_count;
    td_code code; /* of recording */
    td_err err;
    bool recorded; /* true, too, if that failed; under flight.lock */
    struct flight *flight;
} uplink_batch;

/* One batch is with the writer while the next is checked and decoded. */
typedef struct flight {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uplink_batch *under_way; /* or NULL; only the ingest thread looks at it */
} flight;

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

/* Tells what could not be recorded; only our own trouble (disk, memory) is the whole batch's. */
static td_code give_up(td_link *link, uplink_item *item, td_code code, const td_err *err)
{
    item->reported = false;
    if (is_ours(code)) {
        return code;
    }
    atomic_fetch_add(&link->failed, 1);
    td_log_warn("ingest", "%s: not recorded: %s", item->uplink.device, err->text);
    return TD_OK;
}

static td_code record_alone(td_db *db, td_link *link, uplink_item *item, td_err *err)
{
    TD_TRY(td_db_savepoint(db, err));
    td_code code = record(db, item, err);
    if (code == TD_OK) {
        return td_db_release(db, err);
    }
    td_db_rollback_to(db);
    return give_up(link, item, code, err);
}

/* Nearly all messages are windows, and settling one refuses before it writes: it needs no savepoint, which would cost
 * as much as the rest. */
static td_code record_item(td_db *db, td_link *link, uplink_item *item, td_err *err)
{
    item->reported = false;
    if (item->uplink.kind != TD_UPLINK_WINDOW) {
        return record_alone(db, link, item, err);
    }
    td_code code = record(db, item, err);
    return code == TD_OK ? TD_OK : give_up(link, item, code, err);
}

static td_code write_batch(td_db *db, void *context, td_err *err)
{
    uplink_batch *batch = context;
    if (batch->window_count) {
        TD_TRY(td_window_ingest(db, batch->windows, batch->window_count, err));
    }
    for (size_t i = 0; i < batch->count; i++) {
        TD_TRY(record_item(db, batch->link, &batch->items[i], err));
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

/* Takes the message over. */
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

/* One receipt a device: its newest. The devices are looked for in a list of their own: items are large. */
static void send_receipts(const uplink_batch *batch)
{
    int64_t devices[TD_LINK_BATCH];
    for (size_t i = 0; i < batch->count; i++) {
        devices[i] = batch->items[i].reported ? batch->items[i].uplink.device_id : -1;
    }
    for (size_t i = 0; i < batch->count; i++) {
        bool newest = devices[i] >= 0;
        for (size_t later = i + 1; newest && later < batch->count; later++) {
            newest = devices[later] != devices[i];
        }
        if (newest) {
            send_receipt(batch->link, &batch->items[i]);
        }
    }
}

static void free_batch(uplink_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        td_window_free(&batch->items[i].window);
        free(batch->items[i].message);
    }
    free(batch->items);
    free(batch->windows);
    free(batch);
}

static uplink_batch *new_batch(td_link *link, size_t room)
{
    uplink_batch *batch = calloc(1, sizeof *batch);
    if (batch) {
        batch->link = link;
        batch->items = malloc(room * sizeof *batch->items);
        batch->windows = malloc(room * sizeof *batch->windows);
        if (batch->items && batch->windows) {
            return batch;
        }
        free_batch(batch);
    }
    td_log_error("ingest", "no memory for %zu messages; devices will send them again", room);
    return NULL;
}

/* ---- two at a time
 * --------------------------------------------------------------------------------------------------------- */

/* On the writer's thread. */
static void on_recorded(void *context, td_code code, const td_err *err)
{
    uplink_batch *batch = context;
    flight *line = batch->flight;
    pthread_mutex_lock(&line->lock);
    batch->code = code;
    batch->err = *err;
    batch->recorded = true;
    pthread_cond_signal(&line->changed);
    pthread_mutex_unlock(&line->lock);
}

/* How long the oldest message of the batch has waited. */
static void note_lag(const uplink_batch *batch)
{
    int64_t now = td_now_ms(batch->link->server->clock);
    int64_t lag = now - batch->items[0].message->received_ms;
    atomic_store(&batch->link->lag_ms, lag > 0 ? lag : 0);
    atomic_store(&batch->link->lag_at_ms, now);
}

static void post_batch(flight *line, uplink_batch *batch)
{
    td_err err = {0};
    atomic_store(&batch->link->waiting_since_ms, batch->items[0].message->received_ms);
    batch->flight = line;
    line->under_way = batch;
    td_code code = td_writer_post(batch->link->server->writer, write_batch, batch, on_recorded, &err);
    if (code != TD_OK) {
        on_recorded(batch, code, &err);
    }
}

/* Waits for the batch that is with the writer, if there is one, and tells the devices. */
static void finish_batch(flight *line)
{
    uplink_batch *batch = line->under_way;
    if (!batch) {
        return;
    }
    pthread_mutex_lock(&line->lock);
    while (!batch->recorded) {
        pthread_cond_wait(&line->changed, &line->lock);
    }
    pthread_mutex_unlock(&line->lock);
    line->under_way = NULL;
    atomic_store(&batch->link->waiting_since_ms, 0);
    if (batch->code != TD_OK) {
        td_log_err(TD_LOG_ERROR, "ingest", "a batch could not be recorded; devices will send it again", &batch->err);
    } else {
        for (size_t i = 0; i < batch->window_count; i++) {
            atomic_fetch_add(&batch->link->windows[batch->windows[i].verdict], 1);
        }
        note_lag(batch);
        send_receipts(batch);
        td_scheduler_kick(batch->link->server->scheduler);
    }
    free_batch(batch);
}

static void take_in(td_link *link, flight *line, void **messages, size_t count)
{
    uplink_batch *batch = new_batch(link, count);
    for (size_t i = 0; i < count; i++) {
        if (batch) {
            add_message(batch, messages[i]);
        } else {
            free(messages[i]);
        }
    }
    finish_batch(line);
    if (batch && batch->count) {
        post_batch(line, batch);
    } else if (batch) {
        free_batch(batch);
    }
}

void *td_link__ingest_main(void *argument)
{
    td_link *link = argument;
    flight line = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL};
    void *messages[TD_LINK_BATCH];
    for (;;) {
        size_t count = td_queue_pop(link->uplinks, messages, TD_LINK_BATCH, line.under_way ? 0 : -1);
        if (count > 0) {
            take_in(link, &line, messages, count);
        } else if (line.under_way) {
            finish_batch(&line);
        } else if (td_queue_closed(link->uplinks)) {
            return NULL;
        }
    }
}
