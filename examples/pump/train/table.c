/*
 * table.c: reading the example's CSV strictly: a ragged line or a word where a number belongs is an error with its
 * line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/train/table.h"

#include "core/base/fs.h"
#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)512 * 1024 * 1024)
#define COLUMNS_MAX 64
#define COLUMN_LABEL PUMP_FEATURES
#define COLUMN_GROUP (PUMP_FEATURES + 1)
#define COLUMN_NONE (-1)

void pump_table_done(pump_table *table)
{
    free(table->rows);
    *table = (pump_table){0};
}

td_code pump_table_add(pump_table *table, const pump_row *row, td_err *err)
{
    if (table->count == PUMP_ROWS_MAX) {
        return td_fail(err, TD_LIMIT, "more than %d rows", PUMP_ROWS_MAX);
    }
    if (table->count == table->room) {
        size_t room = table->room == 0 ? 1024 : table->room * 2;
        pump_row *rows = realloc(table->rows, room * sizeof *rows);
        if (rows == NULL) {
            return td_fail(err, TD_NOMEM, "no memory for %zu rows", room);
        }
        table->rows = rows;
        table->room = room;
    }
    table->rows[table->count++] = *row;
    return TD_OK;
}

td_code pump_table_group(pump_table *table, const char *name, int *out, td_err *err)
{
    for (int i = 0; i < table->group_count; i++) {
        if (strcmp(table->groups[i], name) == 0) {
            *out = i;
            return TD_OK;
        }
    }
    if (table->group_count == PUMP_GROUPS_MAX || strlen(name) >= sizeof table->groups[0]) {
        return td_fail(err, TD_LIMIT, "group \"%.40s\": at most %d groups, names of at most 63 bytes", name,
                       PUMP_GROUPS_MAX);
    }
    *out = table->group_count++;
    (void)snprintf(table->groups[*out], sizeof table->groups[0], "%s", name);
    return TD_OK;
}

/* Cuts a line at its commas, in place. */
static int split(char *line, char *cells[COLUMNS_MAX])
{
    int count = 0;
    for (char *cell = line; cell != NULL && count < COLUMNS_MAX; count++) {
        char *comma = strchr(cell, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        cells[count] = cell;
        cell = comma == NULL ? NULL : comma + 1;
    }
    return count;
}

static int role_of(const char *name)
{
    for (int i = 0; i < PUMP_FEATURES; i++) {
        if (strcmp(name, pump_feature_names[i]) == 0) {
            return i;
        }
    }
    return strcmp(name, "label") == 0 ? COLUMN_LABEL : strcmp(name, "group") == 0 ? COLUMN_GROUP : COLUMN_NONE;
}

static td_code read_header(char *line, int roles[COLUMNS_MAX], int *count_out, td_err *err)
{
    char *cells[COLUMNS_MAX];
    unsigned seen = 0;
    int count = split(line, cells);
    for (int i = 0; i < count; i++) {
        roles[i] = role_of(cells[i]);
        if (roles[i] != COLUMN_NONE) {
            seen |= 1U << roles[i];
        }
    }
    for (int role = 0; role <= COLUMN_GROUP; role++) {
        if ((seen & (1U << role)) == 0) {
            return td_fail(err, TD_INVALID, "line 1: there is no column \"%s\"",
                           role == COLUMN_LABEL   ? "label"
                           : role == COLUMN_GROUP ? "group"
                                                  : pump_feature_names[role]);
        }
    }
    *count_out = count;
    return TD_OK;
}

static td_code read_cell(pump_table *table, const char *cell, int role, pump_row *row, td_err *err)
{
    double value;
    if (role == COLUMN_GROUP) {
        return pump_table_group(table, cell, &row->group, err);
    }
    TD_TRY(td_parse_double(cell, role == COLUMN_LABEL ? "label" : pump_feature_names[role], &value, err));
    if (role == COLUMN_LABEL) {
        if (value != 0.0 && value != 1.0) {
            return td_fail(err, TD_INVALID, "label is \"%.20s\", not 0 or 1", cell);
        }
        row->label = (int)value;
    } else {
        row->features[role] = (float)value;
    }
    return TD_OK;
}

static td_code read_row(pump_table *table, char *line, const int *roles, int columns, td_err *err)
{
    char *cells[COLUMNS_MAX];
    pump_row row = {0};
    int count = split(line, cells);
    if (count != columns) {
        return td_fail(err, TD_INVALID, "%d cells where the header has %d", count, columns);
    }
    for (int i = 0; i < columns; i++) {
        if (roles[i] != COLUMN_NONE) {
            TD_TRY(read_cell(table, cells[i], roles[i], &row, err));
        }
    }
    return pump_table_add(table, &row, err);
}

static td_code read_lines(char *text, const char *path, pump_table *table, td_err *err)
{
    int roles[COLUMNS_MAX];
    int columns = 0, number = 0;
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
            if (end > line && end[-1] == '\r') {
                end[-1] = '\0';
            }
        }
        number++;
        td_code code =
            number == 1 ? read_header(line, roles, &columns, err) : read_row(table, line, roles, columns, err);
        if (code != TD_OK) {
            return number == 1 ? td_wrap(err, "%s", path) : td_wrap(err, "%s:%d", path, number);
        }
        line = end == NULL ? NULL : end + 1;
    }
    return table->count > 0 ? TD_OK : td_fail(err, TD_INVALID, "%s: no rows", path);
}

td_code pump_table_read(const char *path, pump_table *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {.limit = FILE_MAX};
    TD_CLEANUP(pump_table_done) pump_table table = {0};
    TD_TRY(td_file_read(path, FILE_MAX, &text, err));
    if (text.size == 0 || memchr(text.data, 0, text.size) != NULL) {
        return td_fail(err, TD_INVALID, "%s: not a CSV file", path);
    }
    TD_TRY(read_lines(text.data, path, &table, err));
    *out = table;
    table = (pump_table){0};
    return TD_OK;
}
