/** What `bench probe --table` prints: found and not found side by side. */
#ifndef BENCH_PROBE_TABLE_H
#define BENCH_PROBE_TABLE_H

#include "backends/backend.h"

#include <stddef.h>

/** Names in the order given. A third column, with the reason, only when some could not be told.
 *  @return 0 or -ENOMEM */
int probe_table_print(char *const names[], const struct transfer_result results[], size_t count);

#endif
