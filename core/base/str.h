/*
 * str.h: text that grows up to a hard maximum, with a sticky error, so that a chain of appends is checked once.
 *
 * A zeroed td_str is empty and valid (limit TD_STR_LIMIT_DEFAULT). After an append failed (no memory, limit) all
 * further appends do nothing; td_str_check() tells. Threads: a td_str belongs to one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_STR_H
#define TD_CORE_BASE_STR_H

#include "core/base/err.h"

#define TD_STR_LIMIT_DEFAULT ((size_t)64 * 1024 * 1024)

typedef struct td_str {
    char *data;     /* NUL-terminated once anything was appended; NULL before */
    size_t size;    /* bytes, without the NUL */
    size_t room;    /* allocated */
    size_t limit;   /* 0: TD_STR_LIMIT_DEFAULT */
    td_code failed; /* sticky */
} td_str;

void td_str_done(td_str *str);  /* frees and zeroes; also the TD_CLEANUP function */
void td_str_clear(td_str *str); /* empties, keeps memory, clears the sticky error */
void td_str_append(td_str *str, const void *data, size_t size);
void td_str_add(td_str *str, const char *text);
void td_str_addf(td_str *str, const char *format, ...) TD_PRINTF(2, 3);
void td_str_add_char(td_str *str, char c);
/* Never NULL: "" when empty. Borrowed until the next append. */
const char *td_str_text(const td_str *str);
/* OK, or the sticky error (NOMEM, LIMIT) raised into err. */
TD_MUST_USE td_code td_str_check(const td_str *str, td_err *err);
/* Hands the memory (malloc'd, NUL-terminated) to the caller and empties str. NULL if it failed. */
char *td_str_take(td_str *str);

/* Lower-case hexadecimal; out has 2 * size + 1 bytes. */
void td_hex_encode(const void *data, size_t size, char *out);
/* Exactly 2 * size hexadecimal characters (either case) into out. INVALID. */
TD_MUST_USE td_code td_hex_decode(const char *text, size_t length, void *out, size_t size, td_err *err);
/* Standard base64 with padding, appended to str (RFC 4648 §4). */
void td_base64_add(td_str *str, const void *data, size_t size);
/* Strict: padding demanded, no white space, no stray bits. Decodes to at most out_room bytes. INVALID, LIMIT. */
TD_MUST_USE td_code td_base64_decode(const char *text, size_t length, void *out, size_t out_room, size_t *size_out,
                                     td_err *err);

/* A number in full and nothing else: "12" not "12x", " 12" or "". INVALID, with `what` named in the message. */
TD_MUST_USE td_code td_parse_int(const char *text, const char *what, int64_t minimum, int64_t maximum, int64_t *out,
                                 td_err *err);
TD_MUST_USE td_code td_parse_double(const char *text, const char *what, double *out, td_err *err); /* finite only */
/* The name in `names` (NULL-terminated) nearest to `text`, or NULL if none is near: for "did you mean …?". */
const char *td_nearest(const char *text, const char *const *names);
/* A size for people: "12.3 MiB". */
void td_format_bytes(uint64_t bytes, char out[24]);
/* free() for TD_CLEANUP on char pointers. */
void td_free_text(char **text);
/* A copy by malloc; NULL only when memory is out. */
char *td_dup(const char *text);

#endif
