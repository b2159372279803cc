/*
 * cars.h: four cars with tags, metrics and owners, and the table of what may be asked of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TESTS_UNIT_DB_CARS_H
#define TD_TESTS_UNIT_DB_CARS_H

#include "core/db/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern td_db *cars_db;
extern const td_filter_table cars_table;

int cars_setup(void **state);
int cars_teardown(void **state);

/* Runs one page and writes "a b c"; next (may be NULL) gets the cursor, "" without one. */
void list_names(const td_page *page, char *out, size_t room, char *next);

#endif
