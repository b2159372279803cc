/*
 * test_windows.c: windows are stored once each, added up exactly, and refused with the right verdict.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/monitor/support.h"

#include "monitor/store.h"

static const batch_options usual = {.n = 100, .accuracy = 0.95};

static void ingest__stores_once(void **state)
{
    world *w = *state;
    world_watch(w, 1);
    TD_CLEANUP(td_window_free) td_window *window = world_window(w, &usual);
    assert_int_equal(world_ingest(w, "pump-01", window), TD_WINDOW_STORED);
    assert_int_equal(world_ingest(w, "pump-01", window), TD_WINDOW_DUPLICATE);
    assert_int_equal(world_ingest(w, "pump-02", window), TD_WINDOW_STORED);
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM monitor_window"), 2);
    assert_int_equal(world_query(w, "SELECT SUM(windows) AS x FROM monitor_bucket"), 2);
}

static void ingest__takes_a_batch_with_its_own_duplicates(void **state)
{
    world *w = *state;
    world_watch(w, 1);
    TD_CLEANUP(td_window_free) td_window *a = world_window(w, &usual);
    TD_CLEANUP(td_window_free) td_window *b = world_window(w, &usual);
    td_window_item items[] = {{"p", a, w->now_ms, 0}, {"p", b, w->now_ms, 0}, {"p", a, w->now_ms, 0}};
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    MUST(td_txn_begin(w->db, &txn, err));
    MUST(td_window_ingest(w->db, items, 3, err));
    MUST(td_txn_commit(&txn, err));
    assert_int_equal(items[0].verdict, TD_WINDOW_STORED);
    assert_int_equal(items[1].verdict, TD_WINDOW_STORED);
    assert_int_equal(items[2].verdict, TD_WINDOW_DUPLICATE);
}

/* Any device may name any version: that must not cost the others their batch. */
static void ingest__takes_a_batch_of_very_many_versions(void **state)
{
    enum { STRANGE = 200 };
    world *w = *state;
    world_watch(w, 1);
    td_window_item items[STRANGE + 2];
    td_window *windows[STRANGE + 2];
    for (size_t i = 0; i < TD_COUNT_OF(items); i++) {
        windows[i] = world_window(w, &usual);
        items[i] = (td_window_item){i == 0 || i == STRANGE + 1 ? "good" : "strange", windows[i], w->now_ms, 0};
        if (i > 0 && i <= STRANGE) {
            windows[i]->manifest_digest[0] ^= (uint8_t)i;
        }
    }
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    MUST(td_txn_begin(w->db, &txn, err));
    MUST(td_window_ingest(w->db, items, TD_COUNT_OF(items), err));
    MUST(td_txn_commit(&txn, err));
    for (size_t i = 0; i < TD_COUNT_OF(items); i++) {
        bool good = i == 0 || i == STRANGE + 1;
        assert_int_equal(items[i].verdict, good ? TD_WINDOW_STORED : TD_WINDOW_UNKNOWN_VERSION);
        td_window_free(&windows[i]);
    }
    assert_int_equal(world_query(w, "SELECT SUM(windows) AS x FROM monitor_bucket"), 2);
}

static void ingest__refuses_what_does_not_fit(void **state)
{
    world *w = *state;
    TD_CLEANUP(td_window_free) td_window *early = world_window(w, &usual);
    assert_int_equal(world_ingest(w, "p", early), TD_WINDOW_UNKNOWN_VERSION);
    world_watch(w, 1);
    TD_CLEANUP(td_window_free) td_window *window = world_window(w, &usual);
    window->edges_digest[0] ^= 1;
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_OTHER_EDGES);
    window->edges_digest[0] ^= 1;
    window->bins[0]--;
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_OTHER_EDGES);
    window->bins[0]++;
    window->values[3]++;
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_INCONSISTENT);
    window->values[3]--;
    window->groups[0].n++;
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_INCONSISTENT);
    window->groups[0].n--;
    window->groups[0].group = 9;
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_INCONSISTENT);
    window->groups[0].group = 0;
    window->start_ms = 1;
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_TOO_OLD);
    window->start_ms = UINT64_MAX; /* a clock from the future counts as none */
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_STORED);
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM monitor_window"), 1);
}

static td_code add_visit(void *context, const char *device, const uint64_t *vector, td_err *err)
{
    (void)device;
    (void)err;
    uint64_t **sums = context;
    for (size_t i = 0; i < (size_t)sums[1][0]; i++) {
        sums[0][i] += vector[i];
    }
    return TD_OK;
}

/* The bucket, the device hours and the raw windows tell the same counts. */
static void sums__are_exact_at_every_level(void **state)
{
    world *w = *state;
    world_watch(w, 1);
    for (int i = 0; i < 30; i++) {
        batch_options options = {.n = 10u + (uint32_t)i, .accuracy = 0.9, .shift = 0.1 * i};
        world_report(w, 3, &options, 600000);
    }
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_watched watched;
    MUST(td_watched_by_version(w->db, "default", "pump", 1, &arena, &watched, err));
    size_t size = watched.reference.size;
    uint64_t *raw = calloc(size, sizeof *raw), *sum = calloc(size, sizeof *sum), count = size;
    uint64_t *context[2] = {raw, &count};
    MUST(td_window_each(w->db, &watched, 0, INT64_MAX, add_visit, context, err));
    bool more = true;
    while (more) {
        MUST(td_monitor_rollup(w->db, 7, &more, err));
    }
    const char *tables[] = {"SELECT counts FROM monitor_bucket", "SELECT counts FROM monitor_device_hour"};
    for (size_t t = 0; t < 2; t++) {
        memset(sum, 0, size * sizeof *sum);
        td_stmt *stmt = NULL;
        MUST(td_db_prepare_text(w->db, tables[t], &stmt, err));
        bool row = true;
        for (;;) {
            MUST(td_step(stmt, &row, err));
            if (!row) {
                break;
            }
            size_t bytes;
            const void *counts = td_column_blob(stmt, "counts", &bytes);
            MUST(td_vector_add(counts, bytes, sum, size, err));
        }
        td_stmt_free(&stmt);
        assert_memory_equal(sum, raw, size * sizeof *sum);
    }
    assert_int_equal(world_query(w, "SELECT SUM(windows) AS x FROM monitor_device_hour"), 90);
    free(raw);
    free(sum);
}

static void retain__keeps_keys_so_that_nothing_is_added_twice(void **state)
{
    world *w = *state;
    world_watch(w, 1);
    TD_CLEANUP(td_window_free) td_window *window = world_window(w, &usual);
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_STORED);
    w->now_ms += 3 * 86400000LL;
    MUST(td_monitor_retain(w->db, 48 * 3600000LL, 400 * 86400000LL, 100, err));
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM monitor_window WHERE counts IS NULL"),
                     0); /* not rolled */
    bool more;
    MUST(td_monitor_rollup(w->db, 100, &more, err));
    MUST(td_monitor_retain(w->db, 48 * 3600000LL, 400 * 86400000LL, 100, err));
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM monitor_window WHERE counts IS NULL"), 1);
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_DUPLICATE);
    w->now_ms += 6 * 86400000LL;
    MUST(td_monitor_retain(w->db, 48 * 3600000LL, 400 * 86400000LL, 100, err));
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM monitor_window"), 0);
    assert_int_equal(world_ingest(w, "p", window), TD_WINDOW_TOO_OLD);
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM monitor_device_hour"), 1);
}

static void watch__refuses_another_baseline_for_a_manifest(void **state)
{
    world *w = *state;
    world_watch(w, 1);
    world_watch(w, 1);
    td_watch watch = {"default", "pump", 1, w->manifest, w->baseline.bytes.data, w->baseline.bytes.size - 1};
    td_err err = {0};
    assert_int_not_equal(td_monitor_watch(w->db, &watch, &err), TD_OK);
    watch.baseline = "junk";
    watch.baseline_size = 4;
    assert_int_equal(td_monitor_watch(w->db, &watch, &err), TD_CORRUPT);
}

static void health__adds_up_the_named_devices(void **state)
{
    world *w = *state;
    world_watch(w, 1);
    world_report(w, 3, &usual, 1000);
    int64_t since = w->now_ms + 1;
    world_report(w, 3, &usual, 1000);
    td_health health;
    const char *two[] = {"pump-02", "pump-00"};
    MUST(td_monitor_health(w->db, w->manifest, NULL, 0, 0, &health, err));
    assert_int_equal(health.observations, 600);
    MUST(td_monitor_health(w->db, w->manifest, two, 2, 0, &health, err));
    assert_int_equal(health.observations, 400);
    MUST(td_monitor_health(w->db, w->manifest, two, 2, since, &health, err));
    assert_int_equal(health.windows, 2);
    assert_true(health.accuracy > 0.88 && health.accuracy_low < health.accuracy);
    assert_true(health.prediction_psi < 0.1);
    uint8_t unknown[32] = {9};
    td_err err;
    assert_int_equal(td_monitor_health(w->db, unknown, NULL, 0, 0, &health, &err), TD_NOT_FOUND);
}

static void decode__refuses_hostile_bytes(void **state)
{
    world *w = *state;
    uint8_t bytes[8192];
    size_t size = world_window_bytes(w, &usual, bytes, sizeof bytes);
    td_window *window = NULL;
    td_err err;
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, bytes, cut);
        if (td_window_decode(exact, cut, &window, &err) == TD_OK) {
            td_window_free(&window);
        }
        free(exact);
    }
    assert_int_equal(td_window_decode(bytes, 70000, &window, &err), TD_LIMIT);
    assert_int_equal(td_window_decode("x", 1, &window, &err), TD_CORRUPT);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(ingest__stores_once),
        CASE(ingest__takes_a_batch_with_its_own_duplicates),
        CASE(ingest__takes_a_batch_of_very_many_versions),
        CASE(ingest__refuses_what_does_not_fit),
        CASE(sums__are_exact_at_every_level),
        CASE(retain__keeps_keys_so_that_nothing_is_added_twice),
        CASE(watch__refuses_another_baseline_for_a_manifest),
        CASE(health__adds_up_the_named_devices),
        CASE(decode__refuses_hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
