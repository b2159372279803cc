/*
 * bench_bundle.c: packing and unpacking a bundle against `tar --zstd`, and putting content against `openssl dgst`.
 *
 * Both sides read from the page cache and make what they write durable; medians of alternating rounds. The data are
 * weights as trainers write them (float32, hardly compressible). Unpacking means all that a receiver does: decompress,
 * check the signatures and every digest; its reference only decompresses.
 * Usage: bench_bundle [MiB [rounds]]
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/bundle.h"
#include "registry/trust.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 99
#define MIB ((size_t)1024 * 1024)

extern char **environ;

typedef struct bench {
    char folder[32];
    char files[2][64];
    td_content *content;
    td_str manifest, keyset, approvals;
    td_bundle_info info;
    int64_t mib;
    int rounds;
} bench;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Processor time of this process or of its finished children. */
static double processor(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Sums of uniform numbers: the mantissas are as random as those of trained weights. */
static void fill(float *block, size_t count, uint64_t *seed)
{
    for (size_t i = 0; i < count; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            *seed = *seed * 6364136223846793005u + 1442695040888963407u;
            sum += (float)(*seed >> 40) / 16777216.0f - 0.5f;
        }
        block[i] = sum * 0.05f;
    }
}

static td_code make_file(const char *path, int64_t mib, uint64_t seed, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    TD_CLEANUP(td_free_text) char *block = malloc(MIB);
    if (fd < 0 || block == NULL) {
        return td_fail(err, TD_IO, "cannot make %s", path);
    }
    for (int64_t i = 0; i < mib; i++) {
        fill((float *)(void *)block, MIB / sizeof(float), &seed);
        TD_TRY(td_write_all(fd, block, MIB, err));
    }
    return TD_OK;
}

static td_code run_shell(const char *command, double *took_out, td_err *err)
{
    char shell[] = "sh";
    char option[] = "-c";
    char *const arguments[] = {shell, option, (char *)(uintptr_t)command, NULL};
    pid_t pid;
    int status;
    double start = seconds();
    if (posix_spawnp(&pid, "sh", NULL, NULL, arguments, environ) != 0 || waitpid(pid, &status, 0) != pid ||
        status != 0) {
        return td_fail(err, TD_IO, "this failed: %s", command);
    }
    *took_out = seconds() - start;
    return TD_OK;
}

/* ---- what is measured ---- */

static td_code put_file(bench *b, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    return td_content_put_file(b->content, b->files[0], 0, digest, NULL, err);
}

static td_code check_file(bench *b, td_err *err)
{
    return td_content_verify(b->content, b->info.digest, err);
}

static td_code pack(bench *b, td_err *err)
{
    return td_bundle_build(b->content, b->manifest.data, b->manifest.size, &b->info, err);
}

static td_code unpack(bench *b, td_err *err)
{
    char path[4096];
    td_bundle_trust trust = {.keyset = b->keyset.data,
                             .keyset_size = b->keyset.size,
                             .approvals = b->approvals.data,
                             .approvals_size = b->approvals.size};
    TD_TRY(td_content_path(b->content, b->info.digest, path, err));
    return td_bundle_verify(path, &trust, NULL, err);
}

/* ---- set up ---- */

static td_code make_manifest(bench *b, td_err *err)
{
    td_manifest_file files[2] = {{.name = "model/a.onnx"}, {.name = "model/b.onnx"}};
    td_manifest m = {.project = "default",
                     .model = "bench",
                     .version = 1,
                     .security_counter = 1,
                     .format = "opaque",
                     .hardware = "",
                     .created_ms = 1,
                     .files = files,
                     .file_count = 2};
    for (size_t i = 0; i < 2; i++) {
        TD_TRY(td_content_put_file(b->content, b->files[i], 0, files[i].digest, &files[i].size, err));
    }
    return td_manifest_build(&m, b->content, &b->manifest, err);
}

static td_code make_trust(bench *b, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *root = NULL;
    TD_CLEANUP(td_str_done) td_str payload = {0};
    td_keyset keyset = {
        .version = 1, .root_threshold = 1, .approver_threshold = 1, .director_threshold = 1, .key_count = 2};
    TD_CLEANUP(td_key_free) td_key *approver = NULL;
    TD_TRY(td_key_generate(TD_KEY_P256, &root, err));
    TD_TRY(td_key_generate(TD_KEY_P256, &approver, err));
    keyset.keys[0].role = TD_SIGNER_ROOT;
    (void)td_key_public(root, keyset.keys[0].public_key);
    keyset.keys[1].role = TD_SIGNER_APPROVER;
    (void)td_key_public(approver, keyset.keys[1].public_key);
    TD_TRY(td_keyset_encode(&keyset, &payload, err));
    TD_TRY(td_signed_message_make(TD_KEYSET_TYPE, payload.data, payload.size, root, &b->keyset, err));
    return td_signed_message_make(TD_MANIFEST_TYPE, b->manifest.data, b->manifest.size, approver, &b->approvals, err);
}

static td_code setup(bench *b, td_err *err)
{
    char path[64];
    snprintf(path, sizeof path, "%s/model", b->folder);
    TD_TRY(td_folder_make(path, 0700, err));
    for (int i = 0; i < 2; i++) {
        snprintf(b->files[i], sizeof b->files[i], "%s/model/%c.onnx", b->folder, 'a' + i);
        TD_TRY(make_file(b->files[i], b->mib / 2, 7 + (uint64_t)i, err));
    }
    snprintf(path, sizeof path, "%s/content", b->folder);
    TD_TRY(td_content_open(path, &b->content, err));
    TD_TRY(make_manifest(b, err));
    TD_TRY(make_trust(b, err));
    return pack(b, err);
}

/* ---- measuring ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

typedef struct contest {
    const char *name, *reference; /* as printed */
    td_code (*ours)(bench *b, td_err *err);
    const char *command; /* %s: the folder */
    int64_t parts;       /* of the whole that one run handles: 1 or 2 */
    double floor;
} contest;

static td_code measure(bench *b, const contest *c, td_err *err)
{
    double ours[ROUNDS_MAX];
    double theirs[ROUNDS_MAX];
    char command[512];
    double own_start = processor(RUSAGE_SELF);
    double children_start = processor(RUSAGE_CHILDREN);
    snprintf(command, sizeof command, "cd %s && %s", b->folder, c->command);
    for (int i = 0; i < b->rounds; i++) {
        double start = seconds();
        TD_TRY(c->ours(b, err));
        ours[i] = seconds() - start;
        TD_TRY(run_shell(command, &theirs[i], err));
    }
    double work = (processor(RUSAGE_CHILDREN) - children_start) / (processor(RUSAGE_SELF) - own_start);
    double size = (double)b->mib / (double)c->parts;
    double mine = size / median(ours, b->rounds);
    double reference = size / median(theirs, b->rounds);
    printf(
        "{\"bench\":\"%s\",\"figure\":%.0f,\"unit\":\"MiB/s\",\"reference\":\"%s: %.0f\",\"ratio\":%.3f,\"floor\":%.1f,"
        "\"note\":\"%.0f MiB of float32, median of %d; by processor time %.2f\"}\n",
        c->name, mine, c->reference, reference, mine / reference, c->floor, size, b->rounds, work);
    fflush(stdout);
    return TD_OK;
}

static td_code run(bench *b, td_err *err)
{
    static const contest contests[] = {
        {"content check", "openssl dgst -sha256", check_file,
         "openssl dgst -sha256 model/a.onnx model/b.onnx >/dev/null", 1, 0.9},
        {"content put (hash, write, fsync)", "cp, sync, openssl dgst", put_file,
         "cp model/a.onnx copy && sync copy && openssl dgst -sha256 copy >/dev/null && rm copy", 2, 0.9},
        {"bundle pack", "tar --zstd, sync", pack, "tar --zstd -cf t.tar.zst model && sync t.tar.zst", 1, 0.8},
        {"bundle unpack (verify all)", "tar --zstd -xO", unpack, "tar --zstd -xOf t.tar.zst >/dev/null", 1, 0.8},
    };
    TD_TRY(setup(b, err));
    for (size_t i = 0; i < TD_COUNT_OF(contests); i++) {
        TD_TRY(measure(b, &contests[i], err));
    }
    return TD_OK;
}

static void done(bench *b)
{
    td_content_close(b->content);
    td_str_done(&b->manifest);
    td_str_done(&b->keyset);
    td_str_done(&b->approvals);
    if (td_folder_remove(b->folder, NULL) != TD_OK) {
        fprintf(stderr, "%s was left behind\n", b->folder);
    }
}

int main(int argc, char **argv)
{
    td_err err = {.code = TD_OK};
    int64_t rounds = 7;
    bench b = {.folder = "/tmp/td-bench-XXXXXX", .mib = 128};
    td_code code = argc > 1 ? td_parse_int(argv[1], "MiB", 2, 65536, &b.mib, &err) : TD_OK;
    code = code == TD_OK && argc > 2 ? td_parse_int(argv[2], "rounds", 1, ROUNDS_MAX, &rounds, &err) : code;
    code = code == TD_OK ? td_crypto_setup(&err) : code;
    b.rounds = (int)rounds;
    if (code == TD_OK && mkdtemp(b.folder) != NULL) {
        code = run(&b, &err);
        done(&b);
    }
    if (code != TD_OK) {
        fprintf(stderr, "bench_bundle: %s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
