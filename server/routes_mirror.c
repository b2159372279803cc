/*
 * routes_mirror.c: what an import needs beside MLflow's own routes: things keep the ids that they had elsewhere.
 *
 * `runs:/ID` and `models:/m-…` in notebooks, tags and sources then go on to mean the same run and model here. All three
 * may be sent again: what is there already is answered as it is.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/routes.h"
#include "tracking/artifact.h"
#include "tracking/logged.h"
#include "tracking/tracking.h"

#include <string.h>

/* ---- runs ---- */

typedef struct mirror_run {
    td_request *request;
    td_trial_options options;
} mirror_run;

static td_code write_run(td_db *db, void *context, td_err *err)
{
    const mirror_run *m = context;
    td_request *request = m->request;
    char uuid[TD_TRIAL_UUID_SIZE];
    json_t *run;
    td_code code = td_trial_json(db, request->project, m->options.uuid, &run, err);
    bool there = code == TD_OK;
    if (code == TD_NOT_FOUND) {
        TD_TRY(td_trial_start(db, &request->actor, request->project, &m->options, uuid, err));
        TD_TRY(td_trial_json(db, request->project, uuid, &run, err));
    } else if (code != TD_OK) {
        return code;
    }
    return td_answer_json(request, there ? 200 : 201, json_pack("{s:o}", "run", run), err);
}

static td_code put_run(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "experiment_id", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 20},
        {.name = "name", .type = TD_JSON_STRING, .maximum = TD_TRIAL_NAME_MAX},
        {.name = "user", .type = TD_JSON_STRING, .maximum = TD_TRIAL_KEY_MAX},
        {.name = "start_time", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 9e15},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    mirror_run m = {.request = request};
    m.options = (td_trial_options){.experiment = td_json_text(request->body, "experiment_id", ""),
                                   .uuid = request->parameters[0],
                                   .name = td_json_text(request->body, "name", NULL),
                                   .user = td_json_text(request->body, "user", NULL),
                                   .started_ms = td_json_int(request->body, "start_time", 0)};
    return td_request_write(request, write_run, &m, err);
}

/* ---- logged models ---- */

typedef struct mirror_model {
    td_request *request;
    td_logged_options options;
} mirror_model;

static td_code write_model(td_db *db, void *context, td_err *err)
{
    const mirror_model *m = context;
    td_request *request = m->request;
    char uuid[TD_LOGGED_UUID_SIZE];
    json_t *model;
    td_code code = td_logged_json(db, request->project, m->options.uuid, &model, err);
    bool there = code == TD_OK;
    if (code == TD_NOT_FOUND) {
        TD_TRY(td_logged_create(db, &request->actor, request->project, &m->options, uuid, err));
        TD_TRY(td_logged_json(db, request->project, uuid, &model, err));
    } else if (code != TD_OK) {
        return code;
    }
    return td_answer_json(request, there ? 200 : 201, json_pack("{s:o}", "model", model), err);
}

static const td_json_field pair_fields[] = {
    {.name = "key", .type = TD_JSON_STRING, .required = true},
    {.name = "value", .type = TD_JSON_STRING},
    {.name = NULL},
};

static td_code put_model(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "experiment_id", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 20},
        {.name = "name", .type = TD_JSON_STRING, .maximum = TD_LOGGED_NAME_MAX},
        {.name = "model_type", .type = TD_JSON_STRING, .maximum = TD_LOGGED_NAME_MAX},
        {.name = "source_run_id", .type = TD_JSON_STRING, .maximum = TD_TRIAL_UUID_SIZE},
        {.name = "params",
         .type = TD_JSON_ARRAY,
         .item_type = TD_JSON_OBJECT,
         .fields = pair_fields,
         .minimum = 0,
         .maximum = TD_BATCH_PARAMS_MAX},
        {.name = "tags",
         .type = TD_JSON_ARRAY,
         .item_type = TD_JSON_OBJECT,
         .fields = pair_fields,
         .minimum = 0,
         .maximum = TD_BATCH_TAGS_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_check(request, fields, err));
    const json_t *body = request->body;
    mirror_model m = {.request = request};
    m.options = (td_logged_options){.experiment = td_json_text(body, "experiment_id", ""),
                                    .uuid = request->parameters[0],
                                    .name = td_json_text(body, "name", NULL),
                                    .model_type = td_json_text(body, "model_type", NULL),
                                    .source_run = td_json_text(body, "source_run_id", NULL),
                                    .params = json_object_get(body, "params"),
                                    .tags = json_object_get(body, "tags")};
    return td_request_write(request, write_model, &m, err);
}

/* ---- artifacts ---- */

typedef struct mirror_artifact {
    td_request *request;
    const char *path;
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size;
} mirror_artifact;

static td_code write_artifact(td_db *db, void *context, td_err *err)
{
    const mirror_artifact *m = context;
    td_request *request = m->request;
    char label[TD_DIGEST_LABEL_SIZE];
    TD_TRY(td_artifact_put(db, &request->actor, request->project, m->path, m->digest, m->size, err));
    td_digest_format(m->digest, label);
    return td_answer_json(request, 200,
                          json_pack("{s:s, s:s, s:I}", "path", m->path, "digest", label, "size", (json_int_t)m->size),
                          err);
}

static td_code post_artifact(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "path", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = TD_ARTIFACT_PATH_MAX},
        {.name = "digest", .type = TD_JSON_STRING, .required = true, .minimum = 64, .maximum = 71},
        {.name = NULL},
    };
    bool there;
    td_case work = td_request_case(request);
    TD_TRY(td_request_check(request, fields, err));
    mirror_artifact m = {.request = request, .path = td_json_text(request->body, "path", "")};
    TD_TRY(td_digest_parse(td_json_text(request->body, "digest", ""), m.digest, err));
    TD_TRY(td_case_content(&work, m.digest, &m.size, &there, err));
    if (!there) {
        return td_fail(err, TD_NOT_FOUND, "this content was not uploaded; POST it to /api/v1/uploads");
    }
    return td_request_write(request, write_artifact, &m, err);
}

const td_route td_routes_mirror[] = {
    TD_SEND("PUT", "/api/v1/mirror/runs/{run}", TD_MAY_REGISTER, put_run,
            "A run of an experiment under the id it had elsewhere"),
    TD_SEND("PUT", "/api/v1/mirror/logged-models/{logged_model}", TD_MAY_REGISTER, put_model,
            "A logged model under the id it had elsewhere"),
    TD_SEND("POST", "/api/v1/mirror/artifacts", TD_MAY_REGISTER, post_artifact,
            "Content that was uploaded becomes an artifact"),
    TD_ROUTES_END,
};
