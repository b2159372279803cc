/*
 * mlflow_webhook.c: webhooks of MLflow's REST API: who is told of changes to models, versions, tags and aliases.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/webhook.h"
#include "server/mlflow.h"
#include "server/webhook_send.h"

#include <ctype.h>
#include <string.h>

#define EVENTS_MAX 32

/* ---- reading ---- */

/* {"entity": "MODEL_VERSION", "action": "CREATED"} → "model_version.created" */
static td_code event_name(const json_t *event, json_t **out, td_err *err)
{
    char name[64];
    const char *entity = td_json_text(event, "entity", ""), *action = td_json_text(event, "action", "");
    int length = snprintf(name, sizeof name, "%.30s.%.30s", entity, action);
    for (int i = 0; i < length; i++) {
        name[i] = (char)tolower((unsigned char)name[i]);
    }
    *out = json_string(name);
    return *out != NULL ? TD_OK : td_fail(err, TD_INVALID, "events: \"entity\" and \"action\" are expected");
}

/* *out is NULL when the field is absent. */
static td_code read_events(td_request *request, json_t **out, td_err *err)
{
    const json_t *events;
    json_t *name;
    *out = NULL;
    TD_TRY(td_mlflow_json(request, "events", JSON_ARRAY, &events, err));
    if (json_array_size(events) > EVENTS_MAX) {
        return td_fail(err, TD_INVALID, "events: at most %d", EVENTS_MAX);
    }
    TD_CLEANUP(td_json_done) json_t *names = events != NULL ? json_array() : NULL;
    for (size_t i = 0; i < json_array_size(events); i++) {
        TD_TRY(event_name(json_array_get(events, i), &name, err));
        if (json_array_append_new(names, name) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for a webhook");
        }
    }
    *out = json_incref(names);
    return TD_OK;
}

typedef struct webhook_write {
    td_request *request;
    const char *uuid;
    json_t *events;
    td_str secret;
    bool active;
    td_webhook_edit edit;
} webhook_write;

static void write_done(webhook_write *write)
{
    json_decref(write->events);
    td_str_done(&write->secret);
}

static td_code read_status(td_request *request, webhook_write *write, td_err *err)
{
    const char *status;
    TD_TRY(td_mlflow_text(request, "status", false, &status, err));
    if (status == NULL) {
        return TD_OK;
    }
    write->active = strcmp(status, "ACTIVE") == 0;
    if (!write->active && strcmp(status, "DISABLED") != 0) {
        return td_fail(err, TD_INVALID, "status: must be ACTIVE or DISABLED, not \"%.40s\"", status);
    }
    write->edit.active = &write->active;
    return TD_OK;
}

static td_code read_secret(td_request *request, webhook_write *write, td_err *err)
{
    const char *secret;
    TD_TRY(td_mlflow_text(request, "secret", false, &secret, err));
    if (secret == NULL || secret[0] == '\0') {
        return TD_OK;
    }
    if (strlen(secret) > TD_WEBHOOK_SECRET_MAX) {
        return td_fail(err, TD_INVALID, "secret: longer than %d bytes", TD_WEBHOOK_SECRET_MAX);
    }
    TD_TRY(td_webhook_seal(request->server, write->uuid, secret, &write->secret, err));
    write->edit.secret = write->secret.data;
    write->edit.secret_size = write->secret.size;
    return TD_OK;
}

static td_code read_fields(td_request *request, bool needed, webhook_write *write, td_err *err)
{
    TD_TRY(td_mlflow_text(request, "name", needed, &write->edit.name, err));
    TD_TRY(td_mlflow_text(request, "url", needed, &write->edit.url, err));
    TD_TRY(td_mlflow_text(request, "description", false, &write->edit.description, err));
    TD_TRY(read_events(request, &write->events, err));
    write->edit.events = write->events;
    if (needed && write->events == NULL) {
        return td_fail(err, TD_INVALID, "Missing value for required parameter 'events'");
    }
    TD_TRY(read_status(request, write, err));
    return read_secret(request, write, err);
}

/* ---- writing ---- */

static td_code answer_webhook(td_db *db, td_request *request, const char *uuid, td_err *err)
{
    json_t *json;
    TD_TRY(td_webhook_json(db, request->project, uuid, &json, err));
    return td_answer_json(request, 200, json_pack("{s:o}", "webhook", json), err);
}

static td_code write_new(td_db *db, void *context, td_err *err)
{
    const webhook_write *write = context;
    td_request *request = write->request;
    TD_TRY(td_webhook_create(db, &request->actor, request->project, &write->edit, err));
    return answer_webhook(db, request, write->uuid, err);
}

static td_code post_webhook(td_request *request, td_err *err)
{
    uint8_t random[(TD_WEBHOOK_UUID_SIZE - 1) / 2];
    char uuid[TD_WEBHOOK_UUID_SIZE];
    TD_CLEANUP(write_done) webhook_write write = {.request = request, .uuid = uuid, .edit = {.uuid = uuid}};
    TD_TRY(td_random(random, sizeof random, err));
    td_hex_encode(random, sizeof random, uuid);
    TD_TRY(read_fields(request, true, &write, err));
    return td_request_write(request, write_new, &write, err);
}

static td_code write_change(td_db *db, void *context, td_err *err)
{
    const webhook_write *write = context;
    td_request *request = write->request;
    TD_TRY(td_webhook_update(db, &request->actor, request->project, write->uuid, &write->edit, err));
    return answer_webhook(db, request, write->uuid, err);
}

static td_code patch_webhook(td_request *request, td_err *err)
{
    json_t *there;
    TD_CLEANUP(write_done) webhook_write write = {.request = request, .uuid = request->parameters[0]};
    TD_TRY(td_webhook_json(request->db, request->project, write.uuid, &there, err)); /* before a secret is sealed */
    json_decref(there);
    TD_TRY(read_fields(request, false, &write, err));
    return td_request_write(request, write_change, &write, err);
}

static td_code write_end(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    TD_TRY(td_webhook_delete(db, &request->actor, request->project, request->parameters[0], err));
    return td_mlflow_answer_empty(request, err);
}

static td_code delete_webhook(td_request *request, td_err *err)
{
    return td_request_write(request, write_end, request, err);
}

/* ---- reading ---- */

static td_code get_webhook(td_request *request, td_err *err)
{
    return answer_webhook(request->db, request, request->parameters[0], err);
}

static td_code list_webhooks(td_request *request, td_err *err)
{
    int64_t limit;
    const char *token;
    json_t *list;
    TD_TRY(td_mlflow_int(request, "max_results", 1, TD_MLFLOW_RESULTS_MAX, TD_WEBHOOKS_MAX, &limit, err));
    TD_TRY(td_mlflow_text(request, "page_token", false, &token, err));
    TD_TRY(td_webhook_list_json(request->db, request->project, limit, token, &list, err));
    return td_answer_json(request, 200, list, err);
}

/* ---- trying out ---- */

/* What a receiver can expect; nothing of it is there. */
static json_t *example(const char *event)
{
    bool prompt = strncmp(event, "prompt", 6) == 0, tag = strstr(event, "_tag.") != NULL;
    bool made = strstr(event, ".created") != NULL && strstr(event, "alias") == NULL;
    bool alias = strstr(event, "alias") != NULL, deleted = strstr(event, ".deleted") != NULL;
    bool version = strstr(event, "version") != NULL && !(alias && deleted);
    json_t *data = json_pack("{s:s}", "name", prompt ? "example_prompt" : "example_model");
    if (version || (alias && !deleted)) {
        (void)json_object_set_new(data, "version", json_string("1"));
    }
    if (alias) {
        (void)json_object_set_new(data, "alias", json_string("example_alias"));
    }
    if (tag) {
        (void)json_object_set_new(data, "key", json_string("example_key"));
    }
    if (tag && !deleted) {
        (void)json_object_set_new(data, "value", json_string("example_value"));
    }
    if (made) {
        (void)json_object_set_new(data, "tags", json_pack("{s:s}", "example_key", "example_value"));
        (void)json_object_set_new(data, "description", json_string("An example"));
    }
    return data;
}

static td_code test_body(td_request *request, const char *event, td_str *out, td_err *err)
{
    char at[32];
    size_t entity = strcspn(event, ".");
    td_format_time(td_now_ms(request->server->clock), at);
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s%, s:s, s:s, s:o, s:s}", "entity", event, entity, "action",
                             event + entity + (event[entity] == '.' ? 1 : 0), "timestamp", at, "data", example(event),
                             "workspace", request->project);
    if (body == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a delivery");
    }
    return td_json_write(body, out, err);
}

/* The event that is asked for, or the webhook's first. */
static td_code test_event(td_request *request, const char *uuid, json_t **out, td_err *err)
{
    const json_t *asked;
    TD_CLEANUP(td_json_done) json_t *webhook = NULL;
    TD_TRY(td_mlflow_json(request, "event", JSON_OBJECT, &asked, err));
    TD_TRY(td_webhook_json(request->db, request->project, uuid, &webhook, err));
    return event_name(asked != NULL ? asked : json_array_get(json_object_get(webhook, "events"), 0), out, err);
}

static td_code answer_test(td_request *request, const td_posted *posted, td_err *err)
{
    bool success = posted->status >= 200 && posted->status < 300;
    json_t *body = json_stringn(td_str_text(&posted->body), posted->body.size);
    json_t *result =
        json_pack("{s:b, s:o*, s:o*, s:s*}", "success", success, "response_status",
                  posted->status > 0 ? json_integer(posted->status) : NULL, "response_body", body, "error_message",
                  posted->trouble[0] != '\0' ? posted->trouble : NULL);
    return td_answer_json(request, 200, json_pack("{s:o}", "result", result), err);
}

static td_code test_webhook(td_request *request, td_err *err)
{
    const char *uuid = request->parameters[0];
    td_delivery target;
    TD_CLEANUP(td_json_done) json_t *event = NULL;
    TD_CLEANUP(td_str_done) td_str body = {0};
    TD_CLEANUP(td_str_done) td_str secret = {0};
    td_posted posted = {0};
    TD_TRY(td_webhook_target(request->db, request->project, uuid, &request->arena, &target, err));
    TD_TRY(test_event(request, uuid, &event, err));
    TD_TRY(test_body(request, json_string_value(event), &body, err));
    td_post post = {.url = target.url, .delivery = td_request_text(request, "test-%s", request->id),
                    .body = td_str_text(&body)};
    if (target.secret != NULL) {
        TD_TRY(td_webhook_unseal(request->server, uuid, target.secret, target.secret_size, &secret, err));
        post.secret = td_str_text(&secret);
        post.secret_size = secret.size;
    }
    td_code code = td_webhook_post(request->server, &post, &posted, err);
    td_wipe(secret.data, secret.size);
    code = code == TD_OK ? answer_test(request, &posted, err) : code;
    td_str_done(&posted.body);
    return code;
}

#define WEBHOOKS "/api/2.0/mlflow/webhooks"

const td_route td_routes_mlflow_webhook[] = {
    TD_GET(WEBHOOKS, TD_MAY_MANAGE_USER, list_webhooks, "MLflow: webhooks of the project"),
    TD_SEND("POST", WEBHOOKS, TD_MAY_MANAGE_USER, post_webhook, "MLflow: make a webhook"),
    TD_GET(WEBHOOKS "/{webhook_id}", TD_MAY_MANAGE_USER, get_webhook, "MLflow: one webhook"),
    TD_SEND("PATCH", WEBHOOKS "/{webhook_id}", TD_MAY_MANAGE_USER, patch_webhook, "MLflow: change a webhook"),
    TD_SEND("DELETE", WEBHOOKS "/{webhook_id}", TD_MAY_MANAGE_USER, delete_webhook, "MLflow: end a webhook"),
    TD_SEND("POST", WEBHOOKS "/{webhook_id}/test", TD_MAY_MANAGE_USER, test_webhook, "MLflow: send it an example"),
    TD_ROUTES_END,
};
