/*
 * routes_pipeline.c: pipelines, gates, runs, and the worker's two calls.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/evaluate.h"
#include "monitor/retrain.h"
#include "server/routes.h"
#include "server/scheduler.h"
#include "server/status.h"

#include <string.h>

#define LEASE_MS_DEFAULT 60000
#define CLAIM_WAIT_MS_MAX 30000

/* ---- pipelines and gates ---- */

static td_code write_pipeline(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    TD_TRY(td_request_recheck(db, request, err));
    return td_pipeline_set(db, &request->actor, request->project, request->parameters[0], request->body, err);
}

static td_code write_gate(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    TD_TRY(td_request_recheck(db, request, err));
    return td_gate_set(db, &request->actor, request->project, request->parameters[0], request->body, err);
}

static td_code get_pipeline(td_request *request, td_err *err)
{
    json_t *pipeline;
    TD_TRY(td_pipeline_json(request->db, request->project, request->parameters[0], &pipeline, err));
    return td_answer_json(request, 200, pipeline, err);
}

static td_code get_gate(td_request *request, td_err *err)
{
    json_t *gate;
    TD_TRY(td_gate_json(request->db, request->project, request->parameters[0], &gate, err));
    return td_answer_json(request, 200, gate, err);
}

static td_code set_pipeline(td_request *request, td_err *err)
{
    TD_TRY(td_pipeline_check(request->body, "request body", NULL, err));
    TD_TRY(td_request_write(request, write_pipeline, request, err));
    TD_TRY(td_request_refresh(request, err));
    return get_pipeline(request, err);
}

static td_code set_gate(td_request *request, td_err *err)
{
    TD_TRY(td_gate_check(request->body, "request body", NULL, err));
    TD_TRY(td_request_write(request, write_gate, request, err));
    TD_TRY(td_request_refresh(request, err));
    return get_gate(request, err);
}

static td_code list_gates(td_request *request, td_err *err)
{
    td_page page;
    json_t *list;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_gate_list_json(request->db, request->project, &page, &list, err));
    return td_answer_json(request, 200, list, err);
}

static td_code list_pipelines(td_request *request, td_err *err)
{
    td_page page;
    json_t *list;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_pipeline_list_json(request->db, request->project, &page, &list, err));
    return td_answer_json(request, 200, list, err);
}

/* ---- runs ---- */

typedef struct run_write {
    td_request *request;
    td_run_request options;
    char run[24];
} run_write;

static td_code answer_run(td_request *request, int status, const char *run, td_err *err)
{
    json_t *json;
    TD_TRY(td_request_refresh(request, err));
    TD_TRY(td_run_json(request->db, request->project, run, &json, err));
    return td_answer_json(request, status, json, err);
}

static td_code write_run(td_db *db, void *context, td_err *err)
{
    run_write *write = context;
    TD_TRY(td_request_recheck(db, write->request, err));
    TD_CLEANUP(td_json_done) json_t *alert = NULL; /* of this project, or not at all */
    if (write->options.alert) {
        TD_TRY(td_alert_show_json(db, write->request->project, write->options.alert, &alert, err));
    }
    TD_TRY(td_run_start(db, &write->request->actor, &write->options, write->run, err));
    return answer_run(write->request, 201, write->run, err);
}

static td_code start_run(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "model", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_MODEL_NAME_MAX},
        {.name = "parent_version", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 1e15},
        {.name = "alert", .type = TD_JSON_STRING, .minimum = 1, .maximum = 23},
        {.name = "reason", .type = TD_JSON_STRING, .maximum = TD_REASON_BODY_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    TD_TRY(td_model_name_check(td_json_text(request->body, "model", ""), err));
    run_write write = {.request = request};
    write.options = (td_run_request){.project = request->project,
                                     .pipeline = request->parameters[0],
                                     .model = td_json_text(request->body, "model", ""),
                                     .parent_version = td_json_int(request->body, "parent_version", 0),
                                     .alert = td_json_text(request->body, "alert", NULL),
                                     .reason = td_json_text(request->body, "reason", NULL)};
    return td_request_write(request, write_run, &write, err);
}

static td_code list_runs(td_request *request, td_err *err)
{
    td_page page;
    json_t *list;
    TD_TRY(td_request_page(request, TD_LIST_LIMIT_MAX, &page, err));
    TD_TRY(td_run_list_json(request->db, request->project, request->parameters[0], &page, &list, err));
    return td_answer_json(request, 200, list, err);
}

static td_code get_run(td_request *request, td_err *err)
{
    json_t *run;
    TD_TRY(td_run_json(request->db, request->project, request->parameters[0], &run, err));
    return td_answer_json(request, 200, run, err);
}

/* ---- worker ---- */

typedef struct worker_write {
    td_request *request;
    const char *worker;
    int64_t lease_ms;
    json_t *claim;
    bool done;
} worker_write;

static td_code write_claim(td_db *db, void *context, td_err *err)
{
    worker_write *write = context;
    TD_TRY(td_request_recheck(db, write->request, err));
    td_lease lease = {.actor = &write->request->actor, .project = write->request->project, .worker = write->worker};
    return td_worker_claim(db, &lease, write->lease_ms, &write->claim, err);
}

/* 200 with the step, or 204-like {"step":null}: long poll with wait_ms. */
static td_code claim_step(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "worker", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 64},
        {.name = "lease_ms", .type = TD_JSON_INTEGER, .minimum = 1000, .maximum = 86400000},
        {.name = "wait_ms", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = CLAIM_WAIT_MS_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    worker_write write = {.request = request,
                          .worker = td_json_text(request->body, "worker", ""),
                          .lease_ms = td_json_int(request->body, "lease_ms", LEASE_MS_DEFAULT)};
    bool waiting; /* a look that costs nothing: a claim that finds none would wake everybody who waits */
    TD_TRY(td_status_work_waiting(request->db, request->project, &waiting, err));
    td_code code = waiting ? td_request_write(request, write_claim, &write, err) : TD_OK;
    if (code != TD_OK) { /* perhaps only after it was made: a COMMIT that failed, a key */
        json_decref(write.claim);
        return code;
    }
    int64_t until = request->started_ms + td_json_int(request->body, "wait_ms", 0);
    if (!write.claim && !request->expired && td_server_monotonic_ms(request->server) < until) {
        request->answer.wait = true;
        request->answer.wait_until_ms = until;
        return TD_OK;
    }
    return td_answer_json(request, 200, write.claim ? write.claim : json_pack("{s:n}", "step"), err);
}

static td_code write_renewal(td_db *db, void *context, td_err *err)
{
    const worker_write *write = context;
    const td_request *request = write->request;
    TD_TRY(td_request_recheck(db, request, err));
    td_lease lease = {&request->actor,        request->project,       write->worker,
                      request->parameters[0], request->parameters[1], td_json_int(request->body, "attempt", 0)};
    return td_worker_renew(db, &lease, write->lease_ms, err);
}

static td_code renew_step(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "worker", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 64},
        {.name = "attempt", .type = TD_JSON_INTEGER, .required = true, .minimum = 1, .maximum = 1e9},
        {.name = "lease_ms", .type = TD_JSON_INTEGER, .minimum = 1000, .maximum = 86400000},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    worker_write write = {.request = request,
                          .worker = td_json_text(request->body, "worker", ""),
                          .lease_ms = td_json_int(request->body, "lease_ms", LEASE_MS_DEFAULT)};
    TD_TRY(td_request_write(request, write_renewal, &write, err));
    return td_answer_json(request, 200, json_pack("{s:I}", "lease_ms", (json_int_t)write.lease_ms), err);
}

static td_code write_result(td_db *db, void *context, td_err *err)
{
    worker_write *write = context;
    td_request *request = write->request;
    TD_TRY(td_request_recheck(db, request, err));
    td_lease lease = {.actor = &request->actor,
                      .project = request->project,
                      .run = request->parameters[0],
                      .step = request->parameters[1]};
    return td_step_result(db, &lease, request->body, &write->done, err);
}

/* What the worker says it made must be there before it is recorded. */
static td_code check_outputs(td_request *request, td_err *err)
{
    size_t index;
    json_t *output;
    json_array_foreach (json_object_get(request->body, "outputs"), index, output) {
        uint8_t digest[TD_DIGEST_SIZE];
        const char *text = td_json_text(output, "digest", NULL);
        if (!text) {
            continue;
        }
        TD_TRY(td_digest_parse(text, digest, err));
        bool there;
        td_case work = td_request_case(request);
        TD_TRY(td_case_content(&work, digest, NULL, &there, err));
        if (!there) {
            return td_fail(err, TD_NOT_FOUND,
                           "output \"%.60s\": its content was not uploaded; POST it to /api/v1/uploads first",
                           td_json_text(output, "name", "?"));
        }
    }
    return TD_OK;
}

static td_code post_result(td_request *request, td_err *err)
{
    TD_TRY(check_outputs(request, err));
    worker_write write = {.request = request};
    TD_TRY(td_request_write(request, write_result, &write, err));
    if (write.done) {
        td_scheduler_kick(request->server->scheduler);
    }
    return td_answer_json(request, 200, json_pack("{s:b}", "run_done", write.done), err);
}

const td_route td_routes_pipeline[] = {
    TD_GET("/api/v1/pipelines", TD_MAY_READ, list_pipelines, "Pipelines"),
    TD_SEND("PUT", "/api/v1/pipelines/{pipeline}", TD_MAY_DEFINE_PIPELINE, set_pipeline, "Define a pipeline"),
    TD_GET("/api/v1/pipelines/{pipeline}", TD_MAY_READ, get_pipeline, "One pipeline"),
    TD_SEND("POST", "/api/v1/pipelines/{pipeline}/runs", TD_MAY_START_RUN, start_run, "Start a run by hand"),
    TD_GET("/api/v1/pipelines/{pipeline}/runs", TD_MAY_READ, list_runs, "Runs of a pipeline"),
    TD_GET("/api/v1/runs/{run}", TD_MAY_READ, get_run, "One run with steps and verdict"),
    TD_GET("/api/v1/gates", TD_MAY_READ, list_gates, "Gates"),
    TD_SEND("PUT", "/api/v1/gates/{gate}", TD_MAY_DEFINE_GATE, set_gate, "Define a gate"),
    TD_GET("/api/v1/gates/{gate}", TD_MAY_READ, get_gate, "One gate"),
    TD_SEND("POST", "/api/v1/worker/claim", TD_MAY_WORK, claim_step, "Take a step under a lease (wait_ms: long poll)"),
    TD_SEND("POST", "/api/v1/runs/{run}/steps/{step}/renew", TD_MAY_WORK, renew_step, "Prolong the lease"),
    TD_SEND("POST", "/api/v1/runs/{run}/steps/{step}/result", TD_MAY_WORK, post_result, "Report a step's end"),
    TD_ROUTES_END,
};
