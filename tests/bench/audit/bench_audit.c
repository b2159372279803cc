/*
 * bench_audit.c: the log: durable appends under group commit, sequencing, proofs, offline verification.
 *
 * Usage: bench_audit [--leaves COUNT] [--callers COUNT] [--keep]
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "tests/bench/audit/bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void bench_row(const char *name, double figure, const char *unit, const char *reference, double ratio,
               const char *note)
{
    printf("{\"bench\":\"%s\",\"figure\":%.0f,\"unit\":\"%s\",\"reference\":\"%s\",\"ratio\":%.3f,\"floor\":0,"
           "\"note\":\"%s\"}\n",
           name, figure, unit, reference, ratio, note);
    fflush(stdout);
}

static td_code run(const char *folder, bench_log *log, td_err *err)
{
    snprintf(log->db_path, sizeof log->db_path, "%s/db", folder);
    snprintf(log->raw_path, sizeof log->raw_path, "%s/raw", folder);
    snprintf(log->signer_path, sizeof log->signer_path, "%s/signer.json", folder);
    snprintf(log->early_path, sizeof log->early_path, "%s/early.tar", folder);
    snprintf(log->export_path, sizeof log->export_path, "%s/log.tar", folder);
    td_code code = td_crypto_setup(err);
    code = code == TD_OK ? bench_append(log, err) : code;
    code = code == TD_OK ? bench_sequence(log, err) : code;
    code = code == TD_OK ? bench_proofs(log, err) : code;
    code = code == TD_OK ? bench_verify(log, err) : code;
    td_log_signer_close(&log->signer);
    td_key_free(&log->log_key);
    td_key_free(&log->submitter);
    td_str_done(&log->early_note);
    td_db_close(log->db);
    return code;
}

static td_code read_options(int argc, char **argv, bench_log *log, bool *keep_out, td_err *err)
{
    static const struct option options[] = {
        {"leaves", required_argument, NULL, 'l'},
        {"callers", required_argument, NULL, 'c'},
        {"keep", no_argument, NULL, 'k'},
        {0},
    };
    int64_t callers = 64;
    log->leaves = 64000;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'l':
            TD_TRY(td_parse_int(optarg, "--leaves", 1000, 10000000, &log->leaves, err));
            break;
        case 'c':
            TD_TRY(td_parse_int(optarg, "--callers", 1, 512, &callers, err));
            break;
        case 'k':
            *keep_out = true;
            break;
        default:
            return td_fail(err, TD_INVALID, "usage: bench_audit [--leaves COUNT] [--callers COUNT] [--keep]");
        }
    }
    log->callers = (int)callers;
    return TD_OK;
}

int main(int argc, char **argv)
{
    td_err err = {.code = TD_OK};
    bool keep = false;
    bench_log log = {.db = NULL};
    char folder[] = "/tmp/td-bench-XXXXXX";
    td_code code = read_options(argc, argv, &log, &keep, &err);
    if (code == TD_OK && mkdtemp(folder) != NULL) {
        code = run(folder, &log, &err);
        if (keep) {
            fprintf(stderr, "kept: %s\n", folder);
        } else if (td_folder_remove(folder, NULL) != TD_OK) {
            fprintf(stderr, "%s was left behind\n", folder);
        }
    }
    if (code != TD_OK) {
        fprintf(stderr, "bench_audit: %s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
