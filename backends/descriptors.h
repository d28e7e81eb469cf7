/** How many descriptors this process may have, and has room for. */
#ifndef BENCH_DESCRIPTORS_H
#define BENCH_DESCRIPTORS_H

#include <stdint.h>

/** Beside its connections and files a worker has its ring or loop, and what libraries open. */
#define DESCRIPTORS_SPARE 64

/** Of a place in flight: a connection, a file, and libcurl's pair for waking each of its threads.
 */
#define DESCRIPTORS_EACH_MAX 4

/** Raise the soft limit to the hard one. @return the limit now; 0 when unknown */
uint64_t descriptors_raise_limit(void);

/**
 * Have the kernel's table of descriptors grow now, to room for `count` or up to the limit, and not
 * bit by bit while something is measured. Each time it doubles, a process with several threads
 * waits until all cores have let go of the old one (expand_fdtable in fs/file.c): some 5 ms, which
 * a model with one thread would be spared. Costs 8 bytes of kernel memory each.
 */
void descriptors_reserve(uint64_t count);

#endif
