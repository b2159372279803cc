/*
 * bench_verify.c: an export verified offline; beside it one SHA-256 over the same bytes, which nobody can do without.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/export.h"
#include "audit/leaf.h"
#include "audit/merkle.h"
#include "tests/bench/audit/bench.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Seconds of one SHA-256 over the export as it lies there. */
static td_code read_once(const char *path, double *seconds_out, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    double start = bench_seconds();
    TD_TRY(td_sha256_file(path, digest, NULL, err));
    *seconds_out = bench_seconds() - start;
    return TD_OK;
}

/* What the proofs rest on and nothing else: bodies to leaves, leaves to the root. One thread. */
static td_code hash_all(const char *path, int64_t *count_out, td_err *err)
{
    TD_CLEANUP(td_export_close) td_export_reader *reader = NULL;
    td_merkle_range range = {.size = 0};
    td_log_root root;
    uint8_t hash[TD_DIGEST_SIZE];
    bool more = true;
    TD_TRY(td_export_open(path, NULL, 0, &reader, err));
    const td_export_head *head = td_export_head_of(reader);
    TD_TRY(td_log_checkpoint_check(td_str_text(&head->checkpoint), head->checkpoint.size, head->vkey, &root, err));
    for (;;) {
        const char *body = NULL;
        const uint8_t *leaf = NULL;
        size_t size = 0;
        TD_TRY(td_export_next(reader, &more, &body, &size, &leaf, err));
        if (!more) {
            break;
        }
        td_leaf_checksum(body, size, hash);
        if (memcmp(hash, leaf, sizeof hash) != 0) {
            return td_fail(err, TD_CORRUPT, "record %lld does not fit its leaf", (long long)range.size);
        }
        td_merkle_leaf(leaf, TD_LOG_LEAF_SIZE, hash);
        TD_TRY(td_merkle_append(&range, hash, NULL, NULL, err));
    }
    td_merkle_root(&range, hash);
    *count_out = range.size;
    return range.size == root.size && memcmp(hash, root.hash, sizeof hash) == 0
               ? TD_OK
               : td_fail(err, TD_CORRUPT, "the root is another");
}

static void rate_row(const char *name, int64_t count, double seconds, double reference_s, const char *what)
{
    char reference[64], note[128];
    snprintf(reference, sizeof reference, "SHA-256 of the file: %.0f", (double)count / reference_s);
    snprintf(note, sizeof note, "%s; %lld records in %.2f s", what, (long long)count, seconds);
    bench_row(name, (double)count / seconds, "records/s", reference, reference_s / seconds, note);
}

static td_code verify(const char *path, const td_audit_verify_options *options, int64_t *count_out,
                      double *seconds_out, td_err *err)
{
    td_audit_verdict verdict;
    double start = bench_seconds();
    TD_TRY(td_audit_verify_export(path, options, &verdict, err));
    *seconds_out = bench_seconds() - start;
    *count_out = verdict.records;
    return TD_OK;
}

td_code bench_verify(bench_log *log, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    double reference = 0, seconds = 0;
    int64_t count = 0;
    td_audit_verdict verdict;
    TD_TRY(td_log_vkey(log->keys.log, &vkey, err));
    const char *const older[] = {td_str_text(&log->early_note), NULL};
    td_audit_verify_options options = {.vkey = td_str_text(&vkey), .older = older};
    TD_TRY(read_once(log->export_path, &reference, err)); /* from the disk, perhaps */
    TD_TRY(read_once(log->export_path, &reference, err));
    double start = bench_seconds();
    TD_TRY(hash_all(log->export_path, &count, err));
    rate_row("audit verify, hashes", count, bench_seconds() - start, reference, "bodies, leaves, tree, one thread");
    (void)malloc_trim(0);
    (void)peak_mib();
    double before = peak_mib();
    TD_TRY(verify(log->export_path, &options, &count, &seconds, err));
    double after = peak_mib();
    rate_row("audit verify", count, seconds, reference, "the same and rules, older checkpoint");
    bench_row("audit verify, memory", after - before, "MiB", "", 0, "peak beyond what the bench held before");
    start = bench_seconds();
    options.submitter = log->keys.submitter;
    TD_TRY(td_audit_verify_db(log->db, &options, &verdict, err));
    seconds = bench_seconds() - start;
    rate_row("audit verify, database", verdict.records, seconds, reference, "columns and nodes as well");
    options.signatures = true;
    TD_TRY(read_once(log->early_path, &reference, err));
    TD_TRY(verify(log->early_path, &options, &count, &seconds, err));
    rate_row("audit verify --signatures", count, seconds, reference, "the same and each leaf's Ed25519");
    return TD_OK;
}
