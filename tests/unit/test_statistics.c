#include "harness/statistics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

static void test_median__of_an_odd_count_is_the_middle_value(void **state)
{
    double values[] = {9, 1, 5};
    (void)state;
    assert_true(statistics_median(values, 3) == 5.0);
}

static void test_median__of_an_even_count_is_the_mean_of_the_middle_two(void **state)
{
    double values[] = {4, 1, 3, 2};
    (void)state;
    assert_true(statistics_median(values, 4) == 2.5);
}

static void test_median__of_nothing_is_not_a_number(void **state)
{
    (void)state;
    assert_true(isnan(statistics_median(NULL, 0)));
}

/* Nearest rank by hand: for 15 20 35 40 50, p30 has rank ceil(1.5) = 2, p40 rank 2, p50 rank 3. */
static void test_percentile__is_the_nearest_rank(void **state)
{
    static const uint64_t sorted[] = {15, 20, 35, 40, 50};
    (void)state;
    assert_int_equal(statistics_percentile_ns(sorted, 5, 5), 15);
    assert_int_equal(statistics_percentile_ns(sorted, 5, 30), 20);
    assert_int_equal(statistics_percentile_ns(sorted, 5, 40), 20);
    assert_int_equal(statistics_percentile_ns(sorted, 5, 50), 35);
    assert_int_equal(statistics_percentile_ns(sorted, 5, 100), 50);
}

/* 90% of 10 is rank 9 exactly, although 0.9 * 10 is not in binary. */
static void test_percentile__is_not_pushed_up_by_rounding(void **state)
{
    uint64_t sorted[1000];
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        sorted[i] = i + 1;
    }
    for (unsigned percent = 1; percent <= 100; percent++) {
        assert_int_equal(statistics_percentile_ns(sorted, 1000, percent), percent * 10);
    }
}

static void test_percentile__below_a_hundred_values_p99_is_the_maximum(void **state)
{
    static const uint64_t sorted[] = {1, 2, 3, 4, 100};
    (void)state;
    assert_int_equal(statistics_percentile_ns(sorted, 5, 99), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median__of_an_odd_count_is_the_middle_value),
        cmocka_unit_test(test_median__of_an_even_count_is_the_mean_of_the_middle_two),
        cmocka_unit_test(test_median__of_nothing_is_not_a_number),
        cmocka_unit_test(test_percentile__is_the_nearest_rank),
        cmocka_unit_test(test_percentile__is_not_pushed_up_by_rounding),
        cmocka_unit_test(test_percentile__below_a_hundred_values_p99_is_the_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
