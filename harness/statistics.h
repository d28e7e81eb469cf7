/** Order statistics of small arrays. Exact: nothing is bucketed, nothing interpolated away. */
#ifndef BENCH_STATISTICS_H
#define BENCH_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

/** Sorts the values. Mean of the two middle ones when the count is even; NAN when it is 0. */
double statistics_median(double *values, size_t count);

/** Sort ascending. */
void statistics_sort_ns(uint64_t *values, size_t count);

/**
 * Nearest-rank percentile of sorted values: the smallest one with at least p% at or below it.
 * @param percent  0 < p <= 100
 * @param count    > 0
 */
uint64_t statistics_percentile_ns(const uint64_t *sorted, size_t count, double percent);

#endif
