/*
 * sentences.c: audit records as short sentences for the timeline: "ben approved pump/1: passed the bench".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

/* {a} the actor, {o} the object; everything else as written. */
static const struct sentence {
    const char *action, *text;
    td_tint tint;
} sentences[] = {
    {"create.user", "{a} added user {o}", TD_TINT_NONE},
    {"grant.role", "{a} gave {o} a role", TD_TINT_NONE},
    {"revoke.role", "{a} took a role from {o}", TD_TINT_WARN},
    {"disable.user", "{a} shut {o} out", TD_TINT_WARN},
    {"create.token", NULL, TD_TINT_NONE},
    {"publish.keyset", "{a} put keyset {o} into force", TD_TINT_NONE},
    {"deny.access", "{a} was refused: {o}", TD_TINT_WARN},
    {"fail.login", "a login failed: {o}", TD_TINT_WARN},
    {"init.workspace", "the workspace was made", TD_TINT_NONE},
    {"start.server", "the server started", TD_TINT_FAINT},
    {"stop.server", "the server stopped", TD_TINT_FAINT},
    {"create.model", "{a} made model {o}", TD_TINT_NONE},
    {"register.version", "{a} registered {o}", TD_TINT_STRONG},
    {"submit.version", "{a} submitted {o}: packed, and it waits for approval", TD_TINT_NONE},
    {"approve.version", "{a} approved {o} with his signature", TD_TINT_GOOD},
    {"add.claim", "{a} added a signed claim to {o}", TD_TINT_NONE},
    {"reject.version", "{a} rejected {o}", TD_TINT_BAD},
    {"set.alias", "{a} set {o}", TD_TINT_NONE},
    {"create.enrolment_code", "{a} made enrolment codes", TD_TINT_FAINT},
    {"enrol.device", "{o} came into the fleet", TD_TINT_NONE},
    {"revoke.device", "{a} shut out {o}", TD_TINT_BAD},
    {"create.rollout", "{a} started rollout {o}", TD_TINT_STRONG},
    {"start.wave", "{o} began", TD_TINT_NONE},
    {"pass.wave", "{o} passed", TD_TINT_GOOD},
    {"fail.wave", "{o} failed", TD_TINT_BAD},
    {"pause.rollout", "{a} paused {o}", TD_TINT_WARN},
    {"resume.rollout", "{a} resumed {o}", TD_TINT_NONE},
    {"abort.rollout", "{a} aborted {o}", TD_TINT_BAD},
    {"revert.rollout", "{a} reverted {o}", TD_TINT_BAD},
    {"finish.rollout", "{o} is finished", TD_TINT_GOOD},
    {"issue.directive", NULL, TD_TINT_FAINT},
    {"report.install", "{o} reported", TD_TINT_FAINT},
    {"configure.monitor", "{a} set the monitor of {o}", TD_TINT_NONE},
    {"fire.alert", "ALERT {o}", TD_TINT_BAD},
    {"acknowledge.alert", "{a} took charge of {o}", TD_TINT_WARN},
    {"resolve.alert", "{o} is resolved", TD_TINT_GOOD},
    {"configure.pipeline", "{a} set pipeline {o}", TD_TINT_NONE},
    {"configure.gate", "{a} set gate {o}", TD_TINT_NONE},
    {"request.retrain", "{a} asked for retraining: {o}", TD_TINT_STRONG},
    {"start.run", "{a} took up {o}", TD_TINT_NONE},
    {"finish.run", "{o} ended", TD_TINT_NONE},
    {"judge.gate", "gate {o} gave its verdict", TD_TINT_STRONG},
};

static const struct sentence *find(const char *action)
{
    for (size_t i = 0; i < TD_COUNT_OF(sentences); i++) {
        if (strcmp(sentences[i].action, action) == 0) {
            return &sentences[i];
        }
    }
    return NULL;
}

static void fill(td_str *out, const char *text, const char *actor, const char *object)
{
    while (*text != '\0') {
        if (strncmp(text, "{a}", 3) == 0 || strncmp(text, "{o}", 3) == 0) {
            td_str_add(out, text[1] == 'a' ? actor : object);
            text += 3;
        } else {
            td_str_add_char(out, *text++);
        }
    }
}

/* What the facts add: the state, signal, value … that the record was made for; only texts and whole numbers. */
static void add_facts(td_str *out, const json_t *record)
{
    static const char *const keys[] = {"role",          "state", "signal",  "feature", "metric", "value", "version",
                                       "model_version", "to",    "verdict", "passed",  "wave",   "result"};
    const json_t *facts = td_json_at(record, "after.facts");
    size_t said = out->size;
    bool first = true;
    for (size_t i = 0; i < TD_COUNT_OF(keys); i++) {
        const json_t *value = json_object_get(facts, keys[i]);
        if (value == NULL || json_is_null(value) || json_is_object(value) || json_is_array(value) ||
            (json_is_string(value) && json_string_length(value) == 0)) {
            continue;
        }
        const char *text = json_string_value(value);
        if (text != NULL && strstr(td_str_text(out), text) != NULL && out->size == said) {
            continue; /* the sentence has it already: "r-1 is finished" */
        }
        td_str_add(out, first ? " (" : ", ");
        if (json_is_boolean(value) || json_is_integer(value)) {
            td_str_addf(out, "%s ", keys[i]);
        }
        td_cell_add(out, value, TD_CELL_TEXT);
        first = false;
    }
    td_str_add(out, first ? "" : ")");
}

const char *td_event_sentence(td_cli *cli, const json_t *record, td_tint *tint_out)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_str_done) td_str clean = {0};
    const char *action = td_json_text(record, "action", "");
    const struct sentence *sentence = find(action);
    const json_t *actor = json_object_get(record, "actor"), *object = json_object_get(record, "object");
    if (sentence != NULL && sentence->text == NULL) {
        return NULL;
    }
    *tint_out = sentence != NULL ? sentence->tint : TD_TINT_FAINT;
    fill(&text, sentence != NULL ? sentence->text : td_cli_text(cli, "{a}: %s {o}", action),
         td_json_text(actor, "id", "?"), td_json_text(object, "id", "?"));
    add_facts(&text, record);
    const char *reason = td_json_text(record, "reason", "");
    td_str_addf(&text, "%s%s", *reason != '\0' ? ": " : "", reason);
    td_text_add(&clean, td_str_text(&text));
    return td_cli_text(cli, "%s", td_str_text(&clean));
}
