/*
 * internal.h: what access' own files share: rows of users and tokens, and the checks of names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_ACCESS_INTERNAL_H
#define TD_ACCESS_INTERNAL_H

#include "access/access.h"

/* A row of table user. */
typedef struct td_access__user {
    int64_t user_id;
    char name[TD_USER_NAME_MAX + 1];
    bool service;
    bool disabled;
} td_access__user;

TD_MUST_USE td_code td_access__user_by_name(td_db *db, const char *name, td_access__user *out, td_err *err);
TD_MUST_USE td_code td_access__user_by_id(td_db *db, int64_t user_id, td_access__user *out, td_err *err);
TD_MUST_USE td_code td_access__user_insert(td_db *db, const td_user_options *options, int64_t *user_id_out,
                                           td_err *err);
TD_MUST_USE td_code td_access__user_set_disabled(td_db *db, int64_t user_id, td_err *err);
TD_MUST_USE td_code td_access__project_insert(td_db *db, const char *name, const char *description, td_err *err);

/* Roles of one user in one project as a bit set. */
TD_MUST_USE td_code td_access__roles_in(td_db *db, int64_t user_id, int64_t project_id, uint32_t *roles_out,
                                        td_err *err);
/* All grants, put into principal->grants and restricted to `mask`. */
TD_MUST_USE td_code td_access__load_grants(td_db *db, uint32_t mask, td_principal *principal, td_err *err);
TD_MUST_USE td_code td_access__project_count(td_db *db, int64_t user_id, int64_t *count_out, td_err *err);
/* *changed_out: a row was made or removed. */
TD_MUST_USE td_code td_access__grant_insert(td_db *db, int64_t user_id, int64_t project_id, td_role role,
                                            bool *changed_out, td_err *err);
TD_MUST_USE td_code td_access__grant_delete(td_db *db, int64_t user_id, int64_t project_id, td_role role,
                                            bool *changed_out, td_err *err);

/* A row of table token, with what its user is. */
typedef struct td_access__token {
    int64_t token_id;
    td_access__user user;
    uint32_t roles;
    int64_t expires_ms;
    bool revoked;
    int64_t used_ms;
} td_access__token;

TD_MUST_USE td_code td_access__token_by_digest(td_db *db, const uint8_t digest[TD_DIGEST_SIZE], td_access__token *out,
                                               td_err *err);
TD_MUST_USE td_code td_access__token_by_id(td_db *db, int64_t token_id, td_access__token *out, td_err *err);
TD_MUST_USE td_code td_access__token_insert(td_db *db, int64_t user_id, const td_token_options *options,
                                            const uint8_t digest[TD_DIGEST_SIZE], td_token *out, td_err *err);
TD_MUST_USE td_code td_access__token_set_revoked(td_db *db, int64_t token_id, td_err *err);
TD_MUST_USE td_code td_access__token_count(td_db *db, int64_t user_id, int64_t *count_out, td_err *err);

/* One user as the API shows it; *out is owned by the caller. */
TD_MUST_USE td_code td_access__user_object(td_db *db, int64_t user_id, json_t **out, td_err *err);

#endif
