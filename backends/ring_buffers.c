#include "ring_buffers.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* io_uring_register_buf_ring(3): page aligned. */
static void *pages_allocate(size_t bytes)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

    return aligned_alloc(page_bytes, (bytes + page_bytes - 1) / page_bytes * page_bytes);
}

static int share(struct ring_buffers *buffers, struct io_uring *ring)
{
    if (buffers->bytes == NULL || buffers->shared == NULL) {
        return -ENOMEM;
    }
    io_uring_buf_ring_init(buffers->shared);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)buffers->shared,
        .ring_entries = buffers->count,
    };
    int result = io_uring_register_buf_ring(ring, &registration, 0);
    for (unsigned id = 0; result == 0 && id < buffers->count; id++) {
        ring_buffers_return(buffers, id);
    }
    ring_buffers_tell(buffers);
    return result;
}

int ring_buffers_share(struct ring_buffers *buffers, struct io_uring *ring, unsigned count,
                       unsigned each_bytes)
{
    *buffers = (struct ring_buffers){
        .shared = pages_allocate(count * sizeof(struct io_uring_buf)),
        .bytes = pages_allocate((size_t)count * each_bytes),
        .count = count,
        .each_bytes = each_bytes,
    };
    int result = share(buffers, ring);
    if (result < 0) {
        ring_buffers_free(buffers);
    }
    return result;
}

void ring_buffers_free(struct ring_buffers *buffers)
{
    free(buffers->shared);
    free(buffers->bytes);
    *buffers = (struct ring_buffers){0};
}
