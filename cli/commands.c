/*
 * commands.c: the table of commands, and the few steps that most of them are made of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

const td_cli_command *const td_cli_commands[] = {
    td_cli_init_commands,
    td_cli_status_commands,
    td_cli_doctor_commands,
    td_cli_backup_commands,
    td_cli_log_commands,
    td_cli_signer_commands,
    td_cli_login_commands,
    td_cli_model_commands,
    td_cli_version_commands,
    td_cli_alias_commands,
    td_cli_bundle_commands,
    td_cli_claim_commands,
    td_cli_device_commands,
    td_cli_rollout_commands,
    td_cli_monitor_commands,
    td_cli_pipeline_commands,
    td_cli_worker_commands,
    td_cli_lineage_commands,
    td_cli_audit_commands,
    td_cli_project_commands,
    td_cli_user_commands,
    td_cli_key_commands,
    td_cli_event_commands,
    td_cli_import_commands,
    td_cli_help_commands,
    NULL,
};

void td_cli_present(td_cli *cli, const json_t *answer, td_cli_printer print)
{
    if (cli->json || print == NULL) {
        td_print_json(cli, answer);
    } else {
        print(cli, answer);
    }
}

td_code td_cli_show(td_cli *cli, const char *path, td_cli_printer print, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(td_cli_call(cli, "GET", path, NULL, &answer, err));
    td_cli_present(cli, answer, print);
    return TD_OK;
}

/* ---- lists ---- */

#define LIST_PAGE 500 /* rows that are asked for at a time */

const char *td_cli_filter(td_cli *cli, const char *filter, const char *name, const char *value)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (value == NULL) {
        return filter;
    }
    td_str_addf(&text, "%s%s%s = '", filter != NULL ? filter : "", filter != NULL ? " AND " : "", name);
    for (; *value != '\0'; value++) {
        td_str_add_char(&text, *value);
        td_str_add(&text, *value == '\'' ? "'" : "");
    }
    td_str_add_char(&text, '\'');
    return td_cli_text(cli, "%s", td_str_text(&text));
}

/* --filter and what the command itself demands. */
static const char *whole_filter(td_cli *cli, const char *filter)
{
    const char *given = td_cli_value(cli, "filter");
    bool both = given != NULL && given[strspn(given, " \t\r\n")] != '\0' && filter != NULL;
    return both ? td_cli_text(cli, "%s AND %s", given, filter) : filter != NULL ? filter : given;
}

/* One page more into `all`; *more_out: there is another, and room for it. */
static td_code add_page(td_cli *cli, const char *path, const char *key, int64_t limit, json_t *all, bool *more_out,
                        td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    json_t *rows = json_object_get(all, key);
    int64_t left = limit - (int64_t)json_array_size(rows);
    path = td_cli_query(cli, path, "limit", td_cli_text(cli, "%d", left < LIST_PAGE ? (int)left : LIST_PAGE));
    path = td_cli_query(cli, path, "cursor", td_json_text(all, "next_cursor", NULL));
    TD_TRY(td_cli_call(cli, "GET", path, NULL, &answer, err));
    const json_t *found = td_json_list(answer, key);
    json_t *next = json_object_get(answer, "next_cursor");
    int failed = json_array_extend(rows, (json_t *)found);
    failed |= next != NULL ? json_object_set(all, "next_cursor", next) : 0;
    if (failed) {
        return td_fail(err, TD_NOMEM, "no memory for a list");
    }
    if (next == NULL) {
        (void)json_object_del(all, "next_cursor");
    }
    *more_out = next != NULL && json_array_size(found) > 0 && (int64_t)json_array_size(rows) < limit;
    return TD_OK;
}

td_code td_cli_list(td_cli *cli, const char *path, const char *key, const char *filter, td_cli_printer print,
                    td_err *err)
{
    int64_t limit;
    TD_TRY(td_cli_int(cli, "limit", 1, TD_CLI_LIST_MAX, LIST_PAGE, &limit, err));
    path = td_cli_query(cli, path, "filter", whole_filter(cli, filter));
    path = td_cli_query(cli, path, "order_by", td_cli_value(cli, "order-by"));
    TD_CLEANUP(td_json_done) json_t *all = json_pack("{s:[], s:s*}", key, "next_cursor", td_cli_value(cli, "cursor"));
    TD_TRY(td_cli_need(all, err));
    for (bool more = true; more;) {
        TD_TRY(add_page(cli, path, key, limit, all, &more, err));
    }
    td_cli_present(cli, all, print);
    const char *next = td_json_text(all, "next_cursor", NULL);
    if (next != NULL && !cli->json) {
        (void)fprintf(stderr, "There are more: --cursor %s\n", next);
    }
    return TD_OK;
}

td_code td_cli_need(const json_t *json, td_err *err)
{
    return json != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a request");
}

td_code td_cli_send(td_cli *cli, const char *method, const char *path, json_t *body, const char *sentence, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *owned = body;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(td_cli_need(body, err));
    TD_TRY(td_cli_call(cli, method, path, owned, &answer, err));
    if (cli->json) {
        td_print_json(cli, answer);
    } else {
        td_print_line(cli, "%s", sentence);
    }
    return TD_OK;
}

td_code td_cli_reason(const td_cli *cli, const char **out, td_err *err)
{
    const char *reason = td_cli_value(cli, "reason");
    if (reason == NULL || *reason == '\0') {
        return td_fail(err, TD_INVALID, "--reason TEXT is needed: it goes into the audit log");
    }
    *out = reason;
    return TD_OK;
}

static td_code run_help(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (td_cli_has(cli, "man")) {
        td_cli_man(&text);
    } else if (td_cli_has(cli, "all")) {
        td_cli_help_all(&text);
        for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
            for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
                td_str_add(&text, "\n--------\n\n");
                td_cli_help_command(c, &text);
            }
        }
    } else {
        td_cli_help_all(&text);
    }
    TD_TRY(td_str_check(&text, err));
    (void)fputs(td_str_text(&text), cli->out);
    return TD_OK;
}

static td_code run_completion(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_cli_completion(cli->arguments[0], &text, err));
    (void)fputs(td_str_text(&text), cli->out);
    return TD_OK;
}

static const td_cli_option help_options[] = {
    {"man", 0, NULL, "print the man page (roff)", false},
    {"all", 0, NULL, "print the help of every command", false},
    {0},
};

const td_cli_command td_cli_help_commands[] = {
    {"completion", NULL, "SHELL", 1, 1, "Print the completion script of bash or zsh", NULL,
     "source <(tidemark completion bash)", NULL, run_completion},
    {"help", NULL, "", 0, 0, "Print the list of commands, or the man page", NULL, "tidemark help --man > tidemark.1",
     help_options, run_help},
    {0},
};
