/*
 * output.h: how commands print: tables and fields for people, JSON for programs, one colour language.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_OUTPUT_H
#define TD_CLI_OUTPUT_H

#include "cli/cli.h"

typedef enum td_cell {
    TD_CELL_TEXT,
    TD_CELL_TIME,   /* RFC 3339 → local "2026-03-01 10:00:05" */
    TD_CELL_DIGEST, /* "sha256:…" → first 12 digits */
    TD_CELL_BYTES,  /* number → "12.3 MiB" */
    TD_CELL_NUMBER, /* up to 4 decimals, to the right */
    TD_CELL_SHARE,  /* 0.971 → "97.1 %", to the right */
    TD_CELL_STATE,  /* coloured by meaning */
    TD_CELL_LIST,   /* array or object keys joined by ", " */
    TD_CELL_PAIRS,  /* object → "a=1, b=2" */
    TD_CELL_BRIEF,  /* as PAIRS, only the first three */
} td_cell;

/* A column of a table, or a line of fields. `key` may be a path "a.b". The list ends with a NULL key. */
typedef struct td_column_spec {
    const char *key;
    const char *title;
    td_cell cell;
} td_column_spec;

/* A table of an array of objects; `empty` is printed when there are no rows. */
void td_print_table(td_cli *cli, const td_column_spec *columns, const json_t *rows, const char *empty);
/* "title  value" lines of one object; keys that are missing or null are left out. */
void td_print_fields(td_cli *cli, const td_column_spec *columns, const json_t *object);
/* The whole tree, indented, keys sorted. */
void td_print_json(td_cli *cli, const json_t *json);
/* A line, or lines, parts of which may come from outside: only our own tints and line ends pass as controls. */
void td_print_line(td_cli *cli, const char *format, ...) TD_PRINTF(2, 3);
void td_print_text(td_cli *cli, const char *text); /* the same without a line end */
/* A heading: bold on a terminal. */
void td_print_title(td_cli *cli, const char *title);

typedef enum td_tint { TD_TINT_NONE, TD_TINT_GOOD, TD_TINT_BAD, TD_TINT_WARN, TD_TINT_FAINT, TD_TINT_STRONG } td_tint;
/* Escape sequence that switches to a tint (NONE: off), "" without colour. Static storage. */
const char *td_tint_code(const td_cli *cli, td_tint tint);
/* The tint that a state's name deserves: approved, online, finished … good; failed, firing … bad. */
td_tint td_state_tint(const char *state);

/* The value at a path "a.b" of an object, or NULL. */
const json_t *td_json_at(const json_t *object, const char *path);
/* A value as the cell type shows it, appended. */
void td_cell_add(td_str *out, const json_t *value, td_cell cell);
/* Outside text in one line of a cell: control characters become '?', so that nothing steers the terminal. */
void td_text_add(td_str *out, const char *text);
/* The array in an answer: the answer itself, or its member `key`. Never NULL (an empty static array). */
const json_t *td_json_list(const json_t *answer, const char *key);
/* Local time of an RFC 3339 text, "2026-03-01 10:00:05"; the text itself when it is not one. */
void td_format_local(const char *rfc3339, char out[32]);

#endif
