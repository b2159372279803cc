/*
 * witness_store.c: the policy in force, cosignatures, and which checkpoints are published.
 *
 * A published note is put together when it is read: what the log signed, then each cosignature that has come, so that
 * one that comes late is not lost.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/witness.h"

#include "audit/internal.h"
#include "audit/policy_parts.h"

#include <string.h>

typedef struct in_force {
    int64_t id; /* 0: no policy ever */
    bool quorum;
    int64_t since_size;
} in_force;

static td_code read_in_force(td_db *db, in_force *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    in_force found = {.id = 0};
    TD_TRY(td_db_prepare(db, "SELECT policy_id, quorum, since_size FROM log_policy ORDER BY policy_id DESC LIMIT 1",
                         &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    if (row) {
        found = (in_force){td_column_int(stmt, "policy_id"), td_column_int(stmt, "quorum") != 0,
                           td_column_int(stmt, "since_size")};
    }
    td_reset(stmt);
    *out = found;
    return TD_OK;
}

/* The newest checkpoint of at most max_size. */
static td_code read_checkpoint(td_db *db, int64_t max_size, td_log_root *root_out, td_str *note_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db, "SELECT size, root, note FROM log_checkpoint WHERE size <= :size ORDER BY size DESC LIMIT 1", &stmt, err));
    td_bind_int(stmt, ":size", max_size);
    TD_TRY(td_step_one(stmt, err,
                       "the log has no checkpoint yet; one is made about a second after the first record, and is "
                       "published when the witnesses' quorum has cosigned it, if there is a policy"));
    size_t size = 0;
    const void *root = td_column_blob(stmt, "root", &size);
    bool good = root != NULL && size == TD_DIGEST_SIZE;
    if (good) {
        root_out->size = td_column_int(stmt, "size");
        memcpy(root_out->hash, root, TD_DIGEST_SIZE);
        if (note_out != NULL) {
            td_str_add(note_out, td_column_text(stmt, "note"));
        }
    }
    td_reset(stmt);
    TD_TRY(note_out != NULL ? td_str_check(note_out, err) : TD_OK);
    return good ? TD_OK : td_fail(err, TD_CORRUPT, "the newest checkpoint's root has %zu bytes, not 32", size);
}

static td_code visit_cosignatures(td_stmt *stmt, td_cosignature_visit visit, void *context, td_err *err)
{
    bool row;
    size_t size = 0;
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        const void *witness = td_column_blob(stmt, "witness", &size);
        if (witness == NULL || size != TD_ED25519_PUBLIC_SIZE) {
            return td_fail(err, TD_CORRUPT, "a stored witness's key has %zu bytes", size);
        }
        TD_TRY(visit(context, witness, td_column_int(stmt, "time_s"), td_column_text(stmt, "line"), err));
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

td_code td_log__cosignatures(td_db *db, int64_t size, td_cosignature_visit visit, void *context, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db, "SELECT witness, time_s, line FROM log_cosignature WHERE size = :size ORDER BY witness", &stmt, err));
    td_bind_int(stmt, ":size", size);
    td_code code = visit_cosignatures(stmt, visit, context, err);
    td_reset(stmt);
    return code;
}

static td_code add_line_of(void *note_out, const uint8_t *witness, int64_t time_s, const char *line, td_err *err)
{
    (void)witness;
    (void)time_s;
    td_str_add(note_out, line);
    return td_str_check(note_out, err);
}

static td_code add_cosignatures(td_db *db, int64_t size, td_str *note_out, td_err *err)
{
    return td_log__cosignatures(db, size, add_line_of, note_out, err);
}

/* 0 without one; at_ms_out may be NULL. */
static td_code newest_published(td_db *db, int64_t *size_out, int64_t *at_ms_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT size, at_ms FROM log_published ORDER BY size DESC LIMIT 1", &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    *size_out = row ? td_column_int(stmt, "size") : 0;
    if (at_ms_out != NULL) {
        *at_ms_out = row ? td_column_int(stmt, "at_ms") : 0;
    }
    td_reset(stmt);
    return TD_OK;
}

/* The largest size that may be published. */
static td_code published_limit(td_db *db, int64_t *out, td_err *err)
{
    in_force policy;
    int64_t published = 0;
    TD_TRY(read_in_force(db, &policy, err));
    if (!policy.quorum) {
        *out = INT64_MAX;
        return TD_OK;
    }
    TD_TRY(newest_published(db, &published, NULL, err));
    *out = published > policy.since_size ? published : policy.since_size;
    return TD_OK;
}

td_code td_log__checkpoint(td_db *db, td_log_root *root_out, td_str *note_out, td_err *err)
{
    int64_t limit = 0;
    td_log_root root;
    TD_TRY(published_limit(db, &limit, err));
    TD_TRY(read_checkpoint(db, limit, &root, note_out, err));
    TD_TRY(add_cosignatures(db, root.size, note_out, err));
    *root_out = root;
    return TD_OK;
}

td_code td_log_checkpoint_read(td_db *db, td_str *out, td_err *err)
{
    td_log_root root;
    return td_log__checkpoint(db, &root, out, err);
}

td_code td_log_signed_read(td_db *db, td_log_root *root_out, td_str *note_out, td_err *err)
{
    return read_checkpoint(db, INT64_MAX, root_out, note_out, err);
}

td_code td_log_published_read(td_db *db, int64_t *size_out, int64_t *at_ms_out, td_err *err)
{
    int64_t limit = 0;
    td_log_root root = {.size = 0};
    td_stmt *stmt;
    bool row;
    TD_TRY(published_limit(db, &limit, err));
    td_code code = read_checkpoint(db, limit, &root, NULL, err);
    if (code != TD_OK) {
        *size_out = *at_ms_out = 0;
        return code == TD_NOT_FOUND ? TD_OK : code;
    }
    TD_TRY(td_db_prepare(db,
                         "SELECT coalesce(log_published.at_ms, log_checkpoint.at_ms) AS at_ms FROM log_checkpoint "
                         "LEFT JOIN log_published USING (size) WHERE log_checkpoint.size = :size",
                         &stmt, err));
    td_bind_int(stmt, ":size", root.size);
    TD_TRY(td_step(stmt, &row, err));
    *at_ms_out = row ? td_column_int(stmt, "at_ms") : 0;
    *size_out = root.size;
    td_reset(stmt);
    return TD_OK;
}

/* ---- the policy ---- */

static td_code same_policy(td_db *db, int64_t id, const char *text, bool *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT text = :text AS same FROM log_policy WHERE policy_id = :id", &stmt, err));
    td_bind_text(stmt, ":text", text);
    td_bind_int(stmt, ":id", id);
    TD_TRY(td_step_one(stmt, err, "there is no policy %lld", (long long)id));
    *out = td_column_int(stmt, "same") != 0;
    td_reset(stmt);
    return TD_OK;
}

static td_code put_policy(td_db *db, bool quorum, const char *text, td_err *err)
{
    int64_t size = 0, at_ms = 0;
    td_stmt *stmt;
    TD_TRY(td_log_published_read(db, &size, &at_ms, err));
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO log_policy (text, quorum, since_size, at_ms) VALUES (:text, :quorum, :size, :at)",
                         &stmt, err));
    td_bind_text(stmt, ":text", text);
    td_bind_bool(stmt, ":quorum", quorum);
    td_bind_int(stmt, ":size", size);
    td_bind_int(stmt, ":at", td_db_now_ms(db));
    return td_run(stmt, err);
}

static td_code record_policy(td_db *db, const td_policy *policy, const char *text, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    td_sha256_of(text, strlen(text), digest);
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s, s:I}", "quorum", policy != NULL ? td_policy_quorum(policy) : "none", "witnesses",
                              (json_int_t)(policy != NULL ? td_policy_witnesses(policy) : 0));
    td_audit_entry entry = {.actor = &td_actor_system,
                            .action = "change.witness_policy",
                            .object_type = "policy",
                            .object_id = "witnesses",
                            .digest = digest,
                            .after = after};
    return after == NULL ? td_fail(err, TD_NOMEM, "no memory for a record") : td_audit_append(db, &entry, NULL, err);
}

td_code td_log_policy_install(td_db *db, const td_policy *policy, const char *text, td_err *err)
{
    in_force before;
    bool same = false;
    TD_TRY(read_in_force(db, &before, err));
    if (policy == NULL && before.id == 0) {
        return TD_OK;
    }
    text = policy == NULL ? "quorum none\n" : text;
    TD_TRY(before.id != 0 ? same_policy(db, before.id, text, &same, err) : TD_OK);
    if (same) {
        return TD_OK;
    }
    TD_TRY(put_policy(db, policy != NULL && policy->quorum >= 0, text, err));
    return record_policy(db, policy, text, err);
}

/* ---- cosignatures ---- */

static td_code add_line(td_db *db, const td_cosignature *cosignature, td_err *err)
{
    td_stmt *stmt;
    const td_policy_witness *witness = &cosignature->policy->witnesses[cosignature->witness];
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO log_cosignature (size, witness, time_s, line) "
                         "VALUES (:size, :witness, :time, :line) ON CONFLICT (size, witness) DO NOTHING",
                         &stmt, err));
    td_bind_int(stmt, ":size", cosignature->size);
    td_bind_blob(stmt, ":witness", witness->key.public_key, sizeof witness->key.public_key);
    td_bind_int(stmt, ":time", cosignature->time_s);
    td_bind_text(stmt, ":line", cosignature->line);
    return td_run(stmt, err);
}

static td_code publish(td_db *db, int64_t size, int64_t policy_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO log_published (size, policy_id, at_ms) VALUES (:size, :policy, :at) "
                         "ON CONFLICT (size) DO NOTHING",
                         &stmt, err));
    td_bind_int(stmt, ":size", size);
    td_bind_int(stmt, ":policy", policy_id);
    td_bind_int(stmt, ":at", td_db_now_ms(db));
    return td_run(stmt, err);
}

td_code td_witness_store(td_db *db, const td_cosignature *cosignature, bool *published_out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_log_root root;
    td_policy_verdict verdict;
    in_force policy;
    TD_TRY(read_checkpoint(db, cosignature->size, &root, &note, err));
    if (root.size != cosignature->size) {
        return td_fail(err, TD_NOT_FOUND, "there is no checkpoint of %lld records", (long long)cosignature->size);
    }
    TD_TRY(add_line(db, cosignature, err));
    TD_TRY(add_cosignatures(db, root.size, &note, err));
    TD_TRY(td_policy_weigh(cosignature->policy, cosignature->vkey, note.data, note.size, &verdict, err));
    if (verdict.times[cosignature->witness] == 0) {
        return td_fail(err, TD_CORRUPT, "the cosignature of %s is not there",
                       td_policy_witness_name(cosignature->policy, cosignature->witness));
    }
    TD_TRY(read_in_force(db, &policy, err));
    bool published = verdict.quorum && policy.quorum;
    TD_TRY(published ? publish(db, root.size, policy.id, err) : TD_OK);
    *published_out = published;
    return TD_OK;
}

td_code td_witness_newest(td_db *db, const td_policy *policy, size_t witness, int64_t *size_out, int64_t *time_s_out,
                          td_err *err)
{
    td_stmt *stmt;
    bool row;
    const td_note_key *key = &policy->witnesses[witness].key;
    TD_TRY(td_db_prepare(db,
                         "SELECT size, time_s FROM log_cosignature WHERE witness = :witness ORDER BY size DESC LIMIT 1",
                         &stmt, err));
    td_bind_blob(stmt, ":witness", key->public_key, sizeof key->public_key);
    TD_TRY(td_step(stmt, &row, err));
    *size_out = row ? td_column_int(stmt, "size") : 0;
    *time_s_out = row ? td_column_int(stmt, "time_s") : 0;
    td_reset(stmt);
    return TD_OK;
}
