/** The schedule of the delays themselves: how soon could the job be over at best? */
#ifndef BENCH_BOUND_H
#define BENCH_BOUND_H

#include <stddef.h>
#include <stdint.h>

/**
 * Requests are taken in order, each as soon as one of `concurrency` places is free, and each
 * occupies its place for exactly its delay.
 * @param delays_ns  [count]
 * @return the time until the last is over; UINT64_MAX when memory is short
 */
uint64_t bound_of_delays_ns(const uint64_t *delays_ns, size_t count, size_t concurrency);

#endif
