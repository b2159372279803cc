/*
 * data_main.c: pump-data: rows of the vibration generator as CSV, the plants in turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/base/str.h"
#include "examples/pump/common/pump_sim.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX 2000000

typedef struct settings {
    const char *out;
    int64_t seed, regime, rows;
    int plant; /* -1: all in turn */
} settings;

static void usage(FILE *to)
{
    (void)fputs("Usage: pump-data --out x.csv [options]\n\n"
                "Makes up vibration features of pump bearings from physics and a seed.\n\n"
                "  --out FILE     CSV: eight features, label (1: damaged), group (the plant)\n"
                "  --seed N       (default 1)\n"
                "  --regime N     0: as commissioned, 1: after the refit (default 0)\n"
                "  --rows N       (default 10000)\n"
                "  --plant NAME   oslo or bergen (default: both in turn)\n"
                "  --help\n",
                to);
}

static td_code parse_settings(int argc, char **argv, settings *out, td_err *err)
{
    static const struct option options[] = {
        {"out", required_argument, NULL, 'o'},    {"seed", required_argument, NULL, 's'},
        {"regime", required_argument, NULL, 'r'}, {"rows", required_argument, NULL, 'n'},
        {"plant", required_argument, NULL, 'p'},  {NULL, 0, NULL, 0}};
    int letter;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'o':
            out->out = optarg;
            break;
        case 's':
            TD_TRY(td_parse_int(optarg, "--seed", 0, INT32_MAX, &out->seed, err));
            break;
        case 'r':
            TD_TRY(td_parse_int(optarg, "--regime", 0, PUMP_REGIMES - 1, &out->regime, err));
            break;
        case 'n':
            TD_TRY(td_parse_int(optarg, "--rows", 1, ROWS_MAX, &out->rows, err));
            break;
        case 'p':
            out->plant = pump_plant_find(optarg);
            if (out->plant < 0) {
                return td_fail(err, TD_INVALID, "there is no plant \"%.40s\"; plants are oslo and bergen", optarg);
            }
            break;
        default:
            return td_fail(err, TD_INVALID, "see pump-data --help");
        }
    }
    if (out->out == NULL || optind < argc) {
        return td_fail(err, TD_INVALID, "--out is needed; see pump-data --help");
    }
    return TD_OK;
}

static td_code run(int argc, char **argv, td_err *err)
{
    settings s = {.seed = 1, .rows = 10000, .plant = -1};
    TD_CLEANUP(td_str_done) td_str text = {.limit = (size_t)1024 * 1024 * 1024};
    pump_sim sims[PUMP_PLANTS];
    TD_TRY(parse_settings(argc, argv, &s, err));
    for (unsigned p = 0; p < PUMP_PLANTS; p++) {
        pump_sim_init(&sims[p], (uint64_t)s.seed, p, (unsigned)s.regime);
    }
    for (int k = 0; k < PUMP_FEATURES; k++) {
        td_str_addf(&text, "%s,", pump_feature_names[k]);
    }
    td_str_add(&text, "label,group\n");
    for (int64_t i = 0; i < s.rows; i++) {
        int plant = s.plant >= 0 ? s.plant : (int)(i % PUMP_PLANTS);
        float features[PUMP_FEATURES];
        int label;
        pump_sim_next(&sims[plant], features, &label);
        for (int k = 0; k < PUMP_FEATURES; k++) {
            td_str_addf(&text, "%.9g,", (double)features[k]);
        }
        td_str_addf(&text, "%d,%s\n", label, pump_plant_names[plant]);
    }
    TD_TRY(td_str_check(&text, err));
    return td_file_replace(s.out, td_str_text(&text), text.size, 0644, err);
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
        (void)fprintf(stderr, "pump-data: %s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
