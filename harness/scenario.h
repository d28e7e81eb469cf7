/** Named sets of defaults; any option given overrides its part. */
#ifndef BENCH_SCENARIO_H
#define BENCH_SCENARIO_H

#include "options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scenario {
    const char *name;
    const char *summary;
    enum workload_kind workload;
    bool all_flags; /* all 194 flags, else the 20 most populous countries */
    uint32_t transfers;
    uint32_t concurrency;
    uint32_t rounds;
    const char *delay;
    uint64_t timeout_ns;
    const char *const *backends; /* the default ones, NULL behind the last; NULL: all but null */
    const char *const *faults;   /* NULL behind the last; NULL: none */
    const char *save_dir;        /* NULL: nothing is saved */
};

/** @return NULL when unknown */
const struct scenario *scenario_find(const char *name);

/** The i-th, or NULL past the end. */
const struct scenario *scenario_at(size_t index);

/** The seeds' 20 most populous countries, lower case, in the sorted order they download in. */
extern const char *const scenario_pop20[20];

#endif
