/*
 * cmd_lineage.c: tidemark lineage: what came from what, and what a thing reached.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

static void print_tree(td_cli *cli, const json_t *answer, bool down, const char *title)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (title != NULL) {
        td_print_title(cli, title);
    }
    if (td_lineage_tree(answer, down, &text, NULL) == TD_OK) {
        td_print_text(cli, td_str_text(&text));
    }
}

static td_code run_show(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    bool up = td_cli_has(cli, "up"), down = td_cli_has(cli, "down");
    const char *path = td_cli_query(cli, td_cli_path(cli, "lineage", NULL), "node", cli->arguments[0]);
    path = td_cli_query(cli, path, "direction", up == down ? "both" : up ? "up" : "down");
    path = td_cli_query(cli, path, "depth", td_cli_value(cli, "depth"));
    TD_TRY(td_cli_call(cli, "GET", path, NULL, &answer, err));
    if (cli->json) {
        td_print_json(cli, answer);
        return TD_OK;
    }
    if (up || !down) {
        print_tree(cli, answer, false, down || !up ? "Made from" : NULL);
    }
    if (down || !up) {
        print_tree(cli, answer, true, up || !down ? "Went into" : NULL);
    }
    return TD_OK;
}

static void print_impact(td_cli *cli, const json_t *answer)
{
    static const td_column_spec versions[] = {
        {"name", "VERSION", TD_CELL_TEXT}, {"direct", "DIRECTLY", TD_CELL_TEXT}, {0}};
    static const td_column_spec devices[] = {{"device", "DEVICE", TD_CELL_TEXT}, {"versions", "VERSIONS", TD_CELL_LIST},
                                             {"now", "NOW", TD_CELL_TEXT},       {"first_at", "FROM", TD_CELL_TIME},
                                             {"last_at", "UNTIL", TD_CELL_TIME}, {0}};
    td_print_line(cli, "%s", td_json_text(answer, "node", ""));
    td_print_title(cli, "Versions made from it");
    td_print_table(cli, versions, td_json_list(answer, "versions"), "None.");
    td_print_title(cli, "Devices that run one of them, or ever ran one");
    td_print_table(cli, devices, td_json_list(answer, "devices"), "None.");
}

static td_code run_impact(td_cli *cli, td_err *err)
{
    return td_cli_show(cli, td_cli_query(cli, td_cli_path(cli, "lineage", "impact", NULL), "node", cli->arguments[0]),
                       print_impact, err);
}

static const td_cli_option show_options[] = {
    {"up", 0, NULL, "only what it was made from", false},
    {"down", 0, NULL, "only what it went into", false},
    {"depth", 0, "N", "at most so many steps away", false},
    {0},
};

const td_cli_command td_cli_lineage_commands[] = {
    {"lineage", "show", "VERSION|KIND:NAME", 1, 1, "Show where a thing comes from and where it went, as a tree", NULL,
     "tidemark lineage show pump/2 --up\ntidemark lineage show device:pump-07", show_options, run_show},
    {"lineage", "impact", "VERSION|KIND:NAME", 1, 1, "List every version and device that a thing ever reached", NULL,
     "tidemark lineage impact dataset:s3://plant/vibration", NULL, run_impact},
    {0},
};
