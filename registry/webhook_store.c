/*
 * webhook_store.c: the webhooks of a project.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/project.h"
#include "registry/registry_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- what may be said ---- */

static td_code check_events(const json_t *events, td_err *err)
{
    size_t i;
    json_t *name;
    if (!json_is_array(events) || json_array_size(events) == 0) {
        return td_fail(err, TD_INVALID, "events: name at least one event that the webhook is for");
    }
    json_array_foreach ((json_t *)events, i, name) {
        bool known = false;
        for (int event = 0; event < TD_EVENT_COUNT && !known; event++) {
            const char *model = td_event_name((td_event)event, false), *prompt = td_event_name((td_event)event, true);
            const char *text = json_string_value(name) != NULL ? json_string_value(name) : "";
            known = (model != NULL && strcmp(text, model) == 0) || strcmp(text, prompt) == 0;
        }
        if (!known) {
            return td_fail(err, TD_INVALID,
                           "events: there is no event \"%.60s\"; there are registered_model.created, "
                           "model_version.created, model_version_tag.set and .deleted, model_version_alias.created "
                           "and .deleted, and those of prompts",
                           json_string_value(name) != NULL ? json_string_value(name) : "");
        }
    }
    return TD_OK;
}

/* The form alone; where it leads is judged by the address that is connected to (server/webhook_send.c). */
static td_code check_url(const char *url, td_err *err)
{
    const char *host = strncmp(url, "https://", 8) == 0 ? url + 8 : strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
    if (strlen(url) > TD_WEBHOOK_URL_MAX) {
        return td_fail(err, TD_INVALID, "url: longer than %d bytes", TD_WEBHOOK_URL_MAX);
    }
    if (host == NULL || host[0] == '\0' || strchr("/:?#", host[0]) != NULL) {
        return td_fail(err, TD_INVALID, "url: must be https://HOST/…");
    }
    for (const char *c = url; *c != '\0'; c++) {
        if (!isgraph((unsigned char)*c) || strchr("\\\"<>#", *c) != NULL) {
            return td_fail(err, TD_INVALID, "url: white space, \\ \" < > # and what is not ASCII are not allowed");
        }
    }
    if (memchr(host, '@', strcspn(host, "/?")) != NULL) {
        return td_fail(err, TD_INVALID, "url: must not hold a user name or password; use the secret");
    }
    return TD_OK;
}

static td_code check_edit(const td_webhook_edit *edit, td_err *err)
{
    if (edit->name != NULL && edit->name[0] == '\0') {
        return td_fail(err, TD_INVALID, "name: must not be empty");
    }
    TD_TRY(td_registry__text_check("name", edit->name, TD_WEBHOOK_NAME_MAX, err));
    TD_TRY(td_registry__text_check("description", edit->description, TD_WEBHOOK_DESCRIPTION_MAX, err));
    if (edit->url != NULL) {
        TD_TRY(check_url(edit->url, err));
    }
    return edit->events != NULL ? check_events(edit->events, err) : TD_OK;
}

/* ---- writing ---- */

static td_code find(td_db *db, const char *project, const char *uuid, int64_t *webhook_id_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT w.webhook_id FROM webhook w JOIN project p ON p.project_id = w.project_id "
                         "WHERE w.uuid = :uuid AND p.name = :project",
                         &stmt, err));
    td_bind_text(stmt, ":uuid", uuid);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "there is no webhook \"%.40s\" in project %s", uuid, project));
    *webhook_id_out = td_column_int(stmt, "webhook_id");
    td_reset(stmt);
    return TD_OK;
}

static td_code write_events(td_db *db, int64_t webhook_id, const json_t *events, td_err *err)
{
    td_stmt *stmt;
    size_t i;
    json_t *name;
    if (events == NULL) {
        return TD_OK;
    }
    TD_TRY(td_db_prepare(db, "DELETE FROM webhook_event WHERE webhook_id = :webhook", &stmt, err));
    td_bind_int(stmt, ":webhook", webhook_id);
    TD_TRY(td_run(stmt, err));
    json_array_foreach ((json_t *)events, i, name) {
        TD_TRY(td_db_prepare(db, "INSERT OR IGNORE INTO webhook_event (webhook_id, event) VALUES (:webhook, :event)",
                             &stmt, err));
        td_bind_int(stmt, ":webhook", webhook_id);
        td_bind_text(stmt, ":event", json_string_value(name));
        TD_TRY(td_run(stmt, err));
    }
    return TD_OK;
}

/* The secret is no part of a record; that it changed is. */
static td_code record(td_db *db, const td_actor *actor, const char *action, const char *project, const char *uuid,
                      const td_webhook_edit *edit, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *after = NULL;
    if (edit != NULL) {
        after = json_pack("{s:s*, s:s*, s:s*, s:O*, s:o*, s:o*}", "name", edit->name, "url", edit->url, "description",
                          edit->description, "events", edit->events, "active",
                          edit->active != NULL ? json_boolean(*edit->active) : NULL, "secret_set",
                          edit->secret != NULL ? json_true() : NULL);
        TD_TRY(td_registry__json_ok(after, err));
    }
    td_audit_entry entry = {.actor = actor,
                            .action = action,
                            .object_type = "webhook",
                            .object_id = uuid,
                            .project = project,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

static td_code check_room(td_db *db, int64_t project_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT count(*) AS count FROM webhook WHERE project_id = :project", &stmt, err));
    td_bind_int(stmt, ":project", project_id);
    TD_TRY(td_step_one(stmt, err, "no count"));
    int64_t count = td_column_int(stmt, "count");
    td_reset(stmt);
    return count < TD_WEBHOOKS_MAX ? TD_OK
                                   : td_fail(err, TD_LIMIT, "a project has at most %d webhooks; delete one first",
                                             TD_WEBHOOKS_MAX);
}

td_code td_webhook_create(td_db *db, const td_actor *actor, const char *project, const td_webhook_edit *edit,
                          td_err *err)
{
    td_stmt *stmt;
    int64_t project_id;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_USER, err));
    TD_TRY(check_edit(edit, err));
    TD_TRY(td_project_find(db, project, &project_id, err));
    TD_TRY(check_room(db, project_id, err));
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO webhook (uuid, project_id, name, description, url, secret, active, created_by, "
                         "created_ms, updated_ms) VALUES (:uuid, :project, :name, :description, :url, :secret, "
                         ":active, :actor, :now, :now)",
                         &stmt, err));
    td_bind_text(stmt, ":uuid", edit->uuid);
    td_bind_int(stmt, ":project", project_id);
    td_bind_text(stmt, ":name", edit->name);
    td_bind_text(stmt, ":description", edit->description != NULL ? edit->description : "");
    td_bind_text(stmt, ":url", edit->url);
    td_bind_blob(stmt, ":secret", edit->secret, edit->secret_size);
    td_bind_bool(stmt, ":active", edit->active == NULL || *edit->active);
    td_bind_text(stmt, ":actor", actor->name);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    TD_TRY(td_run(stmt, err));
    TD_TRY(write_events(db, td_db_last_id(db), edit->events, err));
    return record(db, actor, "create.webhook", project, edit->uuid, edit, err);
}

td_code td_webhook_update(td_db *db, const td_actor *actor, const char *project, const char *uuid,
                          const td_webhook_edit *edit, td_err *err)
{
    td_stmt *stmt;
    int64_t webhook_id;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_USER, err));
    TD_TRY(check_edit(edit, err));
    TD_TRY(find(db, project, uuid, &webhook_id, err));
    TD_TRY(td_db_prepare(db,
                         "UPDATE webhook SET name = coalesce(:name, name), description = coalesce(:description, "
                         "description), url = coalesce(:url, url), secret = coalesce(:secret, secret), "
                         "active = coalesce(:active, active), retry_ms = 0, updated_ms = :now "
                         "WHERE webhook_id = :webhook",
                         &stmt, err));
    td_bind_text(stmt, ":name", edit->name);
    td_bind_text(stmt, ":description", edit->description);
    td_bind_text(stmt, ":url", edit->url);
    td_bind_blob(stmt, ":secret", edit->secret, edit->secret_size);
    if (edit->active != NULL) {
        td_bind_bool(stmt, ":active", *edit->active);
    } else {
        td_bind_null(stmt, ":active");
    }
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":webhook", webhook_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(write_events(db, webhook_id, edit->events, err));
    td_registry__outbox_changed(); /* what waited may be due */
    return record(db, actor, "update.webhook", project, uuid, edit, err);
}

td_code td_webhook_delete(td_db *db, const td_actor *actor, const char *project, const char *uuid, td_err *err)
{
    td_stmt *stmt;
    int64_t webhook_id;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_USER, err));
    TD_TRY(find(db, project, uuid, &webhook_id, err));
    TD_TRY(td_db_prepare(db, "DELETE FROM webhook WHERE webhook_id = :webhook", &stmt, err));
    td_bind_int(stmt, ":webhook", webhook_id);
    TD_TRY(td_run(stmt, err));
    return record(db, actor, "delete.webhook", project, uuid, NULL, err);
}

/* ---- views ---- */

/* "model_version.created" as MLflow's clients have it: {"entity": "MODEL_VERSION", "action": "CREATED"}. */
static json_t *event_json(const char *name)
{
    char upper[64];
    size_t length = strnlen(name, sizeof upper - 1);
    for (size_t i = 0; i < length; i++) {
        upper[i] = (char)toupper((unsigned char)name[i]);
    }
    upper[length] = '\0';
    char *dot = strchr(upper, '.');
    if (dot == NULL) {
        return NULL;
    }
    *dot = '\0';
    return json_pack("{s:s, s:s}", "entity", upper, "action", dot + 1);
}

static td_code events_json(td_db *db, int64_t webhook_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    TD_TRY(td_db_prepare(db, "SELECT event FROM webhook_event WHERE webhook_id = :webhook ORDER BY event", &stmt, err));
    td_bind_int(stmt, ":webhook", webhook_id);
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        if (json_array_append_new(list, event_json(td_column_text(stmt, "event"))) != 0) {
            td_reset(stmt);
            return td_registry__json_ok(NULL, err);
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    *out = json_incref(list);
    return TD_OK;
}

static json_t *head_json(td_stmt *stmt)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:{s:o, s:s, s:I, s:I}}", "webhook_id",
                     td_column_text(stmt, "uuid"), "name", td_column_text(stmt, "name"), "description",
                     td_column_text(stmt, "description"), "url", td_column_text(stmt, "url"), "status",
                     td_column_int(stmt, "active") != 0 ? "ACTIVE" : "DISABLED", "creation_timestamp",
                     (json_int_t)td_column_int(stmt, "created_ms"), "last_updated_timestamp",
                     (json_int_t)td_column_int(stmt, "updated_ms"), "last_delivery", "at",
                     td_registry__json_time(td_column_int(stmt, "tried_ms")), "answer", td_column_text(stmt, "answer"),
                     "waiting", (json_int_t)td_column_int(stmt, "waiting"), "lost",
                     (json_int_t)td_column_int(stmt, "lost"));
}

static td_code webhook_json(td_db *db, int64_t webhook_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    json_t *events;
    TD_TRY(td_db_prepare(db,
                         "SELECT uuid, name, description, url, active, created_ms, updated_ms, tried_ms, answer, "
                         "waiting, lost FROM webhook WHERE webhook_id = :webhook",
                         &stmt, err));
    td_bind_int(stmt, ":webhook", webhook_id);
    TD_TRY(td_step_one(stmt, err, "the webhook is gone"));
    TD_CLEANUP(td_json_done) json_t *json = head_json(stmt);
    td_reset(stmt);
    TD_TRY(td_registry__json_ok(json, err));
    TD_TRY(events_json(db, webhook_id, &events, err));
    TD_TRY(json_object_set_new(json, "events", events) == 0 ? TD_OK : td_registry__json_ok(NULL, err));
    *out = json_incref(json);
    return TD_OK;
}

td_code td_webhook_json(td_db *db, const char *project, const char *uuid, json_t **out, td_err *err)
{
    int64_t webhook_id;
    TD_TRY(find(db, project, uuid, &webhook_id, err));
    return webhook_json(db, webhook_id, out, err);
}

/* The rows behind a token, one more than asked for: whether there is another page. */
static td_code page_ids(td_db *db, const char *project, int64_t after, int64_t ids[TD_WEBHOOKS_MAX + 1],
                        size_t *count_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    *count_out = 0;
    TD_TRY(td_db_prepare(db,
                         "SELECT w.webhook_id FROM project p JOIN webhook w ON w.project_id = p.project_id "
                         "WHERE p.name = :project AND w.webhook_id > :after ORDER BY w.webhook_id LIMIT 101",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_int(stmt, ":after", after);
    TD_TRY(td_step(stmt, &row, err));
    while (row && *count_out <= TD_WEBHOOKS_MAX) {
        ids[(*count_out)++] = td_column_int(stmt, "webhook_id");
        TD_TRY(td_step(stmt, &row, err));
    }
    td_reset(stmt);
    return TD_OK;
}

td_code td_webhook_list_json(td_db *db, const char *project, int64_t limit, const char *token, json_t **out,
                             td_err *err)
{
    int64_t ids[TD_WEBHOOKS_MAX + 1], after = 0;
    size_t count;
    char next[24];
    if (token != NULL && token[0] != '\0') {
        TD_TRY(td_parse_int(token, "page_token", 1, INT64_MAX, &after, err));
    }
    TD_TRY(page_ids(db, project, after, ids, &count, err));
    size_t shown = count < (size_t)limit ? count : (size_t)limit;
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    for (size_t i = 0; i < shown; i++) {
        json_t *json;
        TD_TRY(webhook_json(db, ids[i], &json, err));
        TD_TRY(json_array_append_new(list, json) == 0 ? TD_OK : td_registry__json_ok(NULL, err));
    }
    snprintf(next, sizeof next, "%lld", shown > 0 ? (long long)ids[shown - 1] : 0LL);
    json_t *answer = json_pack("{s:O, s:s*}", "webhooks", list, "next_page_token", shown < count ? next : NULL);
    TD_TRY(td_registry__json_ok(answer, err));
    *out = answer;
    return TD_OK;
}
