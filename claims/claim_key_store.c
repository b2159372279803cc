/*
 * claim_key_store.c: keys that count: people's in the keyset, and those that an admin listed by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "claims/claims.h"
#include "registry/trust.h"

#include <ctype.h>
#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory for the keys of claims");
}

/* ---- which count ---- */

static td_code add_key(const json_t *json, const char *source, td_arena *arena, td_claim_key *out, td_err *err)
{
    const char *pem = td_json_text(json, "public_key", "");
    out->source = source;
    out->name = td_arena_text(arena, td_json_text(json, "name", ""));
    if (out->name == NULL) {
        return no_memory(err);
    }
    return td_public_key_read(pem, strlen(pem), &out->key, err);
}

/* Appends those that were not removed. */
static td_code add_keys(const json_t *list, const char *source, td_arena *arena, td_claim_key *keys, size_t *count,
                        td_err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (td_json_text(one, "removed_at", NULL) == NULL) {
            TD_TRY(add_key(one, source, arena, &keys[*count], err));
            (*count)++;
        }
    }
    return TD_OK;
}

td_code td_claim_keys(td_db *db, const char *project, size_t room, td_arena *arena, td_claim_key **out,
                      size_t *count_out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *people = NULL;
    TD_CLEANUP(td_json_done) json_t *listed = NULL;
    size_t count = 0;
    TD_TRY(td_claim_people_json(db, project, &people, err));
    TD_TRY(td_claim_keys_json(db, project, &listed, err));
    size_t most = json_array_size(people) + json_array_size(listed) + room;
    td_claim_key *keys = td_arena_alloc(arena, (most + 1) * sizeof *keys);
    if (keys == NULL) {
        return no_memory(err);
    }
    TD_TRY(add_keys(people, "person", arena, keys, &count, err));
    TD_TRY(add_keys(listed, "listed", arena, keys, &count, err));
    *out = keys;
    *count_out = count;
    return TD_OK;
}

/* ---- people ---- */

static bool holds_role(td_db *db, const char *project, const char *user)
{
    td_err ignored;
    td_actor actor = {.kind = TD_ACTOR_USER, .name = user, .authentication = "", .role = "", .request_id = ""};
    bool service;
    return td_user_find(db, user, &actor.user_id, &service, &ignored) == TD_OK &&
           td_access_recheck(db, &actor, project, TD_MAY_READ, &ignored) == TD_OK;
}

static td_code person_json(const json_t *approver, json_t *list, td_err *err)
{
    json_t *removed = json_object_get(approver, "removed_at");
    json_t *key = json_pack("{s:s, s:O, s:s, s:O, s:O, s:O, s:O?}", "source", "person", "name",
                            json_object_get(approver, "user"), "kind", "p256", "key_id",
                            json_object_get(approver, "key_id"), "public_key", json_object_get(approver, "public_key"),
                            "added_at", json_object_get(approver, "added_at"), "removed_at", removed);
    return json_array_append_new(list, key) == 0 ? TD_OK : no_memory(err);
}

td_code td_claim_people_json(td_db *db, const char *project, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *approvers = NULL;
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    TD_TRY(td_approver_keys_json(db, NULL, &approvers, err));
    for (size_t i = 0; i < json_array_size(approvers); i++) {
        const json_t *one = json_array_get(approvers, i);
        if (holds_role(db, project, td_json_text(one, "user", ""))) {
            TD_TRY(person_json(one, list, err));
        }
    }
    *out = list;
    list = NULL;
    return TD_OK;
}

/* ---- listing ---- */

static td_code row_json(td_stmt *stmt, json_t *list, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pem = {0};
    char key[2 * TD_KEY_ID_SIZE + 1], added[32], removed[32];
    size_t size;
    const char *kind = td_column_text(stmt, "kind");
    td_hex_encode(td_column_blob(stmt, "key_id", &size), TD_KEY_ID_SIZE, key);
    TD_TRY(td_public_pem(strcmp(kind, "p256") == 0 ? TD_KEY_P256 : TD_KEY_ED25519,
                         td_column_blob(stmt, "public_key", &size), &pem, err));
    td_format_time(td_column_int(stmt, "added_ms"), added);
    td_format_time(td_column_int(stmt, "removed_ms"), removed);
    json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s?}", "source", "listed", "name",
                            td_column_text(stmt, "name"), "kind", kind, "key_id", key, "public_key", td_str_text(&pem),
                            "added_by", td_column_text(stmt, "added_by"), "added_at", added, "removed_at",
                            td_column_null(stmt, "removed_ms") ? NULL : removed);
    return json_array_append_new(list, one) == 0 ? TD_OK : no_memory(err);
}

td_code td_claim_keys_json(td_db *db, const char *project, json_t **out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    int64_t project_id;
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(td_db_prepare(db,
                         "SELECT name, kind, key_id, public_key, added_by, added_ms, removed_ms FROM claim_key "
                         "WHERE project_id = :project ORDER BY name",
                         &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        if (row_json(stmt, list, err) != TD_OK) {
            td_reset(stmt);
            return err->code;
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    *out = list;
    list = NULL;
    return TD_OK;
}

/* ---- trusting and distrusting ---- */

static td_code check_name(const char *name, td_err *err)
{
    size_t length = strnlen(name, TD_CLAIM_KEY_NAME_MAX + 1);
    bool good = length > 0 && length <= TD_CLAIM_KEY_NAME_MAX && isalnum((unsigned char)name[0]);
    for (size_t i = 1; good && i < length; i++) {
        good = isalnum((unsigned char)name[i]) || strchr("._-", name[i]) != NULL;
    }
    return good ? TD_OK
                : td_fail(err, TD_INVALID,
                          "\"%.80s\" is no name of a key: 1 to %d of A-Z a-z 0-9 . _ - are allowed, beginning with a "
                          "letter or digit",
                          name, TD_CLAIM_KEY_NAME_MAX);
}

static td_code record(td_db *db, const td_actor *actor, const char *project, const char *action, const char *name,
                      const td_public_key *key, const char *reason, td_err *err)
{
    char hex[2 * TD_KEY_ID_SIZE + 1] = "";
    uint8_t key_id[TD_KEY_ID_SIZE];
    TD_CLEANUP(td_json_done) json_t *after = NULL;
    if (key != NULL) {
        td_public_key_id(key, key_id);
        td_hex_encode(key_id, sizeof key_id, hex);
        after = json_pack("{s:s, s:s}", "key_id", hex, "kind", key->kind == TD_KEY_P256 ? "p256" : "ed25519");
    }
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = "claim_key",
                            .object_id = name,
                            .project = project,
                            .reason = reason,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

static td_code check_room(td_db *db, int64_t project_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT count(*) AS keys FROM claim_key WHERE project_id = :project", &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    TD_TRY(td_step_one(stmt, err, "no count of keys"));
    int64_t keys = td_column_int(stmt, "keys");
    td_reset(stmt);
    return keys < TD_CLAIM_KEYS_MAX
               ? TD_OK
               : td_fail(err, TD_LIMIT, "the project has listed %d keys already, those that were removed included",
                         TD_CLAIM_KEYS_MAX);
}

td_code td_claim_key_trust(td_db *db, const td_actor *actor, const char *project, const char *name,
                           const td_public_key *key, const char *reason, td_err *err)
{
    td_stmt *stmt;
    int64_t project_id;
    uint8_t key_id[TD_KEY_ID_SIZE];
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_USER, err));
    TD_TRY(check_name(name, err));
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(check_room(db, project_id, err));
    TD_TRY(record(db, actor, project, "trust.claim_key", name, key, reason, err));
    td_public_key_id(key, key_id);
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO claim_key (project_id, name, kind, key_id, public_key, added_by, added_ms) "
                         "VALUES (:project, :name, :kind, :key, :public, :by, :now)",
                         &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    td_bind_text(stmt, ":name", name);
    td_bind_text(stmt, ":kind", key->kind == TD_KEY_P256 ? "p256" : "ed25519");
    td_bind_blob(stmt, ":key", key_id, sizeof key_id);
    td_bind_blob(stmt, ":public", key->bytes, td_public_key_size(key));
    td_bind_text(stmt, ":by", actor->name);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    if (td_run(stmt, err) != TD_OK) {
        return err->code == TD_CONFLICT
                   ? td_fail(err, TD_CONFLICT, "the name %s or this key is listed already, or was before", name)
                   : err->code;
    }
    return TD_OK;
}

static td_code end_key(td_db *db, int64_t project_id, const char *name, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db, "SELECT removed_ms FROM claim_key WHERE project_id = :project AND name = :name", &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    td_bind_text(stmt, ":name", name);
    TD_TRY(td_step_one(stmt, err, "no key is listed as \"%.80s\" (`tidemark claims keys` shows them)", name));
    bool removed = !td_column_null(stmt, "removed_ms");
    td_reset(stmt);
    if (removed) {
        return td_fail(err, TD_CONFLICT, "the key %s counts no more already", name);
    }
    TD_TRY(td_db_prepare(db, "UPDATE claim_key SET removed_ms = :now WHERE project_id = :project AND name = :name",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":project", project_id);
    td_bind_text(stmt, ":name", name);
    return td_run(stmt, err);
}

td_code td_claim_key_distrust(td_db *db, const td_actor *actor, const char *project, const char *name,
                              const char *reason, td_err *err)
{
    int64_t project_id;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_USER, err));
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(end_key(db, project_id, name, err));
    return record(db, actor, project, "distrust.claim_key", name, NULL, reason, err);
}
