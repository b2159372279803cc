/*
 * err.h: one error rule for the whole of Tidemark's host code.
 *
 * A call that can fail returns a td_code that must be looked at; the facts travel in a td_err that the caller owns (on
 * his stack, no allocation, never thread-local), so an error can cross a queue. On failure outputs are untouched.
 *
 * Messages are for people: they name the thing, what was expected and found, and how to go on. They never hold a
 * secret. Threads: no shared state. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_ERR_H
#define TD_CORE_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TD_MUST_USE __attribute__((warn_unused_result))
#define TD_PRINTF(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))
/* Frees a local that owns something when it leaves its scope: `TD_CLEANUP(td_str_done) td_str text = {0};`
 * The function takes a pointer to the variable. */
#define TD_CLEANUP(function) __attribute__((cleanup(function)))

typedef enum td_code {
    TD_OK = 0,
    TD_INVALID,   /* the caller's input is wrong                    HTTP 400, exit 2 */
    TD_DENIED,    /* not allowed, or not authenticated              HTTP 403, exit 3 */
    TD_NOT_FOUND, /* no such thing                                  HTTP 404, exit 4 */
    TD_CONFLICT,  /* the state does not admit it, or it exists      HTTP 409, exit 5 */
    TD_LIMIT,     /* a documented limit was hit                     HTTP 413, exit 6 */
    TD_BUSY,      /* try again later                                HTTP 503, exit 7 */
    TD_CORRUPT,   /* data fails its check: digest, signature, form  HTTP 422, exit 8 */
    TD_IO,        /* disk, network or system call                   HTTP 500, exit 9 */
    TD_NOMEM,     /*                                                HTTP 503, exit 10 */
    TD_INTERNAL,  /* our bug                                        HTTP 500, exit 70 */
    TD_CODE_COUNT
} td_code;

typedef struct td_err {
    td_code code;
    const char *where; /* file:line of the raise, static storage; for logs, not for people */
    char text[240];    /* UTF-8, NUL-terminated */
} td_err;

/* What a code means to each outside. Static storage. */
typedef struct td_code_info {
    const char *name; /* stable, lower case: "not_found" */
    int http_status;
    int exit_code;
    bool retry; /* the same request may succeed later */
} td_code_info;

const td_code_info *td_code_lookup(td_code code);

/* Raises: fills err (if not NULL) and returns code. Use at the lowest place that knows the facts. */
#define td_fail(err, code, ...) td_fail_at((err), (code), TD_WHERE, __VA_ARGS__)
td_code td_fail_at(td_err *err, td_code code, const char *where, const char *format, ...) TD_PRINTF(4, 5);

/* As td_fail with TD_IO (or NOT_FOUND for ENOENT, DENIED for EACCES and EPERM, LIMIT for ENOSPC and EDQUOT, NOMEM for
 * ENOMEM) and strerror(error_number) appended: "content/ab/…: No space left on device". */
#define td_fail_errno(err, error_number, ...) td_fail_errno_at((err), (error_number), TD_WHERE, __VA_ARGS__)
td_code td_fail_errno_at(td_err *err, int error_number, const char *where, const char *format, ...) TD_PRINTF(4, 5);

/* Prepends "context: " to err->text and returns err->code, so: `return td_wrap(err, "reading %s", path);` */
td_code td_wrap(td_err *err, const char *format, ...) TD_PRINTF(2, 3);

#define TD_STRINGIZE_(x) #x
#define TD_STRINGIZE(x) TD_STRINGIZE_(x)
#define TD_WHERE __FILE__ ":" TD_STRINGIZE(__LINE__)

/* Returns from the enclosing function if expr is not TD_OK. The only macro that hides control flow. */
#define TD_TRY(expr)                                                                                                   \
    do {                                                                                                               \
        td_code td_try_code_ = (expr);                                                                                 \
        if (td_try_code_ != TD_OK) {                                                                                   \
            return td_try_code_;                                                                                       \
        }                                                                                                              \
    } while (0)

#define TD_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
