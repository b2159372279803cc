/*
 * proof.c: proofs that a record is in the log, as text that stands on its own (C2SP tlog-proof).
 *
 * The `extra` line holds what a stranger cannot compute from the record: the leaf's signature and the hash of the
 * submitter's key. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"
#include "audit/leaf.h"

td_code td_log_inclusion(td_db *db, int64_t index, int64_t size, td_log_proof *out, td_err *err)
{
    return td_merkle_inclusion(index, size, td_log__fetch, db, out, err);
}

td_code td_log_consistency(td_db *db, int64_t old_size, int64_t new_size, td_log_proof *out, td_err *err)
{
    return td_merkle_consistency(old_size, new_size, td_log__fetch, db, out, err);
}

static td_code check_covered(td_db *db, int64_t seq, int64_t size, td_err *err)
{
    int64_t records = 0;
    TD_TRY(td_audit_count(db, &records, err));
    if (seq < 0 || seq >= records) {
        return td_fail(err, TD_NOT_FOUND, "the log has no record %lld; it has %lld", (long long)seq,
                       (long long)records);
    }
    if (seq >= size) {
        return td_fail(err, TD_BUSY, "no checkpoint covers record %lld yet; try again in a second", (long long)seq);
    }
    return TD_OK;
}

static td_code write_proof(td_db *db, int64_t seq, td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_log_root root = {.size = 0};
    td_log_proof proof;
    uint8_t leaf[TD_LOG_LEAF_SIZE];
    td_code found = td_log__checkpoint(db, &root, &note, err);
    if (found != TD_OK && found != TD_NOT_FOUND) {
        return found;
    }
    TD_TRY(check_covered(db, seq, root.size, err));
    TD_TRY(td_log_inclusion(db, seq, root.size, &proof, err));
    TD_TRY(td_log__leaf(db, seq, leaf, err));
    td_str_add(out, "c2sp.org/tlog-proof@v1\nextra ");
    td_base64_add(out, leaf + TD_LEAF_SIGNATURE, sizeof leaf - TD_LEAF_SIGNATURE);
    td_str_addf(out, "\nindex %lld\n", (long long)seq);
    for (size_t i = 0; i < proof.count; i++) {
        td_base64_add(out, proof.hashes[i], TD_DIGEST_SIZE);
        td_str_add_char(out, '\n');
    }
    td_str_addf(out, "\n%s", td_str_text(&note));
    return td_str_check(out, err);
}

td_code td_log_proof_text(td_db *db, int64_t seq, td_str *out, td_err *err)
{
    TD_TRY(td_db_read_begin(db, err)); /* checkpoint and nodes must be of one state */
    td_code code = write_proof(db, seq, out, err);
    td_db_read_end(db);
    return code;
}
