/*
 * audit.h: the log of who did what, as canonical records in one transaction with the change itself.
 *
 * A record is canonical JSON (RFC 8785); its leaf (Sigsum form) enters an RFC 6962 Merkle tree whose signed
 * checkpoints anyone can verify. Every writing function of every module ends in td_audit_append on the same
 * connection, so that there is no action without a record and no record without an action.
 * Threads: td_audit_append runs where the writing connection lives; the rest says so itself.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_AUDIT_H
#define TD_AUDIT_AUDIT_H

#include "core/base/json.h"
#include "core/crypto/crypto.h"
#include "core/db/db.h"
#include "core/db/list.h"
#include "core/db/migrate.h"

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
    const char *action;      /* closed list `verb.object`: audit/actions.c */
    const char *object_type; /* "version", "device", … */
    const char *object_id;   /* "pump/3" */
    const uint8_t *digest;   /* of the object, 32 bytes, or NULL */
    const char *project;     /* or NULL: "default" */
    const char *decision;    /* or NULL */
    const char *reason;      /* mandatory for some actions (the list says which) */
    bool denied;             /* outcome: an attempt that was refused */
    const json_t *before;    /* small canonical facts (no reals) or NULL; stored as digests and, up to 4 KiB, in full */
    const json_t *after;
    const json_t *links; /* {"approval":…, "rollout":…, "alert":…} or NULL */
} td_audit_entry;

/* Schema steps, for td_db_migrate. */
extern const td_migration td_audit_migrations[];

#define TD_AUDIT_RECORD_MAX ((size_t)32 * 1024) /* bytes of a canonical record */
#define TD_AUDIT_REASON_MAX ((size_t)4096)      /* bytes of a reason or decision */
#define TD_AUDIT_FACTS_MAX ((size_t)4096)       /* larger before/after facts are kept as digest only */
#define TD_AUDIT_LIST_MAX 1000                  /* records a td_audit_list_json */

/* Appends one record inside the caller's transaction; *seq_out (may be NULL) is its gap-free number from 0 (= leaf
 * index). The offline verifier follows these claims (audit/rules.c): approve.version has the manifest's digest as the
 * object's; create.rollout has after.model_version (or links.version) "pump/3"; issue.directive has after.goals
 * [{manifest:"sha256:..."}]. INVALID: unknown action (with the nearest known one), missing reason, reals in
 * before/after/links. LIMIT. */
TD_MUST_USE td_code td_audit_append(td_db *db, const td_audit_entry *entry, int64_t *seq_out, td_err *err);

/* What to list. Zeroed text filters are off; `after` is exclusive, so start with TD_AUDIT_QUERY_ALL. */
typedef struct td_audit_query {
    int64_t after;       /* only records with a greater number; -1: from the first */
    int limit;           /* 1 … TD_AUDIT_LIST_MAX; 0: 100 */
    bool newest_first;   /* the last `limit` records (still with seq > after), newest first */
    const char *project; /* NULL: all */
    const char *object;  /* object id ("pump/3"), or "type:id" ("version:pump/3") */
    const char *actor;
    const char *action; /* "approve.version" */
} td_audit_query;
#define TD_AUDIT_QUERY_ALL ((td_audit_query){.after = -1})

/* {"records":[record…], "next_after": seq of the last one looked at}; a record is the stored JSON, an erased one is
 * {"seq":…, "erased":true}. INVALID: unknown action, limit out of range. Any connection. */
TD_MUST_USE td_code td_audit_list_json(td_db *db, const td_audit_query *query, json_t **out, td_err *err);
/* {"records":[…],"next_cursor"?}: oldest first, or as the page says; at most TD_AUDIT_LIST_MAX a page. Of one project;
 * NULL: of all. Any connection. INVALID, LIMIT. */
TD_MUST_USE td_code td_audit_search_json(td_db *db, const char *project, const td_page *page, json_t **out,
                                         td_err *err);
/* Appends the canonical bytes of one record. NOT_FOUND: no such record, or its body was erased. */
TD_MUST_USE td_code td_audit_record(td_db *db, int64_t seq, td_str *out, td_err *err);
/* NOT_FOUND unless there is such a record and it is of the project; the same words in both cases. */
TD_MUST_USE td_code td_audit_check_project(td_db *db, int64_t seq, const char *project, td_err *err);
/* How many records there are (the next record's number). */
TD_MUST_USE td_code td_audit_count(td_db *db, int64_t *out, td_err *err);

/* Erases the body of a record that is already in the tree (personal data); its leaf stays and the tree still
 * verifies. The erasure is a record of its own (erase.record, reason mandatory). Inside the caller's transaction.
 * NOT_FOUND, CONFLICT. */
TD_MUST_USE td_code td_audit_erase(td_db *db, int64_t seq, const td_actor *actor, const char *reason, td_err *err);

/* The closed list of actions (audit/actions.c). */
typedef struct td_action {
    const char *name; /* "approve.version" */
    bool reason_mandatory;
    const char *means; /* one sentence for the documents: "An approver signed a version's manifest." */
} td_action;
/* NULL if there is no such action. */
const td_action *td_action_find(const char *name);
const td_action *td_action_all(size_t *count_out);

#endif
