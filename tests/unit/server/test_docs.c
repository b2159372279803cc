/*
 * test_docs.c: docs/server.md names every setting and every route as the tables do; MLflow's are in docs/mlflow.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/config.h"
#include "server/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static td_str page, mlflow_page;

static int read_page(void **state)
{
    (void)state;
    char path[4096];
    td_err err = {0};
    const char *top = getenv("TD_SOURCE_DIR");
    return td_path_join(path, top ? top : ".", "docs/server.md", &err) == TD_OK &&
                   td_file_read(path, 1024 * 1024, &page, &err) == TD_OK &&
                   td_path_join(path, top ? top : ".", "docs/mlflow.md", &err) == TD_OK &&
                   td_file_read(path, 1024 * 1024, &mlflow_page, &err) == TD_OK
               ? 0
               : -1;
}

static int drop_page(void **state)
{
    (void)state;
    td_str_done(&page);
    td_str_done(&mlflow_page);
    return 0;
}

static void docs__hold_the_table_of_settings(void **state)
{
    (void)state;
    td_err err = {0};
    td_str table = {0};
    assert_int_equal(td_config_table(&table, &err), TD_OK);
    if (!strstr(td_str_text(&page), td_str_text(&table))) {
        fail_msg("docs/server.md lacks this table:\n%s", td_str_text(&table));
    }
    td_str_done(&table);
}

static void docs__hold_every_route(void **state)
{
    (void)state;
    td_err err = {0};
    json_t *routes, *route;
    size_t index;
    assert_int_equal(td_server_routes_json(&routes, &err), TD_OK);
    json_array_foreach(routes, index, route)
    {
        td_str row = {0};
        td_str_addf(&row, "| `%s %s` | %s | %s | %s | %s |\n", td_json_text(route, "method", ""),
                    td_json_text(route, "path", ""), td_json_text(route, "permission", ""),
                    td_json_text(route, "listener", ""), td_json_text(route, "body", ""),
                    td_json_text(route, "help", ""));
        if (!strstr(td_str_text(&page), td_str_text(&row)) && !strstr(td_str_text(&mlflow_page), td_str_text(&row))) {
            fail_msg("docs/server.md (or docs/mlflow.md) lacks this row: %s", td_str_text(&row));
        }
        td_str_done(&row);
    }
    json_decref(routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docs__hold_the_table_of_settings),
        cmocka_unit_test(docs__hold_every_route),
    };
    return cmocka_run_group_tests(tests, read_page, drop_page);
}
