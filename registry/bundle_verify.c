/*
 * bundle_verify.c: is this bundle what the approvers signed? And what does it say?
 *
 * The chain: root key → keyset → approvals → manifest → every byte. It is closed before the bundle's first byte is
 * read.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "registry/bundle_read.h"
#include "registry/modelsig.h"
#include "registry/trust.h"

#include <stdlib.h>
#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to report on a bundle");
}

/* ---- trust ---- */

typedef struct verification {
    const td_bundle_trust *trust;
    td_keyset keyset;
    td_signed_message approvals;
} verification;

static td_code open_keyset(verification *v, const td_bundle__contents *contents, td_err *err)
{
    const td_str *own = td_bundle__attest(contents, "keyset.pb");
    const td_bundle_trust *trust = v->trust;
    if (trust->keyset != NULL) {
        if (td_keyset_open(trust->keyset, trust->keyset_size, NULL, trust->root, &v->keyset, err) != TD_OK) {
            return td_wrap(err, "the given keyset");
        }
        return TD_OK;
    }
    if (trust->root == NULL) {
        return td_fail(err, TD_INVALID,
                       "nothing to check against: give the root's public key or a keyset that you trust");
    }
    if (own == NULL) {
        return td_fail(err, TD_CORRUPT,
                       "there is no attest/keyset.pb here: verify an export (`tidemark bundle export`), or give the "
                       "keyset");
    }
    if (td_keyset_open(own->data, own->size, NULL, trust->root, &v->keyset, err) != TD_OK) {
        return td_wrap(err, "attest/keyset.pb");
    }
    return TD_OK;
}

static td_code check_trust(void *context, td_bundle__contents *contents, td_err *err)
{
    verification *v = context;
    const td_str *own = td_bundle__attest(contents, "approvals.pb");
    const void *bytes = v->trust->approvals != NULL ? v->trust->approvals : own != NULL ? own->data : NULL;
    size_t size = v->trust->approvals != NULL ? v->trust->approvals_size : own != NULL ? own->size : 0;
    TD_TRY(open_keyset(v, contents, err));
    if (bytes == NULL) {
        return td_fail(err, TD_CORRUPT, "there is no attest/approvals.pb here: nobody's approval can be checked");
    }
    if (td_signed_message_decode(bytes, size, &v->approvals, err) != TD_OK ||
        td_keyset_verify(&v->keyset, TD_SIGNER_APPROVER, &v->approvals, TD_MANIFEST_TYPE, err) != TD_OK) {
        return td_wrap(err, "approvals");
    }
    return td_bundle__expect(contents, v->approvals.payload, v->approvals.payload_size, err);
}

/* ---- model.sig ---- */

static td_code model_files(const td_manifest *m, td_modelsig_file *files, size_t *count_out)
{
    size_t count = 0;
    for (size_t i = 0; i < m->file_count; i++) {
        if (strncmp(m->files[i].name, "model/", 6) == 0) {
            files[count].name = m->files[i].name + 6;
            memcpy(files[count].digest, m->files[i].digest, TD_DIGEST_SIZE);
            count++;
        }
    }
    *count_out = count;
    return TD_OK;
}

/* "absent", "unchecked" (no publisher's key was given) or "verified". */
static td_code check_model_sig(const td_bundle__contents *contents, const char *pem, const char **state_out,
                               td_err *err)
{
    const td_str *text = td_bundle__attest(contents, "model.sig");
    *state_out = text == NULL ? "absent" : "unchecked";
    if (text == NULL || pem == NULL) {
        return TD_OK;
    }
    td_arena arena = {0};
    size_t count = 0;
    td_modelsig_file *files = td_arena_alloc(&arena, TD_MANIFEST_FILES_MAX * sizeof *files);
    td_code code = files != NULL ? model_files(&contents->manifest, files, &count) : no_memory(err);
    if (code == TD_OK) {
        code = td_modelsig_verify(text->data, text->size, pem, files, count, err);
        if (code != TD_OK) {
            (void)td_wrap(err, "attest/model.sig");
        }
    }
    td_arena_done(&arena);
    *state_out = "verified";
    return code;
}

/* ---- the log's proof ---- */

/* Is it the record of an approval of exactly this manifest? */
static td_code check_record(const td_bundle__contents *contents, const td_str *record, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    uint8_t claimed[TD_DIGEST_SIZE], digest[TD_DIGEST_SIZE];
    TD_TRY(td_json_parse(td_str_text(record), record->size, "attest/approval.record.json", &json, err));
    const char *text = td_json_text(json_object_get(json, "object"), "digest", "");
    td_sha256_of(contents->manifest_bytes.data, contents->manifest_bytes.size, digest);
    if (strcmp(td_json_text(json, "action", ""), "approve.version") != 0 ||
        strcmp(td_json_text(json, "outcome", ""), "done") != 0 || td_digest_parse(text, claimed, err) != TD_OK ||
        memcmp(claimed, digest, sizeof digest) != 0) {
        return td_fail(err, TD_CORRUPT,
                       "attest/approval.record.json is not the record of an approval of this version's manifest");
    }
    return TD_OK;
}

/* "absent", "unchecked" (no key of the log was given; the record is of this approval) or "verified". */
static td_code check_proof(const td_bundle__contents *contents, const char *vkey, const char **state_out, td_err *err)
{
    const td_str *proof = td_bundle__attest(contents, "approval.proof");
    const td_str *record = td_bundle__attest(contents, "approval.record.json");
    int64_t index;
    td_log_root root;
    if (proof == NULL || record == NULL) {
        *state_out = "absent";
        return TD_OK;
    }
    TD_TRY(check_record(contents, record, err));
    *state_out = vkey != NULL ? "verified" : "unchecked";
    if (vkey != NULL && td_log_proof_check(td_str_text(proof), proof->size, record->data, record->size, vkey, &index,
                                           &root, err) != TD_OK) {
        return td_wrap(err, "attest/approval.proof");
    }
    return TD_OK;
}

/* ---- reports ---- */

/* One element a signature; with a keyset, whether its key is an approver's and the signature good. */
static td_code approvals_json(const td_signed_message *message, const td_keyset *keyset, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    for (size_t i = 0; i < message->signature_count; i++) {
        char hex[2 * TD_KEY_ID_SIZE + 1];
        td_hex_encode(message->signatures[i].key_id, TD_KEY_ID_SIZE, hex);
        json_t *one = json_pack("{s:s}", "key_id", hex);
        if (keyset != NULL && one != NULL) {
            td_signed_message alone = *message;
            uint32_t count = 0;
            alone.signatures[0] = message->signatures[i];
            alone.signature_count = 1;
            td_code code = td_keyset_count(keyset, TD_SIGNER_APPROVER, &alone, TD_MANIFEST_TYPE, &count, err);
            if (code != TD_OK || json_object_set_new(one, "good", json_boolean(count == 1)) != 0) {
                json_decref(one);
                return code != TD_OK ? code : no_memory(err);
            }
        }
        if (json_array_append_new(list, one) != 0) {
            return no_memory(err);
        }
    }
    *out = list;
    list = NULL;
    return TD_OK;
}

static int64_t count_lines(const td_str *text)
{
    int64_t lines = 0;
    for (size_t i = 0; text != NULL && i < text->size; i++) {
        lines += text->data[i] == '\n';
    }
    return lines;
}

static td_code report(const verification *v, const td_bundle__contents *contents, const char *model_sig,
                      const char *log_proof, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *approvals = NULL;
    uint8_t digest[TD_DIGEST_SIZE];
    char label[TD_DIGEST_LABEL_SIZE];
    td_sha256_of(contents->manifest_bytes.data, contents->manifest_bytes.size, digest);
    td_digest_format(digest, label);
    TD_TRY(approvals_json(&v->approvals, &v->keyset, &approvals, err));
    json_t *json = json_pack(
        "{s:s, s:I, s:s, s:s, s:O, s:I, s:I, s:I, s:I, s:s, s:s, s:I}", "model", contents->manifest.model, "version",
        (json_int_t)contents->manifest.version, "project", contents->manifest.project, "content_id", label, "approvals",
        approvals, "approver_threshold", (json_int_t)v->keyset.approver_threshold, "keyset_version",
        (json_int_t)v->keyset.version, "files", (json_int_t)contents->files, "bytes", (json_int_t)contents->bytes,
        "model_sig", model_sig, "log_proof", log_proof, "claims_unchecked",
        (json_int_t)count_lines(td_bundle__attest(contents, "claims.jsonl")));
    if (json == NULL) {
        return no_memory(err);
    }
    *out = json;
    return TD_OK;
}

td_code td_bundle_verify(const char *path, const td_bundle_trust *trust, json_t **report_out, td_err *err)
{
    TD_CLEANUP(td_bundle__contents_free) td_bundle__contents *contents = NULL;
    verification v = {.trust = trust};
    const char *model_sig, *log_proof;
    TD_TRY(td_bundle__read(path, check_trust, &v, &contents, err));
    TD_TRY(check_model_sig(contents, trust->publisher_pem, &model_sig, err));
    TD_TRY(check_proof(contents, trust->log_vkey, &log_proof, err));
    /* The approvals' payload was borrowed from attest/, which lives as long as contents. */
    return report_out != NULL ? report(&v, contents, model_sig, log_proof, report_out, err) : TD_OK;
}

/* ---- inspect ---- */

static td_code trust_nobody(void *context, td_bundle__contents *contents, td_err *err)
{
    (void)context;
    (void)contents;
    (void)err;
    return TD_OK;
}

static td_code add_attests(const td_bundle__contents *contents, json_t *json, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    for (size_t i = 0; i < contents->attest_count; i++) {
        json_t *one = json_pack("{s:s, s:I}", "name", contents->attests[i].name, "size",
                                (json_int_t)contents->attests[i].data.size);
        if (json_array_append_new(list, one) != 0) {
            return no_memory(err);
        }
    }
    return json_object_set(json, "attest", list) == 0 ? TD_OK : no_memory(err);
}

static td_code add_approvals(const td_bundle__contents *contents, json_t *json, td_err *err)
{
    const td_str *bytes = td_bundle__attest(contents, "approvals.pb");
    td_signed_message message;
    json_t *list;
    if (bytes == NULL) {
        return TD_OK;
    }
    TD_TRY(td_signed_message_decode(bytes->data, bytes->size, &message, err));
    TD_TRY(approvals_json(&message, NULL, &list, err));
    return json_object_set_new(json, "approvals", list) == 0 ? TD_OK : no_memory(err);
}

/* The lineage as JSON, or as it is when it is none; the card as text. */
static td_code add_meta(const td_bundle__contents *contents, json_t *json, td_err *err)
{
    int failed = 0;
    if (contents->lineage.size > 0) {
        json_t *lineage = NULL;
        if (td_json_parse(contents->lineage.data, contents->lineage.size, "meta/lineage.json", &lineage, NULL) ==
            TD_OK) {
            failed |= json_object_set_new(json, "lineage", lineage);
        }
    }
    if (contents->card.size > 0) {
        json_t *card = json_stringn(contents->card.data, contents->card.size);
        failed |= card != NULL ? json_object_set_new(json, "card", card) : 0; /* NULL: no UTF-8, hence no card */
    }
    return failed == 0 ? TD_OK : no_memory(err);
}

td_code td_bundle_attest_read(const char *path, const char *name, td_str *manifest_out, td_str *attest_out, td_err *err)
{
    TD_CLEANUP(td_bundle__contents_free) td_bundle__contents *contents = NULL;
    TD_TRY(td_bundle__read(path, trust_nobody, NULL, &contents, err));
    const td_str *found = td_bundle__attest(contents, name);
    if (found == NULL) {
        return td_fail(err, TD_NOT_FOUND, "%s holds no attest/%s", path, name);
    }
    td_str_append(manifest_out, contents->manifest_bytes.data, contents->manifest_bytes.size);
    td_str_append(attest_out, found->data, found->size);
    TD_TRY(td_str_check(manifest_out, err));
    return td_str_check(attest_out, err);
}

td_code td_bundle_inspect_json(const char *path, json_t **out, td_err *err)
{
    TD_CLEANUP(td_bundle__contents_free) td_bundle__contents *contents = NULL;
    json_t *manifest;
    TD_TRY(td_bundle__read(path, trust_nobody, NULL, &contents, err));
    TD_TRY(td_manifest_json(contents->manifest_bytes.data, contents->manifest_bytes.size, &manifest, err));
    TD_CLEANUP(td_json_done) json_t *json = json_pack("{s:o}", "manifest", manifest);
    if (json == NULL) {
        return no_memory(err);
    }
    TD_TRY(add_attests(contents, json, err));
    TD_TRY(add_approvals(contents, json, err));
    TD_TRY(add_meta(contents, json, err));
    *out = json;
    json = NULL;
    return TD_OK;
}
