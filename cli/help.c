/*
 * help.c: help, man page and shell completion, all written from the table of commands; nothing is wider than 80
 * columns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <string.h>

#define WIDTH 79
#define COLUMN 26 /* where the explanation of an option begins */

static const char *verb_of(const td_cli_command *command)
{
    return command->verb == NULL ? "" : command->verb;
}

static void add_spaces(td_str *out, size_t count)
{
    td_str_addf(out, "%*s", (int)count, "");
}

/* Adds a paragraph, broken at spaces, each further line indented. `at`: columns that are used already. */
static void add_wrapped(td_str *out, const char *text, size_t at, size_t indent)
{
    size_t column = at;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + word > WIDTH) {
            td_str_add(out, "\n");
            add_spaces(out, indent);
            column = indent;
        } else if (column > indent) {
            td_str_add(out, " ");
            column++;
        }
        td_str_append(out, text, word);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    td_str_add(out, "\n");
}

static void add_option(const td_cli_option *option, td_str *out)
{
    TD_CLEANUP(td_str_done) td_str left = {0};
    if (option->letter != 0) {
        td_str_addf(&left, "  -%c, --%s", option->letter, option->name);
    } else {
        td_str_addf(&left, "      --%s", option->name);
    }
    if (option->value != NULL) {
        td_str_addf(&left, " %s", option->value);
    }
    td_str_add(out, td_str_text(&left));
    if (left.size + 2 > COLUMN) {
        td_str_add(out, "\n");
        add_spaces(out, COLUMN);
    } else {
        add_spaces(out, COLUMN - left.size);
    }
    add_wrapped(out, option->help, COLUMN, COLUMN);
}

static void add_options(const char *title, const td_cli_option *options, td_str *out)
{
    if (options == NULL || options->name == NULL) {
        return;
    }
    td_str_addf(out, "\n%s:\n", title);
    for (; options->name != NULL; options++) {
        add_option(options, out);
    }
}

static void add_row(const td_cli_command *c, td_str *out)
{
    TD_CLEANUP(td_str_done) td_str left = {0};
    td_str_addf(&left, "  %s%s%s", c->noun, c->verb == NULL ? "" : " ", verb_of(c));
    td_str_add(out, td_str_text(&left));
    add_spaces(out, left.size + 1 < COLUMN ? COLUMN - left.size : 1);
    add_wrapped(out, c->summary, COLUMN, COLUMN);
}

void td_cli_help_all(td_str *out)
{
    td_str_add(out, "Usage: tidemark NOUN VERB [ARGUMENT...] [--OPTION...]\n\n"
                    "Tidemark is a model registry and MLOps monitor for edge fleets.\n\n");
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            add_row(c, out);
        }
    }
    add_options("Options of every command", td_cli_common_options, out);
    td_str_add(out, "\nExit codes: 0 done, 2 wrong input, 3 not allowed, 4 not found, 5 conflict,\n"
                    "6 limit, 7 try later, 8 fails its check, 9 disk or network, 10 memory, 70 bug.\n\n"
                    "`tidemark NOUN VERB --help` tells more of a command.\n");
}

void td_cli_help_noun(const char *noun, td_str *out)
{
    td_str_addf(out, "Usage: tidemark %s VERB [ARGUMENT...] [--OPTION...]\n\n", noun);
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            if (strcmp(c->noun, noun) == 0) {
                add_row(c, out);
            }
        }
    }
    td_str_addf(out, "\n`tidemark %s VERB --help` tells more of a command.\n", noun);
}

/* Paragraphs are separated by newlines in the table. */
static void add_paragraphs(const char *text, td_str *out)
{
    while (*text != '\0') {
        TD_CLEANUP(td_str_done) td_str paragraph = {0};
        size_t length = strcspn(text, "\n");
        td_str_append(&paragraph, text, length);
        td_str_add(out, "\n");
        add_wrapped(out, td_str_text(&paragraph), 0, 0);
        text += length;
        text += strspn(text, "\n");
    }
}

static void add_usage(const td_cli_command *c, td_str *out)
{
    td_str_addf(out, "tidemark %s%s%s%s%s%s", c->noun, c->verb == NULL ? "" : " ", verb_of(c),
                *c->arguments == '\0' ? "" : " ", c->arguments, " [--OPTION...]");
}

/* One line of the table; a long one is continued, as a shell would take it, before an option. */
static void add_example(td_str *out, const char *line, size_t length)
{
    size_t column = 2;
    td_str_add(out, "  ");
    while (length > 0) {
        const char *next = length > 1 ? memmem(line + 1, length - 1, " --", 3) : NULL;
        size_t part = next == NULL ? length : (size_t)(next - line);
        if (column > 2 && column + part > WIDTH - 2) {
            td_str_add(out, " \\\n     ");
            column = 5;
        }
        td_str_append(out, line, part);
        column += part;
        line += part;
        length -= part;
    }
    td_str_add(out, "\n");
}

/* Only their names: `tidemark help` explains them. */
static void add_common(td_str *out)
{
    TD_CLEANUP(td_str_done) td_str names = {0};
    td_str_add(&names, "Options of every command (tidemark help):");
    for (const td_cli_option *option = td_cli_common_options; option->name != NULL; option++) {
        td_str_addf(&names, " --%s%s", option->name, option[1].name != NULL ? "," : "");
    }
    td_str_add(out, "\n");
    add_wrapped(out, td_str_text(&names), 0, 2);
}

void td_cli_help_command(const td_cli_command *c, td_str *out)
{
    td_str_add(out, "Usage: ");
    add_usage(c, out);
    td_str_addf(out, "\n\n%s.\n", c->summary);
    if (c->text != NULL) {
        add_paragraphs(c->text, out);
    }
    add_options("Options", c->options, out);
    add_common(out);
    if (c->examples != NULL) {
        td_str_add(out, "\nExamples:\n");
        for (const char *line = c->examples; *line != '\0';) {
            size_t length = strcspn(line, "\n");
            add_example(out, line, length);
            line += length;
            line += *line == '\n';
        }
    }
}

/* ---- man page ---- */

/* Text for roff: backslashes doubled, hyphens as minus signs, a leading dot or quote made harmless. */
static void add_roff(const char *text, td_str *out)
{
    bool start = true;
    for (; *text != '\0'; text++) {
        if (start && (*text == '.' || *text == '\'')) {
            td_str_add(out, "\\&");
        }
        start = *text == '\n';
        if (*text == '\\') {
            td_str_add(out, "\\e");
        } else if (*text == '-') {
            td_str_add(out, "\\-");
        } else {
            td_str_add_char(out, *text);
        }
    }
}

static void add_roff_options(const td_cli_option *options, td_str *out)
{
    for (; options != NULL && options->name != NULL; options++) {
        td_str_add(out, ".TP\n\\fB");
        if (options->letter != 0) {
            td_str_addf(out, "\\-%c\\fR, \\fB", options->letter);
        }
        td_str_add(out, "\\-\\-");
        add_roff(options->name, out);
        td_str_add(out, "\\fR");
        if (options->value != NULL) {
            td_str_add(out, " \\fI");
            add_roff(options->value, out);
            td_str_add(out, "\\fR");
        }
        td_str_add(out, "\n");
        add_roff(options->help, out);
        td_str_add(out, "\n");
    }
}

static void add_roff_command(const td_cli_command *c, td_str *out)
{
    TD_CLEANUP(td_str_done) td_str usage = {0};
    add_usage(c, &usage);
    td_str_add(out, ".SS \"");
    add_roff(td_str_text(&usage), out);
    td_str_add(out, "\"\n");
    add_roff(c->summary, out);
    td_str_add(out, ".\n");
    for (const char *text = c->text; text != NULL && *text != '\0';) {
        TD_CLEANUP(td_str_done) td_str paragraph = {0};
        size_t length = strcspn(text, "\n");
        td_str_append(&paragraph, text, length);
        td_str_add(out, ".PP\n");
        add_roff(td_str_text(&paragraph), out);
        td_str_add(out, "\n");
        text += length;
        text += strspn(text, "\n");
    }
    add_roff_options(c->options, out);
    if (c->examples != NULL) {
        td_str_add(out, ".PP\n.nf\n");
        add_roff(c->examples, out);
        td_str_add(out, "\n.fi\n");
    }
}

void td_cli_man(td_str *out)
{
    td_str_addf(out, ".\\\" Generated by `tidemark help --man`.\n.TH TIDEMARK 1 \"\" \"tidemark %s\" \"Tidemark\"\n",
                TD_VERSION);
    td_str_add(
        out,
        ".SH NAME\ntidemark \\- model registry and MLOps monitor for edge fleets\n"
        ".SH SYNOPSIS\n\\fBtidemark\\fR \\fINOUN\\fR \\fIVERB\\fR [\\fIARGUMENT\\fR...] [\\fB\\-\\-OPTION\\fR...]\n"
        ".SH COMMANDS\n");
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            add_roff_command(c, out);
        }
    }
    td_str_add(out, ".SH OPTIONS OF EVERY COMMAND\n");
    add_roff_options(td_cli_common_options, out);
    td_str_add(out,
               ".SH EXIT STATUS\n0 done, 2 wrong input, 3 not allowed, 4 not found, 5 conflict, 6 limit, 7 try later,\n"
               "8 fails its check, 9 disk or network, 10 memory, 70 bug.\n");
}

/* ---- completion ---- */

static bool noun_before(size_t list, const td_cli_command *command)
{
    for (size_t i = 0; i <= list; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL && c != command; c++) {
            if (strcmp(c->noun, command->noun) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void add_noun_case(const char *noun, td_str *out)
{
    bool any = false;
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            if (strcmp(c->noun, noun) == 0 && c->verb != NULL) {
                td_str_addf(out, "%s%s", any ? " " : "", c->verb);
                any = true;
            }
        }
    }
}

static void add_option_words(const td_cli_option *options, td_str *out)
{
    for (; options != NULL && options->name != NULL; options++) {
        td_str_addf(out, " --%s", options->name);
    }
}

static void add_bash_options(td_str *out)
{
    td_str_add(out, "  case \"$noun $verb\" in\n");
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            td_str_addf(out, "    \"%s %s\"%s) options=\"", c->noun, verb_of(c), c->verb == NULL ? "*" : "");
            add_option_words(c->options, out);
            td_str_add(out, "\" ;;\n");
        }
    }
    td_str_add(out, "  esac\n");
}

td_code td_cli_completion(const char *shell, td_str *out, td_err *err)
{
    bool zsh = strcmp(shell, "zsh") == 0;
    if (!zsh && strcmp(shell, "bash") != 0) {
        return td_fail(err, TD_INVALID, "there is completion for bash and zsh, not for \"%.20s\"", shell);
    }
    td_str_addf(out, "# Completion for tidemark: source <(tidemark completion %s)\n%s_tidemark() {\n", shell,
                zsh ? "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }\n"
                      "autoload -Uz +X bashcompinit && bashcompinit\n"
                    : "");
    td_str_add(out, "  local word=\"${COMP_WORDS[COMP_CWORD]}\" noun=\"${COMP_WORDS[1]}\" verb=\"${COMP_WORDS[2]}\" "
                    "verbs=\"\" options=\"\"\n"
                    "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            if (!noun_before(i, c)) {
                td_str_addf(out, "%s ", c->noun);
            }
        }
    }
    td_str_add(out, "\" -- \"$word\"))\n    return\n  fi\n  case \"$noun\" in\n");
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            if (!noun_before(i, c) && c->verb != NULL) {
                td_str_addf(out, "    %s) verbs=\"", c->noun);
                add_noun_case(c->noun, out);
                td_str_add(out, "\" ;;\n");
            }
        }
    }
    td_str_add(out, "  esac\n");
    add_bash_options(out);
    td_str_add(out, "  case \"$word\" in\n    -*) COMPREPLY=($(compgen -W \"$options");
    add_option_words(td_cli_common_options, out);
    td_str_add(out, "\" -- \"$word\")) ;;\n"
                    "    *) if [ \"$COMP_CWORD\" -eq 2 ] && [ -n \"$verbs\" ]; then\n"
                    "         COMPREPLY=($(compgen -W \"$verbs\" -- \"$word\"))\n"
                    "       else\n         COMPREPLY=($(compgen -f -- \"$word\"))\n       fi ;;\n"
                    "  esac\n}\ncomplete -o filenames -F _tidemark tidemark\n");
    return td_str_check(out, err);
}
