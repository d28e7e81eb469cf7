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

static void assert_in_order(const struct deadlines *deadlines, size_t count)
{
    const struct deadline_link *link = deadlines->ends.next;

    for (size_t i = 0; i < count; i++) {
        assert_ptr_not_equal(link, &deadlines->ends);
        assert_ptr_equal(link->previous->next, link);
        assert_ptr_equal(link->next->previous, link);
        if (link->next != &deadlines->ends) {
            assert_true(link->deadline_ns <= link->next->deadline_ns);
        }
        link = link->next;
    }
    assert_ptr_equal(link, &deadlines->ends);
}

static void test_deadlines__insert_each_where_it_belongs(void **state)
{
    static const uint64_t cases[][5] = {
        {1, 2, 3, 4, 5},          {5, 4, 3, 2, 1}, {3, 1, 5, 2, 4},
        {0, UINT64_MAX, 0, 7, 7}, {2, 2, 2, 2, 2},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct deadlines deadlines;
        struct deadline_link links[5] = {0};
        uint64_t first_ns = UINT64_MAX;
        deadlines_init(&deadlines);
        for (size_t k = 0; k < 5; k++) {
            deadlines_insert(&deadlines, &links[k], cases[i][k]);
            first_ns = cases[i][k] < first_ns ? cases[i][k] : first_ns;
            assert_true(deadlines_has(&links[k]));
            assert_true(links[k].deadline_ns == cases[i][k]);
            assert_true(deadlines_first(&deadlines)->deadline_ns == first_ns);
            assert_in_order(&deadlines, k + 1);
        }
    }
}

static void test_deadlines__insert_equal_ones_in_the_order_they_come(void **state)
{
    struct deadlines deadlines;
    struct deadline_link links[3] = {0};
    struct deadline_link later = {0};
    (void)state;

    deadlines_init(&deadlines);
    deadlines_insert(&deadlines, &later, 8);
    for (size_t i = 0; i < 3; i++) {
        deadlines_insert(&deadlines, &links[i], 7);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(deadlines_first(&deadlines), &links[i]);
        deadlines_remove(&links[i]);
    }
    assert_ptr_equal(deadlines_first(&deadlines), &later);
}

static void test_deadlines__keep_the_order_while_they_come_and_go(void **state)
{
    struct deadlines deadlines;
    struct deadline_link links[64] = {0};
    uint32_t draw = 1;
    size_t count = 0;
    (void)state;

    deadlines_init(&deadlines);
    for (size_t i = 0; i < 2000; i++) {
        draw = draw * 1664525 + 1013904223; /* Numerical Recipes' generator: the same each time */
        struct deadline_link *link = &links[draw >> 26];
        if (deadlines_has(link)) {
            deadlines_remove(link);
            count--;
        } else {
            deadlines_insert(&deadlines, link, draw >> 16 & 31);
            count++;
        }
        assert_in_order(&deadlines, count);
    }
    assert_true(count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadlines__keep_the_order_of_appending),
        cmocka_unit_test(test_deadlines__let_one_go_from_the_middle),
        cmocka_unit_test(test_deadlines__set_one_anew_only_when_it_differs),
        cmocka_unit_test(test_deadlines__remove_one_that_is_in_no_list_without_harm),
        cmocka_unit_test(test_deadlines__insert_each_where_it_belongs),
        cmocka_unit_test(test_deadlines__insert_equal_ones_in_the_order_they_come),
        cmocka_unit_test(test_deadlines__keep_the_order_while_they_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
