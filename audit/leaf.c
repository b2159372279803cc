/*
 * leaf.c: Sigsum leaves made and checked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"

#include <assert.h>
#include <string.h>

#define NAMESPACE "sigsum.org/v1/tree-leaf" /* signed with its NUL */

void td_leaf_checksum(const void *record, size_t size, uint8_t out[TD_DIGEST_SIZE])
{
    uint8_t message[TD_DIGEST_SIZE];
    td_sha256_of(record, size, message);
    td_sha256_of(message, sizeof message, out);
}

static void signed_text(const uint8_t *checksum, uint8_t out[sizeof NAMESPACE + TD_DIGEST_SIZE])
{
    memcpy(out, NAMESPACE, sizeof NAMESPACE);
    memcpy(out + sizeof NAMESPACE, checksum, TD_DIGEST_SIZE);
}

td_code td_leaf_make(const td_key *submitter, const void *record, size_t size, uint8_t leaf[TD_LOG_LEAF_SIZE],
                     td_err *err)
{
    assert(td_key_kind_of(submitter) == TD_KEY_ED25519);
    uint8_t made[TD_LOG_LEAF_SIZE];
    uint8_t text[sizeof NAMESPACE + TD_DIGEST_SIZE];
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    td_leaf_checksum(record, size, made);
    signed_text(made, text);
    TD_TRY(td_key_sign(submitter, text, sizeof text, made + TD_LEAF_SIGNATURE, err));
    size_t key_size = td_key_public(submitter, public_key);
    td_sha256_of(public_key, key_size, made + TD_LEAF_KEY_HASH);
    memcpy(leaf, made, sizeof made);
    return TD_OK;
}

td_code td_leaf_verify(const uint8_t leaf[TD_LOG_LEAF_SIZE], const uint8_t submitter[TD_ED25519_PUBLIC_SIZE],
                       td_err *err)
{
    uint8_t text[sizeof NAMESPACE + TD_DIGEST_SIZE];
    uint8_t key_hash[TD_DIGEST_SIZE];
    td_sha256_of(submitter, TD_ED25519_PUBLIC_SIZE, key_hash);
    if (memcmp(key_hash, leaf + TD_LEAF_KEY_HASH, sizeof key_hash) != 0) {
        return td_fail(err, TD_CORRUPT, "its leaf names another submitter's key");
    }
    signed_text(leaf, text);
    if (td_ed25519_verify(submitter, text, sizeof text, leaf + TD_LEAF_SIGNATURE, err) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "its leaf is not signed by the submitter");
    }
    return TD_OK;
}
