/*
 * reference.h: a Baseline message, read: what windows are compared with. Private to monitor/.
 *
 * The counts of a window are one vector: for each stream (features, then prediction, then score) its bins and the four
 * special counters; then six cells for each group and "other"; then the tallies. The reference fixes where each lies:
 * the shape.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_REFERENCE_H
#define TD_MONITOR_REFERENCE_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "firmware/edge/bins.h"

#define TD_CELLS 6 /* of a group: n, positive, TP, FP, FN, TN */
enum { TD_CELL_N, TD_CELL_POSITIVE, TD_CELL_TP, TD_CELL_FP, TD_CELL_FN, TD_CELL_TN };
/* After the groups. */
enum {
    TD_TALLY_N,
    TD_TALLY_LABELLED,
    TD_TALLY_CORRECT,
    TD_TALLY_ERRORS,
    TD_TALLY_DROPPED,
    TD_TALLY_LATENCY,
    TD_TALLIES = TD_TALLY_LATENCY + TDE_LATENCY_BINS
};
enum { TD_SPECIAL_MISSING, TD_SPECIAL_INFINITE, TD_SPECIAL_BELOW, TD_SPECIAL_ABOVE };

typedef struct td_stream {
    const char *name;
    bool present; /* a baseline may lack prediction or score */
    bool numeric;
    size_t bins;
    size_t first; /* in the vector: bins, then the specials */
    const float *edges;
    const char *const *categories; /* bins − 1 of them */
    uint64_t counts[TDE_BINS_MAX];
    uint64_t missing;
    double minimum, maximum, mean, deviation;
} td_stream;

typedef struct td_reference {
    td_stream *features;
    size_t feature_count;
    td_stream prediction, score;
    const char *groups[TDE_GROUPS_MAX];
    uint64_t group_cells[TDE_GROUPS_MAX][TD_CELLS];
    size_t group_count;
    size_t groups_first; /* in the vector: (group_count + 1) × TD_CELLS */
    size_t tallies_first;
    size_t size; /* of the vector */
    uint64_t rows;
    double accuracy; /* NAN: the reference had no labels */
    double threshold;
    const char *positive;
} td_reference;

/* Everything lies in the arena. CORRUPT, LIMIT. */
TD_MUST_USE td_code td_reference_read(const void *data, size_t size, td_arena *arena, td_reference *out, td_err *err);
/* The name of bin i: "[1.5, 2)", "fault", "other". */
void td_stream_bin_name(const td_stream *stream, size_t bin, char *out, size_t room);

#endif
