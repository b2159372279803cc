/*
 * token_store.c: the rows of tokens. Only digests are here; nobody can make a token from this table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/internal.h"

#include <stdio.h>
#include <string.h>

static void read_token(td_stmt *stmt, td_access__token *out)
{
    *out = (td_access__token){
        .token_id = td_column_int(stmt, "token_id"),
        .user.user_id = td_column_int(stmt, "user_id"),
        .user.service = strcmp(td_column_text(stmt, "kind"), "service") == 0,
        .user.disabled = !td_column_null(stmt, "disabled_ms"),
        .roles = (uint32_t)td_column_int(stmt, "roles"),
        .project_id = td_column_int(stmt, "project_id"),
        .lifetime_ms = td_column_int(stmt, "lifetime_ms"),
        .expires_ms = td_column_int(stmt, "expires_ms"),
        .revoked = !td_column_null(stmt, "revoked_ms"),
        .used_ms = td_column_int(stmt, "used_ms"),
    };
    (void)snprintf(out->label, sizeof out->label, "%s", td_column_text(stmt, "label"));
    (void)snprintf(out->user.name, sizeof out->user.name, "%s", td_column_text(stmt, "name"));
}

td_code td_access__token_by_digest(td_db *db, const uint8_t digest[TD_DIGEST_SIZE], td_access__token *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT token_id, token.user_id AS user_id, name, kind, disabled_ms, label, roles, "
                         "project_id, expires_ms - token.created_ms AS lifetime_ms, expires_ms, revoked_ms, used_ms "
                         "FROM token JOIN user ON user.user_id = token.user_id "
                         "WHERE token.digest = :digest",
                         &stmt, err));
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    TD_TRY(td_step_one(stmt, err, "there is no such token"));
    read_token(stmt, out);
    td_reset(stmt);
    return TD_OK;
}

td_code td_access__token_by_id(td_db *db, int64_t token_id, td_access__token *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT token_id, token.user_id AS user_id, name, kind, disabled_ms, label, roles, "
                         "project_id, expires_ms - token.created_ms AS lifetime_ms, expires_ms, revoked_ms, used_ms "
                         "FROM token JOIN user ON user.user_id = token.user_id "
                         "WHERE token.token_id = :id",
                         &stmt, err));
    td_bind_int(stmt, ":id", token_id);
    TD_TRY(td_step_one(stmt, err, "there is no token %lld (see `tidemark user list`)", (long long)token_id));
    read_token(stmt, out);
    td_reset(stmt);
    return TD_OK;
}

td_code td_access__token_insert(td_db *db, int64_t user_id, int64_t project_id, const td_token_options *options,
                                const uint8_t digest[TD_DIGEST_SIZE], td_token *out, td_err *err)
{
    td_stmt *stmt;
    int64_t now_ms = td_db_now_ms(db);
    int64_t lifetime_ms = options->lifetime_ms == 0 ? TD_TOKEN_LIFETIME_DEFAULT_MS : options->lifetime_ms;
    int64_t expires_ms = now_ms + lifetime_ms;
    if (options->latest_ms != 0 && expires_ms > options->latest_ms) {
        expires_ms = options->latest_ms;
    }
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO token (user_id, digest, label, roles, project_id, created_ms, expires_ms) "
                         "VALUES (:user, :digest, :label, :roles, nullif(:project, 0), :now, :expires)",
                         &stmt, err));
    td_bind_int(stmt, ":user", user_id);
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    td_bind_text(stmt, ":label", options->label == NULL ? "" : options->label);
    td_bind_int(stmt, ":roles", options->roles);
    td_bind_int(stmt, ":project", project_id);
    td_bind_int(stmt, ":now", now_ms);
    td_bind_int(stmt, ":expires", expires_ms);
    TD_TRY(td_run(stmt, err));
    out->token_id = td_db_last_id(db);
    out->expires_ms = expires_ms;
    return TD_OK;
}

td_code td_access__token_set_end(td_db *db, int64_t token_id, int64_t end_ms, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE token SET expires_ms = :end WHERE token_id = :id", &stmt, err));
    td_bind_int(stmt, ":end", end_ms);
    td_bind_int(stmt, ":id", token_id);
    return td_run(stmt, err);
}

td_code td_access__token_set_revoked(td_db *db, int64_t token_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE token SET revoked_ms = :now WHERE token_id = :id AND revoked_ms IS NULL", &stmt,
                         err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":id", token_id);
    return td_run(stmt, err);
}

td_code td_token_touch(td_db *db, int64_t token_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE token SET used_ms = :now WHERE token_id = :id", &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":id", token_id);
    return td_run(stmt, err);
}

td_code td_access__token_count(td_db *db, int64_t user_id, int64_t *count_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT count(*) AS n FROM token "
                         "WHERE user_id = :user AND revoked_ms IS NULL AND expires_ms > :now",
                         &stmt, err));
    td_bind_int(stmt, ":user", user_id);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    TD_TRY(td_step_one(stmt, err, "no count of tokens"));
    *count_out = td_column_int(stmt, "n");
    td_reset(stmt);
    return TD_OK;
}
