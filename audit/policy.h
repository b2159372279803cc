/*
 * policy.h: whose word about the log counts: the policy file (C2SP tlog-policy; Sigsum's form with bare keys too).
 *
 *   log <vkey> [url]                      the checkpoint must be signed by one of these
 *   witness NAME <vkey> [url]             may cosign; the url is where the server asks it to
 *   group NAME all|any|K MEMBER...        has seen a tree once that many members have
 *   quorum NAME|none                      who must have seen it
 *
 * A cosignature (cosignature/v1, Ed25519) says: at that time this was the largest consistent tree that I had seen of
 * this log. Signatures by unknown keys are passed over; a bad one by a known key spoils the note.
 * Threads: a policy is never changed once it is read; any thread may use it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_POLICY_H
#define TD_AUDIT_POLICY_H

#include "audit/log.h"

#define TD_POLICY_SIZE_MAX ((size_t)64 * 1024)
#define TD_POLICY_LOGS_MAX 32
#define TD_POLICY_WITNESSES_MAX 32
#define TD_POLICY_GROUPS_MAX 32
#define TD_POLICY_NAME_MAX 128 /* with its NUL */
#define TD_POLICY_URL_MAX 512  /* with its NUL */

typedef struct td_policy td_policy;
/* INVALID: "line 3: …", with `what` (a file's name) in front. */
TD_MUST_USE td_code td_policy_parse(const char *text, size_t size, const char *what, td_policy **out, td_err *err);
/* NOT_FOUND, INVALID. */
TD_MUST_USE td_code td_policy_read(const char *path, td_policy **out, td_err *err);
void td_policy_free(td_policy **policy); /* TD_CLEANUP */

size_t td_policy_logs(const td_policy *policy);      /* how many it lists */
/* The key of one of them as "name+hex8+base64". */
TD_MUST_USE td_code td_policy_log_vkey(const td_policy *policy, size_t index, td_str *out, td_err *err);
size_t td_policy_witnesses(const td_policy *policy); /* how many it lists */
/* Borrowed; url "" if the policy has none. */
const char *td_policy_witness_name(const td_policy *policy, size_t index);
const char *td_policy_witness_url(const td_policy *policy, size_t index);
/* Does it list this log, or no log at all (then any log may use it)? */
bool td_policy_accepts_log(const td_policy *policy, const uint8_t log_public[TD_ED25519_PUBLIC_SIZE]);
const char *td_policy_quorum(const td_policy *policy); /* a name, "none" if no cosignature is asked for */

/* What a note is worth under a policy. */
typedef struct td_policy_verdict {
    char origin[TD_LOG_ORIGIN_MAX];
    td_log_root root;
    bool quorum;                            /* enough have cosigned */
    size_t cosigned;                        /* how many witnesses of the policy have */
    int64_t times[TD_POLICY_WITNESSES_MAX]; /* each witness's newest cosignature, seconds since 1970; 0: none */
} td_policy_verdict;

/* Verifies each signature by a known key and weighs the cosignatures. `vkey`: the log's key as the caller knows it, or
 * NULL: any log that the policy lists. INVALID: no vkey, and the policy lists no log. CORRUPT: no good signature of
 * the log, or a bad one by a known key. A quorum that is not reached is no error here: see verdict.quorum. */
TD_MUST_USE td_code td_policy_weigh(const td_policy *policy, const char *vkey, const char *note, size_t size,
                                    td_policy_verdict *out, td_err *err);
/* The same; CORRUPT also when the quorum is not reached: the message names who has cosigned. */
TD_MUST_USE td_code td_policy_check(const td_policy *policy, const char *vkey, const char *note, size_t size,
                                    td_policy_verdict *out, td_err *err);

/* ---- For auditors: why each witness's word counts, or does not ---- */

typedef enum td_cosign_state { /* a later one outweighs an earlier one */
    TD_COSIGN_MISSING,         /* no line of it */
    TD_COSIGN_KEY,             /* a line under its name by another key */
    TD_COSIGN_OLD,             /* good, but earlier than asked for */
    TD_COSIGN_GOOD,
    TD_COSIGN_OTHER,           /* over another checkpoint that the caller has */
    TD_COSIGN_FORGED,          /* its key's line, but not over this checkpoint */
} td_cosign_state;
/* "wrong_key"; "a cosignature bears its name, …". Static storage. */
const char *td_cosign_state_name(td_cosign_state state);
const char *td_cosign_state_means(td_cosign_state state);

typedef struct td_policy_demand {
    const td_policy *policy;
    const char *vkey;          /* the log's key where the policy lists none; else it is asked for as well; or NULL */
    int64_t not_before_s;      /* older cosignatures do not count; 0: all do */
    const char *const *others; /* other checkpoints of the log, to tell what was cosigned instead; NULL ends; or NULL */
} td_policy_demand;

typedef struct td_policy_findings {
    td_policy_verdict verdict;
    td_cosign_state states[TD_POLICY_WITNESSES_MAX];
} td_policy_findings;

/* Judges a checkpoint. *out tells what was found, as far as it came, whether it is OK or not. CORRUPT: not signed by a
 * log of the policy, a wrong line under a witness's key, no quorum; the message names witnesses. INVALID: as
 * td_policy_weigh. */
TD_MUST_USE td_code td_policy_judge(const td_policy_demand *demand, const char *note, size_t size,
                                    td_policy_findings *out, td_err *err);

#endif
