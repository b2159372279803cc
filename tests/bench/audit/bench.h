/*
 * bench.h: what the files of bench_audit share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_BENCH_AUDIT_BENCH_H
#define TESTS_BENCH_AUDIT_BENCH_H

#include "audit/log.h"
#include "audit/verify.h"

#define BENCH_PATH_MAX 96
#define BENCH_EARLY 49152 /* leaves of the export whose signatures are verified, at most */

typedef struct bench_log {
    char db_path[BENCH_PATH_MAX], raw_path[BENCH_PATH_MAX], signer_path[BENCH_PATH_MAX];
    char early_path[BENCH_PATH_MAX], export_path[BENCH_PATH_MAX]; /* of the beginning, and of everything */
    int64_t leaves;
    int callers;
    td_db *db;
    td_key *log_key, *submitter;
    td_log_signer *signer;
    td_audit_keys keys;
    td_str early_note; /* checkpoint of the early export */
} bench_log;

double bench_seconds(void);
/* One line of JSON for bench.py. Ratio 0: there is no reference. */
void bench_row(const char *name, double figure, const char *unit, const char *reference, double ratio,
               const char *note);

/* Appends the log's records through a td_writer, each caller answered after COMMIT; beside it raw SQLite. */
td_code bench_append(bench_log *log, td_err *err);
/* Leaves, tree, checkpoints, and both exports. */
td_code bench_sequence(bench_log *log, td_err *err);
td_code bench_proofs(bench_log *log, td_err *err);
td_code bench_verify(bench_log *log, td_err *err);

#endif
