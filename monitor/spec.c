/*
 * spec.c: monitor.yaml: one table of keys, one of signals with their default bounds.
 *
 * Bounds follow one scale of effects (docs/monitoring.md, "Equivalences"): PSI 0.1 is a shift of 0.32 standard
 * deviations.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/spec.h"

#include "core/base/clock.h"
#include "monitor/store.h"

#include <string.h>

#define GRACE_SHARE 10
#define GRACE_MAX_MS 300000
#define WINDOW_MIN_MS 1000
#define WINDOW_MAX_MS (7 * 86400000LL)
#define HISTORY_MAX 30

static const char *const numeric_metrics[] = {"population_stability_index",
                                              "kolmogorov_smirnov",
                                              "js_distance_log2",
                                              "wasserstein_over_deviation",
                                              "l_infinity",
                                              "hellinger",
                                              "total_variation",
                                              NULL};
static const char *const rate_metrics[] = {"rate_increase", NULL};
static const char *const performance_metrics[] = {"accuracy_drop", NULL};
static const char *const fairness_metrics[] = {"demographic_parity_difference", "equal_opportunity_difference",
                                               "equalized_odds_difference", NULL};

typedef struct signal_row {
    const char *name;
    const char *const *metrics; /* the first is the default */
    double warning, alert;
} signal_row;

static const signal_row signals[TD_SIGNALS] = {
    [TD_SIGNAL_DATA_DRIFT] = {"data_drift", numeric_metrics, 0.10, 0.25},
    [TD_SIGNAL_PREDICTION_DRIFT] = {"prediction_drift", numeric_metrics, 0.10, 0.20},
    [TD_SIGNAL_MISSING] = {"missing_rate", rate_metrics, 0.01, 0.05},
    [TD_SIGNAL_INFINITE] = {"infinite_rate", rate_metrics, 0.01, 0.05},
    [TD_SIGNAL_RANGE] = {"out_of_range_rate", rate_metrics, 0.001, 0.01},
    [TD_SIGNAL_UNSEEN] = {"unseen_rate", rate_metrics, 0.001, 0.01},
    [TD_SIGNAL_PERFORMANCE] = {"performance", performance_metrics, 0.02, 0.05},
    [TD_SIGNAL_FAIRNESS] = {"fairness", fairness_metrics, 0.05, 0.10},
};

/* Bounds of a metric that is not its signal's default. */
static const struct metric_row {
    const char *name;
    double warning, alert;
} other_metrics[] = {
    {"kolmogorov_smirnov", 0.10, 0.20}, {"js_distance_log2", 0.10, 0.20}, {"wasserstein_over_deviation", 0.25, 0.5},
    {"l_infinity", 0.10, 0.20},         {"hellinger", 0.09, 0.17},        {"total_variation", 0.10, 0.20},
};

static const td_json_field minimum_fields[] = {
    {.name = "observations", .type = TD_JSON_INTEGER, .minimum = 20, .maximum = 1e9},
    {.name = "labels", .type = TD_JSON_INTEGER, .minimum = 20, .maximum = 1e9},
    {.name = "group", .type = TD_JSON_INTEGER, .minimum = 10, .maximum = 1e9},
    {.name = NULL},
};
static const td_json_field persistence_fields[] = {
    {.name = "breaches", .type = TD_JSON_INTEGER, .minimum = 1, .maximum = HISTORY_MAX},
    {.name = "tests", .type = TD_JSON_INTEGER, .minimum = 1, .maximum = HISTORY_MAX},
    {.name = "clear", .type = TD_JSON_INTEGER, .minimum = 1, .maximum = HISTORY_MAX},
    {.name = NULL},
};
static const td_json_field evidence_fields[] = {
    {.name = "required", .type = TD_JSON_BOOLEAN},
    {.name = "false_alarm_every", .type = TD_JSON_DURATION},
    {.name = NULL},
};
static const td_json_field retraining_fields[] = {
    {.name = "pipeline", .type = TD_JSON_STRING, .required = true},
    {.name = "on", .type = TD_JSON_ARRAY, .item_type = TD_JSON_STRING, .minimum = 1, .maximum = TD_SIGNALS},
    {.name = "cooldown", .type = TD_JSON_DURATION},
    {.name = "budget", .type = TD_JSON_INTEGER, .minimum = 1, .maximum = 10000},
    {.name = "budget_period", .type = TD_JSON_DURATION},
    {.name = NULL},
};
static const td_json_field spec_fields[] = {
    {.name = "window", .type = TD_JSON_DURATION},
    {.name = "grace", .type = TD_JSON_DURATION},
    {.name = "minimum", .type = TD_JSON_OBJECT, .fields = minimum_fields},
    {.name = "persistence", .type = TD_JSON_OBJECT, .fields = persistence_fields},
    {.name = "evidence", .type = TD_JSON_OBJECT, .fields = evidence_fields},
    {.name = "monitoring_signals", .type = TD_JSON_OBJECT},
    {.name = "retraining", .type = TD_JSON_OBJECT, .fields = retraining_fields},
    {.name = NULL},
};

const char *td_signal_name(td_signal_kind kind)
{
    return signals[kind].name;
}

static const signal_row *find_signal(const char *name)
{
    for (size_t i = 0; i < TD_SIGNALS; i++) {
        if (strcmp(signals[i].name, name) == 0) {
            return &signals[i];
        }
    }
    return NULL;
}

/* ---- Checking -------------------------------------------------------------------------------- */

/* Where an error is: the spec's name and, where it is known, the line. */
typedef struct source {
    const char *name;
    const td_yaml_lines *lines;
} source;

static td_code refuse(const source *at, const json_t *node, td_err *err, const char *what, const char *value)
{
    int line = at->lines != NULL ? td_yaml_line(at->lines, node) : 0;
    if (line > 0) {
        return td_fail(err, TD_INVALID, "%s:%d: %s%s", at->name, line, what, value);
    }
    return td_fail(err, TD_INVALID, "%s: %s%s", at->name, what, value);
}

static td_code check_order(const source *at, const json_t *bounds, td_err *err)
{
    double warning = td_json_number(bounds, "warning", -1), alert = td_json_number(bounds, "alert", -1);
    if (warning >= 0 && alert >= 0 && warning > alert) {
        return refuse(at, bounds, err, "warning is above alert", "");
    }
    return TD_OK;
}

static td_code check_features(const source *at, const json_t *features, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "enabled", .type = TD_JSON_BOOLEAN},
        {.name = "warning", .type = TD_JSON_NUMBER, .minimum = 0, .maximum = 100},
        {.name = "alert", .type = TD_JSON_NUMBER, .minimum = 0, .maximum = 100},
        {.name = NULL},
    };
    const char *name;
    json_t *bounds;
    json_object_foreach ((json_t *)(uintptr_t)features, name, bounds) {
        if (!json_is_object(bounds)) {
            return refuse(at, features, err, "expected warning and alert for feature ", name);
        }
        TD_TRY(td_json_check(bounds, fields, at->name, at->lines, err));
        TD_TRY(check_order(at, bounds, err));
    }
    return TD_OK;
}

static td_code check_signal(const source *at, const json_t *parent, const char *name, const json_t *signal, td_err *err)
{
    const char *names[TD_SIGNALS + 1] = {NULL};
    for (size_t i = 0; i < TD_SIGNALS; i++) {
        names[i] = signals[i].name;
    }
    const signal_row *row = find_signal(name);
    if (row == NULL) {
        const char *near = td_nearest(name, names);
        TD_CLEANUP(td_str_done) td_str what = {0};
        td_str_addf(&what, "\"%.60s\"%s%s%s", name, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                    near != NULL ? "\"?" : "");
        return refuse(at, parent, err, "unknown signal ", td_str_text(&what));
    }
    const td_json_field fields[] = {
        {.name = "enabled", .type = TD_JSON_BOOLEAN},
        {.name = "metric", .type = TD_JSON_STRING, .choices = row->metrics},
        {.name = "warning", .type = TD_JSON_NUMBER, .minimum = 0, .maximum = 100},
        {.name = "alert", .type = TD_JSON_NUMBER, .minimum = 0, .maximum = 100},
        {.name = "features", .type = TD_JSON_OBJECT},
        {.name = NULL},
    };
    if (!json_is_object(signal)) {
        return refuse(at, parent, err, "expected keys such as alert for signal ", name);
    }
    TD_TRY(td_json_check(signal, fields, at->name, at->lines, err));
    TD_TRY(check_order(at, signal, err));
    return check_features(at, json_object_get(signal, "features"), err);
}

static int64_t duration(const json_t *json, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(json, key);
    int64_t ms = 0;
    if (json_is_integer(value)) {
        return json_integer_value(value) * 1000;
    }
    return json_is_string(value) && td_parse_duration(json_string_value(value), &ms, NULL) == TD_OK ? ms : fallback;
}

static td_code check_retraining(const source *at, const json_t *retraining, td_err *err)
{
    const json_t *on = json_object_get(retraining, "on");
    for (size_t i = 0; i < json_array_size(on); i++) {
        const json_t *name = json_array_get(on, i);
        if (find_signal(json_string_value(name)) == NULL) {
            return refuse(at, name, err, "retraining.on: unknown signal ", json_string_value(name));
        }
    }
    return TD_OK;
}

td_code td_monitor_check(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err)
{
    source at = {name, lines};
    TD_TRY(td_json_check(spec, spec_fields, name, lines, err));
    int64_t window = duration(spec, "window", TD_WINDOW_DEFAULT_MS);
    if (window < WINDOW_MIN_MS || window > WINDOW_MAX_MS) {
        return refuse(&at, json_object_get(spec, "window"), err, "window: expected 1s to 7d", "");
    }
    const json_t *persistence = json_object_get(spec, "persistence");
    if (td_json_int(persistence, "breaches", 2) > td_json_int(persistence, "tests", 3)) {
        return refuse(&at, persistence, err, "persistence: more breaches than tests can never happen", "");
    }
    const char *key;
    json_t *signal, *list = json_object_get(spec, "monitoring_signals");
    json_object_foreach (list, key, signal) {
        TD_TRY(check_signal(&at, list, key, signal, err));
    }
    return check_retraining(&at, json_object_get(spec, "retraining"), err);
}

/* ---- Filling in ------------------------------------------------------------------------------ */

void td_spec_done(td_spec *spec)
{
    json_decref(spec->json);
    spec->json = NULL;
}

td_code td_spec_fill(const json_t *json, td_spec *out, td_err *err)
{
    td_spec made = {0};
    made.window_ms = duration(json, "window", TD_WINDOW_DEFAULT_MS);
    int64_t grace = made.window_ms / GRACE_SHARE;
    made.grace_ms = duration(json, "grace", grace < GRACE_MAX_MS ? grace : GRACE_MAX_MS);
    const json_t *minimum = json_object_get(json, "minimum");
    made.minimum_observations = (uint64_t)td_json_int(minimum, "observations", 200);
    made.minimum_labels = (uint64_t)td_json_int(minimum, "labels", 100);
    made.minimum_group = (uint64_t)td_json_int(minimum, "group", 100);
    const json_t *persistence = json_object_get(json, "persistence");
    made.breaches = (int)td_json_int(persistence, "breaches", 2);
    made.tests = (int)td_json_int(persistence, "tests", 3);
    made.clear = (int)td_json_int(persistence, "clear", 3);
    const json_t *evidence = json_object_get(json, "evidence");
    made.evidence = td_json_bool(evidence, "required", true);
    made.false_alarm_ms = duration(evidence, "false_alarm_every", 30 * 86400000LL);
    made.json = json != NULL ? json_deep_copy(json) : json_object();
    if (made.json == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    *out = made;
    return TD_OK;
}

static void metric_bounds(td_bounds *bounds)
{
    for (size_t i = 0; i < TD_COUNT_OF(other_metrics); i++) {
        if (strcmp(other_metrics[i].name, bounds->metric) == 0) {
            bounds->warning = other_metrics[i].warning;
            bounds->alert = other_metrics[i].alert;
        }
    }
}

static void override(td_bounds *bounds, const json_t *json)
{
    bounds->enabled = td_json_bool(json, "enabled", bounds->enabled);
    double alert = td_json_number(json, "alert", bounds->alert),
           warning = td_json_number(json, "warning", bounds->warning);
    bounds->alert = alert < warning && json_object_get(json, "alert") == NULL ? warning : alert;
    bounds->warning = warning > bounds->alert ? bounds->alert : warning;
}

td_bounds td_spec_bounds(const td_spec *spec, td_signal_kind kind, const char *feature)
{
    const signal_row *row = &signals[kind];
    const json_t *signal = json_object_get(json_object_get(spec->json, "monitoring_signals"), row->name);
    td_bounds bounds = {true, row->metrics[0], row->warning, row->alert};
    const char *metric = td_json_text(signal, "metric", row->metrics[0]);
    for (size_t i = 0; row->metrics[i] != NULL; i++) {
        if (strcmp(metric, row->metrics[i]) == 0) {
            bounds.metric = row->metrics[i];
        }
    }
    if (row->metrics == numeric_metrics && bounds.metric != row->metrics[0]) {
        metric_bounds(&bounds);
    }
    override(&bounds, signal);
    override(&bounds, json_object_get(json_object_get(signal, "features"), feature));
    return bounds;
}
