/*
 * test_footprint.c: docs/footprint.md says how large the public structs are; this compares.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/edge/edge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t documented(const char *name)
{
    char path[4096], line[512], row[80];
    size_t size = 0;
    const char *root = getenv("TD_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/docs/footprint.md", root != NULL ? root : ".");
    snprintf(row, sizeof row, "| `%s` | ", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, row, strlen(row)) == 0) {
            size = (size_t)strtoul(line + strlen(row), NULL, 10);
        }
    }
    fclose(file);
    return size;
}

static void footprint__structs_are_as_documented(void **state)
{
    (void)state;
    if (sizeof(void *) != 8) {
        skip(); /* the page gives the sizes of 64-bit machines */
    }
    assert_int_equal(sizeof(tde_core), documented("tde_core"));
    assert_int_equal(sizeof(tde_config), documented("tde_config"));
    assert_int_equal(sizeof(tde_memory), documented("tde_memory"));
    assert_int_equal(sizeof(tde_ports), documented("tde_ports"));
    assert_int_equal(sizeof(tde_slot_view), documented("tde_slot_view"));
    assert_int_equal(sizeof(tde_status), documented("tde_status"));
    assert_int_equal(sizeof(tde_outbox_status), documented("tde_outbox_status"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(footprint__structs_are_as_documented)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
