/*
 * signals.c: each signal's statistic, its interval and its severity, from one vector of counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *td_severity_name(td_severity severity)
{
    static const char *const names[] = {"none", "warning", "alert"};
    return names[severity];
}

void td_results_done(td_results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        json_decref(results->items[i].statistics);
    }
    free(results->items);
    memset(results, 0, sizeof *results);
}

json_t *td_number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *td_interval_json(td_interval interval)
{
    json_t *json = json_object();
    json_object_set_new(json, "value", td_number_json(interval.value));
    json_object_set_new(json, "low", td_number_json(interval.low));
    json_object_set_new(json, "high", td_number_json(interval.high));
    return json;
}

static td_result *result_add(td_results *results, td_signal_kind kind, const td_bounds *bounds, const char *feature,
                             const td_stream *stream)
{
    if (results->count == results->room) {
        size_t room = results->room == 0 ? 64 : results->room * 2;
        td_result *grown = realloc(results->items, room * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        results->items = grown;
        results->room = room;
    }
    td_result *result = &results->items[results->count++];
    *result = (td_result){.kind = kind,
                          .feature = feature,
                          .stream = stream,
                          .bounds = *bounds,
                          .value = NAN,
                          .interval = {NAN, NAN, NAN},
                          .certain = true,
                          .statistics = json_object()};
    return result;
}

/* ---- Drift ----------------------------------------------------------------------------------- */

size_t td_stream_join(const td_stream *stream, const uint64_t *sum, uint64_t *reference_out, uint64_t *current_out)
{
    td_histograms h = {stream->counts, sum + stream->first, stream->bins};
    if (stream->numeric) {
        return td_join_deciles(&h, reference_out, current_out, NULL);
    }
    memcpy(reference_out, h.reference, h.bins * sizeof *reference_out);
    memcpy(current_out, h.current, h.bins * sizeof *current_out);
    return h.bins;
}

double td_stream_psi(const td_stream *stream, const uint64_t *sum)
{
    uint64_t reference[TD_STATS_BINS_MAX], current[TD_STATS_BINS_MAX];
    td_histograms joined = {reference, current, td_stream_join(stream, sum, reference, current)};
    return td_psi_corrected(&joined);
}

static double wasserstein_of(const td_stream *stream, const td_histograms *h)
{
    if (!stream->numeric || !(stream->deviation > 0) || stream->bins < 2) {
        return NAN;
    }
    double bounds[TD_STATS_BINS_MAX + 1];
    bounds[0] = fmin(stream->minimum, (double)stream->edges[0]);
    for (size_t i = 1; i < stream->bins; i++) {
        bounds[i] = (double)stream->edges[i - 1];
    }
    bounds[stream->bins] = fmax(stream->maximum, bounds[stream->bins - 1]);
    return td_wasserstein(h, bounds) / stream->deviation;
}

static uint64_t binned(const td_stream *stream, const uint64_t *sum)
{
    uint64_t n = 0;
    for (size_t i = 0; i < stream->bins; i++) {
        n += sum[stream->first + i];
    }
    return n;
}

static td_code test_drift(const td_spec *spec, td_signal_kind kind, const td_stream *stream, const uint64_t *sum,
                          td_results *out, td_err *err)
{
    td_bounds bounds = td_spec_bounds(spec, kind, stream->name);
    if (!stream->present || !bounds.enabled) {
        return TD_OK;
    }
    td_result *r = result_add(out, kind, &bounds, stream->name, stream);
    if (r == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    td_histograms all = {stream->counts, sum + stream->first, stream->bins};
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"population_stability_index", td_stream_psi(stream, sum)},
        {"kolmogorov_smirnov", stream->numeric ? td_ks_statistic(&all) : NAN},
        {"js_distance_log2", td_js_distance_log2(&all)},
        {"wasserstein_over_deviation", wasserstein_of(stream, &all)},
        {"l_infinity", td_l_infinity(&all)},
        {"hellinger", td_hellinger(&all)},
        {"total_variation", td_total_variation(&all)},
    };
    r->value = rows[0].value;
    for (size_t i = 0; i < TD_COUNT_OF(rows); i++) {
        json_object_set_new(r->statistics, rows[i].name, td_number_json(rows[i].value));
        if (strcmp(rows[i].name, bounds.metric) == 0 && !isnan(rows[i].value)) {
            r->value = rows[i].value;
        }
    }
    r->streams = true;
    r->n = binned(stream, sum);
    return TD_OK;
}

/* ---- Rates ----------------------------------------------------------------------------------- */

/* k of n now against k0 of n0 in the reference. */
static td_code test_rate(const td_spec *spec, td_signal_kind kind, const td_stream *stream, const uint64_t now[2],
                         const uint64_t then[2], td_results *out, td_err *err)
{
    td_bounds bounds = td_spec_bounds(spec, kind, stream->name);
    if (!bounds.enabled || now[1] == 0) {
        return TD_OK;
    }
    td_result *r = result_add(out, kind, &bounds, stream->name, stream);
    if (r == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    double reference = then[1] > 0 ? (double)then[0] / (double)then[1] : 0;
    r->interval = td_wilson(now[0], now[1], TD_Z95);
    r->value = r->interval.low - reference; /* the lower bound decides */
    r->n = now[1];
    json_object_set_new(r->statistics, "rate", td_interval_json(r->interval));
    json_object_set_new(r->statistics, "reference_rate", json_real(reference));
    json_object_set_new(r->statistics, "count", json_integer((json_int_t)now[0]));
    return TD_OK;
}

static td_code test_quality(const td_spec *spec, const td_reference *reference, const td_stream *stream,
                            const uint64_t *sum, td_results *out, td_err *err)
{
    const uint64_t *specials = sum + stream->first + stream->bins;
    uint64_t values = binned(stream, sum);
    uint64_t all = values + specials[TD_SPECIAL_MISSING] + specials[TD_SPECIAL_INFINITE];
    uint64_t missing[2] = {specials[TD_SPECIAL_MISSING], all}, missing_then[2] = {stream->missing, reference->rows};
    TD_TRY(test_rate(spec, TD_SIGNAL_MISSING, stream, missing, missing_then, out, err));
    uint64_t none[2] = {0, 1};
    if (stream->numeric) {
        uint64_t infinite[2] = {specials[TD_SPECIAL_INFINITE], all};
        uint64_t range[2] = {specials[TD_SPECIAL_BELOW] + specials[TD_SPECIAL_ABOVE], values};
        TD_TRY(test_rate(spec, TD_SIGNAL_INFINITE, stream, infinite, none, out, err));
        return test_rate(spec, TD_SIGNAL_RANGE, stream, range, none, out, err);
    }
    uint64_t rows = 0;
    for (size_t i = 0; i < stream->bins; i++) {
        rows += stream->counts[i];
    }
    uint64_t unseen[2] = {sum[stream->first + stream->bins - 1], values},
             unseen_then[2] = {stream->counts[stream->bins - 1], rows};
    return test_rate(spec, TD_SIGNAL_UNSEEN, stream, unseen, unseen_then, out, err);
}

/* ---- Performance ----------------------------------------------------------------------------- */

static td_code test_performance(const td_spec *spec, const td_reference *reference, const uint64_t *sum,
                                td_results *out, td_err *err)
{
    td_bounds bounds = td_spec_bounds(spec, TD_SIGNAL_PERFORMANCE, "");
    if (!bounds.enabled || isnan(reference->accuracy)) {
        return TD_OK;
    }
    td_result *r = result_add(out, TD_SIGNAL_PERFORMANCE, &bounds, "", NULL);
    if (r == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    const uint64_t *tallies = sum + reference->tallies_first;
    uint64_t right = (uint64_t)(reference->accuracy * (double)reference->rows + 0.5);
    r->interval = td_newcombe(right, reference->rows, tallies[TD_TALLY_CORRECT], tallies[TD_TALLY_LABELLED], TD_Z95);
    r->value = r->interval.value;
    r->certain = r->interval.low > 0;
    r->n = tallies[TD_TALLY_LABELLED];
    json_object_set_new(r->statistics, "drop", td_interval_json(r->interval));
    json_t *performance = td_performance_json(reference, sum);
    json_object_update(r->statistics, performance);
    json_decref(performance);
    return TD_OK;
}

/* ---- Fairness -------------------------------------------------------------------------------- */

static const uint64_t *cells_of(const td_reference *reference, const uint64_t *sum, size_t group)
{
    return sum + reference->groups_first + group * TD_CELLS;
}

typedef enum rate_kind { SELECTION, TRUE_POSITIVE, FALSE_POSITIVE } rate_kind;

static td_gap gap_of(const td_reference *reference, const uint64_t *sum, rate_kind kind, uint64_t minimum)
{
    td_rate rates[TD_GROUPS_MAX] = {{0, 0}};
    for (size_t i = 0; i < reference->group_count; i++) {
        const uint64_t *c = cells_of(reference, sum, i);
        rates[i] = kind == SELECTION       ? (td_rate){c[TD_CELL_POSITIVE], c[TD_CELL_N]}
                   : kind == TRUE_POSITIVE ? (td_rate){c[TD_CELL_TP], c[TD_CELL_TP] + c[TD_CELL_FN]}
                                           : (td_rate){c[TD_CELL_FP], c[TD_CELL_FP] + c[TD_CELL_TN]};
    }
    return td_group_gap(rates, reference->group_count, minimum, TD_Z95);
}

static json_t *gap_json(const td_reference *reference, const td_gap *gap)
{
    json_t *json = json_object();
    json_object_set_new(json, "difference", td_interval_json(gap->difference));
    json_object_set_new(json, "ratio", td_interval_json(gap->ratio));
    json_object_set_new(json, "groups_compared", json_integer((json_int_t)gap->compared));
    if (gap->compared >= 2) {
        json_object_set_new(json, "highest", json_string(reference->groups[gap->highest]));
        json_object_set_new(json, "lowest", json_string(reference->groups[gap->lowest]));
        json_object_set_new(json, "expected_if_fair", td_number_json(gap->expected_if_fair));
        json_object_set_new(json, "excess", td_number_json(gap->excess));
        json_object_set_new(json, "p_value", td_number_json(gap->p_value));
    }
    return json;
}

json_t *td_fairness_json(const td_reference *reference, const uint64_t *sum, uint64_t minimum_n)
{
    td_gap selection = gap_of(reference, sum, SELECTION, minimum_n);
    td_gap tpr = gap_of(reference, sum, TRUE_POSITIVE, minimum_n),
           fpr = gap_of(reference, sum, FALSE_POSITIVE, minimum_n);
    json_t *json = json_object();
    json_object_set_new(json, "demographic_parity_difference", td_interval_json(selection.difference));
    json_object_set_new(json, "demographic_parity_ratio", td_interval_json(selection.ratio));
    json_object_set_new(json, "demographic_parity", gap_json(reference, &selection));
    json_object_set_new(json, "equal_opportunity", gap_json(reference, &tpr));
    json_object_set_new(json, "false_positive_rate", gap_json(reference, &fpr));
    return json;
}

static td_code test_fairness(const td_spec *spec, const td_reference *reference, const uint64_t *sum, td_results *out,
                             td_err *err)
{
    td_bounds bounds = td_spec_bounds(spec, TD_SIGNAL_FAIRNESS, "");
    if (!bounds.enabled || reference->positive[0] == '\0') {
        return TD_OK;
    }
    td_result *r = result_add(out, TD_SIGNAL_FAIRNESS, &bounds, "", NULL);
    if (r == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    td_gap gap = gap_of(reference, sum, SELECTION, spec->minimum_group);
    if (strcmp(bounds.metric, "demographic_parity_difference") != 0) {
        gap = gap_of(reference, sum, TRUE_POSITIVE, spec->minimum_group);
    }
    if (strcmp(bounds.metric, "equalized_odds_difference") == 0) {
        td_gap fpr = gap_of(reference, sum, FALSE_POSITIVE, spec->minimum_group);
        gap = !(gap.difference.value >= fpr.difference.value) ? fpr : gap;
    }
    r->interval = gap.difference;
    r->value = gap.difference.low; /* the lower bound decides */
    r->certain = gap.p_value < 0.01;
    for (size_t i = 0; i < reference->group_count; i++) {
        r->n += cells_of(reference, sum, i)[TD_CELL_N];
    }
    json_decref(r->statistics);
    r->statistics = td_fairness_json(reference, sum, spec->minimum_group);
    json_object_set_new(r->statistics, "groups", td_groups_json(reference, sum));
    return TD_OK;
}

/* ---- All ------------------------------------------------------------------------------------- */

bool td_signals_ready(const td_spec *spec, const td_reference *reference, const uint64_t *sum, td_waiting waiting)
{
    const uint64_t *tallies = sum + reference->tallies_first;
    size_t groups = 0;
    switch (waiting) {
    case TD_WAIT_OBSERVATIONS:
        return tallies[TD_TALLY_N] >= spec->minimum_observations;
    case TD_WAIT_LABELS:
        return tallies[TD_TALLY_LABELLED] >= spec->minimum_labels;
    default:
        for (size_t i = 0; i < reference->group_count; i++) {
            uint64_t n = cells_of(reference, sum, i)[TD_CELL_N];
            if (n > 0 && n < spec->minimum_group) {
                return false; /* its turn comes when it has grown */
            }
            groups += n > 0;
        }
        return groups >= 2;
    }
}

static td_code test_observations(const td_spec *spec, const td_reference *reference, const uint64_t *sum,
                                 td_results *out, td_err *err)
{
    for (size_t i = 0; i < reference->feature_count; i++) {
        TD_TRY(test_drift(spec, TD_SIGNAL_DATA_DRIFT, &reference->features[i], sum, out, err));
        TD_TRY(test_quality(spec, reference, &reference->features[i], sum, out, err));
    }
    TD_TRY(test_drift(spec, TD_SIGNAL_PREDICTION_DRIFT, &reference->prediction, sum, out, err));
    return test_drift(spec, TD_SIGNAL_PREDICTION_DRIFT, &reference->score, sum, out, err);
}

td_code td_signals_test(const td_spec *spec, const td_reference *reference, const uint64_t *sum, td_waiting waiting,
                        td_results *out, td_err *err)
{
    switch (waiting) {
    case TD_WAIT_OBSERVATIONS:
        return test_observations(spec, reference, sum, out, err);
    case TD_WAIT_LABELS:
        return test_performance(spec, reference, sum, out, err);
    default:
        return test_fairness(spec, reference, sum, out, err);
    }
}

size_t td_signals_streams(const td_reference *reference)
{
    return reference->feature_count + reference->prediction.present + reference->score.present;
}

/* ---- For people ------------------------------------------------------------------------------ */

json_t *td_groups_json(const td_reference *reference, const uint64_t *sum)
{
    json_t *groups = json_array();
    for (size_t i = 0; i <= reference->group_count; i++) {
        const uint64_t *c = cells_of(reference, sum, i);
        if (i == reference->group_count && c[TD_CELL_N] == 0) {
            continue;
        }
        uint64_t labelled = c[TD_CELL_TP] + c[TD_CELL_FP] + c[TD_CELL_FN] + c[TD_CELL_TN];
        json_t *group = json_object();
        json_object_set_new(group, "group", json_string(i < reference->group_count ? reference->groups[i] : "other"));
        json_object_set_new(group, "n", json_integer((json_int_t)c[TD_CELL_N]));
        json_object_set_new(group, "positive_rate",
                            td_interval_json(td_wilson(c[TD_CELL_POSITIVE], c[TD_CELL_N], TD_Z95)));
        json_object_set_new(group, "labelled", json_integer((json_int_t)labelled));
        json_object_set_new(group, "base_rate",
                            td_interval_json(td_wilson(c[TD_CELL_TP] + c[TD_CELL_FN], labelled, TD_Z95)));
        json_object_set_new(group, "accuracy",
                            td_interval_json(td_wilson(c[TD_CELL_TP] + c[TD_CELL_TN], labelled, TD_Z95)));
        json_object_set_new(group, "true_positive_rate",
                            td_interval_json(td_wilson(c[TD_CELL_TP], c[TD_CELL_TP] + c[TD_CELL_FN], TD_Z95)));
        json_object_set_new(group, "false_positive_rate",
                            td_interval_json(td_wilson(c[TD_CELL_FP], c[TD_CELL_FP] + c[TD_CELL_TN], TD_Z95)));
        json_array_append_new(groups, group);
    }
    return groups;
}

static double ratio_of(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : NAN;
}

json_t *td_performance_json(const td_reference *reference, const uint64_t *sum)
{
    const uint64_t *tallies = sum + reference->tallies_first;
    uint64_t tp = 0, fp = 0, fn = 0;
    for (size_t i = 0; i <= reference->group_count; i++) {
        tp += cells_of(reference, sum, i)[TD_CELL_TP];
        fp += cells_of(reference, sum, i)[TD_CELL_FP];
        fn += cells_of(reference, sum, i)[TD_CELL_FN];
    }
    td_interval accuracy = td_wilson(tallies[TD_TALLY_CORRECT], tallies[TD_TALLY_LABELLED], TD_Z95);
    json_t *json = json_object();
    json_object_set_new(json, "observations", json_integer((json_int_t)tallies[TD_TALLY_N]));
    json_object_set_new(json, "labelled", json_integer((json_int_t)tallies[TD_TALLY_LABELLED]));
    json_object_set_new(json, "accuracy", td_interval_json(accuracy));
    json_object_set_new(json, "reference_accuracy", td_number_json(reference->accuracy));
    json_object_set_new(json, "precision", td_number_json(ratio_of(tp, tp + fp)));
    json_object_set_new(json, "recall", td_number_json(ratio_of(tp, tp + fn)));
    json_object_set_new(json, "f1", td_number_json(ratio_of(2 * tp, 2 * tp + fp + fn)));
    json_object_set_new(json, "errors", json_integer((json_int_t)tallies[TD_TALLY_ERRORS]));
    return json;
}
