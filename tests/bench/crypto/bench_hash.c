/*
 * bench_hash.c: hashing a file by td_sha256_file against `openssl dgst -sha256` on the same file, in the same run.
 *
 * Both read from the page cache; medians of alternating rounds. Floor: 0.9.
 * Usage: bench_hash [MiB [rounds]]
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/crypto/crypto.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 99
#define BLOCK ((size_t)1024 * 1024)

extern char **environ;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static td_code make_file(const char *path, int64_t blocks, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    TD_CLEANUP(td_free_text) char *block = malloc(BLOCK);
    if (fd < 0 || block == NULL) {
        return td_fail(err, TD_IO, "cannot make %s", path);
    }
    TD_TRY(td_random(block, BLOCK, err));
    for (int64_t i = 0; i < blocks; i++) {
        memcpy(block, &i, sizeof i);
        TD_TRY(td_write_all(fd, block, BLOCK, err));
    }
    return TD_OK;
}

/* Runs openssl with its output thrown away. Its start (a few milliseconds) is part of its time, so the file is large.
 */
static td_code run_openssl(const char *path, td_err *err)
{
    const char *const arguments[] = {"openssl", "dgst", "-sha256", path, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child = 0;
    int status = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int failed = posix_spawnp(&child, "openssl", &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0 || waitpid(child, &status, 0) != child || status != 0) {
        return td_fail(err, TD_IO, "openssl did not run; apt-get install openssl");
    }
    return TD_OK;
}

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

static td_code measure(const char *path, int64_t blocks, int rounds, td_err *err)
{
    double ours[ROUNDS_MAX];
    double theirs[ROUNDS_MAX];
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(td_sha256_file(path, digest, NULL, err)); /* warms the page cache */
    for (int i = 0; i < rounds; i++) {
        double start = seconds();
        TD_TRY(td_sha256_file(path, digest, NULL, err));
        double middle = seconds();
        TD_TRY(run_openssl(path, err));
        ours[i] = middle - start;
        theirs[i] = seconds() - middle;
    }
    double mine = (double)blocks / median(ours, rounds);
    double reference = (double)blocks / median(theirs, rounds);
    printf("{\"bench\":\"hash of a file\",\"figure\":%.0f,\"unit\":\"MiB/s\",\"reference\":\"openssl dgst -sha256: "
           "%.0f\",\"ratio\":%.3f,\"floor\":0.9,\"note\":\"%lld MiB, median of %d\"}\n",
           mine, reference, mine / reference, (long long)blocks, rounds);
    return TD_OK;
}

int main(int argc, char **argv)
{
    td_err err = {.code = TD_OK};
    int64_t blocks = 256;
    int64_t rounds = 9;
    char folder[] = "/tmp/td-bench-XXXXXX";
    char path[64];
    td_code code = argc > 1 ? td_parse_int(argv[1], "MiB", 1, 65536, &blocks, &err) : TD_OK;
    code = code == TD_OK && argc > 2 ? td_parse_int(argv[2], "rounds", 1, ROUNDS_MAX, &rounds, &err) : code;
    if (code == TD_OK && mkdtemp(folder) != NULL) {
        snprintf(path, sizeof path, "%s/file", folder);
        code = make_file(path, blocks, &err);
        code = code == TD_OK ? measure(path, blocks, (int)rounds, &err) : code;
        if (td_folder_remove(folder, NULL) != TD_OK) {
            fprintf(stderr, "%s was left behind\n", folder);
        }
    }
    if (code != TD_OK) {
        fprintf(stderr, "bench_hash: %s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
