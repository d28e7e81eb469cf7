#include "statistics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_ns(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double statistics_median(double *values, size_t count)
{
    if (count == 0) {
        return NAN;
    }
    qsort(values, count, sizeof values[0], compare_doubles);
    double high = values[count / 2];
    return count % 2 == 1 ? high : (values[count / 2 - 1] + high) / 2;
}

void statistics_sort_ns(uint64_t *values, size_t count)
{
    qsort(values, count, sizeof values[0], compare_ns);
}

uint64_t statistics_percentile_ns(const uint64_t *sorted, size_t count, double percent)
{
    assert(count > 0);
    assert(percent > 0);
    assert(percent <= 100);
    /* The small subtraction keeps 0.9 * 10 = 9.000000000000002 from becoming rank 10. */
    size_t rank = (size_t)ceil(percent / 100 * (double)count - 1e-9);
    return sorted[rank == 0 ? 0 : rank - 1];
}
