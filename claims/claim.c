/*
 * claim.c: one claim: whose it is, what it says, and whether it is the approval that it should be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "claims/claims.h"

#include <string.h>

void td_claim_done(td_claim *claim)
{
    td_statement_done(&claim->statement);
    td_str_done(&claim->line);
}

static const td_claim_key *find_signer(const td_dsse *envelope, const td_claim_key *keys, size_t count)
{
    td_err ignored;
    for (size_t i = 0; i < count; i++) {
        if (td_dsse_verify(envelope, &keys[i].key, &ignored) == TD_OK) {
            return &keys[i];
        }
    }
    return NULL;
}

static td_code open_claim(const td_dsse *envelope, const td_claim_key *keys, size_t key_count, const td_about *about,
                          td_claim *claim, td_err *err)
{
    claim->envelope = *envelope;
    claim->signer = find_signer(envelope, keys, key_count);
    if (claim->signer == NULL) {
        const char *hint = envelope->signatures[0].key_id;
        return td_fail(err, TD_CORRUPT, "the claim is signed by none of the %zu trusted keys%s%.40s%s", key_count,
                       *hint != '\0' ? " (it names key \"" : "", hint, *hint != '\0' ? "\")" : "");
    }
    if (strcmp(envelope->payload_type, TD_STATEMENT_PAYLOAD) != 0) {
        return td_fail(err, TD_CORRUPT, "the claim's payload is of type \"%.60s\", not " TD_STATEMENT_PAYLOAD,
                       envelope->payload_type);
    }
    TD_TRY(td_statement_read(envelope->payload, envelope->payload_size, &claim->statement, err));
    claim->covers = about != NULL ? td_statement_covers(&claim->statement, about) : NULL;
    if (about != NULL && claim->covers == NULL) {
        return td_fail(err, TD_CORRUPT,
                       "the claim is about something else: none of its subjects has the SHA-256 of %s (its content id, "
                       "the root of its model.sig, or a model file)",
                       about->label);
    }
    TD_TRY(td_dsse_write(envelope, &claim->line, err));
    td_sha256_of(claim->line.data, claim->line.size, claim->digest);
    return TD_OK;
}

td_code td_claim_open(const td_dsse *envelope, const td_claim_key *keys, size_t key_count, const td_about *about,
                      td_claim *out, td_err *err)
{
    td_claim claim = {.signer = NULL};
    td_code code = open_claim(envelope, keys, key_count, about, &claim, err);
    if (code != TD_OK) {
        td_claim_done(&claim);
        return code;
    }
    *out = claim;
    return TD_OK;
}

/* ---- approvals ---- */

static td_code differs(td_err *err, const char *what, const char *said, const char *want)
{
    return td_fail(err, TD_CORRUPT, "the approval's statement says %s \"%.80s\", not \"%.80s\"; sign again", what, said,
                   want);
}

static td_code check_time(const td_approval_said *said, int64_t now_ms, td_err *err)
{
    char theirs[32], ours[32];
    if (said->time_ms >= now_ms - TD_APPROVAL_SKEW_MS && said->time_ms <= now_ms + TD_APPROVAL_SKEW_MS) {
        return TD_OK;
    }
    td_format_time(said->time_ms, theirs);
    td_format_time(now_ms, ours);
    return td_fail(err, TD_CORRUPT,
                   "the approval's statement is of %s, the server's clock says %s; they may differ by 5 minutes: set "
                   "the clock and sign again",
                   theirs, ours);
}

td_code td_claim_check_approval(td_claim *claim, const td_approval_said *want, td_err *err)
{
    td_approval_said said;
    const char *type = claim->statement.predicate_type;
    if (strcmp(type, TD_PREDICATE_APPROVAL) != 0) {
        return differs(err, "predicateType", type, TD_PREDICATE_APPROVAL);
    }
    if (claim->covers == NULL || strcmp(claim->covers, "version") != 0) {
        return td_fail(err, TD_CORRUPT, "the approval's statement does not name the content id of the version");
    }
    if (strcmp(claim->signer->source, "person") != 0 || strcmp(claim->signer->name, want->approver) != 0) {
        return td_fail(err, TD_CORRUPT, "the approval's statement is signed by %.64s's key, not %.64s's",
                       claim->signer->name, want->approver);
    }
    TD_TRY(td_approval_said_read(claim->statement.predicate, &said, err));
    const struct {
        const char *what, *said, *want;
    } same[] = {{"approver", said.approver, want->approver},
                {"reason", said.reason, want->reason},
                {"version", said.version, want->version},
                {"project", said.project, want->project}};
    for (size_t i = 0; i < TD_COUNT_OF(same); i++) {
        if (strcmp(same[i].said, same[i].want) != 0) {
            return differs(err, same[i].what, same[i].said, same[i].want);
        }
    }
    TD_TRY(check_time(&said, want->time_ms, err));
    claim->approves = true;
    return TD_OK;
}

/* ---- summaries ---- */

/* Copies text entries of an object under names of ours; long ones are not shown. */
static void show(json_t *out, const char *name, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value) && json_string_length(value) <= TD_MEANING_MAX) {
        (void)json_object_set(out, name, (json_t *)value);
    }
}

td_code td_claim_summary(const td_statement *statement, json_t **out, td_err *err)
{
    const json_t *predicate = statement->predicate;
    const json_t *build = json_object_get(predicate, "buildDefinition"),
                 *run = json_object_get(predicate, "runDetails");
    json_t *summary = json_object();
    if (summary == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a claim");
    }
    show(summary, "approver", json_object_get(predicate, "approver"), "name");
    show(summary, "meaning", predicate, "meaning");
    show(summary, "reason", predicate, "reason");
    show(summary, "time", predicate, "time");
    show(summary, "build_type", build, "buildType");
    show(summary, "builder", json_object_get(run, "builder"), "id");
    show(summary, "invocation", json_object_get(run, "metadata"), "invocationId");
    show(summary, "result", predicate, "result");
    show(summary, "spec_version", predicate, "specVersion");
    *out = summary;
    return TD_OK;
}
