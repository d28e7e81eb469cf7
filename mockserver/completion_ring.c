#include "completion_ring.h"

#ifdef HAVE_LIBURING

#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>

#define SQ_ENTRIES 256
#define CQ_ENTRIES 4096 /* of more at once the kernel keeps a list */

/* A power of two; few, for they are used in turn and are to stay in the cache. */
#define BUFFERS 256
#define BUFFER_BYTES 2048

/* The low bits of user_data say what it is of; above them is the owner, or the place of a send. */
#define USER_DATA_KIND 7u
#define USER_DATA_RECEIVE 0u
#define USER_DATA_WATCH 1u
#define USER_DATA_STOP 2u
#define USER_DATA_SEND 3u
#define USER_DATA_PLACE_SHIFT 3

/* DEFER_TASKRUN, of 6.1, says that there is multishot receive, of 6.0: which nothing else does. */
void completion_ring_open(struct completion_ring *ring)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = CQ_ENTRIES,
    };
    if (io_uring_queue_init_params(SQ_ENTRIES, &ring->ring, &params) != 0) {
        return;
    }
    ring->is_open = ring_buffers_share(&ring->buffers, &ring->ring, BUFFERS, BUFFER_BYTES) == 0;
    if (!ring->is_open) {
        io_uring_queue_exit(&ring->ring);
    }
}

void completion_ring_close(struct completion_ring *ring)
{
    if (ring->is_open) {
        io_uring_queue_exit(&ring->ring);
        ring_buffers_free(&ring->buffers);
        ring->is_open = false;
    }
}

/* The kernel takes fewer than all when it refuses one, and then wants to be asked again. */
void completion_ring_begin(struct completion_ring *ring)
{
    while (ring->is_open && io_uring_sq_ready(&ring->ring) > 0 &&
           io_uring_submit(&ring->ring) > 0) {
    }
}

static struct io_uring_sqe *sqe_get(struct completion_ring *ring)
{
    if (io_uring_sq_space_left(&ring->ring) == 0) {
        completion_ring_begin(ring);
    }
    return io_uring_get_sqe(&ring->ring);
}

/* POLL_FIRST: the next request is hardly ever there yet, so the kernel need not try before. */
bool completion_ring_receive(struct completion_ring *ring, int fd, void *owner)
{
    struct io_uring_sqe *sqe = sqe_get(ring);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    ring_buffers_select(sqe);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)owner | USER_DATA_RECEIVE);
    return true;
}

/* Without room it goes on, and what it brings is taken as before. */
void completion_ring_stop(struct completion_ring *ring, void *owner)
{
    struct io_uring_sqe *sqe = sqe_get(ring);
    if (sqe != NULL) {
        io_uring_prep_cancel(sqe, owner, 0);
        io_uring_sqe_set_data64(sqe, USER_DATA_STOP);
    }
}

bool completion_ring_has_room(struct completion_ring *ring, size_t sends)
{
    if (io_uring_sq_space_left(&ring->ring) < sends) {
        completion_ring_begin(ring);
    }
    return io_uring_sq_space_left(&ring->ring) >= sends;
}

/* Without MSG_WAITALL, as in send_batch.c. */
void completion_ring_send(struct completion_ring *ring, int fd, struct iovec piece, size_t place)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);
    io_uring_prep_send(sqe, fd, piece.iov_base, piece.iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    io_uring_sqe_set_data64(sqe, (uint64_t)place << USER_DATA_PLACE_SHIFT | USER_DATA_SEND);
}

bool completion_ring_watch(struct completion_ring *ring, int fd)
{
    struct io_uring_sqe *sqe = sqe_get(ring);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_poll_add(sqe, fd, POLLIN);
    io_uring_sqe_set_data64(sqe, USER_DATA_WATCH);
    return true;
}

/* What the wait has to say is in the ring: it may have timed out, or been interrupted. */
void completion_ring_wait(struct completion_ring *ring, int timeout_ms)
{
    struct __kernel_timespec timeout = {
        .tv_sec = timeout_ms / 1000,
        .tv_nsec = (long long)(timeout_ms % 1000) * 1000000,
    };
    struct io_uring_cqe *cqe = NULL;
    if (timeout_ms == 0) {
        (void)io_uring_submit_and_get_events(&ring->ring);
    } else if (timeout_ms < 0) {
        (void)io_uring_submit_and_wait(&ring->ring, 1);
    } else {
        (void)io_uring_submit_and_wait_timeout(&ring->ring, &cqe, 1, &timeout, NULL);
    }
    completion_ring_begin(ring);
}

static struct completion told(const struct completion_ring *ring, const struct io_uring_cqe *cqe)
{
    uint64_t user_data = io_uring_cqe_get_data64(cqe);
    struct completion completion = {.result = cqe->res};
    switch (user_data & USER_DATA_KIND) {
    case USER_DATA_WATCH:
        completion.kind = COMPLETION_READABLE;
        break;
    case USER_DATA_SEND:
        completion.kind = COMPLETION_SENT;
        completion.place = user_data >> USER_DATA_PLACE_SHIFT;
        break;
    case USER_DATA_RECEIVE:
        completion.kind = COMPLETION_RECEIVED;
        completion.owner = (void *)(uintptr_t)user_data;
        completion.data = ring_buffers_at(&ring->buffers, ring->buffer_id);
        completion.is_last = (cqe->flags & IORING_CQE_F_MORE) == 0;
    }
    return completion;
}

bool completion_ring_next(struct completion_ring *ring, struct completion *completion)
{
    struct io_uring_cqe *cqe = NULL;
    bool is_told = false;
    if (ring->has_buffer) {
        ring->has_buffer = false;
        ring_buffers_return(&ring->buffers, ring->buffer_id);
        ring_buffers_tell(&ring->buffers);
    }
    while (!is_told && io_uring_cq_ready(&ring->ring) > 0 &&
           io_uring_peek_cqe(&ring->ring, &cqe) == 0) {
        is_told = (io_uring_cqe_get_data64(cqe) & USER_DATA_KIND) != USER_DATA_STOP;
        ring->has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
        ring->buffer_id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        *completion = told(ring, cqe);
        io_uring_cqe_seen(&ring->ring, cqe);
    }
    return is_told;
}

#else

void completion_ring_open(struct completion_ring *ring)
{
    (void)ring;
}

void completion_ring_close(struct completion_ring *ring)
{
    (void)ring;
}

bool completion_ring_receive(struct completion_ring *ring, int fd, void *owner)
{
    (void)ring;
    (void)fd;
    (void)owner;
    return false;
}

void completion_ring_stop(struct completion_ring *ring, void *owner)
{
    (void)ring;
    (void)owner;
}

bool completion_ring_has_room(struct completion_ring *ring, size_t sends)
{
    (void)ring;
    (void)sends;
    return false;
}

void completion_ring_send(struct completion_ring *ring, int fd, struct iovec piece, size_t place)
{
    (void)ring;
    (void)fd;
    (void)piece;
    (void)place;
}

void completion_ring_begin(struct completion_ring *ring)
{
    (void)ring;
}

bool completion_ring_watch(struct completion_ring *ring, int fd)
{
    (void)ring;
    (void)fd;
    return false;
}

void completion_ring_wait(struct completion_ring *ring, int timeout_ms)
{
    (void)ring;
    (void)timeout_ms;
}

bool completion_ring_next(struct completion_ring *ring, struct completion *completion)
{
    (void)ring;
    (void)completion;
    return false;
}

#endif
