/*
 * traffic.h: what becomes of each finished request: a count by route and status, its duration, a line in the access
 * log.
 *
 * Routes and statuses are closed sets, so that no client can make a series of his own: what matches no route is counted
 * as one. Requests that waited for something to happen (long polls) have no duration worth a bucket.
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_TRAFFIC_H
#define TD_SERVER_TRAFFIC_H

#include "server/router.h"

#define TD_TRAFFIC_BUCKETS 14 /* bounds of durations; the last one has none */
#define TD_TRAFFIC_LISTENERS 3

typedef struct td_traffic td_traffic;

typedef enum td_access_log { TD_ACCESS_LOG_OFF, TD_ACCESS_LOG_ERRORS, TD_ACCESS_LOG_ALL } td_access_log;

/* `lines_max`: lines of the access log in a second; what is left out is counted in one line. */
TD_MUST_USE td_code td_traffic_new(const td_router *router, td_access_log log, int64_t lines_max, td_traffic **out,
                                   td_err *err);
void td_traffic_free(td_traffic **traffic); /* TD_CLEANUP */

/* Of no particular origin: only differences mean something. */
int64_t td_traffic_now_us(void);

typedef struct td_traffic_seen {
    unsigned listener; /* TD_LISTENER_… */
    const char *path;  /* as asked, without the query; quoted in the log */
    const char *peer;  /* address, or "uid-1000" */
    int64_t duration_us;
    bool waited;
} td_traffic_seen;

/* One request is over; with status 0 its client left before the answer. */
void td_traffic_note(td_traffic *traffic, const td_request *request, const td_traffic_seen *seen);

/* ---- for /metrics ---- */

typedef void (*td_traffic_visit)(void *context, const td_route *route, int status, uint64_t count);
/* Each route (NULL: none matched) and status that was seen. */
void td_traffic_each(const td_traffic *traffic, td_traffic_visit visit, void *context);

typedef struct td_traffic_durations {
    uint64_t counts[TD_TRAFFIC_BUCKETS]; /* in each bucket, not cumulative */
    uint64_t sum_us;
} td_traffic_durations;
/* Upper bounds in seconds, TD_TRAFFIC_BUCKETS - 1 of them. */
extern const double td_traffic_bounds[];
/* index: 0 API, 1 devices, 2 admin socket. */
void td_traffic_durations_read(const td_traffic *traffic, size_t index, td_traffic_durations *out);

#endif
