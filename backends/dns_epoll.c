/*
 * Model:    readiness: the kernel tells which sockets can be read, c-ares then does it
 * Threads:  one, or one for each of `loops`
 * Waits in: epoll_wait(2)
 * Woken by: a socket that can be read (written, while a TCP connection is made), or the first
 *           deadline
 * Syscalls per transfer: 3 (sendto, and 2 recvfrom: c-ares reads until it hears EAGAIN);
 *                        epoll_wait is shared by all that became ready together
 * Read next: dns_libuv.c, the same through callbacks; dns_io_uring.c, the same through a ring;
 *            raw_epoll.c, where the sockets carry HTTP
 *
 * c-ares says which sockets it wants watched (on_watch), mostly once: a place keeps its socket
 * from lookup to lookup. An event names place and socket, because c-ares may have closed the
 * socket and another place may have got its number since: of a socket that is not the place's
 * own c-ares takes no notice.
 */
#include "backend.h"

#if defined(HAVE_CARES)

#include "clock.h"
#include "deadlines.h"
#include "dns_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 256

#define WAIT_MAX_NS NS_PER_S
#define CANCEL_POLL_NS (50 * NS_PER_MS) /* backend.h: every 100 ms at least */

/* One of the places in flight: a lookup at a time, and its channel. */
struct place {
    struct dns_channel channel;
    struct deadline_link look; /* in loop->looks while asking */
    struct loop *loop;
};

struct loop {
    struct job_run *run;
    struct place *places;
    uint32_t place_count;
    uint32_t active; /* places that are not idle */
    int epoll_fd;
    bool cancelled;
    uint64_t now_ns;
    struct deadlines looks;
};

static struct place *place_of_look(struct deadline_link *link)
{
    return (struct place *)(void *)((char *)link - offsetof(struct place, look));
}

static uint64_t event_pack(const struct place *place, int fd)
{
    return (uint64_t)(place - place->loop->places) << 32 | (uint32_t)fd;
}

/* ---- start ---- */

/* callback from the channel: which of its sockets to watch, and for what. Nearly always it is a
 * new one; one that is given up is still open. */
static void on_watch(void *user, int fd, bool readable, bool writable)
{
    struct place *place = user;
    const int epoll_fd = place->loop->epoll_fd;
    struct epoll_event event = {.data.u64 = event_pack(place, fd)};

    event.events |= readable ? EPOLLIN : 0;
    event.events |= writable ? EPOLLOUT : 0;
    if (event.events == 0) {
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return;
    }
    int result = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (result < 0 && errno == EEXIST) {
        result = epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event);
    }
    if (result < 0) {
        job_run_fail(place->loop->run, -errno);
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

/* Of the same place at most one event is of the socket that is asking; the others do no harm. */
static void loop_dispatch(struct loop *loop, const struct epoll_event *event)
{
    struct place *place = &loop->places[event->data.u64 >> 32];
    const int fd = (int)(uint32_t)event->data.u64;
    const bool readable = (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
    const bool writable = (event->events & EPOLLOUT) != 0;

    place_advance(place, dns_channel_ready(&place->channel, readable ? fd : ARES_SOCKET_BAD,
                                           writable ? fd : ARES_SOCKET_BAD));
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

static int loop_patience_ms(const struct loop *loop)
{
    const struct deadline_link *first = deadlines_first(&loop->looks);
    uint64_t patience_ns = job_run_is_watched(loop->run) ? CANCEL_POLL_NS : WAIT_MAX_NS;

    if (first != NULL && first->deadline_ns < loop->now_ns + patience_ns) {
        patience_ns = first->deadline_ns > loop->now_ns ? first->deadline_ns - loop->now_ns : 0;
    }
    return (int)((patience_ns + NS_PER_MS - 1) / NS_PER_MS);
}

/* The one place that waits. @return how many events there are */
static int loop_wait(struct loop *loop, struct epoll_event events[static EVENTS_MAX])
{
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, loop_patience_ms(loop));

    if (count < 0 && errno != EINTR) {
        job_run_fail(loop->run, -errno);
    }
    return count;
}

static void loop_run(struct loop *loop)
{
    struct epoll_event events[EVENTS_MAX];

    loop->active = loop->place_count;
    for (uint32_t i = 0; i < loop->place_count; i++) {
        place_advance(&loop->places[i], TRANSFER_DONE);
    }
    loop->now_ns = clock_now_ns();
    while (loop->active > 0 && job_run_goes_on(loop->run)) {
        int count = loop_wait(loop, events);
        for (int i = 0; i < count; i++) {
            loop_dispatch(loop, &events[i]);
        }
        loop->now_ns = clock_now_ns();
        loop_expire(loop);
        if (!loop->cancelled && transfer_cancelled(loop->run->job)) {
            loop_cancel(loop);
        }
    }
}

/* ---- set up and torn down ---- */

static int loop_init(struct loop *loop, struct job_run *run, uint32_t place_count)
{
    *loop = (struct loop){.run = run, .epoll_fd = -1};
    deadlines_init(&loop->looks);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        return -errno;
    }
    loop->places = calloc(place_count, sizeof loop->places[0]);
    if (loop->places == NULL) {
        return -ENOMEM;
    }
    loop->place_count = place_count;
    for (uint32_t i = 0; i < place_count; i++) {
        struct place *place = &loop->places[i];
        place->loop = loop;
        dns_channel_init(&place->channel, run, on_watch, place);
    }
    return 0;
}

static void loop_release(struct loop *loop)
{
    for (uint32_t i = 0; i < loop->place_count; i++) {
        dns_channel_release(&loop->places[i].channel);
    }
    free(loop->places);
    if (loop->epoll_fd >= 0) {
        (void)close(loop->epoll_fd);
    }
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

static int dns_epoll_download_many(const struct download_job *job, struct transfer_result *results)
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

#define UNAVAILABLE NULL

#else

#include <errno.h>

static int dns_epoll_download_many(const struct download_job *job, struct transfer_result *results)
{
    (void)job, (void)results;
    return -ENOSYS;
}

#define UNAVAILABLE "built without c-ares"

#endif

const struct bench_backend backend_dns_epoll = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_LOOPS | BENCH_CAP_DNS,
    .name = "dns_epoll",
    .engine = "c-ares",
    .model = "epoll",
    .waits_in = "epoll_wait(2)",
    .summary = "c-ares, one thread watches all sockets",
    .unavailable = UNAVAILABLE,
    .download_many = dns_epoll_download_many,
};
