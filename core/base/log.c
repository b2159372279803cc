/*
 * log.c: one line an event, written with one write(2), so lines of threads never mix.
 *
 * Control characters in a message (it may quote a client) come out as "?", so nobody forges a line; a field's value
 * that could be taken for more than one is quoted.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/log.h"

#include "core/base/clock.h"
#include "core/base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)4096)

static td_log_level least_level = TD_LOG_INFO;
static bool as_json = false;
static const char *const level_names[] = {"debug", "info", "warn", "error"};
static _Thread_local const char *request_id = NULL;

void td_log_setup(td_log_level least, bool json)
{
    least_level = least;
    as_json = json;
}

const char *td_log_request(const char *id)
{
    const char *before = request_id;
    request_id = id;
    return before;
}

typedef struct event {
    td_log_level level;
    const char *component, *message;
    const td_log_field *fields;
    size_t count;
    char time[32];
} event;

/* ---- JSON ---- */

static void set_text(json_t *line, const char *name, const char *text)
{
    json_t *value = json_string(text);
    (void)json_object_set_new(line, name, value != NULL ? value : json_string("(not UTF-8)"));
}

static void write_json(const event *what, td_str *out)
{
    TD_CLEANUP(td_json_done) json_t *line = json_object();
    if (line == NULL) {
        return;
    }
    set_text(line, "time", what->time);
    set_text(line, "level", level_names[what->level]);
    set_text(line, "component", what->component);
    set_text(line, "message", what->message);
    for (size_t i = 0; i < what->count; i++) {
        const td_log_field *field = &what->fields[i];
        if (field->text != NULL) {
            set_text(line, field->name, field->text);
        } else {
            (void)json_object_set_new(line, field->name, json_integer(field->number));
        }
    }
    if (request_id != NULL) {
        set_text(line, "request_id", request_id);
    }
    char *text = json_dumps(line, JSON_COMPACT);
    if (text != NULL) {
        td_str_addf(out, "%s\n", text);
        free(text);
    }
}

/* ---- text ---- */

static bool is_plain(const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if ((unsigned char)*c <= 0x20 || *c == '"' || *c == '=' || *c == '\\' || *c == 0x7F) {
            return false;
        }
    }
    return *value != '\0';
}

static void add_value(td_str *out, const char *value)
{
    if (is_plain(value)) {
        td_str_add(out, value);
        return;
    }
    td_str_add_char(out, '"');
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\') {
            td_str_add_char(out, '\\');
        }
        td_str_add_char(out, *value);
    }
    td_str_add_char(out, '"');
}

static void write_text(const event *what, td_str *out)
{
    td_str_addf(out, "%s %-5s %s: %s", what->time, level_names[what->level], what->component, what->message);
    for (size_t i = 0; i < what->count; i++) {
        const td_log_field *field = &what->fields[i];
        td_str_addf(out, " %s=", field->name);
        if (field->text != NULL) {
            add_value(out, field->text);
        } else {
            td_str_addf(out, "%lld", (long long)field->number);
        }
    }
    if (request_id != NULL) {
        td_str_addf(out, " request_id=%s", request_id);
    }
    for (size_t i = 0; i < out->size; i++) {
        if ((unsigned char)out->data[i] < 0x20 || out->data[i] == 0x7F) {
            out->data[i] = '?';
        }
    }
    td_str_add_char(out, '\n');
}

void td_log_event(td_log_level level, const char *component, const char *message, const td_log_field *fields,
                  size_t count)
{
    if (level < least_level) {
        return;
    }
    event what = {level, component, message, fields, count < TD_LOG_FIELDS_MAX ? count : TD_LOG_FIELDS_MAX, ""};
    td_format_time(td_now_ms(&td_clock_system), what.time);
    TD_CLEANUP(td_str_done) td_str line = {.limit = LINE_MAX_BYTES};
    if (as_json) {
        write_json(&what, &line);
    } else {
        write_text(&what, &line);
    }
    if (td_str_check(&line, NULL) == TD_OK && line.size > 0) {
        ssize_t ignored = write(STDERR_FILENO, line.data, line.size);
        (void)ignored;
    }
}

void td_log_write(td_log_level level, const char *component, const char *format, ...)
{
    if (level < least_level) {
        return;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F) {
            *c = '?';
        }
    }
    td_log_event(level, component, text, NULL, 0);
}

void td_log_err(td_log_level level, const char *component, const char *what, const td_err *err)
{
    td_log_write(level, component, "%s: %s [%s, %s]", what, err->text, td_code_lookup(err->code)->name,
                 err->where != NULL ? err->where : "?");
}
