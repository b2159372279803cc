/*
 * cli.h: the `tidemark` program from inside: one table of commands, and what every command stands on.
 *
 * A command is one row: noun, verb, arguments, options, help, examples, function. The parser, --help, usage errors, the
 * shell completion and the man page all come from the rows, so they cannot disagree. A command's function talks HTTP
 * (cli/http.h) or works on files, and prints through cli/output.h. Threads: one. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_CLI_H
#define TD_CLI_CLI_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/str.h"

#include <stdio.h>

#define TD_CLI_ARGUMENTS_MAX 64
#define TD_CLI_OPTIONS_MAX 512 /* options given on one command line */
#define TD_CLI_WORKSPACE_DEFAULT "./tidemark-workspace"

typedef struct td_cli td_cli;
typedef td_code (*td_cli_function)(td_cli *cli, td_err *err);

typedef struct td_cli_option {
    const char *name;  /* "file" for --file; NULL ends a list */
    char letter;       /* 'f' for -f, or 0 */
    const char *value; /* "FILE"; NULL: a switch */
    const char *help;
    bool many; /* may be given again */
} td_cli_option;

typedef struct td_cli_command {
    const char *noun, *verb;      /* verb NULL: the noun alone is the command */
    const char *arguments;        /* for the usage line: "MODEL/VERSION [FILE]" or "" */
    int least, most;              /* how many arguments */
    const char *summary;          /* one line, no full stop */
    const char *text;             /* paragraphs, or NULL */
    const char *examples;         /* lines, or NULL */
    const td_cli_option *options; /* own ones, or NULL */
    td_cli_function run;
} td_cli_command;

typedef struct td_cli_given {
    const td_cli_option *option;
    const char *value; /* NULL for a switch */
} td_cli_given;

/* One invocation. Text is borrowed from argv and the arena. */
struct td_cli {
    const td_cli_command *command;
    const char *arguments[TD_CLI_ARGUMENTS_MAX + 1]; /* NULL-terminated */
    int argument_count;
    td_cli_given given[TD_CLI_OPTIONS_MAX];
    size_t given_count;
    const char *workspace; /* folder */
    const char *project;
    bool json;     /* --json */
    bool color;    /* standard output is a terminal that wants it */
    bool progress; /* standard error is a terminal */
    FILE *out;
    td_arena arena;
    struct td_http *http; /* made at the first call; cli/http.h */
};

/* All commands, in the order of help: lists (each ends with a NULL noun), ended by NULL. */
extern const td_cli_command *const td_cli_commands[];
/* Options that every command takes. */
extern const td_cli_option td_cli_common_options[];

/* Parses argv[1…]. On OK, cli->command is set; NULL: help was printed, nothing more to do. INVALID names the nearest
 * noun, verb or option. */
TD_MUST_USE td_code td_cli_parse(td_cli *cli, int argc, char **argv, td_err *err);
void td_cli_done(td_cli *cli);
/* The whole program: parses, runs, prints errors; returns the exit code. */
int td_cli_main(int argc, char **argv);

/* Of an option: was it given; its (last) value or NULL; its n-th value or NULL. Unknown names are our bug (assert). */
bool td_cli_has(const td_cli *cli, const char *option);
const char *td_cli_value(const td_cli *cli, const char *option);
/* What follows the last '/' of a path. */
const char *td_cli_base_name(const char *path);
const char *td_cli_value_at(const td_cli *cli, const char *option, size_t index);
/* As a number or a duration within limits, or fallback when not given. */
TD_MUST_USE td_code td_cli_int(const td_cli *cli, const char *option, int64_t minimum, int64_t maximum,
                               int64_t fallback, int64_t *out, td_err *err);
/* A duration in milliseconds ("90s", "15m"). */
TD_MUST_USE td_code td_cli_duration(const td_cli *cli, const char *option, int64_t fallback_ms, int64_t *out,
                                    td_err *err);
/* A copy in the arena, printf-like; never NULL ("" when memory is out). */
const char *td_cli_text(td_cli *cli, const char *format, ...) TD_PRINTF(2, 3);
/* "key=value" cut in two, in the arena. INVALID names the option. */
TD_MUST_USE td_code td_cli_pair(td_cli *cli, const char *option, const char *text, const char **key_out,
                                const char **value_out, td_err *err);

/* Any form of registry/reference.h → model "pump", version "3" or "@champion" as the API's paths have them. INVALID. */
TD_MUST_USE td_code td_cli_reference(td_cli *cli, const char *text, const char **model_out, const char **version_out,
                                     td_err *err);

/* Help texts, 80 columns wide (help.c). */
void td_cli_help_all(td_str *out);                    /* the table of commands */
void td_cli_help_noun(const char *noun, td_str *out); /* the verbs of a noun */
void td_cli_help_command(const td_cli_command *command, td_str *out);
void td_cli_man(td_str *out); /* man page in mdoc's older sister, man(7) */
TD_MUST_USE td_code td_cli_completion(const char *shell, td_str *out, td_err *err);

#endif
