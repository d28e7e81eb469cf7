#include "harness/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

static void test_auto__keeps_client_and_server_apart_where_it_can(void **state)
{
    struct placement placement;
    cpu_set_t ours;
    cpu_set_t both;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof ours, &ours), 0);
    assert_int_equal(placement_choose(&placement, "auto"), 0);
    assert_int_equal(placement.pinned, CPU_COUNT(&ours) >= 2);
    assert_true(placement.text[0] != '\0');
    if (placement.pinned) {
        CPU_AND(&both, &placement.client, &placement.server);
        assert_int_equal(CPU_COUNT(&both), 0);
        assert_int_equal(CPU_COUNT(&placement.server), 1);
        CPU_OR(&both, &placement.client, &placement.server);
        assert_true(CPU_EQUAL(&both, &ours));
    }
}

static void test_off__pins_nothing(void **state)
{
    struct placement placement;
    (void)state;
    assert_int_equal(placement_choose(&placement, "off"), 0);
    assert_false(placement.pinned);
}

static void test_a_list__of_cores_that_are_not_ours_is_refused(void **state)
{
    static const char *const wrong[] = {"",      ":",    "0",     "0:",   ":0",  "a:0",
                                        "0:0:0", "0,:0", "1-0:0", "-1:0", "0:0x"};
    struct placement placement;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(placement_choose(&placement, wrong[i]), -EINVAL);
    }
    assert_int_equal(placement_choose(&placement, "1023:1022"), -ERANGE);
    assert_int_equal(placement_choose(&placement, "0:99999"), -ERANGE);
}

static void test_a_list__gives_each_its_cores(void **state)
{
    struct placement placement;
    cpu_set_t ours;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof ours, &ours), 0);
    if (!CPU_ISSET(0, &ours)) {
        skip();
    }
    assert_int_equal(placement_choose(&placement, "0:0"), 0);
    assert_true(placement.pinned);
    assert_true(CPU_ISSET(0, &placement.client) && CPU_ISSET(0, &placement.server));
    assert_string_equal(placement.text, "client on core 0, server on core 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auto__keeps_client_and_server_apart_where_it_can),
        cmocka_unit_test(test_off__pins_nothing),
        cmocka_unit_test(test_a_list__of_cores_that_are_not_ours_is_refused),
        cmocka_unit_test(test_a_list__gives_each_its_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
