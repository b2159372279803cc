/*
 * past.h: a log that lost its end goes on under a new origin, and says so in its own first record under it.
 *
 * The tree keeps its leaves; the key, and with it the origin, changes: nobody can take a checkpoint of the one for one
 * of the other. The record resume.log holds the old origin and verifier key, the last tree that is known to have been
 * signed under it, how many records were kept, who began anew and why. The new key signs the tree that holds this
 * record, so whoever trusts the new key learns the old one from it (docs/audit.md).
 * Threads: td_db rules.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_PAST_H
#define TD_AUDIT_PAST_H

#include "audit/log.h"

#define TD_LOG_RESUME_ACTION "resume.log"
#define TD_LOG_VKEY_MAX 512

/* Is the tree that was signed the beginning of the one that is stored? CONFLICT says what is missing, or that history
 * differs. Everything must have been sequenced. */
TD_MUST_USE td_code td_log_extends(td_db *db, const td_log_root *signed_root, td_err *err);

typedef struct td_log_resume {
    const char *old_vkey, *new_vkey;
    td_log_root last;     /* the last tree that is known to have been signed; size < 0: nobody knows */
    const char *known_by; /* "signer", "checkpoint", "database" or "nobody" */
    const char *note;     /* the signed checkpoint of it, or NULL */
    const char *by;       /* the account on the server's machine that ran the command */
    const char *reason;
} td_log_resume;

typedef struct td_log_cut {
    int64_t kept; /* records of the old log that are still here */
    int64_t lost; /* those that were signed and are not; -1: nobody knows */
} td_log_cut;
/* What a resumption would say now. */
TD_MUST_USE td_code td_log_cut_read(td_db *db, const td_log_root *last, td_log_cut *out, td_err *err);
/* Appends the record, inside the caller's transaction. */
TD_MUST_USE td_code td_log_resume_append(td_db *db, const td_log_resume *resume, td_err *err);
/* What the newest resume.log says: the key under which the log goes on, the one before, what was cut. "" and zeros when
 * there is none. */
TD_MUST_USE td_code td_log_resumed_vkey(td_db *db, char out[TD_LOG_VKEY_MAX], td_err *err);
TD_MUST_USE td_code td_log_resumed_from(td_db *db, char out[TD_LOG_VKEY_MAX], td_err *err);
TD_MUST_USE td_code td_log_resumed_cut(td_db *db, td_log_cut *out, td_err *err);

/* --- for the verifiers --- */

/* The verifier key of checkpoints of `size` records, as the log itself tells: `current`, or an older one. The record
 * that tells it must still be verified. */
TD_MUST_USE td_code td_log__vkey_at(td_db *db, int64_t size, const char *current, char out[TD_LOG_VKEY_MAX],
                                    td_err *err);
/* Of a resume.log record: its old origin's verifier key and how many records were kept. False: not such a record. */
bool td_log__past_of(const json_t *record, char vkey_out[TD_LOG_VKEY_MAX], int64_t *kept_out);

#endif
