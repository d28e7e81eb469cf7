/*
 * Model:    one event loop; c-ares says which sockets to watch, a ring of io_uring watches them
 * Threads:  one, or one for each of `loops`
 * Waits in: io_uring_enter(2), which also hands over what is to be watched next
 * Woken by: completions (CQEs) of POLL_ADD, or the first deadline, which is that of the wait
 * Syscalls per transfer: 3 (sendto, and 2 recvfrom: c-ares reads until it hears EAGAIN);
 *                        io_uring_enter is shared by all that became ready together
 * Read next: dns_epoll.c, the same over epoll; curl_io_uring.c, where the sockets are libcurl's
 *
 * A POLL_ADD tells once, and is made anew when c-ares has read: a datagram that came meanwhile is
 * told by the next poll. A poll belongs to a socket, but what it names it by is a number that
 * c-ares may have closed and opened again: so each has a generation, and a completion of an earlier
 * one is no news. A poll that is pending keeps a closed socket alive in the kernel, with its port:
 * its removal goes out with the next wait.
 */
#include "backend.h"

#if defined(HAVE_CARES) && defined(HAVE_LIBURING)

#include "clock.h"
#include "deadlines.h"
#include "dns_channel.h"
#include "ring_setup.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define SQ_ENTRIES_MIN 128
#define SQ_ENTRIES_MAX 256
#define CQ_ENTRIES_MIN 256
#define CQ_ENTRIES_MAX 32768
#define WATCHES_MIN 64

#define WAIT_MAX_NS NS_PER_S
#define CANCEL_POLL_NS (50 * NS_PER_MS) /* backend.h: every 100 ms at least */
#define USER_DATA_REMOVAL UINT64_MAX    /* of a POLL_REMOVE: no socket has that number */

/* One of the places in flight: a lookup at a time, and its channel. */
struct place {
    struct dns_channel channel;
    struct deadline_link look; /* in loop->looks while asking */
    struct loop *loop;
};

/* One socket number; whichever socket of c-ares has it. */
struct watch {
    struct place *place;
    uint32_t generation; /* of the poll: tells a late completion from a new one */
    short events;        /* that c-ares waits for; 0: none */
    bool polled;         /* a poll for them is armed */
};

struct loop {
    struct job_run *run;
    struct io_uring ring;
    struct place *places;
    uint32_t place_count;
    uint32_t active;       /* places that are not idle */
    struct watch *watches; /* [watch_count], by socket */
    size_t watch_count;
    uint8_t skip_success; /* IOSQE_CQE_SKIP_SUCCESS where the kernel has it */
    bool cancelled;
    uint64_t now_ns;
    struct deadlines looks;
    struct io_uring_sqe lost; /* written to when the ring has failed; goes nowhere */
};

static struct place *place_of_look(struct deadline_link *link)
{
    return (struct place *)(void *)((char *)link - offsetof(struct place, look));
}

/* ---- submissions ---- */

static uint64_t user_data_pack(int fd, const struct watch *watch)
{
    return (uint64_t)(uint32_t)fd << 32 | watch->generation;
}

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

/* ---- start ---- */

/* The table grows with the largest socket number. @return 0 or -ENOMEM */
static int watches_reserve(struct loop *loop, int fd)
{
    size_t count = loop->watch_count > 0 ? loop->watch_count : WATCHES_MIN;

    while (count <= (size_t)fd) {
        count *= 2;
    }
    if (count == loop->watch_count) {
        return 0;
    }
    struct watch *watches = realloc(loop->watches, count * sizeof watches[0]);
    if (watches == NULL) {
        return -ENOMEM;
    }
    loop->watches = watches;
    memset(&watches[loop->watch_count], 0, (count - loop->watch_count) * sizeof watches[0]);
    loop->watch_count = count;
    return 0;
}

static void poll_start(struct loop *loop, int fd)
{
    struct watch *watch = &loop->watches[fd];

    if (watch->events != 0 && !watch->polled) {
        struct io_uring_sqe *sqe = sqe_get(loop);
        io_uring_prep_poll_add(sqe, fd, (unsigned)watch->events);
        io_uring_sqe_set_data64(sqe, user_data_pack(fd, watch));
        watch->polled = true;
    }
}

/* Its completion may be on its way already: it is told from the next one by the generation. */
static void poll_stop(struct loop *loop, int fd)
{
    struct watch *watch = &loop->watches[fd];

    if (watch->polled) {
        struct io_uring_sqe *sqe = sqe_get(loop);
        io_uring_prep_poll_remove(sqe, user_data_pack(fd, watch));
        io_uring_sqe_set_data64(sqe, USER_DATA_REMOVAL);
        sqe->flags |= loop->skip_success;
        watch->polled = false;
        watch->generation++;
    }
}

/* callback from the channel: which of its sockets to watch, and for what. What is queued here is
 * submitted with the next wait, by when the socket may be closed and its number another's: the
 * order of the queue keeps that right. */
static void on_watch(void *user, int fd, bool readable, bool writable)
{
    struct place *place = user;
    struct loop *loop = place->loop;

    int result = watches_reserve(loop, fd);
    if (result < 0) {
        job_run_fail(loop->run, result);
        return;
    }
    struct watch *watch = &loop->watches[fd];
    short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
    if (watch->events != events || watch->place != place) {
        poll_stop(loop, fd);
        watch->events = events;
        watch->place = place;
        poll_start(loop, fd);
    }
}

static enum transfer_step place_ask(struct place *place)
{
    return dns_channel_ask(&place->channel);
}

/* ---- advance ---- */

static enum transfer_step place_next(struct place *place)
{
    struct loop *loop = place->loop;
    const uint64_t now_ns = clock_now_ns(); /* the loop may have slept since it last looked */
    size_t index = 0;

    if (job_run_take(loop->run, &index, now_ns)) {
        return dns_channel_start(&place->channel, index, now_ns);
    }
    loop->active--;
    return TRANSFER_MORE;
}

/* Take the steps that are due, up to one that has to wait for the socket. */
static void place_advance(struct place *place, enum transfer_step step)
{
    struct loop *loop = place->loop;

    while (step != TRANSFER_MORE) {
        step = step == TRANSFER_AGAIN ? place_ask(place) : place_next(place);
    }
    deadlines_remove(&place->look);
    if (dns_channel_is_asking(&place->channel)) {
        deadlines_insert(&loop->looks, &place->look, place->channel.look_ns);
    }
}

static void socket_ready(struct loop *loop, int fd, int events)
{
    struct watch *watch = &loop->watches[fd];
    struct place *place = watch->place;
    /* An error is heard by reading. */
    const bool readable = (events & (POLLIN | POLLERR | POLLHUP)) != 0;
    const bool writable = (events & POLLOUT) != 0;

    watch->polled = false;
    watch->generation++;
    if (events < 0) {
        job_run_fail(loop->run, events);
        return;
    }
    place_advance(place, dns_channel_ready(&place->channel, readable ? fd : ARES_SOCKET_BAD,
                                           writable ? fd : ARES_SOCKET_BAD));
    poll_start(loop, fd);
}

static void loop_dispatch(struct loop *loop, const struct io_uring_cqe *cqe)
{
    const uint64_t user_data = io_uring_cqe_get_data64(cqe);
    const size_t fd = user_data >> 32;

    if (user_data == USER_DATA_REMOVAL) {
        return; /* it found nothing to remove: that has completed before */
    }
    assert(fd < loop->watch_count);
    if (loop->watches[fd].polled && loop->watches[fd].generation == (uint32_t)user_data) {
        socket_ready(loop, (int)fd, cqe->res);
    }
}

/* ---- finish ---- */

/* The time of a place has come: the next server's turn, or the end. */
static void loop_expire(struct loop *loop)
{
    struct deadline_link *first = deadlines_first(&loop->looks);

    while (first != NULL && first->deadline_ns <= loop->now_ns) {
        struct place *place = place_of_look(first);
        place_advance(place, dns_channel_look(&place->channel));
        first = deadlines_first(&loop->looks);
    }
}

/* What was not started is answered by the place that comes to take it. */
static void loop_cancel(struct loop *loop)
{
    struct deadline_link *first = NULL;

    loop->cancelled = true;
    while ((first = deadlines_first(&loop->looks)) != NULL) {
        struct place *place = place_of_look(first);
        place_advance(place, dns_channel_cancel(&place->channel));
    }
}

/* ---- the loop ---- */

static uint64_t loop_patience_ns(const struct loop *loop)
{
    const struct deadline_link *first = deadlines_first(&loop->looks);
    uint64_t patience_ns = job_run_is_watched(loop->run) ? CANCEL_POLL_NS : WAIT_MAX_NS;

    if (first != NULL && first->deadline_ns < loop->now_ns + patience_ns) {
        patience_ns = first->deadline_ns > loop->now_ns ? first->deadline_ns - loop->now_ns : 0;
    }
    return patience_ns;
}

/* The one place that waits: submits, and sleeps until a socket is ready or a deadline near. */
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
        if (seen == seen_max || !job_run_goes_on(loop->run)) {
            break;
        }
        loop_dispatch(loop, cqe);
        seen++;
    }
    io_uring_cq_advance(&loop->ring, seen);
}

static void loop_run(struct loop *loop)
{
    loop->active = loop->place_count;
    for (uint32_t i = 0; i < loop->place_count; i++) {
        place_advance(&loop->places[i], TRANSFER_DONE);
    }
    loop->now_ns = clock_now_ns();
    while (loop->active > 0 && job_run_goes_on(loop->run)) {
        loop_wait(loop);
        loop_reap(loop);
        loop->now_ns = clock_now_ns();
        loop_expire(loop);
        if (!loop->cancelled && transfer_cancelled(loop->run->job)) {
            loop_cancel(loop);
        }
    }
}

/* ---- set up and torn down ---- */

/* Room for a poll of each place, and for those that were given up. @return 0 or -errno */
static int ring_init(struct loop *loop, uint32_t place_count)
{
    int result =
        ring_open(&loop->ring, ring_power_of_two(place_count, SQ_ENTRIES_MIN, SQ_ENTRIES_MAX),
                  ring_power_of_two((size_t)2 * place_count, CQ_ENTRIES_MIN, CQ_ENTRIES_MAX));
    if (result == 0 && (loop->ring.features & IORING_FEAT_CQE_SKIP) != 0) {
        loop->skip_success = IOSQE_CQE_SKIP_SUCCESS;
    }
    return result;
}

static int places_init(struct loop *loop, uint32_t place_count)
{
    loop->places = calloc(place_count, sizeof loop->places[0]);
    if (loop->places == NULL) {
        return -ENOMEM;
    }
    loop->place_count = place_count;
    for (uint32_t i = 0; i < place_count; i++) {
        struct place *place = &loop->places[i];
        place->loop = loop;
        dns_channel_init(&place->channel, loop->run, on_watch, place);
    }
    return 0;
}

/* The polls only look at sockets: nothing of ours is in the kernel's hands when the ring goes. */
static void loop_release(struct loop *loop)
{
    for (uint32_t i = 0; i < loop->place_count; i++) {
        dns_channel_release(&loop->places[i].channel);
    }
    free(loop->places);
    free(loop->watches);
    io_uring_queue_exit(&loop->ring);
}

/* On a thread of its own when there are several. */
static void loop_main(struct job_run *run, uint32_t number)
{
    const uint32_t place_count = job_run_share(run, number, job_run_loops(run));
    struct loop loop = {.run = run};

    deadlines_init(&loop.looks);
    int result = ring_init(&loop, place_count);
    if (result < 0) {
        job_run_fail(run, result);
        return;
    }
    result = places_init(&loop, place_count);
    if (result < 0) {
        job_run_fail(run, result);
    } else {
        loop_run(&loop);
    }
    loop_release(&loop);
}

static int dns_io_uring_download_many(const struct download_job *job,
                                      struct transfer_result *results)
{
    struct job_run run;

    if (job->count == 0) {
        return 0;
    }
    int result = dns_engine_init();
    if (result < 0) {
        return result;
    }
    job_run_init(&run, job, results);
    result = job_run_threads(&run, job_run_loops(&run), JOB_RUN_STACK_DEFAULT, loop_main);
    dns_engine_release();
    return result;
}

static int dns_io_uring_probe(char reason[BENCH_REASON_BYTES])
{
    static const struct ring_operation needed[] = {
        {IORING_OP_POLL_ADD, "POLL_ADD"},
        {IORING_OP_POLL_REMOVE, "POLL_REMOVE"},
    };

    return ring_probe(needed, sizeof needed / sizeof needed[0], reason);
}

#define UNAVAILABLE NULL
#define PROBE dns_io_uring_probe

#else

#include <errno.h>

static int dns_io_uring_download_many(const struct download_job *job,
                                      struct transfer_result *results)
{
    (void)job, (void)results;
    return -ENOSYS;
}

#define UNAVAILABLE "built without c-ares or liburing"
#define PROBE NULL

#endif

const struct bench_backend backend_dns_io_uring = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_LOOPS | BENCH_CAP_DNS,
    .name = "dns_io_uring",
    .engine = "c-ares",
    .model = "io_uring",
    .waits_in = "io_uring_enter(2)",
    .summary = "c-ares, its sockets watched by a ring of io_uring",
    .unavailable = UNAVAILABLE,
    .probe = PROBE,
    .download_many = dns_io_uring_download_many,
};
