/*
 * token.c: making and revoking tokens. The secret leaves this file once, in td_token.text, and is stored nowhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/internal.h"
#include "access/project.h"

#include <stdio.h>
#include <string.h>

/* A person may act for himself; anything else takes the permission to manage users. */
static td_code check_may(td_db *db, const td_actor *actor, const td_access__user *user, td_err *err)
{
    if (td_actor_is_person(actor) && actor->user_id == user->user_id) {
        return TD_OK;
    }
    return td_access_recheck(db, actor, TD_PROJECT_DEFAULT, TD_MAY_MANAGE_USER, err);
}

static td_code check_options(td_db *db, const td_token_options *options, const td_access__user *user, td_err *err)
{
    int64_t count;
    if (user->disabled) {
        return td_fail(err, TD_CONFLICT, "%s is disabled and gets no tokens", user->name);
    }
    if (options->lifetime_ms < 0 || options->lifetime_ms > TD_TOKEN_LIFETIME_MAX_MS) {
        return td_fail(err, TD_INVALID, "a token lives at most %d days", (int)(TD_TOKEN_LIFETIME_MAX_MS / 86400000));
    }
    if ((options->roles >> TD_ROLE_COUNT) != 0) {
        return td_fail(err, TD_INVALID, "the token's set of roles names roles that do not exist");
    }
    if (options->label != NULL && strlen(options->label) > TD_TOKEN_LABEL_MAX) {
        return td_fail(err, TD_LIMIT, "a token's label has at most %d bytes", TD_TOKEN_LABEL_MAX);
    }
    TD_TRY(td_access__token_count(db, user->user_id, &count, err));
    if (count >= TD_TOKENS_PER_USER_MAX) {
        return td_fail(err, TD_LIMIT, "%s already has %d valid tokens; revoke one first", user->name,
                       TD_TOKENS_PER_USER_MAX);
    }
    return TD_OK;
}

/* What a record says of a token. */
typedef struct token_saying {
    const char *action, *reason;
    int64_t token_id, expires_ms;
    const uint8_t *digest; /* of the digest that the row holds, or NULL */
} token_saying;

static td_code append_record(td_db *db, const td_actor *actor, const td_access__user *user, const token_saying *said,
                             td_err *err)
{
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s, s:I, s:I}", "user", user->name, "token", (json_int_t)said->token_id,
                              "expires_ms", (json_int_t)said->expires_ms);
    char id[32];
    (void)snprintf(id, sizeof id, "%lld", (long long)said->token_id);
    if (after == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the audit record of token %s", id);
    }
    td_audit_entry entry = {.actor = actor,
                            .action = said->action,
                            .object_type = "token",
                            .object_id = id,
                            .digest = said->digest,
                            .reason = said->reason,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

/* The secret is made, written as text into *out, and stored as a digest; the record has the digest of that, so that
 * nobody puts a secret of his own in its place unseen. */
static td_code issue(td_db *db, const td_actor *actor, const td_access__user *user, int64_t project_id,
                     const td_token_options *options, const char *reason, td_token *out, td_err *err)
{
    uint8_t secret[32];
    uint8_t digest[TD_DIGEST_SIZE];
    td_token token = {.text = TD_TOKEN_PREFIX};
    TD_TRY(td_random(secret, sizeof secret, err));
    td_sha256_of(secret, sizeof secret, digest);
    td_hex_encode(secret, sizeof secret, token.text + strlen(TD_TOKEN_PREFIX));
    td_wipe(secret, sizeof secret);
    TD_TRY(td_access__token_insert(db, user->user_id, project_id, options, digest, &token, err));
    td_sha256_of(digest, sizeof digest, digest);
    TD_TRY(append_record(db, actor, user,
                         &(token_saying){"create.token", reason, token.token_id, token.expires_ms, digest}, err));
    *out = token;
    td_wipe(&token, sizeof token);
    return TD_OK;
}

td_code td_token_create(td_db *db, const td_actor *actor, const td_token_options *options, td_token *out, td_err *err)
{
    td_access__user user;
    int64_t project_id = 0;
    TD_TRY(td_access__user_by_name(db, options->user, &user, err));
    TD_TRY(check_may(db, actor, &user, err));
    TD_TRY(check_options(db, options, &user, err));
    if (options->project != NULL) {
        TD_TRY(td_project_find(db, options->project, &project_id, err));
    }
    return issue(db, actor, &user, project_id, options, NULL, out, err);
}

static td_code check_rotation(td_db *db, const td_actor *actor, const td_token_rotation *rotation,
                              const td_access__token *old, td_err *err)
{
    bool own = actor->user_id > 0 && actor->user_id == old->user.user_id;
    if (!own) {
        TD_TRY(check_may(db, actor, &old->user, err));
    }
    if (rotation->grace_ms < 0 || rotation->grace_ms > TD_TOKEN_GRACE_MAX_MS) {
        return td_fail(err, TD_INVALID, "a rotated token lives on for at most %d days",
                       (int)(TD_TOKEN_GRACE_MAX_MS / 86400000));
    }
    if (old->revoked || old->expires_ms <= td_db_now_ms(db)) {
        return td_fail(err, TD_CONFLICT, "token %lld is no longer valid; make a new one (tidemark token create)",
                       (long long)rotation->token_id);
    }
    return TD_OK;
}

td_code td_token_rotate(td_db *db, const td_actor *actor, const td_token_rotation *rotation, td_token *out, td_err *err)
{
    td_access__token old;
    TD_TRY(td_access__token_by_id(db, rotation->token_id, &old, err));
    TD_TRY(check_rotation(db, actor, rotation, &old, err));
    int64_t end_ms = td_db_now_ms(db) + rotation->grace_ms;
    end_ms = end_ms < old.expires_ms ? end_ms : old.expires_ms;
    td_token_options options = {.user = old.user.name,
                                .label = old.label,
                                .lifetime_ms = old.lifetime_ms,
                                .latest_ms = rotation->latest_ms,
                                .roles = old.roles};
    TD_TRY(td_access__token_set_end(db, rotation->token_id, end_ms, err));
    TD_TRY(check_options(db, &options, &old.user, err));
    TD_TRY(append_record(db, actor, &old.user,
                         &(token_saying){"rotate.token", rotation->reason, rotation->token_id, end_ms, NULL}, err));
    return issue(db, actor, &old.user, old.project_id, &options, rotation->reason, out, err);
}

td_code td_token_revoke(td_db *db, const td_actor *actor, int64_t token_id, const char *reason, td_err *err)
{
    td_access__token token;
    TD_TRY(td_access__token_by_id(db, token_id, &token, err));
    TD_TRY(check_may(db, actor, &token.user, err));
    if (token.revoked) {
        return TD_OK;
    }
    TD_TRY(td_access__token_set_revoked(db, token_id, err));
    return append_record(db, actor, &token.user,
                         &(token_saying){"revoke.token", reason, token_id, token.expires_ms, NULL}, err);
}

td_code td_token_owner(td_db *db, int64_t token_id, int64_t *user_id_out, td_err *err)
{
    td_access__token token;
    TD_TRY(td_access__token_by_id(db, token_id, &token, err));
    *user_id_out = token.user.user_id;
    return TD_OK;
}

bool td_token_wants_touch(const td_principal *principal, int64_t now_ms)
{
    return principal->token_id != 0 && now_ms - principal->token_used_ms >= TD_TOKEN_TOUCH_MS;
}
