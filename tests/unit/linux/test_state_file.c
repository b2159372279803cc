/*
 * test_state_file.c: the file that stands in for flash: preallocated, bounded, and kept between starts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/state_file.h"

#include "tests/unit/linux/folder.h"

static const char *path_in(void **state)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/state.bin", (char *)*state);
    return path;
}

static void state__new_file_reads_erased(void **state)
{
    td_err err;
    td_state_file file;
    uint8_t bytes[64], blank[64];
    memset(blank, 0xFF, sizeof blank);
    assert_int_equal(td_state_file_open(&file, path_in(state), 8192, &err), TD_OK);
    tde_state_port port = td_state_file_port(&file);
    assert_int_equal(port.size, 8192);
    assert_int_equal(port.read(port.context, 8128, bytes, sizeof bytes), 0);
    assert_memory_equal(bytes, blank, sizeof bytes);
    td_state_file_close(&file);
}

static void state__what_was_programmed_is_there_after_reopening(void **state)
{
    td_err err;
    td_state_file file;
    char text[8] = "";
    assert_int_equal(td_state_file_open(&file, path_in(state), 8192, &err), TD_OK);
    tde_state_port port = td_state_file_port(&file);
    assert_int_equal(port.program(port.context, 4090, "durable", 7), 0);
    td_state_file_close(&file);
    /* Another wish for the size does not matter: the file decides. */
    assert_int_equal(td_state_file_open(&file, path_in(state), 65536, &err), TD_OK);
    port = td_state_file_port(&file);
    assert_int_equal(port.size, 8192);
    assert_int_equal(port.read(port.context, 4090, text, 7), 0);
    assert_string_equal(text, "durable");
    assert_int_equal(port.erase(port.context, 0, 4096), 0);
    assert_int_equal(port.read(port.context, 4090, text, 7), 0);
    assert_memory_equal(text,
                        "\xFF\xFF\xFF\xFF\xFF\xFF"
                        "e",
                        7);
    td_state_file_close(&file);
}

static void state__nothing_outside_the_file_is_touched(void **state)
{
    td_err err;
    td_state_file file;
    uint8_t byte = 0;
    assert_int_equal(td_state_file_open(&file, path_in(state), 8192, &err), TD_OK);
    tde_state_port port = td_state_file_port(&file);
    assert_int_equal(port.read(port.context, 8192, &byte, 1), TDE_INVALID);
    assert_int_equal(port.program(port.context, 8191, "ab", 2), TDE_INVALID);
    assert_int_equal(port.program(port.context, UINT32_MAX, "ab", 2), TDE_INVALID);
    assert_int_equal(port.erase(port.context, 8192, 4096), TDE_INVALID);
    assert_int_equal(port.erase(port.context, 100, 4096), TDE_INVALID); /* not a whole block */
    td_state_file_close(&file);
}

static void state__a_file_of_another_kind_is_refused(void **state)
{
    td_err err;
    td_state_file file;
    assert_int_equal(td_file_create(path_in(state), "hello", 5, 0600, &err), TD_OK);
    assert_int_equal(td_state_file_open(&file, path_in(state), 8192, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "state.bin"));
    assert_int_equal(file.fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(state__new_file_reads_erased),
        folder_test(state__what_was_programmed_is_there_after_reopening),
        folder_test(state__nothing_outside_the_file_is_touched),
        folder_test(state__a_file_of_another_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
