/*
 * spec.h: the monitor of a model, read: bounds of every signal with defaults filled in. Private to monitor/.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_SPEC_H
#define TD_MONITOR_SPEC_H

#include "monitor/evaluate.h"

typedef enum td_signal_kind {
    TD_SIGNAL_DATA_DRIFT,
    TD_SIGNAL_PREDICTION_DRIFT,
    TD_SIGNAL_MISSING,
    TD_SIGNAL_INFINITE,
    TD_SIGNAL_RANGE,
    TD_SIGNAL_UNSEEN,
    TD_SIGNAL_PERFORMANCE,
    TD_SIGNAL_FAIRNESS,
    TD_SIGNALS
} td_signal_kind;

const char *td_signal_name(td_signal_kind kind); /* "data_drift" */

typedef struct td_bounds {
    bool enabled;
    const char *metric; /* static */
    double warning, alert;
} td_bounds;

typedef struct td_spec {
    int64_t window_ms, grace_ms;
    uint64_t minimum_observations, minimum_labels, minimum_group;
    int breaches, tests, clear; /* breaches of the newest `tests` fire; `clear` in a row resolve */
    bool evidence;              /* drift also needs the e-detector */
    int64_t false_alarm_ms;     /* its budget: one false alarm in this time */
    json_t *json;               /* as given, owned */
} td_spec;

void td_spec_done(td_spec *spec); /* TD_CLEANUP */
/* Fills in from a checked JSON spec (NULL: all defaults). */
TD_MUST_USE td_code td_spec_fill(const json_t *json, td_spec *out, td_err *err);
/* The bounds of a signal, for one feature ("" for the whole model). */
td_bounds td_spec_bounds(const td_spec *spec, td_signal_kind kind, const char *feature);
/* The model's stored spec, or the defaults. */
TD_MUST_USE td_code td_spec_load(td_db *db, const char *project, const char *model, td_spec *out, td_err *err);

#endif
