#include "harness/port_rest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PORTS 28000
#define MANY 4000
#define MS UINT64_C(1000000)
#define LATE (1000 * PORT_REST_NS)

static void test_port_rest__the_first_trial_begins_at_once(void **state)
{
    struct port_rest rest;

    (void)state;
    port_rest_init(&rest, PORTS);
    assert_int_equal(port_rest_left_ns(&rest, 0), 0);
    assert_int_equal(port_rest_left_ns(&rest, LATE), 0);
}

static void test_port_rest__a_trial_with_many_connections_makes_the_next_one_wait(void **state)
{
    struct port_rest rest;

    (void)state;
    port_rest_init(&rest, PORTS);
    port_rest_note(&rest, MANY, LATE);
    assert_int_equal(port_rest_left_ns(&rest, LATE), PORT_REST_NS);
    assert_int_equal(port_rest_left_ns(&rest, LATE + 100 * MS), PORT_REST_NS - 100 * MS);
    assert_int_equal(port_rest_left_ns(&rest, LATE + PORT_REST_NS), 0);
}

static void test_port_rest__short_trials_in_a_row_add_up(void **state)
{
    struct port_rest rest;
    uint64_t now_ns = LATE;

    (void)state;
    port_rest_init(&rest, PORTS);
    for (int i = 0; i < 3; i++) {
        port_rest_note(&rest, 1000, now_ns += 50 * MS);
        assert_int_equal(port_rest_left_ns(&rest, now_ns), 0);
    }
    port_rest_note(&rest, 1000, now_ns += 50 * MS);
    assert_int_equal(port_rest_left_ns(&rest, now_ns), PORT_REST_NS);
}

static void test_port_rest__trials_far_apart_do_not_add_up(void **state)
{
    struct port_rest rest;

    (void)state;
    port_rest_init(&rest, PORTS);
    for (uint64_t i = 1; i <= 20; i++) {
        port_rest_note(&rest, 1000, i * PORT_REST_NS);
        assert_int_equal(port_rest_left_ns(&rest, i * PORT_REST_NS), 0);
    }
}

static void test_port_rest__nothing_waits_when_connections_or_ports_are_unknown(void **state)
{
    struct port_rest rest;

    (void)state;
    port_rest_init(&rest, PORTS);
    port_rest_note(&rest, -1, LATE);
    assert_int_equal(port_rest_left_ns(&rest, LATE), 0);
    port_rest_init(&rest, UINT64_MAX);
    port_rest_note(&rest, MANY, LATE);
    assert_int_equal(port_rest_left_ns(&rest, LATE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_rest__the_first_trial_begins_at_once),
        cmocka_unit_test(test_port_rest__a_trial_with_many_connections_makes_the_next_one_wait),
        cmocka_unit_test(test_port_rest__short_trials_in_a_row_add_up),
        cmocka_unit_test(test_port_rest__trials_far_apart_do_not_add_up),
        cmocka_unit_test(test_port_rest__nothing_waits_when_connections_or_ports_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
