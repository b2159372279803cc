/*
 * report.h: how well a network does on rows that it was not trained on, overall and by group.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_EXAMPLES_PUMP_REPORT_H
#define TD_EXAMPLES_PUMP_REPORT_H

#include "examples/pump/train/mlp.h"

#include <jansson.h>

#define PUMP_THRESHOLD 0.5

typedef struct pump_measure {
    int64_t n, correct, said_yes, positive, true_positive;
} pump_measure;

typedef struct pump_report {
    pump_measure all;
    pump_measure groups[PUMP_GROUPS_MAX];
    double auc;
} pump_report;

/* Measures over the chosen rows. NOMEM, INVALID: no rows. */
TD_MUST_USE td_code pump_report_make(const mlp *model, const pump_table *table, const bool *chosen, pump_report *out,
                                     td_err *err);
double pump_accuracy(const pump_measure *measure);
/* {"accuracy","auc","recall","precision","accuracy_gap","parity_difference","rows"}: a flat object of numbers. */
json_t *pump_report_metrics(const pump_report *report, const pump_table *table);
/* {"oslo":{"n","positive","true_positive","false_positive","false_negative","true_negative","accuracy"},…}: "positive"
 * is what the network said, so that a gate can compute gaps and their intervals itself. */
json_t *pump_report_groups(const pump_report *report, const pump_table *table);

#endif
