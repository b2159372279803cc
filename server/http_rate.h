/*
 * http_rate.h: how many requests a second one address, or one token, may make.
 *
 * A bucket a caller, refilled with time, that holds TD_RATE_BURST_S seconds' worth. The table is small and fixed: when
 * it is full the one used longest ago is taken: that favours a stranger and never refuses one for another's
 * sake.
 * Threads: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_HTTP_RATE_H
#define TD_SERVER_HTTP_RATE_H

#include "core/base/err.h"

#define TD_RATE_BURST_S 2

typedef struct td_rate td_rate;

/* *out is NULL for no limit (per_s 0). */
TD_MUST_USE td_code td_rate_new(int64_t per_s, td_rate **out, td_err *err);
void td_rate_free(td_rate **rate); /* TD_CLEANUP */
/* May whoever has this key go on? If not, *wait_ms_out is when he may. now_ms: monotonic. NULL: yes. */
bool td_rate_take(td_rate *rate, const void *key, size_t size, int64_t now_ms, int64_t *wait_ms_out);

#endif
