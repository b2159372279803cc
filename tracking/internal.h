/*
 * internal.h: what the files of tracking share: finding by what clients call it, checking texts, recording.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TRACKING_INTERNAL_H
#define TD_TRACKING_INTERNAL_H

#include "tracking/artifact.h"
#include "tracking/logged.h"
#include "tracking/resolve.h"
#include "tracking/tracking.h"

#define TD_TRACKING_MESSAGE_TEXT 60 /* characters of a foreign text that an error repeats */

typedef struct td_tracking__experiment {
    int64_t experiment_id, project_id, number;
    bool deleted;
} td_tracking__experiment;

typedef struct td_tracking__run {
    int64_t run_id, experiment_id, experiment_number;
    bool deleted;
    bool ended; /* its status says so */
} td_tracking__run;

typedef struct td_tracking__logged {
    int64_t logged_model_id, experiment_id, experiment_number;
    int64_t source_run_id; /* 0: none */
    char status[32];
} td_tracking__logged;

/* By number as text. NOT_FOUND. */
td_code td_tracking__experiment_find(td_db *db, const char *project, const char *id, td_tracking__experiment *out,
                                     td_err *err);
/* NOT_FOUND: no such run in the project. */
td_code td_tracking__run_find(td_db *db, const char *project, const char *uuid, td_tracking__run *out, td_err *err);
/* As before, INVALID if the run is deleted. */
td_code td_tracking__run_open(td_db *db, const char *project, const char *uuid, td_tracking__run *out, td_err *err);
/* NOT_FOUND: no such logged model in the project, or it is deleted. */
td_code td_tracking__logged_find(td_db *db, const char *project, const char *uuid, td_tracking__logged *out,
                                 td_err *err);

/* 1 to `most` bytes without control characters. INVALID, LIMIT; `what` is "run's name". */
td_code td_tracking__name_check(const char *what, const char *text, size_t most, td_err *err);
/* As an object {"key","value"} of an array must be: a checked key, a text of at most `most` bytes. */
td_code td_tracking__pair_check(const char *what, const json_t *pair, size_t most, const char **key_out,
                                const char **value_out, td_err *err);
/* Appends one audit record; takes `after` over (NULL: no memory). */
td_code td_tracking__record(td_db *db, const td_actor *actor, const char *project, const char *action,
                            const char *object_type, const char *object_id, json_t *after, td_err *err);
/* Runs a statement of two columns "key" and "value" to its end into [{"key","value"}…]. */
td_code td_tracking__pairs_json(td_stmt *stmt, json_t *array, td_err *err);
/* Runs a statement to its end; `make` turns each row into an entry of the array. */
td_code td_tracking__rows_json(td_stmt *stmt, json_t *(*make)(td_stmt *stmt), json_t *array, td_err *err);
/* A number, or "NaN", "Infinity", "-Infinity": how protobuf's JSON writes those. */
json_t *td_tracking__number_json(double value);
td_code td_tracking__run_json(td_db *db, int64_t run_id, json_t **out, td_err *err);
td_code td_tracking__logged_json(td_db *db, int64_t logged_model_id, json_t **out, td_err *err);
td_code td_tracking__experiment_json(td_db *db, int64_t experiment_id, json_t **out, td_err *err);
/* Sets one tag; mlflow.runName also names the run. Texts are checked already. */
td_code td_tracking__run_tag_put(td_db *db, int64_t run_id, const char *key, const char *value, td_err *err);
/* {"digest","params","tags","metrics","artifacts"} of all that a run logged. */
td_code td_tracking__run_digest_json(td_db *db, int64_t run_id, json_t **out, td_err *err);
/* Over all files of a run or of a logged model (the other id is 0): path, digest, size of each, in order of path. */
td_code td_tracking__tree_digest(td_db *db, int64_t run_id, int64_t logged_model_id,
                                 uint8_t digest_out[TD_DIGEST_SIZE], int64_t *files_out, td_err *err);
/* 32 random hexadecimal digits in the form of a version 4 UUID without dashes (RFC 9562, 5.4). */
td_code td_tracking__uuid(char out[TD_TRIAL_UUID_SIZE], td_err *err);
/* Whether text has exactly 32 hexadecimal digits. */
bool td_tracking__is_uuid(const char *text);

typedef struct td_tracking__root {
    int64_t root_id, run_id, logged_model_id; /* one of the two is 0 */
    bool closed;                              /* its run ended, its model is ready: changes leave a record */
    bool deleted;
    char owner[TD_LOGGED_UUID_SIZE];          /* uuid of the run or model */
    char name[96];
    const char *rest; /* what of the path lies below it, "" for itself; borrowed from the path */
} td_tracking__root;
/* The root that a checked path begins with. NOT_FOUND. */
td_code td_tracking__root_of(td_db *db, const char *project, const char *path, td_tracking__root *out, td_err *err);
/* The half-open range of paths below a folder ("" for all): [from, end). */
void td_tracking__below(const char *folder, char from[TD_ARTIFACT_PATH_MAX + 8], char end[TD_ARTIFACT_PATH_MAX + 8]);
/* The root of a new run or logged model (the other id is 0). */
td_code td_tracking__root_add(td_db *db, int64_t project_id, const char *name, int64_t run_id, int64_t logged_model_id,
                              td_err *err);
void td_tracking__run_root(int64_t experiment_number, const char *uuid, char out[96]);
void td_tracking__logged_root(int64_t experiment_number, const char *uuid, char out[96]);

#endif
