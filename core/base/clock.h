/*
 * clock.h: time as something that is passed in, so that tests and simulations drive it.
 *
 * Wall time is int64_t milliseconds since 1970-01-01T00:00:00Z; monotonic time is milliseconds of no particular origin.
 * Threads: the system clock may be read from any thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_CLOCK_H
#define TD_CORE_BASE_CLOCK_H

#include "core/base/err.h"

typedef struct td_clock {
    int64_t (*wall_ms)(const struct td_clock *clock);
    int64_t (*monotonic_ms)(const struct td_clock *clock);
    void *context;
} td_clock;

extern const td_clock td_clock_system;

static inline int64_t td_now_ms(const td_clock *clock)
{
    return clock->wall_ms(clock);
}

/* RFC 3339, UTC, milliseconds: "2026-03-01T10:00:00.000Z". */
void td_format_time(int64_t wall_ms, char out[32]);
/* RFC 3339 with "Z" or an offset, seconds or finer; also a bare date. INVALID. */
TD_MUST_USE td_code td_parse_time(const char *text, int64_t *wall_ms_out, td_err *err);
/* "90", "90s", "15m", "24h", "7d", "500ms" (a bare number is seconds). INVALID. */
TD_MUST_USE td_code td_parse_duration(const char *text, int64_t *ms_out, td_err *err);

#endif
