/*
 * witness_keys.c: cosignature/v1 from the signing side, which Tidemark itself never does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/audit/witness_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

test_witness witness_make(const char *name)
{
    test_witness witness = {.note_key = {.type = TD_NOTE_COSIGNATURE}};
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    td_err err = {.code = TD_OK};
    assert_int_equal(td_key_generate(TD_KEY_ED25519, &witness.key, &err), TD_OK);
    (void)td_key_public(witness.key, public_key);
    memcpy(witness.note_key.public_key, public_key, TD_ED25519_PUBLIC_SIZE);
    snprintf(witness.note_key.name, sizeof witness.note_key.name, "%s", name);
    td_note_key_derive(&witness.note_key);
    assert_int_equal(td_note_key_text(&witness.note_key, &witness.vkey, &err), TD_OK);
    td_hex_encode(public_key, TD_ED25519_PUBLIC_SIZE, witness.hex);
    return witness;
}

void witness_done(test_witness *witness)
{
    td_key_free(&witness->key);
    td_str_done(&witness->vkey);
}

void witness_cosign(const test_witness *witness, const char *text, int64_t time_s, td_str *out)
{
    TD_CLEANUP(td_str_done) td_str message = {0};
    uint8_t blob[TD_NOTE_KEY_ID_SIZE + 8 + TD_SIGNATURE_SIZE];
    memcpy(blob, witness->note_key.id, TD_NOTE_KEY_ID_SIZE);
    for (int i = 0; i < 8; i++) {
        blob[TD_NOTE_KEY_ID_SIZE + i] = (uint8_t)((uint64_t)time_s >> (8 * (7 - i)));
    }
    assert_int_equal(td_note_cosigned(text, strlen(text), time_s, &message, NULL), TD_OK);
    assert_int_equal(td_key_sign(witness->key, message.data, message.size, blob + TD_NOTE_KEY_ID_SIZE + 8, NULL),
                     TD_OK);
    td_str_addf(out, "\xe2\x80\x94 %s ", witness->note_key.name);
    td_base64_add(out, blob, sizeof blob);
    td_str_add_char(out, '\n');
}
