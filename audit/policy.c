/*
 * policy.c: what a signed note is worth under a policy.
 *
 * Each witness counts once, however often it signed; each party counts in one group only, which the reader saw to.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/policy_parts.h"

#include <string.h>

typedef struct weighing {
    const td_policy *policy;
    const td_note_key *logs;
    size_t log_count;
    bool by_log[TD_POLICY_LOGS_MAX];
    td_policy_verdict verdict;
} weighing;

size_t td_policy_logs(const td_policy *policy)
{
    return (size_t)policy->log_count;
}

td_code td_policy_log_vkey(const td_policy *policy, size_t index, td_str *out, td_err *err)
{
    return td_note_key_text(&policy->logs[index], out, err);
}

size_t td_policy_witnesses(const td_policy *policy)
{
    return (size_t)policy->witness_count;
}

const char *td_policy_witness_name(const td_policy *policy, size_t index)
{
    for (int i = 0; i < policy->party_count; i++) {
        if (policy->parties[i].witness == (int)index) {
            return policy->parties[i].name;
        }
    }
    return "";
}

const char *td_policy_witness_url(const td_policy *policy, size_t index)
{
    return policy->witnesses[index].url;
}

bool td_policy_accepts_log(const td_policy *policy, const uint8_t log_public[TD_ED25519_PUBLIC_SIZE])
{
    td_note_key own;
    td_note_key_of(log_public, &own);
    for (int i = 0; i < policy->log_count; i++) {
        const td_note_key *key = &policy->logs[i];
        if (memcmp(key->public_key, own.public_key, sizeof own.public_key) == 0 && strcmp(key->name, own.name) == 0) {
            return true;
        }
    }
    return policy->log_count == 0;
}

const char *td_policy_quorum(const td_policy *policy)
{
    return policy->quorum < 0 ? "none" : policy->parties[policy->quorum].name;
}

/* A bare key signs under whatever name it likes: the name goes into the id that it must have. */
bool td_policy__by_witness(const td_note_signature *signature, const td_policy_witness *witness, td_note_key *named)
{
    *named = witness->key;
    if (witness->any_name) {
        memcpy(named->name, signature->name, signature->name_size);
        named->name[signature->name_size] = '\0';
        td_note_key_derive(named);
    }
    return td_note_signed_by(signature, named);
}

static td_code take_signature(void *context, const char *text, size_t text_size, const td_note_signature *signature,
                              td_err *err)
{
    weighing *job = context;
    int64_t time = 0;
    for (size_t i = 0; i < job->log_count; i++) {
        if (td_note_signed_by(signature, &job->logs[i])) {
            TD_TRY(td_note_check(text, text_size, signature, &job->logs[i], &time, err));
            job->by_log[i] = true;
        }
    }
    for (int i = 0; i < job->policy->witness_count; i++) {
        td_note_key named;
        if (td_policy__by_witness(signature, &job->policy->witnesses[i], &named)) {
            int64_t *newest = &job->verdict.times[i];
            TD_TRY(td_note_check(text, text_size, signature, &named, &time, err));
            job->verdict.cosigned += *newest == 0;
            *newest = time > *newest ? time : *newest;
        }
    }
    return TD_OK;
}

bool td_policy__quorum(const td_policy *policy, const int64_t *times)
{
    int seen[TD_POLICY_PARTIES_MAX] = {0}; /* members that have seen the tree */
    for (int i = 0; i < policy->party_count; i++) { /* members come before their groups */
        const td_policy_party *party = &policy->parties[i];
        bool has = party->witness >= 0 ? times[party->witness] > 0 : seen[i] >= party->threshold;
        if (has && i == policy->quorum) {
            return true;
        }
        if (has && party->group_of >= 0) {
            seen[party->group_of]++;
        }
    }
    return policy->quorum < 0;
}

static td_code signed_by_its_log(const weighing *job, td_err *err)
{
    for (size_t i = 0; i < job->log_count; i++) {
        if (job->by_log[i] && strcmp(job->logs[i].name, job->verdict.origin) == 0) {
            return TD_OK;
        }
    }
    return td_fail(err, TD_CORRUPT, "the checkpoint of %.100s is not signed by %s", job->verdict.origin,
                   job->log_count == 1 ? job->logs[0].name : "any log of the policy under its own name");
}

td_code td_policy__log_signed(const td_policy *policy, const char *note, size_t size, const char *origin, td_err *err)
{
    for (int i = 0; i < policy->log_count; i++) {
        if (strcmp(policy->logs[i].name, origin) == 0) {
            size_t text_size;
            return td_note_verify(note, size, &policy->logs[i], &text_size, err);
        }
    }
    return td_fail(err, TD_CORRUPT, "the policy is for another log: it lists %s%s, the checkpoint is of %.100s",
                   policy->logs[0].name, policy->log_count > 1 ? " and others" : "", origin);
}

td_code td_policy_weigh(const td_policy *policy, const char *vkey, const char *note, size_t size,
                        td_policy_verdict *out, td_err *err)
{
    td_note_key own;
    weighing job = {.policy = policy, .logs = policy->logs, .log_count = (size_t)policy->log_count};
    size_t text_size = 0;
    if (vkey != NULL) {
        TD_TRY(td_note_key_parse(vkey, &own, err));
        job.logs = &own;
        job.log_count = 1;
    }
    if (job.log_count == 0) {
        return td_fail(err, TD_INVALID, "the policy lists no log, so the log's own key is needed (--key)");
    }
    TD_TRY(td_note_each(note, size, take_signature, &job, &text_size, err));
    TD_TRY(td_checkpoint_parse(note, text_size, job.verdict.origin, &job.verdict.root, err));
    TD_TRY(signed_by_its_log(&job, err));
    job.verdict.quorum = td_policy__quorum(policy, job.verdict.times);
    *out = job.verdict;
    return TD_OK;
}

td_code td_policy_check(const td_policy *policy, const char *vkey, const char *note, size_t size,
                        td_policy_verdict *out, td_err *err)
{
    td_policy_verdict verdict;
    TD_TRY(td_policy_weigh(policy, vkey, note, size, &verdict, err));
    if (!verdict.quorum) {
        TD_CLEANUP(td_str_done) td_str names = {0};
        for (size_t i = 0; i < td_policy_witnesses(policy); i++) {
            if (verdict.times[i] > 0) {
                td_str_addf(&names, "%s%s", names.size > 0 ? ", " : "", td_policy_witness_name(policy, i));
            }
        }
        return td_fail(err, TD_CORRUPT,
                       "the checkpoint of %lld records has cosignatures of %.120s: not enough for the policy's quorum "
                       "(%.60s)",
                       (long long)verdict.root.size, names.size > 0 ? td_str_text(&names) : "no witness it names",
                       td_policy_quorum(policy));
    }
    *out = verdict;
    return TD_OK;
}
