/*
 * windows.h: telemetry windows as they arrive: decoded, checked against the version's baseline, stored once, added up
 * exactly.
 *
 * All counts of one window form one vector in an order that its edges fix (the *shape*). Adding windows is adding
 * vectors: exact, in any order, once each by (device, boot, sequence). Ingest stores the raw window and adds it to the
 * fleet's bucket of its version in the same transaction; device-hour sums are made later from the raw windows by
 * td_monitor_rollup.
 *
 * Threads: td_window_decode anywhere; the others where their connection lives.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_WINDOWS_H
#define TD_MONITOR_WINDOWS_H

#include "core/base/json.h"
#include "core/crypto/crypto.h"
#include "core/db/db.h"
#include "core/db/migrate.h"

extern const td_migration td_monitor_migrations[];

#define TD_WINDOW_BYTES_MAX 65536          /* of one encoded window */
#define TD_WINDOW_LATE_MS (7 * 86400000LL) /* older windows are refused */

/* ---- The versions that are watched ----------------------------------------------------------- */

typedef struct td_watch {
    const char *project;
    const char *model;
    int64_t version;
    const uint8_t *manifest_digest; /* 32 bytes */
    const void *baseline;           /* Baseline message */
    size_t baseline_size;
} td_watch;

/* Makes a version known to the monitor; to be called where its manifest is fixed (submit), in that transaction. Doing
 * it again is fine. Windows of unknown manifests are rejected. CORRUPT: the baseline; CONFLICT: that manifest with
 * another baseline. */
TD_MUST_USE td_code td_monitor_watch(td_db *db, const td_watch *watch, td_err *err);

/* ---- Decoding -------------------------------------------------------------------------------- */

typedef struct td_window td_window; /* heap; owned by whoever decoded it */

/* Hostile bytes welcome: bounded memory and time. CORRUPT, LIMIT. */
TD_MUST_USE td_code td_window_decode(const void *data, size_t size, td_window **out, td_err *err);
void td_window_free(td_window **window); /* TD_CLEANUP; NULL is fine */
/* For receipts and rollouts. */
uint64_t td_window_sequence(const td_window *window);
uint64_t td_window_oldest_kept(const td_window *window);
uint64_t td_window_boot_id(const td_window *window);
const uint8_t *td_window_manifest(const td_window *window); /* 32 bytes */
uint32_t td_window_observations(const td_window *window);

/* ---- Ingest ---------------------------------------------------------------------------------- */

typedef enum td_window_verdict {
    TD_WINDOW_STORED,
    TD_WINDOW_DUPLICATE,       /* had it already */
    TD_WINDOW_UNKNOWN_VERSION, /* no such manifest is watched */
    TD_WINDOW_OTHER_EDGES,     /* its edges digest or shape is not the baseline's */
    TD_WINDOW_TOO_OLD,         /* more than 7 days late */
    TD_WINDOW_INCONSISTENT,    /* its counts contradict each other */
    TD_WINDOW_VERDICTS
} td_window_verdict;
const char *td_window_verdict_name(td_window_verdict verdict); /* "stored", "duplicate", … */

typedef struct td_window_item {
    const char *device; /* identifier, already authenticated */
    const td_window *window;
    int64_t received_ms;
    td_window_verdict verdict; /* set by td_window_ingest: every verdict settles the window's sequence */
} td_window_item;

/* Stores a batch inside the caller's transaction. An error concerns the whole batch (disk, memory); what is wrong with
 * a single window is its verdict. Best with 100 … 1,000 windows a call. */
TD_MUST_USE td_code td_window_ingest(td_db *db, td_window_item *items, size_t count, td_err *err);

/* ---- Upkeep (scheduler, inside a transaction) ------------------------------------------------ */

/* Adds at most `limit` raw windows that came since the last call to their device-hour sums. *more_out: call again. */
TD_MUST_USE td_code td_monitor_rollup(td_db *db, int64_t limit, bool *more_out, td_err *err);
/* Deletes raw windows older than keep_raw_ms that are rolled up and not behind an alert, and device-hours older than
 * keep_device_ms; at most `limit` rows a table a call. */
TD_MUST_USE td_code td_monitor_retain(td_db *db, int64_t keep_raw_ms, int64_t keep_device_ms, int64_t limit,
                                      td_err *err);

/* ---- What a rollout asks --------------------------------------------------------------------- */

typedef struct td_health {
    int64_t windows, observations;
    int64_t labelled, correct;
    double accuracy, accuracy_low, accuracy_high; /* Wilson 95 %; NAN without labels */
    int64_t errors;
    double error_rate;     /* errors / (observations + errors); NAN without any */
    double prediction_psi; /* PSI* of the predictions against the baseline; NAN without any */
    int64_t alerts_open;   /* firing or acknowledged, of this version, whole fleet */
} td_health;

/* Adds up the raw windows of one manifest received since since_ms, of the given devices (count 0: of all). NOT_FOUND:
 * the manifest is not watched. */
TD_MUST_USE td_code td_monitor_health(td_db *db, const uint8_t manifest_digest[TD_DIGEST_SIZE],
                                      const char *const *devices, size_t count, int64_t since_ms, td_health *out,
                                      td_err *err);

#endif
