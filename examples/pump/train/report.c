/*
 * report.c: counts first, rates from counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/train/report.h"

#include <math.h>
#include <stdlib.h>

typedef struct scored {
    double score;
    int label;
} scored;

static int by_score(const void *a, const void *b)
{
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x > y) - (x < y);
}

/* Area under the ROC curve as the rank statistic of Mann and Whitney, ties counted half. */
static double area_under_curve(scored *list, size_t count)
{
    double below = 0, wins = 0, positives = 0;
    qsort(list, count, sizeof *list, by_score);
    for (size_t i = 0; i < count;) {
        size_t j = i;
        double tied_negative = 0, tied_positive = 0;
        for (; j < count && list[j].score == list[i].score; j++) {
            tied_positive += list[j].label;
            tied_negative += 1 - list[j].label;
        }
        wins += tied_positive * (below + tied_negative / 2);
        below += tied_negative;
        positives += tied_positive;
        i = j;
    }
    return positives > 0 && below > 0 ? wins / (positives * below) : 0;
}

static void count_row(pump_measure *m, int label, int said)
{
    m->n++;
    m->correct += said == label;
    m->said_yes += said;
    m->positive += label;
    m->true_positive += said & label;
}

td_code pump_report_make(const mlp *model, const pump_table *table, const bool *chosen, pump_report *out, td_err *err)
{
    pump_report report = {0};
    size_t count = 0;
    scored *list = malloc((table->count + 1) * sizeof *list);
    if (list == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to measure %zu rows", table->count);
    }
    for (size_t i = 0; i < table->count; i++) {
        if (!chosen[i]) {
            continue;
        }
        const pump_row *row = &table->rows[i];
        list[count] = (scored){mlp_score(model, row->features), row->label};
        int said = list[count++].score >= PUMP_THRESHOLD;
        count_row(&report.all, row->label, said);
        count_row(&report.groups[row->group], row->label, said);
    }
    report.auc = area_under_curve(list, count);
    free(list);
    if (count == 0) {
        return td_fail(err, TD_INVALID, "no rows were kept apart to measure on");
    }
    *out = report;
    return TD_OK;
}

static double share(int64_t part, int64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

double pump_accuracy(const pump_measure *m)
{
    return share(m->correct, m->n);
}

/* Largest minus smallest of a rate over the groups that have rows. */
static double gap(const pump_report *report, const pump_table *table, bool of_accuracy)
{
    double least = 2, most = -1;
    for (int g = 0; g < table->group_count; g++) {
        const pump_measure *m = &report->groups[g];
        if (m->n > 0) {
            double rate = of_accuracy ? share(m->correct, m->n) : share(m->said_yes, m->n);
            least = fmin(least, rate);
            most = fmax(most, rate);
        }
    }
    return most < 0 ? 0 : most - least;
}

json_t *pump_report_metrics(const pump_report *report, const pump_table *table)
{
    const pump_measure *m = &report->all;
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "accuracy", pump_accuracy(m), "auc", report->auc, "recall",
                     share(m->true_positive, m->positive), "precision", share(m->true_positive, m->said_yes),
                     "accuracy_gap", gap(report, table, true), "parity_difference", gap(report, table, false), "rows",
                     (json_int_t)m->n);
}

json_t *pump_report_groups(const pump_report *report, const pump_table *table)
{
    json_t *groups = json_object();
    for (int g = 0; g < table->group_count; g++) {
        const pump_measure *m = &report->groups[g];
        if (m->n > 0) {
            (void)json_object_set_new(groups, table->groups[g],
                                      json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "n", (json_int_t)m->n,
                                                "positive", (json_int_t)m->said_yes, "true_positive",
                                                (json_int_t)m->true_positive, "false_positive",
                                                (json_int_t)(m->said_yes - m->true_positive), "false_negative",
                                                (json_int_t)(m->positive - m->true_positive), "true_negative",
                                                (json_int_t)(m->n - m->said_yes - m->positive + m->true_positive),
                                                "accuracy", pump_accuracy(m)));
        }
    }
    return groups;
}
