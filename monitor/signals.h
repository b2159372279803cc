/*
 * signals.h: tests of every signal on one sum of counts, and the states a signal goes through. Private to monitor/.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_SIGNALS_H
#define TD_MONITOR_SIGNALS_H

#include "core/base/states.h"
#include "monitor/reference.h"
#include "monitor/spec.h"
#include "monitor/stats.h"

/* What thin data waits for: signals of one kind of waiting are tested together. */
typedef enum td_waiting { TD_WAIT_OBSERVATIONS, TD_WAIT_LABELS, TD_WAIT_GROUPS, TD_WAITINGS } td_waiting;

typedef enum td_severity { TD_SEVERITY_NONE, TD_SEVERITY_WARNING, TD_SEVERITY_ALERT } td_severity;
const char *td_severity_name(td_severity severity);

/* One signal, tested. */
typedef struct td_result {
    td_signal_kind kind;
    const char *feature;     /* "" for the whole model; lives as long as the reference */
    const td_stream *stream; /* or NULL */
    td_bounds bounds;
    double value; /* the deciding statistic; NAN: undefined */
    td_interval interval;
    bool certain; /* the interval's bound agrees (rates, performance, fairness) */
    bool streams; /* drift: also wants evidence from bin counts */
    uint64_t n;
    json_t *statistics; /* owned */
} td_result;

typedef struct td_results {
    td_result *items;
    size_t count, room;
} td_results;
void td_results_done(td_results *results);

/* Enough counts to test the signals that wait for this? */
bool td_signals_ready(const td_spec *spec, const td_reference *reference, const uint64_t *sum, td_waiting waiting);
/* Tests every enabled signal of that kind of waiting. */
TD_MUST_USE td_code td_signals_test(const td_spec *spec, const td_reference *reference, const uint64_t *sum,
                                    td_waiting waiting, td_results *out, td_err *err);
/* The joined histograms that drift and evidence look at; arrays of TD_STATS_BINS_MAX. */
size_t td_stream_join(const td_stream *stream, const uint64_t *sum, uint64_t *reference_out, uint64_t *current_out);
/* How many e-detectors a model runs: for the false-alarm budget. */
size_t td_signals_streams(const td_reference *reference);
/* PSI* of one stream in a sum. */
double td_stream_psi(const td_stream *stream, const uint64_t *sum);

/* NAN becomes null. */
json_t *td_number_json(double value);
json_t *td_interval_json(td_interval interval);
/* Per group: n, positive_rate, and with labels accuracy, true and false positive rate; and the gaps between groups. */
json_t *td_groups_json(const td_reference *reference, const uint64_t *sum);
json_t *td_fairness_json(const td_reference *reference, const uint64_t *sum, uint64_t minimum_n);
/* observations, labelled, accuracy with interval, reference accuracy, precision, recall, F1, errors. */
json_t *td_performance_json(const td_reference *reference, const uint64_t *sum);

/* ---- States ---------------------------------------------------------------------------------- */

typedef enum td_signal_state {
    TD_STATE_OK,
    TD_STATE_PENDING,
    TD_STATE_FIRING,
    TD_STATE_ACKNOWLEDGED,
    TD_STATE_RESOLVED,
    TD_STATE_COUNT
} td_signal_state;
extern const td_states td_signal_states;
const char *td_signal_state_name(td_signal_state state);

typedef struct td_signal_track {
    td_signal_state state;
    uint32_t history; /* lowest bit newest */
    int clear_count;
} td_signal_track;
/* One more test: `breach` counts towards firing, `clear` (well below the bounds) towards resolving. */
td_signal_state td_signal_step(td_signal_track *track, const td_spec *spec, bool breach, bool clear);
bool td_signal_open(td_signal_state state); /* firing or acknowledged */

#endif
