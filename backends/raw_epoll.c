/*
 * Model:    readiness: the kernel tells which sockets can be read or written, we then do it
 * Threads:  one, or one for each of `loops`; they share two counters and a word to stop (job_run.h)
 * Waits in: epoll_pwait2(2) (epoll_wait(2) before Linux 5.11)
 * Woken by: a socket that can be read; written, while connecting or after a short send; the first
 *           deadline
 * Syscalls per transfer: 2 (recv, send); epoll_pwait2 is shared by all that became ready together
 * Read next: raw_io_uring.c, completion instead of readiness; raw_coroutine.c, the same loop under
 *            code that reads like raw_sequential.c
 *
 * Level-triggered: what was not read is told again, so one recv for each event is enough. It can
 * neither lose an end of stream nor let one large body keep the others waiting. There is never a
 * second recv that would only hear EAGAIN, and none right after a send, because the answer is never
 * there yet. All connections of a loop receive into one buffer, which stays in the cache.
 *
 * Files are written on the loop: epoll knows no files, they are always "ready". Opening, writing
 * and closing a picture takes less time than handing it to another thread and back.
 */
#include "backend.h"
#include "clock.h"
#include "deadlines.h"
#include "exchange.h"
#include "job_run.h"
#include "raw_socket.h"
#include "save.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BUFFER_BYTES 65536
#define EVENTS_MAX 256
/* So that the first answers need not wait for the last question: connecting takes some 30 us, and
 * so a turn 2 ms. */
#define STARTS_PER_TURN 64

#define WAIT_MAX_NS NS_PER_S
#define CANCEL_POLL_NS (50 * NS_PER_MS) /* backend.h: every 100 ms at least */

/* ---- state ---- */

enum place_state {
    PLACE_IDLE, /* nothing left to do */
    PLACE_CONNECTING,
    PLACE_EXCHANGING,
};

/* One of the places in flight: a request at a time, and its connection. */
struct place {
    struct exchange exchange;
    struct deadline_link deadline; /* in loop->deadlines while asking */
    enum place_state state;

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
    char *buffer;
};

static struct place *place_of_deadline(struct deadline_link *link)
{
    return (struct place *)(void *)((char *)link - offsetof(struct place, deadline));
}

/* ---- start ---- */

/* Costs a system call, so only when something changes. @return 0 or -errno */
static int place_watch(struct loop *loop, struct place *place, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.ptr = place};

    if (interest == place->interest) {
        return 0;
    }
    int operation = place->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(loop->epoll_fd, operation, place->fd, &event) < 0) {
        return -errno;
    }
    place->interest = interest;
    return 0;
}

static enum transfer_step rest_send(struct loop *loop, struct place *place)
{
    struct exchange *exchange = &place->exchange;
    const char *rest = exchange->request + exchange->request_bytes - place->unsent_bytes;
    uint32_t interest = EPOLLIN;
    int result = 0;

    ssize_t sent = send(place->fd, rest, place->unsent_bytes, MSG_NOSIGNAL);
    if (sent >= 0) {
        place->unsent_bytes -= (size_t)sent;
        interest = place->unsent_bytes > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
    } else if (errno == EAGAIN) {
        interest = EPOLLIN | EPOLLOUT;
    } else if (!exchange_send_failed(exchange, errno)) {
        result = -errno;
    }
    if (result == 0) {
        result = place_watch(loop, place, interest);
    }
    return result < 0 ? exchange_fail(exchange, -result, loop->now_ns) : TRANSFER_MORE;
}

static enum transfer_step request_send(struct loop *loop, struct place *place)
{
    struct exchange *exchange = &place->exchange;

    exchange_connected(exchange, place->number, place->used);
    place->used = true;
    place->state = PLACE_EXCHANGING;
    place->unsent_bytes = exchange->request_bytes;
    return rest_send(loop, place);
}

static enum transfer_step connected(struct loop *loop, struct place *place)
{
    place->number = job_run_connection(loop->run);
    return request_send(loop, place);
}

static enum transfer_step connect_start(struct loop *loop, struct place *place)
{
    const struct endpoint *peer = place->exchange.endpoint;

    int fd = raw_socket_open(peer, SOCK_NONBLOCK);
    if (fd < 0) {
        return exchange_fail(&place->exchange, -fd, loop->now_ns);
    }
    place->fd = fd;
    place->peer = peer;
    place->interest = 0;
    place->used = false;
    place->state = PLACE_CONNECTING;
    int result = raw_socket_connect(fd, peer);
    loop->now_ns = clock_now_ns(); /* it has taken a handshake, or a refusal */
    if (result == 0) {
        return connected(loop, place);
    }
    if (result == -EINPROGRESS) {
        result = place_watch(loop, place, EPOLLOUT);
    }
    return result < 0 ? exchange_fail(&place->exchange, -result, loop->now_ns) : TRANSFER_MORE;
}

/* The descriptor leaves the epoll set by being closed: it has no duplicate (epoll(7)). */
static void connection_close(struct place *place)
{
    if (place->fd >= 0) {
        (void)close(place->fd);
        place->fd = -1;
    }
}

/* ---- advance ---- */

static bool connection_is_kept(const struct place *place)
{
    return place->fd >= 0 && exchange_keeps_connection(&place->exchange) &&
           place->unsent_bytes == 0;
}

static enum transfer_step place_ask(struct loop *loop, struct place *place)
{
    if (connection_is_kept(place) && place->peer == place->exchange.endpoint) {
        return request_send(loop, place);
    }
    connection_close(place);
    return connect_start(loop, place);
}

static enum transfer_step place_save(struct loop *loop, struct place *place)
{
    int result = save_transfer_blocking(&place->exchange.transfer);
    loop->now_ns = clock_now_ns();
    if (connection_is_kept(place) && !raw_socket_is_quiet(place->fd)) {
        connection_close(place);
    }
    return exchange_saved(&place->exchange, -result, loop->now_ns);
}

/* Closes first and starts then, so that no transfer's time holds the end of another. */
static enum transfer_step place_next(struct loop *loop, struct place *place)
{
    size_t index = 0;

    if (place->fd >= 0 && !connection_is_kept(place)) {
        connection_close(place);
        loop->now_ns = clock_now_ns();
    }
    while (job_run_take(loop->run, &index, loop->now_ns)) {
        if (exchange_start(&place->exchange, index, loop->now_ns) == TRANSFER_MORE) {
            return TRANSFER_AGAIN;
        }
    }
    connection_close(place);
    place->state = PLACE_IDLE;
    loop->active--;
    return TRANSFER_MORE;
}

/* Take the steps that are due, up to one that has to wait for the socket. */
static void place_advance(struct loop *loop, struct place *place, enum transfer_step step)
{
    while (step != TRANSFER_MORE) {
        switch (step) {
        case TRANSFER_AGAIN:
            (void)deadlines_set(&loop->deadlines, &place->deadline,
                                place->exchange.transfer.deadline_ns);
            step = place_ask(loop, place);
            break;
        case TRANSFER_SAVE:
            deadlines_remove(&place->deadline);
            step = place_save(loop, place);
            break;
        default:
            deadlines_remove(&place->deadline);
            step = place_next(loop, place);
            break;
        }
    }
}

static void place_fail(struct loop *loop, struct place *place, int os_error)
{
    place_advance(loop, place, exchange_fail(&place->exchange, os_error, loop->now_ns));
}

static enum transfer_step connect_advance(struct loop *loop, struct place *place)
{
    int os_error = 0;
    socklen_t bytes = sizeof os_error;

    loop->now_ns = clock_now_ns();
    if (getsockopt(place->fd, SOL_SOCKET, SO_ERROR, &os_error, &bytes) < 0) {
        os_error = errno;
    }
    return os_error != 0 ? exchange_fail(&place->exchange, os_error, loop->now_ns)
                         : connected(loop, place);
}

static enum transfer_step exchange_advance(struct loop *loop, struct place *place)
{
    struct exchange *exchange = &place->exchange;

    ssize_t bytes = recv(place->fd, loop->buffer, BUFFER_BYTES, 0);
    int os_error = bytes < 0 ? errno : 0;
    loop->now_ns = clock_now_ns(); /* now, not when the batch began: it may be a long one */
    if (bytes > 0) {
        return exchange_feed(exchange, loop->buffer, (size_t)bytes, loop->now_ns);
    }
    if (bytes == 0) {
        return exchange_eof(exchange, loop->now_ns);
    }
    if (os_error == EAGAIN || os_error == EINTR) {
        return TRANSFER_MORE;
    }
    return exchange_fail(exchange, os_error, loop->now_ns);
}

/* A place has one descriptor and so at most one event in a batch: none can be of a connection
 * that an earlier event of the same batch has closed. */
static void loop_dispatch(struct loop *loop, const struct epoll_event *event)
{
    struct place *place = event->data.ptr;
    enum transfer_step step = TRANSFER_MORE;

    if (place->state == PLACE_CONNECTING) {
        step = connect_advance(loop, place);
    } else if ((event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
        step = exchange_advance(loop, place);
    } else {
        loop->now_ns = clock_now_ns();
        step = rest_send(loop, place);
    }
    place_advance(loop, place, step);
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

/* What was not started is answered by the place that comes to take it. */
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
        place_advance(loop, &loop->places[loop->started++], TRANSFER_DONE);
    }
}

static void loop_run(struct loop *loop)
{
    struct epoll_event events[EVENTS_MAX];

    loop->active = loop->place_count;
    while (loop->active > 0 && job_run_goes_on(loop->run)) {
        loop_start(loop);
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
    deadlines_init(&loop->deadlines);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        return -errno;
    }
    loop->buffer = malloc(BUFFER_BYTES);
    loop->places = calloc(place_count, sizeof loop->places[0]);
    if (loop->buffer == NULL || loop->places == NULL) {
        return -ENOMEM;
    }
    loop->place_count = place_count;
    for (uint32_t i = 0; i < place_count; i++) {
        exchange_init(&loop->places[i].exchange, run->job, run->results, &run->targets);
        transfer_lend(&loop->places[i].exchange.transfer); /* saves before it receives again */
        loop->places[i].fd = -1;
    }
    return 0;
}

static void loop_release(struct loop *loop)
{
    for (uint32_t i = 0; i < loop->place_count; i++) {
        connection_close(&loop->places[i]); /* of a run that failed: else there is none */
        exchange_release(&loop->places[i].exchange);
    }
    free(loop->places);
    free(loop->buffer);
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

static int raw_epoll_download_many(const struct download_job *job, struct transfer_result *results)
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

const struct bench_backend backend_raw_epoll = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_LOOPS,
    .name = "raw_epoll",
    .engine = "raw",
    .model = "epoll",
    .waits_in = "epoll_pwait2(2)",
    .summary = "one thread watches all sockets and serves those that are ready",
    .download_many = raw_epoll_download_many,
};
