/*
 * test_ledger.c: holding the rows against the records reads each table once, and no more.
 *
 * What it finds is shown by tests/e2e/adversary and by every end-to-end test of the server.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/db/migrate.h"
#include "server/ledger_internal.h"
#include "server/workspace_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LITERALS_MAX 64

typedef struct fixture {
    char folder[64], path[96];
    td_db *db;
    char *literals[LITERALS_MAX];
    size_t count;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/td-ledger-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/x.db", f->folder);
    assert_int_equal(td_db_open(f->path, TD_DB_WRITE, &td_clock_system, &f->db, NULL), TD_OK);
    assert_int_equal(td_db_migrate(f->db, td_workspace__migrations, NULL), TD_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    td_db_close(f->db);
    for (size_t i = 0; i < f->count; i++) {
        free(f->literals[i]);
    }
    int result = td_folder_remove(f->folder, NULL) == TD_OK ? 0 : -1;
    free(f);
    return result;
}

static void note_literal(void *context, const char *sql)
{
    fixture *f = context;
    assert_true(f->count < LITERALS_MAX);
    f->literals[f->count++] = strdup(sql);
}

/* A scan inside another: its cost is the product of both tables. Whole tables are meant to be read once. */
static void explain(fixture *f, const char *sql)
{
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_stmt_free) td_stmt *stmt = NULL;
    int64_t parent = -1;
    td_str_addf(&text, "EXPLAIN QUERY PLAN %s", sql);
    assert_int_equal(td_db_prepare_text(f->db, td_str_text(&text), &stmt, &err), TD_OK);
    for (bool row = true;;) {
        assert_int_equal(td_step(stmt, &row, &err), TD_OK);
        if (!row) {
            return;
        }
        const char *detail = td_column_text(stmt, "detail");
        bool scan = strncmp(detail, "SCAN ", 5) == 0 && strstr(detail, "VIRTUAL TABLE") == NULL;
        if (scan && td_column_int(stmt, "parent") == parent) {
            fail_msg("%s\n  %s", detail, sql);
        }
        parent = scan ? td_column_int(stmt, "parent") : parent;
    }
}

static void ledger__reads_each_table_once(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_ledger_verdict verdict;
    td_content *content = NULL;
    TD_CLEANUP(td_ledger_free) td_ledger *ledger = NULL;
    assert_int_equal(td_content_open(f->folder, &content, &err), TD_OK);
    assert_int_equal(td_ledger_new(&ledger, &err), TD_OK);
    td_db_on_prepare(f->db, note_literal, f);
    td_code code = td_ledger_compare(ledger, f->db, content, &verdict, &err);
    td_content_close(content);
    td_db_on_prepare(f->db, NULL, NULL);
    if (code != TD_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(verdict.rows, 0);
    assert_true(f->count > 20);
    for (size_t i = 0; i < f->count; i++) {
        explain(f, f->literals[i]);
    }
}

/* Every action that is followed is one that there is. */
static void ledger__knows_only_actions_that_exist(void **state)
{
    size_t count = 0, told = 0;
    const td_action *all = td_action_all(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        told += td_ledger__tells(all[i].name);
    }
    assert_int_equal(told, td_ledger__action_count());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ledger__reads_each_table_once, set_up, tear_down),
        cmocka_unit_test(ledger__knows_only_actions_that_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
