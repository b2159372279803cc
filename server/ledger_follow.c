/*
 * ledger_follow.c: what each record makes true, as a table of actions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/ledger_internal.h"

#include <stdio.h>
#include <string.h>

typedef td_ledger_saying saying;

static const char *after(const saying *said, const char *field)
{
    return td_json_text(said->after, field, NULL);
}

/* A number as text; NULL when there is none. */
static const char *after_number(const saying *said, const char *field, char out[24])
{
    const json_t *value = json_object_get(said->after, field);
    snprintf(out, 24, "%lld", (long long)json_integer_value(value));
    return json_is_integer(value) ? out : NULL;
}

/* "project/object": names are known within a project. */
static const char *in_project(const saying *said, char out[TD_LEDGER_KEY_MAX])
{
    snprintf(out, TD_LEDGER_KEY_MAX, "%s/%s", said->project, said->object);
    return out;
}

static json_t *fact_of(td_ledger *ledger, const char *kind, const saying *said)
{
    char key[TD_LEDGER_KEY_MAX];
    return td_ledger__fact(ledger, kind, in_project(said, key), said);
}

static void say(td_ledger *ledger, const char *kind, const saying *said, const char *field, const char *text)
{
    json_t *fact = fact_of(ledger, kind, said);
    td_ledger__say(ledger, fact, field, text);
}

/* ---- access ---- */

static void project_made(td_ledger *ledger, const saying *said)
{
    td_ledger__say(ledger, td_ledger__fact(ledger, "project", said->object, said), "archived", "0");
}

static void project_archived(td_ledger *ledger, const saying *said)
{
    const char *archived = td_json_bool(said->after, "archived", false) ? "1" : "0";
    td_ledger__say(ledger, td_ledger__fact(ledger, "project", said->object, said), "archived", archived);
}

static void user_made(td_ledger *ledger, const saying *said)
{
    json_t *fact = td_ledger__fact(ledger, "user", said->object, said);
    td_ledger__say(ledger, fact, "kind", after(said, "kind"));
    td_ledger__say(ledger, fact, "disabled", "0");
}

static void user_disabled(td_ledger *ledger, const saying *said)
{
    const char *disabled = td_json_bool(said->after, "disabled", false) ? "1" : "0";
    td_ledger__say(ledger, td_ledger__fact(ledger, "user", said->object, said), "disabled", disabled);
}

static void role_key(const saying *said, char out[TD_LEDGER_KEY_MAX])
{
    const char *project = after(said, "project"), *role = after(said, "role");
    snprintf(out, TD_LEDGER_KEY_MAX, "%s %s %s", said->object, project != NULL ? project : "",
             role != NULL ? role : "");
}

static void role_granted(td_ledger *ledger, const saying *said)
{
    char key[TD_LEDGER_KEY_MAX];
    role_key(said, key);
    (void)td_ledger__fact(ledger, "role", key, said);
}

static void role_revoked(td_ledger *ledger, const saying *said)
{
    char key[TD_LEDGER_KEY_MAX];
    role_key(said, key);
    td_ledger__drop(ledger, "role", key);
}

static void token_told(td_ledger *ledger, const saying *said)
{
    char number[24];
    json_t *fact = td_ledger__fact(ledger, "token", said->object, said);
    td_ledger__say(ledger, fact, "user", after(said, "user"));
    td_ledger__say(ledger, fact, "expires_ms", after_number(said, "expires_ms", number));
    td_ledger__say(ledger, fact, "#digest", said->digest);
    td_ledger__say(ledger, fact, "revoked", strcmp(said->action, "revoke.token") == 0 ? "1" : "0");
}

/* ---- models and versions ---- */

static void model_made(td_ledger *ledger, const saying *said)
{
    say(ledger, "model", said, "archived", "0");
}

/* Of a model's name in a longer one ("default/pump/3", "default/pump@best"): what follows it; NULL: not of that model.
 */
static const char *tail_of(const char *text, const char *project, const char *model)
{
    size_t project_length = strlen(project), length = strlen(model);
    if (strncmp(text, project, project_length) != 0 || text[project_length] != '/' ||
        strncmp(text + project_length + 1, model, length) != 0) {
        return NULL;
    }
    const char *tail = text + project_length + 1 + length;
    return *tail == '/' || *tail == '@' || *tail == '\0' ? tail : NULL;
}

static void model_archived(td_ledger *ledger, const saying *said)
{
    const char *key;
    json_t *fact;
    say(ledger, "model", said, "archived", "1");
    json_object_foreach(json_object_get(ledger->facts, "version"), key, fact)
    {
        if (tail_of(key, said->project, said->object) != NULL) {
            td_ledger__say(ledger, fact, "archived", "1");
        }
    }
}

static void model_deleted(td_ledger *ledger, const saying *said)
{
    char key[TD_LEDGER_KEY_MAX];
    td_ledger__drop(ledger, "model", in_project(said, key));
}

/* A new object with the keys under the model's new name. */
static json_t *renamed(td_ledger *ledger, json_t *facts, const saying *said, const char *old)
{
    const char *key, *tail;
    json_t *fact, *out = json_object();
    json_object_foreach(facts, key, fact)
    {
        char name[TD_LEDGER_KEY_MAX];
        tail = tail_of(key, said->project, old);
        snprintf(name, sizeof name, "%s/%s%s", said->project, said->object, tail != NULL ? tail : "");
        ledger->out_of_memory |= json_object_set(out, tail != NULL ? name : key, fact) != 0;
    }
    return out;
}

/* Versions name the one that they were made from. */
static void rename_parents(td_ledger *ledger, const saying *said, const char *old)
{
    const char *key;
    json_t *fact;
    size_t length = strlen(old);
    json_object_foreach(json_object_get(ledger->facts, "version"), key, fact)
    {
        const char *parent = td_ledger__text(fact, "parent", "");
        size_t project = strlen(said->project);
        bool same = strncmp(key, said->project, project) == 0 && key[project] == '/';
        if (same && strncmp(parent, old, length) == 0 && parent[length] == '/') {
            char name[TD_LEDGER_KEY_MAX];
            snprintf(name, sizeof name, "%s%s", said->object, parent + length);
            td_ledger__say(ledger, fact, "parent", name);
        }
    }
}

static void model_renamed(td_ledger *ledger, const saying *said)
{
    static const char *const kinds[] = {"model", "version", "file", "alias", "monitor"};
    const char *to = after(said, "name");
    const char *old = td_json_text(said->before, "name", NULL);
    if (old == NULL || to == NULL) {
        return;
    }
    for (size_t i = 0; i < TD_COUNT_OF(kinds); i++) {
        json_t *facts = json_object_get(ledger->facts, kinds[i]);
        if (facts != NULL) {
            facts = renamed(ledger, facts, said, old);
            ledger->out_of_memory |= json_object_set_new(ledger->facts, kinds[i], facts) != 0;
        }
    }
    rename_parents(ledger, said, old);
}

static void add_files(td_ledger *ledger, const saying *said)
{
    const char *name;
    json_t *digest;
    char key[TD_LEDGER_KEY_MAX];
    json_object_foreach(json_object_get(said->after, "files"), name, digest)
    {
        snprintf(key, sizeof key, "%s/%s %s", said->project, said->object, name);
        td_ledger__say(ledger, td_ledger__fact(ledger, "file", key, said), "digest", json_string_value(digest));
    }
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static void version_made(td_ledger *ledger, const saying *said)
{
    char number[24];
    json_t *fact = fact_of(ledger, "version", said);
    td_ledger__say(ledger, fact, "state", "draft");
    td_ledger__say(ledger, fact, "archived", "0");
    td_ledger__say(ledger, fact, "stage", "None");
    td_ledger__say(ledger, fact, "registrar", said->actor);
    ledger->out_of_memory |= fact == NULL || json_object_set_new(fact, "_made", json_integer(said->seq)) != 0;
    if (said->after == NULL) { /* too many files for the record to keep their names: the manifest pins them */
        ledger->out_of_memory |= fact == NULL || json_object_set_new(fact, "_files", json_false()) != 0;
        return;
    }
    const char *parent = or_empty(after(said, "parent"));
    if (strchr(parent, '@') == NULL && (parent[0] == '\0' || strchr(parent, '/') != NULL)) {
        td_ledger__say(ledger, fact, "parent", parent);
    }
    td_ledger__say(ledger, fact, "derived_by", or_empty(after(said, "derived_by")));
    td_ledger__say(ledger, fact, "cause", or_empty(after(said, "cause")));
    td_ledger__say(ledger, fact, "format", after(said, "format"));
    td_ledger__say(ledger, fact, "security_counter", after_number(said, "security_counter", number));
    td_ledger__say(ledger, fact, "#sources", after(said, "sources"));
    add_files(ledger, said);
}

static void version_moved(td_ledger *ledger, const saying *said)
{
    json_t *fact = fact_of(ledger, "version", said);
    td_ledger__say(ledger, fact, "state", after(said, "state"));
    if (strcmp(said->action, "submit.version") == 0) {
        td_ledger__say(ledger, fact, "digest", said->digest);
        td_ledger__say(ledger, fact, "#manifest", said->digest);
    }
}

static void version_archived(td_ledger *ledger, const saying *said)
{
    say(ledger, "version", said, "archived", "1");
}

static void version_staged(td_ledger *ledger, const saying *said)
{
    say(ledger, "version", said, "stage", after(said, "stage"));
}

static void version_approved(td_ledger *ledger, const saying *said)
{
    char key[TD_LEDGER_KEY_MAX], number[24];
    snprintf(key, sizeof key, "%s/%s#%s", said->project, said->object, said->actor);
    json_t *fact = td_ledger__fact(ledger, "approval", key, said);
    snprintf(number, sizeof number, "%lld", (long long)said->seq);
    td_ledger__say(ledger, fact, "key_id", after(said, "key_id"));
    td_ledger__say(ledger, fact, "signature", after(said, "signature"));
    td_ledger__say(ledger, fact, "reason", said->reason);
    td_ledger__say(ledger, fact, "seq", number);
    say(ledger, "version", said, "state", after(said, "state"));
}

static void alias_set(td_ledger *ledger, const saying *said)
{
    char number[24];
    say(ledger, "alias", said, "version", after_number(said, "version", number));
}

static void alias_deleted(td_ledger *ledger, const saying *said)
{
    char key[TD_LEDGER_KEY_MAX];
    td_ledger__drop(ledger, "alias", in_project(said, key));
}

static void keyset_published(td_ledger *ledger, const saying *said)
{
    json_t *fact = td_ledger__fact(ledger, "keyset", said->object, said);
    td_ledger__say(ledger, fact, "digest", said->digest);
    td_ledger__say(ledger, fact, "#envelope", said->digest);
}

/* ---- claims ---- */

static void claim_added(td_ledger *ledger, const saying *said)
{
    char key[TD_LEDGER_KEY_MAX], number[24];
    const json_t *signer = json_object_get(said->after, "signed_by");
    if (said->after == NULL) {
        return;
    }
    snprintf(key, sizeof key, "%s/%s %s", said->project, said->object, or_empty(after(said, "claim")));
    json_t *fact = td_ledger__fact(ledger, "claim", key, said);
    snprintf(number, sizeof number, "%lld", (long long)said->seq);
    td_ledger__say(ledger, fact, "covers", after(said, "covers"));
    td_ledger__say(ledger, fact, "type", after(said, "predicate_type"));
    td_ledger__say(ledger, fact, "source", td_json_text(signer, "source", NULL));
    td_ledger__say(ledger, fact, "signer", td_json_text(signer, "name", NULL));
    td_ledger__say(ledger, fact, "key_id", td_json_text(signer, "key_id", NULL));
    td_ledger__say(ledger, fact, "seq", number);
}

static void claim_key_trusted(td_ledger *ledger, const saying *said)
{
    json_t *fact = fact_of(ledger, "claim key", said);
    td_ledger__say(ledger, fact, "key_id", after(said, "key_id"));
    td_ledger__say(ledger, fact, "removed", strcmp(said->action, "trust.claim_key") == 0 ? "0" : "1");
}

/* ---- fleet ---- */

static void device_enrolled(td_ledger *ledger, const saying *said)
{
    json_t *fact = fact_of(ledger, "device", said);
    td_ledger__say(ledger, fact, "state", "enrolled");
    td_ledger__say(ledger, fact, "certificate_serial", after(said, "certificate_serial"));
}

static void device_revoked(td_ledger *ledger, const saying *said)
{
    say(ledger, "device", said, "state", "revoked");
}

static void rollout_made(td_ledger *ledger, const saying *said)
{
    json_t *fact = fact_of(ledger, "roll-out", said);
    td_ledger__say(ledger, fact, "version", after(said, "model_version"));
    td_ledger__say(ledger, fact, "slot", after(said, "slot"));
    td_ledger__say(ledger, fact, "created_by", said->actor);
}

static void rollout_moved(td_ledger *ledger, const saying *said)
{
    say(ledger, "roll-out", said, "state", after(said, "state"));
}

static void directive_issued(td_ledger *ledger, const saying *said)
{
    char key[TD_LEDGER_KEY_MAX], number[24];
    const char *sequence = after_number(said, "sequence", number);
    snprintf(key, sizeof key, "%s/%s %s", said->project, said->object, or_empty(sequence));
    if (sequence != NULL) {
        json_t *fact = td_ledger__fact(ledger, "directive", key, said);
        td_ledger__say(ledger, fact, "#envelope", said->digest);
        td_ledger__say(ledger, fact, "rollout", after(said, "rollout"));
    }
}

/* ---- monitor ---- */

static void alert_told(td_ledger *ledger, const saying *said)
{
    static const char *const states[][2] = {
        {"fire.alert", "firing"}, {"acknowledge.alert", "acknowledged"}, {"resolve.alert", "resolved"}};
    static const char *const fields[] = {"signal", "feature", "metric"};
    json_t *fact = fact_of(ledger, "alert", said);
    for (size_t i = 0; i < TD_COUNT_OF(states); i++) {
        td_ledger__say(ledger, fact, "state", strcmp(said->action, states[i][0]) == 0 ? states[i][1] : NULL);
    }
    for (size_t i = 0; i < TD_COUNT_OF(fields); i++) {
        td_ledger__say(ledger, fact, fields[i], after(said, fields[i]));
    }
}

static void monitor_set(td_ledger *ledger, const saying *said)
{
    say(ledger, "monitor", said, "#spec", said->digest);
}

static void definition_set(td_ledger *ledger, const saying *said)
{
    char key[TD_LEDGER_KEY_MAX], number[24];
    const char *revision = after_number(said, "revision", number);
    bool gate = strcmp(said->action, "configure.gate") == 0;
    snprintf(key, sizeof key, "%s/%s/%s", said->project, said->object, or_empty(revision));
    if (revision != NULL) {
        td_ledger__say(ledger, td_ledger__fact(ledger, gate ? "gate" : "pipeline", key, said), "#spec", said->digest);
    }
}

static const struct {
    const char *action;
    void (*apply)(td_ledger *ledger, const saying *said);
} actions[] = {
    {"create.project", project_made},       {"archive.project", project_archived},
    {"restore.project", project_archived},  {"create.user", user_made},
    {"disable.user", user_disabled},        {"enable.user", user_disabled},
    {"grant.role", role_granted},           {"revoke.role", role_revoked},
    {"create.token", token_told},           {"rotate.token", token_told},
    {"revoke.token", token_told},           {"create.model", model_made},
    {"rename.model", model_renamed},        {"archive.model", model_archived},
    {"delete.model", model_deleted},        {"register.version", version_made},
    {"submit.version", version_moved},      {"reject.version", version_moved},
    {"withdraw.version", version_moved},    {"move.version", version_moved},
    {"deprecate.version", version_moved},   {"retire.version", version_moved},
    {"revoke.version", version_moved},      {"archive.version", version_archived},
    {"stage.version", version_staged},      {"approve.version", version_approved},
    {"set.alias", alias_set},               {"delete.alias", alias_deleted},
    {"publish.keyset", keyset_published},   {"add.claim", claim_added},
    {"trust.claim_key", claim_key_trusted}, {"distrust.claim_key", claim_key_trusted},
    {"enrol.device", device_enrolled},      {"revoke.device", device_revoked},
    {"create.rollout", rollout_made},       {"pause.rollout", rollout_moved},
    {"resume.rollout", rollout_moved},      {"abort.rollout", rollout_moved},
    {"revert.rollout", rollout_moved},      {"finish.rollout", rollout_moved},
    {"issue.directive", directive_issued},  {"fire.alert", alert_told},
    {"acknowledge.alert", alert_told},      {"resolve.alert", alert_told},
    {"configure.monitor", monitor_set},     {"configure.pipeline", definition_set},
    {"configure.gate", definition_set},
};

void td_ledger__apply(td_ledger *ledger, const td_ledger_saying *said)
{
    for (size_t i = 0; i < TD_COUNT_OF(actions); i++) {
        if (strcmp(actions[i].action, said->action) == 0) {
            actions[i].apply(ledger, said);
            return;
        }
    }
}

bool td_ledger__tells(const char *action)
{
    for (size_t i = 0; i < TD_COUNT_OF(actions); i++) {
        if (strcmp(actions[i].action, action) == 0) {
            return true;
        }
    }
    return false;
}

size_t td_ledger__action_count(void)
{
    return TD_COUNT_OF(actions);
}
