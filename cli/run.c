/*
 * run.c: from argv to an exit code: parse, run, print what went wrong once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* Whoever read our output had enough (`tidemark … | head`): as if SIGPIPE had ended us, without a word. */
#define EXIT_UNREAD 141

/* Problems go to standard error; with --json as an object, so that programs can read them. */
static void print_problem(const td_cli *cli, td_code code, const td_err *err)
{
    const char *text = err->text[0] != '\0' ? err->text : td_code_lookup(code)->name;
    TD_CLEANUP(td_str_done) td_str line = {0};
    if (!cli->json) {
        td_text_add(&line, text); /* a server's details, or a name in a file, may be in it */
        (void)fprintf(stderr, "tidemark: %s\n", td_str_text(&line));
        return;
    }
    TD_CLEANUP(td_json_done)
    json_t *problem = json_pack("{s:s, s:s}", "code", td_code_lookup(code)->name, "detail", text);
    if (problem != NULL && td_json_write(problem, &line, NULL) == TD_OK) {
        (void)fprintf(stderr, "%s\n", td_str_text(&line));
    }
}

int td_cli_main(int argc, char **argv)
{
    td_cli cli = {.out = stdout};
    td_err err = {0};
    (void)signal(SIGPIPE, SIG_IGN); /* sockets and pipes that close are errors of writing */
    td_code code = td_cli_parse(&cli, argc, argv, &err);
    if (code == TD_OK && cli.command != NULL) {
        code = cli.command->run(&cli, &err);
    }
    bool unread = (fflush(stdout) != 0 || ferror(stdout) != 0) && errno == EPIPE;
    if (ferror(stdout) != 0 && !unread && code == TD_OK) {
        code = td_fail(&err, TD_IO, "standard output: cannot be written");
    }
    if (code != TD_OK) {
        print_problem(&cli, code, &err);
    }
    td_cli_done(&cli);
    if (code == TD_OK && unread) {
        return EXIT_UNREAD;
    }
    return td_code_lookup(code)->exit_code;
}
