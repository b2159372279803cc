/*
 * metrics.h: what /metrics says: the records' numbers (metrics_store.c), the process's and the queues' (metrics.c).
 *
 * Every label has a bounded set of values: states, routes, and the TD_METRICS_ROLLOUTS_MAX newest rollouts that run.
 * Threads: any, with a reading connection of its own.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_METRICS_H
#define TD_SERVER_METRICS_H

#include "core/db/db.h"
#include "server/http.h"

#define TD_METRICS_ROLLOUTS_MAX 50
#define TD_METRICS_TOTALS_MS 60000 /* how old totals over all versions may be */
#define TD_METRICS_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* May this call read /metrics without a token? Only with metrics.public, from this machine, and not through a proxy. */
bool td_metrics_open(const td_call *call);

/* Families out of the records: devices, rollouts, alerts, runs, the log. Whole server. */
TD_MUST_USE td_code td_metrics_records(td_db *db, td_str *out, td_err *err);
/* Families that cost a walk over all versions and files: content, versions. */
TD_MUST_USE td_code td_metrics_totals(td_db *db, td_str *out, td_err *err);
/* Families about the process and the workspace's files. */
void td_metrics_process(const char *workspace, td_str *out);

#endif
