/*
 * cmd_alias.c: tidemark alias: names that move from version to version.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include "registry/reference.h"

#include <string.h>

/* "pump@champion" → model, alias. */
static td_code split(td_cli *cli, const char *text, const char **model_out, const char **alias_out, td_err *err)
{
    const char *version;
    TD_TRY(td_cli_reference(cli, text, model_out, &version, err));
    if (version[0] != '@') {
        return td_fail(err, TD_INVALID, "\"%.80s\" is not an alias: write MODEL@ALIAS", text);
    }
    *alias_out = version + 1;
    return td_alias_name_check(*alias_out, err);
}

/* "3", or any reference to a version of that model. */
static td_code read_number(td_cli *cli, const char *text, const char *model, int64_t *out, td_err *err)
{
    const char *other;
    if (text[strspn(text, "0123456789")] == '\0') {
        return td_parse_int(text, "the version's number", 1, TD_VERSION_NUMBER_MAX, out, err);
    }
    TD_TRY(td_cli_version_number(cli, text, &other, out, err));
    return strcmp(other, model) == 0
               ? TD_OK
               : td_fail(err, TD_INVALID, "%.80s is a version of %s; an alias of %s names one of its own", text, other,
                         model);
}

static td_code run_set(td_cli *cli, td_err *err)
{
    const char *model, *alias;
    int64_t number;
    TD_TRY(split(cli, cli->arguments[0], &model, &alias, err));
    TD_TRY(read_number(cli, cli->arguments[1], model, &number, err));
    json_t *body = json_pack("{s:I}", "version", (json_int_t)number);
    if (td_cli_value(cli, "reason") != NULL) {
        (void)json_object_set_new(body, "reason", json_string(td_cli_value(cli, "reason")));
    }
    return td_cli_send(cli, "PUT", td_cli_path(cli, "models", model, "aliases", alias, NULL), body,
                       td_cli_text(cli, "%s@%s is %s/%lld now.", model, alias, model, (long long)number), err);
}

static td_code run_delete(td_cli *cli, td_err *err)
{
    const char *model, *alias;
    TD_TRY(split(cli, cli->arguments[0], &model, &alias, err));
    json_t *body = json_object();
    if (td_cli_value(cli, "reason") != NULL) {
        (void)json_object_set_new(body, "reason", json_string(td_cli_value(cli, "reason")));
    }
    return td_cli_send(cli, "DELETE", td_cli_path(cli, "models", model, "aliases", alias, NULL), body,
                       td_cli_text(cli, "Removed %s@%s.", model, alias), err);
}

static void print_alias(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {{"at", "SINCE", TD_CELL_TIME},
                                             {"version", "VERSION", TD_CELL_NUMBER},
                                             {"by", "BY", TD_CELL_TEXT},
                                             {"reason", "REASON", TD_CELL_TEXT},
                                             {0}};
    td_print_table(cli, columns, td_json_list(answer, "history"), "It never named a version.");
}

static void print_aliases(td_cli *cli, const json_t *answer)
{
    const char *alias;
    json_t *version;
    const json_t *aliases = json_object_get(answer, "aliases");
    if (json_object_size(aliases) == 0) {
        td_print_line(cli, "No aliases. Set one: tidemark alias set MODEL@ALIAS NUMBER");
    }
    json_object_foreach ((json_t *)aliases, alias, version) {
        td_print_line(cli, "%-20s %lld", alias, (long long)json_integer_value(version));
    }
}

static td_code run_list(td_cli *cli, td_err *err)
{
    const char *model, *alias;
    if (td_model_name_check(cli->arguments[0], NULL) == TD_OK) {
        return td_cli_show(cli, td_cli_path(cli, "models", cli->arguments[0], "aliases", NULL), print_aliases, err);
    }
    TD_TRY(split(cli, cli->arguments[0], &model, &alias, err));
    return td_cli_show(cli, td_cli_path(cli, "models", model, "aliases", alias, NULL), print_alias, err);
}

static const td_cli_option options[] = {
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {0},
};

const td_cli_command td_cli_alias_commands[] = {
    {"alias", "set", "MODEL@ALIAS VERSION", 2, 2, "Point an alias at a version", NULL,
     "tidemark alias set pump@champion 3 --reason 'gate passed'\n"
     "tidemark alias set pump@champion pump@challenger --reason 'better for a month'",
     options, run_set},
    {"alias", "list", "MODEL|MODEL@ALIAS", 1, 1, "List a model's aliases, or the history of one", NULL,
     "tidemark alias list pump@champion", NULL, run_list},
    {"alias", "delete", "MODEL@ALIAS", 1, 1, "Remove an alias; its history stays", NULL, NULL, options, run_delete},
    {0},
};
