/**
 * What is in flight, soonest deadline first. Every deadline is its start plus the same timeout,
 * so the order of starting is the order of deadlines: a list does what a heap would do, without
 * comparing. Bookkeeping only; the model decides how it waits for the first one.
 *
 * Intrusive: the link is a member of what is in flight, and nothing is allocated.
 */
#ifndef BENCH_DEADLINES_H
#define BENCH_DEADLINES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadline_link {
    struct deadline_link *previous; /* NULL: in no list */
    struct deadline_link *next;
    uint64_t deadline_ns;
};

struct deadlines {
    struct deadline_link ends; /* the list is a ring through this one */
};

static inline void deadlines_init(struct deadlines *deadlines)
{
    deadlines->ends = (struct deadline_link){&deadlines->ends, &deadlines->ends, 0};
}

static inline bool deadlines_has(const struct deadline_link *link)
{
    return link->previous != NULL;
}

/** @return the soonest; NULL when nothing is in flight */
static inline struct deadline_link *deadlines_first(const struct deadlines *deadlines)
{
    return deadlines->ends.next != &deadlines->ends ? deadlines->ends.next : NULL;
}

/** Never sooner than what is there already: misuse is an assert. */
static inline void deadlines_append(struct deadlines *deadlines, struct deadline_link *link,
                                    uint64_t deadline_ns)
{
    struct deadline_link *last = deadlines->ends.previous;

    assert(!deadlines_has(link));
    assert(last == &deadlines->ends || last->deadline_ns <= deadline_ns);
    link->deadline_ns = deadline_ns;
    link->previous = last;
    link->next = &deadlines->ends;
    last->next = link;
    deadlines->ends.previous = link;
}

/** Where timeouts differ: goes before those that are later, found from the end. */
static inline void deadlines_insert(struct deadlines *deadlines, struct deadline_link *link,
                                    uint64_t deadline_ns)
{
    struct deadline_link *before = deadlines->ends.previous;

    assert(!deadlines_has(link));
    while (before != &deadlines->ends && before->deadline_ns > deadline_ns) {
        before = before->previous;
    }
    link->deadline_ns = deadline_ns;
    link->previous = before;
    link->next = before->next;
    before->next->previous = link;
    before->next = link;
}

/** One that is in no list is fine. */
static inline void deadlines_remove(struct deadline_link *link)
{
    if (deadlines_has(link)) {
        link->previous->next = link->next;
        link->next->previous = link->previous;
        link->previous = NULL;
        link->next = NULL;
    }
}

/**
 * What is in flight has this deadline from now on; to set the one it has costs nothing.
 * @return whether it had not
 */
static inline bool deadlines_set(struct deadlines *deadlines, struct deadline_link *link,
                                 uint64_t deadline_ns)
{
    if (deadlines_has(link) && link->deadline_ns == deadline_ns) {
        return false;
    }
    deadlines_remove(link);
    deadlines_append(deadlines, link, deadline_ns);
    return true;
}

#endif
