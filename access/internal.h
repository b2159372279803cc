/*
 * internal.h: what access' own files share: rows of users and tokens, and the checks of names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_ACCESS_INTERNAL_H
#define TD_ACCESS_INTERNAL_H

#include "access/access.h"

/* For a name that nobody gave and for one that is not his to know: the same words. */
#define TD_ACCESS__NO_PROJECT "there is no project \"%.64s\", or you hold no role in it (see `tidemark project list`)"

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
TD_MUST_USE td_code td_access__user_set_disabled(td_db *db, int64_t user_id, bool disabled, td_err *err);
/* Is there another person who is admin in `default` and not shut out? */
TD_MUST_USE td_code td_access__other_admins(td_db *db, int64_t user_id, bool *out, td_err *err);
#define TD_ACCESS__DEFAULT_ID 1 /* row of project `default`: the first migration made it */

/* A row of table project. */
typedef struct td_access__project {
    int64_t project_id;
    bool archived;
} td_access__project;

TD_MUST_USE td_code td_access__project_by_name(td_db *db, const char *name, td_access__project *out, td_err *err);
TD_MUST_USE td_code td_access__project_set_description(td_db *db, int64_t project_id, const char *description,
                                                       td_err *err);
TD_MUST_USE td_code td_access__project_set_archived(td_db *db, int64_t project_id, bool archived, td_err *err);
/* Bit set of the principal's roles in a project, restrictions of his token counted. */
uint32_t td_access__roles_of(const td_principal *principal, const char *project);
TD_MUST_USE td_code td_access__project_insert(td_db *db, const char *name, const char *description, td_err *err);

/* Roles of one user in one project as a bit set. */
TD_MUST_USE td_code td_access__roles_in(td_db *db, int64_t user_id, int64_t project_id, uint32_t *roles_out,
                                        td_err *err);
/* All grants, put into principal->grants and restricted to `mask` and, unless it is 0, to one project. */
TD_MUST_USE td_code td_access__load_grants(td_db *db, uint32_t mask, int64_t project_id, td_principal *principal,
                                           td_err *err);
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
    char label[TD_TOKEN_LABEL_MAX + 1];
    uint32_t roles;
    int64_t project_id;  /* the only project that it opens; 0: all of its user's */
    int64_t lifetime_ms; /* as it was made */
    int64_t expires_ms;
    bool revoked;
    int64_t used_ms;
} td_access__token;

TD_MUST_USE td_code td_access__token_by_digest(td_db *db, const uint8_t digest[TD_DIGEST_SIZE], td_access__token *out,
                                               td_err *err);
TD_MUST_USE td_code td_access__token_by_id(td_db *db, int64_t token_id, td_access__token *out, td_err *err);
TD_MUST_USE td_code td_access__token_insert(td_db *db, int64_t user_id, int64_t project_id,
                                            const td_token_options *options, const uint8_t digest[TD_DIGEST_SIZE],
                                            td_token *out, td_err *err);
TD_MUST_USE td_code td_access__token_set_end(td_db *db, int64_t token_id, int64_t end_ms, td_err *err);
TD_MUST_USE td_code td_access__token_set_revoked(td_db *db, int64_t token_id, td_err *err);
TD_MUST_USE td_code td_access__token_count(td_db *db, int64_t user_id, int64_t *count_out, td_err *err);

/* One user as the API shows it (see td_user_list_json); *out is owned by the caller. */
TD_MUST_USE td_code td_access__user_object(td_db *db, int64_t user_id, const char *project, json_t **out, td_err *err);
/* Elements of lists, from the row at hand; NULL: out of memory. */
json_t *td_access__token_row(td_stmt *stmt);
json_t *td_access__project_row(td_stmt *stmt, const td_principal *principal);

#endif
