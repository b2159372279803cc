/*
 * log.h: what programs write about themselves: one line an event, text or JSON, to stderr.
 *
 * Libraries return errors; programs log them, once. A line has a time, a level, a component and a message; never a
 * secret. Threads: any; a line is written with one write(2). SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_LOG_H
#define TD_CORE_BASE_LOG_H

#include "core/base/err.h"

typedef enum td_log_level { TD_LOG_DEBUG, TD_LOG_INFO, TD_LOG_WARN, TD_LOG_ERROR } td_log_level;

/* Set once at program start, before threads. */
void td_log_setup(td_log_level least, bool json);
#define td_log_debug(component, ...) td_log_write(TD_LOG_DEBUG, (component), __VA_ARGS__)
#define td_log_info(component, ...) td_log_write(TD_LOG_INFO, (component), __VA_ARGS__)
#define td_log_warn(component, ...) td_log_write(TD_LOG_WARN, (component), __VA_ARGS__)
#define td_log_error(component, ...) td_log_write(TD_LOG_ERROR, (component), __VA_ARGS__)
void td_log_write(td_log_level level, const char *component, const char *format, ...) TD_PRINTF(3, 4);
/* Logs err with its code and place. */
void td_log_err(td_log_level level, const char *component, const char *what, const td_err *err);

#endif
