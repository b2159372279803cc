/*
 * traffic.c: counters in arrays that are as large as the table of routes, and an access log that cannot flood.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/traffic.h"

#include "core/base/log.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TABLES_MAX 64
#define SECOND_US 1000000

static const int statuses[] = {0,   200, 201, 202, 204, 206, 301, 302, 304, 308, 400, 401, 403, 404, 405, 408, 409,
                               411, 412, 413, 414, 415, 416, 421, 422, 428, 429, 431, 500, 501, 503, -1};
#define STATUS_COUNT TD_COUNT_OF(statuses)

const double td_traffic_bounds[TD_TRAFFIC_BUCKETS - 1] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                          0.025,  0.1,     0.5,    1,     5,      30};

typedef struct durations {
    atomic_uint_fast64_t counts[TD_TRAFFIC_BUCKETS], sum_us;
} durations;

struct td_traffic {
    const td_route *tables[TABLES_MAX];
    size_t base[TABLES_MAX], length[TABLES_MAX];
    size_t table_count, route_count;
    atomic_uint_fast64_t *counts; /* [route_count + 1][STATUS_COUNT] */
    durations durations[TD_TRAFFIC_LISTENERS];
    td_access_log log;
    uint64_t lines_max;
    atomic_int_fast64_t log_second; /* the second that is being counted */
    atomic_uint_fast64_t log_lines, log_omitted;
};

int64_t td_traffic_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

td_code td_traffic_new(const td_router *router, td_access_log log, int64_t lines_max, td_traffic **out, td_err *err)
{
    TD_CLEANUP(td_traffic_free) td_traffic *traffic = calloc(1, sizeof *traffic);
    if (!traffic) {
        return td_fail(err, TD_NOMEM, "no memory for the counters of requests");
    }
    traffic->log = log;
    traffic->lines_max = (uint64_t)lines_max;
    for (; router->tables[traffic->table_count]; traffic->table_count++) {
        size_t at = traffic->table_count;
        if (at == TABLES_MAX) {
            return td_fail(err, TD_INTERNAL, "more than %d tables of routes", TABLES_MAX);
        }
        traffic->tables[at] = router->tables[at];
        traffic->base[at] = traffic->route_count;
        while (router->tables[at][traffic->length[at]].method) {
            traffic->length[at]++;
        }
        traffic->route_count += traffic->length[at];
    }
    traffic->counts = calloc((traffic->route_count + 1) * STATUS_COUNT, sizeof *traffic->counts);
    if (!traffic->counts) {
        return td_fail(err, TD_NOMEM, "no memory for the counters of requests");
    }
    *out = traffic;
    traffic = NULL;
    return TD_OK;
}

void td_traffic_free(td_traffic **slot)
{
    if (*slot) {
        free((*slot)->counts);
        free(*slot);
        *slot = NULL;
    }
}

/* ---- counting ---- */

static size_t route_index(const td_traffic *traffic, const td_route *route)
{
    for (size_t i = 0; route && i < traffic->table_count; i++) {
        if (route >= traffic->tables[i] && route < traffic->tables[i] + traffic->length[i]) {
            return traffic->base[i] + (size_t)(route - traffic->tables[i]);
        }
    }
    return traffic->route_count;
}

static size_t status_index(int status)
{
    size_t i = 0;
    while (i < STATUS_COUNT - 1 && statuses[i] != status) {
        i++;
    }
    return i;
}

static void note_duration(td_traffic *traffic, unsigned listener, int64_t us)
{
    size_t which = listener == TD_LISTENER_API ? 0 : listener == TD_LISTENER_DEVICE ? 1 : 2;
    durations *all = &traffic->durations[which];
    size_t bucket = 0;
    while (bucket < TD_TRAFFIC_BUCKETS - 1 && (double)us > td_traffic_bounds[bucket] * SECOND_US) {
        bucket++;
    }
    atomic_fetch_add_explicit(&all->counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&all->sum_us, (uint64_t)us, memory_order_relaxed);
}

/* ---- access log ---- */

/* Within a second the first lines_max requests get a line. Two threads may both begin a second: a line more or less. */
static bool may_log(td_traffic *traffic)
{
    int64_t second = td_traffic_now_us() / SECOND_US;
    if (atomic_exchange(&traffic->log_second, second) != second) {
        atomic_store(&traffic->log_lines, 0);
        uint64_t omitted = atomic_exchange(&traffic->log_omitted, 0);
        if (omitted) {
            td_log_field count = {"omitted", NULL, (int64_t)omitted};
            td_log_event(TD_LOG_INFO, "access", "requests without a line (log.access_per_second)", &count, 1);
        }
    }
    if (atomic_fetch_add(&traffic->log_lines, 1) < traffic->lines_max) {
        return true;
    }
    atomic_fetch_add(&traffic->log_omitted, 1);
    return false;
}

/* The path without its query: a query may hold what is nobody's business. */
static void log_line(td_traffic *traffic, const td_request *request, const td_traffic_seen *seen)
{
    int status = request->answer.status;
    if (traffic->log == TD_ACCESS_LOG_OFF || (traffic->log == TD_ACCESS_LOG_ERRORS && status > 0 && status < 400) ||
        !may_log(traffic)) {
        return;
    }
    char path[201];
    size_t length = strcspn(seen->path ? seen->path : "", "?");
    snprintf(path, sizeof path, "%.*s", (int)(length < sizeof path ? length : sizeof path - 1),
             seen->path ? seen->path : "");
    const td_log_field fields[] = {
        {"method", request->route ? request->route->method : "-", 0},
        {"path", path, 0},
        {"status", NULL, status},
        {"duration_us", NULL, seen->duration_us},
        {"peer", seen->peer, 0},
        {"user", request->logged_in ? request->principal.name : "-", 0},
    };
    const char *before = td_log_request(request->id);
    td_log_event(TD_LOG_INFO, "access", status ? "request" : "request whose client left", fields,
                 TD_COUNT_OF(fields));
    (void)td_log_request(before);
}

void td_traffic_note(td_traffic *traffic, const td_request *request, const td_traffic_seen *seen)
{
    size_t at = route_index(traffic, request->route) * STATUS_COUNT + status_index(request->answer.status);
    atomic_fetch_add_explicit(&traffic->counts[at], 1, memory_order_relaxed);
    if (!seen->waited) {
        note_duration(traffic, seen->listener, seen->duration_us);
    }
    log_line(traffic, request, seen);
}

/* ---- reading ---- */

static const td_route *route_at(const td_traffic *traffic, size_t index)
{
    for (size_t i = 0; i < traffic->table_count; i++) {
        if (index >= traffic->base[i] && index < traffic->base[i] + traffic->length[i]) {
            return &traffic->tables[i][index - traffic->base[i]];
        }
    }
    return NULL;
}

void td_traffic_each(const td_traffic *traffic, td_traffic_visit visit, void *context)
{
    for (size_t route = 0; route <= traffic->route_count; route++) {
        for (size_t status = 0; status < STATUS_COUNT; status++) {
            uint64_t count = atomic_load(&traffic->counts[route * STATUS_COUNT + status]);
            if (count) {
                visit(context, route_at(traffic, route), statuses[status], count);
            }
        }
    }
}

void td_traffic_durations_read(const td_traffic *traffic, size_t index, td_traffic_durations *out)
{
    for (size_t i = 0; i < TD_TRAFFIC_BUCKETS; i++) {
        out->counts[i] = atomic_load(&traffic->durations[index].counts[i]);
    }
    out->sum_us = atomic_load(&traffic->durations[index].sum_us);
}
