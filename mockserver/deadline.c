#include "deadline.h"

#include "backends/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define ARITY 4

int deadline_queue_init(struct deadline_queue *queue)
{
    *queue = (struct deadline_queue){.timer_fd = -1};
    queue->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return queue->timer_fd < 0 ? -errno : 0;
}

void deadline_queue_release(struct deadline_queue *queue)
{
    if (queue->timer_fd >= 0) {
        (void)close(queue->timer_fd);
    }
    free(queue->slots);
    *queue = (struct deadline_queue){.timer_fd = -1};
}

int deadline_queue_reserve(struct deadline_queue *queue, size_t count)
{
    if (count <= queue->capacity) {
        return 0;
    }
    size_t capacity = queue->capacity * 2 > count ? queue->capacity * 2 : count;
    struct deadline_slot *slots = realloc(queue->slots, capacity * sizeof(*slots));
    if (slots == NULL) {
        return -ENOMEM;
    }
    queue->slots = slots;
    queue->capacity = capacity;
    return 0;
}

static void place(struct deadline_queue *queue, size_t at, struct deadline_slot slot)
{
    queue->slots[at] = slot;
    slot.deadline->place = at + 1;
}

static void sift_up(struct deadline_queue *queue, size_t at, struct deadline_slot slot)
{
    while (at > 0) {
        size_t parent = (at - 1) / ARITY;
        if (queue->slots[parent].at_ns <= slot.at_ns) {
            break;
        }
        place(queue, at, queue->slots[parent]);
        at = parent;
    }
    place(queue, at, slot);
}

static void sift_down(struct deadline_queue *queue, size_t at, struct deadline_slot slot)
{
    for (;;) {
        size_t first = at * ARITY + 1;
        if (first >= queue->count) {
            break;
        }
        size_t end = first + ARITY < queue->count ? first + ARITY : queue->count;
        size_t least = first;
        for (size_t child = first + 1; child < end; child++) {
            if (queue->slots[child].at_ns < queue->slots[least].at_ns) {
                least = child;
            }
        }
        if (queue->slots[least].at_ns >= slot.at_ns) {
            break;
        }
        place(queue, at, queue->slots[least]);
        at = least;
    }
    place(queue, at, slot);
}

void deadline_set(struct deadline_queue *queue, struct deadline *deadline, uint64_t at_ns)
{
    assert(deadline->place == 0);
    assert(queue->count < queue->capacity);
    sift_up(queue, queue->count++, (struct deadline_slot){.at_ns = at_ns, .deadline = deadline});
}

void deadline_clear(struct deadline_queue *queue, struct deadline *deadline)
{
    if (deadline->place == 0) {
        return;
    }
    size_t at = deadline->place - 1;
    deadline->place = 0;
    struct deadline_slot last = queue->slots[--queue->count];
    if (at == queue->count) {
        return;
    }
    if (at > 0 && last.at_ns < queue->slots[(at - 1) / ARITY].at_ns) {
        sift_up(queue, at, last);
    } else {
        sift_down(queue, at, last);
    }
}

uint64_t deadline_queue_run(struct deadline_queue *queue, uint64_t now_ns, size_t limit)
{
    for (size_t i = 0; i < limit && deadline_queue_is_due(queue, now_ns); i++) {
        struct deadline_slot first = queue->slots[0];
        deadline_clear(queue, first.deadline);
        first.deadline->fire(first.deadline, first.at_ns, now_ns);
        now_ns = clock_now_ns(); /* others may have become due meanwhile */
    }
    return now_ns;
}

void deadline_queue_arm(struct deadline_queue *queue, uint64_t early_ns)
{
    uint64_t at_ns = queue->count > 0 ? queue->slots[0].at_ns : 0;
    if (at_ns > early_ns) {
        at_ns -= early_ns;
    }
    if (at_ns == queue->armed_ns) {
        return;
    }
    /* Setting also clears an expiry that nobody read (timerfd_create(2)), so no read is
     * needed; a time in the past expires at once, zero disarms. */
    struct itimerspec timer = {
        .it_value = {.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)},
    };
    int failed = timerfd_settime(queue->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
    assert(failed == 0);
    queue->armed_ns = at_ns;
}
