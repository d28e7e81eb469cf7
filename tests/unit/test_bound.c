#include "harness/bound.h"
#include "harness/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_bound__of_a_fixed_delay_is_the_number_of_waves(void **state)
{
    uint64_t delays_ns[45];
    (void)state;
    for (size_t i = 0; i < 45; i++) {
        delays_ns[i] = 20;
    }
    assert_int_equal(bound_of_delays_ns(delays_ns, 45, 1), 45 * 20);
    assert_int_equal(bound_of_delays_ns(delays_ns, 45, 20), 3 * 20); /* ceil(45 / 20) waves */
    assert_int_equal(bound_of_delays_ns(delays_ns, 45, 45), 20);
    assert_int_equal(bound_of_delays_ns(delays_ns, 45, 1000), 20);
}

/* By hand, two places: 5 | 1, then 4 behind the 1 (ends at 5), then 2 behind either (7). */
static void test_bound__takes_requests_in_order(void **state)
{
    static const uint64_t delays_ns[] = {5, 1, 4, 2};
    (void)state;
    assert_int_equal(bound_of_delays_ns(delays_ns, 4, 2), 7);
}

static void test_bound__of_nothing_is_nothing(void **state)
{
    (void)state;
    assert_int_equal(bound_of_delays_ns(NULL, 0, 4), 0);
}

/* The heap against the obvious search for the place that is free first. */
static void test_bound__agrees_with_a_plain_search(void **state)
{
    struct random_source random = {.state = 7};
    uint64_t delays_ns[200];
    (void)state;

    for (size_t places = 1; places <= 40; places++) {
        uint64_t free_at_ns[40] = {0};
        uint64_t last_ns = 0;
        for (size_t i = 0; i < 200; i++) {
            size_t first = 0;
            delays_ns[i] = random_below(&random, 1000);
            for (size_t place = 1; place < places; place++) {
                first = free_at_ns[place] < free_at_ns[first] ? place : first;
            }
            free_at_ns[first] += delays_ns[i];
            last_ns = free_at_ns[first] > last_ns ? free_at_ns[first] : last_ns;
        }
        assert_int_equal(bound_of_delays_ns(delays_ns, 200, places), last_ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound__of_a_fixed_delay_is_the_number_of_waves),
        cmocka_unit_test(test_bound__takes_requests_in_order),
        cmocka_unit_test(test_bound__of_nothing_is_nothing),
        cmocka_unit_test(test_bound__agrees_with_a_plain_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
