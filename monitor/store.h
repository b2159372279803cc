/*
 * store.h: what the files of monitor/ share about watched versions, count vectors and raw windows. Private.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_STORE_H
#define TD_MONITOR_STORE_H

#include "firmware/wire/tidemark.pb.h"
#include "monitor/reference.h"
#include "monitor/windows.h"

#define TD_WINDOW_DEFAULT_MS 3600000LL

/* A decoded window. Values: for each stream its bins and specials, features first, then prediction and score if sent.
 */
struct td_window {
    uint64_t sequence, oldest_kept, boot_id;
    uint8_t manifest_digest[TD_DIGEST_SIZE], edges_digest[TD_DIGEST_SIZE];
    uint64_t start_ms;
    uint32_t length_ms;
    uint16_t feature_count;
    bool has_prediction, has_score;
    uint8_t bins[TDE_FEATURES_MAX + 2];
    uint32_t tallies[TD_TALLIES];
    size_t group_count;
    tidemark_GroupWindow groups[TDE_GROUPS_MAX + 1];
    size_t size;
    uint32_t values[];
};

/* A watched version, read. */
typedef struct td_watched {
    int64_t key;
    const char *project, *model; /* in the arena */
    int64_t version;
    uint8_t manifest_digest[TD_DIGEST_SIZE], edges_digest[TD_DIGEST_SIZE];
    int64_t window_ms; /* evaluation window of the model's monitor */
    td_reference reference;
} td_watched;

/* NOT_FOUND. */
TD_MUST_USE td_code td_watched_by_manifest(td_db *db, const uint8_t *manifest_digest, td_arena *arena, td_watched *out,
                                           td_err *err);
TD_MUST_USE td_code td_watched_by_version(td_db *db, const char *project, const char *model, int64_t version,
                                          td_arena *arena, td_watched *out, td_err *err);
TD_MUST_USE td_code td_watched_by_key(td_db *db, int64_t key, td_arena *arena, td_watched *out, td_err *err);

/* Checks the window against the reference's shape and lays its counts out as a vector of reference->size. */
td_window_verdict td_window_lay_out(const td_window *window, const td_reference *reference, uint64_t *vector_out);

/* Vectors as bytes: each count a varint. Room: 10 bytes a count. */
size_t td_vector_write(const uint64_t *vector, size_t size, uint8_t *out);
/* Adds the stored vector to `sum`. CORRUPT: another length, or damaged. */
TD_MUST_USE td_code td_vector_add(const void *data, size_t data_size, uint64_t *sum, size_t size, td_err *err);

/* Calls back with each raw window of a version whose id lies in [first, last] and that still has counts, in order. */
typedef td_code (*td_window_visit)(void *context, const char *device, const uint64_t *vector, td_err *err);
TD_MUST_USE td_code td_window_each(td_db *db, const td_watched *watched, int64_t first, int64_t last,
                                   td_window_visit visit, void *context, td_err *err);

/* Reads one bucket's sum into `sum` (added). *found_out: there is one. */
typedef struct td_bucket_facts {
    int64_t windows, first_window, last_window;
} td_bucket_facts;

#endif
