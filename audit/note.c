/*
 * note.c: signed notes and verifier keys, read strictly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/note.h"

#include <stdio.h>
#include <string.h>

#define DASH "\xe2\x80\x94 " /* em dash, space */
#define DASH_SIZE 4
#define BLOB_SIZE (TD_NOTE_KEY_ID_SIZE + TD_SIGNATURE_SIZE)
#define BLOB_ROOM 4096 /* a stranger's signature may be an ML-DSA-44 one: 2,432 bytes */
#define TIME_SIZE 8

/* UTF-8 without control characters other than newline. Returns the size of the character at p, 0 if it is bad. */
static size_t good_character(const unsigned char *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80) {
        return p[0] == '\n' || (p[0] >= 0x20 && p[0] != 0x7f) ? 1 : 0;
    }
    size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || size > left) {
        return 0;
    }
    uint32_t value = p[0] & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (p[i] & 0x3fU);
    }
    bool bad = value < least[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) || value < 0xa0;
    return bad ? 0 : size;
}

/* Unicode's spaces beyond ASCII, which no name may hold; `p` is at a good character of `size` bytes. */
static bool wide_space(const unsigned char *p, size_t size)
{
    if (size == 2) {
        return p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0);
    }
    uint32_t value = size == 3 ? (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU) : 0;
    return value == 0x1680 || (value >= 0x2000 && value <= 0x200a) || value == 0x2028 || value == 0x2029 ||
           value == 0x202f || value == 0x205f || value == 0x3000;
}

static bool good_name(const char *name, size_t size)
{
    if (size == 0 || size >= TD_LOG_ORIGIN_MAX) {
        return false;
    }
    for (size_t at = 0; at < size;) {
        const unsigned char *p = (const unsigned char *)name + at;
        size_t step = good_character(p, size - at);
        if (step == 0 || p[0] <= ' ' || p[0] == '+' || wide_space(p, step)) {
            return false;
        }
        at += step;
    }
    return true;
}

static bool good_text(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t step = good_character((const unsigned char *)text + at, size - at);
        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

/* SHA-256(name ‖ newline ‖ type ‖ public key), its first four bytes. */
void td_note_key_derive(td_note_key *key)
{
    uint8_t text[TD_LOG_ORIGIN_MAX + 2 + TD_ED25519_PUBLIC_SIZE];
    uint8_t digest[TD_DIGEST_SIZE];
    size_t size = strlen(key->name);
    memcpy(text, key->name, size);
    text[size++] = '\n';
    text[size++] = (uint8_t)key->type;
    memcpy(text + size, key->public_key, sizeof key->public_key);
    td_sha256_of(text, size + sizeof key->public_key, digest);
    memcpy(key->id, digest, sizeof key->id);
}

void td_note_key_of(const uint8_t log_public[TD_ED25519_PUBLIC_SIZE], td_note_key *out)
{
    out->type = TD_NOTE_ED25519;
    td_log_origin(log_public, out->name);
    memcpy(out->public_key, log_public, sizeof out->public_key);
    td_note_key_derive(out);
}

static td_code parse_key(const char *vkey, td_note_type type, td_note_key *out, td_err *err)
{
    td_note_key key = {.type = type};
    const char *plus = strchr(vkey, '+');
    size_t name_size = plus != NULL ? (size_t)(plus - vkey) : 0;
    const char *hash = plus != NULL ? plus + 1 : "";
    uint8_t id[TD_NOTE_KEY_ID_SIZE];
    uint8_t raw[1 + TD_ED25519_PUBLIC_SIZE];
    size_t raw_size = 0;
    if (!good_name(vkey, name_size) || strlen(hash) < 10 || hash[8] != '+' ||
        td_hex_decode(hash, 8, id, sizeof id, NULL) != TD_OK ||
        td_base64_decode(hash + 9, strlen(hash + 9), raw, sizeof raw, &raw_size, NULL) != TD_OK ||
        raw_size != sizeof raw || raw[0] != (uint8_t)type) {
        return td_fail(err, TD_INVALID, "not %s verifier key of the form name+xxxxxxxx+base64 (%s): \"%.80s\"",
                       type == TD_NOTE_ED25519 ? "an Ed25519" : "an Ed25519 witness's",
                       type == TD_NOTE_ED25519 ? "keys/log.vkey of the workspace" : "its key's type is 4", vkey);
    }
    memcpy(key.name, vkey, name_size);
    key.name[name_size] = '\0';
    memcpy(key.public_key, raw + 1, sizeof key.public_key);
    td_note_key_derive(&key);
    if (memcmp(key.id, id, sizeof id) != 0) {
        return td_fail(err, TD_INVALID, "the verifier key \"%.80s\" is damaged: its name and key do not fit its hash",
                       vkey);
    }
    *out = key;
    return TD_OK;
}

td_code td_note_key_parse(const char *vkey, td_note_key *out, td_err *err)
{
    return parse_key(vkey, TD_NOTE_ED25519, out, err);
}

td_code td_note_cosigner_parse(const char *vkey, td_note_key *out, td_err *err)
{
    return parse_key(vkey, TD_NOTE_COSIGNATURE, out, err);
}

td_code td_note_key_text(const td_note_key *key, td_str *out, td_err *err)
{
    char id[2 * TD_NOTE_KEY_ID_SIZE + 1];
    uint8_t raw[1 + TD_ED25519_PUBLIC_SIZE] = {(uint8_t)key->type};
    td_hex_encode(key->id, sizeof key->id, id);
    memcpy(raw + 1, key->public_key, sizeof key->public_key);
    td_str_addf(out, "%s+%s+", key->name, id);
    td_base64_add(out, raw, sizeof raw);
    return td_str_check(out, err);
}

td_code td_note_sign(const char *text, const char *name, const td_key *key, td_str *out, td_err *err)
{
    td_note_key note_key = {.type = TD_NOTE_ED25519};
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    uint8_t blob[BLOB_SIZE];
    (void)td_key_public(key, public_key);
    snprintf(note_key.name, sizeof note_key.name, "%s", name);
    memcpy(note_key.public_key, public_key, sizeof note_key.public_key);
    td_note_key_derive(&note_key);
    memcpy(blob, note_key.id, sizeof note_key.id);
    TD_TRY(td_key_sign(key, text, strlen(text), blob + TD_NOTE_KEY_ID_SIZE, err));
    td_str_addf(out, "%s\n" DASH "%s ", text, name);
    td_base64_add(out, blob, sizeof blob);
    td_str_add_char(out, '\n');
    return td_str_check(out, err);
}

/* Where the signatures begin: behind the last empty line. 0 if there is none. */
static size_t find_signatures(const char *note, size_t size)
{
    for (size_t at = size; at >= 2; at--) {
        if (note[at - 1] == '\n' && note[at - 2] == '\n') {
            return at;
        }
    }
    return 0;
}

/* One signature line, with its newline; blob has BLOB_ROOM bytes. */
static td_code cut_line(const char *line, size_t size, uint8_t *blob, td_note_signature *out, td_err *err)
{
    const char *name = line + DASH_SIZE;
    const char *space = size > DASH_SIZE ? memchr(name, ' ', size - DASH_SIZE) : NULL;
    size_t blob_size = 0;
    if (space == NULL || memcmp(line, DASH, DASH_SIZE) != 0 || !good_name(name, (size_t)(space - name)) ||
        td_base64_decode(space + 1, (size_t)(line + size - 1 - space - 1), blob, BLOB_ROOM, &blob_size, NULL) !=
            TD_OK ||
        blob_size <= TD_NOTE_KEY_ID_SIZE) {
        return td_fail(err, TD_CORRUPT, "a signature line of the note is malformed");
    }
    *out = (td_note_signature){.line = line,
                               .line_size = size,
                               .name = name,
                               .name_size = (size_t)(space - name),
                               .blob = blob + TD_NOTE_KEY_ID_SIZE,
                               .blob_size = blob_size - TD_NOTE_KEY_ID_SIZE};
    memcpy(out->id, blob, sizeof out->id);
    return TD_OK;
}

bool td_note_signed_by(const td_note_signature *signature, const td_note_key *key)
{
    return strlen(key->name) == signature->name_size && memcmp(signature->name, key->name, signature->name_size) == 0 &&
           memcmp(signature->id, key->id, sizeof key->id) == 0;
}

td_code td_note_cosigned(const char *text, size_t text_size, int64_t time_s, td_str *out, td_err *err)
{
    td_str_addf(out, "cosignature/v1\ntime %lld\n", (long long)time_s);
    td_str_append(out, text, text_size);
    return td_str_check(out, err);
}

/* The time is big-endian and at most 2^63 - 1; 0 would say that the witness has no clock. False: not such a blob. */
static bool cosignature_time(const td_note_signature *signature, int64_t *out)
{
    uint64_t time = 0;
    if (signature->blob_size != TIME_SIZE + TD_SIGNATURE_SIZE) {
        return false;
    }
    for (size_t i = 0; i < TIME_SIZE; i++) {
        time = time << 8 | signature->blob[i];
    }
    *out = (int64_t)time;
    return time > 0 && time <= INT64_MAX;
}

static bool good_cosignature(const char *text, size_t text_size, const td_note_signature *signature,
                             const td_note_key *key, int64_t *time_out)
{
    TD_CLEANUP(td_str_done) td_str signed_text = {0};
    return cosignature_time(signature, time_out) &&
           td_note_cosigned(text, text_size, *time_out, &signed_text, NULL) == TD_OK &&
           td_ed25519_verify(key->public_key, signed_text.data, signed_text.size, signature->blob + TIME_SIZE, NULL) ==
               TD_OK;
}

td_code td_note_check(const char *text, size_t text_size, const td_note_signature *signature, const td_note_key *key,
                      int64_t *time_out, td_err *err)
{
    int64_t time = 0;
    bool good = key->type == TD_NOTE_COSIGNATURE
                    ? good_cosignature(text, text_size, signature, key, &time)
                    : signature->blob_size == TD_SIGNATURE_SIZE &&
                          td_ed25519_verify(key->public_key, text, text_size, signature->blob, NULL) == TD_OK;
    if (!good) {
        return td_fail(err, TD_CORRUPT, "the note's signature by %s does not verify: its text was changed",
                       key->name);
    }
    *time_out = time;
    return TD_OK;
}

td_code td_note_each(const char *note, size_t size, td_note_visit visit, void *context, size_t *text_size_out,
                     td_err *err)
{
    if (size == 0 || size > TD_LOG_NOTE_MAX || note[size - 1] != '\n' || !good_text(note, size)) {
        return td_fail(err, TD_CORRUPT,
                       "not a signed note: it must be text of at most %zu bytes that ends in a newline",
                       TD_LOG_NOTE_MAX);
    }
    size_t at = find_signatures(note, size);
    if (at == 0 || at == size) {
        return td_fail(err, TD_CORRUPT, "not a signed note: no signature lines behind an empty line");
    }
    size_t text_size = at - 1;
    for (int count = 0; at < size; count++) {
        uint8_t blob[BLOB_ROOM];
        td_note_signature signature;
        size_t line_size = (size_t)((const char *)memchr(note + at, '\n', size - at) - note) + 1 - at;
        if (count == TD_NOTE_SIGNATURES_MAX) {
            return td_fail(err, TD_CORRUPT, "the note has more than %d signatures", TD_NOTE_SIGNATURES_MAX);
        }
        TD_TRY(cut_line(note + at, line_size, blob, &signature, err));
        TD_TRY(visit(context, note, text_size, &signature, err));
        at += line_size;
    }
    *text_size_out = text_size;
    return TD_OK;
}

typedef struct sought {
    const td_note_key *key;
    bool found;
} sought;

static td_code check_if_known(void *context, const char *text, size_t text_size, const td_note_signature *signature,
                              td_err *err)
{
    sought *job = context;
    int64_t time = 0;
    if (!td_note_signed_by(signature, job->key)) {
        return TD_OK;
    }
    job->found = true;
    return td_note_check(text, text_size, signature, job->key, &time, err);
}

td_code td_note_verify(const char *note, size_t size, const td_note_key *key, size_t *text_size_out, td_err *err)
{
    sought job = {.key = key};
    size_t text_size = 0;
    TD_TRY(td_note_each(note, size, check_if_known, &job, &text_size, err));
    if (!job.found) {
        return td_fail(err, TD_CORRUPT, "the note is not signed by %s", key->name);
    }
    *text_size_out = text_size;
    return TD_OK;
}
