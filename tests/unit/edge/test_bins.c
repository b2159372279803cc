/*
 * test_bins.c: counting on the device: every boundary, every special value, every limit, and the way back from the
 * wire.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/edge/window.h"

#include <math.h>
#include <pb_encode.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROOM 4096

typedef struct fixture {
    uint8_t bytes[ROOM];
    size_t size;
    uint64_t memory[ROOM / 8];
    tde_bins bins;
    tde_pending pending[4];
} fixture;

static bool write_categories(pb_ostream_t *stream, const pb_field_iter_t *field, void *const *arg)
{
    for (const char *const *name = *arg; *name != NULL; name++) {
        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_string(stream, (const pb_byte_t *)*name, strlen(*name))) {
            return false;
        }
    }
    return true;
}

static tidemark_FeatureBaseline numeric(const char *name, const float *edges, pb_size_t count)
{
    tidemark_FeatureBaseline f = tidemark_FeatureBaseline_init_zero;
    snprintf(f.name, sizeof f.name, "%s", name);
    f.edges_count = count;
    memcpy(f.edges, edges, count * sizeof *edges);
    f.counts_count = (pb_size_t)(count + 1);
    f.minimum = -10;
    f.maximum = 10;
    return f;
}

static tidemark_FeatureBaseline categorical(const char *name, const char *const *names)
{
    tidemark_FeatureBaseline f = tidemark_FeatureBaseline_init_zero;
    snprintf(f.name, sizeof f.name, "%s", name);
    f.kind = tidemark_FeatureKind_FEATURE_CATEGORICAL;
    f.categories.funcs.encode = write_categories;
    f.categories.arg = (void *)(uintptr_t)names;
    f.counts_count = 1;
    for (; *names != NULL; names++) {
        f.counts_count++;
    }
    return f;
}

static const float edges[] = {-1.0f, 0.0f, 2.5f};
static const char *const bearings[] = {"a", "b", NULL};
static const char *const classes[] = {"ok", "fault", NULL};

static bool write_features(pb_ostream_t *stream, const pb_field_iter_t *field, void *const *arg)
{
    (void)arg;
    tidemark_FeatureBaseline features[] = {numeric("x", edges, 3), categorical("bearing", bearings)};
    for (size_t i = 0; i < 2; i++) {
        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_submessage(stream, tidemark_FeatureBaseline_fields, &features[i])) {
            return false;
        }
    }
    return true;
}

static tidemark_Baseline baseline(void)
{
    static const float score_edges[] = {0.5f};
    tidemark_Baseline b = tidemark_Baseline_init_zero;
    b.schema = 1;
    b.features.funcs.encode = write_features;
    b.has_prediction = b.has_score = true;
    b.prediction = categorical("prediction", classes);
    b.score = numeric("score", score_edges, 1);
    snprintf(b.positive_class, sizeof b.positive_class, "fault");
    b.groups_count = 2;
    snprintf(b.groups[0].name, sizeof b.groups[0].name, "oslo");
    snprintf(b.groups[1].name, sizeof b.groups[1].name, "bergen");
    return b;
}

static size_t encode(const tidemark_Baseline *message, uint8_t *out)
{
    pb_ostream_t stream = pb_ostream_from_buffer(out, ROOM);
    assert_true(pb_encode(&stream, tidemark_Baseline_fields, message));
    return stream.bytes_written;
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    tidemark_Baseline message = baseline();
    f->size = encode(&message, f->bytes);
    assert_int_equal(tde_bins_init(&f->bins, f->bytes, f->size, f->memory, sizeof f->memory), 0);
    tde_bins_remember(&f->bins, f->pending, 4);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static int observe(fixture *f, float x, float bearing, float prediction, float score, int32_t group, uint64_t id)
{
    float features[] = {x, bearing};
    tde_observation o = {features, 2, prediction, score, group, id, 100};
    return tde_observe(&f->bins, &o);
}

typedef struct decoded {
    tidemark_Window window;
    tidemark_FeatureWindow features[4];
    uint32_t count;
} decoded;

static const uint8_t digest[32] = {1, 2, 3};

static size_t close_window(fixture *f, uint8_t *out)
{
    tde_window_head head = {7, 3, 0xfeedfacecafebeefu, digest, digest, 1000, 5000, 2, "pump"};
    size_t size = 0;
    assert_int_equal(tde_window_encode(&f->bins, &head, out, ROOM, &size), 0);
    assert_true(size <= tde_window_size_max(&f->bins));
    return size;
}

static void read_window(fixture *f, decoded *d)
{
    uint8_t out[ROOM];
    size_t size = close_window(f, out);
    assert_int_equal(tde_window_decode(out, size, &d->window, d->features, 4, &d->count), 0);
    assert_int_equal(d->count, 2);
}

static void observe__puts_each_value_into_its_bin(void **state)
{
    fixture *f = *state;
    float values[] = {-1e30f, -1.0f, -0.5f, -0.0f, 0.0f, 2.4999f, 2.5f, 11.0f, NAN, INFINITY, -INFINITY, -11.0f};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(observe(f, values[i], 0, 0, 0.1f, 0, 0), 0);
    }
    decoded d;
    read_window(f, &d);
    const tidemark_FeatureWindow *x = &d.features[0];
    assert_int_equal(x->counts_count, 4);
    assert_int_equal(x->counts[0], 2);
    assert_int_equal(x->counts[1], 2);
    assert_int_equal(x->counts[2], 3); /* -0 is 0 */
    assert_int_equal(x->counts[3], 2);
    assert_int_equal(x->missing, 1);
    assert_int_equal(x->infinite, 2);
    assert_int_equal(x->below, 2);
    assert_int_equal(x->above, 1);
    assert_int_equal(d.window.n, 12);
    assert_int_equal(d.window.latency_log2_us[6], 12);
}

static void float_key__orders_as_floats_do(void **state)
{
    (void)state;
    float ordered[] = {-INFINITY, -3e38f, -1.5f, -1e-45f, 0.0f, 1e-45f, 1.5f, 3e38f, INFINITY};
    for (size_t i = 1; i < sizeof ordered / sizeof *ordered; i++) {
        assert_true(tde_float_key(ordered[i - 1]) < tde_float_key(ordered[i]));
    }
    assert_int_equal(tde_float_key(-0.0f), tde_float_key(0.0f));
}

static void categories__are_found_by_name(void **state)
{
    fixture *f = *state;
    assert_int_equal(tde_category(&f->bins, 1, "b", 1), 1);
    assert_int_equal(tde_category(&f->bins, 1, "new", 3), 2);
    assert_int_equal(tde_category(&f->bins, TDE_PREDICTION, "fault", 5), 1);
    assert_int_equal(tde_category(&f->bins, 9, "b", 1), TDE_CATEGORIES_MAX);
    assert_int_equal(tde_group_index(&f->bins, "bergen", 6), 1);
    assert_int_equal(tde_group_index(&f->bins, "rome", 4), 2);
    float odd[] = {0, 1, 2, 7, -1, 0.5f, NAN};
    for (size_t i = 0; i < 7; i++) {
        observe(f, 0, odd[i], 0, 0, 0, 0);
    }
    decoded d;
    read_window(f, &d);
    assert_int_equal(d.features[1].counts[0], 1);
    assert_int_equal(d.features[1].counts[1], 1);
    assert_int_equal(d.features[1].counts[2], 4);
    assert_int_equal(d.features[1].missing, 1);
}

static void labels__join_by_identifier_and_group(void **state)
{
    fixture *f = *state;
    observe(f, 0, 0, 1, 0.9f, 0, 101);  /* said fault, was fault */
    observe(f, 0, 0, 1, 0.9f, 1, 102);  /* said fault, was ok */
    observe(f, 0, 0, 0, 0.1f, 1, 103);  /* said ok, was fault */
    observe(f, 0, 0, 0, 0.1f, -5, 104); /* other group: said ok, was ok */
    assert_int_equal(tde_label(&f->bins, 101, 1), 0);
    assert_int_equal(tde_label(&f->bins, 102, 0), 0);
    assert_int_equal(tde_label(&f->bins, 103, 1), 0);
    assert_int_equal(tde_label(&f->bins, 104, 0), 0);
    assert_int_equal(tde_label(&f->bins, 101, 1), TDE_BINS_UNKNOWN); /* only once */
    assert_int_equal(tde_label(&f->bins, 0, 1), TDE_BINS_UNKNOWN);
    decoded d;
    read_window(f, &d);
    assert_int_equal(d.window.labelled, 4);
    assert_int_equal(d.window.correct, 2);
    assert_int_equal(d.window.groups_count, 3);
    assert_int_equal(d.window.groups[0].true_positive, 1);
    assert_int_equal(d.window.groups[1].false_positive, 1);
    assert_int_equal(d.window.groups[1].false_negative, 1);
    assert_int_equal(d.window.groups[1].positive, 1);
    assert_int_equal(d.window.groups[2].group, 2);
    assert_int_equal(d.window.groups[2].true_negative, 1);
}

static void labels__of_old_predictions_are_forgotten(void **state)
{
    fixture *f = *state;
    for (uint64_t id = 1; id <= 5; id++) {
        observe(f, 0, 0, 0, 0, 0, id);
    }
    assert_int_equal(tde_label(&f->bins, 1, 0), TDE_BINS_UNKNOWN);
    assert_int_equal(tde_label(&f->bins, 2, 0), 0);
}

static void window__closes_early_and_starts_again(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < TDE_WINDOW_OBSERVATIONS_MAX; i++) {
        assert_int_equal(observe(f, 0, 0, 0, 0, 0, 0), 0);
    }
    assert_true(tde_bins_full(&f->bins));
    assert_int_equal(observe(f, 0, 0, 0, 0, 0, 0), TDE_BINS_FULL);
    decoded d;
    read_window(f, &d);
    assert_int_equal(d.features[0].counts[2], 60000);
    tde_bins_reset(&f->bins);
    assert_true(tde_bins_empty(&f->bins));
    assert_int_equal(observe(f, 0, 0, 0, 0, 0, 0), 0);
}

static void window__carries_its_head(void **state)
{
    fixture *f = *state;
    tde_observe_error(&f->bins);
    decoded d;
    read_window(f, &d);
    assert_int_equal(d.window.sequence, 7);
    assert_int_equal(d.window.oldest_kept, 3);
    assert_true(d.window.boot_id == 0xfeedfacecafebeefu);
    assert_memory_equal(d.window.manifest_digest, digest, 32);
    assert_int_equal(d.window.errors, 1);
    assert_int_equal(d.window.dropped, 2);
    assert_string_equal(d.window.slot, "pump");
}

static void observe__of_another_shape_is_an_error(void **state)
{
    fixture *f = *state;
    float one = 0;
    tde_observation o = {&one, 1, 0, 0, 0, 0, 0};
    assert_int_equal(tde_observe(&f->bins, &o), TDE_BINS_SHAPE);
    assert_int_equal(f->bins.tally.errors, 1);
    assert_int_equal(f->bins.tally.n, 0);
}

static void window__needs_its_room(void **state)
{
    fixture *f = *state;
    uint8_t out[ROOM];
    observe(f, 0, 0, 0, 0, 0, 0);
    size_t whole = close_window(f, out), size = 0;
    tde_window_head head = {7, 3, 0xfeedfacecafebeefu, digest, digest, 1000, 5000, 2, "pump"};
    for (size_t room = 0; room < whole; room++) {
        assert_int_equal(tde_window_encode(&f->bins, &head, out, room, &size), TDE_BINS_ROOM);
    }
}

static void window__truncated_or_too_wide_is_refused(void **state)
{
    fixture *f = *state;
    uint8_t out[ROOM];
    observe(f, 0, 0, 0, 0, 0, 0);
    size_t size = close_window(f, out);
    decoded d;
    assert_int_equal(tde_window_decode(out, size, &d.window, d.features, 1, &d.count), TDE_BINS_LIMIT);
    assert_int_equal(tde_window_decode(out, size - 1, &d.window, d.features, 4, &d.count), TDE_BINS_MALFORMED);
    assert_int_equal(tde_window_decode(out, 0, &d.window, d.features, 4, &d.count), TDE_BINS_MALFORMED);
}

static void baseline__that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[ROOM];
    size_t need;
    tidemark_Baseline b = baseline();
    b.score.edges_count = 2; /* 0.5, 0: not ascending, and one count too few */
    b.score.counts_count = 3;
    assert_int_equal(tde_bins_measure(bytes, encode(&b, bytes), &need), TDE_BINS_MALFORMED);
    b = baseline();
    b.score.counts_count = 1;
    assert_int_equal(tde_bins_measure(bytes, encode(&b, bytes), &need), TDE_BINS_MALFORMED);
    b = baseline();
    b.score.edges[0] = NAN;
    assert_int_equal(tde_bins_measure(bytes, encode(&b, bytes), &need), TDE_BINS_MALFORMED);
    b = baseline();
    b.score.minimum = 20;
    assert_int_equal(tde_bins_measure(bytes, encode(&b, bytes), &need), TDE_BINS_MALFORMED);
    b = baseline();
    b.schema = 2;
    assert_int_equal(tde_bins_measure(bytes, encode(&b, bytes), &need), TDE_BINS_SCHEMA);
    b.schema = 0;
    assert_int_equal(tde_bins_measure(bytes, encode(&b, bytes), &need), TDE_BINS_MALFORMED);
    assert_int_equal(tde_bins_measure(bytes, TDE_BASELINE_SIZE_MAX + 1, &need), TDE_BINS_LIMIT);
}

static void baseline__needs_its_room(void **state)
{
    fixture *f = *state;
    size_t need = 0;
    assert_int_equal(tde_bins_measure(f->bytes, f->size, &need), 0);
    tde_bins bins;
    assert_int_equal(tde_bins_init(&bins, f->bytes, f->size, f->memory, need - 1), TDE_BINS_ROOM);
    assert_int_equal(tde_bins_init(&bins, f->bytes, f->size, f->memory, need), 0);
}

static void baseline__cut_anywhere_never_breaks_the_reader(void **state)
{
    fixture *f = *state;
    for (size_t cut = 0; cut <= f->size; cut++) {
        uint8_t *exact = malloc(cut > 0 ? cut : 1);
        memcpy(exact, f->bytes, cut);
        tde_bins bins;
        size_t need;
        int measured = tde_bins_measure(exact, cut, &need);
        assert_int_equal(tde_bins_init(&bins, exact, cut, f->memory, sizeof f->memory), measured);
        free(exact);
    }
}

typedef struct collected {
    uint8_t bytes[1024];
    size_t size;
} collected;

static void collect(void *context, const void *data, size_t size)
{
    collected *c = context;
    assert_true(c->size + size <= sizeof c->bytes);
    memcpy(c->bytes + c->size, data, size);
    c->size += size;
}

/* The bytes of docs/spec/baseline.md, spelt out. */
static void edges__have_one_canonical_encoding(void **state)
{
    fixture *f = *state;
    collected c = {.size = 0};
    assert_int_equal(tde_edges_encode(f->bytes, f->size, collect, &c), 0);
    static const uint8_t expected[] =
        "tidemark-edges-v1\0"
        "\x02\x00\x00\x01\x00x\x03\x00\x00\x80\xbf\x00\x00\x00\x00\x00\x00\x20\x40\x00\x00\x20\xc1\x00\x00\x20\x41"
        "\x01\x00\x01\x00"
        "a"
        "\x01\x00\x01\x00"
        "b"
        "\x02\x00\x01\x07\x00"
        "bearing"
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x01\x01\x02\x00"
        "ok"
        "\x01\x01\x05\x00"
        "fault"
        "\x02\x01\x01\x0a\x00"
        "prediction"
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x02\x02\x00\x05\x00"
        "score"
        "\x01\x00\x00\x00\x3f\x00\x00\x20\xc1\x00\x00\x20\x41"
        "\x03\x00\x00\x00\x00\x05\x00"
        "fault"
        "\x02\x04\x00"
        "oslo"
        "\x06\x00"
        "bergen";
    assert_int_equal(c.size, sizeof expected - 1);
    assert_memory_equal(c.bytes, expected, sizeof expected - 1);
}

static void block__survives_a_restart(void **state)
{
    fixture *f = *state;
    observe(f, 1, 1, 1, 0.9f, 1, 0);
    void *data;
    size_t size;
    tde_bins_block(&f->bins, &data, &size);
    uint8_t saved[1024];
    assert_true(size <= sizeof saved);
    memcpy(saved, data, size);
    tde_tally tally = f->bins.tally;
    uint8_t before[ROOM], after[ROOM];
    size_t before_size = close_window(f, before);
    assert_int_equal(tde_bins_init(&f->bins, f->bytes, f->size, f->memory, sizeof f->memory), 0);
    assert_true(tde_bins_empty(&f->bins));
    tde_bins_block(&f->bins, &data, &size);
    memcpy(data, saved, size);
    f->bins.tally = tally;
    assert_int_equal(close_window(f, after), before_size);
    assert_memory_equal(before, after, before_size);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(observe__puts_each_value_into_its_bin),
        CASE(float_key__orders_as_floats_do),
        CASE(categories__are_found_by_name),
        CASE(labels__join_by_identifier_and_group),
        CASE(labels__of_old_predictions_are_forgotten),
        CASE(window__closes_early_and_starts_again),
        CASE(window__carries_its_head),
        CASE(observe__of_another_shape_is_an_error),
        CASE(window__needs_its_room),
        CASE(window__truncated_or_too_wide_is_refused),
        CASE(baseline__that_contradicts_itself_is_refused),
        CASE(baseline__needs_its_room),
        CASE(baseline__cut_anywhere_never_breaks_the_reader),
        CASE(edges__have_one_canonical_encoding),
        CASE(block__survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
