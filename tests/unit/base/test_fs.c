/*
 * test_fs.c: files are replaced whole, created once, read within bounds; names that could leave a folder are refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/td-fs-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return td_folder_remove(folder, NULL) == TD_OK && !td_path_exists(folder) ? 0 : -1;
}

static void file__replace_create_read(void **state)
{
    (void)state;
    char path[4096];
    td_err err;
    struct stat st;
    TD_CLEANUP(td_str_done) td_str text = {0};
    assert_int_equal(td_path_join(path, folder, "a", &err), TD_OK);
    assert_int_equal(td_file_create(path, "one", 3, 0600, &err), TD_OK);
    assert_int_equal(td_file_create(path, "two", 3, 0600, &err), TD_CONFLICT);
    assert_int_equal(td_file_replace(path, "three", 5, 0640, &err), TD_OK);
    assert_int_equal(td_file_read(path, 5, &text, &err), TD_OK);
    assert_string_equal(td_str_text(&text), "three");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(td_file_read(path, 4, &text, &err), TD_LIMIT);
    assert_int_equal(td_file_read(folder, 100, &text, &err), TD_INVALID);
    assert_int_equal(td_file_read("/nonexistent/x", 100, &text, &err), TD_NOT_FOUND);
}

static void file__sweep_takes_what_was_half_written_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"s",           "s.tmp-Ab3xyZ", "s.backup",
                                        "s.tmp-Ab3xyZ0", "t.tmp-Ab3xyZ", "s.tmp-Ab3xy"};
    char path[4096];
    td_err err;
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        assert_int_equal(td_path_join(path, folder, names[i], &err), TD_OK);
        assert_int_equal(td_file_replace(path, "x", 1, 0600, &err), TD_OK);
    }
    assert_int_equal(td_path_join(path, folder, "s", &err), TD_OK);
    assert_int_equal(td_file_sweep(path, &err), TD_OK);
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        assert_int_equal(td_path_join(path, folder, names[i], &err), TD_OK);
        assert_int_equal(td_path_exists(path), i != 1);
    }
}

static void folder__remove_does_not_follow_links(void **state)
{
    (void)state;
    char inner[4096], kept[4096], link_path[4096];
    td_err err;
    assert_int_equal(td_path_join(kept, folder, "kept/deep", &err), TD_OK);
    assert_int_equal(td_folder_make(kept, 0700, &err), TD_OK);
    assert_int_equal(td_path_join(inner, folder, "gone/x/y", &err), TD_OK);
    assert_int_equal(td_folder_make(inner, 0700, &err), TD_OK);
    snprintf(link_path, sizeof link_path, "%s/gone/link", folder);
    assert_int_equal(symlink(kept, link_path), 0);
    snprintf(inner, sizeof inner, "%s/gone", folder);
    assert_int_equal(td_folder_remove(inner, &err), TD_OK);
    assert_false(td_path_exists(inner));
    assert_true(td_path_exists(kept));
}

static void name__cannot_leave_its_folder(void **state)
{
    (void)state;
    static const char *const good[] = {"model.onnx", "model/pump.onnx", "a/b/c-d_e.1", "..."};
    static const char *const bad[] = {"",     "/etc/passwd", "a//b", "a/",  "./a", "a/./b",
                                      "../a", "a/..",        "a\\b", "a b", "a\n", "\xC3\xA9"};
    for (size_t i = 0; i < TD_COUNT_OF(good); i++) {
        assert_int_equal(td_check_file_name(good[i], strlen(good[i]), NULL), TD_OK);
    }
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        assert_int_equal(td_check_file_name(bad[i], strlen(bad[i]), NULL), TD_INVALID);
    }
    assert_int_equal(td_check_file_name("a\0b", 3, NULL), TD_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file__replace_create_read),
        cmocka_unit_test(file__sweep_takes_what_was_half_written_alone),
        cmocka_unit_test(folder__remove_does_not_follow_links),
        cmocka_unit_test(name__cannot_leave_its_folder),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
