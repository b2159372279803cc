/*
 * routes.c: all tables in one router, and small things that handlers share.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/routes.h"

#include "server/server.h"

#include <assert.h>
#include <string.h>

static const td_route *const tables[] = {
    td_routes_status, td_routes_content, td_routes_model, td_routes_version, td_routes_claim, td_routes_fleet,
    td_routes_rollout, td_routes_enrol, td_routes_monitor, td_routes_pipeline, td_routes_record,
    td_routes_access, td_routes_token, td_routes_key, td_routes_project, td_routes_metrics,
    td_routes_backup,
    td_routes_mlflow, td_routes_mlflow_experiment, td_routes_mlflow_run, td_routes_mlflow_log,
    td_routes_mlflow_logged, td_routes_mlflow_artifact, td_routes_mlflow_model,
    td_routes_mlflow_version, td_routes_mlflow_webhook, td_routes_mirror, td_routes_log, NULL,
};

const td_router td_server_router = {tables};

td_case td_request_case(td_request *request)
{
    return (td_case){.server = request->server,
                     .db = request->db,
                     .arena = &request->arena,
                     .actor = &request->actor,
                     .project = request->project,
                     .field = request->field,
                     .request = request};
}

td_code td_case_write(const td_case *work, td_write_fn fn, void *context, td_err *err)
{
    return work->request ? td_request_write(work->request, fn, context, err)
                         : td_server_write(work->server, fn, context, err);
}

td_code td_request_recheck(td_db *db, const td_request *request, td_err *err)
{
    assert(request->route->access > 0);
    return td_access_recheck(db, &request->actor, request->project, (td_permission)(request->route->access - 1), err);
}

td_code td_request_reference(td_request *request, const char **out, td_err *err)
{
    const char *model = request->parameters[0], *version = request->parameters[1];
    if (version[0] == '@') {
        *out = td_request_text(request, "%s%s", model, version);
        return TD_OK;
    }
    int64_t number;
    if (td_parse_int(version, "version", 1, INT64_MAX, &number, err) != TD_OK) {
        return td_fail(err, TD_INVALID, "\"%.80s\" is no version: expected a number, or @ and an alias", version);
    }
    *out = td_request_text(request, "%s/%lld", model, (long long)number);
    return TD_OK;
}

td_code td_request_reason(td_request *request, bool needed, const char **out, td_err *err)
{
    const td_json_field fields[] = {
        {.name = "reason",
         .type = TD_JSON_STRING,
         .required = needed,
         .minimum = needed ? 1 : 0,
         .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    *out = td_json_text(request->body, "reason", NULL);
    return TD_OK;
}

static const char *listener_names(unsigned listeners)
{
    return listeners == TD_LISTENER_USERS    ? "api admin"
           : listeners == TD_LISTENER_DEVICE ? "device"
           : listeners == TD_LISTENER_ADMIN  ? "admin"
           : listeners == TD_LISTENER_API    ? "api"
                                             : "all";
}

td_code td_server_routes_json(json_t **out, td_err *err)
{
    static const char *const bodies[] = {"none", "json", "stream", "none"};
    TD_CLEANUP(td_json_done) json_t *routes = json_array();
    for (const td_route *const *table = tables; *table; table++) {
        for (const td_route *route = *table; route->method; route++) {
            json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "method", route->method, "path", route->pattern,
                                    "permission", td_route_access_name(route), "listener",
                                    listener_names(route->listeners), "body", bodies[route->body], "help", route->help);
            if (!row || json_array_append_new(routes, row) != 0) {
                return td_fail(err, TD_NOMEM, "no memory for the table of routes");
            }
        }
    }
    *out = routes;
    routes = NULL;
    return TD_OK;
}
