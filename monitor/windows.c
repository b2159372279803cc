/*
 * windows.c: decodes windows and lays their counts out as vectors; no database here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/windows.h"

#include "firmware/edge/window.h"
#include "monitor/store.h"

#include <stdlib.h>
#include <string.h>

/* ---- Decoding -------------------------------------------------------------------------------- */

static size_t stream_values(const tidemark_FeatureWindow *stream)
{
    return stream->counts_count + TDE_SPECIALS;
}

static void stream_copy(td_window *window, const tidemark_FeatureWindow *stream, size_t index)
{
    window->bins[index] = (uint8_t)stream->counts_count;
    uint32_t *at = window->values + window->size;
    memcpy(at, stream->counts, stream->counts_count * sizeof *at);
    at += stream->counts_count;
    at[TD_SPECIAL_MISSING] = stream->missing;
    at[TD_SPECIAL_INFINITE] = stream->infinite;
    at[TD_SPECIAL_BELOW] = stream->below;
    at[TD_SPECIAL_ABOVE] = stream->above;
    window->size += stream_values(stream);
}

static void head_copy(td_window *window, const tidemark_Window *message)
{
    window->sequence = message->sequence;
    window->oldest_kept = message->oldest_kept;
    window->boot_id = message->boot_id;
    memcpy(window->manifest_digest, message->manifest_digest, TD_DIGEST_SIZE);
    memcpy(window->edges_digest, message->edges_digest, TD_DIGEST_SIZE);
    window->start_ms = message->start_ms;
    window->length_ms = message->length_ms;
    window->has_prediction = message->has_prediction;
    window->has_score = message->has_score;
    window->tallies[TD_TALLY_N] = message->n;
    window->tallies[TD_TALLY_LABELLED] = message->labelled;
    window->tallies[TD_TALLY_CORRECT] = message->correct;
    window->tallies[TD_TALLY_ERRORS] = message->errors;
    window->tallies[TD_TALLY_DROPPED] = message->dropped;
    memcpy(window->tallies + TD_TALLY_LATENCY, message->latency_log2_us,
           message->latency_log2_us_count * sizeof window->tallies[0]);
    window->group_count = message->groups_count;
    memcpy(window->groups, message->groups, message->groups_count * sizeof window->groups[0]);
}

static td_code keep(const tidemark_Window *message, const tidemark_FeatureWindow *features, uint32_t count,
                    td_window **out, td_err *err)
{
    size_t size = stream_values(&message->prediction) + stream_values(&message->score);
    for (uint32_t i = 0; i < count; i++) {
        size += stream_values(&features[i]);
    }
    td_window *window = calloc(1, sizeof *window + size * sizeof window->values[0]);
    if (window == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    head_copy(window, message);
    window->feature_count = (uint16_t)count;
    for (uint32_t i = 0; i < count; i++) {
        stream_copy(window, &features[i], i);
    }
    if (message->has_prediction) {
        stream_copy(window, &message->prediction, count);
    }
    if (message->has_score) {
        stream_copy(window, &message->score, (size_t)count + 1);
    }
    *out = window;
    return TD_OK;
}

td_code td_window_decode(const void *data, size_t size, td_window **out, td_err *err)
{
    if (size > TD_WINDOW_BYTES_MAX) {
        return td_fail(err, TD_LIMIT, "a window of %zu bytes; at most %d are taken", size, TD_WINDOW_BYTES_MAX);
    }
    tidemark_FeatureWindow features[TDE_FEATURES_MAX];
    tidemark_Window message;
    uint32_t count = 0;
    int code = tde_window_decode(data, size, &message, features, TDE_FEATURES_MAX, &count);
    if (code == TDE_BINS_LIMIT) {
        return td_fail(err, TD_LIMIT, "a window with more than %d features", TDE_FEATURES_MAX);
    }
    if (code != TDE_BINS_OK) {
        return td_fail(err, TD_CORRUPT, code == TDE_BINS_SCHEMA ? "a window of a newer schema" : "not a valid window");
    }
    return keep(&message, features, count, out, err);
}

void td_window_free(td_window **window)
{
    free(*window);
    *window = NULL;
}

uint64_t td_window_sequence(const td_window *window)
{
    return window->sequence;
}

uint64_t td_window_oldest_kept(const td_window *window)
{
    return window->oldest_kept;
}

uint64_t td_window_boot_id(const td_window *window)
{
    return window->boot_id;
}

const uint8_t *td_window_manifest(const td_window *window)
{
    return window->manifest_digest;
}

uint32_t td_window_observations(const td_window *window)
{
    return window->tallies[TD_TALLY_N];
}

const char *td_window_verdict_name(td_window_verdict verdict)
{
    static const char *const names[TD_WINDOW_VERDICTS] = {[TD_WINDOW_STORED] = "stored",
                                                          [TD_WINDOW_DUPLICATE] = "duplicate",
                                                          [TD_WINDOW_UNKNOWN_VERSION] = "unknown_version",
                                                          [TD_WINDOW_OTHER_EDGES] = "other_edges",
                                                          [TD_WINDOW_TOO_OLD] = "too_old",
                                                          [TD_WINDOW_INCONSISTENT] = "inconsistent"};
    return names[verdict];
}

/* ---- Laying out ------------------------------------------------------------------------------ */

static bool shape_matches(const td_window *window, const td_reference *reference)
{
    if (window->feature_count != reference->feature_count || window->has_prediction != reference->prediction.present ||
        window->has_score != reference->score.present) {
        return false;
    }
    for (size_t i = 0; i < reference->feature_count; i++) {
        if (window->bins[i] != reference->features[i].bins) {
            return false;
        }
    }
    size_t count = reference->feature_count;
    return (!window->has_prediction || window->bins[count] == reference->prediction.bins) &&
           (!window->has_score || window->bins[count + 1] == reference->score.bins);
}

/* Every observation is in exactly one bin, or missing, or infinite. */
static bool stream_adds_up(const td_stream *stream, const uint64_t *vector, uint64_t n)
{
    if (!stream->present) {
        return true;
    }
    const uint64_t *specials = vector + stream->first + stream->bins;
    uint64_t binned = 0;
    for (size_t i = 0; i < stream->bins; i++) {
        binned += vector[stream->first + i];
    }
    return binned + specials[TD_SPECIAL_MISSING] + specials[TD_SPECIAL_INFINITE] == n &&
           specials[TD_SPECIAL_BELOW] + specials[TD_SPECIAL_ABOVE] <= binned;
}

static bool groups_add_up(const td_reference *reference, const uint64_t *vector)
{
    const uint64_t *tallies = vector + reference->tallies_first;
    uint64_t n = 0, judged = 0;
    for (size_t i = 0; i <= reference->group_count; i++) {
        const uint64_t *cells = vector + reference->groups_first + i * TD_CELLS;
        if (cells[TD_CELL_POSITIVE] > cells[TD_CELL_N]) {
            return false;
        }
        n += cells[TD_CELL_N];
        judged += cells[TD_CELL_TP] + cells[TD_CELL_FP] + cells[TD_CELL_FN] + cells[TD_CELL_TN];
    }
    return n == tallies[TD_TALLY_N] && (judged == 0 || judged == tallies[TD_TALLY_LABELLED]) &&
           tallies[TD_TALLY_CORRECT] <= tallies[TD_TALLY_LABELLED];
}

static bool adds_up(const td_reference *reference, const uint64_t *vector)
{
    uint64_t n = vector[reference->tallies_first + TD_TALLY_N];
    for (size_t i = 0; i < reference->feature_count; i++) {
        if (!stream_adds_up(&reference->features[i], vector, n)) {
            return false;
        }
    }
    return stream_adds_up(&reference->prediction, vector, n) && stream_adds_up(&reference->score, vector, n) &&
           groups_add_up(reference, vector);
}

static bool groups_lay_out(const td_window *window, const td_reference *reference, uint64_t *vector)
{
    for (size_t i = 0; i < window->group_count; i++) {
        const tidemark_GroupWindow *g = &window->groups[i];
        if (g->group > reference->group_count) {
            return false;
        }
        uint64_t *cells = vector + reference->groups_first + g->group * TD_CELLS;
        cells[TD_CELL_N] += g->n;
        cells[TD_CELL_POSITIVE] += g->positive;
        cells[TD_CELL_TP] += g->true_positive;
        cells[TD_CELL_FP] += g->false_positive;
        cells[TD_CELL_FN] += g->false_negative;
        cells[TD_CELL_TN] += g->true_negative;
    }
    return true;
}

td_window_verdict td_window_lay_out(const td_window *window, const td_reference *reference, uint64_t *vector_out)
{
    if (!shape_matches(window, reference)) {
        return TD_WINDOW_OTHER_EDGES;
    }
    memset(vector_out, 0, reference->size * sizeof *vector_out);
    for (size_t i = 0; i < window->size; i++) {
        vector_out[i] = window->values[i];
    }
    for (size_t i = 0; i < TD_TALLIES; i++) {
        vector_out[reference->tallies_first + i] = window->tallies[i];
    }
    if (!groups_lay_out(window, reference, vector_out) || !adds_up(reference, vector_out) ||
        window->tallies[TD_TALLY_N] > TDE_WINDOW_OBSERVATIONS_MAX) {
        return TD_WINDOW_INCONSISTENT;
    }
    return TD_WINDOW_STORED;
}

/* ---- Vectors as bytes ------------------------------------------------------------------------ */

size_t td_vector_write(const uint64_t *vector, size_t size, uint8_t *out)
{
    uint8_t *at = out;
    for (size_t i = 0; i < size; i++) {
        uint64_t value = vector[i];
        while (value >= 0x80) {
            *at++ = (uint8_t)(value | 0x80);
            value >>= 7;
        }
        *at++ = (uint8_t)value;
    }
    return (size_t)(at - out);
}

td_code td_vector_add(const void *data, size_t data_size, uint64_t *sum, size_t size, td_err *err)
{
    const uint8_t *at = data, *end = at + data_size;
    for (size_t i = 0; i < size; i++) {
        uint64_t value = 0;
        int shift = 0;
        do {
            if (at == end || shift > 63) {
                return td_fail(err, TD_CORRUPT, "a stored count vector is damaged");
            }
            value |= (uint64_t)(*at & 0x7f) << shift;
            shift += 7;
        } while (*at++ >= 0x80);
        sum[i] += value;
    }
    return at == end ? TD_OK : td_fail(err, TD_CORRUPT, "a stored count vector has another length than its baseline");
}
