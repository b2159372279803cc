/*
 * window.c: see window.h. Feature windows are written one at a time from the bins, so that no second copy of the counts
 * exists.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/edge/window.h"

#include <pb_decode.h>
#include <pb_encode.h>
#include <string.h>

#define VARINT16_BYTES 3u    /* of a count of 16 bits */
#define FEATURE_OVERHEAD 24u /* tags and lengths of one feature, and its four special counters */
#define HEAD_BYTES 1024u     /* everything but features: digests, groups, latency, slot */

static void stream_fill(const tde_bins *bins, const tde_stream *stream, tidemark_FeatureWindow *out)
{
    const uint16_t *counts = bins->counts + stream->count_first;
    out->counts_count = stream->bin_count;
    for (uint32_t i = 0; i < stream->bin_count; i++) {
        out->counts[i] = counts[i];
    }
    out->missing = counts[stream->bin_count];
    out->infinite = counts[stream->bin_count + 1];
    out->below = counts[stream->bin_count + 2];
    out->above = counts[stream->bin_count + 3];
}

static bool write_features(pb_ostream_t *stream, const pb_field_iter_t *field, void *const *arg)
{
    const tde_bins *bins = *arg;
    for (uint32_t i = 0; i < bins->feature_count; i++) {
        tidemark_FeatureWindow feature;
        stream_fill(bins, &bins->features[i], &feature);
        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_submessage(stream, tidemark_FeatureWindow_fields, &feature)) {
            return false;
        }
    }
    return true;
}

static void groups_fill(const tde_bins *bins, tidemark_Window *window)
{
    for (uint32_t i = 0; i <= bins->group_count; i++) {
        const tde_group *group = &bins->tally.groups[i];
        uint32_t labelled =
            (uint32_t)group->true_positive + group->false_positive + group->false_negative + group->true_negative;
        if (group->n == 0 && labelled == 0) {
            continue;
        }
        window->groups[window->groups_count++] = (tidemark_GroupWindow){.group = i,
                                                                        .n = group->n,
                                                                        .positive = group->positive,
                                                                        .true_positive = group->true_positive,
                                                                        .false_positive = group->false_positive,
                                                                        .false_negative = group->false_negative,
                                                                        .true_negative = group->true_negative};
    }
}

static void latency_fill(const tde_bins *bins, tidemark_Window *window)
{
    for (pb_size_t i = 0; i < TDE_LATENCY_BINS; i++) {
        window->latency_log2_us[i] = bins->tally.latency[i];
        if (bins->tally.latency[i] > 0) {
            window->latency_log2_us_count = (pb_size_t)(i + 1);
        }
    }
}

static void head_fill(const tde_window_head *head, tidemark_Window *window)
{
    window->schema = 1;
    window->sequence = head->sequence;
    window->oldest_kept = head->oldest_kept;
    window->boot_id = head->boot_id;
    memcpy(window->manifest_digest, head->manifest_digest, sizeof window->manifest_digest);
    memcpy(window->edges_digest, head->edges_digest, sizeof window->edges_digest);
    window->start_ms = head->start_ms;
    window->length_ms = head->length_ms;
    window->dropped = head->dropped;
    size_t length = head->slot != NULL ? strlen(head->slot) : 0;
    if (length >= sizeof window->slot) {
        length = sizeof window->slot - 1;
    }
    if (length > 0) {
        memcpy(window->slot, head->slot, length);
    }
}

size_t tde_window_size_max(const tde_bins *bins)
{
    return HEAD_BYTES + bins->count_total * VARINT16_BYTES + (bins->feature_count + 2u) * FEATURE_OVERHEAD;
}

int tde_window_encode(const tde_bins *bins, const tde_window_head *head, uint8_t *out, size_t room, size_t *size_out)
{
    tidemark_Window window = tidemark_Window_init_zero;
    head_fill(head, &window);
    window.n = bins->tally.n;
    window.features.funcs.encode = write_features;
    window.features.arg = (void *)(uintptr_t)bins;
    window.has_prediction = bins->prediction.bin_count > 0;
    if (window.has_prediction) {
        stream_fill(bins, &bins->prediction, &window.prediction);
    }
    window.has_score = bins->score.bin_count > 0;
    if (window.has_score) {
        stream_fill(bins, &bins->score, &window.score);
    }
    groups_fill(bins, &window);
    latency_fill(bins, &window);
    window.labelled = bins->tally.labelled;
    window.correct = bins->tally.correct;
    window.errors = bins->tally.errors;
    pb_ostream_t stream = pb_ostream_from_buffer(out, room);
    if (!pb_encode(&stream, tidemark_Window_fields, &window)) {
        return TDE_BINS_ROOM;
    }
    *size_out = stream.bytes_written;
    return TDE_BINS_OK;
}

/* ---- Reading --------------------------------------------------------------------------------- */

typedef struct feature_list {
    tidemark_FeatureWindow *features;
    uint32_t room, count;
    bool too_many;
} feature_list;

static bool read_feature(pb_istream_t *stream, const pb_field_iter_t *field, void **arg)
{
    (void)field;
    feature_list *list = *arg;
    if (list->count >= list->room) {
        list->too_many = true;
        return false;
    }
    if (!pb_decode(stream, tidemark_FeatureWindow_fields, &list->features[list->count])) {
        return false;
    }
    list->count++;
    return true;
}

int tde_window_decode(const uint8_t *data, size_t size, tidemark_Window *window, tidemark_FeatureWindow *features,
                      uint32_t room, uint32_t *count_out)
{
    feature_list list = {.features = features, .room = room};
    *window = (tidemark_Window)tidemark_Window_init_zero;
    window->features.funcs.decode = read_feature;
    window->features.arg = &list;
    pb_istream_t stream = pb_istream_from_buffer(data, size);
    bool read = pb_decode(&stream, tidemark_Window_fields, window);
    window->features = (pb_callback_t){0};
    if (!read) {
        return list.too_many ? TDE_BINS_LIMIT : TDE_BINS_MALFORMED;
    }
    if (window->schema != 1) {
        return window->schema > 1 ? TDE_BINS_SCHEMA : TDE_BINS_MALFORMED;
    }
    *count_out = list.count;
    return TDE_BINS_OK;
}
