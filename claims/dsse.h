/*
 * dsse.h: the DSSE envelope: bytes of a declared type, and signatures over their pre-authentication encoding.
 *
 * What is verified is the payload exactly as decoded; it is never written anew, and nobody looks into it before a
 * signature holds. `keyid` is a hint that anybody can change: it decides nothing. Both alphabets of base64 are read,
 * the standard one is written.
 * Source: https://github.com/secure-systems-lab/dsse (protocol.md and envelope.md, version 1.0).
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLAIMS_DSSE_H
#define TD_CLAIMS_DSSE_H

#include "core/base/arena.h"
#include "core/base/json.h"
#include "core/crypto/crypto.h"

#define TD_DSSE_BYTES_MAX ((size_t)1024 * 1024) /* of an envelope's text */
#define TD_DSSE_SIGNATURES_MAX 8
#define TD_DSSE_TYPE_MAX 256      /* bytes of a payload type */
#define TD_DSSE_SIGNATURE_MAX 512 /* bytes of one signature: other people's keys may be larger than ours */

typedef struct td_public_key {
    td_key_kind kind;
    uint8_t bytes[TD_P256_PUBLIC_SIZE];
} td_public_key;

/* 65 or 32. */
size_t td_public_key_size(const td_public_key *key);
void td_public_key_id(const td_public_key *key, uint8_t out[TD_KEY_ID_SIZE]);
/* Out of PEM text (SubjectPublicKeyInfo). INVALID. */
TD_MUST_USE td_code td_public_key_read(const char *pem, size_t size, td_public_key *out, td_err *err);
void td_public_key_of(const td_key *key, td_public_key *out);

typedef struct td_dsse_signature {
    const uint8_t *bytes;
    size_t size;
    const char *key_id; /* as it stands there, or "" */
} td_dsse_signature;

/* An envelope that was read; everything in it lives in the arena. */
typedef struct td_dsse {
    const char *payload_type;
    const uint8_t *payload;
    size_t payload_size;
    td_dsse_signature signatures[TD_DSSE_SIGNATURES_MAX];
    size_t signature_count;
} td_dsse;

/* One envelope as JSON text. Unknown keys are passed over, as the format demands. CORRUPT names what is wrong;
 * LIMIT. */
TD_MUST_USE td_code td_dsse_read(const char *text, size_t size, td_arena *arena, td_dsse *out, td_err *err);
/* The same out of a JSON object that is there already. */
TD_MUST_USE td_code td_dsse_read_json(const json_t *json, td_arena *arena, td_dsse *out, td_err *err);
/* Is one of the signatures this key's? A P-256 one may be DER or raw r and s. CORRUPT: none is. */
TD_MUST_USE td_code td_dsse_verify(const td_dsse *envelope, const td_public_key *key, td_err *err);
/* Appends the envelope as one line of compact JSON, without a line feed: always the same for the same envelope. */
TD_MUST_USE td_code td_dsse_write(const td_dsse *envelope, td_str *out, td_err *err);
/* Signs and appends the line: a P-256 signature as DER, Ed25519 as its 64 bytes; keyid is ours, in hexadecimal. */
TD_MUST_USE td_code td_dsse_make(const char *payload_type, const void *payload, size_t size, const td_key *key,
                                 td_str *out, td_err *err);

#endif
