/*
 * audit_policy.c: an auditor's policy, held against the checkpoint of an export or a workspace.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_policy.h"

#include "cli/commands.h"

td_code td_audit_policy_read(td_cli *cli, td_audit_policy *policy, td_audit_verify_options *options, td_err *err)
{
    const char *file = td_cli_value(cli, "policy");
    const char *after = td_cli_value(cli, "cosigned-after");
    int64_t after_ms = 0;
    if (file == NULL) {
        return after == NULL ? TD_OK
                             : td_fail(err, TD_INVALID, "--cosigned-after is about the witnesses of a --policy FILE");
    }
    TD_TRY(td_policy_read(file, &policy->policy, err));
    if (after != NULL) {
        TD_TRY(td_parse_time(after, &after_ms, err));
    }
    policy->demand = (td_policy_demand){.policy = policy->policy, .not_before_s = (after_ms + 999) / 1000};
    options->demand = &policy->demand;
    options->findings = &policy->findings;
    if (options->vkey == NULL && cli->argument_count == 0 && td_policy_logs(policy->policy) == 1) {
        TD_TRY(td_policy_log_vkey(policy->policy, 0, &policy->vkey, err));
        options->vkey = td_str_text(&policy->vkey);
    }
    return TD_OK;
}

void td_audit_policy_done(td_audit_policy *policy)
{
    td_policy_free(&policy->policy);
    td_str_done(&policy->vkey);
}

static json_t *witness_json(const td_audit_policy *policy, size_t index)
{
    td_cosign_state state = policy->findings.states[index];
    json_t *row = json_pack("{s:s, s:s, s:s}", "name", td_policy_witness_name(policy->policy, index), "state",
                            td_cosign_state_name(state), "means", td_cosign_state_means(state));
    if (row != NULL && policy->findings.verdict.times[index] > 0) {
        char time[32];
        int64_t time_s = policy->findings.verdict.times[index];
        td_format_time(time_s < INT64_MAX / 1000 ? time_s * 1000 : INT64_MAX, time);
        (void)json_object_set_new(row, "time", json_string(time));
    }
    return row;
}

td_code td_audit_policy_add(const td_audit_policy *policy, json_t *answer, td_err *err)
{
    if (policy->policy == NULL || answer == NULL) {
        return TD_OK;
    }
    json_t *list = json_array();
    bool good = list != NULL;
    for (size_t i = 0; good && i < td_policy_witnesses(policy->policy); i++) {
        good = json_array_append_new(list, witness_json(policy, i)) == 0;
    }
    json_t *found = json_pack("{s:s, s:b, s:o}", "quorum", td_policy_quorum(policy->policy), "reached",
                              policy->findings.verdict.quorum, "witnesses", list);
    return good && found != NULL && json_object_set_new(answer, "policy", found) == 0
               ? TD_OK
               : td_fail(err, TD_NOMEM, "no memory for the policy's findings");
}

void td_audit_policy_print(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"name", "WITNESS", TD_CELL_TEXT},
        {"state", "STATE", TD_CELL_STATE},
        {"time", "TIME", TD_CELL_TIME},
        {"means", "WHAT", TD_CELL_TEXT},
        {0},
    };
    const json_t *found = json_object_get(answer, "policy");
    if (found != NULL) {
        td_print_table(cli, columns, td_json_list(found, "witnesses"), "The policy names no witness.");
    }
}
