/*
 * bins.h: counts what a model sees and says into the fixed bins that its signed baseline names.
 *
 * The edges travel with the version, so counts of any two devices add up exactly. Nothing here allocates, takes a lock,
 * reads a clock or needs floating point: numbers are compared as monotone integers (IEEE 754 binary32 bits with the
 * sign folded). The caller hands over all memory; one tde_bins belongs to one thread.
 *
 *     tde_bins_measure(baseline, size, &need);                 // how much memory these edges take
 *     tde_bins_init(&bins, baseline, size, memory, room);      // the baseline's bytes are not needed afterwards
 *     tde_observe(&bins, &observation);  tde_label(&bins, id, label);
 *     if (tde_bins_full(&bins) || time is up) { tde_window_encode(…); tde_bins_reset(&bins); }     // window.h
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TDE_BINS_H
#define TDE_BINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef TDE_FEATURES_MAX
#define TDE_FEATURES_MAX 256 /* a board may lower it */
#endif
#define TDE_EDGES_MAX 15      /* so 16 bins */
#define TDE_CATEGORIES_MAX 31 /* then one bin "other" */
#define TDE_BINS_MAX 32
#define TDE_GROUPS_MAX 8 /* then one cell "other" */
#define TDE_LATENCY_BINS 24
#define TDE_WINDOW_OBSERVATIONS_MAX 60000u /* a window is closed early at this count, so that 16 bits suffice */
#define TDE_BASELINE_SIZE_MAX 65536u

/* Results: 0 or one of these. */
enum {
    TDE_BINS_OK = 0,
    TDE_BINS_MALFORMED = -101, /* the baseline or window cannot be decoded, or contradicts itself */
    TDE_BINS_LIMIT = -102,     /* more features, edges, categories or groups than we take */
    TDE_BINS_ROOM = -103,      /* the caller's memory is too small */
    TDE_BINS_SHAPE = -104,     /* an observation has another number of features than the baseline */
    TDE_BINS_FULL = -105,      /* the window holds 60,000 observations: close it first */
    TDE_BINS_UNKNOWN = -106,   /* no prediction of that id waits for a label */
    TDE_BINS_SCHEMA = -107,    /* a schema number from the future */
};

/* One feature, the prediction or the score: where its edges and counts lie. */
typedef struct tde_stream {
    uint16_t key_first;   /* into keys: edges (numeric) or hashes of the category names */
    uint16_t count_first; /* into counts: the bins, then missing, infinite, below, above */
    uint8_t key_count;
    uint8_t bin_count; /* key_count + 1, or 0: the baseline has no such stream */
    uint8_t kind;      /* tidemark_FeatureKind */
    int32_t minimum;   /* of the reference, as keys; numeric only */
    int32_t maximum;
} tde_stream;

#define TDE_SPECIALS 4 /* missing, infinite, below, above: the counters after a stream's bins */

typedef struct tde_group {
    uint16_t n, positive, true_positive, false_positive, false_negative, true_negative;
} tde_group;

/* A prediction that waits for its label. */
typedef struct tde_pending {
    uint64_t id; /* 0: free */
    float prediction;
    int32_t group;
} tde_pending;

/* Everything that is counted but not a bin of a stream. Plain data. */
typedef struct tde_tally {
    uint32_t n;
    uint32_t labelled, correct;
    uint32_t errors;
    uint32_t latency[TDE_LATENCY_BINS];
    tde_group groups[TDE_GROUPS_MAX + 1];
} tde_tally;

/* All fields are private to bins.c and window.c. */
typedef struct tde_bins {
    tde_stream *features;
    int32_t *keys;
    uint16_t *counts;
    tde_pending *pending;
    uint32_t pending_room, pending_next;
    uint16_t feature_count;
    uint16_t count_total;
    uint8_t group_count;
    int8_t positive_class; /* index among the prediction's classes; -1: none, so no positives are counted */
    bool classes;          /* the prediction is a class index */
    tde_stream prediction, score;
    int32_t group_keys[TDE_GROUPS_MAX]; /* hashes of the names */
    tde_tally tally;
} tde_bins;

typedef struct tde_observation {
    const float *features; /* in the baseline's order; a categorical one is an index (tde_category); NaN: missing */
    uint32_t feature_count;
    float prediction;    /* class index, or value; NaN: none */
    float score;         /* NaN: none */
    int32_t group;       /* index (tde_group_index); anything else counts as "other" */
    uint64_t id;         /* for a label that comes later; 0: none will */
    uint32_t latency_us; /* 0: not measured */
} tde_observation;

/* Bytes that tde_bins_init will need for this baseline (alignment 8). MALFORMED, LIMIT, SCHEMA. */
int tde_bins_measure(const uint8_t *baseline, size_t size, size_t *need_out);
/* Lays the streams out in `memory` (aligned to 8, kept until the last use). MALFORMED, LIMIT, ROOM, SCHEMA. */
int tde_bins_init(tde_bins *bins, const uint8_t *baseline, size_t size, void *memory, size_t room);
/* Gives room to remember predictions until their labels come; the newest `count` ones are kept. */
void tde_bins_remember(tde_bins *bins, tde_pending *memory, uint32_t count);

/* Index of a category (or class, with feature = TDE_PREDICTION) or group by its name; the index of "other" if unknown.
 */
#define TDE_PREDICTION UINT32_MAX
uint32_t tde_category(const tde_bins *bins, uint32_t feature, const char *name, size_t length);
uint32_t tde_group_index(const tde_bins *bins, const char *name, size_t length);

/* Counts one inference. SHAPE (counted as an error), FULL (nothing is counted). */
int tde_observe(tde_bins *bins, const tde_observation *observation);
/* Joins a label (class index or value) to the remembered prediction `id`. UNKNOWN, FULL. */
int tde_label(tde_bins *bins, uint64_t id, float label);
/* Counts an inference that failed. */
void tde_observe_error(tde_bins *bins);
/* The window should be closed now whatever the time. */
bool tde_bins_full(const tde_bins *bins);
/* Nothing was counted since the last reset. */
bool tde_bins_empty(const tde_bins *bins);
/* Starts a new window; predictions that wait for labels stay. */
void tde_bins_reset(tde_bins *bins);

/* The counters as one plain block, for a device that wants them to survive a restart: save `size` bytes from `data` and
 * the tally; copy both back after tde_bins_init with the same baseline (compare the edges digest). */
void tde_bins_block(tde_bins *bins, void **data_out, size_t *size_out);

/* The order of floats as the order of integers; -0 equals +0. NaN and infinities are the caller's to sort out first. */
int32_t tde_float_key(float value);

/* ---- Edges digest ---------------------------------------------------------------------------- */

/* Feeds the canonical encoding of everything that gives counts their meaning (docs/spec/baseline.md) to `update`; its
 * SHA-256 is the edges digest: windows of different digests are never added up. MALFORMED, LIMIT, SCHEMA (then part was
 * fed). */
typedef void (*tde_hash_update)(void *context, const void *data, size_t size);
int tde_edges_encode(const uint8_t *baseline, size_t size, tde_hash_update update, void *context);

#endif
