/*
 * note.h: C2SP signed notes and verifier keys, and the checkpoint that is such a note's text.
 *
 * A note is text that ends in a newline, an empty line, and signature lines "— name base64(key id ‖ signature)".
 * Unknown keys are ignored; a bad signature by a known key spoils the note. Known here: Ed25519 as logs sign (0x01) and
 * as witnesses cosign (0x04, C2SP tlog-cosignature: the time stands before the signature and is signed with it).
 * Private to audit.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_NOTE_H
#define TD_AUDIT_NOTE_H

#include "audit/log.h"

#define TD_NOTE_KEY_ID_SIZE 4
#define TD_NOTE_SIGNATURES_MAX 64

typedef enum td_note_type { TD_NOTE_ED25519 = 0x01, TD_NOTE_COSIGNATURE = 0x04 } td_note_type;

typedef struct td_note_key {
    char name[TD_LOG_ORIGIN_MAX];
    td_note_type type;
    uint8_t id[TD_NOTE_KEY_ID_SIZE];
    uint8_t public_key[TD_ED25519_PUBLIC_SIZE];
} td_note_key;

/* The note's key of a log: its name is the origin. */
void td_note_key_of(const uint8_t log_public[TD_ED25519_PUBLIC_SIZE], td_note_key *out);
/* "name+hex8+base64" of a log: INVALID. */
TD_MUST_USE td_code td_note_key_parse(const char *vkey, td_note_key *out, td_err *err);
/* The same of a witness. */
TD_MUST_USE td_code td_note_cosigner_parse(const char *vkey, td_note_key *out, td_err *err);
/* Sets the key's id from its name, type and public key. */
void td_note_key_derive(td_note_key *key);
TD_MUST_USE td_code td_note_key_text(const td_note_key *key, td_str *out, td_err *err);

/* Appends text, which ends in a newline, and its signature line. */
TD_MUST_USE td_code td_note_sign(const char *text, const char *name, const td_key *key, td_str *out, td_err *err);
/* *text_size_out: how many bytes of `note` are the signed text. CORRUPT. */
TD_MUST_USE td_code td_note_verify(const char *note, size_t size, const td_note_key *key, size_t *text_size_out,
                                   td_err *err);

/* A signature line, cut up. Borrowed. */
typedef struct td_note_signature {
    const char *line; /* with its newline */
    size_t line_size;
    const char *name;
    size_t name_size;
    uint8_t id[TD_NOTE_KEY_ID_SIZE];
    const uint8_t *blob; /* what follows the id */
    size_t blob_size;
} td_note_signature;
typedef td_code (*td_note_visit)(void *context, const char *text, size_t text_size, const td_note_signature *signature,
                                 td_err *err);
/* Visits each signature line, whoever it is by. CORRUPT: not a note, or a line that is malformed. */
TD_MUST_USE td_code td_note_each(const char *note, size_t size, td_note_visit visit, void *context,
                                 size_t *text_size_out, td_err *err);
/* Is the line by this key? By its name and id. */
bool td_note_signed_by(const td_note_signature *signature, const td_note_key *key);
/* A line by this key: CORRUPT if it is not over this text. *time_out: seconds since 1970 that a witness signed; 0 for a
 * log's key. */
TD_MUST_USE td_code td_note_check(const char *text, size_t text_size, const td_note_signature *signature,
                                  const td_note_key *key, int64_t *time_out, td_err *err);
/* What a cosignature signs: two lines of head, then the text. */
TD_MUST_USE td_code td_note_cosigned(const char *text, size_t text_size, int64_t time_s, td_str *out, td_err *err);

/* The text of a checkpoint: origin, size, base64 root, a line each. */
TD_MUST_USE td_code td_checkpoint_text(const char *origin, const td_log_root *root, td_str *out, td_err *err);
/* Reads a checkpoint's text, whatever its signatures say; extension lines are allowed. CORRUPT. */
TD_MUST_USE td_code td_checkpoint_parse(const char *text, size_t size, char origin_out[TD_LOG_ORIGIN_MAX],
                                        td_log_root *out, td_err *err);

#endif
