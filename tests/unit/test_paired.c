#include "harness/paired.h"
#include "harness/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

static void assert_near(double value, double wanted, double tolerance)
{
    if (!(fabs(value - wanted) <= tolerance)) {
        fail_msg("%.10g, wanted %.10g within %g", value, wanted, tolerance);
    }
}

/* Hollander, Wolfe and Chicken, table A.4, and every table of the signed-rank test: upper tail
 * P(T+ >= x), which by symmetry is P(T+ <= n(n+1)/2 - x). */
static void test_signed_rank__has_the_published_tail_probabilities(void **state)
{
    static const struct {
        size_t n;
        double upper;
        double probability;
    } table[] = {
        {3, 6, 0.125},  {4, 10, 0.062}, {5, 15, 0.031},  {5, 14, 0.062},  {6, 21, 0.016},
        {6, 19, 0.047}, {7, 28, 0.008}, {7, 24, 0.055},  {8, 36, 0.004},  {8, 30, 0.055},
        {9, 45, 0.002}, {9, 37, 0.049}, {10, 55, 0.001}, {10, 44, 0.053}, {10, 50, 0.010},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        double most = (double)(table[i].n * (table[i].n + 1)) / 2;
        assert_near(paired_signed_rank_cdf(table[i].n, most - table[i].upper), table[i].probability,
                    0.0006);
    }
}

/* Every assignment of signs, counted: the definition itself. Returns P(W <= w). */
static double enumerate_cdf(size_t n, double w)
{
    size_t below = 0;

    for (uint32_t signs = 0; signs < 1u << n; signs++) {
        size_t sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += (signs >> i & 1u) != 0 ? i + 1 : 0;
        }
        below += (double)sum <= w;
    }
    return (double)below / (double)(1u << n);
}

static void test_signed_rank__agrees_with_a_count_of_all_sign_patterns(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 12; n++) {
        for (size_t w = 0; w <= n * (n + 1) / 2; w++) {
            assert_near(paired_signed_rank_cdf(n, (double)w), enumerate_cdf(n, (double)w), 1e-12);
        }
    }
}

static void test_signed_rank__passes_smoothly_into_the_normal_approximation(void **state)
{
    (void)state;
    for (double z = -2.5; z <= 2.5; z += 0.5) {
        double exact_at = 100.0 * 101 / 4 + z * sqrt(100.0 * 101 * 201 / 24);
        double normal_at = 101.0 * 102 / 4 + z * sqrt(101.0 * 102 * 203 / 24);
        assert_near(paired_signed_rank_cdf(100, floor(exact_at)),
                    paired_signed_rank_cdf(101, floor(normal_at)), 0.002);
    }
}

/* |d| with mid-ranks, all sign patterns of the same magnitudes counted. */
static double enumerate_p(const double *d, size_t n)
{
    double magnitude[12];
    double rank[12];
    double positive = 0;
    double below = 0;
    double above = 0;
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        if (d[i] != 0) {
            magnitude[count++] = d[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t smaller = 0;
        size_t equal = 0;
        for (size_t j = 0; j < count; j++) {
            smaller += fabs(magnitude[j]) < fabs(magnitude[i]);
            equal += fabs(magnitude[j]) == fabs(magnitude[i]);
        }
        rank[i] = (double)smaller + ((double)equal + 1) / 2;
        positive += magnitude[i] > 0 ? rank[i] : 0;
    }
    for (uint32_t signs = 0; signs < 1u << count; signs++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++) {
            sum += (signs >> i & 1u) != 0 ? rank[i] : 0;
        }
        below += sum <= positive;
        above += sum >= positive;
    }
    double p = 2 * fmin(below, above) / (double)(1u << count);
    return fmin(p, 1);
}

static void test_p_value__is_exact_with_ties_and_zeros(void **state)
{
    struct random_source random = {.state = 11};
    double d[12];
    (void)state;
    for (int repeat = 0; repeat < 200; repeat++) {
        size_t n = 1 + (size_t)random_below(&random, 12);
        for (size_t i = 0; i < n; i++) {
            d[i] = ((double)random_below(&random, 9) - 3) / 4; /* coarse: many ties, some zeros */
        }
        assert_near(paired_p_value(d, n), enumerate_p(d, n), 1e-12);
    }
}

/* Walsh averages of 1, 2, 4 by hand: 1 1.5 2 2.5 3 4; their median is 2.25. */
static void test_estimate__is_the_median_of_the_walsh_averages(void **state)
{
    static const double d[] = {4, 1, 2};
    struct paired_estimate estimate;
    (void)state;
    paired_estimate(d, 3, 0.05, 1, &estimate);
    assert_near(estimate.log_ratio, 2.25, 1e-12);
    assert_true(isinf(estimate.log_low) && isinf(estimate.log_high));
}

/*
 * The depression scores of Hollander and Wolfe, example 3.1 (n = 9). The interval takes the sixth
 * Walsh average from either end: P(W <= 5) = 10/512 <= 0.025, P(W <= 6) = 14/512 > 0.025.
 */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_interval__takes_the_walsh_averages_that_the_definition_says(void **state)
{
    static const double d[] = {-0.952, 0.147,  -1.022, -0.430, -0.620,
                               -0.590, -0.490, 0.080,  -0.010};
    double walsh[45];
    size_t count = 0;
    struct paired_estimate estimate;
    (void)state;
    for (size_t i = 0; i < 9; i++) {
        for (size_t j = i; j < 9; j++) {
            walsh[count++] = (d[i] + d[j]) / 2;
        }
    }
    qsort(walsh, count, sizeof walsh[0], compare);
    paired_estimate(d, 9, 0.05, 1, &estimate);
    assert_near(estimate.log_ratio, walsh[22], 0);
    assert_near(estimate.log_low, walsh[5], 0);
    assert_near(estimate.log_high, walsh[39], 0);
    assert_near(estimate.log_ratio, -0.46, 0.005); /* published */
    /* T+ = 5 (ranks of 0.147 and 0.080): 2 * 10/512 */
    assert_near(estimate.p, 20.0 / 512, 1e-12);
}

static void test_interval__needs_six_rounds_for_one_comparison_and_more_for_several(void **state)
{
    static const double d[] = {.1, .2, .3, .4, .5, .6, .7, .8, .9, 1};
    static const struct {
        size_t family;
        size_t least; /* n with 2 / 2^n <= 0.05 / family */
    } needs[] = {{1, 6}, {2, 7}, {5, 8}, {12, 9}, {25, 10}};
    struct paired_estimate estimate;
    (void)state;
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        paired_estimate(d, needs[i].least - 1, 0.05, needs[i].family, &estimate);
        assert_true(isinf(estimate.log_low));
        paired_estimate(d, needs[i].least, 0.05, needs[i].family, &estimate);
        assert_true(isfinite(estimate.log_low) && isfinite(estimate.log_high));
    }
}

static void test_estimate__of_mirrored_data_is_mirrored(void **state)
{
    struct random_source random = {.state = 5};
    struct paired_estimate one;
    struct paired_estimate other;
    double d[40];
    double mirrored[40];
    (void)state;
    for (size_t i = 0; i < 40; i++) {
        d[i] = (double)random_below(&random, 1000) / 1000 - 0.3;
        mirrored[i] = -d[i];
    }
    paired_estimate(d, 40, 0.05, 3, &one);
    paired_estimate(mirrored, 40, 0.05, 3, &other);
    assert_near(one.log_ratio, -other.log_ratio, 1e-12);
    assert_near(one.log_low, -other.log_high, 1e-12);
    assert_near(one.p, other.p, 1e-12);
    assert_near(one.log_detectable, other.log_detectable, 1e-12);
}

/* Interval and test are two sides of one thing: shifting by a bound makes p cross the level. */
static void test_interval__holds_what_the_test_would_not_reject(void **state)
{
    struct random_source random = {.state = 9};
    struct paired_estimate estimate;
    double d[15];
    double shifted[15];
    (void)state;
    for (size_t i = 0; i < 15; i++) {
        d[i] = (double)random_below(&random, 100000) / 100000;
    }
    paired_estimate(d, 15, 0.05, 1, &estimate);
    for (int outside = 0; outside <= 1; outside++) {
        double shift = estimate.log_low + (outside ? -1e-9 : 1e-9);
        for (size_t i = 0; i < 15; i++) {
            shifted[i] = d[i] - shift;
        }
        assert_int_equal(paired_p_value(shifted, 15) <= 0.05, outside);
    }
}

/* Standard deviation 0.05 by MAD, 20 rounds: measuring.md's worked figures 3.2% and 3.9%. */
static void test_detectable__is_the_published_formula(void **state)
{
    double d[20];
    struct paired_estimate estimate;
    (void)state;
    for (size_t i = 0; i < 20; i++) {
        d[i] = (i % 2 == 0 ? 1 : -1) * 0.05 / 1.4826; /* median 0, MAD 0.05/1.4826 */
    }
    paired_estimate(d, 20, 0.05, 1, &estimate);
    assert_near(estimate.log_detectable, 0.0320, 0.0002);
    paired_estimate(d, 20, 0.05, 5, &estimate);
    assert_near(estimate.log_detectable, 0.0390, 0.0003);
}

/* By hand: 0.01*4, then max(0.04, 0.02*3), then max(0.06, 0.03*2), then max(0.06, 0.04). */
static void test_holm__steps_down_and_never_falls(void **state)
{
    double p[] = {0.04, 0.01, 0.03, 0.02};
    (void)state;
    paired_holm(p, 4);
    assert_near(p[1], 0.04, 1e-12);
    assert_near(p[3], 0.06, 1e-12);
    assert_near(p[2], 0.06, 1e-12);
    assert_near(p[0], 0.06, 1e-12);
    double large[] = {0.9, 0.8};
    paired_holm(large, 2);
    assert_near(large[0], 1, 0);
}

/* Abramowitz and Stegun, table 26.5 and the usual critical values. */
static void test_normal__quantiles_are_the_tabulated_ones(void **state)
{
    static const double table[][2] = {{0.5, 0},          {0.9, 1.281552},  {0.95, 1.644854},
                                      {0.975, 1.959964}, {0.99, 2.326348}, {0.995, 2.575829},
                                      {0.999, 3.090232}, {0.8, 0.841621}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_near(paired_normal_quantile(table[i][0]), table[i][1], 1e-6);
        assert_near(paired_normal_quantile(1 - table[i][0]), -table[i][1], 1e-6);
        assert_near(paired_normal_cdf(table[i][1]), table[i][0], 1e-6);
    }
}

static void test_verdict__follows_the_interval(void **state)
{
    (void)state;
    assert_int_equal(paired_verdict(-0.2, -0.1, 0.03, false), PAIRED_FASTER);
    assert_int_equal(paired_verdict(-0.2, -0.1, 0.03, true), PAIRED_SLOWER);
    assert_int_equal(paired_verdict(0.1, 0.2, 0.03, false), PAIRED_SLOWER);
    assert_int_equal(paired_verdict(0.1, 0.2, 0.03, true), PAIRED_FASTER);
    assert_int_equal(paired_verdict(-0.02, 0.02, 0.03, false), PAIRED_SAME);
    assert_int_equal(paired_verdict(0.001, 0.004, 0.03, false), PAIRED_SAME);
    assert_int_equal(paired_verdict(0.01, 0.05, 0.03, false), PAIRED_SLOWER);
    assert_int_equal(paired_verdict(-0.01, 0.05, 0.03, false), PAIRED_UNRESOLVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_rank__has_the_published_tail_probabilities),
        cmocka_unit_test(test_signed_rank__agrees_with_a_count_of_all_sign_patterns),
        cmocka_unit_test(test_signed_rank__passes_smoothly_into_the_normal_approximation),
        cmocka_unit_test(test_p_value__is_exact_with_ties_and_zeros),
        cmocka_unit_test(test_estimate__is_the_median_of_the_walsh_averages),
        cmocka_unit_test(test_interval__takes_the_walsh_averages_that_the_definition_says),
        cmocka_unit_test(test_interval__needs_six_rounds_for_one_comparison_and_more_for_several),
        cmocka_unit_test(test_estimate__of_mirrored_data_is_mirrored),
        cmocka_unit_test(test_interval__holds_what_the_test_would_not_reject),
        cmocka_unit_test(test_detectable__is_the_published_formula),
        cmocka_unit_test(test_holm__steps_down_and_never_falls),
        cmocka_unit_test(test_normal__quantiles_are_the_tabulated_ones),
        cmocka_unit_test(test_verdict__follows_the_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
