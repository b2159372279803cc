/*
 * access.c: from a principal to a yes or no. A refusal names the permission and the roles that have it, so that people
 * know whom to ask; authenticate.c, at the door, tells strangers nothing.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/internal.h"
#include "access/project.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define BIT(role) (UINT32_C(1) << (role))

bool td_actor_is_person(const td_actor *actor)
{
    return actor->kind == TD_ACTOR_USER && actor->user_id > 0;
}

void td_access_local(unsigned uid, td_principal *out)
{
    *out = (td_principal){.kind = TD_ACTOR_USER, .authentication = "admin-socket", .all_roles = BIT(TD_ROLE_ADMIN)};
    (void)snprintf(out->name, sizeof out->name, "uid-%u", uid);
}

/* What counts in this project; managing users is for the whole workspace when it is held in `default`. */
static uint32_t roles_for(const td_principal *principal, const char *project, td_permission permission)
{
    uint32_t roles = td_access__roles_of(principal, project);
    bool admin = permission == TD_MAY_MANAGE_USER && td_access_is_workspace_admin(principal);
    return roles | (admin ? BIT(TD_ROLE_ADMIN) : 0);
}

/* The first held role that has the permission, or TD_ROLE_COUNT. */
static td_role granting_role(uint32_t roles, td_actor_kind kind, td_permission permission)
{
    if (permission == TD_MAY_APPROVE && kind != TD_ACTOR_USER) {
        return TD_ROLE_COUNT;
    }
    for (int role = 0; role < TD_ROLE_COUNT; role++) {
        if ((roles & BIT(role)) != 0 && td_role_may((td_role)role, permission)) {
            return (td_role)role;
        }
    }
    return TD_ROLE_COUNT;
}

static td_code refuse(const char *name, const char *project, td_actor_kind kind, td_permission permission, td_err *err)
{
    if (permission == TD_MAY_APPROVE && kind != TD_ACTOR_USER) {
        return td_fail(err, TD_DENIED, "%s is not a person: only people approve", name);
    }
    char roles[128] = "";
    size_t used = 0;
    for (int role = 0; role < TD_ROLE_COUNT; role++) {
        if (td_role_may((td_role)role, permission) && used < sizeof roles) {
            int n =
                snprintf(roles + used, sizeof roles - used, "%s%s", used > 0 ? ", " : "", td_role_name((td_role)role));
            used += n > 0 ? (size_t)n : 0;
        }
    }
    return td_fail(err, TD_DENIED, "%s may not %s in project %s; roles that may: %s", name,
                   td_permission_name(permission), project, roles);
}

td_code td_access_check(const td_principal *principal, const char *project, td_permission permission,
                        const char *request_id, td_actor *actor_out, td_err *err)
{
    uint32_t roles = roles_for(principal, project, permission);
    td_role role = granting_role(roles, principal->kind, permission);
    if (roles == 0) {
        return td_fail(err, TD_NOT_FOUND, TD_ACCESS__NO_PROJECT, project);
    }
    if (role == TD_ROLE_COUNT) {
        return refuse(principal->name, project, principal->kind, permission, err);
    }
    if (actor_out != NULL) {
        *actor_out = (td_actor){
            .kind = principal->kind,
            .user_id = principal->user_id,
            .name = principal->name,
            .authentication = principal->authentication,
            .role = td_role_name(role),
            .request_id = request_id == NULL ? "" : request_id,
        };
    }
    return TD_OK;
}

/* An archived project can be read, and its people managed. */
static td_code check_open(const td_access__project *row, const char *project, td_permission permission, td_err *err)
{
    bool harmless = permission == TD_MAY_READ || permission == TD_MAY_READ_AUDIT || permission == TD_MAY_EXPORT_AUDIT ||
                    permission == TD_MAY_MANAGE_USER;
    if (!row->archived || harmless) {
        return TD_OK;
    }
    return td_fail(err, TD_CONFLICT, "project %s is archived and takes no changes (tidemark project restore %s)",
                   project, project);
}

static td_code recheck_user(td_db *db, const td_actor *actor, const td_access__project *row, const char *project,
                            td_permission permission, td_err *err)
{
    td_access__user user;
    uint32_t roles, in_default = 0;
    TD_TRY(td_access__user_by_id(db, actor->user_id, &user, err));
    TD_TRY(td_access__roles_in(db, actor->user_id, row->project_id, &roles, err));
    if (permission == TD_MAY_MANAGE_USER) {
        TD_TRY(td_access__roles_in(db, actor->user_id, TD_ACCESS__DEFAULT_ID, &in_default, err));
        roles |= in_default & BIT(TD_ROLE_ADMIN);
    }
    td_actor_kind kind = user.service ? TD_ACTOR_SERVICE : TD_ACTOR_USER;
    if (user.disabled || granting_role(roles, kind, permission) == TD_ROLE_COUNT) {
        return refuse(actor->name, project, kind, permission, err);
    }
    return check_open(row, project, permission, err);
}

td_code td_access_recheck(td_db *db, const td_actor *actor, const char *project, td_permission permission, td_err *err)
{
    td_access__project row;
    TD_TRY(td_access__project_by_name(db, project, &row, err));
    if (actor->kind == TD_ACTOR_SYSTEM && permission != TD_MAY_APPROVE) {
        return TD_OK;
    }
    if (actor->kind == TD_ACTOR_USER && actor->user_id == 0 && strcmp(actor->authentication, "admin-socket") == 0) {
        return td_role_may(TD_ROLE_ADMIN, permission) ? check_open(&row, project, permission, err)
                                                      : refuse(actor->name, project, actor->kind, permission, err);
    }
    if (actor->user_id <= 0 || (actor->kind != TD_ACTOR_USER && actor->kind != TD_ACTOR_SERVICE)) {
        return refuse(actor->name, project, actor->kind, permission, err);
    }
    return recheck_user(db, actor, &row, project, permission, err);
}

td_code td_access_denied(td_db *db, const td_actor *actor, const char *source, const char *what, int64_t count,
                         td_err *err)
{
    static const td_actor nobody = {
        .kind = TD_ACTOR_SYSTEM, .name = "nobody", .authentication = "none", .role = "", .request_id = ""};
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s, s:s, s:I}", "source", source, "what", what, "count", (json_int_t)count);
    if (after == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the record of a refused attempt");
    }
    td_audit_entry entry = {
        .actor = actor != NULL ? actor : &nobody,
        .action = "deny.access",
        .object_type = "route",
        .object_id = what,
        .denied = true,
        .after = after,
    };
    return td_audit_append(db, &entry, NULL, err);
}
