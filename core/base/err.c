/*
 * err.c: the table of codes, and how an error's text is put together.
 *
 * Texts that are too long are cut at a UTF-8 boundary; nothing here allocates or fails.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const td_code_info code_table[TD_CODE_COUNT] = {
    [TD_OK] = {"ok", 200, 0, false},
    [TD_INVALID] = {"invalid", 400, 2, false},
    [TD_DENIED] = {"denied", 403, 3, false},
    [TD_NOT_FOUND] = {"not_found", 404, 4, false},
    [TD_CONFLICT] = {"conflict", 409, 5, false},
    [TD_LIMIT] = {"limit", 413, 6, false},
    [TD_BUSY] = {"busy", 503, 7, true},
    [TD_CORRUPT] = {"corrupt", 422, 8, false},
    [TD_IO] = {"io", 500, 9, true},
    [TD_NOMEM] = {"nomem", 503, 10, true},
    [TD_INTERNAL] = {"internal", 500, 70, false},
};

const td_code_info *td_code_lookup(td_code code)
{
    assert(code >= TD_OK && code < TD_CODE_COUNT);
    return &code_table[code];
}

/* Drops a UTF-8 sequence that the end of the buffer cut in two. */
static void trim_utf8(char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) {
        start--;
    }
    if (start == 0 || ((unsigned char)text[start - 1] & 0x80) == 0) {
        return;
    }
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (length - (start - 1) < need) {
        text[start - 1] = '\0';
    }
}

static void format_text(char *text, size_t size, const char *format, va_list args) TD_PRINTF(3, 0);
static void format_text(char *text, size_t size, const char *format, va_list args)
{
    int length = vsnprintf(text, size, format, args);
    if (length < 0) {
        text[0] = '\0';
    } else if ((size_t)length >= size) {
        trim_utf8(text, size - 1);
    }
}

td_code td_fail_at(td_err *err, td_code code, const char *where, const char *format, ...)
{
    assert(code != TD_OK);
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        char text[sizeof err->text]; /* the arguments may point into err itself */
        format_text(text, sizeof text, format, args);
        va_end(args);
        err->code = code;
        err->where = where;
        memcpy(err->text, text, sizeof text);
    }
    return code;
}

static td_code code_of_errno(int error_number)
{
    switch (error_number) {
    case ENOENT:
        return TD_NOT_FOUND;
    case EACCES:
    case EPERM:
        return TD_DENIED;
    case ENOSPC:
    case EDQUOT:
        return TD_LIMIT;
    case ENOMEM:
        return TD_NOMEM;
    default:
        return TD_IO;
    }
}

td_code td_fail_errno_at(td_err *err, int error_number, const char *where, const char *format, ...)
{
    char text[sizeof err->text];
    char reason[96];
    va_list args;
    va_start(args, format);
    format_text(text, sizeof text, format, args);
    va_end(args);
    const char *known = strerror_r(error_number, reason, sizeof reason);
    return td_fail_at(err, code_of_errno(error_number), where, "%s: %s", text, known);
}

td_code td_wrap(td_err *err, const char *format, ...)
{
    assert(err != NULL && err->code != TD_OK);
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    format_text(text, sizeof text, format, args);
    va_end(args);
    const char *where = err->where;
    return td_fail_at(err, err->code, where, "%s: %s", text, err->text);
}
