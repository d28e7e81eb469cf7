#include "send_batch.h"

#ifdef HAVE_LIBURING

#include <sys/socket.h>

/* Default flags: the finer ways of setting up a ring are about waiting, and nobody waits here. */
void send_batch_open(struct send_batch *batch)
{
    batch->is_open = io_uring_queue_init(SEND_BATCH_MAX, &batch->ring, 0) == 0;
}

void send_batch_close(struct send_batch *batch)
{
    if (batch->is_open) {
        io_uring_queue_exit(&batch->ring);
        batch->is_open = false;
    }
}

/* Without MSG_WAITALL: with it some kernels say -EAGAIN of a send that was short (before Linux 6.1,
 * which has "io_uring/net: don't lose partial send/recv on fail"). */
static void prepare(struct send_batch *batch, size_t i)
{
    struct send_item *item = &batch->items[i];
    struct io_uring_sqe *sqe = io_uring_get_sqe(&batch->ring); /* as many as there are items */
    io_uring_prep_send(sqe, item->fd, item->piece.iov_base, item->piece.iov_len,
                       MSG_NOSIGNAL | MSG_DONTWAIT);
    io_uring_sqe_set_data64(sqe, i);
}

/* The kernel takes fewer than all when it refuses one, and then wants to be asked again. */
static bool submit(struct send_batch *batch)
{
    while (io_uring_sq_ready(&batch->ring) > 0) {
        if (io_uring_submit(&batch->ring) <= 0) {
            return false;
        }
    }
    return true;
}

static void reap(struct send_batch *batch)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;
    io_uring_for_each_cqe (&batch->ring, head, cqe) {
        batch->items[cqe->user_data].sent = cqe->res;
        seen++;
    }
    io_uring_cq_advance(&batch->ring, seen);
}

void send_batch_submit(struct send_batch *batch)
{
    for (size_t i = batch->first; i < batch->first + batch->count; i++) {
        if (batch->items[i].connection != NULL) {
            prepare(batch, i);
        }
    }
    bool whole = submit(batch);
    reap(batch);
    if (!whole) {
        /* Never seen. What was not taken counts as not sent, so it must not be sent later. */
        send_batch_close(batch);
    }
}

#else

void send_batch_open(struct send_batch *batch)
{
    (void)batch;
}

void send_batch_close(struct send_batch *batch)
{
    (void)batch;
}

void send_batch_submit(struct send_batch *batch)
{
    (void)batch;
}

#endif
