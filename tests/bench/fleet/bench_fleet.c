/*
 * bench_fleet.c: what the fleet's hot paths cost beside the bare work that is inside them.
 *
 *   uplink   proving and reading a 700-byte window, beside its bare HMAC-SHA-256
 *   settle   moving a device's watermark, beside a bare UPDATE by primary key (both 1,000 a transaction)
 *   content  200 devices that pull 1 MiB each over a real broker, beside the same blocks sent without asking; memory
 * held
 *
 * Prints JSON lines for tests/bench/bench.py. Usage: bench_fleet
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/fleet/bench_fleet.h"

#include "core/base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void bench_print(const char *name, double figure, const char *unit, double reference, double ratio, const char *note)
{
    printf(
        "{\"bench\": \"fleet/%s\", \"figure\": %.1f, \"unit\": \"%s\", \"reference\": %.1f, \"ratio\": %.3f, \"note\": "
        "\"%s\"}\n",
        name, figure, unit, reference, ratio, note);
    fflush(stdout);
}

/* Devices as rows, without certificates: the hot paths see no more of them. */
static td_code make_devices(bench_world *w, td_err *err)
{
    td_txn txn;
    td_stmt *stmt;
    TD_TRY(td_txn_begin(w->db, &txn, err));
    TD_TRY(td_db_exec(
        w->db,
        "INSERT INTO enrol_code (code_id, secret_hash, project, tags, created_ms, created_by, expires_ms, uses) "
        "VALUES (1, x'00', 'default', '{}', 0, 'bench', 0, 1)",
        err));
    for (int i = 0; i < BENCH_DEVICES; i++) {
        char name[32];
        snprintf(name, sizeof name, "d-%03d", i);
        TD_TRY(td_db_prepare(w->db,
                             "INSERT INTO device (device_id, name, project, uplink_key, certificate_serial, "
                             "certificate_end_ms, code_id, enrolled_ms, revision) "
                             "VALUES (:id, :name, 'default', zeroblob(32), '', 0, 1, 0, :id)",
                             &stmt, err));
        td_bind_int(stmt, ":id", i + 1);
        td_bind_text(stmt, ":name", name);
        TD_TRY(td_run(stmt, err));
    }
    TD_TRY(td_db_exec(w->db, "INSERT INTO device_contact (device_id) SELECT device_id FROM device", err));
    TD_TRY(td_db_exec(w->db, "CREATE TABLE bare (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER) STRICT", err));
    TD_TRY(td_db_exec(w->db, "INSERT INTO bare SELECT device_id, 0, 0 FROM device", err));
    return td_txn_commit(&txn, err);
}

static td_code open_world(bench_world *w, td_err *err)
{
    char path[128];
    const td_migration *const lists[] = {td_audit_migrations,   td_access_migrations, td_registry_migrations,
                                         td_lineage_migrations, td_fleet_migrations,  NULL};
    TD_TRY(td_crypto_setup(err));
    snprintf(w->folder, sizeof w->folder, "/tmp/td-bench-XXXXXX");
    if (mkdtemp(w->folder) == NULL) {
        return td_fail(err, TD_IO, "no temporary folder");
    }
    snprintf(path, sizeof path, "%s/t.db", w->folder);
    TD_TRY(td_db_open(path, TD_DB_WRITE, &td_clock_system, &w->db, err));
    TD_TRY(td_db_migrate(w->db, lists, err));
    snprintf(path, sizeof path, "%s/content", w->folder);
    TD_TRY(td_content_open(path, &w->content, err));
    TD_TRY(make_devices(w, err));
    TD_TRY(td_uplink_keys_new(&w->keys, err));
    return td_uplink_keys_load(w->keys, w->db, err);
}

static void close_world(bench_world *w)
{
    td_err err;
    td_uplink_keys_free(w->keys);
    td_content_close(w->content);
    td_db_close(w->db);
    (void)!td_folder_remove(w->folder, &err);
}

static td_code bench_uplink(bench_world *w, td_err *err)
{
    enum { ROUNDS = 200000, SIZE = 700 };
    uint8_t key[TD_UPLINK_KEY_SIZE] = {0}, window[SIZE] = {0x10, 1},
            mac[TD_DIGEST_SIZE];            /* sequence 1, then padding: */
    window[2] = 0x52;                       /* field 10, */
    window[3] = ((SIZE - 5) & 0x7f) | 0x80; /* of the rest's length */
    window[4] = (SIZE - 5) >> 7;
    td_uplink_reader *reader = NULL;
    td_uplink up;
    TD_CLEANUP(td_str_done) td_str sealed = {0};
    TD_TRY(td_uplink_reader_new(w->keys, "tm/v1", &reader, err));
    TD_TRY(td_uplink_seal(key, "tm/v1/d-100/up/window", window, SIZE, &sealed, err));
    double start = bench_seconds();
    for (int i = 0; i < ROUNDS; i++) {
        TD_TRY(td_uplink_read(reader, "tm/v1/d-100/up/window", sealed.data, sealed.size, &up, err));
    }
    double ours = ROUNDS / (bench_seconds() - start);
    start = bench_seconds();
    for (int i = 0; i < ROUNDS; i++) {
        td_hmac_sha256(key, sizeof key, sealed.data, SIZE + 22, mac);
    }
    double bare = ROUNDS / (bench_seconds() - start);
    td_uplink_reader_free(reader);
    bench_print("uplink", ours, "messages/s", bare, ours / bare, "700-byte windows; reference: their HMAC alone");
    return TD_OK;
}

static td_code settle_round(bench_world *w, uint64_t sequence, td_err *err)
{
    for (int d = 1; d <= BENCH_DEVICES; d++) {
        bool fresh;
        uint64_t settled;
        TD_TRY(td_fleet_settle(w->db, d, sequence, 1, &fresh, &settled, err));
    }
    return TD_OK;
}

static td_code bare_round(bench_world *w, td_err *err)
{
    for (int d = 1; d <= BENCH_DEVICES; d++) {
        td_stmt *stmt;
        TD_TRY(td_db_prepare(w->db, "UPDATE bare SET a = a + 1, b = :now WHERE id = :id", &stmt, err));
        td_bind_int(stmt, ":now", 1);
        td_bind_int(stmt, ":id", d);
        TD_TRY(td_run(stmt, err));
    }
    return TD_OK;
}

static td_code bench_settle(bench_world *w, td_err *err)
{
    enum { TRANSACTIONS = 100, ROUNDS = 5 };
    double spent[2] = {0, 0};
    uint64_t sequence = 0;
    for (int t = 0; t < 2 * TRANSACTIONS; t++) { /* by turns, so that both see the same machine */
        td_txn txn;
        double start = bench_seconds();
        TD_TRY(td_txn_begin(w->db, &txn, err));
        for (int i = 0; i < ROUNDS; i++) {
            TD_TRY(t % 2 == 0 ? settle_round(w, ++sequence, err) : bare_round(w, err));
        }
        TD_TRY(td_txn_commit(&txn, err));
        spent[t % 2] += bench_seconds() - start;
    }
    double rows = (double)TRANSACTIONS * ROUNDS * BENCH_DEVICES;
    bench_print("settle", rows / spent[0], "sequences/s", rows / spent[1], spent[1] / spent[0],
                "1,000 a transaction, synchronous=FULL; reference: a bare UPDATE by primary key");
    return TD_OK;
}

int main(void)
{
    td_err err = {0};
    bench_world w = {0};
    td_code code = open_world(&w, &err);
    code = code == TD_OK ? bench_uplink(&w, &err) : code;
    code = code == TD_OK ? bench_settle(&w, &err) : code;
    code = code == TD_OK ? bench_content(&w, &err) : code;
    close_world(&w);
    if (code != TD_OK) {
        fprintf(stderr, "%s\n", err.text);
    }
    return code == TD_OK ? 0 : 1;
}
