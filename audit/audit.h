/*
 * audit.h: the log of who did what, as canonical records in one transaction with the change itself.
 *
 * A record is canonical JSON (RFC 8785); its leaf (Sigsum form) enters an RFC 6962 Merkle tree whose signed checkpoints
 * anyone can verify. Every writing function of every module ends in td_audit_append on the same connection, so that there is
 * no action without a record and no record without an action.
 * Threads: td_audit_append runs where the writing connection lives; the rest says so itself.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_AUDIT_H
#define TD_AUDIT_AUDIT_H

#include "core/base/json.h"
#include "core/crypto/crypto.h"
#include "core/db/db.h"

typedef enum td_actor_kind { TD_ACTOR_USER, TD_ACTOR_SERVICE, TD_ACTOR_DEVICE, TD_ACTOR_SYSTEM } td_actor_kind;

/* Who acts. All text is borrowed and outlives the call. */
typedef struct td_actor {
    td_actor_kind kind;
    int64_t user_id;            /* row of access' user table; 0 for devices and the system */
    const char *name;           /* "ana", "pump-07", "system" */
    const char *authentication; /* "token", "admin-socket", "mqtt", "internal" */
    const char *role;           /* role at the time, or "" */
    const char *request_id;     /* or "" */
} td_actor;

/* The server itself: timers, rollouts, evaluation. */
extern const td_actor td_actor_system;

typedef struct td_audit_entry {
    const td_actor *actor;
    const char *action;        /* closed list `verb.object`: audit/actions.c */
    const char *object_type;   /* "version", "device", … */
    const char *object_id;     /* "pump/3" */
    const uint8_t *digest;     /* of the object, 32 bytes, or NULL */
    const char *project;       /* or NULL: "default" */
    const char *decision;      /* or NULL */
    const char *reason;        /* mandatory for some actions (the list says which) */
    bool denied;               /* outcome: an attempt that was refused */
    const json_t *before;      /* small canonical facts (no reals) or NULL; stored as digests and, up to 4 KiB, in full */
    const json_t *after;
    const json_t *links;       /* {"approval":…, "rollout":…, "alert":…} or NULL */
} td_audit_entry;

/* Appends one record inside the caller's transaction; *seq_out (may be NULL) is its gap-free number from 0 (= leaf index).
 * INVALID: unknown action, missing reason. */
TD_MUST_USE td_code td_audit_append(td_db *db, const td_audit_entry *entry, int64_t *seq_out, td_err *err);

#endif
