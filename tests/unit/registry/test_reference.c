/*
 * test_reference.c: every accepted spelling of a version, and what is said of the others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>

static void reference__every_form_means_the_same(void **state)
{
    (void)state;
    static const char *const forms[][2] = {
        {"pump/3", "pump/3"},
        {"models:/pump/3", "pump/3"},
        {"azureml:pump:3", "pump/3"},
        {"pump@champion", "pump@champion"},
        {"models:/pump@champion", "pump@champion"},
        {"azureml:pump@champion", "pump@champion"},
        {"A.b_c-9/4294967295", "A.b_c-9/4294967295"},
        {"models/7", "models/7"}, /* a model may be called so */
        {"azureml/7", "azureml/7"},
        {"7/7", "7/7"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(forms); i++) {
        td_reference reference;
        char text[TD_REFERENCE_TEXT_SIZE];
        assert_int_equal(td_reference_parse(forms[i][0], &reference, NULL), TD_OK);
        assert_true((reference.alias[0] == '\0') == (reference.number > 0));
        td_reference_write(&reference, text);
        assert_string_equal(text, forms[i][1]);
    }
}

static void reference__what_is_none_is_told_the_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "pump",
        "pump/",
        "pump/0",
        "pump/-1",
        "pump/+1",
        "pump/2x",
        "pump/ 2",
        "/2",
        "pump/4294967296",
        "pump/2/3",
        "pump/@champion",
        "pump:3",
        "models:/",
        "models:",
        "models:/pump",
        "azureml:",
        "azureml:pump",
        "azureml:pump/3",
        "azureml:pump:",
        "azureml:pump:3:4",
        "models:/pump:3",
        "models://pump/3",
        "azureml:/pump/3",
        "models:/models:/pump/3",
        "pump\n/3",
        "version:pump/3",
        "Models:/pump/3",
        "pump//3",
    };
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        td_reference reference = {.number = 77};
        td_err err = {0};
        assert_int_equal(td_reference_parse(bad[i], &reference, &err), TD_INVALID);
        assert_int_equal(reference.number, 77); /* untouched */
        assert_true(strstr(err.text, TD_REFERENCE_FORMS) != NULL || strstr(err.text, "is no model name") != NULL);
    }
}

static void says(const char *text, const char *expected)
{
    td_reference reference;
    td_err err = {0};
    assert_int_equal(td_reference_parse(text, &reference, &err), TD_INVALID);
    if (strstr(err.text, expected) == NULL) {
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.text, expected);
    }
}

static void reference__a_mistake_is_named(void **state)
{
    (void)state;
    says("pump/champion", "an alias is written pump@champion");
    says("azureml:pump:champion", "an alias is written pump@champion");
    says("pump@3", "is no alias");
    says("models:/pump@.champion", "is no alias");
    says("-pump/3", "is no model name");
    char name[TD_MODEL_NAME_MAX + 4];
    memset(name, 'a', sizeof name);
    memcpy(name + TD_MODEL_NAME_MAX, "/3", 3);
    td_reference reference;
    assert_int_equal(td_reference_parse(name, &reference, NULL), TD_OK); /* the longest name */
    memcpy(name + TD_MODEL_NAME_MAX, "a/3", 4);
    says(name, TD_REFERENCE_FORMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference__every_form_means_the_same),
        cmocka_unit_test(reference__what_is_none_is_told_the_forms),
        cmocka_unit_test(reference__a_mistake_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
