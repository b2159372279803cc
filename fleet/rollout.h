/*
 * rollout.h: the bringing of one approved version to many devices, in waves that must each earn the next.
 *
 *     draft -> waiting_approval -> scheduled -> running <-> paused      running | paused -> aborting -> aborted
 *     running | paused -> reverting -> reverted      running -> finished      running | paused -> superseded
 *
 * A device's place is SHA-256(salt ‖ device) as a fraction of the whole, compared with bounds that were fixed when the
 * rollout was made: stateless, stable, right for devices that join late. A device that said yes and then misses its
 * deadline has failed; one that never answered is unreached: outside the share, shown apart.
 *
 * All orders are rows of table directive, written with their audit record; td_publisher (downlink.h) brings them out.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_ROLLOUT_H
#define TD_FLEET_ROLLOUT_H

#include "audit/audit.h"
#include "core/db/list.h"
#include "fleet/device.h"

#define TD_ROLLOUT_ID_TEXT 20 /* "r-" and 16 hexadecimal digits, NUL */
#define TD_ROLLOUT_WAVES_MAX 16
#define TD_ROLLOUT_CANARIES_MAX 64

/*
 * Creates and starts a rollout from a specification (the body of POST /rollouts):
 *   model_version  "pump/3" (required; must be approved)       to             a selector (required)
 *   waves          ["5%","50%","100%"] or "5%,50%,100%" (default 100%); cumulative, the last must be 100%
 *   canaries       ["pump-07"]: always in the first wave       success        0.9: least share of successes a wave
 *   stop_if        "failed>2%" or "failed>3" (default failed>10%)             min_sample 1: answers that a wave needs
 *   soak           "10m" (default 0s): between a wave's end and its pass       deadline "7d": of the whole
 *   step_deadline  "1h": from a device's yes to its success (at least three contacts)
 *   contact_wait   how long a wave waits for devices that have not answered; default three contacts of the slowest
 *   health_gate    true: a wave passes only if the health callback says so     on_failure "abort" (default) or "revert"
 *   unfit          what becomes of devices that cannot take the version (fleet/fit.h): "refuse" the rollout (default),
 *                  "skip" them, or "try"; later ones are skipped unless "try"
 *   slot           default: the model's name                    per_minute     directives a minute; 0: no limit
 *   probation      {seconds, min_inferences, max_errors, lease_seconds}        window, byte_budget
 * Answers {"id",…} as td_rollout_json. INVALID; NOT_FOUND; CONFLICT: the version is not approved, no device matches
 * (names the nearest tags), or another rollout of that slot is under way.
 */
TD_MUST_USE td_code td_rollout_create(td_db *db, const td_actor *actor, const char *project, const json_t *spec,
                                      char id_out[TD_ROLLOUT_ID_TEXT], td_err *err);
/* The form only (unknown keys, types); messages begin with `name`, and the line if `lines` are given. INVALID. */
TD_MUST_USE td_code td_rollout_check_spec(const json_t *spec, const char *name, const td_yaml_lines *lines,
                                          td_err *err);
/* What would happen: {"devices":n,"waves":[n,…],"unfit":n,"unsure":n,"not_fitting":[as td_fit_json's devices]}; the
 * same errors but for unfit devices, nothing written. */
TD_MUST_USE td_code td_rollout_preview_json(td_db *db, const char *project, const json_t *spec, json_t **out,
                                            td_err *err);

/* The names of a rollout's states; ends with NULL. */
extern const char *const td_rollout_state_names[];
/* {"rollouts":[…],"next_cursor"?}, newest first, or as the page says. INVALID, LIMIT. */
TD_MUST_USE td_code td_rollout_list_json(td_db *db, const char *project, const td_page *page, json_t **out,
                                         td_err *err);
/* {"id","model","version","state","why","to","spec",…,
 *  "waves":[{"number","share","state","why","devices","reached", and a count by state: "waiting","issued","working",
 *            "committed","failed","cancelling","cancelled","reverting","reverted","unreached"}],
 *  "counts":{as of a wave},
 *  "devices":[{"device","wave","state","step","reason","bytes_done","bytes_total",…}]}. NOT_FOUND. */
TD_MUST_USE td_code td_rollout_json(td_db *db, const char *project, const char *id, json_t **out, td_err *err);

TD_MUST_USE td_code td_rollout_pause(td_db *db, const td_actor *actor, const char *project, const char *id,
                                     const char *reason, td_err *err);
TD_MUST_USE td_code td_rollout_resume(td_db *db, const td_actor *actor, const char *project, const char *id,
                                      td_err *err);
/* All that are running, of every project, in the name of the system: records were lost, and a person must look. */
TD_MUST_USE td_code td_rollout_pause_all(td_db *db, const char *reason, int64_t *count_out, td_err *err);
/* Stops devices that are still at work (a new directive each, written by the next tick); what is installed stays. */
TD_MUST_USE td_code td_rollout_abort(td_db *db, const td_actor *actor, const char *project, const char *id,
                                     const char *reason, td_err *err);
/* Every device of the rollout goes back to what it was told to run before. */
TD_MUST_USE td_code td_rollout_revert(td_db *db, const td_actor *actor, const char *project, const char *id,
                                      const char *reason, td_err *err);

typedef enum td_rollout_health { TD_HEALTH_PASS, TD_HEALTH_WAIT, TD_HEALTH_FAIL } td_rollout_health;

/* The rollout asks the monitor through this: how does model/version do on the devices of the rollout's wave? `text_out`
 * takes a sentence for people. Runs inside the tick, on its connection; reads only. */
typedef td_rollout_health (*td_health_fn)(void *context, td_db *db, const char *rollout, const char *project,
                                          const char *model, int64_t version, char text_out[160]);

typedef struct td_rollout_tick_options {
    const td_key *director;    /* P-256 */
    uint32_t keyset_version;   /* of the newest keyset, told in every directive */
    uint8_t keyset_digest[32]; /* SHA-256 of its SignedMessage */
    uint32_t keyset_size;
    td_health_fn health; /* NULL: every wave is healthy */
    void *health_context;
    int64_t directives_max; /* a tick; 0: 200 */
} td_rollout_tick_options;

typedef struct td_rollout_tick_result {
    int64_t directives;  /* written: let the publisher run */
    int64_t transitions; /* of rollouts, waves and devices */
} td_rollout_tick_result;

/* One step of everything that is under way, by the connection's clock: call about every second, in a closure. Also
 * marks silent devices offline and renews directives that are about to expire. Nothing due costs a few index look-ups.
 */
TD_MUST_USE td_code td_rollout_tick(td_db *db, const td_rollout_tick_options *options, td_rollout_tick_result *out,
                                    td_err *err);

#endif
