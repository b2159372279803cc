/*
 * routes_project.c: projects: the walls behind which everything but users lies.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/routes_access.h"
#include "server/status.h"

#include <string.h>

static td_code list_projects(td_request *request, td_err *err)
{
    static const char *const answers[] = {"yes", "no", NULL};
    const char *archived;
    TD_TRY(td_request_query_choice(request, "archived", answers, "no", &archived, err));
    json_t *projects;
    td_page page;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_project_list_json(request->db, &request->principal, strcmp(archived, "yes") == 0, &page, &projects,
                                err));
    return td_answer_json(request, 200, projects, err);
}

static td_code answer_project(td_request *request, int status, const char *name, td_err *err)
{
    json_t *project;
    TD_TRY(td_request_refresh(request, err));
    TD_TRY(td_project_json(request->db, &request->principal, name, &project, err));
    return td_answer_json(request, status, project, err);
}

static td_code get_project(td_request *request, td_err *err)
{
    return answer_project(request, 200, request->parameters[0], err);
}

static td_code write_project(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    const char *name = td_json_text(request->body, "name", "");
    TD_TRY(td_project_create(db, &request->actor, name, td_json_text(request->body, "description", NULL), err));
    return answer_project(request, 201, name, err);
}

static td_code create_project(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "name", .type = TD_JSON_STRING, .required = true},
        {.name = "description", .type = TD_JSON_STRING, .maximum = TD_PROJECT_DESCRIPTION_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_need_admin(request, err));
    TD_TRY(td_request_check(request, fields, err));
    return td_request_write(request, write_project, request, err);
}

/* The path names the project, not ?project=. */
static td_code need_admin_there(td_request *request, td_err *err)
{
    return td_access_check(&request->principal, request->parameters[0], TD_MAY_MANAGE_USER, request->id,
                           &request->actor, err);
}

static td_code write_description(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    return td_project_describe(db, &request->actor, request->parameters[0],
                               td_json_text(request->body, "description", ""),
                               td_json_text(request->body, "reason", NULL), err);
}

static td_code describe_project(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "description", .type = TD_JSON_STRING, .required = true, .maximum = TD_PROJECT_DESCRIPTION_MAX},
        {.name = "reason", .type = TD_JSON_STRING, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(need_admin_there(request, err));
    TD_TRY(td_request_check(request, fields, err));
    TD_TRY(td_request_write(request, write_description, request, err));
    return answer_project(request, 200, request->parameters[0], err);
}

typedef struct archiving {
    td_request *request;
    bool archive;
    const char *reason;
} archiving;

/* Devices that are at work would be left half way. */
static td_code write_archiving(td_db *db, void *context, td_err *err)
{
    const archiving *write = context;
    const char *name = write->request->parameters[0];
    bool busy = false;
    if (write->archive) {
        TD_TRY(td_status_project_busy(db, name, &busy, err));
    }
    if (busy) {
        return td_fail(err, TD_CONFLICT, "project %s has a rollout or a run under way: wait for it or abort it", name);
    }
    return td_project_archive(db, &write->request->actor, name, write->archive, write->reason, err);
}

static td_code move_project(td_request *request, bool archive, td_err *err)
{
    archiving write = {.request = request, .archive = archive};
    TD_TRY(need_admin_there(request, err));
    TD_TRY(td_request_reason(request, true, &write.reason, err));
    TD_TRY(td_request_write(request, write_archiving, &write, err));
    return answer_project(request, 200, request->parameters[0], err);
}

static td_code archive_project(td_request *request, td_err *err)
{
    return move_project(request, true, err);
}

static td_code restore_project(td_request *request, td_err *err)
{
    return move_project(request, false, err);
}

const td_route td_routes_project[] = {
    {"GET", "/api/v1/projects", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_NONE, list_projects,
     "Projects in which one holds a role (?archived=yes: also those)"},
    TD_SEND("POST", "/api/v1/projects", TD_MAY_MANAGE_USER, create_project, "Make a project"),
    {"GET", "/api/v1/projects/{project}", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_NONE, get_project, "One project"},
    {"PATCH", "/api/v1/projects/{project}", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, describe_project,
     "Change its description (admin there)"},
    {"POST", "/api/v1/projects/{project}/archive", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, archive_project,
     "Hide it and take no more changes (admin there)"},
    {"POST", "/api/v1/projects/{project}/restore", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_JSON, restore_project,
     "Open it again (admin there)"},
    TD_ROUTES_END,
};
