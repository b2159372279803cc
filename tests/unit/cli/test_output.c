/*
 * test_output.c: tables, sentences and trees, byte by byte; nothing from outside can steer a terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the first ones */
#include <cmocka.h>

static json_t *tree(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    return json;
}

static char *printed; /* of the last capture */
static size_t printed_size;

static FILE *capture(void)
{
    free(printed);
    printed = NULL;
    return open_memstream(&printed, &printed_size);
}

static void table__columns_are_as_wide_as_needed(void **state)
{
    (void)state;
    static const td_column_spec columns[] = {
        {"name", "NAME", TD_CELL_TEXT}, {"size", "SIZE", TD_CELL_NUMBER}, {"tags", "TAGS", TD_CELL_PAIRS}, {0}};
    json_t *rows = tree("[{\"name\":\"p\\u00fcmp\",\"size\":3,\"tags\":{\"a\":\"b\"}},{\"name\":\"x\",\"size\":12.5}]");
    td_cli cli = {.out = capture()};
    td_print_table(&cli, columns, rows, "none");
    (void)fclose(cli.out);
    assert_string_equal(printed, "NAME     SIZE  TAGS\npümp        3  a=b\nx     12.5000  \n");
    json_decref(rows);
}

static void table__control_characters_do_not_reach_the_terminal(void **state)
{
    (void)state;
    static const td_column_spec columns[] = {{"name", "NAME", TD_CELL_TEXT}, {0}};
    json_t *rows = tree("[{\"name\":\"a\\u001b[2Jb\\n\"}]");
    td_cli cli = {.out = capture()};
    td_print_table(&cli, columns, rows, "none");
    (void)fclose(cli.out);
    assert_null(strchr(printed, 0x1B));
    assert_non_null(strstr(printed, "a?[2Jb?"));
    json_decref(rows);
}

static void cells__no_kind_lets_control_characters_through(void **state)
{
    (void)state;
    for (td_cell cell = TD_CELL_TEXT; cell <= TD_CELL_BRIEF; cell++) {
        const td_column_spec columns[] = {{"v", "V", cell}, {0}};
        json_t *rows = tree("[{\"v\":\"a\\u001b[2J\\u009b\\u007f\"},{\"v\":{\"k\\u001b[2J\":[\"\\u001b\"]}},"
                            "{\"v\":[{\"name\":\"\\u001b[2J\"},{\"\\u001b\":{\"\\u001b\":1}}]}]");
        td_cli cli = {.out = capture()};
        td_print_table(&cli, columns, rows, "none");
        (void)fclose(cli.out);
        assert_null(strpbrk(printed, "\x1b\x7f"));
        assert_null(strstr(printed, "\xC2\x9B"));
        json_decref(rows);
    }
}

static void line__our_tints_pass_and_nothing_else(void **state)
{
    (void)state;
    td_cli cli = {.out = capture(), .color = true};
    td_print_line(&cli, "%sgood%s %s", td_tint_code(&cli, TD_TINT_GOOD), td_tint_code(&cli, TD_TINT_NONE),
                  "bad\x1b[2J\r\xC2\x9B end");
    (void)fclose(cli.out);
    assert_string_equal(printed, "\x1b[32mgood\x1b[0m bad?[2J?? end\n");
}

static void fields__missing_ones_are_left_out(void **state)
{
    (void)state;
    static const td_column_spec fields[] = {
        {"a.b", "deep", TD_CELL_TEXT}, {"gone", "gone", TD_CELL_TEXT}, {"n", "number", TD_CELL_SHARE}, {0}};
    json_t *object = tree("{\"a\":{\"b\":\"x\"},\"gone\":null,\"n\":0.9712}");
    td_cli cli = {.out = capture()};
    td_print_fields(&cli, fields, object);
    (void)fclose(cli.out);
    assert_string_equal(printed, "deep    x\nnumber  97.1 %\n");
    json_decref(object);
}

static void check_sentence(const char *record_text, const char *expected)
{
    td_cli cli = {0};
    td_tint tint;
    json_t *record = tree(record_text);
    const char *sentence = td_event_sentence(&cli, record, &tint);
    if (expected == NULL) {
        assert_null(sentence);
    } else {
        assert_string_equal(sentence, expected);
    }
    json_decref(record);
    td_cli_done(&cli);
}

static void sentence__of_records(void **state)
{
    (void)state;
    check_sentence("{\"action\":\"approve.version\",\"actor\":{\"id\":\"ben\"},\"object\":{\"id\":\"pump/"
                   "1\"},\"reason\":\"fine\"}",
                   "ben approved pump/1 with his signature: fine");
    check_sentence("{\"action\":\"grant.role\",\"actor\":{\"id\":\"uid-0\"},\"object\":{\"id\":\"eve\"},"
                   "\"after\":{\"facts\":{\"role\":\"auditor\"}}}",
                   "uid-0 gave eve a role (auditor)");
    check_sentence("{\"action\":\"new.thing\",\"actor\":{\"id\":\"a\\u0007\"},\"object\":{\"id\":\"o\"}}",
                   "a?: new.thing o");
    check_sentence("{\"action\":\"issue.directive\",\"actor\":{\"id\":\"system\"},\"object\":{\"id\":\"d\"}}", NULL);
}

static void lineage__tree_shows_each_node_once_in_full(void **state)
{
    (void)state;
    td_str out = {0};
    json_t *answer = tree("{\"node\":\"version:pump/2\",\"nodes\":[],\"edges\":["
                          "{\"from\":\"run:run-1\",\"to\":\"version:pump/2\",\"kind\":\"output\"},"
                          "{\"from\":\"dataset:new@12\",\"to\":\"run:run-1\",\"kind\":\"input\"},"
                          "{\"from\":\"version:pump/1\",\"to\":\"version:pump/2\",\"kind\":\"parent\"},"
                          "{\"from\":\"alert:al-1\",\"to\":\"run:run-1\",\"kind\":\"caused\"},"
                          "{\"from\":\"version:pump/1\",\"to\":\"alert:al-1\",\"kind\":\"raised\"},"
                          "{\"from\":\"dataset:old@34\",\"to\":\"version:pump/1\",\"kind\":\"input\"}]}");
    assert_int_equal(td_lineage_tree(answer, false, &out, NULL), TD_OK);
    assert_string_equal(td_str_text(&out), "version pump/2\n"
                                           "|-- run run-1 (output)\n"
                                           "|   |-- dataset new@12 (input)\n"
                                           "|   `-- alert al-1 (caused)\n"
                                           "|       `-- version pump/1 (raised)\n"
                                           "|           `-- dataset old@34 (input)\n"
                                           "`-- version pump/1 (parent) (above)\n");
    td_str_done(&out);
    json_decref(answer);
}

static void lineage__circle_ends(void **state)
{
    (void)state;
    td_str out = {0};
    json_t *answer =
        tree("{\"node\":\"a:1\",\"edges\":[{\"from\":\"a:1\",\"to\":\"a:1\",\"kind\":\"x\"},"
             "{\"from\":\"b:1\",\"to\":\"a:1\",\"kind\":\"x\"},{\"from\":\"a:1\",\"to\":\"b:1\",\"kind\":\"x\"}]}");
    assert_int_equal(td_lineage_tree(answer, false, &out, NULL), TD_OK);
    assert_true(out.size < 200);
    td_str_done(&out);
    json_decref(answer);
}

static int free_printed(void **state)
{
    (void)state;
    free(printed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table__columns_are_as_wide_as_needed),
        cmocka_unit_test(table__control_characters_do_not_reach_the_terminal),
        cmocka_unit_test(cells__no_kind_lets_control_characters_through),
        cmocka_unit_test(line__our_tints_pass_and_nothing_else),
        cmocka_unit_test(fields__missing_ones_are_left_out),
        cmocka_unit_test(sentence__of_records),
        cmocka_unit_test(lineage__tree_shows_each_node_once_in_full),
        cmocka_unit_test(lineage__circle_ends),
    };
    return cmocka_run_group_tests(tests, NULL, free_printed);
}
