/*
 * input_store.c: what a run read and what it made, for the run's own page and for the lineage.
 *
 * A dataset that a client names with its digest becomes a node NAME@DIGEST of the lineage with an edge into the run;
 * registering what the run made continues it: dataset -> run -> version, down to the devices.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/lineage.h"
#include "tracking/internal.h"

#include <stdio.h>
#include <string.h>

typedef struct dataset {
    const char *name, *digest, *source_type, *source, *schema, *profile; /* the last two may be NULL */
} dataset;

/* ---- reading ---- */

static td_code read_detail(const json_t *object, const char *name, bool needed, const char **out, td_err *err)
{
    const json_t *value = json_object_get(object, name);
    const char *text = json_string_value(value);
    if ((value != NULL && !json_is_null(value) && text == NULL) || (needed && text == NULL)) {
        return td_fail(err, TD_INVALID, "a dataset's %s must be text", name);
    }
    if (text != NULL && strlen(text) > TD_DATASET_DETAIL_MAX) {
        return td_fail(err, TD_INVALID, "a dataset's %s is longer than %d bytes", name, TD_DATASET_DETAIL_MAX);
    }
    *out = text;
    return TD_OK;
}

static td_code read_dataset(const json_t *input, dataset *out, td_err *err)
{
    const json_t *object = json_object_get(input, "dataset");
    dataset d = {.name = json_string_value(json_object_get(object, "name")),
                 .digest = json_string_value(json_object_get(object, "digest"))};
    TD_TRY(td_tracking__name_check("dataset's name", d.name, TD_DATASET_NAME_MAX, err));
    TD_TRY(td_tracking__name_check("dataset's digest", d.digest, TD_DATASET_DIGEST_MAX, err));
    TD_TRY(read_detail(object, "source_type", true, &d.source_type, err));
    TD_TRY(read_detail(object, "source", true, &d.source, err));
    TD_TRY(read_detail(object, "schema", false, &d.schema, err));
    TD_TRY(read_detail(object, "profile", false, &d.profile, err));
    *out = d;
    return TD_OK;
}

/* The tags of an input, checked, as compact JSON. */
static td_code read_tags(const json_t *input, td_str *out, td_err *err)
{
    size_t i;
    const json_t *tag;
    const char *key, *value;
    const json_t *tags = json_object_get(input, "tags");
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    if (json_array_size(tags) > TD_BATCH_TAGS_MAX) {
        return td_fail(err, TD_LIMIT, "a dataset has at most %d tags", TD_BATCH_TAGS_MAX);
    }
    json_array_foreach (tags, i, tag) {
        TD_TRY(td_tracking__pair_check("tag", tag, TD_TRIAL_TAG_MAX, &key, &value, err));
        if (json_array_append_new(list, json_pack("{s:s, s:s}", "key", key, "value", value)) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for tags");
        }
    }
    return td_json_write(list, out, err);
}

/* ---- datasets ---- */

static td_code dataset_put(td_db *db, int64_t experiment_id, const dataset *d, int64_t *id_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO dataset_input (experiment_id, name, digest, source_type, source, schema, "
                         "profile) VALUES (:experiment, :name, :digest, :type, :source, :schema, :profile) "
                         "ON CONFLICT (experiment_id, name, digest) DO NOTHING",
                         &stmt, err));
    td_bind_int(stmt, ":experiment", experiment_id);
    td_bind_text(stmt, ":name", d->name);
    td_bind_text(stmt, ":digest", d->digest);
    td_bind_text(stmt, ":type", d->source_type);
    td_bind_text(stmt, ":source", d->source);
    td_bind_text(stmt, ":schema", d->schema);
    td_bind_text(stmt, ":profile", d->profile);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db,
                         "SELECT dataset_id FROM dataset_input "
                         "WHERE experiment_id = :experiment AND name = :name AND digest = :digest",
                         &stmt, err));
    td_bind_int(stmt, ":experiment", experiment_id);
    td_bind_text(stmt, ":name", d->name);
    td_bind_text(stmt, ":digest", d->digest);
    TD_TRY(td_step_one(stmt, err, "the dataset is gone"));
    *id_out = td_column_int(stmt, "dataset_id");
    td_reset(stmt);
    return TD_OK;
}

static td_code input_put(td_db *db, int64_t run_id, int64_t dataset_id, const char *tags, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO run_input (run_id, dataset_id, tags) VALUES (:run, :dataset, :tags) "
                         "ON CONFLICT (run_id, dataset_id) DO UPDATE SET tags = excluded.tags",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_int(stmt, ":dataset", dataset_id);
    td_bind_text(stmt, ":tags", tags);
    return td_run(stmt, err);
}

/* dataset:NAME@DIGEST -> run:UUID */
static td_code draw_input(td_db *db, const char *project, const dataset *d, const char *uuid, td_err *err)
{
    char name[TD_DATASET_NAME_MAX + TD_DATASET_DIGEST_MAX + 2];
    snprintf(name, sizeof name, "%s@%s", d->name, d->digest);
    td_lineage_node from = {.kind = "dataset", .name = name, .title = d->name};
    return td_lineage_edge_add(db, project, &from, TD_NODE("run", uuid), "input", uuid, err);
}

static td_code add_dataset(td_db *db, const char *project, const td_tracking__run *run, const char *uuid,
                           const json_t *input, td_err *err)
{
    dataset d;
    int64_t dataset_id;
    TD_CLEANUP(td_str_done) td_str tags = {0};
    TD_TRY(read_dataset(input, &d, err));
    TD_TRY(read_tags(input, &tags, err));
    TD_TRY(dataset_put(db, run->experiment_id, &d, &dataset_id, err));
    TD_TRY(input_put(db, run->run_id, dataset_id, td_str_text(&tags), err));
    return draw_input(db, project, &d, uuid, err);
}

/* ---- models ---- */

static td_code model_put(td_db *db, const char *project, int64_t run_id, const char *direction, const json_t *model,
                         td_err *err)
{
    td_stmt *stmt;
    td_tracking__logged logged;
    const json_t *step = json_object_get(model, "step");
    int64_t number = json_integer_value(step);
    if (json_is_string(step)) {
        TD_TRY(td_parse_int(json_string_value(step), "step", INT64_MIN, INT64_MAX, &number, err));
    }
    TD_TRY(td_tracking__logged_find(db, project, td_json_text(model, "model_id", ""), &logged, err));
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO run_model (run_id, direction, logged_model_id, step) "
                         "VALUES (:run, :direction, :model, :step) "
                         "ON CONFLICT (run_id, direction, logged_model_id) DO UPDATE SET step = excluded.step",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":direction", direction);
    td_bind_int(stmt, ":model", logged.logged_model_id);
    td_bind_int(stmt, ":step", number);
    return td_run(stmt, err);
}

static td_code add_models(td_db *db, const char *project, int64_t run_id, const char *direction, const json_t *models,
                          td_err *err)
{
    size_t i;
    const json_t *model;
    json_array_foreach (models, i, model) {
        TD_TRY(model_put(db, project, run_id, direction, model, err));
    }
    return TD_OK;
}

/* ---- public ---- */

/* Finds a run that is to be changed. */
static td_code open_run(td_db *db, const td_actor *actor, const char *project, const char *uuid, td_tracking__run *out,
                        td_err *err)
{
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    return td_tracking__run_open(db, project, uuid, out, err);
}

static td_code record(td_db *db, const td_actor *actor, const char *project, const char *uuid, json_t *after,
                      td_err *err)
{
    return td_tracking__record(db, actor, project, "update.experiment_run", "experiment_run", uuid, after, err);
}

td_code td_trial_add_inputs(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                          const json_t *datasets, const json_t *models, td_err *err)
{
    td_tracking__run run;
    size_t i;
    const json_t *input;
    TD_TRY(open_run(db, actor, project, uuid, &run, err));
    if (json_array_size(datasets) > TD_BATCH_INPUTS_MAX || json_array_size(models) > TD_BATCH_INPUTS_MAX) {
        return td_fail(err, TD_LIMIT, "at most %d datasets and models at once", TD_BATCH_INPUTS_MAX);
    }
    json_array_foreach (datasets, i, input) {
        TD_TRY(add_dataset(db, project, &run, uuid, input, err));
    }
    TD_TRY(add_models(db, project, run.run_id, "input", models, err));
    return record(db, actor, project, uuid,
                  json_pack("{s:I, s:I}", "datasets", (json_int_t)json_array_size(datasets), "models_read",
                            (json_int_t)json_array_size(models)),
                  err);
}

td_code td_trial_add_outputs(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                           const json_t *models, td_err *err)
{
    td_tracking__run run;
    TD_TRY(open_run(db, actor, project, uuid, &run, err));
    if (json_array_size(models) > TD_BATCH_INPUTS_MAX) {
        return td_fail(err, TD_LIMIT, "at most %d models at once", TD_BATCH_INPUTS_MAX);
    }
    TD_TRY(add_models(db, project, run.run_id, "output", models, err));
    return record(db, actor, project, uuid,
                  json_pack("{s:I}", "models_made", (json_int_t)json_array_size(models)), err);
}

td_code td_trial_link_version(td_db *db, const char *project, const char *uuid, const char *version_label, td_err *err)
{
    td_tracking__run run;
    TD_TRY(td_tracking__run_find(db, project, uuid, &run, err));
    return td_lineage_edge_add(db, project, TD_NODE("run", uuid), TD_NODE("version", version_label), "output", uuid,
                               err);
}
