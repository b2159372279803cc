/*
 * note.h: C2SP signed notes and verifier keys, and the checkpoint that is such a note's text.
 *
 * A note is text that ends in a newline, an empty line, and signature lines "— name base64(key id ‖ signature)".
 * Unknown keys are ignored; a bad signature by a known key spoils the note. Only Ed25519 (type 0x01) is known here.
 * Private to audit.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_NOTE_H
#define TD_AUDIT_NOTE_H

#include "audit/log.h"

#define TD_NOTE_KEY_ID_SIZE 4
#define TD_NOTE_SIGNATURES_MAX 64

typedef struct td_note_key {
    char name[TD_LOG_ORIGIN_MAX];
    uint8_t id[TD_NOTE_KEY_ID_SIZE];
    uint8_t public_key[TD_ED25519_PUBLIC_SIZE];
} td_note_key;

/* The note's key of a log: its name is the origin. */
void td_note_key_of(const uint8_t log_public[TD_ED25519_PUBLIC_SIZE], td_note_key *out);
/* "name+hex8+base64": INVALID. */
TD_MUST_USE td_code td_note_key_parse(const char *vkey, td_note_key *out, td_err *err);
TD_MUST_USE td_code td_note_key_text(const td_note_key *key, td_str *out, td_err *err);

/* Appends text, which ends in a newline, and its signature line. */
TD_MUST_USE td_code td_note_sign(const char *text, const char *name, const td_key *key, td_str *out, td_err *err);
/* *text_size_out: how many bytes of `note` are the signed text. CORRUPT. */
TD_MUST_USE td_code td_note_verify(const char *note, size_t size, const td_note_key *key, size_t *text_size_out,
                                   td_err *err);

/* The text of a checkpoint: origin, size, base64 root, a line each. */
TD_MUST_USE td_code td_checkpoint_text(const char *origin, const td_log_root *root, td_str *out, td_err *err);
/* Reads a checkpoint's text, whatever its signatures say; extension lines are allowed. CORRUPT. */
TD_MUST_USE td_code td_checkpoint_parse(const char *text, size_t size, char origin_out[TD_LOG_ORIGIN_MAX],
                                        td_log_root *out, td_err *err);

#endif
