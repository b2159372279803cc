/*
 * log.c: one line an event, written with one write(2), so lines of threads never mix.
 *
 * Control characters in a message (it may quote a client) come out as "?", so nobody forges a line.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/log.h"

#include "core/base/clock.h"
#include "core/base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static td_log_level least_level = TD_LOG_INFO;
static bool as_json = false;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void td_log_setup(td_log_level least, bool json)
{
    least_level = least;
    as_json = json;
}

static void write_json(td_log_level level, const char *component, const char *time, const char *text)
{
    TD_CLEANUP(td_json_done)
    json_t *line = json_pack("{s:s, s:s, s:s, s:s}", "time", time, "level", level_names[level], "component", component,
                             "message", text);
    char *out = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    if (out == NULL) {
        return;
    }
    TD_CLEANUP(td_str_done) td_str row = {0};
    td_str_addf(&row, "%s\n", out);
    ssize_t ignored = write(STDERR_FILENO, td_str_text(&row), row.size);
    (void)ignored;
    free(out);
}

void td_log_write(td_log_level level, const char *component, const char *format, ...)
{
    if (level < least_level) {
        return;
    }
    char time[32], text[512], row[640];
    td_format_time(td_now_ms(&td_clock_system), time);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F) {
            *c = '?';
        }
    }
    if (as_json) {
        write_json(level, component, time, text);
        return;
    }
    int length = snprintf(row, sizeof row, "%s %-5s %s: %s\n", time, level_names[level], component, text);
    if (length > 0) {
        size_t size = (size_t)length < sizeof row ? (size_t)length : sizeof row - 1;
        ssize_t ignored = write(STDERR_FILENO, row, size);
        (void)ignored;
    }
}

void td_log_err(td_log_level level, const char *component, const char *what, const td_err *err)
{
    td_log_write(level, component, "%s: %s [%s, %s]", what, err->text, td_code_lookup(err->code)->name,
                 err->where != NULL ? err->where : "?");
}
