/*
 * audit_policy.h: `audit verify --policy`: the auditor's policy, and what was found of each witness.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_AUDIT_POLICY_H
#define TD_CLI_AUDIT_POLICY_H

#include "audit/verify.h"
#include "cli/cli.h"

typedef struct td_audit_policy {
    td_policy *policy; /* NULL: none was given */
    td_policy_demand demand;
    td_policy_findings findings;
    td_str vkey; /* of its log, if it lists one only */
} td_audit_policy;

/* Reads --policy and --cosigned-after and hooks them into the options. */
TD_MUST_USE td_code td_audit_policy_read(td_cli *cli, td_audit_policy *policy, td_audit_verify_options *options,
                                         td_err *err);
void td_audit_policy_done(td_audit_policy *policy); /* TD_CLEANUP */
/* Adds "policy": {"quorum", "reached", "witnesses": [{"name", "state", "time"?, "means"}…]} if there is one. */
TD_MUST_USE td_code td_audit_policy_add(const td_audit_policy *policy, json_t *answer, td_err *err);
void td_audit_policy_print(td_cli *cli, const json_t *answer);

#endif
