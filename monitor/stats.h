/*
 * stats.h: the statistics themselves: pure functions of counts, named so that no two conventions can be confused.
 *
 * p is the reference, q the current distribution, both given as counts over the same bins. Formulas, sources and the
 * vectors that pin them: docs/monitoring.md; tests/vectors/monitor.
 * Threads: any; nothing is kept.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_STATS_H
#define TD_MONITOR_STATS_H

#include "core/base/err.h"

#define TD_STATS_BINS_MAX 32

/* Two histograms over the same bins. */
typedef struct td_histograms {
    const uint64_t *reference;
    const uint64_t *current;
    size_t bins; /* 1 … TD_STATS_BINS_MAX */
} td_histograms;

/* ---- Distances. All return NAN when one side is empty ("undefined", never 0). ---------------- */

/* Σ (q − p) ln(q / p) with p, q = (c + ½) / (n + B/2) (Krichevsky–Trofimov), so empty bins are finite. */
double td_psi_smoothed(const td_histograms *h);
/* PSI* = td_psi_smoothed − (B − 1)(1/n + 1/N): without the part that noise alone explains. May be slightly negative. */
double td_psi_corrected(const td_histograms *h);
/* max |F − G| at the edges; for ordered bins only. Exact up to the share of one bin. */
double td_ks_statistic(const td_histograms *h);
/* √ of the Jensen–Shannon divergence in bits: 0 … 1. */
double td_js_distance_log2(const td_histograms *h);
double td_hellinger(const td_histograms *h);
double td_total_variation(const td_histograms *h);
/* max |p − q| */
double td_l_infinity(const td_histograms *h);
/* Goodness of fit with the reference scaled to n as the expectation (bins without reference counts are left out). */
double td_chi_square_fit(const td_histograms *h);
/* Contingency test of the 2 × B table. */
double td_chi_square_contingency(const td_histograms *h);
/* P(χ² with `degrees` degrees of freedom > x) */
double td_chi_square_tail(double x, double degrees);
/* Wasserstein-1 of the two piecewise-linear distributions over bounds[0 … bins] (bins + 1 ascending values). */
double td_wasserstein(const td_histograms *h, const double *bounds);

/* Joins neighbouring bins, left to right, until each holds at least 5 % of the reference: deciles, when the edges are
 * the design's 15 quantiles. Fewer than 3 joined bins (constant and two-valued columns): the bins stay as they are.
 * Writes to arrays of TD_STATS_BINS_MAX; returns the number of bins. `map` (may be NULL): joined bin of each bin. */
size_t td_join_deciles(const td_histograms *h, uint64_t *reference_out, uint64_t *current_out, uint8_t *map);

/* ---- Rates ----------------------------------------------------------------------------------- */

typedef struct td_interval {
    double value, low, high; /* value NAN: undefined (no observations) */
} td_interval;

#define TD_Z95 1.959963984540054

/* Wilson score interval of k out of n. */
td_interval td_wilson(uint64_t k, uint64_t n, double z);
/* Newcombe's hybrid score interval of k1/n1 − k2/n2. */
td_interval td_newcombe(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2, double z);
/* (k1/n1) / (k2/n2) with the log-delta interval; undefined when a rate is 0. */
td_interval td_rate_ratio(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2, double z);

/* ---- Groups ---------------------------------------------------------------------------------- */

#define TD_GROUPS_MAX 9

typedef struct td_rate {
    uint64_t k, n; /* k of n; n = 0: no such group here */
} td_rate;

/* Largest minus smallest rate among the groups with n >= minimum_n. */
typedef struct td_gap {
    size_t compared;         /* groups that took part; below 2 everything else is NAN */
    size_t highest, lowest;  /* indices */
    td_interval difference;  /* Newcombe between those two */
    td_interval ratio;       /* lowest / highest */
    double expected_if_fair; /* mean of such a gap when all groups share the pooled rate (simulated, fixed seed) */
    double excess;           /* difference − expected_if_fair */
    double p_value;          /* share of simulated fair gaps at least as large */
} td_gap;

/* Demographic parity with positives of n; equal opportunity with true positives of labelled positives; and so on. */
td_gap td_group_gap(const td_rate *rates, size_t groups, uint64_t minimum_n, double z);

/* ---- Evidence: a mixture e-detector on bin counts -------------------------------------------- */

#define TD_EVIDENCE_ALTERNATIVES 12

/* log M[j]; all -INFINITY at the start (td_evidence_start). Plain data. */
typedef struct td_evidence {
    double log_m[TD_EVIDENCE_ALTERNATIVES];
} td_evidence;
void td_evidence_start(td_evidence *evidence);
/* M[j] ← (M[j] + 1) Π (alternative_j[i] / p[i])^(c_i / φ): mean shifts ±0.1 ±0.2 ±0.3 ±0.5 σ, scales 0.7 0.85 1.2 1.5
 * in normal-score space. Bins are taken as ordered. overdispersion φ >= 1. (Shin, Ramdas, Rinaldo: E-detectors) */
void td_evidence_add(td_evidence *evidence, const td_histograms *h, double overdispersion);
/* log of the mean over the alternatives: alarm when >= log A; then the mean time to a false alarm is at least A
 * windows. */
double td_evidence_log_mean(const td_evidence *evidence);

/* ---- Helpers --------------------------------------------------------------------------------- */

double td_normal_cdf(double x);
double td_normal_quantile(double p); /* 0 < p < 1 */

#endif
