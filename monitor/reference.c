/*
 * reference.c: reads a Baseline message of any origin into a td_reference, and tells it as JSON.
 *
 * What the device's reader accepts is the rule (tde_bins_measure); this one only adds the texts that devices do not
 * keep.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/reference.h"

#include "firmware/wire/tidemark.pb.h"
#include "monitor/baseline.h"

#include <math.h>
#include <pb_decode.h>
#include <stdio.h>
#include <string.h>

typedef struct texts {
    td_arena *arena;
    const char *items[TDE_CATEGORIES_MAX];
    size_t count;
} texts;

typedef struct reading {
    td_arena *arena;
    td_reference *reference;
    texts feature_texts, prediction_texts, score_texts;
} reading;

static bool read_category(pb_istream_t *stream, const pb_field_iter_t *field, void **arg)
{
    (void)field;
    texts *list = *arg;
    size_t length = stream->bytes_left;
    if (list->count == TDE_CATEGORIES_MAX || length > 128) {
        return false;
    }
    char *text = td_arena_alloc(list->arena, length + 1);
    if (text == NULL || !pb_read(stream, (pb_byte_t *)text, length) || memchr(text, 0, length) != NULL) {
        return false;
    }
    list->items[list->count++] = text;
    return true;
}

static bool stream_keep(const tidemark_FeatureBaseline *message, const texts *list, td_stream *out)
{
    out->present = true;
    out->name = td_arena_text(list->arena, message->name);
    out->numeric = message->kind == tidemark_FeatureKind_FEATURE_NUMERIC;
    out->bins = message->counts_count;
    out->edges = td_arena_copy(list->arena, message->edges, sizeof message->edges);
    out->categories = td_arena_copy(list->arena, list->items, sizeof list->items);
    for (size_t i = 0; i < out->bins; i++) {
        out->counts[i] = message->counts[i];
    }
    out->missing = message->missing;
    out->minimum = (double)message->minimum;
    out->maximum = (double)message->maximum;
    out->mean = isfinite(message->mean) ? message->mean : 0;
    out->deviation = isfinite(message->deviation) ? message->deviation : 0;
    return out->name != NULL && out->edges != NULL && out->categories != NULL;
}

static bool read_feature(pb_istream_t *stream, const pb_field_iter_t *field, void **arg)
{
    (void)field;
    reading *r = *arg;
    tidemark_FeatureBaseline message = tidemark_FeatureBaseline_init_zero;
    r->feature_texts.count = 0;
    message.categories.funcs.decode = read_category;
    message.categories.arg = &r->feature_texts;
    if (r->reference->feature_count == TDE_FEATURES_MAX ||
        !pb_decode(stream, tidemark_FeatureBaseline_fields, &message)) {
        return false;
    }
    return stream_keep(&message, &r->feature_texts, &r->reference->features[r->reference->feature_count++]);
}

static size_t place(td_stream *stream, size_t at)
{
    stream->first = at;
    return stream->present ? at + stream->bins + TDE_SPECIALS : at;
}

static void lay_out(td_reference *reference)
{
    size_t at = 0;
    for (size_t i = 0; i < reference->feature_count; i++) {
        at = place(&reference->features[i], at);
    }
    at = place(&reference->prediction, at);
    at = place(&reference->score, at);
    reference->groups_first = at;
    reference->tallies_first = at + (reference->group_count + 1) * TD_CELLS;
    reference->size = reference->tallies_first + TD_TALLIES;
}

static bool keep_model(const tidemark_Baseline *message, reading *r)
{
    td_reference *out = r->reference;
    out->group_count = message->groups_count;
    for (size_t i = 0; i < out->group_count; i++) {
        const tidemark_GroupBaseline *g = &message->groups[i];
        out->groups[i] = td_arena_text(r->arena, g->name);
        const uint64_t cells[TD_CELLS] = {
            g->n, g->positive, g->true_positive, g->false_positive, g->false_negative, g->true_negative};
        memcpy(out->group_cells[i], cells, sizeof cells);
        if (out->groups[i] == NULL) {
            return false;
        }
    }
    out->rows = message->rows;
    bool usable = message->labelled && message->accuracy >= 0 && message->accuracy <= 1;
    out->accuracy = usable ? message->accuracy : NAN;
    out->threshold = isfinite(message->decision_threshold) ? (double)message->decision_threshold : 0;
    out->positive = td_arena_text(r->arena, message->positive_class);
    return out->positive != NULL &&
           (!message->has_prediction || stream_keep(&message->prediction, &r->prediction_texts, &out->prediction)) &&
           (!message->has_score || stream_keep(&message->score, &r->score_texts, &out->score));
}

static bool read_all(const void *data, size_t size, reading *r)
{
    tidemark_Baseline message = tidemark_Baseline_init_zero;
    message.features.funcs.decode = read_feature;
    message.features.arg = r;
    message.prediction.categories.funcs.decode = read_category;
    message.prediction.categories.arg = &r->prediction_texts;
    message.score.categories.funcs.decode = read_category;
    message.score.categories.arg = &r->score_texts;
    pb_istream_t stream = pb_istream_from_buffer(data, size);
    return pb_decode(&stream, tidemark_Baseline_fields, &message) && keep_model(&message, r);
}

td_code td_reference_read(const void *data, size_t size, td_arena *arena, td_reference *out, td_err *err)
{
    size_t need;
    int code = tde_bins_measure(data, size, &need);
    if (code == TDE_BINS_LIMIT) {
        return td_fail(err, TD_LIMIT, "the baseline exceeds a limit: %d features, %d categories, %u bytes",
                       TDE_FEATURES_MAX, TDE_CATEGORIES_MAX, TDE_BASELINE_SIZE_MAX);
    }
    if (code != TDE_BINS_OK) {
        return td_fail(err, TD_CORRUPT,
                       code == TDE_BINS_SCHEMA ? "the baseline was made by a newer program"
                                               : "the baseline is not a valid Baseline message");
    }
    td_reference made = {0};
    made.features = td_arena_alloc(arena, TDE_FEATURES_MAX * sizeof *made.features);
    reading r = {.arena = arena,
                 .reference = &made,
                 .feature_texts.arena = arena,
                 .prediction_texts.arena = arena,
                 .score_texts.arena = arena};
    if (made.features == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    if (!read_all(data, size, &r)) {
        return td_fail(err, TD_CORRUPT, "the baseline is not a valid Baseline message");
    }
    lay_out(&made);
    *out = made;
    return TD_OK;
}

void td_stream_bin_name(const td_stream *stream, size_t bin, char *out, size_t room)
{
    if (!stream->numeric) {
        snprintf(out, room, "%s", bin + 1 < stream->bins ? stream->categories[bin] : "other");
    } else if (stream->bins < 2) {
        snprintf(out, room, "all");
    } else if (bin == 0) {
        snprintf(out, room, "< %.6g", (double)stream->edges[0]);
    } else if (bin + 1 == stream->bins) {
        snprintf(out, room, ">= %.6g", (double)stream->edges[bin - 1]);
    } else {
        snprintf(out, room, "[%.6g, %.6g)", (double)stream->edges[bin - 1], (double)stream->edges[bin]);
    }
}

/* ---- As JSON --------------------------------------------------------------------------------- */

static json_t *safe_text(const char *text)
{
    json_t *json = json_string(text);
    return json != NULL ? json : json_string("?"); /* not UTF-8 */
}

static void put_numbers(json_t *json, const td_stream *stream)
{
    json_t *edges = json_array();
    for (size_t i = 0; i + 1 < stream->bins; i++) {
        json_array_append_new(edges, json_real((double)stream->edges[i]));
    }
    json_object_set_new(json, "edges", edges);
    json_object_set_new(json, "minimum", json_real(stream->minimum));
    json_object_set_new(json, "maximum", json_real(stream->maximum));
    json_object_set_new(json, "mean", json_real(stream->mean));
    json_object_set_new(json, "deviation", json_real(stream->deviation));
}

static json_t *stream_json(const td_stream *stream)
{
    json_t *json = json_object(), *counts = json_array();
    json_object_set_new(json, "name", safe_text(stream->name));
    json_object_set_new(json, "type", json_string(stream->numeric ? "numeric" : "categorical"));
    for (size_t i = 0; i < stream->bins; i++) {
        json_array_append_new(counts, json_integer((json_int_t)stream->counts[i]));
    }
    json_object_set_new(json, "counts", counts);
    json_object_set_new(json, "missing", json_integer((json_int_t)stream->missing));
    if (stream->numeric) {
        put_numbers(json, stream);
        return json;
    }
    json_t *categories = json_array();
    for (size_t i = 0; i + 1 < stream->bins; i++) {
        json_array_append_new(categories, safe_text(stream->categories[i]));
    }
    json_object_set_new(json, "categories", categories);
    return json;
}

static json_t *groups_json(const td_reference *reference)
{
    static const char *const names[TD_CELLS] = {
        "n", "positive", "true_positive", "false_positive", "false_negative", "true_negative"};
    json_t *groups = json_array();
    for (size_t i = 0; i < reference->group_count; i++) {
        json_t *group = json_object();
        json_object_set_new(group, "group", safe_text(reference->groups[i]));
        for (size_t k = 0; k < TD_CELLS; k++) {
            json_object_set_new(group, names[k], json_integer((json_int_t)reference->group_cells[i][k]));
        }
        json_array_append_new(groups, group);
    }
    return groups;
}

td_code td_baseline_json(const void *data, size_t size, json_t **out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_reference reference;
    TD_TRY(td_reference_read(data, size, &arena, &reference, err));
    json_t *json = json_object(), *features = json_array();
    json_object_set_new(json, "rows", json_integer((json_int_t)reference.rows));
    for (size_t i = 0; i < reference.feature_count; i++) {
        json_array_append_new(features, stream_json(&reference.features[i]));
    }
    json_object_set_new(json, "features", features);
    if (reference.prediction.present) {
        json_object_set_new(json, "prediction", stream_json(&reference.prediction));
        json_object_set_new(json, "positive_class", safe_text(reference.positive));
    }
    if (reference.score.present) {
        json_object_set_new(json, "score", stream_json(&reference.score));
        json_object_set_new(json, "decision_threshold", json_real(reference.threshold));
    }
    json_object_set_new(json, "groups", groups_json(&reference));
    json_object_set_new(json, "accuracy", isnan(reference.accuracy) ? json_null() : json_real(reference.accuracy));
    *out = json;
    return TD_OK;
}

static void hash_update(void *context, const void *data, size_t size)
{
    td_sha256_update(context, data, size);
}

td_code td_baseline_edges_digest(const void *data, size_t size, uint8_t out[TD_DIGEST_SIZE], td_err *err)
{
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    TD_TRY(td_sha256_new(&hash, err));
    int code = tde_edges_encode(data, size, hash_update, hash);
    if (code != TDE_BINS_OK) {
        return td_fail(err, code == TDE_BINS_LIMIT ? TD_LIMIT : TD_CORRUPT,
                       "the baseline is not a valid Baseline message");
    }
    td_sha256_final(hash, out);
    return TD_OK;
}
