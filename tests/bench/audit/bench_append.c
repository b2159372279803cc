/*
 * bench_append.c: the durable append rate, through the writer with group commit, and raw SQLite beside it.
 *
 * Every caller waits for its own COMMIT before it goes on, so a record that is counted is on disk. The records are
 * those of a fleet: a version that was registered, approved and rolled out, then directives to devices and their
 * reports, so that each is held against a rule by the verifier.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/audit/bench.h"

#include "core/db/writer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#define ROW_SIZE 520 /* about a record */
#define MANIFEST "sha256:9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"
#define DIRECTIVES 4 /* each so many records one is a directive, the others are reports */

typedef struct caller {
    td_writer *writer;
    int number, each, at;
    json_t *report, *directive;
    int failures;
    char first_error[240];
} caller;

static td_code append_one(td_db *db, void *context, td_err *err)
{
    const caller *self = context;
    bool directive = self->at % DIRECTIVES == 0;
    char device[32];
    snprintf(device, sizeof device, "pump-%06d", self->number * self->each + self->at);
    const td_actor actor = {TD_ACTOR_DEVICE, 0, device, "mqtt", "", ""};
    td_audit_entry entry = {.actor = directive ? &td_actor_system : &actor,
                            .action = directive ? "issue.directive" : "report.install",
                            .object_type = "device",
                            .object_id = device,
                            .after = directive ? self->directive : self->report};
    return td_audit_append(db, &entry, NULL, err);
}

static void *call_writer(void *context)
{
    caller *self = context;
    for (self->at = 0; self->at < self->each; self->at++) {
        td_err err = {.code = TD_OK};
        if (td_writer_call(self->writer, append_one, self, &err) != TD_OK && self->failures++ == 0) {
            memcpy(self->first_error, err.text, sizeof self->first_error);
        }
    }
    return NULL;
}

static bool make_caller(td_writer *writer, int number, int each, caller *out)
{
    *out = (caller){.writer = writer, .number = number, .each = each};
    out->report = json_pack("{s:s, s:s, s:s}", "reason", "", "rollout", "r-1", "state", "committed");
    out->directive = json_pack("{s:b, s:[{s:s, s:s}], s:s, s:i}", "cancel", 0, "goals", "manifest", MANIFEST, "slot",
                               "pump", "rollout", "r-1", "sequence", 1);
    return out->report != NULL && out->directive != NULL;
}

static td_code run_callers(td_writer *writer, int threads, int each, td_err *err)
{
    pthread_t *handles = calloc((size_t)threads, sizeof *handles);
    caller *callers = calloc((size_t)threads, sizeof *callers);
    td_code code = handles != NULL && callers != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the callers");
    for (int i = 0; code == TD_OK && i < threads; i++) {
        if (!make_caller(writer, i, each, &callers[i]) ||
            pthread_create(&handles[i], NULL, call_writer, &callers[i]) != 0) {
            abort(); /* nothing to measure */
        }
    }
    for (int i = 0; code == TD_OK && i < threads; i++) {
        pthread_join(handles[i], NULL);
        json_decref(callers[i].report);
        json_decref(callers[i].directive);
    }
    for (int i = 0; code == TD_OK && i < threads; i++) {
        code = callers[i].failures == 0 ? TD_OK : td_fail(err, TD_INTERNAL, "%s", callers[i].first_error);
    }
    free(handles);
    free(callers);
    return code;
}

/* What directives and reports need to have happened before them. */
static td_code tell_story(td_db *db, void *context, td_err *err)
{
    static const td_actor ana = {TD_ACTOR_USER, 1, "ana", "token", "data-scientist", ""};
    static const td_actor ben = {TD_ACTOR_USER, 2, "ben", "token", "approver", ""};
    const char *hex = MANIFEST + strlen("sha256:");
    uint8_t manifest[TD_DIGEST_SIZE];
    TD_CLEANUP(td_json_done) json_t *deployed = json_pack("{s:s}", "model_version", "pump/1");
    (void)context;
    TD_TRY(td_hex_decode(hex, strlen(hex), manifest, sizeof manifest, err));
    td_audit_entry entry = {.actor = &ana,
                            .action = "register.version",
                            .object_type = "version",
                            .object_id = "pump/1",
                            .reason = "bench"};
    TD_TRY(td_audit_append(db, &entry, NULL, err));
    entry.actor = &ben;
    entry.action = "approve.version";
    entry.digest = manifest;
    TD_TRY(td_audit_append(db, &entry, NULL, err));
    entry.actor = &ana;
    entry.action = "create.rollout";
    entry.object_type = "rollout";
    entry.object_id = "r-1";
    entry.digest = NULL;
    entry.after = deployed;
    return td_audit_append(db, &entry, NULL, err);
}

static td_code append_all(bench_log *log, double *rate_out, td_err *err)
{
    static const td_migration *const lists[] = {td_audit_migrations, NULL};
    td_db *db = NULL;
    td_writer *writer = NULL;
    int each = (int)((log->leaves + log->callers - 1) / log->callers);
    TD_TRY(td_db_open(log->db_path, TD_DB_WRITE, &td_clock_system, &db, err));
    TD_TRY(td_db_migrate(db, lists, err));
    TD_TRY(td_writer_start(db, 4096, 512, &writer, err));
    td_code code = td_writer_call(writer, tell_story, NULL, err);
    double start = bench_seconds();
    code = code == TD_OK ? run_callers(writer, log->callers, each, err) : code;
    *rate_out = (double)log->callers * each / (bench_seconds() - start);
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

/* The reference: raw SQLite, one thread, inserts of the same size in groups, synchronous=FULL. */
static td_code append_raw(const bench_log *log, double *rate_out, td_err *err)
{
    sqlite3 *raw = NULL;
    sqlite3_stmt *insert = NULL;
    bool good =
        sqlite3_open(log->raw_path, &raw) == SQLITE_OK &&
        sqlite3_exec(
            raw, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)",
            NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(raw, "INSERT INTO t (b) VALUES (?)", -1, &insert, NULL) == SQLITE_OK;
    double start = bench_seconds();
    good = good && raw_rows(raw, insert, (int)log->leaves, log->callers);
    *rate_out = (double)log->leaves / (bench_seconds() - start);
    sqlite3_finalize(insert);
    sqlite3_close(raw);
    (void)remove(log->raw_path);
    return good ? TD_OK : td_fail(err, TD_IO, "raw SQLite failed");
}

td_code bench_append(bench_log *log, td_err *err)
{
    char reference[64], note[96];
    double rate = 0, raw = 0;
    TD_TRY(append_all(log, &rate, err));
    TD_TRY(append_raw(log, &raw, err));
    snprintf(reference, sizeof reference, "raw SQLite: %.0f", raw);
    snprintf(note, sizeof note, "durable, %d callers, bar 10000/s; raw: rows in groups of %d", log->callers,
             log->callers);
    bench_row("audit append", rate, "records/s", reference, rate / raw, note);
    return TD_OK;
}
