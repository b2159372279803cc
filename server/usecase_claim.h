/*
 * usecase_claim.h: claims about versions: taken in, made by the server itself, given out.
 *
 * Threads: as usecase.h.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_USECASE_CLAIM_H
#define TD_SERVER_USECASE_CLAIM_H

#include "claims/claims.h"
#include "registry/content.h"
#include "server/usecase.h"

/* What a claim about the version must name. CONFLICT: a draft. */
TD_MUST_USE td_code td_claim_about(const td_case *work, const char *reference, td_about *out, td_err *err);
/* The keys whose word counts in the project: people's, listed ones, the publisher's. In the arena. */
TD_MUST_USE td_code td_claim_trusted(const td_case *work, td_claim_key **out, size_t *count_out, td_err *err);
/* Checks an approver's statement about his approval of the version; CORRUPT names what differs. The claim borrows from
 * the case's arena. */
TD_MUST_USE td_code td_claim_approval(const td_case *work, const td_version *version, const char *reason,
                                      const json_t *json, td_claim *out, td_err *err);
/* Puts the line into content: before the transaction that names it. */
TD_MUST_USE td_code td_claim_store(const td_case *work, const td_claim *claim, td_err *err);
/* Checks an envelope (JSON) and records it; answers the request, if there is one, with 201 and the claim. */
TD_MUST_USE td_code td_claim_take(const td_case *work, const char *reference, const json_t *json, td_err *err);
/* ---- what the server says itself (claim_own.c) ---- */

#define TD_OWN_CLAIMS_MAX 3
typedef struct td_own_claims {
    td_claim claims[TD_OWN_CLAIMS_MAX];
    size_t count;
} td_own_claims;
void td_own_claims_done(td_own_claims *own); /* TD_CLEANUP */
/* The bill of materials; for a version that a pipeline of this server made also its provenance and, if a gate judged
 * it, the verdict. Signed by the publisher about the packed manifest; the lines are in content then. */
TD_MUST_USE td_code td_own_claims_make(const td_case *work, const td_version *version, const td_str *manifest,
                                       td_own_claims *out, td_err *err);
/* A version's bill of materials (bom.c) from its JSON (td_version_json): CycloneDX 1.6, the same bytes for the same
 * version; *out is owned by the caller. */
TD_MUST_USE td_code td_bom_json(const json_t *version, const td_about *about, json_t **out, td_err *err);
/* In the transaction that freezes the version, after it was frozen. */
TD_MUST_USE td_code td_own_claims_add(td_db *db, const td_case *work, const char *label, const td_own_claims *own,
                                      td_err *err);

/* Appends claims.jsonl: one claim a line, in order of time. */
TD_MUST_USE td_code td_claim_lines(const td_case *work, const td_version *version, td_str *out, td_err *err);

#endif
