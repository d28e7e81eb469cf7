#include "mockserver/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

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

static uint64_t sum(size_t offset)
{
    return counters_sum(&counters, offset);
}

#define SUM(field) sum(offsetof(struct loop_counters, field))
#define LATENESS offsetof(struct loop_counters, lateness)

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
    assert_int_equal(SUM(duplicates), 0);
    assert_int_equal(SUM(distinct_keys), 2);
    assert_int_equal(ask(1, "a", 7, 1), 1);
    assert_int_equal(SUM(duplicates), 1);
    assert_int_equal(SUM(paths[4]), 4);
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
    assert_int_equal(SUM(requests), 2);
    assert_int_equal(SUM(other_run), 1);
    assert_int_equal(SUM(duplicates), 0);
    assert_int_equal(SUM(distinct_keys), 1);
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
    assert_int_equal(SUM(accepted), 0);
    assert_int_equal(counters.open, 3);
    assert_int_equal(counters.max_open, 3);
    assert_int_equal(counters.in_flight, 2);
    assert_int_equal(counters.max_in_flight, 2);
    assert_int_equal(SUM(requests), 0);
    (void)ask(0, "a", 1, 1);
    assert_int_equal(SUM(duplicates), 0); /* the first of the new run */
}

static void test_counters__reset_forgets_what_each_loop_had_counted(void **state)
{
    (void)state;
    for (size_t loop = 0; loop < 2; loop++) {
        counters_delay(&counters.loops[loop], 30 - loop);
        counters_response(&counters.loops[loop], 200, 1000, 70 + loop);
        (void)ask(loop, "a", loop, 1);
    }
    assert_int_equal(SUM(bytes_out), 2000);
    assert_int_equal(SUM(by_status[200]), 2);
    assert_int_equal(SUM(sum_delay_ns), 59);
    assert_int_equal(counters_highest(&counters, offsetof(struct loop_counters, max_delay_ns)), 30);
    assert_int_equal(counters_highest(&counters, offsetof(struct loop_counters, last_response_ns)),
                     71);
    assert_int_equal(counters_first_request_ns(&counters), 100);
    counters_reset(&counters, "");
    counters_response(&counters.loops[0], 200, 7, 80);
    assert_int_equal(SUM(bytes_out), 7);
    assert_int_equal(SUM(by_status[200]), 1);
    assert_int_equal(SUM(sum_delay_ns), 0);
    assert_int_equal(counters_highest(&counters, offsetof(struct loop_counters, max_delay_ns)), 0);
    assert_int_equal(counters_first_request_ns(&counters), 0);
}

static uint64_t lateness_ns(unsigned percent)
{
    return counters_percentile_ns(&counters, LATENESS, percent);
}

static void note_late(size_t loop, uint64_t ns)
{
    histogram_add(&counters.loops[loop].lateness, ns);
}

static void test_counters__lateness_is_told_within_a_sixteenth(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 15, 16, 17, 31, 32, 1000, 65535, 1234567, 60000000000};
    assert_int_equal(lateness_ns(99), 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        counters_reset(&counters, "");
        note_late(i % 2, values[i]);
        note_late(i % 2, 100000000000);
        assert_in_range(lateness_ns(50), values[i], values[i] + values[i] / 16);
        assert_int_equal(lateness_ns(99), 100000000000); /* the longest is known exactly */
        assert_int_equal(counters_count(&counters, LATENESS), 2);
    }
    counters_reset(&counters, "");
    for (unsigned i = 0; i < 100; i++) {
        note_late(i % 2, i == 50 ? 1000000 : 10);
    }
    assert_int_equal(lateness_ns(99), 10); /* one of a hundred may be late */
    note_late(0, 1000000);
    assert_int_equal(lateness_ns(99), 1000000);
    assert_int_equal(lateness_ns(50), 10);
}

static void *count_on_loop(void *loop)
{
    for (unsigned i = 0; i < 100000; i++) {
        counters_enter(&counters);
        counters_response(loop, 200, 3, i);
        histogram_add(&((struct loop_counters *)loop)->lateness, i);
        counters_leave(&counters);
    }
    return NULL;
}

static void test_counters__a_reset_while_loops_count_is_not_lost(void **state)
{
    pthread_t threads[2];
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_on_loop, &counters.loops[i]), 0);
    }
    uint64_t before = 0;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t seen = SUM(bytes_out);
        counters_reset(&counters, "");
        before += seen;
        assert_true(before + SUM(bytes_out) <= 600000); /* or something was counted twice */
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(before + SUM(bytes_out) <= 600000);
    assert_int_equal(counters.in_flight, 0);
    counters_reset(&counters, "");
    assert_int_equal(SUM(bytes_out), 0);
    assert_int_equal(counters_count(&counters, LATENESS), 0);
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
        cmocka_unit_test_setup_teardown(test_counters__reset_forgets_what_each_loop_had_counted,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counters__lateness_is_told_within_a_sixteenth, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_counters__a_reset_while_loops_count_is_not_lost,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
