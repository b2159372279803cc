/*
 * cmd_user.c: tidemark user, role, token: people, what they may do, and how they prove who they are.
 *
 * Without a token these commands go through the admin socket: whoever may open it is an admin, recorded with his uid.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "access/access.h"
#include "core/base/fs.h"

static td_code add_roles(td_cli *cli, json_t *body, td_err *err)
{
    const char *text;
    td_role role;
    json_t *roles = json_array();
    (void)json_object_set_new(body, "roles", roles);
    for (size_t i = 0; (text = td_cli_value_at(cli, "role", i)) != NULL; i++) {
        TD_TRY(td_role_parse(text, &role, err));
        if (json_array_append_new(roles, json_string(text)) != 0) {
            return td_cli_need(NULL, err);
        }
    }
    return TD_OK;
}

/* ---- users ---- */

static td_code run_add(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s, s:b}", "name", cli->arguments[0], "service", td_cli_has(cli, "service"));
    TD_TRY(td_user_name_check(cli->arguments[0], err));
    TD_TRY(td_cli_need(body, err));
    TD_TRY(add_roles(cli, body, err));
    if (td_cli_value(cli, "description") != NULL) {
        (void)json_object_set_new(body, "description", json_string(td_cli_value(cli, "description")));
    }
    td_cli_prefer_socket(cli);
    return td_cli_send(
        cli, "POST", td_cli_path(cli, "users", NULL), json_incref(body),
        td_cli_text(cli, "Added %s. Next: tidemark token create %s --out FILE", cli->arguments[0], cli->arguments[0]),
        err);
}

static void print_users(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"name", "USER", TD_CELL_TEXT},
        {"kind", "KIND", TD_CELL_TEXT},
        {"roles", "ROLES", TD_CELL_PAIRS},
        {"created_at", "CREATED", TD_CELL_TIME},
        {"disabled_at", "SHUT OUT", TD_CELL_TIME},
        {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "users"), "No users.");
}

static td_code run_list(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    return td_cli_list(cli, td_cli_path(cli, "users", NULL), "users", NULL, print_users, err);
}

static const td_column_spec token_columns[] = {
    {"id", "TOKEN", TD_CELL_TEXT},           {"label", "FOR", TD_CELL_TEXT},
    {"roles", "ONLY ROLES", TD_CELL_LIST},   {"project", "ONLY IN", TD_CELL_TEXT},
    {"created_at", "CREATED", TD_CELL_TIME}, {"used_at", "LAST USED", TD_CELL_TIME},
    {"expires_at", "ENDS", TD_CELL_TIME},    {0},
};

static void print_user(td_cli *cli, const json_t *user)
{
    static const td_column_spec columns[] = {
        {"name", "User", TD_CELL_TEXT},
        {"kind", "Kind", TD_CELL_TEXT},
        {"description", "Who", TD_CELL_TEXT},
        {"roles", "Roles", TD_CELL_PAIRS},
        {"created_at", "Created", TD_CELL_TIME},
        {"disabled_at", "Shut out", TD_CELL_TIME},
        {0},
    };
    td_print_fields(cli, columns, user);
    if (json_object_get(user, "tokens") != NULL) {
        td_print_title(cli, "Tokens");
        td_print_table(cli, token_columns, td_json_list(user, "tokens"), "No valid tokens.");
    }
}

static td_code run_show(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    return td_cli_show(cli, td_cli_path(cli, "users", cli->arguments[0], NULL), print_user, err);
}

static td_code switch_user(td_cli *cli, const char *verb, const char *sentence, td_err *err)
{
    const char *reason;
    TD_TRY(td_cli_reason(cli, &reason, err));
    td_cli_prefer_socket(cli);
    return td_cli_send(cli, "POST", td_cli_path(cli, "users", cli->arguments[0], verb, NULL),
                       json_pack("{s:s}", "reason", reason), sentence, err);
}

static td_code run_disable(td_cli *cli, td_err *err)
{
    return switch_user(cli, "disable", td_cli_text(cli, "%s is shut out.", cli->arguments[0]), err);
}

static td_code run_enable(td_cli *cli, td_err *err)
{
    return switch_user(cli, "enable", td_cli_text(cli, "%s is let in again.", cli->arguments[0]), err);
}

static void print_roles(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {{"role", "ROLE", TD_CELL_TEXT}, {"permissions", "MAY", TD_CELL_LIST}, {0}};
    td_print_table(cli, columns, td_json_list(answer, "roles"), "No roles.");
}

static td_code run_roles(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    return td_cli_show(cli, td_cli_path(cli, "roles", NULL), print_roles, err);
}

/* ---- roles: the API sets the whole list, so read, change, write ---- */

static bool holds(const json_t *roles, const char *role)
{
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const char *held = json_string_value(json_array_get(roles, i));
        if (held != NULL && strcmp(held, role) == 0) {
            return true;
        }
    }
    return false;
}

static td_code run_role(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *user = NULL;
    TD_CLEANUP(td_json_done) json_t *wanted = json_array();
    td_role role;
    const char *reason, *name = cli->arguments[0];
    bool grant = strcmp(cli->command->verb, "grant") == 0;
    TD_TRY(td_role_parse(cli->arguments[1], &role, err));
    TD_TRY(td_cli_reason(cli, &reason, err));
    td_cli_prefer_socket(cli);
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "users", name, NULL), NULL, &user, err));
    const json_t *held = json_object_get(json_object_get(user, "roles"), cli->project);
    for (size_t i = 0; i < json_array_size(held); i++) {
        json_t *item = json_array_get(held, i);
        if (grant || strcmp(json_string_value(item), td_role_name(role)) != 0) {
            (void)json_array_append(wanted, item);
        }
    }
    if (grant && !holds(held, td_role_name(role))) {
        (void)json_array_append_new(wanted, json_string(td_role_name(role)));
    }
    return td_cli_send(cli, "PUT", td_cli_path(cli, "users", name, "roles", NULL),
                       json_pack("{s:O, s:s}", "roles", wanted, "reason", reason),
                       td_cli_text(cli, "%s %s %s in project %s.", name, grant ? "is" : "is no longer",
                                   td_role_name(role), cli->project),
                       err);
}

/* ---- tokens ---- */

static td_code token_body(td_cli *cli, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *body = json_object();
    int64_t lifetime;
    TD_TRY(td_cli_duration(cli, "lifetime", 0, &lifetime, err));
    if (lifetime > 0) {
        (void)json_object_set_new(body, "lifetime", json_sprintf("%lldms", (long long)lifetime));
    }
    if (td_cli_value(cli, "label") != NULL) {
        (void)json_object_set_new(body, "label", json_string(td_cli_value(cli, "label")));
    }
    if (td_cli_value(cli, "only-project") != NULL) {
        (void)json_object_set_new(body, "project", json_string(td_cli_value(cli, "only-project")));
    }
    TD_TRY(add_roles(cli, body, err));
    *out = json_incref(body);
    return TD_OK;
}

/* The one time that the secret is seen: into --out FILE, or on the screen. */
static td_code keep_token(td_cli *cli, json_t *answer, td_err *err)
{
    const char *token = td_json_text(answer, "token", ""), *file = td_cli_value(cli, "out");
    if (file != NULL) {
        const char *line = td_cli_text(cli, "%s\n", token);
        TD_TRY(td_file_create(file, line, strlen(line), 0600, err));
        (void)json_object_del(answer, "token");
        (void)json_object_set_new(answer, "file", json_string(file));
    }
    if (cli->json) {
        td_print_json(cli, answer);
    } else if (file != NULL) {
        td_print_line(cli, "Wrote %s (token %lld, until %s).", file, (long long)td_json_int(answer, "id", 0),
                      td_json_text(answer, "expires_at", ""));
    } else {
        td_print_line(cli, "%s", token);
        (void)fputs("It is shown this once. Keep it in a file that only you can read.\n", stderr);
    }
    return TD_OK;
}

static td_code check_out(td_cli *cli, td_err *err)
{
    const char *file = td_cli_value(cli, "out");
    return file != NULL && td_path_exists(file)
               ? td_fail(err, TD_CONFLICT, "%s exists already; nothing was changed", file)
               : TD_OK;
}

static td_code run_token(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *body = NULL;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(check_out(cli, err));
    TD_TRY(token_body(cli, &body, err));
    td_cli_prefer_socket(cli);
    TD_TRY(td_cli_call(cli, "POST", td_cli_path(cli, "users", cli->arguments[0], "tokens", NULL), body, &answer, err));
    return keep_token(cli, answer, err);
}

static void print_tokens(td_cli *cli, const json_t *answer)
{
    td_print_table(cli, token_columns, td_json_list(answer, "tokens"), "No valid tokens.");
}

static td_code run_tokens(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    return td_cli_list(cli, td_cli_path(cli, "users", cli->arguments[0], "tokens", NULL), "tokens", NULL, print_tokens,
                       err);
}

static td_code run_rotate(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *body = NULL;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *reason;
    int64_t grace_ms;
    TD_TRY(td_cli_reason(cli, &reason, err));
    TD_TRY(td_cli_duration(cli, "grace", 0, &grace_ms, err));
    TD_TRY(check_out(cli, err));
    body = json_pack("{s:s, s:o}", "reason", reason, "grace", json_sprintf("%lldms", (long long)grace_ms));
    TD_TRY(td_cli_need(body, err));
    td_cli_prefer_socket(cli);
    TD_TRY(td_cli_call(cli, "POST", td_cli_path(cli, "tokens", cli->arguments[0], "rotate", NULL), body, &answer, err));
    return keep_token(cli, answer, err);
}

static td_code run_token_revoke(td_cli *cli, td_err *err)
{
    const char *reason;
    TD_TRY(td_cli_reason(cli, &reason, err));
    td_cli_prefer_socket(cli);
    return td_cli_send(cli, "POST", td_cli_path(cli, "tokens", cli->arguments[0], "revoke", NULL),
                       json_pack("{s:s}", "reason", reason),
                       td_cli_text(cli, "Token %s is revoked.", cli->arguments[0]), err);
}

static const td_cli_option add_options[] = {
    {"role", 0, "ROLE", "in the project (see role grant)", true},
    {"service", 0, NULL, "a service account: never approves", false},
    {"description", 'd', "TEXT", "who it is", false},
    {0},
};
static const td_cli_option reason_options[] = {
    {"reason", 0, "TEXT", "goes into the audit log; needed", false},
    {0},
};
static const td_cli_option token_options[] = {
    {"out", 'o', "FILE", "write it there, readable for you alone", false},
    {"lifetime", 0, "TIME", "default 90d, at most 366d", false},
    {"label", 0, "TEXT", "what it is for", false},
    {"role", 0, "ROLE", "restrict it to these roles", true},
    {"only-project", 0, "NAME", "restrict it to this project", false},
    {0},
};
static const td_cli_option rotate_options[] = {
    {"out", 'o', "FILE", "write the new one there, readable for you alone", false},
    {"grace", 0, "TIME", "how long the old one still counts; default 0, at most 7d", false},
    {"reason", 0, "TEXT", "goes into the audit log; needed", false},
    {0},
};

static const td_cli_option list_options[] = {TD_CLI_LIST_OPTIONS, {0}};

const td_cli_command td_cli_user_commands[] = {
    {"user", "add", "NAME", 1, 1, "Add a user or service account",
     "Without a token this goes through the admin socket of the workspace: that is how the first user comes to be.",
     "tidemark user add ana --role data-scientist\ntidemark user add ci --service --role trainer", add_options,
     run_add},
    {"user", "list", "", 0, 0, "List users with their roles", NULL,
     "tidemark user list --filter \"kind = 'person' AND role = 'approver'\"", list_options, run_list},
    {"user", "show", "NAME", 1, 1, "Show a user, his roles and tokens", NULL, NULL, NULL, run_show},
    {"user", "disable", "NAME", 1, 1, "Shut a user out; records keep the name", NULL, NULL, reason_options,
     run_disable},
    {"user", "enable", "NAME", 1, 1, "Let a user in again", NULL, NULL, reason_options, run_enable},
    {"role", "list", "", 0, 0, "List the roles and what they may", NULL, NULL, NULL, run_roles},
    {"role", "grant", "USER ROLE", 2, 2, "Give a role in the project",
     "viewer reads; data-scientist registers and sets monitors; trainer is what workers run as; approver approves and "
     "rejects; "
     "operator rolls out and manages devices; auditor exports the log; admin manages users, keys and pipelines, and "
     "can neither approve nor roll out; metrics reads /metrics and nothing else.",
     "tidemark role grant ben approver --reason 'head of QA'", reason_options, run_role},
    {"role", "revoke", "USER ROLE", 2, 2, "Take a role in the project", NULL, NULL, reason_options, run_role},
    {"token", "create", "USER", 1, 1, "Make a token; it is shown once", NULL,
     "tidemark token create ana --out ~/.config/tidemark/token", token_options, run_token},
    {"token", "list", "USER", 1, 1, "List a user's valid tokens, their last use and end", NULL, NULL, list_options,
     run_tokens},
    {"token", "rotate", "ID", 1, 1, "Replace a token by a new one with the same restrictions",
     "The new one lives as long as the old one was made for, but no longer than the token that asked for it.",
     "tidemark token rotate 7 --grace 1h --out ~/.config/tidemark/token.new --reason 'yearly'", rotate_options,
     run_rotate},
    {"token", "revoke", "ID", 1, 1, "End a token", NULL, NULL, reason_options, run_token_revoke},
    {0},
};
