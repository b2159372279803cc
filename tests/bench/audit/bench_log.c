/*
 * bench_log.c: from records to a signed tree, and proofs out of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "tests/bench/audit/bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH ((size_t)4096) /* leaves a transaction, as the server has them */
#define PROOFS 2000

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
    return td_log_signer_open(log->log_key, log->signer_path, true, &log->signer, err);
}

static td_code to_file(void *context, const void *data, size_t size, td_err *err)
{
    return td_write_all(*(int *)context, data, size, err);
}

/* Signs the tree as it is and writes everything under it to a file. */
static td_code seal(bench_log *log, const char *path, double *seconds_out, td_str *note, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    bool fresh = false;
    TD_TRY(td_log_checkpoint_make(log->db, log->signer, note, &fresh, err));
    TD_TRY(td_txn_begin(log->db, &txn, err));
    TD_TRY(td_log_checkpoint_store(log->db, td_str_text(note), err));
    TD_TRY(td_txn_commit(&txn, err));
    TD_CLEANUP(td_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return td_fail(err, TD_IO, "cannot make %s", path);
    }
    double start = bench_seconds();
    TD_TRY(td_audit_export(log->db, &log->keys, to_file, &fd, err));
    *seconds_out = bench_seconds() - start;
    return TD_OK;
}

static td_code next_batch(bench_log *log, size_t limit, size_t *count_out, td_err *err)
{
    TD_CLEANUP(td_log_batch_free) td_log_batch *batch = NULL;
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_log_batch_read(log->db, log->submitter, limit, &batch, err));
    TD_TRY(td_txn_begin(log->db, &txn, err));
    TD_TRY(td_log_batch_store(log->db, batch, err));
    *count_out = td_log_batch_count(batch);
    return td_txn_commit(&txn, err);
}

td_code bench_sequence(bench_log *log, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    int64_t done = 0, early = log->leaves < BENCH_EARLY ? log->leaves / 2 : BENCH_EARLY;
    double exporting = 0, sequencing = 0, start = 0;
    TD_TRY(open_log(log, err));
    TD_TRY(td_audit_count(log->db, &log->leaves, err));
    while (done < log->leaves) {
        size_t count = 0, limit = done < early && early - done < (int64_t)BATCH ? (size_t)(early - done) : BATCH;
        start = bench_seconds();
        TD_TRY(next_batch(log, limit, &count, err));
        sequencing += bench_seconds() - start;
        done += (int64_t)count;
        if (done == early) {
            TD_TRY(seal(log, log->early_path, &exporting, &log->early_note, err));
        }
    }
    bench_row("audit sequencing", (double)done / sequencing, "leaves/s", "", 0,
              "Ed25519 leaf, tree, transactions of 4096");
    TD_TRY(seal(log, log->export_path, &exporting, &note, err));
    bench_row("audit export", (double)done / exporting, "records/s", "", 0, "to a tar");
    return TD_OK;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static double p99_us(double taken[PROOFS])
{
    qsort(taken, PROOFS, sizeof *taken, compare);
    return 1e6 * taken[PROOFS * 99 / 100];
}

/* A number below `end`, far from the ones before it, so that pages of all the file are read. */
static int64_t spread(int i, int64_t end)
{
    return (int64_t)i * 611953 % end;
}

td_code bench_proofs(bench_log *log, td_err *err)
{
    static double taken[PROOFS];
    char note[96];
    for (int i = 0; i < PROOFS; i++) {
        TD_CLEANUP(td_str_done) td_str proof = {0};
        double start = bench_seconds();
        TD_TRY(td_log_proof_text(log->db, spread(i, log->leaves), &proof, err));
        taken[i] = bench_seconds() - start;
    }
    snprintf(note, sizeof note, "tlog-proof text, %lld leaves, bar 5000 us", (long long)log->leaves);
    bench_row("audit proof of inclusion, p99", p99_us(taken), "us", "", 0, note);
    for (int i = 0; i < PROOFS; i++) {
        td_log_proof proof;
        double start = bench_seconds();
        TD_TRY(td_log_consistency(log->db, 1 + spread(i, log->leaves), log->leaves, &proof, err));
        taken[i] = bench_seconds() - start;
    }
    snprintf(note, sizeof note, "from any size to %lld leaves, bar 5000 us", (long long)log->leaves);
    bench_row("audit proof of consistency, p99", p99_us(taken), "us", "", 0, note);
    return TD_OK;
}
