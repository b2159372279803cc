/*
 * run_store.c: the life of a run: started, ended, hidden, brought back.
 *
 * The name of a run is a column; MLflow's clients also read and write it as the tag mlflow.runName, so the two are
 * kept in step here and in td_tracking__run_tag_put.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracking/internal.h"

#include <stdio.h>
#include <string.h>

#define RUN_NAME_TAG "mlflow.runName"

/* ---- tags ---- */

static td_code name_put(td_db *db, int64_t run_id, const char *name, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_tracking__name_check("run's name", name, TD_TRIAL_NAME_MAX, err));
    TD_TRY(td_db_prepare(db, "UPDATE experiment_run SET name = :name WHERE run_id = :run", &stmt, err));
    td_bind_text(stmt, ":name", name);
    td_bind_int(stmt, ":run", run_id);
    return td_run(stmt, err);
}

td_code td_tracking__run_tag_put(td_db *db, int64_t run_id, const char *key, const char *value, td_err *err)
{
    td_stmt *stmt;
    if (strcmp(key, RUN_NAME_TAG) == 0) {
        TD_TRY(name_put(db, run_id, value, err));
    }
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO run_tag (run_id, key, value) VALUES (:run, :key, :value) "
                         "ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value",
                         &stmt, err));
    td_bind_int(stmt, ":run", run_id);
    td_bind_text(stmt, ":key", key);
    td_bind_text(stmt, ":value", value);
    return td_run(stmt, err);
}

td_code td_trial_delete_tag(td_db *db, const td_actor *actor, const char *project, const char *uuid, const char *key,
                          td_err *err)
{
    td_tracking__run run;
    td_stmt *stmt;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_tracking__run_open(db, project, uuid, &run, err));
    TD_TRY(td_db_prepare(db, "DELETE FROM run_tag WHERE run_id = :run AND key = :key", &stmt, err));
    td_bind_int(stmt, ":run", run.run_id);
    td_bind_text(stmt, ":key", key);
    TD_TRY(td_run(stmt, err));
    if (td_db_changes(db) == 0) {
        return td_fail(err, TD_NOT_FOUND, "run %s has no tag \"%.*s\"", uuid, TD_TRACKING_MESSAGE_TEXT, key);
    }
    return run.ended ? td_tracking__record(db, actor, project, "update.experiment_run", "experiment_run", uuid,
                                           json_pack("{s:s, s:n}", "tag", key, "value"), err)
                     : TD_OK;
}

static td_code start_tags(td_db *db, int64_t run_id, const json_t *tags, td_err *err)
{
    size_t i;
    const json_t *tag;
    const char *key, *value;
    if (json_array_size(tags) > TD_BATCH_TAGS_MAX) {
        return td_fail(err, TD_LIMIT, "a run starts with at most %d tags", TD_BATCH_TAGS_MAX);
    }
    json_array_foreach (tags, i, tag) {
        TD_TRY(td_tracking__pair_check("tag", tag, TD_TRIAL_TAG_MAX, &key, &value, err));
        TD_TRY(td_tracking__run_tag_put(db, run_id, key, value, err));
    }
    return TD_OK;
}

/* ---- starting ---- */

/* The name that the options or the tags give, or one that is made up from the uuid. */
static const char *name_of(const td_trial_options *options, const char *uuid, char made_up[16])
{
    size_t i;
    const json_t *tag;
    if (options->name != NULL && *options->name != '\0') {
        return options->name;
    }
    json_array_foreach (options->tags, i, tag) {
        const char *value = td_json_text(tag, "value", "");
        if (strcmp(td_json_text(tag, "key", ""), RUN_NAME_TAG) == 0 && *value != '\0') {
            return value;
        }
    }
    snprintf(made_up, 16, "run-%.8s", uuid);
    return made_up;
}

static td_code insert(td_db *db, const td_actor *actor, int64_t experiment_id, const td_trial_options *options,
                      const char *uuid, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO experiment_run (uuid, experiment_id, name, status, owner, user_name, started_ms) "
                         "VALUES (:uuid, :experiment, '', 'RUNNING', :owner, :user, :started)",
                         &stmt, err));
    td_bind_text(stmt, ":uuid", uuid);
    td_bind_int(stmt, ":experiment", experiment_id);
    td_bind_text(stmt, ":owner", actor->name);
    td_bind_text(stmt, ":user", options->user != NULL ? options->user : "");
    td_bind_int(stmt, ":started", options->started_ms > 0 ? options->started_ms : td_db_now_ms(db));
    td_code code = td_run(stmt, err);
    return code == TD_CONFLICT ? td_fail(err, TD_CONFLICT, "the id %s is taken by another run", uuid) : code;
}

static td_code choose_uuid(const char *given, char out[TD_TRIAL_UUID_SIZE], td_err *err)
{
    if (given == NULL) {
        return td_tracking__uuid(out, err);
    }
    if (!td_tracking__is_uuid(given)) {
        return td_fail(err, TD_INVALID, "a run's id has 32 hexadecimal digits, not \"%.*s\"", TD_TRACKING_MESSAGE_TEXT,
                       given);
    }
    memcpy(out, given, TD_TRIAL_UUID_SIZE);
    return TD_OK;
}

td_code td_trial_start(td_db *db, const td_actor *actor, const char *project, const td_trial_options *options,
                     char uuid_out[TD_TRIAL_UUID_SIZE], td_err *err)
{
    td_tracking__experiment experiment;
    char uuid[TD_TRIAL_UUID_SIZE], made_up[16], root[96];
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_tracking__experiment_find(db, project, options->experiment, &experiment, err));
    if (experiment.deleted) {
        return td_fail(err, TD_INVALID, "experiment %s is deleted; restore it before starting runs in it",
                       options->experiment);
    }
    if (options->user != NULL && strlen(options->user) > TD_TRIAL_KEY_MAX) {
        return td_fail(err, TD_INVALID, "user_id is longer than %d bytes", TD_TRIAL_KEY_MAX);
    }
    TD_TRY(choose_uuid(options->uuid, uuid, err));
    TD_TRY(insert(db, actor, experiment.experiment_id, options, uuid, err));
    int64_t run_id = td_db_last_id(db);
    const char *name = name_of(options, uuid, made_up);
    TD_TRY(start_tags(db, run_id, options->tags, err));
    TD_TRY(td_tracking__run_tag_put(db, run_id, RUN_NAME_TAG, name, err));
    td_tracking__run_root(experiment.number, uuid, root);
    TD_TRY(td_tracking__root_add(db, experiment.project_id, root, run_id, 0, err));
    TD_TRY(td_tracking__record(db, actor, project, "start.experiment_run", "experiment_run", uuid,
                               json_pack("{s:s, s:s}", "experiment", options->experiment, "name", name), err));
    memcpy(uuid_out, uuid, sizeof uuid);
    return TD_OK;
}

/* ---- ending and hiding ---- */

static td_code status_check(const char *status, td_err *err)
{
    static const char *const known[] = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};
    for (size_t i = 0; i < TD_COUNT_OF(known); i++) {
        if (strcmp(known[i], status) == 0) {
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "a run's status is RUNNING, SCHEDULED, FINISHED, FAILED or KILLED, not \"%.*s\"",
                   TD_TRACKING_MESSAGE_TEXT, status);
}

static bool is_end(const char *status)
{
    return strcmp(status, "RUNNING") != 0 && strcmp(status, "SCHEDULED") != 0;
}

static td_code status_put(td_db *db, int64_t run_id, const td_trial_change *change, td_err *err)
{
    td_stmt *stmt;
    int64_t ended_ms = change->ended_ms > 0 ? change->ended_ms : is_end(change->status) ? td_db_now_ms(db) : 0;
    TD_TRY(td_db_prepare(db,
                         "UPDATE experiment_run SET status = :status, ended_ms = nullif(:ended, 0) WHERE run_id = :run",
                         &stmt, err));
    td_bind_text(stmt, ":status", change->status);
    td_bind_int(stmt, ":ended", ended_ms);
    td_bind_int(stmt, ":run", run_id);
    return td_run(stmt, err);
}

static td_code record_end(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                          const td_tracking__run *run, const char *status, td_err *err)
{
    json_t *after = NULL;
    TD_TRY(td_tracking__run_digest_json(db, run->run_id, &after, err));
    TD_CLEANUP(td_json_done) json_t *owned = after;
    if (json_object_set_new(owned, "status", json_string(status)) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for the audit record");
    }
    return td_tracking__record(db, actor, project, "finish.experiment_run", "experiment_run", uuid, json_incref(owned),
                               err);
}

td_code td_trial_update(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                      const td_trial_change *change, td_err *err)
{
    td_tracking__run run;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_tracking__run_open(db, project, uuid, &run, err));
    if (change->name != NULL) {
        TD_TRY(td_tracking__run_tag_put(db, run.run_id, RUN_NAME_TAG, change->name, err));
    }
    if (change->status != NULL) {
        TD_TRY(status_check(change->status, err));
        TD_TRY(status_put(db, run.run_id, change, err));
        if (is_end(change->status)) {
            return record_end(db, actor, project, uuid, &run, change->status, err);
        }
    }
    bool again = run.ended && change->status != NULL; /* a run that had ended goes on */
    return again || change->name != NULL
               ? td_tracking__record(db, actor, project, "update.experiment_run", "experiment_run", uuid,
                                     json_pack("{s:s*, s:s*}", "status", change->status, "name", change->name), err)
               : TD_OK;
}

static td_code set_stage(td_db *db, const td_actor *actor, const char *project, const char *uuid, bool deleted,
                         td_err *err)
{
    td_tracking__run run;
    td_stmt *stmt;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_tracking__run_find(db, project, uuid, &run, err));
    if (run.deleted == deleted) {
        return TD_OK;
    }
    TD_TRY(td_db_prepare(db, "UPDATE experiment_run SET stage = :stage WHERE run_id = :run", &stmt, err));
    td_bind_text(stmt, ":stage", deleted ? "deleted" : "active");
    td_bind_int(stmt, ":run", run.run_id);
    TD_TRY(td_run(stmt, err));
    return td_tracking__record(db, actor, project, deleted ? "delete.experiment_run" : "restore.experiment_run",
                               "experiment_run", uuid, json_object(), err);
}

td_code td_trial_delete(td_db *db, const td_actor *actor, const char *project, const char *uuid, td_err *err)
{
    return set_stage(db, actor, project, uuid, true, err);
}

td_code td_trial_restore(td_db *db, const td_actor *actor, const char *project, const char *uuid, td_err *err)
{
    return set_stage(db, actor, project, uuid, false, err);
}
