/*
 * alias_store.c: movable names of versions, with everything they ever named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry_internal.h"

#include <stdio.h>
#include <string.h>

#define ALIASES_MAX 100   /* of one model */
#define HISTORY_SHOWN 200 /* newest moves in a view */

/* Aliases that may only name what was approved, and that only an approver moves, with a reason. */
static const char *const protected_aliases[] = {"champion"};

static bool is_protected(const char *alias)
{
    for (size_t i = 0; i < TD_COUNT_OF(protected_aliases); i++) {
        if (strcmp(alias, protected_aliases[i]) == 0) {
            return true;
        }
    }
    return false;
}

td_permission td_alias_permission(const char *alias)
{
    return is_protected(alias) ? TD_MAY_APPROVE : TD_MAY_MANAGE_ALIAS;
}

static td_code check_reason(const char *alias, const char *reason, td_err *err)
{
    return is_protected(alias) ? td_registry__reason_check(reason, err)
                               : td_registry__text_check("reason", reason, TD_REASON_MAX, err);
}

static td_code note_move(td_db *db, const td_actor *actor, int64_t model_id, const char *alias, int64_t number,
                         const char *reason, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO alias_move (model_id, name, number, actor, reason, moved_ms) "
                         "VALUES (:model, :name, :number, :actor, :reason, :now)",
                         &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    td_bind_text(stmt, ":name", alias);
    if (number > 0) {
        td_bind_int(stmt, ":number", number);
    }
    td_bind_text(stmt, ":actor", actor->name);
    td_bind_text(stmt, ":reason", reason != NULL ? reason : "");
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

/* 0: it names nothing. */
static td_code current(td_db *db, int64_t model_id, const char *alias, int64_t *number_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT v.number FROM alias a JOIN version v ON v.version_id = a.version_id "
                         "WHERE a.model_id = :model AND a.name = :name",
                         &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    td_bind_text(stmt, ":name", alias);
    TD_TRY(td_step(stmt, &row, err));
    *number_out = row ? td_column_int(stmt, "number") : 0;
    td_reset(stmt);
    return TD_OK;
}

static td_code check_room(td_db *db, int64_t model_id, const char *model, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT count(*) AS count FROM alias WHERE model_id = :model", &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    TD_TRY(td_step_one(stmt, err, "no count"));
    int64_t count = td_column_int(stmt, "count");
    td_reset(stmt);
    if (count >= ALIASES_MAX) {
        return td_fail(err, TD_LIMIT, "model %s has %d aliases, the most there can be; delete one first", model,
                       ALIASES_MAX);
    }
    return TD_OK;
}

static td_code record(td_db *db, const td_actor *actor, const char *action, const char *project, const char *object,
                      const char *reason, int64_t before, int64_t after, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *was = before > 0 ? json_pack("{s:I}", "version", (json_int_t)before) : NULL;
    TD_CLEANUP(td_json_done) json_t *is = after > 0 ? json_pack("{s:I}", "version", (json_int_t)after) : NULL;
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = "alias",
                            .object_id = object,
                            .project = project,
                            .reason = reason,
                            .before = was,
                            .after = is};
    return td_audit_append(db, &entry, NULL, err);
}

static td_code point(td_db *db, int64_t model_id, const char *alias, int64_t version_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO alias (model_id, name, version_id) VALUES (:model, :name, :version) "
                         "ON CONFLICT (model_id, name) DO UPDATE SET version_id = excluded.version_id",
                         &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    td_bind_text(stmt, ":name", alias);
    td_bind_int(stmt, ":version", version_id);
    return td_run(stmt, err);
}

static td_code check_target(const td_version *version, const char *alias, int64_t now, td_err *err)
{
    TD_TRY(td_registry__live_check(version, err));
    if (now == version->number) {
        return td_fail(err, TD_CONFLICT, "alias %s@%s names %s already", version->model, alias, version->label);
    }
    if (is_protected(alias) && version->state != TD_VERSION_APPROVED) {
        return td_fail(err, TD_CONFLICT, "%s may only name an approved version; %s is %s", alias, version->label,
                       td_version_states.names[version->state]);
    }
    return TD_OK;
}

td_code td_alias_set(td_db *db, const td_actor *actor, const char *project, const char *model, const char *alias,
                     int64_t number, const char *reason, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    char reference[TD_LABEL_SIZE];
    char object[TD_LABEL_SIZE + TD_ALIAS_NAME_MAX];
    td_version version;
    int64_t now;
    TD_TRY(td_access_recheck(db, actor, project, td_alias_permission(alias), err));
    TD_TRY(td_model_name_check(model, err));
    TD_TRY(td_alias_name_check(alias, err));
    TD_TRY(check_reason(alias, reason, err));
    snprintf(reference, sizeof reference, "%s/%lld", model, (long long)number);
    snprintf(object, sizeof object, "%s@%s", model, alias);
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    TD_TRY(current(db, version.model_id, alias, &now, err));
    TD_TRY(check_target(&version, alias, now, err));
    if (now == 0) {
        TD_TRY(check_room(db, version.model_id, model, err));
    }
    TD_TRY(point(db, version.model_id, alias, version.version_id, err));
    TD_TRY(note_move(db, actor, version.model_id, alias, number, reason, err));
    TD_TRY(td_registry__event_alias(db, version.model_id, model, alias, number, err));
    return record(db, actor, "set.alias", project, object, reason, now, number, err);
}

td_code td_alias_delete(td_db *db, const td_actor *actor, const char *project, const char *model, const char *alias,
                        const char *reason, td_err *err)
{
    char object[TD_LABEL_SIZE + TD_ALIAS_NAME_MAX];
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    td_stmt *stmt;
    TD_TRY(td_access_recheck(db, actor, project, td_alias_permission(alias), err));
    TD_TRY(td_model_name_check(model, err));
    TD_TRY(td_alias_name_check(alias, err));
    TD_TRY(check_reason(alias, reason, err));
    snprintf(object, sizeof object, "%s@%s", model, alias);
    TD_TRY(td_version_find(db, project, object, &arena, &version, err));
    TD_TRY(td_db_prepare(db, "DELETE FROM alias WHERE model_id = :model AND name = :name", &stmt, err));
    td_bind_int(stmt, ":model", version.model_id);
    td_bind_text(stmt, ":name", alias);
    TD_TRY(td_run(stmt, err));
    TD_TRY(note_move(db, actor, version.model_id, alias, 0, reason, err));
    TD_TRY(td_registry__event_alias(db, version.model_id, model, alias, 0, err));
    return record(db, actor, "delete.alias", project, object, reason, version.number, 0, err);
}

/* ---- views ---- */

static json_t *move_json(td_stmt *stmt)
{
    json_t *number = td_column_null(stmt, "number") ? json_null() : json_integer(td_column_int(stmt, "number"));
    return json_pack("{s:o, s:o, s:s, s:s}", "version", number, "at",
                     td_registry__json_time(td_column_int(stmt, "moved_ms")), "by", td_column_text(stmt, "actor"),
                     "reason", td_column_text(stmt, "reason"));
}

static td_code history(td_db *db, int64_t model_id, const char *alias, json_t **out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_CLEANUP(td_json_done) json_t *moves = json_array();
    TD_TRY(
        td_db_prepare(db,
                      "SELECT number, actor, reason, moved_ms FROM alias_move WHERE model_id = :model AND name = :name "
                      "ORDER BY moved_ms DESC, move_id DESC LIMIT :limit",
                      &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    td_bind_text(stmt, ":name", alias);
    td_bind_int(stmt, ":limit", HISTORY_SHOWN);
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        if (json_array_append_new(moves, move_json(stmt)) != 0) {
            td_reset(stmt);
            return td_registry__json_ok(NULL, err);
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    *out = moves;
    moves = NULL;
    return TD_OK;
}

td_code td_alias_json(td_db *db, const char *project, const char *model, const char *alias, json_t **out, td_err *err)
{
    td_registry__model row;
    int64_t number;
    TD_CLEANUP(td_json_done) json_t *moves = NULL;
    TD_TRY(td_alias_name_check(alias, err));
    TD_TRY(td_registry__model_find(db, project, model, &row, err));
    TD_TRY(current(db, row.model_id, alias, &number, err));
    TD_TRY(history(db, row.model_id, alias, &moves, err));
    if (json_array_size(moves) == 0) {
        return td_fail(err, TD_NOT_FOUND, "model %s never had an alias \"%s\"", model, alias);
    }
    json_t *newest = json_array_get(moves, 0);
    json_t *answer = json_pack("{s:s, s:o, s:O, s:O, s:O}", "alias", alias, "version",
                               number > 0 ? json_integer(number) : json_null(), "set_at", json_object_get(newest, "at"),
                               "set_by", json_object_get(newest, "by"), "history", moves);
    TD_TRY(td_registry__json_ok(answer, err));
    *out = answer;
    return TD_OK;
}

td_code td_alias_list_json(td_db *db, const char *project, const char *model, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_TRY(td_model_json(db, project, model, &json, err));
    json_t *answer = json_pack("{s:O}", "aliases", json_object_get(json, "aliases"));
    TD_TRY(td_registry__json_ok(answer, err));
    *out = answer;
    return TD_OK;
}

td_code td_alias_at(td_db *db, const char *project, const char *model, const char *alias, int64_t at_ms,
                    int64_t *number_out, td_err *err)
{
    td_registry__model row;
    td_stmt *stmt;
    bool found;
    TD_TRY(td_registry__model_find(db, project, model, &row, err));
    TD_TRY(td_db_prepare(db,
                         "SELECT number FROM alias_move WHERE model_id = :model AND name = :name AND moved_ms <= :at "
                         "ORDER BY moved_ms DESC, move_id DESC LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":model", row.model_id);
    td_bind_text(stmt, ":name", alias);
    td_bind_int(stmt, ":at", at_ms);
    TD_TRY(td_step(stmt, &found, err));
    *number_out = found ? td_column_int(stmt, "number") : 0;
    td_reset(stmt);
    return TD_OK;
}
