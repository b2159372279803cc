/*
 * sample.h: a reference of 20 numeric features and windows of 200 observations over it, for benches of ingest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_BENCH_MONITOR_SAMPLE_H
#define TD_BENCH_MONITOR_SAMPLE_H

#include "firmware/edge/window.h"
#include "monitor/baseline.h"

#define SAMPLE_WINDOW_MAX 4096 /* bytes of one encoded window */

/* The manifest that the windows name. */
extern const uint8_t sample_manifest[TD_DIGEST_SIZE];

typedef struct sample {
    td_baseline baseline;
    tde_bins bins; /* holds one window's observations */
    void *memory;
} sample;

TD_MUST_USE td_code sample_make(sample *out, td_err *err);
void sample_done(sample *s);
/* Counts another 200 observations. */
void sample_refill(sample *s);
/* The Window message of what was counted last, as number `sequence` of a device, which began at start_ms (0: unset). */
TD_MUST_USE td_code sample_encode(const sample *s, uint64_t sequence, int64_t start_ms, uint8_t out[SAMPLE_WINDOW_MAX],
                                  size_t *size_out, td_err *err);

#endif
