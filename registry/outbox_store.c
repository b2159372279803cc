/*
 * outbox_store.c: what has to be told to webhooks, queued by the transaction that makes the change.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/mlflow.h"
#include "registry/registry_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_uint_fast64_t queued;

uint64_t td_webhook_queued(void)
{
    return atomic_load(&queued);
}

const char *td_event_name(td_event event, bool prompt)
{
    static const char *const names[TD_EVENT_COUNT][2] = {
        [TD_EVENT_MODEL_CREATED] = {"registered_model.created", "prompt.created"},
        [TD_EVENT_VERSION_CREATED] = {"model_version.created", "prompt_version.created"},
        [TD_EVENT_MODEL_TAG_SET] = {NULL, "prompt_tag.set"},
        [TD_EVENT_MODEL_TAG_DELETED] = {NULL, "prompt_tag.deleted"},
        [TD_EVENT_VERSION_TAG_SET] = {"model_version_tag.set", "prompt_version_tag.set"},
        [TD_EVENT_VERSION_TAG_DELETED] = {"model_version_tag.deleted", "prompt_version_tag.deleted"},
        [TD_EVENT_ALIAS_CREATED] = {"model_version_alias.created", "prompt_alias.created"},
        [TD_EVENT_ALIAS_DELETED] = {"model_version_alias.deleted", "prompt_alias.deleted"},
    };
    return names[event][prompt ? 1 : 0];
}

void td_registry__outbox_changed(void)
{
    atomic_fetch_add(&queued, 1);
}

/* ---- queueing ---- */

typedef struct audience {
    bool listens, prompt;
    int64_t project_id;
    char project[TD_PROJECT_NAME_MAX + 1];
} audience;

static td_code read_audience(td_db *db, int64_t model_id, audience *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    *out = (audience){0};
    TD_TRY(td_db_prepare(db,
                         "SELECT m.project_id, m.is_prompt, p.name FROM model m "
                         "JOIN project p ON p.project_id = m.project_id WHERE m.model_id = :model AND EXISTS "
                         "(SELECT 1 FROM webhook w WHERE w.project_id = m.project_id AND w.active)",
                         &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    TD_TRY(td_step(stmt, &row, err));
    if (row) {
        out->listens = true;
        out->prompt = td_column_int(stmt, "is_prompt") != 0;
        out->project_id = td_column_int(stmt, "project_id");
        snprintf(out->project, sizeof out->project, "%s", td_column_text(stmt, "name"));
    }
    td_reset(stmt);
    return TD_OK;
}

static td_code write_body(td_db *db, const audience *to, const char *event, json_t *data, td_str *out, td_err *err)
{
    char at[32], entity[32];
    const char *action = strchr(event, '.') + 1;
    snprintf(entity, sizeof entity, "%.*s", (int)(action - 1 - event), event);
    td_format_time(td_db_now_ms(db), at);
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s, s:s, s:s, s:O, s:s}", "entity", entity, "action", action, "timestamp", at, "data",
                             data, "workspace", to->project);
    TD_TRY(td_registry__json_ok(body, err));
    return td_json_write(body, out, err);
}

static td_code insert(td_db *db, const audience *to, const char *event, const char *body, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO webhook_delivery (webhook_id, uuid, body, created_ms) "
                         "SELECT w.webhook_id, lower(hex(randomblob(16))), :body, :now FROM webhook w "
                         "JOIN webhook_event e ON e.webhook_id = w.webhook_id AND e.event = :event "
                         "WHERE w.project_id = :project AND w.active AND w.waiting < :most",
                         &stmt, err));
    td_bind_text(stmt, ":body", body);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_text(stmt, ":event", event);
    td_bind_int(stmt, ":project", to->project_id);
    td_bind_int(stmt, ":most", TD_WEBHOOK_QUEUE_MAX);
    return td_run(stmt, err);
}

static td_code count_lost(td_db *db, const audience *to, const char *event, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE webhook SET lost = lost + 1 WHERE project_id = :project AND active AND "
                         "waiting >= :most AND webhook_id IN (SELECT webhook_id FROM webhook_event WHERE event = "
                         ":event AND webhook_id = webhook.webhook_id)",
                         &stmt, err));
    td_bind_int(stmt, ":project", to->project_id);
    td_bind_int(stmt, ":most", TD_WEBHOOK_QUEUE_MAX);
    td_bind_text(stmt, ":event", event);
    return td_run(stmt, err);
}

td_code td_registry__event(td_db *db, int64_t model_id, td_event event, json_t *data, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *owned = data;
    TD_CLEANUP(td_str_done) td_str body = {0};
    audience to;
    TD_TRY(td_registry__json_ok(data, err));
    TD_TRY(read_audience(db, model_id, &to, err));
    const char *name = td_event_name(event, to.prompt);
    if (!to.listens || name == NULL) {
        return TD_OK;
    }
    TD_TRY(write_body(db, &to, name, data, &body, err));
    TD_TRY(count_lost(db, &to, name, err));
    TD_TRY(insert(db, &to, name, td_str_text(&body), err));
    td_registry__outbox_changed();
    return TD_OK;
}

/* The tags that make a prompt are told as what they mean. */
static td_code public_tags(const json_t *tags, json_t **out, td_err *err)
{
    static const char *const inner[] = {"mlflow.prompt.is_prompt", "_mlflow_prompt_type", "mlflow.prompt.text"};
    json_t *copy = tags != NULL ? json_copy((json_t *)tags) : json_object();
    bool prompt = td_json_text(copy, inner[0], NULL) != NULL;
    for (size_t i = 0; prompt && i < TD_COUNT_OF(inner); i++) {
        (void)json_object_del(copy, inner[i]);
    }
    TD_TRY(td_registry__json_ok(copy, err));
    *out = copy;
    return TD_OK;
}

static json_t *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

td_code td_registry__event_model(td_db *db, int64_t model_id, const td_model_options *options, td_err *err)
{
    json_t *tags;
    TD_TRY(public_tags(options->tags, &tags, err));
    json_t *data = json_pack("{s:s, s:o, s:o}", "name", options->name, "tags", tags, "description",
                             text_or_null(options->description));
    return td_registry__event(db, model_id, TD_EVENT_MODEL_CREATED, data, err);
}

td_code td_registry__event_version(td_db *db, int64_t model_id, int64_t number, const td_version_options *options,
                                   td_err *err)
{
    char version[24], here[TD_LABEL_SIZE + 16];
    json_t *tags;
    snprintf(version, sizeof version, "%lld", (long long)number);
    snprintf(here, sizeof here, "models:/%s/%s", options->model, version);
    const td_version_origin *origin = options->origin;
    const char *source = origin != NULL && origin->source != NULL && origin->source[0] != '\0' ? origin->source : here;
    TD_TRY(public_tags(options->tags, &tags, err));
    json_t *data = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:s*}", "name", options->model, "version", version,
                             "source", source, "run_id", text_or_null(origin != NULL ? origin->run_id : NULL), "tags",
                             tags, "description", text_or_null(options->description), "template",
                             td_json_text(options->tags, "mlflow.prompt.text", NULL));
    return td_registry__event(db, model_id, TD_EVENT_VERSION_CREATED, data, err);
}

td_code td_registry__event_tags(td_db *db, int64_t model_id, const char *model, int64_t number, const json_t *tags,
                                td_err *err)
{
    const char *key;
    json_t *value;
    char version[24];
    snprintf(version, sizeof version, "%lld", (long long)number);
    json_object_foreach ((json_t *)tags, key, value) {
        bool gone = json_is_null(value);
        json_t *data = json_pack("{s:s, s:s*, s:s, s:s*}", "name", model, "version", number > 0 ? version : NULL,
                                 "key", key, "value", gone ? NULL : json_string_value(value));
        td_event event = number > 0 ? (gone ? TD_EVENT_VERSION_TAG_DELETED : TD_EVENT_VERSION_TAG_SET)
                                    : (gone ? TD_EVENT_MODEL_TAG_DELETED : TD_EVENT_MODEL_TAG_SET);
        TD_TRY(td_registry__event(db, model_id, event, data, err));
    }
    return TD_OK;
}

td_code td_registry__event_alias(td_db *db, int64_t model_id, const char *model, const char *alias, int64_t number,
                                 td_err *err)
{
    char version[24];
    snprintf(version, sizeof version, "%lld", (long long)number);
    json_t *data =
        json_pack("{s:s, s:s, s:s*}", "name", model, "alias", alias, "version", number > 0 ? version : NULL);
    return td_registry__event(db, model_id, number > 0 ? TD_EVENT_ALIAS_CREATED : TD_EVENT_ALIAS_DELETED, data, err);
}

/* ---- sending ---- */

/* From a row with webhook_id, webhook, url, secret. */
static td_code read_target(td_stmt *stmt, td_arena *arena, td_delivery *out, td_err *err)
{
    size_t size;
    const void *secret = td_column_blob(stmt, "secret", &size);
    out->webhook_id = td_column_int(stmt, "webhook_id");
    out->webhook = td_arena_text(arena, td_column_text(stmt, "webhook"));
    out->url = td_arena_text(arena, td_column_text(stmt, "url"));
    if (secret != NULL) {
        void *copy = td_arena_alloc(arena, size);
        if (copy != NULL) {
            memcpy(copy, secret, size);
        }
        out->secret = copy;
        out->secret_size = size;
    }
    bool whole = out->webhook != NULL && out->url != NULL && (secret == NULL || out->secret != NULL);
    return whole ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a delivery");
}

td_code td_webhook_target(td_db *db, const char *project, const char *uuid, td_arena *arena, td_delivery *out,
                          td_err *err)
{
    td_stmt *stmt;
    *out = (td_delivery){0};
    TD_TRY(td_db_prepare(db,
                         "SELECT w.webhook_id, w.uuid AS webhook, w.url, w.secret FROM webhook w "
                         "JOIN project p ON p.project_id = w.project_id WHERE w.uuid = :uuid AND p.name = :project",
                         &stmt, err));
    td_bind_text(stmt, ":uuid", uuid);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "there is no webhook \"%.40s\" in project %s", uuid, project));
    td_code code = read_target(stmt, arena, out, err);
    td_reset(stmt);
    return code;
}

static td_code read_body(td_db *db, td_arena *arena, td_delivery *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT delivery_id, uuid, body, created_ms FROM webhook_delivery "
                         "WHERE webhook_id = :webhook ORDER BY delivery_id LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":webhook", out->webhook_id);
    TD_TRY(td_step_one(stmt, err, "the delivery is gone"));
    out->delivery_id = td_column_int(stmt, "delivery_id");
    out->created_ms = td_column_int(stmt, "created_ms");
    out->uuid = td_arena_text(arena, td_column_text(stmt, "uuid"));
    out->body = td_arena_text(arena, td_column_text(stmt, "body"));
    td_reset(stmt);
    return out->uuid != NULL && out->body != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a delivery");
}

/* At most a hundred webhooks a project: the scan is of those, never of what waits. */
td_code td_webhook_next(td_db *db, td_arena *arena, td_delivery *out, int64_t *due_ms_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    *out = (td_delivery){0};
    *due_ms_out = INT64_MAX;
    TD_TRY(td_db_prepare(db,
                         "SELECT webhook_id, uuid AS webhook, url, secret, failures, retry_ms FROM webhook "
                         "WHERE active AND waiting > 0 ORDER BY retry_ms LIMIT 1",
                         &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return TD_OK;
    }
    int64_t retry_ms = td_column_int(stmt, "retry_ms");
    out->failures = td_column_int(stmt, "failures");
    int64_t ahead_ms = retry_ms - td_db_now_ms(db);
    if (ahead_ms > 0 && ahead_ms <= TD_WEBHOOK_PAUSE_MAX_MS) {
        *due_ms_out = retry_ms;
        td_reset(stmt);
        return TD_OK;
    }
    td_code code = read_target(stmt, arena, out, err);
    td_reset(stmt);
    TD_TRY(code);
    return read_body(db, arena, out, err);
}

static td_code forget(td_db *db, int64_t delivery_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "DELETE FROM webhook_delivery WHERE delivery_id = :delivery", &stmt, err));
    td_bind_int(stmt, ":delivery", delivery_id);
    return td_run(stmt, err);
}

td_code td_webhook_note(td_db *db, const td_delivered *delivered, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE webhook SET tried_ms = :now, answer = :answer, retry_ms = :retry, "
                         "lost = lost + :lost, failures = CASE WHEN :done THEN 0 ELSE failures + 1 END "
                         "WHERE webhook_id = :webhook",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_text(stmt, ":answer", delivered->answer);
    td_bind_int(stmt, ":retry", delivered->done ? td_db_now_ms(db) : delivered->retry_ms);
    td_bind_bool(stmt, ":lost", delivered->lost);
    td_bind_bool(stmt, ":done", delivered->done);
    td_bind_int(stmt, ":webhook", delivered->webhook_id);
    TD_TRY(td_run(stmt, err));
    return delivered->done ? forget(db, delivered->delivery_id, err) : TD_OK;
}
