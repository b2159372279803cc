/*
 * rollout_internal.h: what the files of a rollout share: its plan, its row, its parts, its counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_ROLLOUT_INTERNAL_H
#define TD_FLEET_ROLLOUT_INTERNAL_H

#include "fleet/internal.h"

/* ---- plan.c: the specification, checked and read
 * ---------------------------------------------------------------------- */

typedef struct td_plan {
    double shares[TD_ROLLOUT_WAVES_MAX]; /* cumulative; the last is 1 */
    int64_t wave_count;
    double success;
    double failed_share;  /* at most this share may fail; < 0: none given */
    int64_t failed_count; /* at most this many may fail; < 0: none given */
    int64_t min_sample, soak_ms, deadline_ms, step_deadline_ms, contact_wait_ms, per_minute; /* 0: not given */
    bool health_gate, revert_on_failure;
    char unfit; /* devices that cannot take the version: 'r'efuse the rollout, 's'kip them, 't'ry */
    uint32_t probation_s, min_inferences, max_errors, lease_s, window_s;
    uint64_t byte_budget;
} td_plan;

TD_MUST_USE td_code td_plan__read(const json_t *spec, td_plan *out, td_err *err);
/* A device's place in the rollout: the first 63 bits of SHA-256(salt ‖ device). */
int64_t td_plan__place(const uint8_t salt[16], const char *device);
/* Lower end of Wilson's 90 % one-sided interval for `good` of `n`. */
double td_plan__wilson(int64_t good, int64_t n);

/* ---- rollout_store.c, rollout_read_store.c
 * ----------------------------------------------------------------------------- */

typedef struct td_rollout {
    int64_t rollout_id;
    char id[TD_ROLLOUT_ID_TEXT];
    char project[129], model[129], slot[129], selector[TD_SELECTOR_TEXT_MAX + 1];
    int64_t version;
    uint8_t manifest[TD_DIGEST_SIZE], salt[16];
    td_rollout_state state;
    int64_t created_ms, deadline_ms, undo_ms, scanned_revision;
    td_plan plan;
    td_str goal, spec; /* owned */
} td_rollout;
void td_rollout__done(td_rollout *rollout);

TD_MUST_USE td_code td_rollout__find(td_db *db, const char *project, const char *id, td_rollout *out, td_err *err);
TD_MUST_USE td_code td_rollout__by_id(td_db *db, int64_t rollout_id, td_rollout *out, td_err *err);
/* Up to `room` rollouts that have not ended. */
TD_MUST_USE td_code td_rollout__active(td_db *db, int64_t *ids, size_t room, size_t *count_out, td_err *err);
/* Another rollout of the same project and slot that has not ended; *id_out 0 if none. */
TD_MUST_USE td_code td_rollout__rival(td_db *db, const char *project, const char *slot, int64_t except, int64_t *id_out,
                                      td_err *err);
TD_MUST_USE td_code td_rollout__step_deadline(td_db *db, int64_t rollout_id, int64_t *out, td_err *err);
/* Moves along td_rollout_states and leaves an audit record; why: for people. */
TD_MUST_USE td_code td_rollout__move(td_db *db, td_rollout *rollout, td_rollout_state to, const td_actor *actor,
                                     const char *why, td_err *err);
TD_MUST_USE td_code td_rollout__admit(td_db *db, td_rollout *rollout, int64_t *admitted_out, td_err *err);

/* ---- waves
 * ---------------------------------------------------------------------------------------------------------------- */

typedef struct td_wave {
    int64_t number;
    double share;
    int64_t bound;
    td_wave_state state;
    int64_t opened_ms, soaking_ms;
} td_wave;
TD_MUST_USE td_code td_wave__list(td_db *db, int64_t rollout_id, td_wave out[TD_ROLLOUT_WAVES_MAX], size_t *count_out,
                                  td_err *err);
TD_MUST_USE td_code td_wave__move(td_db *db, const td_rollout *rollout, td_wave *wave, td_wave_state to,
                                  const char *why, td_err *err);

typedef struct td_counts {
    int64_t by_state[TD_PART_COUNT];
    int64_t members;   /* all */
    int64_t contact_s; /* the slowest member's contact interval */
} td_counts;
/* wave 0: all waves. */
TD_MUST_USE td_code td_wave__counts(td_db *db, int64_t rollout_id, int64_t wave, td_counts *out, td_err *err);

/* ---- parts
 * ---------------------------------------------------------------------------------------------------------------- */

typedef struct td_part {
    int64_t rollout_id, device_id, sequence, undo_sequence;
    td_part_state state;
    char state_name[16];
    char rollout[TD_ROLLOUT_ID_TEXT], slot[129];
    uint8_t manifest[TD_DIGEST_SIZE];
    bool ended; /* the rollout has */
} td_part;
TD_MUST_USE td_code td_part__move(td_db *db, const td_part *part, td_part_state to, const char *reason, td_err *err);
/* Parts of a rollout in one state, at most `room`; wave_max 0: any wave. overdue_ms > 0: only those whose deadline is
 * past it. For state waiting, devices that failed three times within a day are left alone. */
typedef struct td_part_query {
    int64_t rollout_id;
    td_part_state state;
    int64_t wave_max, overdue_ms;
} td_part_query;
TD_MUST_USE td_code td_part__list(td_db *db, const td_part_query *query, int64_t *device_ids, size_t room,
                                  size_t *count_out, td_err *err);
/* All parts in `from` move to `to` at once (the ends of a rollout). */
TD_MUST_USE td_code td_part__move_all(td_db *db, const td_rollout *rollout, td_part_state from, td_part_state to,
                                      const char *reason, td_err *err);
/* The slot's goal becomes the rollout's; what it was is kept in the part. */
TD_MUST_USE td_code td_part__set_goal(td_db *db, const td_rollout *rollout, int64_t device_id, td_err *err);
/* …and back. */
TD_MUST_USE td_code td_part__restore_goal(td_db *db, int64_t rollout_id, int64_t device_id, const char *slot,
                                          td_err *err);
TD_MUST_USE td_code td_part__issued(td_db *db, const td_rollout *rollout, int64_t device_id, int64_t sequence,
                                    bool undo, td_err *err);
/* Directives of the rollout in the last minute. */
TD_MUST_USE td_code td_part__issued_since(td_db *db, int64_t rollout_id, int64_t since_ms, int64_t *out, td_err *err);

#endif
