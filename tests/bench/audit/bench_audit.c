/*
 * bench_audit.c: the log: durable appends under group commit, sequencing, proofs, offline verification.
 *
 * Usage: bench_audit [callers [records a caller]]
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "tests/bench/audit/bench.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct bench_log {
    char db_path[96], signer_path[96], export_path[96];
    td_db *db;
    td_key *log_key, *submitter;
    td_log_signer *signer;
    td_audit_keys keys;
    int64_t records;
} bench_log;

static void row(const char *name, double figure, const char *unit, const char *reference, double ratio, double floor,
                const char *note)
{
    printf("{\"bench\":\"%s\",\"figure\":%.0f,\"unit\":\"%s\",\"reference\":\"%s\",\"ratio\":%.3f,\"floor\":%g,"
           "\"note\":\"%s\"}\n",
           name, figure, unit, reference, ratio, floor, note);
    fflush(stdout);
}

static td_code append_rows(const char *folder, bench_log *log, int callers, int each, td_err *err)
{
    char raw_path[96];
    char reference[64];
    char note[96];
    double rate = 0;
    double raw = 0;
    snprintf(raw_path, sizeof raw_path, "%s/raw", folder);
    TD_TRY(bench_append(log->db_path, callers, each, &rate, err));
    TD_TRY(bench_raw(raw_path, callers * each, callers, &raw, err));
    snprintf(reference, sizeof reference, "raw SQLite: %.0f", raw);
    snprintf(note, sizeof note, "durable, %d callers, bar 10000/s; raw: rows in groups of %d", callers, callers);
    row("audit append", rate, "records/s", reference, rate / raw, 0, note);
    return TD_OK;
}

static td_code open_log(bench_log *log, td_err *err)
{
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    TD_TRY(td_db_open(log->db_path, TD_DB_WRITE, &td_clock_system, &log->db, err));
    TD_TRY(td_key_generate(TD_KEY_ED25519, &log->log_key, err));
    TD_TRY(td_key_generate(TD_KEY_ED25519, &log->submitter, err));
    (void)td_key_public(log->log_key, public_key);
    memcpy(log->keys.log, public_key, sizeof log->keys.log);
    (void)td_key_public(log->submitter, public_key);
    memcpy(log->keys.submitter, public_key, sizeof log->keys.submitter);
    TD_TRY(td_audit_count(log->db, &log->records, err));
    return td_log_signer_open(log->log_key, log->signer_path, true, &log->signer, err);
}

static td_code sequence_rows(bench_log *log, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_CLEANUP(td_str_done) td_str note = {0};
    bool fresh = false;
    double start = bench_seconds();
    TD_TRY(td_txn_begin(log->db, &txn, err));
    TD_TRY(td_log_sequence(log->db, log->submitter, NULL, err));
    TD_TRY(td_txn_commit(&txn, err));
    row("audit sequencing", (double)log->records / (bench_seconds() - start), "leaves/s", "", 0, 0,
        "Ed25519 leaf, tree, one transaction");
    TD_TRY(td_log_checkpoint_make(log->db, log->signer, &note, &fresh, err));
    TD_TRY(td_txn_begin(log->db, &txn, err));
    TD_TRY(td_log_checkpoint_store(log->db, td_str_text(&note), err));
    return td_txn_commit(&txn, err);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static td_code proof_rows(bench_log *log, td_err *err)
{
    enum { PROOFS = 2000 };
    static double taken[PROOFS];
    for (int i = 0; i < PROOFS; i++) {
        TD_CLEANUP(td_str_done) td_str proof = {0};
        double start = bench_seconds();
        TD_TRY(td_log_proof_text(log->db, (int64_t)i * 7919 % log->records, &proof, err));
        taken[i] = bench_seconds() - start;
    }
    qsort(taken, PROOFS, sizeof *taken, compare);
    row("audit proof p99", 1e6 * taken[PROOFS * 99 / 100], "us", "", 0, 0, "tlog-proof text, bar 5000 us");
    return TD_OK;
}

/* MiB that this process has had at most since it was last asked; 0: the kernel does not tell. */
static double peak_mib(void)
{
    char line[128];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    FILE *reset = fopen("/proc/self/clear_refs", "we");
    if (reset != NULL) {
        (void)fputs("5", reset);
        (void)fclose(reset);
    }
    return (double)kib / 1024;
}

static td_code to_file(void *context, const void *data, size_t size, td_err *err)
{
    return td_write_all(*(int *)context, data, size, err);
}

static td_code verify_rows(bench_log *log, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(log->export_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    td_audit_verdict verdict;
    if (fd < 0) {
        return td_fail(err, TD_IO, "cannot make %s", log->export_path);
    }
    double start = bench_seconds();
    TD_TRY(td_audit_export(log->db, &log->keys, to_file, &fd, err));
    row("audit export", (double)log->records / (bench_seconds() - start), "records/s", "", 0, 0, "to a tar");
    TD_TRY(td_log_vkey(log->keys.log, &vkey, err));
    td_audit_verify_options options = {.vkey = td_str_text(&vkey)};
    (void)malloc_trim(0);
    (void)peak_mib();
    double before = peak_mib();
    start = bench_seconds();
    TD_TRY(td_audit_verify_export(log->export_path, &options, &verdict, err));
    double seconds = bench_seconds() - start, after = peak_mib();
    row("audit verify", (double)verdict.records / seconds, "records/s", "", 0, 0,
        "offline: bodies, leaves, tree, rules");
    row("audit verify, memory", after - before, "MiB", "", 0, 0, "peak beyond what the bench held before");
    return TD_OK;
}

static td_code run(const char *folder, int callers, int each, td_err *err)
{
    bench_log log = {.db = NULL};
    snprintf(log.db_path, sizeof log.db_path, "%s/db", folder);
    snprintf(log.signer_path, sizeof log.signer_path, "%s/signer.json", folder);
    snprintf(log.export_path, sizeof log.export_path, "%s/log.tar", folder);
    td_code code = append_rows(folder, &log, callers, each, err);
    code = code == TD_OK ? open_log(&log, err) : code;
    code = code == TD_OK ? sequence_rows(&log, err) : code;
    code = code == TD_OK ? proof_rows(&log, err) : code;
    code = code == TD_OK ? verify_rows(&log, err) : code;
    td_log_signer_close(&log.signer);
    td_key_free(&log.log_key);
    td_key_free(&log.submitter);
    td_db_close(log.db);
    return code;
}

int main(int argc, char **argv)
{
    td_err err = {.code = TD_OK};
    int64_t callers = 64;
    int64_t each = 1000;
    char folder[] = "/tmp/td-bench-XXXXXX";
    td_code code = argc > 1 ? td_parse_int(argv[1], "callers", 1, 512, &callers, &err) : TD_OK;
    code = code == TD_OK && argc > 2 ? td_parse_int(argv[2], "records", 1, 1000000, &each, &err) : code;
    if (code == TD_OK && mkdtemp(folder) != NULL) {
        code = run(folder, (int)callers, (int)each, &err);
        if (td_folder_remove(folder, NULL) != TD_OK) {
            fprintf(stderr, "%s was left behind\n", folder);
        }
    }
    if (code != TD_OK) {
        fprintf(stderr, "bench_audit: %s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
