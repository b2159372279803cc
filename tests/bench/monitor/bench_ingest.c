/*
 * bench_ingest.c: windows a second from the decoded queue into SQLite, beside raw inserts of rows of the same size.
 *
 * 1,000 devices, 20 numeric features, 200 observations a window; batches as the server's writer makes them
 * (synchronous=FULL). Prints JSON: windows_per_second, raw_rows_per_second, ratio, decode_per_second, bytes.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "firmware/edge/window.h"
#include "lineage/lineage.h"
#include "monitor/baseline.h"
#include "monitor/windows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FEATURES 20
#define DEVICES 1000
#define BATCH 500
#define WINDOWS 40000
#define ROUNDS 3

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

static double uniform(void)
{
    static uint64_t state = 7;
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return ((double)(state >> 11) + 0.5) * 0x1p-53;
}

typedef struct text_source {
    td_str text;
    size_t at;
} text_source;

static long read_text(void *context, void *out, size_t room)
{
    text_source *source = context;
    size_t left = source->text.size - source->at, size = left < room ? left : room;
    memcpy(out, source->text.data + source->at, size);
    source->at += size;
    return (long)size;
}

static int rewind_text(void *context)
{
    ((text_source *)context)->at = 0;
    return 0;
}

static void make_baseline(td_baseline *out)
{
    text_source source = {.at = 0};
    for (int f = 0; f < FEATURES; f++) {
        td_str_addf(&source.text, "f%d,", f);
    }
    td_str_add(&source.text, "prediction\n");
    for (int i = 0; i < 2000; i++) {
        for (int f = 0; f < FEATURES; f++) {
            td_str_addf(&source.text, "%.5f,", uniform());
        }
        td_str_addf(&source.text, "%d\n", i % 3 == 0);
    }
    td_csv_source csv = {read_text, rewind_text, &source, "bench.csv"};
    json_t *columns = json_pack("{s:s}", "prediction", "prediction");
    must(td_baseline_build(&csv, columns, out, &failure));
    json_decref(columns);
    td_str_done(&source.text);
}

typedef struct encoded {
    uint8_t bytes[4096];
    size_t size;
} encoded;

/* A few hundred different windows; each device's own sequence is patched in by decoding a fresh head. */
static void make_windows(const td_baseline *baseline, td_window **windows, double *decode_rate, size_t *bytes_out)
{
    const uint8_t *bytes = (const uint8_t *)baseline->bytes.data;
    size_t need = 0;
    tde_bins bins;
    if (tde_bins_measure(bytes, baseline->bytes.size, &need) != 0) {
        exit(1);
    }
    void *memory = malloc(need);
    encoded *all = calloc(WINDOWS, sizeof *all);
    if (memory == NULL || all == NULL || tde_bins_init(&bins, bytes, baseline->bytes.size, memory, need) != 0) {
        exit(1);
    }
    uint8_t manifest[32] = {1};
    for (int i = 0; i < WINDOWS; i++) {
        if (i % 100 == 0) {
            tde_bins_reset(&bins);
            for (int n = 0; n < 200; n++) {
                float values[FEATURES];
                for (int f = 0; f < FEATURES; f++) {
                    values[f] = (float)uniform();
                }
                tde_observation o = {values, FEATURES, (float)(n % 3 == 0), NAN, -1, 0, 100};
                (void)tde_observe(&bins, &o);
            }
        }
        tde_window_head head = {
            (uint64_t)(i / DEVICES) + 1, 1, 5, manifest, baseline->edges_digest, 0, 60000, 0, "bench"};
        (void)tde_window_encode(&bins, &head, all[i].bytes, sizeof all[i].bytes, &all[i].size);
    }
    double before = seconds();
    for (int i = 0; i < WINDOWS; i++) {
        must(td_window_decode(all[i].bytes, all[i].size, &windows[i], &failure));
    }
    *decode_rate = WINDOWS / (seconds() - before);
    *bytes_out = all[0].size;
    free(all);
    free(memory);
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
    uint8_t manifest[32] = {1};
    td_watch watch = {"default", "bench", 1, manifest, baseline->bytes.data, baseline->bytes.size};
    must(td_monitor_watch(db, &watch, &failure));
    *ours = ingest(db, windows);
    *raw = raw_rows(db, bytes);
    td_db_close(db);
    must(td_folder_remove(folder, &failure));
}

int main(void)
{
    must(td_crypto_setup(&failure));
    td_baseline baseline = {0};
    make_baseline(&baseline);
    td_window **windows = calloc(WINDOWS, sizeof *windows);
    double decode = 0, ours[ROUNDS], raw[ROUNDS], ratios[ROUNDS];
    size_t bytes = 0;
    if (windows == NULL) {
        return 1;
    }
    make_windows(&baseline, windows, &decode, &bytes);
    for (int i = 0; i < ROUNDS; i++) {
        one_round(&baseline, windows, bytes, &ours[i], &raw[i]);
        ratios[i] = ours[i] / raw[i];
    }
    qsort(ours, ROUNDS, sizeof *ours, compare);
    qsort(raw, ROUNDS, sizeof *raw, compare);
    qsort(ratios, ROUNDS, sizeof *ratios, compare);
    printf("{\"bench\":\"ingest\",\"windows_per_second\":%.0f,\"raw_rows_per_second\":%.0f,\"ratio\":%.2f,"
           "\"decode_per_second\":%.0f,\"bytes\":%zu}\n",
           ours[ROUNDS / 2], raw[ROUNDS / 2], ratios[ROUNDS / 2], decode, bytes);
    for (int i = 0; i < WINDOWS; i++) {
        td_window_free(&windows[i]);
    }
    free(windows);
    td_baseline_done(&baseline);
    return 0;
}
