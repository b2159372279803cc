/*
 * model_store.c: the rows of models and their tags.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "registry/registry_internal.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_COMPARED_MAX 500 /* for "did you mean …?" */

/* ---- finding ---- */

static td_code read_names(td_db *db, int64_t project_id, const char **names, td_arena *arena, td_err *err)
{
    td_stmt *stmt;
    bool row;
    size_t count = 0;
    TD_TRY(td_db_prepare(db, "SELECT name FROM model WHERE project_id = :project AND archived_ms IS NULL ORDER BY name "
                         "LIMIT 500", &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        names[count] = td_arena_text(arena, td_column_text(stmt, "name"));
        if (names[count] == NULL) {
            td_reset(stmt);
            return td_fail(err, TD_NOMEM, "no memory to read the models' names");
        }
        count++;
        TD_TRY(td_step(stmt, &row, err));
    }
    names[count] = NULL;
    return TD_OK;
}

static td_code no_such_model(td_db *db, int64_t project_id, const char *project, const char *name, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    const char *names[NAMES_COMPARED_MAX + 1];
    TD_TRY(read_names(db, project_id, names, &arena, err));
    const char *nearest = td_nearest(name, names);
    if (nearest != NULL) {
        return td_fail(err, TD_NOT_FOUND, "there is no model \"%s\" in project %s; did you mean \"%s\"?", name, project,
                       nearest);
    }
    return td_fail(err, TD_NOT_FOUND, "there is no model \"%s\" in project %s (see `tidemark model list`)", name,
                   project);
}

static td_code find(td_db *db, const char *project, const char *name, bool hidden, td_registry__model *out,
                    td_err *err)
{
    td_stmt *stmt;
    bool row;
    int64_t project_id;
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(td_db_prepare(db,
                         "SELECT model_id, next_number, security_counter, archived_ms FROM model "
                         "WHERE project_id = :project AND name = :name",
                         &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_step(stmt, &row, err));
    if (!row || (!hidden && !td_column_null(stmt, "archived_ms"))) {
        td_reset(stmt);
        return no_such_model(db, project_id, project, name, err);
    }
    *out = (td_registry__model){
        .model_id = td_column_int(stmt, "model_id"),
        .next_number = td_column_int(stmt, "next_number"),
        .security_counter = td_column_int(stmt, "security_counter"),
    };
    td_reset(stmt);
    return TD_OK;
}

td_code td_registry__model_find(td_db *db, const char *project, const char *name, td_registry__model *out, td_err *err)
{
    return find(db, project, name, false, out, err);
}

td_code td_registry__model_find_any(td_db *db, const char *project, const char *name, td_registry__model *out,
                                    td_err *err)
{
    return find(db, project, name, true, out, err);
}

/* ---- writing ---- */

static td_code tag_remove(td_db *db, int64_t model_id, const char *key, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "DELETE FROM model_tag WHERE model_id = :model AND key = :key", &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    td_bind_text(stmt, ":key", key);
    return td_run(stmt, err);
}

static td_code tag_put(td_db *db, int64_t model_id, const char *key, const char *value, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO model_tag (model_id, key, value) VALUES (:model, :key, :value) "
                         "ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
                         &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    td_bind_text(stmt, ":key", key);
    td_bind_text(stmt, ":value", value);
    return td_run(stmt, err);
}

static td_code tags_write(td_db *db, int64_t model_id, const json_t *tags, td_err *err)
{
    const char *key;
    json_t *value;
    if (tags != NULL && (!json_is_object(tags) || json_object_size(tags) > TD_ENTRIES_MAX)) {
        return td_fail(err, TD_INVALID, "tags must be an object of at most %d texts", TD_ENTRIES_MAX);
    }
    json_object_foreach ((json_t *)tags, key, value) {
        TD_TRY(td_registry__key_check("tag", key, err));
        if (json_is_null(value)) {
            TD_TRY(tag_remove(db, model_id, key, err));
        } else if (json_is_string(value)) {
            TD_TRY(td_registry__text_check("tag's value", json_string_value(value), TD_TAG_VALUE_MAX, err));
            TD_TRY(tag_put(db, model_id, key, json_string_value(value), err));
        } else {
            return td_fail(err, TD_INVALID, "tag \"%s\" must be text", key);
        }
    }
    return TD_OK;
}

/* The row of a name that was archived is taken again, so that its numbers go on. */
static td_code insert_row(td_db *db, const td_actor *actor, const char *project, const td_model_options *options,
                          int64_t *model_id_out, td_err *err)
{
    td_stmt *stmt;
    int64_t project_id;
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO model (project_id, name, description, owner, created_ms, updated_ms) "
                         "VALUES (:project, :name, :description, :owner, :now, :now) "
                         "ON CONFLICT (project_id, name) DO UPDATE SET description = excluded.description, "
                         "owner = excluded.owner, created_ms = excluded.created_ms, updated_ms = excluded.updated_ms, "
                         "archived_ms = NULL WHERE archived_ms IS NOT NULL RETURNING model_id",
                         &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    td_bind_text(stmt, ":name", options->name);
    td_bind_text(stmt, ":description", options->description != NULL ? options->description : "");
    td_bind_text(stmt, ":owner", actor->name);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return td_fail(err, TD_CONFLICT,
                       "model \"%s\" exists already in project %s; register a version of it, or choose another "
                       "name",
                       options->name, project);
    }
    *model_id_out = td_column_int(stmt, "model_id");
    td_reset(stmt);
    return TD_OK;
}

/* Of a name that was archived and is made anew. */
static td_code drop_tags(td_db *db, int64_t model_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "DELETE FROM model_tag WHERE model_id = :model", &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    return td_run(stmt, err);
}

static td_code record_model(td_db *db, const td_actor *actor, const char *action, const char *project,
                            const td_model_options *options, td_err *err)
{
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s*, s:O*}", "description", options->description, "tags", options->tags);
    TD_TRY(td_registry__json_ok(after, err));
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = "model",
                            .object_id = options->name,
                            .project = project,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_registry__model_insert(td_db *db, const td_actor *actor, const char *project,
                                  const td_model_options *options, td_err *err)
{
    TD_TRY(td_model_name_check(options->name, err));
    TD_TRY(td_registry__text_check("description", options->description, TD_DESCRIPTION_MAX, err));
    TD_TRY(td_registry__new_entries("tag", options->tags, err));
    int64_t model_id;
    TD_TRY(insert_row(db, actor, project, options, &model_id, err));
    TD_TRY(drop_tags(db, model_id, err));
    TD_TRY(tags_write(db, model_id, options->tags, err));
    TD_TRY(td_registry__event_model(db, model_id, options, err));
    return record_model(db, actor, "create.model", project, options, err);
}

td_code td_model_create(td_db *db, const td_actor *actor, const char *project, const td_model_options *options,
                        td_err *err)
{
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    return td_registry__model_insert(db, actor, project, options, err);
}

td_code td_model_update(td_db *db, const td_actor *actor, const char *project, const td_model_options *options,
                        td_err *err)
{
    td_registry__model model;
    td_stmt *stmt;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_registry__text_check("description", options->description, TD_DESCRIPTION_MAX, err));
    TD_TRY(td_registry__model_find(db, project, options->name, &model, err));
    if (options->description != NULL) {
        TD_TRY(td_db_prepare(db, "UPDATE model SET description = :description WHERE model_id = :model", &stmt, err));
        td_bind_text(stmt, ":description", options->description);
        td_bind_int(stmt, ":model", model.model_id);
        TD_TRY(td_run(stmt, err));
    }
    TD_TRY(tags_write(db, model.model_id, options->tags, err));
    TD_TRY(td_registry__touch(db, model.model_id, 0, err));
    TD_TRY(td_registry__event_tags(db, model.model_id, options->name, 0, options->tags, err));
    return record_model(db, actor, "update.model", project, options, err);
}

/* ---- views ---- */

/* Runs a statement of two columns, "key" (text) and "value" (text or integer), into an object. */
static td_code pairs_json(td_stmt *stmt, bool integers, json_t **out, td_err *err)
{
    bool row;
    TD_CLEANUP(td_json_done) json_t *object = json_object();
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        json_t *value =
            integers ? json_integer(td_column_int(stmt, "value")) : json_string(td_column_text(stmt, "value"));
        if (json_object_set_new(object, td_column_text(stmt, "key"), value) != 0) {
            td_reset(stmt);
            return td_registry__json_ok(NULL, err);
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    TD_TRY(td_registry__json_ok(object, err));
    *out = object;
    object = NULL;
    return TD_OK;
}

static td_code add_pairs(td_db *db, json_t *json, const char *name, const char *sql, int64_t model_id, bool integers,
                         td_err *err)
{
    td_stmt *stmt;
    json_t *pairs;
    TD_TRY(td_db_prepare(db, sql, &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    TD_TRY(pairs_json(stmt, integers, &pairs, err));
    return json_object_set_new(json, name, pairs) == 0 ? TD_OK : td_registry__json_ok(NULL, err);
}

static const char tags_sql[] = "SELECT key, value FROM model_tag WHERE model_id = :model";
static const char aliases_sql[] =
    "SELECT a.name AS key, v.number AS value FROM alias a JOIN version v ON v.version_id = "
    "a.version_id WHERE a.model_id = :model";
static const char states_sql[] =
    "SELECT state AS key, count(*) AS value FROM version WHERE model_id = :model AND archived_ms IS NULL "
    "GROUP BY state";

static td_code add_details(td_db *db, int64_t model_id, json_t *json, td_err *err)
{
    TD_TRY(add_pairs(db, json, "tags", tags_sql, model_id, false, err));
    TD_TRY(add_pairs(db, json, "aliases", aliases_sql, model_id, true, err));
    return add_pairs(db, json, "versions", states_sql, model_id, true, err);
}

/* From a row with name, description, owner, created_ms, latest. */
static json_t *row_json(td_stmt *stmt)
{
    int64_t latest = td_column_int(stmt, "latest");
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", td_column_text(stmt, "name"), "description",
                     td_column_text(stmt, "description"), "owner", td_column_text(stmt, "owner"), "created_at",
                     td_registry__json_time(td_column_int(stmt, "created_ms")), "latest_version",
                     latest > 0 ? json_integer(latest) : json_null());
}

td_code td_registry__model_json(td_db *db, int64_t model_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "SELECT m.name, m.description, m.owner, m.created_ms, (SELECT max(number) FROM version v WHERE "
                      "v.model_id = m.model_id AND v.archived_ms IS NULL) AS latest FROM model m "
                      "WHERE m.model_id = :model",
                      &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    TD_TRY(td_step_one(stmt, err, "the model is gone"));
    TD_CLEANUP(td_json_done) json_t *json = row_json(stmt);
    td_reset(stmt);
    TD_TRY(td_registry__json_ok(json, err));
    TD_TRY(add_details(db, model_id, json, err));
    *out = json;
    json = NULL;
    return TD_OK;
}

td_code td_model_json(td_db *db, const char *project, const char *name, json_t **out, td_err *err)
{
    td_registry__model model;
    TD_TRY(td_registry__model_find(db, project, name, &model, err));
    return td_registry__model_json(db, model.model_id, out, err);
}
