/*
 * test_train.c: the example's claims: the generator is seeded, training is deterministic and good, the change of regime
 * really costs accuracy, retraining regains it, and the ONNX file carries the very weights.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/train/onnx_file.h"
#include "examples/pump/train/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the first ones */
#include <cmocka.h>

#include "core/base/fs.h"

static const mlp_options training = {.hidden = 16, .epochs = 25, .batch = 64, .rate = 0.01, .decay = 1e-5, .seed = 1};

static void fill(pump_table *table, uint64_t seed, unsigned regime, size_t rows)
{
    pump_sim sims[PUMP_PLANTS];
    for (unsigned p = 0; p < PUMP_PLANTS; p++) {
        pump_sim_init(&sims[p], seed, p, regime);
    }
    for (size_t i = 0; i < rows; i++) {
        pump_row row;
        unsigned plant = (unsigned)(i % PUMP_PLANTS);
        pump_sim_next(&sims[plant], row.features, &row.label);
        assert_int_equal(pump_table_group(table, pump_plant_names[plant], &row.group, NULL), TD_OK);
        assert_int_equal(pump_table_add(table, &row, NULL), TD_OK);
    }
}

static double accuracy_on(const mlp *model, const pump_table *table)
{
    pump_report report;
    bool *all = malloc(table->count);
    memset(all, 1, table->count);
    assert_int_equal(pump_report_make(model, table, all, &report, NULL), TD_OK);
    free(all);
    return pump_accuracy(&report.all);
}

static void learn(const pump_table *table, mlp *out)
{
    td_err err = {0};
    bool *all = malloc(table->count);
    memset(all, 1, table->count);
    if (mlp_train(table, all, &training, out, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    free(all);
}

static void sim__is_seeded(void **state)
{
    (void)state;
    pump_sim a, b, c;
    float fa[PUMP_FEATURES], fb[PUMP_FEATURES], fc[PUMP_FEATURES];
    int label;
    pump_sim_init(&a, 5, 1, 0);
    pump_sim_init(&b, 5, 1, 0);
    pump_sim_init(&c, 6, 1, 0);
    for (int i = 0; i < 10; i++) {
        pump_sim_next(&a, fa, &label);
        pump_sim_next(&b, fb, &label);
        pump_sim_next(&c, fc, &label);
        assert_memory_equal(fa, fb, sizeof fa);
        assert_memory_not_equal(fa, fc, sizeof fa);
    }
    assert_int_equal(pump_plant_find("bergen"), 1);
    assert_int_equal(pump_plant_find("paris"), -1);
}

static void train__change_of_regime_costs_accuracy_and_retraining_regains_it(void **state)
{
    (void)state;
    pump_table before = {0}, before_test = {0}, after = {0}, after_test = {0};
    mlp old_model, new_model;
    fill(&before, 1, 0, 6000);
    fill(&before_test, 2, 0, 3000);
    fill(&after, 3, 1, 4000);
    fill(&after_test, 4, 1, 3000);
    learn(&before, &old_model);
    learn(&after, &new_model);
    double good = accuracy_on(&old_model, &before_test);
    double fallen = accuracy_on(&old_model, &after_test);
    double regained = accuracy_on(&new_model, &after_test);
    if (good < 0.95 || fallen > 0.80 || regained < 0.92) {
        fail_msg("accuracy %.3f, after the refit %.3f, retrained %.3f", good, fallen, regained);
    }
    pump_table_done(&before);
    pump_table_done(&before_test);
    pump_table_done(&after);
    pump_table_done(&after_test);
}

static void train__same_seed_gives_the_same_file_and_it_reads_back(void **state)
{
    (void)state;
    pump_table table = {0};
    mlp one, two, back;
    td_str a = {0}, b = {0};
    fill(&table, 1, 0, 1500);
    learn(&table, &one);
    learn(&table, &two);
    assert_int_equal(onnx_file_write(&one, 1, &a, NULL), TD_OK);
    assert_int_equal(onnx_file_write(&two, 1, &b, NULL), TD_OK);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    assert_int_equal(onnx_file_read(a.data, a.size, &back, NULL), TD_OK);
    for (size_t i = 0; i < 100; i++) {
        double x = mlp_score(&one, table.rows[i].features), y = mlp_score(&back, table.rows[i].features);
        assert_true(x == y);
    }
    for (size_t cut = 1; cut < a.size; cut += 7) { /* any shorter file is refused */
        assert_int_not_equal(onnx_file_read(a.data, a.size - cut, &back, NULL), TD_OK);
    }
    td_str_done(&a);
    td_str_done(&b);
    pump_table_done(&table);
}

static void train__one_class_is_refused(void **state)
{
    (void)state;
    pump_table table = {0};
    mlp model;
    bool all[8] = {true, true, true, true, true, true, true, true};
    pump_row row = {.label = 1};
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pump_table_add(&table, &row, NULL), TD_OK);
    }
    assert_int_equal(mlp_train(&table, all, &training, &model, NULL), TD_INVALID);
    pump_table_done(&table);
}

/* Reads a CSV made of `text`; the message of the refusal must contain `expected`. */
static void refuse_csv(const char *text, const char *expected)
{
    char path[] = "/tmp/td-pump-XXXXXX";
    pump_table table = {0};
    td_err err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(td_write_all(fd, text, strlen(text), NULL), TD_OK);
    (void)close(fd);
    assert_int_equal(pump_table_read(path, &table, &err), TD_INVALID);
    if (strstr(err.text, expected) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", err.text, expected);
    }
    (void)unlink(path);
}

#define HEADER "rms,kurtosis,crest_factor,bpfo_energy,bpfi_energy,shaft_1x,temperature,speed_rpm,label,group\n"

static void csv__errors_name_the_place(void **state)
{
    (void)state;
    refuse_csv("rms,kurtosis\n1,2\n", "no column \"crest_factor\"");
    refuse_csv(HEADER "1,2,3,4,5,6,7,8,0,oslo\n1,2,3,4,5,6,7,8,0\n", ":3: 9 cells");
    refuse_csv(HEADER "1,2,fast,4,5,6,7,8,0,oslo\n", ":2:");
    refuse_csv(HEADER "1,2,3,4,5,6,7,8,2,oslo\n", "not 0 or 1");
    refuse_csv(HEADER, "no rows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sim__is_seeded),
        cmocka_unit_test(train__change_of_regime_costs_accuracy_and_retraining_regains_it),
        cmocka_unit_test(train__same_seed_gives_the_same_file_and_it_reads_back),
        cmocka_unit_test(train__one_class_is_refused),
        cmocka_unit_test(csv__errors_name_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
