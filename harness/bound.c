#include "bound.h"

#include <stdlib.h>

/* A binary heap of the times at which places become free, the earliest on top. */
static void sift_down(uint64_t *heap, size_t count)
{
    size_t at = 0;

    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++) {
            least = heap[child] < heap[least] ? child : least;
        }
        if (least == at) {
            return;
        }
        uint64_t kept = heap[at];
        heap[at] = heap[least];
        heap[least] = kept;
        at = least;
    }
}

uint64_t bound_of_delays_ns(const uint64_t *delays_ns, size_t count, size_t concurrency)
{
    size_t places = concurrency < count ? concurrency : count;
    uint64_t last_ns = 0;

    if (places == 0) {
        return 0;
    }
    uint64_t *free_at_ns = calloc(places, sizeof free_at_ns[0]);
    if (free_at_ns == NULL) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        free_at_ns[0] += delays_ns[i];
        last_ns = free_at_ns[0] > last_ns ? free_at_ns[0] : last_ns;
        sift_down(free_at_ns, places);
    }
    free(free_at_ns);
    return last_ns;
}
