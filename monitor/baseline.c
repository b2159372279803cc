/*
 * baseline.c: see baseline.h. The second pass counts the reference with the device's own bins, from a draft of the very
 * message that is then written with the counts in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/baseline.h"

#include "firmware/wire/tidemark.pb.h"
#include "monitor/plan.h"

#include <math.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>

void td_baseline_done(td_baseline *baseline)
{
    td_str_done(&baseline->bytes);
    json_decref(baseline->summary);
    memset(baseline, 0, sizeof *baseline);
}

/* ---- Writing the message --------------------------------------------------------------------- */

static uint32_t narrow(uint64_t count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

static bool write_categories(pb_ostream_t *stream, const pb_field_iter_t *field, void *const *arg)
{
    const td_column *column = *arg;
    for (size_t i = 0; i < column->category_count; i++) {
        const char *text = column->categories[i];
        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_string(stream, (const pb_byte_t *)text, strlen(text))) {
            return false;
        }
    }
    return true;
}

static void stream_fill(const td_column *column, tidemark_FeatureBaseline *out)
{
    *out = (tidemark_FeatureBaseline)tidemark_FeatureBaseline_init_zero;
    memcpy(out->name, column->name, strlen(column->name) + 1);
    out->kind = column->numeric ? tidemark_FeatureKind_FEATURE_NUMERIC : tidemark_FeatureKind_FEATURE_CATEGORICAL;
    out->edges_count = (pb_size_t)column->edge_count;
    memcpy(out->edges, column->edges, sizeof column->edges);
    out->categories.funcs.encode = write_categories;
    out->categories.arg = (void *)(uintptr_t)column;
    out->counts_count = (pb_size_t)((column->numeric ? column->edge_count : column->category_count) + 1);
    for (size_t i = 0; i < out->counts_count; i++) {
        out->counts[i] = narrow(column->counts[i]);
    }
    out->missing = narrow(column->counted_missing);
    if (column->numeric && column->n > 0) {
        out->minimum = column->minimum;
        out->maximum = column->maximum;
        out->mean = column->mean;
        out->deviation = column->n > 1 ? sqrt(column->squares / (double)(column->n - 1)) : 0;
        out->atom = column->minimum >= column->maximum ? column->minimum : 0;
    }
}

static bool write_features(pb_ostream_t *stream, const pb_field_iter_t *field, void *const *arg)
{
    const td_plan *plan = *arg;
    for (size_t i = 0; i < plan->feature_count; i++) {
        tidemark_FeatureBaseline feature;
        stream_fill(&plan->features[i], &feature);
        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_submessage(stream, tidemark_FeatureBaseline_fields, &feature)) {
            return false;
        }
    }
    return true;
}

static void groups_fill(const td_plan *plan, tidemark_Baseline *message)
{
    message->groups_count = (pb_size_t)plan->group_count;
    for (size_t i = 0; i < plan->group_count; i++) {
        const uint64_t *cells = plan->group_cells[i];
        tidemark_GroupBaseline *group = &message->groups[i];
        memcpy(group->name, plan->group_names[i], strlen(plan->group_names[i]) + 1);
        group->n = narrow(cells[0]);
        group->positive = narrow(cells[1]);
        group->true_positive = narrow(cells[2]);
        group->false_positive = narrow(cells[3]);
        group->false_negative = narrow(cells[4]);
        group->true_negative = narrow(cells[5]);
    }
}

static td_code encode(const td_plan *plan, td_str *out, td_err *err)
{
    tidemark_Baseline message = tidemark_Baseline_init_zero;
    message.schema = 1;
    message.features.funcs.encode = write_features;
    message.features.arg = (void *)(uintptr_t)plan;
    message.has_prediction = plan->prediction.index != TD_NO_COLUMN;
    if (message.has_prediction) {
        stream_fill(&plan->prediction, &message.prediction);
    }
    message.has_score = plan->score.index != TD_NO_COLUMN;
    if (message.has_score) {
        stream_fill(&plan->score, &message.score);
        message.decision_threshold = (float)plan->threshold;
    }
    memcpy(message.positive_class, plan->positive, strlen(plan->positive) + 1);
    groups_fill(plan, &message);
    message.rows = plan->rows;
    message.labelled = plan->labelled > 0;
    message.accuracy = plan->labelled > 0 ? (double)plan->correct / (double)plan->labelled : 0;
    uint8_t *bytes = malloc(TDE_BASELINE_SIZE_MAX);
    if (bytes == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, TDE_BASELINE_SIZE_MAX);
    bool written = pb_encode(&stream, tidemark_Baseline_fields, &message);
    td_str_clear(out);
    td_str_append(out, bytes, stream.bytes_written);
    free(bytes);
    if (!written) {
        return td_fail(err, TD_LIMIT,
                       "the baseline of %zu features is larger than %u bytes; watch fewer features or "
                       "shorten the names of categories",
                       plan->feature_count, TDE_BASELINE_SIZE_MAX);
    }
    return td_str_check(out, err);
}

/* ---- Second pass ----------------------------------------------------------------------------- */

typedef struct counting {
    td_csv *csv;
    td_plan *plan;
    tde_bins bins;
    tde_pending pending;
    float *values;
    uint64_t rows;
} counting;

static float field_value(const counting *c, const td_column *column, uint32_t index)
{
    const char *text = td_csv_field(c->csv, column->index);
    double value = 0;
    if (!column->numeric) {
        char room[32];
        text = td_field_missing(text) ? "" : td_class_text(text, room);
        return text[0] == '\0' ? NAN : (float)tde_category(&c->bins, index, text, strlen(text));
    }
    switch (td_number_read(text, &value)) {
    case TD_NUMBER:
        return (float)value;
    case TD_NUMBER_INFINITE:
        return INFINITY;
    default:
        return NAN;
    }
}

static void take_stream(const tde_bins *bins, const tde_stream *stream, td_column *column)
{
    const uint16_t *counts = bins->counts + stream->count_first;
    for (size_t i = 0; i < stream->bin_count; i++) {
        column->counts[i] += counts[i];
    }
    column->counted_missing += counts[stream->bin_count];
}

/* Moves what the bins hold into the plan's wide counters. */
static void drain(counting *c)
{
    const tde_bins *bins = &c->bins;
    for (size_t i = 0; i < c->plan->feature_count; i++) {
        take_stream(bins, &bins->features[i], &c->plan->features[i]);
    }
    take_stream(bins, &bins->prediction, &c->plan->prediction);
    take_stream(bins, &bins->score, &c->plan->score);
    for (size_t i = 0; i <= c->plan->group_count; i++) {
        const tde_group *g = &bins->tally.groups[i];
        const uint16_t cells[6] = {
            g->n, g->positive, g->true_positive, g->false_positive, g->false_negative, g->true_negative};
        for (size_t k = 0; k < 6; k++) {
            c->plan->group_cells[i][k] += cells[k];
        }
    }
    c->plan->labelled += bins->tally.labelled;
    c->plan->correct += bins->tally.correct;
    tde_bins_reset(&c->bins);
}

static int32_t group_index(const counting *c)
{
    const char *text = c->plan->group != TD_NO_COLUMN ? td_csv_field(c->csv, c->plan->group) : "";
    return text[0] != '\0' ? (int32_t)tde_group_index(&c->bins, text, strlen(text)) : -1;
}

static void count_label(counting *c, uint64_t id)
{
    const td_plan *plan = c->plan;
    if (plan->label == TD_NO_COLUMN || plan->prediction_is_value ||
        td_field_missing(td_csv_field(c->csv, plan->label))) {
        return;
    }
    char room[32];
    const char *text = td_class_text(td_csv_field(c->csv, plan->label), room);
    (void)tde_label(&c->bins, id, (float)tde_category(&c->bins, TDE_PREDICTION, text, strlen(text)));
}

static void count_row(counting *c)
{
    td_plan *plan = c->plan;
    for (size_t i = 0; i < plan->feature_count; i++) {
        c->values[i] = field_value(c, &plan->features[i], (uint32_t)i);
    }
    bool predicts = plan->prediction.index != TD_NO_COLUMN, scores = plan->score.index != TD_NO_COLUMN;
    tde_observation observation = {
        .features = c->values,
        .feature_count = (uint32_t)plan->feature_count,
        .prediction = predicts ? field_value(c, &plan->prediction, TDE_PREDICTION) : NAN,
        .score = scores ? field_value(c, &plan->score, 0) : NAN,
        .group = group_index(c),
        .id = ++c->rows,
    };
    if (tde_bins_full(&c->bins)) {
        drain(c);
    }
    (void)tde_observe(&c->bins, &observation);
    count_label(c, observation.id);
}

static td_code count_rows(const td_csv_source *source, counting *c, td_err *err)
{
    TD_CLEANUP(td_csv_close) td_csv *csv = NULL;
    TD_TRY(td_csv_open(source, &csv, err));
    c->csv = csv;
    bool row;
    TD_TRY(td_csv_next(csv, &row, err)); /* the header */
    while (row) {
        TD_TRY(td_csv_next(csv, &row, err));
        if (row && td_csv_count(csv) == c->plan->column_count) {
            count_row(c);
        }
    }
    drain(c);
    if (c->rows != c->plan->rows) {
        return td_fail(err, TD_CONFLICT, "%s changed while it was read", source->name);
    }
    return TD_OK;
}

static td_code second_pass(const td_csv_source *source, td_plan *plan, const td_str *draft, td_err *err)
{
    counting c = {.plan = plan};
    const uint8_t *bytes = (const uint8_t *)draft->data;
    size_t need = 0;
    int code = tde_bins_measure(bytes, draft->size, &need);
    void *memory = td_arena_alloc(&plan->arena, need + 8);
    c.values = td_arena_alloc(&plan->arena, (plan->feature_count + 1) * sizeof *c.values);
    if (memory == NULL || c.values == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    if (code == TDE_BINS_OK) {
        code = tde_bins_init(&c.bins, bytes, draft->size, memory, need);
    }
    if (code != TDE_BINS_OK) {
        return td_fail(err, TD_INTERNAL, "the draft of the baseline cannot be read back (%d)", code);
    }
    tde_bins_remember(&c.bins, &c.pending, 1);
    return count_rows(source, &c, err);
}

/* ---- All ------------------------------------------------------------------------------------- */

static td_code finish(const td_plan *plan, td_baseline *out, td_err *err)
{
    td_baseline made = {0};
    td_code code = encode(plan, &made.bytes, err);
    if (code == TD_OK) {
        td_sha256_of(made.bytes.data, made.bytes.size, made.digest);
        code = td_baseline_edges_digest(made.bytes.data, made.bytes.size, made.edges_digest, err);
    }
    if (code == TD_OK) {
        code = td_baseline_json(made.bytes.data, made.bytes.size, &made.summary, err);
    }
    if (code != TD_OK) {
        td_baseline_done(&made);
        return code;
    }
    json_object_set(made.summary, "warnings", plan->warnings);
    *out = made;
    return TD_OK;
}

td_code td_baseline_build(const td_csv_source *source, const json_t *columns, td_baseline *out, td_err *err)
{
    TD_CLEANUP(td_plan_done) td_plan plan = {0};
    TD_CLEANUP(td_csv_close) td_csv *csv = NULL;
    TD_CLEANUP(td_str_done) td_str draft = {0};
    TD_TRY(td_csv_open(source, &csv, err));
    TD_TRY(td_plan_make(csv, columns, &plan, err));
    TD_TRY(td_plan_profile(csv, &plan, err));
    TD_TRY(td_plan_decide(&plan, err));
    TD_TRY(encode(&plan, &draft, err));
    TD_TRY(second_pass(source, &plan, &draft, err));
    return finish(&plan, out, err);
}
