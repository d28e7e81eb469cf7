/** A small seeded generator (splitmix64) for orders that must be drawn again the same way. */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random_source {
    uint64_t state;
};

uint64_t random_next(struct random_source *source);

/** Uniform in [0, bound), without modulo bias; bound > 0. */
uint64_t random_below(struct random_source *source, uint64_t bound);

/** Fisher-Yates. */
void random_shuffle(struct random_source *source, size_t *items, size_t count);

#endif
