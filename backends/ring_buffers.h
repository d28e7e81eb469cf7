/**
 * Buffers that a ring shares with the kernel, which takes one when bytes have come for a receive
 * that may select any, and not before: io_uring_register_buf_ring(3), Linux 5.19.
 *
 * Threads: that of the ring.
 */
#ifndef BENCH_RING_BUFFERS_H
#define BENCH_RING_BUFFERS_H

#include <liburing.h>
#include <stddef.h>

/** Zeroed: none. */
struct ring_buffers {
    struct io_uring_buf_ring *shared;
    char *bytes;
    unsigned count;
    unsigned each_bytes;
    unsigned returned; /* of which the kernel has not been told */
};

/**
 * Share `count` buffers, a power of two, of `each_bytes` with the kernel. There is one set for each
 * ring; the ring is to be closed before ring_buffers_free.
 * @return 0; -errno, then there is nothing to free: -EINVAL where the kernel does not know how
 */
int ring_buffers_share(struct ring_buffers *buffers, struct io_uring *ring, unsigned count,
                       unsigned each_bytes);
void ring_buffers_free(struct ring_buffers *buffers);

/** Have a receive take whichever is free when its bytes are there. */
static inline void ring_buffers_select(struct io_uring_sqe *sqe)
{
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
}

static inline char *ring_buffers_at(const struct ring_buffers *buffers, unsigned id)
{
    return buffers->bytes + (size_t)id * buffers->each_bytes;
}

/** One that a completion has named may be taken again, once the kernel is told. */
static inline void ring_buffers_return(struct ring_buffers *buffers, unsigned id)
{
    io_uring_buf_ring_add(buffers->shared, ring_buffers_at(buffers, id), buffers->each_bytes,
                          (unsigned short)id, io_uring_buf_ring_mask(buffers->count),
                          (int)buffers->returned++);
}

/** Tell the kernel of all that were returned. */
static inline void ring_buffers_tell(struct ring_buffers *buffers)
{
    if (buffers->returned > 0) {
        io_uring_buf_ring_advance(buffers->shared, (int)buffers->returned);
        buffers->returned = 0;
    }
}

#endif
