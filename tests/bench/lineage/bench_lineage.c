/*
 * bench_lineage.c: questions to a graph of a million edges: where a version comes from, where it went, what a dataset
 * reached.
 *
 * The graph: versions of models, each with three datasets (shared with its neighbours), code, run, bundle, approval,
 * parent, roll-out, and 480 devices, which move from version to version.
 * Usage: bench_lineage [versions]
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "lineage/lineage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEVICES 480
#define QUESTIONS 200

typedef struct world {
    td_db *db;
    int64_t versions;
    int64_t now;
} world;

typedef td_code (*question_fn)(world *w, int64_t version, json_t **out, td_err *err);

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int64_t world_wall(const td_clock *clock)
{
    return ((const world *)clock->context)->now;
}

static td_code edge(world *w, const char *from_kind, const char *from, const char *to_kind, const char *to,
                    const char *kind, td_err *err)
{
    return td_lineage_edge_add(w->db, "default", TD_NODE(from_kind, from), TD_NODE(to_kind, to), kind, NULL, err);
}

static td_code add_version(world *w, int64_t i, td_err *err)
{
    char name[64], run[64], other[64];
    snprintf(name, sizeof name, "m%lld/%lld", (long long)(i / 20), (long long)(i % 20 + 1));
    snprintf(run, sizeof run, "run-%lld", (long long)i);
    w->now += 60000;
    for (int64_t d = 0; d < 3; d++) {
        snprintf(other, sizeof other, "s3://plant/%lld@0123456789ab", (long long)(i / 4 + d));
        TD_TRY(edge(w, "dataset", other, "run", run, "input", err));
    }
    snprintf(other, sizeof other, "repo@%lld", (long long)i);
    TD_TRY(edge(w, "code", other, "run", run, "code", err));
    TD_TRY(edge(w, "run", run, "version", name, "output", err));
    TD_TRY(edge(w, "version", name, "bundle", run, "packed", err));
    TD_TRY(edge(w, "approval", name, "version", name, "approved", err));
    TD_TRY(edge(w, "version", name, "rollout", run, "rolled_out", err));
    if (i % 20 > 0) {
        snprintf(other, sizeof other, "m%lld/%lld", (long long)(i / 20), (long long)(i % 20));
        TD_TRY(edge(w, "version", other, "version", name, "parent", err));
    }
    for (int64_t d = 0; d < DEVICES; d++) {
        snprintf(other, sizeof other, "device-%lld-%lld", (long long)(i / 20), (long long)d);
        TD_TRY(td_lineage_edges_end(w->db, "default", "installed", TD_NODE("device", other), TD_NODE("version", name),
                                    err));
        TD_TRY(edge(w, "version", name, "device", other, "installed", err));
    }
    return TD_OK;
}

static td_code build(world *w, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    double start = seconds();
    TD_TRY(td_txn_begin(w->db, &txn, err));
    for (int64_t i = 0; i < w->versions; i++) {
        TD_TRY(add_version(w, i, err));
    }
    TD_TRY(td_txn_commit(&txn, err));
    double edges = (double)w->versions * (9 + DEVICES);
    printf("{\"bench\":\"lineage edges added\",\"figure\":%.0f,\"unit\":\"edges/s\",\"note\":\"one transaction of "
           "%.0f\"}\n",
           edges / (seconds() - start), edges);
    return TD_OK;
}

static void version_name(int64_t version, char out[64])
{
    snprintf(out, 64, "m%lld/%lld", (long long)(version / 20), (long long)(version % 20 + 1));
}

static td_code ask_up(world *w, int64_t version, json_t **out, td_err *err)
{
    char name[64];
    version_name(version, name);
    return td_lineage_show_json(w->db, "default", name, TD_LINEAGE_UP, 0, out, err);
}

static td_code ask_down(world *w, int64_t version, json_t **out, td_err *err)
{
    char name[64];
    version_name(version, name);
    return td_lineage_show_json(w->db, "default", name, TD_LINEAGE_DOWN, 1, out, err);
}

static td_code ask_impact(world *w, int64_t version, json_t **out, td_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "dataset:s3://plant/%lld", (long long)(version / 4));
    return td_lineage_impact_json(w->db, "default", name, out, err);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static td_code ask(world *w, const char *name, question_fn question, const char *note, td_err *err)
{
    double taken[QUESTIONS];
    for (int64_t i = 0; i < QUESTIONS; i++) {
        TD_CLEANUP(td_json_done) json_t *answer = NULL;
        double start = seconds();
        TD_TRY(td_db_read_begin(w->db, err)); /* as the server does for each request */
        td_code code = question(w, i * 7919 % w->versions, &answer, err);
        td_db_read_end(w->db);
        TD_TRY(code);
        taken[i] = seconds() - start;
    }
    qsort(taken, QUESTIONS, sizeof *taken, compare);
    printf("{\"bench\":\"%s p95\",\"figure\":%.2f,\"unit\":\"ms\",\"note\":\"%s\"}\n", name,
           1000 * taken[QUESTIONS * 95 / 100], note);
    return TD_OK;
}

static td_code run(const char *folder, int64_t versions, td_err *err)
{
    static const td_migration *const lists[] = {td_lineage_migrations, NULL};
    world w = {.versions = versions, .now = 1772359200000};
    td_clock clock = {world_wall, world_wall, &w};
    char path[128];
    snprintf(path, sizeof path, "%s/db", folder);
    TD_TRY(td_db_open(path, TD_DB_WRITE, &clock, &w.db, err));
    td_code code = td_db_migrate(w.db, lists, err);
    code = code == TD_OK ? build(&w, err) : code;
    code = code == TD_OK ? ask(&w, "lineage show --up", ask_up, "to the last ancestor, bar 20 ms", err) : code;
    code = code == TD_OK ? ask(&w, "lineage show --down", ask_down, "one step: 480 devices", err) : code;
    code = code == TD_OK
               ? ask(&w, "lineage impact", ask_impact, "a dataset: versions of up to 20, 480 devices each", err)
               : code;
    td_db_close(w.db);
    return code;
}

int main(int argc, char **argv)
{
    td_err err = {.code = TD_OK};
    int64_t versions = 2000;
    char folder[] = "/tmp/td-bench-XXXXXX";
    td_code code = argc > 1 ? td_parse_int(argv[1], "versions", 1, 1000000, &versions, &err) : TD_OK;
    if (code == TD_OK && mkdtemp(folder) != NULL) {
        code = run(folder, versions, &err);
        if (td_folder_remove(folder, NULL) != TD_OK) {
            fprintf(stderr, "%s was left behind\n", folder);
        }
    }
    if (code != TD_OK) {
        fprintf(stderr, "bench_lineage: %s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
