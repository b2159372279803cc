/*
 * version_edit_store.c: tags, metrics, parameters and description of a version, and who touched them.
 *
 * Whoever edits is remembered, because he may not approve what he edited.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static td_code check_editable(const td_version *version, const td_version_edit *edit, td_err *err)
{
    TD_TRY(td_registry__live_check(version, err));
    if (version->state == TD_VERSION_PENDING) {
        return td_fail(err, TD_CONFLICT,
                       "version %s is pending and can no longer be changed; approve or reject it first, or register "
                       "a new version (with --parent %s)",
                       version->label, version->label);
    }
    if (version->state != TD_VERSION_DRAFT && (edit->metrics != NULL || edit->params != NULL)) {
        return td_fail(err, TD_CONFLICT,
                       "version %s is %s: its metrics and parameters can no longer be changed; register a new version "
                       "(with --parent %s)",
                       version->label, td_version_states.names[version->state], version->label);
    }
    return TD_OK;
}

static td_code object_check(const char *what, const json_t *object, td_err *err)
{
    if (object != NULL && (!json_is_object(object) || json_object_size(object) > TD_ENTRIES_MAX)) {
        return td_fail(err, TD_INVALID, "%s must be an object of at most %d entries", what, TD_ENTRIES_MAX);
    }
    return TD_OK;
}

/* A removal by one of the three literals; NOT_FOUND when there was nothing. */
static td_code remove_entry(td_db *db, const char *sql, int64_t version_id, const char *what, const char *key,
                            td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, sql, &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    td_bind_text(stmt, ":key", key);
    TD_TRY(td_run(stmt, err));
    if (td_db_changes(db) == 0) {
        return td_fail(err, TD_NOT_FOUND, "the version has no %s \"%s\"", what, key);
    }
    return TD_OK;
}

static td_code count_check(td_db *db, const char *sql, int64_t version_id, const char *what, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, sql, &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step_one(stmt, err, "no count"));
    int64_t count = td_column_int(stmt, "count");
    td_reset(stmt);
    if (count > TD_ENTRIES_MAX) {
        return td_fail(err, TD_LIMIT, "a version has at most %d %ss", TD_ENTRIES_MAX, what);
    }
    return TD_OK;
}

static td_code put_text(td_db *db, const char *sql, int64_t version_id, const char *key, const char *value, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, sql, &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    td_bind_text(stmt, ":key", key);
    td_bind_text(stmt, ":value", value);
    return td_run(stmt, err);
}

/* ---- tags ---- */

static const char tag_delete_sql[] = "DELETE FROM version_tag WHERE version_id = :version AND key = :key";
static const char tag_put_sql[] = "INSERT INTO version_tag (version_id, key, value) VALUES (:version, :key, :value) "
                                  "ON CONFLICT (version_id, key) DO UPDATE SET value = excluded.value";
static const char tag_count_sql[] = "SELECT count(*) AS count FROM version_tag WHERE version_id = :version";

td_code td_registry__tags_write(td_db *db, int64_t version_id, const json_t *tags, td_err *err)
{
    const char *key;
    json_t *value;
    TD_TRY(object_check("tags", tags, err));
    json_object_foreach ((json_t *)tags, key, value) {
        TD_TRY(td_registry__key_check("tag", key, err));
        if (json_is_null(value)) {
            TD_TRY(remove_entry(db, tag_delete_sql, version_id, "tag", key, err));
            continue;
        }
        if (!json_is_string(value)) {
            return td_fail(err, TD_INVALID, "tag \"%s\" must be text", key);
        }
        TD_TRY(td_registry__text_check("tag's value", json_string_value(value), TD_TAG_VALUE_MAX, err));
        TD_TRY(put_text(db, tag_put_sql, version_id, key, json_string_value(value), err));
    }
    return count_check(db, tag_count_sql, version_id, "tag", err);
}

/* ---- metrics ---- */

static const char metric_delete_sql[] = "DELETE FROM version_metric WHERE version_id = :version AND key = :key";
static const char metric_count_sql[] = "SELECT count(*) AS count FROM version_metric WHERE version_id = :version";

static td_code put_metric(td_db *db, int64_t version_id, const char *key, const json_t *value, td_err *err)
{
    td_stmt *stmt;
    if (!json_is_number(value) || !isfinite(json_number_value(value))) {
        return td_fail(err, TD_INVALID, "metric \"%s\" must be a finite number", key);
    }
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO version_metric (version_id, key, value) VALUES (:version, :key, :value) "
                         "ON CONFLICT (version_id, key) DO UPDATE SET value = excluded.value",
                         &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    td_bind_text(stmt, ":key", key);
    td_bind_real(stmt, ":value", json_number_value(value));
    return td_run(stmt, err);
}

td_code td_registry__metrics_write(td_db *db, int64_t version_id, const json_t *metrics, td_err *err)
{
    const char *key;
    json_t *value;
    TD_TRY(object_check("metrics", metrics, err));
    json_object_foreach ((json_t *)metrics, key, value) {
        TD_TRY(td_registry__key_check("metric", key, err));
        if (json_is_null(value)) {
            TD_TRY(remove_entry(db, metric_delete_sql, version_id, "metric", key, err));
        } else {
            TD_TRY(put_metric(db, version_id, key, value, err));
        }
    }
    return count_check(db, metric_count_sql, version_id, "metric", err);
}

/* ---- parameters ---- */

static const char param_delete_sql[] = "DELETE FROM version_param WHERE version_id = :version AND key = :key";
static const char param_put_sql[] =
    "INSERT INTO version_param (version_id, key, value) VALUES (:version, :key, :value) "
    "ON CONFLICT (version_id, key) DO UPDATE SET value = excluded.value";
static const char param_count_sql[] = "SELECT count(*) AS count FROM version_param WHERE version_id = :version";

static td_code put_param(td_db *db, int64_t version_id, const char *key, const json_t *value, td_err *err)
{
    char number[40];
    const char *text = json_string_value(value);
    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        text = number;
    } else if (json_is_real(value)) {
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        text = number;
    } else if (json_is_boolean(value)) {
        text = json_is_true(value) ? "true" : "false";
    } else if (text == NULL) {
        return td_fail(err, TD_INVALID, "parameter \"%s\" must be text, a number or a boolean", key);
    }
    TD_TRY(td_registry__text_check("parameter's value", text, TD_TAG_VALUE_MAX, err));
    return put_text(db, param_put_sql, version_id, key, text, err);
}

td_code td_registry__params_write(td_db *db, int64_t version_id, const json_t *params, td_err *err)
{
    const char *key;
    json_t *value;
    TD_TRY(object_check("params", params, err));
    json_object_foreach ((json_t *)params, key, value) {
        TD_TRY(td_registry__key_check("parameter", key, err));
        if (json_is_null(value)) {
            TD_TRY(remove_entry(db, param_delete_sql, version_id, "parameter", key, err));
        } else {
            TD_TRY(put_param(db, version_id, key, value, err));
        }
    }
    return count_check(db, param_count_sql, version_id, "parameter", err);
}

/* ---- edits ---- */

static td_code remember_editor(td_db *db, const td_actor *actor, int64_t version_id, td_err *err)
{
    td_stmt *stmt;
    if (actor->user_id <= 0) {
        return TD_OK; /* the server itself never approves */
    }
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO version_editor (version_id, user_id, edited_ms) VALUES (:version, :user, :now) "
                         "ON CONFLICT (version_id, user_id) DO UPDATE SET edited_ms = excluded.edited_ms",
                         &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    td_bind_int(stmt, ":user", actor->user_id);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

static td_code set_description(td_db *db, int64_t version_id, const char *description, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_registry__text_check("description", description, TD_DESCRIPTION_MAX, err));
    TD_TRY(td_db_prepare(db, "UPDATE version SET description = :description WHERE version_id = :version", &stmt, err));
    td_bind_text(stmt, ":description", description);
    td_bind_int(stmt, ":version", version_id);
    return td_run(stmt, err);
}

/* Names of what changed: values of metrics are reals, which the log does not hold. */
static td_code add_keys(json_t *after, const char *what, const json_t *object, td_err *err)
{
    const char *key;
    json_t *value;
    if (object == NULL) {
        return TD_OK;
    }
    TD_CLEANUP(td_json_done) json_t *texts = json_object();
    json_object_foreach ((json_t *)object, key, value) {
        char number[40];
        snprintf(number, sizeof number, "%.17g", json_number_value(value));
        json_t *copy = json_is_real(value) ? json_string(number) : json_incref(value);
        if (json_object_set_new(texts, key, copy) != 0) {
            return td_registry__json_ok(NULL, err);
        }
    }
    return json_object_set(after, what, texts) == 0 ? TD_OK : td_registry__json_ok(NULL, err);
}

static td_code record_edit(td_db *db, const td_actor *actor, const td_version *version, const td_version_edit *edit,
                           td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *after = json_pack("{s:s*}", "description", edit->description);
    TD_TRY(td_registry__json_ok(after, err));
    TD_TRY(add_keys(after, "tags", edit->tags, err));
    TD_TRY(add_keys(after, "metrics", edit->metrics, err));
    TD_TRY(add_keys(after, "params", edit->params, err));
    td_audit_entry entry = {.actor = actor,
                            .action = "update.version",
                            .object_type = "version",
                            .object_id = version->label,
                            .project = version->project,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_version_update(td_db *db, const td_actor *actor, const char *project, const char *reference,
                          const td_version_edit *edit, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    TD_TRY(check_editable(&version, edit, err));
    if (edit->description != NULL) {
        TD_TRY(set_description(db, version.version_id, edit->description, err));
    }
    TD_TRY(td_registry__tags_write(db, version.version_id, edit->tags, err));
    TD_TRY(td_registry__metrics_write(db, version.version_id, edit->metrics, err));
    TD_TRY(td_registry__params_write(db, version.version_id, edit->params, err));
    TD_TRY(remember_editor(db, actor, version.version_id, err));
    TD_TRY(td_registry__touch(db, version.model_id, version.version_id, err));
    TD_TRY(td_registry__event_tags(db, version.model_id, version.model, version.number, edit->tags, err));
    return record_edit(db, actor, &version, edit, err);
}

td_code td_version_set_tag(td_db *db, const td_actor *actor, const char *project, const char *reference,
                           const char *key, const char *value, td_err *err)
{
    TD_TRY(td_registry__key_check("tag", key, err));
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s?}", key, value);
    if (tags == NULL) {
        return td_fail(err, TD_INVALID, "the value of tag \"%s\" is not valid UTF-8", key);
    }
    td_version_edit edit = {.tags = tags};
    return td_version_update(db, actor, project, reference, &edit, err);
}
