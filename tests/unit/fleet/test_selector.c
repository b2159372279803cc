/*
 * test_selector.c: which devices a selector means, and what it says of one that it does not understand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/fleet/fleet_fixture.h"

#include "fleet/selector.h"

static bool matches(const char *text)
{
    td_err err = {0};
    td_selector selector;
    must(td_selector__parse(text, &selector, &err), &err);
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s, s:s, s:s}", "site", "oslo", "line", "b", "battery", "");
    TD_CLEANUP(td_json_done) json_t *runtimes = json_pack("[s, s]", "onnx", "tflite");
    td_device_facts facts = {.device = "pump-07",
                             .hardware = "rpi-4",
                             .state = "enrolled",
                             .tags = tags,
                             .runtimes = runtimes,
                             .running = "pump/3 fan/12",
                             .ram_mb = 512,
                             .storage_mb = 90,
                             .online = true};
    return td_selector__matches(&selector, &facts);
}

static void selector__means_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool holds;
    } cases[] = {
        {"all", true},
        {"site=oslo", true},
        {"site = 'oslo' and ram_mb >= 512", true},
        {"site=bergen", false},
        {"site = \"oslo\" and ram_mb > 512", false},
        {"not site=bergen", true},
        {"not (site=oslo or line=a)", false},
        {"line in (a, b)", true},
        {"line in (a,c) or hardware='rpi-4'", true},
        {"site=oslo and line=a or online", true},
        {"site!=oslo", false},
        {"unknown!=x", true},
        {"unknown=x", false},
        {"unknown", false},
        {"line", true},
        {"runtime=onnx", true},
        {"runtime=tflite and runtime=onnx", true},
        {"runtime!=onnx", false},
        {"runtime=gguf", false},
        {"model=pump", true},
        {"model=pump/3", true},
        {"model=pump/33", false},
        {"model=pum", false},
        {"model=fan/1", false},
        {"model=fan/12", true},
        {"device=pump-07", true},
        {"ram_mb=512.0", true},
        {"storage_mb<1e2", true},
        {"site<zzz", false},
        {"online=true", true},
        {"state=enrolled", true},
        {"not not all", true},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        if (matches(cases[i].text) != cases[i].holds) {
            fail_msg("%s should%s match", cases[i].text, cases[i].holds ? "" : " not");
        }
    }
}

static void selector__errors_name_the_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "column 1"},
        {"site=", "column 6"},
        {"site=oslo and", "column 14"},
        {"(site=oslo", "column 11"},
        {"site=oslo)", "column 10"},
        {"site='oslo", "column 6"},
        {"line in a", "\"(\" after in"},
        {"line in (a b)", "\",\" or \")\""},
        {"site=oslo line=b", "column 11"},
        {"=x", "column 1"},
        {"site=oslo;drop", "column 10"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        td_err err = {0};
        refused(td_selector_check(cases[i].text, &err), &err, TD_INVALID, cases[i].part);
    }
}

static void selector__limits_bite(void **state)
{
    (void)state;
    td_err err = {0};
    char deep[200] = "", wide[2000] = "a";
    for (int i = 0; i < 30; i++) {
        strncat(deep, "(", sizeof deep - strlen(deep) - 1);
    }
    refused(td_selector_check(deep, &err), &err, TD_LIMIT, "16 deep");
    for (int i = 0; i < 90; i++) {
        strncat(wide, " or a", sizeof wide - strlen(wide) - 1);
    }
    refused(td_selector_check(wide, &err), &err, TD_LIMIT, "terms");
    memset(wide, 'a', sizeof wide - 1);
    refused(td_selector_check(wide, &err), &err, TD_LIMIT, "1024");
}

static void selector__device_names_keep_to_the_grammar(void **state)
{
    (void)state;
    td_err err = {0};
    must(td_device_check_name("pump-07", &err), &err);
    const char *const bad[] = {"",
                               "Pump",
                               "a_b",
                               "-a",
                               "a-",
                               "a/b",
                               "a+",
                               "_",
                               "ab#",
                               "a b",
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        assert_int_equal(td_device_check_name(bad[i], &err), TD_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selector__means_what_it_says),
        cmocka_unit_test(selector__errors_name_the_column),
        cmocka_unit_test(selector__limits_bite),
        cmocka_unit_test(selector__device_names_keep_to_the_grammar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
