/*
 * trust_store.c: the workspace's keysets, one a version, and whose the approvers' keys are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- reading ---- */

static td_code read_trust(td_stmt *stmt, td_arena *arena, td_trust *out, td_err *err)
{
    td_trust trust;
    size_t digest_size;
    const void *envelope = td_column_blob(stmt, "envelope", &trust.envelope_size);
    const void *digest = td_column_blob(stmt, "digest", &digest_size);
    memcpy(trust.digest, digest, TD_DIGEST_SIZE);
    trust.envelope = td_arena_copy(arena, envelope, trust.envelope_size);
    if (trust.envelope == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read the keyset");
    }
    td_signed_message message;
    TD_TRY(td_signed_message_decode(trust.envelope, trust.envelope_size, &message, err));
    TD_TRY(td_keyset_decode(message.payload, message.payload_size, &trust.keyset, err));
    *out = trust;
    return TD_OK;
}

td_code td_trust_current(td_db *db, td_arena *arena, td_trust *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT envelope, digest FROM keyset ORDER BY version DESC LIMIT 1", &stmt, err));
    TD_TRY(td_step_one(stmt, err, "the workspace has no keyset yet (`tidemark init` makes the first)"));
    td_code code = read_trust(stmt, arena, out, err);
    td_reset(stmt);
    return code;
}

/* ---- drafting ---- */

static td_code make_envelope(const td_keyset *keyset, const td_key *root, td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str payload = {0};
    TD_TRY(td_keyset_encode(keyset, &payload, err));
    if (root != NULL) {
        return td_signed_message_make(TD_KEYSET_TYPE, payload.data, payload.size, root, out, err);
    }
    td_signed_message message = {
        .payload_type = TD_KEYSET_TYPE, .payload = (const uint8_t *)payload.data, .payload_size = payload.size};
    return td_signed_message_encode(&message, out, err);
}

td_code td_trust_draft_first(const uint8_t director[TD_P256_PUBLIC_SIZE], uint32_t approver_threshold,
                             const td_key *root, td_str *envelope_out, td_err *err)
{
    td_keyset keyset = {.version = 1,
                        .root_threshold = 1,
                        .approver_threshold = approver_threshold,
                        .director_threshold = 1,
                        .key_count = 2};
    keyset.keys[0].role = TD_SIGNER_ROOT;
    (void)td_key_public(root, keyset.keys[0].public_key);
    keyset.keys[1].role = TD_SIGNER_DIRECTOR;
    memcpy(keyset.keys[1].public_key, director, TD_P256_PUBLIC_SIZE);
    return make_envelope(&keyset, root, envelope_out, err);
}

/* Index of an approver's key, or key_count. */
static size_t find_approver(const td_keyset *keyset, const uint8_t *public_key)
{
    size_t i = 0;
    while (i < keyset->key_count && (keyset->keys[i].role != TD_SIGNER_APPROVER ||
                                     memcmp(keyset->keys[i].public_key, public_key, TD_P256_PUBLIC_SIZE) != 0)) {
        i++;
    }
    return i;
}

static td_code add_key(td_keyset *keyset, const uint8_t *public_key, td_err *err)
{
    for (size_t i = 0; i < keyset->key_count; i++) {
        if (memcmp(keyset->keys[i].public_key, public_key, TD_P256_PUBLIC_SIZE) == 0) {
            return td_fail(err, TD_CONFLICT, "this key is in keyset %u already", keyset->version);
        }
    }
    if (keyset->key_count == TD_KEYSET_KEYS_MAX) {
        return td_fail(err, TD_LIMIT, "a keyset has at most %d keys; remove an approver's first", TD_KEYSET_KEYS_MAX);
    }
    td_signer_key *key = &keyset->keys[keyset->key_count++];
    key->role = TD_SIGNER_APPROVER;
    memcpy(key->public_key, public_key, TD_P256_PUBLIC_SIZE);
    return TD_OK;
}

static td_code remove_key(td_keyset *keyset, const uint8_t *public_key, td_err *err)
{
    size_t index = find_approver(keyset, public_key);
    if (index == keyset->key_count) {
        return td_fail(err, TD_CONFLICT, "this key is no approver's in keyset %u", keyset->version);
    }
    keyset->key_count--;
    memmove(&keyset->keys[index], &keyset->keys[index + 1], (keyset->key_count - index) * sizeof keyset->keys[0]);
    return TD_OK;
}

td_code td_trust_draft(td_db *db, const td_trust_change *change, const td_key *root, td_str *envelope_out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_trust trust;
    TD_TRY(td_trust_current(db, &arena, &trust, err));
    if (change->remove_approver != NULL) {
        TD_TRY(remove_key(&trust.keyset, change->remove_approver, err));
    }
    if (change->add_approver != NULL) {
        TD_TRY(add_key(&trust.keyset, change->add_approver, err));
    }
    if (change->approver_threshold != 0) {
        trust.keyset.approver_threshold = change->approver_threshold;
    }
    trust.keyset.version++;
    return make_envelope(&trust.keyset, root, envelope_out, err);
}

/* ---- publishing ---- */

static td_code keyset_row(td_db *db, const td_actor *actor, const td_keyset *keyset, const void *envelope, size_t size,
                          const uint8_t *digest, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO keyset (version, envelope, digest, published_by, published_ms) "
                         "VALUES (:version, :envelope, :digest, :by, :now)",
                         &stmt, err));
    td_bind_int(stmt, ":version", keyset->version);
    td_bind_blob(stmt, ":envelope", envelope, size);
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    td_bind_text(stmt, ":by", actor->name);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

static td_code key_row(td_db *db, const uint8_t *public_key, uint32_t version, const td_key_owner *owner, td_err *err)
{
    td_stmt *stmt;
    uint8_t key_id[TD_KEY_ID_SIZE];
    td_key_id(public_key, TD_P256_PUBLIC_SIZE, key_id);
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO approver_key (key_id, user_id, user_name, public_key, added_version, added_ms) "
                         "VALUES (:key, :user, :name, :public, :version, :now)",
                         &stmt, err));
    td_bind_blob(stmt, ":key", key_id, sizeof key_id);
    td_bind_int(stmt, ":user", owner->user_id);
    td_bind_text(stmt, ":name", owner->user);
    td_bind_blob(stmt, ":public", public_key, TD_P256_PUBLIC_SIZE);
    td_bind_int(stmt, ":version", version);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_code code = td_run(stmt, err);
    if (code == TD_CONFLICT) {
        return td_fail(err, TD_CONFLICT, "this key was an approver's before; make a new one");
    }
    return code;
}

static td_code end_key(td_db *db, const uint8_t *public_key, td_err *err)
{
    td_stmt *stmt;
    uint8_t key_id[TD_KEY_ID_SIZE];
    td_key_id(public_key, TD_P256_PUBLIC_SIZE, key_id);
    TD_TRY(td_db_prepare(db, "UPDATE approver_key SET removed_ms = :now WHERE key_id = :key AND removed_ms IS NULL",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_blob(stmt, ":key", key_id, sizeof key_id);
    return td_run(stmt, err);
}

static td_code check_owner(td_db *db, const td_key_owner *owner, td_err *err)
{
    int64_t user_id;
    bool service;
    if (owner == NULL) {
        return td_fail(err, TD_INVALID, "an approver's key was added: say whose it is");
    }
    TD_TRY(td_user_find(db, owner->user, &user_id, &service, err));
    if (user_id != owner->user_id) {
        return td_fail(err, TD_INVALID, "user %s has another row than %lld", owner->user, (long long)owner->user_id);
    }
    if (service) {
        return td_fail(err, TD_DENIED, "%s is a service account; only people have approver keys", owner->user);
    }
    return TD_OK;
}

/* Rows for the approver keys that came and went between two keysets. */
static td_code update_keys(td_db *db, const td_keyset *before, const td_keyset *after, const td_key_owner *owner,
                           td_err *err)
{
    for (size_t i = 0; i < before->key_count; i++) {
        const uint8_t *key = before->keys[i].public_key;
        if (before->keys[i].role == TD_SIGNER_APPROVER && find_approver(after, key) == after->key_count) {
            TD_TRY(end_key(db, key, err));
        }
    }
    for (size_t i = 0; i < after->key_count; i++) {
        const uint8_t *key = after->keys[i].public_key;
        if (after->keys[i].role == TD_SIGNER_APPROVER && find_approver(before, key) == before->key_count) {
            TD_TRY(check_owner(db, owner, err));
            TD_TRY(key_row(db, key, after->version, owner, err));
        }
    }
    return TD_OK;
}

/* Ids of the keys that may approve from now on: whoever verifies the log offline holds approvals against them. */
static json_t *approvers_json(const td_keyset *keyset)
{
    json_t *list = json_array();
    for (size_t i = 0; i < keyset->key_count; i++) {
        uint8_t key_id[TD_KEY_ID_SIZE];
        char key[2 * TD_KEY_ID_SIZE + 1];
        if (keyset->keys[i].role == TD_SIGNER_APPROVER) {
            td_key_id(keyset->keys[i].public_key, TD_P256_PUBLIC_SIZE, key_id);
            td_hex_encode(key_id, sizeof key_id, key);
            (void)json_array_append_new(list, json_string(key));
        }
    }
    return list;
}

static td_code record(td_db *db, const td_actor *actor, const td_keyset *keyset, const uint8_t *digest,
                      const td_key_owner *owner, const char *reason, td_err *err)
{
    char name[32];
    snprintf(name, sizeof name, "keyset/%u", keyset->version);
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:I, s:I, s:I, s:o, s:s*}", "version", (json_int_t)keyset->version, "keys",
                              (json_int_t)keyset->key_count, "approver_threshold",
                              (json_int_t)keyset->approver_threshold, "approvers", approvers_json(keyset), "owner",
                              owner != NULL ? owner->user : NULL);
    TD_TRY(td_registry__json_ok(after, err));
    td_audit_entry entry = {.actor = actor,
                            .action = "publish.keyset",
                            .object_type = "keyset",
                            .object_id = name,
                            .digest = digest,
                            .reason = reason,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

/* The first keyset has no predecessor; every other one must follow the current one. */
static td_code open_next(td_db *db, const void *envelope, size_t size, td_keyset *previous, td_keyset *next,
                         td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_trust trust;
    td_err ignored;
    td_code code = td_trust_current(db, &arena, &trust, &ignored);
    if (code == TD_NOT_FOUND) {
        TD_TRY(td_keyset_open(envelope, size, NULL, NULL, next, err));
        *previous = (td_keyset){.version = 0};
        return next->version == 1 ? TD_OK : td_fail(err, TD_CONFLICT, "the first keyset must have version 1");
    }
    if (code != TD_OK) {
        return td_fail(err, code, "%s", ignored.text);
    }
    td_signed_message message;
    TD_TRY(td_signed_message_decode(envelope, size, &message, err));
    TD_TRY(td_keyset_decode(message.payload, message.payload_size, next, err));
    if (next->version != trust.keyset.version + 1) {
        return td_fail(err, TD_CONFLICT, "keyset %u cannot follow keyset %u, which is current; draft it again",
                       next->version, trust.keyset.version);
    }
    *previous = trust.keyset;
    return td_keyset_open(envelope, size, previous, NULL, next, err);
}

static bool has_key(const td_keyset *keyset, const td_signer_key *wanted)
{
    for (size_t i = 0; i < keyset->key_count; i++) {
        const td_signer_key *key = &keyset->keys[i];
        if (key->role == wanted->role && memcmp(key->public_key, wanted->public_key, TD_P256_PUBLIC_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

/* One more approver's key, and nothing else is different. */
static bool only_adds_approver(const td_keyset *before, const td_keyset *after)
{
    size_t kept = 0, approvers = 0;
    for (size_t i = 0; i < after->key_count; i++) {
        bool old = has_key(before, &after->keys[i]);
        kept += old;
        approvers += !old && after->keys[i].role == TD_SIGNER_APPROVER;
    }
    return kept == before->key_count && approvers == 1 && after->key_count == kept + 1 &&
           after->expires_ms == before->expires_ms && after->root_threshold == before->root_threshold &&
           after->approver_threshold == before->approver_threshold &&
           after->director_threshold == before->director_threshold;
}

/* The keyset is the whole workspace's: admins publish it. An approver may bring his own key, no more. */
static td_code check_publisher(td_db *db, const td_actor *actor, const td_key_owner *owner, const td_keyset *before,
                               const td_keyset *after, td_err *err)
{
    bool own = owner != NULL && owner->project != NULL && owner->user_id == actor->user_id && actor->user_id > 0;
    if (own && only_adds_approver(before, after) &&
        td_access_recheck(db, actor, owner->project, TD_MAY_APPROVE, NULL) == TD_OK) {
        return TD_OK;
    }
    return td_access_recheck(db, actor, TD_PROJECT_DEFAULT, TD_MAY_MANAGE_USER, err);
}

td_code td_trust_publish(td_db *db, const td_actor *actor, const void *envelope, size_t size, const td_key_owner *owner,
                         const char *reason, td_err *err)
{
    td_keyset previous;
    td_keyset next;
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(td_registry__reason_check(reason, err));
    TD_TRY(open_next(db, envelope, size, &previous, &next, err));
    TD_TRY(check_publisher(db, actor, owner, &previous, &next, err));
    td_sha256_of(envelope, size, digest);
    TD_TRY(keyset_row(db, actor, &next, envelope, size, digest, err));
    TD_TRY(update_keys(db, &previous, &next, owner, err));
    return record(db, actor, &next, digest, owner, reason, err);
}

/* ---- views ---- */

static td_code user_of_key(td_db *db, const uint8_t *key_id, json_t *json, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT user_name FROM approver_key WHERE key_id = :key", &stmt, err));
    td_bind_blob(stmt, ":key", key_id, TD_KEY_ID_SIZE);
    TD_TRY(td_step(stmt, &row, err));
    int failed = row ? json_object_set_new(json, "user", json_string(td_column_text(stmt, "user_name"))) : 0;
    td_reset(stmt);
    return failed == 0 ? TD_OK : td_registry__json_ok(NULL, err);
}

static td_code add_keys(td_db *db, const td_keyset *keyset, json_t *keys, td_err *err)
{
    static const char *const roles[] = {"", "root", "approver", "director"};
    for (size_t i = 0; i < keyset->key_count; i++) {
        uint8_t key_id[TD_KEY_ID_SIZE];
        char hex[2 * TD_KEY_ID_SIZE + 1];
        td_key_id(keyset->keys[i].public_key, TD_P256_PUBLIC_SIZE, key_id);
        td_hex_encode(key_id, sizeof key_id, hex);
        TD_CLEANUP(td_json_done)
        json_t *key = json_pack("{s:s, s:s}", "role", roles[keyset->keys[i].role], "key_id", hex);
        TD_TRY(td_registry__json_ok(key, err));
        TD_TRY(user_of_key(db, key_id, key, err));
        if (json_array_append(keys, key) != 0) {
            return td_registry__json_ok(NULL, err);
        }
    }
    return TD_OK;
}

static td_code published_at(td_db *db, uint32_t version, int64_t *ms_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT published_ms FROM keyset WHERE version = :version", &stmt, err));
    td_bind_int(stmt, ":version", version);
    TD_TRY(td_step_one(stmt, err, "keyset %u is gone", version));
    *ms_out = td_column_int(stmt, "published_ms");
    td_reset(stmt);
    return TD_OK;
}

td_code td_trust_json(td_db *db, json_t **out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_json_done) json_t *keys = json_array();
    td_trust trust;
    int64_t published_ms;
    TD_TRY(td_trust_current(db, &arena, &trust, err));
    TD_TRY(published_at(db, trust.keyset.version, &published_ms, err));
    TD_TRY(add_keys(db, &trust.keyset, keys, err));
    json_t *answer = json_pack("{s:I, s:o, s:o, s:I, s:O, s:o}", "version", (json_int_t)trust.keyset.version, "digest",
                               td_registry__json_digest(trust.digest), "expires_at",
                               td_registry__json_time((int64_t)trust.keyset.expires_ms), "approver_threshold",
                               (json_int_t)trust.keyset.approver_threshold, "keys", keys, "published_at",
                               td_registry__json_time(published_ms));
    TD_TRY(td_registry__json_ok(answer, err));
    *out = answer;
    return TD_OK;
}

static td_code key_json(td_stmt *stmt, json_t *keys, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pem = {0};
    char hex[2 * TD_KEY_ID_SIZE + 1];
    size_t size;
    td_hex_encode(td_column_blob(stmt, "key_id", &size), TD_KEY_ID_SIZE, hex);
    TD_TRY(td_public_pem(TD_KEY_P256, td_column_blob(stmt, "public_key", &size), &pem, err));
    json_t *removed =
        td_column_null(stmt, "removed_ms") ? NULL : td_registry__json_time(td_column_int(stmt, "removed_ms"));
    json_t *key = json_pack("{s:s, s:s, s:s, s:o, s:o*}", "user", td_column_text(stmt, "user_name"), "key_id", hex,
                            "public_key", td_str_text(&pem), "added_at",
                            td_registry__json_time(td_column_int(stmt, "added_ms")), "removed_at", removed);
    return json_array_append_new(keys, key) == 0 ? TD_OK : td_registry__json_ok(NULL, err);
}

td_code td_approver_keys_json(td_db *db, const char *user, json_t **out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_CLEANUP(td_json_done) json_t *keys = json_array();
    TD_TRY(td_db_prepare(db,
                         "SELECT key_id, user_name, public_key, added_ms, removed_ms FROM approver_key "
                         "WHERE :user IS NULL OR user_name = :user ORDER BY added_ms, key_id",
                         &stmt, err));
    td_bind_text(stmt, ":user", user);
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        td_code code = key_json(stmt, keys, err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    *out = keys;
    keys = NULL;
    return TD_OK;
}
