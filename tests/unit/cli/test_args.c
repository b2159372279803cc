/*
 * test_args.c: the command line: what is understood, and what is said about the rest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the first ones */
#include <cmocka.h>

#include "cli/http.h"

#define LINE_MAX_WORDS 32

/* Parses "model list --json" as the shell would cut it at spaces. */
static td_code parse(td_cli *cli, const char *line, td_err *err)
{
    static char text[512];
    static char *words[LINE_MAX_WORDS];
    int count = 0;
    (void)snprintf(text, sizeof text, "tidemark %s", line);
    for (char *word = text; word != NULL;) {
        char *space = strchr(word, ' ');
        words[count++] = word;
        if (space != NULL) {
            *space++ = '\0';
        }
        word = space;
    }
    words[count] = NULL;
    *cli = (td_cli){.out = stderr};
    *err = (td_err){0};
    return td_cli_parse(cli, count, words, err);
}

static void refuse(const char *line, const char *expected)
{
    td_cli cli;
    td_err err;
    if (parse(&cli, line, &err) != TD_INVALID || strstr(err.text, expected) == NULL) {
        fail_msg("\"%s\": expected a refusal with \"%s\", got \"%s\"", line, expected, err.text);
    }
    td_cli_done(&cli);
}

static void args__a_noun_may_be_plural(void **state)
{
    (void)state;
    td_cli cli;
    td_err err;
    assert_int_equal(parse(&cli, "keys enrol-me", &err), TD_OK);
    assert_string_equal(cli.command->noun, "key");
    td_cli_done(&cli);
    refuse("logins http://127.0.0.1:1", "did you mean \"tidemark login\"?");
}

static void args__options_may_stand_anywhere(void **state)
{
    (void)state;
    td_cli cli;
    td_err err;
    assert_int_equal(parse(&cli, "model register --tag a=b pump --strict model.onnx --tag=c=d -f spec.yaml", &err),
                     TD_OK);
    assert_string_equal(cli.command->verb, "register");
    assert_int_equal(cli.argument_count, 2);
    assert_string_equal(cli.arguments[0], "pump");
    assert_string_equal(cli.arguments[1], "model.onnx");
    assert_null(cli.arguments[2]);
    assert_string_equal(td_cli_value_at(&cli, "tag", 0), "a=b");
    assert_string_equal(td_cli_value_at(&cli, "tag", 1), "c=d");
    assert_null(td_cli_value_at(&cli, "tag", 2));
    assert_string_equal(td_cli_value(&cli, "file"), "spec.yaml");
    assert_true(td_cli_has(&cli, "strict"));
    assert_false(td_cli_has(&cli, "baseline"));
    td_cli_done(&cli);
}

static void args__two_dashes_end_the_options(void **state)
{
    (void)state;
    td_cli cli;
    td_err err;
    assert_int_equal(parse(&cli, "model register pump -- --odd-name.onnx", &err), TD_OK);
    assert_string_equal(cli.arguments[1], "--odd-name.onnx");
    td_cli_done(&cli);
}

static void args__misspelt_words_get_the_nearest(void **state)
{
    (void)state;
    refuse("modle list", "did you mean \"tidemark model\"");
    refuse("model lst", "did you mean \"tidemark model list\"");
    refuse("model list --jsno", "did you mean --json");
    refuse("frobnicate", "`tidemark help` lists them");
    refuse("version", "needs a verb: show, list, search, check, derive, submit, approve, reject");
}

static void args__wrong_counts_and_values_are_named(void **state)
{
    (void)state;
    refuse("model show", "usage: tidemark model show MODEL");
    refuse("model show a b", "\"b\" is one argument too many");
    refuse("model list --limit", "--limit needs a value");
    refuse("model list --json=yes", "takes no value");
    refuse("model list --limit 3 --limit 4", "given twice");
    refuse("model list --color sometimes", "auto, always or never");
    refuse("model list --project Not/Good", "cannot be a project's name");
    refuse("model list -z", "unknown option -z");
}

static void args__numbers_and_durations_have_limits(void **state)
{
    (void)state;
    td_cli cli;
    td_err err;
    int64_t value = -1;
    assert_int_equal(parse(&cli, "device enrol-code --count 12x --lifetime 7d", &err), TD_OK);
    assert_int_equal(td_cli_int(&cli, "count", 1, 100, 1, &value, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "--count"));
    assert_int_equal(td_cli_int(&cli, "uses", 1, 100, 5, &value, &err), TD_OK);
    assert_int_equal(value, 5);
    assert_int_equal(td_cli_duration(&cli, "lifetime", 0, &value, &err), TD_OK);
    assert_int_equal(value, 7 * 24 * 3600 * INT64_C(1000));
    td_cli_done(&cli);
}

static void check_reference(const char *text, const char *model, const char *version)
{
    td_cli cli = {0};
    td_err err = {0};
    const char *found_model, *found_version;
    td_code code = td_cli_reference(&cli, text, &found_model, &found_version, &err);
    if (model == NULL) {
        assert_int_equal(code, TD_INVALID);
        assert_true(err.text[0] != '\0');
    } else {
        assert_int_equal(code, TD_OK);
        assert_string_equal(found_model, model);
        assert_string_equal(found_version, version);
    }
    td_cli_done(&cli);
}

static void reference__forms(void **state)
{
    (void)state;
    check_reference("pump/3", "pump", "3");
    check_reference("pump@champion", "pump", "@champion");
    check_reference("models:/pump/3", "pump", "3");
    check_reference("models:/pump@champion", "pump", "@champion");
    check_reference("azureml:pump:3", "pump", "3");
    check_reference("pump/03", "pump", "3");
    check_reference("pump", NULL, NULL);
    check_reference("pump/", NULL, NULL);
    check_reference("/3", NULL, NULL);
    check_reference("pump/champion", NULL, NULL);
    check_reference("pump/3/4", NULL, NULL);
    check_reference("", NULL, NULL);
}

static void path__segments_are_escaped(void **state)
{
    (void)state;
    td_cli cli = {.project = "default"};
    assert_string_equal(td_cli_path(&cli, "models", "a/../b", "versions", "@x", NULL),
                        "/api/v1/models/a%2F..%2Fb/versions/@x?project=default");
    assert_string_equal(td_cli_query(&cli, "/x?project=p", "node", "dataset:s3://a b&c"),
                        "/x?project=p&node=dataset%3As3%3A%2F%2Fa%20b%26c");
    assert_string_equal(td_cli_query(&cli, "/x", "node", NULL), "/x");
    td_cli_done(&cli);
}

static void table__every_command_has_what_help_needs(void **state)
{
    (void)state;
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            assert_non_null(c->run);
            assert_non_null(c->summary);
            assert_non_null(c->arguments);
            assert_true(c->least <= c->most && c->most <= TD_CLI_ARGUMENTS_MAX);
            assert_true(c->summary[strlen(c->summary) - 1] != '.');
            for (const td_cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
                assert_non_null(o->help);
                for (const td_cli_option *common = td_cli_common_options; common->name != NULL; common++) {
                    if (strcmp(o->name, common->name) == 0 || (o->letter != 0 && o->letter == common->letter)) {
                        fail_msg("%s %s: --%s hides an option of every command", c->noun, c->verb, o->name);
                    }
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(args__a_noun_may_be_plural),
        cmocka_unit_test(args__options_may_stand_anywhere),
        cmocka_unit_test(args__two_dashes_end_the_options),
        cmocka_unit_test(args__misspelt_words_get_the_nearest),
        cmocka_unit_test(args__wrong_counts_and_values_are_named),
        cmocka_unit_test(args__numbers_and_durations_have_limits),
        cmocka_unit_test(reference__forms),
        cmocka_unit_test(path__segments_are_escaped),
        cmocka_unit_test(table__every_command_has_what_help_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
