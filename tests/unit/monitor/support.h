/*
 * support.h: a world for the monitor's tests: a database in a temporary folder, a clock that stands still until it is
 * moved, a model with a baseline, and devices that count with the real bins.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TESTS_MONITOR_SUPPORT_H
#define TD_TESTS_MONITOR_SUPPORT_H

#include "audit/audit.h"
#include "firmware/edge/window.h"
#include "monitor/baseline.h"
#include "monitor/windows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define START_MS 1700000000000LL /* a multiple of 10 s */
#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        td_err must_err_ = {0};                                                                                        \
        td_err *err = &must_err_;                                                                                      \
        td_code must_code_ = (call);                                                                                   \
        if (must_code_ != TD_OK) {                                                                                     \
            fail_msg("%s:%d: %s: %s", __FILE__, __LINE__, td_code_lookup(must_code_)->name, must_err_.text);           \
        }                                                                                                              \
    } while (0)

typedef struct world {
    char folder[64];
    td_clock clock;
    int64_t now_ms;
    td_db *db;
    td_baseline baseline;
    uint8_t manifest[TD_DIGEST_SIZE];
    uint64_t sequence;
    uint64_t random;
    tde_bins bins;
    uint64_t *memory;
    tde_pending pending[64];
    td_actor ana;
} world;

int world_setup(void **state);
int world_teardown(void **state);
/* Watches pump/`version`: speed, load numeric; plant oslo or bergen; classes ok, fault; score. */
void world_watch(world *w, int64_t version);
double world_uniform(world *w);
double world_normal(world *w);
/* One window of n observations of `device`; speed is shifted by `shift` standard deviations, labels are right with
 * probability `accuracy` (below 0: no labels), bergen's positive rate is raised by `unfair`, share `missing` of speed
 * is lost. */
typedef struct batch_options {
    uint32_t n;
    double shift, accuracy, unfair, missing;
} batch_options;
td_window *world_window(world *w, const batch_options *options);
/* Encoded bytes of such a window. */
size_t world_window_bytes(world *w, const batch_options *options, uint8_t *out, size_t room);
td_window_verdict world_ingest(world *w, const char *device, const td_window *window);
/* Sends one window from each of `devices` devices now, then moves the clock on by step_ms. */
void world_report(world *w, int devices, const batch_options *options, int64_t step_ms);
int64_t world_query(world *w, const char *sql); /* first column, as an integer, of the only row */

#endif
