/*
 * cmd_login.c: tidemark login, logout, whoami: which server, and as whom.
 *
 * A login is tried before it is remembered. SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"
#include "cli/login.h"

#include <string.h>

static void print_self(td_cli *cli, const json_t *self)
{
    static const td_column_spec columns[] = {
        {"project", "PROJECT", TD_CELL_TEXT}, {"roles", "ROLES", TD_CELL_LIST}, {0}};
    char until[32] = "";
    if (td_json_text(self, "expires_at", NULL) != NULL) {
        td_format_local(td_json_text(self, "expires_at", ""), until);
    }
    td_print_line(cli, "You are %s at %s%s%s.", td_json_text(self, "user", "?"), td_cli_server(cli),
                  *until != '\0' ? ", until " : "", until);
    td_print_table(cli, columns, td_json_list(self, "projects"), "No roles in any project; ask an admin for one.");
}

static td_code run_whoami(td_cli *cli, td_err *err)
{
    return td_cli_show(cli, td_cli_path(cli, "me", NULL), print_self, err);
}

static td_code run_login(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_cli_wipe) td_str token = {0};
    TD_CLEANUP(td_json_done) json_t *self = NULL;
    const char *ca = td_cli_value(cli, "ca");
    TD_TRY(td_cli_secret(td_cli_value(cli, "token-file"), "Token: ", &token, err));
    const char *text = td_str_text(&token);
    if (strncmp(text, "tmk_", 4) != 0 || strpbrk(text, " \t\r\n") != NULL) {
        return td_fail(err, TD_INVALID, "that is no token: a token is one word that begins with tmk_ (an admin makes "
                                        "one with `tidemark token create NAME`)");
    }
    TD_TRY(td_cli_connect(cli, cli->arguments[0], ca, text, err));
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "me", NULL), NULL, &self, err));
    TD_TRY(td_login_write(td_cli_server(cli), text, ca, err));
    td_cli_present(cli, self, print_self);
    return TD_OK;
}

static td_code run_logout(td_cli *cli, td_err *err)
{
    bool was;
    TD_TRY(td_login_forget(&was, err));
    if (cli->json) {
        TD_CLEANUP(td_json_done) json_t *answer = json_pack("{s:b}", "forgotten", was);
        td_print_json(cli, answer);
        return TD_OK;
    }
    td_print_line(cli, "%s",
                  was ? "Forgotten. The token is valid until it ends; `tidemark token revoke` ends it now."
                      : "Nobody was logged in.");
    return TD_OK;
}

const td_cli_command td_cli_login_commands[] = {
    {"login", NULL, "URL", 1, 1, "Remember a server and your token for it",
     "The token is asked for without being shown, or read from --token-file or from standard input; it is tried, then "
     "kept where only you can read it (~/.config/tidemark/login.json). For https with an authority of your own, --ca "
     "names its certificate: on the server's machine, run/http.ca in the workspace. --server, --workspace and --as "
     "are stronger than a login, and its token goes to no other server.",
     "tidemark login https://registry.example:7070 --ca registry-ca.pem\n"
     "tidemark login http://127.0.0.1:7070 --token-file token",
     NULL, run_login},
    {"logout", NULL, "", 0, 0, "Forget the server and the token", NULL, NULL, NULL, run_logout},
    {"whoami", NULL, "", 0, 0, "Show who the server takes you for, and your roles", NULL, NULL, NULL, run_whoami},
    {0},
};
