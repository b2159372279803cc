/*
 * merkle_verify.c: the iterative verifiers of RFC 9162, for proofs that strangers hand us.
 *
 * They see sizes, hashes and nothing else; each hash of a proof must be used, and the walk must end at the root.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/merkle.h"

#include <string.h>

static bool same(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, TD_DIGEST_SIZE) == 0;
}

/* Where the walk stands: the index of the node at this level, and that of the last one. */
typedef struct walk {
    int64_t node, last;
} walk;

/* Moves up past the levels at which the node is a right edge without a sibling. */
static void skip_missing(walk *at)
{
    while (at->node != 0 && (at->node & 1) == 0) {
        at->node >>= 1;
        at->last >>= 1;
    }
}

static void up(walk *at)
{
    at->node >>= 1;
    at->last >>= 1;
}

bool td_merkle_verify_inclusion(const uint8_t leaf_hash[TD_DIGEST_SIZE], int64_t index, const td_log_root *root,
                                const td_log_proof *proof)
{
    if (index < 0 || root->size <= index || proof->count > TD_LOG_PROOF_MAX) {
        return false;
    }
    walk at = {index, root->size - 1};
    uint8_t hash[TD_DIGEST_SIZE];
    memcpy(hash, leaf_hash, sizeof hash);
    for (size_t i = 0; i < proof->count; i++) {
        if (at.last == 0) {
            return false;
        }
        if ((at.node & 1) != 0 || at.node == at.last) {
            td_merkle_node(proof->hashes[i], hash, hash);
            if ((at.node & 1) == 0) {
                skip_missing(&at);
            }
        } else {
            td_merkle_node(hash, proof->hashes[i], hash);
        }
        up(&at);
    }
    return at.last == 0 && same(hash, root->hash);
}

/* Sizes 0 < old < new. */
static bool verify_growth(const td_log_root *old_root, const td_log_root *new_root, const td_log_proof *proof)
{
    bool power_of_two = (old_root->size & (old_root->size - 1)) == 0;
    if (proof->count == 0) {
        return false;
    }
    walk at = {old_root->size - 1, new_root->size - 1};
    while ((at.node & 1) != 0) {
        up(&at);
    }
    /* An old tree that is one perfect subtree is where the walk starts; else the proof's first hash is. */
    const uint8_t *first = power_of_two ? old_root->hash : proof->hashes[0];
    uint8_t old_hash[TD_DIGEST_SIZE];
    uint8_t new_hash[TD_DIGEST_SIZE];
    memcpy(old_hash, first, sizeof old_hash);
    memcpy(new_hash, first, sizeof new_hash);
    for (size_t i = power_of_two ? 0 : 1; i < proof->count; i++) {
        const uint8_t *sibling = proof->hashes[i];
        if (at.last == 0) {
            return false;
        }
        if ((at.node & 1) != 0 || at.node == at.last) {
            td_merkle_node(sibling, old_hash, old_hash);
            td_merkle_node(sibling, new_hash, new_hash);
            if ((at.node & 1) == 0) {
                skip_missing(&at);
            }
        } else {
            td_merkle_node(new_hash, sibling, new_hash);
        }
        up(&at);
    }
    return at.last == 0 && same(old_hash, old_root->hash) && same(new_hash, new_root->hash);
}

bool td_merkle_verify_consistency(const td_log_root *old_root, const td_log_root *new_root, const td_log_proof *proof)
{
    if (proof->count > TD_LOG_PROOF_MAX || old_root->size <= 0 || old_root->size > new_root->size) {
        return false; /* nothing is proven of an empty tree */
    }
    if (old_root->size == new_root->size) {
        return proof->count == 0 && same(old_root->hash, new_root->hash);
    }
    return verify_growth(old_root, new_root, proof);
}
