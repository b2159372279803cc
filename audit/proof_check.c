/*
 * proof_check.c: a record, a proof and a key, and nothing else: is the record in the log?
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"
#include "audit/merkle.h"
#include "audit/note.h"

#include <string.h>

#define HEADER "c2sp.org/tlog-proof@v1"
#define LINE_MAX_SIZE 512

typedef struct proof_text {
    const char *at, *end;
    uint8_t leaf_tail[TD_LOG_LEAF_SIZE - TD_LEAF_SIGNATURE];
    int64_t index;
    td_log_proof proof;
} proof_text;

/* Copies the next line; false when there is none, or it is too long or holds a NUL. */
static bool take_line(proof_text *text, char line[LINE_MAX_SIZE])
{
    const char *newline = text->at < text->end ? memchr(text->at, '\n', (size_t)(text->end - text->at)) : NULL;
    size_t size = newline != NULL ? (size_t)(newline - text->at) : 0;
    if (newline == NULL || size >= LINE_MAX_SIZE || memchr(text->at, '\0', size) != NULL) {
        return false;
    }
    memcpy(line, text->at, size);
    line[size] = '\0';
    text->at = newline + 1;
    return true;
}

static bool decode_exactly(const char *base64, uint8_t *out, size_t size)
{
    size_t got = 0;
    return td_base64_decode(base64, strlen(base64), out, size, &got, NULL) == TD_OK && got == size;
}

/* The hashes up to the empty line. */
static bool take_hashes(proof_text *text)
{
    char line[LINE_MAX_SIZE];
    for (;;) {
        if (!take_line(text, line)) {
            return false;
        }
        if (line[0] == '\0') {
            return true;
        }
        if (text->proof.count == TD_LOG_PROOF_MAX ||
            !decode_exactly(line, text->proof.hashes[text->proof.count], TD_DIGEST_SIZE)) {
            return false;
        }
        text->proof.count++;
    }
}

static bool parse_index(const char *line, int64_t *out)
{
    const char *digits = line + 6;
    return strncmp(line, "index ", 6) == 0 && digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits) &&
           (digits[0] != '0' || digits[1] == '\0') &&
           td_parse_int(digits, "index", 0, TD_MERKLE_SIZE_MAX, out, NULL) == TD_OK;
}

static td_code parse_proof(proof_text *text, td_err *err)
{
    char line[LINE_MAX_SIZE];
    if (!take_line(text, line) || strcmp(line, HEADER) != 0) {
        return td_fail(err, TD_CORRUPT, "not a tlog-proof: the first line must be \"" HEADER "\"");
    }
    if (!take_line(text, line) || strncmp(line, "extra ", 6) != 0 ||
        !decode_exactly(line + 6, text->leaf_tail, sizeof text->leaf_tail)) {
        return td_fail(err, TD_CORRUPT,
                       "the proof's \"extra\" line must hold the leaf's signature and key hash (96 bytes)");
    }
    if (!take_line(text, line) || !parse_index(line, &text->index)) {
        return td_fail(err, TD_CORRUPT, "the proof lacks its \"index\" line");
    }
    if (!take_hashes(text)) {
        return td_fail(err, TD_CORRUPT,
                       "the proof's hashes are not lines of base64 of 32 bytes, ended by an empty line");
    }
    return TD_OK;
}

td_code td_log_proof_check(const char *proof, size_t proof_size, const void *record, size_t record_size,
                           const char *vkey, int64_t *index_out, td_log_root *root_out, td_err *err)
{
    proof_text text = {.at = proof, .end = proof + proof_size};
    td_log_root root;
    uint8_t leaf[TD_LOG_LEAF_SIZE];
    uint8_t hash[TD_DIGEST_SIZE];
    if (proof_size == 0) {
        return td_fail(err, TD_CORRUPT, "the proof is empty");
    }
    TD_TRY(parse_proof(&text, err));
    TD_TRY(td_log_checkpoint_check(text.at, (size_t)(text.end - text.at), vkey, &root, err));
    td_leaf_checksum(record, record_size, leaf);
    memcpy(leaf + TD_LEAF_SIGNATURE, text.leaf_tail, sizeof text.leaf_tail);
    td_merkle_leaf(leaf, sizeof leaf, hash);
    if (!td_merkle_verify_inclusion(hash, text.index, &root, &text.proof)) {
        return td_fail(err, TD_CORRUPT,
                       "the proof does not show that this record is number %lld of the %lld under the checkpoint",
                       (long long)text.index, (long long)root.size);
    }
    *index_out = text.index;
    *root_out = root;
    return TD_OK;
}
