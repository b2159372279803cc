/*
 * test_log.c: a line of the log stays one line, and a value one value, whatever a client wrote into it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/json.h"
#include "core/base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above */
#include <cmocka.h>

typedef struct captured {
    char text[8192];
    int saved, out[2];
} captured;

static void capture(captured *into)
{
    into->saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(into->out), 0);
    assert_int_equal(fcntl(into->out[0], F_SETFL, O_NONBLOCK), 0);
    assert_true(dup2(into->out[1], STDERR_FILENO) >= 0);
}

static const char *captured_text(captured *from)
{
    ssize_t size = read(from->out[0], from->text, sizeof from->text - 1);
    from->text[size > 0 ? size : 0] = 0;
    dup2(from->saved, STDERR_FILENO);
    close(from->saved);
    close(from->out[0]);
    close(from->out[1]);
    return from->text;
}

/* What comes after the time. */
static const char *without_time(const char *line)
{
    const char *space = strchr(line, ' ');
    assert_non_null(space);
    return space + 1;
}

static void log__text_lines_have_fields_and_the_request(void **state)
{
    (void)state;
    captured line;
    td_log_setup(TD_LOG_INFO, false);
    capture(&line);
    const td_log_field fields[] = {{"path", "/a b=\"c\"", 0}, {"status", NULL, 404}, {"user", "", 0}};
    const char *before = td_log_request("abc-123");
    td_log_event(TD_LOG_INFO, "access", "request", fields, TD_COUNT_OF(fields));
    assert_null(before);
    assert_string_equal(td_log_request(NULL), "abc-123");
    assert_string_equal(without_time(captured_text(&line)),
                        "info  access: request path=\"/a b=\\\"c\\\"\" status=404 user=\"\" request_id=abc-123\n");
}

static void log__nobody_forges_a_line(void **state)
{
    (void)state;
    captured line;
    td_log_setup(TD_LOG_INFO, false);
    capture(&line);
    const td_log_field field = {"path", "/x\n2026 error server: forged \x1b[31m", 0};
    td_log_event(TD_LOG_INFO, "access", "one\ntwo", &field, 1);
    td_log_info("access", "said \"%s\"", "x\r\ny");
    const char *text = captured_text(&line);
    size_t lines = 0;
    for (const char *c = text; *c; c++) {
        lines += *c == '\n';
        assert_true((unsigned char)*c >= 0x20 || *c == '\n');
    }
    assert_int_equal(lines, 2);
}

static void log__json_lines_parse_back(void **state)
{
    (void)state;
    captured line;
    td_log_setup(TD_LOG_INFO, true);
    capture(&line);
    const td_log_field fields[] = {{"path", "/\"\\\n", 0}, {"raw", "\xff\xfe", 0}, {"status", NULL, 200}};
    (void)td_log_request("r-1");
    td_log_event(TD_LOG_WARN, "access", "request", fields, TD_COUNT_OF(fields));
    (void)td_log_request(NULL);
    TD_CLEANUP(td_json_done) json_t *found = json_loads(captured_text(&line), 0, NULL);
    td_log_setup(TD_LOG_INFO, false);
    assert_non_null(found);
    assert_string_equal(json_string_value(json_object_get(found, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(found, "path")), "/\"\\\n");
    assert_string_equal(json_string_value(json_object_get(found, "raw")), "(not UTF-8)");
    assert_string_equal(json_string_value(json_object_get(found, "request_id")), "r-1");
    assert_int_equal(json_integer_value(json_object_get(found, "status")), 200);
}

static void log__levels_below_the_least_are_silent(void **state)
{
    (void)state;
    captured line;
    td_log_setup(TD_LOG_WARN, false);
    capture(&line);
    td_log_info("x", "quiet");
    td_log_warn("x", "loud");
    const char *text = captured_text(&line);
    td_log_setup(TD_LOG_INFO, false);
    assert_string_equal(without_time(text), "warn  x: loud\n");
}

static void log__too_many_fields_and_too_long_lines_end_somewhere(void **state)
{
    (void)state;
    captured line;
    static char huge[6000];
    memset(huge, 'x', sizeof huge - 1);
    td_log_field fields[TD_LOG_FIELDS_MAX + 3];
    for (size_t i = 0; i < TD_COUNT_OF(fields); i++) {
        fields[i] = (td_log_field){"n", NULL, (int64_t)i};
    }
    capture(&line);
    td_log_event(TD_LOG_INFO, "x", "many", fields, TD_COUNT_OF(fields));
    fields[0] = (td_log_field){"huge", huge, 0};
    td_log_event(TD_LOG_INFO, "x", "huge", fields, 1);
    const char *text = captured_text(&line);
    assert_non_null(strstr(text, "n=11\n"));
    assert_null(strstr(text, "n=12"));
    assert_true(strlen(text) < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log__text_lines_have_fields_and_the_request),
        cmocka_unit_test(log__nobody_forges_a_line),
        cmocka_unit_test(log__json_lines_parse_back),
        cmocka_unit_test(log__levels_below_the_least_are_silent),
        cmocka_unit_test(log__too_many_fields_and_too_long_lines_end_somewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
