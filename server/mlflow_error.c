/*
 * mlflow_error.c: errors as MLflow's clients know them: {"error_code", "message"}.
 *
 * The client tries 408, 429 and most of 5xx again by itself, so only what may pass on its own is told that way.
 * Names and statuses: mlflow/exceptions.py.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/mlflow.h"

#include <string.h>

static const struct mlflow_name {
    const char *name;
    int status;
} names[] = {
    {"RESOURCE_ALREADY_EXISTS", 400}, {"INVALID_PARAMETER_VALUE", 400}, {"BAD_REQUEST", 400},
    {"RESOURCE_DOES_NOT_EXIST", 404}, {"ENDPOINT_NOT_FOUND", 404},      {"RESOURCE_CONFLICT", 409},
    {"NOT_IMPLEMENTED", 501},
};

/* What a status of ours is called there. */
static const struct mlflow_status {
    int ours, status;
    const char *name;
} statuses[] = {
    {400, 400, "INVALID_PARAMETER_VALUE"}, {401, 401, "UNAUTHENTICATED"},
    {403, 403, "PERMISSION_DENIED"},       {404, 404, "RESOURCE_DOES_NOT_EXIST"},
    {405, 405, "ENDPOINT_NOT_FOUND"},      {409, 409, "RESOURCE_CONFLICT"},
    {413, 413, "INVALID_PARAMETER_VALUE"}, {422, 400, "INVALID_PARAMETER_VALUE"},
    {429, 429, "REQUEST_LIMIT_EXCEEDED"},  {500, 500, "INTERNAL_ERROR"},
    {501, 501, "NOT_IMPLEMENTED"},         {503, 503, "TEMPORARILY_UNAVAILABLE"},
};

bool td_mlflow_owns(const char *raw_target)
{
    return strncmp(raw_target, "/api/2.0/", 9) == 0 || strncmp(raw_target, "/api/3.0/", 9) == 0 ||
           (strncmp(raw_target, "/get-artifact", 13) == 0 && (raw_target[13] == 0 || raw_target[13] == '?'));
}

td_code td_mlflow_project(const char *header, const char **out, td_err *err)
{
    if (header != NULL && td_project_name_check(header, err) != TD_OK) {
        return td_wrap(err, TD_MLFLOW_WORKSPACE);
    }
    *out = header != NULL ? header : TD_PROJECT_DEFAULT;
    return TD_OK;
}

void td_mlflow_error_name(td_request *request, const char *error_code)
{
    request->mlflow_error = error_code;
}

static struct mlflow_status lookup(const td_request *request, int status, const char *code)
{
    for (size_t i = 0; request->mlflow_error != NULL && i < TD_COUNT_OF(names); i++) {
        if (strcmp(names[i].name, request->mlflow_error) == 0) {
            return (struct mlflow_status){status, names[i].status, names[i].name};
        }
    }
    if (status == 404 && request->route == NULL && strcmp(code, "not_found") == 0) {
        return (struct mlflow_status){status, status, "ENDPOINT_NOT_FOUND"};
    }
    for (size_t i = 0; i < TD_COUNT_OF(statuses); i++) {
        if (statuses[i].ours == status) {
            return statuses[i];
        }
    }
    return (struct mlflow_status){status, status, status < 500 ? "BAD_REQUEST" : "INTERNAL_ERROR"};
}

void td_mlflow_problem(td_request *request, int status, const char *code, const char *detail)
{
    struct mlflow_status found = lookup(request, status, code);
    td_err ignored;
    json_t *error = json_pack("{s:s, s:s}", "error_code", found.name, "message", detail);
    if (error == NULL) { /* the detail was cut inside a character */
        error = json_pack("{s:s, s:s}", "error_code", found.name, "message", code);
    }
    if (td_answer_json(request, found.status, error, &ignored) != TD_OK) {
        request->answer.status = found.status;
        request->answer.content_type = "application/json";
    }
}
