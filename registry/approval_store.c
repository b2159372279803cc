/*
 * approval_store.c: approvals: people's signatures over a manifest, counted once a person.
 *
 * What makes a version approved is not the row but the envelope: manifest and signatures that every device checks
 * again. So the envelope is built from the rows, deterministically, and must be in content before the deciding
 * transaction.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/content.h"
#include "registry/registry_internal.h"
#include "registry/version_move.h"

#include <stdlib.h>
#include <string.h>

/* ---- the envelope ---- */

static int by_key(const void *a, const void *b)
{
    return memcmp(((const td_signature *)a)->key_id, ((const td_signature *)b)->key_id, TD_KEY_ID_SIZE);
}

/* The signatures whose keys are still in the keyset. */
static td_code read_signatures(td_db *db, int64_t version_id, td_signed_message *message, td_err *err)
{
    td_stmt *stmt;
    bool row;
    size_t size;
    TD_TRY(td_db_prepare(db,
                         "SELECT a.key_id, a.signature FROM approval a JOIN approver_key k ON k.key_id = a.key_id "
                         "WHERE a.version_id = :version AND k.removed_ms IS NULL",
                         &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step(stmt, &row, err));
    while (row && message->signature_count < TD_SIGNATURES_MAX) {
        td_signature *signature = &message->signatures[message->signature_count];
        memcpy(signature->key_id, td_column_blob(stmt, "key_id", &size), TD_KEY_ID_SIZE);
        memcpy(signature->signature, td_column_blob(stmt, "signature", &size), TD_SIGNATURE_SIZE);
        message->signature_count++;
        TD_TRY(td_step(stmt, &row, err));
    }
    td_reset(stmt);
    return TD_OK;
}

/* Appends the encoded envelope; *count_out (may be NULL): its signatures. */
static td_code build_envelope(td_db *db, const td_version *version, const td_approval *more, td_str *out,
                              size_t *count_out, td_err *err)
{
    td_signed_message message = {
        .payload_type = TD_MANIFEST_TYPE, .payload = version->manifest, .payload_size = version->manifest_size};
    TD_TRY(read_signatures(db, version->version_id, &message, err));
    if (more != NULL) {
        if (message.signature_count == TD_SIGNATURES_MAX) {
            return td_fail(err, TD_LIMIT, "version %s has %d approvals already", version->label, TD_SIGNATURES_MAX);
        }
        td_signature *signature = &message.signatures[message.signature_count++];
        memcpy(signature->key_id, more->key_id, TD_KEY_ID_SIZE);
        memcpy(signature->signature, more->signature, TD_SIGNATURE_SIZE);
    }
    qsort(message.signatures, message.signature_count, sizeof message.signatures[0], by_key);
    if (count_out != NULL) {
        *count_out = message.signature_count;
    }
    return td_signed_message_encode(&message, out, err);
}

td_code td_version_envelope(td_db *db, const char *project, const char *reference, const td_approval *more, td_str *out,
                            td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    if (version.manifest == NULL) {
        return td_fail(err, TD_CONFLICT, "version %s was not submitted yet (`tidemark version submit %s`)",
                       version.label, version.label);
    }
    return build_envelope(db, &version, more, out, NULL, err);
}

/* ---- may he? ---- */

/* Whoever registered what a version was derived from made it as much as the one who converted it. */
static td_code check_origin(td_db *db, const td_actor *actor, const td_version *version, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "WITH RECURSIVE origin (version_id, depth) AS ("
                         "  SELECT parent_id, 1 FROM version WHERE version_id = :version AND derived_by IS NOT NULL"
                         "  UNION SELECT v.parent_id, o.depth + 1 FROM origin o JOIN version v ON v.version_id = "
                         "  o.version_id WHERE v.derived_by IS NOT NULL AND o.depth < 1000) "
                         "SELECT m.name AS model, v.number FROM origin o JOIN version v ON v.version_id = "
                         "o.version_id JOIN model m ON m.model_id = v.model_id WHERE v.registrar_id = :user LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":version", version->version_id);
    td_bind_int(stmt, ":user", actor->user_id);
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return TD_OK;
    }
    td_code code = td_fail(err, TD_DENIED,
                           "%s registered %.80s/%lld, which %s was derived from, and cannot approve it; somebody else "
                           "with the role approver must",
                           actor->name, td_column_text(stmt, "model"), (long long)td_column_int(stmt, "number"),
                           version->label);
    td_reset(stmt);
    return code;
}

static td_code check_editor(td_db *db, const td_actor *actor, const td_version *version, td_err *err)
{
    td_stmt *stmt;
    bool row;
    if (version->registrar_id == actor->user_id) {
        return td_fail(err, TD_DENIED,
                       "%s registered %s and cannot approve it too; somebody else with the role approver must",
                       actor->name, version->label);
    }
    TD_TRY(td_db_prepare(db, "SELECT 1 AS found FROM version_editor WHERE version_id = :version AND user_id = :user",
                         &stmt, err));
    td_bind_int(stmt, ":version", version->version_id);
    td_bind_int(stmt, ":user", actor->user_id);
    TD_TRY(td_step(stmt, &row, err));
    td_reset(stmt);
    if (row) {
        return td_fail(err, TD_DENIED,
                       "%s edited the metadata of %s and cannot approve it too; somebody else with the role "
                       "approver must",
                       actor->name, version->label);
    }
    return TD_OK;
}

static td_code check_first_time(td_db *db, const td_actor *actor, const td_version *version, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT 1 AS found FROM approval WHERE version_id = :version AND user_id = :user", &stmt,
                         err));
    td_bind_int(stmt, ":version", version->version_id);
    td_bind_int(stmt, ":user", actor->user_id);
    TD_TRY(td_step(stmt, &row, err));
    td_reset(stmt);
    if (row) {
        return td_fail(err, TD_CONFLICT, "%s has approved %s already; one person counts once", actor->name,
                       version->label);
    }
    return TD_OK;
}

static td_code check_key(td_db *db, const td_actor *actor, const td_approval *approval,
                         uint8_t public_key_out[TD_P256_PUBLIC_SIZE], td_err *err)
{
    char hex[2 * TD_KEY_ID_SIZE + 1];
    td_stmt *stmt;
    size_t size;
    td_hex_encode(approval->key_id, TD_KEY_ID_SIZE, hex);
    TD_TRY(td_db_prepare(db, "SELECT user_id, user_name, public_key, removed_ms FROM approver_key WHERE key_id = :key",
                         &stmt, err));
    td_bind_blob(stmt, ":key", approval->key_id, TD_KEY_ID_SIZE);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return td_fail(err, TD_DENIED, "the key %s is in no keyset; have it added first (`tidemark key enrol`)", hex);
    }
    bool removed = !td_column_null(stmt, "removed_ms");
    bool own = td_column_int(stmt, "user_id") == actor->user_id;
    memcpy(public_key_out, td_column_blob(stmt, "public_key", &size), TD_P256_PUBLIC_SIZE);
    td_reset(stmt);
    if (!own) {
        return td_fail(err, TD_DENIED, "the key %s is not %s's: approve with your own key", hex, actor->name);
    }
    return removed ? td_fail(err, TD_DENIED, "the key %s was removed from the keyset; approve with a current key", hex)
                   : TD_OK;
}

/* The keyset itself has the last word: it is what devices see. */
static td_code check_signature(const td_trust *trust, const uint8_t public_key[TD_P256_PUBLIC_SIZE],
                               const td_version *version, const td_approval *approval, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pae = {0};
    bool listed = false;
    for (size_t i = 0; i < trust->keyset.key_count; i++) {
        const td_signer_key *key = &trust->keyset.keys[i];
        listed |= key->role == TD_SIGNER_APPROVER && memcmp(key->public_key, public_key, TD_P256_PUBLIC_SIZE) == 0;
    }
    if (!listed) {
        return td_fail(err, TD_DENIED, "the key is not an approver's in keyset %u", trust->keyset.version);
    }
    TD_TRY(td_dsse_pae(TD_MANIFEST_TYPE, version->manifest, version->manifest_size, &pae, err));
    if (td_p256_verify(public_key, pae.data, pae.size, approval->signature, err) != TD_OK) {
        return td_fail(err, TD_CORRUPT,
                       "the signature is not one of this key over the manifest of %s; fetch the manifest again and "
                       "sign it",
                       version->label);
    }
    return TD_OK;
}

static td_code check_all(td_db *db, const td_actor *actor, const td_version *version, const td_approval *approval,
                         td_trust *trust, td_err *err)
{
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    if (!td_actor_is_person(actor) || actor->user_id <= 0) {
        return td_fail(err, TD_DENIED, "%s is no person: only people approve", actor->name);
    }
    TD_TRY(td_registry__reason_check(approval->reason, err));
    TD_TRY(check_editor(db, actor, version, err));
    TD_TRY(check_origin(db, actor, version, err));
    TD_TRY(td_states_check(&td_version_states, version->label, (int)version->state, TD_VERSION_APPROVED, err));
    TD_TRY(check_first_time(db, actor, version, err));
    TD_TRY(check_key(db, actor, approval, public_key, err));
    uint64_t expires_ms = trust->keyset.expires_ms;
    if (expires_ms != 0 && expires_ms < (uint64_t)td_db_now_ms(db)) {
        return td_fail(err, TD_CONFLICT, "keyset %u has expired; root must sign a new one first",
                       trust->keyset.version);
    }
    return check_signature(trust, public_key, version, approval, err);
}

/* ---- approving ---- */

static td_code approval_row(td_db *db, const td_actor *actor, const td_version *version, const td_approval *approval,
                            int64_t seq, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "INSERT INTO approval (version_id, user_id, user_name, key_id, signature, reason, approved_ms, "
                      "audit_seq) VALUES (:version, :user, :name, :key, :signature, :reason, :now, :seq)",
                      &stmt, err));
    td_bind_int(stmt, ":version", version->version_id);
    td_bind_int(stmt, ":user", actor->user_id);
    td_bind_text(stmt, ":name", actor->name);
    td_bind_blob(stmt, ":key", approval->key_id, TD_KEY_ID_SIZE);
    td_bind_blob(stmt, ":signature", approval->signature, TD_SIGNATURE_SIZE);
    td_bind_text(stmt, ":reason", approval->reason);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":seq", seq);
    return td_run(stmt, err);
}

/* `state`: that the version is in afterwards. */
static td_code record(td_db *db, const td_actor *actor, const td_version *version, const td_approval *approval,
                      td_version_state state, int64_t *seq_out, td_err *err)
{
    char key[2 * TD_KEY_ID_SIZE + 1];
    char signature[2 * TD_SIGNATURE_SIZE + 1];
    char statement[TD_DIGEST_LABEL_SIZE] = "";
    td_hex_encode(approval->key_id, TD_KEY_ID_SIZE, key);
    td_hex_encode(approval->signature, TD_SIGNATURE_SIZE, signature);
    if (approval->statement_digest != NULL) {
        td_digest_format(approval->statement_digest, statement);
    }
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s, s:s, s:s, s:s, s:s*}", "key_id", key, "signature", signature, "payload_type",
                              TD_MANIFEST_TYPE, "state", td_version_states.names[state], "statement",
                              approval->statement_digest != NULL ? statement : NULL);
    TD_TRY(td_registry__json_ok(after, err));
    td_audit_entry entry = {.actor = actor,
                            .action = "approve.version",
                            .object_type = "version",
                            .object_id = version->label,
                            .digest = version->manifest_digest,
                            .project = version->project,
                            .reason = approval->reason,
                            .after = after};
    return td_audit_append(db, &entry, seq_out, err);
}

static td_code approved_row(td_db *db, const td_version *version, const td_approval *approval, const td_str *envelope,
                            int64_t seq, td_err *err)
{
    td_stmt *stmt;
    uint8_t digest[TD_DIGEST_SIZE];
    td_sha256_of(envelope->data, envelope->size, digest);
    if (approval->envelope_digest != NULL && memcmp(digest, approval->envelope_digest, sizeof digest) != 0) {
        return td_fail(err, TD_BUSY, "another approval of %s came at the same time; try again", version->label);
    }
    TD_TRY(
        td_db_prepare(db,
                      "UPDATE version SET envelope_digest = :digest, envelope_size = :size, model_sig_digest = :sig, "
                      "approval_seq = :seq WHERE version_id = :version",
                      &stmt, err));
    td_bind_blob(stmt, ":digest", digest, sizeof digest);
    td_bind_int(stmt, ":size", (int64_t)envelope->size);
    td_bind_blob(stmt, ":sig", approval->model_sig_digest, approval->model_sig_digest != NULL ? TD_DIGEST_SIZE : 0);
    td_bind_int(stmt, ":seq", seq);
    td_bind_int(stmt, ":version", version->version_id);
    return td_run(stmt, err);
}

static td_code raise_counter(td_db *db, const td_version *version, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db, "UPDATE model SET security_counter = max(security_counter, :counter) WHERE model_id = :model", &stmt, err));
    td_bind_int(stmt, ":counter", version->security_counter);
    td_bind_int(stmt, ":model", version->model_id);
    return td_run(stmt, err);
}

/* At the threshold: the envelope is named, and the state moves. */
static td_code decide(td_db *db, const td_actor *actor, const td_version *version, const td_approval *approval,
                      int64_t seq, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    TD_TRY(build_envelope(db, version, NULL, &envelope, NULL, err));
    TD_TRY(approved_row(db, version, approval, &envelope, seq, err));
    TD_TRY(raise_counter(db, version, err));
    td_registry__move move = {
        .version = version, .actor = actor, .to = TD_VERSION_APPROVED, .reason = approval->reason};
    TD_TRY(td_registry__move_row(db, &move, seq, err));
    return td_registry__decided(db, version->version_id, err);
}

td_code td_version_approve(td_db *db, const td_actor *actor, const char *project, const char *reference,
                           const td_approval *approval, td_version_state *state_out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    td_version version;
    td_trust trust;
    int64_t seq;
    size_t count;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_APPROVE, err));
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    TD_TRY(td_trust_current(db, &arena, &trust, err));
    TD_TRY(check_all(db, actor, &version, approval, &trust, err));
    TD_TRY(build_envelope(db, &version, approval, &envelope, &count, err));
    bool enough = count >= trust.keyset.approver_threshold;
    td_version_state state = enough ? TD_VERSION_APPROVED : TD_VERSION_PENDING;
    TD_TRY(record(db, actor, &version, approval, state, &seq, err));
    TD_TRY(approval_row(db, actor, &version, approval, seq, err));
    if (enough) {
        TD_TRY(decide(db, actor, &version, approval, seq, err));
    }
    *state_out = state;
    return TD_OK;
}
