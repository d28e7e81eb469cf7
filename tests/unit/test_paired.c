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

/* The tail of n = 150 counted in whole numbers (2^150 sign patterns): the level that is really
 * kept at the critical value of the approximation, P(W <= 4617) = 0.0248612504. */
static void test_signed_rank__approximates_the_exact_tail_of_many_rounds(void **state)
{
    (void)state;
    assert_near(paired_signed_rank_cdf(150, 4617), 0.0248612504, 0.0002);
    assert_near(paired_signed_rank_cdf(150, 150.0 * 151 / 4 - 0.5), 0.5, 1e-12);
}

/* Distinct magnitudes 1..n; the negative ones are the first `negative` of every ten. */
static void fill(double *d, size_t n, size_t negative)
{
    for (size_t i = 0; i < n; i++) {
        d[i] = (i % 10 < negative ? -1.0 : 1.0) * (double)(i + 1);
    }
}

/* Above the exact limit p is that of the distribution itself; the sign of the data is no matter. */
static void test_p_value__of_many_rounds_is_twice_the_tail(void **state)
{
    double d[150];
    double w = 0;
    (void)state;
    fill(d, 150, 4);
    for (size_t i = 0; i < 150; i++) {
        w += d[i] < 0 ? fabs(d[i]) : 0; /* its rank */
    }
    double wanted = 2 * paired_signed_rank_cdf(150, w);
    assert_true(wanted > 0.0001 && wanted < 0.05);
    assert_near(paired_p_value(d, 150), wanted, 1e-12);
    for (size_t i = 0; i < 150; i++) {
        d[i] = -d[i];
    }
    assert_near(paired_p_value(d, 150), wanted, 1e-12);
}

static void test_p_value__of_nothing_but_zeros_is_one(void **state)
{
    static const double zeros[8] = {0};
    (void)state;
    assert_near(paired_p_value(zeros, 8), 1, 0);
}

/* c = 4617 at n = 150 and 5%: the normal quantile, rounded down; one less than the exact 4618. */
static void test_interval__of_many_rounds_takes_the_approximate_critical_value(void **state)
{
    static double walsh[150 * 151 / 2];
    double d[150];
    size_t count = 0;
    struct paired_estimate estimate;
    (void)state;
    fill(d, 150, 4);
    for (size_t i = 0; i < 150; i++) {
        for (size_t j = i; j < 150; j++) {
            walsh[count++] = (d[i] + d[j]) / 2;
        }
    }
    qsort(walsh, count, sizeof walsh[0], compare);
    paired_estimate(d, 150, 0.05, 1, &estimate);
    assert_near(estimate.log_low, walsh[4617], 0);
    assert_near(estimate.log_high, walsh[count - 1 - 4617], 0);
}

/* A factor on the ratios moves everything by its logarithm; another unit of d scales it. */
static void test_estimate__moves_and_scales_with_the_data(void **state)
{
    struct random_source random = {.state = 21};
    struct paired_estimate one;
    struct paired_estimate moved;
    struct paired_estimate scaled;
    double d[20];
    double other[20];
    (void)state;
    for (size_t i = 0; i < 20; i++) {
        d[i] = (double)random_below(&random, 1000) / 1000;
        other[i] = d[i] + 0.25;
    }
    paired_estimate(d, 20, 0.05, 2, &one);
    paired_estimate(other, 20, 0.05, 2, &moved);
    assert_near(moved.log_ratio, one.log_ratio + 0.25, 1e-12);
    assert_near(moved.log_low, one.log_low + 0.25, 1e-12);
    assert_near(moved.log_high, one.log_high + 0.25, 1e-12);
    assert_near(moved.log_detectable, one.log_detectable, 1e-12);
    for (size_t i = 0; i < 20; i++) {
        other[i] = 4 * d[i];
    }
    paired_estimate(other, 20, 0.05, 2, &scaled);
    assert_near(scaled.log_ratio, 4 * one.log_ratio, 1e-12);
    assert_near(scaled.log_low, 4 * one.log_low, 1e-12);
    assert_near(scaled.log_high, 4 * one.log_high, 1e-12);
    assert_near(scaled.log_detectable, 4 * one.log_detectable, 1e-12);
    assert_near(scaled.p, one.p, 0);
}

/* Seven of eight equal: MAD 0. Deviation of 0 x7 and 0.8: sqrt(0.56 / 7) = 0.282843. */
static void test_detectable__falls_back_to_the_standard_deviation(void **state)
{
    static const double d[8] = {0.8};
    struct paired_estimate estimate;
    (void)state;
    paired_estimate(d, 8, 0.05, 1, &estimate);
    /* (1.959964 + 0.841621) * 0.282843 / sqrt(0.9549297 * 8) */
    assert_near(estimate.log_detectable, 0.286695, 1e-5);
    paired_estimate(d, 1, 0.05, 1, &estimate);
    assert_true(isnan(estimate.log_detectable));
}

/* 65 equal p-values: each becomes 65 times as large. */
static void test_holm__has_room_for_many(void **state)
{
    double p[65];
    (void)state;
    for (size_t i = 0; i < 65; i++) {
        p[i] = 0.001;
    }
    paired_holm(p, 65);
    for (size_t i = 0; i < 65; i++) {
        assert_near(p[i], 0.065, 1e-12);
    }
}

static void test_verdict__at_the_edges(void **state)
{
    (void)state;
    /* the margin itself is still the same */
    assert_int_equal(paired_verdict(0.01, 0.03, 0.03, false), PAIRED_SAME);
    assert_int_equal(paired_verdict(-0.03, -0.01, 0.03, false), PAIRED_SAME);
    /* a bound at 1 is not beyond it */
    assert_int_equal(paired_verdict(0, 0.1, 0.03, false), PAIRED_UNRESOLVED);
    assert_int_equal(paired_verdict(-0.1, 0, 0.03, false), PAIRED_UNRESOLVED);
    assert_int_equal(paired_verdict(-INFINITY, INFINITY, 0.03, false), PAIRED_UNRESOLVED);
}

static void test_verdict__has_a_word_for_each(void **state)
{
    (void)state;
    assert_string_equal(paired_verdict_name(PAIRED_FASTER), "faster");
    assert_string_equal(paired_verdict_name(PAIRED_SLOWER), "slower");
    assert_string_equal(paired_verdict_name(PAIRED_SAME), "same");
    assert_string_equal(paired_verdict_name(PAIRED_UNRESOLVED), "unresolved");
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
        cmocka_unit_test(test_signed_rank__approximates_the_exact_tail_of_many_rounds),
        cmocka_unit_test(test_p_value__of_many_rounds_is_twice_the_tail),
        cmocka_unit_test(test_p_value__of_nothing_but_zeros_is_one),
        cmocka_unit_test(test_interval__of_many_rounds_takes_the_approximate_critical_value),
        cmocka_unit_test(test_estimate__moves_and_scales_with_the_data),
        cmocka_unit_test(test_detectable__falls_back_to_the_standard_deviation),
        cmocka_unit_test(test_holm__has_room_for_many),
        cmocka_unit_test(test_verdict__at_the_edges),
        cmocka_unit_test(test_verdict__has_a_word_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
