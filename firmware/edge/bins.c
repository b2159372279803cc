/*
 * bins.c: see bins.h. A baseline is read once, by callbacks, straight into the caller's memory; after that an
 * observation is a handful of integer comparisons a feature.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/edge/bins.h"

#include "firmware/wire/tidemark.pb.h"

#include <pb_decode.h>
#include <string.h>

#define NAME_SIZE_MAX 128u /* bytes of a category's name */
#define NAN_EXPONENT 0x7f800000u
#define NAME_HASH_START 2166136261u /* FNV-1a, 32 bits */
#define NAME_HASH_PRIME 16777619u

enum { ROLE_FEATURE, ROLE_PREDICTION, ROLE_SCORE, ROLE_COUNT };
enum { RECORD_CATEGORY = 1, RECORD_STREAM = 2, RECORD_MODEL = 3 };

/* The names of one stream's categories, as they are met. */
typedef struct names {
    struct scan *scan;
    int32_t hashes[TDE_CATEGORIES_MAX];
    uint8_t count;
    uint8_t role;
} names;

/* One reading of a baseline: measures (bins NULL), lays out, or feeds the edges digest (update set). */
typedef struct scan {
    tde_bins *bins;
    tde_hash_update update;
    void *update_context;
    uint32_t features, keys, counts;
    int code; /* the first thing that was wrong */
    names names[ROLE_COUNT];
} scan;

static bool scan_fail(scan *s, int code)
{
    if (s->code == TDE_BINS_OK) {
        s->code = code;
    }
    return false;
}

static int32_t name_hash(const char *name, size_t length)
{
    uint32_t hash = NAME_HASH_START;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (uint8_t)name[i]) * NAME_HASH_PRIME;
    }
    return (int32_t)hash;
}

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static bool bits_finite(uint32_t bits)
{
    return (bits & NAN_EXPONENT) != NAN_EXPONENT;
}

static int32_t bits_key(uint32_t bits)
{
    if ((bits << 1) == 0) {
        return 0; /* -0 is 0 */
    }
    return (int32_t)(bits ^ ((bits >> 31) != 0 ? 0x7fffffffu : 0u));
}

int32_t tde_float_key(float value)
{
    return bits_key(float_bits(value));
}

/* ---- Canonical encoding ---------------------------------------------------------------------- */

static void feed(scan *s, const void *data, size_t size)
{
    s->update(s->update_context, data, size);
}

static void feed_number(scan *s, uint32_t value, size_t bytes)
{
    uint8_t out[4];
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
    feed(s, out, bytes);
}

static void feed_text(scan *s, const char *text)
{
    size_t length = strlen(text);
    feed_number(s, (uint32_t)length, 2);
    feed(s, text, length);
}

static void feed_stream(scan *s, uint8_t role, const tidemark_FeatureBaseline *stream)
{
    feed_number(s, RECORD_STREAM, 1);
    feed_number(s, role, 1);
    feed_number(s, (uint32_t)stream->kind, 1);
    feed_text(s, stream->name);
    feed_number(s, stream->edges_count, 1);
    for (pb_size_t i = 0; i < stream->edges_count; i++) {
        feed_number(s, float_bits(stream->edges[i]), 4);
    }
    feed_number(s, float_bits(stream->minimum), 4);
    feed_number(s, float_bits(stream->maximum), 4);
}

static void feed_model(scan *s, const tidemark_Baseline *baseline)
{
    feed_number(s, RECORD_MODEL, 1);
    feed_number(s, float_bits(baseline->decision_threshold), 4);
    feed_text(s, baseline->positive_class);
    feed_number(s, baseline->groups_count, 1);
    for (pb_size_t i = 0; i < baseline->groups_count; i++) {
        feed_text(s, baseline->groups[i].name);
    }
}

/* ---- Reading a baseline ---------------------------------------------------------------------- */

static bool on_category(pb_istream_t *stream, const pb_field_iter_t *field, void **arg)
{
    (void)field;
    names *n = *arg;
    char text[NAME_SIZE_MAX];
    size_t length = stream->bytes_left;
    if (n->count >= TDE_CATEGORIES_MAX || length > sizeof text) {
        return scan_fail(n->scan, TDE_BINS_LIMIT);
    }
    if (!pb_read(stream, (pb_byte_t *)text, length)) {
        return false;
    }
    n->hashes[n->count++] = name_hash(text, length);
    if (n->scan->update != NULL) {
        feed_number(n->scan, RECORD_CATEGORY, 1);
        feed_number(n->scan, n->role, 1);
        feed_number(n->scan, (uint32_t)length, 2);
        feed(n->scan, text, length);
    }
    return true;
}

static bool edges_valid(const tidemark_FeatureBaseline *stream)
{
    uint32_t low = float_bits(stream->minimum), high = float_bits(stream->maximum);
    if (!bits_finite(low) || !bits_finite(high) || bits_key(low) > bits_key(high)) {
        return false;
    }
    for (pb_size_t i = 0; i < stream->edges_count; i++) {
        uint32_t bits = float_bits(stream->edges[i]);
        if (!bits_finite(bits) || (i > 0 && bits_key(bits) <= tde_float_key(stream->edges[i - 1]))) {
            return false;
        }
    }
    return true;
}

static bool stream_valid(const names *n, const tidemark_FeatureBaseline *stream)
{
    bool numeric = stream->kind == tidemark_FeatureKind_FEATURE_NUMERIC;
    if (!numeric && stream->kind != tidemark_FeatureKind_FEATURE_CATEGORICAL) {
        return false;
    }
    if (numeric ? n->count > 0 : stream->edges_count > 0) {
        return false;
    }
    uint32_t keys = numeric ? stream->edges_count : n->count;
    return stream->counts_count == keys + 1 && (!numeric || edges_valid(stream));
}

static void stream_place(scan *s, tde_stream *out, const names *n, const tidemark_FeatureBaseline *stream,
                         uint32_t keys)
{
    out->kind = (uint8_t)stream->kind;
    out->key_count = (uint8_t)keys;
    out->bin_count = (uint8_t)(keys + 1);
    out->key_first = (uint16_t)s->keys;
    out->count_first = (uint16_t)s->counts;
    out->minimum = tde_float_key(stream->minimum);
    out->maximum = tde_float_key(stream->maximum);
    for (uint32_t i = 0; i < keys; i++) {
        s->bins->keys[s->keys + i] = n->count > 0 ? n->hashes[i] : tde_float_key(stream->edges[i]);
    }
}

/* Takes in one stream that was read completely. */
static bool stream_take(scan *s, uint8_t role, const tidemark_FeatureBaseline *stream)
{
    names *n = &s->names[role];
    if (!stream_valid(n, stream)) {
        return scan_fail(s, TDE_BINS_MALFORMED);
    }
    uint32_t keys = n->count > 0 ? n->count : stream->edges_count;
    if (s->bins != NULL) {
        tde_stream *out = role == ROLE_PREDICTION ? &s->bins->prediction
                          : role == ROLE_SCORE    ? &s->bins->score
                                                  : &s->bins->features[s->features];
        stream_place(s, out, n, stream, keys);
    }
    if (s->update != NULL) {
        feed_stream(s, role, stream);
    }
    s->keys += keys;
    s->counts += keys + 1 + TDE_SPECIALS;
    s->features += role == ROLE_FEATURE;
    n->count = 0;
    return true;
}

static bool on_feature(pb_istream_t *stream, const pb_field_iter_t *field, void **arg)
{
    (void)field;
    scan *s = *arg;
    if (s->features >= TDE_FEATURES_MAX) {
        return scan_fail(s, TDE_BINS_LIMIT);
    }
    tidemark_FeatureBaseline feature = tidemark_FeatureBaseline_init_zero;
    s->names[ROLE_FEATURE].count = 0;
    feature.categories.funcs.decode = on_category;
    feature.categories.arg = &s->names[ROLE_FEATURE];
    return pb_decode(stream, tidemark_FeatureBaseline_fields, &feature) && stream_take(s, ROLE_FEATURE, &feature);
}

static int8_t positive_index(const names *classes, const char *positive)
{
    int32_t hash = name_hash(positive, strlen(positive));
    for (uint8_t i = 0; i < classes->count; i++) {
        if (classes->hashes[i] == hash) {
            return (int8_t)i;
        }
    }
    return -1;
}

static void model_place(scan *s, const tidemark_Baseline *baseline)
{
    tde_bins *bins = s->bins;
    bins->classes = baseline->has_prediction && baseline->prediction.kind == tidemark_FeatureKind_FEATURE_CATEGORICAL;
    bins->positive_class = bins->classes ? positive_index(&s->names[ROLE_PREDICTION], baseline->positive_class) : -1;
    bins->group_count = (uint8_t)baseline->groups_count;
    for (pb_size_t i = 0; i < baseline->groups_count; i++) {
        bins->group_keys[i] = name_hash(baseline->groups[i].name, strlen(baseline->groups[i].name));
    }
}

static int scan_run(scan *s, const uint8_t *data, size_t size)
{
    if (data == NULL || size > TDE_BASELINE_SIZE_MAX) {
        return data == NULL ? TDE_BINS_MALFORMED : TDE_BINS_LIMIT;
    }
    for (uint8_t role = 0; role < ROLE_COUNT; role++) {
        s->names[role].scan = s;
        s->names[role].role = role;
    }
    tidemark_Baseline baseline = tidemark_Baseline_init_zero;
    baseline.features.funcs.decode = on_feature;
    baseline.features.arg = s;
    baseline.prediction.categories.funcs.decode = on_category;
    baseline.prediction.categories.arg = &s->names[ROLE_PREDICTION];
    baseline.score.categories.funcs.decode = on_category;
    baseline.score.categories.arg = &s->names[ROLE_SCORE];
    pb_istream_t stream = pb_istream_from_buffer(data, size);
    if (!pb_decode(&stream, tidemark_Baseline_fields, &baseline)) {
        return s->code != TDE_BINS_OK ? s->code : TDE_BINS_MALFORMED;
    }
    if (baseline.schema != 1) {
        return baseline.schema > 1 ? TDE_BINS_SCHEMA : TDE_BINS_MALFORMED;
    }
    if (s->bins != NULL) {
        model_place(s, &baseline);
    }
    if (baseline.has_prediction && !stream_take(s, ROLE_PREDICTION, &baseline.prediction)) {
        return s->code;
    }
    if (baseline.has_score && !stream_take(s, ROLE_SCORE, &baseline.score)) {
        return s->code;
    }
    if (s->update != NULL) {
        feed_model(s, &baseline);
    }
    return TDE_BINS_OK;
}

int tde_edges_encode(const uint8_t *baseline, size_t size, tde_hash_update update, void *context)
{
    scan s = {.update = update, .update_context = context};
    static const char domain[] = "tidemark-edges-v1"; /* with its NUL */
    feed(&s, domain, sizeof domain);
    return scan_run(&s, baseline, size);
}

/* ---- Laying out ------------------------------------------------------------------------------ */

static size_t scan_need(const scan *s)
{
    return s->features * sizeof(tde_stream) + s->keys * sizeof(int32_t) + s->counts * sizeof(uint16_t);
}

int tde_bins_measure(const uint8_t *baseline, size_t size, size_t *need_out)
{
    scan s = {0};
    int code = scan_run(&s, baseline, size);
    if (code == TDE_BINS_OK) {
        *need_out = scan_need(&s);
    }
    return code;
}

int tde_bins_init(tde_bins *bins, const uint8_t *baseline, size_t size, void *memory, size_t room)
{
    scan measured = {0};
    int code = scan_run(&measured, baseline, size);
    if (code != TDE_BINS_OK) {
        return code;
    }
    if (scan_need(&measured) > room) {
        return TDE_BINS_ROOM;
    }
    memset(bins, 0, sizeof *bins);
    uint8_t *at = memory;
    bins->features = (tde_stream *)(void *)at;
    at += measured.features * sizeof(tde_stream);
    bins->keys = (int32_t *)(void *)at;
    at += measured.keys * sizeof(int32_t);
    bins->counts = (uint16_t *)(void *)at;
    bins->feature_count = (uint16_t)measured.features;
    bins->count_total = (uint16_t)measured.counts;
    scan s = {.bins = bins};
    code = scan_run(&s, baseline, size);
    tde_bins_reset(bins);
    return code;
}

void tde_bins_remember(tde_bins *bins, tde_pending *memory, uint32_t count)
{
    bins->pending = memory;
    bins->pending_room = count;
    bins->pending_next = 0;
    if (count > 0) {
        memset(memory, 0, count * sizeof *memory);
    }
}

void tde_bins_reset(tde_bins *bins)
{
    memset(bins->counts, 0, bins->count_total * sizeof *bins->counts);
    memset(&bins->tally, 0, sizeof bins->tally);
}

void tde_bins_block(tde_bins *bins, void **data_out, size_t *size_out)
{
    *data_out = bins->counts;
    *size_out = bins->count_total * sizeof *bins->counts;
}

/* ---- Counting -------------------------------------------------------------------------------- */

static void bump(uint16_t *counter)
{
    *counter = (uint16_t)(*counter + (*counter != UINT16_MAX));
}

/* A class or category index; `other` for what is not one. */
static uint32_t value_index(float value, uint32_t other)
{
    if (!(value >= 0.0f && value < (float)TDE_BINS_MAX)) {
        return other;
    }
    uint32_t index = (uint32_t)value;
    return index < other && (float)index == value ? index : other;
}

static void stream_count(tde_bins *bins, const tde_stream *stream, float value)
{
    uint16_t *counts = bins->counts + stream->count_first;
    uint16_t *specials = counts + stream->bin_count;
    uint32_t bits = float_bits(value);
    if (!bits_finite(bits)) {
        bump(&specials[(bits & ~(NAN_EXPONENT | 0x80000000u)) == 0 ? 1 : 0]);
        return;
    }
    if (stream->kind == tidemark_FeatureKind_FEATURE_CATEGORICAL) {
        bump(&counts[value_index(value, stream->key_count)]);
        return;
    }
    int32_t key = bits_key(bits);
    const int32_t *edges = bins->keys + stream->key_first;
    uint32_t bin = 0;
    for (uint32_t i = 0; i < stream->key_count; i++) {
        bin += key >= edges[i];
    }
    bump(&counts[bin]);
    if (key < stream->minimum) {
        bump(&specials[2]);
    } else if (key > stream->maximum) {
        bump(&specials[3]);
    }
}

static tde_group *group_of(tde_bins *bins, int32_t group)
{
    bool known = group >= 0 && group < bins->group_count;
    return &bins->tally.groups[known ? group : bins->group_count];
}

static bool is_positive(const tde_bins *bins, float value)
{
    return bins->positive_class >= 0 && value == (float)bins->positive_class;
}

static void remember(tde_bins *bins, const tde_observation *observation)
{
    if (observation->id == 0 || bins->pending_room == 0) {
        return;
    }
    bins->pending[bins->pending_next] =
        (tde_pending){.id = observation->id, .prediction = observation->prediction, .group = observation->group};
    bins->pending_next = (bins->pending_next + 1) % bins->pending_room;
}

static void count_latency(tde_bins *bins, uint32_t latency_us)
{
    if (latency_us == 0) {
        return;
    }
    uint32_t bin = 0;
    while (bin + 1 < TDE_LATENCY_BINS && (latency_us >> (bin + 1)) != 0) {
        bin++;
    }
    bins->tally.latency[bin]++;
}

bool tde_bins_full(const tde_bins *bins)
{
    return bins->tally.n >= TDE_WINDOW_OBSERVATIONS_MAX || bins->tally.labelled >= TDE_WINDOW_OBSERVATIONS_MAX;
}

bool tde_bins_empty(const tde_bins *bins)
{
    return bins->tally.n == 0 && bins->tally.labelled == 0 && bins->tally.errors == 0;
}

void tde_observe_error(tde_bins *bins)
{
    bins->tally.errors += bins->tally.errors != UINT32_MAX;
}

int tde_observe(tde_bins *bins, const tde_observation *observation)
{
    if (tde_bins_full(bins)) {
        return TDE_BINS_FULL;
    }
    if (observation->feature_count != bins->feature_count) {
        tde_observe_error(bins);
        return TDE_BINS_SHAPE;
    }
    for (uint32_t i = 0; i < bins->feature_count; i++) {
        stream_count(bins, &bins->features[i], observation->features[i]);
    }
    if (bins->prediction.bin_count > 0) {
        stream_count(bins, &bins->prediction, observation->prediction);
    }
    if (bins->score.bin_count > 0) {
        stream_count(bins, &bins->score, observation->score);
    }
    tde_group *group = group_of(bins, observation->group);
    bump(&group->n);
    if (is_positive(bins, observation->prediction)) {
        bump(&group->positive);
    }
    bins->tally.n++;
    count_latency(bins, observation->latency_us);
    remember(bins, observation);
    return TDE_BINS_OK;
}

static void count_label(tde_bins *bins, const tde_pending *pending, float label)
{
    if (!bins->classes || pending->prediction != pending->prediction || label != label) {
        return; /* realised performance of regressions is not counted in this schema */
    }
    bins->tally.labelled++;
    bins->tally.correct += pending->prediction == label;
    if (bins->positive_class < 0) {
        return;
    }
    tde_group *group = group_of(bins, pending->group);
    bool said = is_positive(bins, pending->prediction), was = is_positive(bins, label);
    bump(said ? (was ? &group->true_positive : &group->false_positive)
              : (was ? &group->false_negative : &group->true_negative));
}

int tde_label(tde_bins *bins, uint64_t id, float label)
{
    if (tde_bins_full(bins)) {
        return TDE_BINS_FULL;
    }
    for (uint32_t i = 0; id != 0 && i < bins->pending_room; i++) {
        uint32_t newest_first = (bins->pending_next + bins->pending_room - 1 - i) % bins->pending_room;
        tde_pending *pending = &bins->pending[newest_first];
        if (pending->id == id) {
            count_label(bins, pending, label);
            pending->id = 0;
            return TDE_BINS_OK;
        }
    }
    return TDE_BINS_UNKNOWN;
}

/* ---- Names ----------------------------------------------------------------------------------- */

uint32_t tde_category(const tde_bins *bins, uint32_t feature, const char *name, size_t length)
{
    const tde_stream *stream = feature == TDE_PREDICTION       ? &bins->prediction
                               : feature < bins->feature_count ? &bins->features[feature]
                                                               : NULL;
    if (stream == NULL || stream->kind != tidemark_FeatureKind_FEATURE_CATEGORICAL) {
        return TDE_CATEGORIES_MAX;
    }
    int32_t hash = name_hash(name, length);
    for (uint32_t i = 0; i < stream->key_count; i++) {
        if (bins->keys[stream->key_first + i] == hash) {
            return i;
        }
    }
    return stream->key_count;
}

uint32_t tde_group_index(const tde_bins *bins, const char *name, size_t length)
{
    int32_t hash = name_hash(name, length);
    for (uint32_t i = 0; i < bins->group_count; i++) {
        if (bins->group_keys[i] == hash) {
            return i;
        }
    }
    return bins->group_count;
}
