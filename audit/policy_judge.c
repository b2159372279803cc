/*
 * policy_judge.c: a checkpoint before a policy, and why each witness's word counts or does not.
 *
 * The server only needs to know whether the quorum has cosigned (policy.c); an auditor who is refused must learn which
 * witness is missing and what stands in its place. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/policy_parts.h"

#include <stdio.h>
#include <string.h>

typedef struct hearing {
    const td_policy_demand *demand;
    td_policy_findings *out;
} hearing;

const char *td_cosign_state_name(td_cosign_state state)
{
    static const char *const names[] = {
        [TD_COSIGN_MISSING] = "missing", [TD_COSIGN_GOOD] = "good",       [TD_COSIGN_OLD] = "old",
        [TD_COSIGN_KEY] = "wrong_key",   [TD_COSIGN_FORGED] = "forged", [TD_COSIGN_OTHER] = "other_checkpoint",
    };
    return names[state];
}

const char *td_cosign_state_means(td_cosign_state state)
{
    static const char *const words[] = {
        [TD_COSIGN_MISSING] = "has not cosigned it",
        [TD_COSIGN_GOOD] = "has cosigned it",
        [TD_COSIGN_OLD] = "cosigned it before the time that was asked for",
        [TD_COSIGN_KEY] = "a cosignature bears its name, but is by another key than the policy's",
        [TD_COSIGN_FORGED] = "the cosignature under its name and key is not over this checkpoint",
        [TD_COSIGN_OTHER] = "its cosignature is over an older checkpoint, not over this one",
    };
    return words[state];
}

/* Does the line fit one of the other checkpoints that the caller has? */
static bool of_another(const td_policy_demand *demand, const td_note_signature *signature, const td_note_key *key)
{
    for (size_t i = 0; demand->others != NULL && demand->others[i] != NULL; i++) {
        const char *end = strstr(demand->others[i], "\n\n");
        int64_t time;
        if (end != NULL && td_note_check(demand->others[i], (size_t)(end + 1 - demand->others[i]), signature, key,
                                         &time, NULL) == TD_OK) {
            return true;
        }
    }
    return false;
}

static td_cosign_state judge_line(const hearing *job, const char *text, size_t text_size,
                                  const td_note_signature *signature, const td_note_key *key, int64_t *time_out)
{
    if (td_note_check(text, text_size, signature, key, time_out, NULL) == TD_OK) {
        return *time_out < job->demand->not_before_s ? TD_COSIGN_OLD : TD_COSIGN_GOOD;
    }
    return of_another(job->demand, signature, key) ? TD_COSIGN_OTHER : TD_COSIGN_FORGED;
}

static bool bears_name(const td_note_signature *signature, const td_policy_witness *witness)
{
    return !witness->any_name && strlen(witness->key.name) == signature->name_size &&
           memcmp(signature->name, witness->key.name, signature->name_size) == 0;
}

/* States stand in the order of what they say: a later one outweighs an earlier one, so a forged line is never hidden
 * behind a good one. */
static td_code hear(void *context, const char *text, size_t text_size, const td_note_signature *signature, td_err *err)
{
    const hearing *job = context;
    const td_policy *policy = job->demand->policy;
    (void)err;
    for (int i = 0; i < policy->witness_count; i++) {
        td_note_key named;
        int64_t time = 0;
        td_cosign_state state = TD_COSIGN_MISSING;
        if (td_policy__by_witness(signature, &policy->witnesses[i], &named)) {
            state = judge_line(job, text, text_size, signature, &named, &time);
        } else if (bears_name(signature, &policy->witnesses[i])) {
            state = TD_COSIGN_KEY;
        }
        job->out->states[i] = state > job->out->states[i] ? state : job->out->states[i];
        if (state == TD_COSIGN_GOOD || state == TD_COSIGN_OLD) {
            job->out->verdict.times[i] = time > job->out->verdict.times[i] ? time : job->out->verdict.times[i];
        }
    }
    return TD_OK;
}

/* "customer has not cosigned it; plant: …", as far as an error's text goes; findings have the whole. */
static td_code refuse(const td_policy_demand *demand, const td_policy_findings *found, const char *what, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str words = {0};
    for (size_t i = 0; i < td_policy_witnesses(demand->policy); i++) {
        if (found->states[i] != TD_COSIGN_GOOD) {
            td_str_addf(&words, "; %s: %s", td_policy_witness_name(demand->policy, i),
                        td_cosign_state_means(found->states[i]));
        }
    }
    return td_fail(err, TD_CORRUPT, "the checkpoint of %lld records %s%s", (long long)found->verdict.root.size, what,
                   words.size > 0 ? td_str_text(&words) : "");
}

static td_code judge_quorum(const td_policy_demand *demand, td_policy_findings *found, td_err *err)
{
    char what[TD_POLICY_NAME_MAX + 64];
    int64_t counting[TD_POLICY_WITNESSES_MAX] = {0};
    for (size_t i = 0; i < td_policy_witnesses(demand->policy); i++) {
        td_cosign_state state = found->states[i];
        if (state == TD_COSIGN_FORGED || state == TD_COSIGN_OTHER) {
            return refuse(demand, found, "has a cosignature that is not over it", err);
        }
        counting[i] = state == TD_COSIGN_GOOD ? found->verdict.times[i] : 0;
        found->verdict.cosigned += state == TD_COSIGN_GOOD;
    }
    found->verdict.quorum = td_policy__quorum(demand->policy, counting);
    (void)snprintf(what, sizeof what, "has not reached the policy's quorum (%s)", td_policy_quorum(demand->policy));
    return found->verdict.quorum ? TD_OK : refuse(demand, found, what, err);
}

td_code td_policy_judge(const td_policy_demand *demand, const char *note, size_t size, td_policy_findings *out,
                        td_err *err)
{
    hearing job = {.demand = demand, .out = out};
    size_t text_size = 0;
    td_note_key own;
    memset(out, 0, sizeof *out);
    if (demand->policy->log_count == 0 && demand->vkey == NULL) {
        return td_fail(err, TD_INVALID, "the policy lists no log, so the log's own key is needed (--key)");
    }
    TD_TRY(td_note_each(note, size, hear, &job, &text_size, err));
    TD_TRY(td_checkpoint_parse(note, text_size, out->verdict.origin, &out->verdict.root, err));
    if (demand->policy->log_count > 0) {
        TD_TRY(td_policy__log_signed(demand->policy, note, size, out->verdict.origin, err));
    }
    if (demand->vkey != NULL) {
        TD_TRY(td_note_key_parse(demand->vkey, &own, err));
        TD_TRY(td_note_verify(note, size, &own, &text_size, err));
    }
    return judge_quorum(demand, out, err);
}
