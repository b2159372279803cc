/*
 * test_stats.c: the statistics against numbers that other people's programs gave, and against what they must be by
 * definition.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/stats.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_near(const char *id, const char *what, double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance)) {
        fail_msg("%s: %s is %.12g, expected %.12g", id, what, got, expected);
    }
}

static json_t *load(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/vectors/monitor/%s", getenv("TD_SOURCE_DIR"), name);
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    if (json == NULL) {
        fail_msg("%s: %s", path, error.text);
    }
    return json;
}

/* How far the last digit that a source printed may be off: vectors carry 6 to 16 digits. */
static double printed_precision(const json_t *number)
{
    char text[64];
    snprintf(text, sizeof text, "%.12g", json_number_value(number));
    const char *dot = strchr(text, '.');
    size_t digits = dot != NULL ? strlen(dot + 1) : 0;
    return digits >= 10 || dot == NULL ? 1e-9 : fmax(1e-9, 0.6 * pow(10, -(double)digits));
}

static size_t read_counts(const json_t *array, uint64_t *out)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        out[i] = (uint64_t)json_integer_value(json_array_get(array, i));
    }
    return json_array_size(array);
}

static int check(const json_t *row, const char *key, double got)
{
    const json_t *expected = json_object_get(row, key);
    if (expected == NULL) {
        return 0;
    }
    assert_near(json_string_value(json_object_get(row, "id")), key, got, json_number_value(expected),
                printed_precision(expected));
    return 1;
}

static void distances__agree_with_published_numbers(void **state)
{
    (void)state;
    json_t *rows = load("distances.json");
    int checked = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        uint64_t p[TD_STATS_BINS_MAX], q[TD_STATS_BINS_MAX];
        size_t bins = read_counts(json_object_get(row, "reference"), p);
        read_counts(json_object_get(row, "current"), q);
        td_histograms h = {p, q, bins};
        double degrees = (double)bins - 1;
        checked += check(row, "psi_smoothed", td_psi_smoothed(&h));
        checked += check(row, "hellinger", td_hellinger(&h));
        checked += check(row, "js_distance_log2", td_js_distance_log2(&h));
        checked += check(row, "total_variation", td_total_variation(&h));
        checked += check(row, "l_infinity", td_l_infinity(&h));
        checked += check(row, "chi_square_fit", td_chi_square_fit(&h));
        checked += check(row, "chi_square_fit_p", td_chi_square_tail(td_chi_square_fit(&h), degrees));
        checked += check(row, "chi_square_contingency", td_chi_square_contingency(&h));
        checked += check(row, "chi_square_contingency_p", td_chi_square_tail(td_chi_square_contingency(&h), degrees));
    }
    assert_int_equal(checked, 15);
    json_decref(rows);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void add_samples(const json_t *samples, const double *edges, size_t count, uint64_t *out)
{
    for (size_t i = 0; i < json_array_size(samples); i++) {
        double x = json_number_value(json_array_get(samples, i));
        size_t bin = 0;
        while (bin < count && x > edges[bin]) {
            bin++;
        }
        out[bin]++;
    }
}

/* With one bin a value the statistic of bins is the statistic of samples. */
static void ks__agrees_with_scipy_on_samples(void **state)
{
    (void)state;
    json_t *rows = load("samples.json");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        double edges[TD_STATS_BINS_MAX];
        size_t count = 0;
        const char *keys[] = {"reference", "current"};
        for (size_t k = 0; k < 2; k++) {
            const json_t *samples = json_object_get(row, keys[k]);
            for (size_t j = 0; j < json_array_size(samples); j++) {
                edges[count++] = json_number_value(json_array_get(samples, j));
            }
        }
        qsort(edges, count, sizeof edges[0], compare);
        uint64_t p[TD_STATS_BINS_MAX] = {0}, q[TD_STATS_BINS_MAX] = {0};
        add_samples(json_object_get(row, "reference"), edges, count, p);
        add_samples(json_object_get(row, "current"), edges, count, q);
        td_histograms h = {p, q, count};
        assert_int_equal(check(row, "ks", td_ks_statistic(&h)), 1);
    }
    assert_int_equal(json_array_size(rows), 3);
    json_decref(rows);
}

static void intervals__agree_with_newcombe(void **state)
{
    (void)state;
    json_t *rates = load("rates.json");
    const json_t *rows = json_object_get(rates, "wilson");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        td_interval got = td_wilson((uint64_t)json_integer_value(json_object_get(row, "k")),
                                    (uint64_t)json_integer_value(json_object_get(row, "n")), TD_Z95);
        assert_near("wilson", "low", got.low, json_number_value(json_object_get(row, "low")), 1e-9);
        assert_near("wilson", "high", got.high, json_number_value(json_object_get(row, "high")), 1e-9);
    }
    td_interval d = td_newcombe(56, 70, 48, 80, TD_Z95);
    const json_t *row = json_array_get(json_object_get(rates, "newcombe"), 0);
    assert_near("newcombe", "value", d.value, 0.2, 1e-12);
    assert_near("newcombe", "low", d.low, json_number_value(json_object_get(row, "low")), 6e-7);
    assert_near("newcombe", "high", d.high, json_number_value(json_object_get(row, "high")), 6e-7);
    json_decref(rates);
}

static void intervals__of_nothing_are_undefined(void **state)
{
    (void)state;
    assert_true(isnan(td_wilson(0, 0, TD_Z95).value));
    assert_true(isnan(td_newcombe(1, 2, 0, 0, TD_Z95).low));
    assert_true(isnan(td_rate_ratio(0, 10, 1, 10, TD_Z95).value));
    td_rate rates[] = {{5, 10}, {0, 0}};
    td_gap gap = td_group_gap(rates, 2, 1, TD_Z95);
    assert_int_equal(gap.compared, 1);
    assert_true(isnan(gap.difference.value) && isnan(gap.p_value));
}

static void gaps__agree_with_fairlearn(void **state)
{
    (void)state;
    json_t *all = load("rates.json");
    const json_t *rows = json_object_get(all, "groups");
    int checked = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *counts = json_object_get(row, "counts");
        size_t groups = json_array_size(counts);
        td_rate selection[TD_GROUPS_MAX], tpr[TD_GROUPS_MAX], fpr[TD_GROUPS_MAX];
        for (size_t g = 0; g < groups; g++) {
            uint64_t c[4];
            read_counts(json_array_get(counts, g), c);
            selection[g] = (td_rate){c[0] + c[1], c[0] + c[1] + c[2] + c[3]};
            tpr[g] = (td_rate){c[0], c[0] + c[3]};
            fpr[g] = (td_rate){c[1], c[1] + c[2]};
        }
        td_gap gap = td_group_gap(selection, groups, 1, TD_Z95);
        checked += check(row, "selection_difference", gap.difference.value);
        checked += check(row, "selection_ratio", gap.ratio.value);
        gap = td_group_gap(tpr, groups, 1, TD_Z95);
        checked += check(row, "tpr_difference", gap.difference.value);
        checked += check(row, "tpr_ratio", gap.ratio.value);
        gap = td_group_gap(fpr, groups, 1, TD_Z95);
        checked += check(row, "fpr_difference", gap.difference.value);
        checked += check(row, "fpr_ratio", gap.ratio.value);
    }
    assert_int_equal(checked, 8);
    json_decref(all);
}

/* 8 groups of 100 that share the rate 0.5: the gap's mean under fairness is 0.14, and P(gap > 0.1) is 0.87. */
static void gaps__of_many_small_groups_are_explained_by_chance(void **state)
{
    (void)state;
    td_rate rates[8];
    uint64_t hits[8] = {50, 45, 55, 48, 52, 50, 51, 49};
    for (size_t i = 0; i < 8; i++) {
        rates[i] = (td_rate){hits[i], 100};
    }
    td_gap gap = td_group_gap(rates, 8, 30, TD_Z95);
    assert_near("null", "difference", gap.difference.value, 0.1, 1e-12);
    assert_near("null", "expected", gap.expected_if_fair, 0.142, 0.005);
    assert_true(gap.excess < 0);
    assert_near("null", "p", gap.p_value, 0.89, 0.05);
    td_rate apart[] = {{30, 100}, {70, 100}};
    gap = td_group_gap(apart, 2, 30, TD_Z95);
    assert_true(gap.p_value < 0.002 && gap.difference.low > 0.2);
    assert_true(gap.highest == 1 && gap.lowest == 0);
}

/* Table of equivalences: ten reference deciles of a normal, moved by d standard deviations. */
static void distances__match_the_table_of_equivalences(void **state)
{
    (void)state;
    static const double table[][5] = {/* shift, PSI, KS, JS log2, L∞ */
                                      {0.10, 0.0096, 0.040, 0.042, 0.019},
                                      {0.25, 0.060, 0.100, 0.104, 0.051},
                                      {0.50, 0.238, 0.197, 0.205, 0.117},
                                      {1.00, 0.926, 0.383, 0.391, 0.289}};
    for (size_t row = 0; row < 4; row++) {
        uint64_t p[10], q[10];
        for (size_t i = 0; i < 10; i++) {
            double low = td_normal_quantile((double)i / 10), high = td_normal_quantile((double)(i + 1) / 10);
            p[i] = 100000000;
            q[i] = (uint64_t)(1e9 * (td_normal_cdf(high - table[row][0]) - td_normal_cdf(low - table[row][0])));
        }
        td_histograms h = {p, q, 10};
        assert_near("table", "psi", td_psi_corrected(&h), table[row][1], 0.0006);
        assert_near("table", "ks", td_ks_statistic(&h), table[row][2], 0.003); /* only seen at the deciles */
        assert_near("table", "js", td_js_distance_log2(&h), table[row][3], 0.0006);
        assert_near("table", "l_infinity", td_l_infinity(&h), table[row][4], 0.0006);
    }
}

static void distances__of_an_empty_side_are_undefined(void **state)
{
    (void)state;
    uint64_t p[3] = {1, 2, 3}, q[3] = {0};
    td_histograms h = {p, q, 3};
    assert_true(isnan(td_psi_corrected(&h)) && isnan(td_ks_statistic(&h)) && isnan(td_js_distance_log2(&h)));
}

static void wasserstein__of_a_shift_is_the_shift(void **state)
{
    (void)state;
    uint64_t p[4] = {0, 100, 100, 0}, q[4] = {0, 0, 100, 100};
    double bounds[5] = {0, 1, 2, 3, 4};
    td_histograms h = {p, q, 4};
    assert_near("w1", "shift", td_wasserstein(&h, bounds), 1.0, 1e-12);
    uint64_t r[4] = {100, 0, 0, 100}, s[4] = {0, 100, 100, 0};
    td_histograms crossing = {r, s, 4};
    assert_near("w1", "crossing", td_wasserstein(&crossing, bounds), 1.0, 1e-12);
}

static void join__gives_deciles_of_the_designs_quantiles(void **state)
{
    (void)state;
    uint64_t p[16] = {10, 90, 150, 750, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 750, 150, 90, 10}, q[16] = {0};
    q[0] = 7;
    q[15] = 3;
    uint64_t joined_p[TD_STATS_BINS_MAX], joined_q[TD_STATS_BINS_MAX];
    td_histograms h = {p, q, 16};
    assert_int_equal(td_join_deciles(&h, joined_p, joined_q, NULL), 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(joined_p[i], 1000);
    }
    assert_int_equal(joined_q[0], 7);
    assert_int_equal(joined_q[9], 3);
}

static void join__leaves_constant_columns_alone(void **state)
{
    (void)state;
    uint64_t p[3] = {0, 500, 0}, q[3] = {0, 250, 250}, joined_p[TD_STATS_BINS_MAX], joined_q[TD_STATS_BINS_MAX];
    td_histograms h = {p, q, 3};
    assert_int_equal(td_join_deciles(&h, joined_p, joined_q, NULL), 3);
    td_histograms joined = {joined_p, joined_q, 3};
    assert_true(td_psi_corrected(&joined) > 1);
}

static void normal__quantile_inverts_the_distribution(void **state)
{
    (void)state;
    assert_near("normal", "0.975", td_normal_quantile(0.975), TD_Z95, 1e-12);
    assert_near("normal", "0.5", td_normal_quantile(0.5), 0, 1e-14);
    for (double p = 1e-9; p < 0.5; p *= 3) {
        assert_near("normal", "tail", td_normal_cdf(td_normal_quantile(p)) / p, 1, 1e-10);
    }
}

static void evidence__grows_under_drift_and_not_without(void **state)
{
    (void)state;
    uint64_t p[10], same[10], moved[10];
    for (size_t i = 0; i < 10; i++) {
        double low = td_normal_quantile((double)i / 10), high = td_normal_quantile((double)(i + 1) / 10);
        p[i] = 1000000;
        same[i] = 20;
        moved[i] = (uint64_t)(200 * (td_normal_cdf(high - 0.2) - td_normal_cdf(low - 0.2)) + 0.5);
    }
    td_evidence evidence;
    td_evidence_start(&evidence);
    td_histograms null = {p, same, 10}, drift = {p, moved, 10};
    for (int i = 0; i < 200; i++) {
        td_evidence_add(&evidence, &null, 1);
    }
    assert_true(td_evidence_log_mean(&evidence) < log(100));
    td_evidence_start(&evidence);
    int windows = 0;
    while (td_evidence_log_mean(&evidence) < log(1e4) && windows < 50) {
        td_evidence_add(&evidence, &drift, 1);
        windows++;
    }
    assert_in_range(windows, 2, 4); /* the reference measured a median of 3 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances__agree_with_published_numbers),
        cmocka_unit_test(ks__agrees_with_scipy_on_samples),
        cmocka_unit_test(intervals__agree_with_newcombe),
        cmocka_unit_test(intervals__of_nothing_are_undefined),
        cmocka_unit_test(gaps__agree_with_fairlearn),
        cmocka_unit_test(gaps__of_many_small_groups_are_explained_by_chance),
        cmocka_unit_test(distances__match_the_table_of_equivalences),
        cmocka_unit_test(distances__of_an_empty_side_are_undefined),
        cmocka_unit_test(wasserstein__of_a_shift_is_the_shift),
        cmocka_unit_test(join__gives_deciles_of_the_designs_quantiles),
        cmocka_unit_test(join__leaves_constant_columns_alone),
        cmocka_unit_test(normal__quantile_inverts_the_distribution),
        cmocka_unit_test(evidence__grows_under_drift_and_not_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
