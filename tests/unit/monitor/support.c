/*
 * support.c: see support.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/monitor/support.h"

#include "core/base/fs.h"
#include "lineage/lineage.h"

extern const td_migration td_audit_migrations[];

static int64_t standing_clock(const td_clock *clock)
{
    return ((const world *)clock->context)->now_ms;
}

double world_uniform(world *w)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

double world_normal(world *w)
{
    return sqrt(-2 * log(world_uniform(w))) * cos(6.283185307179586 * world_uniform(w));
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

/* 5,000 rows: accuracy 0.95, a third of them faults, two plants alike. */
static void make_baseline(world *w)
{
    text_source source = {.at = 0};
    td_str_add(&source.text, "speed,load,prediction,score,label,plant\n");
    for (int i = 0; i < 5000; i++) {
        bool fault = world_uniform(w) < 0.33, right = world_uniform(w) < 0.95;
        td_str_addf(&source.text, "%.4f,%.4f,%s,%.3f,%s,%s\n", 100 + 10 * world_normal(w), world_uniform(w),
                    fault ? "fault" : "ok", fault ? 0.5 + world_uniform(w) / 2 : world_uniform(w) / 2,
                    fault == right ? "fault" : "ok", i % 2 != 0 ? "oslo" : "bergen");
    }
    td_csv_source csv = {read_text, rewind_text, &source, "reference.csv"};
    json_t *columns = json_pack("{s:s,s:s,s:s,s:s,s:s,s:[s,s]}", "prediction", "prediction", "score", "score", "label",
                                "label", "group", "plant", "positive_class", "fault", "classes", "ok", "fault");
    MUST(td_baseline_build(&csv, columns, &w->baseline, err));
    json_decref(columns);
    td_str_done(&source.text);
}

static void make_bins(world *w)
{
    const uint8_t *bytes = (const uint8_t *)w->baseline.bytes.data;
    size_t need = 0;
    assert_int_equal(tde_bins_measure(bytes, w->baseline.bytes.size, &need), 0);
    w->memory = calloc(1, need + 8);
    assert_int_equal(tde_bins_init(&w->bins, bytes, w->baseline.bytes.size, w->memory, need), 0);
    tde_bins_remember(&w->bins, w->pending, 64);
}

int world_setup(void **state)
{
    world *w = calloc(1, sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/td-monitor-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->now_ms = START_MS;
    w->random = 42;
    w->clock = (td_clock){standing_clock, standing_clock, w};
    w->ana = (td_actor){TD_ACTOR_USER, 1, "ana", "token", "admin", "req-1"};
    char path[128];
    snprintf(path, sizeof path, "%s/tidemark.db", w->folder);
    MUST(td_crypto_setup(err));
    MUST(td_db_open(path, TD_DB_WRITE, &w->clock, &w->db, err));
    const td_migration *const lists[] = {td_audit_migrations, td_lineage_migrations, td_monitor_migrations, NULL};
    MUST(td_db_migrate(w->db, lists, err));
    make_baseline(w);
    make_bins(w);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    world *w = *state;
    td_db_close(w->db);
    td_baseline_done(&w->baseline);
    free(w->memory);
    td_err err;
    (void)!td_folder_remove(w->folder, &err);
    free(w);
    return 0;
}

void world_watch(world *w, int64_t version)
{
    memset(w->manifest, (int)version, sizeof w->manifest);
    td_watch watch = {"default", "pump", version, w->manifest, w->baseline.bytes.data, w->baseline.bytes.size};
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    MUST(td_txn_begin(w->db, &txn, err));
    MUST(td_monitor_watch(w->db, &watch, err));
    MUST(td_txn_commit(&txn, err));
}

static void observe(world *w, const batch_options *o, uint64_t id)
{
    int32_t group = (int32_t)(world_uniform(w) * 2);
    bool bergen = (uint32_t)group == tde_group_index(&w->bins, "bergen", 6);
    bool fault = world_uniform(w) < 0.33 + (bergen ? o->unfair : 0);
    float features[] = {(float)(100 + 10 * (world_normal(w) + o->shift)), (float)world_uniform(w)};
    if (world_uniform(w) < o->missing) {
        features[0] = NAN;
    }
    tde_observation observation = {
        features, 2, (float)fault, (float)(fault ? 0.5 + world_uniform(w) / 2 : world_uniform(w) / 2), group, id, 150};
    assert_int_equal(tde_observe(&w->bins, &observation), 0);
    if (o->accuracy >= 0) {
        bool right = world_uniform(w) < o->accuracy;
        assert_int_equal(tde_label(&w->bins, id, (float)(fault == right)), 0);
    }
}

size_t world_window_bytes(world *w, const batch_options *options, uint8_t *out, size_t room)
{
    tde_bins_reset(&w->bins);
    for (uint32_t i = 0; i < options->n; i++) {
        observe(w, options, i + 1);
    }
    tde_window_head head = {++w->sequence, 1, 77,    w->manifest, w->baseline.edges_digest, (uint64_t)w->now_ms - 2000,
                            2000,          0, "pump"};
    size_t size = 0;
    assert_int_equal(tde_window_encode(&w->bins, &head, out, room, &size), 0);
    return size;
}

td_window *world_window(world *w, const batch_options *options)
{
    uint8_t bytes[8192];
    size_t size = world_window_bytes(w, options, bytes, sizeof bytes);
    td_window *window = NULL;
    MUST(td_window_decode(bytes, size, &window, err));
    return window;
}

td_window_verdict world_ingest(world *w, const char *device, const td_window *window)
{
    td_window_item item = {device, window, w->now_ms, TD_WINDOW_VERDICTS};
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    MUST(td_txn_begin(w->db, &txn, err));
    MUST(td_window_ingest(w->db, &item, 1, err));
    MUST(td_txn_commit(&txn, err));
    return item.verdict;
}

void world_report(world *w, int devices, const batch_options *options, int64_t step_ms)
{
    w->now_ms += step_ms;
    for (int i = 0; i < devices; i++) {
        char device[16];
        snprintf(device, sizeof device, "pump-%02d", i);
        TD_CLEANUP(td_window_free) td_window *window = world_window(w, options);
        assert_int_equal(world_ingest(w, device, window), TD_WINDOW_STORED);
    }
}

int64_t world_query(world *w, const char *sql)
{
    td_stmt *stmt = NULL;
    MUST(td_db_prepare_text(w->db, sql, &stmt, err));
    bool row = false;
    MUST(td_step(stmt, &row, err));
    assert_true(row);
    int64_t value = td_column_int(stmt, "x");
    td_stmt_free(&stmt);
    return value;
}
