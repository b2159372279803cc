/*
 * logged_store.c: the life of a logged model: made, filled, ready, hidden.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/content.h"
#include "tracking/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- parameters and tags ---- */

static td_code pair_put(td_stmt *stmt, int64_t logged_model_id, const char *key, const char *value, td_err *err)
{
    td_bind_int(stmt, ":model", logged_model_id);
    td_bind_text(stmt, ":key", key);
    td_bind_text(stmt, ":value", value);
    return td_run(stmt, err);
}

static td_code tag_put(td_db *db, int64_t logged_model_id, const char *key, const char *value, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO logged_model_tag (logged_model_id, key, value) VALUES (:model, :key, :value) "
                         "ON CONFLICT (logged_model_id, key) DO UPDATE SET value = excluded.value",
                         &stmt, err));
    return pair_put(stmt, logged_model_id, key, value, err);
}

static td_code param_put(td_db *db, int64_t logged_model_id, const char *key, const char *value, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO logged_model_param (logged_model_id, key, value) VALUES (:model, :key, :value)",
                         &stmt, err));
    td_code code = pair_put(stmt, logged_model_id, key, value, err);
    return code == TD_CONFLICT ? td_fail(err, TD_INVALID, "parameter \"%.*s\" of the logged model is set already",
                                         TD_TRACKING_MESSAGE_TEXT, key)
                               : code;
}

static td_code add_tags(td_db *db, int64_t logged_model_id, const json_t *tags, td_err *err)
{
    size_t i;
    const json_t *tag;
    const char *key, *value;
    if (json_array_size(tags) > TD_BATCH_TAGS_MAX) {
        return td_fail(err, TD_LIMIT, "at most %d tags at once", TD_BATCH_TAGS_MAX);
    }
    json_array_foreach (tags, i, tag) {
        TD_TRY(td_tracking__pair_check("tag", tag, TD_TRIAL_TAG_MAX, &key, &value, err));
        TD_TRY(tag_put(db, logged_model_id, key, value, err));
    }
    return TD_OK;
}

static td_code add_params(td_db *db, int64_t logged_model_id, const json_t *params, td_err *err)
{
    size_t i;
    const json_t *param;
    const char *key, *value;
    if (json_array_size(params) > TD_BATCH_PARAMS_MAX) {
        return td_fail(err, TD_LIMIT, "at most %d parameters at once", TD_BATCH_PARAMS_MAX);
    }
    json_array_foreach (params, i, param) {
        TD_TRY(td_tracking__pair_check("parameter", param, TD_TRIAL_PARAM_MAX, &key, &value, err));
        TD_TRY(param_put(db, logged_model_id, key, value, err));
    }
    return TD_OK;
}

static td_code check_entries(td_db *db, int64_t logged_model_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT max((SELECT count(*) FROM logged_model_tag WHERE logged_model_id = :model), "
                         "(SELECT count(*) FROM logged_model_param WHERE logged_model_id = :model)) AS most",
                         &stmt, err));
    td_bind_int(stmt, ":model", logged_model_id);
    TD_TRY(td_step_one(stmt, err, "the logged model is gone"));
    int64_t most = td_column_int(stmt, "most");
    td_reset(stmt);
    return most <= TD_TRIAL_ENTRIES_MAX
               ? TD_OK
               : td_fail(err, TD_LIMIT, "a logged model has at most %d tags and parameters each", TD_TRIAL_ENTRIES_MAX);
}

/* ---- making ---- */

static td_code check_options(const td_logged_options *options, td_err *err)
{
    if (options->name != NULL && *options->name != '\0') {
        TD_TRY(td_tracking__name_check("logged model's name", options->name, TD_LOGGED_NAME_MAX, err));
        if (strpbrk(options->name, "/:.%\"'") != NULL) {
            return td_fail(err, TD_INVALID, "Invalid model name \"%.*s\": it must not hold any of / : . %% \" '",
                           TD_TRACKING_MESSAGE_TEXT, options->name);
        }
    }
    if (options->model_type != NULL && strlen(options->model_type) > TD_LOGGED_NAME_MAX) {
        return td_fail(err, TD_INVALID, "model_type is longer than %d bytes", TD_LOGGED_NAME_MAX);
    }
    return TD_OK;
}

static td_code insert(td_db *db, const td_actor *actor, const td_tracking__logged *model,
                      const td_logged_options *options, const char *uuid, td_err *err)
{
    td_stmt *stmt;
    char made_up[16];
    snprintf(made_up, sizeof made_up, "model-%.8s", uuid + 2);
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO logged_model (uuid, experiment_id, name, model_type, source_run_id, status, "
                         "owner, created_ms, updated_ms) VALUES (:uuid, :experiment, :name, :type, nullif(:run, 0), "
                         "'LOGGED_MODEL_PENDING', :owner, :now, :now)",
                         &stmt, err));
    td_bind_text(stmt, ":uuid", uuid);
    td_bind_int(stmt, ":experiment", model->experiment_id);
    td_bind_text(stmt, ":name", options->name != NULL && *options->name != '\0' ? options->name : made_up);
    td_bind_text(stmt, ":type", options->model_type != NULL ? options->model_type : "");
    td_bind_int(stmt, ":run", model->source_run_id);
    td_bind_text(stmt, ":owner", actor->name);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_code code = td_run(stmt, err);
    return code == TD_CONFLICT ? td_fail(err, TD_CONFLICT, "the id %s is taken by another logged model", uuid) : code;
}

static td_code choose_uuid(const char *given, char out[TD_LOGGED_UUID_SIZE], td_err *err)
{
    if (given == NULL) {
        return td_tracking__uuid(out + 2, err);
    }
    if (strncmp(given, "m-", 2) != 0 || !td_tracking__is_uuid(given + 2)) {
        return td_fail(err, TD_INVALID, "a logged model's id is m- and 32 hexadecimal digits, not \"%.*s\"",
                       TD_TRACKING_MESSAGE_TEXT, given);
    }
    memcpy(out, given, TD_LOGGED_UUID_SIZE);
    return TD_OK;
}

td_code td_logged_create(td_db *db, const td_actor *actor, const char *project, const td_logged_options *options,
                         char uuid_out[TD_LOGGED_UUID_SIZE], td_err *err)
{
    td_tracking__experiment experiment;
    td_tracking__run run = {.run_id = 0};
    char uuid[TD_LOGGED_UUID_SIZE] = "m-", root[96];
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(check_options(options, err));
    TD_TRY(td_tracking__experiment_find(db, project, options->experiment, &experiment, err));
    if (experiment.deleted) {
        return td_fail(err, TD_INVALID, "experiment %s is deleted; restore it first", options->experiment);
    }
    if (options->source_run != NULL && *options->source_run != '\0') {
        TD_TRY(td_tracking__run_find(db, project, options->source_run, &run, err));
    }
    TD_TRY(choose_uuid(options->uuid, uuid, err));
    td_tracking__logged model = {.experiment_id = experiment.experiment_id, .source_run_id = run.run_id};
    TD_TRY(insert(db, actor, &model, options, uuid, err));
    int64_t id = td_db_last_id(db);
    TD_TRY(add_tags(db, id, options->tags, err));
    TD_TRY(add_params(db, id, options->params, err));
    td_tracking__logged_root(experiment.number, uuid, root);
    TD_TRY(td_tracking__root_add(db, experiment.project_id, root, 0, id, err));
    TD_TRY(td_tracking__record(db, actor, project, "create.logged_model", "logged_model", uuid,
                               json_pack("{s:s, s:s*, s:s*}", "experiment", options->experiment, "name", options->name,
                                         "run", options->source_run),
                               err));
    memcpy(uuid_out, uuid, sizeof uuid);
    return TD_OK;
}

/* ---- changing ---- */

static td_code open_model(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                          td_tracking__logged *out, td_err *err)
{
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    return td_tracking__logged_find(db, project, uuid, out, err);
}

static td_code touch(td_db *db, int64_t logged_model_id, const char *status, bool deleted, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE logged_model SET status = coalesce(:status, status), updated_ms = :now, "
                         "deleted_ms = iif(:deleted, :now, NULL) WHERE logged_model_id = :model",
                         &stmt, err));
    td_bind_text(stmt, ":status", status);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_bool(stmt, ":deleted", deleted);
    td_bind_int(stmt, ":model", logged_model_id);
    return td_run(stmt, err);
}

td_code td_logged_finish(td_db *db, const td_actor *actor, const char *project, const char *uuid, const char *status,
                         td_err *err)
{
    static const char *const known[] = {"LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"};
    td_tracking__logged model;
    uint8_t digest[TD_DIGEST_SIZE];
    char label[TD_DIGEST_LABEL_SIZE];
    int64_t files = 0;
    size_t i = 0;
    TD_TRY(open_model(db, actor, project, uuid, &model, err));
    while (i < TD_COUNT_OF(known) && strcmp(known[i], status) != 0) {
        i++;
    }
    if (i == TD_COUNT_OF(known)) {
        return td_fail(err, TD_INVALID, "a logged model's status is %s, %s or %s, not \"%.*s\"", known[0], known[1],
                       known[2], TD_TRACKING_MESSAGE_TEXT, status);
    }
    if (strcmp(model.status, status) == 0) {
        return TD_OK;
    }
    TD_TRY(touch(db, model.logged_model_id, status, false, err));
    TD_TRY(td_tracking__tree_digest(db, 0, model.logged_model_id, digest, &files, err));
    td_digest_format(digest, label);
    return td_tracking__record(db, actor, project, "finish.logged_model", "logged_model", uuid,
                               json_pack("{s:s, s:s, s:I}", "status", status, "digest", label, "artifacts",
                                         (json_int_t)files),
                               err);
}

td_code td_logged_set_tags(td_db *db, const td_actor *actor, const char *project, const char *uuid, const json_t *tags,
                           td_err *err)
{
    td_tracking__logged model;
    TD_TRY(open_model(db, actor, project, uuid, &model, err));
    TD_TRY(add_tags(db, model.logged_model_id, tags, err));
    TD_TRY(check_entries(db, model.logged_model_id, err));
    TD_TRY(touch(db, model.logged_model_id, NULL, false, err));
    return td_tracking__record(db, actor, project, "update.logged_model", "logged_model", uuid,
                               json_pack("{s:I}", "tags", (json_int_t)json_array_size(tags)), err);
}

td_code td_logged_delete_tag(td_db *db, const td_actor *actor, const char *project, const char *uuid, const char *key,
                             td_err *err)
{
    td_tracking__logged model;
    td_stmt *stmt;
    TD_TRY(open_model(db, actor, project, uuid, &model, err));
    TD_TRY(td_db_prepare(db, "DELETE FROM logged_model_tag WHERE logged_model_id = :model AND key = :key", &stmt, err));
    td_bind_int(stmt, ":model", model.logged_model_id);
    td_bind_text(stmt, ":key", key);
    TD_TRY(td_run(stmt, err));
    if (td_db_changes(db) == 0) {
        return td_fail(err, TD_NOT_FOUND, "logged model %s has no tag \"%.*s\"", uuid, TD_TRACKING_MESSAGE_TEXT, key);
    }
    TD_TRY(touch(db, model.logged_model_id, NULL, false, err));
    return td_tracking__record(db, actor, project, "update.logged_model", "logged_model", uuid,
                               json_pack("{s:s, s:n}", "tag", key, "value"), err);
}

td_code td_logged_add_params(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                             const json_t *params, td_err *err)
{
    td_tracking__logged model;
    TD_TRY(open_model(db, actor, project, uuid, &model, err));
    TD_TRY(add_params(db, model.logged_model_id, params, err));
    TD_TRY(check_entries(db, model.logged_model_id, err));
    TD_TRY(touch(db, model.logged_model_id, NULL, false, err));
    return td_tracking__record(db, actor, project, "update.logged_model", "logged_model", uuid,
                               json_pack("{s:I}", "params", (json_int_t)json_array_size(params)), err);
}

td_code td_logged_delete(td_db *db, const td_actor *actor, const char *project, const char *uuid, td_err *err)
{
    td_tracking__logged model;
    TD_TRY(open_model(db, actor, project, uuid, &model, err));
    TD_TRY(touch(db, model.logged_model_id, NULL, true, err));
    return td_tracking__record(db, actor, project, "delete.logged_model", "logged_model", uuid, json_object(), err);
}
