/*
 * gate.c: the form of gate.yaml and the judgement itself: a pure function of rules and measured numbers.
 *
 * Gaps between groups are computed here from counts, with their intervals, so that no trainer can report a kinder one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/run.h"
#include "monitor/signals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define RULES_MAX 32

static const char *const comparisons[] = {"absolute", "champion", NULL};
static const char *const bounds[] = {"value", "low", "high", NULL};
static const char *const gaps[] = {"demographic_parity_difference", "equal_opportunity_difference",
                                   "false_positive_rate_difference", NULL};

static const td_json_field rule_fields[] = {
    {.name = "metric", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 64},
    {.name = "compare", .type = TD_JSON_STRING, .choices = comparisons},
    {.name = "at_least", .type = TD_JSON_NUMBER},
    {.name = "at_most", .type = TD_JSON_NUMBER},
    {.name = "no_worse_by", .type = TD_JSON_NUMBER, .minimum = 0, .maximum = 1e9},
    {.name = "lower_is_better", .type = TD_JSON_BOOLEAN},
    {.name = "by", .type = TD_JSON_STRING, .choices = bounds},
    {.name = NULL},
};
static const td_json_field gate_fields[] = {
    {.name = "description", .type = TD_JSON_STRING, .minimum = 0, .maximum = 1000},
    {.name = "rules",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_OBJECT,
     .fields = rule_fields,
     .required = true,
     .minimum = 1,
     .maximum = RULES_MAX},
    {.name = NULL},
};

static bool against_champion(const json_t *rule)
{
    return strcmp(td_json_text(rule, "compare", "absolute"), "champion") == 0;
}

td_code td_gate_check(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err)
{
    TD_TRY(td_json_check(spec, gate_fields, name, lines, err));
    const json_t *rules = json_object_get(spec, "rules");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        bool absolute = json_object_get(rule, "at_least") != NULL || json_object_get(rule, "at_most") != NULL;
        bool relative = json_object_get(rule, "no_worse_by") != NULL;
        if (against_champion(rule) ? !relative || absolute : relative || !absolute) {
            return td_fail(err, TD_INVALID,
                           "%s:%d: rule on \"%.60s\": give at_least or at_most; or compare: champion with no_worse_by",
                           name, lines != NULL ? td_yaml_line(lines, rule) : 0, td_json_text(rule, "metric", ""));
        }
    }
    return TD_OK;
}

/* ---- Gaps from counts ------------------------------------------------------------------------ */

static td_rate rate_from(const json_t *group, const char *metric)
{
    uint64_t n = (uint64_t)td_json_int(group, "n", 0), positive = (uint64_t)td_json_int(group, "positive", 0);
    uint64_t tp = (uint64_t)td_json_int(group, "true_positive", 0),
             fp = (uint64_t)td_json_int(group, "false_positive", 0);
    uint64_t fn = (uint64_t)td_json_int(group, "false_negative", 0),
             tn = (uint64_t)td_json_int(group, "true_negative", 0);
    if (strcmp(metric, gaps[0]) == 0) {
        if (json_object_get(group, "positive") == NULL) { /* some trainers report the rate itself */
            positive = (uint64_t)(fmin(1, fmax(0, td_json_number(group, "positive_rate", 0))) * (double)n + 0.5);
        }
        return positive <= n ? (td_rate){positive, n} : (td_rate){0, 0};
    }
    return strcmp(metric, gaps[1]) == 0 ? (td_rate){tp, tp + fn} : (td_rate){fp, fp + tn};
}

static bool is_gap(const char *metric)
{
    for (size_t i = 0; gaps[i] != NULL; i++) {
        if (strcmp(gaps[i], metric) == 0) {
            return true;
        }
    }
    return false;
}

/* groups: {"oslo": {"n",…}} or [{"group": "oslo", "n",…}]. */
static td_interval gap_from(const json_t *groups, const char *metric)
{
    td_rate rates[TD_GROUPS_MAX];
    size_t count = 0;
    const char *name;
    json_t *group;
    for (size_t i = 0; i < json_array_size(groups) && count < TD_GROUPS_MAX; i++) {
        rates[count++] = rate_from(json_array_get(groups, i), metric);
    }
    json_object_foreach ((json_t *)(uintptr_t)groups, name, group) {
        if (count < TD_GROUPS_MAX) {
            rates[count++] = rate_from(group, metric);
        }
    }
    return td_group_gap(rates, count, 1, TD_Z95).difference;
}

/* ---- Judging --------------------------------------------------------------------------------- */

static double number_or_nan(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

typedef struct judged {
    double value, champion, limit;
    td_interval interval;
    bool passed;
    char text[200];
} judged;

static void judge_absolute(const json_t *rule, const char *metric, judged *j)
{
    double least = number_or_nan(rule, "at_least"), most = number_or_nan(rule, "at_most");
    bool low_enough = isnan(most) || j->value <= most, high_enough = isnan(least) || j->value >= least;
    j->limit = isnan(least) ? most : least;
    j->passed = low_enough && high_enough && isfinite(j->value);
    if (!isfinite(j->value)) {
        snprintf(j->text, sizeof j->text, "%.60s was not measured", metric);
    } else {
        snprintf(j->text, sizeof j->text, "%.60s %.4g is %s %s %.4g", metric, j->value,
                 j->passed ? "within" : "outside", isnan(least) ? "at most" : "at least", j->limit);
    }
}

static void judge_relative(const json_t *rule, const char *metric, judged *j)
{
    double slack = td_json_number(rule, "no_worse_by", 0);
    bool lower = td_json_bool(rule, "lower_is_better", is_gap(metric));
    j->limit = lower ? j->champion + slack : j->champion - slack;
    j->passed = lower ? j->value <= j->limit : j->value >= j->limit; /* false for NAN */
    if (!isfinite(j->value) || !isfinite(j->champion)) {
        j->passed = false;
        snprintf(j->text, sizeof j->text, "%.60s of the %s was not measured", metric,
                 isfinite(j->value) ? "champion" : "challenger");
    } else {
        snprintf(j->text, sizeof j->text, "%.60s %.4g against the champion's %.4g, %s than %.4g worse", metric,
                 j->value, j->champion, j->passed ? "not more" : "more", slack);
    }
}

static json_t *judge_rule(const json_t *rule, const json_t *measured, const json_t *champion, bool *passed_out)
{
    const char *metric = td_json_text(rule, "metric", "");
    judged j = {.value = number_or_nan(json_object_get(measured, "metrics"), metric), .interval = {NAN, NAN, NAN}};
    j.champion = number_or_nan(champion, metric);
    const json_t *groups = json_object_get(measured, "groups");
    if (is_gap(metric) && groups != NULL) {
        j.interval = gap_from(groups, metric);
        const char *by = td_json_text(rule, "by", "value");
        j.value = strcmp(by, "low") == 0    ? j.interval.low
                  : strcmp(by, "high") == 0 ? j.interval.high
                                            : j.interval.value;
    }
    if (against_champion(rule)) {
        judge_relative(rule, metric, &j);
    } else {
        judge_absolute(rule, metric, &j);
    }
    json_t *json = json_object();
    json_object_set_new(json, "metric", json_string(metric));
    json_object_set_new(json, "value", td_number_json(j.value));
    json_object_set_new(json, "limit", td_number_json(j.limit));
    json_object_set_new(json, "champion", td_number_json(j.champion));
    if (isfinite(j.interval.value)) {
        json_object_set_new(json, "interval", td_interval_json(j.interval));
    }
    json_object_set_new(json, "passed", json_boolean(j.passed));
    json_object_set_new(json, "text", json_string(j.text));
    *passed_out = *passed_out && j.passed;
    return json;
}

json_t *td_gate_verdict(const json_t *gate, const json_t *measured, const json_t *champion_metrics, bool *passed_out)
{
    const json_t *own = json_object_get(measured, "champion"); /* measured on the same hold-out: the better judge */
    const json_t *champion = json_is_object(own) ? own : champion_metrics;
    const json_t *rules = json_object_get(gate, "rules");
    json_t *verdict = json_object(), *list = json_array();
    *passed_out = true;
    for (size_t i = 0; i < json_array_size(rules); i++) {
        json_array_append_new(list, judge_rule(json_array_get(rules, i), measured, champion, passed_out));
    }
    json_object_set_new(verdict, "passed", json_boolean(*passed_out));
    json_object_set_new(verdict, "champion_measured_on_same_data", json_boolean(json_is_object(own)));
    json_object_set_new(verdict, "rules", list);
    return verdict;
}
