/*
 * project.c: making, describing and archiving projects; each change is one audit record in the same transaction.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "access/internal.h"

#include <string.h>

#define BIT(role) (UINT32_C(1) << (role))

static td_code check_description(const char *text, td_err *err)
{
    if (text != NULL && strlen(text) > TD_PROJECT_DESCRIPTION_MAX) {
        return td_fail(err, TD_LIMIT, "a project's description has at most %d bytes", TD_PROJECT_DESCRIPTION_MAX);
    }
    return TD_OK;
}

static td_code append_record(td_db *db, const td_actor *actor, const char *action, const char *name, const char *reason,
                             json_t *after, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *owned = after;
    if (owned == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the audit record of project %s", name);
    }
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = "project",
                            .object_id = name,
                            .project = name,
                            .reason = reason,
                            .after = owned};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_project_create(td_db *db, const td_actor *actor, const char *name, const char *description, td_err *err)
{
    TD_TRY(td_project_name_check(name, err));
    TD_TRY(check_description(description, err));
    TD_TRY(td_access_recheck(db, actor, TD_PROJECT_DEFAULT, TD_MAY_MANAGE_USER, err));
    TD_TRY(td_access__project_insert(db, name, description, err));
    TD_TRY(append_record(db, actor, "create.project", name, NULL, json_pack("{s:s}", "name", name), err));
    if (!td_actor_is_person(actor)) {
        return TD_OK;
    }
    return td_role_grant(db, actor, actor->name, name, TD_ROLE_ADMIN, "made the project", err);
}

td_code td_project_describe(td_db *db, const td_actor *actor, const char *name, const char *description,
                            const char *reason, td_err *err)
{
    int64_t project_id;
    TD_TRY(check_description(description, err));
    TD_TRY(td_access_recheck(db, actor, name, TD_MAY_MANAGE_USER, err));
    TD_TRY(td_project_find(db, name, &project_id, err));
    TD_TRY(td_access__project_set_description(db, project_id, description, err));
    return append_record(db, actor, "update.project", name, reason, json_pack("{s:s}", "description", description),
                         err);
}

td_code td_project_archive(td_db *db, const td_actor *actor, const char *name, bool archive, const char *reason,
                           td_err *err)
{
    td_access__project project;
    TD_TRY(td_access_recheck(db, actor, name, TD_MAY_MANAGE_USER, err));
    TD_TRY(td_access__project_by_name(db, name, &project, err));
    if (archive && strcmp(name, TD_PROJECT_DEFAULT) == 0) {
        return td_fail(err, TD_CONFLICT, "project default is the workspace's own and cannot be archived");
    }
    if (project.archived == archive) {
        return TD_OK;
    }
    TD_TRY(td_access__project_set_archived(db, project.project_id, archive, err));
    return append_record(db, actor, archive ? "archive.project" : "restore.project", name, reason,
                         json_pack("{s:b}", "archived", archive), err);
}

/* ---- who sees what ---- */

uint32_t td_access__roles_of(const td_principal *principal, const char *project)
{
    for (size_t i = 0; i < principal->grant_count; i++) {
        if (strcmp(principal->grants[i].project, project) == 0) {
            return principal->grants[i].roles | principal->all_roles;
        }
    }
    return principal->all_roles;
}

bool td_access_is_workspace_admin(const td_principal *principal)
{
    return (td_access__roles_of(principal, TD_PROJECT_DEFAULT) & BIT(TD_ROLE_ADMIN)) != 0;
}

bool td_access_reads_whole_log(const td_principal *principal)
{
    return principal->all_roles != 0 ||
           (td_access__roles_of(principal, TD_PROJECT_DEFAULT) & BIT(TD_ROLE_AUDITOR)) != 0;
}

bool td_access_sees(const td_principal *principal, const char *project)
{
    return td_access__roles_of(principal, project) != 0 || td_access_is_workspace_admin(principal);
}
