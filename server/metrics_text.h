/*
 * metrics_text.h: writing Prometheus' text format (version 0.0.4): families with HELP and TYPE, samples with labels.
 *
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/. Label values are escaped, so that no name from
 * outside can end a line.
 * Threads: one a text.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_METRICS_TEXT_H
#define TD_SERVER_METRICS_TEXT_H

#include "core/base/str.h"

#define TD_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define TD_METRICS_LABELS_MAX 4

typedef struct td_label {
    const char *name, *value;
} td_label;

/* Begins a family; its samples follow before the next one begins. `kind`: "counter", "gauge" or "histogram". */
void td_metrics_family(td_str *out, const char *name, const char *kind, const char *help);
/* `labels` has `count` entries. Whole numbers come out as such. */
void td_metrics_sample(td_str *out, const char *name, const td_label *labels, size_t count, double value);
/* A family of one sample without labels. */
void td_metrics_single(td_str *out, const char *name, const char *kind, const char *help, double value);

#endif
