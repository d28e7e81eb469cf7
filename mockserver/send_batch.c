#include "send_batch.h"

#ifdef HAVE_LIBURING

#include "backends/ring_setup.h"

#include <sys/socket.h>

void send_batch_open(struct send_batch *batch)
{
    batch->is_open = ring_open(&batch->ring, SEND_BATCH_MAX, 2 * SEND_BATCH_MAX) == 0;
}

void send_batch_close(struct send_batch *batch)
{
    if (batch->is_open) {
        io_uring_queue_exit(&batch->ring);
        batch->is_open = false;
    }
}

/* @return whether there was room in a ring that got smaller for want of memory */
static bool prepare(struct send_batch *batch, size_t i)
{
    struct send_item *item = &batch->items[i];
    struct io_uring_sqe *sqe = io_uring_get_sqe(&batch->ring);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_send(sqe, item->fd, item->piece.iov_base, item->piece.iov_len,
                       MSG_NOSIGNAL | MSG_WAITALL | MSG_DONTWAIT);
    if ((batch->ring.features & IORING_FEAT_CQE_SKIP) != 0) {
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    io_uring_sqe_set_data64(sqe, i);
    item->sent = (int)item->piece.iov_len; /* unless a completion says otherwise */
    return true;
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
    size_t i = 0;
    while (i < batch->count && (batch->items[i].connection == NULL || prepare(batch, i))) {
        i++; /* what has no room counts as not sent, which its connection goes on with */
    }
    bool whole = submit(batch);
    size_t left = whole ? 0 : io_uring_sq_ready(&batch->ring);
    reap(batch);
    if (!whole) {
        /* Never seen. The queue ends with what was not taken, and it must not be sent later. */
        while (left > 0 && i-- > 0) {
            if (batch->items[i].connection != NULL) {
                batch->items[i].sent = 0;
                left--;
            }
        }
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
