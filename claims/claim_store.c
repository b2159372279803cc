/*
 * claim_store.c: the claims of each version: added, listed, found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "claims/claims.h"
#include "registry/content.h"

#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory for a claim");
}

/* ---- adding ---- */

static td_code check_permission(td_db *db, const td_actor *actor, const char *project, const td_claim *claim,
                                td_err *err)
{
    bool approval = strcmp(claim->statement.predicate_type, TD_PREDICATE_APPROVAL) == 0;
    if (approval && !claim->approves) {
        return td_fail(err, TD_CONFLICT,
                       "an approval comes with the signature over the manifest: `tidemark version approve`");
    }
    return td_access_recheck(db, actor, project, approval ? TD_MAY_APPROVE : TD_MAY_CLAIM, err);
}

/* A key may have been removed since the signature was checked. */
static td_code check_signer(td_db *db, const char *project, const td_claim_key *signer, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_claim_key *keys;
    size_t count;
    if (strcmp(signer->source, "publisher") == 0) {
        return TD_OK;
    }
    TD_TRY(td_claim_keys(db, project, 0, &arena, &keys, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (keys[i].key.kind == signer->key.kind &&
            memcmp(keys[i].key.bytes, signer->key.bytes, td_public_key_size(&signer->key)) == 0) {
            return TD_OK;
        }
    }
    return td_fail(err, TD_CORRUPT, "the key of %.64s counts no more", signer->name);
}

static td_code check_room(td_db *db, const td_version *version, const td_claim *claim, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT count(*) AS claims, coalesce(sum(size + 1), 0) AS bytes FROM claim "
                         "WHERE version_id = :version",
                         &stmt, err));
    td_bind_int(stmt, ":version", version->version_id);
    TD_TRY(td_step_one(stmt, err, "no count of claims"));
    int64_t claims = td_column_int(stmt, "claims"), bytes = td_column_int(stmt, "bytes");
    td_reset(stmt);
    if (claims >= TD_CLAIMS_MAX) {
        return td_fail(err, TD_LIMIT, "%s has %d claims already, the most that a version may have", version->label,
                       TD_CLAIMS_MAX);
    }
    if ((uint64_t)bytes + claim->line.size + 1 > TD_CLAIMS_BYTES_MAX) {
        return td_fail(err, TD_LIMIT, "the claims of %s would have more than %zu bytes", version->label,
                       TD_CLAIMS_BYTES_MAX);
    }
    return TD_OK;
}

static td_code check_version(const td_version *version, td_err *err)
{
    if (version->manifest == NULL) {
        return td_fail(
            err, TD_CONFLICT,
            "version %s is a draft and has no content id yet; submit it first (`tidemark version submit %s`)",
            version->label, version->label);
    }
    if (version->archived_ms != 0) {
        return td_fail(err, TD_CONFLICT, "version %s is archived", version->label);
    }
    return TD_OK;
}

static td_code record(td_db *db, const td_actor *actor, const td_version *version, const td_claim *claim,
                      int64_t *seq_out, td_err *err)
{
    char label[TD_DIGEST_LABEL_SIZE], key[2 * TD_KEY_ID_SIZE + 1];
    uint8_t key_id[TD_KEY_ID_SIZE];
    td_digest_format(claim->digest, label);
    td_public_key_id(&claim->signer->key, key_id);
    td_hex_encode(key_id, sizeof key_id, key);
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s}}", "claim", label, "covers", claim->covers,
                              "predicate_type", claim->statement.predicate_type, "signed_by", "source",
                              claim->signer->source, "name", claim->signer->name, "key_id", key);
    if (after == NULL) {
        return no_memory(err);
    }
    td_audit_entry entry = {.actor = actor,
                            .action = "add.claim",
                            .object_type = "version",
                            .object_id = version->label,
                            .digest = version->manifest_digest,
                            .project = version->project,
                            .after = after};
    return td_audit_append(db, &entry, seq_out, err);
}

static td_code claim_row(td_db *db, const td_actor *actor, const td_version *version, const td_claim *claim,
                         int64_t seq, td_err *err)
{
    td_stmt *stmt;
    uint8_t key_id[TD_KEY_ID_SIZE];
    TD_CLEANUP(td_json_done) json_t *summary = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_public_key_id(&claim->signer->key, key_id);
    TD_TRY(td_claim_summary(&claim->statement, &summary, err));
    TD_TRY(td_json_write(summary, &text, err));
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO claim (version_id, digest, size, predicate_type, covers, signer_source, signer, "
                         "key_id, summary, added_by, added_ms, audit_seq) VALUES (:version, :digest, :size, :type, "
                         ":covers, :source, :signer, :key, :summary, :by, :now, :seq)",
                         &stmt, err));
    td_bind_int(stmt, ":version", version->version_id);
    td_bind_blob(stmt, ":digest", claim->digest, TD_DIGEST_SIZE);
    td_bind_int(stmt, ":size", (int64_t)claim->line.size);
    td_bind_text(stmt, ":type", claim->statement.predicate_type);
    td_bind_text(stmt, ":covers", claim->covers);
    td_bind_text(stmt, ":source", claim->signer->source);
    td_bind_text(stmt, ":signer", claim->signer->name);
    td_bind_blob(stmt, ":key", key_id, sizeof key_id);
    td_bind_text(stmt, ":summary", td_str_text(&text));
    td_bind_text(stmt, ":by", actor->name);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":seq", seq);
    if (td_run(stmt, err) != TD_OK) {
        return err->code == TD_CONFLICT
                   ? td_fail(err, TD_CONFLICT, "version %s has this very claim already", version->label)
                   : err->code;
    }
    return TD_OK;
}

td_code td_claim_add(td_db *db, const td_actor *actor, const char *project, const char *reference,
                     const td_claim *claim, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    int64_t seq;
    TD_TRY(check_permission(db, actor, project, claim, err));
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    TD_TRY(check_version(&version, err));
    TD_TRY(check_signer(db, project, claim->signer, err));
    TD_TRY(check_room(db, &version, claim, err));
    TD_TRY(record(db, actor, &version, claim, &seq, err));
    return claim_row(db, actor, &version, claim, seq, err);
}

/* ---- reading ---- */

static td_code row_json(td_stmt *stmt, json_t *list, td_err *err)
{
    char label[TD_DIGEST_LABEL_SIZE], key[2 * TD_KEY_ID_SIZE + 1], added[32];
    size_t size;
    const char *type = td_column_text(stmt, "predicate_type"), *text = td_column_text(stmt, "summary");
    json_t *summary = NULL;
    TD_TRY(td_json_parse(text, strlen(text), "summary", &summary, err));
    td_digest_format(td_column_blob(stmt, "digest", &size), label);
    td_hex_encode(td_column_blob(stmt, "key_id", &size), TD_KEY_ID_SIZE, key);
    td_format_time(td_column_int(stmt, "added_ms"), added);
    json_t *claim = json_pack(
        "{s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:o, s:I, s:s, s:s, s:I}", "digest", label, "kind",
        td_predicate_kind(type), "predicate_type", type, "covers", td_column_text(stmt, "covers"), "signed_by",
        "source", td_column_text(stmt, "signer_source"), "name", td_column_text(stmt, "signer"), "key_id", key,
        "summary", summary, "size", (json_int_t)td_column_int(stmt, "size"), "added_by",
        td_column_text(stmt, "added_by"), "added_at", added, "audit_seq", (json_int_t)td_column_int(stmt, "audit_seq"));
    return json_array_append_new(list, claim) == 0 ? TD_OK : no_memory(err);
}

td_code td_claims_json(td_db *db, int64_t version_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    TD_TRY(td_db_prepare(db,
                         "SELECT digest, size, predicate_type, covers, signer_source, signer, key_id, summary, "
                         "added_by, added_ms, audit_seq FROM claim WHERE version_id = :version ORDER BY claim_id",
                         &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        if (row_json(stmt, list, err) != TD_OK) {
            td_reset(stmt);
            return err->code;
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    *out = list;
    list = NULL;
    return TD_OK;
}

/* ---- beside a version's own facts ---- */

static td_code count_claims(td_db *db, int64_t version_id, json_t *version, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT count(*) AS claims FROM claim WHERE version_id = :version", &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step_one(stmt, err, "no count of claims"));
    int failed = json_object_set_new(version, "claim_count", json_integer(td_column_int(stmt, "claims")));
    td_reset(stmt);
    return failed == 0 ? TD_OK : no_memory(err);
}

static td_code add_meaning(td_db *db, int64_t version_id, json_t *approval, td_err *err)
{
    td_stmt *stmt;
    bool row;
    size_t size;
    char label[TD_DIGEST_LABEL_SIZE];
    TD_CLEANUP(td_json_done) json_t *summary = NULL;
    TD_TRY(td_db_prepare(db,
                         "SELECT digest, summary FROM claim WHERE version_id = :version AND predicate_type = :type AND "
                         "signer = :signer AND signer_source = 'person' ORDER BY claim_id LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    td_bind_text(stmt, ":type", TD_PREDICATE_APPROVAL);
    td_bind_text(stmt, ":signer", td_json_text(approval, "user", ""));
    TD_TRY(td_step(stmt, &row, err));
    if (row) {
        const char *text = td_column_text(stmt, "summary");
        td_digest_format(td_column_blob(stmt, "digest", &size), label);
        td_code code = td_json_parse(text, strlen(text), "summary", &summary, err);
        td_reset(stmt);
        TD_TRY(code);
    }
    json_t *meaning = row ? json_string(td_json_text(summary, "meaning", "")) : json_null();
    bool failed = json_object_set_new(approval, "meaning", meaning) != 0 ||
                  json_object_set_new(approval, "statement", row ? json_string(label) : json_null()) != 0;
    return failed ? no_memory(err) : TD_OK;
}

static td_code find_version(td_db *db, const char *project, const json_t *version, int64_t *version_id_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT v.version_id AS version_id FROM project p JOIN model m ON m.project_id = p.project_id "
                         "JOIN version v ON v.model_id = m.model_id WHERE p.name = :project AND m.name = :model AND "
                         "v.number = :number",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":model", td_json_text(version, "model", ""));
    td_bind_int(stmt, ":number", td_json_int(version, "version", 0));
    TD_TRY(td_step_one(stmt, err, "no such version"));
    *version_id_out = td_column_int(stmt, "version_id");
    td_reset(stmt);
    return TD_OK;
}

td_code td_claims_complete(td_db *db, const char *project, json_t *version, td_err *err)
{
    int64_t version_id;
    const json_t *approvals = json_object_get(version, "approvals");
    TD_TRY(find_version(db, project, version, &version_id, err));
    TD_TRY(count_claims(db, version_id, version, err));
    for (size_t i = 0; i < json_array_size(approvals); i++) {
        TD_TRY(add_meaning(db, version_id, json_array_get(approvals, i), err));
    }
    return TD_OK;
}

td_code td_claim_digests(td_db *db, int64_t version_id, td_arena *arena, uint8_t (**out)[TD_DIGEST_SIZE],
                         size_t *count_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    size_t count = 0, size;
    uint8_t(*digests)[TD_DIGEST_SIZE] = td_arena_alloc(arena, sizeof *digests * TD_CLAIMS_MAX);
    if (digests == NULL) {
        return no_memory(err);
    }
    TD_TRY(td_db_prepare(db, "SELECT digest FROM claim WHERE version_id = :version ORDER BY claim_id", &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step(stmt, &row, err));
    while (row && count < TD_CLAIMS_MAX) {
        memcpy(digests[count++], td_column_blob(stmt, "digest", &size), TD_DIGEST_SIZE);
        TD_TRY(td_step(stmt, &row, err));
    }
    td_reset(stmt);
    *out = digests;
    *count_out = count;
    return TD_OK;
}

td_code td_claim_find(td_db *db, const td_version *version, const char *digest, uint8_t digest_out[TD_DIGEST_SIZE],
                      td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    uint8_t(*digests)[TD_DIGEST_SIZE];
    const uint8_t *found = NULL;
    const char *hex = strncmp(digest, "sha256:", 7) == 0 ? digest + 7 : digest;
    size_t count, length = strlen(hex), matches = 0;
    if (length < 4 || length > 2 * TD_DIGEST_SIZE || hex[strspn(hex, "0123456789abcdef")] != '\0') {
        return td_fail(err, TD_INVALID, "\"%.80s\" is no digest of a claim: 4 to 64 hexadecimal digits", digest);
    }
    TD_TRY(td_claim_digests(db, version->version_id, &arena, &digests, &count, err));
    for (size_t i = 0; i < count; i++) {
        char text[TD_DIGEST_TEXT];
        td_hex_encode(digests[i], TD_DIGEST_SIZE, text);
        if (strncmp(text, hex, length) == 0) {
            found = digests[i];
            matches++;
        }
    }
    if (matches != 1) {
        return td_fail(err, matches == 0 ? TD_NOT_FOUND : TD_CONFLICT,
                       "version %s has %s claim whose digest begins %.16s", version->label,
                       matches == 0 ? "no" : "more than one", hex);
    }
    memcpy(digest_out, found, TD_DIGEST_SIZE);
    return TD_OK;
}
