/*
 * upkeep_store.c: device-hour sums out of raw windows, retention, and what a rollout asks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/stats.h"
#include "monitor/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000LL
#define KEY_DAYS 8 /* the key of a raw window outlives the time in which its device may still send it again */

/* ---- Device hours ---------------------------------------------------------------------------- */

/* The sum that is being made: windows come ordered by version, device and hour. */
typedef struct hour_sum {
    bool open;
    int64_t version_key, device_key, start_ms, windows;
    td_arena arena; /* of `watched` */
    td_watched watched;
    uint64_t *sum;
} hour_sum;

static void hour_done(hour_sum *h)
{
    free(h->sum);
    td_arena_done(&h->arena);
}

static td_code hour_add_stored(td_db *db, hour_sum *h, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT windows, counts FROM monitor_device_hour WHERE version_key = :version AND "
                         "device_key = :device AND start_ms = :start",
                         &stmt, err));
    td_bind_int(stmt, ":version", h->version_key);
    td_bind_int(stmt, ":device", h->device_key);
    td_bind_int(stmt, ":start", h->start_ms);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return TD_OK;
    }
    size_t size = 0;
    h->windows += td_column_int(stmt, "windows");
    const void *counts = td_column_blob(stmt, "counts", &size);
    td_code code = td_vector_add(counts, size, h->sum, h->watched.reference.size, err);
    td_reset(stmt);
    return code;
}

static td_code hour_close(td_db *db, hour_sum *h, td_err *err)
{
    if (!h->open) {
        return TD_OK;
    }
    h->open = false;
    TD_TRY(hour_add_stored(db, h, err));
    uint8_t *bytes = malloc(h->watched.reference.size * 10);
    if (bytes == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    td_stmt *stmt;
    td_code code =
        td_db_prepare(db,
                      "INSERT INTO monitor_device_hour (version_key, device_key, start_ms, windows, counts) VALUES "
                      "(:version, :device, :start, :windows, :counts) ON CONFLICT (version_key, device_key, "
                      "start_ms) DO UPDATE SET windows = excluded.windows, counts = excluded.counts",
                      &stmt, err);
    if (code == TD_OK) {
        td_bind_int(stmt, ":version", h->version_key);
        td_bind_int(stmt, ":device", h->device_key);
        td_bind_int(stmt, ":start", h->start_ms);
        td_bind_int(stmt, ":windows", h->windows);
        td_bind_blob(stmt, ":counts", bytes, td_vector_write(h->sum, h->watched.reference.size, bytes));
        code = td_run(stmt, err);
    }
    free(bytes);
    return code;
}

static td_code hour_open(td_db *db, hour_sum *h, int64_t version_key, int64_t device_key, int64_t start_ms, td_err *err)
{
    if (h->watched.key != version_key) {
        td_arena_done(&h->arena);
        memset(&h->arena, 0, sizeof h->arena);
        TD_TRY(td_watched_by_key(db, version_key, &h->arena, &h->watched, err));
        free(h->sum);
        h->sum = calloc(h->watched.reference.size, sizeof *h->sum);
        if (h->sum == NULL) {
            return td_fail(err, TD_NOMEM, "out of memory");
        }
    }
    memset(h->sum, 0, h->watched.reference.size * sizeof *h->sum);
    h->open = true;
    h->version_key = version_key;
    h->device_key = device_key;
    h->start_ms = start_ms;
    h->windows = 0;
    return TD_OK;
}

static td_code hour_take(td_db *db, hour_sum *h, td_stmt *stmt, td_err *err)
{
    int64_t version = td_column_int(stmt, "version_key"), device = td_column_int(stmt, "device_key");
    int64_t start = td_column_int(stmt, "hour");
    if (!h->open || h->version_key != version || h->device_key != device || h->start_ms != start) {
        TD_TRY(hour_close(db, h, err));
        TD_TRY(hour_open(db, h, version, device, start, err));
    }
    size_t size = 0;
    const void *counts = td_column_blob(stmt, "counts", &size);
    h->windows++;
    return td_vector_add(counts, size, h->sum, h->watched.reference.size, err);
}

static td_code rollup_range(td_db *db, int64_t first, int64_t last, td_err *err)
{
    TD_CLEANUP(hour_done) hour_sum h = {0};
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT version_key, device_key, end_ms - 1 - (end_ms - 1) % 3600000 AS hour, counts "
                         "FROM monitor_window WHERE window_id BETWEEN :first AND :last AND counts IS NOT NULL "
                         "ORDER BY version_key, device_key, hour",
                         &stmt, err));
    td_bind_int(stmt, ":first", first);
    td_bind_int(stmt, ":last", last);
    td_code code = TD_OK;
    for (bool row = true; code == TD_OK;) {
        code = td_step(stmt, &row, err);
        if (code != TD_OK || !row) {
            break;
        }
        code = hour_take(db, &h, stmt, err);
    }
    td_reset(stmt);
    return code == TD_OK ? hour_close(db, &h, err) : code;
}

td_code td_monitor_rollup(td_db *db, int64_t limit, bool *more_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT (SELECT value FROM monitor_counter WHERE name = 'rolled') AS rolled, "
                         "(SELECT value FROM monitor_counter WHERE name = 'window') AS newest",
                         &stmt, err));
    TD_TRY(td_step_one(stmt, err, "monitor_counter is empty"));
    int64_t rolled = td_column_int(stmt, "rolled"), newest = td_column_int(stmt, "newest");
    td_reset(stmt);
    int64_t last = newest - rolled > limit ? rolled + limit : newest;
    if (last > rolled) {
        TD_TRY(rollup_range(db, rolled + 1, last, err));
        TD_TRY(td_db_prepare(db, "UPDATE monitor_counter SET value = :value WHERE name = 'rolled'", &stmt, err));
        td_bind_int(stmt, ":value", last);
        TD_TRY(td_run(stmt, err));
    }
    *more_out = last < newest;
    return TD_OK;
}

/* ---- Retention ------------------------------------------------------------------------------- */

td_code td_monitor_retain(td_db *db, int64_t keep_raw_ms, int64_t keep_device_ms, int64_t limit, td_err *err)
{
    int64_t now = td_db_now_ms(db);
    td_stmt *stmt;
    /* Counts go first; the key stays until nobody can send that window again, so that it is never added twice. */
    TD_TRY(td_db_prepare(
        db,
        "UPDATE monitor_window SET counts = NULL WHERE window_id IN (SELECT w.window_id FROM monitor_window w "
        "WHERE w.received_ms < :before AND w.counts IS NOT NULL AND w.window_id <= (SELECT value FROM "
        "monitor_counter WHERE name = 'rolled') AND NOT EXISTS (SELECT 1 FROM alert a WHERE w.window_id "
        "BETWEEN a.first_window AND a.last_window AND a.version_key = w.version_key) "
        "ORDER BY w.window_id LIMIT :limit)",
        &stmt, err));
    td_bind_int(stmt, ":before", now - keep_raw_ms);
    td_bind_int(stmt, ":limit", limit);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db,
                         "DELETE FROM monitor_window WHERE window_id IN (SELECT window_id FROM monitor_window WHERE "
                         "received_ms < :before AND counts IS NULL ORDER BY window_id LIMIT :limit)",
                         &stmt, err));
    td_bind_int(stmt, ":before", now - KEY_DAYS * 24 * HOUR_MS);
    td_bind_int(stmt, ":limit", limit);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db,
                         "DELETE FROM monitor_device_hour WHERE rowid IN (SELECT rowid FROM monitor_device_hour WHERE "
                         "start_ms < :before ORDER BY start_ms LIMIT :limit)",
                         &stmt, err));
    td_bind_int(stmt, ":before", now - keep_device_ms);
    td_bind_int(stmt, ":limit", limit);
    return td_run(stmt, err);
}

/* ---- Health ---------------------------------------------------------------------------------- */

/* First raw window received at or after a time: windows are numbered in order of arrival. */
static td_code first_since(td_db *db, int64_t since_ms, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT COALESCE(MAX(window_id), 0) + 1 AS first FROM (SELECT window_id FROM monitor_window WHERE "
        "received_ms < :since ORDER BY window_id DESC LIMIT 1)",
        &stmt, err));
    td_bind_int(stmt, ":since", since_ms);
    TD_TRY(td_step_one(stmt, err, "no windows"));
    *out = td_column_int(stmt, "first");
    td_reset(stmt);
    return TD_OK;
}

typedef struct health_sum {
    const char *const *devices; /* sorted copy */
    size_t count, size;
    int64_t windows;
    uint64_t *sum;
} health_sum;

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static td_code health_visit(void *context, const char *device, const uint64_t *vector, td_err *err)
{
    (void)err;
    health_sum *h = context;
    if (h->count > 0 && bsearch(&device, h->devices, h->count, sizeof *h->devices, compare_names) == NULL) {
        return TD_OK;
    }
    h->windows++;
    for (size_t i = 0; i < h->size; i++) {
        h->sum[i] += vector[i];
    }
    return TD_OK;
}

static td_code open_alerts(td_db *db, int64_t version_key, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "SELECT COUNT(*) AS open_alerts FROM alert WHERE version_key = :version AND state IN ('firing', "
                      "'acknowledged')",
                      &stmt, err));
    td_bind_int(stmt, ":version", version_key);
    TD_TRY(td_step_one(stmt, err, "no count"));
    *out = td_column_int(stmt, "open_alerts");
    td_reset(stmt);
    return TD_OK;
}

static void health_fill(const td_reference *reference, const health_sum *h, td_health *out)
{
    const uint64_t *tallies = h->sum + reference->tallies_first;
    out->windows = h->windows;
    out->observations = (int64_t)tallies[TD_TALLY_N];
    out->labelled = (int64_t)tallies[TD_TALLY_LABELLED];
    out->correct = (int64_t)tallies[TD_TALLY_CORRECT];
    out->errors = (int64_t)tallies[TD_TALLY_ERRORS];
    td_interval accuracy = td_wilson(tallies[TD_TALLY_CORRECT], tallies[TD_TALLY_LABELLED], TD_Z95);
    out->accuracy = accuracy.value;
    out->accuracy_low = accuracy.low;
    out->accuracy_high = accuracy.high;
    int64_t all = out->observations + out->errors;
    out->error_rate = all > 0 ? (double)out->errors / (double)all : NAN;
    out->prediction_psi = NAN;
    if (reference->prediction.present) {
        td_histograms p = {reference->prediction.counts, h->sum + reference->prediction.first,
                           reference->prediction.bins};
        out->prediction_psi = td_psi_corrected(&p);
    }
}

td_code td_monitor_health(td_db *db, const uint8_t manifest_digest[TD_DIGEST_SIZE], const char *const *devices,
                          size_t count, int64_t since_ms, td_health *out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_watched watched;
    TD_TRY(td_watched_by_manifest(db, manifest_digest, &arena, &watched, err));
    td_health made = {0};
    TD_TRY(open_alerts(db, watched.key, &made.alerts_open, err));
    const char **sorted = td_arena_alloc(&arena, (count + 1) * sizeof *sorted);
    health_sum h = {.devices = sorted, .count = count, .size = watched.reference.size};
    h.sum = td_arena_alloc(&arena, h.size * sizeof *h.sum);
    if (sorted == NULL || h.sum == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    if (count > 0) {
        memcpy(sorted, devices, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, compare_names);
    }
    int64_t first = 0;
    TD_TRY(first_since(db, since_ms, &first, err));
    TD_TRY(td_window_each(db, &watched, first, INT64_MAX, health_visit, &h, err));
    health_fill(&watched.reference, &h, &made);
    *out = made;
    return TD_OK;
}
