/*
 * tracking.h: experiments and their runs: what was tried, with which parameters, and how it went over time.
 *
 * A run is what a training script reports: parameters (written once), tags, metrics with their whole history, datasets
 * that it read, models that it made, and artifacts (tracking/artifact.h). Nothing is ever removed: deleting hides, and
 * restoring brings back. Points of metrics, parameters and tags of a run that goes on are telemetry: one audit record
 * when a run starts and one when it ends (with a digest of all that it logged) vouch for them; what is changed after
 * its end leaves a record each.
 *
 * In code a run of an experiment is a *trial*: `td_run` is a run of a pipeline (monitor/).
 * JSON that is returned has MLflow's shape and names, because its clients are who asks; experiments are called by the
 * text of a number within their project, runs by 32 hexadecimal digits.
 * Writing functions run inside the caller's transaction on the writing connection, ask td_access_recheck, and are all
 * or nothing only through that transaction. Reading ones run on any connection.
 * Threads: as the td_db that is passed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TRACKING_TRACKING_H
#define TD_TRACKING_TRACKING_H

#include "access/access.h"
#include "audit/audit.h"
#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/db/list.h"
#include "core/db/migrate.h"

extern const td_migration td_tracking_migrations[];

#define TD_EXPERIMENT_NAME_MAX 500
#define TD_TRIAL_NAME_MAX 500
#define TD_TRIAL_UUID_SIZE 33       /* 32 hexadecimal digits and NUL */
#define TD_TRIAL_KEY_MAX 250        /* bytes of a key of a tag, parameter or metric */
#define TD_TRIAL_PARAM_MAX 6000     /* bytes of a parameter's value */
#define TD_TRIAL_TAG_MAX 8000       /* bytes of a tag's value */
#define TD_TRIAL_ENTRIES_MAX 10000  /* tags, parameters, metrics: each, of one run */
#define TD_BATCH_METRICS_MAX 1000 /* of one td_trial_log */
#define TD_BATCH_PARAMS_MAX 1000
#define TD_BATCH_TAGS_MAX 1000
#define TD_DATASET_NAME_MAX 475       /* bytes; with the digest it names a node of the lineage */
#define TD_DATASET_DIGEST_MAX 36      /* bytes, as the client computes it */
#define TD_BATCH_INPUTS_MAX 200       /* datasets and models: each, of one td_trial_add_inputs */
#define TD_DATASET_DETAIL_MAX 1048576 /* bytes of source, schema and profile, each */

/* ---- experiments ---- */

/* Makes one; *number_out is what it is called by. `tags`: [{"key","value"}…] or NULL. CONFLICT: the name is taken (also
 * by a deleted one). */
TD_MUST_USE td_code td_experiment_create(td_db *db, const td_actor *actor, const char *project, const char *name,
                                         const json_t *tags, int64_t *number_out, td_err *err);
/* CONFLICT: the name is taken; INVALID: it is deleted. */
TD_MUST_USE td_code td_experiment_rename(td_db *db, const td_actor *actor, const char *project, const char *id,
                                         const char *name, td_err *err);
/* Hides it together with its runs, or brings it back. Doing it again is OK and leaves no record. */
TD_MUST_USE td_code td_experiment_delete(td_db *db, const td_actor *actor, const char *project, const char *id,
                                         td_err *err);
TD_MUST_USE td_code td_experiment_restore(td_db *db, const td_actor *actor, const char *project, const char *id,
                                          td_err *err);
/* value NULL: removed (NOT_FOUND if absent). */
TD_MUST_USE td_code td_experiment_set_tag(td_db *db, const td_actor *actor, const char *project, const char *id,
                                          const char *key, const char *value, td_err *err);
/* One experiment, by number ("0") or by name. NOT_FOUND. */
TD_MUST_USE td_code td_experiment_json(td_db *db, const char *project, const char *id, json_t **out, td_err *err);
TD_MUST_USE td_code td_experiment_named_json(td_db *db, const char *project, const char *name, json_t **out,
                                             td_err *err);

/* Which ones a search shows. */
typedef enum td_tracking_view { TD_VIEW_ACTIVE, TD_VIEW_DELETED, TD_VIEW_ALL } td_tracking_view;
#define TD_TRACKING_PAGE_MAX 1000      /* experiments, runs or logged models of one page */
#define TD_SEARCH_EXPERIMENTS_MAX 1000 /* that one search of runs or logged models goes through */

/* {"experiments":[…],"next_page_token"?}. Filter and order as core/db/filter.h: name, creation_time, last_update_time,
 * tags.x. */
TD_MUST_USE td_code td_experiment_search_json(td_db *db, const char *project, const td_page *page,
                                              td_tracking_view view, json_t **out, td_err *err);

/* ---- runs ---- */

typedef struct td_trial_options {
    const char *experiment; /* its number as text */
    const char *uuid;       /* of a run that has one from elsewhere, else NULL. CONFLICT: it is taken */
    const char *name;       /* or NULL: one is made up */
    const char *user;       /* whom the client names, or NULL */
    int64_t started_ms;     /* 0: now */
    const json_t *tags;     /* [{"key","value"}…] or NULL */
} td_trial_options;

/* Starts a run (status RUNNING). INVALID: the experiment is deleted. */
TD_MUST_USE td_code td_trial_start(td_db *db, const td_actor *actor, const char *project,
                                   const td_trial_options *options, char uuid_out[TD_TRIAL_UUID_SIZE], td_err *err);

typedef struct td_trial_change {
    const char *status; /* RUNNING, SCHEDULED, FINISHED, FAILED, KILLED; NULL: as it is */
    const char *name;   /* NULL: as it is */
    int64_t ended_ms;   /* 0: now, if the status says that it ended */
} td_trial_change;
/* INVALID: unknown status, or the run is deleted. */
TD_MUST_USE td_code td_trial_update(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                  const td_trial_change *change, td_err *err);
TD_MUST_USE td_code td_trial_delete(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                    td_err *err);
TD_MUST_USE td_code td_trial_restore(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                   td_err *err);

/* Everything that can be logged at once; each NULL or an array of MLflow's objects. */
typedef struct td_trial_batch {
    const json_t *metrics; /* [{"key","value","timestamp"?,"step"?,"model_id"?,"dataset_name"?,"dataset_digest"?}…] */
    const json_t *params;  /* [{"key","value"}…] */
    const json_t *tags;    /* [{"key","value"}…] */
} td_trial_batch;
/* Logs a batch; the same point again changes nothing. INVALID: a parameter has another value already (parameters never
 * change), a malformed entry; LIMIT. `value` may be a number, or "NaN", "Infinity", "-Infinity". */
TD_MUST_USE td_code td_trial_log(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                               const td_trial_batch *batch, td_err *err);
TD_MUST_USE td_code td_trial_delete_tag(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                      const char *key, td_err *err);

#define TD_TRIAL_MODELS_MAX 1048576 /* bytes of all models that clients before MLflow 3 record in one run */
/* Appends to the tag mlflow.log-model.history. INVALID: no object; LIMIT. */
TD_MUST_USE td_code td_trial_record_model(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                          const json_t *model, td_err *err);

/* Datasets and models that a run read or made: datasets [{"dataset":{name,digest,source_type,source,schema?,profile?},
 * "tags":[{key,value}…]}…], models [{"model_id","step"?}…]; each NULL or an array. Each dataset becomes a node of the
 * lineage, NAME@DIGEST, with an edge into the run. */
TD_MUST_USE td_code td_trial_add_inputs(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                      const json_t *datasets, const json_t *models, td_err *err);
TD_MUST_USE td_code td_trial_add_outputs(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                       const json_t *models, td_err *err);

/* {"info","data":{metrics,params,tags},"inputs","outputs"}. NOT_FOUND. */
TD_MUST_USE td_code td_trial_json(td_db *db, const char *project, const char *uuid, json_t **out, td_err *err);
/* {"runs":[…],"next_page_token"?} of these experiments (an array of their numbers as texts): attributes, tags, metrics,
 * params, dataset.name, dataset.digest, dataset.context. */
TD_MUST_USE td_code td_trial_search_json(td_db *db, const char *project, const json_t *experiments,
                                         const td_page *page, td_tracking_view view, json_t **out, td_err *err);

#define TD_HISTORY_PAGE_MAX 25000 /* points of one page */
typedef struct td_history_page {
    const char *key;
    int64_t limit;     /* 0: TD_HISTORY_PAGE_MAX */
    const char *token; /* of the page before, or NULL */
} td_history_page;
/* One metric over time: {"metrics":[{key,value,timestamp,step}…],"next_page_token"?}, by time, then step. */
TD_MUST_USE td_code td_trial_history_json(td_db *db, const char *project, const char *uuid, const td_history_page *page,
                                        json_t **out, td_err *err);

typedef struct td_history_range {
    const char *key;
    int64_t first_step, last_step; /* both belong to it */
    int64_t limit;                 /* about as many points are kept, evenly, the last one always; from 1 on */
} td_history_range;
/* Appends {key,value,timestamp,step,run_id} for a curve. */
TD_MUST_USE td_code td_trial_interval_json(td_db *db, const char *project, const char *uuid,
                                         const td_history_range *range, json_t *list, td_err *err);

/* The run that a version was registered from becomes its source in the lineage: run:UUID -> version:pump/3. NOT_FOUND:
 * no such run in the project. Inside the transaction that registers. */
TD_MUST_USE td_code td_trial_link_version(td_db *db, const char *project, const char *uuid, const char *version_label,
                                        td_err *err);

#endif
