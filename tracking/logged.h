/*
 * logged.h: models as a run logs them, before anybody registers them: files, parameters, tags, metrics.
 *
 * MLflow 3 makes one for each log_model() and calls it m-… and 32 hexadecimal digits. It is PENDING while its files
 * come, and READY from then on; registering it copies its digests into a version.
 *
 * Threads: as the td_db that is passed. Writing functions run inside the caller's transaction.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TRACKING_LOGGED_H
#define TD_TRACKING_LOGGED_H

#include "access/access.h"
#include "core/base/json.h"
#include "core/db/list.h"

#define TD_LOGGED_UUID_SIZE 35 /* "m-", 32 hexadecimal digits and NUL */
#define TD_LOGGED_NAME_MAX 500

typedef struct td_logged_options {
    const char *experiment; /* its number as text */
    const char *uuid;       /* of a model that has one from elsewhere, else NULL. CONFLICT: it is taken */
    const char *name;       /* or NULL: one is made up */
    const char *model_type; /* or NULL */
    const char *source_run; /* uuid of the run that made it, or NULL */
    const json_t *params;   /* [{"key","value"}…] or NULL */
    const json_t *tags;     /* likewise */
} td_logged_options;

/* INVALID: a name with '/' or ':' in it; NOT_FOUND: experiment or run. */
TD_MUST_USE td_code td_logged_create(td_db *db, const td_actor *actor, const char *project,
                                     const td_logged_options *options, char uuid_out[TD_LOGGED_UUID_SIZE], td_err *err);

/* Sets the status: LOGGED_MODEL_READY when all files are there, LOGGED_MODEL_UPLOAD_FAILED, LOGGED_MODEL_PENDING. The
 * record holds a digest of the files. INVALID: another text. */
TD_MUST_USE td_code td_logged_finish(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                     const char *status, td_err *err);
/* [{"key","value"}…] on top of what there is. */
TD_MUST_USE td_code td_logged_set_tags(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                       const json_t *tags, td_err *err);
TD_MUST_USE td_code td_logged_delete_tag(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                         const char *key, td_err *err);
/* [{"key","value"}…]; INVALID: one of them is set already (parameters never change). */
TD_MUST_USE td_code td_logged_add_params(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                         const json_t *params, td_err *err);
/* Hides it; its files stay. */
TD_MUST_USE td_code td_logged_delete(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                                     td_err *err);
/* {"info","data":{params,metrics}}. NOT_FOUND. */
TD_MUST_USE td_code td_logged_json(td_db *db, const char *project, const char *uuid, json_t **out, td_err *err);
/* {"models":[…],"next_page_token"?} of these experiments (an array of their numbers as texts), by attributes, tags,
 * params and metrics. Hidden ones are left out. */
TD_MUST_USE td_code td_logged_search_json(td_db *db, const char *project, const json_t *experiments,
                                          const td_page *page, json_t **out, td_err *err);

#endif
