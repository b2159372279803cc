/*
 * policy_parts.h: what a policy is made of, between its reader and its judge. Private to audit.
 *
 * Witnesses and groups are parties under one name space, in the order of their definition: a group's members always
 * come before it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_POLICY_PARTS_H
#define TD_AUDIT_POLICY_PARTS_H

#include "audit/note.h"
#include "audit/policy.h"

#define TD_POLICY_PARTIES_MAX (TD_POLICY_WITNESSES_MAX + TD_POLICY_GROUPS_MAX)

typedef struct td_policy_witness {
    td_note_key key;
    bool any_name; /* Sigsum's form: a bare key, whatever name it signs under */
    char url[TD_POLICY_URL_MAX];
} td_policy_witness;

typedef struct td_policy_party {
    char name[TD_POLICY_NAME_MAX];
    int witness;   /* index of the witness, -1: a group */
    int group_of;  /* the party that it is a member of, -1: none */
    int members;   /* of a group */
    int threshold; /* of a group */
} td_policy_party;

struct td_policy {
    td_note_key logs[TD_POLICY_LOGS_MAX];
    td_policy_witness witnesses[TD_POLICY_WITNESSES_MAX];
    td_policy_party parties[TD_POLICY_PARTIES_MAX];
    int log_count, witness_count, group_count, party_count;
    int quorum; /* a party; -1: none */
    bool decided;
};

/* Is the line by this witness? *named: its key under the name that it signed with. */
bool td_policy__by_witness(const td_note_signature *signature, const td_policy_witness *witness, td_note_key *named);
/* Have enough seen the tree? times: of each witness, 0: it has not. */
bool td_policy__quorum(const td_policy *policy, const int64_t *times);
/* CORRUPT: it is signed by none of the policy's logs, or not under its own name. */
td_code td_policy__log_signed(const td_policy *policy, const char *note, size_t size, const char *origin, td_err *err);

#endif
