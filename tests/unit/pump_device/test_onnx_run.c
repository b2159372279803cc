/*
 * test_onnx_run.c: the device's runner computes what the trainer's network computes, and refuses what it does not know
 * by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/device/onnx_run.h"
#include "examples/pump/train/onnx_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void trained(mlp *model)
{
    td_err err;
    pump_sim sim;
    static pump_table table;
    static bool chosen[600];
    pump_sim_init(&sim, 7, 0, 0);
    for (int i = 0; i < 600; i++) {
        pump_row row = {0};
        pump_sim_next(&sim, row.features, &row.label);
        assert_int_equal(pump_table_add(&table, &row, &err), TD_OK);
        chosen[i] = true;
    }
    const mlp_options options = {.hidden = 6, .epochs = 3, .batch = 32, .rate = 0.01, .seed = 1};
    assert_int_equal(mlp_train(&table, chosen, &options, model, &err), TD_OK);
    pump_table_done(&table);
}

static void runner__scores_as_the_trainer_does(void **state)
{
    (void)state;
    td_err err;
    mlp network;
    pump_sim sim;
    TD_CLEANUP(td_str_done) td_str file = {0};
    TD_CLEANUP(pump_onnx_free) pump_onnx *model = NULL;
    trained(&network);
    assert_int_equal(onnx_file_write(&network, 1, &file, &err), TD_OK);
    assert_int_equal(pump_onnx_load(file.data, file.size, &model, &err), TD_OK);
    assert_int_equal(pump_onnx_inputs(model), PUMP_FEATURES);
    assert_int_equal(pump_onnx_outputs(model), 1);
    pump_sim_init(&sim, 99, 1, 1);
    for (int i = 0; i < 200; i++) {
        float features[PUMP_FEATURES], score;
        int label;
        pump_sim_next(&sim, features, &label);
        pump_onnx_run(model, features, &score);
        assert_true(fabs((double)score - mlp_score(&network, features)) < 1e-5);
    }
}

static void runner__refuses_an_unknown_operator_by_name(void **state)
{
    (void)state;
    td_err err;
    mlp network;
    pump_onnx *model = NULL;
    TD_CLEANUP(td_str_done) td_str file = {0};
    trained(&network);
    assert_int_equal(onnx_file_write(&network, 1, &file, &err), TD_OK);
    char *relu = memmem(file.data, file.size, "Relu", 4);
    assert_non_null(relu);
    memcpy(relu, "Tanh", 4);
    assert_int_equal(pump_onnx_load(file.data, file.size, &model, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "Tanh"));
    assert_null(model);
}

static void runner__refuses_cut_files(void **state)
{
    (void)state;
    td_err err;
    mlp network;
    TD_CLEANUP(td_str_done) td_str file = {0};
    trained(&network);
    assert_int_equal(onnx_file_write(&network, 1, &file, &err), TD_OK);
    size_t whole = 0;
    for (size_t size = 0; size < file.size; size++) {
        TD_CLEANUP(pump_onnx_free) pump_onnx *model = NULL;
        uint8_t *copy = malloc(size + 1); /* its own block: the sanitizer sees a read past the end */
        assert_non_null(copy);
        memcpy(copy, file.data, size);
        whole += pump_onnx_load(copy, size, &model, &err) == TD_OK;
        free(copy);
    }
    assert_true(whole < 40); /* only cuts within what follows the graph (opset, metadata) may go unnoticed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runner__scores_as_the_trainer_does),
        cmocka_unit_test(runner__refuses_an_unknown_operator_by_name),
        cmocka_unit_test(runner__refuses_cut_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
