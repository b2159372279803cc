/*
 * load_make.c: devices as enrolment leaves them, and windows as their agents would send them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/broker/load.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "fleet/fleet.h"
#include "fleet/uplink.h"
#include "monitor/windows.h"
#include "tests/bench/monitor/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFILL_EVERY 100 /* windows of the same counts */

typedef struct load_device {
    char name[16];
    uint8_t key[TD_UPLINK_KEY_SIZE];
} load_device;

/* The first 16 base32 symbols of a code are its secret. */
static void secret_of(const char *code, uint8_t out[TD_ENROL_SECRET_SIZE])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    memset(out, 0, TD_ENROL_SECRET_SIZE);
    for (size_t bit = 0; *code && bit < 8 * TD_ENROL_SECRET_SIZE; code++) {
        const char *symbol = strchr(alphabet, *code);
        for (int i = 4; symbol != NULL && i >= 0; i--, bit++) {
            out[bit / 8] |= (uint8_t)((((unsigned)(symbol - alphabet) >> i) & 1u) << (7 - bit % 8));
        }
    }
}

static td_code enrol(td_db *db, load_device *devices, int64_t count, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *codes = NULL;
    td_enrol_code_options options = {.count = 1, .uses = count};
    TD_TRY(td_enrol_code_create(db, &td_actor_system, &options, &codes, err));
    td_enrol_request request = {.hardware = "bench"};
    secret_of(json_string_value(json_array_get(json_object_get(codes, "codes"), 0)), request.secret);
    for (int64_t i = 0; i < count; i++) {
        td_enrol_grant grant = {.not_after_ms = INT64_MAX};
        snprintf(devices[i].name, sizeof devices[i].name, "device-%04d", (int)i);
        TD_TRY(td_random(devices[i].key, sizeof devices[i].key, err));
        TD_TRY(td_random(grant.serial, sizeof grant.serial, err));
        memcpy(grant.uplink_key, devices[i].key, sizeof grant.uplink_key);
        request.device = devices[i].name;
        TD_TRY(td_enrol_device(db, &request, &grant, err));
    }
    return TD_OK;
}

static td_code prepare(const char *workspace, const sample *made, load_device *devices, int64_t count, td_err *err)
{
    char path[4096];
    td_db *db = NULL;
    td_txn txn = {0};
    snprintf(path, sizeof path, "%s/tidemark.db", workspace);
    TD_TRY(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, err));
    td_code code = td_txn_begin(db, &txn, err);
    code = code == TD_OK ? enrol(db, devices, count, err) : code;
    td_watch watch = {"default", "bench", 1, sample_manifest, made->baseline.bytes.data, made->baseline.bytes.size};
    code = code == TD_OK ? td_monitor_watch(db, &watch, err) : code;
    code = code == TD_OK ? td_txn_commit(&txn, err) : code;
    td_txn_done(&txn);
    td_db_close(db);
    return code;
}

static bool put(FILE *file, const void *data, size_t size)
{
    uint32_t length = (uint32_t)size;
    return fwrite(&length, sizeof length, 1, file) == 1 && fwrite(data, size, 1, file) == 1;
}

static td_code write_windows(FILE *file, sample *made, const load_device *devices, int64_t count, int64_t windows,
                             td_err *err)
{
    int64_t now_ms = td_now_ms(&td_clock_system);
    for (int64_t i = 0; i < windows; i++) {
        const load_device *device = &devices[i % count];
        uint8_t message[SAMPLE_WINDOW_MAX];
        size_t size = 0;
        char topic[64];
        TD_CLEANUP(td_str_done) td_str sealed = {0};
        if (i % REFILL_EVERY == 0) {
            sample_refill(made);
        }
        snprintf(topic, sizeof topic, LOAD_PREFIX "/%s/up/window", device->name);
        TD_TRY(sample_encode(made, (uint64_t)(i / count) + 1, now_ms, message, &size, err));
        TD_TRY(td_uplink_seal(device->key, topic, message, size, &sealed, err));
        if (!put(file, topic, strlen(topic)) || !put(file, sealed.data, sealed.size)) {
            return td_fail(err, TD_IO, "cannot write the windows");
        }
    }
    return TD_OK;
}

td_code load_make(const char *workspace, const char *path, int64_t devices, int64_t windows, td_err *err)
{
    sample made = {0};
    FILE *file = fopen(path, "wbe");
    load_device *all = calloc((size_t)devices, sizeof *all);
    td_code code = file != NULL && all != NULL ? TD_OK : td_fail(err, TD_IO, "cannot make %s", path);
    code = code == TD_OK ? td_crypto_setup(err) : code;
    code = code == TD_OK ? sample_make(&made, err) : code;
    code = code == TD_OK ? prepare(workspace, &made, all, devices, err) : code;
    code = code == TD_OK ? write_windows(file, &made, all, devices, windows, err) : code;
    if (file != NULL && fclose(file) != 0 && code == TD_OK) {
        code = td_fail(err, TD_IO, "cannot write %s", path);
    }
    sample_done(&made);
    free(all);
    return code;
}
