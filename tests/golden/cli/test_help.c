/*
 * test_help.c: help, man page and completion are as in the repository, at most 80 columns wide. TD_UPDATE=1 writes them
 * anew.
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

#include "core/base/fs.h"

static void compare(const char *name, const td_str *text)
{
    char path[4096];
    td_str expected = {0};
    td_err err = {0};
    const char *root = getenv("TD_SOURCE_DIR");
    assert_non_null(root);
    assert_int_equal(td_path_join(path, root, name, &err), TD_OK);
    if (getenv("TD_UPDATE") != NULL) {
        assert_int_equal(td_file_replace(path, td_str_text(text), text->size, 0644, &err), TD_OK);
        return;
    }
    if (td_file_read(path, 1 << 24, &expected, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    if (strcmp(td_str_text(&expected), td_str_text(text)) != 0) {
        fail_msg("%s differs; look at it and run the test with TD_UPDATE=1", name);
    }
    td_str_done(&expected);
}

static void check_width(const td_str *text)
{
    size_t column = 0;
    const char *line = td_str_text(text);
    for (const char *c = line; *c != '\0'; c++) {
        if (*c == '\n') {
            column = 0;
            line = c + 1;
        } else if (((unsigned char)*c & 0xC0) != 0x80 && ++column > 80) {
            fail_msg("wider than 80 columns: %.100s", line);
        }
    }
}

static void help__as_in_the_repository(void **state)
{
    (void)state;
    td_str all = {0};
    td_cli_help_all(&all);
    for (size_t i = 0; td_cli_commands[i] != NULL; i++) {
        for (const td_cli_command *c = td_cli_commands[i]; c->noun != NULL; c++) {
            td_str_add(&all, "\n--------\n\n");
            td_cli_help_command(c, &all);
        }
    }
    check_width(&all);
    compare("tests/golden/cli/help.txt", &all);
    td_str_done(&all);
}

static void man__as_in_the_repository(void **state)
{
    (void)state;
    td_str text = {0};
    td_cli_man(&text);
    compare("docs/man/tidemark.1", &text);
    td_str_done(&text);
}

static void completion__as_in_the_repository(void **state)
{
    (void)state;
    td_str text = {0};
    td_err err = {0};
    assert_int_equal(td_cli_completion("bash", &text, &err), TD_OK);
    compare("tests/golden/cli/completion.bash", &text);
    td_str_done(&text);
    assert_int_equal(td_cli_completion("tcsh", &text, &err), TD_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help__as_in_the_repository),
        cmocka_unit_test(man__as_in_the_repository),
        cmocka_unit_test(completion__as_in_the_repository),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
