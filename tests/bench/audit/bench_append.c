/*
 * bench_append.c: the durable append rate, through the writer with group commit, and raw SQLite beside it.
 *
 * Every caller waits for its own COMMIT before it goes on, so a record that is counted is on disk.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/audit/bench.h"

#include "core/db/writer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#define ROW_SIZE 520 /* about a record */

typedef struct caller {
    td_writer *writer;
    int each;
    int failures;
    char first_error[240];
} caller;

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static td_code append_one(td_db *db, void *context, td_err *err)
{
    (void)context;
    td_audit_entry entry = {.actor = &td_actor_system,
                            .action = "report.install",
                            .object_type = "device",
                            .object_id = "pump-07",
                            .decision = "committed"};
    return td_audit_append(db, &entry, NULL, err);
}

static void *call_writer(void *context)
{
    caller *self = context;
    for (int i = 0; i < self->each; i++) {
        td_err err = {.code = TD_OK};
        if (td_writer_call(self->writer, append_one, NULL, &err) != TD_OK && self->failures++ == 0) {
            memcpy(self->first_error, err.text, sizeof self->first_error);
        }
    }
    return NULL;
}

static td_code run_callers(td_writer *writer, int threads, int each, td_err *err)
{
    pthread_t *handles = calloc((size_t)threads, sizeof *handles);
    caller *callers = calloc((size_t)threads, sizeof *callers);
    td_code code = handles != NULL && callers != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the callers");
    for (int i = 0; code == TD_OK && i < threads; i++) {
        callers[i] = (caller){.writer = writer, .each = each};
        if (pthread_create(&handles[i], NULL, call_writer, &callers[i]) != 0) {
            abort(); /* nothing to measure */
        }
    }
    for (int i = 0; code == TD_OK && i < threads; i++) {
        pthread_join(handles[i], NULL);
    }
    for (int i = 0; code == TD_OK && i < threads; i++) {
        code = callers[i].failures == 0 ? TD_OK : td_fail(err, TD_INTERNAL, "%s", callers[i].first_error);
    }
    free(handles);
    free(callers);
    return code;
}

td_code bench_append(const char *path, int threads, int each, double *rate_out, td_err *err)
{
    static const td_migration *const lists[] = {td_audit_migrations, NULL};
    td_db *db = NULL;
    td_writer *writer = NULL;
    TD_TRY(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, err));
    TD_TRY(td_db_migrate(db, lists, err));
    TD_TRY(td_writer_start(db, 4096, 512, &writer, err));
    double start = bench_seconds();
    td_code code = run_callers(writer, threads, each, err);
    *rate_out = (double)threads * each / (bench_seconds() - start);
    td_writer_stop(writer);
    return code;
}

static bool raw_rows(sqlite3 *raw, sqlite3_stmt *insert, int rows, int group)
{
    static const char row[ROW_SIZE] = {1};
    bool good = true;
    for (int i = 0; good && i < rows; i++) {
        good = i % group != 0 || sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
        sqlite3_bind_blob(insert, 1, row, ROW_SIZE, SQLITE_STATIC);
        good = good && sqlite3_step(insert) == SQLITE_DONE;
        sqlite3_reset(insert);
        if (i % group == group - 1 || i == rows - 1) {
            good = good && sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
        }
    }
    return good;
}

td_code bench_raw(const char *path, int rows, int group, double *rate_out, td_err *err)
{
    sqlite3 *raw = NULL;
    sqlite3_stmt *insert = NULL;
    bool good =
        sqlite3_open(path, &raw) == SQLITE_OK &&
        sqlite3_exec(
            raw, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)",
            NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(raw, "INSERT INTO t (b) VALUES (?)", -1, &insert, NULL) == SQLITE_OK;
    double start = bench_seconds();
    good = good && raw_rows(raw, insert, rows, group);
    *rate_out = rows / (bench_seconds() - start);
    sqlite3_finalize(insert);
    sqlite3_close(raw);
    return good ? TD_OK : td_fail(err, TD_IO, "raw SQLite failed");
}
