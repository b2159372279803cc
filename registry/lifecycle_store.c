/*
 * lifecycle_store.c: names that change or are hidden, with the record of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/lifecycle.h"

#include "registry/registry_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *const td_stage_names[] = {"None", "Staging", "Production", "Archived", NULL};

const char *td_stage_find(const char *text)
{
    for (const char *const *name = td_stage_names; *name != NULL; name++) {
        if (strcasecmp(text, *name) == 0) {
            return *name;
        }
    }
    return NULL;
}

td_code td_registry__live_check(const td_version *version, td_err *err)
{
    if (version->archived_ms == 0) {
        return TD_OK;
    }
    char at[32];
    td_format_time(version->archived_ms, at);
    return td_fail(err, TD_CONFLICT, "version %s was archived at %s; register it anew to go on with it", version->label,
                   at);
}

td_code td_registry__touch(td_db *db, int64_t model_id, int64_t version_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE model SET updated_ms = :now WHERE model_id = :model", &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":model", model_id);
    TD_TRY(td_run(stmt, err));
    if (version_id == 0) {
        return TD_OK;
    }
    TD_TRY(td_db_prepare(db, "UPDATE version SET updated_ms = :now WHERE version_id = :version", &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":version", version_id);
    return td_run(stmt, err);
}

static td_code record(td_db *db, const td_actor *actor, const char *action, const char *project, const char *type,
                      const char *object, const char *key, const char *before, const char *after, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *was = before != NULL ? json_pack("{s:s}", key, before) : NULL;
    TD_CLEANUP(td_json_done) json_t *is = after != NULL ? json_pack("{s:s}", key, after) : NULL;
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = type,
                            .object_id = object,
                            .project = project,
                            .before = was,
                            .after = is};
    return td_audit_append(db, &entry, NULL, err);
}

/* ---- rename ---- */

static td_code check_unsigned(td_db *db, int64_t model_id, const char *name, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT number FROM version WHERE model_id = :model AND state <> 'draft' "
                         "ORDER BY number LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    TD_TRY(td_step(stmt, &row, err));
    int64_t number = row ? td_column_int(stmt, "number") : 0;
    td_reset(stmt);
    if (row) {
        return td_fail(err, TD_CONFLICT,
                       "model %s keeps its name: the manifest of %s/%lld, which was submitted, carries it; make a new "
                       "model and register there",
                       name, name, (long long)number);
    }
    return TD_OK;
}

td_code td_model_rename(td_db *db, const td_actor *actor, const char *project, const char *name, const char *new_name,
                        td_err *err)
{
    td_registry__model model;
    td_stmt *stmt;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_model_name_check(new_name, err));
    TD_TRY(td_registry__model_find(db, project, name, &model, err));
    TD_TRY(check_unsigned(db, model.model_id, name, err));
    TD_TRY(td_db_prepare(db, "UPDATE model SET name = :name WHERE model_id = :model", &stmt, err));
    td_bind_text(stmt, ":name", new_name);
    td_bind_int(stmt, ":model", model.model_id);
    td_code code = td_run(stmt, err);
    if (code == TD_CONFLICT) {
        return td_fail(err, TD_CONFLICT, "model \"%s\" exists already in project %s (it may be archived)", new_name,
                       project);
    }
    TD_TRY(code);
    TD_TRY(td_registry__touch(db, model.model_id, 0, err));
    return record(db, actor, "rename.model", project, "model", new_name, "name", name, new_name, err);
}

/* ---- archive ---- */

/* One alias of the model that names the version (0: any version); "" when there is none. */
static td_code next_alias(td_db *db, int64_t model_id, int64_t version_id, char out[TD_ALIAS_NAME_MAX + 1], td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT name FROM alias WHERE model_id = :model AND (:version = 0 OR version_id = :version) "
                         "LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step(stmt, &row, err));
    snprintf(out, TD_ALIAS_NAME_MAX + 1, "%s", row ? td_column_text(stmt, "name") : "");
    td_reset(stmt);
    return TD_OK;
}

static td_code end_aliases(td_db *db, const td_actor *actor, const char *project, const char *model, int64_t model_id,
                           int64_t version_id, td_err *err)
{
    char alias[TD_ALIAS_NAME_MAX + 1];
    TD_TRY(next_alias(db, model_id, version_id, alias, err));
    while (alias[0] != '\0') {
        TD_TRY(td_alias_delete(db, actor, project, model, alias, "what it named was archived", err));
        TD_TRY(next_alias(db, model_id, version_id, alias, err));
    }
    return TD_OK;
}

td_code td_model_archive(td_db *db, const td_actor *actor, const char *project, const char *name, td_err *err)
{
    td_registry__model model;
    td_stmt *stmt;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_ALIAS, err));
    TD_TRY(td_registry__model_find(db, project, name, &model, err));
    TD_TRY(end_aliases(db, actor, project, name, model.model_id, 0, err));
    TD_TRY(td_db_prepare(
        db, "UPDATE version SET archived_ms = :now WHERE model_id = :model AND archived_ms IS NULL", &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":model", model.model_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db, "UPDATE model SET archived_ms = :now WHERE model_id = :model", &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":model", model.model_id);
    TD_TRY(td_run(stmt, err));
    return record(db, actor, "archive.model", project, "model", name, "", NULL, NULL, err);
}

td_code td_version_archive(td_db *db, const td_actor *actor, const char *project, const char *reference, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    td_stmt *stmt;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_ALIAS, err));
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    TD_TRY(td_registry__live_check(&version, err));
    TD_TRY(end_aliases(db, actor, project, version.model, version.model_id, version.version_id, err));
    TD_TRY(td_db_prepare(db, "UPDATE version SET archived_ms = :now WHERE version_id = :version", &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":version", version.version_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_registry__touch(db, version.model_id, version.version_id, err));
    return record(db, actor, "archive.version", project, "version", version.label, "", NULL, NULL, err);
}

/* ---- stage ---- */

static td_code stage_now(td_db *db, int64_t version_id, const char **stage_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT stage FROM version WHERE version_id = :version", &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step_one(stmt, err, "the version is gone"));
    *stage_out = td_stage_find(td_column_text(stmt, "stage"));
    td_reset(stmt);
    return TD_OK;
}

static td_code put_stage(td_db *db, const td_actor *actor, const char *project, const char *model, int64_t version_id,
                         int64_t number, const char *stage, td_err *err)
{
    char label[TD_LABEL_SIZE];
    const char *before;
    td_stmt *stmt;
    snprintf(label, sizeof label, "%s/%lld", model, (long long)number);
    TD_TRY(stage_now(db, version_id, &before, err));
    if (before != NULL && strcmp(before, stage) == 0) {
        return TD_OK;
    }
    TD_TRY(td_db_prepare(db, "UPDATE version SET stage = :stage, updated_ms = :now WHERE version_id = :version", &stmt,
                         err));
    td_bind_text(stmt, ":stage", stage);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_run(stmt, err));
    return record(db, actor, "stage.version", project, "version", label, "stage", before, stage, err);
}

/* One other version of the model in that stage; 0 when there is none. */
static td_code next_in_stage(td_db *db, const td_version *version, const char *stage, int64_t *id_out,
                             int64_t *number_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT version_id, number FROM version WHERE model_id = :model AND stage = :stage AND "
                         "archived_ms IS NULL AND version_id <> :version LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":model", version->model_id);
    td_bind_text(stmt, ":stage", stage);
    td_bind_int(stmt, ":version", version->version_id);
    TD_TRY(td_step(stmt, &row, err));
    *id_out = row ? td_column_int(stmt, "version_id") : 0;
    *number_out = row ? td_column_int(stmt, "number") : 0;
    td_reset(stmt);
    return TD_OK;
}

static td_code clear_stage(td_db *db, const td_actor *actor, const td_version *version, const char *stage, td_err *err)
{
    int64_t id, number;
    TD_TRY(next_in_stage(db, version, stage, &id, &number, err));
    while (id != 0) {
        TD_TRY(put_stage(db, actor, version->project, version->model, id, number, "Archived", err));
        TD_TRY(next_in_stage(db, version, stage, &id, &number, err));
    }
    return TD_OK;
}

td_code td_version_stage(td_db *db, const td_actor *actor, const char *project, const char *reference,
                         const char *stage, bool alone, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_ALIAS, err));
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    TD_TRY(td_registry__live_check(&version, err));
    if (alone && strcmp(stage, "Archived") != 0) {
        TD_TRY(clear_stage(db, actor, &version, stage, err));
    }
    TD_TRY(put_stage(db, actor, project, version.model, version.version_id, version.number, stage, err));
    return td_registry__touch(db, version.model_id, 0, err);
}
