/*
 * signer.c: the part that signs checkpoints, and remembers.
 *
 * Its memory is a file of its own, not the database: a database that was rewritten or restored from an old backup
 * cannot get a second history signed. Order: check the proof, persist the new tree, then sign. A crash between the
 * last two loses a signature that can be made again; the other order could lose the memory of one that is out in the
 * world. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"
#include "audit/note.h"
#include "audit/witness.h"

#include "core/base/fs.h"
#include "core/base/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define STATE_MAX ((size_t)4096)

struct td_log_signer {
    const td_key *key;
    char *state_path;
    char origin[TD_LOG_ORIGIN_MAX];
    td_log_root root;
};

void td_log_signer_close(td_log_signer **signer)
{
    if (signer != NULL && *signer != NULL) {
        free((*signer)->state_path);
        free(*signer);
        *signer = NULL;
    }
}

const char *td_log_signer_origin(const td_log_signer *signer)
{
    return signer->origin;
}

td_log_root td_log_signer_root(const td_log_signer *signer)
{
    return signer->root;
}

static td_code save_state(const td_log_signer *signer, const td_log_root *root, bool create, td_err *err)
{
    char hash[TD_DIGEST_TEXT];
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_hex_encode(root->hash, sizeof root->hash, hash);
    td_str_addf(&text, "{\"v\":1,\"origin\":\"%s\",\"size\":%lld,\"root\":\"%s\"}\n", signer->origin,
                (long long)root->size, hash);
    TD_TRY(td_str_check(&text, err));
    return create ? td_file_create(signer->state_path, text.data, text.size, 0600, err)
                  : td_file_replace(signer->state_path, text.data, text.size, 0600, err);
}

static td_code read_state(td_log_signer *signer, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_TRY(td_file_read(signer->state_path, STATE_MAX, &text, err));
    if (td_json_parse(td_str_text(&text), text.size, signer->state_path, &json, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT,
                       "the log signer's state %s is damaged; see docs/audit.md, \"When the signer refuses\"",
                       signer->state_path);
    }
    const char *hash = td_json_text(json, "root", "");
    signer->root.size = td_json_int(json, "size", -1);
    if (td_json_int(json, "v", 0) != 1 || signer->root.size < 0 || strlen(hash) != 2 * TD_DIGEST_SIZE ||
        td_hex_decode(hash, strlen(hash), signer->root.hash, TD_DIGEST_SIZE, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "the log signer's state %s lacks v, size or root", signer->state_path);
    }
    if (strcmp(td_json_text(json, "origin", ""), signer->origin) != 0) {
        return td_fail(err, TD_CORRUPT, "the log signer's state %s is of another log's key (%.90s)",
                       signer->state_path, td_json_text(json, "origin", ""));
    }
    return TD_OK;
}

td_code td_log_signer_open(const td_key *log_key, const char *state_path, bool fresh, td_log_signer **out,
                           td_err *err)
{
    assert(td_key_kind_of(log_key) == TD_KEY_ED25519);
    TD_CLEANUP(td_log_signer_close) td_log_signer *signer = calloc(1, sizeof *signer);
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    (void)td_key_public(log_key, public_key);
    if (signer == NULL || (signer->state_path = td_dup(state_path)) == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the log's signer");
    }
    signer->key = log_key;
    td_log_origin(public_key, signer->origin);
    if (fresh && !td_path_exists(state_path)) {
        td_sha256_of("", 0, signer->root.hash);
        TD_TRY(save_state(signer, &signer->root, true, err));
    } else {
        TD_TRY(read_state(signer, err));
    }
    *out = signer;
    signer = NULL;
    return TD_OK;
}

/* An empty tree grows into anything. */
static bool extends(const td_log_root *old_root, const td_log_root *new_root, const td_log_proof *proof)
{
    return old_root->size == 0 ? new_root->size > 0 || proof->count == 0
                               : td_merkle_verify_consistency(old_root, new_root, proof);
}

td_code td_log_signer_sign(td_log_signer *signer, const td_log_root *root, const td_log_proof *proof,
                           td_str *note_out, td_err *err)
{
    if (root->size < signer->root.size) {
        return td_fail(
            err, TD_CONFLICT,
            "the log has %lld records in its tree, but a checkpoint of %lld was signed before: records are "
            "missing (an old backup?). Nothing is signed; see docs/audit.md, \"When the signer refuses\"",
            (long long)root->size, (long long)signer->root.size);
    }
    if (!extends(&signer->root, root, proof)) {
        return td_fail(
            err, TD_CONFLICT,
            "the log's tree of %lld records does not contain the %lld that were signed before: history was "
            "changed. Nothing is signed; see docs/audit.md, \"When the signer refuses\"",
            (long long)root->size, (long long)signer->root.size);
    }
    if (root->size > signer->root.size) {
        TD_TRY(save_state(signer, root, false, err));
        signer->root = *root;
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_checkpoint_text(signer->origin, root, &text, err));
    return td_note_sign(td_str_text(&text), signer->origin, signer->key, note_out, err);
}

/* Has a checkpoint of this size been stored? A signer that crashed before it was stored signs again. */
static td_code newest_stored(td_db *db, int64_t *size_out, td_err *err)
{
    td_log_root root;
    td_code code = td_log_signed_read(db, &root, NULL, err);
    if (code == TD_NOT_FOUND) {
        *size_out = 0;
        return TD_OK;
    }
    TD_TRY(code);
    *size_out = root.size;
    return TD_OK;
}

static td_code read_growth(td_db *db, td_log_growth *growth, td_err *err)
{
    const td_log_root *last = &growth->last;
    int64_t stored = 0;
    growth->proof.count = 0;
    TD_TRY(td_log_root_read(db, &growth->root, err));
    TD_TRY(newest_stored(db, &stored, err));
    growth->fresh = growth->root.size != last->size || growth->root.size != stored ||
                    memcmp(growth->root.hash, last->hash, sizeof last->hash) != 0;
    if (last->size > 0 && growth->root.size > last->size) {
        TD_TRY(td_merkle_consistency(last->size, growth->root.size, td_log__fetch, db, &growth->proof, err));
    }
    return TD_OK;
}

td_code td_log_growth_read(td_db *db, td_log_growth *growth, td_err *err)
{
    TD_TRY(td_db_read_begin(db, err)); /* root and proof must be of one state */
    td_code code = read_growth(db, growth, err);
    td_db_read_end(db);
    return code;
}

td_code td_log_checkpoint_make(td_db *db, td_log_signer *signer, td_str *note_out, bool *fresh_out, td_err *err)
{
    td_log_growth growth = {.last = signer->root};
    TD_TRY(td_log_growth_read(db, &growth, err));
    *fresh_out = growth.fresh;
    return growth.fresh ? td_log_signer_sign(signer, &growth.root, &growth.proof, note_out, err) : TD_OK;
}
