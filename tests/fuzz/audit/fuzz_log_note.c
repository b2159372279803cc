/*
 * fuzz_log_note.c: signed notes, checkpoints and verifier keys.
 *
 * The first line is tried as a verifier key, the rest as a note under it and under a fixed key.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/note.h"
#include "audit/witness.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_note(const char *note, size_t size, const td_note_key *key)
{
    size_t text_size = 0;
    if (td_note_verify(note, size, key, &text_size, NULL) == TD_OK) {
        assert(text_size > 0 && text_size < size && note[text_size - 1] == '\n');
    }
}

static void try_checkpoint(const char *text, size_t size)
{
    char origin[TD_LOG_ORIGIN_MAX];
    td_log_root root;
    if (td_checkpoint_parse(text, size, origin, &root, NULL) == TD_OK) {
        TD_CLEANUP(td_str_done) td_str again = {0};
        td_code code = td_checkpoint_text(origin, &root, &again, NULL);
        assert(code == TD_OK && again.size <= size && memcmp(again.data, text, again.size) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t public_key[TD_ED25519_PUBLIC_SIZE] = {1};
    td_note_key key;
    char vkey[512];
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    td_note_key_of(public_key, &key);
    try_note((const char *)data, size, &key);
    try_checkpoint((const char *)data, size);
    int64_t told = 0;
    assert(td_witness_size((const char *)data, size, &told, NULL) != TD_OK || told >= 0);
    if (newline != NULL && (size_t)(newline - data) < sizeof vkey &&
        memchr(data, '\0', (size_t)(newline - data)) == NULL) {
        size_t line = (size_t)(newline - data);
        memcpy(vkey, data, line);
        vkey[line] = '\0';
        if (td_note_key_parse(vkey, &key, NULL) == TD_OK) {
            try_note((const char *)newline + 1, size - line - 1, &key);
        }
    }
    return 0;
}
