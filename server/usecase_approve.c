/*
 * usecase_approve.c: an approver's signature is recorded; at the threshold the version's envelope and model.sig are
 * complete.
 *
 * The envelope (manifest and all approvals) must lie in content before the transaction that names it, so it is built
 * first; if another approval came between, it is built again.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "core/base/fs.h"
#include "lineage/lineage.h"
#include "registry/modelsig.h"
#include "registry/trust.h"
#include "server/usecase_claim.h"
#include "server/workspace_internal.h"

#include <stdio.h>
#include <string.h>

#define TRIES 3

typedef struct approval_write {
    const td_case *work;
    const td_version *version;
    td_approval approval;
    const td_claim *statement; /* or NULL */
    td_version_state state;
} approval_write;

static td_code put_model_sig(const td_case *work, const td_version *version, uint8_t digest_out[TD_DIGEST_SIZE],
                             td_err *err)
{
    td_manifest manifest;
    TD_TRY(td_manifest_read(version->manifest, version->manifest_size, work->arena, &manifest, err));
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_modelsig_of_manifest(&manifest, work->server->keys.publisher, &text, err));
    return td_content_put_bytes(work->server->content, text.data, text.size, digest_out, err);
}

static td_code write_approval(td_db *db, void *context, td_err *err)
{
    approval_write *write = context;
    const td_case *work = write->work;
    const char *label = write->version->label;
    TD_TRY(td_version_approve(db, work->actor, work->project, label, &write->approval, &write->state, err));
    char name[TD_LINEAGE_NAME_MAX];
    snprintf(name, sizeof name, "%s#%s", label, work->actor->name);
    if (write->statement != NULL) {
        TD_TRY(td_claim_add(db, work->actor, work->project, label, write->statement, err));
    }
    td_lineage_node approval = {"approval", name, write->approval.reason, NULL};
    return td_lineage_edge_add(db, work->project, &approval, TD_NODE("version", label), "approved", NULL, err);
}

static td_code try_once(const td_case *work, const td_version *version, const td_approval *approval,
                        const td_claim *statement, td_version_state *state_out, td_err *err)
{
    uint8_t envelope_digest[TD_DIGEST_SIZE], sig_digest[TD_DIGEST_SIZE];
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    TD_TRY(td_version_envelope(work->db, work->project, version->label, approval, &envelope, err));
    TD_TRY(td_content_put_bytes(work->server->content, envelope.data, envelope.size, envelope_digest, err));
    TD_TRY(put_model_sig(work, version, sig_digest, err));
    approval_write write = {.work = work, .version = version, .approval = *approval, .statement = statement};
    write.approval.envelope_digest = envelope_digest;
    write.approval.model_sig_digest = sig_digest;
    TD_TRY(td_case_write(work, write_approval, &write, err));
    *state_out = write.state;
    return TD_OK;
}

typedef struct refusal {
    const td_case *work;
    const char *label, *reason, *why;
} refusal;

static td_code write_refusal(td_db *db, void *context, td_err *err)
{
    const refusal *refused = context;
    td_audit_entry entry = {.actor = refused->work->actor,
                            .action = "approve.version",
                            .object_type = "version",
                            .object_id = refused->label,
                            .project = refused->work->project,
                            .denied = true,
                            .decision = refused->why,
                            .reason = refused->reason};
    return td_audit_append(db, &entry, NULL, err);
}

/* Again when another approval came between. */
static td_code try_often(const td_case *work, const td_version *version, const td_approval *approval,
                         const td_claim *statement, td_version_state *state_out, td_err *err)
{
    td_code code = TD_BUSY;
    for (int i = 0; i < TRIES && code == TD_BUSY; i++) {
        if (i > 0) { /* see what the other approval wrote */
            td_db_read_end(work->db);
            TD_TRY(td_db_read_begin(work->db, err));
        }
        code = try_once(work, version, approval, statement, state_out, err);
    }
    return code;
}

/* Profile regulated: a signature without a meaning is none (21 CFR 11.50). */
static td_code demand_statement(const td_case *work, const char *label, const json_t *statement, td_err *err)
{
    if (statement != NULL || strcmp(work->server->profile, "regulated") != 0) {
        return TD_OK;
    }
    if (work->request != NULL) {
        work->request->problem_code = "statement_required";
    }
    return td_fail(
        err, TD_INVALID,
        "profile regulated: an approval says what the signature means: `tidemark version approve %s --reason "
        "TEXT --meaning approval` (or review, responsibility, or your own words)",
        label);
}

static td_code same_key(const td_approval *approval, const td_claim *claim, td_err *err)
{
    uint8_t key_id[TD_KEY_ID_SIZE];
    td_public_key_id(&claim->signer->key, key_id);
    return memcmp(key_id, approval->key_id, sizeof key_id) == 0
               ? TD_OK
               : td_fail(err, TD_CORRUPT,
                         "the statement is signed by another key than the manifest; sign both with one");
}

td_code td_approve(const td_case *work, const char *reference, const td_approval *approval, const json_t *statement,
                   td_version_state *state_out, td_err *err)
{
    TD_CLEANUP(td_claim_done) td_claim claim = {.signer = NULL};
    td_version version;
    td_approval full = *approval;
    TD_TRY(td_version_find(work->db, work->project, reference, work->arena, &version, err));
    TD_TRY(demand_statement(work, version.label, statement, err));
    if (statement != NULL) {
        TD_TRY(td_claim_approval(work, &version, approval->reason, statement, &claim, err));
        TD_TRY(same_key(approval, &claim, err));
        TD_TRY(td_claim_store(work, &claim, err));
        full.statement_digest = claim.digest;
    }
    td_code code = try_often(work, &version, &full, statement != NULL ? &claim : NULL, state_out, err);
    if (code == TD_DENIED) {
        char why[240];
        snprintf(why, sizeof why, "%s", err->text);
        refusal refused = {work, version.label, approval->reason, why};
        td_err ignored;
        (void)!td_server_write(work->server, write_refusal, &refused, &ignored);
    }
    return code;
}

/* ---- export ---- */

typedef struct attest_list {
    td_attest rows[7];
    td_str texts[7];
    size_t count;
} attest_list;

static void attests_done(attest_list *attests)
{
    for (size_t i = 0; i < TD_COUNT_OF(attests->texts); i++) {
        td_str_done(&attests->texts[i]);
    }
}

/* Where the next entry's bytes go. */
static td_str *next_text(attest_list *attests)
{
    return &attests->texts[attests->count];
}

static void add(attest_list *attests, const char *name)
{
    const td_str *text = &attests->texts[attests->count];
    attests->rows[attests->count++] = (td_attest){name, text->data, text->size};
}

static td_code add_content(const td_case *work, attest_list *attests, const char *name, const uint8_t *digest,
                           td_err *err)
{
    TD_TRY(td_content_read(work->server->content, digest, TD_BUNDLE_ATTEST_BYTES_MAX, next_text(attests), err));
    add(attests, name);
    return TD_OK;
}

static td_code add_keyset(const td_case *work, attest_list *attests, td_err *err)
{
    td_trust trust;
    TD_TRY(td_trust_current(work->db, work->arena, &trust, err));
    td_str_append(next_text(attests), trust.envelope, trust.envelope_size);
    TD_TRY(td_str_check(next_text(attests), err));
    add(attests, "keyset.pb");
    return TD_OK;
}

/* The record of the approval and its proof of inclusion, once a checkpoint covers it. */
static td_code add_proof(const td_case *work, attest_list *attests, int64_t seq, td_err *err)
{
    TD_TRY(td_log_proof_text(work->db, seq, next_text(attests), err));
    add(attests, "approval.proof");
    TD_TRY(td_audit_record(work->db, seq, next_text(attests), err));
    add(attests, "approval.record.json");
    return TD_OK;
}

static td_code add_claims(const td_case *work, const td_version *version, attest_list *attests, td_err *err)
{
    TD_TRY(td_claim_lines(work, version, next_text(attests), err));
    if (next_text(attests)->size > 0) {
        add(attests, "claims.jsonl");
    }
    return TD_OK;
}

static td_code gather(const td_case *work, const td_version *version, attest_list *attests, td_err *err)
{
    TD_TRY(add_keyset(work, attests, err));
    if (version->has_envelope) {
        TD_TRY(add_content(work, attests, "approvals.pb", version->envelope_digest, err));
    }
    if (version->has_model_sig) {
        TD_TRY(add_content(work, attests, "model.sig", version->model_sig_digest, err));
        char path[4096];
        TD_TRY(td_workspace_file(work->server->path, TD_FILE_PUBLISHER_PUBLIC, path, err));
        TD_TRY(td_file_read(path, 4096, next_text(attests), err));
        add(attests, "publisher.pub.pem");
    }
    TD_TRY(add_claims(work, version, attests, err));
    return version->approval_seq >= 0 ? add_proof(work, attests, version->approval_seq, err) : TD_OK;
}

td_code td_export_version(const td_case *work, const td_version *version, uint8_t digest_out[TD_DIGEST_SIZE],
                          uint64_t *size_out, td_err *err)
{
    if (!version->manifest) {
        return td_fail(err, TD_CONFLICT, "version %s is a draft and has no bundle yet; submit it first",
                       version->label);
    }
    TD_CLEANUP(attests_done) attest_list attests = {.count = 0};
    TD_TRY(gather(work, version, &attests, err));
    td_export export = {.attests = attests.rows, .attest_count = attests.count};
    memcpy(export.bundle_digest, version->bundle_digest, TD_DIGEST_SIZE);
    return td_bundle_export_content(work->server->content, &export, digest_out, size_out, err);
}
