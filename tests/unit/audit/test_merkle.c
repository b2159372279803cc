/*
 * test_merkle.c: proofs for every pair of sizes up to 130, against a tree that is computed straight from the
 * definition.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/merkle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SIZES 130

static uint8_t leaves[SIZES][TD_DIGEST_SIZE];

/* MTH of RFC 6962 section 2.1, word for word. */
static void tree_hash(int begin, int end, uint8_t out[TD_DIGEST_SIZE])
{
    if (end == begin) {
        td_sha256_of("", 0, out);
        return;
    }
    if (end - begin == 1) {
        memcpy(out, leaves[begin], TD_DIGEST_SIZE);
        return;
    }
    int k = 1;
    while (2 * k < end - begin) {
        k *= 2;
    }
    uint8_t left[TD_DIGEST_SIZE], right[TD_DIGEST_SIZE];
    tree_hash(begin, begin + k, left);
    tree_hash(begin + k, end, right);
    td_merkle_node(left, right, out);
}

static td_code fetch(void *context, int level, int64_t position, uint8_t *hash_out, td_err *err)
{
    (void)context;
    (void)err;
    tree_hash((int)(position << level), (int)((position + 1) << level), hash_out);
    return TD_OK;
}

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        td_merkle_leaf(&i, sizeof i, leaves[i]);
    }
    return 0;
}

static void append__roots_agree_with_the_definition(void **state)
{
    (void)state;
    td_merkle_range range = {.size = 0};
    for (int size = 0; size <= SIZES; size++) {
        td_merkle_range loaded;
        uint8_t grown[TD_DIGEST_SIZE], defined[TD_DIGEST_SIZE], from_nodes[TD_DIGEST_SIZE];
        td_merkle_root(&range, grown);
        tree_hash(0, size, defined);
        assert_memory_equal(grown, defined, TD_DIGEST_SIZE);
        assert_int_equal(td_merkle_load(size, fetch, NULL, &loaded, NULL), TD_OK);
        td_merkle_root(&loaded, from_nodes);
        assert_memory_equal(from_nodes, defined, TD_DIGEST_SIZE);
        if (size < SIZES) {
            assert_int_equal(td_merkle_append(&range, leaves[size], NULL, NULL, NULL), TD_OK);
        }
    }
}

static void inclusion__each_leaf_of_each_tree(void **state)
{
    (void)state;
    for (int size = 1; size <= SIZES; size++) {
        td_log_root root = {.size = size};
        tree_hash(0, size, root.hash);
        for (int index = 0; index < size; index++) {
            td_log_proof proof;
            assert_int_equal(td_merkle_inclusion(index, size, fetch, NULL, &proof, NULL), TD_OK);
            assert_true(td_merkle_verify_inclusion(leaves[index], index, &root, &proof));
            assert_false(td_merkle_verify_inclusion(leaves[(index + 1) % SIZES], index, &root, &proof));
        }
    }
}

static void consistency__each_pair_of_sizes(void **state)
{
    (void)state;
    for (int size = 1; size <= SIZES; size++) {
        td_log_root root = {.size = size};
        tree_hash(0, size, root.hash);
        for (int before = 1; before <= size; before++) {
            td_log_root old_root = {.size = before};
            td_log_proof proof;
            tree_hash(0, before, old_root.hash);
            assert_int_equal(td_merkle_consistency(before, size, fetch, NULL, &proof, NULL), TD_OK);
            assert_true(td_merkle_verify_consistency(&old_root, &root, &proof));
            old_root.hash[3] ^= 1;
            assert_false(td_merkle_verify_consistency(&old_root, &root, &proof));
        }
    }
}

static void proofs__out_of_range_are_refused(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    td_log_proof proof;
    assert_int_equal(td_merkle_inclusion(5, 5, fetch, NULL, &proof, &err), TD_INVALID);
    assert_int_equal(td_merkle_inclusion(-1, 5, fetch, NULL, &proof, &err), TD_INVALID);
    assert_int_equal(td_merkle_consistency(6, 5, fetch, NULL, &proof, &err), TD_INVALID);
    assert_int_equal(td_merkle_consistency(-1, 5, fetch, NULL, &proof, &err), TD_INVALID);
    td_log_root root = {.size = 5};
    proof.count = TD_LOG_PROOF_MAX + 1;
    assert_false(td_merkle_verify_inclusion(leaves[0], 0, &root, &proof));
    assert_false(td_merkle_verify_consistency(&root, &root, &proof));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append__roots_agree_with_the_definition),
        cmocka_unit_test(inclusion__each_leaf_of_each_tree),
        cmocka_unit_test(consistency__each_pair_of_sizes),
        cmocka_unit_test(proofs__out_of_range_are_refused),
    };
    return cmocka_run_group_tests_name("merkle", tests, set_up, NULL);
}
