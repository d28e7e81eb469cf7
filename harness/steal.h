/** CPU time that the host took away from this machine: while it is high, nothing measured holds. */
#ifndef BENCH_STEAL_H
#define BENCH_STEAL_H

#include <stdint.h>

struct steal_mark {
    uint64_t steal_ticks;
    uint64_t total_ticks; /* of all cores, idle included */
};

/** From /proc/stat (proc(5)); zero where that cannot be read. */
void steal_mark(struct steal_mark *mark);

/** Share of all CPU time between two marks, 0 to 1; 0 when no tick passed. */
double steal_share(const struct steal_mark *from, const struct steal_mark *to);

#endif
