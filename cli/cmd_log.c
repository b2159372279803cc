/*
 * cmd_log.c: tidemark log: how a log goes on whose end was lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include "audit/log.h"
#include "core/base/fs.h"
#include "core/crypto/crypto.h"
#include "server/log_resume.h"

static void print_resumed(td_cli *cli, const json_t *answer)
{
    int64_t lost = td_json_int(answer, "lost", -1);
    td_print_line(cli, "The log goes on as %s.", td_json_text(answer, "origin", ""));
    if (lost >= 0) {
        td_print_line(cli, "%lld records were kept, %lld that had been signed are lost.",
                      (long long)td_json_int(answer, "kept", 0), (long long)lost);
    } else {
        td_print_line(cli, "%lld records were kept; how many are lost nobody knows.",
                      (long long)td_json_int(answer, "kept", 0));
    }
    td_print_line(cli, "Give auditors keys/log.vkey; the old one is %s. Rollouts paused: %lld.",
                  td_json_text(answer, "old_vkey_file", ""), (long long)td_json_int(answer, "paused", 0));
    td_print_line(cli, "Before people and devices come back: shut out again whom was shut out after the backup "
                       "(docs/backup.md).");
}

static td_code run_resume(td_cli *cli, td_err *err)
{
    td_log_resume_options options = {.workspace = cli->workspace,
                                     .accept = td_cli_has(cli, "accept-truncation"),
                                     .although_whole = td_cli_has(cli, "although-whole"),
                                     .reason = td_cli_value(cli, "reason"),
                                     .clock = &td_clock_system};
    TD_CLEANUP(td_str_done) td_str last = {0};
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    if (!options.reason || !*options.reason) {
        return td_fail(err, TD_INVALID, "--reason is missing: it goes into the log");
    }
    if (td_cli_has(cli, "last")) {
        TD_TRY(td_file_read(td_cli_value(cli, "last"), TD_LOG_NOTE_MAX, &last, err));
        options.last = td_str_text(&last);
    }
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_log_resume_workspace(&options, &answer, err));
    td_cli_present(cli, answer, print_resumed);
    return TD_OK;
}

static const td_cli_option resume_options[] = {
    {"reason", 0, "TEXT", "why; goes into the log", false},
    {"accept-truncation", 0, NULL,
     "the records that are missing are lost for good; without it the command only says what that would be", false},
    {"last", 0, "FILE", "the newest checkpoint that is known from elsewhere: what was lost is then known, too", false},
    {"although-whole", 0, NULL, "nothing is known to be missing, but the machine was set back together with the signer",
     false},
    {0},
};

const td_cli_command td_cli_log_commands[] = {
    {"log", "resume", "", 0, 0, "Go on with a log whose end was lost, under a new origin",
     "A database that is older than what the log's signer remembers (a restored backup, a virtual machine that was set "
     "back) must not go on as if nothing had been: its server is read-only. If no newer copy exists this begins a new "
     "origin with a key of its own. The record resume.log says what was cut, the old origin, its last signed tree, who "
     "and why. Rollouts that were running are paused. The server must not run meanwhile.",
     "tidemark log resume --accept-truncation --reason 'disk of 3 May lost, backup of 2 May restored'", resume_options,
     run_resume},
    {0},
};
