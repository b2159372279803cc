/*
 * rules.c: what the records say about each other: four-eyes, approval before roll-out, erasures accounted for.
 *
 * Memory grows with the number of versions and of erased bodies that are not yet explained, not with the number of
 * records. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct td_rules {
    json_t *manifests; /* digests of approved manifests → true */
    json_t *versions;  /* "project/pump/3" → {"registrar", "registered", "makers":{…}, "editors":{…},
                          "approvers":{…}}; makers: who registered what it was derived from */
    json_t *erased;    /* "17" → true, until an erase.record names it */
};

td_code td_rules_new(td_rules **out, td_err *err)
{
    td_rules *rules = calloc(1, sizeof *rules);
    if (rules != NULL) {
        rules->manifests = json_object();
        rules->versions = json_object();
        rules->erased = json_object();
    }
    if (rules == NULL || rules->manifests == NULL || rules->versions == NULL || rules->erased == NULL) {
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
        json_decref((*rules)->erased);
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
    const json_t *goals; /* after.facts.goals of a directive, or NULL */
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
    json_t *version = json_pack("{s:s, s:I, s:{}, s:{}, s:{}}", "registrar", said->actor, "registered",
                                (json_int_t)said->seq, "makers", "editors", "approvers");
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

static td_code on_approve(td_rules *rules, const claim *said, td_err *err)
{
    json_t *version = json_object_get(rules->versions, said->key);
    if (version == NULL) {
        return broken(said, err, "a version is approved that was never registered", "");
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
    json_t *approvers = json_object_get(version, "approvers");
    bool good = json_object_set_new(approvers, said->actor, json_true()) == 0 &&
                (said->digest == NULL || json_object_set_new(rules->manifests, said->digest, json_true()) == 0);
    return good ? TD_OK : no_memory(err);
}

/* A roll-out that names its version. */
static td_code on_deploy(td_rules *rules, const claim *said, td_err *err)
{
    const json_t *version = json_object_get(rules->versions, said->key);
    if (version == NULL) {
        return broken(said, err, "it deploys a version that was never registered: ", said->version);
    }
    if (json_object_size(json_object_get(version, "approvers")) == 0) {
        return broken(said, err, "it deploys a version that nobody had approved: ", said->version);
    }
    return TD_OK;
}

/* Each slot of a directive names the manifest that the device is to run: an approver must have signed that very one.
 */
static td_code on_directive(td_rules *rules, const claim *said, td_err *err)
{
    for (size_t i = 0; i < json_array_size(said->goals); i++) {
        const char *manifest = td_json_text(json_array_get(said->goals, i), "manifest", "");
        if (json_object_get(rules->manifests, manifest) == NULL) {
            return broken(said, err, "it orders a device to run a manifest that nobody had approved: ", manifest);
        }
    }
    return TD_OK;
}

static void read_claim(int64_t seq, const json_t *record, claim *out)
{
    const json_t *object = json_object_get(record, "object");
    out->seq = seq;
    out->action = td_json_text(record, "action", "");
    out->actor = td_json_text(json_object_get(record, "actor"), "id", "");
    out->object = td_json_text(object, "id", "");
    const json_t *facts = json_object_get(json_object_get(record, "after"), "facts");
    out->digest = td_json_text(object, "digest", NULL);
    out->goals = json_object_get(facts, "goals");
    out->version =
        td_json_text(json_object_get(record, "links"), "version", td_json_text(facts, "model_version", NULL));
    bool derived = json_object_get(facts, "derived_by") != NULL;
    snprintf(out->source, sizeof out->source, "%s/%s", td_json_text(record, "project", ""),
             derived ? td_json_text(facts, "parent", "") : "");
    bool is_version = strcmp(td_json_text(object, "type", ""), "version") == 0;
    snprintf(out->key, sizeof out->key, "%s/%s", td_json_text(record, "project", ""),
             is_version             ? out->object
             : out->version != NULL ? out->version
                                    : "");
}

td_code td_rules_follow(td_rules *rules, int64_t seq, const json_t *record, td_err *err)
{
    claim said;
    read_claim(seq, record, &said);
    if (strcmp(td_json_text(record, "outcome", ""), "done") != 0) {
        return TD_OK; /* a refused attempt changed nothing */
    }
    if (strcmp(said.action, "register.version") == 0) {
        return on_register(rules, &said, err);
    }
    if (strcmp(said.action, "update.version") == 0) {
        return on_update(rules, &said, err);
    }
    if (strcmp(said.action, "approve.version") == 0) {
        return on_approve(rules, &said, err);
    }
    if (strcmp(said.action, "create.rollout") == 0 && said.version != NULL) {
        return on_deploy(rules, &said, err);
    }
    if (strcmp(said.action, "issue.directive") == 0) {
        return on_directive(rules, &said, err);
    }
    if (strcmp(said.action, "erase.record") == 0) {
        (void)json_object_del(rules->erased, said.object);
    }
    return TD_OK;
}

void td_rules_erased(td_rules *rules, int64_t seq)
{
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)seq);
    (void)json_object_set_new(rules->erased, key, json_true());
}

td_code td_rules_finish(const td_rules *rules, td_err *err)
{
    const char *seq = json_object_iter_key(json_object_iter(rules->erased));
    return seq == NULL
               ? TD_OK
               : td_fail(err, TD_CORRUPT, "record %s: its body is gone, and no erase.record says who erased it", seq);
}
