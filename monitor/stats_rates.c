/*
 * stats_rates.c: rates with honest intervals, and gaps between groups with the part that chance alone explains.
 *
 * A largest-minus-smallest gap over several small groups is biased upwards: with no disparity at all, 8 groups of 100
 * show a gap above 0.1 in 87 of 100 cases. So a gap comes with its mean and p-value under "all groups share one rate",
 * simulated with a fixed seed so that the same counts always give the same numbers.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/stats.h"

#include <assert.h>
#include <math.h>

#define SIMULATIONS 1000
#define SIMULATION_SEED 0x7469646d61726bULL
#define NORMAL_FROM_VARIANCE 25.0 /* above this n p (1 − p) a binomial is drawn as a rounded normal */

static const td_interval undefined = {NAN, NAN, NAN};

td_interval td_wilson(uint64_t k, uint64_t n, double z)
{
    if (n == 0) {
        return undefined;
    }
    double hits = (double)k, all = (double)n, z2 = z * z;
    double middle = (hits + z2 / 2) / (all + z2);
    double half = z / (all + z2) * sqrt(hits * (all - hits) / all + z2 / 4);
    return (td_interval){hits / all, k == 0 ? 0 : fmax(0, middle - half), k == n ? 1 : fmin(1, middle + half)};
}

td_interval td_newcombe(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2, double z)
{
    td_interval a = td_wilson(k1, n1, z), b = td_wilson(k2, n2, z);
    if (n1 == 0 || n2 == 0) {
        return undefined;
    }
    double difference = a.value - b.value;
    return (td_interval){difference, difference - hypot(a.value - a.low, b.high - b.value),
                         difference + hypot(a.high - a.value, b.value - b.low)};
}

td_interval td_rate_ratio(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2, double z)
{
    if (k1 == 0 || k2 == 0 || n1 == 0 || n2 == 0) {
        return undefined;
    }
    double ratio = (double)k1 / (double)n1 / ((double)k2 / (double)n2);
    double error = sqrt(1 / (double)k1 - 1 / (double)n1 + 1 / (double)k2 - 1 / (double)n2);
    return (td_interval){ratio, ratio * exp(-z * error), ratio * exp(z * error)};
}

/* ---- Fair gaps, simulated -------------------------------------------------------------------- */

static double next_uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL); /* SplitMix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

/* Inversion, for small n p. */
static double draw_few(uint64_t *state, double n, double p)
{
    double odds = p / (1 - p), mass = pow(1 - p, n), u = next_uniform(state), k = 0;
    while (u > mass && k < n) {
        u -= mass;
        k++;
        mass *= odds * (n - k + 1) / k;
    }
    return k;
}

static double draw_binomial(uint64_t *state, double n, double p)
{
    if (p > 0.5) {
        return n - draw_binomial(state, n, 1 - p);
    }
    double variance = n * p * (1 - p);
    if (variance <= NORMAL_FROM_VARIANCE) {
        return draw_few(state, n, p);
    }
    double k = round(n * p + sqrt(variance) * td_normal_quantile(next_uniform(state)));
    return fmin(n, fmax(0, k));
}

static void simulate_fair(const td_rate *rates, const bool *part, size_t groups, td_gap *gap)
{
    double hits = 0, all = 0;
    for (size_t i = 0; i < groups; i++) {
        hits += part[i] ? (double)rates[i].k : 0;
        all += part[i] ? (double)rates[i].n : 0;
    }
    uint64_t state = SIMULATION_SEED;
    double sum = 0, at_least = 0;
    for (int run = 0; run < SIMULATIONS; run++) {
        double low = INFINITY, high = -INFINITY;
        for (size_t i = 0; i < groups; i++) {
            if (part[i]) {
                double rate = draw_binomial(&state, (double)rates[i].n, hits / all) / (double)rates[i].n;
                low = fmin(low, rate);
                high = fmax(high, rate);
            }
        }
        sum += high - low;
        at_least += high - low >= gap->difference.value - 1e-12;
    }
    gap->expected_if_fair = sum / SIMULATIONS;
    gap->excess = gap->difference.value - gap->expected_if_fair;
    gap->p_value = (at_least + 1) / (SIMULATIONS + 1);
}

td_gap td_group_gap(const td_rate *rates, size_t groups, uint64_t minimum_n, double z)
{
    assert(groups <= TD_GROUPS_MAX);
    td_gap gap = {0, 0, 0, undefined, undefined, NAN, NAN, NAN};
    bool part[TD_GROUPS_MAX] = {false};
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < groups; i++) {
        part[i] = rates[i].n > 0 && rates[i].n >= minimum_n;
        if (!part[i]) {
            continue;
        }
        gap.compared++;
        double rate = (double)rates[i].k / (double)rates[i].n;
        if (rate > high) {
            high = rate;
            gap.highest = i;
        }
        if (rate < low) {
            low = rate;
            gap.lowest = i;
        }
    }
    if (gap.compared < 2) {
        return gap;
    }
    const td_rate *top = &rates[gap.highest], *bottom = &rates[gap.lowest];
    gap.difference = td_newcombe(top->k, top->n, bottom->k, bottom->n, z);
    gap.ratio = td_rate_ratio(bottom->k, bottom->n, top->k, top->n, z);
    if (bottom->k == 0 && top->k > 0) {
        gap.ratio.value = 0; /* defined, though without an interval */
    }
    simulate_fair(rates, part, groups, &gap);
    return gap;
}
