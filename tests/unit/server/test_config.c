/*
 * test_config.c: default < file < environment < flag, and every mistake named with its place.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static td_code parse(const char *text, char *const *environment, const char *const *overrides, td_config **out,
                     td_err *err)
{
    return td_config_parse(text, strlen(text), "tidemark.yaml", environment, overrides, out, err);
}

static void config__later_sources_win(void **state)
{
    (void)state;
    td_config *config = NULL;
    td_err err = {0};
    assert_int_equal(parse("", NULL, NULL, &config, &err), TD_OK);
    assert_int_equal(td_config_int(config, "http.port"), 7070);
    assert_string_equal(td_config_origin(config, "http.port"), "default");
    td_config_free(&config);
    char *environment[] = {(char *)"TIDEMARK_HTTP_PORT=2", (char *)"TIDEMARK_LOG_LEVEL=warn", NULL};
    const char *overrides[] = {"http.port=3", NULL};
    assert_int_equal(
        parse("http:\n  port: 1\n  timeout: 5s\nlog.level: debug\n", environment, overrides, &config, &err), TD_OK);
    assert_int_equal(td_config_int(config, "http.port"), 3);
    assert_string_equal(td_config_text(config, "log.level"), "warn");
    assert_int_equal(td_config_int(config, "http.timeout"), 5000);
    assert_string_equal(td_config_origin(config, "http.timeout"), "file");
    td_config_free(&config);
}

static void expect_error(const char *text, const char *const *overrides, const char *part)
{
    td_config *config = NULL;
    td_err err = {0};
    assert_int_equal(parse(text, NULL, overrides, &config, &err), TD_INVALID);
    if (!strstr(err.text, part)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    }
    assert_null(config);
}

static void config__mistakes_name_line_and_nearest_key(void **state)
{
    (void)state;
    expect_error("profile: demo\nhttp:\n  prot: 1\n", NULL,
                 "tidemark.yaml:3: unknown key \"http.prot\"; did you mean \"http.port\"?");
    expect_error("profile: dmeo\n", NULL, "tidemark.yaml:1: profile must be one of demo, team, regulated");
    expect_error("http.port: 99999\n", NULL, "http.port must be from 0 to 65535");
    expect_error("http.port: ten\n", NULL, "http.port must be a whole number");
    expect_error("log.json: maybe\n", NULL, "log.json must be true or false");
    expect_error("http.timeout: soon\n", NULL, "http.timeout must be a duration");
    expect_error("- a\n", NULL, "key: value");
    const char *no_value[] = {"http.port", NULL}, *unknown[] = {"http.pot=1", NULL};
    expect_error("", no_value, "key=value");
    expect_error("", unknown, "did you mean \"http.port\"?");
}

static void config__dump_can_be_read_again(void **state)
{
    (void)state;
    td_config *config = NULL, *again = NULL;
    td_err err = {0};
    const char *overrides[] = {"http.port=0", "mqtt.url=mqtts://broker.example:8883", "http.hosts=a.example,b.example",
                               NULL};
    assert_int_equal(parse("", NULL, overrides, &config, &err), TD_OK);
    td_str dump = {0};
    assert_int_equal(td_config_dump(config, &dump, &err), TD_OK);
    if (parse(td_str_text(&dump), NULL, NULL, &again, &err) != TD_OK) {
        fail_msg("%s\n%s", err.text, td_str_text(&dump));
    }
    td_str changed = {0};
    td_config_changed(config, again, &changed);
    assert_int_equal(changed.size, 0);
    for (int i = 0; td_settings[i].key; i++) {
        assert_string_equal(td_config_text(config, td_settings[i].key), td_config_text(again, td_settings[i].key));
    }
    td_str_done(&dump);
    td_str_done(&changed);
    td_config_free(&config);
    td_config_free(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config__later_sources_win),
        cmocka_unit_test(config__mistakes_name_line_and_nearest_key),
        cmocka_unit_test(config__dump_can_be_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
