/*
 * window_store.c: watched versions and raw windows: stored once each, added up in memory a batch, merged into their
 * buckets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/baseline.h"
#include "monitor/store.h"

#include <stdlib.h>
#include <string.h>

#define VERSIONS_MAX 64 /* different versions in one batch that are kept at hand */
#define BUCKETS_MAX 256 /* different buckets in one batch that are kept at hand */
#define VARINT_BYTES_MAX 10

/* ---- Watched versions ------------------------------------------------------------------------ */

static td_code check_same_baseline(td_db *db, const td_watch *watch, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT baseline FROM monitor_version WHERE manifest_digest = :digest", &stmt, err));
    td_bind_blob(stmt, ":digest", watch->manifest_digest, TD_DIGEST_SIZE);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    size_t size = 0;
    const void *known = row ? td_column_blob(stmt, "baseline", &size) : NULL;
    bool same = !row || (size == watch->baseline_size && memcmp(known, watch->baseline, size) == 0);
    td_reset(stmt);
    if (!same) {
        return td_fail(err, TD_CONFLICT, "the manifest of %s/%lld is already watched with another baseline",
                       watch->model, (long long)watch->version);
    }
    return TD_OK;
}

td_code td_monitor_watch(td_db *db, const td_watch *watch, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_reference reference;
    uint8_t edges[TD_DIGEST_SIZE];
    TD_TRY(td_reference_read(watch->baseline, watch->baseline_size, &arena, &reference, err));
    TD_TRY(td_baseline_edges_digest(watch->baseline, watch->baseline_size, edges, err));
    TD_TRY(check_same_baseline(db, watch, err));
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "INSERT INTO monitor_version (project, model, version, manifest_digest, edges_digest, baseline, "
                      "watched_ms) VALUES (:project, :model, :version, :digest, :edges, :baseline, :now) "
                      "ON CONFLICT (manifest_digest) DO NOTHING",
                      &stmt, err));
    td_bind_text(stmt, ":project", watch->project);
    td_bind_text(stmt, ":model", watch->model);
    td_bind_int(stmt, ":version", watch->version);
    td_bind_blob(stmt, ":digest", watch->manifest_digest, TD_DIGEST_SIZE);
    td_bind_blob(stmt, ":edges", edges, sizeof edges);
    td_bind_blob(stmt, ":baseline", watch->baseline, watch->baseline_size);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

static td_code watched_take(td_stmt *stmt, td_arena *arena, td_watched *out, td_err *err)
{
    td_watched made = {.key = td_column_int(stmt, "version_key"), .version = td_column_int(stmt, "version")};
    made.project = td_arena_text(arena, td_column_text(stmt, "project"));
    made.model = td_arena_text(arena, td_column_text(stmt, "model"));
    made.window_ms = td_column_null(stmt, "window_ms") ? TD_WINDOW_DEFAULT_MS : td_column_int(stmt, "window_ms");
    size_t size = 0;
    const void *digest = td_column_blob(stmt, "manifest_digest", &size);
    memcpy(made.manifest_digest, digest, TD_DIGEST_SIZE);
    digest = td_column_blob(stmt, "edges_digest", &size);
    memcpy(made.edges_digest, digest, TD_DIGEST_SIZE);
    const void *baseline = td_column_blob(stmt, "baseline", &size);
    td_code code = td_reference_read(baseline, size, arena, &made.reference, err);
    td_reset(stmt);
    TD_TRY(code);
    if (made.project == NULL || made.model == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    *out = made;
    return TD_OK;
}

td_code td_watched_by_manifest(td_db *db, const uint8_t *manifest_digest, td_arena *arena, td_watched *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT v.version_key, v.project, v.model, v.version, v.manifest_digest, v.edges_digest, v.baseline, "
        "s.window_ms FROM monitor_version v LEFT JOIN monitor_spec s ON s.project = v.project AND "
        "s.model = v.model WHERE v.manifest_digest = :digest",
        &stmt, err));
    td_bind_blob(stmt, ":digest", manifest_digest, TD_DIGEST_SIZE);
    TD_TRY(td_step_one(stmt, err, "no version with that manifest is watched"));
    return watched_take(stmt, arena, out, err);
}

td_code td_watched_by_version(td_db *db, const char *project, const char *model, int64_t version, td_arena *arena,
                              td_watched *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT v.version_key, v.project, v.model, v.version, v.manifest_digest, v.edges_digest, v.baseline, "
        "s.window_ms FROM monitor_version v LEFT JOIN monitor_spec s ON s.project = v.project AND "
        "s.model = v.model WHERE v.project = :project AND v.model = :model AND v.version = :version",
        &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":model", model);
    td_bind_int(stmt, ":version", version);
    TD_TRY(td_step_one(stmt, err, "%s/%lld is not watched: it has no baseline or was never submitted", model,
                       (long long)version));
    return watched_take(stmt, arena, out, err);
}

td_code td_watched_by_key(td_db *db, int64_t key, td_arena *arena, td_watched *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT v.version_key, v.project, v.model, v.version, v.manifest_digest, v.edges_digest, v.baseline, "
        "s.window_ms FROM monitor_version v LEFT JOIN monitor_spec s ON s.project = v.project AND "
        "s.model = v.model WHERE v.version_key = :key",
        &stmt, err));
    td_bind_int(stmt, ":key", key);
    TD_TRY(td_step_one(stmt, err, "no watched version %lld", (long long)key));
    return watched_take(stmt, arena, out, err);
}

/* ---- One batch ------------------------------------------------------------------------------- */

typedef struct batch_version {
    uint8_t manifest_digest[TD_DIGEST_SIZE];
    bool known;
    td_watched watched;
} batch_version;

typedef struct batch_bucket {
    const td_watched *watched;
    int64_t start_ms;
    td_bucket_facts facts;
    uint64_t *sum; /* malloc'd */
} batch_bucket;

typedef struct batch {
    td_db *db;
    td_arena arena;
    batch_version versions[VERSIONS_MAX];
    size_t version_count;
    batch_bucket buckets[BUCKETS_MAX];
    size_t bucket_count;
    int64_t next_window;
    uint64_t *vector;
    uint8_t *bytes;
    size_t room; /* counts that vector and bytes have room for */
    td_stmt *insert;
} batch;

static void batch_done(batch **b)
{
    if (*b == NULL) {
        return;
    }
    for (size_t i = 0; i < (*b)->bucket_count; i++) {
        free((*b)->buckets[i].sum);
    }
    free((*b)->vector);
    free((*b)->bytes);
    td_arena_done(&(*b)->arena);
    free(*b);
    *b = NULL;
}

static td_code batch_room(batch *b, size_t size, td_err *err)
{
    if (size <= b->room) {
        return TD_OK;
    }
    free(b->vector);
    free(b->bytes);
    b->vector = calloc(size, sizeof *b->vector);
    b->bytes = malloc(size * VARINT_BYTES_MAX);
    b->room = b->vector != NULL && b->bytes != NULL ? size : 0;
    return b->room > 0 ? TD_OK : td_fail(err, TD_NOMEM, "out of memory");
}

static td_code device_key(td_db *db, const char *name, int64_t *key_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT device_key FROM monitor_device WHERE name = :name", &stmt, err));
    td_bind_text(stmt, ":name", name);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    if (row) {
        *key_out = td_column_int(stmt, "device_key");
        td_reset(stmt);
        return TD_OK;
    }
    td_reset(stmt);
    TD_TRY(td_db_prepare(db, "INSERT INTO monitor_device (name) VALUES (:name)", &stmt, err));
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_run(stmt, err));
    *key_out = td_db_last_id(db);
    return TD_OK;
}

static td_code counter_read(td_db *db, const char *name, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT value FROM monitor_counter WHERE name = :name", &stmt, err));
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_step_one(stmt, err, "monitor_counter lacks %s", name));
    *out = td_column_int(stmt, "value");
    td_reset(stmt);
    return TD_OK;
}

static td_code counter_write(td_db *db, const char *name, int64_t value, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE monitor_counter SET value = :value WHERE name = :name", &stmt, err));
    td_bind_text(stmt, ":name", name);
    td_bind_int(stmt, ":value", value);
    return td_run(stmt, err);
}

/* By the device's clock if it has one, but never in our future. */
static int64_t window_end(const td_window_item *item)
{
    const td_window *w = item->window;
    if (w->start_ms == 0 || w->start_ms > (uint64_t)item->received_ms) {
        return item->received_ms;
    }
    int64_t end = (int64_t)w->start_ms + w->length_ms;
    return end < item->received_ms ? end : item->received_ms;
}

static td_code insert_window(batch *b, const td_window_item *item, int64_t version_key, size_t bytes, bool *stored_out,
                             td_err *err)
{
    int64_t device = 0;
    TD_TRY(device_key(b->db, item->device, &device, err));
    td_bind_int(b->insert, ":id", b->next_window + 1);
    td_bind_int(b->insert, ":device", device);
    td_bind_int(b->insert, ":boot", (int64_t)item->window->boot_id);
    td_bind_int(b->insert, ":sequence", (int64_t)item->window->sequence);
    td_bind_int(b->insert, ":version", version_key);
    td_bind_int(b->insert, ":received", item->received_ms);
    td_bind_int(b->insert, ":end", window_end(item));
    td_bind_int(b->insert, ":length", item->window->length_ms);
    td_bind_blob(b->insert, ":counts", b->bytes, bytes);
    TD_TRY(td_run(b->insert, err));
    *stored_out = td_db_changes(b->db) > 0;
    b->next_window += *stored_out;
    return TD_OK;
}

/* ---- Buckets --------------------------------------------------------------------------------- */

static td_code bucket_read(td_db *db, batch_bucket *bucket, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT windows, first_window, last_window, counts FROM monitor_bucket WHERE version_key = :version "
        "AND length_ms = :length AND start_ms = :start",
        &stmt, err));
    td_bind_int(stmt, ":version", bucket->watched->key);
    td_bind_int(stmt, ":length", bucket->watched->window_ms);
    td_bind_int(stmt, ":start", bucket->start_ms);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return TD_OK;
    }
    int64_t first = td_column_int(stmt, "first_window"), last = td_column_int(stmt, "last_window");
    bucket->facts.windows += td_column_int(stmt, "windows");
    bucket->facts.first_window = first < bucket->facts.first_window ? first : bucket->facts.first_window;
    bucket->facts.last_window = last > bucket->facts.last_window ? last : bucket->facts.last_window;
    size_t size = 0;
    const void *counts = td_column_blob(stmt, "counts", &size);
    td_code code = td_vector_add(counts, size, bucket->sum, bucket->watched->reference.size, err);
    td_reset(stmt);
    return code;
}

static td_code bucket_write(batch *b, batch_bucket *bucket, td_err *err)
{
    TD_TRY(bucket_read(b->db, bucket, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        b->db,
        "INSERT INTO monitor_bucket (version_key, length_ms, start_ms, windows, first_window, last_window, "
        "counts) VALUES (:version, :length, :start, :windows, :first, :last, :counts) "
        "ON CONFLICT (version_key, length_ms, start_ms) DO UPDATE SET windows = excluded.windows, "
        "first_window = excluded.first_window, last_window = excluded.last_window, counts = excluded.counts",
        &stmt, err));
    size_t size = td_vector_write(bucket->sum, bucket->watched->reference.size, b->bytes);
    td_bind_int(stmt, ":version", bucket->watched->key);
    td_bind_int(stmt, ":length", bucket->watched->window_ms);
    td_bind_int(stmt, ":start", bucket->start_ms);
    td_bind_int(stmt, ":windows", bucket->facts.windows);
    td_bind_int(stmt, ":first", bucket->facts.first_window);
    td_bind_int(stmt, ":last", bucket->facts.last_window);
    td_bind_blob(stmt, ":counts", b->bytes, size);
    return td_run(stmt, err);
}

static td_code flush_buckets(batch *b, td_err *err)
{
    for (size_t i = 0; i < b->bucket_count; i++) {
        TD_TRY(bucket_write(b, &b->buckets[i], err));
        free(b->buckets[i].sum);
        b->buckets[i].sum = NULL;
    }
    b->bucket_count = 0;
    return TD_OK;
}

/* Makes room: any device may name any version. Buckets point at versions, so they are written first. */
static td_code forget_versions(batch *b, td_err *err)
{
    TD_TRY(flush_buckets(b, err));
    td_arena_done(&b->arena);
    b->version_count = 0;
    return TD_OK;
}

static td_code find_version(batch *b, const uint8_t *manifest_digest, const td_watched **out, td_err *err)
{
    for (size_t i = b->version_count; i-- > 0;) {
        if (memcmp(b->versions[i].manifest_digest, manifest_digest, TD_DIGEST_SIZE) == 0) {
            *out = b->versions[i].known ? &b->versions[i].watched : NULL;
            return TD_OK;
        }
    }
    if (b->version_count == VERSIONS_MAX) {
        TD_TRY(forget_versions(b, err));
    }
    batch_version *made = &b->versions[b->version_count];
    td_code code = td_watched_by_manifest(b->db, manifest_digest, &b->arena, &made->watched, err);
    if (code != TD_OK && code != TD_NOT_FOUND) {
        return code;
    }
    memcpy(made->manifest_digest, manifest_digest, TD_DIGEST_SIZE);
    made->known = code == TD_OK;
    b->version_count++;
    if (made->known) {
        TD_TRY(batch_room(b, made->watched.reference.size, err));
    }
    *out = made->known ? &made->watched : NULL;
    return TD_OK;
}

static td_code find_bucket(batch *b, const td_watched *watched, int64_t start_ms, batch_bucket **out, td_err *err)
{
    for (size_t i = b->bucket_count; i-- > 0;) {
        if (b->buckets[i].watched == watched && b->buckets[i].start_ms == start_ms) {
            *out = &b->buckets[i];
            return TD_OK;
        }
    }
    if (b->bucket_count == BUCKETS_MAX) {
        TD_TRY(flush_buckets(b, err));
    }
    batch_bucket *made = &b->buckets[b->bucket_count];
    *made = (batch_bucket){.watched = watched, .start_ms = start_ms, .facts = {0, INT64_MAX, 0}};
    made->sum = calloc(watched->reference.size, sizeof *made->sum);
    if (made->sum == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    b->bucket_count++;
    *out = made;
    return TD_OK;
}

static td_code add_to_bucket(batch *b, const td_watched *watched, int64_t end_ms, td_err *err)
{
    /* A window that ends exactly on a boundary belongs to the bucket before it. */
    int64_t at = end_ms > 0 ? end_ms - 1 : 0;
    batch_bucket *bucket = NULL;
    TD_TRY(find_bucket(b, watched, at - at % watched->window_ms, &bucket, err));
    for (size_t i = 0; i < watched->reference.size; i++) {
        bucket->sum[i] += b->vector[i];
    }
    bucket->facts.windows++;
    bucket->facts.first_window =
        b->next_window < bucket->facts.first_window ? b->next_window : bucket->facts.first_window;
    bucket->facts.last_window = b->next_window;
    return TD_OK;
}

/* ---- Ingest ---------------------------------------------------------------------------------- */

static td_code ingest_one(batch *b, td_window_item *item, td_err *err)
{
    const td_watched *watched = NULL;
    TD_TRY(find_version(b, item->window->manifest_digest, &watched, err));
    if (watched == NULL) {
        item->verdict = TD_WINDOW_UNKNOWN_VERSION;
        return TD_OK;
    }
    if (memcmp(watched->edges_digest, item->window->edges_digest, TD_DIGEST_SIZE) != 0) {
        item->verdict = TD_WINDOW_OTHER_EDGES;
        return TD_OK;
    }
    item->verdict = td_window_lay_out(item->window, &watched->reference, b->vector);
    if (item->verdict == TD_WINDOW_STORED && window_end(item) < item->received_ms - TD_WINDOW_LATE_MS) {
        item->verdict = TD_WINDOW_TOO_OLD;
    }
    if (item->verdict != TD_WINDOW_STORED) {
        return TD_OK;
    }
    bool stored = false;
    size_t bytes = td_vector_write(b->vector, watched->reference.size, b->bytes);
    TD_TRY(insert_window(b, item, watched->key, bytes, &stored, err));
    if (!stored) {
        item->verdict = TD_WINDOW_DUPLICATE;
        return TD_OK;
    }
    return add_to_bucket(b, watched, window_end(item), err);
}

td_code td_window_ingest(td_db *db, td_window_item *items, size_t count, td_err *err)
{
    TD_CLEANUP(batch_done) batch *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    b->db = db;
    TD_TRY(counter_read(db, "window", &b->next_window, err));
    int64_t before = b->next_window;
    TD_TRY(
        td_db_prepare(db,
                      "INSERT INTO monitor_window (window_id, device_key, boot_id, sequence, version_key, received_ms, "
                      "end_ms, length_ms, counts) VALUES (:id, :device, :boot, :sequence, :version, :received, :end, "
                      ":length, :counts) ON CONFLICT (device_key, boot_id, sequence) DO NOTHING",
                      &b->insert, err));
    for (size_t i = 0; i < count; i++) {
        TD_TRY(ingest_one(b, &items[i], err));
    }
    TD_TRY(flush_buckets(b, err));
    return b->next_window > before ? counter_write(db, "window", b->next_window, err) : TD_OK;
}

/* ---- Reading raw windows --------------------------------------------------------------------- */

td_code td_window_each(td_db *db, const td_watched *watched, int64_t first, int64_t last, td_window_visit visit,
                       void *context, td_err *err)
{
    td_stmt *stmt;
    size_t size = watched->reference.size;
    TD_TRY(td_db_prepare(
        db,
        "SELECT d.name, w.counts FROM monitor_window w JOIN monitor_device d ON d.device_key = w.device_key "
        "WHERE w.window_id BETWEEN :first AND :last AND w.version_key = :version AND w.counts IS NOT NULL "
        "ORDER BY w.window_id",
        &stmt, err));
    td_bind_int(stmt, ":first", first);
    td_bind_int(stmt, ":last", last);
    td_bind_int(stmt, ":version", watched->key);
    uint64_t *vector = calloc(size, sizeof *vector);
    td_code code = vector != NULL ? TD_OK : td_fail(err, TD_NOMEM, "out of memory");
    while (code == TD_OK) {
        bool row;
        code = td_step(stmt, &row, err);
        if (code != TD_OK || !row) {
            break;
        }
        size_t bytes = 0;
        const void *counts = td_column_blob(stmt, "counts", &bytes);
        memset(vector, 0, size * sizeof *vector);
        code = td_vector_add(counts, bytes, vector, size, err);
        code = code == TD_OK ? visit(context, td_column_text(stmt, "name"), vector, err) : code;
    }
    td_reset(stmt);
    free(vector);
    return code;
}
