/*
 * claims.h: what people and machines say about a version, signed, one line each in its claims.jsonl.
 *
 * A claim is a DSSE envelope around an in-toto statement. It is taken in only if a key that is trusted here signed it
 * (a person's in the keyset, the publisher's, or a listed one) and a subject of it is of the version; nothing in it is
 * read before that. Claims are never changed or removed. A set of signed claims does not say by itself that none is
 * missing: so each one's digest is an audit record of its own.
 * Threads: as the td_db that is passed; functions without one may be called from any thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLAIMS_CLAIMS_H
#define TD_CLAIMS_CLAIMS_H

#include "access/access.h"
#include "claims/dsse.h"
#include "claims/statement.h"
#include "core/db/migrate.h"
#include "registry/registry.h"

extern const td_migration td_claims_migrations[];

#define TD_CLAIMS_MAX 256                             /* of one version */
#define TD_CLAIMS_BYTES_MAX ((size_t)4 * 1024 * 1024) /* of one version's claims.jsonl: what an export can carry */
#define TD_CLAIM_KEYS_MAX 64                          /* listed in one project, those that were removed included */
#define TD_CLAIM_KEY_NAME_MAX 64

/* ---- one claim ---- */

typedef struct td_claim_key {
    td_public_key key;
    const char *source; /* "person", "publisher", "listed"; offline "given" */
    const char *name;
} td_claim_key;

typedef struct td_claim {
    td_dsse envelope;
    td_statement statement;
    const td_claim_key *signer;
    const char *covers;             /* see td_statement_covers; NULL when it was not asked */
    td_str line;                    /* the envelope as one line, without line feed */
    uint8_t digest[TD_DIGEST_SIZE]; /* of the line */
    bool approves;                  /* td_claim_check_approval let it pass */
} td_claim;
void td_claim_done(td_claim *claim); /* TD_CLEANUP */

/* Finds the key that signed, then reads what it says; with `about`, it must be about that version. The envelope, the
 * keys and `about` must outlive the claim. CORRUPT: no key of these signed it, or it is malformed, or about something
 * else. */
TD_MUST_USE td_code td_claim_open(const td_dsse *envelope, const td_claim_key *keys, size_t key_count,
                                  const td_about *about, td_claim *out, td_err *err);
/* Is it the approver's own statement, by his own key, about this very version, of about the time of `want` (the
 * server's now)? Its meaning may be any. Sets `approves`. CORRUPT names what differs. */
TD_MUST_USE td_code td_claim_check_approval(td_claim *claim, const td_approval_said *want, td_err *err);
/* What lists show of a predicate, by its kind; an object, owned by the caller. */
TD_MUST_USE td_code td_claim_summary(const td_statement *statement, json_t **out, td_err *err);

/* ---- claims.jsonl, offline (lines.c) ---- */

typedef struct td_claim_check {
    const td_claim_key *keys; /* whose signatures count */
    size_t key_count;
    const td_about *about; /* what all must be about; NULL: not asked */
} td_claim_check;
/* Verifies each line. *out: an array of {"line","good":true,"digest","kind","predicate_type","signed_by","covers",
 * "summary"} or {"line","good":false,"problem"}; *bad_out: how many of the latter. LIMIT: more than TD_CLAIMS_MAX. */
TD_MUST_USE td_code td_claims_verify(const char *text, size_t size, const td_claim_check *check, size_t *bad_out,
                                     json_t **out, td_err *err);

/* ---- none is missing (of_log.c) ---- */

typedef struct td_claims_log {
    struct {
        int64_t seq;
        uint8_t digest[TD_DIGEST_SIZE]; /* of the claim's line */
    } rows[TD_CLAIMS_MAX];
    size_t count;
} td_claims_log;
/* Verifies an export of the audit log (audit/verify.h; vkey NULL: only against itself) and takes the claims out of it
 * that are on record for the version of this content id. CORRUPT, NOT_FOUND, LIMIT. */
TD_MUST_USE td_code td_claims_of_log(const char *path, const char *vkey, const uint8_t content_id[TD_DIGEST_SIZE],
                                     td_claims_log *out, td_err *err);
/* Holds what td_claims_verify told, all of it good, against the log. CORRUPT names the record that has no line, or the
 * line that has no record. */
TD_MUST_USE td_code td_claims_match_log(const json_t *lines, const td_claims_log *log, td_err *err);

/* ---- the store ---- */

/* Records a claim whose line is in content already, under its digest. A person's or listed key must still count.
 * Approvals take td_claim_check_approval first and the permission to approve, others TD_MAY_CLAIM; the server's own
 * (system actor) pass. CONFLICT: a draft, an archived version, or the claim is there already; LIMIT. */
TD_MUST_USE td_code td_claim_add(td_db *db, const td_actor *actor, const char *project, const char *reference,
                                 const td_claim *claim, td_err *err);
/* An array: {"digest","kind","predicate_type","covers","signed_by":{"source","name","key_id"},"summary","size",
 * "added_by","added_at","audit_seq"}, oldest first. */
TD_MUST_USE td_code td_claims_json(td_db *db, int64_t version_id, json_t **out, td_err *err);
/* Adds to a version's JSON (td_version_json) "claim_count", and to each of its approvals "meaning" and "statement" (the
 * claim's digest), null where none was made. */
TD_MUST_USE td_code td_claims_complete(td_db *db, const char *project, json_t *version, td_err *err);
/* The one whose digest begins so ("sha256:ab12", at least 4 digits). NOT_FOUND; CONFLICT: more than one. */
TD_MUST_USE td_code td_claim_find(td_db *db, const td_version *version, const char *digest,
                                  uint8_t digest_out[TD_DIGEST_SIZE], td_err *err);
/* Digests of all, oldest first, in the arena. */
TD_MUST_USE td_code td_claim_digests(td_db *db, int64_t version_id, td_arena *arena, uint8_t (**out)[TD_DIGEST_SIZE],
                                     size_t *count_out, td_err *err);

/* ---- keys that count (claim_key_store.c) ---- */

/* The keys of people in the keyset who hold a role in the project, and the project's listed ones, in the arena. `room`
 * more entries are left free. */
TD_MUST_USE td_code td_claim_keys(td_db *db, const char *project, size_t room, td_arena *arena, td_claim_key **out,
                                  size_t *count_out, td_err *err);
/* Lists a key under a name. It takes TD_MAY_MANAGE_USER and a reason. CONFLICT: name or key is or was listed; LIMIT. */
TD_MUST_USE td_code td_claim_key_trust(td_db *db, const td_actor *actor, const char *project, const char *name,
                                       const td_public_key *key, const char *reason, td_err *err);
/* Its word counts no more; claims that it signed stay. NOT_FOUND; CONFLICT: removed already. */
TD_MUST_USE td_code td_claim_key_distrust(td_db *db, const td_actor *actor, const char *project, const char *name,
                                          const char *reason, td_err *err);
/* An array: {"source":"listed","name","kind","key_id","public_key" (PEM),"added_by","added_at","removed_at"}. Of people
 * the same, without added_by; whoever holds no role in the project is not told of. */
TD_MUST_USE td_code td_claim_people_json(td_db *db, const char *project, json_t **out, td_err *err);
TD_MUST_USE td_code td_claim_keys_json(td_db *db, const char *project, json_t **out, td_err *err);

#endif
