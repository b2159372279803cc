/*
 * run.h: specs of pipelines and gates as their readers see them, and the states of runs and steps. Private to monitor/.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_RUN_H
#define TD_MONITOR_RUN_H

#include "core/base/states.h"
#include "monitor/retrain.h"

typedef enum td_run_state {
    TD_RUN_PENDING,
    TD_RUN_RUNNING,
    TD_RUN_JUDGING,
    TD_RUN_PASSED,
    TD_RUN_REJECTED,
    TD_RUN_REGISTERED,
    TD_RUN_FAILED,
    TD_RUN_CANCELLED
} td_run_state;
extern const td_states td_run_states;
extern const char *const td_run_state_names[]; /* ends with NULL */

typedef enum td_step_state {
    TD_STEP_WAITING,
    TD_STEP_READY,
    TD_STEP_LEASED,
    TD_STEP_DONE,
    TD_STEP_FAILED
} td_step_state;
extern const td_states td_step_states;

/* A run's row. Text lives in the arena. */
typedef struct td_run_row {
    int64_t id, pipeline_revision, gate_revision, parent_version, alert_id;
    const char *project, *pipeline, *gate, *model, *metrics, *verdict;
    td_run_state state;
} td_run_row;
void td_run_name(int64_t id, char out[24]); /* "run-3" */
/* By name within a project; project NULL: any (a worker serves all). INVALID, NOT_FOUND. */
TD_MUST_USE td_code td_run_read(td_db *db, const char *project, const char *run, td_arena *arena, td_run_row *out,
                                td_err *err);
/* Along the table; sets ended_ms where the run ends. */
TD_MUST_USE td_code td_run_move(td_db *db, td_run_row *run, td_run_state to, const char *reason, td_err *err);
TD_MUST_USE td_code td_run_audit(td_db *db, const td_actor *actor, const td_run_row *run, const char *action,
                                 const char *decision, const char *reason, td_err *err);
/* The spec of the pipeline or gate revision that the run pinned. */
TD_MUST_USE td_code td_run_pipeline(td_db *db, const td_run_row *run, json_t **out, td_err *err);
TD_MUST_USE td_code td_run_gate(td_db *db, const td_run_row *run, json_t **spec_out, uint8_t digest_out[TD_DIGEST_SIZE],
                                td_err *err);

/* Pipelines and gates are the same kind of record: numbered revisions of a spec. */
typedef struct td_revision {
    int64_t number;
    uint8_t digest[TD_DIGEST_SIZE];
    int64_t set_ms;
    json_t *spec; /* owned */
} td_revision;
void td_revision_done(td_revision *revision); /* TD_CLEANUP */
/* number 0: the newest. NOT_FOUND. */
TD_MUST_USE td_code td_pipeline_read(td_db *db, const char *project, const char *name, int64_t number, td_revision *out,
                                     td_err *err);
TD_MUST_USE td_code td_gate_read(td_db *db, const char *project, const char *name, int64_t number, td_revision *out,
                                 td_err *err);

/* The step of that name in a pipeline's spec, or NULL. */
const json_t *td_pipeline_step(const json_t *spec, const char *name);
/* "train.model" of an input's `from`: the step's name. */
void td_input_step(const json_t *input, char out[65]);
const char *td_input_output(const json_t *input); /* "model" */

/* Judges measured numbers by a gate's rules: {"passed","rules":[…]}. `measured`: {"metrics","champion","groups"} or
 * NULL. */
json_t *td_gate_verdict(const json_t *gate, const json_t *measured, const json_t *champion_metrics, bool *passed_out);

#endif
