/**
 * Deadlines of one loop, to the microsecond: a 4-ary heap over a timerfd. libuv's own timers
 * count milliseconds.
 */
#ifndef MOCKSERVER_DEADLINE_H
#define MOCKSERVER_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadline;

/** @param at_ns  when it was due */
typedef void (*deadline_fire)(struct deadline *deadline, uint64_t at_ns, uint64_t now_ns);

/** Lives inside what it belongs to. Zeroed: not set. */
struct deadline {
    size_t place; /* in the heap, from 1; 0: not set */
    deadline_fire fire;
};

struct deadline_slot {
    uint64_t at_ns;
    struct deadline *deadline;
};

struct deadline_queue {
    struct deadline_slot *slots;
    size_t count;
    size_t capacity;
    uint64_t armed_ns; /* what the timerfd is set to; 0: to nothing */
    int timer_fd;
};

/** @return 0, -EMFILE, ... */
int deadline_queue_init(struct deadline_queue *queue);
void deadline_queue_release(struct deadline_queue *queue);

/** Room for `count` deadlines, so that setting one never allocates. @return 0, -ENOMEM */
int deadline_queue_reserve(struct deadline_queue *queue, size_t count);

/** It must not be set already, and there must be room. */
void deadline_set(struct deadline_queue *queue, struct deadline *deadline, uint64_t at_ns);

/** Nothing happens when it is not set. */
void deadline_clear(struct deadline_queue *queue, struct deadline *deadline);

/**
 * Fire what is due, the earliest first, but no more than `limit`; the clock is read before each.
 * @param now_ns  the clock as known to the caller
 * @return the clock as of the last reading
 */
uint64_t deadline_queue_run(struct deadline_queue *queue, uint64_t now_ns, size_t limit);

/** Set the timerfd to `early_ns` before the earliest deadline, if it is not set so. */
void deadline_queue_arm(struct deadline_queue *queue, uint64_t early_ns);

static inline bool deadline_queue_is_due(const struct deadline_queue *queue, uint64_t now_ns)
{
    return queue->count > 0 && queue->slots[0].at_ns <= now_ns;
}

#endif
