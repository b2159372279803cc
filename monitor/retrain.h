/*
 * retrain.h: what an alert starts: a pipeline run, its steps on a worker, and the gate that judges the result.
 *
 * A run is pinned when it is made: the digests of its pipeline and its gate are in it, so neither can be changed under
 * it. A worker takes one step at a time under a lease; a lease that runs out returns the step to the queue until its
 * retries are used up. The server registers the result as a version and calls td_run_finish, which writes lineage alert
 * → run → version.
 *
 *     run:  pending → running → judging → passed | rejected → registered        any → failed | cancelled
 *     step: waiting → ready → leased → done | failed (→ ready while retries are left)
 *
 * Threads: where the connection lives. Writing functions run inside the caller's transaction.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_RETRAIN_H
#define TD_MONITOR_RETRAIN_H

#include "audit/audit.h"
#include "core/base/arena.h"
#include "core/db/list.h"
#include "monitor/windows.h"

#define TD_STEPS_MAX 32
#define TD_STEP_LOG_MAX 16384 /* bytes of a step's output that are kept (the last ones) */

/* ---- Pipelines and gates (YAML; docs/monitoring.md) ------------------------------------------ */

/* Checks form and graph: unknown keys, unknown references, cycles, more than TD_STEPS_MAX steps. INVALID with line. */
TD_MUST_USE td_code td_pipeline_check(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err);
TD_MUST_USE td_code td_gate_check(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err);
/* Stores a new revision (the same spec again: no change), audited. */
TD_MUST_USE td_code td_pipeline_set(td_db *db, const td_actor *actor, const char *project, const char *pipeline,
                                    const json_t *spec, td_err *err);
TD_MUST_USE td_code td_gate_set(td_db *db, const td_actor *actor, const char *project, const char *gate,
                                const json_t *spec, td_err *err);
/* {"pipeline","revision","digest","set_at","spec"}; NOT_FOUND. */
TD_MUST_USE td_code td_pipeline_json(td_db *db, const char *project, const char *pipeline, json_t **out, td_err *err);
TD_MUST_USE td_code td_gate_json(td_db *db, const char *project, const char *gate, json_t **out, td_err *err);
/* {"gates":[{"gate","revision","digest","set_at"}…],"next_cursor"?}: the newest revision of each. */
TD_MUST_USE td_code td_gate_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err);
/* {"pipelines":[…],"next_cursor"?}, by name, or as the page says. INVALID, LIMIT. */
TD_MUST_USE td_code td_pipeline_list_json(td_db *db, const char *project, const td_page *page, json_t **out,
                                          td_err *err);

/* ---- Runs ------------------------------------------------------------------------------------ */

typedef struct td_run_request {
    const char *project;
    const char *pipeline;
    const char *model;      /* whose version the result becomes */
    int64_t parent_version; /* 0: none */
    const char *alert;      /* "al-12", or NULL: by hand */
    const char *reason;     /* or NULL */
} td_run_request;

/* Starts a run now ("run-…" in run_out). NOT_FOUND: pipeline, gate. */
TD_MUST_USE td_code td_run_start(td_db *db, const td_actor *actor, const td_run_request *request, char run_out[24],
                                 td_err *err);

/* What an alert starts: looks up the model's `retraining` section and starts a run unless a cooldown, a run that has
 * not ended, or the budget forbids it (*reason_out says which; static text). *started_out: a run was made. Called by
 * td_monitor_evaluate. */
TD_MUST_USE td_code td_retrain_consider(td_db *db, const td_actor *actor, int64_t alert_id, bool *started_out,
                                        char run_out[24], const char **reason_out, td_err *err);

TD_MUST_USE td_code td_run_json(td_db *db, const char *project, const char *run, json_t **out, td_err *err);
/* The run that made a version, as td_run_json, with "pipeline_digest" (hexadecimal) of the revision that it pinned;
 * *out is NULL when none did. */
TD_MUST_USE td_code td_run_of_version_json(td_db *db, const char *project, const char *model, int64_t version,
                                           json_t **out, td_err *err);
/* {"runs":[…],"next_cursor"?} of one pipeline, newest first, or as the page says. INVALID, LIMIT. */
TD_MUST_USE td_code td_run_list_json(td_db *db, const char *project, const char *pipeline, const td_page *page,
                                     json_t **out, td_err *err);

/* ---- Worker ---------------------------------------------------------------------------------- */

/* What a worker holds: a step in its attempt, as the user who claimed it. */
typedef struct td_lease {
    const td_actor *actor;
    const char *project, *worker, *run, *step;
    int64_t attempt;
} td_lease;

/* Gives the worker one ready step of the project under a lease, or null when there is none (*out is then NULL):
 * {"run","step","attempt","lease_ms","command":[…],"environment":{…},"timeout_ms","network":false,
 *  "inputs":[{"name","kind":"path","path"} | {"name","kind":"content","digest"} |
 * {"name","kind":"parent_file","file"}],
 *  "outputs":[{"name","path","role","required"}],"pipeline","model","parent_version","alert","cause":{the alert}}.
 * The worker puts each input at inputs/<name> in a fresh job folder (a parent_file comes from the parent version), runs
 * the command there, and finds outputs at their paths. Leases that ran out are returned to the queue first.
 * Of `wanted` actor, project and worker count. */
TD_MUST_USE td_code td_worker_claim(td_db *db, const td_lease *wanted, int64_t lease_ms, json_t **out, td_err *err);

/* Prolongs the lease. CONFLICT: lost, of another attempt, or somebody else's. */
TD_MUST_USE td_code td_worker_renew(td_db *db, const td_lease *lease, int64_t lease_ms, td_err *err);

/* The worker's report: {"worker","attempt","exit_code","log","duration_ms",
 * "outputs":[{"name","digest":"sha256:…","size"}],
 * "inputs":[the same form: files of the worker's machine as it found them; those that the pipeline gives a `dataset`
 * name become lineage],
 * "metrics":{"metrics":{…},"champion":{…},"groups":{…}}} (metrics: the parsed content of the step's metrics output, if
 * it declared one). Output files must already be in the content store (the server checks that before). CONFLICT: as
 * td_worker_renew. *done_out: all steps of the run are done and it waits for judgement (td_run_result, then
 * td_gate_judge). Of `step` actor, project, run and step count; worker and attempt are the report's. */
TD_MUST_USE td_code td_step_result(td_db *db, const td_lease *step, const json_t *report, bool *done_out, td_err *err);

/* ---- Judgement and registration -------------------------------------------------------------- */

typedef struct td_run_file {
    const char *name;   /* name in the version: "model/pump.onnx" */
    const char *role;   /* "model", "baseline_csv", "metrics", "dataset", "golden", "file" */
    const char *output; /* declared output's name */
    uint8_t digest[TD_DIGEST_SIZE];
    int64_t size;
} td_run_file;

/* All that the server needs to register a run's result as a version. Strings live in the arena. */
typedef struct td_run_result {
    const char *run;                                       /* "run-…" */
    const char *state;                                     /* "judging", "passed", "rejected", … */
    const char *project, *model, *pipeline, *gate, *alert; /* gate, alert: or NULL */
    int64_t parent_version;
    const td_run_file *files;
    size_t file_count;
    const char *columns;   /* JSON text of the columns spec for the baseline CSV, or NULL: the parent's is used */
    const char *metrics;   /* JSON text: flat object of numbers, or NULL */
    const char *registrar; /* user in whose name it is registered (the pipeline's `registrar`), or NULL: the system */
    bool submit;           /* the pipeline asks for the version to be submitted at once */
} td_run_result;
TD_MUST_USE td_code td_run_result_read(td_db *db, const char *project, const char *run, td_arena *arena,
                                       td_run_result *out, td_err *err);

/* Judges a finished run by the gate that was pinned when it started. champion_metrics: registered metrics of the parent
 * version (flat object), used where the run measured no champion of its own; may be NULL. *passed_out; verdict and each
 * rule are stored, audited and returned in *verdict_out (may be NULL) as
 * {"gate","digest","passed","rules":[{"metric","value", "limit","champion","passed","text"}]}. A run without a gate
 * passes. CONFLICT: not judging. */
TD_MUST_USE td_code td_gate_judge(td_db *db, const td_actor *actor, const char *project, const char *run,
                                  const json_t *champion_metrics, bool *passed_out, json_t **verdict_out, td_err *err);
/* passed → registered as version `version`; lineage edges alert → run → version (and gate → version). CONFLICT. */
TD_MUST_USE td_code td_run_finish(td_db *db, const td_actor *actor, const char *project, const char *run,
                                  int64_t version, td_err *err);
/* Any state that has not ended → failed. */
TD_MUST_USE td_code td_run_fail(td_db *db, const td_actor *actor, const char *project, const char *run,
                                const char *reason, td_err *err);
/* Runs that wait for the server: state "judging" or "passed" (after a restart):
 * {"runs":[{"run":"run-1","project":"default"},…]}. */
TD_MUST_USE td_code td_run_waiting_json(td_db *db, json_t **out, td_err *err);

#endif
