/*
 * run_show_store.c: a run as MLflow's clients read it: info, data, inputs, outputs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracking/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to show the run");
}

json_t *td_tracking__number_json(double value)
{
    return isnan(value)   ? json_string("NaN")
           : isinf(value) ? json_string(value > 0 ? "Infinity" : "-Infinity")
                          : json_real(value);
}

/* Runs a statement to its end; `make` turns each row into an entry of the array. */
td_code td_tracking__rows_json(td_stmt *stmt, json_t *(*make)(td_stmt *stmt), json_t *array, td_err *err)
{
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        if (json_array_append_new(array, make(stmt)) != 0) {
            td_reset(stmt);
            return no_memory(err);
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

/* ---- info ---- */

static json_t *make_info(td_stmt *stmt)
{
    char experiment[24], root[96], uri[128];
    const char *uuid = td_column_text(stmt, "uuid");
    const char *user = td_column_text(stmt, "user_name");
    int64_t number = td_column_int(stmt, "number");
    snprintf(experiment, sizeof experiment, "%lld", (long long)number);
    td_tracking__run_root(number, uuid, root);
    snprintf(uri, sizeof uri, "mlflow-artifacts:/%s", root);
    json_t *ended = td_column_null(stmt, "ended_ms") ? NULL : json_integer((json_int_t)td_column_int(stmt, "ended_ms"));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o*, s:s, s:s}", "run_id", uuid, "run_uuid", uuid,
                     "run_name", td_column_text(stmt, "name"), "experiment_id", experiment, "user_id",
                     *user != '\0' ? user : td_column_text(stmt, "owner"), "status", td_column_text(stmt, "status"),
                     "start_time", (json_int_t)td_column_int(stmt, "started_ms"), "end_time", ended, "artifact_uri",
                     uri, "lifecycle_stage", td_column_text(stmt, "stage"));
}

static td_code info_json(td_db *db, int64_t run_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT uuid, number, run.name AS name, status, run.owner AS owner, "
                         "iif(experiment.stage = 'deleted', 'deleted', run.stage) AS stage, user_name, "
                         "started_ms, ended_ms FROM experiment_run AS run "
                         "JOIN experiment ON experiment.experiment_id = run.experiment_id WHERE run_id = :run",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    TD_TRY(td_step_one(stmt, err, "the run is gone"));
    json_t *info = make_info(stmt);
    td_reset(stmt);
    *out = info;
    return info != NULL ? TD_OK : no_memory(err);
}

/* ---- data ---- */

static json_t *make_metric(td_stmt *stmt)
{
    double value = td_column_null(stmt, "value") ? (double)NAN : td_column_real(stmt, "value");
    return json_pack("{s:s, s:o, s:I, s:I}", "key", td_column_text(stmt, "key"), "value",
                     td_tracking__number_json(value), "timestamp", (json_int_t)td_column_int(stmt, "timestamp_ms"),
                     "step", (json_int_t)td_column_int(stmt, "step"));
}

static td_code data_json(td_db *db, int64_t run_id, json_t *data, td_err *err)
{
    td_stmt *stmt;
    json_t *metrics = json_array(), *params = json_array(), *tags = json_array();
    int failed = json_object_set_new(data, "metrics", metrics);
    failed |= json_object_set_new(data, "params", params);
    failed |= json_object_set_new(data, "tags", tags);
    if (failed != 0) {
        return no_memory(err);
    }
    TD_TRY(td_db_prepare(db,
                         "SELECT key, value, step, timestamp_ms FROM run_metric WHERE run_id = :run ORDER BY key",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    TD_TRY(td_tracking__rows_json(stmt, make_metric, metrics, err));
    TD_TRY(td_db_prepare(db, "SELECT key, value FROM run_param WHERE run_id = :run ORDER BY key", &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    TD_TRY(td_tracking__pairs_json(stmt, params, err));
    TD_TRY(td_db_prepare(db, "SELECT key, value FROM run_tag WHERE run_id = :run ORDER BY key", &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    return td_tracking__pairs_json(stmt, tags, err);
}

/* ---- inputs and outputs ---- */

static json_t *make_dataset(td_stmt *stmt)
{
    const char *tags = td_column_text(stmt, "tags");
    return json_pack("{s:o, s:{s:s, s:s, s:s, s:s, s:s*, s:s*}}", "tags", json_loads(tags, 0, NULL), "dataset", "name",
                     td_column_text(stmt, "name"), "digest", td_column_text(stmt, "digest"), "source_type",
                     td_column_text(stmt, "source_type"), "source", td_column_text(stmt, "source"), "schema",
                     td_column_text(stmt, "schema"), "profile", td_column_text(stmt, "profile"));
}

static json_t *make_model(td_stmt *stmt)
{
    return json_pack("{s:s, s:I}", "model_id", td_column_text(stmt, "uuid"), "step",
                     (json_int_t)td_column_int(stmt, "step"));
}

static td_code models_json(td_db *db, int64_t run_id, const char *direction, json_t *array, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT uuid, step FROM run_model AS used JOIN logged_model AS model "
                         "ON model.logged_model_id = used.logged_model_id "
                         "WHERE run_id = :run AND direction = :direction ORDER BY used.logged_model_id",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":direction", direction);
    return td_tracking__rows_json(stmt, make_model, array, err);
}

static td_code datasets_json(td_db *db, int64_t run_id, json_t *array, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT name, digest, source_type, source, schema, profile, tags FROM run_input AS used "
                         "JOIN dataset_input AS dataset ON dataset.dataset_id = used.dataset_id "
                         "WHERE run_id = :run ORDER BY used.dataset_id",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    return td_tracking__rows_json(stmt, make_dataset, array, err);
}

/* ---- the whole ---- */

td_code td_tracking__run_json(td_db *db, int64_t run_id, json_t **out, td_err *err)
{
    json_t *info = NULL;
    TD_TRY(info_json(db, run_id, &info, err));
    TD_CLEANUP(td_json_done)
    json_t *run = json_pack("{s:o, s:{}, s:{s:[], s:[]}, s:{s:[]}}", "info", info, "data", "inputs", "dataset_inputs",
                            "model_inputs", "outputs", "model_outputs");
    if (run == NULL) {
        return no_memory(err);
    }
    json_t *inputs = json_object_get(run, "inputs");
    TD_TRY(data_json(db, run_id, json_object_get(run, "data"), err));
    TD_TRY(datasets_json(db, run_id, json_object_get(inputs, "dataset_inputs"), err));
    TD_TRY(models_json(db, run_id, "input", json_object_get(inputs, "model_inputs"), err));
    TD_TRY(models_json(db, run_id, "output", json_object_get(json_object_get(run, "outputs"), "model_outputs"), err));
    *out = json_incref(run);
    return TD_OK;
}

td_code td_trial_json(td_db *db, const char *project, const char *uuid, json_t **out, td_err *err)
{
    td_tracking__run run;
    TD_TRY(td_tracking__run_find(db, project, uuid, &run, err));
    return td_tracking__run_json(db, run.run_id, out, err);
}
