/*
 * audit_checks.h: what `audit verify` checked, as JSON and as a table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_AUDIT_CHECKS_H
#define TD_CLI_AUDIT_CHECKS_H

#include "audit/verify.h"
#include "cli/audit_policy.h"
#include "cli/cli.h"
#include "cli/output.h"

#define TD_AUDIT_ERASURES_SHOWN 100 /* erased bodies that are listed; all are counted */

/* [{"check", "state", "count", "means"}…]; `failure` NULL: it went well. */
json_t *td_audit_checks_json(const td_audit_checks *checks, const td_err *failure);
/* {"set_back", "largest_ms", "record"}; NULL: the clock was never set back. */
json_t *td_audit_clock_json(const td_audit_checks *checks);
/* The list "checks" of an answer. */
void td_audit_checks_print(td_cli *cli, const json_t *answer);
/* Prints how far a verification came that failed. */
void td_audit_checks_failed(td_cli *cli, const td_audit_checks *checks, const td_audit_policy *policy,
                            const td_err *failure);

/* Who erased what, and why. */
typedef struct td_audit_erasures {
    json_t *list; /* owned; NULL: none */
} td_audit_erasures;
void td_audit_erasures_see(td_audit_erasures *erasures, const json_t *record);
/* The list "erasures" of an answer, if there is any. */
void td_audit_erasures_print(td_cli *cli, const json_t *answer);

#endif
