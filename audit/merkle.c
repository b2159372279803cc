/*
 * merkle.c: growing an RFC 6962 tree, and proofs out of its perfect subtrees.
 *
 * Everything is iterative; a range of leaves [begin, end) whose begin is aligned falls into at most 60 perfect
 * subtrees. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/merkle.h"

#include <assert.h>
#include <string.h>

void td_merkle_leaf(const void *data, size_t size, uint8_t out[TD_DIGEST_SIZE])
{
    uint8_t text[1 + TD_LOG_LEAF_SIZE] = {0x00};
    assert(size <= TD_LOG_LEAF_SIZE);
    if (size > 0) {
        memcpy(text + 1, data, size);
    }
    td_sha256_of(text, size + 1, out);
}

void td_merkle_node(const uint8_t left[TD_DIGEST_SIZE], const uint8_t right[TD_DIGEST_SIZE],
                    uint8_t out[TD_DIGEST_SIZE])
{
    uint8_t text[1 + 2 * TD_DIGEST_SIZE] = {0x01};
    memcpy(text + 1, left, TD_DIGEST_SIZE);
    memcpy(text + 1 + TD_DIGEST_SIZE, right, TD_DIGEST_SIZE);
    td_sha256_of(text, sizeof text, out);
}

td_code td_merkle_append(td_merkle_range *range, const uint8_t leaf_hash[TD_DIGEST_SIZE], td_merkle_visit visit,
                         void *context, td_err *err)
{
    assert(range->size < TD_MERKLE_SIZE_MAX);
    uint8_t hash[TD_DIGEST_SIZE];
    memcpy(hash, leaf_hash, sizeof hash);
    size_t count = range->count;
    int level = 0;
    /* Like adding one to a binary number: each trailing one bit is a subtree that the new one completes. */
    for (int64_t bits = range->size; (bits & 1) != 0; bits >>= 1) {
        td_merkle_node(range->hashes[--count], hash, hash);
        level++;
        if (visit != NULL) {
            TD_TRY(visit(context, level, range->size >> level, hash, err));
        }
    }
    memcpy(range->hashes[count], hash, sizeof hash);
    range->count = count + 1;
    range->size++;
    return TD_OK;
}

void td_merkle_root(const td_merkle_range *range, uint8_t out[TD_DIGEST_SIZE])
{
    if (range->count == 0) {
        td_sha256_of("", 0, out);
        return;
    }
    uint8_t hash[TD_DIGEST_SIZE];
    memcpy(hash, range->hashes[range->count - 1], sizeof hash);
    for (size_t i = range->count - 1; i > 0; i--) {
        td_merkle_node(range->hashes[i - 1], hash, hash);
    }
    memcpy(out, hash, sizeof hash);
}

/* The compact range of the leaves [begin, end); begin is a multiple of a power of two not below end - begin. */
static td_code load_range(int64_t begin, int64_t end, td_merkle_fetch fetch, void *context, td_merkle_range *out,
                          td_err *err)
{
    out->size = end - begin;
    out->count = 0;
    for (int level = 60; level >= 0; level--) {
        int64_t width = (int64_t)1 << level;
        if ((out->size & width) != 0) {
            TD_TRY(fetch(context, level, begin >> level, out->hashes[out->count], err));
            out->count++;
            begin += width;
        }
    }
    return TD_OK;
}

td_code td_merkle_load(int64_t size, td_merkle_fetch fetch, void *context, td_merkle_range *out, td_err *err)
{
    td_merkle_range range;
    TD_TRY(load_range(0, size, fetch, context, &range, err));
    *out = range;
    return TD_OK;
}

/* Appends the hash of the leaves [begin, end) to a proof. */
static td_code push_range(td_log_proof *proof, int64_t begin, int64_t end, td_merkle_fetch fetch, void *context,
                          td_err *err)
{
    td_merkle_range range;
    assert(proof->count < TD_LOG_PROOF_MAX);
    TD_TRY(load_range(begin, end, fetch, context, &range, err));
    td_merkle_root(&range, proof->hashes[proof->count++]);
    return TD_OK;
}

/* The largest power of two below size (size >= 2). */
static int64_t split(int64_t size)
{
    int64_t power = 1;
    while (power < size - power) {
        power <<= 1;
    }
    return power;
}

/* We walk from the root down; a proof lists its hashes from the leaf up. */
static void reverse(td_log_proof *proof)
{
    for (size_t i = 0; i < proof->count / 2; i++) {
        uint8_t swap[TD_DIGEST_SIZE];
        memcpy(swap, proof->hashes[i], sizeof swap);
        memcpy(proof->hashes[i], proof->hashes[proof->count - 1 - i], sizeof swap);
        memcpy(proof->hashes[proof->count - 1 - i], swap, sizeof swap);
    }
}

td_code td_merkle_inclusion(int64_t index, int64_t size, td_merkle_fetch fetch, void *context, td_log_proof *out,
                            td_err *err)
{
    if (index < 0 || index >= size || size > TD_MERKLE_SIZE_MAX) {
        return td_fail(err, TD_INVALID, "a tree of %lld records has no record %lld", (long long)size,
                       (long long)index);
    }
    td_log_proof proof = {.count = 0};
    int64_t begin = 0;
    int64_t end = size;
    while (end - begin > 1) {
        int64_t middle = begin + split(end - begin);
        if (index < middle) {
            TD_TRY(push_range(&proof, middle, end, fetch, context, err));
            end = middle;
        } else {
            TD_TRY(push_range(&proof, begin, middle, fetch, context, err));
            begin = middle;
        }
    }
    reverse(&proof);
    *out = proof;
    return TD_OK;
}

td_code td_merkle_consistency(int64_t old_size, int64_t new_size, td_merkle_fetch fetch, void *context,
                              td_log_proof *out, td_err *err)
{
    if (old_size < 0 || old_size > new_size || new_size > TD_MERKLE_SIZE_MAX) {
        return td_fail(err, TD_INVALID, "no tree of %lld records grows into one of %lld", (long long)old_size,
                       (long long)new_size);
    }
    td_log_proof proof = {.count = 0};
    int64_t begin = 0;
    int64_t end = new_size;
    while (old_size > 0 && old_size != end) {
        int64_t middle = begin + split(end - begin);
        if (old_size <= middle) {
            TD_TRY(push_range(&proof, middle, end, fetch, context, err));
            end = middle;
        } else {
            TD_TRY(push_range(&proof, begin, middle, fetch, context, err));
            begin = middle;
        }
    }
    if (begin > 0) { /* else the verifier knows this subtree: it is the old root */
        TD_TRY(push_range(&proof, begin, end, fetch, context, err));
    }
    reverse(&proof);
    *out = proof;
    return TD_OK;
}
