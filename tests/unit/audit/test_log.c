/*
 * test_log.c: sequencer, signer, checkpoints and proofs, on a log that grows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"
#include "audit/merkle.h"
#include "core/base/fs.h"
#include "tests/unit/audit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* Checked against the definition with the primitives themselves. */
static void leaf__is_sigsums(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    uint8_t leaf[TD_LOG_LEAF_SIZE], again[TD_LOG_LEAF_SIZE], digest[TD_DIGEST_SIZE];
    assert_int_equal(td_leaf_make(f->submitter, "x", 1, leaf, &err), TD_OK);
    assert_int_equal(td_leaf_make(f->submitter, "x", 1, again, &err), TD_OK);
    assert_memory_equal(leaf, again, sizeof leaf);
    td_sha256_of("x", 1, digest);
    td_sha256_of(digest, sizeof digest, digest);
    assert_memory_equal(leaf, digest, sizeof digest);
    td_sha256_of(f->keys.submitter, sizeof f->keys.submitter, digest);
    assert_memory_equal(leaf + 96, digest, sizeof digest);
    uint8_t text[24 + TD_DIGEST_SIZE] = "sigsum.org/v1/tree-leaf";
    memcpy(text + 24, leaf, TD_DIGEST_SIZE);
    assert_int_equal(td_ed25519_verify(f->keys.submitter, text, sizeof text, leaf + 32, &err), TD_OK);
    assert_int_equal(td_leaf_verify(leaf, f->keys.submitter, &err), TD_OK);
    leaf[40] ^= 1;
    assert_int_equal(td_leaf_verify(leaf, f->keys.submitter, &err), TD_CORRUPT);
}

/* However the records come in batches, the tree is that of its leaves in order. */
static void sequence__batches_do_not_matter(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_merkle_range range = {.size = 0};
    static const int steps[] = {1, 2, 13, 1, 15, 70, 0, 200};
    for (size_t i = 0; i < TD_COUNT_OF(steps); i++) {
        td_log_root root;
        fixture_append_many(f, steps[i]);
        assert_int_equal(fixture_sequence(f, &err), TD_OK);
        assert_int_equal(td_log_root_read(f->db, &root, &err), TD_OK);
        while (range.size < root.size) {
            TD_CLEANUP(td_str_done) td_str body = {0};
            uint8_t leaf[TD_LOG_LEAF_SIZE], hash[TD_DIGEST_SIZE];
            assert_int_equal(td_audit_record(f->db, range.size, &body, &err), TD_OK);
            assert_int_equal(td_leaf_make(f->submitter, body.data, body.size, leaf, &err), TD_OK);
            td_merkle_leaf(leaf, sizeof leaf, hash);
            assert_int_equal(td_merkle_append(&range, hash, NULL, NULL, NULL), TD_OK);
        }
        uint8_t hash[TD_DIGEST_SIZE];
        td_merkle_root(&range, hash);
        assert_memory_equal(hash, root.hash, sizeof hash);
    }
    assert_int_equal(range.size, 302);
}

static void batch__stale_one_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_log_batch_free) td_log_batch *batch = NULL;
    fixture_append_many(f, 3);
    assert_int_equal(td_log_batch_read(f->db, f->submitter, 2, &batch, &err), TD_OK);
    assert_int_equal(td_log_batch_count(batch), 2);
    assert_int_equal(fixture_sequence(f, &err), TD_OK);
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    assert_int_equal(td_txn_begin(f->db, &txn, &err), TD_OK);
    assert_int_equal(td_log_batch_store(f->db, batch, &err), TD_CONFLICT);
}

static void checkpoint__is_signed_stored_and_checked(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_log_root root, stored;
    assert_int_equal(td_log_checkpoint_read(f->db, &note, &err), TD_NOT_FOUND);
    fixture_append_many(f, 5);
    fixture_seal(f);
    assert_int_equal(td_log_checkpoint_read(f->db, &note, &err), TD_OK);
    assert_int_equal(td_log_checkpoint_check(note.data, note.size, td_str_text(&f->vkey), &root, &err), TD_OK);
    assert_int_equal(td_log_root_read(f->db, &stored, &err), TD_OK);
    assert_memory_equal(&root, &stored, sizeof root);
    assert_int_equal(root.size, 5);
    note.data[strlen("sigsum.org/v1/tree/") + 65] = '6'; /* the size */
    assert_int_equal(td_log_checkpoint_check(note.data, note.size, td_str_text(&f->vkey), &root, &err), TD_CORRUPT);
}

static void checkpoint__nothing_new_makes_none(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    bool fresh = true;
    TD_CLEANUP(td_str_done) td_str note = {0};
    assert_int_equal(td_log_checkpoint_make(f->db, f->signer, &note, &fresh, &err), TD_OK);
    assert_false(fresh); /* an empty log */
    fixture_append_many(f, 5);
    fixture_seal(f);
    assert_int_equal(td_log_checkpoint_make(f->db, f->signer, &note, &fresh, &err), TD_OK);
    assert_false(fresh);
    assert_int_equal(note.size, 0);
}

/* The crash between persisting and storing: the same tree is signed again, to the same bytes. */
static void signer__signs_the_same_tree_again(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    bool fresh = false;
    TD_CLEANUP(td_str_done) td_str lost = {0};
    TD_CLEANUP(td_str_done) td_str again = {0};
    fixture_append_many(f, 5);
    assert_int_equal(fixture_sequence(f, &err), TD_OK);
    assert_int_equal(td_log_checkpoint_make(f->db, f->signer, &lost, &fresh, &err), TD_OK);
    td_log_signer_close(&f->signer);
    assert_int_equal(td_log_signer_open(f->log_key, f->signer_path, false, &f->signer, &err), TD_OK);
    assert_int_equal(td_log_signer_root(f->signer).size, 5);
    assert_int_equal(td_log_checkpoint_make(f->db, f->signer, &again, &fresh, &err), TD_OK);
    assert_true(fresh);
    assert_string_equal(td_str_text(&lost), td_str_text(&again));
}

static void signer__refuses_a_smaller_and_a_different_tree(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_log_proof proof = {.count = 0};
    td_log_root root = {.size = 3, .hash = {1}};
    fixture_append_many(f, 5);
    fixture_seal(f);
    assert_int_equal(td_log_signer_sign(f->signer, &root, &proof, &note, &err), TD_CONFLICT);
    assert_non_null(strstr(err.text, "When the signer refuses"));
    root.size = 5; /* same size, other root: a fork */
    assert_int_equal(td_log_signer_sign(f->signer, &root, &proof, &note, &err), TD_CONFLICT);
    root.size = 9;
    proof.count = 2;
    assert_int_equal(td_log_signer_sign(f->signer, &root, &proof, &note, &err), TD_CONFLICT);
    assert_int_equal(note.size, 0);
    assert_int_equal(td_log_signer_root(f->signer).size, 5);
    fixture_append_many(f, 5); /* the true tree goes on */
    fixture_seal(f);
    assert_int_equal(td_log_signer_root(f->signer).size, 10);
}

static void signer__state_is_private_and_checked(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_log_signer *other = NULL;
    struct stat st;
    assert_int_equal(stat(f->signer_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(td_log_signer_open(f->submitter, f->signer_path, false, &other, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "another log's key"));
    assert_int_equal(td_file_replace(f->signer_path, "{\"v\":1", 6, 0600, &err), TD_OK);
    assert_int_equal(td_log_signer_open(f->log_key, f->signer_path, true, &other, &err), TD_CORRUPT);
    char missing[128];
    snprintf(missing, sizeof missing, "%s.gone", f->signer_path);
    assert_int_equal(td_log_signer_open(f->log_key, missing, false, &other, &err), TD_NOT_FOUND);
    assert_null(other);
}

/* Every record, from text alone; and no other record by that proof. */
static void proof__shows_each_record_and_no_other(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    fixture_append_many(f, 37);
    fixture_seal(f);
    for (int64_t seq = 0; seq < 37; seq++) {
        TD_CLEANUP(td_str_done) td_str body = {0};
        TD_CLEANUP(td_str_done) td_str proof = {0};
        int64_t index = -1;
        td_log_root root;
        assert_int_equal(td_audit_record(f->db, seq, &body, &err), TD_OK);
        assert_int_equal(td_log_proof_text(f->db, seq, &proof, &err), TD_OK);
        assert_int_equal(td_log_proof_check(proof.data, proof.size, body.data, body.size, td_str_text(&f->vkey),
                                            &index, &root, &err),
                         TD_OK);
        assert_int_equal(index, seq);
        assert_int_equal(root.size, 37);
        body.data[body.size / 2] ^= 1;
        assert_int_equal(td_log_proof_check(proof.data, proof.size, body.data, body.size, td_str_text(&f->vkey),
                                            &index, &root, &err),
                         TD_CORRUPT);
    }
}

/* Each single bit of the proof's text matters. (The signature's last base64 digits may carry no bits: they are
 * strict.) */
static void proof__any_changed_byte_is_noticed(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str body = {0};
    TD_CLEANUP(td_str_done) td_str proof = {0};
    int64_t index = -1;
    td_log_root root;
    fixture_append_many(f, 11);
    fixture_seal(f);
    assert_int_equal(td_audit_record(f->db, 6, &body, &err), TD_OK);
    assert_int_equal(td_log_proof_text(f->db, 6, &proof, &err), TD_OK);
    for (size_t i = 0; i < proof.size; i++) {
        proof.data[i] ^= 2;
        assert_int_not_equal(td_log_proof_check(proof.data, proof.size, body.data, body.size, td_str_text(&f->vkey),
                                                &index, &root, &err),
                             TD_OK);
        proof.data[i] ^= 2;
        assert_int_not_equal(
            td_log_proof_check(proof.data, i, body.data, body.size, td_str_text(&f->vkey), &index, &root, &err),
            TD_OK);
    }
}

static void proof__too_early_and_unknown(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str proof = {0};
    fixture_append_many(f, 2);
    assert_int_equal(td_log_proof_text(f->db, 0, &proof, &err), TD_BUSY);
    fixture_seal(f);
    assert_int_equal(td_log_proof_text(f->db, 0, &proof, &err), TD_OK);
    assert_int_equal(td_log_proof_text(f->db, 2, &proof, &err), TD_NOT_FOUND);
    assert_int_equal(td_log_proof_text(f->db, -1, &proof, &err), TD_NOT_FOUND);
}

/* sigsum-verify itself reads it in tests/interop/sigsum; here is what stands in it, and when. */
static void sigsum_proof__has_a_path_from_two_records_on(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str one = {0};
    TD_CLEANUP(td_str_done) td_str two = {0};
    const char *log = strrchr(td_log_signer_origin(f->signer), '/') + 1;
    char head[96];
    snprintf(head, sizeof head, "version=2\nlog=%s\nleaf=", log);
    fixture_append_many(f, 1);
    assert_int_equal(td_log_sigsum_text(f->db, 0, &one, &err), TD_BUSY);
    assert_int_equal(one.size, 0);
    fixture_seal(f);
    assert_int_equal(td_log_sigsum_text(f->db, 0, &one, &err), TD_OK);
    assert_int_equal(strncmp(td_str_text(&one), head, strlen(head)), 0);
    assert_non_null(strstr(td_str_text(&one), "\n\nsize=1\nroot_hash="));
    assert_null(strstr(td_str_text(&one), "leaf_index="));
    fixture_append_many(f, 1);
    fixture_seal(f);
    assert_int_equal(td_log_sigsum_text(f->db, 1, &two, &err), TD_OK);
    assert_non_null(strstr(td_str_text(&two), "\n\nleaf_index=1\nnode_hash="));
    assert_int_equal(td_log_sigsum_text(f->db, 2, &two, &err), TD_NOT_FOUND);
}

/* What several threads say is what one would: the first that is not good. */
static void leaf__the_first_bad_signature_of_many_is_found(void **state)
{
    enum { LEAVES = 100 };
    fixture *f = *state;
    static uint8_t leaves[LEAVES][TD_LOG_LEAF_SIZE];
    td_err err = {.code = TD_OK};
    for (int i = 0; i < LEAVES; i++) {
        assert_int_equal(td_leaf_make(f->submitter, &i, sizeof i, leaves[i], &err), TD_OK);
    }
    for (size_t count = 0; count <= LEAVES; count += 25) {
        assert_int_equal(td_leaf_verify_many(leaves[0], count, f->keys.submitter), count);
    }
    static const size_t bad[] = {99, 98, 51, 50, 2, 1, 0};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        leaves[bad[i]][TD_LEAF_SIGNATURE + i] ^= 1;
        assert_int_equal(td_leaf_verify_many(leaves[0], LEAVES, f->keys.submitter), bad[i]);
    }
    assert_int_equal(td_leaf_verify_many(leaves[3], 47, f->keys.log), 0);
    assert_int_equal(td_leaf_verify_many(leaves[3], 47, f->keys.submitter), 47);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOG(leaf__is_sigsums),
        WITH_LOG(leaf__the_first_bad_signature_of_many_is_found),
        WITH_LOG(sequence__batches_do_not_matter),
        WITH_LOG(batch__stale_one_is_refused),
        WITH_LOG(checkpoint__is_signed_stored_and_checked),
        WITH_LOG(checkpoint__nothing_new_makes_none),
        WITH_LOG(signer__signs_the_same_tree_again),
        WITH_LOG(signer__refuses_a_smaller_and_a_different_tree),
        WITH_LOG(signer__state_is_private_and_checked),
        WITH_LOG(proof__shows_each_record_and_no_other),
        WITH_LOG(proof__any_changed_byte_is_noticed),
        WITH_LOG(proof__too_early_and_unknown),
        WITH_LOG(sigsum_proof__has_a_path_from_two_records_on),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
