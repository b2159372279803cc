/*
 * model_history_store.c: the models of a run as clients before MLflow 3 keep them: a JSON list in a tag.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracking/internal.h"

#include <string.h>

#define HISTORY_TAG "mlflow.log-model.history"

/* The list so far; what is no list (somebody set the tag by hand) begins anew. */
static td_code read_history(td_db *db, int64_t run_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT value FROM run_tag WHERE run_id = :run AND key = :key", &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":key", HISTORY_TAG);
    TD_TRY(td_step(stmt, &row, err));
    json_t *list = row ? json_loads(td_column_text(stmt, "value"), 0, NULL) : NULL;
    td_reset(stmt);
    if (!json_is_array(list)) {
        json_decref(list);
        list = json_array();
    }
    *out = list;
    return list != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the models of a run");
}

td_code td_trial_record_model(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                              const json_t *model, td_err *err)
{
    td_tracking__run run;
    json_t *read = NULL;
    TD_CLEANUP(td_str_done) td_str text = {.limit = TD_TRIAL_MODELS_MAX};
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_tracking__run_open(db, project, uuid, &run, err));
    if (!json_is_object(model)) {
        return td_fail(err, TD_INVALID, "model_json must be an object");
    }
    TD_TRY(read_history(db, run.run_id, &read, err));
    TD_CLEANUP(td_json_done) json_t *list = read;
    TD_CLEANUP(td_json_done) json_t *copy = json_deep_copy(model);
    if (json_array_append(list, copy) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for the models of a run");
    }
    if (td_json_write(list, &text, err) != TD_OK) {
        return td_fail(err, TD_LIMIT, "the models that a run logged take more than %d bytes", TD_TRIAL_MODELS_MAX);
    }
    TD_TRY(td_tracking__run_tag_put(db, run.run_id, HISTORY_TAG, td_str_text(&text), err));
    return td_tracking__record(db, actor, project, "update.experiment_run", "experiment_run", uuid,
                               json_pack("{s:s}", "model", td_json_text(model, "artifact_path", "")), err);
}
