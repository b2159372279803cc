/*
 * test_rate.c: buckets fill with time, hold so much, and are nobody else's.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http_rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int burst(td_rate *rate, const char *key, int64_t now_ms, int64_t *wait_ms)
{
    int count = 0;
    while (count < 100000 && td_rate_take(rate, key, strlen(key), now_ms, wait_ms)) {
        count++;
    }
    return count;
}

static void rate__holds_two_seconds_worth_and_fills_with_time(void **state)
{
    (void)state;
    td_err err = {0};
    td_rate *rate;
    int64_t wait_ms = 0;
    assert_int_equal(td_rate_new(10, &rate, &err), TD_OK);
    assert_int_equal(burst(rate, "a", 1000, &wait_ms), 20);
    assert_int_equal(wait_ms, 100);
    assert_int_equal(burst(rate, "b", 1000, &wait_ms), 20);
    assert_int_equal(burst(rate, "a", 1099, &wait_ms), 0);
    assert_int_equal(wait_ms, 1);
    assert_int_equal(burst(rate, "a", 1100, &wait_ms), 1);
    assert_int_equal(burst(rate, "a", 1600, &wait_ms), 5);
    assert_int_equal(burst(rate, "a", 1000000, &wait_ms), 20);
    td_rate_free(&rate);
}

static void rate__a_full_table_refuses_nobody(void **state)
{
    (void)state;
    td_err err = {0};
    td_rate *rate;
    int64_t wait_ms = 0;
    assert_int_equal(td_rate_new(1, &rate, &err), TD_OK);
    for (int i = 0; i < 100000; i++) {
        assert_true(td_rate_take(rate, &i, sizeof i, i, &wait_ms));
    }
    td_rate_free(&rate);
}

static void rate__zero_is_no_limit(void **state)
{
    (void)state;
    td_err err = {0};
    td_rate *rate;
    int64_t wait_ms = 0;
    assert_int_equal(td_rate_new(0, &rate, &err), TD_OK);
    assert_null(rate);
    assert_int_equal(burst(rate, "a", 0, &wait_ms), 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate__holds_two_seconds_worth_and_fills_with_time),
        cmocka_unit_test(rate__a_full_table_refuses_nobody),
        cmocka_unit_test(rate__zero_is_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
