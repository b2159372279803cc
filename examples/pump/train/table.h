/*
 * table.h: the CSV files of the pump example: eight feature columns, label, group.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_EXAMPLES_PUMP_TABLE_H
#define TD_EXAMPLES_PUMP_TABLE_H

#include "core/base/err.h"
#include "examples/pump/common/pump_sim.h"

#define PUMP_ROWS_MAX 2000000
#define PUMP_GROUPS_MAX 32

typedef struct pump_row {
    float features[PUMP_FEATURES];
    int label;
    int group; /* index into groups */
} pump_row;

typedef struct pump_table {
    pump_row *rows;
    size_t count, room;
    char groups[PUMP_GROUPS_MAX][64];
    int group_count;
} pump_table;

/* Appends a row; NOMEM, LIMIT. */
TD_MUST_USE td_code pump_table_add(pump_table *table, const pump_row *row, td_err *err);
/* The group's index, made if need be. LIMIT. */
TD_MUST_USE td_code pump_table_group(pump_table *table, const char *name, int *out, td_err *err);
/* Reads a CSV whose header names the features, `label` and `group` in any order (other columns are ignored). INVALID
 * names the file and line. */
TD_MUST_USE td_code pump_table_read(const char *path, pump_table *out, td_err *err);
void pump_table_done(pump_table *table); /* TD_CLEANUP */

#endif
