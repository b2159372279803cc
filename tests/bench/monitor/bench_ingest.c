/*
 * bench_ingest.c: windows a second from the decoded queue into SQLite, beside raw inserts of rows of the same size.
 *
 * 1,000 devices, 20 numeric features, 200 observations a window; batches as the server's writer makes them
 * (synchronous=FULL). Rows as tests/bench/bench.py wants them.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "lineage/lineage.h"
#include "monitor/windows.h"
#include "tests/bench/monitor/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEVICES 1000
#define BATCH 500
#define WINDOWS 40000
#define ROUNDS 5

extern const td_migration td_audit_migrations[];

static td_err failure;

static void must(td_code code)
{
    if (code != TD_OK) {
        fprintf(stderr, "bench_ingest: %s\n", failure.text);
        exit(1);
    }
}

static double seconds(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* Each device's own sequence in windows of a few hundred different contents, decoded as the ingest thread does. */
static void make_windows(sample *made, td_window **windows, double *decode_rate, size_t *bytes_out)
{
    typedef struct encoded {
        uint8_t bytes[SAMPLE_WINDOW_MAX];
        size_t size;
    } encoded;
    encoded *all = calloc(WINDOWS, sizeof *all);
    if (all == NULL) {
        exit(1);
    }
    for (int i = 0; i < WINDOWS; i++) {
        if (i % 100 == 0) {
            sample_refill(made);
        }
        must(sample_encode(made, (uint64_t)(i / DEVICES) + 1, 0, all[i].bytes, &all[i].size, &failure));
    }
    double before = seconds();
    for (int i = 0; i < WINDOWS; i++) {
        must(td_window_decode(all[i].bytes, all[i].size, &windows[i], &failure));
    }
    *decode_rate = WINDOWS / (seconds() - before);
    *bytes_out = all[0].size;
    free(all);
}

static double ingest(td_db *db, td_window **windows)
{
    static char names[DEVICES][16];
    td_window_item items[BATCH];
    double before = seconds();
    for (int i = 0; i < WINDOWS; i += BATCH) {
        for (int k = 0; k < BATCH; k++) {
            int device = (i + k) % DEVICES;
            snprintf(names[device], sizeof names[device], "device-%04d", device);
            items[k] = (td_window_item){names[device], windows[i + k], td_db_now_ms(db), TD_WINDOW_VERDICTS};
        }
        td_txn txn = {0};
        must(td_txn_begin(db, &txn, &failure));
        must(td_window_ingest(db, items, BATCH, &failure));
        must(td_txn_commit(&txn, &failure));
        if (items[BATCH - 1].verdict != TD_WINDOW_STORED) {
            fprintf(stderr, "bench_ingest: %s\n", td_window_verdict_name(items[BATCH - 1].verdict));
            exit(1);
        }
    }
    return WINDOWS / (seconds() - before);
}

/* The same number of rows of the same size with one unique index, nothing else. */
static double raw_rows(td_db *db, size_t bytes)
{
    must(
        td_db_exec(db,
                   "CREATE TABLE raw (id INTEGER PRIMARY KEY, device INTEGER NOT NULL, boot INTEGER NOT NULL, sequence "
                   "INTEGER NOT NULL, counts BLOB NOT NULL, UNIQUE (device, boot, sequence)) STRICT",
                   &failure));
    td_stmt *stmt;
    must(td_db_prepare(db, "INSERT INTO raw (device, boot, sequence, counts) VALUES (:d, 5, :s, :c)", &stmt, &failure));
    uint8_t *counts = calloc(1, bytes);
    double before = seconds();
    for (int i = 0; i < WINDOWS; i += BATCH) {
        td_txn txn = {0};
        must(td_txn_begin(db, &txn, &failure));
        for (int k = 0; k < BATCH; k++) {
            td_bind_int(stmt, ":d", (i + k) % DEVICES);
            td_bind_int(stmt, ":s", (i + k) / DEVICES);
            td_bind_blob(stmt, ":c", counts, bytes);
            must(td_run(stmt, &failure));
        }
        must(td_txn_commit(&txn, &failure));
    }
    free(counts);
    return WINDOWS / (seconds() - before);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void one_round(const td_baseline *baseline, td_window **windows, size_t bytes, double *ours, double *raw)
{
    char folder[] = "/tmp/td-bench-ingest-XXXXXX", path[64];
    if (mkdtemp(folder) == NULL) {
        exit(1);
    }
    snprintf(path, sizeof path, "%s/tidemark.db", folder);
    td_db *db = NULL;
    must(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, &failure));
    const td_migration *const lists[] = {td_audit_migrations, td_lineage_migrations, td_monitor_migrations, NULL};
    must(td_db_migrate(db, lists, &failure));
    td_watch watch = {"default", "bench", 1, sample_manifest, baseline->bytes.data, baseline->bytes.size};
    must(td_monitor_watch(db, &watch, &failure));
    *ours = ingest(db, windows);
    *raw = raw_rows(db, bytes);
    td_db_close(db);
    must(td_folder_remove(folder, &failure));
}

static void print_row(const char *what, double figure, const char *reference, double ratio, size_t bytes)
{
    printf("{\"bench\":\"ingest: %s\",\"figure\":%.0f,\"unit\":\"windows/s\"", what, figure);
    if (reference != NULL) {
        printf(",\"reference\":\"%s\",\"ratio\":%.3f,\"floor\":\">= 20000/s\"", reference, ratio);
    }
    printf(",\"note\":\"%zu bytes a window, median of %d\"}\n", bytes, ROUNDS);
}

int main(void)
{
    must(td_crypto_setup(&failure));
    sample made = {0};
    must(sample_make(&made, &failure));
    td_window **windows = calloc(WINDOWS, sizeof *windows);
    double decode = 0, ours[ROUNDS], raw[ROUNDS], ratios[ROUNDS];
    size_t bytes = 0;
    if (windows == NULL) {
        return 1;
    }
    make_windows(&made, windows, &decode, &bytes);
    for (int i = 0; i < ROUNDS; i++) {
        one_round(&made.baseline, windows, bytes, &ours[i], &raw[i]);
        ratios[i] = ours[i] / raw[i];
    }
    qsort(ours, ROUNDS, sizeof *ours, compare);
    qsort(raw, ROUNDS, sizeof *raw, compare);
    qsort(ratios, ROUNDS, sizeof *ratios, compare);
    char reference[64];
    snprintf(reference, sizeof reference, "raw rows of that size: %.0f", raw[ROUNDS / 2]);
    print_row("decoded queue to SQLite", ours[ROUNDS / 2], reference, ratios[ROUNDS / 2], bytes);
    print_row("decoding alone", decode, NULL, 0, bytes);
    for (int i = 0; i < WINDOWS; i++) {
        td_window_free(&windows[i]);
    }
    free(windows);
    sample_done(&made);
    return 0;
}
