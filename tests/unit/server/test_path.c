/*
 * test_path.c: a target is decoded once, and what no name of ours may hold is refused.
 *
 * The traversal corpus follows the published holes of other registries (double decoding, ';', backslash, overlong
 * UTF-8, NUL).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void path__splits_and_decodes_once(void **state)
{
    (void)state;
    td_arena arena = {0};
    td_target target;
    td_err err = {0};
    assert_int_equal(
        td_target_parse("/api/v1/models/pump%2Done/versions/@champion?limit=10&filter=a%20b+c", &arena, &target, &err),
        TD_OK);
    assert_int_equal(target.segment_count, 6);
    assert_string_equal(target.segments[3], "pump-one");
    assert_string_equal(target.segments[5], "@champion");
    assert_string_equal(td_target_query(&target, "filter"), "a b c");
    assert_null(td_target_query(&target, "nothing"));
    assert_int_equal(td_target_parse("/", &arena, &target, &err), TD_OK);
    assert_int_equal(target.segment_count, 0);
    td_arena_done(&arena);
}

static void path__traversal_in_any_dress_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "models",
        "//",
        "/a//b",
        "/a/",
        "/.",
        "/..",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a/%2E%2e",
        "/a/%252e%252e/b",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a;b",
        "/a%3bb",
        "/a%00b",
        "/a%0ab",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a b",
        "/a%20b",
        "/%c0%ae%c0%ae/",
        "/%e0%80%af",
        "/\xc3\xa9",
        "/a?b=%00",
        "/a?b=%c0%ae",
        "/a?b=%ed%a0%80",
        "/a?b=\x01",
        "/a?=1",
        "/a*",
        "/a'",
        "/a\"",
        "/a<",
        "/a|b",
        "/a,b",
        "/a=b",
        "/a#b",
        "http://localhost/a",
        "*",
    };
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        td_arena arena = {0};
        td_target target;
        td_err err = {0};
        if (td_target_parse(bad[i], &arena, &target, &err) == TD_OK) {
            fail_msg("\"%s\" was let through", bad[i]);
        }
        assert_true(strlen(err.text) > 10);
        td_arena_done(&arena);
    }
}

static void path__foreign_names_below_mlflow_hold_any_text_that_is_harmless(void **state)
{
    (void)state;
    static const char *const good[] = {"a%20b", "\xc3\xa9", "a,b=(c)", "x/", "a/b'c/"};
    static const char *const bad[] = {"..",   "%2e%2e", "a/../b", "a//b", "a%2fb", "a%5cb",    "a;b",   "a%252fb",
                                      "a%00", "a%0a",   "%ff",    "//",   "a%",    "%c0%ae%c0%ae", ".",     "a/./b"};
    static const char *const roots[] = {"/api/2.0/mlflow-artifacts/artifacts/0/", "/api/2.0/mlflow/logged-models/m/"};
    for (size_t r = 0; r < TD_COUNT_OF(roots); r++) {
        for (size_t i = 0; i < TD_COUNT_OF(good) + TD_COUNT_OF(bad); i++) {
            td_arena arena = {0};
            td_target target;
            td_err err = {0};
            char raw[128];
            bool fine = i < TD_COUNT_OF(good);
            snprintf(raw, sizeof raw, "%s%s", roots[r], fine ? good[i] : bad[i - TD_COUNT_OF(good)]);
            if ((td_target_parse(raw, &arena, &target, &err) == TD_OK) != fine) {
                fail_msg("\"%s\": %s", raw, err.text);
            }
            td_arena_done(&arena);
        }
    }
}

static void path__tells_of_a_name_that_is_repeated(void **state)
{
    (void)state;
    td_arena arena = {0};
    td_target target;
    td_err err = {0};
    assert_int_equal(td_target_parse("/a?b=1&c=2", &arena, &target, &err), TD_OK);
    assert_null(target.repeated);
    assert_int_equal(td_target_parse("/a?b=1&c=2&b=3", &arena, &target, &err), TD_OK);
    assert_string_equal(target.repeated, "b");
    assert_int_equal(target.pair_count, 3);
    assert_string_equal(td_target_query(&target, "b"), "1");
    td_arena_done(&arena);
}

static void path__limits_hold(void **state)
{
    (void)state;
    char text[TD_TARGET_LENGTH_MAX + 3];
    td_arena arena = {0};
    td_target target;
    td_err err = {0};
    memset(text, 'a', sizeof text);
    text[0] = '/';
    text[TD_TARGET_LENGTH_MAX] = 0;
    assert_int_equal(td_target_parse(text, &arena, &target, &err), TD_OK);
    text[TD_TARGET_LENGTH_MAX] = 'a';
    text[TD_TARGET_LENGTH_MAX + 1] = 0;
    assert_int_equal(td_target_parse(text, &arena, &target, &err), TD_LIMIT);
    char many[2 * TD_SEGMENTS_MAX + 3] = {0};
    for (int i = 0; i <= TD_SEGMENTS_MAX; i++) {
        memcpy(many + 2 * i, "/a", 2);
    }
    assert_int_equal(td_target_parse(many, &arena, &target, &err), TD_LIMIT);
    td_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path__splits_and_decodes_once),
        cmocka_unit_test(path__traversal_in_any_dress_is_refused),
        cmocka_unit_test(path__foreign_names_below_mlflow_hold_any_text_that_is_harmless),
        cmocka_unit_test(path__tells_of_a_name_that_is_repeated),
        cmocka_unit_test(path__limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
