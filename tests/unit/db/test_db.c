/*
 * test_db.c: one writer a workspace, a newer database is refused, closures fail alone, callers are answered after
 * COMMIT.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/db/migrate.h"
#include "core/db/writer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char folder[32];
static char path[64];

#define FIRST_STEP                                                                                                     \
    {                                                                                                                  \
        "t", 1, "001_t", "CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER NOT NULL CHECK (v < 100)) STRICT;"             \
    }
static const td_migration steps[] = {FIRST_STEP, {0}};
static const td_migration more_steps[] = {FIRST_STEP, {"t", 2, "002_u", "CREATE TABLE u (k TEXT) STRICT;"}, {0}};
static const td_migration *const lists[] = {steps, NULL};
static const td_migration *const newer_lists[] = {more_steps, NULL};

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/td-db-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/tidemark.db", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return td_folder_remove(folder, NULL) == TD_OK ? 0 : -1;
}

static td_db *open_writer(const td_migration *const *which)
{
    td_db *db = NULL;
    td_err err = {0};
    assert_int_equal(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, &err), TD_OK);
    assert_int_equal(td_db_migrate(db, which, &err), TD_OK);
    return db;
}

static td_code insert(td_db *db, const char *key, int64_t value, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "INSERT INTO t (k, v) VALUES (:k, :v)", &stmt, err));
    td_bind_text(stmt, ":k", key);
    td_bind_int(stmt, ":v", value);
    return td_run(stmt, err);
}

static int64_t count_rows(void)
{
    td_db *db = NULL;
    td_stmt *stmt;
    assert_int_equal(td_db_open(path, TD_DB_READ, &td_clock_system, &db, NULL), TD_OK);
    assert_int_equal(td_db_prepare(db, "SELECT count(*) AS n FROM t", &stmt, NULL), TD_OK);
    assert_int_equal(td_step_one(stmt, NULL, "none"), TD_OK);
    int64_t count = td_column_int(stmt, "n");
    td_reset(stmt);
    td_db_close(db);
    return count;
}

static void db__second_writer_is_refused(void **state)
{
    (void)state;
    td_db *first = open_writer(lists), *second = NULL;
    td_err err;
    assert_int_equal(td_db_open(path, TD_DB_WRITE, &td_clock_system, &second, &err), TD_BUSY);
    assert_non_null(strstr(err.text, "already in use by another server"));
    td_db_close(first);
    assert_int_equal(td_db_open(path, TD_DB_WRITE, &td_clock_system, &second, &err), TD_OK);
    td_db_close(second);
}

static void db__newer_database_is_refused_unchanged(void **state)
{
    (void)state;
    td_db_close(open_writer(newer_lists));
    td_db *db = NULL;
    td_err err;
    assert_int_equal(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, &err), TD_OK);
    assert_int_equal(td_db_migrate(db, lists, &err), TD_CONFLICT);
    assert_non_null(strstr(err.text, "newer Tidemark"));
    td_db_close(db);
}

static void db__foreign_file_is_refused(void **state)
{
    (void)state;
    td_db *db = NULL;
    td_err err;
    assert_int_equal(td_file_create(path, "this is no database, not at all; padding padding", 48, 0600, &err), TD_OK);
    assert_int_equal(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, &err), TD_CORRUPT);
}

static void db__constraint_codes(void **state)
{
    (void)state;
    td_db *db = open_writer(lists);
    td_err err;
    assert_int_equal(insert(db, "a", 1, &err), TD_OK);
    assert_int_equal(insert(db, "a", 2, &err), TD_CONFLICT);
    assert_int_equal(insert(db, "b", 100, &err), TD_INVALID);
    assert_int_equal(insert(db, "b", 99, &err), TD_OK);
    td_db_close(db);
}

static void txn__rolls_back_when_left(void **state)
{
    (void)state;
    td_db *db = open_writer(lists);
    {
        TD_CLEANUP(td_txn_done) td_txn txn = {0};
        assert_int_equal(td_txn_begin(db, &txn, NULL), TD_OK);
        assert_int_equal(insert(db, "a", 1, NULL), TD_OK);
    }
    td_db_close(db);
    assert_int_equal(count_rows(), 0);
}

typedef struct work {
    td_writer *writer;
    int thread;
    int accepted;
} work;

typedef struct row {
    char key[24];
    int64_t value;
} row;

static td_code insert_job(td_db *db, void *context, td_err *err)
{
    row *wanted = context;
    return insert(db, wanted->key, wanted->value, err);
}

static void *client(void *context)
{
    work *mine = context;
    for (int i = 0; i < 50; i++) {
        row wanted = {.value = i % 5 == 0 ? 1000 : i}; /* every fifth breaks the CHECK */
        snprintf(wanted.key, sizeof wanted.key, "%d-%d", mine->thread, i);
        mine->accepted += td_writer_call(mine->writer, insert_job, &wanted, NULL) == TD_OK;
    }
    return NULL;
}

static void writer__closures_fail_alone(void **state)
{
    (void)state;
    td_writer *writer = NULL;
    work works[4];
    pthread_t threads[4];
    int accepted = 0;
    assert_int_equal(td_writer_start(open_writer(lists), 64, 16, &writer, NULL), TD_OK);
    for (int i = 0; i < 4; i++) {
        works[i] = (work){writer, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, client, &works[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        accepted += works[i].accepted;
    }
    assert_int_equal(accepted, 4 * 40);
    assert_int_equal(count_rows(), accepted); /* seen by another connection as soon as it was answered */
    td_writer_stop(writer);
}

/* ---- copies ---- */

typedef struct busy_copy {
    td_db *writer;
    int64_t written;
} busy_copy;

/* Somebody commits between any two steps of the copy. */
static void commit_meanwhile(void *context, uint64_t done, uint64_t total)
{
    busy_copy *busy = context;
    char key[32];
    assert_true(done <= total);
    snprintf(key, sizeof key, "meanwhile-%lld", (long long)busy->written++);
    td_err err = {0};
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    assert_int_equal(td_txn_begin(busy->writer, &txn, &err), TD_OK);
    assert_int_equal(insert(busy->writer, key, 1, &err), TD_OK);
    assert_int_equal(td_txn_commit(&txn, &err), TD_OK);
}

static int64_t rows_in(const char *file)
{
    td_db *db = NULL;
    td_stmt *stmt = NULL;
    bool found = false;
    assert_int_equal(td_db_open(file, TD_DB_READ, &td_clock_system, &db, NULL), TD_OK);
    assert_int_equal(td_db_check(db, NULL), TD_OK);
    assert_int_equal(td_db_prepare(db, "SELECT count(*) AS n FROM t", &stmt, NULL), TD_OK);
    assert_int_equal(td_step(stmt, &found, NULL), TD_OK);
    int64_t count = td_column_int(stmt, "n");
    td_reset(stmt);
    td_db_close(db);
    return count;
}

static void fill(td_db *db, int64_t rows)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    assert_int_equal(td_txn_begin(db, &txn, NULL), TD_OK);
    for (int64_t i = 0; i < rows; i++) {
        char key[800];
        snprintf(key, sizeof key, "%0700lld", (long long)i);
        assert_int_equal(insert(db, key, 1, NULL), TD_OK);
    }
    assert_int_equal(td_txn_commit(&txn, NULL), TD_OK);
}

static void copy__is_one_state_though_others_commit(void **state)
{
    (void)state;
    char file[96];
    td_db *writer = open_writer(lists), *reader = NULL;
    fill(writer, 10000); /* a few thousand pages: several steps */
    snprintf(file, sizeof file, "%s/copy.db", folder);
    busy_copy busy = {.writer = writer};
    const td_db_progress progress = {&busy, commit_meanwhile};
    td_err err = {0};
    assert_int_equal(td_db_open(path, TD_DB_READ, &td_clock_system, &reader, &err), TD_OK);
    assert_int_equal(td_db_copy(reader, file, &progress, &err), TD_OK);
    assert_true(busy.written >= 2);
    assert_int_equal(rows_in(file), 10000);
    assert_int_equal(rows_in(path), 10000 + busy.written);
    assert_int_not_equal(td_db_copy(reader, file, NULL, &err), TD_OK); /* nothing is overwritten */
    td_db_close(reader);
    td_db_close(writer);
}

static void checkpoint__does_not_wait_for_a_reader(void **state)
{
    (void)state;
    td_db *writer = open_writer(lists), *reader = NULL;
    td_err err = {0};
    assert_int_equal(td_db_open(path, TD_DB_READ, &td_clock_system, &reader, &err), TD_OK);
    assert_int_equal(td_db_read_begin(reader, &err), TD_OK);
    assert_int_equal(td_db_exec(reader, "SELECT count(*) FROM t", &err), TD_OK);
    fill(writer, 10);
    int64_t began = td_clock_system.monotonic_ms(&td_clock_system);
    assert_int_equal(td_db_checkpoint(writer, true, &err), TD_OK);
    assert_true(td_clock_system.monotonic_ms(&td_clock_system) - began < 4000); /* SQLite would wait for 5 s */
    td_db_read_end(reader);
    td_db_close(reader);
    td_db_close(writer);
}

static void check__finds_damage(void **state)
{
    (void)state;
    td_db *writer = open_writer(lists), *reader = NULL;
    td_err err = {0};
    fill(writer, 1000);
    assert_int_equal(td_db_checkpoint(writer, true, &err), TD_OK);
    td_db_close(writer);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 60 * 4096, SEEK_SET), 0);
    for (int i = 0; i < 4096; i++) {
        (void)fputc(0x5A, file);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(td_db_open(path, TD_DB_READ, &td_clock_system, &reader, &err), TD_OK);
    assert_int_equal(td_db_check(reader, &err), TD_CORRUPT);
    td_db_close(reader);
}

static void count_one(void *context, const char *sql)
{
    (void)sql;
    ++*(int *)context;
}

/* What is still in use stays prepared; what nobody asked for between two looks goes. */
static void shrink__forgets_statements_that_rest(void **state)
{
    (void)state;
    td_db *db = open_writer(lists);
    int prepared = 0;
    td_db_on_prepare(db, count_one, &prepared);
    static const char busy[] = "SELECT 1 AS one", resting[] = "SELECT 2 AS two";
    td_stmt *stmt;
    assert_int_equal(td_db_prepare(db, resting, &stmt, NULL), TD_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(td_db_prepare(db, busy, &stmt, NULL), TD_OK);
        td_db_shrink(db);
    }
    assert_int_equal(prepared, 2);
    assert_int_equal(td_db_prepare(db, busy, &stmt, NULL), TD_OK);
    assert_int_equal(prepared, 2);
    assert_int_equal(td_db_prepare(db, resting, &stmt, NULL), TD_OK);
    assert_int_equal(prepared, 3);
    assert_int_equal(td_step_one(stmt, NULL, "no row"), TD_OK);
    assert_int_equal(td_column_int(stmt, "two"), 2);
    td_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(db__second_writer_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(db__newer_database_is_refused_unchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(db__foreign_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(db__constraint_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(txn__rolls_back_when_left, setup, teardown),
        cmocka_unit_test_setup_teardown(writer__closures_fail_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(copy__is_one_state_though_others_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(checkpoint__does_not_wait_for_a_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(check__finds_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(shrink__forgets_statements_that_rest, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
