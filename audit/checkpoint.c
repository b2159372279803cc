/*
 * checkpoint.c: the log's origin and key, and the three lines that a checkpoint is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/merkle.h"
#include "audit/note.h"

#include <stdio.h>
#include <string.h>

void td_log_origin(const uint8_t log_public[TD_ED25519_PUBLIC_SIZE], char out[TD_LOG_ORIGIN_MAX])
{
    uint8_t digest[TD_DIGEST_SIZE];
    char hex[TD_DIGEST_TEXT];
    td_sha256_of(log_public, TD_ED25519_PUBLIC_SIZE, digest);
    td_hex_encode(digest, sizeof digest, hex);
    snprintf(out, TD_LOG_ORIGIN_MAX, "sigsum.org/v1/tree/%s", hex);
}

td_code td_log_vkey(const uint8_t log_public[TD_ED25519_PUBLIC_SIZE], td_str *out, td_err *err)
{
    td_note_key key;
    td_note_key_of(log_public, &key);
    return td_note_key_text(&key, out, err);
}

td_code td_log_vkey_public(const char *vkey, uint8_t out[TD_ED25519_PUBLIC_SIZE], td_err *err)
{
    td_note_key key;
    TD_TRY(td_note_key_parse(vkey, &key, err));
    memcpy(out, key.public_key, sizeof key.public_key);
    return TD_OK;
}

td_code td_checkpoint_text(const char *origin, const td_log_root *root, td_str *out, td_err *err)
{
    td_str_addf(out, "%s\n%lld\n", origin, (long long)root->size);
    td_base64_add(out, root->hash, sizeof root->hash);
    td_str_add_char(out, '\n');
    return td_str_check(out, err);
}

/* The next line of text without its newline; false when there is none. */
static bool next_line(const char **at, const char *end, const char **line_out, size_t *size_out)
{
    const char *newline = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
    if (newline == NULL) {
        return false;
    }
    *line_out = *at;
    *size_out = (size_t)(newline - *at);
    *at = newline + 1;
    return true;
}

/* Decimal without leading zeros. */
static bool parse_size(const char *line, size_t size, int64_t *out)
{
    char text[24];
    if (size == 0 || size >= sizeof text || (line[0] == '0' && size > 1)) {
        return false;
    }
    memcpy(text, line, size);
    text[size] = '\0';
    return strspn(text, "0123456789") == size &&
           td_parse_int(text, "size", 0, TD_MERKLE_SIZE_MAX, out, NULL) == TD_OK;
}

td_code td_checkpoint_parse(const char *text, size_t size, char origin_out[TD_LOG_ORIGIN_MAX], td_log_root *out,
                            td_err *err)
{
    const char *at = text;
    const char *end = text + size;
    const char *origin = NULL, *count = NULL, *root = NULL;
    size_t origin_size = 0, count_size = 0, root_size = 0, decoded = 0;
    td_log_root made;
    if (!next_line(&at, end, &origin, &origin_size) || !next_line(&at, end, &count, &count_size) ||
        !next_line(&at, end, &root, &root_size) || origin_size == 0 || origin_size >= TD_LOG_ORIGIN_MAX ||
        memchr(origin, '\0', origin_size) != NULL || !parse_size(count, count_size, &made.size) ||
        td_base64_decode(root, root_size, made.hash, sizeof made.hash, &decoded, NULL) != TD_OK ||
        decoded != sizeof made.hash) {
        return td_fail(err, TD_CORRUPT,
                       "not a checkpoint: the lines origin, size and root (base64 of 32 bytes) are expected");
    }
    memcpy(origin_out, origin, origin_size);
    origin_out[origin_size] = '\0';
    *out = made;
    return TD_OK;
}

td_code td_log_checkpoint_check(const char *note, size_t size, const char *vkey, td_log_root *out, td_err *err)
{
    td_note_key key;
    size_t text_size = 0;
    char origin[TD_LOG_ORIGIN_MAX];
    td_log_root root;
    TD_TRY(td_note_key_parse(vkey, &key, err));
    TD_TRY(td_note_verify(note, size, &key, &text_size, err));
    TD_TRY(td_checkpoint_parse(note, text_size, origin, &root, err));
    if (strcmp(origin, key.name) != 0) {
        return td_fail(err, TD_CORRUPT, "the checkpoint is of the log %s, not of %s", origin, key.name);
    }
    *out = root;
    return TD_OK;
}
