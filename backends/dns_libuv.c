/*
 * Model:    callbacks: libuv waits for the sockets and the clock, and calls us
 * Threads:  one, or one for each of `loops`
 * Waits in: epoll_wait(2), inside uv_run
 * Woken by: a socket that can be read (written, while a TCP connection is made), or a place's timer
 * Syscalls per transfer: 3 (sendto, and 2 recvfrom: c-ares reads until it hears EAGAIN);
 *                        epoll_wait is shared by all that became ready together
 * Read next: dns_epoll.c, the same without the library; raw_libuv.c, where libuv reads, too
 *
 * Each socket of c-ares is a uv_poll_t and each place has a timer: libuv keeps what dns_epoll.c
 * keeps in a list. The handle of a socket is made anew for each: libuv has it until on_closed,
 * and c-ares may open the next socket before that.
 */
#include "backend.h"

#if defined(HAVE_CARES) && defined(HAVE_LIBUV)

#include "clock.h"
#include "dns_channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#define CANCEL_POLL_MS 50 /* backend.h: every 100 ms at least */

/* One of the places in flight: a lookup at a time, and its channel. */
struct place {
    struct dns_channel channel;
    struct loop *loop;
    struct watch *watches; /* of the channel's sockets */
    uv_timer_t timer;      /* goes off at channel.look_ns */
};

/* A socket of a channel. */
struct watch {
    uv_poll_t poll;
    struct place *place;
    struct watch *next;
    int fd;
};

struct loop {
    struct job_run *run;
    uv_loop_t uv;
    uv_timer_t cancel_poll; /* to look whether the caller wants to stop */
    struct place *places;
    uint32_t place_count;
    uint32_t active; /* places that are not idle */
    bool cancelled;
};

static void place_advance(struct place *place, enum transfer_step step);

/* ---- start ---- */

/* callback from libuv: a socket of a place is ready */
static void on_ready(uv_poll_t *poll, int status, int events)
{
    const struct watch *watch = poll->data;
    struct place *place = watch->place;
    const int fd = watch->fd; /* the watch may go in what follows */
    /* A hang-up is told as an error here; c-ares hears of it by reading. */
    const bool readable = status < 0 || (events & UV_READABLE) != 0;
    const bool writable = (events & UV_WRITABLE) != 0;

    place_advance(place, dns_channel_ready(&place->channel, readable ? fd : ARES_SOCKET_BAD,
                                           writable ? fd : ARES_SOCKET_BAD));
}

/* callback from libuv: the handle is ours again */
static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* @return the link that points to it, or to NULL at the end */
static struct watch **watch_find(struct place *place, int fd)
{
    struct watch **link = &place->watches;

    while (*link != NULL && (*link)->fd != fd) {
        link = &(*link)->next;
    }
    return link;
}

/* The socket is still open; libuv must let go of it before it is closed. */
static void watch_stop(struct watch **link)
{
    struct watch *watch = *link;

    if (watch != NULL) {
        *link = watch->next;
        (void)uv_poll_stop(&watch->poll);
        uv_close((uv_handle_t *)&watch->poll, on_closed);
    }
}

/* @return 0 or -errno */
static int watch_add(struct place *place, struct watch **link, int fd)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL) {
        return -ENOMEM;
    }
    int result = uv_poll_init(&place->loop->uv, &watch->poll, fd);
    if (result < 0) {
        free(watch);
        return result;
    }
    watch->poll.data = watch;
    watch->place = place;
    watch->fd = fd;
    *link = watch;
    return 0;
}

/* callback from the channel: which of its sockets to watch, and for what */
static void on_watch(void *user, int fd, bool readable, bool writable)
{
    struct place *place = user;
    struct watch **link = watch_find(place, fd);
    int result = 0;

    if (!readable && !writable) {
        watch_stop(link);
        return;
    }
    if (*link == NULL) {
        result = watch_add(place, link, fd);
    }
    if (result == 0) {
        result = uv_poll_start(
            &(*link)->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_ready);
    }
    if (result < 0) {
        job_run_fail(place->loop->run, result);
    }
}

static enum transfer_step place_ask(struct place *place)
{
    return dns_channel_ask(&place->channel);
}

/* ---- advance ---- */

/* callback from libuv: the time of a place has come: the next server's turn, or the end. It may
 * go off a little early, because timers count from when the turn of the loop began. */
static void on_look(uv_timer_t *timer)
{
    struct place *place = timer->data;

    bool due = clock_now_ns() >= place->channel.look_ns;
    place_advance(place, due ? dns_channel_look(&place->channel) : TRANSFER_MORE);
}

static void timer_start(struct place *place)
{
    uint64_t now_ns = clock_now_ns();
    uint64_t look_ns = place->channel.look_ns;
    uint64_t left_ns = look_ns > now_ns ? look_ns - now_ns : 0;

    (void)uv_timer_start(&place->timer, on_look, (left_ns + NS_PER_MS - 1) / NS_PER_MS, 0);
}

static enum transfer_step place_next(struct place *place)
{
    struct loop *loop = place->loop;
    const uint64_t now_ns = clock_now_ns();
    size_t index = 0;

    if (job_run_take(loop->run, &index, now_ns)) {
        return dns_channel_start(&place->channel, index, now_ns);
    }
    loop->active--;
    if (loop->active == 0) {
        uv_stop(&loop->uv);
    }
    return TRANSFER_MORE;
}

/* Take the steps that are due, up to one that a callback has to tell of. */
static void place_advance(struct place *place, enum transfer_step step)
{
    while (step != TRANSFER_MORE) {
        step = step == TRANSFER_AGAIN ? place_ask(place) : place_next(place);
    }
    if (dns_channel_is_asking(&place->channel)) {
        timer_start(place);
    } else {
        (void)uv_timer_stop(&place->timer);
    }
    if (!job_run_goes_on(place->loop->run)) {
        uv_stop(&place->loop->uv);
    }
}

/* ---- finish ---- */

/* callback from libuv: does the caller want to stop? What was not started is answered by the place
 * that comes to take it. */
static void on_cancel_poll(uv_timer_t *timer)
{
    struct loop *loop = timer->data;

    if (!job_run_goes_on(loop->run)) {
        uv_stop(&loop->uv); /* another thread has failed */
    }
    if (loop->cancelled || !transfer_cancelled(loop->run->job)) {
        return;
    }
    loop->cancelled = true;
    for (uint32_t i = 0; i < loop->place_count; i++) {
        struct place *place = &loop->places[i];
        if (dns_channel_is_asking(&place->channel)) {
            place_advance(place, dns_channel_cancel(&place->channel));
        }
    }
}

/* ---- the loop ---- */

static void loop_run(struct loop *loop)
{
    (void)uv_timer_start(&loop->cancel_poll, on_cancel_poll, CANCEL_POLL_MS, CANCEL_POLL_MS);
    loop->active = loop->place_count;
    for (uint32_t i = 0; i < loop->place_count; i++) {
        place_advance(&loop->places[i], TRANSFER_DONE);
    }
    if (loop->active > 0) {
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* until uv_stop */
    }
}

/* ---- set up and torn down ---- */

static int loop_init(struct loop *loop, struct job_run *run)
{
    *loop = (struct loop){.run = run};
    int result = uv_loop_init(&loop->uv);
    if (result < 0) {
        return result;
    }
    (void)uv_timer_init(&loop->uv, &loop->cancel_poll); /* cannot fail */
    loop->cancel_poll.data = loop;
    return 0;
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
        (void)uv_timer_init(&loop->uv, &place->timer);
        place->timer.data = place;
        dns_channel_init(&place->channel, loop->run, on_watch, place);
    }
    return 0;
}

/* First the channels, which give up their sockets, then what is left of the handles. */
static void loop_release(struct loop *loop)
{
    for (uint32_t i = 0; i < loop->place_count; i++) {
        dns_channel_release(&loop->places[i].channel);
        uv_close((uv_handle_t *)&loop->places[i].timer, NULL);
    }
    uv_close((uv_handle_t *)&loop->cancel_poll, NULL);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
        /* again, for a uv_stop in between */
    }
    free(loop->places);
    int result = uv_loop_close(&loop->uv);
    assert(result == 0); /* no handle may be left */
    (void)result;
}

/* On a thread of its own when there are several. */
static void loop_main(struct job_run *run, uint32_t number)
{
    struct loop loop;

    int result = loop_init(&loop, run);
    if (result < 0) {
        job_run_fail(run, result);
        return;
    }
    result = places_init(&loop, job_run_share(run, number, job_run_loops(run)));
    if (result < 0) {
        job_run_fail(run, result);
    } else {
        loop_run(&loop);
    }
    loop_release(&loop);
}

static int dns_libuv_download_many(const struct download_job *job, struct transfer_result *results)
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

static int dns_libuv_download_many(const struct download_job *job, struct transfer_result *results)
{
    (void)job, (void)results;
    return -ENOSYS;
}

#define UNAVAILABLE "built without c-ares or libuv"

#endif

const struct bench_backend backend_dns_libuv = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_LOOPS | BENCH_CAP_DNS,
    .name = "dns_libuv",
    .engine = "c-ares",
    .model = "libuv",
    .waits_in = "epoll_wait(2)",
    .summary = "c-ares, its sockets and timers are libuv handles",
    .unavailable = UNAVAILABLE,
    .download_many = dns_libuv_download_many,
};
