#include "steal.h"

#include <inttypes.h>
#include <stdio.h>

void steal_mark(struct steal_mark *mark)
{
    uint64_t ticks[8] = {0}; /* user nice system idle iowait irq softirq steal */
    FILE *file = fopen("/proc/stat", "re");

    *mark = (struct steal_mark){.steal_ticks = 0};
    if (file == NULL) {
        return;
    }
    if (fscanf(file,
               "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64,
               &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6],
               &ticks[7]) == 8) {
        mark->steal_ticks = ticks[7];
        for (int i = 0; i < 8; i++) {
            mark->total_ticks += ticks[i];
        }
    }
    (void)fclose(file);
}

double steal_share(const struct steal_mark *from, const struct steal_mark *to)
{
    uint64_t total = to->total_ticks - from->total_ticks;

    return total == 0 ? 0 : (double)(to->steal_ticks - from->steal_ticks) / (double)total;
}
