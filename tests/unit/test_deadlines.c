#include "backends/deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_deadlines__keep_the_order_of_appending(void **state)
{
    struct deadlines deadlines;
    struct deadline_link links[3] = {0};
    (void)state;

    deadlines_init(&deadlines);
    assert_null(deadlines_first(&deadlines));
    deadlines_append(&deadlines, &links[2], 10);
    deadlines_append(&deadlines, &links[0], 10);
    deadlines_append(&deadlines, &links[1], 11);
    assert_ptr_equal(deadlines_first(&deadlines), &links[2]);
    deadlines_remove(&links[2]);
    assert_ptr_equal(deadlines_first(&deadlines), &links[0]);
    deadlines_remove(&links[0]);
    assert_ptr_equal(deadlines_first(&deadlines), &links[1]);
    assert_int_equal(links[1].deadline_ns, 11);
    deadlines_remove(&links[1]);
    assert_null(deadlines_first(&deadlines));
}

static void test_deadlines__let_one_go_from_the_middle(void **state)
{
    struct deadlines deadlines;
    struct deadline_link links[3] = {0};
    (void)state;

    deadlines_init(&deadlines);
    for (size_t i = 0; i < 3; i++) {
        deadlines_append(&deadlines, &links[i], i);
    }
    deadlines_remove(&links[1]);
    assert_false(deadlines_has(&links[1]));
    deadlines_remove(&links[0]);
    assert_ptr_equal(deadlines_first(&deadlines), &links[2]);
}

static void test_deadlines__remove_one_that_is_in_no_list_without_harm(void **state)
{
    struct deadlines deadlines;
    struct deadline_link in = {0};
    struct deadline_link out = {0};
    (void)state;

    deadlines_init(&deadlines);
    deadlines_append(&deadlines, &in, 1);
    deadlines_remove(&out);
    assert_ptr_equal(deadlines_first(&deadlines), &in);
    deadlines_remove(&in);
    deadlines_remove(&in);
    deadlines_append(&deadlines, &in, 2);
    assert_ptr_equal(deadlines_first(&deadlines), &in);
}

static void test_deadlines__set_one_anew_only_when_it_differs(void **state)
{
    struct deadlines deadlines;
    struct deadline_link links[2] = {0};
    (void)state;

    deadlines_init(&deadlines);
    assert_true(deadlines_set(&deadlines, &links[0], 5));
    assert_true(deadlines_set(&deadlines, &links[1], 5));
    assert_false(deadlines_set(&deadlines, &links[0], 5));
    assert_ptr_equal(deadlines_first(&deadlines), &links[0]);
    assert_true(deadlines_set(&deadlines, &links[0], 6));
    assert_ptr_equal(deadlines_first(&deadlines), &links[1]);
    deadlines_remove(&links[1]);
    assert_ptr_equal(deadlines_first(&deadlines), &links[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadlines__keep_the_order_of_appending),
        cmocka_unit_test(test_deadlines__let_one_go_from_the_middle),
        cmocka_unit_test(test_deadlines__set_one_anew_only_when_it_differs),
        cmocka_unit_test(test_deadlines__remove_one_that_is_in_no_list_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
