/*
 * logged_show_store.c: a logged model as MLflow's clients read it: info and data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracking/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to show the logged model");
}

static json_t *make_info(td_stmt *stmt)
{
    char experiment[24], root[96], uri[128];
    const char *uuid = td_column_text(stmt, "uuid");
    int64_t number = td_column_int(stmt, "number");
    snprintf(experiment, sizeof experiment, "%lld", (long long)number);
    td_tracking__logged_root(number, uuid, root);
    snprintf(uri, sizeof uri, "mlflow-artifacts:/%s", root);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s*, s:[]}", "model_id", uuid, "experiment_id",
                     experiment, "name", td_column_text(stmt, "name"), "creation_timestamp_ms",
                     (json_int_t)td_column_int(stmt, "created_ms"), "last_updated_timestamp_ms",
                     (json_int_t)td_column_int(stmt, "updated_ms"), "artifact_uri", uri, "status",
                     td_column_text(stmt, "status"), "model_type", td_column_text(stmt, "model_type"), "source_run_id",
                     td_column_text(stmt, "run"), "tags");
}

static json_t *make_metric(td_stmt *stmt)
{
    const char *dataset = td_column_text(stmt, "dataset_name");
    const char *digest = td_column_text(stmt, "dataset_digest");
    double value = td_column_null(stmt, "value") ? (double)NAN : td_column_real(stmt, "value");
    return json_pack("{s:s, s:o, s:I, s:I, s:s, s:s, s:s*, s:s*}", "key", td_column_text(stmt, "key"), "value",
                     td_tracking__number_json(value), "timestamp", (json_int_t)td_column_int(stmt, "timestamp_ms"),
                     "step", (json_int_t)td_column_int(stmt, "step"), "model_id", td_column_text(stmt, "uuid"),
                     "run_id", td_column_text(stmt, "run"), "dataset_name", *dataset != '\0' ? dataset : NULL,
                     "dataset_digest", *digest != '\0' ? digest : NULL);
}

static td_code info_json(td_db *db, int64_t logged_model_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT model.uuid AS uuid, number, model.name AS name, model_type, model.status AS status, "
                         "model.created_ms AS created_ms, model.updated_ms AS updated_ms, "
                         "run.uuid AS run FROM logged_model AS model "
                         "JOIN experiment ON experiment.experiment_id = model.experiment_id "
                         "LEFT JOIN experiment_run AS run ON run.run_id = model.source_run_id "
                         "WHERE logged_model_id = :model",
                         &stmt, err));
    td_bind_int(stmt, ":model", logged_model_id);
    TD_TRY(td_step_one(stmt, err, "the logged model is gone"));
    json_t *info = make_info(stmt);
    td_reset(stmt);
    *out = info;
    return info != NULL ? TD_OK : no_memory(err);
}

static td_code fill(td_db *db, int64_t logged_model_id, json_t *model, td_err *err)
{
    td_stmt *stmt;
    json_t *data = json_object_get(model, "data");
    TD_TRY(td_db_prepare(db, "SELECT key, value FROM logged_model_tag WHERE logged_model_id = :model ORDER BY key",
                         &stmt, err));
    td_bind_int(stmt, ":model", logged_model_id);
    TD_TRY(td_tracking__pairs_json(stmt, json_object_get(json_object_get(model, "info"), "tags"), err));
    TD_TRY(td_db_prepare(db, "SELECT key, value FROM logged_model_param WHERE logged_model_id = :model ORDER BY key",
                         &stmt, err));
    td_bind_int(stmt, ":model", logged_model_id);
    TD_TRY(td_tracking__pairs_json(stmt, json_object_get(data, "params"), err));
    TD_TRY(td_db_prepare(db,
                         "SELECT key, value, step, timestamp_ms, dataset_name, dataset_digest, model.uuid AS uuid, "
                         "run.uuid AS run FROM logged_model_metric AS metric "
                         "JOIN logged_model AS model ON model.logged_model_id = metric.logged_model_id "
                         "JOIN experiment_run AS run ON run.run_id = metric.run_id "
                         "WHERE metric.logged_model_id = :model ORDER BY key, dataset_name, dataset_digest",
                         &stmt, err));
    td_bind_int(stmt, ":model", logged_model_id);
    return td_tracking__rows_json(stmt, make_metric, json_object_get(data, "metrics"), err);
}

td_code td_tracking__logged_json(td_db *db, int64_t logged_model_id, json_t **out, td_err *err)
{
    json_t *info = NULL;
    TD_TRY(info_json(db, logged_model_id, &info, err));
    TD_CLEANUP(td_json_done)
    json_t *model = json_pack("{s:o, s:{s:[], s:[]}}", "info", info, "data", "params", "metrics");
    if (model == NULL) {
        return no_memory(err);
    }
    TD_TRY(fill(db, logged_model_id, model, err));
    *out = json_incref(model);
    return TD_OK;
}

td_code td_logged_json(td_db *db, const char *project, const char *uuid, json_t **out, td_err *err)
{
    td_tracking__logged model;
    TD_TRY(td_tracking__logged_find(db, project, uuid, &model, err));
    return td_tracking__logged_json(db, model.logged_model_id, out, err);
}
