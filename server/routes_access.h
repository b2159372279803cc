/*
 * routes_access.h: what the routes of users, tokens and keys share (private to server).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_ROUTES_ACCESS_H
#define TD_SERVER_ROUTES_ACCESS_H

#include "access/project.h"
#include "server/routes.h"

/* Users, tokens and keysets are the whole workspace's. td_access_recheck sees what the user holds; this sees what his
 * token admits. DENIED, NOT_FOUND. */
TD_MUST_USE td_code td_request_need_admin(td_request *request, td_err *err);
bool td_request_is_about_self(const td_request *request, const char *user);
/* The user as the caller may see him: whole to himself and to admins of the workspace, else what belongs to the
 * request's project. NOT_FOUND also for a user without a role there. */
TD_MUST_USE td_code td_request_user(td_request *request, const char *name, json_t **out, td_err *err);
/* INVALID: a name in the list (may be NULL) is no role. */
TD_MUST_USE td_code td_request_check_roles(const json_t *roles, td_err *err);
bool td_request_lists_role(const json_t *roles, td_role role);

#endif
