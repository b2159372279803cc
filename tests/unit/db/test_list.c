/*
 * test_list.c: pages follow each other without gaps in any order, and a cursor that is not one is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/db/cars.h"

/* All rows, by pages of `limit`, put together: "a b c". */
static void paged(const char *order, int64_t limit, char *out, size_t room)
{
    char cursor[TD_CURSOR_LENGTH_MAX] = "", names[256];
    size_t n = 0;
    out[0] = '\0';
    do {
        list_names(&(td_page){.order = order, .limit = limit, .cursor = cursor}, names, sizeof names, cursor);
        n += (size_t)snprintf(out + n, room - n, "%s%s", n > 0 ? " " : "", names);
    } while (cursor[0] != '\0');
}

static void orders(const char *order, const char *names)
{
    for (int64_t limit = 1; limit <= 5; limit++) {
        char got[256];
        paged(order, limit, got, sizeof got);
        if (strcmp(got, names) != 0) {
            fail_msg("order %s by %d gives \"%s\", not \"%s\"", order, (int)limit, got, names);
        }
    }
}

static void list__pages_in_any_order(void **state)
{
    (void)state;
    orders(NULL, "alfa beta delta gamma");
    orders("name DESC", "gamma delta beta alfa");
    orders("wheels", "alfa beta delta gamma");
    orders("wheels desc, name desc", "gamma delta beta alfa");
    orders("wheels ASC, car.name DESC", "beta alfa delta gamma");
    orders("built DESC", "delta gamma beta alfa");
    orders("electric desc,name", "gamma alfa beta delta");
}

static void list__puts_rows_without_a_value_last(void **state)
{
    (void)state;
    orders("maker", "alfa gamma beta delta");
    orders("maker DESC", "beta alfa gamma delta");
    orders("metrics.speed", "beta alfa delta gamma");
    orders("metrics.speed DESC", "alfa beta delta gamma");
    orders("tags.color, metrics.`top speed` DESC", "delta alfa beta gamma");
    orders("metric.\"top speed\", tag.color DESC, name DESC", "gamma beta alfa delta");
}

static td_code open_with(const td_page *page, const char *scope, td_err *err)
{
    static const td_list_query query = {.table = &cars_table, .columns = "c.name AS name", .from = "car c"};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    return td_list_open(cars_db, &query, scope, page, &list, err);
}

static void order__refuses_with_place(void **state)
{
    (void)state;
    static const struct {
        const char *order, *message;
        td_code code;
    } cases[] = {
        {"nam", "order_by, column 1: there is no nam; did you mean name?", TD_INVALID},
        {"name UP", "order_by, column 6: expected ASC, DESC, a comma or the end, found UP", TD_INVALID},
        {"name,", "expected a name", TD_INVALID},
        {"name; x", "expected ASC", TD_INVALID},
        {"owner", "something to order by", TD_INVALID},
        {"people.name", "something to order by", TD_INVALID},
        {"labels.x", "something to order by", TD_INVALID},
        {"name,wheels,maker,state,built", "more than 4 terms", TD_LIMIT},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        td_err err = {0};
        assert_int_equal(open_with(&(td_page){.order = cases[i].order}, "cars", &err), cases[i].code);
        if (strstr(err.text, cases[i].message) == NULL) {
            fail_msg("%s: %s", cases[i].order, err.text);
        }
    }
    char text[TD_ORDER_LENGTH_MAX + 2];
    memset(text, ' ', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    td_err err = {0};
    assert_int_equal(open_with(&(td_page){.order = text}, "cars", &err), TD_LIMIT);
}

static void list__refuses_limits(void **state)
{
    (void)state;
    td_err err = {0};
    assert_int_equal(open_with(&(td_page){.limit = TD_LIST_LIMIT_MAX}, "cars", &err), TD_OK);
    assert_int_equal(open_with(&(td_page){.limit = TD_LIST_LIMIT_MAX + 1}, "cars", &err), TD_INVALID);
    assert_int_equal(open_with(&(td_page){.limit = -1}, "cars", &err), TD_INVALID);
}

static void cursor_refused(const td_page *page, const char *scope)
{
    td_err err = {0};
    if (open_with(page, scope, &err) != TD_INVALID || strstr(err.text, "cursor: not one") == NULL) {
        fail_msg("cursor %.60s of %s is taken", page->cursor, scope);
    }
}

static void cursor__is_of_its_query_only(void **state)
{
    (void)state;
    char names[64], cursor[TD_CURSOR_LENGTH_MAX];
    td_err err = {0};
    list_names(&(td_page){.limit = 1, .filter = "wheels = 4", .order = "maker"}, names, sizeof names, cursor);
    td_page page = {.filter = "wheels = 4", .order = "maker", .cursor = cursor};
    assert_int_equal(open_with(&page, "cars", &err), TD_OK);
    cursor_refused(&page, "other");
    page.filter = "wheels = 6";
    cursor_refused(&page, "cars");
    page.filter = "wheels = 4";
    page.order = "maker DESC";
    cursor_refused(&page, "cars");
}

static void cursor__that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const garbage[] = {"x", "!!!!", "AAAA", "eyJvZmZzZXQiOiAxMDB9", "AAAAAAAAAAAAdAAEYWxmYQ", "beta",
                                          "-1", "a=b", "'; DROP TABLE car"};
    for (size_t i = 0; i < TD_COUNT_OF(garbage); i++) {
        cursor_refused(&(td_page){.cursor = garbage[i]}, "cars");
    }
    char names[64], cursor[TD_CURSOR_LENGTH_MAX], bent[TD_CURSOR_LENGTH_MAX + 2];
    list_names(&(td_page){.limit = 1}, names, sizeof names, cursor);
    for (size_t i = 0; cursor[i] != '\0'; i++) { /* no single character may differ */
        snprintf(bent, sizeof bent, "%s", cursor);
        bent[i] = bent[i] == 'A' ? 'Q' : 'A';
        cursor_refused(&(td_page){.cursor = bent}, "cars");
    }
    for (size_t i = 1; cursor[i] != '\0'; i++) { /* nor may it be cut */
        snprintf(bent, sizeof bent, "%.*s", (int)i, cursor);
        cursor_refused(&(td_page){.cursor = bent}, "cars");
    }
    memset(bent, 'A', sizeof bent - 1);
    bent[sizeof bent - 1] = '\0';
    cursor_refused(&(td_page){.cursor = bent}, "cars");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list__pages_in_any_order),
        cmocka_unit_test(list__puts_rows_without_a_value_last),
        cmocka_unit_test(order__refuses_with_place),
        cmocka_unit_test(list__refuses_limits),
        cmocka_unit_test(cursor__is_of_its_query_only),
        cmocka_unit_test(cursor__that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, cars_setup, cars_teardown);
}
