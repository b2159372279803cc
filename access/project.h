/*
 * project.h: projects: the unit to which roles are granted, and behind whose walls everything but users lies.
 *
 * Whoever holds no role in a project is told that there is none of that name: the same words as for a name that was
 * never given. Project `default` is the workspace's own: its admins manage users and projects of the whole workspace,
 * its auditors read and export the whole log. An archived project is hidden from lists and takes no changes; nothing in
 * it is deleted.
 * Threads: functions run where their connection lives.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_ACCESS_PROJECT_H
#define TD_ACCESS_PROJECT_H

#include "access/access.h"
#include "core/db/list.h"

#define TD_PROJECT_DESCRIPTION_MAX 500 /* bytes */

/* `default` exists from the first migration on. The actor needs TD_MAY_MANAGE_USER in `default`; a person who makes a
 * project becomes its admin. CONFLICT: the name is taken. */
TD_MUST_USE td_code td_project_create(td_db *db, const td_actor *actor, const char *name, const char *description,
                                      td_err *err);
/* Both need TD_MAY_MANAGE_USER in the project. NOT_FOUND; CONFLICT: `default` cannot be archived. */
TD_MUST_USE td_code td_project_describe(td_db *db, const td_actor *actor, const char *name, const char *description,
                                        const char *reason, td_err *err);
TD_MUST_USE td_code td_project_archive(td_db *db, const td_actor *actor, const char *name, bool archive,
                                       const char *reason, td_err *err);
/* The row's id for other modules' tables. NOT_FOUND. */
TD_MUST_USE td_code td_project_find(td_db *db, const char *name, int64_t *project_id_out, td_err *err);

/* {name, description, created_at, archived_at?, roles:[the principal's own]}. NOT_FOUND also where he has no role. */
TD_MUST_USE td_code td_project_json(td_db *db, const td_principal *principal, const char *name, json_t **out,
                                    td_err *err);
#define TD_PROJECTS_LIST_MAX 10000 /* projects of one page */
/* {"projects":[…],"next_cursor"?} of those in which the principal holds a role (all of them for admins of the
 * workspace), by name, or as the page says. INVALID, LIMIT. */
TD_MUST_USE td_code td_project_list_json(td_db *db, const td_principal *principal, bool archived, const td_page *page,
                                         json_t **out, td_err *err);

/* Does he hold any role there, or manage the workspace's users? */
bool td_access_sees(const td_principal *principal, const char *project);
/* Manages users of the whole workspace: admin in `default`, or the admin socket. */
bool td_access_is_workspace_admin(const td_principal *principal);
/* Reads records of every project: auditor in `default`, or the admin socket. */
bool td_access_reads_whole_log(const td_principal *principal);

/* From now on the project may name and read this content. Whoever calls it has seen the bytes come in. */
TD_MUST_USE td_code td_project_content_add(td_db *db, const char *project, const uint8_t digest[TD_DIGEST_SIZE],
                                           td_err *err);
TD_MUST_USE td_code td_project_content_has(td_db *db, const char *project, const uint8_t digest[TD_DIGEST_SIZE],
                                           bool *out, td_err *err);

#endif
