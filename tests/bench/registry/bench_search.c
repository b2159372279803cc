/*
 * bench_search.c: searches over 2,000 models of 50 versions with 5 tags each, MLflow's page of models over 500 of 10,
 * and whether registering one more version slows down with those that are there.
 *
 * Usage: bench_search [models]
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/mlflow.h"
#include "registry/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUESTIONS 300
#define ROUNDS 400
#define MANY 10000 /* versions of the model that has many */
#define FEW 10

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Rates are better when they are higher, times when they are lower. */
static void print_row(const char *name, const char *unit, double figure, double reference, double floor,
                      const char *note)
{
    bool rate = strcmp(unit, "per s") == 0;
    printf("{\"bench\": \"search: %s\", \"figure\": %.4g, \"unit\": \"%s\", \"reference\": %.4g, \"ratio\": %.4g, "
           "\"floor\": %.4g, \"note\": \"%s\"}\n",
           name, figure, unit, reference, rate ? figure / reference : reference / figure, floor, note);
}

/* ---- the registry ---- */

static td_code build(td_db *db, int64_t models, int64_t versions, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_CLEANUP(td_str_done) td_str sql = {0};
    td_str_addf(&sql,
                "CREATE TEMP TABLE n AS WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < %lld) "
                "SELECT n FROM i;"
                "INSERT INTO model (project_id, name, owner, next_number, created_ms) "
                "SELECT 1, 'model-' || n, 'ana', %lld, 1770000000000 + n FROM n;"
                "INSERT INTO model_tag SELECT model_id, 'line', 'line-' || (model_id %% 7) FROM model;"
                "INSERT INTO version (model_id, number, state, format, registrar, security_counter, created_ms) "
                "SELECT m.model_id, n.n + 1, 'draft', 'onnx', 'ana', 1, 1770000000000 + 60000 * n.n + m.model_id "
                "FROM n, model m WHERE n.n < %lld;"
                "INSERT INTO version_tag SELECT version_id, 'site', 'site-' || (version_id * 7919 %% 20) FROM version;"
                "INSERT INTO version_tag SELECT version_id, 'line', 'line-' || (version_id * 104729 %% 7) FROM version;"
                "INSERT INTO version_tag SELECT version_id, 'team', 'team-' || (version_id * 1299709 %% 50) "
                "FROM version;"
                "INSERT INTO version_tag SELECT version_id, 'stage', 'stage-' || (version_id %% 3) FROM version;"
                "INSERT INTO version_tag SELECT version_id, 'build', 'build-' || version_id FROM version;"
                "INSERT INTO version_metric SELECT version_id, 'auc', (version_id * 31 %% 1000) / 1000.0 FROM version;",
                (long long)models - 1, (long long)versions + 1, (long long)versions);
    TD_TRY(td_txn_begin(db, &txn, err));
    TD_TRY(td_db_exec(db, td_str_text(&sql), err));
    return td_txn_commit(&txn, err);
}

/* ---- searching ---- */

typedef void (*question_fn)(int64_t i, char filter[256]);

static void three_tags(int64_t i, char filter[256])
{
    snprintf(filter, 256, "tags.site = 'site-%lld' AND tags.line = 'line-%lld' AND tags.team = 'team-%lld'",
             (long long)(i % 20), (long long)(i % 7), (long long)(i % 50));
}

static void three_common_tags(int64_t i, char filter[256])
{
    snprintf(filter, 256, "tags.stage = 'stage-%lld' AND tags.line = 'line-%lld' AND tags.site = 'site-%lld'",
             (long long)(i % 3), (long long)(i % 7), (long long)(i % 20));
}

static void one_build(int64_t i, char filter[256])
{
    snprintf(filter, 256, "tags.build = 'build-%lld' AND model LIKE 'model-%%'", (long long)(i * 331 + 1));
}

static void newest(int64_t i, char filter[256])
{
    (void)i;
    filter[0] = '\0';
}

static void one_model(int64_t i, char filter[256])
{
    snprintf(filter, 256, "model = 'model-%lld' AND metrics.auc >= 0.5", (long long)(i % 2000));
}

static td_code ask(td_db *db, const char *name, question_fn question, double aim_ms, td_err *err)
{
    double times[QUESTIONS], work[QUESTIONS];
    char note[80];
    for (int64_t i = 0; i < QUESTIONS; i++) {
        char filter[256];
        json_t *answer = NULL;
        question(i, filter);
        double start = seconds(CLOCK_MONOTONIC), began = seconds(CLOCK_THREAD_CPUTIME_ID);
        TD_TRY(td_version_list_json(db, "default", NULL, &(td_page){.filter = filter}, &answer, err));
        times[i] = 1e3 * (seconds(CLOCK_MONOTONIC) - start);
        work[i] = 1e3 * (seconds(CLOCK_THREAD_CPUTIME_ID) - began);
        json_decref(answer);
    }
    qsort(times, QUESTIONS, sizeof times[0], by_value);
    qsort(work, QUESTIONS, sizeof work[0], by_value);
    snprintf(note, sizeof note, "reference: the aim; %.3g ms of processor time", work[QUESTIONS * 95 / 100]);
    print_row(name, "ms p95", times[QUESTIONS * 95 / 100], aim_ms, 1, note);
    return TD_OK;
}

static td_code ask_all(td_db *db, td_err *err)
{
    TD_TRY(ask(db, "3 tags of 500,000, as JSON", three_tags, 10, err));
    TD_TRY(ask(db, "3 common tags", three_common_tags, 10, err));
    TD_TRY(ask(db, "a tag that one version has", one_build, 10, err));
    TD_TRY(ask(db, "one model, by a metric", one_model, 10, err));
    return ask(db, "the newest 50 of 100,000", newest, 10, err);
}

/* ---- MLflow's search_registered_models() ---- */

/* The first page as the server makes it, its text included. */
static td_code one_page(td_db *db, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const td_page page = {.limit = 100, .filter = "tag.`mlflow.prompt.is_prompt` != 'true'"};
    TD_TRY(td_mlflow_models_text(db, "default", &page, &text, err));
    return strstr(td_str_text(&text), "next_page_token") != NULL
               ? TD_OK
               : td_fail(err, TD_INTERNAL, "a page of MLflow's models is not full");
}

static td_code pages(const char *path, td_err *err)
{
    double times[QUESTIONS], work[QUESTIONS];
    char note[80];
    td_db *db = NULL;
    TD_TRY(td_db_open(path, TD_DB_READ, &td_clock_system, &db, err));
    td_code code = TD_OK;
    for (int64_t i = 0; i < QUESTIONS && code == TD_OK; i++) {
        double start = seconds(CLOCK_MONOTONIC), began = seconds(CLOCK_THREAD_CPUTIME_ID);
        code = td_db_read_begin(db, err);
        code = code == TD_OK ? one_page(db, err) : code;
        td_db_read_end(db);
        times[i] = 1e3 * (seconds(CLOCK_MONOTONIC) - start);
        work[i] = 1e3 * (seconds(CLOCK_THREAD_CPUTIME_ID) - began);
    }
    td_db_close(db);
    TD_TRY(code);
    qsort(times, QUESTIONS, sizeof times[0], by_value);
    qsort(work, QUESTIONS, sizeof work[0], by_value);
    snprintf(note, sizeof note, "reference: the aim; %.3g ms of processor time", work[QUESTIONS / 2]);
    print_row("MLflow's page of 100, 500 models of 10", "ms p50", times[QUESTIONS / 2], 1, 1, note);
    return TD_OK;
}

/* ---- registering ---- */

static td_code add_one(td_db *db, const char *model, bool own_txn, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s, s:s}", "site", "site-1", "line", "line-1");
    td_version_file file = {.name = "model.onnx", .role = TD_FILE_MODEL, .size = 1};
    td_version_options options = {.model = model, .create_model = true, .files = &file, .file_count = 1,
                                  .format = "onnx", .tags = tags};
    int64_t number;
    if (own_txn) {
        TD_TRY(td_txn_begin(db, &txn, err));
    }
    TD_TRY(td_version_create(db, &td_actor_system, "default", &options, &number, err));
    return own_txn ? td_txn_commit(&txn, err) : TD_OK;
}

static td_code fill(td_db *db, const char *model, int64_t count, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_txn_begin(db, &txn, err));
    for (int64_t i = 0; i < count; i++) {
        TD_TRY(add_one(db, model, false, err));
    }
    return td_txn_commit(&txn, err);
}

static td_code timed(td_db *db, const char *model, double *total, td_err *err)
{
    double start = seconds(CLOCK_MONOTONIC);
    TD_TRY(add_one(db, model, true, err));
    *total += seconds(CLOCK_MONOTONIC) - start;
    return TD_OK;
}

/* Turn by turn, so that the disk's moods fall on both. */
static td_code register_all(td_db *db, td_err *err)
{
    double few = 0, many = 0;
    char model[32] = "few-0";
    TD_TRY(fill(db, "many", MANY, err));
    TD_TRY(fill(db, model, FEW, err));
    for (int64_t i = 1; i <= ROUNDS; i++) {
        if (i % 50 == 0) { /* it has become more than a few */
            snprintf(model, sizeof model, "few-%lld", (long long)i);
            TD_TRY(fill(db, model, FEW, err));
        }
        TD_TRY(timed(db, "many", &many, err));
        TD_TRY(timed(db, model, &few, err));
    }
    print_row("register at 10,000 versions of a model", "per s", ROUNDS / many, ROUNDS / few, 0.9,
              "reference: a model of 10 versions, in turns");
    return TD_OK;
}

static td_code open_registry(const char *path, int64_t models, int64_t versions, td_db **out, td_err *err)
{
    const td_migration *const lists[] = {td_audit_migrations, td_access_migrations, td_registry_migrations, NULL};
    td_db *db = NULL;
    TD_TRY(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, err));
    td_code code = td_db_migrate(db, lists, err);
    code = code == TD_OK ? build(db, models, versions, err) : code;
    if (code != TD_OK) {
        td_db_close(db);
        return code;
    }
    *out = db;
    return TD_OK;
}

static td_code run_pages(const char *folder, td_err *err)
{
    char path[64];
    td_db *db = NULL;
    snprintf(path, sizeof path, "%s/mlflow.db", folder);
    TD_TRY(open_registry(path, 500, 10, &db, err));
    td_code code = pages(path, err);
    td_db_close(db);
    return code;
}

static td_code run_searches(const char *folder, int64_t models, td_err *err)
{
    char path[64];
    td_db *db = NULL;
    snprintf(path, sizeof path, "%s/tidemark.db", folder);
    TD_TRY(open_registry(path, models, 50, &db, err));
    td_code code = ask_all(db, err);
    code = code == TD_OK ? register_all(db, err) : code;
    td_db_close(db);
    return code;
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/td-bench-search-XXXXXX";
    td_err err = {0};
    int64_t models = argc > 1 ? strtoll(argv[1], NULL, 10) : 2000;
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    td_code code = run_pages(folder, &err);
    code = code == TD_OK ? run_searches(folder, models, &err) : code;
    if (code != TD_OK) {
        fprintf(stderr, "bench_search: %s\n", err.text);
    }
    return td_folder_remove(folder, NULL) == TD_OK && code == TD_OK ? 0 : 1;
}
