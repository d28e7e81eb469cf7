#include "mockserver/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct counters counters;

static int set_up(void **state)
{
    (void)state;
    return counters_init(&counters, 2);
}

static int tear_down(void **state)
{
    (void)state;
    counters_release(&counters);
    return 0;
}

static uint32_t ask(size_t loop, const char *run, uint64_t number, uint32_t attempt)
{
    struct request request = {
        .run = run,
        .run_bytes = 1,
        .has_number = run != NULL,
        .number = number,
        .attempt = attempt,
    };
    return counters_request(&counters, &counters.loops[loop], &request, 4, 100 + number);
}

static void test_counters__tell_repeats_from_retries_across_loops(void **state)
{
    (void)state;
    assert_int_equal(ask(0, "a", 7, 1), 1);
    assert_int_equal(ask(1, "a", 7, 2), 2);
    assert_int_equal(ask(1, "a", 8, 1), 1);
    assert_int_equal(counters.loops[0].duplicates + counters.loops[1].duplicates, 0);
    assert_int_equal(counters.loops[0].distinct_keys + counters.loops[1].distinct_keys, 2);
    assert_int_equal(ask(1, "a", 7, 1), 1);
    assert_int_equal(counters.loops[1].duplicates, 1);
    assert_int_equal(counters.loops[0].paths[4] + counters.loops[1].paths[4], 4);
}

static void test_counters__count_attempts_of_requests_without_a_number(void **state)
{
    (void)state;
    assert_int_equal(ask(0, NULL, 0, 0), 1);
    assert_int_equal(ask(1, NULL, 0, 0), 2);
    counters_reset(&counters, "");
    assert_int_equal(ask(0, NULL, 0, 0), 1);
}

static void test_counters__notice_requests_of_another_run(void **state)
{
    (void)state;
    counters_reset(&counters, "b");
    (void)ask(0, "a", 1, 1);
    (void)ask(0, "b", 1, 1);
    assert_int_equal(counters.loops[0].requests, 2);
    assert_int_equal(counters.loops[0].other_run, 1);
    assert_int_equal(counters.loops[0].duplicates, 0);
    assert_int_equal(counters.loops[0].distinct_keys, 1);
}

static void test_counters__reset_keeps_what_is_open_and_in_flight(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        counters_open(&counters, &counters.loops[1]);
        counters_enter(&counters);
    }
    counters_leave(&counters);
    assert_int_equal(counters.max_in_flight, 3);
    (void)ask(0, "a", 1, 1);
    counters_reset(&counters, "a");
    assert_int_equal(counters.loops[1].accepted, 0);
    assert_int_equal(counters.open, 3);
    assert_int_equal(counters.max_open, 3);
    assert_int_equal(counters.in_flight, 2);
    assert_int_equal(counters.max_in_flight, 2);
    assert_int_equal(counters.loops[0].requests, 0);
    (void)ask(0, "a", 1, 1);
    assert_int_equal(counters.loops[0].duplicates, 0); /* the first of the new run */
}

static void test_counters__lateness_is_told_within_a_sixteenth(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 15, 16, 17, 31, 32, 1000, 65535, 1234567, 60000000000};
    assert_int_equal(counters_lateness_ns(&counters, 99), 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        counters_reset(&counters, "");
        counters_lateness(&counters.loops[i % 2], values[i]);
        uint64_t told = counters_lateness_ns(&counters, 99);
        assert_in_range(told, values[i], values[i] + values[i] / 16);
    }
    counters_reset(&counters, "");
    for (unsigned i = 0; i < 100; i++) {
        counters_lateness(&counters.loops[i % 2], i == 50 ? 1000000 : 10);
    }
    assert_int_equal(counters_lateness_ns(&counters, 99), 10); /* one of a hundred may be late */
    counters_lateness(&counters.loops[0], 1000000);
    assert_true(counters_lateness_ns(&counters, 99) >= 1000000);
    assert_int_equal(counters_lateness_ns(&counters, 50), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counters__tell_repeats_from_retries_across_loops,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counters__count_attempts_of_requests_without_a_number,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counters__notice_requests_of_another_run, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_counters__reset_keeps_what_is_open_and_in_flight,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counters__lateness_is_told_within_a_sixteenth, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
