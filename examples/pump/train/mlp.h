/*
 * mlp.h: a small network (standardise, 8 → hidden ReLU → 1 sigmoid) and its training by Adam; deterministic by seed.
 *
 * Weights are kept as floats, as the ONNX file stores them, so that scores computed here are those that any runtime
 * computes. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_EXAMPLES_PUMP_MLP_H
#define TD_EXAMPLES_PUMP_MLP_H

#include "core/base/err.h"
#include "examples/pump/train/table.h"

#define MLP_HIDDEN_MAX 64

typedef struct mlp {
    int hidden;
    float mean[PUMP_FEATURES], deviation[PUMP_FEATURES];
    float w1[PUMP_FEATURES][MLP_HIDDEN_MAX]; /* input × hidden */
    float b1[MLP_HIDDEN_MAX];
    float w2[MLP_HIDDEN_MAX];
    float b2;
} mlp;

typedef struct mlp_options {
    int hidden, epochs, batch;
    double rate, decay; /* Adam's step; weight decay */
    uint64_t seed;
} mlp_options;

/* Trains on rows of `table` (chosen[i]: use row i). INVALID: no rows, only one class, or hidden out of range. */
TD_MUST_USE td_code mlp_train(const pump_table *table, const bool *chosen, const mlp_options *options, mlp *out,
                              td_err *err);
/* Probability of damage. */
double mlp_score(const mlp *model, const float features[PUMP_FEATURES]);

#endif
