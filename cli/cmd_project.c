/*
 * cmd_project.c: tidemark project: the walls between teams.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include "access/access.h"

static td_code run_create(td_cli *cli, td_err *err)
{
    const char *name = cli->arguments[0];
    TD_TRY(td_project_name_check(name, err));
    td_cli_prefer_socket(cli);
    return td_cli_send(
        cli, "POST", td_cli_path(cli, "projects", NULL),
        json_pack("{s:s, s:s*}", "name", name, "description", td_cli_value(cli, "description")),
        td_cli_text(cli, "Made project %s. Next: tidemark role grant USER ROLE --project %s --reason TEXT", name, name),
        err);
}

static void print_projects(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"name", "PROJECT", TD_CELL_TEXT},         {"roles", "YOUR ROLES", TD_CELL_LIST},
        {"description", "WHAT", TD_CELL_TEXT},     {"created_at", "CREATED", TD_CELL_TIME},
        {"archived_at", "ARCHIVED", TD_CELL_TIME}, {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "projects"), "No projects in which you hold a role.");
}

static td_code run_list(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    const char *path = td_cli_path(cli, "projects", NULL);
    return td_cli_list(cli, td_cli_query(cli, path, "archived", td_cli_has(cli, "archived") ? "yes" : NULL), "projects",
                       NULL, print_projects, err);
}

static void print_project(td_cli *cli, const json_t *project)
{
    static const td_column_spec columns[] = {
        {"name", "Project", TD_CELL_TEXT},         {"description", "What", TD_CELL_TEXT},
        {"roles", "Your roles", TD_CELL_LIST},     {"created_at", "Created", TD_CELL_TIME},
        {"archived_at", "Archived", TD_CELL_TIME}, {0},
    };
    td_print_fields(cli, columns, project);
}

static td_code run_show(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    return td_cli_show(cli, td_cli_path(cli, "projects", cli->arguments[0], NULL), print_project, err);
}

static td_code run_describe(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    return td_cli_send(
        cli, "PATCH", td_cli_path(cli, "projects", cli->arguments[0], NULL),
        json_pack("{s:s, s:s*}", "description", cli->arguments[1], "reason", td_cli_value(cli, "reason")),
        td_cli_text(cli, "Described project %s.", cli->arguments[0]), err);
}

static td_code move_project(td_cli *cli, const char *verb, const char *sentence, td_err *err)
{
    const char *reason;
    TD_TRY(td_cli_reason(cli, &reason, err));
    td_cli_prefer_socket(cli);
    return td_cli_send(cli, "POST", td_cli_path(cli, "projects", cli->arguments[0], verb, NULL),
                       json_pack("{s:s}", "reason", reason), sentence, err);
}

static td_code run_archive(td_cli *cli, td_err *err)
{
    return move_project(
        cli, "archive",
        td_cli_text(cli, "Project %s is archived: hidden, readable, closed for changes.", cli->arguments[0]), err);
}

static td_code run_restore(td_cli *cli, td_err *err)
{
    return move_project(cli, "restore", td_cli_text(cli, "Project %s is open again.", cli->arguments[0]), err);
}

static const td_cli_option create_options[] = {
    {"description", 'd', "TEXT", "what it is for", false},
    {0},
};
static const td_cli_option list_options[] = {
    {"archived", 0, NULL, "also those that are archived", false},
    TD_CLI_LIST_OPTIONS,
    {0},
};
static const td_cli_option describe_options[] = {
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {0},
};
static const td_cli_option reason_options[] = {
    {"reason", 0, "TEXT", "goes into the audit log; needed", false},
    {0},
};

const td_cli_command td_cli_project_commands[] = {
    {"project", "create", "NAME", 1, 1, "Make a project",
     "Models, devices, rollouts, alerts, pipelines, content and records belong to one project each. Whoever holds no "
     "role in a project is told that there is none. Who makes one becomes its admin.",
     "tidemark project create mill --description 'Saw mill, line 2'\n"
     "tidemark role grant ana data-scientist --project mill --reason 'works there'",
     create_options, run_create},
    {"project", "list", "", 0, 0, "List the projects in which you hold a role", NULL, NULL, list_options, run_list},
    {"project", "show", "NAME", 1, 1, "Show one project", NULL, NULL, NULL, run_show},
    {"project", "describe", "NAME TEXT", 2, 2, "Say what a project is for", NULL, NULL, describe_options, run_describe},
    {"project", "archive", "NAME", 1, 1, "Hide a project and take no more changes in it",
     "Nothing is deleted; what is there can still be read, and its devices go on. Refused while a rollout or a run is "
     "under way.",
     "tidemark project archive mill --reason 'line 2 was closed'", reason_options, run_archive},
    {"project", "restore", "NAME", 1, 1, "Open an archived project again", NULL, NULL, reason_options, run_restore},
    {0},
};
