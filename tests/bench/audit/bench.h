/*
 * bench.h: what the two files of bench_audit share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_BENCH_AUDIT_BENCH_H
#define TESTS_BENCH_AUDIT_BENCH_H

#include "audit/log.h"
#include "audit/verify.h"

double bench_seconds(void);
/* Durable records a second: `threads` callers of a td_writer, each answered after COMMIT. Leaves the records in path.
 */
td_code bench_append(const char *path, int threads, int each, double *rate_out, td_err *err);
/* The reference: raw SQLite, one thread, inserts of the same size in groups, synchronous=FULL. */
td_code bench_raw(const char *path, int rows, int group, double *rate_out, td_err *err);

#endif
