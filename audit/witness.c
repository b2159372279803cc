/*
 * witness.c: the bodies of add-checkpoint, made and read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/witness.h"

#include "audit/internal.h"
#include "audit/policy_parts.h"

#include <stdio.h>
#include <string.h>

td_code td_witness_request(td_db *db, int64_t old_size, int64_t size, const char *note, td_str *out, td_err *err)
{
    td_log_proof proof = {.count = 0};
    if (old_size > size) {
        return td_fail(err, TD_CONFLICT, "the witness has seen %lld records, the log has %lld", (long long)old_size,
                       (long long)size);
    }
    if (old_size > 0 && old_size < size) {
        TD_TRY(td_log_consistency(db, old_size, size, &proof, err));
    }
    td_str_addf(out, "old %lld\n", (long long)old_size);
    for (size_t i = 0; i < proof.count; i++) {
        td_base64_add(out, proof.hashes[i], TD_DIGEST_SIZE);
        td_str_add_char(out, '\n');
    }
    td_str_addf(out, "\n%s", note);
    return td_str_check(out, err);
}

td_code td_witness_size(const char *body, size_t body_size, int64_t *out, td_err *err)
{
    char text[24];
    bool newline = body_size > 1 && body[body_size - 1] == '\n';
    size_t size = newline ? body_size - 1 : 0;
    if (size == 0 || size >= sizeof text || (body[0] == '0' && size > 1)) {
        return td_fail(err, TD_CORRUPT, "the witness's answer 409 holds no tree size");
    }
    memcpy(text, body, size);
    text[size] = '\0';
    if (strspn(text, "0123456789") != size || td_parse_int(text, "size", 0, TD_MERKLE_SIZE_MAX, out, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "the witness's answer 409 holds no tree size");
    }
    return TD_OK;
}

typedef struct finding {
    const td_policy_witness *witness;
    td_cosignature *out;
    bool found;
} finding;

/* The line's place in the note says nothing of who signed: the same test as the policy's. */
static td_code look(void *context, const char *text, size_t text_size, const td_note_signature *signature, td_err *err)
{
    finding *job = context;
    td_note_key named;
    int64_t time = 0;
    if (!td_policy__by_witness(signature, job->witness, &named)) {
        return TD_OK;
    }
    TD_TRY(td_note_check(text, text_size, signature, &named, &time, err));
    if (signature->line_size >= sizeof job->out->line) {
        return td_fail(err, TD_CORRUPT, "the cosignature's line has %zu bytes", signature->line_size);
    }
    if (!job->found || time > job->out->time_s) {
        memcpy(job->out->line, signature->line, signature->line_size);
        job->out->line[signature->line_size] = '\0';
        job->out->time_s = time;
    }
    job->found = true;
    return TD_OK;
}

td_code td_witness_take(td_cosignature *cosignature, const char *note, const char *body, size_t body_size, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str whole = {0};
    td_cosignature made = *cosignature;
    finding job = {.witness = &cosignature->policy->witnesses[cosignature->witness], .out = &made};
    size_t text_size = 0;
    td_str_add(&whole, note);
    td_str_append(&whole, body, body_size);
    TD_TRY(td_str_check(&whole, err));
    if (memchr(body, '\0', body_size) != NULL || (body_size > 1 && memcmp(body, "\xe2\x80\x94", 3) != 0)) {
        return td_fail(err, TD_CORRUPT, "the answer is not a list of signature lines");
    }
    TD_TRY(td_note_each(whole.data, whole.size, look, &job, &text_size, err));
    if (!job.found) {
        return td_fail(err, TD_CORRUPT, "the answer holds no cosignature by the key that the policy names");
    }
    *cosignature = made;
    return TD_OK;
}

td_code td_log_contradiction(td_db *db, const char *kind, const char *name, const char *what, td_err *err)
{
    td_audit_entry entry = {.actor = &td_actor_system,
                            .action = "contradict.log",
                            .object_type = kind,
                            .object_id = name,
                            .decision = what};
    return td_audit_append(db, &entry, NULL, err);
}
