#include "mockserver/deadline.h"
#include "mockserver/draw.h"

#include "backends/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <unistd.h>

#define COUNT 1000

struct item {
    struct deadline deadline;
    uint64_t at_ns;
    unsigned fired;
};

static struct item items[COUNT];
static uint64_t last_ns;

static void note(struct deadline *deadline, uint64_t at_ns, uint64_t now_ns)
{
    struct item *item = (struct item *)deadline; /* its first member */
    assert_int_equal(at_ns, item->at_ns);
    assert_true(at_ns >= last_ns && at_ns <= now_ns);
    assert_int_equal(deadline->place, 0);
    last_ns = at_ns;
    item->fired++;
}

static void set_item(struct deadline_queue *queue, size_t i, uint64_t at_ns)
{
    items[i].at_ns = at_ns;
    items[i].deadline.fire = note;
    deadline_set(queue, &items[i].deadline, at_ns);
}

static int set_up(void **state)
{
    static struct deadline_queue queue;
    *state = &queue;
    last_ns = 0;
    for (size_t i = 0; i < COUNT; i++) {
        items[i] = (struct item){.fired = 0};
    }
    int error = deadline_queue_init(&queue);
    return error != 0 ? error : deadline_queue_reserve(&queue, COUNT);
}

static int tear_down(void **state)
{
    deadline_queue_release(*state);
    return 0;
}

static void test_deadline__fires_in_order_and_not_when_cleared(void **state)
{
    struct deadline_queue *queue = *state;
    for (size_t i = 0; i < COUNT; i++) {
        set_item(queue, i, 1 + draw_mix(i) % 500); /* long past, many of them equal */
    }
    for (size_t i = 0; i < COUNT; i += 3) {
        deadline_clear(queue, &items[i].deadline);
        deadline_clear(queue, &items[i].deadline); /* again: nothing */
    }
    (void)deadline_queue_run(queue, clock_now_ns(), SIZE_MAX);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(items[i].fired, i % 3 != 0);
    }
    assert_int_equal(queue->count, 0);
}

static void test_deadline__leaves_what_is_not_due(void **state)
{
    struct deadline_queue *queue = *state;
    uint64_t far_ns = clock_now_ns() + 3600 * NS_PER_S;
    set_item(queue, 0, far_ns);
    set_item(queue, 1, 5);
    set_item(queue, 2, far_ns + 1);
    assert_true(deadline_queue_is_due(queue, 5));
    assert_false(deadline_queue_is_due(queue, 4));
    (void)deadline_queue_run(queue, 5, SIZE_MAX);
    assert_int_equal(items[1].fired, 1);
    assert_int_equal(items[0].fired + items[2].fired, 0);
    assert_int_equal(queue->count, 2);
    assert_int_equal(queue->slots[0].at_ns, far_ns);
}

static bool timer_is_up(const struct deadline_queue *queue, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = queue->timer_fd, .events = POLLIN};
    return poll(&poll_fd, 1, timeout_ms) == 1;
}

static void test_deadline__arms_the_timer_for_the_earliest(void **state)
{
    struct deadline_queue *queue = *state;
    uint64_t far_ns = clock_now_ns() + 3600 * NS_PER_S;
    set_item(queue, 0, far_ns);
    deadline_queue_arm(queue, 0);
    assert_false(timer_is_up(queue, 0));
    set_item(queue, 1, 1);
    deadline_queue_arm(queue, 0);
    assert_true(timer_is_up(queue, 1000));
    (void)deadline_queue_run(queue, clock_now_ns(), SIZE_MAX);
    deadline_queue_arm(queue, 0); /* back to the far one, and the expiry is forgotten */
    assert_false(timer_is_up(queue, 0));
    deadline_clear(queue, &items[0].deadline);
    deadline_queue_arm(queue, 0);
    assert_int_equal(queue->armed_ns, 0);
}

static void test_deadline__fires_no_more_than_asked_for(void **state)
{
    struct deadline_queue *queue = *state;
    for (size_t i = 0; i < 10; i++) {
        set_item(queue, i, 10 - i);
    }
    assert_true(deadline_queue_run(queue, 10, 3) > 10); /* it has looked at the clock */
    assert_int_equal(queue->count, 7);
    assert_int_equal(items[9].fired + items[8].fired + items[7].fired, 3);
    assert_int_equal(deadline_queue_run(queue, 10, 0), 10);
    assert_int_equal(queue->count, 7);
}

static void test_deadline__arms_the_timer_early(void **state)
{
    struct deadline_queue *queue = *state;
    uint64_t at_ns = clock_now_ns() + 3600 * NS_PER_S;
    set_item(queue, 0, at_ns);
    deadline_queue_arm(queue, 1000);
    assert_int_equal(queue->armed_ns, at_ns - 1000);
    deadline_queue_arm(queue, 3600 * NS_PER_S); /* the time is past by now: at once */
    assert_true(timer_is_up(queue, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_deadline__fires_in_order_and_not_when_cleared, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_deadline__leaves_what_is_not_due, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadline__arms_the_timer_for_the_earliest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_deadline__fires_no_more_than_asked_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_deadline__arms_the_timer_early, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
