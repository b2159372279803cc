/*
 * fuzz_uplink.c: hostile uplinks, before and after the seal.
 *
 * First byte: below 5 the kind of a message that is sealed with a good key (a device that went bad), so that parsers
 * and tables are reached; otherwise the rest is a topic, a zero and a payload, as anybody at a careless broker could
 * send.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "fleet/fleet.h"
#include "lineage/lineage.h"
#include "registry/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static td_db *db;
static td_txn txn;
static td_uplink_keys *keys;
static td_uplink_reader *reader;
static td_enrol_grant grant;
static char folder[] = "/tmp/td-fuzz-XXXXXX";

static void must_ok(td_code code)
{
    if (code != TD_OK) {
        abort();
    }
}

static void remove_folder(void)
{
    char path[64];
    static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm", "t.db.lock"};
    td_txn_done(&txn);
    td_db_close(db);
    td_uplink_reader_free(reader);
    td_uplink_keys_free(keys);
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    (void)remove(folder);
}

static void enrol_device(void)
{
    td_enrol_code_options options = {.count = 1};
    json_t *made = NULL;
    must_ok(td_enrol_code_create(db, &td_actor_system, &options, &made, NULL));
    const char *code = json_string_value(json_array_get(json_object_get(made, "codes"), 0));
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    td_enrol_request request = {.device = "d"};
    for (size_t bit = 0, at = 0; bit < 80; at++) {
        if (code[at] != '-') {
            unsigned value = (unsigned)(strchr(alphabet, code[at]) - alphabet);
            for (int i = 4; i >= 0; i--, bit++) {
                request.secret[bit / 8] |= (uint8_t)((value >> i & 1u) << (7 - bit % 8));
            }
        }
    }
    must_ok(td_enrol_device(db, &request, &grant, NULL));
    json_decref(made);
}

static void set_up(void)
{
    char path[64];
    const td_migration *const lists[] = {td_audit_migrations,   td_access_migrations, td_registry_migrations,
                                         td_lineage_migrations, td_fleet_migrations,  NULL};
    must_ok(td_crypto_setup(NULL));
    if (mkdtemp(folder) == NULL) {
        abort();
    }
    atexit(remove_folder);
    snprintf(path, sizeof path, "%s/t.db", folder);
    must_ok(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, NULL));
    must_ok(td_db_migrate(db, lists, NULL));
    must_ok(td_txn_begin(db, &txn, NULL));
    enrol_device();
    must_ok(td_uplink_keys_new(&keys, NULL));
    must_ok(td_uplink_keys_load(keys, db, NULL));
    must_ok(td_uplink_reader_new(keys, TD_TOPIC_PREFIX, &reader, NULL));
}

static void record(const td_uplink *up)
{
    uint64_t settled;
    bool fresh;
    must_ok(td_db_savepoint(db, NULL));
    if (up->kind == TD_UPLINK_BIRTH) {
        (void)!td_fleet_birth(db, up->device_id, &up->as.birth, NULL);
    } else if (up->kind == TD_UPLINK_REPORT) {
        (void)!td_fleet_report(db, up->device_id, &up->as.report, &settled, NULL);
    } else if (up->kind == TD_UPLINK_WINDOW) {
        (void)!td_fleet_settle(db, up->device_id, up->sequence, up->oldest_kept, &fresh, &settled, NULL);
    }
    td_db_rollback_to(db);
}

static void sealed(uint8_t kind, const uint8_t *data, size_t size)
{
    static const char *const topics[] = {"tm/v1/d/up/birth", "tm/v1/d/up/death", "tm/v1/d/up/report", "tm/v1/d/up/get",
                                         "tm/v1/d/up/window"};
    td_uplink up;
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    must_ok(td_uplink_seal(grant.uplink_key, topics[kind], data, size, &bytes, NULL));
    if (td_uplink_read(reader, topics[kind], bytes.data, bytes.size, &up, NULL) == TD_OK) {
        record(&up);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_uplink up;
    if (db == NULL) {
        set_up();
    }
    if (size == 0) {
        return 0;
    }
    if (data[0] < TD_UPLINK_KIND_COUNT) {
        sealed(data[0], data + 1, size - 1);
        return 0;
    }
    const uint8_t *zero = memchr(data + 1, 0, size - 1);
    if (zero != NULL) {
        (void)!td_uplink_read(reader, (const char *)data + 1, zero + 1, size - (size_t)(zero + 1 - data), &up, NULL);
    }
    return 0;
}
