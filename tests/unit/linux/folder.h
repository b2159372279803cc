/*
 * folder.h: a folder of its own for each test, removed afterwards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TESTS_UNIT_LINUX_FOLDER_H
#define TD_TESTS_UNIT_LINUX_FOLDER_H

#include "core/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline int folder_make(void **state)
{
    char *path = strdup("/tmp/tidemark-test-XXXXXX");
    *state = path != NULL ? mkdtemp(path) : NULL;
    return *state != NULL ? 0 : -1;
}

static inline int folder_remove(void **state)
{
    td_err err;
    td_code code = td_folder_remove(*state, &err);
    free(*state);
    return code == TD_OK ? 0 : -1;
}

#define folder_test(function) cmocka_unit_test_setup_teardown(function, folder_make, folder_remove)

#endif
