/*
 * merkle.h: the RFC 6962 (= RFC 9162) tree as arithmetic on hashes; no storage.
 *
 * A tree is known by its compact range: the hashes of the perfect subtrees that its size is the sum of, largest
 * first. A perfect subtree is named by (level, position): it covers the leaves position * 2^level and following.
 * Private to audit.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_MERKLE_H
#define TD_AUDIT_MERKLE_H

#include "audit/log.h"

#define TD_MERKLE_SIZE_MAX ((int64_t)1 << 60)

typedef struct td_merkle_range {
    int64_t size; /* leaves */
    size_t count; /* subtrees: the one bits of size */
    uint8_t hashes[TD_LOG_PROOF_MAX][TD_DIGEST_SIZE];
} td_merkle_range;

/* Told of each perfect subtree (level >= 1) as soon as it is complete. */
typedef td_code (*td_merkle_visit)(void *context, int level, int64_t position, const uint8_t *hash, td_err *err);
/* Asked for the hash of a perfect subtree (level >= 0; at level 0 the hash of a leaf). */
typedef td_code (*td_merkle_fetch)(void *context, int level, int64_t position, uint8_t *hash_out, td_err *err);

void td_merkle_leaf(const void *data, size_t size, uint8_t out[TD_DIGEST_SIZE]);
void td_merkle_node(const uint8_t left[TD_DIGEST_SIZE], const uint8_t right[TD_DIGEST_SIZE],
                    uint8_t out[TD_DIGEST_SIZE]);

/* A zeroed range is the empty tree. `visit` may be NULL. */
TD_MUST_USE td_code td_merkle_append(td_merkle_range *range, const uint8_t leaf_hash[TD_DIGEST_SIZE],
                                     td_merkle_visit visit, void *context, td_err *err);
void td_merkle_root(const td_merkle_range *range, uint8_t out[TD_DIGEST_SIZE]);
TD_MUST_USE td_code td_merkle_load(int64_t size, td_merkle_fetch fetch, void *context, td_merkle_range *out,
                                   td_err *err);

/* Proofs from the nodes that `fetch` gives. INVALID: index or sizes out of range. */
TD_MUST_USE td_code td_merkle_inclusion(int64_t index, int64_t size, td_merkle_fetch fetch, void *context,
                                        td_log_proof *out, td_err *err);
TD_MUST_USE td_code td_merkle_consistency(int64_t old_size, int64_t new_size, td_merkle_fetch fetch, void *context,
                                          td_log_proof *out, td_err *err);

/* RFC 9162 sections 2.1.3.2 and 2.1.4.2. False for anything that does not prove it, nonsense included. */
bool td_merkle_verify_inclusion(const uint8_t leaf_hash[TD_DIGEST_SIZE], int64_t index, const td_log_root *root,
                                const td_log_proof *proof);
bool td_merkle_verify_consistency(const td_log_root *old_root, const td_log_root *new_root,
                                  const td_log_proof *proof);

#endif
