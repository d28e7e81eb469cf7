/*
 * Model:    completions: the kernel is handed whole operations and tells when they are over
 * Threads:  one, or one for each of `loops`, each with a ring; they share two counters and a word
 *           to stop (job_run.h); with new files to save also workers of the kernel (ring_save.c)
 * Waits in: io_uring_enter(2), which submits what is new and waits for what is done, in one call
 * Woken by: completions (CQEs) of connect, receive, open, write, close, rename, unlink, and of a
 *           send that was short or failed (one that succeeds is silent); the wait's timeout
 * Syscalls per transfer: 0.1 to 0.2 at 64 in flight: one call carries the news of many transfers
 * Read next: ring_save.c, the files; raw_epoll.c, readiness instead of completion; raw_coroutine.c,
 *            code that reads like raw_sequential.c
 *
 * The three rules of handing memory to the kernel, and how they are kept here:
 * 1. What is received goes into a ring of buffers that all connections share. One receive per
 *    connection stays armed ("multishot"); the kernel takes a buffer only when bytes are there,
 *    and gets it back once they are parsed.
 * 2. A connection is over when the last completion of its last operation has been seen. Until
 *    then its place waits, so nothing is reused that the kernel may still touch; and neither is
 *    anything freed, when a run fails: see loop_drain.
 * 3. The text of a request is read by the kernel during the submission and not later: see
 *    request_send.
 */
#include "backend.h"

#include <errno.h>

#ifdef HAVE_LIBURING

#include "clock.h"
#include "deadlines.h"
#include "exchange.h"
#include "job_run.h"
#include "raw_socket.h"
#include "ring_buffers.h"
#include "ring_save.h"
#include "ring_setup.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SQ_ENTRIES_MIN 128
#define SQ_ENTRIES_MAX 256
#define CQ_ENTRIES_MIN 256
#define CQ_ENTRIES_MAX 32768

#define BUFFER_BYTES 32768 /* most bodies fit one; 32 of them fit an L2 cache of 1 MiB */
#define BUFFERS_MIN 8
#define BUFFERS_MAX 32

/* As many as one call brings on: the kernel works off 20 completions in each (Linux 6.13). With 64,
 * as in raw_epoll.c, which knows no such limit, the last connections waited for the first ones:
 * docs/performance.md. */
#define STARTS_PER_TURN 16

#define WAIT_MAX_NS NS_PER_S
#define CANCEL_POLL_NS (50 * NS_PER_MS) /* backend.h: every 100 ms at least */
#define DRAIN_MAX_NS NS_PER_S          /* for the kernel to let go, when a run has failed */

/* ---- state ---- */

/* What a completion is about; in its user_data, with the place and the connection. */
enum operation {
    OP_CONNECT = 1,
    OP_SEND,      /* of a whole request; tells of failure only, see request_send */
    OP_SEND_REST, /* of what did not fit at once */
    OP_RECEIVE,
    OP_CANCEL,
    OP_CLOSE,
    OP_FILE, /* the step that is due of ring_save.h */
};

/* How bytes come in, best first: a kernel that cannot do one does the next. */
enum receive_mode {
    RECEIVE_MULTISHOT, /* one submission, many completions, shared buffers: Linux 6.0 */
    RECEIVE_SHARED,    /* one completion each, shared buffers: 5.19 */
    RECEIVE_OWN,       /* one completion each, a buffer per place */
};

enum place_state {
    PLACE_IDLE, /* nothing left to do */
    PLACE_CONNECTING,
    PLACE_EXCHANGING,
    PLACE_SAVING,
    PLACE_CLOSING, /* until the kernel has let go of the connection */
};

/* One of `concurrency` places in flight: a request at a time, and its connection. */
struct place {
    struct exchange exchange;
    struct deadline_link deadline; /* in loop->deadlines while asking */
    enum place_state state;

    /* the connection, kept from request to request */
    int fd;
    uint32_t number;
    uint32_t generation; /* of the connection: tells a late completion from a new one */
    const struct endpoint *peer;
    unsigned asked_tail; /* of the submission queue, behind the latest request */
    bool used;           /* has carried a request */
    bool broken;         /* ended, or spoke, while nobody asked it */
    bool receiving;
    bool multishot;   /* as which the receive at hand was armed */
    bool sending;     /* OP_SEND_REST */
    unsigned pending; /* operations whose last completion has not come */
    char *rest;       /* of a request */
    size_t rest_bytes;

    struct ring_save *save; /* NULL when the job saves nothing */
};

struct loop {
    struct job_run *run;
    struct io_uring ring;
    struct place *places;
    struct ring_save *saves; /* one for each place */
    uint32_t place_count;
    uint32_t started; /* places that have begun */
    uint32_t active;  /* places that are not idle */
    uint64_t now_ns;
    uint8_t skip_success; /* IOSQE_CQE_SKIP_SUCCESS where the kernel has it */
    bool cancelled;
    struct deadlines deadlines;

    enum receive_mode receive_mode;
    struct ring_buffers buffers; /* shared; or none, and */
    char *own_buffers;           /* one for each place */

    struct io_uring_sqe lost; /* written to when the ring has failed; goes nowhere */
};

#define USER_DATA_GENERATION_MASK 0xffffffu

static uint64_t user_data_pack(const struct loop *loop, const struct place *place,
                               enum operation operation)
{
    return (uint64_t)(place - loop->places) << 32 |
           (uint64_t)(place->generation & USER_DATA_GENERATION_MASK) << 8 | (uint64_t)operation;
}

static enum operation user_data_operation(uint64_t user_data)
{
    return (enum operation)(user_data & 0xff);
}

static uint32_t user_data_generation(uint64_t user_data)
{
    return (uint32_t)(user_data >> 8) & USER_DATA_GENERATION_MASK;
}

static struct place *place_of_deadline(struct deadline_link *link)
{
    return (struct place *)(void *)((char *)link - offsetof(struct place, deadline));
}

/* ---- submissions ---- */

static void loop_submit(struct loop *loop)
{
    int result = io_uring_submit(&loop->ring);

    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
        job_run_fail(loop->run, result);
    }
}

/* Never NULL: a full queue is submitted first. When even that fails the run is over, and what
 * the caller writes goes nowhere. */
static struct io_uring_sqe *sqe_get(struct loop *loop)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

    if (sqe == NULL) {
        loop_submit(loop);
        sqe = io_uring_get_sqe(&loop->ring);
    }
    if (sqe == NULL) {
        job_run_fail(loop->run, -EBUSY);
        sqe = &loop->lost;
    }
    return sqe;
}

/* Its last completion will be waited for before the place is used for anything else. */
static void sqe_await(struct io_uring_sqe *sqe, const struct loop *loop, struct place *place,
                      enum operation operation)
{
    io_uring_sqe_set_data64(sqe, user_data_pack(loop, place, operation));
    if (sqe != &loop->lost) {
        place->pending++;
    }
}

/* ---- start ---- */

static enum transfer_step connect_start(struct loop *loop, struct place *place)
{
    const struct endpoint *peer = place->exchange.endpoint;

    /* Not SOCK_NONBLOCK: that flag tells the ring to give up where it would else wait. */
    int fd = raw_socket_open(peer, 0);
    if (fd < 0) {
        return exchange_fail(&place->exchange, -fd, loop->now_ns);
    }
    place->fd = fd;
    place->peer = peer;
    place->used = false;
    place->broken = false;
    place->state = PLACE_CONNECTING;
    struct io_uring_sqe *sqe = sqe_get(loop);
    io_uring_prep_connect(sqe, fd, (const struct sockaddr *)&peer->address, peer->address_bytes);
    sqe_await(sqe, loop, place, OP_CONNECT);
    return TRANSFER_MORE;
}

static char *place_buffer(const struct loop *loop, const struct place *place)
{
    return loop->own_buffers + (size_t)(place - loop->places) * BUFFER_BYTES;
}

/* POLL_FIRST: the answer cannot be there yet, so the kernel need not try before it waits. */
static void receive_start(struct loop *loop, struct place *place)
{
    struct io_uring_sqe *sqe = sqe_get(loop);

    switch (loop->receive_mode) {
    case RECEIVE_MULTISHOT:
        io_uring_prep_recv_multishot(sqe, place->fd, NULL, 0, 0);
        break;
    case RECEIVE_SHARED:
        io_uring_prep_recv(sqe, place->fd, NULL, BUFFER_BYTES, 0);
        break;
    case RECEIVE_OWN:
        io_uring_prep_recv(sqe, place->fd, place_buffer(loop, place), BUFFER_BYTES, 0);
        break;
    }
    if (loop->receive_mode != RECEIVE_OWN) {
        ring_buffers_select(sqe);
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST; /* as old as the shared buffers */
    }
    sqe_await(sqe, loop, place, OP_RECEIVE);
    place->receiving = true;
    place->multishot = loop->receive_mode == RECEIVE_MULTISHOT;
}

/*
 * The flags make this send end within its submission, one way or the other:
 *   MSG_DONTWAIT  full socket buffer: -EAGAIN or a short count at once, and no waiting in the
 *                 kernel. So the text is free for the next request once io_uring_submit returns.
 *   MSG_WAITALL   a short count is a failure (io_uring_prep_send(3); the kernel marks the request
 *                 failed when less than all was taken). Without it a short send is a success.
 *   SKIP_SUCCESS  success has no completion; failure has one all the same. So what is silent was
 *                 sent whole, and what was not is noticed in request_sent.
 * A completion for each send would not only be one more to look at: the wait for an answer would
 * end at once, because a send is over before the wait begins.
 */
static void request_send(struct loop *loop, struct place *place)
{
    struct exchange *exchange = &place->exchange;

    exchange_connected(exchange, place->number, place->used);
    place->used = true;
    place->state = PLACE_EXCHANGING;
    struct io_uring_sqe *sqe = sqe_get(loop);
    io_uring_prep_send(sqe, place->fd, exchange->request, exchange->request_bytes,
                       MSG_NOSIGNAL | MSG_WAITALL | MSG_DONTWAIT);
    sqe->flags |= loop->skip_success;
    io_uring_sqe_set_data64(sqe, user_data_pack(loop, place, OP_SEND));
    place->asked_tail = loop->ring.sq.sqe_tail;
    if (!place->receiving) {
        receive_start(loop, place);
    }
}

/* Does the request still wait in the queue, so that no kernel has read it? */
static bool request_is_queued(const struct loop *loop, const struct place *place)
{
    return loop->ring.sq.sqe_tail - place->asked_tail < io_uring_sq_ready(&loop->ring);
}

/* The text is about to change: let the kernel read it first. */
static void request_settle(struct loop *loop, const struct place *place)
{
    if (request_is_queued(loop, place)) {
        loop_submit(loop);
    }
}

static void rest_send(struct loop *loop, struct place *place)
{
    struct io_uring_sqe *sqe = sqe_get(loop);

    io_uring_prep_send(sqe, place->fd, place->rest, place->rest_bytes, MSG_NOSIGNAL | MSG_WAITALL);
    sqe_await(sqe, loop, place, OP_SEND_REST);
    place->sending = true;
}

static void operation_cancel(struct loop *loop, const struct place *place, enum operation operation)
{
    struct io_uring_sqe *sqe = sqe_get(loop);

    /* Whether it still found something is not asked: what was cancelled says so itself. */
    io_uring_prep_cancel64(sqe, user_data_pack(loop, place, operation), 0);
    sqe->flags |= loop->skip_success;
    io_uring_sqe_set_data64(sqe, user_data_pack(loop, place, OP_CANCEL));
}

/* Submissions are issued in order: a request still queued goes out before, not to a descriptor
 * that means something else by then. */
static void connection_close(struct loop *loop, struct place *place)
{
    if (place->state == PLACE_CONNECTING && place->pending > 0) {
        operation_cancel(loop, place, OP_CONNECT);
    }
    if (place->receiving) {
        operation_cancel(loop, place, OP_RECEIVE);
    }
    if (place->sending) {
        operation_cancel(loop, place, OP_SEND_REST);
    }
    place->state = PLACE_CLOSING;
    struct io_uring_sqe *sqe = sqe_get(loop);
    io_uring_prep_close(sqe, place->fd);
    sqe_await(sqe, loop, place, OP_CLOSE);
}

/* ---- advance ---- */

static bool connection_is_kept(const struct place *place)
{
    return exchange_keeps_connection(&place->exchange) && !place->broken && !place->sending;
}

static enum transfer_step save_step(struct loop *loop, struct place *place)
{
    struct io_uring_sqe *sqe = sqe_get(loop);

    ring_save_prepare(place->save, sqe);
    sqe_await(sqe, loop, place, OP_FILE);
    return TRANSFER_MORE;
}

static enum transfer_step place_save(struct loop *loop, struct place *place)
{
    place->state = PLACE_SAVING;
    if (!ring_save_start(place->save, &place->exchange.transfer)) {
        return exchange_saved(&place->exchange, place->save->error, loop->now_ns);
    }
    return save_step(loop, place);
}

/* Closes first and starts then, so that no transfer's time holds the end of another. */
static enum transfer_step place_next(struct loop *loop, struct place *place)
{
    size_t index = 0;

    if (place->fd >= 0 && !connection_is_kept(place)) {
        connection_close(loop, place);
        return TRANSFER_MORE;
    }
    while (job_run_take(loop->run, &index, loop->now_ns)) {
        if (exchange_start(&place->exchange, index, loop->now_ns) == TRANSFER_MORE) {
            return TRANSFER_AGAIN;
        }
    }
    if (place->fd >= 0) {
        connection_close(loop, place);
        return TRANSFER_MORE;
    }
    place->state = PLACE_IDLE;
    loop->active--;
    return TRANSFER_MORE;
}

static enum transfer_step place_ask(struct loop *loop, struct place *place)
{
    if (place->fd < 0) {
        return connect_start(loop, place);
    }
    if (connection_is_kept(place) && place->peer == place->exchange.endpoint) {
        request_send(loop, place);
    } else {
        connection_close(loop, place); /* place_closed asks again */
    }
    return TRANSFER_MORE;
}

/* Take the steps that are due, up to one that has to wait for the kernel. */
static void place_advance(struct loop *loop, struct place *place, enum transfer_step step)
{
    while (step != TRANSFER_MORE) {
        if (step == TRANSFER_AGAIN) {
            (void)deadlines_set(&loop->deadlines, &place->deadline,
                                place->exchange.transfer.deadline_ns);
        } else {
            deadlines_remove(&place->deadline);
        }
        if (step == TRANSFER_SAVE) {
            step = place_save(loop, place);
        } else if (place->state == PLACE_CLOSING) {
            return; /* place_closed goes on */
        } else {
            step = step == TRANSFER_AGAIN ? place_ask(loop, place) : place_next(loop, place);
        }
    }
}

static void place_fail(struct loop *loop, struct place *place, int os_error)
{
    request_settle(loop, place);
    place_advance(loop, place, exchange_fail(&place->exchange, os_error, loop->now_ns));
}

/* An operation has seen its last completion. @return whether the place has to look no further */
static bool place_closed(struct loop *loop, struct place *place)
{
    if (place->state != PLACE_CLOSING) {
        return false;
    }
    if (place->pending == 0) {
        place->fd = -1;
        place->generation++;
        place->state = PLACE_IDLE;
        place_advance(loop, place,
                      deadlines_has(&place->deadline) ? TRANSFER_AGAIN : TRANSFER_DONE);
    }
    return true;
}

static void connected(struct loop *loop, struct place *place, int result)
{
    place->pending--;
    if (place_closed(loop, place)) {
        return;
    }
    if (result < 0) {
        place_fail(loop, place, -result);
        return;
    }
    place->number = job_run_connection(loop->run);
    request_send(loop, place);
}

static void request_sent(struct loop *loop, struct place *place, int result)
{
    struct exchange *exchange = &place->exchange;
    size_t sent = result > 0 ? (size_t)result : 0;

    if (place->state != PLACE_EXCHANGING || sent == exchange->request_bytes) {
        return;
    }
    if (result < 0 && result != -EAGAIN) {
        if (!exchange_send_failed(exchange, -result)) {
            place_fail(loop, place, -result);
        }
        return;
    }
    /* No room now. From here on the kernel waits with the text: it gets a copy of its own. */
    place->rest_bytes = exchange->request_bytes - sent;
    place->rest = malloc(place->rest_bytes);
    if (place->rest == NULL) {
        place_fail(loop, place, ENOMEM);
        return;
    }
    memcpy(place->rest, exchange->request + sent, place->rest_bytes);
    rest_send(loop, place);
}

static void rest_sent(struct loop *loop, struct place *place, int result)
{
    place->pending--;
    place->sending = false;
    if (result > 0 && (size_t)result < place->rest_bytes && place->state == PLACE_EXCHANGING) {
        place->rest_bytes -= (size_t)result;
        memmove(place->rest, place->rest + result, place->rest_bytes);
        rest_send(loop, place);
        return;
    }
    if (result < 0 || (size_t)result < place->rest_bytes) {
        place->broken = true; /* it has carried half a request */
    }
    free(place->rest);
    place->rest = NULL;
    if (!place_closed(loop, place) && place->state == PLACE_EXCHANGING && result < 0 &&
        !exchange_send_failed(&place->exchange, -result)) {
        place_fail(loop, place, -result);
    }
}

static enum transfer_step exchange_advance(struct loop *loop, struct place *place, int result,
                                           const char *data)
{
    struct exchange *exchange = &place->exchange;

    if (result == -ENOBUFS || result == -EINTR) {
        return TRANSFER_MORE; /* all buffers were taken: they are back when the batch is done */
    }
    if (result == -EINVAL && place->multishot) {
        loop->receive_mode = RECEIVE_SHARED;
        return TRANSFER_MORE;
    }
    if (result > 0 && !request_is_queued(loop, place)) {
        return exchange_feed(exchange, data, (size_t)result, loop->now_ns);
    }
    request_settle(loop, place);
    if (result == 0) {
        return exchange_eof(exchange, loop->now_ns);
    }
    /* Bytes before the request has left belong to no request of ours. */
    return exchange_fail(exchange, result > 0 ? ECONNRESET : -result, loop->now_ns);
}

static void received(struct loop *loop, struct place *place, const struct io_uring_cqe *cqe)
{
    const bool has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
    const unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    enum transfer_step step = TRANSFER_MORE;

    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        place->receiving = false;
        place->pending--;
    }
    if (place->state == PLACE_EXCHANGING) {
        const char *data = loop->receive_mode == RECEIVE_OWN
                               ? place_buffer(loop, place)
                               : ring_buffers_at(&loop->buffers, id);
        step = exchange_advance(loop, place, cqe->res, data);
    } else if (cqe->res != -ENOBUFS) {
        place->broken = true;
    }
    if (has_buffer) {
        ring_buffers_return(&loop->buffers, id);
    }
    if (place_closed(loop, place)) {
        return;
    }
    place_advance(loop, place, step);
    if (place->state == PLACE_EXCHANGING && !place->receiving) {
        receive_start(loop, place);
    }
}

static void closed(struct loop *loop, struct place *place)
{
    place->pending--;
    (void)place_closed(loop, place);
}

/* One step of a file is over. */
static void saved(struct loop *loop, struct place *place, int result)
{
    place->pending--;
    if (ring_save_completed(place->save, result)) {
        place_advance(loop, place, save_step(loop, place));
        return;
    }
    /* A receive that is armed tells what has come meanwhile; without one somebody has to look. */
    if (connection_is_kept(place) && !place->receiving && !raw_socket_is_quiet(place->fd)) {
        place->broken = true;
    }
    place_advance(loop, place,
                  exchange_saved(&place->exchange, place->save->error, loop->now_ns));
}

/* Each completion is one of these; cqe->res is read before the ring takes the entry back. */
static void loop_dispatch(struct loop *loop, const struct io_uring_cqe *cqe)
{
    const uint64_t user_data = cqe->user_data;
    struct place *place = &loop->places[user_data >> 32];

    if (user_data_generation(user_data) != (place->generation & USER_DATA_GENERATION_MASK)) {
        return; /* a failed send or cancel of a connection that is gone: nobody waits for it */
    }
    switch (user_data_operation(user_data)) {
    case OP_CONNECT:
        connected(loop, place, cqe->res);
        break;
    case OP_SEND:
        request_sent(loop, place, cqe->res);
        break;
    case OP_SEND_REST:
        rest_sent(loop, place, cqe->res);
        break;
    case OP_RECEIVE:
        received(loop, place, cqe);
        break;
    case OP_CANCEL:
        break;
    case OP_CLOSE:
        closed(loop, place);
        break;
    case OP_FILE:
        saved(loop, place, cqe->res);
        break;
    }
}

/* ---- finish ---- */

static void loop_expire(struct loop *loop)
{
    struct deadline_link *first = deadlines_first(&loop->deadlines);

    while (first != NULL && first->deadline_ns <= loop->now_ns) {
        place_fail(loop, place_of_deadline(first), ETIMEDOUT);
        first = deadlines_first(&loop->deadlines);
    }
}

/* Files being written are finished: half a file helps nobody. What was not started is answered by
 * the place that comes to take it. */
static void loop_cancel(struct loop *loop)
{
    struct deadline_link *first = NULL;

    loop->cancelled = true;
    while ((first = deadlines_first(&loop->deadlines)) != NULL) {
        place_fail(loop, place_of_deadline(first), ECANCELED);
    }
}

/* ---- the loop ---- */

static uint64_t loop_patience_ns(const struct loop *loop)
{
    const struct deadline_link *first = deadlines_first(&loop->deadlines);
    uint64_t patience_ns = job_run_is_watched(loop->run) ? CANCEL_POLL_NS : WAIT_MAX_NS;

    if (loop->started < loop->place_count) {
        return 0;
    }
    if (first != NULL && first->deadline_ns < loop->now_ns + patience_ns) {
        patience_ns = first->deadline_ns > loop->now_ns ? first->deadline_ns - loop->now_ns : 0;
    }
    return patience_ns;
}

/* The one place that waits: submits, and sleeps until something is done or a deadline is near.
 * One call brings the news of all that is done by then: nobody has to wait for a batch to fill. */
static void loop_wait(struct loop *loop)
{
    const uint64_t patience_ns = loop_patience_ns(loop);
    struct __kernel_timespec timeout = {
        .tv_sec = (int64_t)(patience_ns / NS_PER_S),
        .tv_nsec = (long long)(patience_ns % NS_PER_S),
    };
    struct io_uring_cqe *cqe = NULL;

    int result = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &timeout, NULL);
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN &&
        result != -EBUSY) {
        job_run_fail(loop->run, result);
    }
}

static void loop_reap(struct loop *loop)
{
    const unsigned seen_max = loop->ring.cq.ring_entries; /* so that deadlines get their turn */
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;

    io_uring_for_each_cqe (&loop->ring, head, cqe) {
        if (seen == seen_max) {
            break;
        }
        loop->now_ns = clock_now_ns(); /* now, not when the batch began: it may be a long one */
        loop_dispatch(loop, cqe);
        seen++;
    }
    ring_buffers_tell(&loop->buffers);
    io_uring_cq_advance(&loop->ring, seen);
}

static void loop_start(struct loop *loop)
{
    for (int i = 0; i < STARTS_PER_TURN && loop->started < loop->place_count; i++) {
        loop->now_ns = clock_now_ns();
        place_advance(loop, &loop->places[loop->started++], TRANSFER_DONE);
    }
}

static void loop_run(struct loop *loop)
{
    loop->active = loop->place_count;
    while (loop->active > 0 && job_run_goes_on(loop->run)) {
        loop_start(loop);
        loop_wait(loop);
        loop_reap(loop);
        loop->now_ns = clock_now_ns();
        loop_expire(loop);
        if (!loop->cancelled && transfer_cancelled(loop->run->job)) {
            loop_cancel(loop);
        }
    }
}

/* ---- the ring: set up and torn down ---- */

static int buffers_init(struct loop *loop)
{
    const unsigned count = ring_power_of_two(loop->place_count, BUFFERS_MIN, BUFFERS_MAX);

    if (ring_buffers_share(&loop->buffers, &loop->ring, count, BUFFER_BYTES) == 0) {
        loop->receive_mode = RECEIVE_MULTISHOT;
        return 0;
    }
    loop->receive_mode = RECEIVE_OWN;
    loop->own_buffers = malloc((size_t)loop->place_count * BUFFER_BYTES);
    return loop->own_buffers != NULL ? 0 : -ENOMEM;
}

static int places_init(struct loop *loop)
{
    struct job_run *run = loop->run;

    loop->places = calloc(loop->place_count, sizeof *loop->places);
    if (loop->places == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < loop->place_count; i++) {
        exchange_init(&loop->places[i].exchange, run->job, run->results, &run->targets);
        loop->places[i].fd = -1;
    }
    if (run->job->output_dir_fd < 0) {
        return 0;
    }
    loop->saves = malloc(loop->place_count * sizeof *loop->saves);
    if (loop->saves == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < loop->place_count; i++) {
        ring_save_init(&loop->saves[i]);
        loop->places[i].save = &loop->saves[i];
    }
    return 0;
}

static int loop_init(struct loop *loop, struct job_run *run, uint32_t place_count)
{
    *loop = (struct loop){.run = run, .place_count = place_count, .ring.ring_fd = -1};
    deadlines_init(&loop->deadlines);
    int result = places_init(loop);
    if (result < 0) {
        return result;
    }
    /* Room for all that can be under way: a receive and a close of each place, and the rest. */
    result =
        ring_open(&loop->ring, ring_power_of_two(loop->place_count, SQ_ENTRIES_MIN, SQ_ENTRIES_MAX),
                  ring_power_of_two(2 * (size_t)loop->place_count + CQ_ENTRIES_MIN, CQ_ENTRIES_MIN,
                                    CQ_ENTRIES_MAX));
    if (result < 0) {
        loop->ring.ring_fd = -1;
        return result;
    }
    if ((loop->ring.features & IORING_FEAT_CQE_SKIP) != 0) {
        loop->skip_success = IOSQE_CQE_SKIP_SUCCESS;
    }
    return buffers_init(loop);
}

/* ---- after a run that failed: a whole one has left nothing open ---- */

/* Notes what a completion has ended, and begins nothing. */
static void drain_dispatch(struct loop *loop, const struct io_uring_cqe *cqe)
{
    const uint64_t user_data = cqe->user_data;
    const enum operation operation = user_data_operation(user_data);
    struct place *place = &loop->places[user_data >> 32];

    if (user_data_generation(user_data) != (place->generation & USER_DATA_GENERATION_MASK) ||
        operation == OP_SEND || operation == OP_CANCEL || (cqe->flags & IORING_CQE_F_MORE) != 0) {
        return;
    }
    place->pending--;
    if (operation == OP_CLOSE) {
        place->fd = -1;
    } else if (operation == OP_FILE) {
        (void)ring_save_completed(place->save, cqe->res); /* and then it is abandoned */
    }
}

static bool loop_is_busy(const struct loop *loop)
{
    for (uint32_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        if (loop->places[i].pending > 0) {
            return true;
        }
    }
    return false;
}

/* @return whether the ring still answers */
static bool drain_wait(struct loop *loop, uint64_t left_ns)
{
    struct __kernel_timespec timeout = {
        .tv_sec = (int64_t)(left_ns / NS_PER_S),
        .tv_nsec = (long long)(left_ns % NS_PER_S),
    };
    struct io_uring_cqe *cqe = NULL;
    unsigned head;
    unsigned seen = 0;

    int result = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &timeout, NULL);
    io_uring_for_each_cqe (&loop->ring, head, cqe) {
        drain_dispatch(loop, cqe);
        seen++;
    }
    io_uring_cq_advance(&loop->ring, seen);
    return result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
           result == -EBUSY;
}

/*
 * Have the kernel let go of all it was handed: connections end by being cancelled and closed, file
 * operations by themselves. Each is cancelled by its name, which every kernel can do, and not by
 * IORING_ASYNC_CANCEL_ANY, which is of 5.19: a run fails too rarely for two ways of doing it.
 */
static void loop_drain(struct loop *loop)
{
    const uint64_t deadline_ns = clock_now_ns() + DRAIN_MAX_NS;
    uint64_t now_ns = 0;

    for (uint32_t i = 0; i < loop->place_count; i++) {
        struct place *place = &loop->places[i];
        if (place->fd >= 0 && place->state != PLACE_CLOSING) {
            connection_close(loop, place);
        }
    }
    while (loop_is_busy(loop) && (now_ns = clock_now_ns()) < deadline_ns &&
           drain_wait(loop, deadline_ns - now_ns)) {
        /* until there is nothing left, or no hope */
    }
}

static void place_release(struct place *place)
{
    if (place->fd >= 0) {
        (void)close(place->fd);
    }
    if (place->save != NULL) {
        ring_save_abandon(place->save);
    }
    exchange_release(&place->exchange);
    free(place->rest);
}

/*
 * The ring is closed before the memory goes that it was handed, but that alone would not do:
 * closing only begins the end of what is under way. The kernel cancels and waits for it in a
 * worker of its own (io_ring_exit_work in io_uring/io_uring.c), after close(2) has returned.
 */
static void loop_release(struct loop *loop)
{
    const bool has_ring = loop->ring.ring_fd >= 0;

    if (has_ring && loop_is_busy(loop)) {
        loop_drain(loop);
    }
    if (has_ring) {
        io_uring_queue_exit(&loop->ring);
    }
    if (loop_is_busy(loop)) {
        return; /* a broken ring: better memory that is lost than memory that others write to */
    }
    for (uint32_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        place_release(&loop->places[i]);
    }
    free(loop->places);
    free(loop->saves);
    ring_buffers_free(&loop->buffers);
    free(loop->own_buffers);
}

/* On a thread of its own when there are several. */
static void loop_main(struct job_run *run, uint32_t number)
{
    struct loop loop;

    int result = loop_init(&loop, run, job_run_share(run, number, job_run_loops(run)));
    if (result < 0) {
        job_run_fail(run, result);
    } else {
        loop_run(&loop);
    }
    loop_release(&loop);
}

static int raw_io_uring_download_many(const struct download_job *job,
                                      struct transfer_result *results)
{
    struct job_run run;

    if (job->count == 0) {
        return 0;
    }
    int result = job_run_init_http(&run, job, results);
    if (result == 0) {
        result = job_run_threads(&run, job_run_loops(&run), JOB_RUN_STACK_DEFAULT, loop_main);
    }
    job_run_release(&run);
    return result;
}

/* ---- can it run here? ---- */

static int raw_io_uring_probe(char reason[BENCH_REASON_BYTES])
{
    static const struct ring_operation needed[] = {
        {IORING_OP_CONNECT, "CONNECT"},   {IORING_OP_SEND, "SEND"},
        {IORING_OP_RECV, "RECV"},         {IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
        {IORING_OP_CLOSE, "CLOSE"},       {IORING_OP_OPENAT, "OPENAT"},
        {IORING_OP_WRITE, "WRITE"},       {IORING_OP_RENAMEAT, "RENAMEAT"},
        {IORING_OP_UNLINKAT, "UNLINKAT"},
    };

    return ring_probe(needed, sizeof needed / sizeof needed[0], reason);
}

#else

static int raw_io_uring_download_many(const struct download_job *job,
                                      struct transfer_result *results)
{
    (void)job;
    (void)results;
    return -ENOSYS;
}

#endif

const struct bench_backend backend_raw_io_uring = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_LOOPS,
    .name = "raw_io_uring",
    .engine = "raw",
    .model = "io_uring",
    .waits_in = "io_uring_enter(2)",
    .summary = "one thread, one ring: operations are submitted and their completions reaped",
#ifdef HAVE_LIBURING
    .probe = raw_io_uring_probe,
#else
    .unavailable = "built without liburing",
#endif
    .download_many = raw_io_uring_download_many,
};
