/*
 * args.c: argv against the table of commands.
 *
 * `tidemark NOUN VERB ARGUMENT… --option value`: options may stand anywhere after the noun, `--option=value` and `-f
 * value` are understood, `--` ends them. What is misspelt is answered with the nearest right word.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/access.h"
#include "core/base/clock.h"
#include "cli/http.h"
#include "registry/reference.h"

const td_cli_option td_cli_common_options[] = {
    {"workspace", 'w', "DIR", "folder of the server (default: $TIDEMARK_WORKSPACE or " TD_CLI_WORKSPACE_DEFAULT ")",
     false},
    {"server", 0, "URL", "server to talk to (default: $TIDEMARK_SERVER, or the one that runs in the workspace)", false},
    {"ca", 0, "FILE", "certificate that signed the server's, for https (default: $TIDEMARK_CA)", false},
    {"token-file", 0, "FILE", "file with the token (default: $TIDEMARK_TOKEN_FILE)", false},
    {"as", 0, "NAME", "profile demo only: the token and key that init made for NAME (default: $TIDEMARK_AS)", false},
    {"project", 'p', "NAME", "project (default: $TIDEMARK_PROJECT or default)", false},
    {"json", 0, NULL, "print the server's answer as JSON", false},
    {"color", 0, "WHEN", "auto, always or never", false},
    {"help", 'h', NULL, "print this help", false},
    {0},
};

const char *td_cli_text(td_cli *cli, const char *format, ...)
{
    char *line = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&line, format, args);
    va_end(args);
    const char *copy = length < 0 ? NULL : td_arena_text(&cli->arena, line);
    if (length >= 0) {
        free(line);
    }
    return copy == NULL ? "" : copy;
}

/* ---- finding commands ---- */

/* "models" is as good as "model": the noun as the table has it, or the word itself. */
static const char *singular(const char *word)
{
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            size_t length = strlen(c->noun);
            if (c->verb != NULL && strncmp(c->noun, word, length) == 0 && strcmp(word + length, "s") == 0) {
                return c->noun;
            }
        }
    }
    return word;
}

static const td_cli_command *find_command(const char *noun, const char *verb)
{
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            if (strcmp(c->noun, noun) == 0 && (c->verb == NULL || (verb != NULL && strcmp(c->verb, verb) == 0))) {
                return c;
            }
        }
    }
    return NULL;
}

#define WORDS_MAX 128

static bool seen(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* noun NULL: all nouns; else the verbs of that noun. NULL-terminated. */
static size_t list_words(const char *noun, const char *words[WORDS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            const char *word = noun == NULL ? c->noun : strcmp(c->noun, noun) == 0 ? c->verb : NULL;
            if (word != NULL && count < WORDS_MAX - 1 && !seen(words, count, word)) {
                words[count++] = word;
            }
        }
    }
    words[count] = NULL;
    return count;
}

static td_code refuse_noun(const char *noun, td_err *err)
{
    const char *words[WORDS_MAX];
    (void)list_words(NULL, words);
    const char *nearest = td_nearest(noun, words);
    if (nearest != NULL) {
        return td_fail(err, TD_INVALID, "there is no command \"%.40s\"; did you mean \"tidemark %s\"?", noun, nearest);
    }
    return td_fail(err, TD_INVALID, "there is no command \"%.40s\"; `tidemark help` lists them", noun);
}

static td_code refuse_verb(const char *noun, const char *verb, td_err *err)
{
    const char *words[WORDS_MAX];
    TD_CLEANUP(td_str_done) td_str list = {0};
    (void)list_words(noun, words);
    for (size_t i = 0; words[i] != NULL; i++) {
        td_str_addf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    if (verb == NULL) {
        return td_fail(err, TD_INVALID, "`tidemark %s` needs a verb: %s", noun, td_str_text(&list));
    }
    const char *nearest = td_nearest(verb, words);
    if (nearest != NULL) {
        return td_fail(err, TD_INVALID, "`tidemark %s` has no verb \"%.40s\"; did you mean \"tidemark %s %s\"?", noun,
                       verb, noun, nearest);
    }
    return td_fail(err, TD_INVALID, "`tidemark %s` has no verb \"%.40s\"; it has: %s", noun, verb, td_str_text(&list));
}

/* ---- options ---- */

static const td_cli_option *find_option(const td_cli_command *command, const char *name, size_t length, char letter)
{
    const td_cli_option *const lists[] = {command->options, td_cli_common_options};
    for (size_t i = 0; i < TD_COUNT_OF(lists); i++) {
        for (const td_cli_option *o = lists[i]; o != NULL && o->name != NULL; o++) {
            if (name != NULL ? strlen(o->name) == length && strncmp(o->name, name, length) == 0
                             : o->letter != 0 && o->letter == letter) {
                return o;
            }
        }
    }
    return NULL;
}

static td_code refuse_option(const td_cli_command *command, const char *text, td_err *err)
{
    const char *names[WORDS_MAX];
    size_t count = 0;
    const td_cli_option *const lists[] = {command->options, td_cli_common_options};
    for (size_t i = 0; i < TD_COUNT_OF(lists); i++) {
        for (const td_cli_option *o = lists[i]; o != NULL && o->name != NULL && count < WORDS_MAX - 1; o++) {
            names[count++] = o->name;
        }
    }
    names[count] = NULL;
    const char *nearest = strncmp(text, "--", 2) == 0 ? td_nearest(text + 2, names) : NULL;
    const char *verb = command->verb == NULL ? "" : command->verb;
    if (nearest != NULL) {
        return td_fail(err, TD_INVALID, "unknown option %.40s; did you mean --%s?", text, nearest);
    }
    return td_fail(err, TD_INVALID, "unknown option %.40s; see `tidemark %s%s%s --help`", text, command->noun,
                   *verb ? " " : "", verb);
}

static td_code note_option(td_cli *cli, const td_cli_option *option, const char *value, td_err *err)
{
    if (!option->many && option->value != NULL && td_cli_value(cli, option->name) != NULL) {
        return td_fail(err, TD_INVALID, "--%s is given twice", option->name);
    }
    if (cli->given_count == TD_CLI_OPTIONS_MAX) {
        return td_fail(err, TD_LIMIT, "more than %d options", TD_CLI_OPTIONS_MAX);
    }
    cli->given[cli->given_count++] = (td_cli_given){option, value};
    return TD_OK;
}

/* Takes the option at argv[*index], with its value from the same or the next word. */
static td_code take_option(td_cli *cli, char **argv, int *index, td_err *err)
{
    const char *word = argv[*index];
    bool is_long = word[1] == '-';
    const char *equals = is_long ? strchr(word, '=') : NULL;
    size_t length = !is_long ? 0 : equals != NULL ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    const td_cli_option *option =
        is_long ? find_option(cli->command, word + 2, length, 0) : find_option(cli->command, NULL, 0, word[1]);
    if (option == NULL || (!is_long && word[2] != '\0')) {
        return refuse_option(cli->command, word, err);
    }
    if (option->value == NULL) {
        return equals == NULL ? note_option(cli, option, NULL, err)
                              : td_fail(err, TD_INVALID, "--%s takes no value", option->name);
    }
    const char *value = equals != NULL ? equals + 1 : argv[*index + 1];
    if (value == NULL) {
        return td_fail(err, TD_INVALID, "--%s needs a value: --%s %s", option->name, option->name, option->value);
    }
    *index += equals == NULL;
    return note_option(cli, option, value, err);
}

static td_code take_words(td_cli *cli, char **argv, int start, td_err *err)
{
    bool options = true;
    for (int i = start; argv[i] != NULL; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            TD_TRY(take_option(cli, argv, &i, err));
        } else if (cli->argument_count == TD_CLI_ARGUMENTS_MAX) {
            return td_fail(err, TD_LIMIT, "more than %d arguments", TD_CLI_ARGUMENTS_MAX);
        } else {
            cli->arguments[cli->argument_count++] = argv[i];
        }
    }
    return TD_OK;
}

static td_code check_count(const td_cli *cli, td_err *err)
{
    const td_cli_command *c = cli->command;
    if (cli->argument_count >= c->least && cli->argument_count <= c->most) {
        return TD_OK;
    }
    const char *gap = c->verb == NULL ? "" : " ";
    const char *verb = c->verb == NULL ? "" : c->verb;
    if (cli->argument_count > c->most) {
        return td_fail(err, TD_INVALID, "\"%.60s\" is one argument too many; usage: tidemark %s%s%s %s",
                       cli->arguments[c->most], c->noun, gap, verb, c->arguments);
    }
    return td_fail(err, TD_INVALID, "an argument is missing; usage: tidemark %s%s%s %s", c->noun, gap, verb,
                   c->arguments);
}

/* ---- values ---- */

static bool is_option(const td_cli_given *given, const char *name)
{
    return strcmp(given->option->name, name) == 0;
}

bool td_cli_has(const td_cli *cli, const char *option)
{
    assert(find_option(cli->command, option, strlen(option), 0) != NULL);
    for (size_t i = 0; i < cli->given_count; i++) {
        if (is_option(&cli->given[i], option)) {
            return true;
        }
    }
    return false;
}

const char *td_cli_value_at(const td_cli *cli, const char *option, size_t index)
{
    assert(find_option(cli->command, option, strlen(option), 0) != NULL);
    for (size_t i = 0; i < cli->given_count; i++) {
        if (is_option(&cli->given[i], option) && index-- == 0) {
            return cli->given[i].value;
        }
    }
    return NULL;
}

const char *td_cli_value(const td_cli *cli, const char *option)
{
    return td_cli_value_at(cli, option, 0);
}

td_code td_cli_int(const td_cli *cli, const char *option, int64_t minimum, int64_t maximum, int64_t fallback,
                   int64_t *out, td_err *err)
{
    const char *value = td_cli_value(cli, option);
    char what[64];
    (void)snprintf(what, sizeof what, "--%s", option);
    if (value == NULL) {
        *out = fallback;
        return TD_OK;
    }
    return td_parse_int(value, what, minimum, maximum, out, err);
}

td_code td_cli_duration(const td_cli *cli, const char *option, int64_t fallback_ms, int64_t *out, td_err *err)
{
    const char *value = td_cli_value(cli, option);
    if (value == NULL) {
        *out = fallback_ms;
        return TD_OK;
    }
    if (td_parse_duration(value, out, err) != TD_OK) {
        return td_wrap(err, "--%s", option);
    }
    return TD_OK;
}

td_code td_cli_pair(td_cli *cli, const char *option, const char *text, const char **key_out, const char **value_out,
                    td_err *err)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return td_fail(err, TD_INVALID, "--%s %.60s: expected NAME=VALUE", option, text);
    }
    *key_out = td_cli_text(cli, "%.*s", (int)(equals - text), text);
    *value_out = equals + 1;
    return TD_OK;
}

td_code td_cli_reference(td_cli *cli, const char *text, const char **model_out, const char **version_out, td_err *err)
{
    td_reference reference;
    TD_TRY(td_reference_parse(text, &reference, err));
    *model_out = td_cli_text(cli, "%s", reference.model);
    *version_out = reference.alias[0] != '\0' ? td_cli_text(cli, "@%s", reference.alias)
                                              : td_cli_text(cli, "%lld", (long long)reference.number);
    return TD_OK;
}

/* ---- the whole line ---- */

static const char *choose(const td_cli *cli, const char *option, const char *variable, const char *fallback)
{
    const char *value = td_cli_value(cli, option);
    const char *environment = getenv(variable);
    return value != NULL ? value : environment != NULL && *environment != '\0' ? environment : fallback;
}

static td_code settle(td_cli *cli, td_err *err)
{
    const char *when = td_cli_value(cli, "color");
    cli->workspace = choose(cli, "workspace", "TIDEMARK_WORKSPACE", TD_CLI_WORKSPACE_DEFAULT);
    cli->project = choose(cli, "project", "TIDEMARK_PROJECT", TD_PROJECT_DEFAULT);
    cli->json = td_cli_has(cli, "json");
    cli->progress = isatty(STDERR_FILENO) == 1 && !cli->json;
    if (when == NULL || strcmp(when, "auto") == 0) {
        const char *none = getenv("NO_COLOR");
        cli->color = isatty(STDOUT_FILENO) == 1 && (none == NULL || *none == '\0');
    } else if (strcmp(when, "always") == 0 || strcmp(when, "never") == 0) {
        cli->color = strcmp(when, "always") == 0;
    } else {
        return td_fail(err, TD_INVALID, "--color is auto, always or never, not \"%.20s\"", when);
    }
    return td_project_name_check(cli->project, err);
}

static bool wants_help(char **words)
{
    for (; *words != NULL && strcmp(*words, "--") != 0; words++) {
        if (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0) {
            return true;
        }
    }
    return false;
}

static void print_text(td_cli *cli, td_str *text)
{
    (void)fputs(td_str_text(text), cli->out);
    td_str_done(text);
}

td_code td_cli_parse(td_cli *cli, int argc, char **argv, td_err *err)
{
    td_str help = {0};
    const char *noun = argc > 1 ? singular(argv[1]) : "--help";
    const char *verb = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
    if (strcmp(noun, "--help") == 0 || strcmp(noun, "-h") == 0 || (strcmp(noun, "help") == 0 && argc == 2)) {
        td_cli_help_all(&help);
        print_text(cli, &help);
        return TD_OK;
    }
    if (strcmp(noun, "--version") == 0) {
        (void)fprintf(cli->out, "tidemark %s\n", TD_VERSION);
        return TD_OK;
    }
    const td_cli_command *command = find_command(noun, verb);
    if (command == NULL) {
        const char *words[WORDS_MAX];
        if (list_words(noun, words) == 0) {
            return refuse_noun(noun, err);
        }
        if (verb != NULL || !wants_help(argv + 2)) {
            return refuse_verb(noun, verb, err);
        }
        td_cli_help_noun(noun, &help);
        print_text(cli, &help);
        return TD_OK;
    }
    if (wants_help(argv + 2)) {
        td_cli_help_command(command, &help);
        print_text(cli, &help);
        return TD_OK;
    }
    cli->command = command;
    TD_TRY(take_words(cli, argv, command->verb == NULL ? 2 : 3, err));
    TD_TRY(check_count(cli, err));
    return settle(cli, err);
}

void td_cli_done(td_cli *cli)
{
    td_http_close(&cli->http);
    td_arena_done(&cli->arena);
}
