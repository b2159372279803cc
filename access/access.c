/*
 * access.c: from a principal to a yes or no. A refusal names the permission and the roles that have it, so that people
 * know whom to ask; authenticate.c, at the door, tells strangers nothing.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "access/internal.h"

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

static uint32_t roles_in(const td_principal *principal, const char *project)
{
    for (size_t i = 0; i < principal->grant_count; i++) {
        if (strcmp(principal->grants[i].project, project) == 0) {
            return principal->grants[i].roles | principal->all_roles;
        }
    }
    return principal->all_roles;
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
    td_role role = granting_role(roles_in(principal, project), principal->kind, permission);
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

td_code td_access_recheck(td_db *db, const td_actor *actor, const char *project, td_permission permission, td_err *err)
{
    int64_t project_id;
    TD_TRY(td_project_find(db, project, &project_id, err));
    if (actor->kind == TD_ACTOR_SYSTEM && permission != TD_MAY_APPROVE) {
        return TD_OK;
    }
    if (actor->kind == TD_ACTOR_USER && actor->user_id == 0 && strcmp(actor->authentication, "admin-socket") == 0) {
        return td_role_may(TD_ROLE_ADMIN, permission) ? TD_OK
                                                      : refuse(actor->name, project, actor->kind, permission, err);
    }
    if (actor->user_id <= 0 || (actor->kind != TD_ACTOR_USER && actor->kind != TD_ACTOR_SERVICE)) {
        return refuse(actor->name, project, actor->kind, permission, err);
    }
    td_access__user user;
    uint32_t roles;
    TD_TRY(td_access__user_by_id(db, actor->user_id, &user, err));
    TD_TRY(td_access__roles_in(db, actor->user_id, project_id, &roles, err));
    td_actor_kind kind = user.service ? TD_ACTOR_SERVICE : TD_ACTOR_USER;
    if (user.disabled || granting_role(roles, kind, permission) == TD_ROLE_COUNT) {
        return refuse(actor->name, project, kind, permission, err);
    }
    return TD_OK;
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
