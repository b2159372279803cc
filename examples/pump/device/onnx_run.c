/*
 * onnx_run.c: see onnx_run.h. Loading turns the graph into a list of steps over numbered values, with every width
 * checked; running is one pass over the list.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/device/onnx_run.h"

#include "core/base/fs.h"
#include "examples/pump/device/onnx_parse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum step_kind {
    STEP_SUB,
    STEP_ADD,
    STEP_MUL,
    STEP_DIV,
    STEP_PRODUCT,
    STEP_RELU,
    STEP_SIGMOID,
    STEP_IDENTITY
} step_kind;

typedef struct run_step {
    step_kind kind;
    size_t from, to;       /* values */
    bool constant_first;   /* c - x instead of x - c */
    const float *constant; /* of an elementwise step: width or one value; of a product: the matrix */
    size_t constant_count;
    bool transposed;   /* matrix is [out, in] */
    const float *bias; /* of a product, or NULL */
    size_t bias_count;
    float alpha, beta;
} run_step;

typedef struct run_value {
    onnx_name name; /* valid only while loading */
    size_t width;
    float *numbers;
} run_value;

struct pump_onnx {
    onnx_graph graph; /* owns the constants */
    run_step steps[PUMP_ONNX_NODES_MAX];
    run_value values[PUMP_ONNX_NODES_MAX + 1]; /* the input, then one a step */
    size_t step_count, value_count, output;
};

static int shown(onnx_name name)
{
    return (int)(name.length < 60 ? name.length : 60);
}

static const onnx_tensor *find_constant(const pump_onnx *model, onnx_name name)
{
    for (size_t i = 0; i < model->graph.tensor_count; i++) {
        if (onnx_same(model->graph.tensors[i].name, name)) {
            return &model->graph.tensors[i];
        }
    }
    return NULL;
}

static bool find_value(const pump_onnx *model, onnx_name name, size_t *index_out)
{
    for (size_t i = 0; i < model->value_count; i++) {
        if (onnx_same(model->values[i].name, name)) {
            *index_out = i;
            return true;
        }
    }
    return false;
}

static td_code add_value(pump_onnx *model, onnx_name name, size_t width, td_err *err)
{
    size_t there;
    if (name.length == 0 || find_value(model, name, &there) || find_constant(model, name) != NULL) {
        return td_fail(err, TD_CORRUPT, "the value %.*s is made twice", shown(name), name.text);
    }
    run_value *value = &model->values[model->value_count];
    value->numbers = calloc(width, sizeof *value->numbers);
    if (value->numbers == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for %zu numbers", width);
    }
    value->name = name;
    value->width = width;
    model->value_count++;
    return TD_OK;
}

static td_code need_value(const pump_onnx *model, onnx_name name, size_t *out, td_err *err)
{
    return find_value(model, name, out)
               ? TD_OK
               : td_fail(err, TD_INVALID, "the value %.*s is used before it is made", shown(name), name.text);
}

/* x op c, or c op x, with a constant c of one number or one row. */
static td_code plan_elementwise(const pump_onnx *model, const onnx_node *node, run_step *step, size_t *width,
                                td_err *err)
{
    if (node->input_count != 2) {
        return td_fail(err, TD_CORRUPT, "%.*s needs two inputs", shown(node->type), node->type.text);
    }
    const onnx_tensor *second = find_constant(model, node->inputs[1]);
    step->constant_first = second == NULL;
    const onnx_tensor *constant = second != NULL ? second : find_constant(model, node->inputs[0]);
    if (constant == NULL) {
        return td_fail(err, TD_INVALID, "%.*s of two computed values is not known to this runner", shown(node->type),
                       node->type.text);
    }
    TD_TRY(need_value(model, node->inputs[second != NULL ? 0 : 1], &step->from, err));
    *width = model->values[step->from].width;
    step->constant = constant->values;
    step->constant_count = constant->rows * constant->columns;
    if (constant->rows != 1 || (constant->columns != 1 && constant->columns != *width)) {
        return td_fail(err, TD_INVALID, "%.*s: a constant of [%zu, %zu] for rows of %zu", shown(node->type),
                       node->type.text, constant->rows, constant->columns, *width);
    }
    return TD_OK;
}

/* Gemm and MatMul of a row with a constant matrix. */
static td_code plan_product(const pump_onnx *model, const onnx_node *node, run_step *step, size_t *width, td_err *err)
{
    bool gemm = onnx_is(node->type, "Gemm");
    const onnx_tensor *matrix = node->input_count >= 2 ? find_constant(model, node->inputs[1]) : NULL;
    if (matrix == NULL || !matrix->matrix || node->transpose_a || (!gemm && node->input_count != 2)) {
        return td_fail(err, TD_INVALID, "%.*s is known to this runner only with a constant matrix as second input",
                       shown(node->type), node->type.text);
    }
    TD_TRY(need_value(model, node->inputs[0], &step->from, err));
    step->transposed = gemm && node->transpose_b;
    size_t in = step->transposed ? matrix->columns : matrix->rows;
    *width = step->transposed ? matrix->rows : matrix->columns;
    if (in != model->values[step->from].width) {
        return td_fail(err, TD_CORRUPT, "%.*s: a matrix of [%zu, %zu] for rows of %zu", shown(node->type),
                       node->type.text, matrix->rows, matrix->columns, model->values[step->from].width);
    }
    step->constant = matrix->values;
    step->alpha = gemm ? node->alpha : 1.0f;
    step->beta = node->beta;
    if (node->input_count == 3 && node->inputs[2].length > 0) {
        const onnx_tensor *bias = find_constant(model, node->inputs[2]);
        if (bias == NULL || bias->rows != 1 || (bias->columns != 1 && bias->columns != *width)) {
            return td_fail(err, TD_INVALID, "Gemm: the third input must be a constant of one row of %zu", *width);
        }
        step->bias = bias->values;
        step->bias_count = bias->columns;
    }
    return TD_OK;
}

static td_code plan_single(const pump_onnx *model, const onnx_node *node, run_step *step, size_t *width, td_err *err)
{
    if (node->input_count != 1) {
        return td_fail(err, TD_CORRUPT, "%.*s needs one input", shown(node->type), node->type.text);
    }
    TD_TRY(need_value(model, node->inputs[0], &step->from, err));
    *width = model->values[step->from].width;
    return TD_OK;
}

typedef td_code (*plan_fn)(const pump_onnx *model, const onnx_node *node, run_step *step, size_t *width, td_err *err);

static const struct {
    const char *name;
    step_kind kind;
    plan_fn plan;
} operators[] = {
    {"Sub", STEP_SUB, plan_elementwise},      {"Add", STEP_ADD, plan_elementwise},
    {"Mul", STEP_MUL, plan_elementwise},      {"Div", STEP_DIV, plan_elementwise},
    {"Gemm", STEP_PRODUCT, plan_product},     {"MatMul", STEP_PRODUCT, plan_product},
    {"Relu", STEP_RELU, plan_single},         {"Sigmoid", STEP_SIGMOID, plan_single},
    {"Identity", STEP_IDENTITY, plan_single},
};

static td_code plan_node(pump_onnx *model, const onnx_node *node, td_err *err)
{
    for (size_t i = 0; i < TD_COUNT_OF(operators); i++) {
        if (onnx_is(node->type, operators[i].name)) {
            size_t width = 0;
            run_step step = {.kind = operators[i].kind, .to = model->value_count};
            TD_TRY(operators[i].plan(model, node, &step, &width, err));
            TD_TRY(add_value(model, node->output, width, err));
            model->steps[model->step_count++] = step;
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "operator %.*s is not known to this runner", shown(node->type), node->type.text);
}

td_code pump_onnx_load(const void *data, size_t size, pump_onnx **out, td_err *err)
{
    if (size > PUMP_ONNX_FILE_MAX) {
        return td_fail(err, TD_LIMIT, "a model of %zu bytes; this runner takes %zu", size, PUMP_ONNX_FILE_MAX);
    }
    TD_CLEANUP(pump_onnx_free) pump_onnx *model = calloc(1, sizeof *model);
    if (model == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a model");
    }
    TD_TRY(onnx_parse(data, size, &model->graph, err));
    TD_TRY(add_value(model, model->graph.input, model->graph.input_width, err));
    for (size_t i = 0; i < model->graph.node_count; i++) {
        TD_TRY(plan_node(model, &model->graph.nodes[i], err));
    }
    TD_TRY(need_value(model, model->graph.output, &model->output, err));
    *out = model;
    model = NULL;
    return TD_OK;
}

td_code pump_onnx_open(const char *path, pump_onnx **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str file = {.limit = PUMP_ONNX_FILE_MAX};
    TD_TRY(td_file_read(path, PUMP_ONNX_FILE_MAX, &file, err));
    td_code code = pump_onnx_load(td_str_text(&file), file.size, out, err);
    return code == TD_OK ? TD_OK : td_wrap(err, "%s", path);
}

void pump_onnx_free(pump_onnx **model)
{
    if (*model != NULL) {
        for (size_t i = 0; i < (*model)->value_count; i++) {
            free((*model)->values[i].numbers);
        }
        onnx_graph_done(&(*model)->graph);
        free(*model);
        *model = NULL;
    }
}

size_t pump_onnx_inputs(const pump_onnx *model)
{
    return model->values[0].width;
}

size_t pump_onnx_outputs(const pump_onnx *model)
{
    return model->values[model->output].width;
}

/* ---- Running ------------------------------------------------------------------------------------------------------
 */

static float apply(step_kind kind, float a, float b)
{
    return kind == STEP_SUB ? a - b : kind == STEP_ADD ? a + b : kind == STEP_MUL ? a * b : a / b;
}

static float sigmoid(float x)
{
    return x >= 0 ? 1.0f / (1.0f + expf(-x)) : expf(x) / (1.0f + expf(x));
}

static void run_elementwise(const run_step *step, const run_value *from, float *to)
{
    for (size_t i = 0; i < from->width; i++) {
        float constant = step->constant[step->constant_count == 1 ? 0 : i];
        float x = from->numbers[i];
        to[i] = step->constant_first ? apply(step->kind, constant, x) : apply(step->kind, x, constant);
    }
}

static void run_product(const run_step *step, const run_value *from, const run_value *to)
{
    for (size_t column = 0; column < to->width; column++) {
        float sum = 0;
        for (size_t k = 0; k < from->width; k++) {
            size_t at = step->transposed ? column * from->width + k : k * to->width + column;
            sum += from->numbers[k] * step->constant[at];
        }
        float bias = step->bias != NULL ? step->bias[step->bias_count == 1 ? 0 : column] : 0;
        to->numbers[column] = step->alpha * sum + step->beta * bias;
    }
}

static void run_single(const run_step *step, const run_value *from, float *to)
{
    for (size_t i = 0; i < from->width; i++) {
        float x = from->numbers[i];
        to[i] = step->kind == STEP_SIGMOID ? sigmoid(x) : step->kind == STEP_RELU && x < 0 ? 0 : x;
    }
}

void pump_onnx_run(pump_onnx *model, const float *in, float *out)
{
    memcpy(model->values[0].numbers, in, model->values[0].width * sizeof *in);
    for (size_t i = 0; i < model->step_count; i++) {
        const run_step *step = &model->steps[i];
        const run_value *from = &model->values[step->from], *to = &model->values[step->to];
        if (step->kind == STEP_PRODUCT) {
            run_product(step, from, to);
        } else if (step->kind >= STEP_RELU) {
            run_single(step, from, to->numbers);
        } else {
            run_elementwise(step, from, to->numbers);
        }
    }
    const run_value *result = &model->values[model->output];
    memcpy(out, result->numbers, result->width * sizeof *out);
}
