/*
 * keys_store.c: the keys of all devices in memory, as a sorted table that is replaced as a whole.
 *
 * Readers copy one entry under a lock that is held for a binary search; the loader builds a new table aside.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/keys.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct td_uplink_keys {
    pthread_mutex_t mutex;
    td_uplink_key *keys; /* sorted by device */
    size_t count;
};

td_code td_uplink_keys_new(td_uplink_keys **out, td_err *err)
{
    td_uplink_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    pthread_mutex_init(&keys->mutex, NULL);
    *out = keys;
    return TD_OK;
}

static void free_table(td_uplink_key *table, size_t count)
{
    if (table != NULL) {
        td_wipe(table, count * sizeof *table);
        free(table);
    }
}

void td_uplink_keys_free(td_uplink_keys *keys)
{
    if (keys != NULL) {
        free_table(keys->keys, keys->count);
        pthread_mutex_destroy(&keys->mutex);
        free(keys);
    }
}

static td_code count_devices(td_db *db, size_t *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT count(*) AS n FROM device", &stmt, err)); /* scan: all are meant */
    TD_TRY(td_step(stmt, &row, err));
    *out = (size_t)td_column_int(stmt, "n");
    td_reset(stmt);
    return TD_OK;
}

static td_code read_key(td_stmt *stmt, td_uplink_key *key, td_err *err)
{
    size_t size = 0;
    const void *bytes = td_column_blob(stmt, "uplink_key", &size);
    if (size != TD_UPLINK_KEY_SIZE) {
        return td_fail(err, TD_CORRUPT, "device %s: its uplink key has %zu bytes instead of %d",
                       td_column_text(stmt, "name"), size, TD_UPLINK_KEY_SIZE);
    }
    *key = (td_uplink_key){.device_id = td_column_int(stmt, "device_id"),
                           .revoked = strcmp(td_column_text(stmt, "state"), "enrolled") != 0};
    memcpy(key->key, bytes, TD_UPLINK_KEY_SIZE);
    snprintf(key->device, sizeof key->device, "%s", td_column_text(stmt, "name"));
    snprintf(key->project, sizeof key->project, "%s", td_column_text(stmt, "project"));
    return TD_OK;
}

static td_code fill(td_db *db, td_uplink_key *table, size_t room, size_t *count_out, td_err *err)
{
    td_stmt *stmt;
    /* scan: all are meant */
    TD_TRY(
        td_db_prepare(db, "SELECT device_id, name, project, state, uplink_key FROM device ORDER BY name", &stmt, err));
    size_t count = 0;
    for (bool row = true; count < room; count++) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        td_code code = read_key(stmt, &table[count], err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
    td_reset(stmt);
    *count_out = count;
    return TD_OK;
}

td_code td_uplink_keys_load(td_uplink_keys *keys, td_db *db, td_err *err)
{
    size_t room = 0, count = 0;
    TD_TRY(count_devices(db, &room, err));
    room += 64; /* some may be enrolled between the two statements; the next load finds the rest */
    td_uplink_key *table = calloc(room, sizeof *table);
    if (table == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the keys of %zu devices", room);
    }
    td_code code = fill(db, table, room, &count, err);
    if (code != TD_OK) {
        free_table(table, room);
        return code;
    }
    pthread_mutex_lock(&keys->mutex);
    td_uplink_key *old = keys->keys;
    size_t old_count = keys->count;
    keys->keys = table;
    keys->count = count;
    pthread_mutex_unlock(&keys->mutex);
    free_table(old, old_count);
    return TD_OK;
}

static int compare_device(const void *name, const void *key)
{
    return strcmp(name, ((const td_uplink_key *)key)->device);
}

bool td_uplink__key(td_uplink_keys *keys, const char *device, td_uplink_key *out)
{
    pthread_mutex_lock(&keys->mutex);
    const td_uplink_key *found =
        keys->count > 0 ? bsearch(device, keys->keys, keys->count, sizeof *keys->keys, compare_device) : NULL;
    if (found != NULL) {
        *out = *found;
    }
    pthread_mutex_unlock(&keys->mutex);
    return found != NULL;
}

size_t td_uplink_keys_count(td_uplink_keys *keys)
{
    pthread_mutex_lock(&keys->mutex);
    size_t count = keys->count;
    pthread_mutex_unlock(&keys->mutex);
    return count;
}
