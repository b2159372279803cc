/*
 * cmd_event.c: tidemark events: what happens, as it happens, a line each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_MS 25000

static void print_event(td_cli *cli, const json_t *record)
{
    char time[32];
    td_tint tint = TD_TINT_NONE;
    if (cli->json) {
        char *text = json_dumps(record, JSON_COMPACT | JSON_SORT_KEYS);
        td_print_line(cli, "%s", text == NULL ? "" : text);
        free(text);
        return;
    }
    const char *sentence = td_event_sentence(cli, record, &tint);
    if (sentence == NULL) {
        return;
    }
    td_format_local(td_json_text(record, "time", ""), time);
    const char *clock = strchr(time, ' ');
    td_print_line(cli, "%s%s%s  %s%s%s", td_tint_code(cli, TD_TINT_FAINT), clock != NULL ? clock + 1 : time,
                  td_tint_code(cli, TD_TINT_NONE), tint != TD_TINT_NONE ? td_tint_code(cli, tint) : "", sentence,
                  tint != TD_TINT_NONE ? td_tint_code(cli, TD_TINT_NONE) : "");
}

/* One page of the feed; *after is moved on. */
static td_code next_page(td_cli *cli, int64_t *after, int64_t wait_ms, size_t *count_out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *path = td_cli_path(cli, "events", NULL);
    path = td_cli_query(cli, path, "after", td_cli_text(cli, "%lld", (long long)*after));
    path = td_cli_query(cli, path, "wait_ms", wait_ms > 0 ? td_cli_text(cli, "%lld", (long long)wait_ms) : NULL);
    TD_TRY(td_cli_poll(cli, path, wait_ms, &answer, err));
    const json_t *records = td_json_list(answer, "records");
    for (size_t i = 0; i < json_array_size(records); i++) {
        print_event(cli, json_array_get(records, i));
    }
    *count_out = json_array_size(records);
    *after = td_json_int(answer, "next_after", *after);
    (void)fflush(cli->out);
    td_arena_done(&cli->arena); /* nothing of a page outlives it */
    return TD_OK;
}

static td_code run_events(td_cli *cli, td_err *err)
{
    int64_t after, until;
    size_t count = 0;
    bool follow = td_cli_has(cli, "follow");
    TD_TRY(td_cli_int(cli, "after", -1, INT64_MAX, -1, &after, err));
    TD_TRY(td_cli_int(cli, "until", 0, INT64_MAX, INT64_MAX, &until, err));
    do {
        TD_TRY(next_page(cli, &after, follow ? WAIT_MS : 0, &count, err));
    } while (after < until && (follow || count > 0));
    return TD_OK;
}

static const td_cli_option event_options[] = {
    {"follow", 0, NULL, "stay and print what happens", false},
    {"after", 0, "SEQ", "only what came after that record", false},
    {"until", 0, "SEQ", "end with that record", false},
    {0},
};

const td_cli_command td_cli_event_commands[] = {
    {"events", NULL, "", 0, 0, "Print what happened, a line each, and with --follow what happens",
     "The lines come from the audit log; with --json each is the whole record.", "tidemark events --follow",
     event_options, run_events},
    {0},
};
