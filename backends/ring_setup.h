/**
 * Setting up a ring of io_uring(7), and telling why there is none. What is submitted, and where
 * it is waited for, is the model's.
 *
 * Threads: a ring belongs to the thread that opened it; no other may submit to it or wait in it.
 */
#ifndef BENCH_RING_SETUP_H
#define BENCH_RING_SETUP_H

#include "backend.h"

#include <liburing.h>

#define RING_SQ_ENTRIES_SMALLEST 32 /* when memory is short */

/** An operation that a model cannot do without. */
struct ring_operation {
    int opcode; /* IORING_OP_... */
    const char *name;
};

/**
 * Open a ring in the best way this kernel knows. When memory for rings is short it gets smaller,
 * down to RING_SQ_ENTRIES_SMALLEST, and takes up to a second.
 * @return 0; -errno, then there is nothing to release: else io_uring_queue_exit
 */
int ring_open(struct io_uring *ring, unsigned sq_entries, unsigned cq_entries);

/** The power of two that is `at_least` that much, but no less than `low` and no more than `high`:
 *  both are powers of two. For numbers of entries. */
unsigned ring_power_of_two(size_t at_least, unsigned low, unsigned high);

/**
 * For bench_backend.probe: open a ring and see that it knows every operation needed.
 * @return 0; -errno and the reason in one line
 */
int ring_probe(const struct ring_operation needed[], size_t count, char reason[BENCH_REASON_BYTES]);

#endif
