/*
 * routes_mlflow.c: MLflow's REST API as routes of ours: the registry's part and what clients probe before they begin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/mlflow.h"

#include <string.h>

/* The release whose REST API this is, for clients that ask; they only show it. */
#define MLFLOW_VERSION "3.17.2"

static td_code plain(td_request *request, const char *text, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str body = {0};
    td_str_add(&body, text);
    return td_answer_bytes(request, 200, "text/plain", &body, err);
}

static td_code get_health(td_request *request, td_err *err)
{
    return plain(request, "OK", err);
}

static td_code get_version(td_request *request, td_err *err)
{
    return plain(request, MLFLOW_VERSION, err);
}

/* Public, as there: a client looks before it logs in. Nothing here is about the workspace's content. */
static td_code get_server_info(td_request *request, td_err *err)
{
    return td_answer_json(request, 200,
                          json_pack("{s:s, s:b, s:b, s:b, s:b, s:{s:b}}", "store_type", "SqlStore",
                                    "workspaces_enabled", 1, "trace_archival_enabled", 0, "multipart_uploads_enabled",
                                    0, "multipart_downloads_enabled", 0, "features_enabled", "gateway", 0),
                          err);
}

#define TD_PUBLIC(route_pattern, fn, text)                                                                             \
    {                                                                                                                  \
        "GET", (route_pattern), TD_ROUTE_PUBLIC, TD_LISTENER_USERS, TD_BODY_NONE, (fn), (text)                         \
    }

const td_route td_routes_mlflow[] = {
    TD_PUBLIC("/health", get_health, "MLflow: is it alive?"),
    TD_PUBLIC("/version", get_version, "MLflow: the release whose API this is"),
    TD_PUBLIC("/api/3.0/mlflow/server-info", get_server_info, "MLflow: what this server can do"),
    TD_PUBLIC("/api/3.0/mlflow/server-features", get_server_info, "MLflow: what this server can do"),
    TD_PUBLIC("/api/2.0/mlflow/server-features", get_server_info, "MLflow: what this server can do"),
    TD_ROUTES_END,
};
