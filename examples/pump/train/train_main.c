/*
 * train_main.c: pump-train: CSV in; model.onnx, reference.csv and metrics.json out.
 *
 * Rows to measure on are a hold-out: another file (--holdout), or a seeded share of the data. reference.csv holds those
 * rows with the network's own prediction and score: what the model does on data it has not seen is what monitoring
 * compares with. SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/base/json.h"
#include "examples/pump/train/onnx_file.h"
#include "examples/pump/train/report.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAMPION_MAX ((size_t)1024 * 1024)

typedef struct settings {
    const char *data, *holdout, *champion, *out;
    double share; /* kept apart when there is no hold-out file */
    mlp_options training;
} settings;

static void usage(FILE *to)
{
    (void)fputs("Usage: pump-train --data x.csv --out DIR [options]\n\n"
                "Trains a small network on pump data and writes DIR/model.onnx, DIR/reference.csv,\n"
                "DIR/metrics.json.\n\n"
                "  --data FILE        rows to train on: eight features, label, group\n"
                "  --holdout FILE     rows to measure on (default: a share of --data)\n"
                "  --holdout-share X  that share (default 0.4)\n"
                "  --champion FILE    a model.onnx of pump-train, measured on the same rows\n"
                "  --out DIR          where the files go\n"
                "  --seed N           of weights, order of rows and hold-out (default 1)\n"
                "  --hidden N         hidden units, at most 64 (default 16)\n"
                "  --epochs N         passes over the data (default 40)\n"
                "  --help\n",
                to);
}

static td_code parse_settings(int argc, char **argv, settings *out, td_err *err)
{
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'},     {"holdout", required_argument, NULL, 'h'},
        {"champion", required_argument, NULL, 'c'}, {"out", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 's'},     {"hidden", required_argument, NULL, 'n'},
        {"epochs", required_argument, NULL, 'e'},   {"holdout-share", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, '?'},           {NULL, 0, NULL, 0}};
    int letter;
    int64_t number;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'd':
            out->data = optarg;
            break;
        case 'h':
            out->holdout = optarg;
            break;
        case 'c':
            out->champion = optarg;
            break;
        case 'o':
            out->out = optarg;
            break;
        case 'p':
            TD_TRY(td_parse_double(optarg, "--holdout-share", &out->share, err));
            break;
        case 's':
            TD_TRY(td_parse_int(optarg, "--seed", 0, INT64_MAX, &number, err));
            out->training.seed = (uint64_t)number;
            break;
        case 'n':
            TD_TRY(td_parse_int(optarg, "--hidden", 1, MLP_HIDDEN_MAX, &number, err));
            out->training.hidden = (int)number;
            break;
        case 'e':
            TD_TRY(td_parse_int(optarg, "--epochs", 1, 100000, &number, err));
            out->training.epochs = (int)number;
            break;
        default:
            return td_fail(err, TD_INVALID, "see pump-train --help");
        }
    }
    if (out->data == NULL || out->out == NULL || optind < argc || !(out->share > 0 && out->share < 1)) {
        return td_fail(err, TD_INVALID,
                       "--data and --out are needed, --holdout-share lies between 0 and 1; see "
                       "pump-train --help");
    }
    return TD_OK;
}

/* A row's fate depends on seed and position alone. */
static bool kept_apart(uint64_t seed, size_t row, double share)
{
    uint64_t z = seed * UINT64_C(0xD1342543DE82EF95) + row * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1.0p-53 < share;
}

static td_code write_text(const char *folder, const char *name, const td_str *text, td_err *err)
{
    char path[4096];
    TD_TRY(td_str_check(text, err));
    TD_TRY(td_path_join(path, folder, name, err));
    return td_file_replace(path, td_str_text(text), text->size, 0644, err);
}

static td_code write_reference(const char *folder, const mlp *model, const pump_table *table, const bool *chosen,
                               td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    for (int k = 0; k < PUMP_FEATURES; k++) {
        td_str_addf(&text, "%s,", pump_feature_names[k]);
    }
    td_str_add(&text, "prediction,score,label,group\n");
    for (size_t i = 0; i < table->count; i++) {
        if (!chosen[i]) {
            continue;
        }
        const pump_row *row = &table->rows[i];
        double score = mlp_score(model, row->features);
        for (int k = 0; k < PUMP_FEATURES; k++) {
            td_str_addf(&text, "%.9g,", (double)row->features[k]);
        }
        td_str_addf(&text, "%d,%.7g,%d,%s\n", score >= PUMP_THRESHOLD, score, row->label, table->groups[row->group]);
    }
    return write_text(folder, "reference.csv", &text, err);
}

/* The champion's metrics on the same rows, or NULL without one. */
static td_code measure_champion(const char *path, const pump_table *table, const bool *chosen, json_t **out,
                                td_err *err)
{
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    mlp champion;
    pump_report report;
    *out = NULL;
    if (path == NULL) {
        return TD_OK;
    }
    TD_TRY(td_file_read(path, CHAMPION_MAX, &bytes, err));
    if (onnx_file_read(td_str_text(&bytes), bytes.size, &champion, err) != TD_OK) {
        return td_wrap(err, "%s", path);
    }
    TD_TRY(pump_report_make(&champion, table, chosen, &report, err));
    *out = pump_report_metrics(&report, table);
    return TD_OK;
}

static td_code write_metrics(const char *folder, const pump_report *report, const pump_table *table, json_t *champion,
                             td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done)
    json_t *all = json_pack("{s:o, s:o}", "metrics", pump_report_metrics(report, table), "groups",
                            pump_report_groups(report, table));
    if (all == NULL || (champion != NULL && json_object_set(all, "champion", champion) != 0)) {
        return td_fail(err, TD_NOMEM, "no memory for metrics.json");
    }
    char *json = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(6) | JSON_SORT_KEYS);
    td_str_addf(&text, "%s\n", json == NULL ? "{}" : json);
    free(json);
    return write_text(folder, "metrics.json", &text, err);
}

static td_code train(const settings *s, const pump_table *data, const pump_table *measured, bool *chosen, td_err *err)
{
    mlp model;
    pump_report report;
    TD_CLEANUP(td_str_done) td_str onnx = {0};
    TD_CLEANUP(td_json_done) json_t *champion = NULL;
    TD_TRY(mlp_train(data, chosen, &s->training, &model, err));
    for (size_t i = 0; i < measured->count; i++) { /* the rest of the data, or the whole hold-out file */
        chosen[i] = measured == data ? !chosen[i] : true;
    }
    TD_TRY(pump_report_make(&model, measured, chosen, &report, err));
    TD_TRY(measure_champion(s->champion, measured, chosen, &champion, err));
    TD_TRY(td_folder_make(s->out, 0755, err));
    TD_TRY(onnx_file_write(&model, s->training.seed, &onnx, err));
    TD_TRY(write_text(s->out, "model.onnx", &onnx, err));
    TD_TRY(write_reference(s->out, &model, measured, chosen, err));
    TD_TRY(write_metrics(s->out, &report, measured, champion, err));
    (void)printf("trained on %zu rows, measured on %lld: accuracy %.4f, area under the curve %.4f\n",
                 measured == data ? data->count - (size_t)report.all.n : data->count, (long long)report.all.n,
                 pump_accuracy(&report.all), report.auc);
    if (champion != NULL) {
        (void)printf("the champion on the same rows: accuracy %.4f\n", td_json_number(champion, "accuracy", 0));
    }
    return TD_OK;
}

static td_code run(int argc, char **argv, td_err *err)
{
    settings s = {.share = 0.4,
                  .training = {.hidden = 16, .epochs = 40, .batch = 64, .rate = 0.01, .decay = 1e-5, .seed = 1}};
    TD_CLEANUP(pump_table_done) pump_table data = {0};
    TD_CLEANUP(pump_table_done) pump_table holdout = {0};
    TD_TRY(parse_settings(argc, argv, &s, err));
    TD_TRY(pump_table_read(s.data, &data, err));
    if (s.holdout != NULL) {
        TD_TRY(pump_table_read(s.holdout, &holdout, err));
    }
    const pump_table *measured = s.holdout == NULL ? &data : &holdout;
    bool *chosen = malloc(data.count + holdout.count);
    if (chosen == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for %zu rows", data.count);
    }
    for (size_t i = 0; i < data.count; i++) {
        chosen[i] = s.holdout != NULL || !kept_apart(s.training.seed, i, s.share);
    }
    td_code code = train(&s, &data, measured, chosen, err);
    free(chosen);
    return code;
}

int main(int argc, char **argv)
{
    td_err err = {0};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    td_code code = run(argc, argv, &err);
    if (code != TD_OK) {
        (void)fprintf(stderr, "pump-train: %s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
