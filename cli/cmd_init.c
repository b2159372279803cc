/*
 * cmd_init.c: tidemark init, serve and profile: the commands that need no server, since they make or are one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/crypto/crypto.h"
#include "server/config.h"
#include "server/server.h"
#include "server/workspace.h"

#define SECRET_MAX ((size_t)64 * 1024)

/* ---- init ---- */

static void print_next(td_cli *cli, const char *profile)
{
    const char *w = cli->workspace;
    td_print_line(cli, "Made a workspace of profile %s at %s.", profile, w);
    td_print_line(cli, "%s", td_profile_worth(profile));
    td_print_line(cli, "Next:");
    td_print_line(cli, "  tidemark serve --workspace %s", w);
    if (strcmp(profile, "demo") == 0) {
        td_print_line(cli, "  tidemark status --workspace %s --as ana     (ana registers, ben approves)", w);
    } else {
        td_print_line(cli, "  tidemark user add NAME --role data-scientist --workspace %s", w);
        td_print_line(cli, "  take %s/offline/root.pem to a machine without network, and remove it here", w);
    }
}

static td_code run_init(td_cli *cli, td_err *err)
{
    const char *profile = td_cli_value(cli, "profile") == NULL ? "team" : td_cli_value(cli, "profile");
    td_workspace_init_options options = {.profile = profile, .host_name = td_cli_value(cli, "host")};
    if (cli->argument_count > 0) {
        cli->workspace = cli->arguments[0];
    }
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_workspace_init(cli->workspace, &options, err));
    if (cli->json) {
        TD_CLEANUP(td_json_done)
        json_t *answer = json_pack("{s:s, s:s}", "workspace", cli->workspace, "profile", profile);
        td_print_json(cli, answer);
    } else {
        print_next(cli, profile);
    }
    return TD_OK;
}

/* ---- serve ---- */

static td_code dump_config(td_cli *cli, const char *const *overrides, td_err *err)
{
    TD_CLEANUP(td_config_free) td_config *config = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    char path[4096];
    TD_TRY(td_workspace_file(cli->workspace, "tidemark.yaml", path, err));
    TD_TRY(td_config_read(path, overrides, &config, err));
    TD_TRY(td_config_dump(config, &text, err));
    (void)fputs(td_str_text(&text), cli->out);
    return TD_OK;
}

static td_code run_serve(td_cli *cli, td_err *err)
{
    const char *overrides[TD_CLI_OPTIONS_MAX + 4] = {0};
    size_t count = 0;
    for (; count < TD_CLI_OPTIONS_MAX - 1 && td_cli_value_at(cli, "set", count) != NULL; count++) {
        overrides[count] = td_cli_value_at(cli, "set", count);
    }
    if (td_cli_has(cli, "auto-approve-by-gate")) {
        overrides[count++] =
            td_cli_text(cli, "retraining.auto_approve_by_gate=%s", td_cli_value(cli, "auto-approve-by-gate"));
    }
    if (td_cli_has(cli, "verbose")) {
        overrides[count++] = "log.level=debug";
    }
    if (td_cli_has(cli, "log-json")) {
        overrides[count++] = "log.json=true";
    }
    if (cli->argument_count > 0) {
        cli->workspace = cli->arguments[0];
    }
    if (td_cli_has(cli, "dump-config")) {
        return dump_config(cli, overrides, err);
    }
    td_log_setup(td_cli_has(cli, "verbose") ? TD_LOG_DEBUG : TD_LOG_INFO, td_cli_has(cli, "log-json"));
    TD_TRY(td_crypto_setup(err));
    td_server_options options = {.workspace = cli->workspace, .overrides = overrides};
    return td_server_run(&options, err);
}

/* ---- profile ---- */

static void print_profile(td_cli *cli, const json_t *status)
{
    td_print_line(cli, "%s", td_json_text(status, "profile_worth", td_json_text(status, "profile", "?")));
}

static td_code run_profile_show(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    return td_cli_show(cli, td_cli_path(cli, "status", NULL), print_profile, err);
}

/* Moves one secret out of the workspace: written there durably, then removed here. */
static td_code move_secret(td_cli *cli, const char *from, const char *folder, const char *name, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_code code = td_file_read(from, SECRET_MAX, &bytes, err);
    if (code == TD_NOT_FOUND) {
        return TD_OK;
    }
    TD_TRY(code);
    const char *to = td_cli_text(cli, "%s/%s", folder, name);
    TD_TRY(td_folder_make(folder, 0700, err));
    code = td_file_create(to, td_str_text(&bytes), bytes.size, 0600, err);
    td_wipe(bytes.data, bytes.size);
    TD_TRY(code);
    if (unlink(from) != 0) {
        return td_fail_errno(err, errno, "%s", from);
    }
    td_print_line(cli, "moved %s to %s", from, to);
    return TD_OK;
}

static td_code move_all(void *context, td_err *err)
{
    td_cli *cli = context;
    const char *target = td_cli_value(cli, "keys-to");
    const char *users = td_cli_text(cli, "%s/users", cli->workspace);
    DIR *folder = opendir(users);
    td_code code = TD_OK;
    if (folder == NULL) {
        return TD_OK;
    }
    for (const struct dirent *entry; code == TD_OK && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        const char *to = td_cli_text(cli, "%s/%s", target, entry->d_name);
        code = move_secret(cli, td_cli_text(cli, "%s/%s/token", users, entry->d_name), to, "token", err);
        if (code == TD_OK) {
            code = move_secret(cli, td_cli_text(cli, "%s/%s/key.pem", users, entry->d_name), to, "key.pem", err);
        }
    }
    (void)closedir(folder);
    return code;
}

static td_code run_raise(td_cli *cli, td_err *err)
{
    const char *reason = td_cli_value(cli, "reason");
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_workspace_raise(cli->workspace, cli->arguments[0],
                              reason == NULL ? "raised by tidemark profile raise" : reason,
                              td_cli_value(cli, "keys-to") != NULL ? move_all : NULL, cli, err));
    td_print_line(cli, "The workspace is of profile %s now. %s", cli->arguments[0],
                  td_profile_worth(cli->arguments[0]));
    return TD_OK;
}

static const td_cli_option init_options[] = {
    {"profile", 0, "NAME", "demo, team (default) or regulated", false},
    {"host", 0, "NAME", "further name or address for the server's certificate", false},
    {0},
};
static const td_cli_option serve_options[] = {
    {"set", 0, "KEY=VALUE", "a setting, over file and environment", true},
    {"auto-approve-by-gate", 0, "USER",
     "profile demo only: that approver's key signs a retrained version when its gate has passed; off by default",
     false},
    {"dump-config", 0, NULL, "print every setting with its value and origin, and end", false},
    {"log-json", 0, NULL, "log lines as JSON", false},
    {"verbose", 'v', NULL, "log more", false},
    {0},
};
static const td_cli_option raise_options[] = {
    {"keys-to", 0, "DIR", "move the users' tokens and keys there first, out of the workspace", false},
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {0},
};

const td_cli_command td_cli_init_commands[] = {
    {"init", NULL, "[DIR]", 0, 1, "Make a workspace: the one folder that a server needs",
     "Profile demo keeps every key in the workspace and makes the users ana (registers) and ben (approves), to be "
     "chosen with "
     "--as. Profile team, the default, leaves approvers' keys to the approvers. Profile regulated asks for two "
     "approvals.",
     "tidemark init --profile demo\ntidemark init /srv/tidemark --profile team --host registry.example", init_options,
     run_init},
    {"serve", NULL, "[DIR]", 0, 1, "Run the server in the foreground",
     "It stops in good order on SIGTERM or SIGINT. Settings come from DIR/tidemark.yaml, the environment "
     "(TIDEMARK_HTTP_PORT) "
     "and --set.",
     "tidemark serve --set http.port=7070", serve_options, run_serve},
    {"profile", "show", "", 0, 0, "Show the workspace's profile and what it is worth", NULL, NULL, NULL,
     run_profile_show},
    {"profile", "raise", "PROFILE", 1, 1, "Move the workspace to a stricter profile; the server must not run",
     "In profile demo the tokens and approvers' keys lie in DIR/users: who breaks into the server has them. --keys-to "
     "moves them "
     "out, best onto a medium that you then carry to each user's own machine. The way back down does not exist.",
     "tidemark profile raise team --keys-to /media/usb/keys --reason 'going live'", raise_options, run_raise},
    {0},
};
