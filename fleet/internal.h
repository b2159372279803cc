/*
 * internal.h: what the files of this folder share: state tables, device facts, orders, audit in one line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_INTERNAL_H
#define TD_FLEET_INTERNAL_H

#include "core/base/states.h"
#include "fleet/fleet.h"
#include "fleet/selector.h"
#include "lineage/lineage.h"

/* ---- names.c
 * --------------------------------------------------------------------------------------------------------- */

typedef enum td_rollout_state {
    TD_ROLLOUT_DRAFT,
    TD_ROLLOUT_WAITING_APPROVAL,
    TD_ROLLOUT_SCHEDULED,
    TD_ROLLOUT_RUNNING,
    TD_ROLLOUT_PAUSED,
    TD_ROLLOUT_ABORTING,
    TD_ROLLOUT_ABORTED,
    TD_ROLLOUT_REVERTING,
    TD_ROLLOUT_REVERTED,
    TD_ROLLOUT_FINISHED,
    TD_ROLLOUT_SUPERSEDED
} td_rollout_state;
typedef enum td_wave_state {
    TD_WAVE_WAITING,
    TD_WAVE_OPEN,
    TD_WAVE_SOAKING,
    TD_WAVE_PASSED,
    TD_WAVE_FAILED
} td_wave_state;
typedef enum td_part_state { /* a device's part in a rollout */
                             TD_PART_WAITING,
                             TD_PART_ISSUED,
                             TD_PART_WORKING,
                             TD_PART_COMMITTED,
                             TD_PART_FAILED,
                             TD_PART_CANCELLING,
                             TD_PART_CANCELLED,
                             TD_PART_REVERTING,
                             TD_PART_REVERTED,
                             TD_PART_UNREACHED,
                             TD_PART_COUNT
} td_part_state;
extern const td_states td_rollout_states, td_wave_states, td_part_states;

const char *td_fleet__state_name(int device_state); /* tidemark_DeviceState, "unknown" for others */
const char *td_fleet__reason_name(int reason);      /* tidemark_Reason */
bool td_fleet__rollout_ended(td_rollout_state state);
/* json strings or null */
json_t *td_fleet__time_json(int64_t ms);                        /* null for 0 */
json_t *td_fleet__digest_json(const void *digest, size_t size); /* "sha256:…", null unless 32 bytes */
/* Elements of lists, from the row at hand; NULL: out of memory. */
json_t *td_fleet__device_row(td_stmt *stmt);
json_t *td_fleet__run_row(td_stmt *stmt);
json_t *td_fleet__rollout_row(td_stmt *stmt);
/* *target = value; NOMEM when a json_pack failed (value NULL). */
TD_MUST_USE td_code td_fleet__json_out(json_t *value, json_t **out, td_err *err);

/* One audit record in the name of `actor`; `after` is borrowed and may be NULL. */
typedef struct td_fleet_record {
    const td_actor *actor;
    const char *action, *object_type, *object_id, *project, *reason;
    const json_t *after;
} td_fleet_record;
TD_MUST_USE td_code td_fleet__audit(td_db *db, const td_fleet_record *record, td_err *err);
td_actor td_fleet__device_actor(const char *device);

/* ---- device_store.c
 * --------------------------------------------------------------------------------------------------- */

typedef struct td_device_row {
    int64_t device_id;
    char name[TD_DEVICE_ID_MAX + 1];
    char project[129];
    bool revoked;
    int64_t contact_every_s, directive_sequence, directive_accepted;
    uint64_t nonce;
} td_device_row;

/* By row, or by project and name. NOT_FOUND. */
TD_MUST_USE td_code td_fleet__device_by_id(td_db *db, int64_t device_id, td_device_row *out, td_err *err);
TD_MUST_USE td_code td_fleet__device_by_name(td_db *db, const char *project, const char *name, td_device_row *out,
                                             td_err *err);
/* Calls `each` for every device of the project whose revision is above `after_revision` and that the selector matches;
 * revoked ones only if the selector speaks of states. *revision_out: the highest revision there is. */
typedef td_code (*td_device_fn)(void *context, int64_t device_id, const char *name, td_err *err);
TD_MUST_USE td_code td_fleet__select(td_db *db, const char *project, const td_selector *selector,
                                     int64_t after_revision, td_device_fn each, void *context, int64_t *revision_out,
                                     td_err *err);
/* "site=oslo, site=bergen": what could have been meant by a selector that matches nothing. */
TD_MUST_USE td_code td_fleet__suggest_tags(td_db *db, const char *project, const td_selector *selector, td_str *out,
                                           td_err *err);
TD_MUST_USE td_code td_fleet__next_revision(td_db *db, int64_t *out, td_err *err);
/* Checks {key: text}; NULL is fine. allow_null: a null value is a removal. */
TD_MUST_USE td_code td_fleet__check_tags(const json_t *tags, bool allow_null, td_err *err);

/* ---- run_store.c
 * ------------------------------------------------------------------------------------------------------ */

/* The slot runs this manifest now (NULL: nothing): closes and opens intervals, and the lineage's "installed" edges. */
TD_MUST_USE td_code td_fleet__runs(td_db *db, const td_device_row *device, const char *slot, const uint8_t *manifest,
                                   td_err *err);

/* ---- directive.c, directive_store.c
 * ------------------------------------------------------------------------------------ */

/* Writes the next directive of a device from its goals: row, audit record. *sequence_out: its number. */
typedef struct td_order {
    const char *rollout; /* "" for none */
    bool cancel;
} td_order;
TD_MUST_USE td_code td_fleet__issue(td_db *db, int64_t device_id, const td_order *order,
                                    const td_rollout_tick_options *options, int64_t *sequence_out, td_err *err);
/* The device says that it has accepted directives up to this one. */
TD_MUST_USE td_code td_fleet__accepted(td_db *db, const td_device_row *device, int64_t sequence, td_err *err);
/* The device has accepted a number that was never issued as far as we know: our records are older than it (a restored
 * backup). The next directive must have a greater one, or it would be refused as replayed; one that is under way is
 * issued anew. A number beyond TD_DIRECTIVE_NUMBER_MAX is a lie, which harms none but its teller. */
#define TD_DIRECTIVE_NUMBER_MAX (INT64_C(1) << 48)
TD_MUST_USE td_code td_fleet__ahead(td_db *db, const td_device_row *device, int64_t sequence, td_err *err);
/* The device was wiped: it says that it has accepted less than it once did, so its newest directive goes out again. */
TD_MUST_USE td_code td_fleet__forgotten(td_db *db, const td_device_row *device, int64_t sequence, td_err *err);
/* Issues anew what is about to expire unacknowledged, and what a device without a clock needs with its nonce in it. */
TD_MUST_USE td_code td_fleet__renew(td_db *db, const td_rollout_tick_options *options, int64_t *budget,
                                    int64_t *written, td_err *err);
#define TD_DIRECTIVE_LIFE_MS ((int64_t)30 * 24 * 3600 * 1000)
#define TD_DIRECTIVE_RENEW_MS ((int64_t)24 * 3600 * 1000) /* before its end */
#define TD_CONTACT_DEFAULT_S 60
#define TD_REPORTS_KEPT 200

/* ---- part_store.c: a device's part in a rollout
 * ------------------------------------------------------------------------- */

typedef struct td_part_report {
    int64_t device_id, directive_sequence;
    int state, reason;       /* tidemark_DeviceState, tidemark_Reason */
    const uint8_t *manifest; /* 32 bytes or NULL */
    int64_t bytes_done, bytes_total;
} td_part_report;
/* How far a transfer has come: bytes only, no step, no audit record. */
TD_MUST_USE td_code td_fleet__part_progress(td_db *db, const td_part_report *report, td_err *err);
/* The device was heard of; nothing is settled by it. */
TD_MUST_USE td_code td_fleet__heard(td_db *db, int64_t device_id, uint64_t *settled_out, td_err *err);
TD_MUST_USE td_code td_fleet__part_report(td_db *db, const td_device_row *device, const td_part_report *report,
                                          td_err *err);
/* The device has the directive: issued parts of that or an earlier sequence are at work. */
TD_MUST_USE td_code td_fleet__part_accepted(td_db *db, const td_device_row *device, int64_t sequence, td_err *err);

#endif
