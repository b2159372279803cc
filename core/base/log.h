/*
 * log.h: what programs write about themselves: one line an event, text or JSON, to stderr.
 *
 * Libraries return errors; programs log them, once. A line has a time, a level, a component, a message and perhaps
 * fields; never a secret. What a thread writes while it works for a request carries that request's id
 * (td_log_request). Threads: any; a line is written with one write(2). SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_LOG_H
#define TD_CORE_BASE_LOG_H

#include "core/base/err.h"

#define TD_LOG_FIELDS_MAX 12

typedef enum td_log_level { TD_LOG_DEBUG, TD_LOG_INFO, TD_LOG_WARN, TD_LOG_ERROR } td_log_level;

/* A value beside the message: a text, or with text NULL a number. */
typedef struct td_log_field {
    const char *name;
    const char *text;
    int64_t number;
} td_log_field;

/* Set once at program start, before threads; the level may change later. */
void td_log_setup(td_log_level least, bool json);
/* Lines of this thread belong to that request from now on (field request_id); NULL: to none. `id` is borrowed. Returns
 * what was set before, to be set again. */
const char *td_log_request(const char *id);
#define td_log_debug(component, ...) td_log_write(TD_LOG_DEBUG, (component), __VA_ARGS__)
#define td_log_info(component, ...) td_log_write(TD_LOG_INFO, (component), __VA_ARGS__)
#define td_log_warn(component, ...) td_log_write(TD_LOG_WARN, (component), __VA_ARGS__)
#define td_log_error(component, ...) td_log_write(TD_LOG_ERROR, (component), __VA_ARGS__)
void td_log_write(td_log_level level, const char *component, const char *format, ...) TD_PRINTF(3, 4);
/* With fields, at most TD_LOG_FIELDS_MAX: `message name=value …`, or as members of the JSON object. */
void td_log_event(td_log_level level, const char *component, const char *message, const td_log_field *fields,
                  size_t count);
/* Logs err with its code and place. */
void td_log_err(td_log_level level, const char *component, const char *what, const td_err *err);

#endif
