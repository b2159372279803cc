/*
 * test_content_crash.c: a put that is killed, or fails, at its 1st, 2nd, 3rd … system call leaves nothing or the whole
 * object.
 *
 * The linker redirects the calls that the store makes (--wrap), so that the code under test is the code that ships.
 * Each round forks a child that dies (or gets an error) at call n; the parent then opens the store again and looks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "core/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIED 77
#define DONE 0
#define FAILED_CLEANLY 3
#define SURVIVED 4 /* the fault was met, and the object is there all the same (a call that may be tried again) */
#define CALLS_MAX 200

static int calls_left = -1; /* -1: off */
static int error_given;     /* 0: die; else fail with this errno, once */
static bool for_ever;       /* every later call fails too */
static bool fault_met;

/* The calls of a good put in order: w write, s fsync, r rename. */
static char order[64];

static void note(char call)
{
    size_t length = strlen(order);
    if (length + 1 < sizeof order) {
        order[length] = call;
        order[length + 1] = '\0';
    }
}

/* True when this call must fail; does not return when it must die. */
static bool at_fault(void)
{
    if (calls_left < 0 || calls_left-- > 0) {
        return false;
    }
    if (error_given == 0) {
        _exit(DIED);
    }
    fault_met = true;
    calls_left = for_ever ? 0 : -1;
    errno = error_given;
    return true;
}

#define WRAP(type, name, mark, parameters, arguments)                                                                  \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        note(mark);                                                                                                    \
        return at_fault() ? (type)-1 : __real_##name arguments;                                                        \
    }

WRAP(int, mkostemp, 't', (char *path, int flags), (path, flags))
WRAP(int, flock, 'l', (int fd, int operation), (fd, operation))
WRAP(ssize_t, write, 'w', (int fd, const void *data, size_t size), (fd, data, size))
WRAP(int, fchmod, 'c', (int fd, mode_t mode), (fd, mode))
WRAP(int, fsync, 's', (int fd), (fd))
WRAP(int, mkdir, 'd', (const char *path, mode_t mode), (path, mode))
WRAP(int, rename, 'r', (const char *from, const char *to), (from, to))

static const char text[] = "an object of several writes";

static td_code put_in_steps(td_content *content, uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    TD_CLEANUP(td_content_put_free) td_content_put *put = NULL;
    TD_TRY(td_content_put_begin(content, 0, &put, err));
    for (size_t done = 0; done < sizeof text; done += 7) {
        size_t size = sizeof text - done < 7 ? sizeof text - done : 7;
        TD_TRY(td_content_put_write(put, text + done, size, err));
    }
    return td_content_put_finish(put, NULL, digest, NULL, err);
}

static int child(const char *folder, int fault_at)
{
    td_content *content = NULL;
    uint8_t digest[TD_DIGEST_SIZE];
    td_err err = {0};
    if (td_content_open(folder, &content, &err) != TD_OK) {
        return 99;
    }
    calls_left = fault_at;
    td_code code = put_in_steps(content, digest, &err);
    calls_left = -1;
    td_content_close(content);
    if (code != TD_OK && (err.text[0] == '\0' || (error_given == ENOSPC && code != TD_LIMIT))) {
        return 98; /* an error without words, or disk full not told as such */
    }
    return code != TD_OK ? FAILED_CLEANLY : fault_met ? SURVIVED : DONE;
}

static int run(const char *folder, int fault_at)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(child(folder, fault_at));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static size_t count_tmp(const char *folder)
{
    char path[128];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/tmp", folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

/* What must hold after any fault: every object is whole, nothing temporary survives an open, and the put works
 * afterwards. */
static void check_store(const char *folder, bool must_be_there)
{
    td_content *content = NULL;
    td_content_report report;
    uint8_t digest[TD_DIGEST_SIZE];
    td_err err = {0};
    assert_int_equal(td_content_open(folder, &content, &err), TD_OK);
    assert_int_equal(count_tmp(folder), 0);
    assert_int_equal(td_content_verify_all(content, NULL, &report, &err), TD_OK);
    assert_int_equal(report.damaged + report.foreign, 0);
    assert_true(report.objects <= 1);
    td_sha256_of(text, sizeof text, digest);
    assert_true(!must_be_there || td_content_exists(content, digest, NULL));
    assert_int_equal(put_in_steps(content, digest, &err), TD_OK);
    assert_int_equal(td_content_verify(content, digest, &err), TD_OK);
    td_content_close(content);
}

static void every_step(int error_number, bool ever, int expected)
{
    error_given = error_number;
    for_ever = ever;
    int rounds = 0;
    for (int result = expected; result != DONE; rounds++) {
        char folder[] = "/tmp/td-crash-XXXXXX";
        assert_true(rounds < CALLS_MAX);
        assert_non_null(mkdtemp(folder));
        result = run(folder, rounds);
        if (result != expected && result != SURVIVED && result != DONE) {
            fail_msg("call %d: the child ended with %d", rounds, result);
        }
        check_store(folder, result == DONE || result == SURVIVED);
        assert_int_equal(td_folder_remove(folder, NULL), TD_OK);
    }
    assert_true(rounds > 8); /* the faults were really met: temporary file, lock, writes, sync, rename … */
}

static void content__killed_at_every_call(void **state)
{
    (void)state;
    every_step(0, false, DIED);
}

static void content__io_error_at_every_call(void **state)
{
    (void)state;
    every_step(EIO, false, FAILED_CLEANLY);
    every_step(EIO, true, FAILED_CLEANLY);
}

static void content__disk_full_at_every_call(void **state)
{
    (void)state;
    every_step(ENOSPC, true, FAILED_CLEANLY);
}

/* A kill shows nothing of what a power cut would: that the bytes are on disk before the name is, and the name before
 * the answer. */
static void content__synced_before_and_after_the_rename(void **state)
{
    (void)state;
    char folder[] = "/tmp/td-crash-XXXXXX";
    td_content *content = NULL;
    uint8_t digest[TD_DIGEST_SIZE];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(td_content_open(folder, &content, NULL), TD_OK);
    order[0] = '\0';
    assert_int_equal(put_in_steps(content, digest, NULL), TD_OK);
    assert_string_equal(order,
                        "tlwwwwcsdsrs"); /* the sync after d is that of the store's folder, which got a new one */
    td_content_close(content);
    assert_int_equal(td_folder_remove(folder, NULL), TD_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content__killed_at_every_call),
        cmocka_unit_test(content__io_error_at_every_call),
        cmocka_unit_test(content__disk_full_at_every_call),
        cmocka_unit_test(content__synced_before_and_after_the_rename),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
