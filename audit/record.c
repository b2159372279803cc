/*
 * record.c: one record of the log: what it must have, and its canonical bytes.
 *
 * A record is canonical JSON, so that its digest does not depend on who prints it; it holds no reals and a random
 * salt, so that a short record cannot be guessed from its digest after its body was erased.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"

#include <stdio.h>
#include <string.h>

#define SALT_SIZE 16

const td_actor td_actor_system = {
    .kind = TD_ACTOR_SYSTEM, .name = "system", .authentication = "internal", .role = "", .request_id = ""};

static const char *const actor_kinds[] = {[TD_ACTOR_USER] = "user",
                                          [TD_ACTOR_SERVICE] = "service",
                                          [TD_ACTOR_DEVICE] = "device",
                                          [TD_ACTOR_SYSTEM] = "system"};

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* Sets key to an owned value; false when there is none (no memory, or text that is not UTF-8). */
static bool put(json_t *object, const char *key, json_t *owned)
{
    return owned != NULL && json_object_set_new(object, key, owned) == 0;
}

static bool put_text(json_t *object, const char *key, const char *text)
{
    return put(object, key, json_string(or_empty(text)));
}

static json_t *digest_text(const uint8_t digest[TD_DIGEST_SIZE])
{
    char text[8 + TD_DIGEST_TEXT] = "sha256:";
    td_hex_encode(digest, TD_DIGEST_SIZE, text + 7);
    return json_string(text);
}

static td_code unknown_action(const char *action, td_err *err)
{
    size_t count = 0;
    const td_action *all = td_action_all(&count);
    const char *names[256] = {NULL};
    for (size_t i = 0; i < count && i + 1 < TD_COUNT_OF(names); i++) {
        names[i] = all[i].name;
    }
    const char *near = td_nearest(or_empty(action), names);
    return near != NULL
               ? td_fail(err, TD_INVALID, "unknown audit action \"%s\"; did you mean \"%s\"?", or_empty(action), near)
               : td_fail(err, TD_INVALID, "unknown audit action \"%s\"; the list is in audit/actions.c",
                         or_empty(action));
}

static bool blank(const char *text)
{
    return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

static td_code check_entry(const td_audit_entry *entry, td_err *err)
{
    const td_action *action = td_action_find(entry->action);
    if (action == NULL) {
        return unknown_action(entry->action, err);
    }
    if (entry->actor == NULL || blank(entry->actor->name) || blank(entry->object_type) || blank(entry->object_id)) {
        return td_fail(err, TD_INTERNAL, "an audit record of %s lacks its actor or object", entry->action);
    }
    if (action->reason_mandatory && !entry->denied && blank(entry->reason)) {
        return td_fail(err, TD_INVALID, "%s %s needs a reason; say in a sentence why (--reason)", entry->action,
                       entry->object_id);
    }
    if (strlen(or_empty(entry->reason)) > TD_AUDIT_REASON_MAX ||
        strlen(or_empty(entry->decision)) > TD_AUDIT_REASON_MAX) {
        return td_fail(err, TD_LIMIT, "the reason for %s %s is longer than %zu bytes", entry->action,
                       entry->object_id, TD_AUDIT_REASON_MAX);
    }
    return TD_OK;
}

/* {"digest":…, "facts":…}: the facts in full only when they are small. */
static td_code put_facts(json_t *record, const char *key, const json_t *facts, td_err *err)
{
    if (facts == NULL) {
        return TD_OK;
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_json_canonical(facts, &text, err));
    uint8_t digest[TD_DIGEST_SIZE];
    td_sha256_of(text.data, text.size, digest);
    json_t *state = json_object();
    bool good = put(record, key, state) && put(state, "digest", digest_text(digest));
    if (good && text.size <= TD_AUDIT_FACTS_MAX) {
        good = put(state, "facts", json_deep_copy(facts));
    }
    return good ? TD_OK : td_fail(err, TD_NOMEM, "no memory for an audit record");
}

static bool put_actor(json_t *record, const td_actor *actor)
{
    json_t *json = json_object();
    return put(record, "actor", json) && put_text(json, "id", actor->name) &&
           put_text(json, "kind", actor_kinds[actor->kind]) &&
           put_text(json, "authentication", actor->authentication) && put_text(json, "role", actor->role);
}

static bool put_object(json_t *record, const td_audit_entry *entry)
{
    json_t *json = json_object();
    return put(record, "object", json) && put_text(json, "type", entry->object_type) &&
           put_text(json, "id", entry->object_id) &&
           (entry->digest == NULL || put(json, "digest", digest_text(entry->digest)));
}

static td_code put_salt(json_t *record, td_err *err)
{
    uint8_t salt[SALT_SIZE];
    char text[2 * SALT_SIZE + 1];
    TD_TRY(td_random(salt, sizeof salt, err));
    td_hex_encode(salt, sizeof salt, text);
    return put_text(record, "salt", text) ? TD_OK : td_fail(err, TD_NOMEM, "no memory for an audit record");
}

static bool put_all(json_t *record, const td_audit_entry *entry, int64_t seq, int64_t at_ms)
{
    char time[32];
    td_format_time(at_ms, time);
    bool good = put(record, "v", json_integer(1)) && put(record, "seq", json_integer(seq)) &&
                put_text(record, "time", time) && put_actor(record, entry->actor) &&
                put_text(record, "action", entry->action) && put_object(record, entry) &&
                put_text(record, "project", entry->project != NULL ? entry->project : "default") &&
                put_text(record, "outcome", entry->denied ? "denied" : "done") &&
                put_text(record, "request", entry->actor->request_id) &&
                put_text(record, "build", "tidemark " TD_VERSION);
    good = good && (blank(entry->decision) || put_text(record, "decision", entry->decision));
    good = good && (blank(entry->reason) || put_text(record, "reason", entry->reason));
    return good && (entry->links == NULL || put(record, "links", json_deep_copy(entry->links)));
}

td_code td_record__build(const td_audit_entry *entry, int64_t seq, int64_t at_ms, td_str *out, td_err *err)
{
    TD_TRY(check_entry(entry, err));
    TD_CLEANUP(td_json_done) json_t *record = json_object();
    if (record == NULL || !put_all(record, entry, seq, at_ms)) {
        return td_fail(err, TD_INVALID, "the audit record of %s %s holds text that is not UTF-8", entry->action,
                       entry->object_id);
    }
    TD_TRY(put_facts(record, "before", entry->before, err));
    TD_TRY(put_facts(record, "after", entry->after, err));
    TD_TRY(put_salt(record, err));
    size_t before = out->size;
    TD_TRY(td_json_canonical(record, out, err));
    if (out->size - before > TD_AUDIT_RECORD_MAX) {
        return td_fail(err, TD_LIMIT, "the audit record of %s %s has %zu bytes; %zu are allowed", entry->action,
                       entry->object_id, out->size - before, TD_AUDIT_RECORD_MAX);
    }
    return TD_OK;
}

void td_record__name(int64_t seq, const char *body, size_t size, char out[160])
{
    TD_CLEANUP(td_json_done) json_t *record = NULL;
    if (body != NULL && td_json_parse(body, size, "record", &record, NULL) == TD_OK && json_is_object(record)) {
        const char *id = td_json_text(json_object_get(record, "object"), "id", "?");
        snprintf(out, 160, "record %lld (%.40s %.80s)", (long long)seq, td_json_text(record, "action", "?"), id);
    } else {
        snprintf(out, 160, "record %lld", (long long)seq);
    }
}
