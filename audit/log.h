/*
 * log.h: the transparency log over the audit records: leaves, tree, signed checkpoints, proofs.
 *
 * Order of things: records commit with the change itself; the sequencer turns committed records into Sigsum leaves
 * and tree nodes (one transaction); the signer, which keeps its own fsynced memory of the last tree that it signed,
 * demands a consistency proof, persists, then signs; the checkpoint is stored and published. Formats: RFC 6962 tree,
 * Sigsum leaf, C2SP signed note, checkpoint and tlog-proof (docs/audit.md).
 *
 * Threads: a td_log_signer belongs to one thread; td_db rules apply to the rest.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_LOG_H
#define TD_AUDIT_LOG_H

#include "audit/audit.h"

#define TD_LOG_LEAF_SIZE 128 /* checksum ‖ Ed25519 signature ‖ hash of the submitter's key */
#define TD_LOG_PROOF_MAX 64  /* hashes in an inclusion or consistency proof */
#define TD_LOG_NOTE_MAX ((size_t)16 * 1024)
#define TD_LOG_ORIGIN_MAX 128

typedef struct td_log_root {
    int64_t size; /* leaves */
    uint8_t hash[TD_DIGEST_SIZE];
} td_log_root;

typedef struct td_log_proof {
    uint8_t hashes[TD_LOG_PROOF_MAX][TD_DIGEST_SIZE];
    size_t count;
} td_log_proof;

/* --- Sequencer --- */

/* Leaves that are computed but not yet stored. Signing leaves is the slow part and needs no writing connection, so:
 * read the batch on any connection, store it in a closure on the writing one. */
typedef struct td_log_batch td_log_batch;
/* Reads at most `limit` committed records that are not in the tree and makes their leaves. An empty batch is fine. */
TD_MUST_USE td_code td_log_batch_read(td_db *db, const td_key *submitter, size_t limit, td_log_batch **out,
                                      td_err *err);
size_t td_log_batch_count(const td_log_batch *batch);
void td_log_batch_free(td_log_batch **batch); /* TD_CLEANUP */
/* Inside the caller's transaction: leaves and tree nodes. CONFLICT: the tree has grown since the batch was read. */
TD_MUST_USE td_code td_log_batch_store(td_db *db, const td_log_batch *batch, td_err *err);
/* Both in one go, for tests and offline tools: sequences everything, inside the caller's transaction. root_out may be
 * NULL. */
TD_MUST_USE td_code td_log_sequence(td_db *db, const td_key *submitter, td_log_root *root_out, td_err *err);
/* Size and root of the tree as stored. */
TD_MUST_USE td_code td_log_root_read(td_db *db, td_log_root *out, td_err *err);

/* --- Signer and checkpoints --- */

/* "sigsum.org/v1/tree/<hex SHA-256 of the log's public key>". */
void td_log_origin(const uint8_t log_public[TD_ED25519_PUBLIC_SIZE], char out[TD_LOG_ORIGIN_MAX]);
/* The public key in a vkey. INVALID. */
TD_MUST_USE td_code td_log_vkey_public(const char *vkey, uint8_t out[TD_ED25519_PUBLIC_SIZE], td_err *err);
/* The log's verifier key as C2SP vkey text "origin+hex8+base64", which `audit verify --key` takes. */
TD_MUST_USE td_code td_log_vkey(const uint8_t log_public[TD_ED25519_PUBLIC_SIZE], td_str *out, td_err *err);

typedef struct td_log_signer td_log_signer;
/* `log_key` (Ed25519) is borrowed and must outlive the signer; state_path is created for size 0 when it is not there
 * and `fresh` is set. NOT_FOUND: no state though not fresh. CORRUPT: state unreadable or of another log. */
TD_MUST_USE td_code td_log_signer_open(const td_key *log_key, const char *state_path, bool fresh, td_log_signer **out,
                                       td_err *err);
void td_log_signer_close(td_log_signer **signer); /* TD_CLEANUP */
/* The last tree that it signed. */
td_log_root td_log_signer_root(const td_log_signer *signer);
/* Checks the proof from its last tree to `root`, persists `root`, then appends the signed checkpoint to note_out.
 * CONFLICT: the tree is smaller than, or not an extension of, what was signed before (a restore from an old backup,
 * or a rewritten log); nothing is signed then, ever, until a person decides (docs/audit.md). The same root again is
 * signed again (same bytes). */
TD_MUST_USE td_code td_log_signer_sign(td_log_signer *signer, const td_log_root *root, const td_log_proof *proof,
                                       td_str *note_out, td_err *err);
const char *td_log_signer_origin(const td_log_signer *signer);

/* What has to be signed: how the tree grew since the last one that was. */
typedef struct td_log_growth {
    td_log_root last; /* in: what the signer remembers */
    td_log_root root;
    td_log_proof proof; /* from last to root; empty where there can be none */
    bool fresh;         /* it differs from last, or no checkpoint of it was stored */
} td_log_growth;
/* Any connection. */
TD_MUST_USE td_code td_log_growth_read(td_db *db, td_log_growth *growth, td_err *err);
/* Reads root and proof from db (any connection), signs. *fresh_out: false when nothing is new (note_out is then
 * empty). */
TD_MUST_USE td_code td_log_checkpoint_make(td_db *db, td_log_signer *signer, td_str *note_out, bool *fresh_out,
                                           td_err *err);
/* Stores a signed checkpoint, inside the caller's transaction; the same size and root again is fine. */
TD_MUST_USE td_code td_log_checkpoint_store(td_db *db, const char *note, td_err *err);
/* The newest published checkpoint with its cosignatures: the newest signed one, unless a policy makes it wait for a
 * quorum (audit/witness.h). NOT_FOUND: none yet. */
TD_MUST_USE td_code td_log_checkpoint_read(td_db *db, td_str *out, td_err *err);

/* Verifies a checkpoint's signature against a vkey and reads it. CORRUPT; INVALID: the vkey is not one. */
TD_MUST_USE td_code td_log_checkpoint_check(const char *note, size_t size, const char *vkey, td_log_root *out,
                                            td_err *err);

/* --- Proofs --- */

TD_MUST_USE td_code td_log_inclusion(td_db *db, int64_t index, int64_t size, td_log_proof *out, td_err *err);
TD_MUST_USE td_code td_log_consistency(td_db *db, int64_t old_size, int64_t new_size, td_log_proof *out, td_err *err);
/* Appends a C2SP tlog-proof of record `seq` under the newest stored checkpoint; its `extra` holds the leaf's
 * signature and key hash, so that record + proof + vkey suffice offline. BUSY: no checkpoint covers the record yet
 * (about a second). NOT_FOUND. */
TD_MUST_USE td_code td_log_proof_text(td_db *db, int64_t seq, td_str *out, td_err *err);
/* The same in Sigsum's form, version 2, cosignatures included: what `sigsum-verify` reads. */
TD_MUST_USE td_code td_log_sigsum_text(td_db *db, int64_t seq, td_str *out, td_err *err);
/* Offline: does `proof` (text) show that `record` (canonical bytes) is in the log of `vkey`? CORRUPT, with the
 * reason. */
TD_MUST_USE td_code td_log_proof_check(const char *proof, size_t proof_size, const void *record, size_t record_size,
                                       const char *vkey, int64_t *index_out, td_log_root *root_out, td_err *err);

#endif
