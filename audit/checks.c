/*
 * checks.c: the questions of an auditor, by name and in words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/checker.h"

static const char *const names[][2] = {
    [TD_AUDIT_SIGNATURE] = {"A1", "checkpoints are signed by the log's key"},
    [TD_AUDIT_QUORUM] = {"quorum", "the newest checkpoint carries the cosignatures that the policy asks for"},
    [TD_AUDIT_TREE] = {"A2", "all leaves add up to the signed root"},
    [TD_AUDIT_OLDER] = {"A3", "older checkpoints are beginnings of this log"},
    [TD_AUDIT_RECORD] = {"A4", "each record fits its leaf"},
    [TD_AUDIT_DEPLOYMENT] = {"A5", "what was deployed had been registered, then approved by enough people"},
    [TD_AUDIT_FOUR_EYES] = {"A6", "nobody approved what he had made"},
    [TD_AUDIT_INSTALL] = {"A7", "devices report what a roll-out on record ordered"},
    [TD_AUDIT_NUMBER] = {"A8", "records are numbered without holes"},
    [TD_AUDIT_TIME] = {"A9", "times go forward"},
    [TD_AUDIT_ERASURE] = {"A10", "each erased body has a record of who erased it and why"},
    [TD_AUDIT_ROWS] = {"rows", "the database's rows say what the records say; signatures of people; files"},
};

const char *td_audit_check_name(td_audit_check check)
{
    return names[check][0];
}

const char *td_audit_check_means(td_audit_check check)
{
    return names[check][1];
}

void td_audit__check(td_audit_checks *checks, td_audit_check check)
{
    checks->now = check;
}

void td_audit__passed(td_audit_checks *checks, td_audit_check check)
{
    checks->count[check]++;
}

td_code td_audit__judge(td_audit_checks *checks, const td_audit_verify_options *options, const char *vkey,
                        const td_str *note, td_err *err)
{
    if (options->demand == NULL) {
        return TD_OK;
    }
    td_audit__check(checks, TD_AUDIT_QUORUM);
    options->demand->vkey = vkey;
    options->demand->others = options->older;
    TD_TRY(td_policy_judge(options->demand, td_str_text(note), note->size, options->findings, err));
    td_audit__passed(checks, TD_AUDIT_QUORUM);
    return TD_OK;
}
