/*
 * common_store.c: finding experiments, runs and logged models by what clients call them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracking/internal.h"

#include <stdio.h>
#include <string.h>

td_code td_tracking__experiment_find(td_db *db, const char *project, const char *id, td_tracking__experiment *out,
                                     td_err *err)
{
    td_stmt *stmt;
    int64_t number = -1;
    if (td_parse_int(id, "experiment_id", 0, INT64_MAX, &number, NULL) != TD_OK) {
        return td_fail(err, TD_NOT_FOUND, "there is no experiment \"%.*s\": it is called by a whole number",
                       TD_TRACKING_MESSAGE_TEXT, id);
    }
    TD_TRY(td_db_prepare(db,
                         "SELECT experiment_id, experiment.project_id AS project_id, stage FROM experiment "
                         "JOIN project ON project.project_id = experiment.project_id "
                         "WHERE project.name = :project AND number = :number",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_int(stmt, ":number", number);
    TD_TRY(td_step_one(stmt, err, "there is no experiment %lld in project %s", (long long)number, project));
    *out = (td_tracking__experiment){.experiment_id = td_column_int(stmt, "experiment_id"),
                                     .project_id = td_column_int(stmt, "project_id"),
                                     .number = number,
                                     .deleted = strcmp(td_column_text(stmt, "stage"), "deleted") == 0};
    td_reset(stmt);
    return TD_OK;
}

td_code td_tracking__run_find(td_db *db, const char *project, const char *uuid, td_tracking__run *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT run_id, run.experiment_id AS experiment_id, number, status, "
                         "iif(experiment.stage = 'deleted', 'deleted', run.stage) AS stage "
                         "FROM experiment_run AS run "
                         "JOIN experiment ON experiment.experiment_id = run.experiment_id "
                         "JOIN project ON project.project_id = experiment.project_id "
                         "WHERE uuid = :uuid AND project.name = :project",
                         &stmt, err));
    td_bind_text(stmt, ":uuid", uuid);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "there is no run \"%.*s\" in project %s", TD_TRACKING_MESSAGE_TEXT, uuid, project));
    const char *status = td_column_text(stmt, "status");
    *out = (td_tracking__run){.run_id = td_column_int(stmt, "run_id"),
                              .experiment_id = td_column_int(stmt, "experiment_id"),
                              .experiment_number = td_column_int(stmt, "number"),
                              .deleted = strcmp(td_column_text(stmt, "stage"), "deleted") == 0,
                              .ended = strcmp(status, "RUNNING") != 0 && strcmp(status, "SCHEDULED") != 0};
    td_reset(stmt);
    return TD_OK;
}

td_code td_tracking__run_open(td_db *db, const char *project, const char *uuid, td_tracking__run *out, td_err *err)
{
    td_tracking__run run;
    TD_TRY(td_tracking__run_find(db, project, uuid, &run, err));
    if (run.deleted) {
        return td_fail(err, TD_INVALID, "run %s is deleted; restore it before changing it", uuid);
    }
    *out = run;
    return TD_OK;
}

td_code td_tracking__logged_find(td_db *db, const char *project, const char *uuid, td_tracking__logged *out,
                                 td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT logged_model_id, model.experiment_id AS experiment_id, number, source_run_id, status "
                         "FROM logged_model AS model "
                         "JOIN experiment ON experiment.experiment_id = model.experiment_id "
                         "JOIN project ON project.project_id = experiment.project_id "
                         "WHERE uuid = :uuid AND deleted_ms IS NULL AND project.name = :project",
                         &stmt, err));
    td_bind_text(stmt, ":uuid", uuid);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "there is no logged model \"%.*s\" in project %s", TD_TRACKING_MESSAGE_TEXT, uuid,
                       project));
    *out = (td_tracking__logged){.logged_model_id = td_column_int(stmt, "logged_model_id"),
                                 .experiment_id = td_column_int(stmt, "experiment_id"),
                                 .experiment_number = td_column_int(stmt, "number"),
                                 .source_run_id = td_column_int(stmt, "source_run_id")};
    snprintf(out->status, sizeof out->status, "%s", td_column_text(stmt, "status"));
    td_reset(stmt);
    return TD_OK;
}

/* ---- texts ---- */

td_code td_tracking__name_check(const char *what, const char *text, size_t most, td_err *err)
{
    size_t length = text != NULL ? strnlen(text, most + 1) : 0;
    if (length == 0) {
        return td_fail(err, TD_INVALID, "the %s is missing or empty", what);
    }
    if (length > most) {
        return td_fail(err, TD_INVALID, "the %s is longer than %zu bytes", what, most);
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return td_fail(err, TD_INVALID, "the %s holds a control character", what);
        }
    }
    return TD_OK;
}

td_code td_tracking__pair_check(const char *what, const json_t *pair, size_t most, const char **key_out,
                                const char **value_out, td_err *err)
{
    char name[64];
    const char *key = json_string_value(json_object_get(pair, "key"));
    const json_t *value = json_object_get(pair, "value");
    const char *text = json_string_value(value);
    snprintf(name, sizeof name, "%s's key", what);
    TD_TRY(td_tracking__name_check(name, key, TD_TRIAL_KEY_MAX, err));
    if (value != NULL && text == NULL) {
        return td_fail(err, TD_INVALID, "the value of %s \"%.*s\" must be text", what, TD_TRACKING_MESSAGE_TEXT, key);
    }
    text = text != NULL ? text : "";
    if (strlen(text) > most) {
        return td_fail(err, TD_INVALID, "the value of %s \"%.*s\" is longer than %zu bytes", what,
                       TD_TRACKING_MESSAGE_TEXT, key, most);
    }
    *key_out = key;
    *value_out = text;
    return TD_OK;
}

bool td_tracking__is_uuid(const char *text)
{
    return strlen(text) == TD_TRIAL_UUID_SIZE - 1 && strspn(text, "0123456789abcdefABCDEF") == TD_TRIAL_UUID_SIZE - 1;
}

td_code td_tracking__uuid(char out[TD_TRIAL_UUID_SIZE], td_err *err)
{
    uint8_t bytes[16];
    TD_TRY(td_random(bytes, sizeof bytes, err));
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    td_hex_encode(bytes, sizeof bytes, out);
    return TD_OK;
}

td_code td_tracking__record(td_db *db, const td_actor *actor, const char *project, const char *action,
                            const char *object_type, const char *object_id, json_t *after, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *owned = after;
    if (owned == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the audit record");
    }
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = object_type,
                            .object_id = object_id,
                            .project = project,
                            .after = owned};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_tracking__pairs_json(td_stmt *stmt, json_t *array, td_err *err)
{
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        json_t *pair = json_pack("{s:s, s:s}", "key", td_column_text(stmt, "key"), "value",
                                 td_column_text(stmt, "value"));
        if (json_array_append_new(array, pair) != 0) {
            td_reset(stmt);
            return td_fail(err, TD_NOMEM, "no memory to list tags and parameters");
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

/* ---- roots ---- */

void td_tracking__run_root(int64_t experiment_number, const char *uuid, char out[96])
{
    snprintf(out, 96, "%lld/%.32s/artifacts", (long long)experiment_number, uuid);
}

void td_tracking__logged_root(int64_t experiment_number, const char *uuid, char out[96])
{
    snprintf(out, 96, "%lld/models/%.34s/artifacts", (long long)experiment_number, uuid);
}

td_code td_tracking__root_add(td_db *db, int64_t project_id, const char *name, int64_t run_id, int64_t logged_model_id,
                              td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO artifact_root (project_id, name, run_id, logged_model_id) "
                         "VALUES (:project, :name, nullif(:run, 0), nullif(:model, 0))",
                         &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    td_bind_text(stmt, ":name", name);
    td_bind_int(stmt, ":run", run_id);
    td_bind_int(stmt, ":model", logged_model_id);
    return td_run(stmt, err);
}
