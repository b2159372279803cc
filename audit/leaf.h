/*
 * leaf.h: what stands for a record in the tree: Sigsum's leaf.
 *
 * 128 bytes: checksum = SHA-256(SHA-256(record)), the submitter's Ed25519 signature over "sigsum.org/v1/tree-leaf"
 * NUL checksum, and SHA-256 of the submitter's public key. Ed25519 is deterministic, so the same record gives the
 * same leaf.
 * Private to audit.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_LEAF_H
#define TD_AUDIT_LEAF_H

#include "audit/log.h"

#define TD_LEAF_SIGNATURE 32 /* offsets */
#define TD_LEAF_KEY_HASH 96

void td_leaf_checksum(const void *record, size_t size, uint8_t out[TD_DIGEST_SIZE]);
TD_MUST_USE td_code td_leaf_make(const td_key *submitter, const void *record, size_t size,
                                 uint8_t leaf[TD_LOG_LEAF_SIZE], td_err *err);
/* CORRUPT: the signature is not the submitter's. */
TD_MUST_USE td_code td_leaf_verify(const uint8_t leaf[TD_LOG_LEAF_SIZE],
                                   const uint8_t submitter[TD_ED25519_PUBLIC_SIZE], td_err *err);
/* How many of the leaves, which lie behind each other, are the submitter's before the first that is not. Runs a thread
 * a processor, 8 at most, and waits for them. */
size_t td_leaf_verify_many(const uint8_t *leaves, size_t count, const uint8_t submitter[TD_ED25519_PUBLIC_SIZE]);

#endif
