/*
 * witness.h: asking witnesses to cosign (C2SP tlog-witness, add-checkpoint), and what is published because of it.
 *
 * A witness keeps the newest tree of ours that it saw; we send the newest signed checkpoint with a proof that it
 * extends that one, and get a cosignature. Once the quorum has cosigned, the checkpoint is published; until then
 * readers, proofs and exports get the one before. This is the protocol without its HTTP, which server/witness.c does.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_WITNESS_H
#define TD_AUDIT_WITNESS_H

#include "audit/policy.h"

#define TD_WITNESS_BODY_MAX ((size_t)16 * 1024) /* of an answer */

/* Puts a policy (its file's text) into force and on record, inside the caller's transaction; the same again does
 * nothing. `text` NULL: no policy; does nothing if there never was one. */
TD_MUST_USE td_code td_log_policy_install(td_db *db, const td_policy *policy, const char *text, td_err *err);

/* The newest checkpoint that is signed, published or not; note_out may be NULL. NOT_FOUND: none. */
TD_MUST_USE td_code td_log_signed_read(td_db *db, td_log_root *root_out, td_str *note_out, td_err *err);
/* Size of the newest published one, 0 if there is none, and when it was (milliseconds since 1970). */
TD_MUST_USE td_code td_log_published_read(td_db *db, int64_t *size_out, int64_t *at_ms_out, td_err *err);

/* Body of add-checkpoint: the proof from the witness's tree of old_size, and the note. CONFLICT: old_size is more than
 * the checkpoint has. */
TD_MUST_USE td_code td_witness_request(td_db *db, int64_t old_size, int64_t size, const char *note, td_str *out,
                                       td_err *err);
/* The tree size in the body of a 409. CORRUPT. */
TD_MUST_USE td_code td_witness_size(const char *body, size_t body_size, int64_t *out, td_err *err);

/* A witness's cosignature of a stored checkpoint. */
typedef struct td_cosignature {
    const td_policy *policy; /* in force */
    const char *vkey;        /* the log's key */
    size_t witness;          /* index in the policy */
    int64_t size;            /* of the checkpoint */
    int64_t time_s;          /* when the witness says it cosigned */
    char line[1024];         /* its signature line */
} td_cosignature;
/* Finds and verifies this witness's cosignature in the body of a 200 and fills witness-independent fields time_s and
 * line; `cosignature` brings policy, vkey and witness. CORRUPT: no good one; nothing is changed then. */
TD_MUST_USE td_code td_witness_take(td_cosignature *cosignature, const char *note, const char *body, size_t body_size,
                                    td_err *err);
/* Stores it, inside the caller's transaction, after verifying it again; the same again is fine. *published_out: the
 * quorum is reached by it. NOT_FOUND: no such checkpoint. */
TD_MUST_USE td_code td_witness_store(td_db *db, const td_cosignature *cosignature, bool *published_out, td_err *err);
/* The largest tree that this witness cosigned, 0: none. */
TD_MUST_USE td_code td_witness_newest(td_db *db, const td_policy *policy, size_t witness, int64_t *size_out,
                                      int64_t *time_s_out, td_err *err);
/* Puts on record that a witness or a device ("witness", "auditor") has seen another tree than this log has. */
TD_MUST_USE td_code td_log_contradiction(td_db *db, const char *kind, const char *name, const char *what, td_err *err);

#endif
