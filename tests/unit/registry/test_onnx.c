/*
 * test_onnx.c: what is read out of ONNX files made by the reference library, and that broken ones are refused by place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/onnx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "core/base/fs.h"

static td_str load(const char *name)
{
    char path[512];
    td_str bytes = {0};
    td_err err = {0};
    snprintf(path, sizeof path, "%s/tests/vectors/registry/onnx/%s", getenv("TD_SOURCE_DIR"), name);
    if (td_file_read(path, 1 << 20, &bytes, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    return bytes;
}

/* Reads out of memory of exactly the file's size, so that the sanitizer sees a read past the end. */
static td_code read_bytes(const void *data, size_t size, const td_inspect_options *options, td_arena *arena,
                          td_onnx *out, td_err *err)
{
    void *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, data, size);
    td_code code = td_onnx_read(exact, size, options, arena, out, err);
    free(exact);
    return code;
}

static td_code read_vector(const char *name, const char *const *files, td_arena *arena, td_onnx *out, td_err *err)
{
    td_str bytes = load(name);
    td_inspect_options options = {.name = name, .files = files};
    td_code code = read_bytes(bytes.data, bytes.size, &options, arena, out, err);
    td_str_done(&bytes);
    return code;
}

static void must_read(const char *name, td_arena *arena, td_onnx *out)
{
    td_err err = {0};
    if (read_vector(name, NULL, arena, out, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
}

static void onnx__mlp_is_described(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_onnx onnx;
    must_read("mlp.onnx", &arena, &onnx);
    assert_int_equal(onnx.ir_version, 8);
    assert_int_equal(onnx.model_version, 5);
    assert_string_equal(onnx.producer, "tidemark-tests");
    assert_string_equal(onnx.graph, "mlp");
    assert_int_equal(onnx.opset_count, 1);
    assert_string_equal(onnx.opsets[0].domain, "");
    assert_int_equal(onnx.opsets[0].version, 17);
    assert_int_equal(onnx.input_count, 1);
    assert_string_equal(onnx.inputs[0].name, "x");
    assert_string_equal(onnx.inputs[0].type, "float32");
    assert_int_equal(onnx.inputs[0].dim_count, 2);
    assert_int_equal(onnx.inputs[0].dims[0].size, -1);
    assert_string_equal(onnx.inputs[0].dims[0].symbol, "batch");
    assert_int_equal(onnx.inputs[0].dims[1].size, 4);
    assert_string_equal(onnx.outputs[0].name, "probability");
    assert_int_equal(onnx.parameter_count, 15);
    assert_int_equal(onnx.parameter_bytes, 60);
    assert_int_equal(onnx.operator_count, 3);
    assert_string_equal(onnx.operators[0].name, "Gemm");
    assert_int_equal(onnx.metadata_count, 2);
    assert_false(onnx.quantized || onnx.custom_operators || onnx.external_data || onnx.training);
}

static void onnx__initializers_are_no_inputs(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_onnx onnx;
    must_read("old_inputs.onnx", &arena, &onnx);
    assert_int_equal(onnx.input_count, 1);
    assert_string_equal(onnx.inputs[0].name, "x");
}

static void onnx__custom_operator_in_a_subgraph_is_found(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_onnx onnx;
    must_read("branches.onnx", &arena, &onnx);
    assert_true(onnx.custom_operators);
    assert_int_equal(onnx.operator_count, 3);
    size_t custom = 0;
    for (size_t i = 0; i < onnx.operator_count; i++) {
        custom += onnx.operators[i].custom && strcmp(onnx.operators[i].name, "Sharpen") == 0;
    }
    assert_int_equal(custom, 1);
    assert_int_equal(onnx.inputs[0].dim_count, 0);
    assert_true(onnx.inputs[0].has_shape);
}

static void onnx__function_of_the_file_is_no_custom_operator(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_onnx onnx;
    must_read("function.onnx", &arena, &onnx);
    assert_false(onnx.custom_operators);
    assert_int_equal(onnx.function_count, 1);
    assert_int_equal(onnx.operator_count, 2); /* Twice, and Add inside it */
}

static void onnx__quantization_is_seen(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_onnx onnx;
    must_read("quantized.onnx", &arena, &onnx);
    assert_true(onnx.quantized);
    assert_int_equal(onnx.parameter_bytes, 5);
}

static void onnx__external_data_must_be_registered(void **state)
{
    (void)state;
    static const char *const files[] = {"other.bin", "weights.bin", NULL};
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_onnx onnx;
    td_err err = {0};
    assert_int_equal(read_vector("external.onnx", NULL, &arena, &onnx, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "weights.bin"));
    assert_int_equal(read_vector("external.onnx", files, &arena, &onnx, &err), TD_OK);
    assert_true(onnx.external_data);
    assert_int_equal(onnx.parameter_bytes, 4000);
}

static void onnx__external_data_cannot_leave_the_folder(void **state)
{
    (void)state;
    static const char *const files[] = {"../../etc/passwd", NULL}; /* not even if somebody listed it */
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_onnx onnx;
    td_err err = {0};
    assert_int_equal(read_vector("external_traversal_bad.onnx", files, &arena, &onnx, &err), TD_CORRUPT);
}

static void onnx__tensor_that_claims_more_than_it_holds_is_refused(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_onnx onnx;
    td_err err = {0};
    assert_int_equal(read_vector("lying_dims_bad.onnx", NULL, &arena, &onnx, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "tensor.raw_data"));
}

static void onnx__graphs_nested_too_deeply_are_refused(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_onnx onnx;
    td_err err = {0};
    assert_int_equal(read_vector("too_deep_bad.onnx", NULL, &arena, &onnx, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "nested"));
}

static void onnx__something_else_is_told_apart(void **state)
{
    (void)state;
    static const char *const others[] = {"",     "hello", "PK\003\004zip", "{\"json\": true}", "\x80\x04\x95pickle",
                                         "TFL3", "\x08",  "\x08\x07",      "\x08\x07\xff"};
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_inspect_options options = {.name = "model.onnx"};
    td_onnx onnx;
    for (size_t i = 0; i < TD_COUNT_OF(others); i++) {
        td_err err = {0};
        assert_int_equal(read_bytes(others[i], strlen(others[i]), &options, &arena, &onnx, &err), TD_INVALID);
        assert_non_null(strstr(err.text, "model.onnx is no ONNX file"));
    }
}

/* Cut anywhere, a file is refused and never read as a smaller one; the place is named. */
static void onnx__cut_at_every_byte_is_refused(void **state)
{
    (void)state;
    td_str bytes = load("mlp.onnx");
    td_inspect_options options = {.name = "cut.onnx"};
    size_t accepted = 0;
    for (size_t size = 0; size < bytes.size; size++) {
        TD_CLEANUP(td_arena_done) td_arena arena = {0};
        td_onnx onnx;
        td_err err = {0};
        td_code code = read_bytes(bytes.data, size, &options, &arena, &onnx, &err);
        accepted += code == TD_OK;
        assert_true(code == TD_OK || code == TD_CORRUPT || (code == TD_INVALID && size < 4));
        assert_true(code != TD_CORRUPT || (strstr(err.text, "byte ") != NULL && strstr(err.text, "field ") != NULL));
    }
    assert_true(accepted <= 3); /* only where the opset or an entry of metadata_props is the part that is missing */
    td_str_done(&bytes);
}

/* Any byte may be any other: no crash, no hang, no code that is not documented. */
static void onnx__every_changed_byte_is_survived(void **state)
{
    (void)state;
    static const uint8_t flips[] = {0x01, 0x7f, 0x80, 0xff};
    td_str bytes = load("branches.onnx");
    td_inspect_options options = {.name = "flipped.onnx"};
    for (size_t i = 0; i < bytes.size * TD_COUNT_OF(flips); i++) {
        TD_CLEANUP(td_arena_done) td_arena arena = {0};
        td_onnx onnx;
        bytes.data[i / TD_COUNT_OF(flips)] ^= (char)flips[i % TD_COUNT_OF(flips)];
        td_code code = read_bytes(bytes.data, bytes.size, &options, &arena, &onnx, NULL);
        bytes.data[i / TD_COUNT_OF(flips)] ^= (char)flips[i % TD_COUNT_OF(flips)];
        assert_true(code == TD_OK || code == TD_INVALID || code == TD_CORRUPT || code == TD_LIMIT);
    }
    td_str_done(&bytes);
}

static void onnx__summary_is_json(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_facts_done) td_facts facts = {0};
    td_onnx onnx;
    td_err err = {0};
    must_read("mlp.onnx", &arena, &onnx);
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    assert_int_equal(td_facts_begin("onnx", &facts, &err), TD_OK);
    td_onnx_facts(&onnx, &facts);
    assert_int_equal(td_facts_finish(&facts, "mlp.onnx", &json, &err), TD_OK);
    assert_int_equal(td_json_canonical(json, &text, &err), TD_OK); /* no reals: it may go into the log */
    assert_non_null(
        strstr(td_str_text(&text), "\"inputs\":[{\"name\":\"x\",\"shape\":[\"batch\",4],\"type\":\"float32\"}]"));
    assert_int_equal(td_json_int(json, "parameters", 0), 15);
    assert_true(td_json_bool(json_object_get(json, "details"), "dynamic_shapes", false));
}

/* Too many distinct operators: a limit, not a table that overflows. */
static void onnx__too_many_operators_hit_the_limit(void **state)
{
    (void)state;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str graph = {0};
    TD_CLEANUP(td_str_done) td_str model = {0};
    td_inspect_options options = {.name = "many.onnx"};
    td_onnx onnx;
    td_err err = {0};
    for (int i = 0; i <= TD_ONNX_OPERATORS_MAX; i++) {
        char node[16];
        int length = snprintf(node, sizeof node, "\x0a%c\"%cOp%04d", 8, 6, i); /* graph.node { op_type } */
        td_str_append(&graph, node, (size_t)length);
    }
    td_str_append(&model, "\x08\x08\x3a", 3);
    td_str_add_char(&model, (char)(0x80 | (graph.size & 0x7f)));
    td_str_add_char(&model, (char)(graph.size >> 7 & 0x7f));
    td_str_append(&model, graph.data, graph.size);
    assert_true(graph.size < 1 << 14);
    td_code code = read_bytes(model.data, model.size, &options, &arena, &onnx, &err);
    if (code != TD_LIMIT) {
        fail_msg("code %d: %s", (int)code, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(onnx__mlp_is_described),
        cmocka_unit_test(onnx__initializers_are_no_inputs),
        cmocka_unit_test(onnx__custom_operator_in_a_subgraph_is_found),
        cmocka_unit_test(onnx__function_of_the_file_is_no_custom_operator),
        cmocka_unit_test(onnx__quantization_is_seen),
        cmocka_unit_test(onnx__external_data_must_be_registered),
        cmocka_unit_test(onnx__external_data_cannot_leave_the_folder),
        cmocka_unit_test(onnx__tensor_that_claims_more_than_it_holds_is_refused),
        cmocka_unit_test(onnx__graphs_nested_too_deeply_are_refused),
        cmocka_unit_test(onnx__something_else_is_told_apart),
        cmocka_unit_test(onnx__cut_at_every_byte_is_refused),
        cmocka_unit_test(onnx__every_changed_byte_is_survived),
        cmocka_unit_test(onnx__summary_is_json),
        cmocka_unit_test(onnx__too_many_operators_hit_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
