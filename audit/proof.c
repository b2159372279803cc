/*
 * proof.c: proofs that a record is in the log, as text that stands on its own: C2SP tlog-proof and Sigsum's own form.
 *
 * The `extra` line of the one and the `leaf` line of the other hold what a stranger cannot compute from the record: the
 * leaf's signature and the hash of the submitter's key.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"
#include "audit/leaf.h"
#include "audit/note.h"

#include <string.h>

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

/* What every form of the proof is made of, all of one state of the database. */
typedef struct proven {
    int64_t seq;
    td_log_root root;
    td_str note;
    td_log_proof path;
    uint8_t leaf[TD_LOG_LEAF_SIZE];
} proven;

static void proven_done(proven *what)
{
    td_str_done(&what->note);
}

static td_code prove(td_db *db, int64_t seq, proven *out, td_err *err)
{
    out->seq = seq;
    td_code found = td_log__checkpoint(db, &out->root, &out->note, err);
    if (found != TD_OK && found != TD_NOT_FOUND) {
        return found;
    }
    TD_TRY(check_covered(db, seq, out->root.size, err));
    TD_TRY(td_log_inclusion(db, seq, out->root.size, &out->path, err));
    return td_log__leaf(db, seq, out->leaf, err);
}

static td_code write_proof(td_db *db, int64_t seq, td_str *out, td_err *err)
{
    TD_CLEANUP(proven_done) proven what = {.seq = seq};
    TD_TRY(prove(db, seq, &what, err));
    td_str_add(out, "c2sp.org/tlog-proof@v1\nextra ");
    td_base64_add(out, what.leaf + TD_LEAF_SIGNATURE, sizeof what.leaf - TD_LEAF_SIGNATURE);
    td_str_addf(out, "\nindex %lld\n", (long long)seq);
    for (size_t i = 0; i < what.path.count; i++) {
        td_base64_add(out, what.path.hashes[i], TD_DIGEST_SIZE);
        td_str_add_char(out, '\n');
    }
    td_str_addf(out, "\n%s", td_str_text(&what.note));
    return td_str_check(out, err);
}

td_code td_log_proof_text(td_db *db, int64_t seq, td_str *out, td_err *err)
{
    TD_TRY(td_db_read_begin(db, err)); /* checkpoint and nodes must be of one state */
    td_code code = write_proof(db, seq, out, err);
    td_db_read_end(db);
    return code;
}

/* ---- Sigsum's own form, version 2 ---- */

static void add_hex(td_str *out, const char *before, const uint8_t *bytes, size_t size)
{
    char hex[2 * TD_SIGNATURE_SIZE + 1];
    td_hex_encode(bytes, size, hex);
    td_str_addf(out, "%s%s", before, hex);
}

typedef struct log_signature {
    char origin[TD_LOG_ORIGIN_MAX];
    const uint8_t *found;
    uint8_t bytes[TD_SIGNATURE_SIZE];
} log_signature;

/* A log's line has the origin as its name. */
static td_code take_signature(void *context, const char *text, size_t text_size, const td_note_signature *line,
                              td_err *err)
{
    log_signature *out = context;
    td_log_root root;
    TD_TRY(td_checkpoint_parse(text, text_size, out->origin, &root, err));
    if (line->name_size == strlen(out->origin) && memcmp(line->name, out->origin, line->name_size) == 0 &&
        line->blob_size == sizeof out->bytes) {
        memcpy(out->bytes, line->blob, sizeof out->bytes);
        out->found = out->bytes;
    }
    return TD_OK;
}

static td_code add_cosignature(void *context, const uint8_t witness[TD_ED25519_PUBLIC_SIZE], int64_t time_s,
                               const char *line, td_err *err)
{
    uint8_t blob[TD_NOTE_KEY_ID_SIZE + 8 + TD_SIGNATURE_SIZE], key_hash[TD_DIGEST_SIZE];
    size_t size = 0;
    const char *base64 = strrchr(line, ' ');
    base64 = base64 != NULL ? base64 + 1 : "";
    if (td_base64_decode(base64, strcspn(base64, "\n"), blob, sizeof blob, &size, NULL) != TD_OK ||
        size != sizeof blob) {
        return td_fail(err, TD_CORRUPT, "a stored cosignature is not base64 of %zu bytes", sizeof blob);
    }
    td_sha256_of(witness, TD_ED25519_PUBLIC_SIZE, key_hash);
    add_hex(context, "cosignature=", key_hash, sizeof key_hash);
    td_str_addf(context, " %lld", (long long)time_s);
    add_hex(context, " ", blob + sizeof blob - TD_SIGNATURE_SIZE, TD_SIGNATURE_SIZE);
    td_str_add_char(context, '\n');
    return TD_OK;
}

static td_code write_sigsum(td_db *db, int64_t seq, td_str *out, td_err *err)
{
    TD_CLEANUP(proven_done) proven what = {.seq = seq};
    log_signature log = {.found = NULL};
    size_t text_size;
    TD_TRY(prove(db, seq, &what, err));
    TD_TRY(td_note_each(what.note.data, what.note.size, take_signature, &log, &text_size, err));
    const char *log_hash = strrchr(log.origin, '/'); /* the origin ends with the hash of the log's key */
    if (log.found == NULL || log_hash == NULL) {
        return td_fail(err, TD_CORRUPT, "the checkpoint has no signature of its log");
    }
    td_str_addf(out, "version=2\nlog=%s\n", log_hash + 1);
    add_hex(out, "leaf=", what.leaf + TD_LEAF_KEY_HASH, TD_DIGEST_SIZE);
    add_hex(out, " ", what.leaf + TD_LEAF_SIGNATURE, TD_SIGNATURE_SIZE);
    td_str_addf(out, "\n\nsize=%lld\n", (long long)what.root.size);
    add_hex(out, "root_hash=", what.root.hash, TD_DIGEST_SIZE);
    add_hex(out, "\nsignature=", log.found, TD_SIGNATURE_SIZE);
    td_str_add_char(out, '\n');
    TD_TRY(td_log__cosignatures(db, what.root.size, add_cosignature, out, err));
    if (what.root.size > 1) {
        td_str_addf(out, "\nleaf_index=%lld\n", (long long)seq);
    }
    for (size_t i = 0; i < what.path.count; i++) {
        add_hex(out, "node_hash=", what.path.hashes[i], TD_DIGEST_SIZE);
        td_str_add_char(out, '\n');
    }
    return td_str_check(out, err);
}

td_code td_log_sigsum_text(td_db *db, int64_t seq, td_str *out, td_err *err)
{
    TD_TRY(td_db_read_begin(db, err));
    td_code code = write_sigsum(db, seq, out, err);
    td_db_read_end(db);
    return code;
}
