/*
 * test_filter.c: what a filter finds, what it refuses and how it says so, and that nothing of its text becomes SQL.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/db/cars.h"

/* The names that a filter finds, "a b c" in order of name. */
static const char *found(const char *filter)
{
    static char names[256];
    list_names(&(td_page){.filter = filter}, names, sizeof names, NULL);
    return names;
}

static void finds(const char *filter, const char *names)
{
    const char *got = found(filter);
    if (strcmp(got, names) != 0) {
        fail_msg("%s finds \"%s\", not \"%s\"", filter, got, names);
    }
}

static void refused(const char *filter, td_code code, const char *message)
{
    td_err err = {0};
    td_filter *parsed = NULL;
    assert_int_equal(td_filter_parse(filter, &cars_table, &parsed, &err), code);
    if (strstr(err.text, message) == NULL) {
        fail_msg("%s: \"%s\" lacks \"%s\"", filter, err.text, message);
    }
}

static void filter__compares_attributes(void **state)
{
    (void)state;
    finds(NULL, "alfa beta delta gamma");
    finds("  ", "alfa beta delta gamma");
    finds("name = 'alfa'", "alfa");
    finds("attribute.name='alfa'", "alfa");
    finds("attributes.`name` = \"alfa\"", "alfa");
    finds("car.name != 'alfa'", "beta delta gamma");
    finds("wheels > 4", "delta gamma");
    finds("wheels >= 4 AND wheels < 6 and name <> 'beta'", "alfa");
    finds("wheels <= '4.0'", "alfa beta");
    finds("wheels IN (4, 8)", "alfa beta gamma");
    finds("wheels not in (4,8,)", "delta");
    finds("name NOT IN ('alfa', \"beta\")", "delta gamma");
    finds("electric = true", "gamma");
    finds("electric != TRUE", "alfa beta delta");
    finds("state = 'NEW'", "alfa");
    finds("maker IS NULL", "delta");
    finds("maker is not null AND wheels=4", "alfa beta");
}

static void filter__understands_times(void **state)
{
    (void)state;
    finds("built >= '2026-03-01'", "beta delta gamma");
    finds("built < '2026-03-01T00:00:00Z'", "alfa");
    finds("built > 1772323200000 and built != '2026-03-02T00:00:00.000Z'", "delta gamma");
}

static void filter__tells_case_apart_in_like_only(void **state)
{
    (void)state;
    finds("name LIKE 'a%'", "alfa");
    finds("name LIKE 'A%'", "");
    finds("name ILIKE 'A%'", "alfa");
    finds("name like '%a' AND name LIKE '_e%'", "beta delta");
    finds("tags.note LIKE '100*%'", "alfa");
    finds("tags.note LIKE '%[x]?'", "beta");
    finds("tags.note LIKE '1*'", "");
}

static void filter__compares_keyed_rows(void **state)
{
    (void)state;
    finds("tags.color = 'red'", "alfa beta");
    finds("tag.color != 'red'", "delta");
    finds("tag.`color` = 'red' AND tags.\"note\" LIKE '1%'", "alfa");
    finds("tags.color = 'red' AND tags.note = '[x]?' AND metrics.speed > 1", "beta");
    finds("tags.color IN ('blue', 'red')", "alfa beta delta");
    finds("tags.color NOT IN ('blue')", "alfa beta");
    finds("tags.color IS NULL", "gamma");
    finds("tags.color IS NOT NULL", "alfa beta delta");
    finds("metrics.speed > 100.5", "alfa");
    finds("metrics.speed<=100", "beta");
    finds("metric.`top speed` = 1e2", "gamma");
    finds("tags.a.dotted/key:x = 'it''s'", "gamma");
    finds("labels.color != 'red'", "delta gamma"); /* a family whose missing keys match */
    finds("labels.color NOT IN ('red', 'blue')", "gamma");
}

static void filter__compares_many_valued_attributes(void **state)
{
    (void)state;
    finds("owner = 'ann'", "alfa beta");
    finds("owner != 'ann'", "delta gamma");
    finds("owner LIKE 'b%'", "alfa");
    finds("owner IS NULL", "delta gamma");
    finds("person.name = 'bob' AND people.name IS NOT NULL", "alfa");
}

static void filter__takes_a_missing_special_key_for_its_value(void **state)
{
    (void)state;
    finds("tags.hidden != 'true'", "alfa beta delta");
    finds("tags.hidden = 'true'", "gamma");
    finds("tags.hidden = 'false'", "alfa beta delta");
    finds("tags.hidden IN ('true', 'false')", "alfa beta delta gamma");
    finds("tags.hidden = 'x'", "");
    finds("tags.hidden LIKE 't%'", "gamma");
    finds("tags.fuel = 'petrol'", "alfa beta delta");
    finds("tags.fuel != 'petrol'", "gamma");
    finds("tags.fuel IS NULL", "alfa beta delta");
}

static void filter__refuses_with_place_and_expectation(void **state)
{
    (void)state;
    refused("nam = 'x'", TD_INVALID, "filter, column 1: there is no nam; did you mean name?");
    refused("zzzzzzzz = 'x'", TD_INVALID, "there are name, wheels");
    refused("tags = 'x'", TD_INVALID, "expected a key (tags.NAME)");
    refused("foo.bar = 'x'", TD_INVALID, "there is no foo");
    refused("name 'x'", TD_INVALID, "filter, column 6: expected a comparison");
    refused("name = x", TD_INVALID, "filter, column 8: expected text in quotes: '…', found x");
    refused("name = ", TD_INVALID, "found the end");
    refused("name = 'x", TD_INVALID, "column 8: the quote ' is never closed");
    refused("tags.`x = 'y'", TD_INVALID, "column 6: the quote ` is never closed");
    refused("name = 'x' OR name = 'y'", TD_INVALID, "filter, column 12: expected AND or the end, found OR");
    refused("name = 'x'; DROP TABLE car", TD_INVALID, "expected AND or the end");
    refused("name = 'x' AND", TD_INVALID, "expected a name");
    refused("(name = 'x')", TD_INVALID, "expected a name");
    refused("name < 'x'", TD_INVALID, "column 6: expected = != LIKE ILIKE or IN");
    refused("wheels LIKE '4'", TD_INVALID, "(this is a number)");
    refused("electric > true", TD_INVALID, "(this is true or false)");
    refused("wheels = 'four'", TD_INVALID, "column 10: expected a number");
    refused("metrics.speed > nan", TD_INVALID, "expected a number");
    refused("built > 'yesterday'", TD_INVALID, "expected a time");
    refused("state = 'odd'", TD_INVALID, "expected new, used, found 'odd'");
    refused("wheels IS NULL", TD_INVALID, "this is never NULL");
    refused("name IN ()", TD_INVALID, "expected a value");
    refused("name IN 'x'", TD_INVALID, "( after IN");
    refused("name IN ('x'", TD_INVALID, ", or )");
    refused("name NOT LIKE 'x'", TD_INVALID, "IN after NOT");
    refused("name IS 'x'", TD_INVALID, "NULL or NOT NULL");
    refused("tags.\x01 = 'x'", TD_INVALID, "expected a key after the dot, bare or in `…`, found ?");
    refused("tags.`` = 'x'", TD_INVALID, "a key after the dot");
    refused("people.birthday = 'x'", TD_INVALID, "there is no birthday; there are name");
}

static void filter__keeps_its_limits(void **state)
{
    (void)state;
    TD_CLEANUP(td_str_done) td_str text = {0};
    for (int i = 0; i < TD_FILTER_COMPARISONS_MAX; i++) {
        td_str_addf(&text, "%sname != 'x%d'", i > 0 ? " AND " : "", i);
    }
    finds(td_str_text(&text), "alfa beta delta gamma");
    td_str_add(&text, " AND name = 'x'");
    refused(td_str_text(&text), TD_LIMIT, "more than 32 comparisons");
    td_str_clear(&text);
    td_str_add(&text, "wheels IN (4");
    for (int i = 1; i < TD_FILTER_ITEMS_MAX; i++) {
        td_str_addf(&text, ",%d", 1000 + i);
    }
    td_str_add(&text, ")");
    finds(td_str_text(&text), "alfa beta");
    td_str_add(&text, " AND wheels = 4");
    refused(td_str_text(&text), TD_LIMIT, "more than 512 values");
    td_str_clear(&text);
    td_str_addf(&text, "tags.%0251d = 'x'", 1);
    refused(td_str_text(&text), TD_LIMIT, "a key has at most 250 bytes");
    td_str_clear(&text);
    td_str_addf(&text, "name = '%016384d'", 1);
    refused(td_str_text(&text), TD_LIMIT, "at most 16384");
}

/* Keys and values come back as data, whatever they hold. */
static void filter__binds_and_never_splices(void **state)
{
    (void)state;
    finds("name = 'x'' OR 1=1 --'", "");
    finds("tags.`color' OR '1'='1` = 'red'", "");
    finds("tags.`a`` b` = 'red'", "");
    td_filter *filter = NULL;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str sql = {0};
    const char *text = "tags.SECRET = 'SECRET' AND name IN ('SECRET')";
    assert_int_equal(td_filter_parse(text, &cars_table, &filter, &err), TD_OK);
    assert_int_equal(td_filter_count(filter), 2);
    td_filter_sql(filter, &sql);
    td_filter_free(&filter);
    assert_null(strstr(td_str_text(&sql), "SECRET"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter__compares_attributes),
        cmocka_unit_test(filter__understands_times),
        cmocka_unit_test(filter__tells_case_apart_in_like_only),
        cmocka_unit_test(filter__compares_keyed_rows),
        cmocka_unit_test(filter__compares_many_valued_attributes),
        cmocka_unit_test(filter__takes_a_missing_special_key_for_its_value),
        cmocka_unit_test(filter__refuses_with_place_and_expectation),
        cmocka_unit_test(filter__keeps_its_limits),
        cmocka_unit_test(filter__binds_and_never_splices),
    };
    return cmocka_run_group_tests(tests, cars_setup, cars_teardown);
}
