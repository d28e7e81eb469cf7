/** What this process has used up so far, its threads and its ended children included. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include "trial_memory.h"

struct usage_mark {
    uint64_t now_ns;
    uint64_t user_ns;
    uint64_t system_ns;
    int64_t voluntary_switches;
    int64_t involuntary_switches;
    int64_t minor_faults;
    int64_t major_faults;
};

void usage_mark(struct usage_mark *mark);

/** What lies between two marks; the other fields of the usage are left alone. */
void usage_between(const struct usage_mark *from, const struct usage_mark *to,
                   struct trial_usage *usage);

/** Highest resident size in KiB of this program image, or of one of its ended children if that
 *  was higher; 0 when unknown. What getrusage says of ourselves is not used: it is inherited from
 *  the process that executed us. */
int64_t usage_max_rss_kib(void);

/** Open descriptors of this process; -1 when unknown. */
int64_t usage_descriptors(void);

/** Local ports for connections to one address; UINT64_MAX when the kernel does not say. */
uint64_t usage_local_ports(void);

#endif
