/*
 * witness_keys.h: witnesses for tests: a key, its names in a policy file, and cosignatures of any text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_AUDIT_WITNESS_KEYS_H
#define TESTS_UNIT_AUDIT_WITNESS_KEYS_H

#include "audit/note.h"

typedef struct test_witness {
    td_key *key;
    td_note_key note_key;
    td_str vkey;
    char hex[2 * TD_ED25519_PUBLIC_SIZE + 1]; /* of the public key: Sigsum's form */
} test_witness;

test_witness witness_make(const char *name);
void witness_done(test_witness *witness); /* TD_CLEANUP */
/* Appends "— name base64\n" over text (which ends in a newline). */
void witness_cosign(const test_witness *witness, const char *text, int64_t time_s, td_str *out);

#endif
