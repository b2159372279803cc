/*
 * test_text.c: errors, growing text, encodings, numbers, times, states and queues.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/clock.h"
#include "core/base/queue.h"
#include "core/base/states.h"
#include "core/base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void err__cuts_long_text_at_a_character(void **state)
{
    (void)state;
    char longer[400];
    memset(longer, 'x', sizeof longer);
    memcpy(longer + 238, "\xC3\xA9", 2); /* é across the end of the buffer */
    longer[399] = '\0';
    td_err err = {0};
    assert_int_equal(td_fail(&err, TD_INVALID, "%s", longer), TD_INVALID);
    assert_int_equal(strlen(err.text), 238);
}

static void err__wrap_prepends_and_keeps_the_code(void **state)
{
    (void)state;
    td_err err = {0};
    (void)td_fail_errno(&err, ENOSPC, "writing content");
    assert_int_equal(err.code, TD_LIMIT);
    assert_int_equal(td_wrap(&err, "registering %s", "pump"), TD_LIMIT);
    assert_non_null(strstr(err.text, "registering pump: writing content: No space"));
}

static void str__stops_at_its_limit_and_says_so(void **state)
{
    (void)state;
    TD_CLEANUP(td_str_done) td_str text = {.limit = 10};
    td_str_add(&text, "123456");
    td_str_addf(&text, "%s", "78901");
    td_str_add(&text, "x");
    td_err err;
    assert_int_equal(td_str_check(&text, &err), TD_LIMIT);
    assert_string_equal(td_str_text(&text), "123456");
}

static void encoding__base64_has_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *text, *plain;
    } good[] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYmFy", "foobar"}}; /* RFC 4648 §10 */
    uint8_t out[16];
    size_t size;
    for (size_t i = 0; i < TD_COUNT_OF(good); i++) {
        assert_int_equal(td_base64_decode(good[i].text, strlen(good[i].text), out, sizeof out, &size, NULL), TD_OK);
        assert_int_equal(size, strlen(good[i].plain));
        assert_memory_equal(out, good[i].plain, size);
        TD_CLEANUP(td_str_done) td_str again = {0};
        td_base64_add(&again, good[i].plain, size);
        assert_string_equal(td_str_text(&again), good[i].text);
    }
    static const char *const bad[] = {"Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zg==Zg==", "-_-_"};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        assert_int_equal(td_base64_decode(bad[i], strlen(bad[i]), out, sizeof out, &size, NULL), TD_INVALID);
    }
    assert_int_equal(td_base64_decode("Zm9vYmFy", 8, out, 5, &size, NULL), TD_LIMIT);
}

static void parse__numbers_are_whole_or_refused(void **state)
{
    (void)state;
    int64_t value;
    double real;
    assert_int_equal(td_parse_int("-12", "n", -20, 20, &value, NULL), TD_OK);
    assert_int_equal(value, -12);
    static const char *const bad[] = {"", " 1", "1 ", "12x", "+1", "0x10", "99999999999999999999", "21"};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        assert_int_equal(td_parse_int(bad[i], "n", -20, 20, &value, NULL), TD_INVALID);
    }
    assert_int_equal(td_parse_double("1e3", "x", &real, NULL), TD_OK);
    assert_int_equal(td_parse_double("nan", "x", &real, NULL), TD_INVALID);
    assert_int_equal(td_parse_double("1e999", "x", &real, NULL), TD_INVALID);
    assert_int_equal(td_parse_double("0x1p3", "x", &real, NULL), TD_INVALID);
}

static void nearest__finds_a_typo_but_no_stranger(void **state)
{
    (void)state;
    static const char *const names[] = {"version", "path", "datasets", NULL};
    assert_string_equal(td_nearest("vesion", names), "version");
    assert_string_equal(td_nearest("dataset", names), "datasets");
    assert_null(td_nearest("colour", names));
}

static void clock__times_go_there_and_back(void **state)
{
    (void)state;
    static const char *const times[] = {"1970-01-01T00:00:00.000Z", "2000-02-29T23:59:59.999Z",
                                        "2026-03-01T10:00:00.000Z", "1969-12-31T23:59:59.999Z"};
    char text[32];
    int64_t ms;
    for (size_t i = 0; i < TD_COUNT_OF(times); i++) {
        assert_int_equal(td_parse_time(times[i], &ms, NULL), TD_OK);
        td_format_time(ms, text);
        assert_string_equal(text, times[i]);
    }
    assert_int_equal(td_parse_time("2026-03-01T12:00:00+02:00", &ms, NULL), TD_OK);
    td_format_time(ms, text);
    assert_string_equal(text, "2026-03-01T10:00:00.000Z");
    assert_int_equal(td_parse_time("2025-02-29", &ms, NULL), TD_INVALID);
    assert_int_equal(td_parse_time("2026-03-01T10:00:00", &ms, NULL), TD_INVALID);
}

static void clock__durations(void **state)
{
    (void)state;
    int64_t ms;
    assert_int_equal(td_parse_duration("7d", &ms, NULL), TD_OK);
    assert_int_equal(ms, 7 * 86400000LL);
    assert_int_equal(td_parse_duration("90", &ms, NULL), TD_OK);
    assert_int_equal(ms, 90000);
    assert_int_equal(td_parse_duration("", &ms, NULL), TD_INVALID);
    assert_int_equal(td_parse_duration("5 m", &ms, NULL), TD_INVALID);
    assert_int_equal(td_parse_duration("-5m", &ms, NULL), TD_INVALID);
    assert_int_equal(td_parse_duration("999999999999d", &ms, NULL), TD_INVALID);
}

static void states__names_the_open_ways(void **state)
{
    (void)state;
    static const char *const names[] = {"draft", "pending", "approved", NULL};
    static const td_arrow arrows[] = {{0, 1}, {1, 2}};
    static const td_states table = {"version", names, arrows, 2};
    td_err err;
    assert_int_equal(td_states_check(&table, "pump/3", 0, 1, &err), TD_OK);
    assert_int_equal(td_states_check(&table, "pump/3", 0, 2, &err), TD_CONFLICT);
    assert_string_equal(err.text, "version pump/3 is draft; it can move to pending, not to approved");
    assert_int_equal(td_states_check(&table, "pump/3", 2, 0, &err), TD_CONFLICT);
    assert_string_equal(err.text, "version pump/3 is approved, which is final");
}

static void queue__is_bounded_and_drains_after_close(void **state)
{
    (void)state;
    td_queue *queue = NULL;
    int items[3];
    void *got[4];
    assert_int_equal(td_queue_new(2, &queue, NULL), TD_OK);
    assert_true(td_queue_try_push(queue, &items[0]));
    assert_true(td_queue_try_push(queue, &items[1]));
    assert_false(td_queue_try_push(queue, &items[2]));
    td_queue_close(queue);
    assert_int_equal(td_queue_pop(queue, got, 4, -1), 2);
    assert_ptr_equal(got[0], &items[0]);
    assert_int_equal(td_queue_pop(queue, got, 4, -1), 0);
    td_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err__cuts_long_text_at_a_character),
        cmocka_unit_test(err__wrap_prepends_and_keeps_the_code),
        cmocka_unit_test(str__stops_at_its_limit_and_says_so),
        cmocka_unit_test(encoding__base64_has_one_spelling),
        cmocka_unit_test(parse__numbers_are_whole_or_refused),
        cmocka_unit_test(nearest__finds_a_typo_but_no_stranger),
        cmocka_unit_test(clock__times_go_there_and_back),
        cmocka_unit_test(clock__durations),
        cmocka_unit_test(states__names_the_open_ways),
        cmocka_unit_test(queue__is_bounded_and_drains_after_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
