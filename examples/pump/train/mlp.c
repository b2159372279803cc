/*
 * mlp.c: forward pass, gradients by hand, Adam (Kingma and Ba, 2015), rows shuffled each epoch by a seeded generator.
 *
 * The parameters are trained as one flat array of doubles and rounded to floats at the end.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/train/mlp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARAMETERS_MAX ((PUMP_FEATURES + 2) * MLP_HIDDEN_MAX + 1)

/* Where things lie in the flat array, for h hidden units: w1 [8][h], b1 [h], w2 [h], b2. */
typedef struct trainer {
    int h, parameters;
    double mean[PUMP_FEATURES], deviation[PUMP_FEATURES];
    double value[PARAMETERS_MAX], gradient[PARAMETERS_MAX], first[PARAMETERS_MAX], second[PARAMETERS_MAX];
    uint64_t random;
} trainer;

static uint64_t next_random(trainer *t)
{
    uint64_t z = t->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static void standardise(trainer *t, const pump_table *table, const size_t *order, size_t count)
{
    for (int k = 0; k < PUMP_FEATURES; k++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < count; i++) {
            sum += (double)table->rows[order[i]].features[k];
        }
        double mean = sum / (double)count;
        for (size_t i = 0; i < count; i++) {
            double d = (double)table->rows[order[i]].features[k] - mean;
            squares += d * d;
        }
        double deviation = sqrt(squares / (double)count);
        t->mean[k] = (double)(float)mean;
        t->deviation[k] = deviation > 1e-9 ? (double)(float)deviation : 1.0; /* a constant column says nothing */
    }
}

static void start_weights(trainer *t)
{
    t->parameters = (PUMP_FEATURES + 2) * t->h + 1;
    memset(t->value, 0, sizeof t->value);
    double scale1 = sqrt(6.0 / PUMP_FEATURES), scale2 = sqrt(3.0 / t->h);
    for (int i = 0; i < t->parameters - 1; i++) {
        double u = (double)(next_random(t) >> 11) * 0x1.0p-53 * 2 - 1;
        bool is_w1 = i < PUMP_FEATURES * t->h;
        bool is_b1 = !is_w1 && i < (PUMP_FEATURES + 1) * t->h;
        t->value[i] = is_b1 ? 0 : u * (is_w1 ? scale1 : scale2);
    }
}

/* Adds the gradient of the cross-entropy of one row. */
static void add_gradient(trainer *t, const pump_row *row)
{
    const double *w1 = t->value, *b1 = w1 + PUMP_FEATURES * t->h, *w2 = b1 + t->h;
    double *g1 = t->gradient, *gb1 = g1 + PUMP_FEATURES * t->h, *g2 = gb1 + t->h;
    double x[PUMP_FEATURES], hidden[MLP_HIDDEN_MAX];
    double logit = t->value[t->parameters - 1];
    for (int k = 0; k < PUMP_FEATURES; k++) {
        x[k] = ((double)row->features[k] - t->mean[k]) / t->deviation[k];
    }
    for (int j = 0; j < t->h; j++) {
        double sum = b1[j];
        for (int k = 0; k < PUMP_FEATURES; k++) {
            sum += x[k] * w1[k * t->h + j];
        }
        hidden[j] = sum > 0 ? sum : 0;
        logit += hidden[j] * w2[j];
    }
    double delta = 1.0 / (1.0 + exp(-logit)) - row->label;
    t->gradient[t->parameters - 1] += delta;
    for (int j = 0; j < t->h; j++) {
        g2[j] += delta * hidden[j];
        if (hidden[j] > 0) {
            double back = delta * w2[j];
            gb1[j] += back;
            for (int k = 0; k < PUMP_FEATURES; k++) {
                g1[k * t->h + j] += back * x[k];
            }
        }
    }
}

static void adam_step(trainer *t, const mlp_options *options, double rate, int step, size_t batch)
{
    double bias1 = 1 - pow(0.9, step), bias2 = 1 - pow(0.999, step);
    for (int i = 0; i < t->parameters; i++) {
        double g = t->gradient[i] / (double)batch + options->decay * t->value[i];
        t->first[i] = 0.9 * t->first[i] + 0.1 * g;
        t->second[i] = 0.999 * t->second[i] + 0.001 * g * g;
        t->value[i] -= rate * (t->first[i] / bias1) / (sqrt(t->second[i] / bias2) + 1e-8);
        t->gradient[i] = 0;
    }
}

static void shuffle(trainer *t, size_t *order, size_t count)
{
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = (size_t)(next_random(t) % (i + 1));
        size_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

static void run_epochs(trainer *t, const pump_table *table, size_t *order, size_t count, const mlp_options *options)
{
    int step = 0;
    for (int epoch = 0; epoch < options->epochs; epoch++) {
        double rate = options->rate * 0.5 * (1 + cos(3.14159265358979 * epoch / options->epochs));
        shuffle(t, order, count);
        for (size_t start = 0; start < count; start += (size_t)options->batch) {
            size_t end = start + (size_t)options->batch < count ? start + (size_t)options->batch : count;
            for (size_t i = start; i < end; i++) {
                add_gradient(t, &table->rows[order[i]]);
            }
            adam_step(t, options, rate, ++step, end - start);
        }
    }
}

static void round_to_floats(const trainer *t, mlp *out)
{
    *out = (mlp){.hidden = t->h, .b2 = (float)t->value[t->parameters - 1]};
    for (int k = 0; k < PUMP_FEATURES; k++) {
        out->mean[k] = (float)t->mean[k];
        out->deviation[k] = (float)t->deviation[k];
        for (int j = 0; j < t->h; j++) {
            out->w1[k][j] = (float)t->value[k * t->h + j];
        }
    }
    for (int j = 0; j < t->h; j++) {
        out->b1[j] = (float)t->value[PUMP_FEATURES * t->h + j];
        out->w2[j] = (float)t->value[(PUMP_FEATURES + 1) * t->h + j];
    }
}

td_code mlp_train(const pump_table *table, const bool *chosen, const mlp_options *options, mlp *out, td_err *err)
{
    size_t count = 0, damaged = 0;
    if (options->hidden < 1 || options->hidden > MLP_HIDDEN_MAX || options->batch < 1 || options->epochs < 1) {
        return td_fail(err, TD_INVALID, "hidden units 1 to %d, at least one epoch, at least one row a batch",
                       MLP_HIDDEN_MAX);
    }
    size_t *order = malloc((table->count + 1) * sizeof *order);
    trainer *t = calloc(1, sizeof *t);
    if (order == NULL || t == NULL) {
        free(order);
        free(t);
        return td_fail(err, TD_NOMEM, "no memory to train on %zu rows", table->count);
    }
    for (size_t i = 0; i < table->count; i++) {
        if (chosen[i]) {
            order[count++] = i;
            damaged += (size_t)table->rows[i].label;
        }
    }
    bool good = damaged > 0 && damaged < count;
    if (good) {
        t->h = options->hidden;
        t->random = options->seed;
        standardise(t, table, order, count);
        start_weights(t);
        run_epochs(t, table, order, count, options);
        round_to_floats(t, out);
    }
    free(order);
    free(t);
    return good ? TD_OK
                : td_fail(err, TD_INVALID, "%zu rows to train on, %zu of them damaged: both kinds are needed", count,
                          damaged);
}

double mlp_score(const mlp *model, const float features[PUMP_FEATURES])
{
    double logit = (double)model->b2;
    for (int j = 0; j < model->hidden; j++) {
        double sum = (double)model->b1[j];
        for (int k = 0; k < PUMP_FEATURES; k++) {
            double x = ((double)features[k] - (double)model->mean[k]) / (double)model->deviation[k];
            sum += x * (double)model->w1[k][j];
        }
        logit += sum > 0 ? sum * (double)model->w2[j] : 0;
    }
    return 1.0 / (1.0 + exp(-logit));
}
