/*
 * test_card.c: the model card says what is recorded, and text from outside cannot become markup.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/usecase.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char *card_of(const json_t *version)
{
    td_err err = {0};
    td_str text = {0};
    assert_int_equal(td_card_text(version, NULL, &text, &err), TD_OK);
    return td_str_take(&text);
}

static void card__tells_facts_in_fixed_order(void **state)
{
    (void)state;
    json_t *one = json_pack("{s:s, s:i, s:s, s:{s:f, s:f}}", "model", "pump", "version", 3, "created_by", "ana",
                            "metrics", "b", 0.5, "a", 0.25);
    json_t *two = json_pack("{s:{s:f, s:f}, s:s, s:i, s:s}", "metrics", "a", 0.25, "b", 0.5, "created_by", "ana",
                            "version", 3, "model", "pump");
    char *first = card_of(one), *second = card_of(two);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "# pump / 3\n"));
    assert_non_null(strstr(first, "| a | 0.25 |\n| b | 0.5 |\n"));
    assert_non_null(strstr(first, "No dataset and no code were named"));
    td_free_text(&first);
    td_free_text(&second);
    json_decref(one);
    json_decref(two);
}

static void card__markup_from_outside_is_text(void **state)
{
    (void)state;
    json_t *version = json_pack("{s:s, s:i, s:s}", "model", "pump", "version", 1, "description",
                                "<script>alert(1)</script>\n# not a title | [x](y)");
    char *text = card_of(version);
    assert_null(strstr(text, "<script>"));
    assert_null(strstr(text, "\n# not"));
    assert_non_null(strstr(text, "\\<script\\>alert(1)"));
    td_free_text(&text);
    json_decref(version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(card__tells_facts_in_fixed_order),
        cmocka_unit_test(card__markup_from_outside_is_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
