/*
 * str.c: growing text with a hard maximum and a sticky error.
 *
 * Room doubles; one byte is always kept for the NUL.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void td_str_done(td_str *str)
{
    if (str != NULL) {
        free(str->data);
        memset(str, 0, sizeof *str);
    }
}

void td_str_clear(td_str *str)
{
    str->size = 0;
    str->failed = TD_OK;
    if (str->data != NULL) {
        str->data[0] = '\0';
    }
}

static size_t limit_of(const td_str *str)
{
    return str->limit != 0 ? str->limit : TD_STR_LIMIT_DEFAULT;
}

static bool grow(td_str *str, size_t more)
{
    size_t limit = limit_of(str);
    if (str->failed != TD_OK) {
        return false;
    }
    if (more > limit || str->size > limit - more) {
        str->failed = TD_LIMIT;
        return false;
    }
    size_t need = str->size + more + 1;
    size_t room = str->room < 64 ? 64 : str->room;
    while (room < need) {
        room *= 2;
    }
    char *data = realloc(str->data, room);
    if (data == NULL) {
        str->failed = TD_NOMEM;
        return false;
    }
    str->data = data;
    str->room = room;
    return true;
}

/* Makes room for `more` bytes and the NUL; false (and sticky) if that is not to be had. Most often there is room. */
static inline bool reserve(td_str *str, size_t more)
{
    size_t room = str->room - str->size, limit = limit_of(str);
    return (str->failed == TD_OK && more < room && str->size + more <= limit) || grow(str, more);
}

void td_str_append(td_str *str, const void *data, size_t size)
{
    if (reserve(str, size)) {
        if (size > 0) {
            memcpy(str->data + str->size, data, size);
        }
        str->size += size;
        str->data[str->size] = '\0';
    }
}

void td_str_add(td_str *str, const char *text)
{
    td_str_append(str, text, strlen(text));
}

void td_str_add_char(td_str *str, char c)
{
    if (reserve(str, 1)) {
        str->data[str->size++] = c;
        str->data[str->size] = '\0';
    }
}

void td_str_addf(td_str *str, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        str->failed = str->failed != TD_OK ? str->failed : TD_INTERNAL;
    } else if (reserve(str, (size_t)length)) {
        vsnprintf(str->data + str->size, (size_t)length + 1, format, again);
        str->size += (size_t)length;
    }
    va_end(again);
}

const char *td_str_text(const td_str *str)
{
    return str->data != NULL ? str->data : "";
}

td_code td_str_check(const td_str *str, td_err *err)
{
    if (str->failed == TD_LIMIT) {
        return td_fail(err, TD_LIMIT, "a text grew past its limit of %zu bytes", limit_of(str));
    }
    if (str->failed != TD_OK) {
        return td_fail(err, str->failed, "no memory for a text of %zu bytes", str->size);
    }
    return TD_OK;
}

char *td_str_take(td_str *str)
{
    if (str->failed != TD_OK || !reserve(str, 0)) {
        return NULL;
    }
    str->data[str->size] = '\0';
    char *data = str->data;
    size_t limit = str->limit;
    memset(str, 0, sizeof *str);
    str->limit = limit;
    return data;
}

void td_free_text(char **text)
{
    free(*text);
    *text = NULL;
}

char *td_dup(const char *text)
{
    return strdup(text);
}
