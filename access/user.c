/*
 * user.c: making users, granting and taking roles; each change is one audit record in the same
 * transaction.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/internal.h"
#include "access/project.h"

#include <string.h>

#define DESCRIPTION_MAX 500
#define REASON_MAX 500

static td_code check_text(const char *text, size_t most, const char *what, td_err *err)
{
    if (text != NULL && strlen(text) > most) {
        return td_fail(err, TD_LIMIT, "%s is longer than %zu bytes", what, most);
    }
    return TD_OK;
}

static td_code append_record(td_db *db, const td_actor *actor, const char *action, const char *type, const char *id,
                             const char *project, const char *reason, json_t *after, td_err *err)
{
    if (after == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the audit record of %s %s", action, id);
    }
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = type,
                            .object_id = id,
                            .project = project,
                            .reason = reason,
                            .after = after};
    td_code code = td_audit_append(db, &entry, NULL, err);
    json_decref(after);
    return code;
}

td_code td_user_create(td_db *db, const td_actor *actor, const td_user_options *options, int64_t *user_id_out,
                       td_err *err)
{
    int64_t user_id;
    TD_TRY(td_user_name_check(options->name, err));
    TD_TRY(check_text(options->description, DESCRIPTION_MAX, "the description", err));
    TD_TRY(td_access_recheck(db, actor, TD_PROJECT_DEFAULT, TD_MAY_MANAGE_USER, err));
    TD_TRY(td_access__user_insert(db, options, &user_id, err));
    json_t *after = json_pack("{s:s, s:s}", "name", options->name, "kind", options->service ? "service" : "person");
    TD_TRY(append_record(db, actor, "create.user", "user", options->name, NULL, NULL, after, err));
    if (user_id_out != NULL) {
        *user_id_out = user_id;
    }
    return TD_OK;
}

/* Nobody locks everybody out by mistake; the admin socket, which can always let somebody in again, may. */
static td_code check_admin_left(td_db *db, const td_actor *actor, const td_access__user *user, td_err *err)
{
    uint32_t roles;
    bool others = true;
    TD_TRY(td_access__roles_in(db, user->user_id, TD_ACCESS__DEFAULT_ID, &roles, err));
    if (actor->user_id > 0 && !user->service && !user->disabled && (roles & (UINT32_C(1) << TD_ROLE_ADMIN)) != 0) {
        TD_TRY(td_access__other_admins(db, user->user_id, &others, err));
    }
    return others ? TD_OK
                  : td_fail(err, TD_CONFLICT,
                            "%s is the last admin of the workspace: make another one first, or use the admin socket "
                            "on the server's machine",
                            user->name);
}

td_code td_user_disable(td_db *db, const td_actor *actor, const char *name, bool disable, const char *reason,
                        td_err *err)
{
    td_access__user user;
    TD_TRY(check_text(reason, REASON_MAX, "the reason", err));
    TD_TRY(td_access_recheck(db, actor, TD_PROJECT_DEFAULT, TD_MAY_MANAGE_USER, err));
    TD_TRY(td_access__user_by_name(db, name, &user, err));
    if (user.disabled == disable) {
        return TD_OK;
    }
    if (disable) {
        TD_TRY(check_admin_left(db, actor, &user, err));
    }
    TD_TRY(td_access__user_set_disabled(db, user.user_id, disable, err));
    return append_record(db, actor, disable ? "disable.user" : "enable.user", "user", user.name, NULL, reason,
                         json_pack("{s:b}", "disabled", disable), err);
}

td_code td_user_find(td_db *db, const char *name, int64_t *user_id_out, bool *service_out, td_err *err)
{
    td_access__user user;
    TD_TRY(td_access__user_by_name(db, name, &user, err));
    if (user_id_out != NULL) {
        *user_id_out = user.user_id;
    }
    if (service_out != NULL) {
        *service_out = user.service;
    }
    return TD_OK;
}

td_code td_user_json(td_db *db, const char *name, const char *project, json_t **out, td_err *err)
{
    td_access__user user;
    TD_TRY(td_access__user_by_name(db, name, &user, err));
    return td_access__user_object(db, user.user_id, project, out, err);
}

/* A user may hold roles in a bounded number of projects, so that a principal is a value of fixed size. */
static td_code check_room(td_db *db, const td_access__user *user, int64_t project_id, td_err *err)
{
    uint32_t roles;
    int64_t count;
    TD_TRY(td_access__roles_in(db, user->user_id, project_id, &roles, err));
    TD_TRY(td_access__project_count(db, user->user_id, &count, err));
    if (roles == 0 && count >= TD_PROJECTS_PER_USER_MAX) {
        return td_fail(err, TD_LIMIT, "%s already has roles in %d projects, which is the most", user->name,
                       TD_PROJECTS_PER_USER_MAX);
    }
    return TD_OK;
}

/* What grant and revoke have in common: who, where, and whether the actor may. */
static td_code find_both(td_db *db, const td_actor *actor, const char *user_name, const char *project,
                         td_access__user *user_out, int64_t *project_id_out, td_err *err)
{
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_USER, err));
    TD_TRY(td_project_find(db, project, project_id_out, err));
    return td_access__user_by_name(db, user_name, user_out, err);
}

td_code td_role_grant(td_db *db, const td_actor *actor, const char *user_name, const char *project, td_role role,
                      const char *reason, td_err *err)
{
    td_access__user user;
    int64_t project_id;
    bool changed;
    TD_TRY(check_text(reason, REASON_MAX, "the reason", err));
    TD_TRY(find_both(db, actor, user_name, project, &user, &project_id, err));
    if (user.service && role == TD_ROLE_APPROVER) {
        return td_fail(err, TD_INVALID, "%s is a service account: only people approve", user.name);
    }
    TD_TRY(check_room(db, &user, project_id, err));
    TD_TRY(td_access__grant_insert(db, user.user_id, project_id, role, &changed, err));
    if (!changed) {
        return TD_OK;
    }
    return append_record(db, actor, "grant.role", "user", user.name, project, reason,
                         json_pack("{s:s, s:s}", "project", project, "role", td_role_name(role)), err);
}

td_code td_role_revoke(td_db *db, const td_actor *actor, const char *user_name, const char *project, td_role role,
                       const char *reason, td_err *err)
{
    td_access__user user;
    int64_t project_id;
    bool changed;
    TD_TRY(check_text(reason, REASON_MAX, "the reason", err));
    TD_TRY(find_both(db, actor, user_name, project, &user, &project_id, err));
    if (role == TD_ROLE_ADMIN && project_id == TD_ACCESS__DEFAULT_ID) {
        TD_TRY(check_admin_left(db, actor, &user, err));
    }
    TD_TRY(td_access__grant_delete(db, user.user_id, project_id, role, &changed, err));
    if (!changed) {
        return TD_OK;
    }
    return append_record(db, actor, "revoke.role", "user", user.name, project, reason,
                         json_pack("{s:s, s:s}", "project", project, "role", td_role_name(role)), err);
}
