/*
 * experiment_store.c: experiments: a name that runs gather under.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "tracking/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- making and changing ---- */

static td_code tag_put(td_db *db, int64_t experiment_id, const char *key, const char *value, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO experiment_tag (experiment_id, key, value) VALUES (:experiment, :key, :value) "
                         "ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value",
                         &stmt, err));
    td_bind_int(stmt, ":experiment", experiment_id);
    td_bind_text(stmt, ":key", key);
    td_bind_text(stmt, ":value", value);
    return td_run(stmt, err);
}

static td_code tag_remove(td_db *db, int64_t experiment_id, const char *key, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "DELETE FROM experiment_tag WHERE experiment_id = :experiment AND key = :key", &stmt,
                         err));
    td_bind_int(stmt, ":experiment", experiment_id);
    td_bind_text(stmt, ":key", key);
    TD_TRY(td_run(stmt, err));
    if (td_db_changes(db) == 0) {
        return td_fail(err, TD_NOT_FOUND, "the experiment has no tag \"%.*s\"", TD_TRACKING_MESSAGE_TEXT, key);
    }
    return TD_OK;
}

static td_code tags_add(td_db *db, int64_t experiment_id, const json_t *tags, td_err *err)
{
    size_t i;
    const json_t *tag;
    const char *key, *value;
    if (json_array_size(tags) > TD_BATCH_TAGS_MAX) {
        return td_fail(err, TD_LIMIT, "an experiment is made with at most %d tags", TD_BATCH_TAGS_MAX);
    }
    json_array_foreach (tags, i, tag) {
        TD_TRY(td_tracking__pair_check("tag", tag, TD_TRIAL_TAG_MAX, &key, &value, err));
        TD_TRY(tag_put(db, experiment_id, key, value, err));
    }
    return TD_OK;
}

static td_code next_number(td_db *db, int64_t project_id, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT coalesce(max(number), 0) + 1 AS next FROM experiment WHERE project_id = :project",
                         &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    TD_TRY(td_step(stmt, &row, err));
    *out = td_column_int(stmt, "next");
    td_reset(stmt);
    return TD_OK;
}

static td_code name_taken(td_code code, const char *name, td_err *err)
{
    if (code == TD_CONFLICT) {
        return td_fail(err, TD_CONFLICT,
                       "Experiment \"%.*s\" already exists (perhaps a deleted one, which can be restored); choose "
                       "another name",
                       TD_TRACKING_MESSAGE_TEXT, name);
    }
    return code;
}

static td_code insert(td_db *db, const td_actor *actor, int64_t project_id, const char *name, int64_t number,
                      td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO experiment (project_id, number, name, owner, created_ms, updated_ms) "
                         "VALUES (:project, :number, :name, :owner, :now, :now)",
                         &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    td_bind_int(stmt, ":number", number);
    td_bind_text(stmt, ":name", name);
    td_bind_text(stmt, ":owner", actor->name);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return name_taken(td_run(stmt, err), name, err);
}

td_code td_experiment_create(td_db *db, const td_actor *actor, const char *project, const char *name,
                             const json_t *tags, int64_t *number_out, td_err *err)
{
    int64_t project_id, number;
    char id[24];
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_tracking__name_check("experiment's name", name, TD_EXPERIMENT_NAME_MAX, err));
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(next_number(db, project_id, &number, err));
    TD_TRY(insert(db, actor, project_id, name, number, err));
    TD_TRY(tags_add(db, td_db_last_id(db), tags, err));
    snprintf(id, sizeof id, "%lld", (long long)number);
    TD_TRY(td_tracking__record(db, actor, project, "create.experiment", "experiment", id,
                               json_pack("{s:s}", "name", name), err));
    *number_out = number;
    return TD_OK;
}

static td_code touch(td_db *db, const td_tracking__experiment *experiment, const char *name, const char *stage,
                     td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE experiment SET name = coalesce(:name, name), stage = coalesce(:stage, stage), "
                         "updated_ms = :now WHERE experiment_id = :experiment",
                         &stmt, err));
    td_bind_text(stmt, ":name", name);
    td_bind_text(stmt, ":stage", stage);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":experiment", experiment->experiment_id);
    return name != NULL ? name_taken(td_run(stmt, err), name, err) : td_run(stmt, err);
}

/* Finds one to be changed. */
static td_code open_one(td_db *db, const td_actor *actor, const char *project, const char *id,
                        td_tracking__experiment *out, td_err *err)
{
    td_tracking__experiment experiment;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_tracking__experiment_find(db, project, id, &experiment, err));
    *out = experiment;
    return TD_OK;
}

static td_code not_deleted(const td_tracking__experiment *experiment, td_err *err)
{
    return experiment->deleted ? td_fail(err, TD_INVALID, "experiment %lld is deleted; restore it before changing it",
                                         (long long)experiment->number)
                               : TD_OK;
}

td_code td_experiment_rename(td_db *db, const td_actor *actor, const char *project, const char *id, const char *name,
                             td_err *err)
{
    td_tracking__experiment experiment;
    TD_TRY(open_one(db, actor, project, id, &experiment, err));
    TD_TRY(not_deleted(&experiment, err));
    TD_TRY(td_tracking__name_check("experiment's name", name, TD_EXPERIMENT_NAME_MAX, err));
    TD_TRY(touch(db, &experiment, name, NULL, err));
    return td_tracking__record(db, actor, project, "update.experiment", "experiment", id,
                               json_pack("{s:s}", "name", name), err);
}

static td_code set_stage(td_db *db, const td_actor *actor, const char *project, const char *id, bool deleted,
                         td_err *err)
{
    td_tracking__experiment experiment;
    TD_TRY(open_one(db, actor, project, id, &experiment, err));
    if (experiment.deleted == deleted) {
        return TD_OK;
    }
    TD_TRY(touch(db, &experiment, NULL, deleted ? "deleted" : "active", err));
    return td_tracking__record(db, actor, project, deleted ? "delete.experiment" : "restore.experiment", "experiment",
                               id, json_object(), err);
}

td_code td_experiment_delete(td_db *db, const td_actor *actor, const char *project, const char *id, td_err *err)
{
    return set_stage(db, actor, project, id, true, err);
}

td_code td_experiment_restore(td_db *db, const td_actor *actor, const char *project, const char *id, td_err *err)
{
    return set_stage(db, actor, project, id, false, err);
}

td_code td_experiment_set_tag(td_db *db, const td_actor *actor, const char *project, const char *id, const char *key,
                              const char *value, td_err *err)
{
    td_tracking__experiment experiment;
    TD_TRY(open_one(db, actor, project, id, &experiment, err));
    TD_TRY(not_deleted(&experiment, err));
    TD_TRY(td_tracking__name_check("tag's key", key, TD_TRIAL_KEY_MAX, err));
    if (value != NULL && strlen(value) > TD_TRIAL_TAG_MAX) {
        return td_fail(err, TD_INVALID, "the tag's value is longer than %d bytes", TD_TRIAL_TAG_MAX);
    }
    TD_TRY(value != NULL ? tag_put(db, experiment.experiment_id, key, value, err)
                         : tag_remove(db, experiment.experiment_id, key, err));
    TD_TRY(touch(db, &experiment, NULL, NULL, err));
    return td_tracking__record(db, actor, project, "update.experiment", "experiment", id,
                               json_pack("{s:s, s:s?}", "tag", key, "value", value), err);
}

/* ---- showing ---- */

static td_code tags_json(td_db *db, int64_t experiment_id, json_t *tags, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT key, value FROM experiment_tag WHERE experiment_id = :experiment ORDER BY key",
                         &stmt, err));
    td_bind_int(stmt, ":experiment", experiment_id);
    return td_tracking__pairs_json(stmt, tags, err);
}

td_code td_tracking__experiment_json(td_db *db, int64_t experiment_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    char id[24], location[64];
    TD_CLEANUP(td_json_done) json_t *tags = json_array();
    TD_TRY(td_db_prepare(db,
                         "SELECT number, name, stage, created_ms, updated_ms FROM experiment "
                         "WHERE experiment_id = :experiment",
                         &stmt, err));
    td_bind_int(stmt, ":experiment", experiment_id);
    TD_TRY(td_step_one(stmt, err, "the experiment is gone"));
    snprintf(id, sizeof id, "%lld", (long long)td_column_int(stmt, "number"));
    snprintf(location, sizeof location, "mlflow-artifacts:/%s", id);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:O}", "experiment_id", id, "name",
                             td_column_text(stmt, "name"), "artifact_location", location, "lifecycle_stage",
                             td_column_text(stmt, "stage"), "creation_time",
                             (json_int_t)td_column_int(stmt, "created_ms"), "last_update_time",
                             (json_int_t)td_column_int(stmt, "updated_ms"), "tags", tags);
    td_reset(stmt);
    TD_CLEANUP(td_json_done) json_t *owned = json;
    if (owned == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to show the experiment");
    }
    TD_TRY(tags_json(db, experiment_id, tags, err));
    *out = json_incref(owned);
    return TD_OK;
}

td_code td_experiment_json(td_db *db, const char *project, const char *id, json_t **out, td_err *err)
{
    td_tracking__experiment experiment;
    TD_TRY(td_tracking__experiment_find(db, project, id, &experiment, err));
    return td_tracking__experiment_json(db, experiment.experiment_id, out, err);
}

td_code td_experiment_named_json(td_db *db, const char *project, const char *name, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT experiment_id FROM experiment JOIN project "
                         "ON project.project_id = experiment.project_id "
                         "WHERE project.name = :project AND experiment.name = :name",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_step_one(stmt, err, "there is no experiment named \"%.*s\" in project %s", TD_TRACKING_MESSAGE_TEXT,
                       name, project));
    int64_t experiment_id = td_column_int(stmt, "experiment_id");
    td_reset(stmt);
    return td_tracking__experiment_json(db, experiment_id, out, err);
}
