/*
 * stats.c: distances between two histograms. One loop each, straight from the formula in stats.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/stats.h"

#include <assert.h>
#include <math.h>

#define JOINED_SHARE_MIN 0.05 /* of the reference: half a decile */
#define JOINED_BINS_MIN 3
#define GAMMA_STEPS_MAX 500
#define GAMMA_PRECISION 1e-15

typedef struct sums {
    double reference, current;
} sums;

static sums totals(const td_histograms *h)
{
    assert(h->bins >= 1 && h->bins <= TD_STATS_BINS_MAX);
    sums s = {0};
    for (size_t i = 0; i < h->bins; i++) {
        s.reference += (double)h->reference[i];
        s.current += (double)h->current[i];
    }
    return s;
}

static bool is_empty(sums s)
{
    return s.reference <= 0 || s.current <= 0;
}

double td_psi_smoothed(const td_histograms *h)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    double half_bins = (double)h->bins / 2, psi = 0;
    for (size_t i = 0; i < h->bins; i++) {
        double p = ((double)h->reference[i] + 0.5) / (s.reference + half_bins);
        double q = ((double)h->current[i] + 0.5) / (s.current + half_bins);
        psi += (q - p) * log(q / p);
    }
    return psi;
}

double td_psi_corrected(const td_histograms *h)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    return td_psi_smoothed(h) - ((double)h->bins - 1) * (1 / s.current + 1 / s.reference);
}

double td_ks_statistic(const td_histograms *h)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    double p = 0, q = 0, largest = 0;
    for (size_t i = 0; i + 1 < h->bins; i++) {
        p += (double)h->reference[i];
        q += (double)h->current[i];
        largest = fmax(largest, fabs(p / s.reference - q / s.current));
    }
    return largest;
}

static double bits_towards(double p, double middle)
{
    return p > 0 ? p * log2(p / middle) : 0;
}

double td_js_distance_log2(const td_histograms *h)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    double divergence = 0;
    for (size_t i = 0; i < h->bins; i++) {
        double p = (double)h->reference[i] / s.reference, q = (double)h->current[i] / s.current;
        divergence += (bits_towards(p, (p + q) / 2) + bits_towards(q, (p + q) / 2)) / 2;
    }
    return sqrt(fmin(1, fmax(0, divergence)));
}

double td_hellinger(const td_histograms *h)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    double affinity = 0;
    for (size_t i = 0; i < h->bins; i++) {
        affinity += sqrt((double)h->reference[i] / s.reference * ((double)h->current[i] / s.current));
    }
    return sqrt(fmax(0, 1 - affinity));
}

double td_total_variation(const td_histograms *h)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    double sum = 0;
    for (size_t i = 0; i < h->bins; i++) {
        sum += fabs((double)h->reference[i] / s.reference - (double)h->current[i] / s.current);
    }
    return sum / 2;
}

double td_l_infinity(const td_histograms *h)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    double largest = 0;
    for (size_t i = 0; i < h->bins; i++) {
        largest = fmax(largest, fabs((double)h->reference[i] / s.reference - (double)h->current[i] / s.current));
    }
    return largest;
}

double td_chi_square_fit(const td_histograms *h)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    double sum = 0;
    for (size_t i = 0; i < h->bins; i++) {
        double expected = (double)h->reference[i] * s.current / s.reference;
        double off = (double)h->current[i] - expected;
        sum += expected > 0 ? off * off / expected : 0;
    }
    return sum;
}

double td_chi_square_contingency(const td_histograms *h)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    double sum = 0, all = s.reference + s.current;
    for (size_t i = 0; i < h->bins; i++) {
        double column = (double)h->reference[i] + (double)h->current[i];
        double expected = column * s.current / all, expected_reference = column * s.reference / all;
        double off = (double)h->current[i] - expected;
        sum += column > 0 ? off * off / expected + off * off / expected_reference : 0;
    }
    return sum;
}

/* Lower incomplete gamma by its series (x < a + 1), regularised. */
static double gamma_series(double a, double x)
{
    double term = 1 / a, sum = term;
    for (int i = 1; i < GAMMA_STEPS_MAX && fabs(term) > fabs(sum) * GAMMA_PRECISION; i++) {
        term *= x / (a + i);
        sum += term;
    }
    return sum * exp(-x + a * log(x) - lgamma(a));
}

/* Upper incomplete gamma by its continued fraction (Lentz), regularised. */
static double gamma_fraction(double a, double x)
{
    const double tiny = 1e-300;
    double b = x + 1 - a, c = 1 / tiny, d = 1 / b, value = d;
    for (int i = 1; i < GAMMA_STEPS_MAX; i++) {
        double factor = -i * (i - a);
        b += 2;
        d = factor * d + b;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = b + factor / c;
        c = fabs(c) < tiny ? tiny : c;
        value *= d * c;
        if (fabs(d * c - 1) < GAMMA_PRECISION) {
            break;
        }
    }
    return value * exp(-x + a * log(x) - lgamma(a));
}

double td_chi_square_tail(double x, double degrees)
{
    if (!(x > 0)) {
        return x <= 0 ? 1 : NAN;
    }
    double a = degrees / 2;
    return x / 2 < a + 1 ? 1 - gamma_series(a, x / 2) : gamma_fraction(a, x / 2);
}

/* ∫ |line from a to b| over a width */
static double area_between(double a, double b, double width)
{
    double size = fabs(a) + fabs(b);
    if (size <= 0) {
        return 0;
    }
    return a * b >= 0 ? width * size / 2 : width * (a * a + b * b) / (2 * size);
}

double td_wasserstein(const td_histograms *h, const double *bounds)
{
    sums s = totals(h);
    if (is_empty(s)) {
        return NAN;
    }
    double p = 0, q = 0, before = 0, area = 0;
    for (size_t i = 0; i < h->bins; i++) {
        p += (double)h->reference[i];
        q += (double)h->current[i];
        double after = p / s.reference - q / s.current;
        area += area_between(before, after, fmax(0, bounds[i + 1] - bounds[i]));
        before = after;
    }
    return area;
}

static size_t join(const td_histograms *h, double reference_total, uint8_t *map)
{
    size_t bins = 0;
    double share = 0;
    for (size_t i = 0; i < h->bins; i++) {
        map[i] = (uint8_t)bins;
        share += (double)h->reference[i] / reference_total;
        if (share >= JOINED_SHARE_MIN - 1e-12) {
            bins++;
            share = 0;
        }
    }
    for (size_t i = 0; i < h->bins; i++) {
        map[i] = map[i] >= bins && bins > 0 ? (uint8_t)(bins - 1) : map[i]; /* the last crumbs go to their neighbour */
    }
    return bins;
}

size_t td_join_deciles(const td_histograms *h, uint64_t *reference_out, uint64_t *current_out, uint8_t *map)
{
    uint8_t own_map[TD_STATS_BINS_MAX] = {0};
    uint8_t *to = map != NULL ? map : own_map;
    sums s = totals(h);
    size_t bins = s.reference > 0 ? join(h, s.reference, to) : 0;
    if (bins < JOINED_BINS_MIN) {
        bins = h->bins;
        for (size_t i = 0; i < h->bins; i++) {
            to[i] = (uint8_t)i;
        }
    }
    for (size_t i = 0; i < TD_STATS_BINS_MAX; i++) {
        reference_out[i] = current_out[i] = 0;
    }
    for (size_t i = 0; i < h->bins; i++) {
        reference_out[to[i]] += h->reference[i];
        current_out[to[i]] += h->current[i];
    }
    return bins;
}
