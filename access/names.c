/*
 * names.c: the grammar of users' and projects' names: short, lower case, safe in a URL, a file name and a log line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"

#include <string.h>

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

td_code td_user_name_check(const char *name, td_err *err)
{
    size_t length = name == NULL ? 0 : strnlen(name, TD_USER_NAME_MAX + 1);
    bool good = length >= 1 && length <= TD_USER_NAME_MAX && is_lower(name[0]);
    for (size_t i = 1; good && i < length; i++) {
        good = is_lower(name[i]) || is_digit(name[i]) || strchr("._-", name[i]) != NULL;
    }
    if (!good) {
        return td_fail(err, TD_INVALID,
                       "\"%.80s\" cannot be a user's name: a lower-case letter, then up to 63 of a-z 0-9 . _ -",
                       name == NULL ? "" : name);
    }
    return TD_OK;
}

td_code td_project_name_check(const char *name, td_err *err)
{
    size_t length = name == NULL ? 0 : strnlen(name, TD_PROJECT_NAME_MAX + 1);
    bool good = length >= 1 && length <= TD_PROJECT_NAME_MAX && name[0] != '-';
    for (size_t i = 0; good && i < length; i++) {
        good = is_lower(name[i]) || is_digit(name[i]) || name[i] == '-';
    }
    if (!good) {
        return td_fail(err, TD_INVALID,
                       "\"%.80s\" cannot be a project's name: a lower-case letter or digit, then up to 63 of a-z 0-9 -",
                       name == NULL ? "" : name);
    }
    return TD_OK;
}
