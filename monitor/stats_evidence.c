/*
 * stats_evidence.c: a mixture e-detector on bin counts, so that "has it drifted?" has a stated false-alarm rate at any
 * time.
 *
 * Each alternative says how the reference's bins would fill if values moved or spread in normal-score space; that is a
 * pure function of the reference's shares, so no shape is assumed of the data. With exact shares and independent counts
 * the mean time to a false alarm is at least A windows (Shin, Ramdas, Rinaldo, "E-detectors"); φ tempers dependent
 * counts.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/stats.h"

#include <math.h>

#define SHARE_MIN 1e-12

typedef struct alternative {
    double shift, scale;
} alternative;

static const alternative alternatives[TD_EVIDENCE_ALTERNATIVES] = {
    {-0.5, 1}, {-0.3, 1}, {-0.2, 1}, {-0.1, 1}, {0.1, 1}, {0.2, 1},
    {0.3, 1},  {0.5, 1},  {0, 0.7},  {0, 0.85}, {0, 1.2}, {0, 1.5},
};

double td_normal_cdf(double x)
{
    return 0.5 * erfc(-x / sqrt(2));
}

/* Bisection to a start, Newton to the end: slow but right to the last digits, with no table of magic numbers. */
double td_normal_quantile(double p)
{
    if (!(p > 0 && p < 1)) {
        return p <= 0 ? -INFINITY : p >= 1 ? INFINITY : NAN;
    }
    double low = -38, high = 38;
    for (int i = 0; i < 12; i++) {
        double middle = (low + high) / 2;
        *(td_normal_cdf(middle) < p ? &low : &high) = middle;
    }
    double x = (low + high) / 2;
    for (int i = 0; i < 8; i++) {
        double density = exp(-x * x / 2) / sqrt(2 * acos(-1));
        double step = density > 0 ? (td_normal_cdf(x) - p) / density : 0;
        x -= fmax(-0.5, fmin(0.5, step));
        if (fabs(step) < 1e-15) {
            break;
        }
    }
    return x;
}

void td_evidence_start(td_evidence *evidence)
{
    for (size_t j = 0; j < TD_EVIDENCE_ALTERNATIVES; j++) {
        evidence->log_m[j] = -INFINITY;
    }
}

static double log_of_sum(double a, double b)
{
    double high = fmax(a, b);
    return isinf(high) ? high : high + log(exp(a - high) + exp(b - high));
}

/* Shares of the reference (smoothed) and the normal scores of the bins' bounds. */
static void reference_scores(const td_histograms *h, double *shares, double *scores)
{
    double total = 0, below = 0;
    for (size_t i = 0; i < h->bins; i++) {
        total += (double)h->reference[i] + 0.5;
    }
    scores[0] = -INFINITY;
    for (size_t i = 0; i < h->bins; i++) {
        shares[i] = ((double)h->reference[i] + 0.5) / total;
        below += shares[i];
        scores[i + 1] = i + 1 == h->bins ? INFINITY : td_normal_quantile(below);
    }
}

void td_evidence_add(td_evidence *evidence, const td_histograms *h, double overdispersion)
{
    double shares[TD_STATS_BINS_MAX], scores[TD_STATS_BINS_MAX + 1];
    reference_scores(h, shares, scores);
    for (size_t j = 0; j < TD_EVIDENCE_ALTERNATIVES; j++) {
        const alternative *a = &alternatives[j];
        double gain = 0;
        for (size_t i = 0; i < h->bins; i++) {
            double mass =
                td_normal_cdf((scores[i + 1] - a->shift) / a->scale) - td_normal_cdf((scores[i] - a->shift) / a->scale);
            gain += (double)h->current[i] * log(fmax(mass, SHARE_MIN) / shares[i]);
        }
        evidence->log_m[j] = log_of_sum(evidence->log_m[j], 0) + gain / overdispersion;
    }
}

double td_evidence_log_mean(const td_evidence *evidence)
{
    double sum = -INFINITY;
    for (size_t j = 0; j < TD_EVIDENCE_ALTERNATIVES; j++) {
        sum = log_of_sum(sum, evidence->log_m[j]);
    }
    return sum - log(TD_EVIDENCE_ALTERNATIVES);
}
