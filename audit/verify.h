/*
 * verify.h: the export of the log, and its verification with the server switched off.
 *
 * An export is one tar of plain files: records (one canonical JSON a line), leaves, the signed checkpoint and the
 * public keys. The verifier streams it once: signature of the checkpoint, each record against its leaf, all leaves
 * against the root, and the rules that the records themselves must obey (numbers without gaps, four-eyes, no roll-out
 * before approval). Errors name the record and its index.
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_VERIFY_H
#define TD_AUDIT_VERIFY_H

#include "audit/policy.h"

#define TD_AUDIT_OLDER_MAX 64 /* older checkpoints at a time */

/* Takes the next bytes of the tar. Anything but TD_OK stops the export with that code. */
typedef td_code (*td_audit_sink)(void *context, const void *data, size_t size, td_err *err);

/* Public keys that go into the export for information (the auditor brings his own copy of the log's). */
typedef struct td_audit_keys {
    uint8_t log[TD_ED25519_PUBLIC_SIZE];
    uint8_t submitter[TD_ED25519_PUBLIC_SIZE];
} td_audit_keys;

/* Streams everything under the newest checkpoint, from one read transaction, a reading connection. NOT_FOUND: no
 * checkpoint. */
TD_MUST_USE td_code td_audit_export(td_db *db, const td_audit_keys *keys, td_audit_sink sink, void *context,
                                    td_err *err);

/* Told of each record's body as it passes. What it collects counts only when the verification as a whole says OK. */
typedef void (*td_audit_seen)(void *context, int64_t seq, const json_t *record);
/* Told once the log of a database is verified, in the same read transaction. Anything but TD_OK fails the whole. */
typedef td_code (*td_audit_then)(void *context, td_db *db, td_err *err);

/* What an auditor checks, in docs/audit.md's words. A run stops at the first that fails. */
typedef enum td_audit_check {
    TD_AUDIT_SIGNATURE,  /* A1: the checkpoint is signed by the log */
    TD_AUDIT_QUORUM,     /* it carries the cosignatures that the policy asks for */
    TD_AUDIT_TREE,       /* A2: the leaves add up to the signed root */
    TD_AUDIT_OLDER,      /* A3: older checkpoints are beginnings of it */
    TD_AUDIT_RECORD,     /* A4: each record fits its leaf */
    TD_AUDIT_DEPLOYMENT, /* A5: registered, approved by enough people, then deployed */
    TD_AUDIT_FOUR_EYES,  /* A6: nobody approved what he had made */
    TD_AUDIT_INSTALL,    /* A7: devices report what was ordered */
    TD_AUDIT_NUMBER,     /* A8: numbers without holes */
    TD_AUDIT_TIME,       /* A9: times, as far as they can be judged */
    TD_AUDIT_ERASURE,    /* A10: erased bodies are accounted for */
    TD_AUDIT_ROWS,       /* of a workspace: the rows say what the records say */
    TD_AUDIT_CHECK_COUNT
} td_audit_check;

/* How far each got; good also when the verification failed. */
typedef struct td_audit_checks {
    int64_t count[TD_AUDIT_CHECK_COUNT]; /* things that passed it; 0 at the end: there was nothing to check */
    td_audit_check now;                  /* being checked: when the verification fails, the one that failed */
    int64_t record;                      /* number of the record, and so index of the leaf, at hand; -1: none */
    int64_t clock_set_back;              /* records with an earlier time than the one before */
    int64_t set_back_ms, set_back_at;    /* the largest such step, and the record that made it */
} td_audit_checks;
/* "A1", and "the checkpoint is signed by the log's key". Static storage. */
const char *td_audit_check_name(td_audit_check check);
const char *td_audit_check_means(td_audit_check check);

typedef struct td_audit_verify_options {
    const char *vkey; /* the log's key as the auditor knows it; NULL: the one inside the export (self-consistency
                       * only: verdict.trusted stays false), or no signature check for a database */
    const char *const *older; /* texts of checkpoints kept from earlier, in any order; NULL ends them. The log must
                               * extend each, and a rewritten record lies between two of them */
    td_policy_demand *demand;      /* the newest published checkpoint must satisfy it; or NULL. Its vkey and others are
                                   * set from these options */
    td_policy_findings *findings; /* of it; not NULL with demand */
    bool signatures;              /* verify each leaf's own signature too (slow); an export's on all processors */
    const uint8_t *submitter;     /* verify_db with `signatures`: the submitter's public key, 32 bytes */
    td_audit_seen seen;           /* or NULL */
    const char *const *seen_actions; /* `seen` is told of these only, which is faster; NULL ends them. NULL: of all */
    td_audit_then then;           /* verify_db only, or NULL */
    void *seen_context;           /* of both */
    td_audit_checks *checks;      /* filled whatever comes of it, or NULL */
} td_audit_verify_options;

typedef struct td_audit_verdict {
    td_log_root root;
    int64_t records; /* bodies that were checked */
    int64_t erased;  /* bodies that were erased (each with an erase.record) */
    int64_t pending; /* verify_db only: records not yet under a checkpoint */
    bool trusted;    /* the checkpoint was verified with a key that the caller brought */
    char first_time[32], last_time[32];
} td_audit_verdict;

/* CORRUPT: "record 17 (approve.version pump/3): …". NOT_FOUND: no such file. *out is set on success only. */
TD_MUST_USE td_code td_audit_verify_export(const char *path, const td_audit_verify_options *options,
                                           td_audit_verdict *out, td_err *err);
/* The same checks on a database, plus columns against bodies, stored nodes and every stored checkpoint. */
TD_MUST_USE td_code td_audit_verify_db(td_db *db, const td_audit_verify_options *options, td_audit_verdict *out,
                                       td_err *err);

#endif
