/*
 * rules.c: what the records say about each other: four-eyes, approval before roll-out, erasures accounted for.
 *
 * Memory grows with the number of versions, roll-outs and erased bodies, not with the number of records. Where a body
 * was erased, what it said may be what a later record needs: such a doubt is settled by the erase.record, which names
 * the action that was erased.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct td_rules {
    td_audit_checks *checks;
    json_t *manifests; /* digests of manifests that enough people approved → true */
    json_t *versions;  /* "project/pump/3" → {"registrar", "registered", "approved", "makers":{…}, "editors":{…},
                          "approvers":{…}}; makers: who registered what it was derived from */
    json_t *rollouts;  /* "r-…" → true */
    json_t *keys;      /* of approvers in the newest keyset: id → true; NULL: the log does not say */
    json_t *erased;    /* "17" → true, until an erase.record names it */
    json_t *doubts;    /* action → [number of the first record that needed one, what was wrong with it] */
    json_t *forgotten; /* action that an erase.record names → number of the first one that was erased; "": any */
    bool any_erased;
    int64_t threshold; /* of approvers, by the newest keyset */
};

td_code td_rules_new(td_audit_checks *checks, td_rules **out, td_err *err)
{
    td_rules *rules = calloc(1, sizeof *rules);
    if (rules == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to verify the log");
    }
    *rules = (td_rules){.checks = checks,
                        .manifests = json_object(),
                        .versions = json_object(),
                        .rollouts = json_object(),
                        .erased = json_object(),
                        .doubts = json_object(),
                        .forgotten = json_object(),
                        .threshold = 1};
    if (rules->manifests == NULL || rules->versions == NULL || rules->rollouts == NULL || rules->erased == NULL ||
        rules->doubts == NULL || rules->forgotten == NULL) {
        td_rules_free(&rules);
        return td_fail(err, TD_NOMEM, "no memory to verify the log");
    }
    *out = rules;
    return TD_OK;
}

void td_rules_free(td_rules **rules)
{
    if (rules != NULL && *rules != NULL) {
        json_decref((*rules)->manifests);
        json_decref((*rules)->versions);
        json_decref((*rules)->rollouts);
        json_decref((*rules)->keys);
        json_decref((*rules)->erased);
        json_decref((*rules)->doubts);
        json_decref((*rules)->forgotten);
        free(*rules);
        *rules = NULL;
    }
}

/* What a rule looks at in a record. All text is borrowed from it. */
typedef struct claim {
    int64_t seq;
    const char *action, *actor, *object;
    const char *version; /* links.version or after.facts.model_version, or NULL */
    const char *digest;  /* of the object, or NULL */
    const json_t *before, *after; /* facts, or NULL */
    char key[512];       /* project/version */
    char source[512];    /* project/version that a registered one was derived from, or "" */
} claim;

static td_code broken(const claim *said, td_err *err, const char *text, const char *who)
{
    return td_fail(err, TD_CORRUPT, "record %lld (%s %s): %s%s", (long long)said->seq, said->action, said->object,
                   text, who);
}

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to verify the log");
}

/* Something that should have been on record is not. Among erased bodies there may be one that said it. */
static td_code absent(td_rules *rules, const claim *said, const char *action, const char *text, const char *what,
                      td_err *err)
{
    td_err found = {.code = TD_OK};
    td_code code = broken(said, &found, text, what);
    if (!rules->any_erased) {
        *err = found;
        return code;
    }
    if (json_object_get(rules->doubts, action) != NULL) {
        return TD_OK; /* an earlier one is waiting: what settles that settles this */
    }
    return json_object_set_new(rules->doubts, action, json_pack("[I, s, i]", (json_int_t)said->seq, found.text,
                                                                (int)rules->checks->now)) == 0
               ? TD_OK
               : no_memory(err);
}

/* Who registered the version that this one was derived from, and what that was derived from, made this one too. */
static int add_makers(const td_rules *rules, const claim *said, json_t *makers)
{
    const json_t *source = json_object_get(rules->versions, said->source);
    return source == NULL ? 0
                          : json_object_update(makers, json_object_get(source, "makers")) |
                                json_object_set_new(makers, td_json_text(source, "registrar", ""), json_true());
}

static td_code on_register(td_rules *rules, const claim *said, td_err *err)
{
    if (json_object_get(rules->versions, said->key) != NULL) {
        return broken(said, err, "the version is registered a second time", "");
    }
    json_t *version = json_pack("{s:s, s:I, s:b, s:{}, s:{}, s:{}}", "registrar", said->actor, "registered",
                                (json_int_t)said->seq, "approved", 0, "makers", "editors", "approvers");
    if (version == NULL || add_makers(rules, said, json_object_get(version, "makers")) != 0) {
        json_decref(version);
        return no_memory(err);
    }
    return json_object_set_new(rules->versions, said->key, version) == 0 ? TD_OK : no_memory(err);
}

static td_code on_update(td_rules *rules, const claim *said, td_err *err)
{
    json_t *editors = json_object_get(json_object_get(rules->versions, said->key), "editors");
    return editors == NULL || json_object_set_new(editors, said->actor, json_true()) == 0 ? TD_OK : no_memory(err);
}

/* The versions of a model that got another name are known by that from now on. */
static td_code on_rename(td_rules *rules, const claim *said, td_err *err)
{
    char old[512];
    const char *key;
    json_t *version, *renamed = json_object();
    size_t project = strcspn(said->key, "/");
    snprintf(old, sizeof old, "%.*s/%s/", (int)project, said->key, td_json_text(said->before, "name", ""));
    bool good = renamed != NULL;
    json_object_foreach(rules->versions, key, version)
    {
        char now[1024];
        bool same = strncmp(key, old, strlen(old)) == 0;
        snprintf(now, sizeof now, "%.*s/%s/%s", (int)project, said->key, said->object, key + (same ? strlen(old) : 0));
        good = good && json_object_set(renamed, same ? now : key, version) == 0;
    }
    json_decref(rules->versions);
    rules->versions = renamed;
    return good ? TD_OK : no_memory(err);
}

static td_code on_keyset(td_rules *rules, const claim *said, td_err *err)
{
    size_t i;
    const json_t *key, *approvers = json_object_get(said->after, "approvers");
    rules->threshold = td_json_int(said->after, "approver_threshold", rules->threshold);
    json_decref(rules->keys);
    rules->keys = json_is_array(approvers) ? json_object() : NULL;
    json_array_foreach((json_t *)approvers, i, key)
    {
        if (json_object_set_new(rules->keys, json_is_string(key) ? json_string_value(key) : "", json_true()) != 0) {
            return no_memory(err);
        }
    }
    return TD_OK;
}

/* Enough people, under the keyset of that time, make the manifest one that may be deployed. */
static td_code count_approval(td_rules *rules, const claim *said, json_t *version, td_err *err)
{
    json_t *approvers = json_object_get(version, "approvers");
    bool good = json_object_set_new(approvers, said->actor, json_true()) == 0;
    if ((int64_t)json_object_size(approvers) >= rules->threshold) {
        good = good && json_object_set_new(version, "approved", json_true()) == 0 &&
               (said->digest == NULL || json_object_set_new(rules->manifests, said->digest, json_true()) == 0);
    }
    td_audit__passed(rules->checks, TD_AUDIT_FOUR_EYES);
    return good ? TD_OK : no_memory(err);
}

static td_code on_approve(td_rules *rules, const claim *said, td_err *err)
{
    json_t *version = json_object_get(rules->versions, said->key);
    const char *key = td_json_text(said->after, "key_id", NULL);
    td_audit__check(rules->checks, TD_AUDIT_FOUR_EYES);
    if (version == NULL) {
        return absent(rules, said, "register.version", "a version is approved that was never registered", "", err);
    }
    if (strcmp(td_json_text(version, "registrar", ""), said->actor) == 0) {
        return broken(said, err, "four-eyes is broken: the approver also registered it: ", said->actor);
    }
    if (json_object_get(json_object_get(version, "editors"), said->actor) != NULL) {
        return broken(said, err, "four-eyes is broken: the approver also edited it: ", said->actor);
    }
    if (json_object_get(json_object_get(version, "makers"), said->actor) != NULL) {
        return broken(said, err, "four-eyes is broken: the approver registered what it was derived from: ",
                      said->actor);
    }
    if (rules->keys != NULL && key != NULL && json_object_get(rules->keys, key) == NULL) {
        return absent(rules, said, "publish.keyset", "the approval is by a key that no keyset of that time has: ", key,
                      err);
    }
    return count_approval(rules, said, version, err);
}

/* A roll-out that names its version. */
static td_code on_deploy(td_rules *rules, const claim *said, td_err *err)
{
    const json_t *version = json_object_get(rules->versions, said->key);
    td_audit__check(rules->checks, TD_AUDIT_DEPLOYMENT);
    if (json_object_set_new(rules->rollouts, said->object, json_true()) != 0) {
        return no_memory(err);
    }
    if (said->version == NULL) {
        return TD_OK;
    }
    if (version == NULL) {
        return absent(rules, said, "register.version", "it deploys a version that was never registered: ",
                      said->version, err);
    }
    if (!json_is_true(json_object_get(version, "approved"))) {
        bool none = json_object_size(json_object_get(version, "approvers")) == 0;
        return absent(rules, said, "approve.version",
                      none ? "it deploys a version that nobody had approved: "
                           : "it deploys a version that too few had approved: ",
                      said->version, err);
    }
    td_audit__passed(rules->checks, TD_AUDIT_DEPLOYMENT);
    return TD_OK;
}

/* Each slot of a directive names the manifest that the device is to run: approvers must have signed that very one. */
static td_code on_directive(td_rules *rules, const claim *said, td_err *err)
{
    const json_t *goals = json_object_get(said->after, "goals");
    td_audit__check(rules->checks, TD_AUDIT_DEPLOYMENT);
    for (size_t i = 0; i < json_array_size(goals); i++) {
        const char *manifest = td_json_text(json_array_get(goals, i), "manifest", "");
        if (json_object_get(rules->manifests, manifest) == NULL) {
            return absent(rules, said, "approve.version",
                          "it orders a device to run a manifest that nobody had approved, or too few: ", manifest, err);
        }
        td_audit__passed(rules->checks, TD_AUDIT_DEPLOYMENT);
    }
    return TD_OK;
}

static td_code on_install(td_rules *rules, const claim *said, td_err *err)
{
    const char *rollout = td_json_text(said->after, "rollout", NULL);
    td_audit__check(rules->checks, TD_AUDIT_INSTALL);
    if (rollout == NULL) {
        return TD_OK;
    }
    if (json_object_get(rules->rollouts, rollout) == NULL) {
        return absent(rules, said, "create.rollout", "a device reports an installation that no roll-out on record "
                      "ordered: ", rollout, err);
    }
    td_audit__passed(rules->checks, TD_AUDIT_INSTALL);
    return TD_OK;
}

static td_code on_erase(td_rules *rules, const claim *said, td_err *err)
{
    const char *action = td_json_text(said->after, "action", "");
    int64_t seq = strtoll(said->object, NULL, 10);
    const json_t *first = json_object_get(rules->forgotten, action);
    td_audit__check(rules->checks, TD_AUDIT_ERASURE);
    if (json_object_del(rules->erased, said->object) == 0) {
        td_audit__passed(rules->checks, TD_AUDIT_ERASURE);
    }
    if ((first == NULL || seq < json_integer_value(first)) &&
        json_object_set_new(rules->forgotten, action, json_integer(seq)) != 0) {
        return no_memory(err);
    }
    return TD_OK;
}

static void read_claim(int64_t seq, const td_record_view *record, claim *out)
{
    const json_t *facts = record->after.tree;
    out->seq = seq;
    out->action = record->action;
    out->actor = record->actor;
    out->object = record->object;
    out->digest = record->digest;
    out->before = record->before.tree;
    out->after = facts;
    out->version = record->version != NULL ? record->version : td_json_text(facts, "model_version", NULL);
    bool derived = json_object_get(facts, "derived_by") != NULL;
    snprintf(out->source, sizeof out->source, "%s/%s", record->project,
             derived ? td_json_text(facts, "parent", "") : "");
    bool is_version = strcmp(record->type, "version") == 0;
    snprintf(out->key, sizeof out->key, "%s/%s", record->project,
             is_version             ? out->object
             : out->version != NULL ? out->version
                                    : "");
}

static const struct {
    const char *action;
    td_code (*follow)(td_rules *rules, const claim *said, td_err *err);
} table[] = {
    {"register.version", on_register}, {"update.version", on_update},   {"rename.model", on_rename},
    {"publish.keyset", on_keyset},     {"approve.version", on_approve}, {"create.rollout", on_deploy},
    {"issue.directive", on_directive}, {"report.install", on_install},  {"erase.record", on_erase},
};

td_code td_rules_follow(td_rules *rules, int64_t seq, td_record_view *record, td_err *err)
{
    claim said;
    if (strcmp(record->outcome, "done") != 0) {
        return TD_OK; /* a refused attempt changed nothing */
    }
    for (size_t i = 0; i < TD_COUNT_OF(table); i++) {
        if (strcmp(record->action, table[i].action) == 0) {
            TD_TRY(td_record_view_facts(record, err));
            read_claim(seq, record, &said);
            return table[i].follow(rules, &said, err);
        }
    }
    return TD_OK;
}

void td_rules_erased(td_rules *rules, int64_t seq)
{
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)seq);
    rules->any_erased = true;
    (void)json_object_set_new(rules->erased, key, json_true());
}

/* Is there, before that record, an erased one that may have said it? */
static bool settled(const td_rules *rules, const char *action, int64_t seq)
{
    const json_t *first = json_object_get(rules->forgotten, action), *any = json_object_get(rules->forgotten, "");
    return (first != NULL && json_integer_value(first) < seq) || (any != NULL && json_integer_value(any) < seq);
}

td_code td_rules_finish(const td_rules *rules, td_err *err)
{
    const char *action, *seq = json_object_iter_key(json_object_iter(rules->erased));
    json_t *doubt;
    if (seq != NULL) {
        td_audit__check(rules->checks, TD_AUDIT_ERASURE);
        rules->checks->record = strtoll(seq, NULL, 10);
        return td_fail(err, TD_CORRUPT, "record %s: its body is gone, and no erase.record says who erased it", seq);
    }
    json_object_foreach(rules->doubts, action, doubt)
    {
        int64_t at = json_integer_value(json_array_get(doubt, 0));
        if (!settled(rules, action, at)) {
            td_audit__check(rules->checks, (td_audit_check)json_integer_value(json_array_get(doubt, 2)));
            rules->checks->record = at;
            return td_fail(err, TD_CORRUPT, "%s", json_string_value(json_array_get(doubt, 1)));
        }
    }
    return TD_OK;
}
