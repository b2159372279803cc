/*
 * trust.h: who may sign what: the keyset that root signs, the approvers' keys, and the signed messages that devices
 * check.
 *
 * A keyset has a version; each change is a new version, signed by root (by the thresholds of the old and the new one).
 * It is drafted and signed off the writer thread (or on an offline machine), stored as content, then published in a
 * transaction that checks everything again. A message is verified as received, over DSSE's pre-authentication
 * encoding, and never re-encoded.
 * Threads: as the td_db that is passed; the functions without one may be called from any thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_TRUST_H
#define TD_REGISTRY_TRUST_H

#include "audit/audit.h"
#include "core/base/arena.h"
#include "core/crypto/crypto.h"
#include "core/db/db.h"

#define TD_KEYSET_TYPE "application/vnd.tidemark.keyset.v1"
#define TD_DIRECTIVE_TYPE "application/vnd.tidemark.directive.v1"
#define TD_SERVER_STATE_TYPE "application/vnd.tidemark.server.v1"
#define TD_KEYSET_KEYS_MAX 16
#define TD_SIGNATURES_MAX 16
#define TD_SIGNED_MESSAGE_MAX ((size_t)128 * 1024)

/* ---- signed messages ---- */

typedef struct td_signature {
    uint8_t key_id[TD_KEY_ID_SIZE];
    uint8_t signature[TD_SIGNATURE_SIZE];
} td_signature;

typedef struct td_signed_message {
    char payload_type[48];
    const uint8_t *payload; /* borrowed from the bytes that were decoded */
    size_t payload_size;
    td_signature signatures[TD_SIGNATURES_MAX];
    size_t signature_count;
} td_signed_message;

/* Appends the encoding; signatures in the given order. */
TD_MUST_USE td_code td_signed_message_encode(const td_signed_message *message, td_str *out, td_err *err);
/* Strict and bounded; CORRUPT. */
TD_MUST_USE td_code td_signed_message_decode(const void *bytes, size_t size, td_signed_message *out, td_err *err);
/* Signs payload with key over PAE(payload_type, payload). */
TD_MUST_USE td_code td_signed_payload_sign(const char *payload_type, const void *payload, size_t size,
                                           const td_key *key, td_signature *out, td_err *err);
/* payload_type + payload + one key's signature, encoded: what the director does with a directive. */
TD_MUST_USE td_code td_signed_message_make(const char *payload_type, const void *payload, size_t size,
                                           const td_key *key, td_str *out, td_err *err);

/* ---- keysets ---- */

typedef enum td_signer { TD_SIGNER_ROOT = 1, TD_SIGNER_APPROVER = 2, TD_SIGNER_DIRECTOR = 3 } td_signer;

typedef struct td_signer_key {
    td_signer role;
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
} td_signer_key;

typedef struct td_keyset {
    uint32_t version;
    uint64_t expires_ms; /* 0: never */
    uint32_t root_threshold, approver_threshold, director_threshold;
    td_signer_key keys[TD_KEYSET_KEYS_MAX];
    size_t key_count;
} td_keyset;

TD_MUST_USE td_code td_keyset_encode(const td_keyset *keyset, td_str *out, td_err *err);
/* Decodes and checks: at least one root key, thresholds that can be met, no key twice in one role. CORRUPT. */
TD_MUST_USE td_code td_keyset_decode(const void *bytes, size_t size, td_keyset *out, td_err *err);
/* How many different keys of the role signed the message; with a payload type other than `payload_type`, CORRUPT. Wrong
 * signatures are not counted. */
TD_MUST_USE td_code td_keyset_count(const td_keyset *keyset, td_signer role, const td_signed_message *message,
                                    const char *payload_type, uint32_t *count_out, td_err *err);
/* CORRUPT unless the threshold of the role is met; the message says how many of how many. */
TD_MUST_USE td_code td_keyset_verify(const td_keyset *keyset, td_signer role, const td_signed_message *message,
                                     const char *payload_type, td_err *err);
/* Reads a keyset's SignedMessage. It must meet its own root threshold, and, with `previous`, be version + 1 and meet
 * the previous root threshold too; with `root` (65 bytes, a pinned root key; may be NULL), that key must be one of its
 * root keys and have signed. CORRUPT. */
TD_MUST_USE td_code td_keyset_open(const void *envelope, size_t size, const td_keyset *previous, const uint8_t *root,
                                   td_keyset *out, td_err *err);

/* ---- the workspace's keyset ---- */

typedef struct td_trust {
    td_keyset keyset;
    const uint8_t *envelope; /* the SignedMessage's bytes, in the arena */
    size_t envelope_size;
    uint8_t digest[TD_DIGEST_SIZE]; /* of the envelope */
} td_trust;

/* The newest keyset. NOT_FOUND before the first was published. */
TD_MUST_USE td_code td_trust_current(td_db *db, td_arena *arena, td_trust *out, td_err *err);

/* Makes the first keyset (version 1), signed by root. Append the result to content, then publish it. */
TD_MUST_USE td_code td_trust_draft_first(const uint8_t director[TD_P256_PUBLIC_SIZE], uint32_t approver_threshold,
                                         const td_key *root, td_str *envelope_out, td_err *err);

typedef struct td_trust_change {
    const uint8_t *add_approver;    /* 65 bytes or NULL */
    const uint8_t *remove_approver; /* 65 bytes or NULL */
    uint32_t approver_threshold;    /* 0: as it is */
} td_trust_change;
/* The current keyset with the change applied and version + 1. With `root` signed by it; with NULL the envelope has no
 * signature yet (an offline machine adds it with td_envelope_sign). CONFLICT: the key is there already (or is not). */
TD_MUST_USE td_code td_trust_draft(td_db *db, const td_trust_change *change, const td_key *root, td_str *envelope_out,
                                   td_err *err);
/* Adds a signature to an encoded SignedMessage. */
TD_MUST_USE td_code td_envelope_sign(const void *envelope, size_t size, const td_key *key, td_str *out, td_err *err);

/* Whose key an added approver key is. */
typedef struct td_key_owner {
    int64_t user_id;
    const char *user;    /* name, for views and messages */
    const char *project; /* where he approves, if he brings the key himself; else NULL */
} td_key_owner;
/* Makes the keyset current: checks version, signatures, and that each added approver key is `owner`'s and each removed
 * one ends. It takes an admin of the workspace, or the owner himself for nothing but his own further key. Writes keyset
 * and approver_key rows and an audit record (reason is mandatory). CONFLICT: another keyset came first. */
TD_MUST_USE td_code td_trust_publish(td_db *db, const td_actor *actor, const void *envelope, size_t size,
                                     const td_key_owner *owner, const char *reason, td_err *err);

/* {"version", "digest", "expires_at", "approver_threshold", "keys": [{"role", "key_id", "user"?}], "published_at"} */
TD_MUST_USE td_code td_trust_json(td_db *db, json_t **out, td_err *err);
/* [{"user", "key_id", "public_key" (PEM), "added_at", "removed_at"?}]; user NULL: everybody's. */
TD_MUST_USE td_code td_approver_keys_json(td_db *db, const char *user, json_t **out, td_err *err);

#endif
