/*
 * Model:    straight-line code that awaits: every place in flight is a coroutine whose code reads
 *           like that of a program with one transfer, and a loop continues those that may go on
 * Threads:  one, or one for each of `loops`; they share two counters and a word to stop (job_run.h)
 * Waits in: epoll_pwait2(2) (epoll_wait(2) before Linux 5.11)
 * Woken by: a socket that can be read; written, while connecting or after a short send; the first
 *           deadline
 * Syscalls per transfer: 2 (recv, send); epoll_pwait2 is shared by all that became ready together,
 *           and leaving a coroutine for another needs none
 * Read next: coroutine.h, what it is to leave code in the middle; raw_sequential.c, the same code
 *            without the awaiting; raw_epoll.c, the same loop with states instead of code
 *
 * There is no state of a place: where it is in its code says what it waits for. Whatever waits is
 * called await_something, and ends by await: watch the socket, suspend. The loop resumes with the
 * reason, which is an error when it was the deadline or the caller who stops, so that both take
 * the way of every failed call.
 *
 * While it waits a coroutine costs the frames between place_main and await, 240 bytes that are
 * kept beside the place (coroutine.h): 10,000 in flight take 3 MB more than in raw_epoll.c.
 * Parsing, hashing and saving may go as deep as they like: they do not wait.
 *
 * Level-triggered, one recv for each event, one buffer for all and files written on the loop, as
 * in raw_epoll.c and for the same reasons.
 */
#include "backend.h"
#include "clock.h"
#include "coroutine.h"
#include "deadlines.h"
#include "exchange.h"
#include "job_run.h"
#include "raw_socket.h"
#include "save.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BUFFER_BYTES 65536
#define EVENTS_MAX 256
#define STARTS_PER_TURN 64              /* as in raw_epoll.c */
#define STACK_BYTES ((size_t)256 << 10) /* of each loop; only what is touched is there */

#define WAIT_MAX_NS NS_PER_S
#define CANCEL_POLL_NS (50 * NS_PER_MS) /* backend.h: every 100 ms at least */

/* ---- state ---- */

/* One of the places in flight: a request at a time, and its connection. */
struct place {
    struct exchange exchange;
    struct coroutine coroutine;
    struct loop *loop;
    struct deadline_link deadline; /* in loop->deadlines while asking */
    int woken;                     /* why it was resumed: events of epoll, or -errno */

    /* the connection, kept from request to request */
    int fd;
    uint32_t number;
    uint32_t interest; /* what epoll watches it for */
    const struct endpoint *peer;
    size_t unsent_bytes; /* of the request, at its end */
    bool used;           /* has carried a request */
};

struct loop {
    struct job_run *run;
    struct place *places;
    uint32_t place_count;
    uint32_t started; /* places that have begun */
    uint32_t active;  /* places that are not idle */
    int epoll_fd;
    bool in_ms; /* the kernel has no epoll_pwait2 */
    bool cancelled;
    uint64_t now_ns;
    struct deadlines deadlines;
    struct coroutine_stack stack;
    char *buffer;
};

static struct place *place_of_deadline(struct deadline_link *link)
{
    return (struct place *)(void *)((char *)link - offsetof(struct place, deadline));
}

/* ---- await: from here on up to "the loop" everything runs in coroutines ---- */

/* Costs a system call, so only when something changes. @return 0 or -errno */
static int place_watch(struct place *place, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.ptr = place};

    if (interest == place->interest) {
        return 0;
    }
    int operation = place->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(place->loop->epoll_fd, operation, place->fd, &event) < 0) {
        return -errno;
    }
    place->interest = interest;
    return 0;
}

/* Leave, and come back when the socket is ready.
 * @return the events; -ETIMEDOUT, -ECANCELED; -errno when it cannot be watched */
static int await(struct place *place, uint32_t interest)
{
    assert(deadlines_has(&place->deadline));
    int result = place_watch(place, interest);
    if (result < 0) {
        return result;
    }
    coroutine_suspend(&place->coroutine);
    return place->woken;
}

/* The descriptor leaves the epoll set by being closed: it has no duplicate (epoll(7)). */
static void connection_close(struct place *place)
{
    if (place->fd >= 0) {
        (void)close(place->fd);
        place->fd = -1;
    }
}

/* @return 0 or -errno */
static int await_connect(struct place *place)
{
    const struct endpoint *peer = place->exchange.endpoint;
    int os_error = 0;
    socklen_t bytes = sizeof os_error;

    place->fd = raw_socket_open(peer, SOCK_NONBLOCK);
    if (place->fd < 0) {
        return place->fd;
    }
    place->interest = 0;
    int result = raw_socket_connect(place->fd, peer);
    place->loop->now_ns = clock_now_ns(); /* it has taken a handshake, or a refusal */
    if (result != -EINPROGRESS) {
        return result;
    }
    result = await(place, EPOLLOUT);
    if (result < 0) {
        return result;
    }
    place->loop->now_ns = clock_now_ns();
    if (getsockopt(place->fd, SOL_SOCKET, SO_ERROR, &os_error, &bytes) < 0) {
        os_error = errno;
    }
    return -os_error;
}

/* As much of the request as the socket takes. @return 0 or -errno */
static int rest_send(struct place *place)
{
    const struct exchange *exchange = &place->exchange;
    const char *rest = exchange->request + exchange->request_bytes - place->unsent_bytes;

    ssize_t sent = send(place->fd, rest, place->unsent_bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        return exchange_send_failed(&place->exchange, errno) ? 0 : -errno;
    }
    place->unsent_bytes -= sent > 0 ? (size_t)sent : 0;
    return 0;
}

/* Is there a rest, and hope for it? */
static bool is_sending(const struct place *place)
{
    return place->unsent_bytes > 0 && place->exchange.send_error == 0;
}

/* All of the request, or what is out when an answer begins: await_receive sees to the rest then.
 * @return 0 or -errno */
static int await_send(struct place *place)
{
    int events = EPOLLOUT;

    place->unsent_bytes = place->exchange.request_bytes;
    while ((events & EPOLLOUT) != 0) {
        int result = rest_send(place);
        if (result < 0 || !is_sending(place)) {
            return result;
        }
        events = await(place, EPOLLIN | EPOLLOUT);
        if (events < 0) {
            return events;
        }
        place->loop->now_ns = clock_now_ns();
    }
    return 0;
}

/* What has arrived, in the loop's buffer: the next one to be resumed receives there too.
 * @return how many bytes; 0: the end of the stream; -errno */
static ssize_t await_receive(struct place *place)
{
    struct loop *loop = place->loop;

    for (;;) {
        /* first: the answer is never there yet */
        int events = await(place, is_sending(place) ? EPOLLIN | EPOLLOUT : EPOLLIN);
        if (events < 0) {
            return events;
        }
        if (events == EPOLLOUT) {
            loop->now_ns = clock_now_ns();
            int result = rest_send(place);
            if (result < 0) {
                return result;
            }
            continue;
        }
        ssize_t bytes = recv(place->fd, loop->buffer, BUFFER_BYTES, 0);
        int os_error = bytes < 0 ? errno : 0;
        loop->now_ns = clock_now_ns(); /* now, not when the batch began: it may be a long one */
        if (os_error != EAGAIN && os_error != EINTR) {
            return bytes < 0 ? -os_error : bytes;
        }
    }
}

/* ---- download ---- */

static bool connection_is_kept(const struct place *place)
{
    return place->fd >= 0 && exchange_keeps_connection(&place->exchange) &&
           place->unsent_bytes == 0;
}

/* A connection to where the request goes: the one there is, or a new one. @return 0 or -errno */
static int place_connect(struct place *place)
{
    if (connection_is_kept(place) && place->peer == place->exchange.endpoint) {
        return 0;
    }
    connection_close(place);
    int result = await_connect(place);
    if (result == 0) {
        place->peer = place->exchange.endpoint;
        place->number = job_run_connection(place->loop->run);
        place->used = false;
    }
    return result;
}

static int place_send(struct place *place)
{
    exchange_connected(&place->exchange, place->number, place->used);
    place->used = true;
    return await_send(place);
}

static enum transfer_step place_receive(struct place *place)
{
    struct exchange *exchange = &place->exchange;
    struct loop *loop = place->loop;
    enum transfer_step step = TRANSFER_MORE;

    while (step == TRANSFER_MORE) {
        ssize_t bytes = await_receive(place);
        if (bytes > 0) {
            step = exchange_feed(exchange, loop->buffer, (size_t)bytes, loop->now_ns);
        } else if (bytes == 0) {
            step = exchange_eof(exchange, loop->now_ns);
        } else {
            step = exchange_fail(exchange, (int)-bytes, loop->now_ns);
        }
    }
    return step;
}

static enum transfer_step place_ask(struct place *place)
{
    (void)deadlines_set(&place->loop->deadlines, &place->deadline,
                        place->exchange.transfer.deadline_ns);
    int result = place_connect(place);
    if (result == 0) {
        result = place_send(place);
    }
    if (result < 0) {
        return exchange_fail(&place->exchange, -result, place->loop->now_ns);
    }
    return place_receive(place);
}

static void place_save(struct place *place)
{
    int result = save_transfer_blocking(&place->exchange.transfer);
    place->loop->now_ns = clock_now_ns();
    if (connection_is_kept(place) && !raw_socket_is_quiet(place->fd)) {
        connection_close(place);
    }
    (void)exchange_saved(&place->exchange, -result, place->loop->now_ns);
}

/* One request, from its first attempt to its last. */
static void place_download(struct place *place, size_t index)
{
    enum transfer_step step = exchange_start(&place->exchange, index, place->loop->now_ns);

    if (step == TRANSFER_MORE) {
        step = TRANSFER_AGAIN;
    }
    while (step == TRANSFER_AGAIN) {
        step = place_ask(place);
    }
    deadlines_remove(&place->deadline);
    if (step == TRANSFER_SAVE) {
        place_save(place);
    }
    /* Before the next one starts, so that no transfer's time holds the end of another. */
    if (place->fd >= 0 && !connection_is_kept(place)) {
        connection_close(place);
        place->loop->now_ns = clock_now_ns();
    }
}

static void place_main(void *user)
{
    struct place *place = user;
    struct loop *loop = place->loop;
    size_t index = 0;

    while (job_run_take(loop->run, &index, loop->now_ns)) {
        place_download(place, index);
    }
    connection_close(place);
    loop->active--;
}

/* ---- the loop ---- */

/* @param woken  what await returns: events of epoll, -ETIMEDOUT or -ECANCELED */
static void place_resume(struct place *place, int woken)
{
    place->woken = woken;
    int result = coroutine_resume(&place->coroutine);
    if (result < 0) {
        job_run_fail(place->loop->run, result);
    }
}

static void loop_expire(struct loop *loop)
{
    struct deadline_link *first = deadlines_first(&loop->deadlines);

    while (first != NULL && first->deadline_ns <= loop->now_ns && job_run_goes_on(loop->run)) {
        place_resume(place_of_deadline(first), -ETIMEDOUT);
        first = deadlines_first(&loop->deadlines);
    }
}

/* What was not started is answered by the place that comes to take it. */
static void loop_cancel(struct loop *loop)
{
    struct deadline_link *first = NULL;

    loop->cancelled = true;
    while ((first = deadlines_first(&loop->deadlines)) != NULL && job_run_goes_on(loop->run)) {
        place_resume(place_of_deadline(first), -ECANCELED);
    }
}

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

/* The one place that waits: for a socket that is ready, or a deadline that is near.
 * @return how many events there are */
static int loop_wait(struct loop *loop, struct epoll_event events[static EVENTS_MAX])
{
    const uint64_t patience_ns = loop_patience_ns(loop);
    const struct timespec patience = {
        .tv_sec = (time_t)(patience_ns / NS_PER_S),
        .tv_nsec = (long)(patience_ns % NS_PER_S),
    };
    int count = -1;

    if (!loop->in_ms) {
        count = epoll_pwait2(loop->epoll_fd, events, EVENTS_MAX, &patience, NULL);
        /* ENOSYS: Linux before 5.11; EPERM: a container's filter that does not know the call. */
        loop->in_ms = count < 0 && (errno == ENOSYS || errno == EPERM);
    }
    if (loop->in_ms) {
        count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX,
                           (int)((patience_ns + NS_PER_MS - 1) / NS_PER_MS));
    }
    if (count < 0 && errno != EINTR) {
        job_run_fail(loop->run, -errno);
    }
    return count;
}

static void loop_start(struct loop *loop)
{
    for (int i = 0; i < STARTS_PER_TURN && loop->started < loop->place_count; i++) {
        loop->now_ns = clock_now_ns();
        place_resume(&loop->places[loop->started++], 0);
    }
}

static void loop_run(struct loop *loop)
{
    struct epoll_event events[EVENTS_MAX];

    loop->active = loop->place_count;
    while (loop->active > 0 && job_run_goes_on(loop->run)) {
        loop_start(loop);
        int count = loop_wait(loop, events);
        /* A place has one descriptor and so at most one event in a batch: none can be of a
         * connection that an earlier event of the same batch has closed. */
        for (int i = 0; i < count; i++) {
            place_resume(events[i].data.ptr, (int)events[i].events);
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
    deadlines_init(&loop->deadlines);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        return -errno;
    }
    int result = coroutine_stack_init(&loop->stack, STACK_BYTES);
    if (result < 0) {
        return result;
    }
    loop->buffer = malloc(BUFFER_BYTES);
    loop->places = calloc(place_count, sizeof loop->places[0]);
    if (loop->buffer == NULL || loop->places == NULL) {
        return -ENOMEM;
    }
    loop->place_count = place_count;
    for (uint32_t i = 0; i < place_count; i++) {
        struct place *place = &loop->places[i];
        exchange_init(&place->exchange, run->job, run->results, &run->targets);
        transfer_lend(&place->exchange.transfer); /* saves before it receives again */
        coroutine_init(&place->coroutine, &loop->stack, place_main, place);
        place->loop = loop;
        place->fd = -1;
    }
    return 0;
}

/* After a run that failed coroutines are forgotten in the middle: what they had in hand, a
 * connection and the exchange's buffers, is the place's and goes here. */
static void loop_release(struct loop *loop)
{
    for (uint32_t i = 0; i < loop->place_count; i++) {
        coroutine_release(&loop->places[i].coroutine);
        connection_close(&loop->places[i]);
        exchange_release(&loop->places[i].exchange);
    }
    free(loop->places);
    free(loop->buffer);
    coroutine_stack_release(&loop->stack);
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

static int raw_coroutine_download_many(const struct download_job *job,
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

const struct bench_backend backend_raw_coroutine = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_LOOPS,
    .name = "raw_coroutine",
    .engine = "raw",
    .model = "coroutine",
    .waits_in = "epoll_pwait2(2)",
    .summary = "straight-line code that awaits, over an epoll loop",
    .download_many = raw_coroutine_download_many,
};
