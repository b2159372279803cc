/*
 * routes.h: the tables of routes, one a file, and what handlers share.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_ROUTES_H
#define TD_SERVER_ROUTES_H

#include "server/internal.h"
#include "server/router.h"
#include "server/usecase.h"

#define TD_REASON_BODY_MAX 1024
#define TD_LOG_PREFIX "/log/" /* of the log's files (routes_log.c) */

extern const td_route td_routes_status[], td_routes_content[], td_routes_model[], td_routes_version[],
    td_routes_fleet[], td_routes_rollout[], td_routes_enrol[], td_routes_monitor[], td_routes_pipeline[],
    td_routes_record[], td_routes_access[], td_routes_token[], td_routes_key[], td_routes_project[], td_routes_mlflow[],
    td_routes_metrics[], td_routes_mlflow_experiment[], td_routes_mlflow_run[], td_routes_mlflow_log[],
    td_routes_mlflow_logged[], td_routes_mlflow_artifact[], td_routes_mlflow_model[], td_routes_mlflow_version[],
    td_routes_mlflow_webhook[], td_routes_mirror[], td_routes_claim[], td_routes_backup[], td_routes_log[];

/* Short forms for the tables: method, pattern, permission … */
#define TD_GET(route_pattern, permission, fn, text)                                                                    \
    {                                                                                                                  \
        "GET", (route_pattern), TD_ROUTE_MAY(permission), TD_LISTENER_USERS, TD_BODY_NONE, (fn), (text)                \
    }
/* One object by its key, answered without a worker: see TD_BODY_POINT. */
#define TD_POINT(route_pattern, permission, fn, text)                                                                  \
    {                                                                                                                  \
        "GET", (route_pattern), TD_ROUTE_MAY(permission), TD_LISTENER_USERS, TD_BODY_POINT, (fn), (text)               \
    }
#define TD_SEND(verb, route_pattern, permission, fn, text)                                                             \
    {                                                                                                                  \
        (verb), (route_pattern), TD_ROUTE_MAY(permission), TD_LISTENER_USERS, TD_BODY_JSON, (fn), (text)               \
    }
#define TD_ROUTES_END                                                                                                  \
    {                                                                                                                  \
        0                                                                                                              \
    }

/* Inside a closure: does the actor still have what the route demands, and does the project still take changes? For
 * writing functions that do not ask td_access_recheck themselves. */
TD_MUST_USE td_code td_request_recheck(td_db *db, const td_request *request, td_err *err);
/* Bytes that the caller has sent belong to the request's project from now on (routes_content.c). */
TD_MUST_USE td_code td_request_own_content(td_request *request, const uint8_t digest[TD_DIGEST_SIZE], td_err *err);

/* May anybody read this file of the log (audit.public)? */
bool td_log_open(const td_request *request, unsigned listener);

td_case td_request_case(td_request *request);
/* "pump/3" or "pump@champion" of {model} and {version} (a number or @alias). INVALID. */
TD_MUST_USE td_code td_request_reference(td_request *request, const char **out, td_err *err);
/* A body of {"reason": text} alone; `needed`: it must be there. */
TD_MUST_USE td_code td_request_reason(td_request *request, bool needed, const char **out, td_err *err);

#endif
