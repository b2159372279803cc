/*
 * test_record_view.c: what the scanner of records takes, and what it leaves to the JSON parser.
 *
 * That both say the same of what it takes is the fuzz target's to show (log_record), whose corpus runs as a test too.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/record_view.h"
#include "core/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILE_MAX ((size_t)4 * 1024 * 1024)

static bool scans(const char *text)
{
    TD_CLEANUP(td_record_view_done) td_record_view view;
    return td_record_view__scan(text, strlen(text), &view);
}

static void record_view__tells_the_members(void **state)
{
    (void)state;
    static const char body[] =
        "{\"action\":\"approve.version\",\"actor\":{\"authentication\":\"token\",\"id\":\"Bj\xC3\xB8rn\"},"
        "\"after\":{\"digest\":\"sha256:00\",\"facts\":{\"key_id\":\"k\"}},\"links\":{\"alert\":\"a\",\"version\":"
        "\"pump/2\"},\"object\":{\"digest\":\"sha256:11\",\"id\":\"pump/1\",\"type\":\"version\"},\"outcome\":\"done\","
        "\"project\":\"oslo\",\"seq\":17,\"time\":\"2026-01-02T03:04:05.678Z\",\"v\":1}";
    TD_CLEANUP(td_record_view_done) td_record_view view;
    assert_int_equal(td_record_view_read(body, strlen(body), &view, NULL), TD_OK);
    assert_null(view.tree); /* the scanner took it */
    assert_string_equal(view.action, "approve.version");
    assert_string_equal(view.actor, "Bj\xC3\xB8rn");
    assert_string_equal(view.version, "pump/2");
    assert_string_equal(view.digest, "sha256:11");
    assert_string_equal(view.object, "pump/1");
    assert_string_equal(view.type, "version");
    assert_string_equal(view.outcome, "done");
    assert_string_equal(view.project, "oslo");
    assert_string_equal(view.time, "2026-01-02T03:04:05.678Z");
    assert_true(view.seq == 17 && view.v == 1);
    assert_int_equal(td_record_view_facts(&view, NULL), TD_OK);
    assert_string_equal(td_json_text(view.after.tree, "key_id", ""), "k");
    assert_null(view.before.tree);
}

static void record_view__says_what_is_not_there(void **state)
{
    (void)state;
    TD_CLEANUP(td_record_view_done) td_record_view view;
    assert_int_equal(td_record_view_read("{}", 2, &view, NULL), TD_OK);
    assert_string_equal(view.action, "");
    assert_null(view.digest);
    assert_null(view.version);
    assert_true(view.seq == -1 && view.v == 0);
}

static void record_view__leaves_other_forms_to_the_parser(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "[]",
        "{\"a\":1}x",
        "{\"a\": 1}",
        "{\"b\":1,\"a\":1}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":\"\\n\"}",
        "{\"a\":\"\n\"}",
        "{\"\\u0061\":1}",
        "{\"a\":1.0}",
        "{\"a\":1e3}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1234567890123456789}",
        "{\"a\":\"\xED\xA0\x80\"}",
        "{\"a\":\"\xC0\xAF\"}",
        "{\"a\":\"\xF4\x90\x80\x80\"}",
        "{\"a\":\"\xE2\x82\"}",
        "{\"a\":tru}",
        "{\"a\":[1,]}",
        "{\"a\":{}",
        "{\"a\":\"",
        "{,}",
        "{\"action\":7}",
        "{\"actor\":\"ana\"}",
        "{\"links\":{\"version\":null}}",
        "{\"seq\":\"1\"}",
    };
    for (size_t i = 0; i < TD_COUNT_OF(others); i++) {
        if (scans(others[i])) {
            fail_msg("taken: %s", others[i]);
        }
    }
    assert_true(scans("{\"a\":[true,false,null,{},[],0,-12,123456789012345678,\"\xF0\x9F\x98\x80\"]}"));
}

/* An object, and in it as many levels as make `depth`. */
static bool scans_nested(const char *open, const char *close, int depth)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_add(&text, "{\"a\":");
    for (int i = 1; i < depth; i++) {
        td_str_add(&text, open);
    }
    td_str_add(&text, "1");
    for (int i = 1; i < depth; i++) {
        td_str_add(&text, close);
    }
    td_str_add(&text, "}");
    return scans(td_str_text(&text));
}

static void record_view__knows_its_limits(void **state)
{
    (void)state;
    assert_true(scans_nested("[", "]", TD_JSON_DEPTH_MAX));
    assert_false(scans_nested("[", "]", TD_JSON_DEPTH_MAX + 1));
    assert_true(scans_nested("{\"a\":", "}", TD_JSON_DEPTH_MAX));
    assert_false(scans_nested("{\"a\":", "}", TD_JSON_DEPTH_MAX + 1));
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_add(&text, "{\"actor\":{\"id\":\"");
    for (size_t i = 0; i < TD_RECORD_VIEW_TEXT; i++) {
        td_str_add_char(&text, 'a');
    }
    td_str_add(&text, "\"}}");
    TD_CLEANUP(td_record_view_done) td_record_view view;
    assert_false(scans(td_str_text(&text)));
    assert_int_equal(td_record_view_read(td_str_text(&text), text.size, &view, NULL), TD_OK);
    assert_int_equal(strlen(view.actor), TD_RECORD_VIEW_TEXT);
}

static void record_view__takes_what_servers_write(void **state)
{
    (void)state;
    char path[4096];
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *root = getenv("TD_SOURCE_DIR");
    int taken = 0, plain = 0;
    snprintf(path, sizeof path, "%s/tests/golden/audit/records.jsonl", root != NULL ? root : ".");
    assert_int_equal(td_file_read(path, FILE_MAX, &text, NULL), TD_OK);
    for (char *line = text.data, *end = strchr(line, '\n'); end != NULL; line = end + 1, end = strchr(line, '\n')) {
        *end = '\0';
        plain += strchr(line, '\\') == NULL;
        taken += scans(line);
    }
    assert_true(plain > 80);
    assert_int_equal(taken, plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_view__tells_the_members),
        cmocka_unit_test(record_view__says_what_is_not_there),
        cmocka_unit_test(record_view__leaves_other_forms_to_the_parser),
        cmocka_unit_test(record_view__knows_its_limits),
        cmocka_unit_test(record_view__takes_what_servers_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
