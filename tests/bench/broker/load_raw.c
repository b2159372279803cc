/*
 * load_raw.c: the least that stores messages durably: Paho's callback hands over, a loop inserts what gathered and
 * commits.
 *
 * No authentication, no decoding, no sums, no receipts; the same settings of SQLite and the same batch as the server's.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/broker/load.h"

#include <MQTTAsync.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define BATCH 512
#define WAITING_MAX 65536

typedef struct raw_message {
    char *topic;
    MQTTAsync_message *message;
} raw_message;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static raw_message waiting[WAITING_MAX]; /* a ring, under the lock */
static size_t head, count;

static int on_message(void *context, char *topic, int length, MQTTAsync_message *message)
{
    (void)context;
    (void)length;
    pthread_mutex_lock(&lock);
    bool room = count < WAITING_MAX;
    if (room) {
        waiting[(head + count++) % WAITING_MAX] = (raw_message){topic, message};
        pthread_cond_signal(&changed);
    }
    pthread_mutex_unlock(&lock);
    return room; /* 0: Paho offers it again */
}

static void on_subscribed(void *context, MQTTAsync_successData5 *data)
{
    (void)context;
    (void)data;
    printf("ready\n");
    (void)fflush(stdout);
}

static void on_connected(void *context, MQTTAsync_successData5 *data)
{
    (void)data;
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.onSuccess5 = on_subscribed;
    (void)MQTTAsync_subscribe(*(MQTTAsync *)context, LOAD_RAW_PREFIX "/+/up/window", 1, &response);
}

static td_code subscribe(MQTTAsync *client, int port, td_err *err)
{
    char uri[64];
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer5;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer5;
    snprintf(uri, sizeof uri, "tcp://127.0.0.1:%d", port);
    options.onSuccess5 = on_connected;
    options.context = client;
    options.cleanstart = 1;
    if (MQTTAsync_createWithOptions(client, uri, "raw-loop", MQTTCLIENT_PERSISTENCE_NONE, NULL, &create) != 0 ||
        MQTTAsync_setCallbacks(*client, NULL, NULL, on_message, NULL) != 0 ||
        MQTTAsync_connect(*client, &options) != 0) {
        return td_fail(err, TD_IO, "Paho does not connect to port %d", port);
    }
    return TD_OK;
}

static td_code open_table(const char *path, sqlite3 **db, sqlite3_stmt **insert, td_err *err)
{
    const char *setup = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -2048;"
                        "CREATE TABLE raw (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL) STRICT";
    if (sqlite3_open(path, db) != SQLITE_OK || sqlite3_exec(*db, setup, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(*db, "INSERT INTO raw (topic, payload) VALUES (?, ?)", -1, insert, NULL) != SQLITE_OK) {
        return td_fail(err, TD_IO, "%s: %s", path, sqlite3_errmsg(*db));
    }
    return TD_OK;
}

static size_t gather(raw_message out[BATCH])
{
    pthread_mutex_lock(&lock);
    while (count == 0) {
        pthread_cond_wait(&changed, &lock);
    }
    size_t taken = count < BATCH ? count : BATCH;
    for (size_t i = 0; i < taken; i++) {
        out[i] = waiting[(head + i) % WAITING_MAX];
    }
    head = (head + taken) % WAITING_MAX;
    count -= taken;
    pthread_mutex_unlock(&lock);
    return taken;
}

static td_code store(sqlite3 *db, sqlite3_stmt *insert, raw_message *batch, size_t size, td_err *err)
{
    bool ok = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
    for (size_t i = 0; i < size; i++) {
        sqlite3_bind_text(insert, 1, batch[i].topic, -1, SQLITE_STATIC);
        sqlite3_bind_blob(insert, 2, batch[i].message->payload, batch[i].message->payloadlen, SQLITE_STATIC);
        ok = sqlite3_step(insert) == SQLITE_DONE && ok;
        sqlite3_reset(insert);
        MQTTAsync_freeMessage(&batch[i].message);
        MQTTAsync_free(batch[i].topic);
    }
    ok = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK && ok;
    return ok ? TD_OK : td_fail(err, TD_IO, "the raw loop cannot store: %s", sqlite3_errmsg(db));
}

td_code load_raw(int port, const char *database, td_err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    MQTTAsync client = NULL;
    raw_message batch[BATCH];
    TD_TRY(open_table(database, &db, &insert, err));
    TD_TRY(subscribe(&client, port, err));
    for (size_t rows = 0;;) {
        size_t size = gather(batch);
        TD_TRY(store(db, insert, batch, size, err));
        rows += size;
        printf("%zu %.6f\n", rows, load_seconds());
        (void)fflush(stdout);
    }
}
