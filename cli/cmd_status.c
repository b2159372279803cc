/*
 * cmd_status.c: tidemark status: is the server alive, what does it hold, what is it worth.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

static void print_status(td_cli *cli, const json_t *status)
{
    static const td_column_spec fields[] = {
        {"version", "tidemark", TD_CELL_TEXT},
        {"read_only", "READ ONLY", TD_CELL_TEXT},
        {"workspace", "workspace", TD_CELL_TEXT},
        {"profile", "profile", TD_CELL_TEXT},
        {"profile_worth", "", TD_CELL_TEXT},
        {"started_at", "started", TD_CELL_TIME},
        {"http_port", "HTTP port", TD_CELL_NUMBER},
        {"device_port", "device port", TD_CELL_NUMBER},
        {"requests", "requests", TD_CELL_NUMBER},
        {"counts.records", "records", TD_CELL_TEXT},
        {"counts.versions", "versions", TD_CELL_TEXT},
        {"counts.rollouts", "rollouts", TD_CELL_TEXT},
        {"counts.alerts", "alerts", TD_CELL_TEXT},
        {"counts.runs", "runs", TD_CELL_TEXT},
        {"devices.devices", "devices", TD_CELL_NUMBER},
        {"devices.online", "online", TD_CELL_NUMBER},
        {"broker.kind", "broker", TD_CELL_TEXT},
        {"broker.state", "broker's state", TD_CELL_STATE},
        {"broker.why", "", TD_CELL_TEXT},
        {"broker.child_why", "", TD_CELL_TEXT},
        {"log.records", "audit records", TD_CELL_NUMBER},
        {"log.tree_size", "in the tree", TD_CELL_NUMBER},
        {"log.published_size", "published", TD_CELL_NUMBER},
        {"log.witnesses", "witnesses", TD_CELL_TEXT},
        {"log.root", "root", TD_CELL_DIGEST},
        {"log.signer", "log's signer", TD_CELL_TEXT},
        {"log.trouble", "LOG TROUBLE", TD_CELL_TEXT},
        {"keyset.version", "keyset", TD_CELL_NUMBER},
        {"keyset.approver_threshold", "approvals needed", TD_CELL_NUMBER},
        {0},
    };
    td_print_fields(cli, fields, status);
}

static td_code run_status(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    return td_cli_show(cli, td_cli_path(cli, "status", NULL), print_status, err);
}

const td_cli_command td_cli_status_commands[] = {
    {"status", NULL, "", 0, 0, "Show how the server does", NULL, "tidemark status --as ana", NULL, run_status},
    {0},
};
