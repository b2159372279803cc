/*
 * usecase_claim.c: claims come in: the envelope is checked against the keys that count here, its line goes into
 * content, then the row and the audit record that name it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/usecase_claim.h"

#include <string.h>

/* ---- what is needed to judge one ---- */

td_code td_claim_about(const td_case *work, const char *reference, td_about *out, td_err *err)
{
    td_version version;
    TD_TRY(td_version_find(work->db, work->project, reference, work->arena, &version, err));
    if (version.manifest == NULL) {
        return td_fail(
            err, TD_CONFLICT,
            "version %s is a draft and has no content id yet; submit it first (`tidemark version submit %s`)",
            version.label, version.label);
    }
    return td_about_read(version.manifest, version.manifest_size, work->arena, out, err);
}

td_code td_claim_trusted(const td_case *work, td_claim_key **out, size_t *count_out, td_err *err)
{
    td_claim_key *keys;
    size_t count;
    TD_TRY(td_claim_keys(work->db, work->project, 1, work->arena, &keys, &count, err));
    keys[count] = (td_claim_key){.source = "publisher", .name = "publisher"};
    td_public_key_of(work->server->keys.publisher, &keys[count].key);
    *out = keys;
    *count_out = count + 1;
    return TD_OK;
}

/* What envelope and keys are read into must outlive the claim. */
static td_code open_claim(const td_case *work, const td_about *about, const json_t *json, td_claim *out, td_err *err)
{
    td_dsse envelope;
    td_claim_key *keys;
    size_t count;
    TD_TRY(td_dsse_read_json(json, work->arena, &envelope, err));
    TD_TRY(td_claim_trusted(work, &keys, &count, err));
    return td_claim_open(&envelope, keys, count, about, out, err);
}

td_code td_claim_approval(const td_case *work, const td_version *version, const char *reason, const json_t *json,
                          td_claim *out, td_err *err)
{
    td_claim claim = {.signer = NULL};
    td_about about;
    const td_approval_said want = {.approver = work->actor->name,
                                   .reason = reason,
                                   .version = version->label,
                                   .project = work->project,
                                   .time_ms = td_now_ms(work->server->clock)};
    TD_TRY(td_claim_about(work, version->label, &about, err));
    TD_TRY(open_claim(work, &about, json, &claim, err));
    if (td_claim_check_approval(&claim, &want, err) != TD_OK) {
        td_claim_done(&claim);
        return err->code;
    }
    *out = claim;
    return TD_OK;
}

/* ---- taking in ---- */

typedef struct claim_write {
    const td_case *work;
    const char *label;
    const td_claim *claim;
} claim_write;

/* The answer is made inside, so that it is kept with an Idempotency-Key. */
static td_code write_claim(td_db *db, void *context, td_err *err)
{
    const claim_write *write = context;
    const td_case *work = write->work;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    td_version version;
    TD_TRY(td_claim_add(db, work->actor, work->project, write->label, write->claim, err));
    if (work->request == NULL) {
        return TD_OK;
    }
    TD_TRY(td_version_find(db, work->project, write->label, &arena, &version, err));
    TD_TRY(td_claims_json(db, version.version_id, &list, err));
    json_t *last = json_array_get(list, json_array_size(list) - 1);
    return td_answer_json(work->request, 201, json_incref(last), err);
}

td_code td_claim_store(const td_case *work, const td_claim *claim, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    return td_content_put_bytes(work->server->content, claim->line.data, claim->line.size, digest, err);
}

td_code td_claim_take(const td_case *work, const char *reference, const json_t *json, td_err *err)
{
    TD_CLEANUP(td_claim_done) td_claim claim = {.signer = NULL};
    td_about about;
    TD_TRY(td_claim_about(work, reference, &about, err));
    TD_TRY(open_claim(work, &about, json, &claim, err));
    TD_TRY(td_claim_store(work, &claim, err));
    claim_write write = {work, about.label, &claim};
    return td_case_write(work, write_claim, &write, err);
}

/* ---- giving out ---- */

td_code td_claim_lines(const td_case *work, const td_version *version, td_str *out, td_err *err)
{
    uint8_t(*digests)[TD_DIGEST_SIZE];
    size_t count;
    TD_TRY(td_claim_digests(work->db, version->version_id, work->arena, &digests, &count, err));
    for (size_t i = 0; i < count; i++) {
        TD_TRY(td_content_read(work->server->content, digests[i], TD_DSSE_BYTES_MAX, out, err));
        td_str_add_char(out, '\n');
    }
    return td_str_check(out, err);
}
