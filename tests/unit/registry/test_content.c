/*
 * test_content.c: objects are whole, named by their digest, bounded, healed, and swept after a crash.
 *
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
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fixture {
    char folder[64];
    td_content *content;
} fixture;

static void must(td_code code, const td_err *err)
{
    if (code != TD_OK) {
        fail_msg("%s: %s", td_code_lookup(code)->name, err->text);
    }
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    td_err err = {0};
    snprintf(f->folder, sizeof f->folder, "/tmp/td-content-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    must(td_content_open(f->folder, &f->content, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    td_content_close(f->content);
    assert_int_equal(td_folder_remove(f->folder, NULL), TD_OK);
    free(f);
    return 0;
}

static void put(fixture *f, const char *text, uint8_t digest[TD_DIGEST_SIZE])
{
    td_err err = {0};
    must(td_content_put_bytes(f->content, text, strlen(text), digest, &err), &err);
}

static size_t count_tmp(const fixture *f)
{
    char path[128];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/tmp", f->folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

/* Overwrites one byte of an object behind the store's back. */
static void damage(fixture *f, const uint8_t digest[TD_DIGEST_SIZE])
{
    char path[4096];
    td_err err = {0};
    must(td_content_path(f->content, digest, path, &err), &err);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "X", 1, 0), 1);
    close(fd);
}

static void content__put_and_read_back(void **state)
{
    fixture *f = *state;
    uint8_t digest[TD_DIGEST_SIZE];
    char label[TD_DIGEST_LABEL_SIZE];
    char path[4096];
    struct stat st;
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_err err = {0};
    put(f, "hello\n", digest);
    td_digest_format(digest, label);
    assert_string_equal(label, "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    must(td_content_read(f->content, digest, 100, &text, &err), &err);
    assert_string_equal(td_str_text(&text), "hello\n");
    must(td_content_path(f->content, digest, path, &err), &err);
    assert_non_null(strstr(path, "/58/5891b5b5"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
    assert_int_equal(count_tmp(f), 0);
}

static void content__same_bytes_are_one_file(void **state)
{
    fixture *f = *state;
    uint8_t digest[TD_DIGEST_SIZE];
    uint8_t again[TD_DIGEST_SIZE];
    td_content_report report;
    put(f, "twice", digest);
    put(f, "twice", again);
    assert_memory_equal(digest, again, sizeof digest);
    assert_int_equal(td_content_verify_all(f->content, NULL, &report, NULL), TD_OK);
    assert_int_equal(report.objects, 1);
    assert_int_equal(report.bytes, 5);
}

static void content__empty_object(void **state)
{
    fixture *f = *state;
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size = 9;
    TD_CLEANUP(td_str_done) td_str text = {0};
    put(f, "", digest);
    assert_true(td_content_exists(f->content, digest, &size));
    assert_int_equal(size, 0);
    assert_int_equal(td_content_read(f->content, digest, 0, &text, NULL), TD_OK);
}

static void content__wrong_expected_digest_keeps_nothing(void **state)
{
    fixture *f = *state;
    uint8_t wrong[TD_DIGEST_SIZE] = {1};
    uint8_t digest[TD_DIGEST_SIZE];
    td_err err = {0};
    TD_CLEANUP(td_content_put_free) td_content_put *stream = NULL;
    must(td_content_put_begin(f->content, 0, &stream, &err), &err);
    must(td_content_put_write(stream, "abc", 3, &err), &err);
    assert_int_equal(td_content_put_finish(stream, wrong, digest, NULL, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "sha256:ba7816bf")); /* what came, by name */
    td_content_put_free(&stream);
    td_sha256_of("abc", 3, digest);
    assert_false(td_content_exists(f->content, digest, NULL));
    assert_int_equal(count_tmp(f), 0);
}

static void content__size_cap_is_kept(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_content_put_free) td_content_put *stream = NULL;
    must(td_content_put_begin(f->content, 10, &stream, &err), &err);
    must(td_content_put_write(stream, "0123456789", 10, &err), &err);
    assert_int_equal(td_content_put_write(stream, "x", 1, &err), TD_LIMIT);
    uint8_t digest[TD_DIGEST_SIZE];
    assert_int_equal(td_content_put_finish(stream, NULL, digest, NULL, &err), TD_CONFLICT);
}

static void content__dropped_upload_leaves_nothing(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_content_put *stream = NULL;
    must(td_content_put_begin(f->content, 0, &stream, &err), &err);
    must(td_content_put_write(stream, "abc", 3, &err), &err);
    assert_int_equal(count_tmp(f), 1);
    td_content_put_free(&stream);
    assert_int_equal(count_tmp(f), 0);
}

static void content__missing_is_named(void **state)
{
    fixture *f = *state;
    uint8_t digest[TD_DIGEST_SIZE] = {0xab};
    TD_CLEANUP(td_close_fd) int fd = -1;
    td_err err = {0};
    assert_int_equal(td_content_get(f->content, digest, &fd, NULL, &err), TD_NOT_FOUND);
    assert_non_null(strstr(err.text, "sha256:ab00"));
    assert_int_equal(fd, -1);
}

static void content__damage_is_found_named_and_not_served(void **state)
{
    fixture *f = *state;
    uint8_t digest[TD_DIGEST_SIZE];
    td_err err = {0};
    TD_CLEANUP(td_close_fd) int fd = -1;
    put(f, "precious", digest);
    damage(f, digest);
    assert_int_equal(td_content_verify(f->content, digest, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "sha256:"));
    assert_int_equal(td_content_get(f->content, digest, &fd, NULL, &err), TD_CORRUPT);
    assert_false(td_content_exists(f->content, digest, NULL));
    put(f, "precious", digest); /* heals */
    must(td_content_verify(f->content, digest, &err), &err);
}

static void content__reading_a_damaged_object_fails(void **state)
{
    fixture *f = *state;
    uint8_t digest[TD_DIGEST_SIZE];
    TD_CLEANUP(td_str_done) td_str text = {0};
    put(f, "precious", digest);
    damage(f, digest);
    assert_int_equal(td_content_read(f->content, digest, 100, &text, NULL), TD_CORRUPT);
    assert_int_equal(text.size, 0);
}

static void content__damage_before_verify_is_healed_by_putting(void **state)
{
    fixture *f = *state;
    uint8_t digest[TD_DIGEST_SIZE];
    td_err err = {0};
    put(f, "precious", digest);
    damage(f, digest);
    put(f, "precious", digest); /* same size, other bytes: must not be taken for the object */
    must(td_content_verify(f->content, digest, &err), &err);
}

static char last_problem[300];

static void remember(void *context, const char *path, const char *problem)
{
    (void)problem;
    (*(int *)context)++;
    snprintf(last_problem, sizeof last_problem, "%s", path);
}

static void content__verify_all_reports_damage_and_strangers(void **state)
{
    fixture *f = *state;
    uint8_t a[TD_DIGEST_SIZE];
    uint8_t b[TD_DIGEST_SIZE];
    char path[128];
    int told = 0;
    td_content_report report;
    td_err err = {0};
    put(f, "good", a);
    put(f, "bad", b);
    damage(f, b);
    snprintf(path, sizeof path, "%s/README", f->folder);
    must(td_file_create(path, "x", 1, 0600, &err), &err);
    const td_content_watch watch = {.context = &told, .found = remember};
    must(td_content_verify_all(f->content, &watch, &report, &err), &err);
    assert_int_equal(report.objects, 2);
    assert_int_equal(report.damaged, 1);
    assert_int_equal(report.foreign, 1);
    assert_int_equal(told, 2);
    must(td_content_verify_all(f->content, NULL, &report, &err), &err);
    assert_int_equal(report.damaged, 0); /* it was moved away */
}

static void content__open_sweeps_what_a_crash_left(void **state)
{
    fixture *f = *state;
    char path[128];
    td_err err = {0};
    td_content *second = NULL;
    td_content_put *stream = NULL;
    snprintf(path, sizeof path, "%s/tmp/put-crashed", f->folder);
    must(td_file_create(path, "x", 1, 0600, &err), &err);
    must(td_content_put_begin(f->content, 0, &stream, &err), &err); /* alive: locked */
    must(td_content_open(f->folder, &second, &err), &err);
    assert_false(td_path_exists(path));
    assert_int_equal(count_tmp(f), 1);
    uint8_t digest[TD_DIGEST_SIZE];
    must(td_content_put_finish(stream, NULL, digest, NULL, &err), &err);
    td_content_put_free(&stream);
    td_content_close(second);
}

static void content__put_file_takes_regular_files_only(void **state)
{
    fixture *f = *state;
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size;
    char path[128];
    td_err err = {0};
    snprintf(path, sizeof path, "%s/source", f->folder);
    must(td_file_create(path, "from a file", 11, 0600, &err), &err);
    must(td_content_put_file(f->content, path, 0, digest, &size, &err), &err);
    assert_int_equal(size, 11);
    assert_int_equal(td_content_put_file(f->content, f->folder, 0, digest, &size, &err), TD_INVALID);
    assert_int_equal(td_content_put_file(f->content, path, 5, digest, &size, &err), TD_LIMIT);
    assert_int_equal(td_content_put_file(f->content, "/nonexistent/x", 0, digest, &size, &err), TD_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/x"));
}

static void *put_many(void *context)
{
    fixture *f = context;
    for (int i = 0; i < 60; i++) {
        char text[16];
        uint8_t digest[TD_DIGEST_SIZE];
        int length = snprintf(text, sizeof text, "object %d", i);
        if (td_content_put_bytes(f->content, text, (size_t)length, digest, NULL) != TD_OK) {
            return f;
        }
    }
    return NULL;
}

static void content__threads_put_the_same_objects(void **state)
{
    fixture *f = *state;
    pthread_t threads[6];
    td_content_report report;
    for (size_t i = 0; i < TD_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, f), 0);
    }
    for (size_t i = 0; i < TD_COUNT_OF(threads); i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    assert_int_equal(td_content_verify_all(f->content, NULL, &report, NULL), TD_OK);
    assert_int_equal(report.objects, 60);
    assert_int_equal(report.damaged, 0);
    assert_int_equal(count_tmp(f), 0);
}

static void digest__text_is_strict(void **state)
{
    (void)state;
    uint8_t digest[TD_DIGEST_SIZE];
    const char *good = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    assert_int_equal(td_digest_parse(good, digest, NULL), TD_OK);
    assert_int_equal(td_digest_parse(good + 7, digest, NULL), TD_OK);
    assert_int_equal(td_digest_parse("sha256:58", digest, NULL), TD_INVALID);
    assert_int_equal(td_digest_parse("../../etc/passwd", digest, NULL), TD_INVALID);
    assert_int_equal(
        td_digest_parse("md5:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", digest, NULL),
        TD_INVALID);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(content__put_and_read_back),
        CASE(content__same_bytes_are_one_file),
        CASE(content__empty_object),
        CASE(content__wrong_expected_digest_keeps_nothing),
        CASE(content__size_cap_is_kept),
        CASE(content__dropped_upload_leaves_nothing),
        CASE(content__missing_is_named),
        CASE(content__damage_is_found_named_and_not_served),
        CASE(content__reading_a_damaged_object_fails),
        CASE(content__damage_before_verify_is_healed_by_putting),
        CASE(content__verify_all_reports_damage_and_strangers),
        CASE(content__open_sweeps_what_a_crash_left),
        CASE(content__put_file_takes_regular_files_only),
        CASE(content__threads_put_the_same_objects),
        cmocka_unit_test(digest__text_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
